"""The canaries of a run, as a report shows them: exposure by copies beside its controls, membership, bounds on epsilon."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rote import runs
from rote.corpus.secrets import SecretSpace
from rote.records import Canary, Estimate, Exposure, PrivacyBound, Separation
from rote.reporting.artifacts import find
from rote.reporting.figures import Figure, number
from rote.reporting.membership import rate_title
from rote.reporting.plots import Chart, Series, levels_chart
from rote.runs import Run
from rote.scoring.canaries import CHANCE_BITS, POOR_FIT


@dataclass(frozen=True, slots=True)
class CanaryRow:
    """The canaries of one number of copies, or all of them."""

    copies: str
    """"all", or the number."""
    planted: Estimate | None
    """Exposure under the tuned model."""
    ranked_first: Estimate | None
    extrapolated: Estimate | None
    base: Estimate | None
    """Exposure of the same canaries under the base model."""
    held_out: Estimate | None
    """Exposure under the tuned model of those that were not planted."""
    detected: Separation | None
    """The section's `detected`."""
    one_run: PrivacyBound | None
    at_chance: PrivacyBound | None
    """The bound from exact intervals."""


@dataclass(frozen=True, slots=True)
class CanarySection:
    """What a report says of the canaries."""

    facts: tuple[str, ...]
    """How many were drawn, how the exposure was made and where it ends, in sentences."""
    detected: str
    """Title of the rate at 1 % FPR: the TPR where any stratum has one, else the share over the threshold at hand."""
    rows: tuple[CanaryRow, ...]
    """By copies, then all."""
    estimates: tuple[Estimate, ...]
    separations: tuple[Separation, ...]
    bounds: tuple[PrivacyBound, ...]


def canary_section(run: Run) -> CanarySection | None:
    """Reads it; None where the run has no figures of canaries."""
    if not run.has(runs.CANARY_ESTIMATES):
        return None
    canaries = run.read(runs.CANARIES, Canary)
    estimates = run.read(runs.CANARY_ESTIMATES, Estimate)
    separations = run.read(runs.CANARY_SEPARATIONS, Separation)
    bounds = run.read(runs.PRIVACY_BOUNDS, PrivacyBound)
    strata = list(dict.fromkeys(bound.stratum for bound in bounds))
    exposures = run.read(runs.EXPOSURES.format(model="tuned"), Exposure)
    measured = {item.statistic for item in separations if item.value is not None}
    statistic = "tpr@0.01" if "tpr@0.01" in measured else "passed@0.01"
    return CanarySection(
        facts=tuple(_facts(canaries, exposures)),
        detected=rate_title(statistic, "held-out ones"),
        rows=tuple(_row(stratum, estimates, separations, bounds, statistic) for stratum in [*strata[1:], strata[0]]),
        estimates=tuple(estimates),
        separations=tuple(separations),
        bounds=tuple(bounds),
    )


def exposure_chart(section: CanarySection) -> Chart | None:
    """Exposure by copies; None where the canaries do not differ in them."""
    levels = [row for row in section.rows if row.copies != "all"]
    series = [
        Series("Planted", 0, tuple(row.planted for row in levels)),
        Series("Base model", 1, tuple(row.base for row in levels)),
        Series("Held out", 2, tuple(row.held_out for row in levels)),
    ]
    return levels_chart("Exposure in bits", "copies of the canary", [row.copies for row in levels], series)


def epsilon_figure(bound: PrivacyBound | None) -> Figure:
    """The cell for a bound: `≥ 3.21` over its counts and what it says of one record; `0` where nothing is shown."""
    if bound is None:
        return Figure("–", "", "absent")
    if bound.epsilon is None:
        return Figure("not measurable", bound.reason or "", "not measurable")
    if bound.method == "Clopper-Pearson":
        parts = [f"{bound.correct:,}/{bound.guesses:,}", f"{bound.alarms:,}/{bound.controls:,} false"]
    else:
        parts = [f"{bound.correct:,}/{bound.guesses:,} right"]
        if bound.epsilon > 0 and bound.copies > 1 and bound.delta == 0:
            parts.append(f"one record ≥ {number(bound.epsilon / bound.copies)}")
    return Figure(f"≥ {number(bound.epsilon)}", " · ".join(parts), "measured")


def _row(
    stratum: str,
    estimates: Sequence[Estimate],
    separations: Sequence[Separation],
    bounds: Sequence[PrivacyBound],
    statistic: str,
) -> CanaryRow:
    by_method = {bound.method: bound for bound in bounds if bound.stratum == stratum}
    detected = [item for item in separations if (item.stratum, item.statistic) == (stratum, statistic)]
    return CanaryRow(
        copies=stratum.removeprefix("copies="),
        planted=find(estimates, "exposure", stratum=stratum),
        ranked_first=find(estimates, "ranked_first", stratum=stratum),
        extrapolated=find(estimates, "extrapolated_exposure", stratum=stratum),
        base=find(estimates, "exposure", model="base", stratum=stratum),
        held_out=find(estimates, "exposure", split="non-member", stratum=stratum),
        detected=detected[0] if detected else None,
        one_run=by_method.get("one-run"),
        at_chance=by_method.get("Clopper-Pearson"),
    )


def _facts(canaries: Sequence[Canary], exposures: Sequence[Exposure]) -> Iterator[str]:
    planted = [canary for canary in canaries if canary.planted]
    yield (
        f"{len(canaries):,} canaries were drawn: {len(planted):,} are planted, in {sum(c.copies for c in planted):,} rows of "
        f"the training data, {len(canaries) - len(planted):,} are held out."
    )
    for space in dict.fromkeys(SecretSpace(canary.kind, canary.length) for canary in canaries):
        chosen = {canary.id for canary in canaries if (canary.kind, canary.length) == (space.kind, space.length)}
        yield from _space_facts(space, [item for item in exposures if item.canary_id in chosen])
    missing = [item for item in exposures if item.reason]
    if missing:
        yield f"{len(missing):,} canaries could not be scored: {missing[0].reason}."


def _space_facts(space: SecretSpace, exposures: Sequence[Exposure]) -> Iterator[str]:
    """How the exposures of one space were made, and where they end."""
    measured = [item for item in exposures if item.compared]
    if not measured:
        return
    what = f"{space.length} {'digit' if space.kind == 'number' else 'word'}{'s' if space.length > 1 else ''}"
    ceiling = math.log2(max(item.compared for item in measured))
    of_chance = f"by chance {CHANCE_BITS:.2f} bits on average, at most {ceiling:.1f} (ceiling)"
    if measured[0].is_exact:
        yield f"Secrets of {what}: exact, all {space.size:,} are compared; {of_chance}."
        return
    size = f"{space.size:,}" if space.size < 10**9 else f"2^{math.log2(space.size):.0f}"
    yield f"Secrets of {what}: sampled, {measured[0].compared:,} of {size} are compared; {of_chance}."
    poor = sum((item.fit_distance or 0) > POOR_FIT for item in measured)
    if poor:
        yield (
            f"The distribution that extrapolates fits badly for {poor:,} of {len(measured):,} canaries (Kolmogorov-Smirnov "
            f"distance over {POOR_FIT}): do not trust their extrapolated exposure."
        )
