"""Intervals and tests: known values, laws, refusals, and coverage in simulations with a known truth."""

import doctest
import math
from collections.abc import Callable
from statistics import NormalDist
from types import ModuleType

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from scipy.stats import t as student

from rote.scoring import outcomes, overlap
from rote.statistics import intervals as estimation
from rote.statistics import pairs
from rote.statistics.intervals import (
    Interval,
    clopper_pearson,
    effective_sample_size,
    exact_rate,
    geometric_mean,
    mean,
    median,
    power_sentence,
    rate,
    ratio,
    smallest_detectable_rate,
    too_few,
    wilson,
)
from rote.statistics.pairs import mcnemar, paired_difference

OUTCOMES = st.lists(st.tuples(st.booleans(), st.booleans(), st.sampled_from("abcdefghij")), min_size=1, max_size=60)


def names(numbers: object) -> list[str]:
    return [str(number) for number in numbers]  # type: ignore[attr-defined]


# Known values


@pytest.mark.parametrize(("events", "n"), [(0, 10), (1, 10), (5, 10), (10, 10), (31, 150), (3, 1000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_intervals_of_rates_equal_scipys(events: int, n: int, confidence: float) -> None:
    test = binomtest(events, n)
    for found, method in ((wilson, "wilson"), (clopper_pearson, "exact")):
        expected = test.proportion_ci(confidence, method=method)
        ours = found(events, n, confidence=confidence)
        assert (ours.low, ours.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
        assert ours.value == events / n


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (10, 0), (0, 1), (12, 2), (30, 31), (400, 350)])
def test_mcnemar_equals_scipys_binomial_test(only_first: int, only_second: int) -> None:
    total = only_first + only_second
    expected = binomtest(only_first, total).pvalue if total else 1.0
    assert mcnemar(only_first, only_second) == pytest.approx(expected, rel=1e-9)


def paired(both: int, only_first: int, only_second: int, neither: int) -> tuple[list[bool], list[bool], list[str]]:
    first = [True] * (both + only_first) + [False] * (only_second + neither)
    second = [True] * both + [False] * only_first + [True] * only_second + [False] * neither
    return first, second, names(range(len(first)))


def test_the_paired_difference_by_hand() -> None:
    # 48/50 and 38/50: Wilson 0.86543..0.98896 and 0.62590..0.85704, correlation −24/√(48·2·38·12).
    found = paired_difference(*paired(36, 12, 2, 0))
    assert found is not None
    assert (found.both, found.only_first, found.only_second, found.neither) == (36, 12, 2, 0)
    assert (found.difference, found.low, found.high) == pytest.approx((0.2, 0.05693, 0.34043), abs=1e-5)
    assert found.p_value == pytest.approx(binomtest(2, 14).pvalue)


def test_no_difference_is_no_certainty() -> None:
    found = paired_difference(*paired(0, 0, 0, 100))
    assert found is not None
    assert found.low < -0.03 < 0.0 < 0.03 < found.high
    assert found.p_value == 1.0


def test_a_cluster_has_one_vote() -> None:
    first, second, _ = paired(0, 30, 0, 30)
    alone = paired_difference(first, second, names(range(60)))
    copies = paired_difference(first, second, names(number // 6 for number in range(60)))
    assert alone is not None
    assert copies is not None
    assert (alone.p_value, copies.p_value) == (pytest.approx(2 * 0.5**30), pytest.approx(2 * 0.5**5))
    assert copies.high - copies.low > 2 * (alone.high - alone.low)
    assert copies.difference == alone.difference


def test_the_smallest_detectable_rate() -> None:
    assert smallest_detectable_rate(1, 0.95) == pytest.approx(0.95)
    assert smallest_detectable_rate(150) == pytest.approx(1 - 0.05 ** (1 / 150))
    assert (1 - smallest_detectable_rate(400, 0.9)) ** 400 == pytest.approx(0.1)
    assert power_sentence(60) == (
        "With 60 independent records, a rate below 4.87 % may show no event at all (95 % confidence)."
    )


def test_effective_sample_sizes() -> None:
    ids = names(range(12))
    thirds = names(number // 3 for number in range(12))
    mixed = [1.0, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0]
    assert effective_sample_size(mixed, ids) == 12
    assert effective_sample_size([1.0] * 12, thirds) == 4
    assert effective_sample_size([1.0] * 6 + [0.0] * 6, thirds) == pytest.approx(4)
    assert effective_sample_size(mixed, thirds) == 12, "clusters that are more alike than chance give no bonus"


def test_means_and_ratios_by_hand() -> None:
    values = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    found = mean(values, names(range(6)))
    assert found.value == pytest.approx(0.25)
    exact = 0.25 + np.array([-1, 1]) * 2.5706 * np.std(values, ddof=1) / math.sqrt(6)
    assert (found.low, found.high) == pytest.approx(tuple(exact), abs=0.04)
    assert ratio([1, 0, 4, 0, 5], [10, 10, 10, 10, 60], names(range(5))).value == pytest.approx(0.1)
    assert mean(values, names(range(6)), seed=1) != found
    assert mean(values, names(range(6))) == found


def test_means_without_variation_are_not_certain() -> None:
    never = mean([0.0] * 100, names(range(100)), least=0.0, most=1.0)
    assert (never.value, never.low) == (0.0, 0.0)
    assert never.high == pytest.approx(wilson(0, 100).high)
    assert "no variation" in never.method
    always = ratio([500.0] * 50, [0.5] * 50, names(range(50)), least=0.0, most=1000.0)
    assert (always.value, always.high) == (1000.0, 1000.0)
    assert always.low == pytest.approx(1000 * wilson(50, 50).low)  # type: ignore[operator]


def test_many_clusters_are_dealt_into_units() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=20_000)
    found = mean(values.tolist(), names(range(20_000)))
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(2 * 1.96 / math.sqrt(20_000), rel=0.1)


def test_geometric_means_are_means_of_logarithms() -> None:
    values = [2.0, 8.0, 4.0, 4.0, 16.0, 1.0]
    found, logs = geometric_mean(values, names(range(6))), mean([math.log(v) for v in values], names(range(6)))
    assert found.value == pytest.approx(4.0)
    assert (found.low, found.high) == pytest.approx((math.exp(logs.low or 0), math.exp(logs.high or 0)))
    sure = geometric_mean([1.0] * 50, names(range(50)), least=1.0)
    assert (sure.value, sure.low) == (1.0, 1.0)
    assert geometric_mean([], []).value is None


def test_medians_may_have_no_upper_end() -> None:
    found = median([1.0, 5.0, 2.0, 9.0, 3.0, 7.0, 4.0, 8.0, 6.0], names(range(9)))
    assert found.value == 5.0
    assert found.low is not None
    assert found.high is not None
    assert found.low < 5.0 < found.high
    open_ended = median([1.0] * 6 + [math.inf] * 4, names(range(10)))
    assert (open_ended.value, open_ended.low, open_ended.high) == (1.0, 1.0, None)
    assert median([1.0] * 4 + [math.inf] * 6, names(range(10))).reason == "infinite for more than half of the records"
    assert median([1.0] * 4, names(range(4))).reason == "only 4 independent records; at least 5 are needed"


def test_exact_rates_of_independent_subjects_are_clopper_and_pearsons() -> None:
    for events, n in ((0, 9), (3, 40), (40, 40)):
        found = exact_rate([True] * events + [False] * (n - events), names(range(n)))
        expected = clopper_pearson(events, n)
        assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
    copied = exact_rate([True] * 20 + [False] * 20, names(number // 4 for number in range(40)))
    plain = clopper_pearson(5, 10)
    assert copied.low is not None
    assert plain.low is not None
    assert 0.1 < copied.low <= plain.low, "copies are no evidence, and few groups a little less than their number"
    assert exact_rate([], []).reason == "no subject was measured"


# Refusals


def test_nothing_comes_of_nothing() -> None:
    for found in (rate([], []), mean([], []), ratio([], [], []), wilson(0, 0), clopper_pearson(0, 0)):
        assert (found.value, found.low, found.high) == (None, None, None)
        assert found.reason == "no subject was measured"
    assert paired_difference([], [], []) is None
    assert power_sentence(0) == "With no record, no rate can be shown."


def test_too_few_clusters_are_refused_however_many_subjects() -> None:
    clusters = names(number % 4 for number in range(400))
    for found in (rate([True] * 400, clusters), mean([1.0] * 400, clusters), ratio([1.0] * 400, [1.0] * 400, clusters)):
        assert found.value is None
        assert found.reason == "only 4 independent records; at least 5 are needed"
    assert paired_difference([True] * 400, [False] * 400, clusters) is None
    assert rate([True] * 5, names(range(5))).value == 1.0
    assert (too_few(5, 0.95), too_few(6, 0.99)) == (None, "only 6 independent records; at least 7 are needed")


def test_a_ratio_over_nothing_is_refused() -> None:
    assert ratio([0.0] * 9, [0.0] * 9, names(range(9))).reason == "nothing to divide by: all denominators are 0"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: wilson(3, 2), r"0 <= events <= n, got events=3, n=2"),
        (lambda: clopper_pearson(-1, 2), r"got events=-1"),
        (lambda: wilson(1, 2, confidence=95), r"0 < confidence < 1, got 95"),
        (lambda: rate([True] * 9, names(range(9)), confidence=1.0), r"got 1\.0"),
        (lambda: smallest_detectable_rate(0), r"n >= 1, got 0"),
        (lambda: mcnemar(-1, 2), r"counts >= 0, got -1 and 2"),
    ],
)
def test_senseless_arguments(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# Laws


@settings(max_examples=100)
@given(OUTCOMES, st.sampled_from([0.8, 0.95, 0.99]))
def test_laws_of_rates_and_differences(rows: list[tuple[bool, bool, str]], confidence: float) -> None:
    first, second, clusters = ([row[column] for row in rows] for column in range(3))
    found = rate(first, clusters, confidence=confidence)
    assume(found.value is not None)
    assert found.low is not None
    assert found.value is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 0
    plain = wilson(sum(first), len(first), confidence=confidence)
    assert plain.low is not None
    assert plain.high is not None
    assert found.high - found.low >= plain.high - plain.low - 1e-9, "clusters never narrow an interval"
    difference = paired_difference(first, second, clusters, confidence=confidence)
    turned = paired_difference(second, first, clusters, confidence=confidence)
    assert difference is not None
    assert turned is not None
    assert -1 <= difference.low <= difference.difference <= difference.high <= 1
    assert (difference.low, difference.high, difference.p_value) == pytest.approx(
        (-turned.high, -turned.low, turned.p_value)
    )
    assert 0 < difference.p_value <= 1


@settings(max_examples=40)
@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from("abcdefghij")), min_size=5, max_size=40), st.randoms())
def test_the_order_of_the_subjects_is_irrelevant(rows: list[tuple[float, str]], draw: object) -> None:
    turned = list(rows)
    draw.shuffle(turned)  # type: ignore[attr-defined]
    for method in (
        lambda values, clusters: mean(values, clusters, least=0.0, most=1.0),
        lambda values, clusters: rate([value > 0.5 for value in values], clusters),
    ):
        one, other = (method([v for v, _ in part], [c for _, c in part]) for part in (rows, turned))
        assert one.reason == other.reason
        if one.value is not None:
            assert (one.value, one.low, one.high) == pytest.approx((other.value, other.low, other.high), abs=1e-9)
            assert one.low <= one.value <= one.high


# Coverage: the share of simulated data sets whose interval holds the truth


def coverage(simulate: Callable[[np.random.Generator], tuple[object, float]], runs: int, seed: int = 0) -> float:
    rng = np.random.default_rng(seed)
    covered = 0
    for _ in range(runs):
        found, truth = simulate(rng)
        covered += found.low <= truth <= found.high  # type: ignore[attr-defined]
    return covered / runs


def test_wilson_covers_on_average_over_rates() -> None:
    def simulate(rng: np.random.Generator) -> tuple[object, float]:
        truth = rng.uniform(0, 1)
        return wilson(int(rng.binomial(60, truth)), 60), truth

    assert 0.93 <= coverage(simulate, 4000) <= 0.97


def test_clopper_pearson_never_covers_less() -> None:
    def simulate(rng: np.random.Generator) -> tuple[object, float]:
        truth = rng.uniform(0, 0.1)
        return clopper_pearson(int(rng.binomial(60, truth)), 60), truth

    assert coverage(simulate, 3000) >= 0.95


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.8])
def test_clustered_rates_cover_on_average_over_rates(correlation: float) -> None:
    def simulate(rng: np.random.Generator) -> tuple[object, float]:
        truth = rng.uniform(0.02, 0.9)
        sizes = rng.choice([1, 1, 2, 4], size=100)
        spread = 1 / correlation - 1 if correlation else 0.0
        own = rng.beta(truth * spread, (1 - truth) * spread, size=100) if correlation else np.full(100, truth)
        clusters = np.repeat(np.arange(100), sizes)
        return rate((rng.random(len(clusters)) < own[clusters]).tolist(), names(clusters)), truth

    assert 0.93 <= coverage(simulate, 800) <= 0.975, "without correlation the design effect is held at 1: a little wide"


