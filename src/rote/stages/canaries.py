"""Parts of stages 1, 3 and 6: the canaries of a run, from the data to its figures. A run without canaries has none of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from rote import runs
from rote.config import AuditConfig
from rote.console.progress import track
from rote.records import Canary, Estimate, Example, Exposure, Json, content_id
from rote.runs import Run, whole

if TYPE_CHECKING:
    from rote.corpus import Corpus
    from rote.models import LoadedModel
    from rote.scoring.canaries import CanaryFigures

MODELS = ("tuned", "base")
FIGURES = (runs.CANARY_ESTIMATES, runs.CANARY_SEPARATIONS, runs.PRIVACY_BOUNDS)


def keep(config: AuditConfig, run: Run, corpus: "Corpus") -> None:
    """Stage 1: the canaries as an artifact; where they are new, also the members with them among them, to train on.

    Raises:
        ConfigError: the settings of the canaries do not fit.
        DataError: their file cannot be used.
    """
    from rote.corpus.canaries import canaries_of, plant, summary
    from rote.finetuning.repetition import to_jsonl

    canaries = canaries_of(config.corpus, corpus.members)
    if not canaries:
        run.discard(runs.CANARIES, *FIGURES, *(runs.EXPOSURES.format(model=name) for name in MODELS))
        return
    found = content_id(*(f"{canary.id} {canary.copies} {canary.planted}" for canary in canaries))
    run.make(runs.CANARIES, whole(lambda: canaries), settings={"found": found})
    run.echo(summary(canaries))
    if config.corpus.canaries:
        rows = [member for member in corpus.members for _ in range(member.copies)]
        rows = plant(rows, canaries, seed=config.corpus.seed)
        path = run.write_text(runs.TRAINING_DATA, to_jsonl(_as_text(rows)).decode("utf-8"))
        run.echo(f"train on {path}, then audit with --canary-file {run.path(runs.CANARIES)}")
        if corpus.nonmembers and not config.corpus.nonmembers:
            path = run.write_text(runs.HELD_OUT_DATA, to_jsonl(_as_text(corpus.nonmembers)).decode("utf-8"))
            run.echo(f"and with --nonmembers {path}")


def _as_text(examples: Sequence[Example]) -> list[Example]:
    """The records as any trainer reads them from a file: text like any other, though a chat template wrote it."""
    return [replace(example, is_rendered=False) for example in examples]


def expose(
    name: str, model: "Callable[[], LoadedModel]", *, used: Mapping[str, Json], config: AuditConfig, run: Run
) -> None:
    """Stage 3: the exposures of the run's canaries under one model.

    Args:
        name: "tuned" or "base".
        model: loads it; called only where the exposures are not up to date.
        used: what the numbers depend on of the model and of the way in which it is used.
        config: settings.
        run: its canaries, if it has any, are there.
    """
    from rote.scoring.canaries import measure_exposures

    if not run.has(runs.CANARIES):
        return
    canaries = run.read(runs.CANARIES, Canary)
    sizes = {"secrets": config.scoring.secrets, "sampled_secrets": config.scoring.sampled_secrets}
    seed = config.corpus.seed

    def exposures(done: int) -> Iterator[Sequence[Exposure]]:
        found = measure_exposures(canaries, model(), name=name, **sizes, seed=seed, done=done)
        return track(found, f"canaries ({name})", total=len(canaries), done=done)

    key: dict[str, Json] = {**used, **sizes, "seed": seed}
    run.make(runs.EXPOSURES.format(model=name), exposures, settings=key, inputs=[runs.CANARIES])


def score(config: AuditConfig, run: Run) -> list[Estimate]:
    """Stage 6: the figures of the canaries; returns their estimates."""
    from rote.scoring.canaries import canary_figures

    names = [name for model in MODELS if run.has(name := runs.EXPOSURES.format(model=model))]
    if not names:
        run.discard(*FIGURES)
        return []
    settings: dict[str, Json] = {"confidence": config.scoring.confidence, "delta": config.scoring.delta}

    @cache
    def figures() -> "CanaryFigures":
        exposures = {rows[0].model: rows for name in names if (rows := run.read(name, Exposure))}
        return canary_figures(
            run.read(runs.CANARIES, Canary),
            exposures,
            confidence=config.scoring.confidence,
            delta=config.scoring.delta,
        )

    inputs = [runs.CANARIES, *names]
    run.make(runs.CANARY_ESTIMATES, whole(lambda: figures().estimates), settings=settings, inputs=inputs)
    run.make(runs.CANARY_SEPARATIONS, whole(lambda: figures().separations), settings=settings, inputs=inputs)
    run.make(runs.PRIVACY_BOUNDS, whole(lambda: figures().bounds), settings=settings, inputs=inputs)
    return run.read(runs.CANARY_ESTIMATES, Estimate)
