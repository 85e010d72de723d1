"""From exposures to figures: exposure by copies beside its controls, membership of canaries, bounds on epsilon.

Canaries never stand among the members: their figures are made here, apart from all others. In them "member" means planted
and "non-member" held out, and each canary is a cluster of its own.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rote.records import Canary, Estimate, Exposure, PrivacyBound, Separation, Split
from rote.scoring.canaries.ranking import exposure
from rote.scoring.metrics import METRICS
from rote.statistics import intervals, operating_points, separation
from rote.statistics.intervals import Interval
from rote.statistics.privacy import GUESS_SHARES, clopper_pearson_epsilon, one_run_epsilon
from rote.statistics.separation import Side, Sides

CHANCE = 0.01
"""False-positive rate of the membership figures, and chance at which a held-out canary passes the fixed threshold."""
SPLITS: tuple[tuple[Split, bool], ...] = (("member", True), ("non-member", False))
"""Splits as estimates name them, and whether their canaries are planted."""


@dataclass(frozen=True, slots=True)
class CanaryFigures:
    """All figures of a run's canaries."""

    estimates: list[Estimate]
    separations: list[Separation]
    bounds: list[PrivacyBound]


@dataclass(frozen=True, slots=True)
class _Column:
    """One metric of one model by canary id; a canary that could not be measured is missing."""

    metric: str
    model: str
    values: Mapping[str, float]
    reason: str | None
    """Why the first that is missing could not be measured."""
    most: float
    """Largest possible value."""


def canary_figures(
    canaries: Sequence[Canary],
    exposures: Mapping[str, Sequence[Exposure]],
    *,
    confidence: float = 0.95,
    delta: float = 0.0,
) -> CanaryFigures:
    """All figures of the canaries, in the order of metrics, models, splits and copies.

    A stratum "copies=K" holds the canaries that were, or would have been, planted so often. Membership is told by
    `secret_gain`; held-out canaries of all copies are the controls of each stratum, for they are drawn alike.

    Args:
        canaries: all, planted and held out.
        exposures: model → its exposures: of "tuned" and, where there is one, of "base".
        confidence: level of every interval and bound.
        delta: of the (epsilon, delta) privacy that is bounded.
    """
    gain = _gain(exposures["tuned"], exposures.get("base"))
    columns = [column for model, found in exposures.items() for column in _columns(model, found)] + [gain]
    columns.sort(key=lambda column: list(METRICS).index(column.metric))
    strata = _strata(canaries)
    figures = CanaryFigures([], [], [])
    for column in columns:
        for split, is_planted in SPLITS:
            for name, everyone in strata.items():
                chosen = [canary.id for canary in everyone if canary.planted == is_planted]
                figures.estimates.extend(_estimated(column, split, name, chosen, confidence))
    held_out = [canary.id for canary in canaries if not canary.planted]
    for name, everyone in strata.items():
        planted = [canary.id for canary in everyone if canary.planted]
        copies = max(canary.copies for canary in everyone)
        figures.separations.extend(_separations(gain, name, planted, held_out, confidence))
        figures.bounds.append(_one_run(gain, name, everyone, confidence, delta))
        figures.bounds.append(_at_chance(exposures["tuned"], name, copies, planted, held_out, confidence, delta))
    return figures


def bits(found: Exposure) -> float | None:
    """The exposure; None where it could not be measured."""
    return None if found.log_probability is None else exposure(found.compared, found.as_likely)


def preference(found: Exposure) -> float | None:
    """How many standard deviations the secret's ln p lies over the mean of those it is compared with; None: not measured."""
    if found.log_probability is None or found.mean is None or not found.deviation:
        return None
    return (found.log_probability - found.mean) / found.deviation


def _strata(canaries: Sequence[Canary]) -> dict[str, list[Canary]]:
    levels = sorted({canary.copies for canary in canaries})
    by_copies = {f"copies={k}": [canary for canary in canaries if canary.copies == k] for k in levels}
    return {"all": list(canaries), **(by_copies if len(levels) > 1 else {})}


def _columns(model: str, exposures: Sequence[Exposure]) -> Iterator[_Column]:
    """Exposure and first rank of one model, and what was extrapolated, if anything was."""
    ceiling = max((math.log2(item.compared) for item in exposures if item.compared), default=0.0)
    yield _column("exposure", model, exposures, bits, most=ceiling)
    yield _column("ranked_first", model, exposures, _is_first, most=1.0)
    if any(item.extrapolated is not None for item in exposures):
        yield _column("extrapolated_exposure", model, exposures, lambda item: item.extrapolated)


def _is_first(found: Exposure) -> float | None:
    return None if found.log_probability is None else float(found.as_likely == 0)


def _gain(tuned: Sequence[Exposure], base: Sequence[Exposure] | None) -> _Column:
    before = {item.canary_id: preference(item) for item in base or ()}

    def gained(item: Exposure) -> float | None:
        after, known = preference(item), before.get(item.canary_id) if base is not None else 0.0
        return None if after is None or known is None else after - known

    return _column("secret_gain", "tuned", tuned, gained)


def _column(
    metric: str,
    model: str,
    exposures: Iterable[Exposure],
    value_of: Callable[[Exposure], float | None],
    *,
    most: float = math.inf,
) -> _Column:
    values, reason = {}, None
    for item in exposures:
        value = value_of(item)
        if value is not None:
            values[item.canary_id] = value
        else:
            reason = reason or item.reason
    return _Column(metric, model, values, reason, most)


