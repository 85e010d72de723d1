"""The one function that says where personal data stands in a text, for what is counted and for what is shown."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import pairwise

from rote.personal_data.look_alikes import with_look_alikes
from rote.personal_data.name_words import kind_of, name_form, name_parts
from rote.personal_data.plain import MASK, Plain, plain_of
from rote.personal_data.recognized import TYPES, Key, Recognized, Recognizer, without_overlaps
from rote.records import Span

BEFORE_CHARS = 200
"""End of the prompt that is read with the generation: it may hold the words that say what a number is."""

ROUNDS = 10
"""How often what is left of a text is searched again: a placeholder can free what stands beside it."""
LEAST_KNOWN_DIGITS = 6
"""A known number that is shorter is looked for only where its context names it."""
LEAST_ALIKE = 3
"""So many record numbers of one shape (AB-123456) make every number of that shape one."""
_WORDS = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")


class Finder:
    """Finds what a recogniser finds, and known data wherever it stands: with or without the words that say what it is.

    Known data of the built-in types are found by their form, full names by their words; what another recogniser has found
    (types that are not built in) by its letters. Of persons that fields of the records name, a part that identifies them
    (`telling_parts`) is found alone, too.

    Args:
        recognizer: finds what is personal data by its form and context.
        known: what was found elsewhere.
        identifiers: what fields of the records hold (`rote.corpus.identifiers`).
        with_look_alikes: find numbers that fail their check, too, and whole groups of digits: for what is masked.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        known: Iterable[Key] = (),
        identifiers: Iterable[Key] = (),
        *,
        with_look_alikes: bool = False,
    ) -> None:
        self._recognizer = recognizer
        identifiers = set(identifiers)
        self._known = {*known, *identifiers}
        self._finds_look_alikes = with_look_alikes
        self._parts = {part for type_, form in identifiers if type_ == "NAME" for part in telling_parts(form)}
        self._names = _Names(form for type_, form in self._known if type_ == "NAME")
        self._letters = _any_of({form: type_ for type_, form in sorted(self._known) if type_ not in TYPES})
        self._types = {form: type_ for type_, form in sorted(self._known) if type_ not in TYPES}
        shapes: defaultdict[str, int] = defaultdict(int)
        for type_, form in self._known:
            if type_ == "RECORD_NUMBER":
                shapes[_shape(form)] += 1
        self._shapes = {
            shape for shape, count in shapes.items() if count >= LEAST_ALIKE and shape[0] == "A" and len(shape) > 5
        }

    def find(self, text: str) -> list[Recognized]:
        """Personal data in reading order, no two overlap; spans are of the text as it is.

        What is left when all that was found is replaced by placeholders is searched again, until nothing is found: so a
        redacted text holds nothing that counts.
        """
        found: list[Recognized] = []
        plain = plain_of(text)
        for _ in range(ROUNDS):
            new = self._searched(plain)
            if self._finds_look_alikes:
                placed = [Recognized(item.type, plain.placed(item.span), item.form) for item in new]
                wide = with_look_alikes(plain.text, placed)
                new = [Recognized(item.type, plain.original(item.span), item.form) for item in wide]
            found += new
            if not new or not self._finds_look_alikes:
                break
            plain = plain.replaced((item.span for item in wide), MASK)
        return sorted(found, key=lambda item: item.span)

    def _searched(self, plain: Plain) -> list[Recognized]:
        """What a text holds, what masking frees included; spans are of the original."""
        found: list[Recognized] = []
        for _ in range(ROUNDS):
            new = without_overlaps(plain.text, self._claims(plain.text))
            new = [item for item in new if MASK not in item.span.of(plain.text)]
            if not new:
                break
            found += [Recognized(item.type, plain.original(item.span), item.form) for item in new]
            plain = plain.replaced((item.span for item in new), MASK)
        return found

    def find_possible(self, text: str) -> set[Key]:
        """Keys of all that the text may hold, context or not: what it shows to whoever reads it. Names by their parts, too."""
        keys = {item.key for item in (*self.find(text), *self._recognizer.find_possible(plain_of(text).text))}
        keys |= {("DATE", form) for type_, form in keys if type_ == "BIRTH_DATE"}
        return keys | {("NAME", part) for type_, form in keys if type_ == "NAME" for part in name_parts(form)}

    def _claims(self, text: str) -> Iterator[Recognized]:
        """Whoever claims characters first, first: what has a form of its own before names, known names before parts of them."""
        found = [self._settled(item) for item in self._recognizer.find(text)]
        yield from (item for item in found if item.type != "NAME")
        yield from self._names.find(text)
        yield from found
        if self._parts:
            yield from self._named_in_part(text)
        if self._letters:
            for match in self._letters.finditer(text):
                form = " ".join(match.group().casefold().split())
                yield Recognized(self._types[form], Span(*match.span()), form)
        if self._known:
            yield from filter(self._is_known, self._recognizer.find_possible(text))

    def _named_in_part(self, text: str) -> Iterator[Recognized]:
        """Parts of names that fields hold, where a word with a capital is one; in any case where no list knows the word."""
        for match in _WORDS.finditer(text):
            form = name_form(match.group())
            if form in self._parts and (match.group()[0].isupper() or _is_unheard_of(form)):
                yield Recognized("NAME", Span(*match.span()), form)

    def _is_known(self, item: Recognized) -> bool:
        if item.type == "RECORD_NUMBER" and _shape(item.form) in self._shapes:
            return True
        if item.key not in self._known or item.type == "NAME":
            return False
        return item.type != "RECORD_NUMBER" or len(item.form) >= LEAST_KNOWN_DIGITS

    def _settled(self, item: Recognized) -> Recognized:
        """A known date is of the type that it is known as: somewhere it may be called a birth, elsewhere not."""
        if item.type not in ("DATE", "BIRTH_DATE") or item.key not in self._known:
            other = "DATE" if item.type == "BIRTH_DATE" else "BIRTH_DATE"
            return Recognized(other, item.span, item.form) if (other, item.form) in self._known else item
        is_birth = ("BIRTH_DATE", item.form) in self._known
        return Recognized("BIRTH_DATE" if is_birth else item.type, item.span, item.form)


