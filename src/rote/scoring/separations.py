"""From membership scores to separations: how well each tells members from non-members, with controls and corrections."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rote.records import Curve, Example, Prompt, Score, Separation
from rote.scoring.columns import Column, Subject, collect_subjects, likelihood_columns
from rote.scoring.membership_scores import BLIND
from rote.scoring.metrics import METRICS, SEPARATING_METRICS, metric_of
from rote.scoring.metrics.definition import LESS
from rote.scoring.strata import ORIGINS, Stratum, counted_once, strata_of
from rote.statistics import operating_points, separation
from rote.statistics.dataset_inference import HALVINGS, dataset_inference, too_few_groups
from rote.statistics.intervals import Interval
from rote.statistics.separation import FALSE_DISCOVERY_RATE, FALSE_POSITIVE_RATES, Roc, Side, Sides
from rote.statistics.tests import holm

MODELS = ("tuned", "base", BLIND)
CURVE_POINTS = 200
"""Corners of a curve that are kept, evenly on a logarithmic scale of the false-positive rate."""
IDENTIFIED = f"identified@{FALSE_DISCOVERY_RATE:g}"
STATISTICS = (
    "auc",
    *(f"{rate}@{fpr:g}" for fpr in FALSE_POSITIVE_RATES for rate in ("tpr", "passed", "fpr")),
    "p_value",
    "p_value_holm",
    "auc_over_base",
    "p_value_over_base",
    *(f"{name}@{fpr:g}" for fpr in FALSE_POSITIVE_RATES for name in ("tpr_over_base", "p_value_tpr_over_base")),
    IDENTIFIED,
)
"""What is said of a score; of dataset inference the p-value alone."""
_RATES = {
    "tpr": operating_points.tpr_at_fpr,
    "passed": operating_points.passed,
    "fpr": operating_points.fpr_of_threshold,
}
_PERMUTED = "permutation of duplicate groups, one-sided"
_MEASURED_SHARE = 0.5
"""A score that fewer of the records have is left out of dataset inference."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """The members and the non-members that one stratum compares."""

    name: str
    members: Stratum
    nonmembers: Stratum


def separate(
    scores: Sequence[Score],
    *,
    examples: Iterable[Example],
    prompts: Iterable[Prompt],
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[list[Separation], list[Curve]]:
    """All separations of a run, and the curves of all records. Without members or without non-members there are none.

    Of each score (`SEPARATING_METRICS`) of each model, over all records: `STATISTICS`, as far as they make sense (Holm's
    correction is over the scores of the tuned model). In the strata "copies=K" (members of K copies against all
    non-members), "length=…" and "overlap=low" (both sides): the area alone, of the tuned model and of the blind
    baseline. Last, dataset inference with all scores of one model.

    Equal records of a side count once. The clusters are the duplicate groups.

    Args:
        scores: of `score_membership` and `score_blindly`, and the base model's loss for "overlap=low".
        examples: of all prompts.
        prompts: all prompts.
        confidence: level of every interval.
        seed: of permutations and halvings.
    """
    subjects = collect_subjects(prompts, {example.id: example for example in examples})
    columns = sorted(likelihood_columns(scores, SEPARATING_METRICS), key=_order)
    pairs = list(_pairs(subjects, likelihood_columns(scores)))
    if not pairs or not columns:
        return [], []
    everyone, *parts = pairs
    base = {column.metric: column for column in columns if column.model == "base"}
    found: list[Separation] = []
    for column in columns:
        found += _of_all(column, base.get(column.metric), everyone, subjects, confidence, seed)
        if column.model != "base":
            found += [_area(column, pair, subjects, confidence) for pair in parts]
    curves = [_curve(column, _sides(column, everyone, subjects)) for column in columns]
    inferred = [_inferred(columns, model, everyone, subjects, seed) for model in ("tuned", "base")]
    return [*_corrected(found), *filter(None, inferred)], [curve for curve in curves if curve]


def separate_difference(
    first: Sequence[Score],
    second: Sequence[Score],
    *,
    examples: Iterable[Example],
    prompts: Iterable[Prompt],
    confidence: float = 0.95,
) -> list[Separation]:
    """How much better each score separates in the first of two runs over the same prompts, on the records that both have.

    Of each score of both tuned models: "auc_difference", and "tpr_difference@F" at each false-positive rate, each run at
    its own threshold. The model is "tuned", the stratum "all".

    Args:
        first: scores of one run.
        second: scores of the other.
        examples: of all prompts.
        prompts: of both runs, which are the same.
        confidence: level of every interval.
    """
    subjects = collect_subjects(prompts, {example.id: example for example in examples})
    one, other = (
        {column.metric: column for column in likelihood_columns(scores, SEPARATING_METRICS) if column.model == "tuned"}
        for scores in (first, second)
    )
    everyone = next(_pairs(subjects, ()), None)
    found: list[Separation] = []
    if everyone is None:
        return found
    for metric in [name for name in METRICS if name in one and name in other]:
        pair = _shared_sides(one[metric], other[metric], everyone, subjects)
        area = separation.auc_difference(*pair, confidence=confidence)
        found.append(_separation(one[metric], "auc_difference", area, pair[0]))
        for fpr in FALSE_POSITIVE_RATES:
            gained = operating_points.tpr_difference(*pair, fpr, confidence=confidence)
            found.append(_separation(one[metric], f"tpr_difference@{fpr:g}", gained, pair[0]))
    return found


def _shared_sides(one: Column, other: Column, everyone: _Pair, subjects: Mapping[str, Subject]) -> tuple[Sides, Sides]:
    """The values of two columns on the records that both have."""
    both = _measured(one) & _measured(other)
    first, second = (
        _sides(replace(column, scores={i: column.scores[i] for i in both}), everyone, subjects)
        for column in (one, other)
    )
    return first, second


def _pairs(subjects: Mapping[str, Subject], columns: Iterable[Column]) -> Iterator[_Pair]:
    """The strata that have both sides, that of all records first."""
    strata = [stratum for stratum in strata_of(subjects, columns, ()) if stratum.name not in ORIGINS]
    nonmembers = {stratum.name: stratum for stratum in strata if stratum.split == "non-member"}
    for stratum in strata:
        if stratum.split == "member":
            controls = "all" if stratum.name.startswith("copies=") else stratum.name
            if controls in nonmembers:
                yield _Pair(stratum.name, stratum, nonmembers[controls])


def _of_all(
    column: Column,
    base: Column | None,
    everyone: _Pair,
    subjects: Mapping[str, Subject],
    confidence: float,
    seed: int,
) -> Iterator[Separation]:
    """Every statistic of one score over all records, in the order of `STATISTICS` (Holm's correction comes later)."""
    sides = _sides(column, everyone, subjects)
    area = separation.auc(sides, confidence=confidence)
    yield _separation(column, "auc", area, sides)
    for fpr in FALSE_POSITIVE_RATES:
        for name, rate in _RATES.items():
            yield _separation(column, f"{name}@{fpr:g}", rate(sides, fpr, confidence=confidence), sides)
    chance = None if area.reason else separation.auc_p_value(sides, seed=seed)
    yield _separation(column, "p_value", Interval(chance, None, None, _PERMUTED, area.reason), sides)
    if column.model != "tuned":
        return
    if base is not None:
        yield from _over_base(column, base, everyone, subjects, confidence, seed)
    yield _separation(column, IDENTIFIED, separation.identified_share(sides, confidence=confidence), sides)


def _over_base(
    column: Column, base: Column, everyone: _Pair, subjects: Mapping[str, Subject], confidence: float, seed: int
) -> Iterator[Separation]:
    """How much better the score separates under the tuned model than under the base model, on the records that both have."""
    first, second = _shared_sides(column, base, everyone, subjects)
    difference = separation.auc_difference(first, second, confidence=confidence)
    yield _separation(column, "auc_over_base", difference, first)
    chance = None if difference.reason else separation.auc_difference_p_value(first, second, seed=seed)
    method = "exchange of the two models within duplicate groups, one-sided"
    yield _separation(column, "p_value_over_base", Interval(chance, None, None, method, difference.reason), first)
    for fpr in FALSE_POSITIVE_RATES:
        gained = operating_points.tpr_difference(first, second, fpr, confidence=confidence)
        yield _separation(column, f"tpr_over_base@{fpr:g}", gained, first)
        chance = None
        if not gained.reason:
            chance = operating_points.tpr_difference_p_value(first, second, fpr, confidence=confidence)
        found = Interval(chance, None, None, "the tail at which the interval begins at 0, one-sided", gained.reason)
        yield _separation(column, f"p_value_tpr_over_base@{fpr:g}", found, first)


def _area(column: Column, pair: _Pair, subjects: Mapping[str, Subject], confidence: float) -> Separation:
    sides = _sides(column, pair, subjects)
    return _separation(column, "auc", separation.auc(sides, confidence=confidence), sides, stratum=pair.name)


def _corrected(found: Iterable[Separation]) -> Iterator[Separation]:
    """The separations, each p-value of the tuned model followed by its correction for the number of scores."""
    listed = list(found)
    tested = [item for item in listed if (item.model, item.statistic) == ("tuned", "p_value")]
    known = [item for item in tested if item.value is not None]
    adjusted = dict(zip([item.metric for item in known], holm([item.value or 0.0 for item in known]), strict=True))
    for item in listed:
        yield item
        if item in tested:
            method = f"{item.method}; Holm over {len(known)} scores"
            yield replace(item, statistic="p_value_holm", value=adjusted.get(item.metric), method=method)


def _inferred(
    columns: Sequence[Column], model: str, everyone: _Pair, subjects: Mapping[str, Subject], seed: int
) -> Separation | None:
    """Dataset inference with the scores of one model that most records have; None where it has no scores."""
    own = [column for column in columns if column.model == model]
    ids = {
        stratum.split: [i for column in own[:1] for i in counted_once(column.metric, stratum, subjects)]
        for stratum in (everyone.members, everyone.nonmembers)
    }
    total = sum(map(len, ids.values()))
    used = [column for column in own if len(_measured(column)) >= _MEASURED_SHARE * total]
    if not used or not total:
        return None
    members, nonmembers = (
        [i for i in found if all(i in column.scores and column.scores[i].value is not None for column in used)]
        for found in ids.values()
    )
    clusters = [subjects[i].group for i in (*members, *nonmembers)]
    reason = too_few_groups(len({*clusters[: len(members)]}), len({*clusters[len(members) :]}))
    features = np.array([[column.scores[i].value or 0.0 for column in used] for i in (*members, *nonmembers)])
    is_member = np.arange(len(features)) < len(members)
    return Separation(
        metric="dataset_inference",
        model=model,
        statistic="p_value",
        stratum="all",
        value=None if reason else dataset_inference(features, is_member, clusters, seed=seed),
        low=None,
        high=None,
        members=len(members),
        nonmembers=len(nonmembers),
        method=f"Welch's t-test of {len(used)} scores, weighted on the other half; {HALVINGS} halvings",
        reason=reason,
    )


def _sides(column: Column, pair: _Pair, subjects: Mapping[str, Subject]) -> Sides:
    """The values of both sides, turned so that higher is more member-like."""
    sign = -1.0 if metric_of(column.metric).direction == LESS else 1.0
    sides = []
    for stratum in (pair.members, pair.nonmembers):
        ids = [i for i in counted_once(column.metric, stratum, subjects) if i in column.scores]
        known = [(i, value) for i in ids if (value := column.scores[i].value) is not None]
        values = np.array([sign * value for _, value in known], dtype=np.float64)
        sides.append(Side(values, tuple(subjects[i].group for i, _ in known)))
    return Sides(*sides)


def _measured(column: Column) -> set[str]:
    return {prompt_id for prompt_id, score in column.scores.items() if score.value is not None}


def _separation(column: Column, statistic: str, found: Interval, sides: Sides, *, stratum: str = "all") -> Separation:
    reason = found.reason
    unmeasured = [score.reason for score in column.scores.values() if score.value is None]
    if reason and len(unmeasured) == len(column.scores):
        reason = unmeasured[0]
    return Separation(
        metric=column.metric,
        model=column.model,
        statistic=statistic,
        stratum=stratum,
        value=found.value,
        low=found.low,
        high=found.high,
        members=len(sides.members.values),
        nonmembers=len(sides.nonmembers.values),
        method=found.method,
        reason=reason,
    )


def _curve(column: Column, sides: Sides) -> Curve | None:
    """The corners of the ROC; None where a side has no score."""
    if not len(sides.members.values) or not len(sides.nonmembers.values):
        return None
    found = separation.roc(sides)
    kept = _corners(found)
    return Curve(
        metric=column.metric,
        model=column.model,
        false_positive_rates=tuple(found.false_positive_rates[kept].tolist()),
        true_positive_rates=tuple(found.true_positive_rates[kept].tolist()),
    )


def _corners(found: Roc) -> list[int]:
    """Places of the points where the curve turns; of many, the last of each step of a logarithmic scale."""
    across, up = found.false_positive_rates, found.true_positive_rates
    straight = [(np.diff(rates)[:-1] == 0) & (np.diff(rates)[1:] == 0) for rates in (across, up)]
    places = np.flatnonzero(np.concatenate([[True], ~(straight[0] | straight[1]), [True]]))
    if len(places) > CURVE_POINTS:
        grid = np.geomspace(across[across > 0][0], 1.0, CURVE_POINTS)
        last = np.searchsorted(across[places], grid, side="right") - 1
        places = places[np.unique(np.concatenate([[0], last]))]
    return [int(place) for place in places]


def _order(column: Column) -> tuple[int, int]:
    """Metrics as in `METRICS`, models as in `MODELS`, others after them."""
    model = MODELS.index(column.model) if column.model in MODELS else len(MODELS)
    return list(METRICS).index(column.metric), model
