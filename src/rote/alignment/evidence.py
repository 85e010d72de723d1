"""Evidence that a passage comes from its counterpart: more of its words stand there than chance would have it.

Each word (a term; see `rote.text.terms`) of a passage either stands in the counterpart or not. If the passage comes from
it, a word was kept with the probability k; if both merely have a topic in common, it stands there with the chance c. The
evidence of a passage is the log-likelihood ratio of the two, summed over its words: ln(k / c) for a word that stands in
the counterpart, ln((1 - k) / (1 - c)) for one that does not (never under 0 for the first, never over 0 for the second).

- k is measured in the passage itself, at least `kept`.
- c grows with the number n of words in the counterpart: `chance` · (n / 70) ^ `chance_growth`, but at least
  x / (1 + x) with x = n · f, where f is how often the word stands in the rest of its own text, per word. So a text's
  topic words, which it repeats, are weak evidence, and no table of word frequencies is needed. A function word is taken
  to be at least `function_word_share` of any text.

A passage begins and ends where the evidence says so: `best_segment` finds the stretch of greatest evidence (Kadane), less
the price of cutting: nothing at a sentence's end, half at a line break, `cut_price` inside a sentence.

The more words two texts have, the more evidence chance alone finds somewhere: a passage needs ln(words · words) on each
side more than the preset asks, as alignments of sequences do (Karlin and Altschul, PNAS 1990).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rote.alignment.preparation import PreparedText
from rote.alignment.presets import Evidence
from rote.alignment.seeding import Floats, Ints
from rote.kernels import kernel

Bools = npt.NDArray[np.bool_]

TYPICAL_WORDS = 70
"""Length of the counterpart for which `Evidence.chance` is stated."""
HIGHEST_CHANCE = 0.98
HIGHEST_KEPT = 0.95
MAX_COUNT = 64
"""Words that stand more often in their text are all alike."""


class Words(NamedTuple):
    """The words of one text, those without a term left out, as they are looked up in the other text."""

    starts: Ints
    ends: Ints
    """Characters from and up to which a passage reaches that begins or ends with the word: up to the sentence's or line's
    end, where only words without a term stand between."""
    terms: Ints
    """Per word: place of its term among the terms of its text."""
    counts: Ints
    """Per term: number of words of the text that have it."""
    is_function: Bools
    """Per word."""
    prices: Floats
    """Price of a cut in front of each word and behind the last, as a share of the full one; length: words + 1."""
    first_words: Ints
    """Per sentence (row of the seeds' vectors): its first word, and the first behind it."""
    end_words: Ints


def words_of(text: PreparedText) -> Words:
    """The arrays that the kernels read."""
    return Words(
        text.word_starts,
        text.word_ends,
        text.word_terms,
        text.term_counts,
        text.word_is_function,
        text.word_prices,
        np.searchsorted(text.word_starts, text.starts).astype(np.int32),
        np.searchsorted(text.word_starts, text.ends).astype(np.int32),
    )


class Side(NamedTuple):
    """A text, and where the other one holds its terms."""

    words: Words
    counterparts: Ints
    """Per term: the same term of the other text, or -1."""


class Odds(NamedTuple):
    """The model for a counterpart of a certain length: k, the least c, and both logarithms by word as they are needed."""

    words: int
    kept: float
    chance: float
    function_word_share: float
    gains: Floats
    losses: Floats
    """By twice the word's count in its text, plus 1 for function words; NaN where not yet known."""


@kernel
def odds_for(words: int, kept: float, evidence: Evidence) -> Odds:
    """The model for a counterpart of `words` words."""
    chance = min(HIGHEST_CHANCE, evidence.chance * (words / TYPICAL_WORDS) ** evidence.chance_growth)
    unknown = np.full(2 * MAX_COUNT, np.nan)
    return Odds(words, min(HIGHEST_KEPT, kept), chance, evidence.function_word_share, unknown, unknown.copy())


@kernel
def significant(least: float, sides: int, one: Side, other: Side) -> float:
    """Evidence of so many sides that is more by `least` than what so large a search gives by chance."""
    return float(least + sides * (np.log(len(one.words.terms)) + np.log(len(other.words.terms))))


@kernel
def mark(words: Words, first: int, end: int, marks: Bools, value: bool) -> None:
    """Marks the terms of a stretch of words."""
    for word in range(first, end):
        marks[words.terms[word]] = value


@kernel
def share_kept(side: Side, first: int, end: int, marks: Bools) -> float:
    """Share of the words that stand among the marked terms of the other text, one of two words added."""
    found = 1
    for word in range(first, end):
        term = side.counterparts[side.words.terms[word]]
        found += term >= 0 and marks[term]
    return found / (end - first + 2)


@kernel
def _word_evidence(side: Side, word: int, marks: Bools, odds: Odds) -> float:
    words = side.words
    term = words.terms[word]
    kind = 2 * min(words.counts[term], MAX_COUNT - 1) + words.is_function[word]
    if np.isnan(odds.gains[kind]):
        repeated = (words.counts[term] - 1) / len(words.terms)
        if words.is_function[word]:
            repeated = max(repeated, odds.function_word_share)
        expected = odds.words * repeated
        chance = min(HIGHEST_CHANCE, max(odds.chance, expected / (1.0 + expected)))
        odds.gains[kind] = max(0.0, np.log(odds.kept / chance))
        odds.losses[kind] = min(0.0, np.log((1.0 - odds.kept) / (1.0 - chance)))
    counterpart = side.counterparts[term]
    return float(odds.gains[kind] if counterpart >= 0 and marks[counterpart] else odds.losses[kind])


@kernel
def evidence_of(side: Side, first: int, end: int, marks: Bools, odds: Odds) -> float:
    """Evidence of a stretch of words."""
    total = 0.0
    for word in range(first, end):
        total += _word_evidence(side, word, marks, odds)
    return total


@kernel
def best_segment(
    side: Side, first: int, end: int, marks: Bools, odds: Odds, cut_price: float
) -> tuple[int, int, float]:
    """The stretch of greatest evidence, less the price of its cuts, among the words `first` to `end`.

    Returns:
        First word, the word behind the last, evidence; an empty stretch with 0 where none has any.
    """
    best, best_first, best_end = 0.0, first, first
    total, start = -np.inf, first
    for word in range(first, end):
        price = cut_price * side.words.prices[word]
        if total < -price:
            total, start = -price, word
        total += _word_evidence(side, word, marks, odds)
        reached = total - cut_price * side.words.prices[word + 1]
        if reached > best:
            best, best_first, best_end = reached, start, word + 1
    return best_first, best_end, best
