"""Lower bounds on epsilon: against the theorem written out, the published example, exact intervals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rote.statistics.privacy import clopper_pearson_epsilon, one_run_epsilon, one_run_p_value


def direct_p_value(correct: int, guesses: int, canaries: int, epsilon: float, delta: float) -> float:
    """Theorem 5.2 of Steinke et al. 2023 with every sum written out."""
    q = 1 / (1 + math.exp(-epsilon))
    mass = [math.comb(guesses, k) * q**k * (1 - q) ** (guesses - k) for k in range(guesses + 1)]
    at_least = [sum(mass[k:]) for k in range(guesses + 2)]
    beta = at_least[correct]
    alpha = max([0.0] + [(at_least[correct - i] - beta) / i for i in range(1, correct + 1)])
    return min(1.0, beta + 2 * canaries * delta * alpha)


@given(
    st.integers(1, 40).flatmap(lambda r: st.tuples(st.integers(0, r), st.just(r), st.integers(r, 80))),
    st.floats(0, 5),
    st.sampled_from([0.0, 1e-6, 1e-3, 0.05]),
)
def test_the_p_value_is_that_of_the_theorem(counts: tuple[int, int, int], epsilon: float, delta: float) -> None:
    correct, guesses, canaries = counts
    found = one_run_p_value(correct, guesses, canaries=canaries, epsilon=epsilon, delta=delta)
    assert found == pytest.approx(direct_p_value(correct, guesses, canaries, epsilon, delta), rel=1e-9, abs=1e-12)


@given(
    st.integers(1, 60).flatmap(lambda r: st.tuples(st.integers(0, r), st.just(r))), st.sampled_from([0.0, 1e-5, 1e-3])
)
def test_every_epsilon_under_the_bound_is_refuted_and_the_next_is_not(pair: tuple[int, int], delta: float) -> None:
    correct, guesses = pair
    bound = one_run_epsilon(correct, guesses, canaries=guesses, delta=delta)
    p_value = lambda epsilon: one_run_p_value(correct, guesses, canaries=guesses, epsilon=epsilon, delta=delta)  # noqa: E731
    assert all(p_value(bound * share) <= 0.05 + 1e-7 for share in np.linspace(0, 1, 12)) or bound == 0
    assert p_value(bound + 0.01) > 0.05


def test_the_published_example_of_the_bound() -> None:
    """Steinke et al. 2023, appendix D: 75 of 100 right guesses, 1,000 examples, delta 1e-4: epsilon at least 0.673."""
    assert one_run_epsilon(75, 100, canaries=1000, delta=1e-4) == pytest.approx(0.673, abs=5e-4)


def test_a_delta_and_a_wrong_guess_only_lower_the_bound() -> None:
    plain = one_run_epsilon(90, 100, canaries=100)
    assert one_run_epsilon(90, 100, canaries=100, delta=1e-3) < plain
    assert one_run_epsilon(89, 100, canaries=100) < plain
    assert one_run_epsilon(50, 100, canaries=100) == 0.0
    assert one_run_epsilon(0, 0, canaries=10) == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: one_run_epsilon(5, 4, canaries=9), "Expected 0 <= correct <= guesses <= canaries, got 5, 4 and 9"),
        (lambda: one_run_p_value(1, 4, canaries=9, epsilon=-1), "Expected epsilon >= 0"),
        (lambda: one_run_epsilon(1, 4, canaries=9, delta=1.0), "0 <= delta < 1, got 0.0 and 1.0"),
        (lambda: clopper_pearson_epsilon(0, 0, 1, 5), "Expected canaries on both sides, got 0 planted and 5 held out"),
    ],
)
def test_impossible_counts_are_refused(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_the_exact_bound_by_hand() -> None:
    """95 of 100 found, 2 of 100 false: ends of the exact intervals 0.88717 and 0.07038."""
    ends = stats.binomtest(95, 100).proportion_ci().low, stats.binomtest(2, 100).proportion_ci().high
    assert clopper_pearson_epsilon(95, 100, 2, 100) == pytest.approx(math.log(ends[0] / ends[1]))
    assert clopper_pearson_epsilon(95, 100, 2, 100, delta=0.1) == pytest.approx(math.log((ends[0] - 0.1) / ends[1]))
    assert clopper_pearson_epsilon(2, 100, 95, 100) == 0.0
    assert clopper_pearson_epsilon(1, 100, 0, 100, delta=0.5) == 0.0
