"""True-positive rates at a fixed false-positive rate: the threshold is an estimate as well, and the intervals say so.

Two figures that are easily taken for each other. `tpr_at_fpr` is of the population: the share of members over the score
that exactly 1 % of all non-members exceed, which the non-members at hand leave uncertain. `passed` is of the threshold at
hand: the share of members over the score that 2 of 200 non-members exceed, the threshold taken as given.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

from rote.statistics.intervals import (
    Interval,
    cluster_numbers,
    effective_sample_size,
    exact_rate,
    interval_size,
)
from rote.statistics.separation import Side, Sides, side_refusal

SUFFICIENT = 1e-9
"""Numbers of non-members over the threshold that are less likely than this are left out of the mixture."""
_LEAST_TAIL = 1e-9

Floats = NDArray[np.float64]


def tpr_at_fpr(sides: Sides, fpr: float, *, confidence: float = 0.95) -> Interval:
    """Share of all members over the threshold that the share `fpr` of all non-members exceeds ("TPR at FPR"). 0..1.

    The value is that at the threshold which at most the share `fpr` of the non-members at hand exceeds. The interval allows
    for this threshold being estimated: K, how many of the n non-members at hand exceed the true one, is binomial
    (n, fpr), whatever the scores' distribution. Given K the true threshold lies between the K-th and the next lower
    non-member (on the latter itself, where its score is one of several equal ones), and the members over it, h(K), are
    binomial in the rate sought. So the ends are quantiles of the mixture over
    K of Beta(h(K) + 1/2, m − h(K) + 1/2), h(K) half-way between the members over either neighbour (Jeffreys' interval, if
    K were known). Members of duplicate groups count as their effective sample size, and K is beta-binomial with the
    design effect of the non-members' groups. Coverage in simulations: `benchmarks/intervals.py`.

    Refused where no non-member may exceed the true threshold with more than half of the allowed error, (1 − fpr)^n: then
    nothing bounds the rate from below (at 95 %: fewer than 36 independent non-members at 10 %, 368 at 1 %, 3,688 at
    0.1 %). `passed` can be given there.
    """
    method = "mixture of Beta distributions over the non-members past the true threshold, clustered by duplicate group"
    refused = side_refusal(sides, confidence) or too_few_for_interval(sides.nonmembers, fpr, confidence)
    if refused:
        return Interval(None, None, None, method, refused)
    found, tail = mixture(sides, fpr, confidence), (1 - confidence) / 2
    return Interval(
        found.value, min(found.value, found.quantile(tail)), max(found.value, found.quantile(1 - tail)), method
    )


def tpr_difference(first: Sides, second: Sides, fpr: float, *, confidence: float = 0.95) -> Interval:
    """TPR at FPR of the first score minus that of the second, each at its own threshold, on the same records. −1..1.

    Joins the intervals of both (square-and-add: Zou and Donner 2008) with their correlation: that of who exceeds the
    threshold, among the members and among the non-members, weighted by what either side adds to the variances.
    """
    method = "square-and-add of two true-positive rates with their correlation"
    refused = side_refusal(first, confidence) or too_few_for_interval(first.nonmembers, fpr, confidence)
    if refused:
        return Interval(None, None, None, method, refused)
    pair = _pair(first, second, fpr, confidence)
    tail = (1 - confidence) / 2
    return Interval(pair.difference, pair.low(tail), pair.high(tail), method)


def tpr_difference_p_value(first: Sides, second: Sides, fpr: float, *, confidence: float = 0.95) -> float:
    """One-sided p of "the first score finds no more members at that FPR than the second".

    The least tail at which the interval of `tpr_difference` begins above 0, so that test and interval never disagree.
    """
    pair = _pair(first, second, fpr, confidence)
    if pair.low(0.5 - 1e-6) <= 0:
        return 1.0 - _p_value(lambda tail: -pair.high(tail)) if pair.high(0.5 - 1e-6) < 0 else 0.5
    return _p_value(pair.low)


def passed(sides: Sides, fpr: float, *, confidence: float = 0.95) -> Interval:
    """Share of the members over the threshold that at most the share `fpr` of the non-members at hand exceed. 0..1.

    The interval (Clopper-Pearson) is of this very threshold, taken as given: of how many members in general exceed it. It
    is no interval of the TPR at `fpr`, whose threshold is estimated: see `tpr_at_fpr`; and `fpr_of_threshold` for how many
    non-members in general exceed it. Refused under 1/fpr independent non-members: no threshold could be distinguished from a
    stricter one.
    """
    method = "Clopper-Pearson, clustered by duplicate group; the threshold is taken as given"
    refused = side_refusal(sides, confidence) or too_few_controls(len(set(sides.nonmembers.clusters)), fpr)
    if refused:
        return Interval(None, None, None, method, refused)
    over = (sides.members.values > threshold_at(sides.nonmembers.values, fpr)).tolist()
    found = exact_rate(over, sides.members.clusters, confidence=confidence)
    return Interval(found.value, found.low, found.high, method)


def fpr_of_threshold(sides: Sides, fpr: float, *, confidence: float = 0.95) -> Interval:
    """Share of the non-members over the threshold of `passed`: at most `fpr` of those at hand.

    The interval is of non-members in general: exact, as the threshold is one of the non-members' own scores (its false-
    positive rate has a beta distribution, of which Clopper and Pearson's upper end is the quantile).
    """
    refused = side_refusal(sides, confidence) or too_few_controls(len(set(sides.nonmembers.clusters)), fpr)
    if refused:
        return Interval(None, None, None, "Clopper-Pearson, clustered by duplicate group", refused)
    over = (sides.nonmembers.values > threshold_at(sides.nonmembers.values, fpr)).tolist()
    return exact_rate(over, sides.nonmembers.clusters, confidence=confidence)


def threshold_at(nonmembers: Floats, fpr: float) -> float:
    """The least score such that at most the share `fpr` of the non-members is over it.

    >>> threshold_at(np.arange(1.0, 11.0), 0.2)
    8.0
    """
    allowed = math.floor(fpr * len(nonmembers) + 1e-9)
    return float(np.sort(nonmembers)[::-1][allowed]) if allowed < len(nonmembers) else -math.inf


def too_few_controls(nonmembers: int, fpr: float) -> str | None:
    """Why a threshold of that false-positive rate cannot be set by so many independent non-members; None where it can.

    >>> too_few_controls(60, 0.01)
    'only 60 independent non-members; a false-positive rate of 1 % needs at least 100'
    """
    needed = math.ceil(1 / fpr - 1e-9)
    if nonmembers >= needed:
        return None
    return (
        f"only {nonmembers} independent non-members; a false-positive rate of {100 * fpr:g} % needs at least {needed:,}"
    )


def needed_controls(fpr: float, confidence: float = 0.95) -> int:
    """The independent non-members from which on a TPR at that FPR has an interval with two ends.

    The least n with (1 − fpr)^n at most half of the allowed error.

    >>> needed_controls(0.1), needed_controls(0.01), needed_controls(0.001)
    (36, 368, 3688)
    """
    return math.ceil(math.log((1 - confidence) / 2) / math.log1p(-fpr))


def too_few_for_interval(nonmembers: Side, fpr: float, confidence: float = 0.95) -> str | None:
    """Why the TPR at that FPR has no interval with these non-members; None where it has one."""
    clusters, needed = len(set(nonmembers.clusters)), needed_controls(fpr, confidence)
    worth = clusters
    if clusters < len(nonmembers.values):
        over = (nonmembers.values > threshold_at(nonmembers.values, fpr)).astype(np.float64).tolist()
        worth = min(clusters, math.floor(effective_sample_size(over, nonmembers.clusters) + 1e-9))
    if worth >= needed:
        return None
    return (
        f"only {worth} independent non-members; an interval of the TPR at {100 * fpr:g} % FPR, whose threshold they set, "
        f"needs at least {needed:,}"
    )


@dataclass(frozen=True, slots=True)
class Mixture:
    """What is known of one TPR at FPR: Beta distributions, weighted by how likely each number of passing non-members is."""

    value: float
    hits: Floats
    """Members over the threshold, as effective subjects, for each number of non-members over it."""
    weights: Floats
    members: float
    """Effective number of members."""

    @property
    def sampling_variance(self) -> float:
        """Variance of the members' rate at a known threshold."""
        shares = (self.hits + 0.5) / (self.members + 1)
        return float(np.sum(self.weights * shares * (1 - shares))) / (self.members + 2)

    @property
    def threshold_variance(self) -> float:
        """Variance that estimating the threshold adds."""
        shares = self.hits / self.members
        return float(np.sum(self.weights * np.square(shares - np.sum(self.weights * shares))))

    def quantile(self, level: float) -> float:
        """Where the mixture's distribution function reaches the level."""

        return float(optimize.brentq(lambda rate: self.below(rate) - level, 0.0, 1.0, xtol=1e-9))

    def below(self, rate: float) -> float:
        """The mixture's distribution function: how much of it lies below the rate."""
        below = special.betainc(self.hits + 0.5, self.members - self.hits + 0.5, rate)
        return float(np.sum(self.weights * below))


