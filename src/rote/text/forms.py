"""The terms of many texts at once, as numbers: a kernel finds the words, and each distinct one is stemmed once.

A *form* is what has a term: a word of three characters or more as it stands in the text, or two neighbouring characters
of a script without spaces. The terms are those of `rote.text.terms`.
"""

import hashlib
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rote.kernels import kernel
from rote.text import stop_words, terms_of
from rote.text.characters import (
    ALPHANUMERIC,
    DIGIT,
    LETTER,
    MARK,
    UNSPACED,
    Classes,
    Codes,
    character_classes,
    codes_of,
    is_apostrophe,
    word_end,
)

MAX_KNOWN_FORMS = 1 << 22
"""So many forms are remembered (some 40 bytes each); beyond it they are forgotten and learned again."""

Ints = NDArray[np.int32 | np.int64]
Number = TypeVar("Number", bound=np.generic)

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_OTHER_FACTOR = np.uint64(0xD6E8FEB86659FD93)


class TermLists(NamedTuple):
    """The terms of texts, one text after the other."""

    first: NDArray[np.int64]
    """Text i has the terms `numbers[first[i] : first[i + 1]]`, in reading order, with repetitions."""
    numbers: NDArray[np.int32]


def without_gaps(lists: TermLists) -> TermLists:
    """The lists without their negative numbers."""
    is_there = lists.numbers >= 0
    before = np.concatenate(([0], np.cumsum(is_there)))
    return TermLists(before[lists.first], lists.numbers[is_there])


class Terms(NamedTuple):
    """What forms stand for."""

    numbers: NDArray[np.int32]
    """Number of each form's term; -1 for stop-words that are left out."""
    is_function: NDArray[np.bool_]
    """Whether the form is a stop-word."""


class TermReader:
    """Reads texts; terms are numbered from 0 in the order of their first appearance.

    Args:
        language: of stop-words and stemmer (ISO 639-1).
        without_stop_words: `read` leaves them out.
    """

    def __init__(self, language: str, *, without_stop_words: bool = False) -> None:
        self.language = language
        self.without_stop_words = without_stop_words
        self.terms: list[str] = []
        """Every term met so far, by its number."""
        self._keys = np.empty(0, np.int64)
        self._numbers: dict[str, int] = {}
        self._known = _no_forms()
        self._terms = Terms(np.empty(0, np.int32), np.empty(0, np.bool_))
        """Terms of the known forms, with room for more after them."""
        self._learned = 0

    def keys(self) -> NDArray[np.int64]:
        """For each term met so far a number in [0, 2^62) that depends on its spelling alone, whatever was read before.

        Of a million terms, two share one with a probability of 1 in 10 million.
        """
        new = [_key(term) for term in self.terms[len(self._keys) :]]
        self._keys = np.concatenate((self._keys, np.array(new, np.int64)))
        return self._keys

    def read(self, texts: Sequence[str]) -> TermLists:
        """The terms of each text; needs about 10 bytes of memory for each character."""
        codes = codes_of("".join(texts))
        ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
        counts = np.empty(len(texts), np.int64)
        terms = self.terms_of(codes, _find_forms(codes, ends, character_classes(), counts))
        return without_gaps(TermLists(np.concatenate(([0], np.cumsum(counts))), terms.numbers))

    def terms_of(self, codes: Codes, places: "Places") -> Terms:
        """The terms of the forms that stand in these places."""
        if self._known.size > MAX_KNOWN_FORMS:
            self._known, self._learned = _no_forms(), 0
        forms = np.empty(len(places.firsts), np.int32)
        self._known, new = _number_forms(codes, places.firsts, places.stops, self._known, forms)
        text = new.codes.tobytes().decode("utf-32-le", "surrogatepass")
        self._learn([text[start:end] for start, end in pairwise(new.ends.tolist())])
        return Terms(self._terms.numbers[forms], self._terms.is_function[forms])

    def _learn(self, words: Sequence[str]) -> None:
        """The terms of the forms that were met for the first time."""
        size = self._learned + len(words)
        if size > len(self._terms.numbers):
            self._terms = Terms(np.resize(self._terms.numbers, 2 * size), np.resize(self._terms.is_function, 2 * size))
        new, functions = slice(self._learned, size), stop_words(self.language)
        is_function = [word.lower().replace("’", "'") in functions for word in words]
        stems = zip(terms_of(words, self.language), is_function, strict=True)
        self._terms.numbers[new] = [
            -1 if is_dropped and self.without_stop_words else self._number(term) for term, is_dropped in stems
        ]
        self._terms.is_function[new] = is_function
        self._learned = size

    def _number(self, term: str) -> int:
        number = self._numbers.setdefault(term, len(self.terms))
        if number == len(self.terms):
            self.terms.append(term)
        return number


class Places(NamedTuple):
    """Where forms stand in a row of characters."""

    starts: NDArray[np.int32]
    """First character of the word, or of the second of two characters."""
    firsts: NDArray[np.int32]
    """First character of the form."""
    stops: NDArray[np.int32]


