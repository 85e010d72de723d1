"""The BM25 index: one folder on disk, memory-mapped when it is opened.

An example stands in it as several documents: its whole text, and the reference of each of its prompts (a short suffix
at the end of a long record would drown in the whole text). Its score is the largest of theirs.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from rote.config import RetrievalConfig
from rote.errors import RunError
from rote.records import Example, Json, Prompt, content_id
from rote.retrieval.bm25 import (
    SHARD_DOCUMENTS,
    Postings,
    TermCounts,
    all_scores,
    count_terms,
    room_for_sums,
    scores_of,
    search,
)
from rote.retrieval.building import write_postings
from rote.retrieval.folders import is_whole, read_listing, written_whole
from rote.retrieval.strings import SortedStrings, write_strings
from rote.runs import Echo
from rote.text.forms import TermLists, TermReader, without_gaps

FORMAT = "3"
"""Raised whenever the same texts are indexed otherwise; indexes of another format are made again."""


class Hit(NamedTuple):
    """An example that shares a term with a text."""

    example_id: str
    score: float


class Index:
    """An opened index of examples; `example_ids` are sorted, so the position of an example breaks ties by its id.

    Not for several threads at once: it remembers the words that it was asked for.
    """

    def __init__(self, example_ids: SortedStrings, terms: SortedStrings, postings: Postings, language: str) -> None:
        self.example_ids = example_ids
        self.postings = postings
        self._terms = terms
        self._reader = TermReader(language, without_stop_words=True)
        self._numbers = np.empty(0, np.int32)
        """Number in the index of each term that the reader knows; -1 for those that no document holds."""

    def search(self, texts: Sequence[str], *, depth: int, left_out: Sequence[Collection[str]] = ()) -> list[list[Hit]]:
        """The examples with the highest BM25 scores for each text; fewer where fewer share a term with it.

        By falling score; equal scores in the order of the ids. Repeated terms of the text count as often as they occur;
        its stop-words do not count.

        Args:
            texts: many at once are read faster than one by one.
            depth: examples for each text, at least 1.
            left_out: for each text the ids of examples that must not be found; () for none.
        """
        out = [self.example_ids.places(sorted(ids)) for ids in left_out] or [np.empty(0, np.int64)] * len(texts)
        first = np.cumsum([0, *map(len, out)], dtype=np.int64)
        skipped = TermLists(first, np.concatenate([*out, np.empty(0, np.int64)]).astype(np.int32))
        queries = self._queries(texts)
        found, scores = search(self.postings, queries, skipped, depth, room_for_sums(self.postings, queries))
        return [
            [Hit(self.example_ids[place], score) for place, score in zip(*row, strict=True) if place >= 0]
            for row in zip(found.tolist(), scores.tolist(), strict=True)
        ]

    def scores_of(self, texts: Sequence[str], example_ids: Sequence[str]) -> list[float]:
        """BM25 score of one example for each text; 0.0 where no term is shared or the example does not stand here."""
        scores: list[float] = scores_of(
            self.postings, self._queries(texts), self.example_ids.places(example_ids)
        ).tolist()
        return scores

    def scores(self, text: str) -> NDArray[np.float64]:
        """BM25 score of every example for the text, in the order of `example_ids`; 0 where no term is shared."""
        return all_scores(self.postings, self._queries([text]), len(self.example_ids))

    def _queries(self, texts: Sequence[str]) -> TermCounts:
        lists = self._reader.read(texts)
        new = self._terms.places(self._reader.terms[len(self._numbers) :])
        self._numbers = np.concatenate((self._numbers, new), dtype=np.int32, casting="same_kind")
        return count_terms(without_gaps(TermLists(lists.first, self._numbers[lists.numbers])))


def build_index(
    examples: Iterable[Example],
    prompts: Iterable[Prompt],
    folder: Path,
    *,
    config: RetrievalConfig,
    shard_documents: int = SHARD_DOCUMENTS,
    echo: Echo = lambda _: None,
) -> None:
    """Indexes the examples (whole texts, and the references of those prompts that belong to them) in a folder.

    The folder appears whole or not at all. An index of the same texts and settings that is there already is kept, unless
    it is damaged.

    Args:
        examples: all training texts that a generation may have come from; not only the prompted ones.
        prompts: prompts of these examples; prompts of others are passed over.
        folder: made, or replaced.
        config: k1, b and language.
        shard_documents: documents that are read, and later searched, at a time; does not change what is found.
        echo: gets a line where the index that is there is damaged.
    """
    ordered = sorted(examples, key=lambda example: example.id)
    references = _references(prompts)
    settings = (FORMAT, repr(float(config.k1)), repr(float(config.b)), config.language)
    parts = (part for texts in _documents(ordered, references) for part in (str(len(texts)), *texts))
    digest = content_id(*settings, *(example.id for example in ordered), *parts)
    if is_whole(folder, digest, echo):
        return
    listing: dict[str, Json] = {"digest": digest, "format": FORMAT, "language": config.language}
    with written_whole(folder, listing) as temporary:
        counts = [len(texts) for texts in _documents(ordered, references)]
        examples_of = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
        texts = (text for texts in _documents(ordered, references) for text in texts)
        contents = write_postings(texts, examples_of, temporary, config=config, shard_documents=shard_documents)
        write_strings(contents.terms, temporary, "terms")
        write_strings([example.id for example in ordered], temporary, "example_ids")
        listing["settings"] = cast(dict[str, Json], contents.settings)
        listing["arrays"] = [path.stem for path in sorted(temporary.glob("*.npy"))]


def open_index(folder: Path) -> Index:
    """Opens an index; its arrays stay on the disk and are read as they are needed.

    Raises:
        RunError: there is no index in that folder, a damaged one, or one of another version of rote.
    """
    listing = read_listing(folder)
    if listing.get("format") != FORMAT:
        found = listing.get("format")
        raise RunError(f"{folder}: an index of format {found!r}, not {FORMAT!r}; `rote retrieve` makes it again")
    try:
        return _opened(folder, listing)
    except (OSError, ValueError, EOFError, KeyError, TypeError) as error:
        raise RunError(f"{folder}: the index is damaged ({error}); `rote retrieve` makes it again") from error


def _opened(folder: Path, listing: Mapping[str, Json]) -> Index:
    arrays = {name: _array(folder / f"{name}.npy") for name in cast(list[str], listing["arrays"])}
    example_ids = SortedStrings(arrays.pop("example_ids"), arrays.pop("example_ids-starts"))
    terms = SortedStrings(arrays.pop("terms"), arrays.pop("terms-starts"))
    fields: dict[str, Any] = {**arrays, **cast(dict[str, Json], listing["settings"])}
    return Index(example_ids, terms, Postings(**fields), str(listing["language"]))


def _array(path: Path) -> NDArray[Any]:
    # A plain view of the mapped file: taking slices of it is several times faster.
    return np.asarray(np.load(path, mmap_mode="r"))


def _references(prompts: Iterable[Prompt]) -> dict[str, set[str]]:
    """The references of each example's prompts."""
    references: dict[str, set[str]] = {}
    for prompt in prompts:
        references.setdefault(prompt.example_id, set()).add(prompt.reference)
    return references


def _documents(ordered: Sequence[Example], references: Mapping[str, set[str]]) -> Iterator[list[str]]:
    """The documents of each example: its text, then the references of its prompts, each once."""
    for example in ordered:
        yield [example.text, *sorted(references.get(example.id, set()) - {example.text})]
