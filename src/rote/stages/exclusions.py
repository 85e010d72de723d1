"""Parts of stages 1, 3 and 6: the non-members that are no control, since members hold their text or one like it.

They enter no rate, no membership score and no index; a sample of them is scored apart, so that the report can say what
leaving them out changes. A run without such non-members has none of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rote import runs
from rote.config import AuditConfig
from rote.records import Estimate, Example, Json, Prompt, Score, content_id
from rote.runs import Run, whole
from rote.stages.prompts import cut

if TYPE_CHECKING:
    from rote.corpus import Corpus
    from rote.models import LoadedModel

MODELS = ("tuned", "base")
MOST = 50
"""Records of which the loss is measured, drawn by seed."""


def keep(run: Run, corpus: "Corpus") -> None:
    """Stage 1: the records as an artifact."""
    if not corpus.left_out:
        run.discard(runs.LEFT_OUT, runs.LEFT_OUT_PROMPTS, *(runs.LEFT_OUT_LOSSES.format(model=name) for name in MODELS))
        return
    found = content_id(*(example.id for example in corpus.left_out))
    run.make(runs.LEFT_OUT, whole(lambda: corpus.left_out), settings={"found": found})


def cut_prompts(config: AuditConfig, run: Run, tuned: tuple[str, str], *, settings: dict[str, Json]) -> None:
    """Stage 3: the prompts of a sample, cut as those of the other records.

    Args:
        config: settings.
        run: its records, if it has any, are there.
        tuned: the tuned model, whose tokenizer cuts.
        settings: everything that the prompts of the run depend on.
    """
    if not run.has(runs.LEFT_OUT):
        return

    def prompts() -> Sequence[Prompt]:
        few = replace(config, corpus=replace(config.corpus, limit=MOST))
        return cut(few, run.read(runs.LEFT_OUT, Example), tuned)[0]

    key: dict[str, Json] = {**settings, "limit": MOST, "seed": config.corpus.seed}
    run.make(runs.LEFT_OUT_PROMPTS, whole(prompts), settings=key, inputs=[runs.LEFT_OUT])


def measure(
    name: str, model: "Callable[[], LoadedModel]", *, used: Mapping[str, Json], config: AuditConfig, run: Run
) -> None:
    """Stage 3: their losses under one model.

    Args:
        name: "tuned" or "base".
        model: loads it; called only where the losses are not up to date.
        used: settings of the model as it was used.
        config: settings.
        run: their prompts, if it has any, are there.
    """
    if not run.has(runs.LEFT_OUT_PROMPTS):
        return

    def losses() -> Sequence[Score]:
        from rote.passes.schemes import PLAIN
        from rote.passes.scoring import score_prompts
        from rote.passes.store import store_of
        from rote.scoring.likelihood import loss

        store, prompts = store_of(run), run.read(runs.LEFT_OUT_PROMPTS, Prompt)
        passes = score_prompts(prompts, model(), store, config=config.generation, schemes=(PLAIN,), name=name)
        values = [loss(store.read(item.key).part(item.prompt_tokens)) for item in passes]
        return [
            Score(f"{item.prompt_id}-{name}", "loss", value, "no token to score" if value is None else None)
            for item, value in zip(passes, values, strict=True)
        ]

    key: dict[str, Json] = {**used, "max_new_tokens": config.generation.max_new_tokens}
    run.make(runs.LEFT_OUT_LOSSES.format(model=name), whole(losses), settings=key, inputs=[runs.LEFT_OUT_PROMPTS])


def artifacts(run: Run) -> list[str]:
    """Those of the losses that the run has."""
    return [name for model in MODELS if run.has(name := runs.LEFT_OUT_LOSSES.format(model=model))]


def estimates(config: AuditConfig, run: Run) -> list[Estimate]:
    """Stage 6: the mean loss of the left-out non-members under each model, in nats per token."""
    return [_estimate(run.read(name, Score), confidence=config.scoring.confidence) for name in artifacts(run)]


def _estimate(scores: Sequence[Score], *, confidence: float) -> Estimate:
    """The mean; of too few records without an interval."""
    from rote.scoring.columns import LEFT_OUT
    from rote.statistics.intervals import mean

    model = scores[0].subject_id.rpartition("-")[2] if scores else "tuned"
    values = {score.subject_id: score.value for score in scores if score.value is not None}
    found = mean(list(values.values()), list(values), confidence=confidence)
    plain = sum(values.values()) / len(values) if values else None
    return Estimate(
        metric="loss",
        model=model,
        split="non-member",
        stratum=LEFT_OUT,
        value=plain,
        low=found.low,
        high=found.high,
        n=len(values),
        n_missing=len(scores) - len(values),
        method=found.method,
        reason="no token to score" if plain is None else None,
    )
