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

from rote.alignment.presets import Evidence
from rote.alignment.seeding import Floats, Ints
from rote.kernels import kernel

Bools = npt.NDArray[np.bool_]

TYPICAL_WORDS = 70
"""Length of the counterpart for which `Evidence.chance` is stated."""
HIGHEST_CHANCE = 0.98
HIGHEST_KEPT = 0.95
MAX_COUNT = 512
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
    is_function: npt.NDArray[np.int8]
    """Per word."""
    prices: npt.NDArray[np.int8]
    """Price of a cut in front of each word and after the last, in halves of the full one; length: words + 1."""
    first_words: Ints
    """Per sentence (row of the seeds' vectors): its first word, and the first after it."""
    end_words: Ints


class Side(NamedTuple):
    """A text, and where the other one holds its terms."""

    words: Words
    counterparts: Ints
    """Per term: the same term of the other text, or -1."""


class Odds(NamedTuple):
    """The model for a counterpart of a certain length."""

    words: int
    kept: float
    """k."""
    chance: float
    """The least c."""
    function_word_share: float


@kernel
def odds_for(words: int, kept: float, evidence: Evidence) -> Odds:
    """The model for a counterpart of `words` words."""
    chance = min(HIGHEST_CHANCE, evidence.chance * (words / TYPICAL_WORDS) ** evidence.chance_growth)
    return Odds(words, min(HIGHEST_KEPT, kept), chance, evidence.function_word_share)


@kernel
def significant(least: float, sides: int, one: Side, other: Side) -> float:
    """Evidence of so many sides that is more by `least` than what so large a search gives by chance."""
    return float(least + sides * (np.log(len(one.words.terms)) + np.log(len(other.words.terms))))


@kernel
def mark(words: Words, first: int, end: int, marks: Bools, value: bool) -> None:
    """Marks the terms of a stretch of words."""
    for term in words.terms[first:end]:
        marks[term] = value


@kernel
def share_kept(side: Side, first: int, end: int, marks: Bools) -> float:
    """Share of the words that stand among the marked terms of the other text, one of two words added."""
    found, counterparts = 1, side.counterparts
    for term in side.words.terms[first:end]:
        found += counterparts[term] >= 0 and marks[counterparts[term]]
    return found / (end - first + 2)


@kernel
def word_evidence(side: Side, first: int, end: int, marks: Bools, odds: Odds) -> Floats:
    """Evidence of each word of a stretch; the terms of the counterpart are marked."""
    terms, is_function = side.words.terms[first:end], side.words.is_function[first:end]
    counts, counterparts, size = side.words.counts, side.counterparts, len(side.words.terms)
    # Of each kind of word (count, function word or not): what it is worth where it does not and where it does stand there.
    worths, is_known = np.empty((2 * MAX_COUNT, 2), np.float64), np.zeros(2 * MAX_COUNT, np.bool_)
    found = np.empty(len(terms), np.float64)
    for i, term in enumerate(terms):
        kind = 2 * min(counts[term], MAX_COUNT - 1) + is_function[i]
        if not is_known[kind]:
            is_known[kind] = True
            chance = _chance(counts[term], size, is_function[i], odds)
            worths[kind, 0] = min(0.0, np.log((1.0 - odds.kept) / (1.0 - chance)))
            worths[kind, 1] = max(0.0, np.log(odds.kept / chance))
        is_kept = counterparts[term] >= 0 and marks[counterparts[term]]
        found[i] = worths[kind, np.int64(is_kept)]
    return found


@kernel
def _chance(count: int, size: int, is_function: bool, odds: Odds) -> float:
    """c of a word that stands `count` times in its text of `size` words."""
    repeated = (min(count, MAX_COUNT - 1) - 1) / size
    if is_function:
        repeated = max(repeated, odds.function_word_share)
    expected = odds.words * repeated
    return min(HIGHEST_CHANCE, max(odds.chance, expected / (1.0 + expected)))


@kernel
def best_segment(
    side: Side, first: int, end: int, marks: Bools, odds: Odds, cut_price: float
) -> tuple[int, int, float]:
    """The stretch of greatest evidence, less the price of its cuts, among the words `first` to `end`.

    Returns:
        First word, the word after the last, evidence; an empty stretch with 0 where none has any.
    """
    prices = side.words.prices[first : end + 1] * (cut_price / 2)
    best, best_first, best_end = 0.0, first, first
    total, start = -np.inf, first
    for i, worth in enumerate(word_evidence(side, first, end, marks, odds)):
        if total < -prices[i]:
            total, start = -prices[i], first + i
        total += worth
        if total - prices[i + 1] > best:
            best, best_first, best_end = total - prices[i + 1], start, first + i + 1
    return best_first, best_end, best
