"""The metrics: what each measures, of what, and how it is estimated."""

from rote.scoring.metrics.definition import LESS, MORE, Direction, Metric
from rote.scoring.metrics.table import (
    ANY_OF_N_METRICS,
    KIND_METRICS,
    LIKELIHOOD_METRICS,
    METRICS,
    PAIRED_METRICS,
    SEPARATING_METRICS,
    metric_of,
)

__all__ = [
    "ANY_OF_N_METRICS",
    "KIND_METRICS",
    "LESS",
    "LIKELIHOOD_METRICS",
    "METRICS",
    "MORE",
    "PAIRED_METRICS",
    "SEPARATING_METRICS",
    "Direction",
    "Metric",
    "metric_of",
]
