"""`rote attend`: from the scores of a run to its attention, the contrasts, and the needed input."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rote import runs
from rote.attention.ablation import ORDERS, SHARES, NeededInput, ablated_prompts, needed_input
from rote.attention.contrasts import LEAST_RECORDS, Contrast, Incremental, Labelled, contrasts, incremental_auc
from rote.attention.watching import Attention, ByHead, WatchedText, watch, watched_text
from rote.config import AuditConfig
from rote.console.progress import track
from rote.errors import ConfigError, RunError
from rote.generation.prompts import at_boundary
from rote.models.tokens import model_encoder
from rote.passes.schemes import PLAIN
from rote.passes.scoring import score_prompts
from rote.passes.store import store_of
from rote.records import AttentionMap, AttentionScores, Example, Generation, Json, Prompt, Score, TokenScores
from rote.runs import Run
from rote.scoring import METRICS
from rote.scoring.likelihood import loss
from rote.scoring.membership import min_k, zlib_ratio
from rote.stages.prompts import audited_models
from rote.stages.trial import TriedModels

if TYPE_CHECKING:
    from rote.models import LoadedModel

Floats = NDArray[np.float64]

DIGITS = 5
CHEAP = ("loss", "Min-K%", "zlib")
TRIED = ("extractable", "verbatim", "at_least_paraphrase")
"""Rates that may tell memorised members from others, in this order; the first that gives enough of both is taken."""
UPPER_HALF = "exact_memorization"
"""Else the members over the median of this are taken for memorised."""


def attend(config: AuditConfig, run: Run) -> int:
    """Watches the tuned model write the members' generations; compares memorised with other members; returns 0.

    Raises:
        RunError: the run has no scores yet.
        ConfigError: `attention.memorized_by` is not a metric that can tell.
    """
    from rote.reporting.attention import write_attention
    from rote.runs import whole

    subject = _Subject(config, run)
    inputs = [runs.PROMPTS, runs.GENERATIONS.format(model="tuned")]
    run.make(runs.ATTENTION, whole(subject.scores), settings=subject.key, inputs=inputs)
    run.make(
        runs.ATTENTION_MAPS, whole(subject.maps), settings={**subject.key, "chosen": [*subject.chosen]}, inputs=inputs
    )
    level = config.scoring.confidence
    settings: dict[str, Json] = {"memorized_by": subject.metric, "confidence": level}
    made = [runs.EXAMPLES, runs.ATTENTION, runs.SCORES]
    run.make(runs.CONTRASTS, whole(subject.contrasts), settings=settings, inputs=made)
    run.make(runs.INCREMENTAL, whole(subject.incremental), settings=settings, inputs=made)
    asked = {**subject.key, "confidence": level, "needed_input": config.attention.needed_input}
    run.make(runs.NEEDED_INPUT, whole(subject.needed), settings=asked, inputs=[runs.EXAMPLES])
    write_attention(run, subject.metric, show_pii=config.reporting.show_pii)
    return 0


class _Subject:
    """The members' generations of a run, the model that wrote them, and what can be said of its attention."""

    def __init__(self, config: AuditConfig, run: Run) -> None:
        from rote.models import model_digest

        if not run.has(runs.SCORES):
            raise RunError(f"{run.path(runs.SCORES)} does not exist: run `rote score` first")
        self.config, self.run = config, run
        source = audited_models(config.model)["tuned"]
        self.examples = {example.id: example for example in run.read(runs.EXAMPLES, Example)}
        self.prompts = {prompt.id: prompt for prompt in run.read(runs.PROMPTS, Prompt)}
        every = run.read(runs.GENERATIONS.format(model="tuned"), Generation)
        self.generations = [g for g in every if g.sample == 0 and self.examples[g.example_id].split == "member"]
        scores = run.read(runs.SCORES, Score)
        self.metric, self.memorized = memorized_members(scores, self.generations, config.attention.memorized_by)
        run.echo(f"memorised by {self.metric}: {sum(self.memorized.values())} of {len(self.memorized)} members")
        self.chosen = drawn(self.memorized, config.attention.maps)
        self.tried = TriedModels({"tuned": source}, list(self.prompts.values()), config, run)
        self.key: dict[str, Json] = {"model": model_digest(*source), "dtype": config.model.dtype}
        self.key |= {"max_new_tokens": config.generation.max_new_tokens, **self.tried.way("tuned")}

    @cached_property
    def model(self) -> "LoadedModel":
        """The tuned model, loaded when something is not up to date, and used as its trial says."""
        return self.tried.get("tuned")

    @cached_property
    def texts(self) -> dict[str, WatchedText]:
        """By generation id."""
        budget = self.config.generation.max_new_tokens
        found = [
            watched_text(self.prompts[g.prompt_id], g, self.model, max_new_tokens=budget) for g in self.generations
        ]
        return {text.subject_id: text for text in found}

    @cached_property
    def watched(self) -> dict[str, Attention]:
        """By generation id; those that are too short are not there."""
        self.run.echo("the model's plain (eager) attention is switched on: fused kernels give no maps")
        size, maps = self.config.generation.batch_size, frozenset(self.chosen)
        batches = watch(list(self.texts.values()), self.model, batch_size=size, maps=maps)
        tracked = track(batches, "watching attention", total=len(self.texts))
        return {item.subject_id: item for batch in tracked for item in batch}

    def scores(self) -> list[AttentionScores]:
        """Scores of every generation that is long enough."""
        return [_scores(g, self.watched[g.id]) for g in self.generations if g.id in self.watched]

    def maps(self) -> list[AttentionMap]:
        """Maps of the chosen generations."""
        shown = [g for g in self.generations if g.id in self.chosen and g.id in self.watched]
        return [_map(g, self.texts[g.id], self.watched[g.id], self.model) for g in shown]

    @cached_property
    def labelled(self) -> tuple[list[AttentionScores], list[Labelled]]:
        """The scores of the members that are known to be memorised or not, and what is known."""
        known = [one for one in self.run.read(runs.ATTENTION, AttentionScores) if one.generation_id in self.memorized]
        return known, [
            Labelled(self.memorized[one.generation_id], self.examples[one.example_id].group, one.inputs, one.steps)
            for one in known
        ]

    def contrasts(self) -> list[Contrast]:
        """Memorised against other members, by layer and measure."""
        return contrasts(*self.labelled, confidence=self.config.scoring.confidence)

    def incremental(self) -> list[Incremental]:
        """What attention adds to loss, Min-K% and zlib; empty where too few records are there."""
        known, records = self.labelled
        found = incremental_auc(self._cheap(known), known, records, confidence=self.config.scoring.confidence)
        return [found] if found else []

    def needed(self) -> list[NeededInput]:
        """How much of the members' own prompts their completions need; empty where they have none."""
        members = [example for example in self.examples.values() if example.split == "member"]
        if not self.config.attention.needed_input or not ablated_prompts(members, 1.0, order="first"):
            return []
        clusters = {example.id: example.group for example in members}
        start = str(self.model.tokenizer.bos_token or "")
        return [
            needed_input(
                {share: self._losses(ablated_prompts(members, share, order=order, start=start)) for share in SHARES},
                clusters,
                order=order,
                confidence=self.config.scoring.confidence,
            )
            for order in ORDERS
        ]

    def _losses(self, prompts: Sequence[Prompt]) -> dict[str, float]:
        """Loss on the reference of each prompt, by example id."""
        store, generation = store_of(self.run), self.config.generation
        encoder = model_encoder(self.model)
        cut = [at_boundary(prompt, encoder) for prompt in prompts]
        passes = score_prompts(cut, self.model, store, config=generation, schemes=(PLAIN,), name="tuned")
        losses = {one.example_id: loss(store.read(one.key).part(one.prompt_tokens)) for one in passes}
        return {example_id: value for example_id, value in losses.items() if value is not None}

    def _cheap(self, known: Sequence[AttentionScores]) -> dict[str, Floats]:
        """Loss, Min-K% and zlib ratio of each record's reference under the tuned model."""
        store = store_of(self.run)
        passes = {one.prompt_id: one for one in self.run.read(runs.TOKEN_SCORES.format(model="tuned"), TokenScores)}
        rows = []
        for one in known:
            tokens = store.read(passes[one.prompt_id].key).part(passes[one.prompt_id].prompt_tokens)
            reference = self.prompts[one.prompt_id].reference
            values = (loss(tokens), min_k(tokens.log_probabilities), zlib_ratio(tokens.log_probabilities, reference))
            rows.append([0.0 if value is None else value for value in values])
        return dict(zip(CHEAP, np.array(rows, dtype=np.float64).reshape(-1, len(CHEAP)).T, strict=True))