def telling_parts(form: str) -> list[str]:
    """The words of a name that stand for its bearer without the others: no ordinary words, no common given names.

    >>> telling_parts("xquelia vandermoot"), telling_parts("anna hill")
    (['xquelia', 'vandermoot'], [])
    """
    words = name_parts(form) or [form]
    kinds = [(word, kind_of(word)) for word in words if len(word) > 2]
    return [word for word, kind in kinds if not (kind.is_ordinary or kind.is_given or kind.is_title or kind.is_no_name)]


def _is_unheard_of(word: str) -> bool:
    return len(word) > 5 and not kind_of(word).is_surname


class _Names:
    """Full names that are known, looked for word by word in any case; also the last name first.

    Of names whose words are all ordinary ("Will Long") at least one must have a capital.
    """

    def __init__(self, forms: Iterable[str]) -> None:
        self._by_first: defaultdict[str, list[tuple[list[str], str]]] = defaultdict(list)
        for form in sorted(forms):
            words = form.split()
            if len(words) > 1 and max(map(len, words)) > 1:
                self._by_first[words[0]].append((words, form))
                self._by_first[words[-1]].append(([words[-1], *words[:-1]], form))
        for names in self._by_first.values():
            names.sort(key=lambda name: -len(name[0]))

    def find(self, text: str) -> Iterator[Recognized]:
        """Each, the longest first where several begin at one word."""
        if not self._by_first:
            return
        places = [match.span() for match in _WORDS.finditer(text)]
        words = [name_form(text[start:end]) for start, end in places]
        for at, word in enumerate(words):
            for name, form in self._by_first.get(word, ()):
                end = at + len(name)
                is_turned = name != form.split()
                if words[at:end] != name or not _stand_together(text, places[at:end], is_turned=is_turned):
                    continue
                if any(text[start].isupper() for start, _ in places[at:end]) or not all(map(_is_ordinary, name)):
                    yield Recognized("NAME", Span(places[at][0], places[end - 1][1]), form)
                    break


def _stand_together(text: str, places: list[tuple[int, int]], *, is_turned: bool) -> bool:
    """Whether nothing but blanks, a hyphen or a point stands between the words; where the last comes first, a comma."""
    gaps = [text[one[1] : other[0]] for one, other in pairwise(places)]
    if is_turned and gaps.pop(0) not in (",", ", ", ",\n"):
        return False
    return all(re.fullmatch(r"\.?[ \n]{1,3}|[-.]", gap) for gap in gaps)


@cache
def _is_ordinary(word: str) -> bool:
    return kind_of(word).is_ordinary or len(word) == 1


def _shape(form: str) -> str:
    return re.sub(r"\d", "9", re.sub(r"[A-Z]", "A", form))


def _any_of(forms: Iterable[str]) -> re.Pattern[str] | None:
    """Any of the forms, longest first, case and kind of white space aside; None where there are none."""
    words = [r"\s+".join(map(re.escape, form.split())) for form in sorted(forms, key=lambda form: (-len(form), form))]
    return re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", re.IGNORECASE) if words else None
