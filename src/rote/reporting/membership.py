"""Membership as a report shows it: how well each score tells members from non-members, beside its controls."""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rote import runs
from rote.config import AuditConfig
from rote.records import Curve, Separation
from rote.reporting.figures import chance, percent, shown_area
from rote.reporting.names import definition_of, title_of
from rote.reporting.plots import TOP, WIDTH, Chart, Dot, Label, Line, Series
from rote.runs import Run
from rote.scoring.membership_scores import BLIND
from rote.scoring.separations import IDENTIFIED
from rote.statistics.separation import FALSE_POSITIVE_RATES

BLIND_METRIC = "blind_baseline"
DRAWN = {
    "text_loss": 2,
    "min_k_plus_plus": 3,
    "reference_ratio": 0,
    "ez_mia": 4,
    "recall_ratio": 5,
    "rmia": 6,
    "lira": 7,
    BLIND_METRIC: 1,
}
"""Scores whose curves are drawn, with their styles; the others stand in curves.jsonl."""
LEAST_RATE = 0.001
"""Where the axes of the curves begin; smaller rates and 0 are drawn there."""


@dataclass(frozen=True, slots=True)
class AttackRow:
    """One membership score. None where a figure was not made."""

    metric: str
    title: str
    definition: str
    auc: Separation | None
    rates: tuple[Separation | None, ...]
    """The section's `rates`."""
    p_value: Separation | None
    """Corrected for the number of scores."""
    base: Separation | None
    """AUC of the same score under the base model."""
    over_base: Separation | None
    rate_over_base: Separation | None
    """TPR at the smallest FPR that has an interval, minus that under the base model."""
    identified: Separation | None


@dataclass(frozen=True, slots=True)
class StratumRow:
    """The AUC of one score by stratum."""

    title: str
    areas: tuple[Separation | None, ...]


@dataclass(frozen=True, slots=True)
class MembershipSection:
    """What a report says of membership."""

    notes: tuple[str, ...]
    """What the scores read, whether the split is fair, what all scores together say."""
    rates: tuple[str, ...]
    """Statistics of the columns: "tpr@F" where a score has an interval of it, else "passed@F"; why not stands in the notes."""
    rate_over_base: str
    """Statistic of the column that compares a rate with the base model's; "" without one."""
    rows: tuple[AttackRow, ...]
    """The blind baseline last."""
    strata: tuple[str, ...]
    by_stratum: tuple[StratumRow, ...]
    separations: tuple[Separation, ...]
    curves: tuple[Curve, ...]


def membership_section(run: Run, config: AuditConfig) -> MembershipSection | None:
    """Reads it; None where the run has no separations (no members, or no non-members)."""
    separations = run.read(runs.SEPARATIONS, Separation) if run.has(runs.SEPARATIONS) else []
    if not separations:
        return None
    strata = list(dict.fromkeys(item.stratum for item in separations if item.stratum != "all"))
    metrics = list(dict.fromkeys(item.metric for item in separations if item.model in ("tuned", BLIND)))
    metrics = [name for name in metrics if separation_of(separations, name, "auc") is not None]
    measured = {item.statistic for item in separations if item.value is not None and item.stratum == "all"}
    rates = rate_statistics(measured)
    over_base = [f"tpr_over_base@{fpr:g}" for fpr in FALSE_POSITIVE_RATES if f"tpr_over_base@{fpr:g}" in measured]
    last = over_base[-1] if over_base else ""
    return MembershipSection(
        notes=tuple(_notes(separations, config)),
        rates=rates,
        rate_over_base=last,
        rows=tuple(_row(name, separations, rates, last) for name in metrics),
        strata=tuple(strata),
        by_stratum=tuple(
            StratumRow(title_of(name), tuple(separation_of(separations, name, "auc", stratum=one) for one in strata))
            for name in metrics
        ),
        separations=tuple(separations),
        curves=tuple(run.read(runs.CURVES, Curve)),
    )


