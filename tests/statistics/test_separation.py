"""Membership attacks: independent implementations, refusals, simulations of every interval, what duplicates are worth."""

import doctest
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve

from rote.scoring import blind
from rote.scoring.blind import blind_scores, fit_logistic
from rote.statistics import dataset_inference
from rote.statistics import separation as attacks
from rote.statistics.dataset_inference import dataset_inference as inference
from rote.statistics.dataset_inference import too_few_groups
from rote.statistics.operating_points import fpr_of_threshold, passed, threshold_at, too_few_controls, tpr_at_fpr
from rote.statistics.power import attack_power_sentence, smallest_detectable_auc, smallest_detectable_tpr
from rote.statistics.separation import (
    Side,
    Sides,
    auc,
    auc_difference,
    auc_difference_p_value,
    auc_p_value,
    identified,
    identified_share,
    roc,
)

VALUES = st.lists(st.integers(-6, 6), min_size=5, max_size=40)


def side(values: object, name: str, clusters: object = None) -> Side:
    array = np.asarray(values, dtype=float)
    numbers = range(len(array)) if clusters is None else clusters
    return Side(array, tuple(f"{name}{number}" for number in numbers))  # type: ignore[attr-defined]


def sides(members: object, nonmembers: object) -> Sides:
    return Sides(side(members, "m"), side(nonmembers, "n"))


def labels(of: Sides) -> tuple[np.ndarray, np.ndarray]:
    both = np.concatenate([of.members.values, of.nonmembers.values])
    return np.arange(len(both)) < len(of.members.values), both


# Independent implementations


@given(VALUES, VALUES)
def test_area_and_curve_equal_scikit_learns(members: list[int], nonmembers: list[int]) -> None:
    found = sides(members, nonmembers)
    is_member, values = labels(found)
    assert auc(found).value == pytest.approx(roc_auc_score(is_member, values))
    alarms, hits, _ = roc_curve(is_member, values, drop_intermediate=False)
    curve = roc(found)
    assert (curve.false_positive_rates.tolist(), curve.true_positive_rates.tolist()) == (alarms.tolist(), hits.tolist())