def _estimated(
    column: _Column, split: Split, stratum: str, chosen: Sequence[str], confidence: float
) -> Iterator[Estimate]:
    """The estimate of one column in one stratum; nothing where no canary is in it."""
    if not chosen:
        return
    measured = [name for name in chosen if name in column.values]
    values = [column.values[name] for name in measured]
    metric = METRICS[column.metric]
    is_rate = metric.estimator == "rate"
    if not measured:
        found = Interval(None, None, None, "none", column.reason or "no canary was measured")
    elif is_rate:
        found = intervals.rate([value == 1.0 for value in values], measured, confidence=confidence)
    else:
        found = intervals.mean(values, measured, confidence=confidence, least=metric.low, most=column.most)
    yield Estimate(
        metric=column.metric,
        model=column.model,
        split=split,
        stratum=stratum,
        value=found.value,
        low=found.low,
        high=found.high,
        n=len(measured),
        n_missing=len(chosen) - len(measured),
        method=found.method,
        events=sum(value == 1.0 for value in values) if is_rate else None,
        reason=found.reason,
    )


def _separations(
    gain: _Column, stratum: str, planted: Sequence[str], held_out: Sequence[str], confidence: float
) -> Iterator[Separation]:
    """How well the gain tells the planted canaries of a stratum from all held-out ones."""
    sides = Sides(_side(gain, planted), _side(gain, held_out))
    found = {
        "auc": separation.auc(sides, confidence=confidence),
        f"tpr@{CHANCE:g}": operating_points.tpr_at_fpr(sides, CHANCE, confidence=confidence),
        f"passed@{CHANCE:g}": operating_points.passed(sides, CHANCE, confidence=confidence),
        f"fpr@{CHANCE:g}": operating_points.fpr_of_threshold(sides, CHANCE, confidence=confidence),
    }
    for statistic, interval in found.items():
        yield Separation(
            metric=gain.metric,
            model=gain.model,
            statistic=statistic,
            stratum=stratum,
            value=interval.value,
            low=interval.low,
            high=interval.high,
            members=len(sides.members.values),
            nonmembers=len(sides.nonmembers.values),
            method=interval.method,
            reason=interval.reason,
        )


def _side(column: _Column, chosen: Iterable[str]) -> Side:
    measured = tuple(name for name in chosen if name in column.values)
    return Side(np.array([column.values[name] for name in measured], dtype=np.float64), measured)


def _one_run(gain: _Column, stratum: str, canaries: Sequence[Canary], confidence: float, delta: float) -> PrivacyBound:
    """The best of a few numbers of guesses, each held to a level that allows for the choice (Bonferroni)."""
    ranked = sorted(
        (canary for canary in canaries if canary.id in gain.values),
        key=lambda canary: (-gain.values[canary.id], canary.id),
    )
    strict = 1 - (1 - confidence) / len(GUESS_SHARES)
    best: tuple[float, int, int] | None = None
    for share in GUESS_SHARES:
        half = int(share * len(ranked)) // 2
        correct = sum(c.planted for c in ranked[:half]) + sum(not c.planted for c in ranked[len(ranked) - half :])
        epsilon = one_run_epsilon(correct, 2 * half, canaries=len(canaries), delta=delta, confidence=strict)
        if best is None or epsilon > best[0]:
            best = epsilon, 2 * half, correct
    epsilon, guesses, correct = best or (0.0, 0, 0)
    reason = None if ranked else gain.reason or "no canary was measured"
    return PrivacyBound(
        method="one-run",
        stratum=stratum,
        epsilon=None if reason else epsilon,
        delta=delta,
        confidence=confidence,
        copies=max(canary.copies for canary in canaries),
        canaries=len(canaries),
        guesses=guesses,
        correct=correct,
        controls=0,
        alarms=0,
        reason=reason,
    )


def _at_chance(
    exposures: Iterable[Exposure],
    stratum: str,
    copies: int,
    planted: Sequence[str],
    held_out: Sequence[str],
    confidence: float,
    delta: float,
) -> PrivacyBound:
    """The exact bound at a threshold that needs no data: the exposure that chance exceeds once in a hundred times."""
    passes = {
        item.canary_id: (1 + item.as_likely) <= CHANCE * item.compared
        for item in exposures
        if item.log_probability is not None and item.compared * CHANCE >= 1
    }
    found, alarms = ([passes[name] for name in side if name in passes] for side in (planted, held_out))
    reason = None
    if not found or not alarms:
        least = math.ceil(1 / CHANCE)
        reason = (
            f"no canary on one side was compared with {least} secrets" if planted and held_out else "one side is empty"
        )
    epsilon = 0.0
    if reason is None:
        epsilon = clopper_pearson_epsilon(
            sum(found), len(found), sum(alarms), len(alarms), delta=delta, confidence=confidence
        )
    return PrivacyBound(
        method="Clopper-Pearson",
        stratum=stratum,
        epsilon=None if reason else epsilon,
        delta=delta,
        confidence=confidence,
        copies=copies,
        canaries=len(found) + len(alarms),
        guesses=len(found),
        correct=sum(found),
        controls=len(alarms),
        alarms=sum(alarms),
        reason=reason,
    )
