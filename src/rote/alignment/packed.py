"""A prepared text in two arrays: what a compiled call costs before it begins grows with the number of its arrays."""

from typing import NamedTuple

import numpy as np

from rote.alignment.evidence import Words
from rote.alignment.preparation import PreparedText
from rote.alignment.seeding import Floats, Ints, Rows
from rote.kernels import kernel

HEADER = 4
"""How many sentences, entries of rows, terms and words there are stands first."""


class PackedText(NamedTuple):
    """All numbers of a `PreparedText` in one array, and its prices."""

    numbers: Ints
    prices: Floats


def pack(text: PreparedText) -> PackedText:
    """The two arrays; `unpack` says in which order."""
    numbers = np.concatenate(
        (
            (len(text.starts), len(text.columns), len(text.terms), len(text.word_terms)),
            *(text.starts, text.ends, text.row_starts, text.columns, text.counts, text.terms, text.frequencies),
            *(text.word_starts, text.word_ends, text.word_terms, text.term_counts, text.word_is_function),
            *(text.word_starts.searchsorted(text.starts), text.word_starts.searchsorted(text.ends)),
        ),
        dtype=np.int32,
        casting="unsafe",
    )
    return PackedText(numbers, text.word_prices)


@kernel
def unpack(text: PackedText) -> tuple[Rows, Words]:
    """What the kernels read: views of the two arrays."""
    numbers, at = text.numbers, HEADER
    sentences, entries, terms, words = numbers[0], numbers[1], numbers[2], numbers[3]
    starts, at = _next(numbers, at, sentences)
    ends, at = _next(numbers, at, sentences)
    row_starts, at = _next(numbers, at, sentences + 1)
    columns, at = _next(numbers, at, entries)
    counts, at = _next(numbers, at, entries)
    own_terms, at = _next(numbers, at, terms)
    frequencies, at = _next(numbers, at, terms)
    word_starts, at = _next(numbers, at, words)
    word_ends, at = _next(numbers, at, words)
    word_terms, at = _next(numbers, at, words)
    term_counts, at = _next(numbers, at, terms)
    is_function, at = _next(numbers, at, words)
    first_words, at = _next(numbers, at, sentences)
    end_words, at = _next(numbers, at, sentences)
    return (
        Rows(starts, ends, row_starts, columns, counts, own_terms, frequencies),
        Words(word_starts, word_ends, word_terms, term_counts, is_function, text.prices, first_words, end_words),
    )


@kernel
def _next(numbers: Ints, at: int, size: int) -> tuple[Ints, int]:
    return numbers[at : at + size], at + size
