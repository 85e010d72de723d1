"""Leakage beside utility: pictures of the cells that can be compared, and the Pareto front."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rote.config import settings_of
from rote.records import Estimate
from rote.reporting.figures import figure
from rote.reporting.names import title_of
from rote.reporting.plots import Chart, Series
from rote.reporting.scatter import Point, frontier_chart
from rote.study import factors
from rote.study.factors import EVERYTHING, Figures

if TYPE_CHECKING:
    from rote.study.running import Done

LEAKAGES, UTILITY = ("exact_memorization", "verbatim"), "loss"
"""The frontiers: one of the members' leakages against the loss on non-members; less is better in both."""
NAMED = 3
"""Cells that one dot names; of more, the number."""


@dataclass(frozen=True, slots=True)
class Best:
    """One numbered point of a frontier."""

    name: str
    leakage: str
    utility: str


@dataclass(frozen=True, slots=True)
class Frontier:
    """Leakage and utility of cells that can be compared: the picture, and its numbered points."""

    chart: Chart
    best: tuple[Best, ...]


@dataclass(frozen=True, slots=True)
class _Dot:
    """One place of the picture, and the cells that share it."""

    cells: tuple[str, ...]
    style: str
    """The level that gives the dot its shape."""
    leakage: Estimate
    utility: Estimate
    is_best: bool


def frontiers(
    done: "Sequence[Done]", members: Figures, nonmembers: Mapping[str, Estimate]
) -> tuple[list[Frontier], set[str]]:
    """The pictures, and the names of the cells that no other one beats by the first leakage.

    Args:
        done: audits of one kind of checkpoint.
        members: figures of the members.
        nonmembers: cell → `UTILITY` of the non-members.
    """
    found: list[Frontier] = []
    best: set[str] = set()
    for group in _comparable(done):
        for leakage in LEAKAGES:
            dots = _dots(leakage, group, members, nonmembers)
            found += _frontier(leakage, group, done, dots)
            if leakage == LEAKAGES[0]:
                best |= {cell for dot in dots if dot.is_best for cell in dot.cells}
    return found, best


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


def _comparable(done: "Sequence[Done]") -> "Iterator[list[Done]]":
    """Cells of the same records and prompts, two or more: the loss on other records is another loss.

    An encoder-decoder, which learns completions whatever the settings say, reads other prompts than a decoder.
    """
    groups: dict[str, list[Done]] = {}
    for item in done:
        config = item.audit.cell.config
        asked, is_other = config.generation, item.training is not None and item.training.loss != config.finetuning.loss
        key = f"{settings_of(config.corpus)} {asked.prompt} {asked.prefix_tokens} {asked.max_new_tokens} {is_other}"
        groups.setdefault(key, []).append(item)
    yield from (group for group in groups.values() if len(group) > 1)


def _dots(leakage: str, group: "Sequence[Done]", members: Figures, nonmembers: Mapping[str, Estimate]) -> list[_Dot]:
    """The cells' places, from the least leakage to the most; cells with equal figures share one."""
    found: dict[tuple[float, float], list[Done]] = {}
    for item in group:
        place = _place(leakage, item.audit.cell.name, members, nonmembers)
        if place:
            found.setdefault(place, []).append(item)
    places = sorted(found)
    shape = _shape(group)
    return [
        _Dot(
            cells=tuple(item.audit.cell.name for item in found[place]),
            style=found[place][0].audit.cell.level(shape) if shape else "",
            leakage=members[found[place][0].audit.cell.name, leakage, EVERYTHING],
            utility=nonmembers[found[place][0].audit.cell.name],
            is_best=is_best,
        )
        for place, is_best in zip(places, non_dominated(places), strict=True)
    ]


def _place(leakage: str, cell: str, members: Figures, nonmembers: Mapping[str, Estimate]) -> tuple[float, float] | None:
    leak, loss = members.get((cell, leakage, EVERYTHING)), nonmembers.get(cell)
    if leak is None or loss is None or leak.value is None or loss.value is None:
        return None
    return leak.value, loss.value


def _shape(group: "Sequence[Done]") -> str:
    """The first factor that varies within the group: its levels are distinguished by shape and colour; "" of none."""
    cells = [item.audit.cell for item in group]
    varied = [name for name, _ in cells[0].levels if len({cell.level(name) for cell in cells}) > 1]
    return varied[0] if varied else ""


def _frontier(
    leakage: str, group: "Sequence[Done]", done: "Sequence[Done]", dots: Sequence[_Dot]
) -> Iterator[Frontier]:
    """The picture; nothing of fewer than two places."""
    shape, found = _shape(group), {dot.style for dot in dots}
    levels = dict.fromkeys(item.audit.cell.level(shape) if shape else "" for item in group)
    styles = {level: place % factors.MAX_SERIES for place, level in enumerate(levels) if level in found}
    numbers = {dot: place for place, dot in enumerate((dot for dot in dots if dot.is_best), start=1)}
    cells = [item.audit.cell for item in group]
    names_ = factors.names_of([tuple(level for _, level in cell.levels) for cell in cells])
    named = {cell.name: name or cell.name for cell, name in zip(cells, names_, strict=True)}
    points = [
        Point(_name(dot, named), styles[dot.style], dot.utility, dot.leakage, numbers.get(dot, 0)) for dot in dots
    ]
    shared = _shared_levels(group, done)
    chart = frontier_chart(
        f"{title_of(leakage)} against utility" + (f": {shared}" if shared else ""),
        "loss on non-members, nats a token",
        f"{title_of(leakage)}, members",
        points,
        [Series(level, style, ()) for level, style in styles.items()],
    )
    if chart and len(dots) > 1:
        best = tuple(Best(_name(dot, named), figure(dot.leakage).main, figure(dot.utility).main) for dot in numbers)
        yield Frontier(chart, best)


def _name(dot: _Dot, named: Mapping[str, str]) -> str:
    more = len(dot.cells) - NAMED
    return "; ".join(named[cell] for cell in dot.cells[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _shared_levels(group: "Sequence[Done]", done: "Sequence[Done]") -> str:
    """The levels that the group's cells share and others do not: what the group is."""
    cells, every = [item.audit.cell for item in group], [item.audit.cell for item in done]
    shared = [
        cells[0].level(name)
        for name, _ in cells[0].levels
        if len({cell.level(name) for cell in cells}) == 1 < len({cell.level(name) for cell in every})
    ]
    return ", ".join(shared)
