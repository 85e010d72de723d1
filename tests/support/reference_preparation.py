"""Prepared texts as one would first write them; the kernels are checked against it."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from reference_sentences import sentences
from rote.alignment import Preset
from rote.records import Span
from rote.text import is_unspaced, stem, stop_words, terms, words


@dataclass
class Row:
    """A sentence, its terms and how often each stands in it."""

    span: Span
    counts: Counter[str]


@dataclass
class Word:
    """A word that has a term; the price is that of a cut in front of it."""

    start: int
    end: int
    term: str
    is_function: bool
    price: float


@dataclass(frozen=True)
class Cut:
    """White space between two sentences or lines, with what a cut there costs."""

    start: int
    end: int
    price: float


@dataclass
class Prepared:
    rows: list[Row] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)


def prepare(text: str, preset: Preset, language: str) -> Prepared:
    rows = []
    for span in sentences(text, language):
        counts = Counter(terms(span.of(text), language=language, without_stop_words=preset.drops_stop_words))
        if counts:
            rows.append(Row(span, counts))
    found = read_words(text, language, preset.drops_stop_words) if preset.evidence is not None else []
    return Prepared(merge_short(rows, preset.min_sentence_terms, preset.merged_end_is_short), found)


def merge_short(rows: list[Row], min_terms: int, end_is_short: bool) -> list[Row]:
    merged: list[Row] = []
    for row in rows:
        if merged and merged[-1].counts.total() < min_terms:
            before = merged.pop()
            end = before.span.start + len(before.span) + len(row.span) if end_is_short else row.span.end
            row = Row(Span(before.span.start, end), before.counts + row.counts)
        merged.append(row)
    return merged


def read_words(text: str, language: str, drops_stop_words: bool) -> list[Word]:
    found: list[Word] = []
    cuts = find_cuts(text, language)
    for span, term, is_function in words_with_terms(text, language):
        if drops_stop_words and is_function:
            continue
        start, price = span.start, 1.0
        while cuts and cuts[0].end <= span.start:
            cut = cuts.pop(0)
            if found and (cut.price < price or price == 1.0):
                found[-1].end = cut.start
            if cut.price <= price:
                start, price = cut.end, cut.price
        found.append(Word(start, span.end, term, is_function, price if found else 0.0))
    if found and cuts:
        found[-1].end = cuts[0].start
    return found


def find_cuts(text: str, language: str) -> list[Cut]:
    between = [Span(0, 0), *sentences(text, language), Span(len(text), len(text))]
    found = {one.end: Cut(one.end, other.start, 0.0) for one, other in pairwise(between)}
    for match in re.finditer(r"\s*\n\s*", text):
        found.setdefault(match.start(), Cut(match.start(), match.end(), 0.5))
    return [found[place] for place in sorted(found)]


def words_with_terms(text: str, language: str) -> Iterator[tuple[Span, str, bool]]:
    """With the term and whether they are function words; sentence by sentence."""
    for sentence in sentences(text, language):
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
