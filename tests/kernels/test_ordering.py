"""Sorting and searching for kernels, against Python's own."""

from bisect import bisect_left

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rote.kernels.ordering import first_not_below, sort, sort_by, stable_order

numbers = st.lists(st.integers(-(2**31), 2**31 - 1) | st.integers(0, 5), max_size=80)


@given(numbers)
def test_equal_keys_keep_their_order(values: list[int]) -> None:
    order = stable_order(np.array(values, dtype=np.float64)).tolist()
    assert order == sorted(range(len(values)), key=values.__getitem__)


@given(numbers)
def test_values_are_sorted_in_place(values: list[int]) -> None:
    array = np.array(values, dtype=np.int32)
    sort(array)
    assert array.tolist() == sorted(values)
    order = np.arange(len(values), dtype=np.int32)
    sort_by(order, np.array(values, np.int64))
    assert [values[place] for place in order] == sorted(values)


@given(numbers, st.integers(-3, 8))
def test_the_first_value_that_is_not_below_is_found(values: list[int], wanted: int) -> None:
    ascending = sorted(values)
    assert first_not_below(np.array(ascending, dtype=np.int32), wanted) == bisect_left(ascending, wanted)
