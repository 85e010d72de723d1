"""Gates: thresholds on the tuned model's estimates over the members, and on how well scores tell members from non-members,
for use in a release pipeline.
"""

import difflib
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from rote.errors import ConfigError
from rote.records import Estimate, Separation
from rote.scoring.membership_scores import BLIND
from rote.scoring.metrics import ANY_OF_N_METRICS, METRICS, SEPARATING_METRICS
from rote.scoring.separations import STATISTICS

if TYPE_CHECKING:
    from rote.config import AuditConfig

_NEED_BASE = ("reference_ratio", "ez_mia", "wbc", "base_relative_memorization")
_OF_CANARIES = ("secret_gain",)
_ELSEWHERE = {"compressible": "rote compress"}
"""Metrics that no audit measures, and the command that does."""


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
    _check_kind(name, statistic, metric, base)
    return Gate(metric, _threshold(name, statistic, base, raw), statistic)


def check_measurable(gate: Gate, config: "AuditConfig", *, has_base: bool) -> None:
    """Refuses a gate that a run with these settings cannot measure, whatever the data.

    Raises:
        ConfigError: the message names the setting that is missing.
    """
    reason = _unmeasurable(gate, config, has_base=has_base)
    if reason:
        raise ConfigError(f"scoring.fail_above: {gate.name} cannot be measured with these settings: {reason}")


def _check_kind(name: str, statistic: str, metric: str, base: str) -> None:
    """A membership score has statistics and no estimate; every other metric has an estimate and no statistic."""
    separates = base in SEPARATING_METRICS
    if separates and not statistic:
        raise ConfigError(
            f"scoring.fail_above: {metric} is a membership score, whose values have no scale: gate one of its statistics, "
            f"e.g. auc:{metric} or tpr@0.1:{metric}"
        )
    if statistic and not separates and base not in _OF_CANARIES:
        raise ConfigError(f"scoring.fail_above: {name}: {metric} is no membership score and has no {statistic}")
    if base == "dataset_inference" and statistic != "p_value":
        raise ConfigError(f"scoring.fail_above: {name}: dataset_inference has a p_value alone")


def _threshold(name: str, statistic: str, base: str, raw: str) -> float:
    """The number; refused where no value, or every value, of the figure would be above it."""
    try:
        threshold = float(raw)
    except ValueError:
        threshold = math.nan
    if not math.isfinite(threshold):
        raise ConfigError(f"scoring.fail_above: {name} needs a number, found {raw!r}")
    low, high = _range(statistic, base)
    if math.isfinite(low) and math.isfinite(high) and not low <= threshold < high:
        never = threshold >= high
        raise ConfigError(
            f"scoring.fail_above: {name}={raw} can {'never' if never else 'only'} be breached: {name} lies in "
            f"{low:g}..{high:g}, and a gate is breached above its threshold; give one from {low:g} to below {high:g}"
            f"{' (rates are shares: 5 % is 0.05)' if (low, high) == (0, 1) and threshold > 1 else ''}"
        )
    return threshold


def _range(statistic: str, base: str) -> tuple[float, float]:
    """The least and the largest value that the gated figure can have."""
    if not statistic:
        return METRICS[base].low, METRICS[base].high
    is_difference = "_over_base" in statistic and not statistic.startswith("p_value")
    return (-1.0, 1.0) if is_difference else (0.0, 1.0)


def _unmeasurable(gate: Gate, config: "AuditConfig", *, has_base: bool) -> str | None:
    base, at, setting = gate.metric.partition("@")
    scoring = config.scoring
    if base in _ELSEWHERE:
        return f"it is measured by {_ELSEWHERE[base]}, not by an audit"
    if not has_base and (base in _NEED_BASE or "_over_base" in gate.statistic):
        return "there is no base model; give one with --base"
    if base == "prior_aware_memorization" and not scoring.unrelated_prefixes:
        return "scoring.unrelated_prefixes is 0"
    if base in _chosen_scores() and base not in scoring.membership:
        return f"scoring.membership has {', '.join(scoring.membership) or 'no score'}"
    if base in ANY_OF_N_METRICS and at:
        samples = config.generation.samples
        return None if setting == str(samples) and samples > 1 else f"generation.samples is {samples}"
    return _unmeasurable_scheme(base, setting, config) if at else _unmeasurable_plain(base)


def _unmeasurable_plain(base: str) -> str | None:
    if base in ("extraction_chance", "drawable", "window_coverage", "discoverable", "draws_needed"):
        example = {"discoverable": "@t1-k0-p1,n=100,p=0.5", "draws_needed": "@t1-k0-p1,p=0.5"}.get(base, "@t1-k0-p1")
        return f"it is measured for each decoding scheme: name one, e.g. {base}{example}"
    return None


def _unmeasurable_scheme(base: str, setting: str, config: "AuditConfig") -> str | None:
    """Which setting of `discoverable@SCHEME,n=N,p=P` and the like this run does not have."""
    from rote.passes.schemes import parse_schemes

    scheme, *rest = setting.split(",")
    known = [one.label for one in parse_schemes(config.scoring.schemes)]
    if scheme not in known:
        return f"{base} has no scheme {scheme!r} (scoring.schemes gives {', '.join(known) or 'none'})"
    allowed = {"n": config.scoring.draws, "p": config.scoring.chances}
    for part in rest:
        key, _, value = part.partition("=")
        if value not in [f"{one:g}" if key == "p" else str(one) for one in allowed.get(key, ())]:
            name = {"n": "scoring.draws", "p": "scoring.chances"}.get(key, "no setting")
            return f"{part} is not in {name} ({', '.join(map(str, allowed.get(key, ())))})"
    return None


def _chosen_scores() -> tuple[str, ...]:
    """The membership scores that `scoring.membership` turns on and off."""
    from rote.config import MembershipScore

    return get_args(MembershipScore)


def _known(name: str, names: Collection[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"


def check_gates(
    estimates: Iterable[Estimate], separations: Iterable[Separation], gates: Iterable[Gate], *, doubt: str = ""
) -> list[Breach]:
    """The gates that do not hold for the tuned model (members; stratum "all"), in the order of the gates.

    A value equal to the threshold holds. No estimate, or one without a value, is never a pass: "not measured". With a
    doubt no gate is one: figures of texts that the model was not trained on are no evidence that nothing comes out.

    Args:
        estimates: of the run.
        separations: of the run.
        gates: to be checked.
        doubt: why the records are probably not rendered as they were trained on; "" where nothing says so.
    """
    found: dict[str, Estimate | Separation] = {
        item.metric: item for item in estimates if (item.model, item.split, item.stratum) == ("tuned", "member", "all")
    }
    found |= {
        f"{item.statistic}:{item.metric}": item
        for item in separations
        if item.stratum == "all" and item.model in ("tuned", BLIND)
    }
    breaches = [_breach(gate, found.get(gate.name)) or _doubted(gate, doubt) for gate in gates]
    return [breach for breach in breaches if breach is not None]


def _doubted(gate: Gate, doubt: str) -> Breach | None:
    return Breach(gate, "not measured", f"{gate.name}: cannot pass: {doubt}") if doubt else None


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
