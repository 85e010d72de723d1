"""Extraction from passes: hand-made examples, exact rational arithmetic, plain references, published defects."""

import doctest
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rote.scoring import extraction
from rote.scoring.extraction import (
    chance_of_any,
    continuation_log_probability,
    covered_share,
    draws_needed,
    extraction_strength,
    prior_aware,
    verbatim_probability,
    window_log_probabilities,
)

FLAGS = st.lists(st.booleans(), min_size=1, max_size=60)
LOGS = st.floats(-40, 0)


def naive_strength(greedy: list[bool]) -> float:
    for k in range(len(greedy) + 1):
        if all(greedy[k:]):
            return 1 - k / len(greedy)
    raise AssertionError


@given(FLAGS)
def test_the_strength_is_that_of_the_shortest_prefix_that_brings_the_rest(greedy: list[bool]) -> None:
    assert extraction_strength(np.array(greedy)) == pytest.approx(naive_strength(greedy))


def test_defect_3_nothing_extractable_is_0_and_the_last_token_counts() -> None:
    assert extraction_strength(np.zeros(50, dtype=bool)) == 0.0
    assert extraction_strength(np.array([True] * 49 + [False])) == 0.0
    assert extraction_strength(np.array([False] * 49 + [True])) == pytest.approx(1 / 50)
    assert extraction_strength(np.ones(50, dtype=bool)) == 1.0


def test_the_probability_is_a_geometric_mean() -> None:
    assert verbatim_probability(np.zeros(9)) == 1.0
    assert verbatim_probability(np.log([0.9, 0.4, 0.1], dtype=np.float32)) == pytest.approx(0.036 ** (1 / 3), rel=1e-6)
    assert verbatim_probability(np.full(8, -2000.0)) == 0.0


def test_a_continuations_log_probability_is_the_sum_over_its_tokens() -> None:
    values = np.array([-0.5, -1.5, -math.inf, -1.0], dtype=np.float32)
    assert [continuation_log_probability(values, n) for n in (1, 2, 3)] == [-0.5, -2.0, -math.inf]
    assert continuation_log_probability(values, 5) is None
    with pytest.raises(ValueError, match=r"suffix_tokens >= 1, got 0"):
        continuation_log_probability(values, 0)


@given(st.integers(1, 1 << 60), st.integers(1, 400))
def test_defect_6_the_chance_of_any_draw_is_that_of_exact_arithmetic(bottom: int, draws: int) -> None:
    p = Fraction(1, bottom)
    exact = 1 - (1 - p) ** draws
    assert chance_of_any(-math.log(bottom), draws) == pytest.approx(float(exact), rel=1e-12)


def test_defect_6_chances_under_the_resolution_of_floats_are_no_zero() -> None:
    assert chance_of_any(math.log(1e-18), 1e17) == pytest.approx(-math.expm1(-0.1), rel=1e-12)
    assert 1 - (1 - 1e-18) ** 1e17 == 0.0
    assert chance_of_any(0.0, 1) == 1.0
    assert chance_of_any(-math.inf, 1e300) == 0.0


@given(st.floats(-60, -1e-3), st.floats(0.01, 0.99))
def test_the_draws_needed_are_the_least_that_give_the_chance(log_probability: float, chance: float) -> None:
    needed = draws_needed(log_probability, chance)
    assert chance_of_any(log_probability, needed) >= chance * (1 - 1e-9)
    if needed > 1:
        assert chance_of_any(log_probability, needed - 1) < chance * (1 + 1e-9)


def test_limits_of_the_draws_needed() -> None:
    assert [draws_needed(value, 0.9) for value in (0.0, -1e-9)] == [1.0, 1.0]
    assert draws_needed(-math.inf, 0.1) == draws_needed(-800.0, 0.1) == math.inf
    assert draws_needed(math.log(0.5), 0.75) == 2.0
    for chance in (0.0, 1.0):
        with pytest.raises(ValueError, match=rf"0 < chance < 1, got {chance}"):
            draws_needed(-1.0, chance)
    with pytest.raises(ValueError, match=r"log-probability <= 0, got 0\.1"):
        chance_of_any(0.1, 3)


@given(
    st.lists(st.one_of(LOGS, st.just(-math.inf)), max_size=40),
    st.integers(1, 8),
    st.integers(1, 5),
    st.floats(-60, 0),
)
def test_windows_equal_a_plain_loop(values: list[float], width: int, stride: int, least: float) -> None:
    array = np.array(values)
    starts = range(0, len(values) - width + 1, stride)
    found = window_log_probabilities(array, width=width, stride=stride)
    assert found.tolist() == pytest.approx([sum(values[at : at + width]) for at in starts], abs=1e-9)
    counted = found >= least
    covered = {place for at, own in zip(starts, counted, strict=True) if own for place in range(at, at + width)}
    share = covered_share(counted, width=width, stride=stride, tokens=len(values))
    assert share == (pytest.approx(len(covered) / len(values)) if len(starts) else None)


def test_windows_need_a_width_and_a_stride() -> None:
    with pytest.raises(ValueError, match=r"got 0 and 1"):
        window_log_probabilities(np.zeros(3), width=0)
    with pytest.raises(ValueError, match=r"got 2 and 0"):
        window_log_probabilities(np.zeros(3), width=2, stride=0)


def test_only_what_needs_its_own_prefix_is_tied_to_it() -> None:
    common = prior_aware(-10.0, np.array([-10.0, -10.0]), 5)
    assert common == pytest.approx(0.0)
    mean = math.log((math.exp(-20) + math.exp(-30)) / 2)
    assert prior_aware(-10.0, np.array([-20.0, -30.0]), 5) == pytest.approx((-10 - mean) / 5)
    assert prior_aware(-1.0, np.array([-3000.0]), 10) == pytest.approx(299.9), "no underflow"
    assert prior_aware(-1.0, np.array([]), 10) is None
    assert prior_aware(0.0, np.array([-1.0]), 0) is None


def test_examples_in_the_documentation() -> None:
    assert doctest.testmod(extraction).failed == 0
