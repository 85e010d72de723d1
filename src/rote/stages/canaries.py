"""Parts of stages 1, 3 and 6: the canaries of a run, from the data to its figures. A run without canaries has none of it."""

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from rote import runs
from rote.config import AuditConfig, CorpusConfig
from rote.console.progress import track
from rote.errors import DataError
from rote.records import Canary, CanaryForm, Estimate, Example, Exposure, Json, content_id
from rote.runs import Run, encode, whole
from rote.stages.prompts import ChatTokenizer

if TYPE_CHECKING:
    from rote.corpus import Corpus
    from rote.corpus.formats import Fields
    from rote.corpus.training_rows import Columns
    from rote.models import LoadedModel
    from rote.scoring.canaries import CanaryFigures

MODELS = ("tuned", "base")
FIGURES = (runs.CANARY_ESTIMATES, runs.CANARY_SEPARATIONS, runs.PRIVACY_BOUNDS)


def keep(config: AuditConfig, run: Run, corpus: "Corpus", tokenizer: ChatTokenizer) -> None:
    """Stage 1: the canaries as an artifact; where they are new, also the members with them among them, to train on.

    Raises:
        ConfigError: the settings of the canaries do not fit.
        DataError: their file cannot be used.
    """
    from rote.corpus.canaries import canaries_of, formed, summary

    canaries = canaries_of(config.corpus, corpus.members)
    if not canaries:
        run.discard(runs.CANARIES, *FIGURES, *(runs.EXPOSURES.format(model=name) for name in MODELS))
        return
    writer = _Writer.of(config.corpus, corpus, tokenizer) if config.corpus.canaries else None
    if writer is not None:
        canaries = formed(canaries, writer.form)
    found = content_id(*(f"{canary.id} {canary.copies} {canary.planted}" for canary in canaries))
    form = {"form": canaries[0].form} if canaries[0].form != "text" else {}
    run.make(runs.CANARIES, whole(lambda: canaries), settings={"found": found, **form})
    run.echo(summary(canaries))
    if writer is not None:
        _write_data(writer, canaries, config=config, run=run, corpus=corpus)


def _write_data(
    writer: "_Writer", canaries: Sequence[Canary], *, config: AuditConfig, run: Run, corpus: "Corpus"
) -> None:
    """The file to train on, and that of the records that were set aside from it."""
    from rote.corpus.canaries import plant

    rows = [member for member in corpus.members for _ in range(member.copies)]
    rows = plant(rows, canaries, seed=config.corpus.seed)
    path = run.write_text(runs.TRAINING_DATA, writer.lines(rows, canaries))
    if writer.reason:
        run.echo(f"{writer.reason}: all are written as their text")
    run.echo(f"train on {path}, then audit with --canary-file {run.path(runs.CANARIES)}{_flags(config, writer)}")
    if corpus.nonmembers and not config.corpus.nonmembers:
        path = run.write_text(runs.HELD_OUT_DATA, writer.lines(corpus.nonmembers, ()))
        run.echo(f"and with --nonmembers {path}")


def _flags(config: AuditConfig, writer: "_Writer") -> str:
    """The flags with which a file in the records' columns must be read, as the records were."""
    given = {"--prompt-field": config.corpus.prompt_field, "--completion-field": config.corpus.completion_field}
    words = [word for flag, value in given.items() if value and writer.columns for word in (flag, value)]
    return f" {shlex.join(words)}" if words else ""


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes records and canaries in the columns of the records, or as text where they share none."""

    fields: "Mapping[str, Fields]"
    columns: "Columns | None"
    reason: str

    @classmethod
    def of(cls, config: CorpusConfig, corpus: "Corpus", tokenizer: ChatTokenizer) -> "_Writer":
        """The writer for the records of the corpus; their files are read again for the columns."""
        from rote.corpus import ShapeReader, columns_of, raw_rows

        fields = raw_rows(corpus.examples, config, tokenizer)
        missing = [example for example in corpus.examples if example.id not in fields]
        if missing:
            raise DataError(f"{missing[0].file}: changed while it was read (line {missing[0].line})")
        written = [*corpus.members, *(corpus.nonmembers if not config.nonmembers else ())]
        found = columns_of([fields[example.id] for example in written], ShapeReader(config, tokenizer))
        return cls(fields, None, found) if isinstance(found, str) else cls(fields, found, "")

    @property
    def form(self) -> CanaryForm:
        """What the canaries are planted as."""
        return "text" if self.columns is None else self.columns.form

    def lines(self, rows: Sequence[Example], canaries: Sequence[Canary]) -> str:
        """The rows as JSON lines."""
        from rote.corpus import text_rows

        if self.columns is None:
            return _lines(text_rows(rows))
        columns, known = self.columns, {canary.id: canary for canary in canaries}
        return _lines(
            columns.canary_row(known[row.id]) if row.id in known else columns.row(self.fields[row.id]) for row in rows
        )


def _lines(rows: Iterable[Mapping[str, Json]]) -> str:
    return "".join(encode(dict(row)).decode("utf-8") + "\n" for row in rows)


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
    from rote.corpus import ShapeReader, as_read
    from rote.scoring.canaries import measure_exposures

    if not run.has(runs.CANARIES):
        return
    planted = run.read(runs.CANARIES, Canary)
    reader = ShapeReader(config.corpus, ChatTokenizer(config.model))
    sizes = {"secrets": config.scoring.secrets, "sampled_secrets": config.scoring.sampled_secrets}
    seed = config.corpus.seed

    def exposures(done: int) -> Iterator[Sequence[Exposure]]:
        canaries = [as_read(canary, reader) for canary in planted]
        found = measure_exposures(canaries, model(), name=name, **sizes, seed=seed, done=done)
        return track(found, f"canaries ({name})", total=len(planted), done=done)

    key: dict[str, Json] = {**used, **sizes, "seed": seed}
    if any(canary.form in ("chat", "instruction") for canary in planted):
        key |= {"rendering": config.corpus.rendering, "separator": config.corpus.separator}
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
