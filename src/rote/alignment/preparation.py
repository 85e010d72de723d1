"""A text made ready for alignment: its sentences, their terms, their counts. Done once per text, kept in a cache."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rote.alignment.presets import Preset
from rote.records import Span
from rote.text import sentences, terms


@dataclass(frozen=True, slots=True, eq=False)
class PreparedText:
    """Sentences of a text and their term counts, as compressed sparse rows (row = sentence, column = local term)."""

    starts: npt.NDArray[np.int32]
    ends: npt.NDArray[np.int32]
    """Characters of the sentences."""
    row_starts: npt.NDArray[np.int32]
    """Length: sentences + 1. Row i holds the entries row_starts[i] to row_starts[i + 1]."""
    columns: npt.NDArray[np.int32]
    """Index into `terms`, ascending within a row."""
    counts: npt.NDArray[np.float32]
    terms: npt.NDArray[np.int32]
    """Ids of the text's terms, private to the process, ascending."""
    frequencies: npt.NDArray[np.int32]
    """Number of sentences that hold the term, per local term."""

    def __len__(self) -> int:
        return len(self.starts)


def prepare(text: str, preset: Preset, *, language: str) -> PreparedText:
    """The prepared text; the same object again for the same text and settings."""
    return _prepare(text, language, preset.drops_stop_words, preset.min_sentence_terms, preset.merged_end_is_short)


def prepare_all(texts: Sequence[str], preset: Preset, *, language: str) -> list[PreparedText]:
    """The prepared texts, in order."""
    return [prepare(text, preset, language=language) for text in texts]


@lru_cache(maxsize=1024)
def _prepare(
    text: str, language: str, drops_stop_words: bool, min_terms: int, merged_end_is_short: bool
) -> PreparedText:
    rows: list[tuple[Span, Counter[str]]] = []
    for span in sentences(text, language=language):
        found = Counter(terms(span.of(text), language=language, without_stop_words=drops_stop_words))
        if found:
            rows.append((span, found))
    return _compress(_merge_short(rows, min_terms, merged_end_is_short))


def _merge_short(
    rows: list[tuple[Span, Counter[str]]], min_terms: int, end_is_short: bool
) -> list[tuple[Span, Counter[str]]]:
    """Merges each sentence of fewer terms into its successor, from left to right; the last one stays."""
    merged: list[tuple[Span, Counter[str]]] = []
    for span, found in rows:
        if merged and merged[-1][1].total() < min_terms:
            before, earlier = merged.pop()
            end = before.start + len(before) + len(span) if end_is_short else span.end
            span, found = Span(before.start, end), earlier + found
        merged.append((span, found))
    return merged


_ids: dict[str, int] = {}


def _compress(rows: list[tuple[Span, Counter[str]]]) -> PreparedText:
    known = sorted({_ids.setdefault(term, len(_ids)) for _, found in rows for term in found})
    places = {term: place for place, term in enumerate(known)}
    entries = [sorted((places[_ids[term]], count) for term, count in found.items()) for _, found in rows]
    columns = np.array([place for row in entries for place, _ in row], dtype=np.int32)
    return PreparedText(
        starts=np.array([span.start for span, _ in rows], dtype=np.int32),
        ends=np.array([span.end for span, _ in rows], dtype=np.int32),
        row_starts=np.cumsum([0, *map(len, entries)], dtype=np.int32),
        columns=columns,
        counts=np.array([count for row in entries for _, count in row], dtype=np.float32),
        terms=np.array(known, dtype=np.int32),
        frequencies=np.bincount(columns, minlength=len(known)).astype(np.int32),
    )
