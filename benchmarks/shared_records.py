"""Texts for the benchmarks: records cut from the shared data, and generations that copy them more or less."""

import gzip
import json
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

QUERY_WORDS = 85
"""About 100 tokens, 500 bytes."""
BLOCK_WORDS = 2000
EDIT_RATES = (0.0, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True, slots=True)
class Query:
    """A text as a model might write it."""

    text: str
    source: int | None
    """Number of the record that it was copied from; None for unseen text."""
    edited: float
    """Share of the words that were replaced."""


def records(chars: int) -> Iterator[str]:
    """Novels, the sample data, then PAN's documents, cut every so many characters; one blank for all white space."""
    for lines in _documents():
        held = ""
        for line in lines:
            held += "".join(f"{word} " for word in line.split())
            while len(held) > chars:
                yield from filter(None, [held[:chars].strip()])
                held = held[chars:]
        yield from filter(None, [held.strip()])


def passages(words: int, count: int) -> tuple[list[str], list[str]]:
    """`count` passages of so many words at equal distances in the text of `records`, and 2,000 of text set aside.

    Where there is less text than `count` · `words`, neighbours overlap. Every hundredth of the text is set aside, in
    blocks of 2,000 words.
    """
    lines = (" ".join(line.split()) for lines in _documents() for line in lines)
    text = " ".join(filter(None, lines)).encode("utf-8")
    starts = np.append(_word_starts(text)[::BLOCK_WORDS], len(text))
    blocks = [text[start:end] for start, end in pairwise(starts.tolist())]
    unseen = blocks[99::100]
    del blocks[99::100]
    return _cut(b"".join(blocks), words, count), _cut(b"".join(unseen), words, 2000)


def _cut(text: bytes, words: int, count: int) -> list[str]:
    starts = _word_starts(text)
    firsts = np.linspace(0, len(starts) - words - 1, count).astype(np.int64)
    bounds = zip(starts[firsts].tolist(), starts[firsts + words].tolist(), strict=True)
    return [text[start:end].decode("utf-8").strip() for start, end in bounds]


def _word_starts(text: bytes) -> NDArray[np.int64]:
    return np.append(0, np.flatnonzero(np.frombuffer(text, np.uint8) == ord(" ")) + 1)


def make_queries(texts: Sequence[str], unseen: Sequence[str], count: int, *, words: int = QUERY_WORDS) -> list[Query]:
    """By turns copies with one of `EDIT_RATES` of their words replaced by words of other records, and unseen text."""
    draw = random.Random(0)
    queries = []
    while len(queries) < count:
        rate = EDIT_RATES[len(queries) // 2 % len(EDIT_RATES)]
        source = draw.randrange(len(texts)) if len(queries) % 2 else None
        text = draw.choice(unseen) if source is None else texts[source]
        others = draw.choice(texts).split()
        found = [draw.choice(others) if draw.random() < rate else word for word in text.split()[:words]]
        queries.append(Query(" ".join(found), source, rate))
    return queries


def _documents() -> Iterator[Iterable[str]]:
    """The lines of every document: none is ever held whole, as the benchmarks measure memory."""
    root = Path(os.environ.get("ROTE_SHARED", "../shared"))
    if not root.exists():
        raise SystemExit(f"{root} does not exist: set ROTE_SHARED to the folder with the shared data")
    for path in sorted((root / "data" / "pretrain").glob("*.txt.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield file
    for path in sorted((root / "data").glob("*/*.jsonl")):
        with path.open(encoding="utf-8") as file:
            for line in file:
                yield map(str, json.loads(line).values())
    for path in sorted((root / "pan13-training").glob("s*/*.txt")):
        with path.open(encoding="utf-8", errors="replace") as file:
            yield file
