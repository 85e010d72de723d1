"""Summaries: a stretch of one text that the other text explains as a whole, and no single passage of it does."""

import numpy as np

from rote.alignment.evidence import (
    HIGHEST_KEPT,
    Bools,
    Side,
    best_segment,
    mark,
    odds_for,
    share_kept,
    significant,
    word_evidence,
)
from rote.alignment.presets import Evidence
from rote.alignment.seeding import Ints
from rote.kernels import kernel

MAX_EXPANSION_WORDS = 500
"""A generation of more words is not searched for expansions: longer texts on a topic hold most words of any short one."""
MAX_SUMMARIES = 64
LEAST_WORDS = 8
LEAST_SHARED = 2
"""What a summary condenses reaches from the first to the last sentence that shares so many content words with it."""
STEPS = 2
SLACK = 1e-6
"""Rounding decides nothing."""


@kernel
def find_summaries(short: Side, long: Side, marks: Bools, own_marks: Bools, evidence: Evidence) -> Ints:
    """The stretches of the short text that summarise the long one, with what they condense.

    A stretch of words that the whole other text explains, in whatever order and without any seed, if its evidence is
    enough and greater than the best single passage of the other text gives it.

    Args:
        short: the text that holds the summaries.
        long: the text that is summarised.
        marks: room for the terms of the long text, all False.
        own_marks: room for the terms of the short text, all False.
        evidence: thresholds.

    Returns:
        In words: first of the summary, the one after its last, the same of what it condenses; summaries × 4.
    """
    found, count = np.empty((MAX_SUMMARIES, 4), np.int64), 0
    todo, left = np.zeros((MAX_SUMMARIES + 1, 2), np.int64), 1
    todo[0, 1] = len(short.words.terms)
    least = significant(evidence.min_summary, 1, short, long)
    while left and left < MAX_SUMMARIES and count < MAX_SUMMARIES:
        left -= 1
        lower, upper = todo[left]
        first, end, worth = _explained_by_all(short, long, lower, upper, marks, least, evidence)
        if worth <= least:
            continue
        todo[left], todo[left + 1] = np.array([lower, first]), np.array([end, upper])
        left += 2
        mark(short.words, first, end, own_marks, True)
        origin = _origin(long, own_marks)
        passage = _best_passage(long, end - first, own_marks, evidence)
        mark(short.words, first, end, own_marks, False)
        if origin[1] > origin[0] and worth > _explained_by(short, long, first, end, passage, marks, evidence):
            found[count, :2], found[count, 2:] = np.array([first, end]), origin
            count += 1
    return found[:count]


@kernel
def _explained_by_all(
    short: Side, long: Side, lower: int, upper: int, marks: Bools, least: float, evidence: Evidence
) -> tuple[int, int, float]:
    """The stretch between two words that all of the other text explains best, and its evidence.

    An empty one where none can have more than `least`: with k raised from k0 no word is worth more than ln(k / k0) more.
    """
    first, end, worth, kept = lower, lower, 0.0, min(HIGHEST_KEPT, evidence.kept_in_summary)
    if upper - lower < LEAST_WORDS:
        return first, end, worth
    words = len(long.words.terms)
    mark(long.words, 0, words, marks, True)
    for step in range(STEPS):
        first, end, worth = best_segment(
            short, lower, upper, marks, odds_for(words, kept, evidence), evidence.cut_price
        )
        before, kept = kept, min(HIGHEST_KEPT, max(evidence.kept_in_summary, share_kept(short, first, end, marks)))
        if kept == before:
            break
        if step + 1 < STEPS and worth + _shared(short, lower, upper) * np.log(kept / before) + SLACK <= least:
            first, end, worth = lower, lower, 0.0
            break
    mark(long.words, 0, words, marks, False)
    return first, end, worth


@kernel
def _shared(short: Side, lower: int, upper: int) -> int:
    """Number of words of a stretch that stand in the other text."""
    found = 0
    for term in short.words.terms[lower:upper]:
        found += short.counterparts[term] >= 0
    return found


@kernel
def _origin(long: Side, own_marks: Bools) -> Ints:
    """From the first to the last sentence of the long text with enough marked content words."""
    terms, is_function, counterparts = long.words.terms, long.words.is_function, long.counterparts
    first_words, end_words = long.words.first_words, long.words.end_words
    start, stop = 0, 0
    for row in range(len(first_words)):
        shared = 0
        for word in range(first_words[row], end_words[row]):
            counterpart = counterparts[terms[word]]
            shared += counterpart >= 0 and own_marks[counterpart] and not is_function[word]
        if shared >= LEAST_SHARED:
            if stop == 0:
                start = first_words[row]
            stop = end_words[row]
    return np.array([start, stop])


@kernel
def _best_passage(long: Side, words: int, own_marks: Bools, evidence: Evidence) -> Ints:
    odds = odds_for(words, evidence.kept, evidence)
    first, end, _ = best_segment(long, 0, len(long.words.terms), own_marks, odds, evidence.cut_price)
    return np.array([first, end])


@kernel
def _explained_by(
    short: Side, long: Side, first: int, end: int, passage: Ints, marks: Bools, evidence: Evidence
) -> float:
    """Evidence of a stretch of the short text if it came from that passage alone."""
    if passage[0] == passage[1]:
        return 0.0
    mark(long.words, passage[0], passage[1], marks, True)
    kept = max(evidence.kept, share_kept(short, first, end, marks))
    odds = odds_for(passage[1] - passage[0], kept, evidence)
    worth = float(word_evidence(short, first, end, marks, odds).sum())
    mark(long.words, passage[0], passage[1], marks, False)
    return worth
