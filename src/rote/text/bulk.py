"""Texts read in bulk and once, by kernels: their sentences, and the terms in them, as numbers."""

from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rote.kernels import kernel
from rote.text.characters import Codes, codes_of
from rote.text.forms import Places, TermReader, add_forms, room_for
from rote.text.splitting import Rules, rules_of, split_into

Ints = NDArray[np.int32]


class Reading(NamedTuple):
    """What stands in many texts; characters count from their text's start."""

    codes: Codes
    """Characters of all texts, one after the other."""
    ends: Ints
    """Text i is codes[ends[i] : ends[i + 1]]."""
    first_sentences: Ints
    """Per text its first sentence; one more entry than texts."""
    starts: Ints
    """First character of each sentence."""
    stops: Ints
    first_words: Ints
    """Per sentence its first word; one more entry than sentences. Words without a term are left out; the term of a
    character of a script without spaces is that of it and the one before it."""
    word_starts: Ints
    word_ends: Ints
    terms: Ints
    """Per word the number of its term; see `reader_of`."""
    is_function: NDArray[np.bool_]
    """Per word."""


@cache
def reader_of(language: str) -> TermReader:
    """Numbers the terms of a language (ISO 639-1) in this process."""
    return TermReader(language)


def read_texts(texts: Sequence[str], language: str) -> Reading:
    """The sentences and terms of the texts."""
    codes = codes_of("".join(texts))
    ends = np.array([0, *accumulate(map(len, texts))], dtype=np.int32)
    first_sentences, starts, stops, first_words, places = _read(codes, ends, rules_of(language))
    terms = reader_of(language).terms_of(codes, places)
    before = np.repeat(ends[:-1], np.diff(first_words[first_sentences]))
    spans = places.starts - before, places.stops - before
    return Reading(codes, ends, first_sentences, starts, stops, first_words, *spans, terms.numbers, terms.is_function)


@kernel
def _read(codes: Codes, ends: Ints, rules: Rules) -> tuple[Ints, Ints, Ints, Ints, Places]:
    """First sentences, starts, stops and first words of a reading, and where its forms stand in `codes`.

    Read sentence by sentence: a word longer than a sentence may be is cut where its sentence is.
    """
    texts, sentence, word = len(ends) - 1, 0, 0
    room = len(codes) // 2 + texts
    first_sentences, first_words = np.zeros(texts + 1, np.int32), np.zeros(room + 1, np.int32)
    starts, stops = np.empty(room, np.int32), np.empty(room, np.int32)
    places = room_for(len(codes))
    for text in range(texts):
        start, end = ends[text], ends[text + 1]
        last = sentence + split_into(codes[start:end], rules, starts[sentence:], stops[sentence:])
        while sentence < last:
            word = add_forms(codes, start + starts[sentence], start + stops[sentence], rules.classes, places, word)
            sentence += 1
            first_words[sentence] = word
        first_sentences[text + 1] = sentence
    found = Places(places.starts[:word].copy(), places.firsts[:word].copy(), places.stops[:word].copy())
    return first_sentences, starts[:sentence].copy(), stops[:sentence].copy(), first_words[: sentence + 1].copy(), found
