"""The index: one folder on disk with one suffix array per shard, memory-mapped when it is opened."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from rote.errors import DataError
from rote.records import ExactRun, Example, Json, Source, Span, content_id
from rote.retrieval.exact.boundaries import read_tokens
from rote.retrieval.exact.normal import END, NormalTexts, normal_texts
from rote.retrieval.exact.suffixes import (
    PAD,
    QUERY_END,
    STEP,
    match,
    occurrences,
    original_chars,
    reach,
    sample_keys,
)
from rote.retrieval.folders import batches, is_whole, read_listing, written_whole
from rote.runs import Echo
from rote.text.characters import character_classes

FORMAT = "2"
"""Raised whenever the same texts are indexed otherwise; indexes of another format are made again."""
SHARD_BYTES = 2_000_000_000
"""Normal text in one suffix array; its numbers have 32 bits."""
SOURCES = 3
"""Places that a run names; all are counted."""
_ENDLESS = 1 << 62

_Bytes = NDArray[np.uint8]
_Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """The arrays of one suffix array, as they lie on the disk (`NAME.npy`)."""

    content: _Bytes
    """The normal texts (see `NormalTexts`), then `PAD` bytes."""
    suffixes: NDArray[np.int32]
    keys: NDArray[np.uint64]
    more_keys: NDArray[np.uint64]
    first: _Places
    blanks: _Places
    blank_chars: _Places

    def span(self, text: int, start: int, end: int) -> Span:
        """Which characters of the original of a text these bytes stand for."""
        before = original_chars(self.content, int(self.first[text]), start, self.blanks, self.blank_chars)
        return Span(before, before + original_chars(self.content, start, end, self.blanks, self.blank_chars))


@dataclass(frozen=True, slots=True, eq=False)
class ExactIndex:
    """An opened index of examples; `example_ids` are sorted."""

    example_ids: tuple[str, ...]
    shards: tuple[Shard, ...]
    first_example: tuple[int, ...]
    """Position in `example_ids` of the first text of each shard."""

    def matching_lengths(self, texts: Sequence[str]) -> list[_Places]:
        """For every byte of each text the length in bytes of the longest string from there on that is indexed.

        The bytes are those of the text in UTF-8 with every run of white space made one blank. The string lies in one
        training text; it may begin and end inside a word (and inside a character). Empty text: empty array.
        """
        normal = normal_texts(texts)
        content = np.concatenate([normal.content, np.full(PAD, END, dtype=np.uint8)])
        content[content == END] = QUERY_END
        places = np.flatnonzero(content != QUERY_END)
        longest = np.zeros(len(content), dtype=np.int64)
        for shard in self.shards:
            longest[places] = np.maximum(longest[places], _match(content, places, shard).lengths)
        return [longest[start : end - 1] for start, end in pairwise(normal.first)]

    def longest_run(self, text: str) -> int:
        """Characters of the longest run (see `runs`) of any length; 0 where there is none."""
        query = _Query.of(text)
        ends, longest = query.starts.copy(), 0
        for shard in self.shards:
            longest = _reach(query, query.starts, shard, ends, min_chars=_ENDLESS, longest=longest)
        return longest

    def runs(self, text: str, *, min_chars: int, prefer: Sequence[str] = ()) -> list[ExactRun]:
        """All runs of the text of at least `min_chars` characters that stand in some training text.

        A run begins and ends at a token (`rote.text.tokens`) that is no white space, in the text and in the source,
        holds a letter or digit, and lies in no longer such run. Equal up to runs of white space, which count as one
        character; case kept. In reading order; empty text: none.

        Args:
            text: a generation.
            min_chars: at least 1.
            prefer: ids of examples that are named as sources before all others, in this order.
        """
        query = _Query.of(text)
        ends = query.starts.copy()
        for shard in self.shards:
            places = np.flatnonzero(_may_begin(query, shard, min_chars))
            reached = ends[places]
            _reach(query, query.starts[places], shard, reached, min_chars=min_chars, longest=_ENDLESS)
            ends[places] = reached
        preferred = [self._position(example_id) for example_id in dict.fromkeys(prefer)]
        return [self._run(query, start, end, preferred) for start, end in _maximal(query, ends, min_chars)]

    def _run(self, query: "_Query", start: int, end: int, preferred: Sequence[int]) -> ExactRun:
        found = [self._occurrences(query, start, end, number) for number in range(len(self.shards))]
        holding = np.concatenate([one.examples for one in found])
        places = np.concatenate([one.places for one in found])
        named = [place for place in preferred if place in holding]
        named += [place for place in holding[: SOURCES + len(named)].tolist() if place not in named]
        sources = [
            Source(self.example_ids[example], self._span(example, int(places[holding == example][0]), end - start))
            for example in named[:SOURCES]
        ]
        chars = int(query.chars[end] - query.chars[start])
        occurrences = sum(one.count for one in found)
        return ExactRun(query.span(start, end), chars, occurrences, len(holding), tuple(sources))

    def _occurrences(self, query: "_Query", start: int, end: int, number: int) -> "_Occurrences":
        shard = self.shards[number]
        count, texts, places = occurrences(
            query.content, start, end - start, shard.content, shard.suffixes, shard.first, character_classes()
        )
        return _Occurrences(count, texts + self.first_example[number], places)

    def _position(self, example_id: str) -> int:
        """Where an example stands in `example_ids`; -1 where it does not."""
        place = bisect_left(self.example_ids, example_id)
        return place if self.example_ids[place : place + 1] == (example_id,) else -1

    def _span(self, example: int, place: int, size: int) -> Span:
        number = bisect_right(self.first_example, example) - 1
        return self.shards[number].span(example - self.first_example[number], place, place + size)


def build_exact(
    examples: Iterable[Example], folder: Path, *, shard_bytes: int = SHARD_BYTES, echo: Echo = lambda _: None
) -> None:
    """Indexes the texts of the examples in a folder, which appears whole or not at all.

    An index of the same texts that is there already is kept, unless it is damaged, which is reported. About 5.6 bytes on disk per byte of text; while it is
    built, 6 bytes of memory per byte of the largest shard.

    Raises:
        DataError: one text is longer than a shard may be.
    """
    ordered = sorted(examples, key=lambda example: example.id)
    shards = list(_shards(ordered, shard_bytes))
    sizes = [str(len(shard)) for shard in shards]
    texts = (part for example in ordered for part in (example.id, example.text))
    digest = content_id(FORMAT, " ".join(sizes), *texts)
    if is_whole(folder, digest, echo):
        return
    listing: dict[str, Json] = {
        "digest": digest,
        "example_ids": [example.id for example in ordered],
        "shards": [len(shard) for shard in shards],
    }
    with written_whole(folder, listing) as temporary:
        for number, shard in enumerate(shards):
            _write_shard([example.text for example in shard], temporary / str(number))


def open_exact(folder: Path) -> ExactIndex:
    """Opens an index; its arrays stay on the disk and are read as they are needed.

    Raises:
        RunError: there is no index in that folder, or a damaged one.
    """
    listing = read_listing(folder)
    counts, ids = cast(list[int], listing["shards"]), cast(list[str], listing["example_ids"])
    return ExactIndex(
        example_ids=tuple(ids),
        shards=tuple(_open_shard(folder / str(number)) for number in range(len(counts))),
        first_example=tuple([0, *accumulate(counts)][: len(counts)]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Query:
    """A text that is looked up, in normal form."""

    content: _Bytes
    starts: _Places
    """Where a run may begin."""
    last_end: _Places
    """For every byte, and the end: the last place up to there where a run may end."""
    chars: _Places
    """Characters before each byte, and before the end."""
    letters: _Places
    """Letters and digits before each byte, and before the end."""
    blanks: _Places
    blank_chars: _Places
    """As in `NormalTexts`."""

    @classmethod
    def of(cls, text: str) -> "_Query":
        normal = normal_texts([text])
        size = len(normal.content) - 1
        starts, last_end, chars, letters = (np.empty(size + 1, dtype=np.int64) for _ in range(4))
        count = read_tokens(normal.content[:-1], character_classes(), starts, last_end, chars, letters)
        content = np.full(size + PAD, QUERY_END, dtype=np.uint8)
        content[:size] = normal.content[:-1]
        return cls(content, starts[:count], last_end, chars, letters, normal.blanks, normal.blank_chars)

    def span(self, start: int, end: int) -> Span:
        """Which characters of the original these bytes stand for."""
        return Span(self._char(start), self._char(end))

    def _char(self, place: int) -> int:
        return int(self.chars[place]) + int(self.blank_chars[: np.searchsorted(self.blanks, place)].sum())


@dataclass(frozen=True, slots=True, eq=False)
class _Occurrences:
    """How often a string stands in a shard, which examples hold it, and where it begins first in each."""

    count: int
    examples: _Places
    places: _Places


@dataclass(frozen=True, slots=True, eq=False)
class _Matches:
    lengths: _Places
    ranks: _Places


def _may_begin(query: _Query, shard: Shard, min_chars: int) -> NDArray[np.bool_]:
    """For each start whether a run of `min_chars` may begin there; spares most searches of text that is not copied.

    Probes are `stride` bytes apart. Behind the first probe from its start on, such a run has at least
    min_chars − stride + 1 bytes left, so as many are matched at the probe.
    """
    stride = (min_chars + 1) // 2
    probes = np.arange(0, len(query.last_end) + stride, stride, dtype=np.int64)
    lengths = np.zeros(len(probes), dtype=np.int64)
    inside = int(np.searchsorted(probes, len(query.last_end) - 1))
    lengths[:inside] = _match(query.content, probes[:inside], shard).lengths
    may_begin: NDArray[np.bool_] = lengths[-(-query.starts // stride)] > min_chars - stride
    return may_begin


def _reach(query: _Query, places: _Places, shard: Shard, ends: _Places, *, min_chars: int, longest: int) -> int:
    """Raises `ends`; returns the characters of the longest run (see the kernel)."""
    found = _match(query.content, places, shard)
    return reach(
        query.content, places, found.lengths, found.ranks, query.last_end, query.chars, query.letters,
        shard.content, shard.suffixes, character_classes(), min_chars, longest, ends,
    )  # fmt: skip


def _maximal(query: _Query, ends: _Places, min_chars: int) -> Iterator[tuple[int, int]]:
    """Start and end of the runs that are long enough, hold a letter or digit, and lie in no longer one."""
    furthest = 0
    is_long = query.chars[ends] - query.chars[query.starts] >= min_chars
    for place in np.flatnonzero(is_long).tolist():
        start, end = int(query.starts[place]), int(ends[place])
        if end > furthest and query.letters[end] > query.letters[start]:
            yield start, end
        furthest = max(furthest, end)


def _match(query: _Bytes, places: _Places, shard: Shard) -> _Matches:
    found = _Matches(np.empty(len(places), dtype=np.int64), np.empty(len(places), dtype=np.int64))
    match(
        query, places, shard.content, shard.suffixes, shard.keys, shard.more_keys, found.lengths, found.ranks
    )  # fmt: skip
    return found


def _shards(ordered: Sequence[Example], shard_bytes: int) -> Iterator[list[Example]]:
    """The examples, in groups of at most that many bytes of text."""
    group: list[Example] = []
    held = 0
    for example in ordered:
        size = len(example.text.encode("utf-8", "surrogatepass")) + 1
        if size > shard_bytes:
            raise DataError(f"record {example.id} has {size:,} bytes of text; {shard_bytes:,} can be indexed")
        if held + size > shard_bytes:
            yield group
            group, held = [], 0
        group.append(example)
        held += size
    if group:
        yield group


def _write_shard(texts: Sequence[str], folder: Path) -> None:
    from pydivsufsort import divsufsort

    folder.mkdir()
    normal = _joined([normal_texts(batch) for batch in batches(texts)])
    content = np.concatenate([normal.content, np.full(PAD, END, dtype=np.uint8)])
    for name in ("first", "blanks", "blank_chars"):
        np.save(folder / f"{name}.npy", getattr(normal, name))
    del normal
    np.save(folder / "content.npy", content)
    suffixes = divsufsort(content[:-PAD])
    np.save(folder / "suffixes.npy", suffixes)
    keys, more_keys = (np.empty(-(-len(suffixes) // STEP), dtype=np.uint64) for _ in range(2))
    sample_keys(content, suffixes, keys, more_keys)
    np.save(folder / "keys.npy", keys)
    np.save(folder / "more_keys.npy", more_keys)


def _joined(parts: Sequence[NormalTexts]) -> NormalTexts:
    offsets = [0, *accumulate(int(part.first[-1]) for part in parts)]
    shifted = list(zip(parts, offsets, strict=False))
    return NormalTexts(
        content=np.concatenate([part.content for part in parts]),
        first=np.concatenate([part.first[:-1] + offset for part, offset in shifted] + [np.array(offsets[-1:])]),
        blanks=np.concatenate([part.blanks + offset for part, offset in shifted]),
        blank_chars=np.concatenate([part.blank_chars for part in parts]),
    )


def _open_shard(folder: Path) -> Shard:
    # Plain views of the mapped files: taking slices of them is several times faster.
    return Shard(**{name: np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r")) for name in Shard.__slots__})
