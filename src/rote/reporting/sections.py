"""A section of a report that is a table of figures: rows of one metric each, columns of populations, notes below."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rote.records import Estimate
from rote.reporting.artifacts import find
from rote.reporting.figures import percent
from rote.reporting.names import definition_of, title_of
from rote.reporting.plots import WIDTH, Chart, Dot, Label, Line, Series
from rote.reporting.populations import Population

STEPS = 100
"""Places along the axis of a distribution at which its curve may bend."""


@dataclass(frozen=True, slots=True)
class FigureRow:
    """One row: a metric and its figures, one for each column of the section; None where it was not made."""

    title: str
    definition: str
    estimates: tuple[Estimate | None, ...]
    in_brief: bool
    """The terminal shows it, too."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """Values of single prompts, ascending."""

    name: str
    style: int
    """Number of the line's style in the chart's style sheet."""
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FigureSection:
    """A table of figures, with what is to be said before and after it."""

    title: str
    lead: str
    columns: tuple[str, ...]
    """The first is the result, the others its controls."""
    rows: tuple[FigureRow, ...]
    notes: tuple[str, ...]
    distributions: tuple[Distribution, ...] = ()
    """To be drawn beside each other; of one metric."""


def figure_row(
    metric: str, estimates: Sequence[Estimate], columns: Sequence[tuple[Population, str]], *, in_brief: bool = False
) -> FigureRow:
    """The row of a metric; each column is a population and a stratum."""
    found = tuple(
        find(estimates, metric, model=one.model, split=one.split, stratum=stratum) for one, stratum in columns
    )
    return FigureRow(title_of(metric), definition_of(metric), found, in_brief)


def section_chart(section: FigureSection, title: str, marked: Sequence[float]) -> Chart | None:
    """The share of prompts over each value from 0 to 1, a curve for each distribution, with dots at the marked values.

    None where there is nothing to draw.
    """
    drawn = [one for one in section.distributions if one.values]
    if not drawn:
        return None
    left, right, top, bottom = 52, WIDTH - 14, 14, 256

    def across(value: float) -> float:
        return left + (right - left) * value

    def up(share: float) -> float:
        return bottom + (top - bottom) * share

    ticks = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    lines = [Line(left, up(tick), right, up(tick), "grid" if tick else "axis") for tick in ticks]
    labels = [Label(left - 8, up(tick) + 4, f"{100 * tick:g} %", "end", "tick") for tick in ticks]
    labels += [Label(across(tick), bottom + 18, f"{tick:g}", "middle", "tick") for tick in ticks]
    labels.append(Label((left + right) / 2, bottom + 38, "similarity over", "middle", "level"))
    dots = []
    for one in drawn:
        points = [(across(value), up(share)) for value, share in _curve(one.values)]
        lines += [Line(*start, *end, f"path s{one.style}") for start, end in pairwise(points)]
        for value in marked:
            share = _share_over(one.values, value)
            dots.append(Dot(across(value), up(share), one.style, f"{one.name}, over {value:g}: {percent(share)}"))
    legend = tuple(Series(one.name, one.style, ()) for one in drawn)
    described = "; ".join(dot.title for dot in dots)
    return Chart(title, described, bottom + 44, tuple(lines), tuple(dots), tuple(labels), legend)


def _curve(values: Sequence[float]) -> Iterator[tuple[float, float]]:
    """Value and share over it, from 0 to 1; places on a straight line are left out."""
    points = [(step / STEPS, _share_over(values, step / STEPS)) for step in range(STEPS + 1)]
    for at, (value, share) in enumerate(points):
        if at in (0, STEPS) or not points[at - 1][1] == share == points[at + 1][1]:
            yield value, share


def _share_over(values: Sequence[float], least: float) -> float:
    return sum(value > least for value in values) / len(values)
