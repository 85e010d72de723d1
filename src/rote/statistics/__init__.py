"""Intervals, tests and separations: numpy and scipy alone, of use without the rest of rote.

Each module is imported when it is first used: `rote.statistics.intervals.wilson(3, 150)`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rote.statistics import (
        dataset_inference,
        intervals,
        operating_points,
        pairs,
        power,
        privacy,
        separation,
        tests,
    )

__all__ = [
    "dataset_inference",
    "intervals",
    "operating_points",
    "pairs",
    "power",
    "privacy",
    "separation",
    "tests",
]


if not TYPE_CHECKING:  # a type checker knows the names above, and no others

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module(f"{__name__}.{name}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
