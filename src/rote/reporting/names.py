"""What metrics are called in a report, and how their figures are written; defined in `rote.scoring.metrics`."""

from rote.scoring.detector import DETECTOR_SHARES
from rote.scoring.metrics import METRICS
from rote.scoring.metrics.definition import Metric

HEADLINE = (*(metric.name for metric in METRICS.values() if metric.headline), "loss")
"""Metrics of the headline table, in order."""
RATES = tuple(name for name in HEADLINE if METRICS[name].estimator == "rate")
"""Those that count prompts; the chart of a report."""


def title_of(metric: str) -> str:
    """The title of a metric; "verbatim@8" is "… (any of 8 samples)", other settings stand as they are.

    A name that is not defined stands for itself.
    """
    name, at, setting = metric.partition("@")
    defined = METRICS.get(name)
    title = defined.title if defined else name
    if not at:
        return title
    return f"{title} (any of {setting} samples)" if setting.isdecimal() else f"{title} ({setting})"


def definition_of(metric: str) -> str:
    """The definition in one sentence, with its source; "" where the metric is not defined."""
    defined = _metric(metric)
    return f"{defined.definition} Source: {defined.source}." if defined else ""


def is_yes_or_no(metric: str) -> bool:
    """Whether each single score of the metric is 1 or 0: it is counted, not averaged."""
    defined = _metric(metric)
    return defined is not None and defined.estimator == "rate"


def is_share(metric: str) -> bool:
    """Whether figures of the metric are shares, to be written in percent."""
    defined = _metric(metric)
    return metric in DETECTOR_SHARES or (defined is not None and defined.unit.startswith("share"))


def lower_is_worse(metric: str) -> bool:
    """Whether lower values of the metric are more memorised."""
    defined = _metric(metric)
    return defined is not None and defined.direction.startswith("lower")


def _metric(name: str) -> Metric | None:
    return METRICS.get(name.partition("@")[0])
