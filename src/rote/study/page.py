"""The page of a study, or of several: what each factor does, leakage beside utility, how the models learned, every audit."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from rote.reporting import names
from rote.reporting.figures import Figure, figure
from rote.reporting.names import HEADLINE
from rote.reporting.page import write_html
from rote.reporting.plots import Chart
from rote.runs import ATTENTION_HTML, REPORT_HTML
from rote.study.factors import EVERYTHING, FactorCharts, Figures, factor_charts
from rote.study.frontier import LEAKAGES, UTILITY, Frontier, frontiers
from rote.study.learning import TrainingRow, curves, training_rows, trainings
from rote.study.table import SEPARATION

if TYPE_CHECKING:
    from rote.study.running import Done, Outcome

PAGE = "study.html"
AUC = f"text_loss{SEPARATION}auc"
DRAWN = ("extractable", "verbatim", "at_least_idea", "exact_memorization", "similarity_own", AUC, "exposure")
"""Metrics that are drawn over the levels of each factor."""
REPEATED = ("extractable", "verbatim", "exact_memorization")
"""Metrics that are drawn over the copies of a record."""
TABLED = (*HEADLINE, "similarity_own", AUC, "exposure")
"""Metrics of the table; a column that no cell has is left out."""
CHECKPOINTS = {"final": "At equal epochs", "matched": "At matched validation loss"}


@dataclass(frozen=True, slots=True)
class CellRow:
    """One audit as a row of the page."""

    cell: str
    epoch: int
    validation_loss: str
    figures: tuple[Figure, ...]
    link: str
    attention: str
    """Link to its page of attention; "" where there is none."""
    non_dominated: bool


@dataclass(frozen=True, slots=True)
class Section:
    """All cells at one kind of checkpoint."""

    checkpoint: str
    title: str
    factors: tuple[FactorCharts, ...]
    frontiers: tuple[Frontier, ...]
    metrics: tuple[str, ...]
    rows: tuple[CellRow, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """One study of the page."""

    anchor: str
    title: str
    question: str
    note: str
    factors: tuple[tuple[str, tuple[str, ...]], ...]
    failures: tuple[tuple[str, str, str], ...]
    """Cell, checkpoint, why."""
    sections: tuple[Section, ...]
    curves: tuple[Chart, ...]
    trainings: tuple[TrainingRow, ...]


def write_study(outcomes: "Sequence[Outcome]", out: Path) -> Path:
    """Writes study.html of one study, or of several one after another; returns its path.

    Args:
        outcomes: each study's folder lies under `out`, or is `out`.
        out: folder of the page.
    """
    parts = [_part(outcome, out) for outcome in outcomes]
    title = " · ".join(part.title for part in parts)
    write_html("study.html.jinja", {"title": title, "parts": parts, "leakage": title_of(LEAKAGES[0])}, out / PAGE)
    return out / PAGE


def title_of(metric: str) -> str:
    """The title of a metric; of a separation "AUC: …"."""
    name, is_separation, statistic = metric.partition(SEPARATION)
    return f"{statistic.upper()}: {names.title_of(name)}" if is_separation else names.title_of(metric)


def _part(outcome: "Outcome", out: Path) -> Part:
    study = outcome.plan.study
    found = dict.fromkeys(item.audit.checkpoint for item in outcome.done)
    trained = trainings(outcome)
    return Part(
        anchor=outcome.folder.name,
        title=study.title,
        question=study.question,
        note=study.note,
        factors=study.factors,
        failures=tuple((i.audit.cell.name, i.audit.checkpoint, i.failure) for i in outcome.done if i.failure),
        sections=tuple(_section(checkpoint, outcome, out) for checkpoint in sorted(found, reverse=True)),
        curves=tuple(curves(trained)),
        trainings=tuple(training_rows(trained)),
    )


def _section(checkpoint: str, outcome: "Outcome", out: Path) -> Section:
    done = [item for item in outcome.done if item.audit.checkpoint == checkpoint]
    rows = [row for row in outcome.rows if row.checkpoint == checkpoint and row.figure.model == "tuned"]
    members = {
        (row.cell, row.figure.metric, row.figure.stratum): row.figure for row in rows if row.figure.split == "member"
    }
    nonmembers = {
        row.cell: row.figure
        for row in rows
        if (row.figure.split, row.figure.metric, row.figure.stratum) == ("non-member", UTILITY, EVERYTHING)
    }
    shown = [metric for metric in TABLED if any((item.audit.cell.name, metric, EVERYTHING) in members for item in done)]
    links = {row.cell: outcome.folder / row.run for row in rows}
    pictures, best = frontiers(done, members, nonmembers)
    return Section(
        checkpoint=checkpoint,
        title=CHECKPOINTS[checkpoint],
        factors=tuple(
            factor_charts([item.audit.cell for item in done], members, {one: title_of(one) for one in DRAWN}, REPEATED)
        ),
        frontiers=tuple(pictures),
        metrics=tuple(map(title_of, shown)),
        rows=tuple(_cell(item, shown, members, links.get(item.audit.cell.name), out, best) for item in done),
    )


def _cell(
    item: "Done", shown: Sequence[str], members: Figures, folder: Path | None, out: Path, best: Collection[str]
) -> CellRow:
    name, epoch = item.audit.cell.name, item.epoch
    loss = epoch.validation_loss if epoch else None
    has_attention = folder is not None and (folder / ATTENTION_HTML).exists()
    return CellRow(
        cell=name,
        epoch=epoch.number if epoch else 0,
        validation_loss=f"{loss:.3f}" if loss is not None else "–",
        figures=tuple(figure(members.get((name, metric, EVERYTHING))) for metric in shown),
        link=_link(folder, REPORT_HTML, out) if folder else "",
        attention=_link(folder, ATTENTION_HTML, out) if folder and has_attention else "",
        non_dominated=name in best,
    )


def _link(folder: Path, page: str, out: Path) -> str:
    return quote((folder.relative_to(out) / page).as_posix())