@given(st.lists(st.integers(-6, 6), min_size=100, max_size=130), VALUES, st.sampled_from([0.1, 0.01]))
def test_rates_at_a_false_positive_rate_are_the_curves(nonmembers: list[int], members: list[int], fpr: float) -> None:
    found = sides(members, nonmembers)
    curve = roc(found)
    expected = curve.true_positive_rates[curve.false_positive_rates <= fpr + 1e-12].max()
    assert passed(found, fpr).value == pytest.approx(expected)
    if (rate := tpr_at_fpr(found, fpr).value) is not None:
        assert rate == pytest.approx(expected)
    realised = fpr_of_threshold(found, fpr)
    assert realised.value is not None
    assert realised.value <= fpr + 1e-12
    exact = binomtest(round(expected * len(members)), len(members)).proportion_ci(0.95, "exact")
    interval = passed(found, fpr)
    assert (interval.low, interval.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_the_variance_without_clusters_is_delongs() -> None:
    """By the double sum over pairs of DeLong et al. 1988, section 3."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(1, 1, 14), rng.normal(0, 1, 11)
    pairs = (one[:, None] > other) + 0.5 * (one[:, None] == other)
    expected = pairs.mean(1).var(ddof=1) / 14 + pairs.mean(0).var(ddof=1) / 11
    parts = attacks._placements(sides(one, other))
    assert attacks._variance(parts, parts) == pytest.approx(expected)


def test_the_logistic_regression_equals_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(120, 6)) * (rng.random((120, 6)) < 0.4)
    is_member = features[:, 0] + rng.normal(size=120) > 0
    ours = fit_logistic(blind.sparse.csr_matrix(features), is_member, strength=0.7)
    theirs = LogisticRegression(C=0.7, tol=1e-10, max_iter=10_000).fit(features, is_member)
    assert ours.weights == pytest.approx(theirs.coef_[0], abs=1e-4)
    assert ours.intercept == pytest.approx(theirs.intercept_[0], abs=1e-4)


# Refusals and limits


def test_too_few_controls_are_refused_with_the_number_that_is_needed() -> None:
    found = sides(np.arange(200.0), np.arange(99.0))
    assert passed(found, 0.1).value is not None
    for method in (passed, fpr_of_threshold):
        refused = method(found, 0.01)
        assert (refused.value, refused.low, refused.high) == (None, None, None)
        assert refused.reason == "only 99 independent non-members; a false-positive rate of 1 % needs at least 100"
    assert passed(sides(np.arange(9.0), np.arange(100.0)), 0.01).value is not None
    assert too_few_controls(999, 0.001) == (
        "only 999 independent non-members; a false-positive rate of 0.1 % needs at least 1,000"
    )
    assert too_few_controls(1000, 0.001) is None


def test_copies_are_no_controls() -> None:
    copied = Sides(side(np.arange(50.0), "m"), side(np.arange(200.0), "n", np.arange(200) // 4))
    assert passed(copied, 0.01).reason == (
        "only 50 independent non-members; a false-positive rate of 1 % needs at least 100"
    )
    few = Sides(side(np.arange(50.0), "m"), side(np.arange(40.0), "n", np.arange(40) // 10))
    assert auc(few).reason == "non-members: only 4 independent records; at least 5 are needed"
    assert auc(sides([1.0] * 4, [0.0] * 9)).reason == "members: only 4 independent records; at least 5 are needed"
    assert auc(sides([], [0.0] * 9)).reason == "members: no subject was measured"


def test_perfect_and_no_separation_are_not_certain() -> None:
    perfect = auc(sides(np.arange(20.0) + 50, np.arange(30.0)))
    assert perfect.value == perfect.high == 1.0
    assert perfect.low is not None
    assert 0.8 < perfect.low < 0.98
    assert auc(sides(np.arange(30.0), np.arange(20.0) + 50)).low == 0.0
    ties = auc(sides([1.0] * 40, [1.0] * 40))
    assert ties.value == 0.5
    assert ties.low is not None
    assert ties.high is not None
    assert ties.low < 0.4 < 0.6 < ties.high


def test_thresholds_let_no_more_pass_than_was_said() -> None:
    nonmembers = np.arange(100.0)
    assert [threshold_at(nonmembers, fpr) for fpr in (0.1, 0.01, 0.001, 1.0)] == [89.0, 98.0, 99.0, -np.inf]
    assert threshold_at(np.array([1.0] * 50 + [0.0] * 50), 0.1) == 1.0, "equal scores pass together or not at all"


def test_defect_5_a_threshold_comes_from_non_members_and_flags_no_fixed_share() -> None:
    """A median over all records flags half of them whatever was learned."""
    rng = np.random.default_rng(0)
    unlearned = sides(rng.normal(0, 1, 400), rng.normal(0, 1, 400))
    learned = sides(rng.normal(3, 1, 400), rng.normal(0, 1, 400))
    median = [np.mean(labels(one)[1] > np.median(labels(one)[1])) for one in (unlearned, learned)]
    assert median == [0.5, 0.5]
    low, high = tpr_at_fpr(unlearned, 0.1).value, tpr_at_fpr(learned, 0.1).value
    assert low is not None
    assert high is not None
    assert low < 0.15 < 0.9 < high


def test_power_before_a_run() -> None:
    assert smallest_detectable_auc(10_000, 10_000) == pytest.approx(0.5 + 2.4865 * np.sqrt(20_001 / 12e8), abs=1e-4)
    for members in (1, 2, 50):
        least = smallest_detectable_tpr(members, 10**9, 0.1)
        if least is not None:
            events = round(least * members)
            assert binomtest(events, members).proportion_ci(0.95, "exact").low > 0.1
            assert binomtest(events - 1, members).proportion_ci(0.95, "exact").low <= 0.1
    assert smallest_detectable_tpr(1, 10**9, 0.1) is None
    assert smallest_detectable_tpr(50, 50, 0.1) > smallest_detectable_tpr(50, 10**9, 0.1), "the threshold's own doubt"
    assert "at 1 % FPR not measurable (at least 368 non-members)" in attack_power_sentence(50, 60)
    assert "at 10 % FPR is never distinguished from chance" in attack_power_sentence(1, 60)
    assert attack_power_sentence(0, 9) == "Membership: not measurable without independent members and non-members."
    with pytest.raises(ValueError, match="got 0 and 5"):
        smallest_detectable_auc(0, 5)


def test_the_power_that_is_stated_is_the_power_that_there_is() -> None:
    rng, wins = np.random.default_rng(0), []
    distance = np.sqrt(2) * norm.ppf(smallest_detectable_auc(60, 60))
    for _ in range(300):
        wins.append(auc_p_value(sides(rng.normal(distance, 1, 60), rng.normal(0, 1, 60))) <= 0.05)
    assert 0.73 <= np.mean(wins) <= 0.87


# Laws


@settings(max_examples=50)
@given(VALUES, VALUES, st.sampled_from([0.8, 0.95, 0.99]))
def test_laws_of_the_area(members: list[int], nonmembers: list[int], confidence: float) -> None:
    found = auc(sides(members, nonmembers), confidence=confidence)
    if found.value is None:
        return
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.high - found.low > 0
    turned = auc(sides(nonmembers, members), confidence=confidence)
    assert (turned.value, turned.low, turned.high) == pytest.approx(
        (1 - found.value, 1 - found.high, 1 - found.low), abs=1e-6
    )
    stretched = auc(sides(np.exp(members), np.exp(nonmembers)), confidence=confidence)
    assert stretched == found, "only the order of the scores counts"


@settings(max_examples=30)
@given(VALUES, VALUES, st.integers(0, 39), st.integers(1, 9))
def test_a_higher_member_never_lowers_a_rate_or_the_area(
    members: list[int], nonmembers: list[int], place: int, more: int
) -> None:
    raised = list(members)
    raised[place % len(raised)] += more
    before, after = (sides(one, nonmembers * 4) for one in (members, raised))
    assert auc(after).value >= auc(before).value - 1e-12  # type: ignore[operator]
    if (rate := tpr_at_fpr(before, 0.1).value) is not None:
        assert tpr_at_fpr(after, 0.1).value >= rate  # type: ignore[operator]


def test_differences_of_areas() -> None:
    rng = np.random.default_rng(0)
    truth = np.concatenate([rng.normal(1, 1, 60), rng.normal(0, 1, 60)])
    noise = rng.normal(0, 1, 120)
    good, bad = (Sides(side(one[:60], "m"), side(one[60:], "n")) for one in (truth, noise))
    found = auc_difference(good, bad)
    assert found.value == pytest.approx(auc(good).value - auc(bad).value)  # type: ignore[operator]
    assert found.low is not None
    assert found.low > 0
    assert auc_difference_p_value(good, bad) < 0.01
    assert auc_difference_p_value(bad, good) > 0.9
    same = auc_difference(good, good)
    assert same.value == 0.0
    assert auc_difference_p_value(good, good) == 1.0
    assert auc_difference(sides([1.0] * 3, [0.0] * 9), sides([1.0] * 3, [0.0] * 9)).value is None


def test_records_are_identified_one_by_one() -> None:
    rng = np.random.default_rng(0)
    known = sides(np.concatenate([np.full(30, 99.0), rng.normal(0, 1, 70)]), rng.normal(0, 1, 300))
    assert identified(known)[:30].all()
    assert identified(known)[30:].sum() <= 10
    assert not identified(sides(rng.normal(0, 1, 100), rng.normal(0, 1, 300))).any()
    assert identified_share(known).value == identified(known).mean()
    assert identified_share(sides(np.arange(9.0) + 9, np.arange(9.0))).reason == (
        "only 9 independent non-members; a false-discovery rate of 10 % needs 10"
    )
    assert identified_share(sides(np.arange(3.0), np.arange(90.0))).value is None


# Coverage in simulations


def coverage(simulate: Callable[[np.random.Generator], tuple[object, float]], runs: int) -> float:
    rng = np.random.default_rng(0)
    found = [simulate(rng) for _ in range(runs)]
    return float(np.mean([one.low <= truth <= one.high for one, truth in found]))  # type: ignore[attr-defined]


@pytest.mark.parametrize("truth", [0.5, 0.7, 0.9])
@pytest.mark.parametrize(("m", "n"), [(40, 40), (150, 60)])
def test_areas_of_normal_scores_cover(truth: float, m: int, n: int) -> None:
    distance = np.sqrt(2) * norm.ppf(truth)

    def simulate(rng: np.random.Generator) -> tuple[object, float]:
        return auc(sides(rng.normal(distance, 1, m), rng.normal(0, 1, n))), truth

    assert 0.93 <= coverage(simulate, 600) <= (0.97 if truth < 0.9 else 0.985)


@pytest.mark.parametrize("truth", [0.97, 0.995])
def test_areas_near_1_cover_at_least_so_often(truth: float) -> None:
    distance = np.sqrt(2) * norm.ppf(truth)

    def simulate(rng: np.random.Generator) -> tuple[object, float]:
        return auc(sides(rng.normal(distance, 1, 50), rng.normal(0, 1, 50))), truth

    assert coverage(simulate, 600) >= 0.93


@pytest.mark.parametrize("truth", [0.6, 0.8, 0.97])
def test_areas_cover_where_some_members_are_known_by_heart_and_the_rest_not_at_all(truth: float) -> None:
    def simulate(rng: np.random.Generator) -> tuple[object, float]:
        members = rng.normal(0, 1, 80) + 99 * (rng.random(80) < 2 * truth - 1)
        return auc(sides(members, rng.normal(0, 1, 80))), truth

    assert 0.93 <= coverage(simulate, 600) <= 0.985


@pytest.mark.parametrize("correlation", [0.3, 0.9])
def test_areas_of_clustered_scores_cover(correlation: float) -> None:
    def clustered(rng: np.random.Generator, name: str, mean: float) -> Side:
        clusters = np.repeat(np.arange(60), rng.choice([1, 1, 2, 5], 60))
        shared = rng.normal(0, np.sqrt(correlation), 60)[clusters]
        own = rng.normal(0, np.sqrt(1 - correlation), len(clusters))
        return side(mean + shared + own, name, clusters)

    def simulate(rng: np.random.Generator) -> tuple[object, float]:
        return auc(Sides(clustered(rng, "m", 0.8), clustered(rng, "n", 0.0))), float(norm.cdf(0.8 / np.sqrt(2)))

    assert 0.93 <= coverage(simulate, 500) <= 0.975


def test_differences_of_areas_cover() -> None:
    def simulate(rng: np.random.Generator) -> tuple[object, float]:
        shared = rng.normal(0, 1, 160)
        shift = np.repeat([1.0, 0.0], 80)
        one = 1.2 * shift + 0.7 * shared + 0.714 * rng.normal(0, 1, 160)
        other = 0.5 * shift + 0.7 * shared + 0.714 * rng.normal(0, 1, 160)
        first, second = (Sides(side(v[:80], "m"), side(v[80:], "n")) for v in (one, other))
        truth = norm.cdf(1.2 / np.sqrt(2)) - norm.cdf(0.5 / np.sqrt(2))
        return auc_difference(first, second), float(truth)

    assert 0.93 <= coverage(simulate, 600) <= 0.975


@pytest.mark.parametrize("fpr", [0.1, 0.01])
def test_true_and_false_positive_rates_of_the_threshold_are_covered(fpr: float) -> None:
    """Exact intervals: at least 95 %, more where counts are small."""
    rates, alarms = [], []
    rng = np.random.default_rng(0)
    for _ in range(1500):
        members, nonmembers = rng.normal(1.5, 1, 80), rng.normal(0, 1, 150)
        found, threshold = sides(members, nonmembers), threshold_at(nonmembers, fpr)
        one, other = passed(found, fpr), fpr_of_threshold(found, fpr)
        rates.append(one.low <= norm.sf(threshold - 1.5) <= one.high)  # type: ignore[operator]
        alarms.append(other.low <= norm.sf(threshold) <= other.high)  # type: ignore[operator]
    assert np.mean(rates) >= 0.94
    assert np.mean(alarms) >= 0.94


def test_the_share_of_false_names_is_held() -> None:
    rng, shares = np.random.default_rng(0), []
    for _ in range(400):
        values = np.concatenate([rng.normal(4, 1, 10), rng.normal(0, 1, 90)])
        found = identified(sides(values, rng.normal(0, 1, 500)))
        shares.append(found[10:].sum() / max(1, found.sum()))
    assert np.mean(shares) <= 0.1


# The blind baseline and dataset inference


def texts(rng: np.random.Generator, count: int, *, marked: float = 0.0, more: int = 0) -> list[str]:
    words = [f"w{n}" for n in range(60)]
    marks = np.where(rng.random(count) < marked, " since 2024", "")
    return [" ".join(rng.choice(words, 30 + more)) + mark for mark in marks]


def blind_area(members: list[str], nonmembers: list[str]) -> float:
    is_member = np.arange(len(members) + len(nonmembers)) < len(members)
    found = blind_scores([*members, *nonmembers], is_member, [f"g{n}" for n in range(len(is_member))])
    return float(roc_auc_score(is_member, found))


def test_the_blind_baseline_sees_words_and_lengths_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    assert 0.4 < blind_area(texts(rng, 100), texts(rng, 100)) < 0.6
    assert blind_area(texts(rng, 100, marked=0.9), texts(rng, 100)) > 0.85
    assert blind_area(texts(rng, 100, more=12), texts(rng, 100)) > 0.95


def test_the_blind_baseline_is_at_chance_on_average_where_the_split_is_fair() -> None:
    rng = np.random.default_rng(0)
    areas = [blind_area(texts(rng, 40), texts(rng, 40)) for _ in range(25)]
    assert 0.44 < np.mean(areas) < 0.53, "cross-validation of balanced classes leans a little under 1/2"


def test_the_blind_baseline_does_not_learn_a_group_that_it_is_asked_about() -> None:
    rng = np.random.default_rng(0)
    bases = texts(rng, 40)
    copies = [text for text in bases for _ in range(5)]
    is_member = np.arange(200) < 100
    apart = blind_scores(copies, is_member, [f"g{n // 5}" for n in range(200)])
    leaking = blind_scores(copies, is_member, [f"g{n}" for n in range(200)])
    assert roc_auc_score(is_member, apart) < 0.7
    assert roc_auc_score(is_member, leaking) > 0.85


@pytest.mark.parametrize("text", ["", "\ud800", "\x00", "你好", "<script>"])
def test_hostile_texts_have_a_blind_score(text: str) -> None:
    found = blind_scores([text] * 8, np.arange(8) < 4, [f"g{n}" for n in range(8)])
    assert np.isfinite(found).all()


def test_the_blind_baseline_needs_two_groups_on_each_side() -> None:
    with pytest.raises(ValueError, match="at least two groups on each side, got 1 and 3"):
        blind_scores(["a"] * 5, np.array([1, 1, 0, 0, 0], dtype=bool), ["a", "a", "b", "c", "d"])


def inferred(rng: np.random.Generator, shift: float, *, count: int = 60, copies: int = 1) -> float:
    features = np.repeat(rng.normal(0, 1, (2 * count, 5)), copies, axis=0)
    is_member = np.arange(len(features)) < count * copies
    features[is_member, 2] += shift
    return inference(features, is_member, [f"g{n // copies}" for n in range(len(features))])


def test_dataset_inference_sees_a_set_and_keeps_its_level() -> None:
    rng = np.random.default_rng(0)
    assert inferred(rng, 1.5) < 0.001
    assert np.mean([inferred(rng, 0.0) <= 0.1 for _ in range(120)]) <= 0.1
    assert np.mean([inferred(rng, 0.0, count=25, copies=6) <= 0.1 for _ in range(80)]) <= 0.1, "copies are no evidence"


def test_dataset_inference_does_not_depend_on_the_order_or_on_outliers() -> None:
    rng = np.random.default_rng(0)
    features, is_member = rng.normal(0, 1, (80, 3)), np.arange(80) < 40
    clusters = [f"g{n}" for n in range(80)]
    order = rng.permutation(80)
    turned = inference(features[order], is_member[order], [clusters[n] for n in order])
    assert turned == pytest.approx(inference(features, is_member, clusters))
    features[is_member, 0] += 2
    features[0, 0] = -1e9
    assert inference(features, is_member, clusters) < 0.01
    assert too_few_groups(40, 40) is None
    assert inference(np.ones((80, 2)), is_member, clusters) == 1.0


@pytest.mark.parametrize("module", [attacks, dataset_inference], ids=lambda module: module.__name__)
def test_examples_in_the_documentation(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_sides_refuse_what_is_no_number() -> None:
    with pytest.raises(ValueError, match="Expected numbers, got 1 scores that are NaN"):
        Side(np.array([0.5, np.nan]), ("a", "b"))
    with pytest.raises(ValueError, match="Expected a group for each score, got 2 scores, 1 groups"):
        Side(np.array([0.5, 0.6]), ("a",))
