"""Do memorised records have another attention than records of the same task and length that are not memorised?

For each layer the measures are averaged over its heads; each is compared between the two groups of members: the area under
the ROC (the chance that a memorised record's value is over another's: an effect size), and a permutation test, corrected
for all comparisons. Records are compared with records of about the same number of input and written tokens alone:
lengths move every measure.

What is cheaper comes first: the last comparison says by how much attention improves a classifier that knows loss, Min-K% and
zlib already (`incremental_auc`).
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from rote.attention.watching import MEASURES
from rote.records import AttentionScores
from rote.scoring.blind import dealt_folds, fit_logistic
from rote.statistics.intervals import Interval
from rote.statistics.separation import Side, Sides, auc, auc_difference
from rote.statistics.tests import holm, permutation_test

LENGTH_STEP = 1.25
"""Records whose numbers of tokens lie in the same step of a scale with this factor are of about the same length."""
LEAST_RECORDS = 5
"""Memorised and other records that are needed for a comparison."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Contrast:
    """One measure of one layer, memorised against not memorised."""

    layer: int
    """From 0; the last layer is the one that Zeng et al. look at."""
    measure: str
    sink: bool
    """Whether the sink is among the columns."""
    memorized: int
    others: int
    auc: Interval
    """Over 1/2: memorised records have the higher value. At equal lengths."""
    memorized_mean: float
    others_mean: float
    """Means at equal lengths: of what is left of the values without the mean of their length, plus the mean of all."""
    p_value: float
    """Two-sided, permutation of groups of records."""
    corrected_p: float
    """Holm, over all comparisons of the run."""


@dataclass(frozen=True, slots=True)
class Incremental:
    """What attention adds to cheaper scores."""

    cheap: Interval
    """Area under the ROC of a cross-validated classifier of the cheap scores."""
    with_attention: Interval
    gain: Interval
    """The second minus the first, on the same records."""
    features: tuple[str, ...]
    """The cheap ones."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """A record: whether it is memorised, its group, its lengths in tokens."""

    memorized: bool
    group: str
    inputs: int
    steps: int


def matched(records: Sequence[Labelled]) -> NDArray[np.int64]:
    """The length bin of each record; −1 where a bin does not hold both memorised and other records."""
    bins: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for place, record in enumerate(records):
        bins[_step(record.inputs), _step(record.steps)].append(place)
    found = np.full(len(records), -1, dtype=np.int64)
    for number, places in enumerate(bins.values()):
        if len({records[place].memorized for place in places}) == 2:
            found[places] = number
    return found


def contrasts(
    scores: Sequence[AttentionScores], records: Sequence[Labelled], *, confidence: float = 0.95
) -> list[Contrast]:
    """One contrast for each layer, measure, and with and without sink; none where too few records can be compared."""
    bins = matched(records)
    kept = np.flatnonzero(bins >= 0)
    flags = np.array([records[place].memorized for place in kept.tolist()], dtype=np.bool_)
    if min(flags.sum(), (~flags).sum()) < LEAST_RECORDS:
        return []
    # A group may hold both memorised and other records; each part of it is dealt as a whole.
    clusters = [f"{records[place].group} {records[place].memorized}" for place in kept.tolist()]
    raw = [_contrast(*one, flags, clusters, confidence) for one in _values(scores, kept, bins[kept])]
    corrected = holm([item.p_value for item in raw])
    return [
        Contrast(**{**{name: getattr(item, name) for name in Contrast.__slots__}, "corrected_p": p})
        for item, p in zip(raw, corrected, strict=True)
    ]


def _values(
    scores: Sequence[AttentionScores], kept: NDArray[np.int64], bins: NDArray[np.int64]
) -> Iterator[tuple[int, str, bool, Floats]]:
    """Layer, measure, sink, and the records' values without what their length explains."""
    for sink in (True, False):
        table = by_layer([scores[place] for place in kept], sink=sink)
        for layer in range(table.shape[1]):
            for number, measure in enumerate(MEASURES):
                yield layer, measure, sink, without_lengths(table[:, layer, number], bins)


