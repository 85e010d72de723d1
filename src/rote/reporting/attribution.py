"""What may be put down to the fine-tuning, and whether members can be distinguished where no text comes out."""

from collections.abc import Sequence

from rote.records import Comparison, Estimate, Separation
from rote.reporting.artifacts import find
from rote.reporting.figures import chance, shown_area
from rote.reporting.names import title_of
from rote.reporting.populations import BASE, estimate_of
from rote.runs import GENERATIONS, Run
from rote.scoring.membership_scores import BLIND

TEXT_METRICS = {"extractable": "word for word", "verbatim": "with a verbatim passage"}
"""The rates of the verdict, in words."""
NOT_ONE_SCORE = ("blind_baseline", "dataset_inference")
"""Separations that are not of one membership score."""


def attribution_of(
    run: Run, estimates: Sequence[Estimate], comparisons: Sequence[Comparison], *, confidence: float
) -> str:
    """The `attribution` of a run, which knows whether its two models are one."""
    manifest = run.manifest()
    tuned, base = manifest.get("model_hash"), manifest.get("base_model_hash")
    is_same_model = bool(tuned) and tuned == base and run.has(GENERATIONS.format(model="base"))
    return attribution(estimates, comparisons, confidence=confidence, is_same_model=is_same_model)


def attribution(
    estimates: Sequence[Estimate], comparisons: Sequence[Comparison], *, confidence: float, is_same_model: bool = False
) -> str:
    """That nothing that comes out can be put down to the fine-tuning, and why; "" where something can, or nothing comes out.

    Something can, where the tuned model shows any of the compared metrics at more of the members' prompts than the base
    model, with McNemar's p below 1 − confidence.
    """
    if is_same_model:
        return "nothing here can be put down to a fine-tuning: the tuned and the base model are the same, byte for byte"
    rates = [find(estimates, metric) for metric in TEXT_METRICS]
    out = [item for item in rates if item is not None and item.value]
    if not out:
        return ""
    if all(estimate_of(estimates, item.metric, BASE) is None for item in out):
        return "nothing of it can be put down to the fine-tuning, since no base model was run"
    pairs = [pair for pair in comparisons if (pair.split, pair.first, pair.second) == ("member", "tuned", "base")]
    if any(pair.difference > 0 and pair.p_value < 1 - confidence for pair in pairs):
        return ""
    counts = [_counted(pair) for item in out for pair in pairs if pair.metric == item.metric]
    if not counts:
        return "nothing of it can be put down to the fine-tuning: too few prompts were measured under both models"
    return (
        f"nothing that comes out can be put down to the fine-tuning: the base model does as much ({'; '.join(counts)})"
    )


def membership_clause(separations: Sequence[Separation], *, confidence: float) -> str:
    """What the best membership score says, with its interval and its controls; "" where none was measured."""
    areas = [one for one in separations if (one.model, one.statistic, one.stratum) == ("tuned", "auc", "all")]
    measured = [one for one in areas if one.value is not None and one.metric not in NOT_ONE_SCORE]
    if not measured:
        return ""
    best = max(measured, key=lambda one: (one.value or 0.0, one.metric))
    figure = f"AUC {shown_area(best)}{_beside(best, separations)}"
    p_value = _p_value(best, separations)
    count = "the one membership score" if len(measured) == 1 else f"the best of {len(measured)} membership scores"
    if p_value is not None and p_value >= 1 - confidence:
        none = "the one membership score does not distinguish" if len(measured) == 1 else (
            f"none of {len(measured)} membership scores distinguishes"
        )  # fmt: skip
        return f"{none} members from non-members (best: “{title_of(best.metric)}”, {figure})"
    blind = _area(separations, "blind_baseline", BLIND)
    doubt = ", which may be the texts’ own difference and no memory" if blind and (blind.low or 0.0) > 0.5 else ""
    return f"{count} (“{title_of(best.metric)}”) distinguishes members from non-members: {figure}{doubt}"


def _counted(pair: Comparison) -> str:
    n = pair.both + pair.only_first + pair.only_second + pair.neither
    return (
        f"{TEXT_METRICS[pair.metric]} {pair.only_first:,} of {n:,} under the tuned model alone, {pair.only_second:,} under "
        f"the base model alone, {chance(pair.p_value)}"
    )


def _beside(best: Separation, separations: Sequence[Separation]) -> str:
    """The same score under the base model, and the classifier that sees no model."""
    base = _area(separations, best.metric, "base")
    blind = _area(separations, "blind_baseline", BLIND)
    said = [f"base model {shown_area(base)}"] if base is not None else []
    said += [f"without any model {shown_area(blind)}"] if blind is not None else []
    return f"; {', '.join(said)}" if said else ""


def _area(separations: Sequence[Separation], metric: str, model: str) -> Separation | None:
    wanted = (metric, model, "auc", "all")
    found = (one for one in separations if (one.metric, one.model, one.statistic, one.stratum) == wanted)
    return next((one for one in found if one.value is not None), None)


def _p_value(best: Separation, separations: Sequence[Separation]) -> float | None:
    """Corrected for the number of scores where it was."""
    own = {
        one.statistic: one.value
        for one in separations
        if (one.metric, one.model, one.stratum) == (best.metric, "tuned", "all")
    }
    corrected = own.get("p_value_holm")
    return corrected if corrected is not None else own.get("p_value")
