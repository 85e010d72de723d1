"""Numbers of other subjects and NaN are refused, never stretched or sorted."""

from collections.abc import Callable

import numpy as np
import pytest

from rote.statistics import intervals, pairs, tests

GROUPS = list("abcdefgh")
ONES, NAN = [1.0] * 8, [1.0] * 7 + [float("nan")]
IS_FIRST = np.array([True, False] * 4)
Column = list[float]

FUNCTIONS: dict[str, Callable[[Column], object]] = {
    "mean": lambda values: intervals.mean(values, GROUPS),
    "median": lambda values: intervals.median(values, GROUPS),
    "geometric mean": lambda values: intervals.geometric_mean(values, GROUPS),
    "ratio, above": lambda values: intervals.ratio(values, ONES, GROUPS),
    "ratio, below": lambda values: intervals.ratio(ONES, values, GROUPS),
    "effective size": lambda values: intervals.effective_sample_size(values, GROUPS),
    "likeness": lambda values: intervals.intraclass_correlation(values, GROUPS),
    "permutation": lambda values: tests.permutation_test(np.array(values), IS_FIRST, GROUPS),
    "paired permutation": lambda values: tests.paired_permutation_test(np.array(values), GROUPS),
}
OUTCOMES: dict[str, Callable[[list[bool]], object]] = {
    "rate": lambda values: intervals.rate(values, GROUPS),
    "exact rate": lambda values: intervals.exact_rate(values, GROUPS),
    "pairs, first": lambda values: pairs.paired_difference(values, [True] * 8, GROUPS),
    "pairs, second": lambda values: pairs.paired_difference([True] * 8, values, GROUPS),
    "permutation, sides": lambda values: tests.permutation_test(np.ones(8), np.array(values), GROUPS),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nan_is_refused(name: str) -> None:
    FUNCTIONS[name](ONES)
    with pytest.raises(ValueError, match=r"Expected numbers as \w+, got 1 that are NaN"):
        FUNCTIONS[name](NAN)


@pytest.mark.parametrize("length", [0, 1, 7, 9])
@pytest.mark.parametrize("name", [*FUNCTIONS, *OUTCOMES])
def test_another_number_of_subjects_is_refused(name: str, length: int) -> None:
    function, one = (FUNCTIONS[name], 1.0) if name in FUNCTIONS else (OUTCOMES[name], True)
    with pytest.raises(ValueError, match=rf"Expected one of \w+ for each of 8 clusters, got {length}$"):
        function([one] * length)  # type: ignore[operator]


def test_a_table_is_no_column() -> None:
    with pytest.raises(ValueError, match=r"got an array of shape \(8, 1\)"):
        tests.paired_permutation_test(np.ones((8, 1)), GROUPS)


@pytest.mark.parametrize("correct", [tests.holm, tests.benjamini_hochberg, tests.twice_the_median])
@pytest.mark.parametrize("wrong", [float("nan"), -0.1, 1.1])
def test_what_is_no_p_value_is_refused(correct: Callable[[list[float]], object], wrong: float) -> None:
    correct([0.0, 1.0, 0.5])
    with pytest.raises(ValueError, match=r"Expected p-values in 0\.\.1, got"):
        correct([0.5, wrong])


def test_welch_refuses_nan() -> None:
    with pytest.raises(ValueError, match="NaN"):
        tests.welch_test(np.array([1.0, np.nan]), np.ones(3))
