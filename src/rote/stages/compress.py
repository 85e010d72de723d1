"""`rote compress`: how short a prompt brings out the members that the model knows best; beside its controls."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rote import runs
from rote.config import AuditConfig, settings_of
from rote.errors import RunError
from rote.records import Compression, Estimate, Example, Json, Prompt, Score, Split, content_id
from rote.runs import Run, whole
from rote.stages.prompts import audited_models

if TYPE_CHECKING:
    from rote.models import LoadedModel

METRIC = "compressible"
SPLITS: tuple[Split, ...] = ("member", "non-member")


def compress(config: AuditConfig, run: Run) -> int:
    """Searches the shortest prompts of the best known members and non-members, one by one; prints them; returns 0.

    Members under the tuned and the base model, non-members under the tuned one. What was found is kept: an interrupted
    search resumes at the record where it stopped.

    Raises:
        RunError: the run has no scores yet.
        ModelError: the model is no causal one.
    """
    from rote.models import model_digest
    from rote.reporting.compression import print_compressions
    from rote.stages.trial import TriedModels

    if not run.has(runs.SCORES):
        raise RunError(f"{run.path(runs.SCORES)} does not exist: run `rote score` first")
    models = audited_models(config.model)
    chosen = _chosen(config, run)

    tried = TriedModels(models, run.read(runs.PROMPTS, Prompt), config, run)
    tried.try_all()

    def found(done: int) -> Iterator[Sequence[Compression]]:
        work = [(name, prompt) for name in models for prompt, split in chosen if name == "tuned" or split == "member"]
        run.echo(f"searching prompts for {len(work)} texts; this is slow")
        started = time.monotonic()
        for number, (name, prompt) in enumerate(work[done:], done + 1):
            item = _searched(prompt, tried.get(name), name, config)
            run.echo(f"{number}/{len(work)} {_sentence(item)} ({time.monotonic() - started:.0f} s)")
            yield [item]

    settings: dict[str, Json] = {**settings_of(config.compression), "chosen": [prompt.id for prompt, _ in chosen]}
    settings |= {"dtype": config.model.dtype, "models": [model_digest(*source) for source in models.values()]}
    run.make(runs.COMPRESSIONS, found, settings=settings, inputs=[runs.EXAMPLES, runs.PROMPTS])
    made = [runs.EXAMPLES, runs.COMPRESSIONS]
    level = config.scoring.confidence
    run.make(runs.COMPRESSION_ESTIMATES, whole(lambda: _estimates(run, level)), settings={"level": level}, inputs=made)
    print_compressions(run)
    return 0


def _chosen(config: AuditConfig, run: Run) -> list[tuple[Prompt, Split]]:
    """The prompts whose references the tuned model finds likeliest, of each split, with their splits."""
    splits = {example.id: example.split for example in run.read(runs.EXAMPLES, Example)}
    losses = {
        score.subject_id: score.value
        for score in run.read(runs.SCORES, Score)
        if score.metric == "loss" and score.value is not None
    }
    prompts = [prompt for prompt in run.read(runs.PROMPTS, Prompt) if f"{prompt.id}-tuned" in losses]
    prompts.sort(key=lambda prompt: (losses[f"{prompt.id}-tuned"], prompt.id))
    return [
        (prompt, split)
        for split in SPLITS
        for prompt in [p for p in prompts if splits[p.example_id] == split][: config.compression.records]
    ]


def _searched(prompt: Prompt, model: "LoadedModel", name: str, config: AuditConfig) -> Compression:
    from rote.models.tokens import model_encoder
    from rote.scoring.compression import minimal_prompt, zlib_ratio

    encoder = model_encoder(model)
    target = encoder.reference(prompt)[: config.compression.target_tokens]
    seed = int(content_id(str(config.compression.seed), prompt.id, name)[:12], 16)
    read = encoder.prompt(prompt)
    opening = encoder.opening(read)
    found = minimal_prompt(
        target, model, before=read[:opening], start=read[opening:], config=config.compression, seed=seed
    )
    return Compression(
        prompt_id=prompt.id,
        example_id=prompt.example_id,
        model=name,
        target_tokens=len(target),
        prompt_tokens=len(found.prompt) if found.prompt is not None else None,
        zlib_ratio=round(zlib_ratio(str(model.tokenizer.decode(target))), 4),
        steps=found.steps,
    )


def _sentence(item: Compression) -> str:
    text = f"{item.model}, record {item.example_id}: {item.target_tokens} tokens"
    if item.prompt_tokens is None:
        return f"{text}: no shorter prompt found in {item.steps} steps"
    return f"{text} from a prompt of {item.prompt_tokens} in {item.steps} steps"


def _estimates(run: Run, confidence: float) -> list[Estimate]:
    """How many of the texts come out of a shorter prompt, by model and split."""
    from rote.statistics import intervals

    examples = {example.id: example for example in run.read(runs.EXAMPLES, Example)}
    rows: dict[tuple[str, Split], list[Compression]] = {}
    for item in run.read(runs.COMPRESSIONS, Compression):
        rows.setdefault((item.model, examples[item.example_id].split), []).append(item)
    found = []
    for (model, split), items in rows.items():
        outcomes = [item.prompt_tokens is not None for item in items]
        groups = [examples[item.example_id].group for item in items]
        rate = intervals.rate(outcomes, groups, confidence=confidence)
        row = Estimate(
            METRIC, model, split, "all", rate.value, rate.low, rate.high, len(items), 0, rate.method, sum(outcomes),
            rate.reason,
        )  # fmt: skip
        found.append(row)
    return found
