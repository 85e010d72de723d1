"""The terms of many texts at once, as numbers: a kernel finds the words, and each distinct one is stemmed once.

A *form* is what has a term: a word of three characters or more as it stands in the text, or two neighbouring characters
of a script without spaces. The terms are those of `rote.text.terms`.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from rote.characters import ALPHANUMERIC, UNSPACED, character_classes, word_end
from rote.kernels import kernel
from rote.text import term_of

MAX_KNOWN_CHARS = 1 << 24
"""Characters of forms that are remembered (four bytes each); beyond it they are forgotten and learned again."""

Codes = NDArray[np.uint32]
Ints = NDArray[np.int32 | np.int64]
Number = TypeVar("Number", bound=np.generic)

_FACTOR = np.uint64(0x9E3779B97F4A7C15)


class TermLists(NamedTuple):
    """The terms of texts, one text behind the other."""

    first: NDArray[np.int64]
    """Text i has the terms `numbers[first[i] : first[i + 1]]`, in reading order, with repetitions."""
    numbers: NDArray[np.int32]


class TermReader:
    """Reads texts; terms are numbered from 0 in the order of their first appearance.

    Args:
        language: of stop-words and stemmer (ISO 639-1).
        without_stop_words: leaves them out.
    """

    def __init__(self, language: str, *, without_stop_words: bool = False) -> None:
        self.language = language
        self.without_stop_words = without_stop_words
        self.terms: list[str] = []
        """Every term met so far, by its number."""
        self._numbers: dict[str, int] = {}
        self._known = _no_forms()
        self._terms = np.empty(0, np.int32)
        """The number of each known form's term; -1 where it is a stop-word."""

    def read(self, texts: Sequence[str]) -> TermLists:
        """The terms of each text; needs about 10 bytes of memory for each character."""
        codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32)
        ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)))
        counts = np.empty(len(texts), np.int64)
        firsts, stops = _find_forms(codes, ends, character_classes(), counts)
        forms = np.empty(len(firsts), np.int32)
        self._known = _number_forms(codes, firsts, stops, self._known, forms)
        self._learn()
        numbers = self._terms[forms]
        first = np.zeros(len(texts) + 1, np.int64)
        first[1:] = np.concatenate(([0], np.cumsum(numbers >= 0)))[np.cumsum(counts)]
        if self._known.starts[self._known.size] > MAX_KNOWN_CHARS:
            self._known, self._terms = _no_forms(), np.empty(0, np.int32)
        return TermLists(first, numbers[numbers >= 0])

    def _learn(self) -> None:
        """The terms of the forms that were met for the first time."""
        learned = len(self._terms)
        if learned == self._known.size:
            return
        starts = self._known.starts[learned : self._known.size + 1]
        text = self._known.codes[starts[0] : starts[-1]].tobytes().decode("utf-32-le", "surrogatepass")
        bounds = pairwise((starts - starts[0]).tolist())
        new = np.array([self._number(text[start:end]) for start, end in bounds], np.int32)
        self._terms = np.concatenate((self._terms, new))

    def _number(self, form: str) -> int:
        """The number of the form's term; -1 for a stop-word."""
        term = term_of(form, self.language, without_stop_words=self.without_stop_words)
        if term is None:
            return -1
        if term not in self._numbers:
            self._numbers[term] = len(self.terms)
            self.terms.append(term)
        return self._numbers[term]


class _Forms(NamedTuple):
    """The forms met so far, in a hash table with open addressing."""

    slots: NDArray[np.int32]
    """Number of a form, or -1; a power of two of slots, at most half of them taken."""
    hashes: NDArray[np.uint64]
    starts: NDArray[np.int64]
    """Form i is `codes[starts[i] : starts[i + 1]]`."""
    codes: Codes
    size: int


def _no_forms() -> _Forms:
    return _Forms(
        slots=np.full(1024, -1, np.int32),
        hashes=np.empty(512, np.uint64),
        starts=np.zeros(513, np.int64),
        codes=np.empty(4096, np.uint32),
        size=0,
    )


@kernel
def _find_forms(
    codes: Codes, ends: Ints, classes: NDArray[np.uint8], counts: Ints
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Where the forms of the texts, which end at `ends`, start and end; `counts` gets the number of each text's."""
    firsts, stops, found, at = np.empty(len(codes), np.int32), np.empty(len(codes), np.int32), 0, 0
    for text, text_end in enumerate(ends):
        # A text is read as an array of its own: its last word must not go on in the next one.
        text_start, row, found_before, at = at, codes[at:text_end], found, 0
        unspaced, unspaced_end = 0, -1
        while at < len(row):
            end = word_end(row, at, classes)
            first, is_form = at, end - at > 2 and classes[row[at]] & ALPHANUMERIC > 0
            if classes[row[at]] & UNSPACED:
                first, is_form = unspaced, unspaced_end == at
                unspaced, unspaced_end = at, end
            if is_form:
                firsts[found], stops[found] = text_start + first, text_start + end
                found += 1
            at = max(end, at + 1)
        counts[text], at = found - found_before, text_end
    return firsts[:found], stops[:found]


@kernel
def _number_forms(codes: Codes, firsts: Ints, stops: Ints, known: _Forms, numbers: NDArray[np.int32]) -> _Forms:
    """Writes the numbers of the forms, and returns the known ones with the new ones behind them."""
    slots, hashes, starts, pool, count = known
    for form in range(len(firsts)):
        first, stop = firsts[form], stops[form]
        value = _hash(codes, first, stop)
        slot = np.int64(value & np.uint64(len(slots) - 1))
        while slots[slot] >= 0:
            number = slots[slot]
            if hashes[number] == value and _is_equal(codes, first, stop, pool, starts[number], starts[number + 1]):
                break
            slot = (slot + 1) & (len(slots) - 1)
        if slots[slot] < 0:
            end = starts[count] + stop - first
            if end > len(pool):
                pool = _longer(pool, 2 * end)
            pool[starts[count] : end] = codes[first:stop]
            slots[slot], hashes[count], starts[count + 1] = count, value, end
            count += 1
            if count == len(hashes):
                hashes, starts = _longer(hashes, 2 * count), _longer(starts, 2 * count + 1)
                slots = _slots(hashes, count)
            numbers[form] = count - 1
        else:
            numbers[form] = slots[slot]
    return _Forms(slots, hashes, starts, pool, count)


@kernel
def _hash(codes: Codes, first: int, stop: int) -> np.uint64:
    value = np.uint64(stop - first)
    for i in range(first, stop):
        value = (value ^ np.uint64(codes[i])) * _FACTOR
        value ^= value >> np.uint64(29)
    return value


@kernel
def _is_equal(codes: Codes, first: int, stop: int, others: Codes, start: int, end: int) -> bool:
    size, same = stop - first, 0
    if size != end - start:
        return False
    while same < size and codes[first + same] == others[start + same]:
        same += 1
    return same == size


@kernel
def _slots(hashes: NDArray[np.uint64], count: int) -> NDArray[np.int32]:
    """The table for forms with these hashes, with room for twice as many."""
    slots = np.full(4 * count, -1, np.int32)
    for number in range(count):
        slot = np.int64(hashes[number] & np.uint64(len(slots) - 1))
        while slots[slot] >= 0:
            slot = (slot + 1) & (len(slots) - 1)
        slots[slot] = number
    return slots


@kernel
def _longer(array: NDArray[Number], size: int) -> NDArray[Number]:
    longer = np.empty(size, array.dtype)
    longer[: len(array)] = array
    return longer
