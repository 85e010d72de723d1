"""The section "Utility": what the models are good for, on records that they have not seen, beside the members."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from rote.config import AuditConfig
from rote.reporting.artifacts import Artifacts
from rote.reporting.populations import Population
from rote.reporting.sections import FigureRow, FigureSection, figure_row
from rote.scoring.metrics.generation import UTILITY
from rote.scoring.utility import NO_ANSWER, TASK_METRICS, signatures

if TYPE_CHECKING:
    from rote.scoring.utility import Task

COLUMNS = (
    Population("Non-members", "tuned", "non-member"),
    Population("Base model, non-members", "base", "non-member"),
    Population("Members", "tuned", "member"),
    Population("Base model, members", "base", "member"),
)
METRICS = ("loss", "perplexity", *(metric.name for metric in UTILITY))
TASKS: "dict[Task, str]" = {"label": "labels", "answer": "short answers", "text": "texts"}


def utility_section(artifacts: Artifacts, config: AuditConfig) -> FigureSection | None:
    """The section; None where there is no figure of it."""
    rows = [figure_row(name, artifacts.estimates, [(one, "all") for one in COLUMNS]) for name in METRICS]
    measured = {name for name, row in zip(METRICS, rows, strict=True) if any(row.estimates)}
    if not measured:
        return None
    return FigureSection(
        title="Utility",
        lead="How well the models do what they were trained for: the figures that count are those of records that the model "
        "has not seen. Leakage that is bought with utility, or avoided by learning nothing, shows here.",
        columns=tuple(one.title for one in COLUMNS),
        rows=tuple(replace(row, in_brief=_has_value(row)) for row in rows if any(row.estimates)),
        notes=tuple(_notes(artifacts, config, measured)),
    )


def _has_value(row: FigureRow) -> bool:
    return any(item is not None and item.value is not None for item in row.estimates)


def _notes(artifacts: Artifacts, config: AuditConfig, measured: set[str]) -> Iterator[str]:
    if not any(example.split == "non-member" for example in artifacts.examples.values()):
        yield "There are no non-members: how well the model does on new records is not known."
    task = next((name for name, metrics in TASK_METRICS.items() if measured & set(metrics)), None)
    if task is None:
        return
    how = "as set by scoring.task" if config.scoring.task != "auto" else "by their number and length"
    if any(item.reason and NO_ANSWER in item.reason for item in artifacts.estimates):
        yield (
            f"The completions look like {TASKS[task]}, but here the prompts are beginnings of the text: what follows is no "
            "answer. An audit with --prompt record asks for answers. The losses do not depend on it."
        )
        return
    yield (
        f"The completions are taken for {TASKS[task]} ({how}). Each generation is cut to the number of words of the "
        "reference, for it never ends by itself."
    )
    yield from signatures(task)
