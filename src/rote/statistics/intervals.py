"""Rates, means and ratios with their intervals, and what can be said of nothing. Statistics only, no I/O.

Subjects of one duplicate group are no independent evidence: every interval here takes clusters. Nothing is estimated
from fewer clusters than could show an event that happens every second time (`too_few`): such an estimate is refused,
with the reason, and never turned into 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rote.statistics.subjects import check_subjects

LEAST_USEFUL_RATE = 0.5
"""Where even a rate of one half could have shown no event, nothing is estimated: under 5 clusters at 95 %."""
RESAMPLES = 2000
MAX_UNITS = 500
"""More clusters than this are dealt at random into so many resampling units: same variance, bounded work."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A value with its confidence interval; all three are None if and only if a reason is given."""

    value: float | None
    low: float | None
    high: float | None
    method: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """The ends of an interval."""

    low: float
    high: float


def smallest_detectable_rate(n: int, confidence: float = 0.95) -> float:
    """The rate that would have shown at least one event among n independent subjects with that probability.

    1 − (1 − confidence)^(1/n): what "none of n" still allows. Range 0..1, falls with n.

    >>> round(smallest_detectable_rate(150), 4)
    0.0198

    Raises:
        ValueError: n is below 1, or the confidence is not inside 0..1.
    """
    if n < 1:
        raise ValueError(f"Expected n >= 1, got {n}")
    _check_confidence(confidence)
    return -math.expm1(math.log1p(-confidence) / n)


def power_sentence(n: int, confidence: float = 0.95) -> str:
    """What n independent records can show, in words.

    >>> power_sentence(150)
    'With 150 independent records, a rate below 1.98 % may show no event at all (95 % confidence).'
    >>> power_sentence(0)
    'With no record, no rate can be shown.'
    """
    if n < 1:
        return "With no record, no rate can be shown."
    percent, noun = smallest_detectable_rate(n, confidence) * 100, "record" if n == 1 else "records"
    return (
        f"With {n} independent {noun}, a rate below {percent:.3g} % may show no event at all "
        f"({confidence * 100:g} % confidence)."
    )


def too_few(clusters: int, confidence: float = 0.95) -> str | None:
    """Why nothing is estimated from so few independent subjects; None where there are enough.

    >>> too_few(4)
    'only 4 independent records; at least 5 are needed'
    """
    needed = math.ceil(math.log1p(-confidence) / math.log1p(-LEAST_USEFUL_RATE))
    return None if clusters >= needed else f"only {clusters} independent records; at least {needed} are needed"


