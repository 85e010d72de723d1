"""Names by what is written before them: "my name is", "Name:", "Dear", a speaker's label."""

import re
from collections.abc import Iterator

from rote.personal_data.name_words import UPPER, WORD, Kind, folded, kind_of, name_form, words_of
from rote.personal_data.recognized import Recognized
from rote.records import Span
from rote.text import stop_words

_LABEL = re.compile(rf"(?:^|\n)[ *]*({WORD})(?=\*{{0,2}}:(?:\s|$))")
_FOLLOWING = rf"((?:{WORD})(?:\.? (?:{WORD})|\. ?(?:{WORD})){{0,3}})"
_CUES = re.compile(
    rf"\b(?:(?:my|full|first|last|given|family|patient|client|customer|her|his|their|the patient's|maiden) ?name(?:'s| is)|"
    rf"(?:(?:full|first|last|given|family|patient|client|customer|user)[_ ]?)?name ?\"? ?[:=] ?\"?|surname ?\"? ?[:=] ?\"?|"
    rf"(?:je m'appelle|ich heiße|mein name ist|me llamo|mi nombre es|mi chiamo|meu nome é|mijn naam is|jag heter)) ?{_FOLLOWING}",
    re.IGNORECASE,
)
_TURNED = re.compile(
    rf"\b(?:(?:full|patient|client|customer)[_ ]?)?name ?\"? ?[:=] ?\"?(?P<last>{WORD}), (?P<first>{WORD}(?: {WORD})?)",
    re.IGNORECASE,
)
_MAY_HOLD_CUE = re.compile(r"[Nn]ame|NAME|heiße|appelle|llamo|nombre|chiamo|nome|naam|heter")
_WEAK_CUES = re.compile(
    rf"(?:\b(?:I'm|I am|[Tt]his is|[Cc]all me|[Dd]ear|Hi|Hello|Hey|signed|Signed)|"
    rf"\b(?:[Rr]egards|[Ss]incerely|[Tt]hanks|[Tt]hank you|[Cc]heers|[Bb]est|[Ll]ove|[Yy]ours)[,!.]?) ?\n{{0,2}}(?=[{UPPER}])({WORD})(?![\w@])"
)


def named_by_cues(text: str) -> Iterator[Span]:
    """What is called a name, in whatever case it is written."""
    if _MAY_HOLD_CUE.search(text):
        for match in _CUES.finditer(text):
            end = _named_until(match)
            if end > match.start(1):
                yield Span(match.start(1), end)
    for match in _WEAK_CUES.finditer(text):
        kind = kind_of(match.group(1))
        if match.group(1)[0].isupper() and kind.is_given and not kind.is_ordinary:
            yield Span(*match.span(1))


def _named_until(match: re.Match[str]) -> int:
    """Where the words after a cue stop to be a name."""
    end = match.start(1)
    for word in re.finditer(WORD, match.group(1)):
        kind = kind_of(re.sub(r"'s$", "", word.group()))
        ends_sentence = "." in match.string[end : match.start(1) + word.start()] and match.string[end - 2].isalpha()
        if ends_sentence or not _fits(word.group(), kind, is_first=end == match.start(1)):
            break
        end = match.start(1) + word.end()
    return end


def _fits(written: str, kind: Kind, *, is_first: bool) -> bool:
    has_capital = written[0].isupper()
    if not is_first and kind.is_frequent_surname and kind.word not in stop_words("en"):
        return True
    if kind.is_title or (kind.is_ordinary and not (has_capital and (kind.is_given or kind.is_surname))):
        return False
    return has_capital or kind.is_given or (not is_first and kind.is_surname)


def named_last_first(text: str) -> Iterator[Recognized]:
    """ "Name: Roe, Jane"."""
    for match in _TURNED.finditer(text) if "," in text and _MAY_HOLD_CUE.search(text) else ():
        last, first = match["last"], match["first"]
        if last[0].isupper() and first[0].isupper() and folded(first.split()[0]) in words_of("given_names"):
            yield Recognized("NAME", Span(match.start("last"), match.end("first")), name_form(f"{first} {last}"))


def named_by_labels(text: str) -> Iterator[Span]:
    """Speakers: a given name, or a word that is no ordinary one and speaks twice."""
    spoken: dict[str, list[Span]] = {}
    for match in _LABEL.finditer(text) if ":" in text else ():
        if match.group(1)[0].isupper() and len(match.group(1)) > 2:
            spoken.setdefault(match.group(1), []).append(Span(*match.span(1)))
    for word, spans in spoken.items():
        kind = kind_of(word)
        if not kind.is_ordinary and not kind.is_title and (kind.is_given or len(spans) > 1):
            yield from spans