def test_unclustered_wilson_would_cover_far_too_little() -> None:
    def simulate(rng: np.random.Generator) -> tuple[object, float]:
        truth = rng.uniform(0.2, 0.8)
        return wilson(int(rng.binomial(50, truth)) * 4, 200), truth

    assert coverage(simulate, 1000) < 0.75


def test_bootstrap_means_cover() -> None:
    def simulate(rng: np.random.Generator) -> tuple[object, float]:
        clusters = np.repeat(np.arange(60), 3)
        values = rng.gamma(2, 1, size=60)[clusters] + rng.normal(size=180)
        return mean(values.tolist(), names(clusters)), 2.0

    assert 0.93 <= coverage(simulate, 400) <= 0.97


def test_bootstrap_ratios_cover() -> None:
    def simulate(rng: np.random.Generator) -> tuple[object, float]:
        weights = rng.integers(200, 800, size=100)
        shares = rng.beta(2, 8, size=100)
        return ratio((weights * shares).tolist(), weights.tolist(), names(range(100))), 0.2

    assert 0.93 <= coverage(simulate, 400) <= 0.97


def test_medians_cover() -> None:
    def simulate(rng: np.random.Generator) -> tuple[object, float]:
        clusters = np.repeat(np.arange(80), rng.choice([1, 1, 3], 80))
        values = rng.lognormal(0, 2, size=80)[clusters]
        return median(values.tolist(), names(clusters)), 1.0

    assert 0.93 <= coverage(simulate, 1000) <= 0.975


