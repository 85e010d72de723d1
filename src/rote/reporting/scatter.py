"""Charts whose two axes are both numbers: the frontier of leakage and utility, and losses by epoch.

Geometry as in `rote.reporting.plots`; the same template draws them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rote.records import Estimate
from rote.reporting.figures import amount, interval, number
from rote.reporting.names import is_share
from rote.reporting.plots import WIDTH, Chart, Dot, Label, Line, Series

LEFT, RIGHT, TOP, BOTTOM = 58, WIDTH - 16, 30, 300
HEIGHT = BOTTOM + 46
MARGIN = 0.05
"""Share of the range that an axis leaves free at each end."""
NUMBER_OFFSETS = ((11, -7), (-11, -7), (0, -11), (13, 5), (-13, 5), (0, 20), (20, -17), (-20, -17), (26, 5), (-26, 5))
"""Where the number of a dot may stand, from the dot, in order of preference."""
CLEARANCE = 12.5
"""Least distance of a number from other numbers and dots."""

Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Point:
    """One dot of a frontier: its name, style, the two figures, and its number in the list of the best (0: none)."""

    name: str
    style: int
    x: Estimate
    y: Estimate
    number: int = 0


@dataclass(frozen=True, slots=True)
class Path:
    """Values by number, joined by a line."""

    name: str
    style: int
    points: tuple[Place, ...]
    is_dashed: bool = False


def frontier_chart(
    title: str, x_axis: str, y_axis: str, points: Sequence[Point], legend: Sequence[Series]
) -> Chart | None:
    """Every point with both intervals; the numbered ones carry their number, and a line joins them. None without any."""
    known = [point for point in points if point.x.value is not None and point.y.value is not None]
    if not known:
        return None
    across = _Axis([value for point in known for value in _span(point.x)], LEFT, RIGHT)
    up = _Axis([value for point in known for value in _span(point.y)], BOTTOM, TOP)
    places = {point: (across(point.x.value or 0), up(point.y.value or 0)) for point in known}
    best = sorted((point for point in known if point.number), key=lambda point: places[point])
    lines = [*_grid(across, up), *_steps([places[point] for point in best])]
    dots = []
    for point in sorted(known, key=lambda point: point.number > 0):  # the numbered ones lie on top
        x, y = places[point]
        style = f"bar s{point.style}" + ("" if point.number else " faint")
        (x1, x2), (y1, y2) = map(across, _span(point.x)), map(up, _span(point.y))
        lines += [Line(x1, y, x2, y, style), Line(x, y1, x, y2, style)]
        said = f"{point.name}: {y_axis} {_said(point.y)}, {x_axis} {_said(point.x)}"
        dots.append(Dot(x, y, point.style, said, is_faint=not point.number))
    labels = [
        *_labels_across(across, x_axis, is_share=is_share(known[0].x.metric)),
        *_labels_up(up, y_axis, is_share=is_share(known[0].y.metric)),
        *_numbers(best, places),
    ]
    described = "; ".join(dot.title for dot in dots)
    return Chart(title, described, HEIGHT, tuple(lines), tuple(dots), tuple(labels), tuple(legend))


def paths_chart(title: str, x_axis: str, y_axis: str, paths: Sequence[Path]) -> Chart | None:
    """Each path as a line with dots; only solid ones stand in the legend. None where no path has a point."""
    drawn = [path for path in paths if path.points]
    if not drawn:
        return None
    across = _Axis([x for path in drawn for x, _ in path.points], LEFT, RIGHT)
    up = _Axis([y for path in drawn for _, y in path.points], BOTTOM, TOP)
    lines, dots = list(_grid(across, up)), []
    for path in drawn:
        places = [(across(x), up(y)) for x, y in path.points]
        style = f"path s{path.style}" + (" dashed" if path.is_dashed else "")
        lines += [Line(*start, *end, style) for start, end in pairwise(places)]
        for (x, y), place in zip(path.points, places, strict=True):
            dots.append(Dot(*place, path.style, f"{path.name}, {x_axis} {x:g}: {number(y)}"))
    labels = [*_labels_across(across, x_axis, is_share=False), *_labels_up(up, y_axis, is_share=False)]
    legend = tuple({path.style: Series(path.name, path.style, ()) for path in drawn if not path.is_dashed}.values())
    described = "; ".join(dot.title for dot in dots)
    return Chart(title, described, HEIGHT, tuple(lines), tuple(dots), tuple(labels), legend)


class _Axis:
    """Round ticks over a range that need not begin at 0, and the place of each value in pixels."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        low, high = min(values), max(values)
        room = (high - low) * MARGIN or abs(high) * MARGIN or 1.0
        self.low, self.high = (low - room if low < 0 or low - room > 0 else 0.0), high + room
        self.start, self.end = start, end
        rough = (self.high - self.low) / 5
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
        first = math.ceil(self.low / step - 1e-9)
        self.ticks = [step * i for i in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def __call__(self, value: float) -> float:
        return self.start + (self.end - self.start) * (value - self.low) / (self.high - self.low)


def _grid(across: _Axis, up: _Axis) -> Iterator[Line]:
    for tick in across.ticks:
        yield Line(across(tick), TOP, across(tick), BOTTOM, "grid")
    for tick in up.ticks:
        yield Line(LEFT, up(tick), RIGHT, up(tick), "grid")
    yield Line(LEFT, BOTTOM, RIGHT, BOTTOM, "axis")
    yield Line(LEFT, TOP, LEFT, BOTTOM, "axis")


def _steps(places: Sequence[Place]) -> Iterator[Line]:
    """The staircase through the frontier, from left to right: what lies over it is beaten by some point of it."""
    for (x1, y1), (x2, y2) in pairwise(places):
        yield Line(x1, y1, x2, y1, "frontier")
        yield Line(x2, y1, x2, y2, "frontier")


def _labels_across(across: _Axis, title: str, *, is_share: bool) -> Iterator[Label]:
    for tick in across.ticks:
        yield Label(across(tick), BOTTOM + 18, _tick(tick, is_share=is_share), "middle", "tick")
    yield Label((LEFT + RIGHT) / 2, BOTTOM + 38, title, "middle", "level")


def _labels_up(up: _Axis, title: str, *, is_share: bool) -> Iterator[Label]:
    for tick in up.ticks:
        yield Label(LEFT - 8, up(tick) + 4, _tick(tick, is_share=is_share), "end", "tick")
    yield Label(4, TOP - 14, title, "start", "level")


def _numbers(best: Sequence[Point], places: Mapping[Point, Place]) -> Iterator[Label]:
    """The number of each of the best, at the first place beside its dot where it touches nothing."""
    taken = list(places.values())
    for point in best:
        x, y = places[point]
        others = [place for place in taken if place != (x, y)]
        free = ((x + dx, y + dy) for dx, dy in NUMBER_OFFSETS)
        at = next(
            (place for place in free if _is_free(place, others)), (x + NUMBER_OFFSETS[0][0], y + NUMBER_OFFSETS[0][1])
        )
        taken.append(at)
        yield Label(*at, str(point.number), "middle", "number")


def _is_free(place: Place, others: Sequence[Place]) -> bool:
    is_inside = LEFT < place[0] < RIGHT + 8 and TOP - 8 < place[1] < BOTTOM
    return is_inside and all(math.dist((place[0], place[1] - 4), other) >= CLEARANCE for other in others)


def _span(item: Estimate) -> tuple[float, float]:
    """The ends of the interval, or the value twice."""
    value = item.value or 0.0
    return (value if item.low is None else item.low, value if item.high is None else item.high)


def _said(item: Estimate) -> str:
    ends = interval(item)
    return amount(item) + (f" ({ends})" if ends else "")


def _tick(value: float, *, is_share: bool) -> str:
    return f"{round(100 * value, 9):g} %" if is_share else f"{round(value, 9):g}"
