"""Making what a plan asks for: trainings, then the audits of their checkpoints, two commands at a time.

What is finished is not repeated; a study that is killed goes on. A cell that fails is told and kept in the table's place
as a reason, and the others finish.
"""

import dataclasses
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from rote.commands import Commands, progress, worker_threads
from rote.config import AuditConfig, to_toml
from rote.errors import RoteError, StaleRunError
from rote.finetuning import Epoch, Training, read_training
from rote.finetuning.matching import matched_epochs
from rote.finetuning.record import MEMBERS, NONMEMBERS
from rote.runs import GENERATIONS, TOKEN_SCORES, Echo, Run, write_atomically
from rote.study.plan import Audit, Plan, TrainedModel, with_shared_store
from rote.study.table import Row, collect_rows, write_table

OK, NOT_MEASURED = 0, 4
AT_ONCE = 2
LINES_PER_TRAINING, LINES_PER_AUDIT = 6, 9
"""About what the commands print: the length of the progress bar."""


@dataclass(frozen=True, slots=True)
class Done:
    """An audit that was made: the checkpoint it is of, or why it is not there."""

    audit: Audit
    epoch: Epoch | None
    training: Training | None
    failure: str = ""


def run_study(plan: Plan, out: Path, *, echo: Echo) -> int:
    """Trains, audits, writes table and page; returns 0, or 4 where a cell could not be measured.

    Args:
        plan: what is to be made.
        out: the study's folder; holds `models`, `audits`, `token-store`, `table.parquet`, `table.csv`, `study.html`.
        echo: is told each command and each failure.

    Raises:
        StaleRunError: the folder cannot be written.
    """
    from rote.reporting.study import write_study

    started = time.monotonic()
    try:
        (out / "audits").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StaleRunError(f"{out}: cannot be used as a study's folder: {error.strerror or error}") from error
    steps = LINES_PER_TRAINING * len(plan.models) + LINES_PER_AUDIT * len(plan.audits)
    with progress(steps) as advance, worker_threads(AT_ONCE) as pool:
        do = Commands(echo, advance)
        trained = {model.key: pool.submit(_train, do, model, out) for model in plan.models}
        trainings = {key: _outcome(job, echo) for key, job in trained.items()}
        jobs = [pool.submit(_audit, do, audit, plan, trainings, out) for audit in _base_first(plan.audits)]
        done = [_done(job, audit, echo) for job, audit in zip(jobs, _base_first(plan.audits), strict=True)]
    order = {audit: place for place, audit in enumerate(plan.audits)}
    done.sort(key=lambda item: order[item.audit])
    rows = [row for item in done for row in _rows(item, out)]
    write_table(rows, out)
    page = write_study(plan, done, rows, out)
    failures = sum(bool(item.failure) for item in done)
    echo(f"report: {page} ({time.monotonic() - started:.0f} s)" + (f"; {failures} cells failed" if failures else ""))
    return NOT_MEASURED if failures else OK


def _train(do: Commands, model: TrainedModel, out: Path) -> Training:
    folder = model.folder(out)
    settings = _write_settings(folder.parent, f"{model.key}.toml", model.config)
    do.rote("finetune", "--config", settings, "--out", folder)
    return read_training(folder)


def _outcome(job: "Future[Training]", echo: Echo) -> "Training | str":
    """The training, or why there is none."""
    try:
        return job.result()
    except RoteError as error:
        echo(f"failed: {error}")
        return str(error)


def _base_first(audits: Sequence[Audit]) -> list[Audit]:
    """Audits with equal prompts are apart, so that the base model's generations are there for those that follow."""
    return sorted(audits, key=lambda audit: (audit.checkpoint == "matched", audit.key))


def _audit(
    do: Commands, audit: Audit, plan: Plan, trainings: "dict[str, Training | str]", out: Path
) -> tuple[Training, Epoch]:
    training = _trained(audit.model.key, trainings)
    epoch = training.epochs[-1]
    if audit.checkpoint == "matched":
        group = {model.key: _trained(model.key, trainings) for model in plan.match_group(audit)}
        epoch = matched_epochs(group)[audit.model.key]
    folder = audit.folder(out)
    if not (audit.checkpoint == "matched" and epoch.number == training.epochs[-1].number):
        config = _audited(audit, training, epoch, out)
        _adopt_base(folder, audit, plan, out)
        do.rote("audit", "--config", _write_settings(folder.parent, f"{folder.name}.toml", config), "--out", folder)
    return training, epoch


def _trained(key: str, trainings: "dict[str, Training | str]") -> Training:
    found = trainings[key]
    if isinstance(found, str):
        raise RoteError(f"its training failed: {found}")
    return found


def _audited(audit: Audit, training: Training, epoch: Epoch, out: Path) -> AuditConfig:
    """The cell's settings with the checkpoint and the data files of its training."""
    config, trained = with_shared_store(audit.cell.config, out), audit.model.folder(out).resolve()
    source = str(trained / epoch.folder)
    lora = training.strategy == "lora"
    strangers = trained / NONMEMBERS
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, tuned="" if lora else source, adapter=source if lora else ""),
        corpus=dataclasses.replace(
            config.corpus,
            members=str(trained / MEMBERS),
            nonmembers=str(strangers) if strangers.exists() and strangers.stat().st_size else "",
            holdout=0.0,
            limit=0,
        ),
        reporting=dataclasses.replace(config.reporting, title=f"{audit.cell.name}, {audit.checkpoint}"),
    )


def _adopt_base(folder: Path, audit: Audit, plan: Plan, out: Path) -> None:
    """Takes the base model's texts from an audit that has them; what does not fit is made anew."""
    for other in plan.audits:
        made = other.folder(out)
        if other.key != audit.key and (made / "manifest.json").exists():
            for name in (GENERATIONS.format(model="base"), TOKEN_SCORES.format(model="base")):
                Run(folder).adopt(name, Run(made))


def _done(job: "Future[tuple[Training, Epoch]]", audit: Audit, echo: Echo) -> Done:
    try:
        training, epoch = job.result()
    except RoteError as error:
        echo(f"cell {audit.cell.name}, {audit.checkpoint}, failed: {error}")
        return Done(audit, None, None, str(error))
    return Done(audit, epoch, training)


def run_folder(item: Done, out: Path) -> Path:
    """The run folder that holds an audit's figures: a matched one whose checkpoint is the last shares the final one's."""
    is_final = item.training is not None and item.epoch == item.training.epochs[-1]
    return (dataclasses.replace(item.audit, checkpoint="final") if is_final else item.audit).folder(out)


def _rows(item: Done, out: Path) -> list[Row]:
    if item.failure or item.epoch is None or item.training is None:
        return []
    run = Run(run_folder(item, out), must_exist=True)
    return collect_rows(item.audit, item.training, item.epoch, run)


def _write_settings(folder: Path, name: str, config: AuditConfig) -> Path:
    """The settings as a file."""
    folder.mkdir(parents=True, exist_ok=True)
    return write_atomically(folder / name, to_toml(config).encode("utf-8"))
