"""Verbatim runs: what two texts have in common word for word (`rote.alignment.symbols` finds them)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rote.alignment.symbols import Blocks, Ints, Matches, Symbols, cut_blocks, find_matches, keep_maximal
from rote.kernels import kernel
from rote.records import Span
from rote.text import words

SPACE = 32
_IS_SPACE = np.array([chr(code).isspace() for code in range(0x3001)])
"""By code point; there is no white space above."""


@dataclass(frozen=True, slots=True)
class CommonRun:
    """Text that stands in both texts; `chars` is its length with every run of white space counted as one."""

    read: Span
    indexed: Span
    chars: int


@dataclass(frozen=True)
class RawText:
    """A text as runs are compared: its characters as they are, every run of white space made one space."""

    text: str

    @cached_property
    def _normalised(self) -> tuple[Symbols, Ints]:
        codes = np.frombuffer(self.text.encode("utf-32-le", "surrogatepass"), np.uint32)
        return _normalise(codes, _IS_SPACE)

    @property
    def symbols(self) -> Symbols:
        """One number per character."""
        return self._normalised[0]

    @property
    def places(self) -> Ints:
        """Where each symbol stands in the text; behind the last, the length of the text."""
        return self._normalised[1]

    @cached_property
    def may_end(self) -> npt.NDArray[np.bool_]:
        """For each place between two symbols, before the first and behind the last: no word reaches across it."""
        found = words(self.text)
        starts = np.array([span.start for span in found], dtype=np.int32)
        ends = np.array([span.end for span in found], dtype=np.int32)
        return _word_ends(self.places, starts, ends)


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
def _word_ends(places: Ints, starts: Ints, ends: Ints) -> npt.NDArray[np.bool_]:
    found, word = np.ones(len(places), np.bool_), 0
    for i in range(len(places)):
        while word < len(ends) and ends[word] <= places[i]:
            word += 1
        found[i] = word == len(ends) or places[i] <= starts[word]
    return found


def shared_runs(read: str, indexed: str, *, min_chars: int) -> list[CommonRun]:
    """The runs of `read` of at least `min_chars` characters that stand in `indexed`, equal up to runs of white space.

    Word-aligned on both sides, case kept, at least one letter or digit; in no longer such run of `read`; of several
    places in `indexed` the first. Where two of them share more than half of the shorter one (text that repeats itself),
    the longer is kept. In reading order. Of texts that repeat themselves a great deal, some (`rote.alignment.symbols`).

    >>> shared_runs("the red fox ran", "a red  fox", min_chars=5)
    [CommonRun(read=Span(start=4, end=11), indexed=Span(start=2, end=10), chars=7)]
    """
    blocks = cut_blocks(RawText(indexed).symbols, block_size(min_chars))
    return runs_between(RawText(read), RawText(indexed), blocks, min_chars=min_chars)


def block_size(least: int) -> int:
    """The largest block that every run of at least `least` symbols holds, wherever it starts."""
    return max(1, least // 2)


def runs_between(read: RawText, indexed: RawText, blocks: Blocks, *, min_chars: int) -> list[CommonRun]:
    """`shared_runs` of two texts of which the second has been cut into blocks of `block_size(min_chars)`."""
    matches = find_matches(read.symbols, blocks, min_chars)
    if not len(matches):
        return []
    matches = keep_maximal(_between_words(matches, read.may_end, indexed.may_end))
    kept: list[CommonRun] = []
    for run in _runs(_without_outer_space(matches, read.symbols), read.places, indexed.places):
        if run.chars < min_chars or not any(character.isalnum() for character in run.read.of(read.text)):
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


def _runs(matches: Matches, read_places: Ints, indexed_places: Ints) -> list[CommonRun]:
    last = matches[:, 2] - 1
    starts, ends = read_places[matches[:, 0]], read_places[matches[:, 0] + last] + 1
    others, other_ends = indexed_places[matches[:, 1]], indexed_places[matches[:, 1] + last] + 1
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
    own, other = words(read), words(indexed)
    starts, ends = (np.array([getattr(span, side) for span in other], dtype=np.int64) for side in ("start", "end"))
    last = np.searchsorted(ends, starts + min_chars, side="right")
    sizes = (last - np.arange(len(starts)) + 1)[last < len(ends)]
    if not len(sizes):
        return []
    symbols, other_symbols = _word_symbols([(read, own), (indexed, other)])
    least = int(sizes.min())
    matches = keep_maximal(find_matches(symbols, cut_blocks(other_symbols, block_size(least)), least))
    runs = [
        (Span(own[start].start, own[start + size - 1].end), Span(other[place].start, other[place + size - 1].end))
        for start, place, size in matches.tolist()
    ]
    return [CommonRun(mine, theirs, len(theirs)) for mine, theirs in runs if len(theirs) > min_chars]


def _word_symbols(texts: Sequence[tuple[str, list[Span]]]) -> list[Symbols]:
    known: dict[str, int] = {}
    return [
        np.array([known.setdefault(span.of(text).lower(), len(known)) for span in spans], dtype=np.uint32)
        for text, spans in texts
    ]


def covered_chars(span: Span, by: Iterable[Span]) -> int:
    """Number of characters of `span` that at least one of the other spans covers."""
    covered, reached = 0, span.start
    for other in sorted(by):
        start, end = max(other.start, reached), min(other.end, span.end)
        covered += max(0, end - start)
        reached = max(reached, end)
    return covered
