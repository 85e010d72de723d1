"""Sorted strings on the disk, memory-mapped: a million of them are opened at once and found by halving."""

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

from rote.kernels import kernel

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]


class SortedStrings(Sequence[str]):
    """An immutable sequence of different strings, in order. Lone surrogates are allowed.

    Args:
        content: the strings in UTF-8, one after the other.
        starts: string i is `content[starts[i] : starts[i + 1]]`.
    """

    def __init__(self, content: Bytes, starts: Places) -> None:
        self._content = content
        self._starts = starts

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        if isinstance(place, slice):
            return tuple(self[one] for one in range(*place.indices(len(self))))
        if not -len(self) <= place < len(self):
            raise IndexError(f"place {place} of {len(self)} strings")
        start, end = self._starts[place % len(self)], self._starts[place % len(self) + 1]
        return self._content[start:end].tobytes().decode("utf-8", "surrogatepass")

    def places(self, strings: Sequence[str]) -> Places:
        """Where each of the strings stands; -1 where it does not."""
        content, starts = _encoded(strings)
        found = np.empty(len(strings), np.int64)
        _find(self._content, self._starts, content, starts, found)
        return found


def write_strings(strings: Sequence[str], folder: Path, name: str) -> None:
    """Writes different strings, in order, as two files NAME.npy and NAME-starts.npy."""
    content, starts = _encoded(strings)
    np.save(folder / f"{name}.npy", content)
    np.save(folder / f"{name}-starts.npy", starts)


def _encoded(strings: Sequence[str]) -> tuple[Bytes, Places]:
    """The order of such bytes is that of the strings' characters."""
    parts = [string.encode("utf-8", "surrogatepass") for string in strings]
    return np.frombuffer(b"".join(parts), np.uint8), np.array([0, *accumulate(map(len, parts))], np.int64)


@kernel
def _find(content: Bytes, starts: Places, wanted: Bytes, wanted_starts: Places, found: Places) -> None:
    for i in range(len(found)):
        string = wanted[wanted_starts[i] : wanted_starts[i + 1]]
        low, high = 0, len(starts) - 1
        while low < high:
            middle = (low + high) // 2
            if _is_below(content[starts[middle] : starts[middle + 1]], string):
                low = middle + 1
            else:
                high = middle
        # The first string that is not below is the one, or a later one.
        is_there = low < len(starts) - 1 and not _is_below(string, content[starts[low] : starts[low + 1]])
        found[i] = low if is_there else -1


@kernel
def _is_below(one: Bytes, other: Bytes) -> bool:
    """Whether one string comes before the other."""
    for i in range(min(len(one), len(other))):
        if one[i] != other[i]:
            return bool(one[i] < other[i])
    return len(one) < len(other)