def mixture(sides: Sides, fpr: float, confidence: float = 0.95) -> Mixture:
    """What these members and non-members say of the TPR at that FPR; the interval of `tpr_at_fpr` is its quantiles."""
    threshold = threshold_at(sides.nonmembers.values, fpr)
    n, m = len(sides.nonmembers.values), len(sides.members.values)
    weights = _passing(n, _size(sides.nonmembers, threshold, confidence), fpr)
    kept = np.flatnonzero(weights > SUFFICIENT)
    ascending, thresholds = np.sort(sides.members.values), np.sort(sides.nonmembers.values)[::-1]
    over = m - np.searchsorted(ascending, thresholds, side="right")
    lower, upper = np.concatenate([over, [m]])[kept], np.concatenate([[0], over])[kept]
    is_level = np.concatenate([_repeated(thresholds), [False]])[kept]
    halfway = np.where(is_level, lower, (lower + upper) / 2) / m
    mass, places = np.bincount(np.unique(halfway, return_inverse=True)[1], weights=weights[kept]), np.unique(halfway)
    size = _size(sides.members, threshold, confidence)
    value = float(np.mean(sides.members.values > threshold))
    return Mixture(value, places * size, mass / mass.sum(), size)


def _repeated(descending: Floats) -> NDArray[np.bool_]:
    """Which of the sorted scores stand there more than once."""
    same = np.diff(descending) == 0
    return np.asarray(np.append(same, False) | np.append(False, same), dtype=np.bool_)


