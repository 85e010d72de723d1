"""Names of persons, by rules and word lists: no model, no download.

A name is found by its words (a given name that is no ordinary word, then words with a capital), by what stands before it
("Dr", "my name is", "Dear") or after it (an age, a date of birth), or as a part of a full name that stands elsewhere in
the same text. Ordinary words are not names for standing at the beginning of a sentence; nor are places, institutions and
peoples, as far as `words/no_names.txt` has them. Latin, Greek and Cyrillic script, with capitals; without capitals only
after words such as "my name is".
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, takewhile

from rote.personal_data.name_cues import named_by_cues, named_by_labels, named_last_first
from rote.personal_data.name_words import PARTICLE_WORDS, PARTICLES, UPPER, WORD, Kind, kind_of, name_form, name_parts
from rote.personal_data.recognized import Recognized
from rote.records import Span
from rote.text import stop_words

_TOKEN = re.compile(rf"(?<![\w@])(?:[{UPPER}](?=\.)|(?=[{UPPER}]){WORD})(?![\w@])")
_PARTICLE = rf"(?:(?:{PARTICLES}) |(?:al|el|ul|ad|as|ash)-|[dl]')?"
_GAP = re.compile(rf" {{1,2}}{_PARTICLE}")
_GAP_AFTER_POINT = re.compile(rf"\. ?{_PARTICLE}")
_CALENDAR = frozenset(("april", "may", "june", "august", "spring", "summer", "autumn", "winter"))
_WRAP = re.compile(r"[^\n]{40}\n(?!\n)$")
_DAYS = frozenset(["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"])
_NATIONS = frozenset(("u", "s")), frozenset(("u", "k")), frozenset(("d", "c")), frozenset(("l", "a"))
_BEFORE = re.compile(
    r"(?:\b(?:name(?:d|s)?(?: is)?|name's|i am|i'm|this is|it's|that's|called|(?:speaking|talking|spoke|talk) (?:with|to)|ask for|"
    r"patient|client|customer|pt|dear|signed|on behalf of|told|says|said|asked|attn|attention|c/o|re|author|sender|recipient|"
    r"employee|contact|witness|claimant|applicant|defendant)\b[:,=]?\s?[\"']?)$",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"(?:'s)?(?:(?:, (?:aged? |age )?|,? aged? )\d{1,3}\b(?![%.,]?\d| ?(?:%|percent|million|mg|ml|km|points?|times))"
    r"|,? \(?(?:born|b\.|d\.? ?o\.? ?b|aged?|n[ée]e)\b|,? \(?\d{1,4}[/.-]\d{1,2}[/.-]\d|,? \((?:\d{1,3}|[MF])\)|:(?= [a-z\n])"
    r"|,? (?:said|says|told|asked|wrote|called|rang|received|attended|presented|reports|reported|denies|agreed|advised|here)\b|,? \(?[A-Z]{1,4}-?\d{4})",
)
_IN_A_NOTE = re.compile(
    r"(?:, | \(| )(?:[A-Z]{1,4}-?\d{4,}|here\b)|, (?:a |an |the )?[a-z]| (?:has|had|is|was|will|needs|asks|to)\b"
)
_STARTS_LINE = re.compile(r"(?:^|\n)[ \"'(*-]*$")
_STARTS_SENTENCE = re.compile(r"(?:^|[.!?:;…\n\"“”])[\s\"'“”«»(\[*-]*$")
_LONG_WORD = re.compile(r"(?<!\w)[^\W\d_]{4,}")
_GERMAN = re.compile(r"\b(?:und|der|die|das|ist|nicht|ein|eine)\b")


@dataclass(frozen=True, slots=True)
class _Token:
    """A word with a capital, or an initial."""

    span: Span
    kind: Kind


def find_names(text: str) -> Iterator[tuple[Recognized, bool]]:
    """Names, and (with False) what may be one: words with a capital that nothing says it of, parts of names."""
    tokens = [_token(match) for match in _TOKEN.finditer(text)]
    found = [(span, True) for span in (*named_by_cues(text), *named_by_labels(text))]
    for run in _runs(text, tokens):
        if len(run) > 1:
            found += _names_of(text, run)
    found = _with_shared_parts(text, found)
    found.sort(key=lambda name: (-len(name[0]), name[0]))
    yield from ((item, True) for item in named_last_first(text))
    for span, is_certain in found:
        yield Recognized("NAME", span, name_form(span.of(text))), is_certain
    yield from _parts(tokens, [name_form(span.of(text)) for span, is_certain in found if is_certain])


def _with_shared_parts(text: str, found: Sequence[tuple[Span, bool]]) -> list[tuple[Span, bool]]:
    """What may be a name is one where a name of the text shares a word with it: "Ms Roe … Quilla Roe"."""
    known = {part for span, is_certain in found if is_certain for part in name_form(span.of(text)).split()}
    return [(span, is_certain or not known.isdisjoint(name_form(span.of(text)).split())) for span, is_certain in found]


def _token(match: re.Match[str]) -> _Token:
    written = match.group()
    length = len(written) - 2 if written.endswith(("'s", "'S")) else len(written)
    return _Token(Span(match.start(), match.start() + length), kind_of(written[:length]))


def _runs(text: str, tokens: Iterable[_Token]) -> Iterator[list[_Token]]:
    """Tokens that stand together, with nothing but blanks, particles and points of abbreviations between."""
    run: list[_Token] = []
    for token in tokens:
        if run and not _follows(text, run[-1], token):
            yield run
            run = []
        run.append(token)
    if run:
        yield run


def _follows(text: str, one: _Token, other: _Token) -> bool:
    gap = text[one.span.end : other.span.start]
    if len(gap) > 16 or text[one.span.end : one.span.end + 2] == "'s":
        return False
    if "\n" in gap:
        return gap in ("\n", " \n") and bool(_WRAP.search(text[max(0, other.span.start - 60) : other.span.start]))
    if gap.startswith("."):
        abbreviates = one.kind.is_initial or one.kind.is_title
        return abbreviates and bool(_GAP_AFTER_POINT.fullmatch(gap))
    return bool(_GAP.fullmatch(gap)) or (gap == "" and one.kind.is_initial)


def _names_of(text: str, run: Sequence[_Token]) -> Iterator[tuple[Span, bool]]:
    """The names in a run: after titles, and full names between."""
    at = 0
    while at < len(run):
        title = run[at].kind
        if title.is_title:
            if at + 1 < len(run) and run[at + 1].kind.is_title:
                at += 1
                continue
            taken = _titled(run[at + 1 :], is_strong=title.is_strong_title)
            if taken:
                yield Span(taken[0].span.start, taken[-1].span.end), True
            at += 1 + len(taken)
            continue
        part = list(takewhile(lambda one: not one.kind.is_title, run[at:]))
        yield from _full_names(text, part)
        at += len(part)


def _titled(rest: Sequence[_Token], *, is_strong: bool) -> list[_Token]:
    """The words after a title that are its name; after "Mr" any that is no function word, after "Nurse" no ordinary one."""
    taken: list[_Token] = []
    for token in rest[:4]:
        kind, is_first = token.kind, not taken or taken[-1].kind.is_initial
        fits = kind.is_initial or not kind.is_ordinary or (kind.is_surname and (is_strong or not is_first))
        fits = fits or (bool(taken) and (kind.word in PARTICLE_WORDS or taken[-1].kind.word in PARTICLE_WORDS))
        if is_strong and not taken and not kind.is_no_name and kind.word not in stop_words("en"):
            fits = True
        if not fits and not (kind.is_given and not is_first):
            break
        taken.append(token)
    return [] if all(one.kind.is_initial for one in taken) else taken


def _full_names(text: str, run: Sequence[_Token]) -> Iterator[tuple[Span, bool]]:
    """Full names in a run without titles: it is cut at places and institutions."""
    part: list[_Token] = []
    for token in [*run, None]:
        starts = not part or all(one.kind.is_ordinary and not one.kind.is_given for one in part)
        if token is not None and (not token.kind.is_no_name or (token.kind.is_given and starts)):
            part.append(token)
            continue
        if token is run[-1] and len(part) == 1 and _is_full_name_of_two(part[0].kind, token.kind):
            part.append(token)
            token = None
        is_of_institution = token is not None and token.kind.word not in _DAYS
        if not is_of_institution:
            yield from _full_name(text, part)
        part = []


def _is_full_name_of_two(given: Kind, surname: Kind) -> bool:
    """ "Anna Hill": a surname that is a word of places, too."""
    return given.is_given and not given.is_ordinary and surname.is_frequent_surname


def _full_name(text: str, run: Sequence[_Token]) -> Iterator[tuple[Span, bool]]:
    kept = list(run)
    while kept and _begins_no_name(text, kept):
        kept.pop(0)
    while kept and (kept[-1].kind.is_initial or (kept[-1].kind.is_ordinary and not _may_end_name(text, kept))):
        kept.pop()
    if not 2 <= len(kept) <= 6 or {one.kind.word for one in kept[:2]} in _NATIONS or len(kept[-1].kind.word) < 2:
        return
    if len(kept[-1].kind.word) == 2 and kept[-1].span.of(text).isupper():
        return
    span = Span(kept[0].span.start, kept[-1].span.end)
    certain = _certainty(text, kept, span)
    if certain is not None:
        yield span, certain


def _may_end_name(text: str, run: Sequence[_Token]) -> bool:
    """An ordinary word that is a surname, or follows a particle: "Ann de La Tour"."""
    return run[-1].kind.is_surname or _has_particle(text, run)


def _has_particle(text: str, run: Sequence[_Token]) -> bool:
    words = [one.kind.word for one in run[1:-1]]
    gaps = [text[one.span.end : other.span.start].strip(" .") for one, other in pairwise(run)]
    return any(words_ in PARTICLE_WORDS for words_ in words) or any(gap for gap in gaps)


def _begins_no_name(text: str, run: Sequence[_Token]) -> bool:
    """An ordinary word, a letter without a point; of "Will John Smith come?" and "Firefighter Ann Roe" the first."""
    first = run[0].kind
    if first.is_initial:
        return not text.startswith(".", run[0].span.end)
    if first.is_ordinary and not first.is_given:
        return True
    doubtful = first.is_ordinary or not (first.is_given or first.is_surname)
    return doubtful and len(run) > 2 and run[1].kind.is_given and _begins(_STARTS_SENTENCE, text, run[0].span.start)


def _certainty(text: str, run: Sequence[_Token], span: Span) -> bool | None:
    """True: a name; False: perhaps; None: none."""
    first, last = run[0], run[-1]
    if text.endswith(("St. ", "Saint "), 0, span.start):
        return None
    is_given = first.kind.is_given and not first.kind.is_ordinary
    in_heading = _stands_in_heading(text, span)
    if in_heading and (last.kind.is_ordinary or not (is_given or last.kind.is_surname)):
        return False
    if first.kind.is_initial:
        return not last.kind.is_ordinary or last.kind.is_surname
    has_initial = any(one.kind.is_initial for one in run[1:-1])
    says_so = _says_so(text, span)
    if is_given:
        return not last.kind.is_ordinary or has_initial or _may_end_name(text, run)
    if first.kind.is_given:
        is_clear = not last.kind.is_ordinary and (last.kind.is_surname or not first.kind.is_no_name)
        if last.kind.is_frequent_surname and first.kind.word not in _CALENDAR:
            return True
        starts = _begins(_STARTS_SENTENCE, text, span.start)
        return says_so or has_initial or (is_clear and (last.kind.is_surname or not starts))
    if first.kind.is_ordinary:
        return (says_so and last.kind.is_surname) or None
    if last.kind.is_ordinary:
        return (says_so and last.kind.is_surname) or False
    has_known_part = last.kind.is_surname or (first.kind.is_surname and last.kind.is_given)
    return says_so or has_initial or (has_known_part and not in_heading)


def _stands_in_heading(text: str, span: Span) -> bool:
    """In a line of at least five words whose longer words nearly all begin with a capital."""
    start, end = text.rfind("\n", 0, span.start) + 1, text.find("\n", span.end)
    line = text[max(start, span.start - 200) : min(len(text) if end < 0 else end, span.end + 200)]
    words = list(_LONG_WORD.findall(line))
    has_capitals = sum(word[0].isupper() for word in words) > 0.75 * len(words)
    return len(words) > 4 and has_capitals and line.count(",") < len(words) / 4  # a list of names is none


def _says_so(text: str, span: Span) -> bool:
    """Whether what stands around words with a capital calls them a person."""
    after = text[span.end : span.end + 30]
    if _BEFORE.search(text[max(0, span.start - 30) : span.start]) or _AFTER.match(after):
        return True
    starts_line = _begins(_STARTS_LINE, text, span.start)
    return starts_line and bool(_IN_A_NOTE.match(after)) and len(_GERMAN.findall(text[:2000])) < 3


def _begins(pattern: re.Pattern[str], text: str, start: int) -> bool:
    return bool(pattern.search(text[max(0, start - 6) : start])) or start == 0


def _parts(tokens: Iterable[_Token], names: Sequence[str]) -> Iterator[tuple[Recognized, bool]]:
    """Where a name of the text stands in part; ordinary words only as something that may be one."""
    known = {part for name in names for part in (name_parts(name) or [name])}
    for token in tokens:
        form = " ".join(token.kind.pieces)
        if len(token.kind.word) > 2 and (
            form in known or (len(token.kind.pieces) > 1 and set(token.kind.pieces) <= known)
        ):
            yield Recognized("NAME", token.span, form), not token.kind.is_ordinary
