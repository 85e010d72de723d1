"""Tests and their correction: permutation of whole duplicate groups, Holm, Benjamini-Hochberg. Statistics only, no I/O."""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rote.statistics.intervals import cluster_numbers
from rote.statistics.subjects import check_p_values, check_subjects

PERMUTATIONS = 9_999
DRAWN_AT_MOST = 8_000_000
"""Group × permutation; with more groups there are fewer permutations (999 at least): bounded time and memory."""

Floats = NDArray[np.float64]


def midranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share the mean of their ranks.

    >>> midranks(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks


def permutation_test(values: Floats, is_first: NDArray[np.bool_], clusters: Sequence[str], *, seed: int = 0) -> float:
    """One-sided p: could it be chance that the first group's values are larger (by their mean rank)?

    Unpaired. The labels of whole clusters are dealt anew (9,999 times, seeded); p = (1 + as large or larger) / (1 + n), which
    is never 0 and holds its level exactly, whatever the distribution. A cluster must lie in one group. With one subject
    in each cluster it is the permutation form of the Wilcoxon-Mann-Whitney test. 1.0 where a group is empty.
    """
    check_subjects(clusters, values=values, is_first=is_first)
    codes = cluster_numbers(clusters)
    sizes = np.bincount(codes).astype(np.float64)
    of_first = np.bincount(codes, weights=is_first) / sizes
    if set(np.unique(of_first)) - {0.0, 1.0}:
        raise ValueError("Expected every cluster in one group, got one that lies in both")
    first = int(of_first.sum())
    if not 0 < first < len(sizes):
        return 1.0
    sums = np.bincount(codes, weights=midranks(values))
    # Ranks are halves and small: these sums are exact in any order.
    drawn, found = (
        _area(labels @ sums, labels @ sizes, len(values))
        for labels in (_dealt(len(sizes), first, seed), of_first[None])
    )
    return (1 + int(np.sum(drawn >= found[0] - 1e-12))) / (1 + len(drawn))


def paired_permutation_test(contributions: Floats, clusters: Sequence[str], *, seed: int = 0) -> float:
    """One-sided p: could it be chance that the contributions of paired subjects add up to so much?

    The signs of whole clusters are turned at random (9,999 times, seeded): what exchanging the two members of a pair does to
    their difference. p = (1 + as large or larger) / (1 + n). 1.0 without contributions.
    """
    check_subjects(clusters, contributions=contributions)
    if not len(contributions):
        return 1.0
    sums = np.bincount(cluster_numbers(clusters), weights=contributions)
    signs = _signs(len(sums), seed)
    drawn = np.einsum("rc,c->r", signs, sums)
    slack = 1e-9 * float(np.abs(sums).sum())
    return (1 + int(np.sum(drawn >= float(sums.sum()) - slack))) / (1 + len(drawn))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values, corrected for their number: the chance of any false alarm among all is at most the level.

    Step-down, monotone, at most 1; in the order given. Source: Holm (1979).

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    check_p_values(p_values)
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    stepped = np.minimum(1.0, np.maximum.accumulate(np.asarray(p_values, dtype=np.float64)[order] * factors))
    return [float(p) for p in stepped[np.argsort(order, kind="stable")]]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """The p-values, corrected for their number: of those at most q, the share of false alarms is at most q on average.

    Step-up, monotone, at most 1; in the order given. Source: Benjamini and Hochberg (1995).

    >>> benjamini_hochberg([0.01, 0.04, 0.03])
    [0.03, 0.04, 0.04]
    """
    check_p_values(p_values)
    order = np.argsort(p_values, kind="stable")[::-1]
    factors = len(p_values) / np.arange(len(p_values), 0, -1)
    stepped = np.minimum(1.0, np.minimum.accumulate(np.asarray(p_values, dtype=np.float64)[order] * factors))
    return [float(p) for p in stepped[np.argsort(order, kind="stable")]]


def twice_the_median(p_values: Sequence[float]) -> float:
    """One p-value of several that depend on each other in an unknown way (random splits of the same data).

    min(1, 2 · median), valid for any dependence. Source: Meinshausen, Meier and Bühlmann (2009), with γ = 1/2.
    """
    check_p_values(p_values)
    return min(1.0, 2 * float(np.quantile(p_values, 0.5, method="higher")))


def welch_test(first: Floats, second: Floats) -> float:
    """One-sided p of Welch's t-test: is the mean of the first larger? Needs two values in each.

    Without any spread: 0 where the first is larger, else 1. Source: Welch (1947).
    """
    if np.isnan(first).any() or np.isnan(second).any():
        raise ValueError("Expected numbers on both sides, got some that are NaN")
    parts = [float(np.var(side, ddof=1)) / len(side) for side in (first, second)]
    difference, variance = float(np.mean(first)) - float(np.mean(second)), sum(parts)
    if variance == 0:
        return 0.0 if difference > 0 else 1.0
    freedom = variance**2 / sum(part**2 / (len(side) - 1) for part, side in zip(parts, (first, second), strict=True))
    return float(special.stdtr(freedom, -difference / math.sqrt(variance)))


def _area(sums: Floats, firsts: Floats, total: int) -> Floats:
    """Area under the ROC from the first group's rank sum and size."""
    return (sums - firsts * (firsts + 1) / 2) / (firsts * (total - firsts))


@lru_cache(maxsize=2)
def _dealt(clusters: int, first: int, seed: int) -> Floats:
    """Which clusters are in the first group, at random ("permutation cluster"); the many scores of a run share it."""
    rng = np.random.default_rng((seed, clusters, first))
    labels = np.zeros((_repeats(clusters), clusters), dtype=np.float64)
    labels[:, :first] = 1.0
    return rng.permuted(labels, axis=1, out=labels)


@lru_cache(maxsize=2)
def _signs(clusters: int, seed: int) -> Floats:
    rng = np.random.default_rng((seed, clusters))
    signs: Floats = rng.choice([-1.0, 1.0], size=(_repeats(clusters), clusters))
    return signs


def _repeats(clusters: int) -> int:
    return max(999, min(PERMUTATIONS, DRAWN_AT_MOST // clusters))
