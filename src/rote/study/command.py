"""`rote study FILE …`: the plan first, then the work."""

from collections.abc import Sequence
from pathlib import Path

from rote.errors import ConfigError
from rote.runs import Echo
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
        echo: is told the plan, each command and each failure.

    Raises:
        ConfigError: a file is wrong, or two have the same name.
        StaleRunError: the folder cannot be written.
    """
    from rote.reporting.study import write_study

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
    lines = [study.title, f"varied: {varied}"]
    left, disk = PACKAGES_S * AT_ONCE, 0.0
    for model in plan.models:
        cells = list(dict.fromkeys(audit.cell.name for audit in plan.audits if audit.model == model))
        cost, there = training_cost(model), (model.folder(out) / "final").is_dir()
        left, disk = left + (0 if there else cost.seconds), disk + cost.bytes
        lines.append(f"train {model.key} for {', '.join(cells)}: {_state(there, cost)}")
    for audit in plan.audits:
        cost, there = audit_cost(audit), (audit.folder(out) / "report.html").exists()
        left, disk = left + (0 if there else cost.seconds), disk + cost.bytes
        lines.append(f"audit {audit.cell.name}, {audit.checkpoint}: {_state(there, cost)}")
        if audit.cell.attend and audit.checkpoint == "final":
            cost, there = attention_cost(audit), (audit.folder(out) / "attention.html").exists()
            left += 0 if there else cost.seconds
            lines.append(f"attention of {audit.cell.name}: {_state(there, cost)}")
    lines.append(
        f"{len(plan.models)} trainings, {len(plan.audits)} audits; left: about {_duration(left / AT_ONCE)} on {AT_ONCE} "
        f"cores and {disk / 1e6:,.0f} MB in {out} (guessed from sizes and {START_UP_S:.0f} s to start each command; of a hub "
        "model or data set the start alone is counted)"
    )
    return lines


def _state(there: bool, cost: Cost) -> str:
    return "made" if there else f"about {_duration(cost.seconds)}"


def _duration(seconds: float) -> str:
    """`40 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
