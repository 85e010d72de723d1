"""Paired comparisons: two yes-or-no outcomes of the same subjects. Statistics only, no I/O."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from rote.statistics.intervals import Bounds, cluster_numbers, interval_size, refusal, wilson_bounds
from rote.statistics.subjects import check_subjects


@dataclass(frozen=True, slots=True)
class PairedDifference:
    """Two yes-or-no outcomes of the same subjects: the four counts, the difference of the rates, and its test."""

    both: int
    only_first: int
    only_second: int
    neither: int
    difference: float
    """Rate of the first minus rate of the second."""
    low: float
    high: float
    p_value: float
    method: str


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p of McNemar's test: are discordant pairs as often one way as the other?

    min(1, 2·P[Binomial(n, 1/2) ≤ smaller count]), n the number of discordant pairs; 1.0 without any. Exact for every
    n, so no continuity correction is needed. Source: McNemar (1947).

    >>> mcnemar(10, 0)
    0.001953125
    """
    pairs = only_first + only_second
    if min(only_first, only_second) < 0:
        raise ValueError(f"Expected counts >= 0, got {only_first} and {only_second}")
    return min(1.0, 2 * float(special.bdtr(min(only_first, only_second), pairs, 0.5))) if pairs else 1.0


def paired_difference(
    first: Sequence[bool], second: Sequence[bool], clusters: Sequence[str], *, confidence: float = 0.95
) -> PairedDifference | None:
    """Compares two yes-or-no outcomes of the same subjects; None where there are too few clusters (`too_few`).

    The interval of the difference is Newcombe's (1998, method 10) at the effective sample size of the clustered
    differences: it is not empty where the two never differ. The test is McNemar's, exact, with one vote for each
    cluster that leans one way; with one subject in each cluster these are the discordant pairs themselves.
    """
    check_subjects(clusters, first=first, second=second)
    if refusal(clusters, confidence):
        return None
    x, y = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    both, only_first, only_second, neither = (int(np.sum(cell)) for cell in (x & y, x & ~y, ~x & y, ~x & ~y))
    differences = x.astype(np.float64) - y.astype(np.float64)
    n = interval_size(differences.tolist(), clusters, confidence)
    found = _newcombe([count / len(x) for count in (both, only_first, only_second, neither)], n, confidence)
    leaning = np.bincount(cluster_numbers(clusters), weights=differences)
    difference = (only_first - only_second) / len(x)
    return PairedDifference(
        both=both,
        only_first=only_first,
        only_second=only_second,
        neither=neither,
        difference=difference,
        low=min(found.low, difference),
        high=max(found.high, difference),
        p_value=mcnemar(int(np.sum(leaning > 0)), int(np.sum(leaning < 0))),
        method="Newcombe at the effective sample size; exact McNemar, one vote per duplicate group",
    )


def _newcombe(shares: Sequence[float], n: float, confidence: float) -> Bounds:
    """Interval of the difference of two paired rates, from the shares of both, only first, only second, neither."""
    both, only_first, only_second, neither = shares
    p, q = both + only_first, both + only_second
    around_p, around_q = (wilson_bounds(min(1.0, share), n, confidence=confidence) for share in (p, q))
    scale = math.sqrt(max(0.0, p * (1 - p) * q * (1 - q)))
    covariance = both * neither - only_first * only_second
    # Newcombe's continuity correction shrinks a positive correlation only.
    corrected = max(covariance - 1 / (2 * n), 0.0) if covariance > 0 else covariance
    correlation = corrected / scale if scale > 0 else 0.0

    def reach(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one**2 - 2 * correlation * one * other + other**2))

    low = p - q - reach(p - around_p.low, around_q.high - q)
    return Bounds(low, p - q + reach(around_p.high - p, q - around_q.low))
