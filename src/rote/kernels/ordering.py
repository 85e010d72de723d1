"""Sorting and searching for kernels: compiled once, where Numba's own are compiled anew for each kind of array."""

import numpy as np
from numpy.typing import NDArray

from rote.kernels import kernel


@kernel
def stable_order(keys: NDArray[np.float64]) -> NDArray[np.int64]:
    """The places of the keys in ascending order; equal ones keep their order. Merge sort, from the bottom up."""
    size, width = len(keys), 1
    order, merged = np.arange(size), np.empty(size, np.int64)
    while width < size:
        for start in range(0, size, 2 * width):
            left, right = start, start + width
            middle, end = min(right, size), min(right + width, size)
            for place in range(start, end):
                is_left = right >= end or (left < middle and keys[order[left]] <= keys[order[right]])
                merged[place] = order[left] if is_left else order[right]
                left += is_left
                right += not is_left
        order, merged = merged, order
        width *= 2
    return order


@kernel
def sort(values: NDArray[np.int32]) -> None:
    """Shell's sort, in place: quick where there are few, and where they are nearly in order."""
    gap = 1
    while gap < len(values) // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for end in range(gap, len(values)):
            value, at = values[end], end
            while at >= gap and values[at - gap] > value:
                values[at] = values[at - gap]
                at -= gap
            values[at] = value
        gap //= 3


@kernel
def sort_by(values: NDArray[np.int32], keys: NDArray[np.int64]) -> None:
    """As `sort`, by the values' keys: `keys[value]`."""
    gap = 1
    while gap < len(values) // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for end in range(gap, len(values)):
            value, at = values[end], end
            key = keys[value]
            while at >= gap and keys[values[at - gap]] > key:
                values[at] = values[at - gap]
                at -= gap
            values[at] = value
        gap //= 3


@kernel
def first_not_below(values: NDArray[np.int32 | np.int64], wanted: int) -> int:
    """The first place at which an ascending row has that value or a greater one; after the last where there is none."""
    low, high = 0, len(values)
    while low < high:
        middle = (low + high) // 2
        if values[middle] < wanted:
            low = middle + 1
        else:
            high = middle
    return low
