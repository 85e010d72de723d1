"""Tests and corrections: independent implementations, levels and power in simulations, clusters, laws."""

import doctest
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rote.statistics import tests as significance
from rote.statistics.tests import (
    benjamini_hochberg,
    holm,
    midranks,
    paired_permutation_test,
    permutation_test,
    twice_the_median,
    welch_test,
)

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def names(numbers: object) -> list[str]:
    return [str(number) for number in numbers]  # type: ignore[attr-defined]


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=40))
def test_midranks_equal_scipys(values: list[int]) -> None:
    array = np.array(values, dtype=float)
    assert midranks(array).tolist() == stats.rankdata(array).tolist()


@given(P_VALUES)
def test_benjamini_hochberg_equals_scipys(p_values: list[float]) -> None:
    assert benjamini_hochberg(p_values) == pytest.approx(stats.false_discovery_control(p_values).tolist())


def naive_holm(p_values: list[float]) -> list[float]:
    """For each hypothesis the least level at which the step-down procedure rejects it."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    found, reached = [0.0] * len(p_values), 0.0
    for step, place in enumerate(order):
        reached = max(reached, min(1.0, (len(p_values) - step) * p_values[place]))
        found[place] = reached
    return found


@given(P_VALUES)
def test_holm_equals_the_plain_procedure_and_is_no_weaker_than_bonferroni(p_values: list[float]) -> None:
    found = holm(p_values)
    assert found == pytest.approx(naive_holm(p_values))
    assert all(p <= one <= min(1.0, len(p_values) * p) + 1e-12 for p, one in zip(p_values, found, strict=True))


@given(st.integers(0, 99))
def test_welch_equals_scipys(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = rng.normal(0.3, 1, 17), rng.normal(0, 3, 9)
    expected = stats.ttest_ind(first, second, equal_var=False, alternative="greater").pvalue
    assert welch_test(first, second) == pytest.approx(expected)


def test_welch_without_spread() -> None:
    assert welch_test(np.ones(3), np.zeros(4)) == 0.0
    assert welch_test(np.ones(3), np.ones(4)) == 1.0


def test_the_permutation_test_equals_complete_enumeration() -> None:
    values = np.array([3.0, 7.0, 9.0, 1.0, 2.0, 4.0, 6.0])
    first = np.array([True, True, True, False, False, False, False])
    ranks = stats.rankdata(values)
    sums = [sum(ranks[list(chosen)]) for chosen in itertools.combinations(range(7), 3)]
    exact = np.mean(np.array(sums) >= ranks[:3].sum())
    assert permutation_test(values, first, names(range(7))) == pytest.approx(exact, abs=0.01)


def test_the_permutation_test_agrees_with_mann_whitney_on_large_samples() -> None:
    rng = np.random.default_rng(3)
    one, other = rng.normal(0.15, 1, 200), rng.normal(0, 1, 200)
    expected = stats.mannwhitneyu(one, other, alternative="greater").pvalue
    found = permutation_test(np.concatenate([one, other]), np.arange(400) < 200, names(range(400)))
    assert found == pytest.approx(expected, abs=0.01)


def test_the_paired_test_agrees_with_scipys_permutation_test() -> None:
    values = np.random.default_rng(5).normal(0.2, 1, 40)
    expected = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", alternative="greater", rng=np.random.default_rng(0)
    ).pvalue
    assert paired_permutation_test(values, names(range(40))) == pytest.approx(expected, abs=0.01)


def test_copies_of_a_subject_are_no_evidence() -> None:
    rng = np.random.default_rng(0)
    few = np.array([4.0, 6, 8, 10, 12, 14, 15, 16, 1, 2, 3, 5, 7, 9, 11, 13])
    alone = permutation_test(few, np.arange(16) < 8, names(range(16)))
    copied = permutation_test(np.repeat(few, 20), np.arange(320) < 160, names(np.arange(320) // 20))
    assert copied == pytest.approx(alone, abs=0.005)
    assert permutation_test(np.repeat(few, 20), np.arange(320) < 160, names(range(320))) < alone / 20
    gains = rng.normal(0.5, 1, 8)
    assert paired_permutation_test(np.repeat(gains, 20), names(np.arange(160) // 20)) == pytest.approx(
        paired_permutation_test(gains, names(range(8))), abs=0.005
    )


def test_limits() -> None:
    assert permutation_test(np.arange(5.0), np.ones(5, dtype=bool), names(range(5))) == 1.0
    assert permutation_test(np.ones(8), np.arange(8) < 4, names(range(8))) == 1.0
    assert permutation_test(np.arange(40.0)[::-1], np.arange(40) < 20, names(range(40))) == 1 / 10_000
    assert paired_permutation_test(np.zeros(0), []) == 1.0
    assert paired_permutation_test(np.zeros(9), names(range(9))) == 1.0
    with pytest.raises(ValueError, match="every cluster in one group"):
        permutation_test(np.arange(4.0), np.array([True, False, True, False]), ["a", "a", "b", "c"])
    assert twice_the_median([0.01, 0.02, 0.9]) == 0.04
    assert twice_the_median([0.9]) == 1.0


@settings(max_examples=20)
@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from("abcdefgh")), min_size=3, max_size=30), st.randoms())
def test_the_order_of_the_subjects_is_irrelevant(rows: list[tuple[int, str]], draw: object) -> None:
    turned = list(rows)
    draw.shuffle(turned)  # type: ignore[attr-defined]
    one, other = (
        permutation_test(
            np.array([float(v) for v, _ in part]), np.array([c < "d" for _, c in part]), [c for _, c in part]
        )
        for part in (rows, turned)
    )
    assert one == other


# Levels in simulations


def level(simulate: object, runs: int) -> float:
    rng = np.random.default_rng(0)
    return float(np.mean([simulate(rng) <= 0.05 for _ in range(runs)]))  # type: ignore[operator]


def test_the_permutation_test_keeps_its_level_whatever_the_distribution_and_the_clusters() -> None:
    clusters = names(np.repeat(np.arange(30), np.random.default_rng(1).integers(1, 5, 30)))
    first = np.array([int(name) < 12 for name in clusters])

    def simulate(rng: np.random.Generator) -> float:
        shared = rng.standard_cauchy(30)
        return permutation_test(np.array([shared[int(name)] for name in clusters]), first, clusters)

    assert 0.03 <= level(simulate, 800) <= 0.065


def test_the_paired_test_keeps_its_level() -> None:
    clusters = names(np.repeat(np.arange(25), 3))

    def simulate(rng: np.random.Generator) -> float:
        return paired_permutation_test(np.repeat(rng.laplace(size=25), 3), clusters)

    assert 0.03 <= level(simulate, 800) <= 0.07


def test_holm_holds_the_family_and_benjamini_hochberg_the_share_of_false_alarms() -> None:
    rng = np.random.default_rng(0)
    family, shares = [], []
    for _ in range(1500):
        null, real = rng.random(40), rng.beta(0.05, 5, 10)
        family.append(min(holm([*null, *real])[:40]) <= 0.05)
        found = np.array(benjamini_hochberg([*null, *real])) <= 0.1
        shares.append(found[:40].sum() / max(1, found.sum()))
    assert np.mean(family) <= 0.06
    assert 0.05 <= np.mean(shares) <= 0.1


def test_examples_in_the_documentation() -> None:
    assert doctest.testmod(significance).failed == 0