def memorized_members(
    scores: Sequence[Score], generations: Sequence[Generation], wanted: str
) -> tuple[str, dict[str, bool]]:
    """The metric that tells, and for each generation of a member that it could be measured of whether it is memorised.

    "auto": the first of `TRIED` by which at least `LEAST_RECORDS` members are memorised and as many are not; else the
    upper half by exact memorisation.

    Raises:
        ConfigError: the metric is unknown, or is neither a rate nor exact_memorization.
    """
    if wanted not in ("auto", UPPER_HALF) and (wanted not in METRICS or METRICS[wanted].estimator != "rate"):
        raise ConfigError(
            f"attention.memorized_by: expected a rate (e.g. {', '.join(TRIED)}), {UPPER_HALF} or auto, found {wanted!r}"
        )
    values = {(score.subject_id, score.metric): score.value for score in scores}

    def of(metric: str) -> dict[str, float]:
        found = {g.id: values.get((g.id, metric), values.get((f"{g.prompt_id}-tuned", metric))) for g in generations}
        return {name: value for name, value in found.items() if value is not None}

    for metric in TRIED if wanted == "auto" else (wanted,) if wanted != UPPER_HALF else ():
        known = of(metric)
        events = sum(value == 1.0 for value in known.values())
        if wanted != "auto" or min(events, len(known) - events) >= LEAST_RECORDS:
            return metric, {name: value == 1.0 for name, value in known.items()}
    known = of(UPPER_HALF)
    middle = float(np.median(list(known.values()))) if known else 0.0
    return f"{UPPER_HALF} above its median", {name: value > middle for name, value in known.items()}


