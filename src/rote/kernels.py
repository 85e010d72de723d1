"""Stand-in until the real one is there."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def kernel(function: Function) -> Function:
    """A compiled function."""
    return cast(Function, numba.njit(cache=True, nogil=True)(function))
