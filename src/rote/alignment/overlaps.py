"""Overlaps: of passages that claim the same sentences, the better supported one is kept."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rote.alignment.extension import PassagePairs
from rote.alignment.seeding import Floats, Ints, WeightedPair, add_products
from rote.kernels import kernel

GENERATED, TRAINING = 0, 1
"""The two sides: columns 2 · side and 2 · side + 1 of a passage's range."""

CLOSE = 1e-9
"""Qualities that differ by less are equal: rounding decides nothing."""

MAX_PASSAGES = 2000
"""Bound of the symmetric resolution, which compares all with all: of more passages the longest are resolved, and the
rest dropped. Only texts that repeat themselves a great deal have so many."""


class Support(NamedTuple):
    """For each sentence of each passage its best cosine with the passage's other side; known when first asked for."""

    starts: npt.NDArray[np.int64]
    """The generated sentences of passage p stand from best[starts[p]] on, then its training sentences."""
    best: Floats
    is_known: npt.NDArray[np.bool_]


@kernel
def quality(shared: Floats, rest: Floats) -> float:
    """Support of a passage against a rival that overlaps with it: q = o + (1 - o) · r.

    o is the mean best cosine of the sentences that both claim, r that of the passage's other sentences (0 if none).
    Range 0..1, higher = better supported. Source: Sanchez-Perez et al. (2015), section 3.

    >>> quality(np.array([0.5, 0.7]), np.array([0.2, 0.4]))
    0.72
    """
    overlap: float = shared.mean()
    return overlap + (1 - overlap) * rest.mean() if len(rest) else overlap


@kernel
def resolve_one_sided(pair: WeightedPair, passages: PassagePairs, side: int) -> PassagePairs:
    """As published: from left to right on one side, a tournament in which the winner takes all."""
    firsts, lasts = passages.ranges[:, 2 * side], passages.ranges[:, 2 * side + 1]
    order = np.argsort(firsts, kind="mergesort")
    support = _no_support(passages)
    kept, found, at = np.empty(len(order), np.int64), 0, 0
    while at < len(order):
        champion, at = order[at], at + 1
        while at < len(order) and firsts[order[at]] <= lasts[champion]:
            start = at
            while at < len(order) and firsts[order[at]] <= lasts[champion]:
                at += 1
            champion = _winner(pair, passages, support, champion, order[start:at], side)
        kept[found], found = champion, found + 1
    return PassagePairs(passages.ranges[kept[:found]], passages.cosines[kept[:found]])


@kernel
def _winner(
    pair: WeightedPair, passages: PassagePairs, support: Support, champion: int, rivals: Ints, side: int
) -> int:
    """The rival with the highest quality among those that beat the champion; of two perfect ones the longer wins."""
    winner, highest = champion, 0.0
    for rival in rivals:
        own = _quality_against(pair, passages, support, champion, rival, side)
        other = _quality_against(pair, passages, support, rival, champion, side)
        challenger, reached = (rival, other) if other > own + CLOSE else (winner, 0.0)
        if own > 0.99 and other > 0.99:
            is_longer = _size(passages.ranges[rival], side) > _size(passages.ranges[champion], side)
            challenger, reached = (rival, other) if is_longer else (champion, own)
        if reached > highest + CLOSE:
            winner, highest = challenger, reached
    return winner


@kernel
def resolve_both_sides(pair: WeightedPair, passages: PassagePairs) -> PassagePairs:
    """Symmetric in the two sides: a passage yields only to a better one that holds more than half of it.

    Two passages conflict where they share more than half of the sentences of the shorter, on either side. The quality
    is averaged over the sides on which they overlap; of equals the longer wins. Conflicts are decided from the clearest
    to the closest, so that a passage that is out no longer beats others.
    """
    passages = _longest(passages, MAX_PASSAGES)
    conflicts = _conflicts(passages.ranges)
    margins, sizes = np.empty(len(conflicts), np.float64), np.empty(len(conflicts), np.int64)
    support = _no_support(passages)
    for i in range(len(conflicts)):
        a, b = conflicts[i, 0], conflicts[i, 1]
        margins[i] = _margin(pair, passages, support, a, b)
        sizes[i] = _sentences(passages.ranges[a]) - _sentences(passages.ranges[b])
    by_size = np.argsort(-np.abs(sizes), kind="mergesort")
    order = by_size[np.argsort(-np.abs(margins[by_size]), kind="mergesort")]
    stays = np.ones(len(passages.ranges), np.bool_)
    for i in order:
        a, b = conflicts[i, 0], conflicts[i, 1]
        if stays[a] and stays[b]:
            is_first = margins[i] > 0 or (margins[i] == 0 and sizes[i] >= 0)
            stays[b if is_first else a] = False
    return PassagePairs(passages.ranges[stays], passages.cosines[stays])


