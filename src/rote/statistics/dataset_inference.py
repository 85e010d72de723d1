"""Dataset inference: was the set of members trained on, taken as a whole? Statistics only, no I/O."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rote.statistics.intervals import cluster_numbers
from rote.statistics.tests import twice_the_median, welch_test

HALVINGS = 25
"""Random halves; one of them alone would make the result a matter of the seed."""
CLIPPED = 0.025
"""Share of either tail of a feature that is drawn in."""
RIDGE = 1.0
LEAST_GROUPS = 20
"""Independent records that are needed on each side: half of them are for fitting."""

Floats = NDArray[np.float64]


def dataset_inference(
    features: Floats, is_member: NDArray[np.bool_], clusters: Sequence[str], *, seed: int = 0
) -> float:
    """One-sided p of "the members score no more like trained-on texts than the non-members".

    Features are membership scores. On one half of the duplicate groups of either side they are clipped (2.5 % at each end),
    standardised and weighted by ridge regression of membership; on the other half the means of the weighted sum over
    each group are compared by Welch's t-test. 25 random halvings, joined by twice the median of their p-values. Source:
    Maini et al. 2024 (2406.06443), section 5, who use one halving, least squares, and p < 0.1. It says something of training
    only where both sides are alike otherwise: see the blind baseline.

    Args:
        features: "record score", all finite.
        is_member: of each record.
        clusters: duplicate group of each record; a group lies on one side.
        seed: of the halvings.
    """
    codes = cluster_numbers(clusters)
    sizes = np.bincount(codes)
    groups = np.stack([np.bincount(codes, weights=column) / sizes for column in features.T], axis=1)
    labels = np.bincount(codes, weights=is_member) / sizes > 0.5
    rng = np.random.default_rng(seed)
    return twice_the_median([_halving(groups, labels, rng) for _ in range(HALVINGS)])


def too_few_groups(members: int, nonmembers: int) -> str | None:
    """Why the test is not made with so many groups; None where there are enough.

    >>> too_few_groups(12, 40)
    'only 12 and 40 independent members and non-members; at least 20 of each are needed'
    """
    if min(members, nonmembers) >= LEAST_GROUPS:
        return None
    found = f"only {members} and {nonmembers} independent members and non-members"
    return f"{found}; at least {LEAST_GROUPS} of each are needed"


def _halving(groups: Floats, labels: NDArray[np.bool_], rng: np.random.Generator) -> float:
    """The p-value of one random halving: weights from the first half of either side, the test on the second."""
    fits = np.zeros(len(labels), dtype=np.bool_)
    for side in (True, False):
        places = rng.permutation(np.flatnonzero(labels == side))
        fits[places[: len(places) // 2]] = True
    low, high = np.quantile(groups[fits], [CLIPPED, 1 - CLIPPED], axis=0)
    clipped = np.clip(groups, low, high)
    spread = clipped[fits].std(axis=0)
    standard = (clipped - clipped[fits].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    targets = labels[fits] - labels[fits].mean()
    weights = np.linalg.solve(
        standard[fits].T @ standard[fits] + RIDGE * np.eye(standard.shape[1]), standard[fits].T @ targets
    )
    sums = standard[~fits] @ weights
    return welch_test(sums[labels[~fits]], sums[~labels[~fits]])