def rate_statistics(measured: Collection[str]) -> tuple[str, ...]:
    """At each false-positive rate "tpr@F" if it was measured, else "passed@F", else nothing."""
    names = [(f"tpr@{fpr:g}", f"passed@{fpr:g}") for fpr in FALSE_POSITIVE_RATES]
    return tuple(name for pair in names for name in pair[: 1 + (pair[0] not in measured)] if name in measured)


def rate_title(statistic: str, controls: str = "non-members") -> str:
    """What a rate of members is of, with its interval.

    >>> rate_title("tpr@0.01")
    'TPR at 1 % FPR'
    >>> rate_title("passed@0.01")
    'Over the threshold that 1 % of the non-members at hand exceed (threshold taken as given)'
    """
    name, _, fpr = statistic.partition("@")
    share = f"{100 * float(fpr):g} %"
    if name == "passed":
        return f"Over the threshold that {share} of the {controls} at hand exceed (threshold taken as given)"
    return {
        "tpr": f"TPR at {share} FPR",
        "tpr_difference": f"TPR at {share} FPR",
        "tpr_over_base": f"TPR at {share} FPR over base",
    }[name]


def separation_of(
    separations: Sequence[Separation], metric: str, statistic: str, *, model: str = "", stratum: str = "all"
) -> Separation | None:
    """One separation, of the tuned model (of the blind baseline: of no model) unless another is named; None where it was not made."""
    of_model = model or (BLIND if metric == BLIND_METRIC else "tuned")
    wanted = (metric, of_model, statistic, stratum)
    return next((one for one in separations if (one.metric, one.model, one.statistic, one.stratum) == wanted), None)


def unfair_split(separations: Sequence[Separation]) -> str:
    """That members can be distinguished from non-members without any model; "" where they cannot, or it was not tried."""
    blind = separation_of(separations, BLIND_METRIC, "auc")
    if blind is None or blind.value is None or (blind.low or 0.0) <= 0.5:
        return ""
    return (
        f"The split is not fair: a classifier of words and length that never sees a model tells members from non-members "
        f"with an AUC of {shown_area(blind)}. What the membership scores find may be this difference and no memory."
    )


def roc_chart(section: MembershipSection) -> Chart | None:
    """True-positive against false-positive rate, both on logarithmic scales; None without curves."""
    curves = [curve for curve in section.curves if curve.metric in DRAWN and curve.model in ("tuned", BLIND)]
    if not curves:
        return None
    left, right, bottom = 58, WIDTH - 14, 380
    across, up = _Logarithmic(left, right), _Logarithmic(bottom, TOP)
    ticks = [LEAST_RATE * 10**power for power in range(round(-math.log10(LEAST_RATE)) + 1)]
    lines = [Line(left, up(tick), right, up(tick), "grid") for tick in ticks]
    lines += [Line(across(tick), TOP, across(tick), bottom, "grid") for tick in ticks]
    lines.append(Line(left, bottom, right, TOP, "axis"))
    labels = [Label(left - 8, up(tick) + 4, f"{100 * tick:g} %", "end", "tick") for tick in ticks]
    labels += [Label(across(tick), bottom + 18, f"{100 * tick:g} %", "middle", "tick") for tick in ticks]
    labels.append(Label((left + right) / 2, bottom + 38, "non-members over the threshold", "middle", "level"))
    dots, legend = [], []
    for curve in curves:
        style, name = DRAWN[curve.metric], title_of(curve.metric)
        points = [
            (across(x), up(y)) for x, y in zip(curve.false_positive_rates, curve.true_positive_rates, strict=True)
        ]
        lines += [Line(*start, *end, f"path s{style}") for start, end in pairwise(_steps(points))]
        dots += [
            Dot(across(fpr), up(rate), style, f"{name}: {percent(rate)} of the members {_at(fpr, section.rates)}")
            for fpr in FALSE_POSITIVE_RATES[:2]
            if (rate := _rate_at(curve, fpr)) > LEAST_RATE
        ]
        legend.append(Series(name, style, ()))
    title = "Members over the threshold, by non-members over it"
    description = "; ".join(dot.title for dot in dots)
    return Chart(title, description, bottom + 44, tuple(lines), tuple(dots), tuple(labels), tuple(legend))


