"""Refinement: seeds lead to passages whose ends and worth the evidence decides."""

from typing import NamedTuple

import numpy as np

from rote.alignment.evidence import Bools, Side, best_segment, mark, odds_for, share_kept, significant
from rote.alignment.extension import extend
from rote.alignment.presets import Clustering, Evidence
from rote.alignment.seeding import Floats, Ints, Seeds, WeightedPair
from rote.kernels import kernel
from rote.kernels.ordering import first_not_below, stable_order

STEPS = 4
"""Most passages stand still after two."""
ROUNDS = 2
"""How often seeds are clustered: all, then those that no passage holds."""
MAX_PASSAGES = 2000
"""Bound of the time: of more passages those of greatest evidence are kept. Only texts that repeat themselves a great deal
have so many."""


class Sides(NamedTuple):
    """Both texts, and room to mark the terms of a stretch of each."""

    generated: Side
    training: Side
    generated_marks: Bools
    training_marks: Bools


class Stretches(NamedTuple):
    """Passages of the generation with their counterparts in the training text, in words."""

    ranges: Ints
    """One row each: first generated word, the one after the last, the same in the training text."""
    evidence: Floats
    """Evidence of both sides together."""


@kernel
def refined_passages(
    sides: Sides, pair: WeightedPair, seeds: Seeds, gap: int, clustering: Clustering, evidence: Evidence
) -> Stretches:
    """The passages that the seeds lead to.

    Each cluster of seeds is refined; the seeds left outside are clustered once more. Of passages that claim the same
    words the one of greatest evidence is kept; neighbours are joined. Symmetric in the two texts.
    """
    ranges, total, found = np.empty((ROUNDS * len(seeds), 4), np.int64), np.empty(ROUNDS * len(seeds), np.float64), 0
    least = significant(evidence.min_plain, 2, sides.generated, sides.training)
    for _ in range(ROUNDS):
        if len(seeds) == 0:
            break
        is_left = np.zeros(len(seeds), np.bool_)
        for cluster in extend(pair, seeds, gap, clustering).ranges:
            passage, worth = refine(sides, _words_of_cluster(sides, cluster), evidence)
            if worth > least:
                _leave_out(sides, seeds, cluster, passage, is_left)
                ranges[found], total[found] = passage, worth
                found += 1
        seeds = seeds[is_left]
    if found == 0:
        return Stretches(ranges[:0], total[:0])
    kept = _resolve(Stretches(ranges[:found], total[:found]))
    return _join_neighbours(kept, evidence.join_words)


@kernel
def _words_of_cluster(sides: Sides, cluster: Ints) -> Ints:
    own, other = sides.generated.words, sides.training.words
    found = np.empty(4, np.int64)
    found[0], found[1] = own.first_words[cluster[0]], own.end_words[cluster[1]]
    found[2], found[3] = other.first_words[cluster[2]], other.end_words[cluster[3]]
    return found


@kernel
def refine(sides: Sides, passage: Ints, evidence: Evidence) -> tuple[Ints, float]:
    """Moves the ends of both sides to where their evidence is greatest, given the other side, until they stand still.

    Returns:
        The passage in words, and its evidence; 0 where a side has none.
    """
    worth = 0.0
    for _ in range(STEPS):
        before = passage
        first, end, own = _refine_side(sides.generated, sides.training, sides.training_marks, before, evidence)
        swapped = np.array([before[2], before[3], before[0], before[1]])
        other, other_end, its = _refine_side(sides.training, sides.generated, sides.generated_marks, swapped, evidence)
        if first == end or other == other_end:
            return before, 0.0
        passage, worth = np.array([first, end, other, other_end]), own + its
        if np.all(passage == before):
            break
    return passage, worth


@kernel
def _refine_side(side: Side, other: Side, marks: Bools, passage: Ints, evidence: Evidence) -> tuple[int, int, float]:
    first, end, other_first, other_end = passage
    mark(other.words, other_first, other_end, marks, True)
    kept = max(evidence.kept, share_kept(side, first, end, marks))
    odds = odds_for(other_end - other_first, kept, evidence)
    start = max(0, first - evidence.reach_words)
    stop = min(len(side.words.terms), end + evidence.reach_words)
    found = best_segment(side, start, stop, marks, odds, evidence.cut_price)
    mark(other.words, other_first, other_end, marks, False)
    return found


@kernel
def _leave_out(sides: Sides, seeds: Seeds, cluster: Ints, passage: Ints, is_left: Bools) -> None:
    """Marks the seeds of the cluster that the passage does not touch on both sides."""
    own, other = sides.generated.words, sides.training.words
    first, end = first_not_below(seeds[:, 0], cluster[0]), first_not_below(seeds[:, 0], cluster[1] + 1)
    for i in range(first, end):
        row, column = seeds[i]
        if cluster[2] <= column <= cluster[3]:
            is_held = overlap(own.first_words[row], own.end_words[row], passage[0], passage[1]) > 0
            is_left[i] = not (
                is_held and overlap(other.first_words[column], other.end_words[column], passage[2], passage[3]) > 0
            )


@kernel
def overlap(first: int, end: int, other: int, other_end: int) -> int:
    """Number of words that two stretches share."""
    return max(0, min(end, other_end) - max(first, other))


@kernel
def _resolve(passages: Stretches) -> Stretches:
    """From the greatest evidence down, drops what shares more than half of the shorter stretch with one kept, on a side."""
    ranges = passages.ranges
    kept, found = np.empty(len(ranges), np.int64), 0
    for i in stable_order(-passages.evidence):
        is_free = found < MAX_PASSAGES
        for other in kept[:found]:
            if _claims_half(ranges[i, :2], ranges[other, :2]) or _claims_half(ranges[i, 2:], ranges[other, 2:]):
                is_free = False
        if is_free:
            kept[found], found = i, found + 1
    return Stretches(ranges[kept[:found]], passages.evidence[kept[:found]])


@kernel
def _claims_half(one: Ints, other: Ints) -> bool:
    return bool(2 * overlap(one[0], one[1], other[0], other[1]) > min(one[1] - one[0], other[1] - other[0]))


@kernel
def _join_neighbours(passages: Stretches, most: int) -> Stretches:
    """Joins passages at most so many words apart on both sides, in whatever order."""
    ranges, total = passages.ranges, passages.evidence
    is_gone, has_changed = np.zeros(len(ranges), np.bool_), True
    while has_changed:
        has_changed = False
        for i in range(len(ranges)):
            for j in range(i + 1, len(ranges)):
                if not is_gone[i] and not is_gone[j] and _are_near(ranges[i], ranges[j], most):
                    for side in (0, 2):
                        ranges[i, side] = min(ranges[i, side], ranges[j, side])
                        ranges[i, side + 1] = max(ranges[i, side + 1], ranges[j, side + 1])
                    total[i] += total[j]
                    is_gone[j], has_changed = True, True
    return Stretches(ranges[~is_gone], total[~is_gone])


@kernel
def _are_near(one: Ints, other: Ints, most: int) -> bool:
    apart = max(one[0], other[0]) - min(one[1], other[1])
    other_apart = max(one[2], other[2]) - min(one[3], other[3])
    return bool(max(apart, other_apart) <= most)
