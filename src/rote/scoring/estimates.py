"""From scores to estimates: every metric by model, split and stratum, with the interval that duplicate groups allow."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby, product

from rote.errors import ConfigError
from rote.records import (
    Candidate,
    Comparison,
    Estimate,
    Example,
    Generation,
    Match,
    Prompt,
    Reproduction,
    Score,
)
from rote.scoring.columns import (
    Column,
    Subject,
    collect_subjects,
    discovery_columns,
    generation_columns,
    likelihood_columns,
    origin_columns,
    recall_columns,
    run_recall_columns,
)
from rote.scoring.metrics import METRICS, PAIRED_METRICS, Metric, metric_of
from rote.scoring.outcomes import MIN_CHARS
from rote.scoring.strata import ORIGINS, Stratum, counted_once, strata_of
from rote.statistics import intervals, pairs
from rote.statistics.intervals import Interval

MODELS = ("tuned", "base", "true-suffix", "shuffled")


def estimate(
    *,
    examples: Iterable[Example],
    prompts: Iterable[Prompt],
    generations: Iterable[Generation],
    candidates: Iterable[Candidate],
    matches: Iterable[Match],
    reproductions: Iterable[Reproduction] = (),
    scores: Sequence[Score],
    unmeasurable: Iterable[Score] = (),
    depth: int,
    confidence: float = 0.95,
    min_chars: int = MIN_CHARS,
    draws: Sequence[int] = (),
    chances: Sequence[float] = (),
) -> tuple[list[Estimate], list[Comparison]]:
    """All estimates of a run, and the comparisons of the tuned with the base model on the same prompts.

    Strata: "all"; "copies=K" (members, where copies vary); "match=same-record" and "match=cross-record" (kinds
    and verbatim characters: the matched text is of its own duplicate group, or is not); "length=short", "medium" and "long" (terciles
    of the reference's characters over all prompts); "overlap=low" (base-model loss above the median of the split:
    text that the base model did not know well).

    Equal prompts of a split are one prompt, the first by id: counted once, above and below the line (metrics of the
    true continuation: equal prompts with equal references). The clusters of all intervals are the duplicate groups.
    With n samples for each prompt, the plain metric is that of sample 0, and METRIC@n that of any of them.

    Args:
        examples: of all prompts and matches.
        prompts: all prompts.
        generations: of all models and controls.
        candidates: of the members' index, for the recall of retrieval.
        matches: of all generations.
        reproductions: of all generations but the shuffled ones, for the recall of retrieval.
        scores: of `score_generations`, `score_reproductions` and `score_likelihood`.
        unmeasurable: null scores of the examples that no prompt could be cut from; they count as missing.
        depth: candidates kept by rank (`retrieval.depth`).
        confidence: level of every interval.
        min_chars: the aligner's smallest passage.
        draws: numbers of draws n of (n, p)-discoverable extraction.
        chances: its probabilities p.

    Returns:
        Estimates and comparisons, in the order of `METRICS`, models, splits and strata; the order of the arguments'
        records is irrelevant. A comparison with too few groups is left out.
    """
    by_id = {example.id: example for example in examples}
    subjects = collect_subjects(prompts, by_id)
    texts = sorted(generations, key=lambda item: item.id)
    of_passes = list(likelihood_columns(scores))
    columns = [
        *of_passes,
        *discovery_columns(of_passes, draws=draws, chances=chances),
        *generation_columns(scores, texts),
        *origin_columns(texts, matches, subjects, by_id, min_chars=min_chars),
        *recall_columns(texts, candidates, subjects, depth=depth),
        *run_recall_columns(texts, candidates, reproductions, depth=depth),
    ]
    columns.sort(key=_order)
    strata = list(strata_of(subjects, columns, [by_id[score.subject_id] for score in unmeasurable]))
    estimates = [
        _estimated(column, stratum, subjects, confidence, metric_of(column.metric))
        for _, alike in groupby(columns, key=lambda column: (column.metric, column.model))
        for stratum, column in product(strata, list(alike))
        if column.origin == (stratum.name if stratum.name in ORIGINS else "")
        if stratum.name == "all" or metric_of(column.metric).by_stratum
    ]
    everyone = [stratum for stratum in strata if stratum.name == "all"]
    comparisons = [_compared(*pair, columns, subjects, confidence) for pair in product(PAIRED_METRICS, everyone)]
    return [item for item in estimates if item], [item for item in comparisons if item]


def estimate_metric(
    metric: Metric,
    score: Callable[[Generation, Prompt], float | None],
    *,
    examples: Sequence[Example],
    prompts: Sequence[Prompt],
    generations: Sequence[Generation],
    confidence: float = 0.95,
) -> list[Estimate]:
    """A metric that rote does not have, estimated as its own are: of each model and control, members and non-members.

    Equal prompts count once, the clusters of the intervals are the duplicate groups, of n samples the first one counts.

    Args:
        metric: what it measures; its estimator is a rate (values 0 and 1), a mean, a median or a geometric mean.
        score: the value of one generation; None where it cannot be measured.
        examples: of all prompts.
        prompts: all prompts.
        generations: of all models and controls.
        confidence: level of the intervals.

    Raises:
        ConfigError: the name is taken, the estimator is none of these, or a value is outside of the metric's range.
    """
    if metric.name in METRICS:
        raise ConfigError(f"metric {metric.name!r}: rote has one of that name")
    if metric.estimator not in ("rate", "mean", "median", "geometric mean"):
        raise ConfigError(f"metric {metric.name!r}: expected a rate, a mean or a median, found {metric.estimator!r}")
    subjects = collect_subjects(prompts, {example.id: example for example in examples})
    columns: dict[str, Column] = {}
    for item in sorted(generations, key=lambda item: item.id):
        if item.sample == 0:
            column = columns.setdefault(item.model, Column(metric.name, item.model))
            column.scores[item.prompt_id] = _checked(metric, score(item, subjects[item.prompt_id].prompt), item.id)
    strata = [stratum for stratum in strata_of(subjects, [], []) if stratum.name == "all"]
    found = [
        _estimated(columns[model], stratum, subjects, confidence, metric)
        for model in sorted(columns, key=_model_order)
        for stratum in strata
    ]
    return [item for item in found if item]


def _checked(metric: Metric, value: float | None, subject_id: str) -> Score:
    if value is None:
        return Score(subject_id, metric.name, None, "not measurable, says the metric")
    value = float(value)
    if not metric.low <= value <= metric.high or (metric.estimator == "rate" and value not in (0.0, 1.0)):
        expected = "0 or 1" if metric.estimator == "rate" else f"{metric.low:g} to {metric.high:g}"
        raise ConfigError(f"metric {metric.name!r}: expected {expected}, found {value!r} for {subject_id}")
    return Score(subject_id, metric.name, value)


def _estimated(
    column: Column, stratum: Stratum, subjects: Mapping[str, Subject], confidence: float, metric: Metric
) -> Estimate | None:
    """The estimate of one column in one stratum; None where the column has no score there."""
    ids = [i for i in counted_once(column.metric, stratum, subjects) if i in column.scores]
    if not ids:
        return None
    measured = [prompt_id for prompt_id in ids if column.scores[prompt_id].value is not None]
    found = _interval(column, measured, subjects, confidence, metric)
    reason = found.reason
    if not measured:
        (reason, count), *_ = Counter(column.scores[i].reason for i in ids).most_common(1)
        reason = f"{reason} ({count} of {len(ids)})"
    is_rate = metric.estimator == "rate"
    return Estimate(
        metric=column.metric,
        model=column.model,
        split=stratum.split,
        stratum=stratum.name,
        value=found.value,
        low=found.low,
        high=found.high,
        n=len(measured),
        n_missing=len(ids) - len(measured) + stratum.without_prompt,
        method=found.method,
        events=sum(column.scores[prompt_id].value == 1.0 for prompt_id in measured) if is_rate else None,
        reason=reason,
    )


def _interval(
    column: Column, measured: Sequence[str], subjects: Mapping[str, Subject], confidence: float, metric: Metric
) -> Interval:
    values = [column.scores[prompt_id].value or 0.0 for prompt_id in measured]
    clusters = [subjects[prompt_id].group for prompt_id in measured]
    if metric.estimator == "rate":
        return intervals.rate([value == 1.0 for value in values], clusters, confidence=confidence)
    if metric.estimator == "median":
        return intervals.median(values, clusters, confidence=confidence)
    if metric.estimator == "geometric mean":
        return intervals.geometric_mean(values, clusters, confidence=confidence, least=metric.low, most=metric.high)
    weights = [column.weights[prompt_id] if column.weights else 1.0 for prompt_id in measured]
    totals = [value * weight for value, weight in zip(values, weights, strict=True)]
    return intervals.ratio(totals, weights, clusters, confidence=confidence, least=metric.low, most=metric.high)


def _compared(
    metric: str, stratum: Stratum, columns: Sequence[Column], subjects: Mapping[str, Subject], confidence: float
) -> Comparison | None:
    """The tuned and the base model on the prompts where both could be measured; None where these are too few."""
    scores = {column.model: column.scores for column in columns if column.metric == metric and not column.origin}
    tuned, base = scores.get("tuned", {}), scores.get("base", {})
    outcomes = [
        (tuned[i].value == 1.0, base[i].value == 1.0, subjects[i].group)
        for i in counted_once(metric, stratum, subjects)
        if i in tuned and i in base and tuned[i].value is not None and base[i].value is not None
    ]
    first, second, clusters = (
        [a for a, _, _ in outcomes],
        [b for _, b, _ in outcomes],
        [group for _, _, group in outcomes],
    )
    found = pairs.paired_difference(first, second, clusters, confidence=confidence)
    if found is None:
        return None
    return Comparison(metric=metric, split=stratum.split, first="tuned", second="base", **asdict(found))


def _order(column: Column) -> tuple[int, int, str, int, str]:
    """Metrics as in `METRICS`, NAME@n after NAME; models as in `MODELS`, others after them by name."""
    place = list(METRICS).index(metric_of(column.metric).name)
    return place, len(column.metric), column.metric, *_model_order(column.model)


def _model_order(model: str) -> tuple[int, str]:
    return MODELS.index(model) if model in MODELS else len(MODELS), model