def _at(fpr: float, rates: Sequence[str]) -> str:
    """What a point of the picture is, as the table's column calls it."""
    if f"tpr@{fpr:g}" in rates:
        return f"at {100 * fpr:g} % FPR"
    title = rate_title(f"passed@{fpr:g}")
    return title[0].lower() + title[1:]


def _row(metric: str, separations: Sequence[Separation], rates: Sequence[str], over_base: str) -> AttackRow:
    own = {
        item.statistic: item
        for item in separations
        if item.metric == metric and item.model in ("tuned", BLIND) and item.stratum == "all"
    }
    return AttackRow(
        metric=metric,
        title=title_of(metric),
        definition=definition_of(metric),
        auc=own.get("auc"),
        rates=tuple(map(own.get, rates)),
        p_value=own.get("p_value_holm") or own.get("p_value"),
        base=separation_of(separations, metric, "auc", model="base"),
        over_base=own.get("auc_over_base"),
        rate_over_base=own.get(over_base),
        identified=own.get(IDENTIFIED),
    )


def _notes(separations: Sequence[Separation], config: AuditConfig) -> Iterator[str]:
    whole = config.scoring.membership_scope == "text"
    yield f"The scores read {'the whole text' if whole else 'the true continuation alone'} of each record."
    yield from filter(None, [unfair_split(separations) or _fair_split(separations)])
    for fpr in FALSE_POSITIVE_RATES:
        refused = [item for item in separations if item.statistic == f"tpr@{fpr:g}" and item.stratum == "all"]
        if refused and all(item.value is None for item in refused):
            yield f"The TPR at {100 * fpr:g} % FPR is not measurable: {refused[0].reason}."
    passed = next((one for one in separations if one.statistic == "fpr@0.01" and one.value is not None), None)
    if passed is not None and passed.high is not None:
        yield (
            f"{round((passed.value or 0) * passed.nonmembers):,} of the {passed.nonmembers:,} non-members at hand exceed the "
            f"threshold that is set for 1 % FPR; of non-members in general it may be up to {percent(passed.high)}."
        )
    yield from _inferred(separations)


def _fair_split(separations: Sequence[Separation]) -> str:
    blind = separation_of(separations, BLIND_METRIC, "auc")
    if blind is None or blind.value is None:
        return ""
    return f"A classifier that never sees a model has an AUC of {shown_area(blind)}: it finds no difference between the texts."


def _inferred(separations: Sequence[Separation]) -> Iterator[str]:
    """What dataset inference says under either model."""
    tuned, base = (
        separation_of(separations, "dataset_inference", "p_value", model=model) for model in ("tuned", "base")
    )
    if tuned is not None:
        said = f"not measurable: {tuned.reason}" if tuned.value is None else chance(tuned.value)
        control = "" if base is None or base.value is None else f" (base model {chance(base.value)})"
        yield f"All scores together, for the whole set of members (dataset inference): {said}{control}."


def _rate_at(curve: Curve, fpr: float) -> float:
    """The true-positive rate at the largest false-positive rate that is not over `fpr`."""
    points = zip(curve.false_positive_rates, curve.true_positive_rates, strict=True)
    return max(y for x, y in points if x <= fpr + 1e-12)


def _steps(points: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """The points and the corners between them, without those that would not move the line by a pixel."""
    last = points[0]
    yield last
    for x, y in points[1:]:
        if math.dist(last, (x, y)) >= 1 or (x, y) == points[-1]:
            yield x, last[1]
            yield x, y
            last = (x, y)


@dataclass(frozen=True, slots=True)
class _Logarithmic:
    """`LEAST_RATE` (and less) lies at `start`, 1 at `end`."""

    start: float
    end: float

    def __call__(self, rate: float) -> float:
        share = 1 - math.log10(max(rate, LEAST_RATE)) / math.log10(LEAST_RATE)
        return self.start + (self.end - self.start) * share
