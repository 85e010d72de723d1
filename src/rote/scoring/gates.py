"""Gates: thresholds on the tuned model's estimates over the members, and on how well scores tell members from non-members,
for use in a release pipeline.
"""

import difflib
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from rote.errors import ConfigError
from rote.records import Estimate, Separation
from rote.scoring.membership_scores import BLIND
from rote.scoring.metrics import METRICS
from rote.scoring.separations import STATISTICS


@dataclass(frozen=True, slots=True)
class Gate:
    """The estimate of `metric`, or the statistic of its separation, must not be above `threshold`."""

    metric: str
    threshold: float
    statistic: str = ""

    @property
    def name(self) -> str:
        """As it is written: "extractable", "tpr@0.01:min_k"."""
        return f"{self.statistic}:{self.metric}" if self.statistic else self.metric


@dataclass(frozen=True, slots=True)
class Breach:
    """A gate that did not hold: its estimate is above the threshold, or there is none."""

    gate: Gate
    outcome: Literal["above", "not measured"]
    message: str


def parse_gate(text: str) -> Gate:
    """Reads "metric=value", e.g. "extractable=0.01" (rates are shares, not percents) or "verbatim@8=0.05", or
    "statistic:metric=value", e.g. "auc:text_loss=0.6" or "tpr@0.01:min_k=0.05".

    Raises:
        ConfigError: the form, the statistic, the metric or the number is wrong; the message names what was found.
    """
    # An estimate's name may hold a "=" of its own: discoverable@t1-k0-p1,n=100,p=0.5
    name, equals, raw = (part.strip() for part in text.rpartition("="))
    if not equals:
        raise ConfigError(f"scoring.fail_above: expected metric=value or statistic:metric=value, found {text!r}")
    statistic, _, metric = name.rpartition(":")
    if statistic and statistic not in STATISTICS:
        raise ConfigError(f"scoring.fail_above: unknown statistic {statistic!r} ({_known(statistic, STATISTICS)})")
    base, at, setting = metric.partition("@")
    if base not in METRICS or (at and not setting):
        raise ConfigError(f"scoring.fail_above: unknown metric {metric!r} ({_known(base, METRICS)})")
    try:
        threshold = float(raw)
    except ValueError:
        threshold = math.nan
    if not math.isfinite(threshold):
        raise ConfigError(f"scoring.fail_above: {name} needs a number, found {raw!r}")
    return Gate(metric, threshold, statistic)


def _known(name: str, names: Collection[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"


def check_gates(
    estimates: Iterable[Estimate], separations: Iterable[Separation], gates: Iterable[Gate]
) -> list[Breach]:
    """The gates that do not hold for the tuned model (members; stratum "all"), in the order of the gates.

    A value equal to the threshold holds. No estimate, or one without a value, is never a pass: "not measured".
    """
    found: dict[str, Estimate | Separation] = {
        item.metric: item for item in estimates if (item.model, item.split, item.stratum) == ("tuned", "member", "all")
    }
    found |= {
        f"{item.statistic}:{item.metric}": item
        for item in separations
        if item.stratum == "all" and item.model in ("tuned", BLIND)
    }
    breaches = [_breach(gate, found.get(gate.name)) for gate in gates]
    return [breach for breach in breaches if breach is not None]


def _breach(gate: Gate, figure: Estimate | Separation | None) -> Breach | None:
    if figure is None or figure.value is None:
        reason = (figure.reason if figure else None) or "no figure of it in this run"
        return Breach(gate, "not measured", f"{gate.name}: could not measure: {reason}")
    if figure.value <= gate.threshold:
        return None
    interval = (
        f"[{figure.low:.4g}, {figure.high:.4g}]" if figure.low is not None and figure.high is not None else "none"
    )
    n = (
        f"n = {figure.n}"
        if isinstance(figure, Estimate)
        else f"{figure.members} members, {figure.nonmembers} non-members"
    )
    message = f"{gate.name} = {figure.value:.4g}, above {gate.threshold:.4g} (interval {interval}, {n})"
    return Breach(gate, "above", message)
