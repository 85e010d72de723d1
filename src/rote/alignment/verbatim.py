"""Verbatim runs: what two texts have in common word for word (`rote.alignment.symbols` finds them)."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rote.alignment.symbols import Blocks, Ints, Matches, Symbols, cut_blocks, find_matches, keep_maximal
from rote.characters import character_classes, word_end
from rote.kernels import kernel
from rote.records import Span

SPACE = 32
_IS_SPACE = np.array([chr(code).isspace() for code in range(0x3001)])
"""By code point; there is no white space above."""


@dataclass(frozen=True, slots=True)
class CommonRun:
    """Text that stands in both texts; `chars` is its length with every run of white space counted as one."""

    read: Span
    indexed: Span
    chars: int


@dataclass(frozen=True, eq=False)
class SymbolText:
    """A text as its runs are compared: one number per character that counts."""

    symbols: Symbols
    places: Ints
    """Where each symbol stands in the text; behind the last, the length of the text."""

    @cached_property
    def may_end(self) -> npt.NDArray[np.bool_]:
        """For each place between two symbols, before the first and behind the last: no word reaches across it."""
        return _may_end(self.symbols, character_classes())


def raw_symbols(text: str) -> SymbolText:
    """The characters as they are, every run of white space made one space."""
    return SymbolText(*_normalise(_codes(text), _IS_SPACE))


def word_symbols(text: str) -> SymbolText:
    """The words in lower case with one space between them: what the published tools compare."""
    lowered = text.lower()
    if len(lowered) != len(text):
        lowered = "".join(character.lower()[0] for character in text)
    return SymbolText(*_join_words(_codes(text), _codes(lowered), character_classes()))


def _codes(text: str) -> Symbols:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


@kernel
def _normalise(codes: Symbols, is_space: npt.NDArray[np.bool_]) -> tuple[Symbols, Ints]:
    symbols, places, size = np.empty(len(codes), np.uint32), np.empty(len(codes) + 1, np.int32), 0
    was_space = False
    for place in range(len(codes)):
        white = codes[place] < len(is_space) and is_space[codes[place]]
        if not (white and was_space):
            symbols[size], places[size] = (SPACE if white else codes[place]), place
            size += 1
        was_space = white
    places[size] = len(codes)
    return symbols[:size], places[: size + 1]


@kernel
def _join_words(codes: Symbols, lowered: Symbols, classes: npt.NDArray[np.uint8]) -> tuple[Symbols, Ints]:
    symbols, places, size = np.empty(2 * len(codes), np.uint32), np.empty(2 * len(codes) + 1, np.int32), 0
    at = 0
    while at < len(codes):
        end = word_end(codes, at, classes)
        if end > at and size:
            symbols[size], places[size] = SPACE, at
            size += 1
        for place in range(at, end):
            symbols[size], places[size] = lowered[place], place
            size += 1
        at = max(end, at + 1)
    places[size] = len(codes)
    return symbols[:size], places[: size + 1]


@kernel
def _may_end(symbols: Symbols, classes: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    found, at = np.ones(len(symbols) + 1, np.bool_), 0
    while at < len(symbols):
        end = max(word_end(symbols, at, classes), at + 1)
        found[at + 1 : end] = False
        at = end
    return found


def shared_runs(read: str, indexed: str, *, min_chars: int) -> list[CommonRun]:
    """The runs of `read` of at least `min_chars` characters that stand in `indexed`, equal up to runs of white space.

    Word-aligned on both sides, case kept, at least one letter or digit; in no longer such run of `read`; of several
    places in `indexed` the first. Where two of them share more than half of the shorter one (text that repeats itself),
    the longer is kept. In reading order. Of texts that repeat themselves a great deal, some (`rote.alignment.symbols`).

    >>> shared_runs("the red fox ran", "a red  fox", min_chars=5)
    [CommonRun(read=Span(start=4, end=11), indexed=Span(start=2, end=10), chars=7)]
    """
    others = raw_symbols(indexed)
    return runs_between(read, raw_symbols(read), others, cut_blocks(others.symbols, block_size(min_chars)), min_chars)


def block_size(least: int) -> int:
    """The largest block that every run of at least `least` symbols holds, wherever it starts."""
    return max(1, least // 2)


def runs_between(
    read: str, symbols: SymbolText, indexed: SymbolText, blocks: Blocks, min_chars: int
) -> list[CommonRun]:
    """`shared_runs` of a text with another that has been cut into blocks of `block_size(min_chars)`."""
    matches = find_matches(symbols.symbols, blocks, min_chars)
    if not len(matches):
        return []
    kept: list[CommonRun] = []
    matches = keep_maximal(_between_words(matches, symbols.may_end, indexed.may_end))
    for run in _runs(_without_outer_space(matches, symbols.symbols), symbols, indexed):
        if run.chars < min_chars or not any(character.isalnum() for character in run.read.of(read)):
            continue
        if kept and 2 * kept[-1].read.overlap(run.read) > min(len(kept[-1].read), len(run.read)):
            kept[-1] = max(kept[-1], run, key=lambda one: one.chars)
        else:
            kept.append(run)
    return kept


@kernel
def _between_words(matches: Matches, own: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> Matches:
    """The matches cut to where a word of neither text is torn; those without such a place are left out."""
    found, count = np.empty_like(matches), 0
    for start, shift, length in zip(matches[:, 0], matches[:, 1] - matches[:, 0], matches[:, 2]):  # noqa: B905
        end = start + length
        while start < end and not (own[start] and other[start + shift]):
            start += 1
        while start < end and not (own[end] and other[end + shift]):
            end -= 1
        if start < end:
            found[count, 0], found[count, 1], found[count, 2] = start, start + shift, end - start
            count += 1
    return found[:count]


@kernel
def _without_outer_space(matches: Matches, symbols: Symbols) -> Matches:
    found = matches.copy()
    for run in found:
        if symbols[run[0]] == SPACE:
            run[0], run[1], run[2] = run[0] + 1, run[1] + 1, run[2] - 1
        if run[2] and symbols[run[0] + run[2] - 1] == SPACE:
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
    matches = find_matches(one.symbols, cut_blocks(two.symbols, block_size(least)), least)
    if not len(matches):
        return []
    matches = _between_words(matches, _is_word_end(one.symbols), _is_word_end(two.symbols))
    runs = _runs(keep_maximal(_without_outer_space(matches, one.symbols)), one, two)
    return [run for run in runs if len(run.indexed) > min_chars]


@kernel
def _least_symbols(symbols: Symbols, places: Ints, min_chars: int) -> int:
    """Symbols in the shortest run of words that takes more than `min_chars` characters of the text; else, one too many."""
    least, end = len(symbols) + 1, 0
    for start in range(len(symbols)):
        if start and symbols[start - 1] != SPACE:
            continue
        while end < len(symbols) and (
            places[end] + 1 - places[start] <= min_chars or (end + 1 < len(symbols) and symbols[end + 1] != SPACE)
        ):
            end += 1
        if end == len(symbols):
            break
        least = min(least, end + 1 - start)
    return least


@kernel
def _is_word_end(symbols: Symbols) -> npt.NDArray[np.bool_]:
    """As `_may_end`, of words joined by spaces."""
    found = np.ones(len(symbols) + 1, np.bool_)
    for place in range(1, len(symbols)):
        found[place] = symbols[place - 1] == SPACE or symbols[place] == SPACE
    return found


def covered_chars(span: Span, by: Iterable[Span]) -> int:
    """Number of characters of `span` that at least one of the other spans covers."""
    covered, reached = 0, span.start
    for other in sorted(by):
        start, end = max(other.start, reached), min(other.end, span.end)
        covered += max(0, end - start)
        reached = max(reached, end)
    return covered
