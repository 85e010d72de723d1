"""Extension: seeds that lie close together, on both sides, become passages that are similar as a whole."""

from typing import NamedTuple

import numpy as np

from rote.alignment.presets import Clustering
from rote.alignment.seeding import Floats, Ints, Seeds, WeightedPair, WeightedRows
from rote.kernels import kernel
from rote.kernels.ordering import stable_order


class PassagePairs(NamedTuple):
    """Passages of the generation with their counterparts in the training text, in sentences."""

    ranges: Ints
    """One row each: first and last generated sentence, first and last training sentence, inclusive."""
    cosines: Floats


@kernel
def extend(pair: WeightedPair, seeds: Seeds, gap: int, clustering: Clustering) -> PassagePairs:
    """The passage pairs that the seeds form with at most `gap` sentences between neighbours.

    Clusters: the seeds are cut wherever more than `gap` sentences lie between neighbours, on either side in turn, until
    nothing splits. Adaptive: where the passages of a cluster are not similar as a whole, it is cut again with the gap
    lowered to where it splits, down to `least_gap_sentences`; what fails there is dropped.
    """
    ranges, cosines, found = np.empty((len(seeds), 4), np.int32), np.empty(len(seeds), np.float64), 0
    sums = np.zeros(pair.generated.size, np.float64), np.zeros(pair.training.size, np.float64)
    order = np.arange(len(seeds))
    # Groups still to be cut: start and end in `order`, the side to cut on, the gap, whether the other side is whole.
    groups, left = np.empty((len(seeds) + 1, 5), np.int64), 1
    groups[0] = np.array([0, len(seeds), 0, gap, 0])
    while left:
        left -= 1
        start, end, side, gap = groups[left, 0], groups[left, 1], groups[left, 2], groups[left, 3]
        is_whole = groups[left, 4] == 1
        if end - start < max(1, clustering.min_seeds):
            continue
        group = order[start:end]
        _sort(group, seeds[:, side])
        parts = _cut(group, seeds[:, side], start, side, gap, groups[left:])
        if parts > 1 or not is_whole:
            left += parts
            continue
        ranges[found] = _bounds(group, seeds)
        cosines[found] = passage_cosine(pair, ranges[found], sums[0], sums[1])
        if cosines[found] > clustering.min_passage_cosine:
            found += 1
            continue
        gap = _widest_gap(group, seeds) - 1
        if gap >= clustering.least_gap_sentences:
            groups[left] = np.array([start, end, 0, gap, 0])
            left += 1
    return PassagePairs(ranges[:found], cosines[:found])


@kernel
def _sort(group: Ints, keys: Ints) -> None:
    """Sorts the places in `group` by their keys; equal ones keep their order."""
    for i in range(1, len(group)):
        if keys[group[i]] < keys[group[i - 1]]:
            group[:] = group[stable_order(keys[group].astype(np.float64))]
            break


@kernel
def _cut(group: Ints, keys: Ints, start: int, side: int, gap: int, groups: Ints) -> int:
    """Writes the parts of a sorted group, last part first, to be cut on the other side; returns their number."""
    parts, end = 0, len(group)
    for i in range(len(group) - 1, -1, -1):
        if i == 0 or keys[group[i]] - keys[group[i - 1]] > gap + 1:
            groups[parts] = np.array([start + i, start + end, 1 - side, gap, 1])
            parts, end = parts + 1, i
    return parts


@kernel
def _bounds(group: Ints, seeds: Seeds) -> Ints:
    bounds = np.array([seeds[group[0], 0], seeds[group[0], 0], seeds[group[0], 1], seeds[group[0], 1]])
    for place in group:
        for side in range(2):
            bounds[2 * side] = min(bounds[2 * side], seeds[place, side])
            bounds[2 * side + 1] = max(bounds[2 * side + 1], seeds[place, side])
    return bounds


@kernel
def _widest_gap(group: Ints, seeds: Seeds) -> int:
    """Largest number of sentences between neighbouring seeds of the group, on either side."""
    widest = 0
    for side in range(2):
        _sort(group, seeds[:, side])
        for i in range(1, len(group)):
            widest = max(widest, seeds[group[i], side] - seeds[group[i - 1], side] - 1)
    return widest


@kernel
def passage_cosine(pair: WeightedPair, ranges: Ints, own: Floats, other: Floats) -> float:
    """Cosine of the summed sentence vectors of both passages, 0..1; 0 where one has no weight.

    `own` and `other` (one place per term of either text) are 0 before and after.
    """
    _add_rows(pair.generated, ranges[0], ranges[1], own)
    _add_rows(pair.training, ranges[2], ranges[3], other)
    dot = squares = 0.0
    for entry in range(pair.training.row_starts[ranges[2]], pair.training.row_starts[ranges[3] + 1]):
        term = pair.training.columns[entry]
        counterpart = pair.counterparts[term]
        if counterpart >= 0:
            dot += other[term] * own[counterpart]
        squares += other[term] * other[term]
        other[term] = 0.0
    lengths = np.sqrt(squares * _clear_rows(pair.generated, ranges[0], ranges[1], own))
    return min(1.0, dot / lengths) if lengths > 0.0 else 0.0


@kernel
def _add_rows(text: WeightedRows, first: int, last: int, sums: Floats) -> None:
    for entry in range(text.row_starts[first], text.row_starts[last + 1]):
        sums[text.columns[entry]] += text.weights[entry]


@kernel
def _clear_rows(text: WeightedRows, first: int, last: int, sums: Floats) -> float:
    """Empties the sums of these sentences; returns the sum of their squares."""
    squares = 0.0
    for entry in range(text.row_starts[first], text.row_starts[last + 1]):
        term = text.columns[entry]
        squares += sums[term] * sums[term]
        sums[term] = 0.0
    return squares
