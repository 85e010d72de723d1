"""Scores as columns: one metric of one model, by prompt. Estimates are made of columns."""

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from rote.records import Candidate, Example, Generation, Match, Prompt, Reproduction, Score, Split
from rote.retrieval import was_retrieved
from rote.scoring.extraction import draws_needed
from rote.scoring.metrics import ANY_OF_N_METRICS, KIND_METRICS, LIKELIHOOD_METRICS
from rote.scoring.outcomes import score_matches

SAME_RECORD, CROSS_RECORD = "match=same-record", "match=cross-record"
LEFT_OUT = "control=left-out"
"""Stratum of the non-members that are no control, since members hold their text or one like it; of their loss alone."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A prompt, and what its record tells of it."""

    prompt: Prompt
    split: Split
    group: str
    copies: int


@dataclass(frozen=True, slots=True)
class Column:
    """One metric of one model."""

    metric: str
    model: str
    origin: str = ""
    """The match stratum, where only matches of one origin were looked at."""
    scores: dict[str, Score] = field(default_factory=dict)
    """By prompt id."""
    weights: dict[str, float] = field(default_factory=dict)
    """Denominators of a ratio, by prompt id."""


def collect_subjects(prompts: Iterable[Prompt], examples: Mapping[str, Example]) -> dict[str, Subject]:
    """The subjects by prompt id, in the order of the ids."""
    found = {}
    for prompt in sorted(prompts, key=lambda prompt: prompt.id):
        example = examples[prompt.example_id]
        found[prompt.id] = Subject(prompt, example.split, example.group, example.copies)
    return found


def likelihood_columns(scores: Iterable[Score], metrics: Collection[str] = LIKELIHOOD_METRICS) -> Iterator[Column]:
    """The columns of the teacher-forced passes, whose scores' subjects are PROMPT-MODEL; of the given metrics."""
    columns: dict[tuple[str, str], Column] = {}
    for score in scores:
        if score.metric.partition("@")[0] in metrics:
            prompt_id, _, model = score.subject_id.rpartition("-")
            column = columns.setdefault((score.metric, model), Column(score.metric, model))
            column.scores[prompt_id] = score
    yield from columns.values()


def discovery_columns(columns: Iterable[Column], *, draws: Sequence[int], chances: Sequence[float]) -> Iterator[Column]:
    """What the columns of the chance of one draw say of many: whether n draws find it, how many are needed.

    `discoverable@SCHEME,n=N,p=P` for each number of draws and probability, `draws_needed@SCHEME,p=P` for each probability.
    """
    for column in columns:
        name, _, scheme = column.metric.partition("@")
        if name == "extraction_chance":
            for chance in chances:
                needed = Column(f"draws_needed@{scheme},p={chance:g}", column.model)
                needed.scores.update(_each(column, needed.metric, partial(_needed, chance=chance)))
                yield needed
                for n in draws:
                    found = Column(f"discoverable@{scheme},n={n},p={chance:g}", column.model)
                    found.scores.update(_each(needed, found.metric, partial(_enough, draws=n)))
                    yield found


def generation_columns(scores: Iterable[Score], generations: Sequence[Generation]) -> Iterator[Column]:
    """The columns of the generations: the metrics of sample 0, any of n samples, verbatim characters per 1,000."""
    by_generation: defaultdict[str, dict[str, Score]] = defaultdict(dict)
    for score in scores:
        by_generation[score.subject_id][score.metric] = score
    for model, samples in _by_model(generations).items():
        first = _first_samples(samples)
        metrics = sorted({metric for item in first for metric in by_generation[item.id]})
        columns = {metric: Column(metric, model) for metric in metrics}
        for item in first:
            for metric, score in by_generation[item.id].items():
                columns[metric].scores[item.prompt_id] = score
        yield from columns.values()
        if "verbatim_chars_share" in columns:
            yield _per_1000(columns["verbatim_chars_share"], first)
        if len(samples) > len(first):
            yield from _any_of_n(model, samples, by_generation)


