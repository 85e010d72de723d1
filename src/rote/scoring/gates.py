"""Gates: thresholds on the tuned model's estimates over the members, for use in a release pipeline."""

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from rote.errors import ConfigError
from rote.records import Estimate
from rote.scoring.metrics import METRICS


@dataclass(frozen=True, slots=True)
class Gate:
    """The estimate of `metric` must not be above `threshold`."""

    metric: str
    threshold: float


@dataclass(frozen=True, slots=True)
class Breach:
    """A gate that did not hold: its estimate is above the threshold, or there is none."""

    gate: Gate
    outcome: Literal["above", "not measured"]
    message: str


def parse_gate(text: str) -> Gate:
    """Reads "metric=value", e.g. "extractable=0.01" (rates are shares, not percents) or "verbatim@8=0.05".

    Raises:
        ConfigError: the form, the metric or the number is wrong; the message names what was found.
    """
    name, equals, raw = (part.strip() for part in text.partition("="))
    if not equals:
        raise ConfigError(f"scoring.fail_above: expected metric=value, found {text!r}")
    base, at, samples = name.partition("@")
    if base not in METRICS or (at and not samples.isdecimal()):
        near = difflib.get_close_matches(base, METRICS, n=1, cutoff=0.5)
        known = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(METRICS)}"
        raise ConfigError(f"scoring.fail_above: unknown metric {name!r} ({known})")
    try:
        threshold = float(raw)
    except ValueError:
        threshold = math.nan
    if not math.isfinite(threshold):
        raise ConfigError(f"scoring.fail_above: {name} needs a number, found {raw!r}")
    return Gate(name, threshold)


def check_gates(estimates: Iterable[Estimate], gates: Iterable[Gate]) -> list[Breach]:
    """The gates that do not hold for the tuned model's members (stratum "all"), in the order of the gates.

    A value equal to the threshold holds. No estimate, or one without a value, is never a pass: "not measured".
    """
    found = {
        item.metric: item for item in estimates if (item.model, item.split, item.stratum) == ("tuned", "member", "all")
    }
    breaches = [_breach(gate, found.get(gate.metric)) for gate in gates]
    return [breach for breach in breaches if breach is not None]


def _breach(gate: Gate, estimate: Estimate | None) -> Breach | None:
    if estimate is None or estimate.value is None:
        reason = (estimate.reason if estimate else None) or "no estimate of it in this run"
        return Breach(gate, "not measured", f"{gate.metric}: could not measure: {reason}")
    if estimate.value <= gate.threshold:
        return None
    interval = f"[{estimate.low:.4g}, {estimate.high:.4g}]" if estimate.low is not None else "none"
    message = (
        f"{gate.metric} = {estimate.value:.4g}, above {gate.threshold:.4g} (interval {interval}, n = {estimate.n})"
    )
    return Breach(gate, "above", message)
