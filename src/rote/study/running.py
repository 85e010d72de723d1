"""Making what a plan asks for: trainings, the audits of their checkpoints, and their attention; two commands at a time.

What is finished is not repeated; a study that is killed resumes. A cell that fails is reported and kept in the table's place
as a reason, and the others finish.
"""

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from rote.commands import Commands, progress, worker_threads
from rote.config import ADAPTERS, AuditConfig, to_toml
from rote.errors import NOT_MEASURED, OK, ModelError, RoteError
from rote.finetuning import Epoch, Training, read_training
from rote.finetuning.matching import matched_epochs
from rote.finetuning.record import CANARIES, MEMBERS, NONMEMBERS
from rote.records import Json
from rote.runs import GENERATIONS, TOKEN_SCORES, Echo, Run
from rote.runs.disk import private_folder, seal, unseal, write_atomically
from rote.runs.locks import claimed
from rote.study.plan import Audit, Plan, TrainedModel, with_shared_store
from rote.study.table import Row, collect_rows, write_table
from rote.study.weights import weight_change

AT_ONCE = 2
LINES_PER_TRAINING, LINES_PER_AUDIT = 6, 9
"""About what the commands print: the length of the progress bar."""
WEIGHT_CHANGES = "weight-changes.json"


@dataclass(frozen=True, slots=True)
class Done:
    """An audit that was made: the checkpoint it is of, or why it (or its attention) is not there."""

    audit: Audit
    epoch: Epoch | None
    training: Training | None
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A study that was made."""

    plan: Plan
    folder: Path
    done: tuple[Done, ...]
    """In the order of the plan's audits."""
    rows: tuple[Row, ...]
    weight_changes: Mapping[tuple[str, int], float | None]
    """Key of the training and number of the pass → how far the weights moved; see `rote.study.weights`."""

    @property
    def exit_code(self) -> int:
        """0, or 4 where a cell could not be measured."""
        return NOT_MEASURED if any(item.failure for item in self.done) else OK


def run_study(plan: Plan, out: Path, *, echo: Echo) -> Outcome:
    """Trains, audits, writes table and page.

    Args:
        plan: what is to be made.
        out: the study's folder; holds `models`, `audits`, `token-store`, `table.parquet`, `table.csv`, `study.html`.
        echo: receives a line for each command and each failure.

    Raises:
        RunError: the folder cannot be written.
    """
    started = time.monotonic()
    with claimed(out):
        return _run_study(plan, out, started, echo=echo)


def _run_study(plan: Plan, out: Path, started: float, *, echo: Echo) -> Outcome:
    from rote.study.page import write_study

    private_folder(out / "audits", is_inner=True)
    done = _make(plan, out, echo)
    moved = _weight_changes(done, out, echo)
    rows = tuple(row for item in done for row in _rows(item, moved, out))
    write_table(rows, out)
    outcome = Outcome(plan, out, done, rows, moved)
    page = write_study([outcome], out)
    failures = sum(bool(item.failure) for item in done)
    echo(f"report: {page} ({time.monotonic() - started:.0f} s)" + (f"; {failures} cells failed" if failures else ""))
    return outcome


def _make(plan: Plan, out: Path, echo: Echo) -> tuple[Done, ...]:
    """All commands of the plan."""
    steps = LINES_PER_TRAINING * len(plan.models) + LINES_PER_AUDIT * len(plan.audits)
    audits = _base_first(plan.audits)
    with progress(steps) as advance, worker_threads(AT_ONCE) as pool:
        do = Commands(echo, advance)
        trained = {model.key: pool.submit(_train, do, model, out) for model in plan.models}
        trainings = {key: _outcome(job, echo) for key, job in trained.items()}
        jobs = [pool.submit(_audit, do, audit, plan, trainings, out) for audit in audits]
        done = [_done(job, audit, echo) for job, audit in zip(jobs, audits, strict=True)]
        looks = {item.audit: pool.submit(_attend, do, item.audit.folder(out)) for item in done if _is_watched(item)}
        done = [_seen(item, looks[item.audit], echo) if item.audit in looks else item for item in done]
    order = {audit: place for place, audit in enumerate(plan.audits)}
    return tuple(sorted(done, key=lambda item: order[item.audit]))


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
    epoch = training.kept
    if audit.checkpoint == "matched":
        group = {model.key: _trained(model.key, trainings) for model in plan.match_group(audit)}
        epoch = matched_epochs(group)[audit.model.key]
    folder = audit.folder(out)
    if not (audit.checkpoint == "matched" and epoch.number == training.kept.number):
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
    is_adapter = training.strategy in ADAPTERS
    nonmembers, planted = trained / NONMEMBERS, trained / CANARIES
    return dataclasses.replace(
        config,
        model=dataclasses.replace(
            config.model, tuned="" if is_adapter else source, adapter=source if is_adapter else ""
        ),
        corpus=dataclasses.replace(
            config.corpus,
            members=str(trained / MEMBERS),
            nonmembers=str(nonmembers) if nonmembers.exists() and nonmembers.stat().st_size else "",
            prompt_field="",  # what training leaves has fields of its own
            completion_field="",
            rendering="auto",  # … and holds the texts as they were rendered
            separator="auto",
            holdout=0.0,
            limit=0,
            canaries=0,
            canary_file=str(planted) if planted.exists() else "",
        ),
        reporting=dataclasses.replace(config.reporting, title=f"{audit.cell.name}, {audit.checkpoint}"),
    )