def test_geometric_means_cover() -> None:
    def simulate(rng: np.random.Generator) -> tuple[object, float]:
        return geometric_mean(rng.lognormal(1.0, 2, size=80).tolist(), names(range(80))), math.e

    assert 0.93 <= coverage(simulate, 400) <= 0.97


def test_exact_rates_never_cover_much_less() -> None:
    def simulate(rng: np.random.Generator) -> tuple[object, float]:
        truth = rng.uniform(0.02, 0.5)
        clusters = np.repeat(np.arange(60), rng.choice([1, 1, 2, 4], 60))
        spread = 1 / 0.5 - 1
        own = rng.beta(truth * spread, (1 - truth) * spread, size=60)
        return exact_rate((rng.random(len(clusters)) < own[clusters]).tolist(), names(clusters)), truth

    assert coverage(simulate, 1000) >= 0.93


def test_paired_differences_cover() -> None:
    def simulate(rng: np.random.Generator) -> tuple[object, float]:
        shares = rng.dirichlet([1, 1, 1, 3])
        cells = np.repeat(rng.choice(4, p=shares, size=80), 2)
        clusters = names(np.repeat(np.arange(80), 2))
        found = paired_difference((cells < 2).tolist(), np.isin(cells, [0, 2]).tolist(), clusters)
        return found, float(shares[1] - shares[2])

    assert 0.93 <= coverage(simulate, 1000) <= 0.97


