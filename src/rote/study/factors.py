"""What each factor of a study does: charts of a metric over the levels of one factor, or over the copies of a record."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rote.records import Estimate
from rote.reporting.plots import WIDTH, Chart, Series, levels_chart, rows_chart

if TYPE_CHECKING:
    from rote.study.design import Cell

MAX_SERIES = 8
"""Lines in one chart: as many as there are shapes."""
EVERYTHING, COPIES = "all", "copies="
"""Strata."""
CHAR_PIXELS = 6.6
"""Width of a letter under the axis."""
LEVELS_WIDTH = WIDTH - 66

Figures = Mapping[tuple[str, str, str], Estimate]
"""Cell name, metric, stratum → the estimate of the tuned model's members."""
Levels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FactorCharts:
    """The charts of one factor, one or more for each metric."""

    factor: str
    charts: tuple[Chart, ...]


def factor_charts(
    cells: "Sequence[Cell]", figures: Figures, titles: Mapping[str, str], repeated: Sequence[str]
) -> Iterator[FactorCharts]:
    """For each factor that varies: its levels along the axis, a line for each combination of the other factors.

    Args:
        cells: of one kind of checkpoint.
        figures: their estimates.
        titles: metric → its title, for all metrics that are drawn.
        repeated: the metrics that are drawn over the copies of a record, too.
    """
    factors = [name for name, _ in cells[0].levels] if cells else []
    for factor in factors:
        levels = list(dict.fromkeys(cell.level(factor) for cell in cells))
        if len(levels) > 1:
            lines = _lines(cells, factor)
            charts = [
                c for metric in titles for c in _over_levels(metric, titles[metric], factor, levels, lines, figures)
            ]
            if charts:
                yield FactorCharts(factor, tuple(charts))
    charts = [chart for metric in repeated for chart in _over_copies(metric, titles[metric], cells, figures)]
    if charts:
        yield FactorCharts("copies of the record", tuple(charts))


def _lines(cells: "Sequence[Cell]", factor: str) -> dict[str, dict[str, str]]:
    """Name of the line → level → cell: cells that differ in the factor alone; a lone cell makes no line."""
    found: dict[Levels, dict[str, str]] = {}
    for cell in cells:
        rest = tuple(level for name, level in cell.levels if name != factor)
        found.setdefault(rest, {})[cell.level(factor)] = cell.name
    lines = {rest: members for rest, members in found.items() if len(members) > 1}
    return {name or factor: lines[rest] for rest, name in zip(lines, names_of(list(lines)), strict=True)}


def names_of(rows: Sequence[Levels]) -> list[str]:
    """Each row's levels, without those that all rows share."""
    columns = [place for place in range(len(rows[0]) if rows else 0) if len({row[place] for row in rows}) > 1]
    return [", ".join(row[place] for place in columns) for row in rows]


def _over_levels(
    metric: str,
    title: str,
    factor: str,
    levels: Sequence[str],
    lines: Mapping[str, Mapping[str, str]],
    figures: Figures,
) -> Iterator[Chart]:
    drawn = {
        name: tuple(figures.get((cells.get(level, ""), metric, EVERYTHING)) for level in levels)
        for name, cells in lines.items()
    }
    yield from _charts(f"{title}, members", factor, levels, drawn)


def _over_copies(metric: str, title: str, cells: "Sequence[Cell]", figures: Figures) -> Iterator[Chart]:
    strata = {stratum for _, name, stratum in figures if name == metric and stratum.startswith(COPIES)}
    copies = sorted(int(stratum.removeprefix(COPIES)) for stratum in strata)
    if len(copies) < 2:
        return
    rows = [tuple(level for _, level in cell.levels) for cell in cells]
    drawn = {
        name or "members": tuple(figures.get((cell.name, metric, f"{COPIES}{n}")) for n in copies)
        for name, cell in zip(names_of(rows), cells, strict=True)
    }
    yield from _charts(f"{title}, members", "copies of the record", [str(n) for n in copies], drawn)


def _charts(
    title: str, axis: str, levels: Sequence[str], lines: Mapping[str, tuple[Estimate | None, ...]]
) -> Iterator[Chart]:
    """As many charts as are needed to draw every measured line."""
    measured = {name: row for name, row in lines.items() if any(one and one.value is not None for one in row)}
    names = list(measured)
    fits = max(map(len, levels)) * CHAR_PIXELS <= LEVELS_WIDTH / len(levels)
    for start in range(0, len(names), MAX_SERIES):
        part = names[start : start + MAX_SERIES]
        series = [Series(name, style, measured[name]) for style, name in enumerate(part)]
        of = f" ({start // MAX_SERIES + 1} of {-(-len(names) // MAX_SERIES)})" if len(names) > MAX_SERIES else ""
        chart = levels_chart(title + of, axis, levels, series) if fits else rows_chart(title + of, levels, series)
        if chart:
            yield chart