def _adopt_base(folder: Path, audit: Audit, plan: Plan, out: Path) -> None:
    """Takes the base model's texts from an audit that has them; what does not fit is made anew."""
    for other in plan.audits:
        made = other.folder(out)
        if other.key != audit.key and _share_base(audit, other) and (made / "manifest.json").exists():
            for name in (GENERATIONS.format(model="base"), TOKEN_SCORES.format(model="base")):
                Run(folder).adopt(name, Run(made))


def _share_base(one: Audit, other: Audit) -> bool:
    """Whether the base model writes the same texts in both."""
    first, second = one.cell.config, other.cell.config
    return (first.model, first.corpus, first.generation) == (second.model, second.corpus, second.generation)


def _is_watched(item: Done) -> bool:
    return item.audit.cell.attend and item.audit.checkpoint == "final" and not item.failure


def _attend(do: Commands, folder: Path) -> None:
    do.rote("attend", folder)


def _seen(item: Done, job: "Future[None]", echo: Echo) -> Done:
    try:
        job.result()
    except RoteError as error:
        echo(f"cell {item.audit.cell.name}: its attention failed: {error}")
        return dataclasses.replace(item, failure=f"attention: {error}")
    return item


def _done(job: "Future[tuple[Training, Epoch]]", audit: Audit, echo: Echo) -> Done:
    try:
        training, epoch = job.result()
    except RoteError as error:
        echo(f"cell {audit.cell.name}, {audit.checkpoint}, failed: {error}")
        return Done(audit, None, None, str(error))
    return Done(audit, epoch, training)


def run_folder(item: Done, out: Path) -> Path:
    """The run folder that holds an audit's figures: a matched one whose checkpoint is kept shares the final one's."""
    is_final = item.training is not None and item.epoch == item.training.kept
    return (dataclasses.replace(item.audit, checkpoint="final") if is_final else item.audit).folder(out)


def _rows(item: Done, moved: Mapping[tuple[str, int], float | None], out: Path) -> list[Row]:
    if item.epoch is None or item.training is None:
        return []
    run = Run(run_folder(item, out), must_exist=True)
    change = moved.get((item.audit.model.key, item.epoch.number))
    return collect_rows(item.audit, item.training, item.epoch, change, run)


def _weight_changes(done: Sequence[Done], out: Path, echo: Echo) -> dict[tuple[str, int], float | None]:
    """How far each audited checkpoint is from its base; kept in a file of the study."""
    path = out / WEIGHT_CHANGES
    known = _known_changes(path, echo)
    found: dict[tuple[str, int], float | None] = {}
    for item in done:
        if item.epoch is None or item.training is None:
            continue
        key, source = item.audit.model.key, str(item.audit.model.folder(out) / item.epoch.folder)
        name = f"{key}/{item.epoch.folder}"
        if name not in known:
            is_adapter = item.training.strategy in ADAPTERS
            model = item.audit.cell.config.model
            try:
                known[name] = weight_change(
                    "" if is_adapter else source, model.base, adapter=source if is_adapter else "", config=model
                )
            except ModelError as error:
                echo(f"cell {item.audit.cell.name}: how far its weights moved cannot be said: {error}")
                known[name] = None
            write_atomically(path, json.dumps(seal(cast(dict[str, Json], known)), indent=1).encode("ascii"))
        found[key, item.epoch.number] = known[name]
    return found


def _known_changes(path: Path, echo: Echo) -> dict[str, float | None]:
    """What an earlier run measured; nothing where the file is missing or damaged."""
    try:
        return cast(dict[str, float | None], unseal(path.read_bytes()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        echo(f"{path}: damaged ({error}); measured again")
        return {}


def _write_settings(folder: Path, name: str, config: AuditConfig) -> Path:
    """The settings as a file."""
    return write_atomically(private_folder(folder) / name, to_toml(config).encode("utf-8"))