def drawn(memorized: Mapping[str, bool], count: int) -> list[str]:
    """The generations whose maps are kept: by turns a memorised and another one, in the order of their ids."""
    sides = [sorted(name for name, own in memorized.items() if own == wanted) for wanted in (True, False)]
    turns = [name for pair in zip(*(side + [""] * len(memorized) for side in sides), strict=False) for name in pair]
    return [name for name in turns if name][:count]


def _scores(generation: Generation, item: Attention) -> AttentionScores:
    return AttentionScores(
        generation_id=generation.id,
        prompt_id=generation.prompt_id,
        example_id=generation.example_id,
        inputs=item.inputs,
        steps=item.steps,
        with_sink=_rows(item.with_sink),
        without_sink=_rows(item.without_sink),
    )


def _rows(values: ByHead) -> tuple[tuple[tuple[float, ...], ...], ...]:
    return tuple(tuple(tuple(round(float(v), DIGITS) for v in head) for head in layer) for layer in values)


def _map(generation: Generation, text: WatchedText, item: Attention, model: "LoadedModel") -> AttentionMap:
    """The last layer's map."""
    assert item.mean_map is not None

    def words(ids: Sequence[int]) -> tuple[str, ...]:
        return tuple(str(model.tokenizer.decode([token])) for token in ids)

    return AttentionMap(
        generation_id=generation.id,
        example_id=generation.example_id,
        layer=len(item.mean_map) - 1,
        read=words(text.read[slice(*text.columns)]),
        written=words(text.written[text.skipped :]),
        weights=tuple(tuple(round(float(w), DIGITS) for w in row) for row in item.mean_map[-1]),
    )