@kernel
def _longest(passages: PassagePairs, most: int) -> PassagePairs:
    if len(passages.ranges) <= most:
        return passages
    sizes = np.array([_sentences(ranges) for ranges in passages.ranges])
    kept = np.sort(np.argsort(-sizes, kind="mergesort")[:most])
    return PassagePairs(passages.ranges[kept], passages.cosines[kept])


@kernel
def _conflicts(ranges: Ints) -> Ints:
    """The pairs of passages that share more than half of the shorter one on a side."""
    found, size = np.empty((16, 2), np.int32), 0
    for a in range(len(ranges)):
        for b in range(a + 1, len(ranges)):
            if _holds_half(ranges[a], ranges[b], GENERATED) or _holds_half(ranges[a], ranges[b], TRAINING):
                if size == len(found):
                    found = np.concatenate((found, np.empty_like(found)))
                found[size, 0], found[size, 1] = a, b
                size += 1
    return found[:size]


@kernel
def _margin(pair: WeightedPair, passages: PassagePairs, support: Support, a: int, b: int) -> float:
    """How much better the first is supported, on average over the sides on which both overlap."""
    total, sides = 0.0, 0
    for side in (GENERATED, TRAINING):
        if _shared(passages.ranges[a], passages.ranges[b], side):
            total += _quality_against(pair, passages, support, a, b, side)
            total -= _quality_against(pair, passages, support, b, a, side)
            sides += 1
    return round(total / sides, 9)


@kernel
def _no_support(passages: PassagePairs) -> Support:
    starts = np.zeros(len(passages.ranges) + 1, np.int64)
    for i in range(len(passages.ranges)):
        starts[i + 1] = starts[i] + _sentences(passages.ranges[i])
    return Support(starts, np.empty(starts[-1], np.float64), np.zeros(len(passages.ranges), np.bool_))


@kernel
def _quality_against(
    pair: WeightedPair, passages: PassagePairs, support: Support, passage: int, rival: int, side: int
) -> float:
    """Quality of a passage on a side where the rival overlaps with it."""
    own, claimed = passages.ranges[passage], passages.ranges[rival]
    best = _best_cosines(pair, own, support, passage)
    first, size = own[2 * side], _size(own, side)
    on_side = best[:size] if side == GENERATED else best[len(best) - size :]
    start = max(claimed[2 * side] - first, 0)
    end = min(claimed[2 * side + 1] + 1 - first, size)
    return quality(on_side[start:end], np.concatenate((on_side[:start], on_side[end:])))


@kernel
def _best_cosines(pair: WeightedPair, ranges: Ints, support: Support, passage: int) -> Floats:
    """The passage's best cosines: of its generated sentences, then of its training sentences."""
    best = support.best[support.starts[passage] : support.starts[passage + 1]]
    if support.is_known[passage]:
        return best
    support.is_known[passage] = True
    best[:] = 0.0
    rows, columns = _size(ranges, GENERATED), _size(ranges, TRAINING)
    dots, shared = np.zeros(columns, np.float64), np.zeros(columns, np.int32)
    for row in range(rows):
        dots[:] = 0.0
        add_products(pair, ranges[0] + row, ranges[2], ranges[3], dots, shared)
        for column in range(columns):
            lengths = pair.generated.lengths[ranges[0] + row] * pair.training.lengths[ranges[2] + column]
            if dots[column] > 0.0:
                cosine = dots[column] / lengths
                best[row] = max(best[row], cosine)
                best[rows + column] = max(best[rows + column], cosine)
    return best


@kernel
def _size(ranges: Ints, side: int) -> int:
    """Number of sentences on a side."""
    return int(ranges[2 * side + 1] - ranges[2 * side] + 1)


@kernel
def _sentences(ranges: Ints) -> int:
    return _size(ranges, GENERATED) + _size(ranges, TRAINING)


@kernel
def _shared(one: Ints, other: Ints, side: int) -> int:
    """Number of sentences of a side that both hold."""
    last, first = min(one[2 * side + 1], other[2 * side + 1]), max(one[2 * side], other[2 * side])
    return int(max(0, last - first + 1))


@kernel
def _holds_half(one: Ints, other: Ints, side: int) -> bool:
    return 2 * _shared(one, other, side) > min(_size(one, side), _size(other, side))