def _size(side: Side, threshold: float, confidence: float) -> float:
    """The effective number of subjects of a share over the threshold."""
    return interval_size((side.values > threshold).astype(np.float64).tolist(), side.clusters, confidence)


def _passing(n: int, worth: float, fpr: float) -> Floats:
    """Chances of 0 … n non-members over the true threshold: beta-binomial, with the variance of `worth` independent ones."""
    k = np.arange(n + 1.0)
    ways = special.gammaln(n + 1) - special.gammaln(k + 1) - special.gammaln(n - k + 1)
    if worth >= n:
        return np.asarray(np.exp(ways + k * math.log(fpr) + (n - k) * math.log1p(-fpr)))
    likeness = min(1 - 1e-9, (n / worth - 1) / (n - 1))
    a, b = (share * (1 / likeness - 1) for share in (fpr, 1 - fpr))
    return np.asarray(np.exp(ways + special.betaln(k + a, n - k + b) - special.betaln(a, b)))


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two TPRs at one FPR, on the same records."""

    first: Mixture
    second: Mixture
    correlation: float

    @property
    def difference(self) -> float:
        return self.first.value - self.second.value

    def low(self, tail: float) -> float:
        """Lower end of the difference with that error below."""
        below = max(0.0, self.first.value - self.first.quantile(tail))
        return max(-1.0, self.difference - self._reach(below, self.second.quantile(1 - tail) - self.second.value))

    def high(self, tail: float) -> float:
        """Upper end of the difference with that error above."""
        above = max(0.0, self.first.quantile(1 - tail) - self.first.value)
        return min(1.0, self.difference + self._reach(above, self.second.value - self.second.quantile(tail)))

    def _reach(self, one: float, other: float) -> float:
        other = max(0.0, other)
        return math.sqrt(max(0.0, one**2 - 2 * self.correlation * one * other + other**2))


def _pair(first: Sides, second: Sides, fpr: float, confidence: float) -> _Pair:
    one, other = mixture(first, fpr, confidence), mixture(second, fpr, confidence)
    thresholds = [threshold_at(sides.nonmembers.values, fpr) for sides in (first, second)]
    alike = [
        _correlation(a.values > thresholds[0], b.values > thresholds[1], a.clusters)
        for a, b in ((first.members, second.members), (first.nonmembers, second.nonmembers))
    ]
    shared = alike[0] * math.sqrt(one.sampling_variance * other.sampling_variance)
    shared += alike[1] * math.sqrt(one.threshold_variance * other.threshold_variance)
    total = math.sqrt(
        (one.sampling_variance + one.threshold_variance) * (other.sampling_variance + other.threshold_variance)
    )
    return _Pair(one, other, max(-1.0, min(1.0, shared / total)))


def _correlation(one: NDArray[np.bool_], other: NDArray[np.bool_], clusters: tuple[str, ...]) -> float:
    """Correlation of two shares over the same clusters; 0 where one of them does not vary."""
    codes = cluster_numbers(clusters)
    sums = [np.bincount(codes, weights=outcome - outcome.mean()) for outcome in (one, other)]
    scale = math.sqrt(float(np.square(sums[0]).sum()) * float(np.square(sums[1]).sum()))
    return float(np.sum(sums[0] * sums[1])) / scale if scale > 0 else 0.0


def _p_value(low: Callable[[float], float]) -> float:
    """The tail at which an interval's lower end reaches 0."""
    if low(_LEAST_TAIL) > 0:
        return _LEAST_TAIL

    def excess(logit: float) -> float:
        return low(float(special.expit(logit)))

    start, end = (float(special.logit(tail)) for tail in (_LEAST_TAIL, 0.5 - 1e-6))
    return float(special.expit(optimize.brentq(excess, start, end, xtol=1e-3)))
