"""`rote study FILE …`: the plan first, then the work."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rote.errors import ConfigError
from rote.runs import ATTENTION_HTML, REPORT_HTML, Echo
from rote.study.design import read_study
from rote.study.plan import PACKAGES_S, START_UP_S, Cost, Plan, attention_cost, audit_cost, plan_of, training_cost
from rote.study.running import AT_ONCE, run_study

OK = 0


def study(files: Sequence[Path], out: Path | None, *, dry_run: bool, echo: Echo) -> int:
    """Prints the plans and, unless it is a dry run, makes them; returns 0, or 4 where a cell could not be measured.

    Args:
        files: of one study, or of several: each gets a folder of its own in `out`, and all of them one page there.
        out: folder; None: runs/NAME-OF-FILE of one study, runs/studies of several.
        dry_run: print the plans alone.
        echo: receives a line for the plan, each command and each failure.

    Raises:
        ConfigError: a file is wrong, or two have the same name.
        RunError: the folder cannot be written.
    """
    from rote.study.page import write_study

    folders = _folders(files, out)
    plans = {folder: plan_of(read_study(file)) for folder, file in folders.items()}
    for folder, plan in plans.items():
        for line in plan_lines(plan, folder):
            echo(line)
    if dry_run:
        return OK
    outcomes = [run_study(plan, folder, echo=echo) for folder, plan in plans.items()]
    if len(outcomes) > 1:
        echo(f"report of all: {write_study(outcomes, outcomes[0].folder.parent)}")
    return max(outcome.exit_code for outcome in outcomes)


def _folders(files: Sequence[Path], out: Path | None) -> dict[Path, Path]:
    """Folder of each study → its file."""
    if len(files) == 1:
        return {out or Path("runs") / files[0].stem: files[0]}
    names = [file.stem for file in files]
    if len(set(names)) < len(names):
        raise ConfigError(f"studies of one report need different names, found {', '.join(names)}")
    return {(out or Path("runs/studies")) / file.stem: file for file in files}


def plan_lines(plan: Plan, out: Path) -> list[str]:
    """The plan in words: what is varied, every training and audit, what is there already, and about what is left."""
    study = plan.study
    varied = "; ".join(f"{name}: {', '.join(levels)}" for name, levels in study.factors) or "nothing"
    work = list(_work(plan, out))
    left = PACKAGES_S * AT_ONCE + sum(cost.seconds for _, cost, is_made in work if not is_made)
    disk = sum(cost.bytes for _, cost, _ in work)
    about = "about" if all(cost.is_known for _, cost, _ in work) else "more than"
    return [
        study.title,
        f"varied: {varied}",
        *(f"{what}: {_state(cost, is_made=is_made)}" for what, cost, is_made in work),
        f"{len(plan.models)} trainings, {len(plan.audits)} audits; left: {about} {_duration(left / AT_ONCE)} on {AT_ONCE} "
        f"cores and {disk / 1e6:,.0f} MB in {out} (guessed from sizes, with {START_UP_S:.0f} s to start each command"
        + (")" if about == "about" else "; of hub models and data sets no more is known)"),
    ]


def _work(plan: Plan, out: Path) -> Iterator[tuple[str, Cost, bool]]:
    """What is to be done, what it takes, and whether it is made."""
    for model in plan.models:
        cells = dict.fromkeys(audit.cell.name for audit in plan.audits if audit.model == model)
        yield f"train {model.key} for {', '.join(cells)}", training_cost(model), (model.folder(out) / "final").is_dir()
    for audit in plan.audits:
        folder = audit.folder(out)
        yield f"audit {audit.cell.name}, {audit.checkpoint}", audit_cost(audit), (folder / REPORT_HTML).exists()
        if audit.cell.attend and audit.checkpoint == "final":
            yield f"attention of {audit.cell.name}", attention_cost(audit), (folder / ATTENTION_HTML).exists()


def _state(cost: Cost, *, is_made: bool) -> str:
    if is_made:
        return "made"
    return f"about {_duration(cost.seconds)}" if cost.is_known else "not known"


def _duration(seconds: float) -> str:
    """`40 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
