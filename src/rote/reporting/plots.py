"""Charts as plain geometry: rates with intervals, by metric or by repetition. A template draws them as inline SVG.

Coordinates are in pixels of the chart's view box, y down. Colours and shapes come from the page's style sheet, so a
chart follows light and dark; every series has a shape of its own beside its colour.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rote.records import Estimate
from rote.reporting.figures import amount, figure, number
from rote.reporting.names import is_share

WIDTH = 480
TOP = 14
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart: a name, its style (0 to 7, see the style sheet), an estimate or none for each level."""

    name: str
    style: int
    estimates: tuple[Estimate | None, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line."""

    x1: float
    y1: float
    x2: float
    y2: float
    style: str


@dataclass(frozen=True, slots=True)
class Dot:
    """The marker of one estimate; `title` says it in words. A faint one steps back behind others."""

    x: float
    y: float
    style: int
    title: str
    is_faint: bool = False


@dataclass(frozen=True, slots=True)
class Label:
    """A text; anchor is start, middle or end."""

    x: float
    y: float
    text: str
    anchor: str
    style: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that is to be drawn, and what it says for who cannot see it."""

    title: str
    description: str
    height: int
    lines: tuple[Line, ...]
    dots: tuple[Dot, ...]
    labels: tuple[Label, ...]
    legend: tuple[Series, ...]


def rows_chart(title: str, levels: Sequence[str], series: Sequence[Series]) -> Chart | None:
    """One row for each level, with a dot and interval for each series. None where there is nothing to draw."""
    measured = _measured(series)
    if not measured:
        return None
    pitch, left, right = 14 * len(series) + 18, 184, WIDTH - 20
    bottom = TOP + pitch * len(levels)
    ticks = _ticks(measured)
    across = _Scale(ticks[-1], left, right)
    middles = [TOP + pitch * (row + 0.5) for row in range(len(levels))]
    lines = [Line(across(t), TOP, across(t), bottom, "grid" if t else "axis") for t in ticks]
    labels = [Label(across(t), bottom + 20, _tick_text(t, measured[0]), "middle", "tick") for t in ticks]
    labels += [Label(left - 14, y + 4, name, "end", "level") for y, name in zip(middles, levels, strict=True)]
    dots = []
    for index, one in enumerate(series):
        nudge = 14 * (index - (len(series) - 1) / 2)
        for place, item in _drawn(one):
            y = middles[place] + nudge
            if item.low is not None and item.high is not None:
                lines.append(Line(across(max(0.0, item.low)), y, across(item.high), y, f"bar s{one.style}"))
            dots.append(Dot(across(item.value or 0), y, one.style, _title(one.name, levels[place], item)))
    return _chart(title, bottom + 30, lines, dots, labels, series)


def levels_chart(title: str, axis: str, levels: Sequence[str], series: Sequence[Series]) -> Chart | None:
    """Levels from left to right, a line with dots and intervals for each series. None where there is nothing to draw."""
    measured = _measured(series)
    if not measured:
        return None
    left, right, bottom = 52, WIDTH - 14, 256
    step = (right - left) / len(levels)
    ticks = _ticks(measured)
    up = _Scale(ticks[-1], bottom, TOP)
    middles = [left + step * (place + 0.5) for place in range(len(levels))]
    lines = [Line(left, up(t), right, up(t), "grid" if t else "axis") for t in ticks]
    labels = [Label(left - 8, up(t) + 4, _tick_text(t, measured[0]), "end", "tick") for t in ticks]
    labels += [Label(x, bottom + 18, name, "middle", "tick") for x, name in zip(middles, levels, strict=True)]
    labels.append(Label((left + right) / 2, bottom + 38, axis, "middle", "level"))
    dots = []
    for index, one in enumerate(series):
        nudge = min(9.0, step / (len(series) + 2)) * (index - (len(series) - 1) / 2)
        drawn = _drawn(one)
        points = [(middles[place] + nudge, up(item.value or 0)) for place, item in drawn]
        lines += [Line(*start, *end, f"path s{one.style}") for start, end in pairwise(points)]
        for (place, item), (x, y) in zip(drawn, points, strict=True):
            if item.low is not None and item.high is not None:
                lines.append(Line(x, up(max(0.0, item.low)), x, up(item.high), f"bar s{one.style}"))
            dots.append(Dot(x, y, one.style, _title(one.name, f"{axis} {levels[place]}", item)))
    return _chart(title, bottom + 44, lines, dots, labels, series)


@dataclass(frozen=True, slots=True)
class _Scale:
    """0 lies at `start`, `top` at `end`."""

    top: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        return self.start + (self.end - self.start) * value / self.top


def _chart(
    title: str,
    height: int,
    lines: Sequence[Line],
    dots: Sequence[Dot],
    labels: Sequence[Label],
    series: Sequence[Series],
) -> Chart:
    legend = tuple(one for one in series if _drawn(one))
    return Chart(title, "; ".join(dot.title for dot in dots), height, tuple(lines), tuple(dots), tuple(labels), legend)


def _drawn(series: Series) -> list[tuple[int, Estimate]]:
    """The places of the levels that were measured, with their estimates."""
    return [(i, item) for i, item in enumerate(series.estimates) if item is not None and item.value is not None]


def _measured(series: Sequence[Series]) -> list[Estimate]:
    return [item for one in series for _, item in _drawn(one)]


def _ticks(measured: Sequence[Estimate]) -> list[float]:
    """0, then round steps up to the first that is not under any value or interval; at most 1 for rates."""
    top = max(max(item.value or 0, item.high or 0) for item in measured)
    if is_share(measured[0].metric):
        top = min(max(top, 0.05), 1.0)
        step = next(step for step in _STEPS if top / step <= 5)
    else:
        top = top if top > 1e-9 else 1.0
        step = _round_step(top / 5)
    count = max(1, math.ceil(top / step - 1e-9))
    return [step * i for i in range(count + 1)]


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= least)


def _tick_text(tick: float, like: Estimate) -> str:
    return f"{100 * tick:g} %" if is_share(like.metric) else (number(tick))


def _title(series: str, level: str, item: Estimate) -> str:
    return f"{series}, {level}: {amount(item)} ({figure(item).detail})"