def test_mcnemar_keeps_its_level() -> None:
    rng = np.random.default_rng(0)
    heads = rng.binomial(30, 0.5, size=3000)
    assert np.mean([mcnemar(int(h), 30 - int(h)) <= 0.05 for h in heads]) <= 0.05


@pytest.mark.parametrize("module", [estimation, pairs, outcomes, overlap], ids=lambda module: module.__name__)
def test_documented_examples_hold(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0
    assert doctest.testmod(module).attempted > 0


def test_the_interval_of_paired_rates_is_newcombes_by_hand() -> None:
    """Newcombe 1998, method 10, worked by hand: 30 both, 12 only the first, 2 only the second, 6 neither."""
    bounds = pairs._newcombe([30 / 50, 12 / 50, 2 / 50, 6 / 50], 50, 0.95)
    assert (bounds.low, bounds.high) == (pytest.approx(0.05547, abs=5e-6), pytest.approx(0.33695, abs=5e-6))


def test_percentiles_are_expanded_by_students_t_and_the_square_root() -> None:
    """Hesterberg 2015, section 5.3: of 5 units the 95 % interval ends at the normal tail of √(5/4) · t(.025; 4)."""
    ratios = np.linspace(0, 1, 100_001)
    tail = NormalDist().cdf(-math.sqrt(5 / 4) * 2.7764451)
    assert estimation._expanded_percentiles(ratios, 5, 0.95) == pytest.approx((tail, 1 - tail), abs=1e-6)


def test_the_size_of_an_interval_is_that_of_the_two_t_quantiles() -> None:
    """Ten clusters of three: by the analysis of variance written out, then Korn and Graubard's ratio of quantiles."""
    rng = np.random.default_rng(4)
    values = (np.repeat(rng.normal(size=10), 3) + rng.normal(size=30)).tolist()
    clusters = [str(cluster) for cluster in range(10) for _ in range(3)]
    table = np.array(values).reshape(10, 3)
    between = 3 * float(np.square(table.mean(1) - table.mean()).sum()) / 9
    within = float(np.square(table - table.mean(1, keepdims=True)).sum()) / 20
    likeness = (between - within) / (between + 2 * within)
    assert 0.05 < likeness < 0.95
    assert estimation.intraclass_correlation(values, clusters) == pytest.approx(likeness)
    freedom = 30 / (1 + likeness * 2) - 1
    for confidence in (0.8, 0.95):
        quantile = (1 + confidence) / 2
        shrunk = student.ppf(quantile, 29) / student.ppf(quantile, freedom)
        expected = 30 / (1 + likeness * 2) * shrunk**2
        assert estimation.interval_size(values, clusters, confidence) == pytest.approx(expected)
    assert estimation.interval_size(values, list(map(str, range(30))), 0.95) == 30.0


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_ends_of_a_median_are_the_values_at_wilsons_bounds(confidence: float) -> None:
    values = [float(value) for value in range(1, 42)]
    found = estimation.median(values, list(map(str, range(41))), confidence=confidence)
    bounds = estimation.wilson_bounds(0.5, 41, confidence=confidence)
    assert (found.value, found.low, found.high) == (21.0, math.ceil(41 * bounds.low), math.ceil(41 * bounds.high))
    assert found.method == "Woodruff, clustered by duplicate group"


def test_a_median_of_ties_counts_those_at_it() -> None:
    values, clusters = [0.0] * 5 + [1.0] * 20 + [2.0] * 5, [str(number // 3) for number in range(30)]
    found = estimation.median(values, clusters)
    size = estimation.interval_size([float(value <= 1.0) for value in values], clusters, 0.95)
    bounds = estimation.wilson_bounds(0.5, size, confidence=0.95)
    places = [math.ceil(end * 30) - 1 for end in (bounds.low, bounds.high)]
    assert (found.low, found.high) == tuple(sorted(values)[place] for place in places)


def test_a_geometric_mean_is_the_mean_of_logarithms_within_the_same_ends() -> None:
    rng = np.random.default_rng(5)
    values, clusters = np.exp(rng.normal(size=40)).tolist(), list(map(str, range(40)))
    for confidence in (0.8, 0.95):
        found = estimation.geometric_mean(values, clusters, confidence=confidence)
        logs = estimation.mean([math.log(value) for value in values], clusters, confidence=confidence)
        ends = [math.exp(end) for end in (logs.value, logs.low, logs.high)]  # type: ignore[arg-type]
        assert [found.value, found.low, found.high] == pytest.approx(ends)
    still = estimation.geometric_mean([2.0] * 40, clusters, least=1.0, most=8.0)
    share = estimation.wilson_bounds(0.0, 40, confidence=0.95).high
    assert still.low == pytest.approx(2.0 * 0.5**share)
    assert still.high == pytest.approx(2.0 * 4.0**share)
    unbounded = estimation.geometric_mean([2.0] * 40, clusters)
    assert (unbounded.low, unbounded.high) == (pytest.approx(2.0), pytest.approx(2.0))


def test_no_variation_is_widened_by_what_wilson_still_allows() -> None:
    clusters = [str(number // 2) for number in range(40)]
    found = estimation.mean([0.25] * 40, clusters, least=0.0, most=1.0, confidence=0.9)
    share = estimation.wilson_bounds(0.0, 20, confidence=0.9).high
    assert (found.low, found.high) == (pytest.approx(0.25 * (1 - share)), pytest.approx(0.25 + share * 0.75))
    assert found.method == "no variation seen; Wilson's allowance for unseen duplicate groups"


def test_a_sentence_of_one_record_is_in_the_singular() -> None:
    assert "1 independent record," in estimation.power_sentence(1)
    assert "2 independent records" in estimation.power_sentence(2)
    assert estimation.power_sentence(50, 0.99) != estimation.power_sentence(50, 0.95)
    assert estimation.power_sentence(0) == "With no record, no rate can be shown."


@pytest.mark.parametrize(("found", "method"), [(wilson(0, 0), "Wilson"), (clopper_pearson(0, 0), "Clopper-Pearson")])
def test_nothing_measured_is_refused_by_its_method(found: Interval, method: str) -> None:
    assert (found.value, found.method, found.reason) == (None, method, "no subject was measured")
