"""Differences of two true-positive rates: the parts of the formula by hand and against plain numpy."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from rote.statistics import separation
from rote.statistics.operating_points import (
    _correlation,
    _Pair,
    _pair,
    mixture,
    threshold_at,
    tpr_difference,
    tpr_difference_p_value,
)
from rote.statistics.power import attack_power_sentence, smallest_detectable_auc, smallest_detectable_tpr
from rote.statistics.separation import Side, Sides, auc, auc_difference_p_value, identified_share

RNG = np.random.default_rng(3)
CLUSTERS = tuple(str(number // 2) for number in range(80))


def sides(shift: float, *, noise: float, seed: int = 0, members: int = 80) -> Sides:
    """A score that finds members the better the larger the shift; its noise is of this score alone."""
    rng = np.random.default_rng(seed)
    common = np.random.default_rng(99).normal(size=members + 60)
    values = common + noise * rng.normal(size=members + 60)
    values[:members] += shift
    return Sides(Side(values[:members], CLUSTERS[:members]), Side(values[members:], tuple(map(str, range(60)))))


STRONG, WEAK = sides(2.0, noise=0.3, seed=1), sides(0.7, noise=0.6, seed=2)


def by_cluster(outcomes: Sequence[bool], clusters: Sequence[str]) -> dict[str, float]:
    middle = sum(outcomes) / len(outcomes)
    sums = dict.fromkeys(clusters, 0.0)
    for outcome, cluster in zip(outcomes, clusters, strict=True):
        sums[cluster] += outcome - middle
    return sums


def test_the_correlation_of_two_shares_is_that_of_their_clusters_sums() -> None:
    one, other = RNG.random(40) < 0.6, RNG.random(40) < 0.3
    clusters = tuple("abcdefghij"[number % 10] for number in range(40))
    sums = [list(by_cluster(outcomes.tolist(), clusters).values()) for outcomes in (one, other)]
    expected = np.dot(*sums) / math.sqrt(np.dot(sums[0], sums[0]) * np.dot(sums[1], sums[1]))
    assert abs(expected) > 0.05
    assert _correlation(one, other, clusters) == pytest.approx(expected)
    assert _correlation(one, one, clusters) == pytest.approx(1.0)
    assert _correlation(one, ~one, clusters) == pytest.approx(-1.0)
    assert _correlation(np.ones(40, dtype=np.bool_), other, clusters) == 0.0
    small = np.array([True, False, False, False])
    assert _correlation(small, small, ("a", "b", "c", "d")) == pytest.approx(1.0), "sums of squares under 1"


def test_the_correlation_of_two_rates_weighs_members_and_threshold() -> None:
    pair, one, other = _pair(STRONG, WEAK, 0.1, 0.9), mixture(STRONG, 0.1, 0.9), mixture(WEAK, 0.1, 0.9)
    alike = []
    for first, second in ((STRONG.members, WEAK.members), (STRONG.nonmembers, WEAK.nonmembers)):
        over = [
            part.values > threshold_at(whole.nonmembers.values, 0.1)
            for part, whole in ((first, STRONG), (second, WEAK))
        ]
        alike.append(_correlation(over[0], over[1], first.clusters))
    assert all(value > 0.1 for value in alike)
    shared = alike[0] * math.sqrt(one.sampling_variance * other.sampling_variance)
    shared += alike[1] * math.sqrt(one.threshold_variance * other.threshold_variance)
    variances = [rate.sampling_variance + rate.threshold_variance for rate in (one, other)]
    assert pair.correlation == pytest.approx(shared / math.sqrt(variances[0] * variances[1]))
    assert (pair.first.value, pair.second.value) == (one.value, other.value)


@pytest.mark.parametrize("correlation", [-0.5, 0.0, 0.5])
def test_two_rates_are_joined_by_square_and_add(correlation: float) -> None:
    one, other, tail = mixture(STRONG, 0.1), mixture(WEAK, 0.1), 0.025
    pair = _Pair(one, other, correlation)

    def reach(a: float, b: float) -> float:
        return math.sqrt(a * a - 2 * correlation * a * b + b * b)

    below, above = one.value - one.quantile(tail), one.quantile(1 - tail) - one.value
    under, over = other.value - other.quantile(tail), other.quantile(1 - tail) - other.value
    assert min(below, under, over) > 0
    assert pair.low(tail) == pytest.approx(pair.difference - reach(below, over))
    assert pair.high(tail) == pytest.approx(min(1.0, pair.difference + reach(max(0.0, above), under)))


def test_the_ends_of_a_difference_stay_within_minus_one_and_one() -> None:
    clear, none = sides(9.0, noise=0.1), sides(-9.0, noise=0.1)
    found = tpr_difference(clear, none, 0.1)
    assert (found.value, found.high) == (1.0, 1.0)
    assert tpr_difference(none, clear, 0.1).low == -1.0
    assert found.method == "square-and-add of two true-positive rates with their correlation"
    few = Sides(clear.members, Side(clear.nonmembers.values[:12], clear.nonmembers.clusters[:12]))
    refused = tpr_difference(few, few, 0.1)
    assert refused.value is None
    assert refused.method == found.method
    assert "non-members" in str(refused.reason)


def test_the_test_of_a_difference_is_where_its_interval_begins_above_zero() -> None:
    p = tpr_difference_p_value(STRONG, WEAK, 0.1)
    assert 0 < p < 0.05
    assert _pair(STRONG, WEAK, 0.1, 0.95).low(p) == pytest.approx(0.0, abs=2e-3)
    assert tpr_difference_p_value(WEAK, STRONG, 0.1) == pytest.approx(1 - p, abs=0.02)
    assert tpr_difference_p_value(STRONG, STRONG, 0.1) == 0.5
    assert tpr_difference_p_value(sides(9.0, noise=0.1), sides(-9.0, noise=0.1), 0.1) < 1e-6


def test_the_test_of_two_areas_exchanges_what_the_areas_differ_by(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def watched(contributions: np.ndarray, clusters: Sequence[str], *, seed: int) -> float:
        seen.append((contributions, tuple(clusters), seed))
        return 0.25

    monkeypatch.setattr(separation, "paired_permutation_test", watched)
    assert auc_difference_p_value(STRONG, WEAK, seed=7) == 0.25
    (contributions, clusters, seed), total = seen[0], 80 + 60
    assert (clusters, seed) == (STRONG.clusters, 7)
    # The area is (mean rank of the members - mean rank of the non-members) / all + 1/2.
    assert contributions.sum() / total == pytest.approx(auc(STRONG).value - auc(WEAK).value)  # type: ignore[operator]


def test_identified_members_need_controls_for_the_rate_that_was_asked_for() -> None:
    few = Sides(STRONG.members, Side(STRONG.nonmembers.values[:20], STRONG.nonmembers.clusters[:20]))
    assert identified_share(few, fdr=0.05).value is not None
    assert identified_share(few, fdr=0.05).method == "Benjamini-Hochberg at 5 % over conformal p-values"
    refused = identified_share(few, fdr=0.04)
    assert refused.reason == "only 20 independent non-members; a false-discovery rate of 4 % needs 25"
    assert refused.method == "Benjamini-Hochberg at 4 % over conformal p-values"
    strict, lenient = (identified_share(WEAK, fdr=fdr).value for fdr in (0.05, 0.5))
    assert strict < lenient  # type: ignore[operator]


def test_the_least_share_that_can_be_detected_is_the_first_whose_interval_lies_over_chance() -> None:
    assert smallest_detectable_tpr(200, 200, 0.1) == 0.165
    assert smallest_detectable_tpr(200, 200, 0.1, 0.99) > 0.165  # type: ignore[operator]
    assert smallest_detectable_tpr(1, 10_000, 0.01) == 1.0, "one member: found or not"
    assert smallest_detectable_tpr(3, 4, 0.5) is None
    assert attack_power_sentence(200, 200) != attack_power_sentence(200, 200, 0.8)


def test_the_least_area_by_hand() -> None:
    """z of 95 % and of 80 %, times the spread of the Mann-Whitney statistic without separation."""
    spread = math.sqrt((40 + 25 + 1) / (12 * 40 * 25))
    assert smallest_detectable_auc(40, 25) == pytest.approx(0.5 + (1.6448536 + 0.8416212) * spread, abs=1e-6)
    assert smallest_detectable_auc(2, 2) == 1.0
    with pytest.raises(ValueError, match="Expected at least one on each side, got 0 and 5"):
        smallest_detectable_auc(0, 5)
