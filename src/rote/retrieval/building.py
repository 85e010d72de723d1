"""From texts to the arrays of a BM25 index: read once, shard by shard, then written shard by shard.

Memory: the vocabulary, the postings of one shard, and twelve bytes for each document. Shards wait on the disk, and postings
are written to mapped files.
"""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from rote.config import RetrievalConfig
from rote.retrieval.bm25 import BOUNDS, MANY, Floats, Ints, count_terms
from rote.retrieval.folders import batches
from rote.text.forms import TermReader

_PARTS = "parts"


@dataclass(frozen=True, slots=True)
class Contents:
    """What the written arrays do not say themselves."""

    terms: list[str]
    """In the order of their numbers."""
    settings: dict[str, float]
    """The fields of `Postings` that are single numbers."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was found in all texts together; the shards lie on the disk."""

    terms: list[str]
    """In the order of their appearance, which numbers them here."""
    frequencies: Ints
    """Documents that hold each term."""
    shards: Ints
    """Shards that hold each term."""
    lengths: Ints
    """Terms of each document, with repetitions."""


class _Part(NamedTuple):
    """The postings of a shard in the order in which its documents were read."""

    documents: NDArray[np.int32]
    terms: NDArray[np.int32]
    counts: NDArray[np.int32]


def write_postings(
    texts: Iterable[str], examples: Ints, folder: Path, *, config: RetrievalConfig, shard_documents: int
) -> Contents:
    """Writes the arrays of `Postings`, each as NAME.npy.

    Args:
        texts: the documents.
        examples: number of each document's example, ascending.
        folder: must exist.
        config: k1, b and language.
        shard_documents: from 1 to `SHARD_DOCUMENTS`.
    """
    parts = folder / "parts"
    parts.mkdir()
    read = _read(texts, parts, TermReader(config.language, without_stop_words=True), shard_documents)
    order = np.array(sorted(range(len(read.terms)), key=read.terms.__getitem__), np.int64)
    mean_length = float(read.lengths.sum() / max(1, len(read.lengths))) or 1.0
    length_parts = (config.k1 * (1.0 - config.b + config.b * read.lengths / mean_length)).astype(np.float64)
    numbers = np.argsort(order).astype(np.int32)
    writer = _Writer(folder, read.frequencies[order], read.shards[order])
    for shard, first in enumerate(range(0, len(read.lengths), shard_documents)):
        part = _Part(*(np.load(parts / f"{shard}-{name}.npy") for name in _Part._fields))
        writer.add(part._replace(terms=numbers[part.terms]), length_parts[first : first + shard_documents])
    writer.finish()
    shutil.rmtree(parts)
    np.save(folder / "lengths.npy", read.lengths.astype(np.int32))
    np.save(folder / "examples.npy", examples.astype(np.int32))
    settings = {"k1": float(config.k1), "b": float(config.b), "mean_length": mean_length}
    return Contents([read.terms[place] for place in order], {**settings, "shard_documents": shard_documents})


def _read(texts: Iterable[str], folder: Path, reader: TermReader, shard_documents: int) -> _Reading:
    """Reads all texts, and leaves the postings of every shard in the folder."""
    frequencies, shards, lengths = np.zeros(0, np.int64), np.zeros(0, np.int64), [np.empty(0, np.int64)]
    for number, shard in enumerate(_shards(texts, shard_documents)):
        read = [reader.read(batch) for batch in batches(shard)]
        lengths += [np.diff(lists.first) for lists in read]
        counted = [count_terms(lists) for lists in read]
        sizes = np.concatenate([np.diff(part.first) for part in counted])
        part = _Part(
            documents=np.repeat(np.arange(len(shard), dtype=np.int32), sizes),
            terms=np.concatenate([part.terms for part in counted]),
            counts=np.concatenate([part.counts for part in counted]),
        )
        held = np.bincount(part.terms, minlength=len(reader.terms))
        frequencies, shards = _added(frequencies, held), _added(shards, held > 0)
        for name, array in part._asdict().items():
            np.save(folder / f"{number}-{name}.npy", array)
    return _Reading(reader.terms, frequencies, shards, np.concatenate(lengths))


def _shards(texts: Iterable[str], size: int) -> Iterator[Sequence[str]]:
    waiting = iter(texts)
    while shard := list(islice(waiting, size)):
        yield shard


def _added(sums: Ints, more: Ints | NDArray[np.bool_]) -> Ints:
    """Later shards know more terms."""
    return np.pad(sums, (0, len(more) - len(sums))) + more


class _Writer:
    """Writes the postings of one shard after the other to where they stand by term.

    Args:
        folder: of the index.
        frequencies: number of each term's postings.
        shards: number of each term's segments.
    """

    def __init__(self, folder: Path, frequencies: Ints, shards: Ints) -> None:
        self._folder = folder
        self._next_place, self._next_segment = _starts(frequencies)[:-1], _starts(shards)[:-1]
        size = (int(frequencies.sum()),)
        self._documents = open_memmap(folder / "documents.npy", "w+", np.uint16, size)
        self._bounds = open_memmap(folder / "bounds.npy", "w+", np.uint8, size)
        self._counts = open_memmap(folder / "counts.npy", "w+", np.uint8, size)
        self._segment_shards = np.empty(shards.sum(), np.int32)
        self._segment_bounds = np.empty(shards.sum(), np.uint8)
        self._segment_starts = np.full(shards.sum() + 1, size)
        self._large = [(np.empty(0, np.int64), np.empty(0, np.int64))]
        self._shard = 0
        np.save(folder / "term_segments.npy", _starts(shards))

    def add(self, part: _Part, length_parts: Floats) -> None:
        """The next shard; `length_parts` is what stands beside tf in the denominator, for each of its documents."""
        order = np.lexsort((part.documents, part.terms))
        documents, terms, counts = (array[order] for array in part)
        firsts = np.flatnonzero(np.diff(terms, prepend=-1))
        held, sizes = terms[firsts], np.diff(firsts, append=len(terms))
        places = np.arange(len(terms)) + np.repeat(self._next_place[held] - firsts, sizes)
        bounds = np.ceil(BOUNDS * (counts / (counts + length_parts[documents])))
        self._documents[places], self._bounds[places] = documents, bounds
        self._counts[places] = np.minimum(counts, MANY)
        is_large = counts >= MANY
        self._large.append((places[is_large].astype(np.int64), counts[is_large].astype(np.int64)))
        segments = self._next_segment[held]
        self._segment_shards[segments], self._segment_starts[segments] = self._shard, self._next_place[held]
        self._segment_bounds[segments] = np.maximum.reduceat(bounds, firsts) if len(firsts) else 0
        self._next_place[held] += sizes
        self._next_segment[held] += 1
        self._shard += 1

    def finish(self) -> None:
        """Saves what was kept in memory."""
        places, counts = (np.concatenate(arrays) for arrays in zip(*self._large, strict=True))
        order = np.argsort(places)
        np.save(self._folder / "large_places.npy", places[order])
        np.save(self._folder / "large_counts.npy", counts[order].astype(np.int32))
        np.save(self._folder / "segment_shards.npy", self._segment_shards)
        np.save(self._folder / "segment_starts.npy", self._segment_starts)
        np.save(self._folder / "segment_bounds.npy", self._segment_bounds)


def _starts(sizes: Ints) -> Ints:
    return np.concatenate(([0], np.cumsum(sizes)))
