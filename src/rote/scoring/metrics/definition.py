"""What is known of one metric."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Direction: TypeAlias = Literal["higher = more memorised", "lower = more memorised", "neither"]
Estimator: TypeAlias = Literal["rate", "mean", "ratio", "geometric mean", "median", "separation"]

MORE: Direction = "higher = more memorised"
LESS: Direction = "lower = more memorised"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. A score is its value for one prompt; an estimate is the rate, mean or ratio over many.

    Of a metric whose estimator is "separation" there are no estimates but separations: its scores have no meaning of
    their own, only an order, and what is reported is how well they tell members from non-members.
    """

    name: str
    title: str
    definition: str
    unit: str
    low: float = 0.0
    high: float = 1.0
    """Largest possible value; infinity where there is none."""
    direction: Direction
    estimator: Estimator
    headline: bool = False
    by_stratum: bool = True
    """Whether there are estimates of every stratum, or of all prompts alone."""
    source: str
