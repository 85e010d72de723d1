"""The BM25 index: one folder on disk, memory-mapped when it is opened.

An example stands in it as several documents: its whole text, and the reference of each of its prompts (a short suffix
at the end of a long record would drown in the whole text). Its score is the largest of theirs.
"""

import json
import os
import shutil
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rote.config import RetrievalConfig
from rote.errors import StaleRunError
from rote.records import Example, Prompt, content_id
from rote.text import terms

if TYPE_CHECKING:
    from bm25s import BM25

FORMAT = "1"
"""Raised whenever the same texts are indexed otherwise; indexes of another format are made again."""

_EXAMPLES = "examples.json"


@dataclass(frozen=True, slots=True)
class Index:
    """An opened index of examples; `example_ids` are sorted, so the position of an example breaks ties by its id."""

    example_ids: tuple[str, ...]
    first_document: NDArray[np.int64]
    """Number of the first document of each example."""
    language: str
    bm25: "BM25 | None"
    """None where there is nothing to find: no example, or no term in any of them."""

    def scores(self, text: str) -> NDArray[np.float32]:
        """BM25 score of every example for the text, in the order of `example_ids`; 0 where no term is shared.

        Repeated terms of the text count as often as they occur; its stop-words do not count.
        """
        found = self.bm25.get_tokens_ids(_index_terms(text, self.language)) if self.bm25 is not None else []
        if self.bm25 is None or not found:
            return np.zeros(len(self.example_ids), dtype=np.float32)
        documents: NDArray[np.float32] = self.bm25.get_scores_from_ids(found)
        return np.asarray(np.maximum.reduceat(documents, self.first_document), dtype=np.float32)

    def position(self, example_id: str) -> int | None:
        """Where an example stands in `example_ids`; None where it does not."""
        place = bisect_left(self.example_ids, example_id)
        return place if self.example_ids[place : place + 1] == (example_id,) else None


def build_index(
    examples: Iterable[Example], prompts: Iterable[Prompt], folder: Path, *, config: RetrievalConfig
) -> None:
    """Indexes the examples (whole texts, and the references of those prompts that belong to them) in a folder.

    The folder appears whole or not at all. An index of the same texts and settings that is there already is kept.

    Args:
        examples: all training texts that a generation may have come from; not only the prompted ones.
        prompts: prompts of these examples; prompts of others are passed over.
        folder: made, or replaced.
        config: k1, b and language.
    """
    ordered = sorted(examples, key=lambda example: example.id)
    documents = list(_documents(ordered, prompts))
    settings = (FORMAT, repr(float(config.k1)), repr(float(config.b)), config.language)
    digest = content_id(*settings, *(part for texts in documents for part in (str(len(texts)), *texts)))
    listing = {
        "digest": digest,
        "language": config.language,
        "example_ids": [example.id for example in ordered],
        "documents": [len(texts) for texts in documents],
    }
    if _listing(folder) == listing:
        return
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    _write_bm25([text for texts in documents for text in texts], temporary, config)
    (temporary / _EXAMPLES).write_text(json.dumps(listing), encoding="utf-8")
    _replace(folder, temporary)


def open_index(folder: Path) -> Index:
    """Opens an index; its arrays stay on the disk and are read as they are needed.

    Raises:
        StaleRunError: there is no whole index in that folder.
    """
    from bm25s import BM25

    listing = _listing(folder)
    if listing is None:
        raise StaleRunError(f"{folder}: no index there; `rote retrieve` makes it")
    counts: list[int] = listing["documents"]  # type: ignore[assignment]
    ids: list[str] = listing["example_ids"]  # type: ignore[assignment]
    has_terms = (folder / "params.index.json").exists()
    return Index(
        example_ids=tuple(ids),
        first_document=np.array([0, *accumulate(counts)][: len(counts)], dtype=np.int64),
        language=str(listing["language"]),
        bm25=BM25.load(folder, mmap=True, show_progress=False) if has_terms else None,
    )


def _documents(ordered: Sequence[Example], prompts: Iterable[Prompt]) -> Iterator[list[str]]:
    """The documents of each example: its text, then the references of its prompts, each once."""
    references: dict[str, set[str]] = {}
    for prompt in prompts:
        references.setdefault(prompt.example_id, set()).add(prompt.reference)
    for example in ordered:
        yield [example.text, *sorted(references.get(example.id, set()) - {example.text})]


def _write_bm25(texts: Sequence[str], folder: Path, config: RetrievalConfig) -> None:
    """Indexes the texts. Term numbers are given in order of appearance: the bytes do not depend on the hash seed."""
    from bm25s import BM25

    vocabulary: dict[str, int] = {}
    numbered = [
        [vocabulary.setdefault(term, len(vocabulary)) for term in _index_terms(text, config.language)] for text in texts
    ]
    if not vocabulary:
        return
    bm25 = BM25(k1=config.k1, b=config.b, method="lucene")
    bm25.index((numbered, vocabulary), create_empty_token=False, show_progress=False)
    bm25.save(folder, show_progress=False)


def _index_terms(text: str, language: str) -> list[str]:
    return terms(text, language=language, without_stop_words=True)


def _replace(folder: Path, new: Path) -> None:
    """Puts the new folder in the old one's place; the old one is never there in part."""
    old = new.with_suffix(".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _listing(folder: Path) -> dict[str, object] | None:
    try:
        listing = json.loads((folder / _EXAMPLES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return listing if isinstance(listing, dict) else None