def wilson(events: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a rate of independent subjects. Source: Wilson (1927).

    Range 0..1, never empty at 0 or n events. Refused for n = 0.

    >>> round(wilson(0, 10).high, 4)
    0.2775
    """
    _check_confidence(confidence)
    if not 0 <= events <= n:
        raise ValueError(f"Expected 0 <= events <= n, got events={events}, n={n}")
    if n == 0:
        return _refused("Wilson", "no subject was measured")
    found = wilson_bounds(events / n, n, confidence=confidence)
    return Interval(events / n, found.low, found.high, "Wilson")


def clopper_pearson(events: int, n: int, *, confidence: float = 0.95) -> Interval:
    """The exact interval of a rate of independent subjects: covers at least `confidence`, often more.

    Source: Clopper and Pearson (1934). Refused for n = 0.
    """
    _check_confidence(confidence)
    if not 0 <= events <= n:
        raise ValueError(f"Expected 0 <= events <= n, got events={events}, n={n}")
    if n == 0:
        return _refused("Clopper-Pearson", "no subject was measured")
    found = exact_bounds(events / n, n, confidence=confidence)
    return Interval(events / n, found.low, found.high, "Clopper-Pearson")


def intraclass_correlation(values: Sequence[float], clusters: Sequence[str]) -> float:
    """How alike the values of one cluster are: 0 (no more than any two values) to 1 (copies of each other).

    The analysis-of-variance estimate (MSB − MSW) / (MSB + (n0 − 1) · MSW), n0 = (n − Σ size² / n) / (clusters − 1), cut to
    0..1. Source: Donner (1986). 1 where all values are equal or there is one cluster, because nothing tells it then.

    >>> intraclass_correlation([1, 1, 0, 0, 1, 1], ["a", "a", "b", "b", "c", "c"])
    1.0
    """
    check_subjects(clusters, values=values)
    return _likeness(np.asarray(values, dtype=np.float64), cluster_numbers(clusters))


def effective_sample_size(values: Sequence[float], clusters: Sequence[str]) -> float:
    """How many independent subjects the values of clustered subjects are worth, for their mean: 1..n.

    n / (1 + ICC · (Σ size² / n − 1)), with the intraclass correlation of the values (Kish 1965). From n² / Σ size²
    (subjects of a cluster are copies of each other) to n.

    >>> effective_sample_size([1, 1, 0, 0, 1, 1], ["a", "a", "b", "b", "c", "c"])
    3.0
    """
    check_subjects(clusters, values=values)
    codes = cluster_numbers(clusters)
    return _effective(codes, _likeness(np.asarray(values, dtype=np.float64), codes))


def rate(outcomes: Sequence[bool], clusters: Sequence[str], *, confidence: float = 0.95) -> Interval:
    """Share of true outcomes; Wilson's interval at the effective sample size of the clusters.

    Refused where there are too few clusters (`too_few`). With one subject in each cluster it is plain Wilson.
    Simulated coverage by rate, likeness and cluster sizes: `benchmarks/intervals.py`.
    """
    check_subjects(clusters, outcomes=outcomes)
    method = "Wilson, clustered by duplicate group"
    refused = refusal(clusters, confidence)
    if refused:
        return _refused(method, refused)
    share = sum(outcomes) / len(outcomes)
    n = interval_size([float(outcome) for outcome in outcomes], clusters, confidence)
    found = wilson_bounds(share, n, confidence=confidence)
    return Interval(share, found.low, found.high, method)


def exact_rate(outcomes: Sequence[bool], clusters: Sequence[str], *, confidence: float = 0.95) -> Interval:
    """Share of true outcomes; the exact interval (Clopper-Pearson) at the effective sample size of the clusters.

    Covers at least `confidence` where each subject is its own cluster; with clusters as near to it as their design
    effect can be told (Korn, Graubard 1998). Refused for no outcome; whether there are enough is for the caller to say.
    """
    check_subjects(clusters, outcomes=outcomes)
    method = "Clopper-Pearson, clustered by duplicate group"
    if not outcomes:
        return _refused(method, "no subject was measured")
    share = sum(outcomes) / len(outcomes)
    clustered = 1 < len(set(clusters)) < len(outcomes)
    n = (
        interval_size([float(outcome) for outcome in outcomes], clusters, confidence)
        if clustered
        else len(set(clusters))
    )
    found = exact_bounds(share, n, confidence=confidence)
    return Interval(share, found.low, found.high, method)


def mean(
    values: Sequence[float],
    clusters: Sequence[str],
    *,
    confidence: float = 0.95,
    least: float = -math.inf,
    most: float = math.inf,
    seed: int = 0,
) -> Interval:
    """Mean of the values; bootstrap interval over clusters. The ratio (see `ratio`) over a denominator of 1 each."""
    return ratio(values, [1.0] * len(values), clusters, confidence=confidence, least=least, most=most, seed=seed)


def geometric_mean(
    values: Sequence[float],
    clusters: Sequence[str],
    *,
    confidence: float = 0.95,
    least: float = 0.0,
    most: float = math.inf,
) -> Interval:
    """exp of the mean of the logarithms of values > 0, and of the ends of that mean's interval (see `ratio`)."""
    check_subjects(clusters, values=values)
    logs = [math.log(value) for value in values]
    ends = [math.log(end) if 0 < end < math.inf else math.copysign(math.inf, end - 0.5) for end in (least, most)]
    found = mean(logs, clusters, confidence=confidence, least=ends[0], most=ends[1])
    value, low, high = (None if end is None else math.exp(end) for end in (found.value, found.low, found.high))
    return Interval(value, low, high, found.method, found.reason)


def median(values: Sequence[float], clusters: Sequence[str], *, confidence: float = 0.95) -> Interval:
    """The lower median, and the values at Wilson's bounds of the share 1/2, at the effective sample size of the clusters.

    Source: Woodruff (1952). Values may be infinite: an infinite end is no end (None); an infinite median is refused.
    """
    check_subjects(clusters, values=values)
    method = "Woodruff, clustered by duplicate group"
    refused = refusal(clusters, confidence)
    if refused:
        return _refused(method, refused)
    ordered = np.sort(np.asarray(values, dtype=np.float64))
    middle = float(ordered[(len(ordered) - 1) // 2])
    if math.isinf(middle):
        return _refused(method, "infinite for more than half of the records")
    n = interval_size([float(value <= middle) for value in values], clusters, confidence)
    bounds = wilson_bounds(0.5, n, confidence=confidence)
    low = ordered[max(0, math.ceil(bounds.low * len(ordered)) - 1)]
    high = ordered[min(len(ordered) - 1, math.ceil(bounds.high * len(ordered)) - 1)]
    ends = [float(end) if math.isfinite(end) else None for end in (low, high)]
    return Interval(middle, ends[0], ends[1], method)


def ratio(
    numerators: Sequence[float],
    denominators: Sequence[float],
    clusters: Sequence[str],
    *,
    confidence: float = 0.95,
    least: float = -math.inf,
    most: float = math.inf,
    seed: int = 0,
) -> Interval:
    """Sum of the numerators over sum of the denominators; percentile bootstrap over clusters.

    Whole clusters are drawn with replacement (2,000 times, seeded). The quantiles are moved outwards as a t interval
    is wider than a normal one (Hesterberg 2015, "expanded percentile"). Where no resample differs, the bootstrap would
    claim certainty; instead the share of unlike clusters that Wilson still allows is put at `least` and `most`. Covers
    about 95 % from some 30 clusters; with fewer and skewed values, or with few of unequal weight, nearer to 90 %.

    Args:
        numerators: of each subject.
        denominators: of each subject, not negative.
        clusters: of each subject.
        confidence: level.
        least: smallest ratio that a subject can have.
        most: largest ratio that a subject can have.
        seed: of the resampling.

    Returns:
        Refused where there are too few clusters, or the denominators sum to 0.
    """
    check_subjects(clusters, numerators=numerators, denominators=denominators)
    method = f"bootstrap of duplicate groups, {RESAMPLES} resamples"
    refused = refusal(clusters, confidence)
    if refused is None and sum(denominators) == 0:
        refused = "nothing to divide by: all denominators are 0"
    if refused:
        return _refused(method, refused)
    codes = cluster_numbers(clusters)
    groups = int(codes.max()) + 1
    units = min(groups, MAX_UNITS)
    dealt = np.random.default_rng(seed).permutation(groups) % units if groups > units else np.arange(groups)
    tops = np.bincount(dealt[codes], weights=np.asarray(numerators, dtype=np.float64))
    bottoms = np.bincount(dealt[codes], weights=np.asarray(denominators, dtype=np.float64))
    value = float(tops.sum() / bottoms.sum())
    drawn = _resamples(units, seed)
    # Not by BLAS, whose last digits depend on the number of threads.
    above, below = (np.einsum("ru,u->r", drawn, part) for part in (tops, bottoms))
    low, high = _expanded_percentiles(above[below > 0] / below[below > 0], units, confidence)
    if high - low <= 1e-12 * max(1.0, abs(value)):
        share = wilson_bounds(0.0, groups, confidence=confidence).high
        low, high = (value + share * (end - value) if math.isfinite(end) else value for end in (least, most))
        method = "no variation seen; Wilson's allowance for unseen duplicate groups"
    return Interval(value, min(low, value), max(high, value), method)


def interval_size(values: Sequence[float], clusters: Sequence[str], confidence: float) -> float:
    """The effective sample size, a little less for few clusters: their likeness is an estimate (Korn, Graubard 1998).

    It is multiplied by the square of the ratio of two t quantiles, of n − 1 degrees of freedom and of those of the clusters:
    n / (1 + ICC · (n / clusters − 1)) − 1, which is n − 1 where a cluster's subjects are independent, and clusters − 1
    where they are copies.
    """
    n, groups, tail = len(values), len(set(clusters)), 0.5 - confidence / 2
    if groups == n:
        return float(n)
    codes = cluster_numbers(clusters)
    likeness = _likeness(np.asarray(values, dtype=np.float64), codes)
    freedom = max(1.0, n / (1 + likeness * (n / groups - 1)) - 1)
    shrunk = float(special.stdtrit(n - 1, tail) / special.stdtrit(freedom, tail))
    return _effective(codes, likeness) * shrunk**2


def _effective(codes: NDArray[np.int64], likeness: float) -> float:
    n = len(codes)
    return n / (1 + likeness * (float(np.square(np.bincount(codes)).sum()) / n - 1))


def _likeness(x: _Floats, codes: NDArray[np.int64]) -> float:
    sizes = np.bincount(codes)
    n, groups = len(x), len(sizes)
    if groups == 1:
        return 1.0
    if groups == n:
        return 0.0
    means = np.bincount(codes, weights=x) / sizes
    between = float(np.sum(sizes * np.square(means - x.mean()))) / (groups - 1)
    within = float(np.square(x - means[codes]).sum()) / (n - groups)
    usual_size = (n - float(np.square(sizes).sum()) / n) / (groups - 1)
    total = between + (usual_size - 1) * within
    return min(1.0, max(0.0, (between - within) / total)) if total > 0 else 1.0


def wilson_bounds(share: float, n: float, *, confidence: float) -> Bounds:
    """Wilson's score interval of a share among n > 0 (effective) subjects."""
    _check_confidence(confidence)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At 0 and 1 the exact bound is the share itself; rounding must not push it past.
    return Bounds(max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def exact_bounds(share: float, n: float, *, confidence: float) -> Bounds:
    """Clopper and Pearson's interval of a share among n > 0 (effective) subjects."""
    _check_confidence(confidence)
    events, tail = share * n, (1 - confidence) / 2
    low = float(special.betaincinv(events, n - events + 1, tail)) if share > 0 else 0.0
    high = float(special.betaincinv(events + 1, n - events, 1 - tail)) if share < 1 else 1.0
    return Bounds(min(low, share), max(high, share))


@lru_cache(maxsize=16)
def _resamples(units: int, seed: int) -> _Floats:
    """How often each unit is drawn in each resample ("resample unit"); the many estimates of a run share it."""
    rng = np.random.default_rng((seed, units))
    return rng.multinomial(units, np.full(units, 1 / units), size=RESAMPLES).astype(np.float64)


def _expanded_percentiles(ratios: _Floats, units: int, confidence: float) -> tuple[float, float]:
    t = float(special.stdtrit(units - 1, 0.5 - confidence / 2))
    tail = NormalDist().cdf(math.sqrt(units / (units - 1)) * t)
    low, high = np.quantile(ratios, [tail, 1 - tail])
    return float(low), float(high)


def refusal(clusters: Sequence[str], confidence: float) -> str | None:
    """Why nothing is estimated from subjects of these clusters; None where they are enough."""
    _check_confidence(confidence)
    return too_few(len(set(clusters)), confidence) if clusters else "no subject was measured"


def _refused(method: str, reason: str) -> Interval:
    return Interval(None, None, None, method, reason)


def cluster_numbers(clusters: Sequence[str]) -> NDArray[np.int64]:
    """Numbers of the clusters, in the order of their names."""
    numbers = {name: number for number, name in enumerate(sorted(set(clusters)))}
    return np.array([numbers[name] for name in clusters], dtype=np.int64)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"Expected 0 < confidence < 1, got {confidence}")