def by_layer(scores: Sequence[AttentionScores], *, sink: bool) -> Floats:
    """Means over heads ("record layer measure")."""
    return np.array([np.mean(one.with_sink if sink else one.without_sink, axis=1) for one in scores])


def without_lengths(values: Floats, bins: NDArray[np.int64]) -> Floats:
    """The values less the mean of their length bin, plus the mean of all."""
    codes = np.unique(bins, return_inverse=True)[1]
    means = np.bincount(codes, weights=values) / np.bincount(codes)
    found: Floats = values - means[codes] + values.mean()
    return found


def _contrast(
    layer: int, measure: str, sink: bool, values: Floats, flags: Flags, clusters: Sequence[str], confidence: float
) -> Contrast:
    higher = permutation_test(values, flags, clusters)
    lower = permutation_test(-values, flags, clusters)
    return Contrast(
        layer=layer,
        measure=measure,
        sink=sink,
        memorized=int(flags.sum()),
        others=int((~flags).sum()),
        auc=auc(_sides(values, flags, clusters), confidence=confidence),
        memorized_mean=float(values[flags].mean()),
        others_mean=float(values[~flags].mean()),
        p_value=min(1.0, 2 * min(higher, lower)),
        corrected_p=1.0,
    )


def _sides(values: Floats, flags: Flags, clusters: Sequence[str]) -> Sides:
    def side(wanted: bool) -> Side:
        places = np.flatnonzero(flags == wanted)
        return Side(values[places], tuple(clusters[place] for place in places.tolist()))

    return Sides(side(True), side(False))


def incremental_auc(
    cheap: Mapping[str, Floats],
    scores: Sequence[AttentionScores],
    records: Sequence[Labelled],
    *,
    confidence: float = 0.95,
) -> Incremental | None:
    """Cross-validated logistic regression of "memorised" on the cheap scores, and on these and attention.

    Attention enters as every layer's entropy and largest weight, with and without sink. Folds are of whole groups, the
    same for both. None where too few records of either kind are there.
    """
    flags = np.array([record.memorized for record in records], dtype=np.bool_)
    clusters = [f"{record.group} {record.memorized}" for record in records]
    if min(len({c for c, own in zip(clusters, flags, strict=True) if own == side}) for side in (True, False)) < (
        2 * LEAST_RECORDS
    ):
        return None
    columns = [MEASURES.index("entropy"), MEASURES.index("largest")]
    seen = np.concatenate(
        [by_layer(scores, sink=sink)[:, :, columns].reshape(len(scores), -1) for sink in (True, False)], axis=1
    )
    first = np.stack(list(cheap.values()), axis=1)
    sides = [
        _sides(_cross_fitted(features, flags, clusters), flags, clusters)
        for features in (first, np.concatenate([first, seen], axis=1))
    ]
    return Incremental(
        cheap=auc(sides[0], confidence=confidence),
        with_attention=auc(sides[1], confidence=confidence),
        gain=auc_difference(sides[1], sides[0], confidence=confidence),
        features=tuple(cheap),
    )


def _cross_fitted(features: Floats, flags: Flags, clusters: Sequence[str]) -> Floats:
    """The log-odds of each record by a classifier that was fitted on the other folds; features standardised there."""
    folds = dealt_folds(flags, clusters, 0)
    found = np.zeros(len(flags))
    for fold in range(int(folds.max()) + 1):
        held = folds == fold
        centre, spread = features[~held].mean(axis=0), features[~held].std(axis=0)
        standard = sparse.csr_matrix((features - centre) / np.where(spread > 0, spread, 1.0))
        model = fit_logistic(standard[~held], flags[~held])
        found[held] = standard[held] @ model.weights + model.intercept
    return found


def _step(length: int) -> int:
    return math.floor(math.log(max(1, length)) / math.log(LENGTH_STEP))
