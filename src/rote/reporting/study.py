"""The page of a study: what each factor does, leakage beside utility, and a link to every audit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from rote.records import Estimate
from rote.reporting.figures import Figure, figure
from rote.reporting.names import HEADLINE, title_of
from rote.reporting.page import write_html
from rote.reporting.plots import Chart, Series, levels_chart
from rote.runs import REPORT_HTML

if TYPE_CHECKING:
    from rote.study.plan import Plan
    from rote.study.running import Done
    from rote.study.table import Row

PAGE = "study.html"
DRAWN = ("extractable", "verbatim", "at_least_idea", "exact_memorization")
LEAKAGE, UTILITY = "exact_memorization", "loss"
"""The frontier: the members' exact memorisation against the loss on non-members; less is better in both."""
MAX_SERIES = 8
CHECKPOINTS = {"final": "At equal epochs", "matched": "At matched validation loss"}


@dataclass(frozen=True, slots=True)
class CellRow:
    """One audit as a row of the page."""

    cell: str
    levels: tuple[str, ...]
    epoch: int
    validation_loss: str
    figures: tuple[Figure, ...]
    link: str
    non_dominated: bool
    failure: str


@dataclass(frozen=True, slots=True)
class Section:
    """All cells at one kind of checkpoint."""

    checkpoint: str
    title: str
    charts: tuple[Chart, ...]
    rows: tuple[CellRow, ...]


def write_study(plan: "Plan", done: "Sequence[Done]", rows: "Sequence[Row]", out: Path) -> Path:
    """Writes study.html; returns its path."""
    study = plan.study
    found = dict.fromkeys(item.audit.checkpoint for item in done)
    sections = [_section(checkpoint, plan, done, rows) for checkpoint in sorted(found, reverse=True)]
    write_html(
        "study.html.jinja",
        {
            "title": study.title,
            "question": study.question,
            "note": study.note,
            "factors": study.factors,
            "metrics": [title_of(metric) for metric in HEADLINE],
            "sections": sections,
            "leakage": title_of(LEAKAGE),
            "utility": title_of(UTILITY),
            "failures": [(item.audit.cell.name, item.audit.checkpoint, item.failure) for item in done if item.failure],
        },
        out / PAGE,
    )
    return out / PAGE


def non_dominated(points: Sequence[tuple[float, float] | None]) -> list[bool]:
    """For each point whether no other one is less in one coordinate and not more in the other; None never is.

    >>> non_dominated([(0.0, 3.0), (0.5, 2.0), (0.5, 3.0), None])
    [True, True, False, False]
    """
    known = [point for point in points if point is not None]
    return [
        point is not None
        and not any(a <= point[0] and b <= point[1] and (a < point[0] or b < point[1]) for a, b in known)
        for point in points
    ]


def _section(checkpoint: str, plan: "Plan", done: "Sequence[Done]", rows: "Sequence[Row]") -> Section:
    own = [item for item in done if item.audit.checkpoint == checkpoint]
    table = {(row.cell, row.metric, row.split): _estimate(row) for row in rows if _is_shown(row, checkpoint)}
    folders = {row.cell: row.run for row in rows if row.checkpoint == checkpoint}
    points = [_point(item.audit.cell.name, table) for item in own]
    best = non_dominated(points)
    cells = [
        _cell(item, table, folders.get(item.audit.cell.name, ""), is_best)
        for item, is_best in zip(own, best, strict=True)
    ]
    return Section(checkpoint, CHECKPOINTS[checkpoint], tuple(_charts(plan, own, table)), tuple(cells))


def _is_shown(row: "Row", checkpoint: str) -> bool:
    return row.checkpoint == checkpoint and row.model == "tuned" and row.stratum == "all"


def _estimate(row: "Row") -> Estimate:
    return Estimate(
        metric=row.metric,
        model=row.model,
        split="member" if row.split == "member" else "non-member",
        stratum=row.stratum,
        value=row.value,
        low=row.low,
        high=row.high,
        n=row.n,
        n_missing=0,
        method=row.method,
        events=row.events,
        reason=row.reason or None,
    )


def _point(cell: str, table: dict[tuple[str, str, str], Estimate]) -> tuple[float, float] | None:
    leakage, utility = table.get((cell, LEAKAGE, "member")), table.get((cell, UTILITY, "non-member"))
    if leakage is None or utility is None or leakage.value is None or utility.value is None:
        return None
    return leakage.value, utility.value


def _cell(item: "Done", table: dict[tuple[str, str, str], Estimate], folder: str, is_best: bool) -> CellRow:
    name = item.audit.cell.name
    loss = item.epoch.validation_loss if item.epoch else None
    return CellRow(
        cell=name,
        levels=tuple(level for _, level in item.audit.cell.levels),
        epoch=item.epoch.number if item.epoch else 0,
        validation_loss=f"{loss:.3f}" if loss is not None else "–",
        figures=tuple(figure(table.get((name, metric, "member"))) for metric in HEADLINE),
        link=quote(f"{folder}/{REPORT_HTML}") if folder else "",
        non_dominated=is_best,
        failure=item.failure,
    )


def _charts(plan: "Plan", done: "Sequence[Done]", table: dict[tuple[str, str, str], Estimate]) -> Iterator[Chart]:
    """For each metric: the last factor from left to right, a line for each combination of the others."""
    factors = plan.study.factors
    if not factors:
        return
    axis, levels = factors[-1]
    lines: dict[str, dict[str, Estimate | None]] = {}
    for item in done:
        rest = ", ".join(level for name, level in item.audit.cell.levels if name != axis) or axis
        lines.setdefault(rest, {})
    for metric in DRAWN:
        for item in done:
            rest = ", ".join(level for name, level in item.audit.cell.levels if name != axis) or axis
            lines[rest][item.audit.cell.level(axis)] = table.get((item.audit.cell.name, metric, "member"))
        series = [
            Series(name, style % MAX_SERIES, tuple(points.get(level) for level in levels))
            for style, (name, points) in enumerate(lines.items())
        ]
        chart = levels_chart(f"{title_of(metric)}, members", axis, list(levels), series[:MAX_SERIES])
        if chart:
            yield chart