class _Forms(NamedTuple):
    """The forms met so far, in a hash table with open addressing."""

    slots: NDArray[np.int32]
    """Number of a form, or -1; a power of two of slots, at most half of them taken."""
    hashes: NDArray[np.uint64]
    """Two of each form, which tell it from all others: with 128 bits, none of a billion is taken for another."""
    size: int


class _Spelt(NamedTuple):
    """Forms as they are written, one after the other."""

    codes: Codes
    ends: NDArray[np.int64]


def _key(term: str) -> int:
    digest = hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 2


def _no_forms() -> _Forms:
    return _Forms(slots=np.full(1024, -1, np.int32), hashes=np.empty((512, 2), np.uint64), size=0)


@kernel
def _find_forms(codes: Codes, ends: Ints, classes: Classes, counts: Ints) -> Places:
    """The forms of the texts, which end at `ends`; `counts` gets the number of each text's."""
    places, found, at = room_for(len(codes)), 0, 0
    for text, end in enumerate(ends):
        before, found = found, add_forms(codes, at, end, classes, places, found)
        counts[text], at = found - before, end
    return Places(places.starts[:found], places.firsts[:found], places.stops[:found])


@kernel
def room_for(most: int) -> Places:
    """For so many forms."""
    return Places(np.empty(most, np.int32), np.empty(most, np.int32), np.empty(most, np.int32))


@kernel
def add_forms(codes: Codes, at: int, end: int, classes: Classes, places: Places, found: int) -> int:
    """Writes the forms that stand between two characters, where no word goes on, after those found; counts them all."""
    row, unspaced, unspaced_end = codes[:end], 0, -1
    while at < end:
        kind = classes[row[at]]
        if not kind & (LETTER | DIGIT | UNSPACED):
            at += 1
            continue
        stop = at + 1
        while stop < end and classes[row[stop]] & LETTER:
            stop += 1
        # Most words end there; only for the others it is worth a call.
        if kind & (DIGIT | UNSPACED) or (stop < end and (classes[row[stop]] & MARK or is_apostrophe(row[stop]))):
            stop = word_end(row, at, classes)
        first, is_form = at, stop - at > 2 and kind & ALPHANUMERIC != 0
        if kind & UNSPACED:
            first, is_form = unspaced, unspaced_end == at
            unspaced, unspaced_end = at, stop
        if is_form:
            places.starts[found], places.firsts[found], places.stops[found] = at, first, stop
            found += 1
        at = stop
    return found


@kernel
def _number_forms(
    codes: Codes, firsts: Ints, stops: Ints, known: _Forms, numbers: NDArray[np.int32]
) -> tuple[_Forms, _Spelt]:
    """Writes the numbers of the forms; returns the known ones with the new ones after them, and how these are spelt."""
    slots, hashes, count = known
    new, ends, added = np.empty(64, np.uint32), np.zeros(16, np.int64), 0
    for form in range(len(firsts)):
        first, stop = firsts[form], stops[form]
        one, two = _hash(codes, first, stop)
        slot = np.int64(one & np.uint64(len(slots) - 1))
        while slots[slot] >= 0 and (hashes[slots[slot], 0] != one or hashes[slots[slot], 1] != two):
            slot = (slot + 1) & (len(slots) - 1)
        numbers[form] = slots[slot]
        if slots[slot] >= 0:
            continue
        numbers[form] = slots[slot] = count
        hashes[count, 0], hashes[count, 1] = one, two
        count, added = count + 1, added + 1
        if count == len(hashes):
            hashes = _longer(hashes, 2 * count)
            slots = _slots(hashes, count)
        end = ends[added - 1] + stop - first
        if end > len(new):
            new = _longer(new, 2 * end)
        if added == len(ends):
            ends = _longer(ends, 2 * added)
        new[ends[added - 1] : end] = codes[first:stop]
        ends[added] = end
    return _Forms(slots, hashes, count), _Spelt(new[: ends[added]], ends[: added + 1])


@kernel
def _hash(codes: Codes, first: int, stop: int) -> tuple[np.uint64, np.uint64]:
    one = two = np.uint64(stop - first)
    for i in range(first, stop):
        one = (one ^ np.uint64(codes[i])) * _FACTOR
        one ^= one >> np.uint64(29)
        two = (two + np.uint64(codes[i])) * _OTHER_FACTOR
        two ^= two >> np.uint64(31)
    return one, two


@kernel
def _slots(hashes: NDArray[np.uint64], count: int) -> NDArray[np.int32]:
    """The table for forms with these hashes, with room for twice as many."""
    slots = np.full(4 * count, -1, np.int32)
    for number in range(count):
        slot = np.int64(hashes[number, 0] & np.uint64(len(slots) - 1))
        while slots[slot] >= 0:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot] = number
    return slots


@kernel
def _longer(array: NDArray[Number], size: int) -> NDArray[Number]:
    longer = np.empty((size, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer
