"""A text made ready for alignment: its sentences, their terms, their counts. Done once per text, kept in a cache."""

from collections import Counter
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

    spans: tuple[Span, ...]
    vocabulary: dict[str, int]
    row_starts: npt.NDArray[np.int64]
    """Length: sentences + 1. Row i holds the entries row_starts[i] to row_starts[i + 1]."""
    columns: npt.NDArray[np.int64]
    counts: npt.NDArray[np.float64]
    frequencies: npt.NDArray[np.float64]
    """Number of sentences that hold the term, per local term."""

    def __len__(self) -> int:
        return len(self.spans)

    def chars(self, first: int, last: int) -> Span:
        """The characters from sentence `first` to sentence `last`, inclusive."""
        return Span(self.spans[first].start, self.spans[last].end)


def prepare(text: str, preset: Preset, *, language: str) -> PreparedText:
    """The prepared text; the same object again for the same text and settings."""
    return _prepare(text, language, preset.drops_stop_words, preset.min_sentence_terms, preset.merged_end_is_short)


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


def _compress(rows: list[tuple[Span, Counter[str]]]) -> PreparedText:
    vocabulary: dict[str, int] = {}
    columns = [vocabulary.setdefault(term, len(vocabulary)) for _, found in rows for term in found]
    counts = [count for _, found in rows for count in found.values()]
    ids = np.array(columns, dtype=np.int64)
    return PreparedText(
        spans=tuple(span for span, _ in rows),
        vocabulary=vocabulary,
        row_starts=np.cumsum([0, *(len(found) for _, found in rows)], dtype=np.int64),
        columns=ids,
        counts=np.array(counts, dtype=np.float64),
        frequencies=np.bincount(ids, minlength=len(vocabulary)).astype(np.float64),
    )
