"""Overlaps: of passages that claim the same sentences, the better supported one is kept."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rote.alignment.extension import PassagePairs
from rote.alignment.seeding import Floats, Ints, WeightedPair, add_products
from rote.kernels import kernel
from rote.kernels.ordering import stable_order

GENERATED, TRAINING = 0, 1
"""The two sides: columns 2 · side and 2 · side + 1 of a passage's range."""

CLOSE = 1e-9
"""Qualities that differ by less are equal: rounding decides nothing."""


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
    order = stable_order(firsts.astype(np.float64))
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
