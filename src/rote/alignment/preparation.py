"""A text made ready for alignment: its sentences, their terms, their counts. Done once per text, kept in a cache."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from rote.alignment.presets import Preset
from rote.records import Span
from rote.text import is_unspaced, sentences, stem, stop_words, terms, words


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
    word_starts: npt.NDArray[np.int32]
    word_ends: npt.NDArray[np.int32]
    """Of the words that have a term, in order; empty where the preset weighs no evidence. Characters from and up to
    which a passage reaches that begins or ends with the word: to the sentence's or the line's end, where only words
    without a term stand between."""
    word_terms: npt.NDArray[np.int32]
    """Index into `terms`."""
    word_is_function: npt.NDArray[np.bool_]
    word_prices: npt.NDArray[np.float64]
    """Price of a cut in front of each word, and behind the last: 0 between sentences, 0.5 between lines, 1 elsewhere."""
    term_counts: npt.NDArray[np.int32]
    """Number of words per local term."""

    def __len__(self) -> int:
        return len(self.starts)


def prepare(text: str, preset: Preset, *, language: str) -> PreparedText:
    """The prepared text; the same object again for the same text and settings."""
    settings = preset.drops_stop_words, preset.min_sentence_terms, preset.merged_end_is_short
    return _prepare(text, language, *settings, preset.evidence is not None)


def prepare_all(texts: Sequence[str], preset: Preset, *, language: str) -> list[PreparedText]:
    """The prepared texts, in order."""
    return [prepare(text, preset, language=language) for text in texts]


@lru_cache(maxsize=1024)
def _prepare(
    text: str, language: str, drops_stop_words: bool, min_terms: int, merged_end_is_short: bool, with_words: bool
) -> PreparedText:
    rows: list[tuple[Span, Counter[str]]] = []
    for span in sentences(text, language=language):
        found = Counter(terms(span.of(text), language=language, without_stop_words=drops_stop_words))
        if found:
            rows.append((span, found))
    found_words = _read_words(text, language, drops_stop_words) if with_words else []
    return _compress(_merge_short(rows, min_terms, merged_end_is_short), found_words)


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


@dataclass(slots=True)
class _Word:
    """A word that has a term; see `PreparedText`."""

    start: int
    end: int
    term: str
    is_function: bool
    price: float


def _read_words(text: str, language: str, drops_stop_words: bool) -> list[_Word]:
    """The words that have a term, with the characters and prices of cuts between them."""
    found: list[_Word] = []
    cuts = _cuts(text, language)
    place = 0
    for span, term, is_function in _terms(text, language):
        if drops_stop_words and is_function:
            continue
        start, price = span.start, 1.0
        while place < len(cuts) and cuts[place].end <= span.start:
            cut = cuts[place]
            if found and (cut.price < price or price == 1.0):
                found[-1].end = cut.start
            if cut.price <= price:
                start, price = cut.end, cut.price
            place += 1
        found.append(_Word(start, span.end, term, is_function, price if found else 0.0))
    if found and place < len(cuts):
        found[-1].end = cuts[place].start
    return found


@dataclass(frozen=True, slots=True)
class _Cut:
    """White space between two sentences or lines, with what a cut there costs."""

    start: int
    end: int
    price: float


_LINE_BREAK = re.compile(r"\s*\n\s*")


def _cuts(text: str, language: str) -> list[_Cut]:
    spans = sentences(text, language=language)
    between = [Span(0, 0), *spans, Span(len(text), len(text))]
    found = {one.end: _Cut(one.end, other.start, 0.0) for one, other in pairwise(between)}
    for match in _LINE_BREAK.finditer(text):
        found.setdefault(match.start(), _Cut(match.start(), match.end(), 0.5))
    return [found[place] for place in sorted(found)]


def _terms(text: str, language: str) -> Iterator[tuple[Span, str, bool]]:
    """The words that have a term (see `rote.text.terms`), with the term and whether they are function words.

    Sentence by sentence: a word longer than a sentence may be is cut where its sentence is.
    """
    for sentence in sentences(text, language=language):
        before = Span(0, 0)
        for found in words(sentence.of(text)):
            span = Span(found.start + sentence.start, found.end + sentence.start)
            word = span.of(text)
            if is_unspaced(word):
                if before.end == span.start and is_unspaced(before.of(text)):
                    yield span, before.of(text) + word, False
            elif len(word) > 2 and word[0].isalnum():
                yield span, stem(word, language), word.lower().replace("’", "'") in stop_words(language)
            before = span


_ids: dict[str, int] = {}


def _compress(rows: list[tuple[Span, Counter[str]]], found_words: list[_Word]) -> PreparedText:
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
        word_starts=np.array([word.start for word in found_words], dtype=np.int32),
        word_ends=np.array([word.end for word in found_words], dtype=np.int32),
        word_terms=np.array([places[_ids[word.term]] for word in found_words], dtype=np.int32),
        word_is_function=np.array([word.is_function for word in found_words], dtype=np.bool_),
        word_prices=np.array([*(word.price for word in found_words), 0.0], dtype=np.float64),
        term_counts=np.bincount([places[_ids[word.term]] for word in found_words], minlength=len(known)).astype(
            np.int32
        ),
    )
