"""Verbatim runs: what two texts have in common word for word (`rote.alignment.symbols` finds them)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rote.alignment.symbols import Bools, Ints, Matches, Symbols, keep_maximal, shared_matches
from rote.kernels import kernel
from rote.records import Span
from rote.text.characters import BLANK, SPACE, Classes, Codes, character_classes, codes_of, word_end


@dataclass(frozen=True, slots=True)
class CommonRun:
    """Text that stands in both texts; `chars` is its length with every run of white space counted as one."""

    read: Span
    indexed: Span
    chars: int


class SymbolText(NamedTuple):
    """A text as its runs are compared: one number per character that counts."""

    symbols: Symbols
    places: Ints
    """Where each symbol stands in the text; after the last, the length of the text."""


class Boundaries(NamedTuple):
    """For each place between two symbols, from `first` on: no word reaches across it."""

    first: int
    is_between: Bools


def raw_symbols(text: str) -> SymbolText:
    """The characters as they are, every run of white space made one blank."""
    return collapse_space(codes_of(text), character_classes())


def word_symbols(text: str) -> SymbolText:
    """The words in lower case with one blank between them: what the published tools compare."""
    lowered = text.lower()
    if len(lowered) != len(text):
        lowered = "".join(character.lower()[0] for character in text)
    return _join_words(codes_of(text), codes_of(lowered), character_classes())


@kernel
def collapse_space(codes: Codes, classes: Classes) -> SymbolText:
    """See `raw_symbols`."""
    symbols, places, size = np.empty(len(codes), np.uint32), np.empty(len(codes) + 1, np.int32), 0
    was_space = False
    for place, code in enumerate(codes):
        is_space = classes[code] & SPACE != 0
        if not (is_space and was_space):
            symbols[size], places[size] = (BLANK if is_space else code), place
            size += 1
        was_space = is_space
    places[size] = len(codes)
    return SymbolText(symbols[:size], places[: size + 1])


@kernel
def _join_words(codes: Codes, lowered: Codes, classes: Classes) -> SymbolText:
    symbols, places, size = np.empty(2 * len(codes), np.uint32), np.empty(2 * len(codes) + 1, np.int32), 0
    at = 0
    while at < len(codes):
        end = word_end(codes, at, classes)
        if end > at and size:
            symbols[size], places[size] = BLANK, at
            size += 1
        for place in range(at, end):
            symbols[size], places[size] = lowered[place], place
            size += 1
        at = max(end, at + 1)
    places[size] = len(codes)
    return SymbolText(symbols[:size], places[: size + 1])


@kernel
def _raw_boundaries(symbols: Symbols, start: int, end: int, classes: Classes) -> Boundaries:
    """The boundaries of raw symbols, at least those from `start` to `end`, inclusive."""
    while start > 0 and symbols[start - 1] != BLANK:
        start -= 1
    while end < len(symbols) and symbols[end] != BLANK:
        end += 1
    found, at = np.ones(end - start + 1, np.bool_), start
    while at < end:
        stop = max(word_end(symbols[:end], at, classes), at + 1)
        for place in range(at + 1, stop):
            found[place - start] = False
        at = stop
    return Boundaries(start, found)


def shared_runs(read: str, indexed: str, *, min_chars: int) -> list[CommonRun]:
    """The runs of `read` of at least `min_chars` characters that stand in `indexed`, equal up to runs of white space.

    Word-aligned on both sides, case kept, at least one letter or digit; in no longer such run of `read`; of several
    places in `indexed` the first. Where two of them share more than half of the shorter one (text that repeats itself),
    the longer is kept. In reading order. Of texts that repeat themselves a great deal, some (`rote.alignment.symbols`).

    >>> shared_runs("the red fox ran", "a red  fox", min_chars=5)
    [CommonRun(read=Span(start=4, end=11), indexed=Span(start=2, end=10), chars=7)]
    """
    symbols, others = raw_symbols(read), raw_symbols(indexed)
    matches = shared_matches(symbols.symbols, others.symbols, block_size(min_chars), min_chars)
    if not len(matches):
        return []
    kept: list[CommonRun] = []
    matches = keep_maximal(_between_raw_words(matches, symbols.symbols, others.symbols, character_classes()))
    for run in _runs(_without_outer_space(matches, symbols.symbols), symbols, others):
        if run.chars < min_chars or not any(character.isalnum() for character in run.read.of(read)):
            continue
        if kept and 2 * kept[-1].read.overlap(run.read) > min(len(kept[-1].read), len(run.read)):
            kept[-1] = max(kept[-1], run, key=lambda one: one.chars)
        else:
            kept.append(run)
    return kept


def block_size(least: int) -> int:
    """The largest block that every run of at least `least` symbols holds, wherever it starts."""
    return max(1, least // 2)


@kernel
def _between_raw_words(matches: Matches, read: Symbols, indexed: Symbols, classes: Classes) -> Matches:
    starts, others, lengths = matches[:, 0], matches[:, 1], matches[:, 2]
    own = _raw_boundaries(read, starts.min(), (starts + lengths).max(), classes)
    other = _raw_boundaries(indexed, others.min(), (others + lengths).max(), classes)
    return _between_words(matches, own, other)


@kernel
def _between_words(matches: Matches, own: Boundaries, other: Boundaries) -> Matches:
    """The matches cut to where a word of neither text is torn; those without such a place are left out."""
    found, count = np.empty_like(matches), 0
    for match in range(len(matches)):
        start, end = matches[match, 0] - own.first, matches[match, 0] + matches[match, 2] - own.first
        shift = matches[match, 1] - other.first - start
        while start < end and not (own.is_between[start] and other.is_between[start + shift]):
            start += 1
        while start < end and not (own.is_between[end] and other.is_between[end + shift]):
            end -= 1
        if start < end:
            found[count, 0], found[count, 2] = start + own.first, end - start
            found[count, 1] = start + shift + other.first
            count += 1
    return found[:count]


@kernel
def _without_outer_space(matches: Matches, symbols: Symbols) -> Matches:
    found = matches.copy()
    for run in found:
        if symbols[run[0]] == BLANK:
            run[0], run[1], run[2] = run[0] + 1, run[1] + 1, run[2] - 1
        if run[2] and symbols[run[0] + run[2] - 1] == BLANK:
            run[2] -= 1
    return found[found[:, 2] > 0]


def _runs(matches: Matches, read: SymbolText, indexed: SymbolText) -> list[CommonRun]:
    last = matches[:, 2] - 1
    starts, ends = read.places[matches[:, 0]], read.places[matches[:, 0] + last] + 1
    others, other_ends = indexed.places[matches[:, 1]], indexed.places[matches[:, 1] + last] + 1
    columns = (starts, ends, others, other_ends, matches[:, 2])
    return [
        CommonRun(Span(start, end), Span(other, other_end), chars)
        for start, end, other, other_end, chars in np.column_stack(columns).tolist()
    ]


def shared_word_runs(read: str, indexed: str, *, min_chars: int) -> list[CommonRun]:
    """As the published tools compare: runs of words in lower case, whatever stands between them.

    Each is longer than `min_chars` in the indexed text, from its first word to its last, and lies in no longer run of
    words of the text being read; of several places in the indexed text the first. In reading order.
    """
    one, two = word_symbols(read), word_symbols(indexed)
    least = _least_symbols(two.symbols, two.places, min_chars)
    if least > len(two.symbols):
        return []
    matches = shared_matches(one.symbols, two.symbols, block_size(least), least)
    if not len(matches):
        return []
    matches = _between_words(matches, _word_boundaries(one.symbols), _word_boundaries(two.symbols))
    runs = _runs(keep_maximal(_without_outer_space(matches, one.symbols)), one, two)
    return [run for run in runs if len(run.indexed) > min_chars]


@kernel
def _least_symbols(symbols: Symbols, places: Ints, min_chars: int) -> int:
    """Symbols in the shortest run of words that takes more than `min_chars` characters of the text; else, one too many."""
    least, end = len(symbols) + 1, 0
    for start in range(len(symbols)):
        if start and symbols[start - 1] != BLANK:
            continue
        while end < len(symbols) and (
            places[end] + 1 - places[start] <= min_chars or (end + 1 < len(symbols) and symbols[end + 1] != BLANK)
        ):
            end += 1
        if end == len(symbols):
            break
        least = min(least, end + 1 - start)
    return least


@kernel
def _word_boundaries(symbols: Symbols) -> Boundaries:
    """The boundaries of words joined by blanks."""
    found = np.ones(len(symbols) + 1, np.bool_)
    for place in range(1, len(symbols)):
        found[place] = symbols[place - 1] == BLANK or symbols[place] == BLANK
    return Boundaries(0, found)


def covered_chars(span: Span, by: Iterable[Span]) -> int:
    """Number of characters of `span` that at least one of the other spans covers."""
    covered, reached = 0, span.start
    for other in sorted(by):
        start, end = max(other.start, reached), min(other.end, span.end)
        covered += max(0, end - start)
        reached = max(reached, end)
    return covered
