"""`rote study FILE`: the plan first, then the work."""

from pathlib import Path

from rote.runs import Echo
from rote.study.design import read_study
from rote.study.plan import Cost, Plan, audit_cost, plan_of, training_cost
from rote.study.running import AT_ONCE, run_study

OK = 0


def study(file: Path, out: Path, *, dry_run: bool, echo: Echo) -> int:
    """Prints the plan and, unless it is a dry run, makes it; returns 0, or 4 where a cell could not be measured.

    Raises:
        ConfigError: the file is wrong.
        StaleRunError: the folder cannot be written.
    """
    plan = plan_of(read_study(file))
    for line in plan_lines(plan, out):
        echo(line)
    return OK if dry_run else run_study(plan, out, echo=echo)


def plan_lines(plan: Plan, out: Path) -> list[str]:
    """The plan in words: what is varied, every training and audit, what is there already, and about what is left."""
    study = plan.study
    varied = "; ".join(f"{name}: {', '.join(levels)}" for name, levels in study.factors) or "nothing"
    lines = [study.title, f"varied: {varied}"]
    left, disk = 0.0, 0.0
    for model in plan.models:
        cells = list(dict.fromkeys(audit.cell.name for audit in plan.audits if audit.model == model))
        cost, there = training_cost(model), (model.folder(out) / "final").is_dir()
        left, disk = left + (0 if there else cost.seconds), disk + cost.bytes
        lines.append(f"train {model.key} for {', '.join(cells)}: {_state(there, cost)}")
    for audit in plan.audits:
        cost, there = audit_cost(audit), (audit.folder(out) / "report.html").exists()
        left, disk = left + (0 if there else cost.seconds), disk + cost.bytes
        lines.append(f"audit {audit.cell.name}, {audit.checkpoint}: {_state(there, cost)}")
    lines.append(
        f"{len(plan.models)} trainings, {len(plan.audits)} audits; left: about {_duration(left / AT_ONCE)} on {AT_ONCE} "
        f"cores and {disk / 1e6:,.0f} MB in {out} (guessed from sizes; a hub model or data set counts as nothing)"
    )
    return lines


def _state(there: bool, cost: Cost) -> str:
    return "made" if there else f"about {_duration(cost.seconds)}"


def _duration(seconds: float) -> str:
    """`40 s`, `12 min` or `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