def origin_columns(
    generations: Sequence[Generation],
    matches: Iterable[Match],
    subjects: Mapping[str, Subject],
    examples: Mapping[str, Example],
    *,
    min_chars: int,
) -> Iterator[Column]:
    """The kinds and the verbatim characters by matches with its own duplicate group alone, and with all others alone.

    Of the first sample of each prompt.
    """
    found: defaultdict[tuple[str, str], list[Match]] = defaultdict(list)
    own_group = {item.id: subjects[item.prompt_id].group for item in generations}
    for match in matches:
        if match.generation_id in own_group:
            is_own = examples[match.example_id].group == own_group[match.generation_id]
            found[match.generation_id, SAME_RECORD if is_own else CROSS_RECORD].append(match)
    for model, samples in _by_model(generations).items():
        for origin in (SAME_RECORD, CROSS_RECORD):
            columns = {metric: Column(metric, model, origin) for metric in (*KIND_METRICS, "verbatim_chars_share")}
            first = _first_samples(samples)
            for item in first:
                reference = subjects[item.prompt_id].prompt.reference
                for score in score_matches(item, found[item.id, origin], reference, min_chars=min_chars):
                    if score.metric in columns:
                        columns[score.metric].scores[item.prompt_id] = score
            yield from columns.values()
            yield _per_1000(columns["verbatim_chars_share"], first)


def recall_columns(
    generations: Sequence[Generation],
    candidates: Iterable[Candidate],
    subjects: Mapping[str, Subject],
    *,
    depth: int,
) -> Iterator[Column]:
    """Whether each member's own record was retrieved; not for shuffled generations, which borrow their candidates."""
    retrieved = {(c.generation_id, c.example_id) for c in candidates if was_retrieved(c, depth=depth)}
    for model, samples in _by_model(generations).items():
        column = Column("retrieval_recall", model)
        for item in _first_samples(samples):
            if model != "shuffled" and subjects[item.prompt_id].split == "member":
                value = float((item.id, item.example_id) in retrieved)
                column.scores[item.prompt_id] = Score(item.id, column.metric, value)
        yield column


def run_recall_columns(
    generations: Sequence[Generation],
    candidates: Iterable[Candidate],
    reproductions: Iterable[Reproduction],
    *,
    depth: int,
) -> Iterator[Column]:
    """Whether BM25 alone found a source of every exact run; of generations that have a run."""
    retrieved = {(c.generation_id, c.example_id) for c in candidates if was_retrieved(c, depth=depth)}
    found = {item.generation_id: item.runs for item in reproductions if item.runs}
    for model, samples in _by_model(generations).items():
        column = Column("verbatim_retrieval_recall", model)
        for item in _first_samples(samples):
            if item.id in found:
                sources = [[(item.id, source.example_id) for source in run.sources] for run in found[item.id]]
                value = float(all(not retrieved.isdisjoint(places) for places in sources))
                column.scores[item.prompt_id] = Score(item.id, column.metric, value)
        yield column


def _each(column: Column, metric: str, change: Callable[[float], float]) -> dict[str, Score]:
    """The column's scores with every value changed; what has none keeps its reason."""
    return {
        prompt_id: Score(score.subject_id, metric, None if score.value is None else change(score.value), score.reason)
        for prompt_id, score in column.scores.items()
    }


def _needed(probability: float, *, chance: float) -> float:
    return draws_needed(math.log(probability) if probability > 0 else -math.inf, chance)


def _enough(needed: float, *, draws: int) -> float:
    return float(needed <= draws)


def _by_model(generations: Sequence[Generation]) -> dict[str, list[Generation]]:
    found: dict[str, list[Generation]] = {}
    for item in generations:
        found.setdefault(item.model, []).append(item)
    return found


def _first_samples(samples: Iterable[Generation]) -> list[Generation]:
    return [item for item in samples if item.sample == 0]


def _per_1000(share: Column, generations: Iterable[Generation]) -> Column:
    """Verbatim characters per 1,000 of each prompt; weighted with the generated characters, the mean is the ratio."""
    column = Column("verbatim_chars_per_1000", share.model, share.origin)
    for item in generations:
        score = share.scores.get(item.prompt_id)
        if score is not None:
            value = None if score.value is None else 1000 * score.value
            column.scores[item.prompt_id] = Score(item.id, column.metric, value, score.reason)
            column.weights[item.prompt_id] = float(len(item.text))
    return column


def _any_of_n(
    model: str, samples: Sequence[Generation], by_generation: Mapping[str, Mapping[str, Score]]
) -> Iterator[Column]:
    """Rates over all samples of a prompt: 1 where any sample has it; None where none could be measured."""
    n = 1 + max(item.sample for item in samples)
    for metric in ANY_OF_N_METRICS:
        column = Column(f"{metric}@{n}", model)
        for item in samples:
            score = by_generation[item.id].get(metric)
            best = column.scores.get(item.prompt_id)
            if score is not None and (best is None or _above(score, best)):
                column.scores[item.prompt_id] = score
        yield column


def _above(score: Score, other: Score) -> bool:
    return score.value is not None and (other.value is None or score.value > other.value)
