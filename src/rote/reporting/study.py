"""The page of a study, or of several: what each factor does, leakage beside utility, how the models learned, every audit."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from rote.config import settings_of
from rote.records import Estimate
from rote.reporting import factors, names
from rote.reporting.factors import EVERYTHING, FactorCharts, Figures, factor_charts
from rote.reporting.figures import Figure, figure, number, percent
from rote.reporting.names import HEADLINE
from rote.reporting.page import write_html
from rote.reporting.plots import Chart, Series
from rote.reporting.scatter import Path as LossPath
from rote.reporting.scatter import Point, frontier_chart, paths_chart
from rote.runs import ATTENTION_HTML, REPORT_HTML
from rote.study.table import SEPARATION, share_learned

if TYPE_CHECKING:
    from rote.finetuning import Training
    from rote.study.running import Done, Outcome
    from rote.study.table import Row

PAGE = "study.html"
AUC = f"text_loss{SEPARATION}auc"
DRAWN = ("extractable", "verbatim", "at_least_idea", "exact_memorization", "similarity_own", AUC, "exposure")
"""Metrics that are drawn over the levels of each factor."""
REPEATED = ("extractable", "verbatim", "exact_memorization")
"""Metrics that are drawn over the copies of a record."""
TABLED = (*HEADLINE, "similarity_own", AUC, "exposure")
"""Metrics of the table; a column that no cell has is left out."""
LEAKAGES, UTILITY = ("exact_memorization", "verbatim"), "loss"
"""The frontiers: one of the members' leakages against the loss on non-members; less is better in both."""
CHECKPOINTS = {"final": "At equal epochs", "matched": "At matched validation loss"}
NAMED = 3
"""Cells that one dot names; of more, the number."""


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
class Section:
    """All cells at one kind of checkpoint."""

    checkpoint: str
    title: str
    factors: tuple[FactorCharts, ...]
    frontiers: tuple[Frontier, ...]
    metrics: tuple[str, ...]
    rows: tuple[CellRow, ...]


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One training: what was trained, and what was learned."""

    name: str
    trained: str
    passes: str
    validation: str
    members: str
    learned: str
    weights: str
    privacy: str


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


def _part(outcome: "Outcome", out: Path) -> Part:
    study = outcome.plan.study
    found = dict.fromkeys(item.audit.checkpoint for item in outcome.done)
    trained = _trainings(outcome)
    return Part(
        anchor=outcome.folder.name,
        title=study.title,
        question=study.question,
        note=study.note,
        factors=study.factors,
        failures=tuple((i.audit.cell.name, i.audit.checkpoint, i.failure) for i in outcome.done if i.failure),
        sections=tuple(_section(checkpoint, outcome, out) for checkpoint in sorted(found, reverse=True)),
        curves=tuple(_curves(trained)),
        trainings=tuple(_training_rows(trained)),
    )


def _section(checkpoint: str, outcome: "Outcome", out: Path) -> Section:
    done = [item for item in outcome.done if item.audit.checkpoint == checkpoint]
    rows = [row for row in outcome.rows if row.checkpoint == checkpoint and row.model == "tuned"]
    members = {(row.cell, row.metric, row.stratum): _estimate(row) for row in rows if row.split == "member"}
    strangers = {
        row.cell: _estimate(row)
        for row in rows
        if (row.split, row.metric, row.stratum) == ("non-member", UTILITY, EVERYTHING)
    }
    shown = [metric for metric in TABLED if any((item.audit.cell.name, metric, EVERYTHING) in members for item in done)]
    links = {row.cell: outcome.folder / row.run for row in rows}
    frontiers: list[Frontier] = []
    best: set[str] = set()
    for group in _comparable(done):
        for leakage in LEAKAGES:
            dots = _dots(leakage, group, members, strangers)
            frontiers += _frontier(leakage, group, done, dots)
            if leakage == LEAKAGES[0]:
                best |= {cell for dot in dots if dot.is_best for cell in dot.cells}
    return Section(
        checkpoint=checkpoint,
        title=CHECKPOINTS[checkpoint],
        factors=tuple(
            factor_charts([item.audit.cell for item in done], members, {one: title_of(one) for one in DRAWN}, REPEATED)
        ),
        frontiers=tuple(frontiers),
        metrics=tuple(map(title_of, shown)),
        rows=tuple(_cell(item, shown, members, links.get(item.audit.cell.name), out, best) for item in done),
    )


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


# The frontier


@dataclass(frozen=True, slots=True)
class _Dot:
    """One place of the picture, and the cells that share it."""

    cells: tuple[str, ...]
    style: str
    """The level that gives the dot its shape."""
    leakage: Estimate
    utility: Estimate
    is_best: bool


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


def _dots(leakage: str, group: "Sequence[Done]", members: Figures, strangers: Mapping[str, Estimate]) -> list[_Dot]:
    """The cells' places, from the least leakage to the most; cells with equal figures share one."""
    found: dict[tuple[float, float], list[Done]] = {}
    for item in group:
        place = _place(leakage, item.audit.cell.name, members, strangers)
        if place:
            found.setdefault(place, []).append(item)
    places = sorted(found)
    shape = _shape(group)
    return [
        _Dot(
            cells=tuple(item.audit.cell.name for item in found[place]),
            style=found[place][0].audit.cell.level(shape) if shape else "",
            leakage=members[found[place][0].audit.cell.name, leakage, EVERYTHING],
            utility=strangers[found[place][0].audit.cell.name],
            is_best=is_best,
        )
        for place, is_best in zip(places, non_dominated(places), strict=True)
    ]


def _place(leakage: str, cell: str, members: Figures, strangers: Mapping[str, Estimate]) -> tuple[float, float] | None:
    leak, loss = members.get((cell, leakage, EVERYTHING)), strangers.get(cell)
    if leak is None or loss is None or leak.value is None or loss.value is None:
        return None
    return leak.value, loss.value


def _shape(group: "Sequence[Done]") -> str:
    """The first factor that varies within the group: its levels are told apart by shape and colour; "" of none."""
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


# How the models learned


@dataclass(frozen=True, slots=True)
class _Trained:
    """One training under the name of the first cell that is made of it."""

    levels: tuple[str, ...]
    training: "Training"
    weight_change: float | None


def _trainings(outcome: "Outcome") -> list[_Trained]:
    found = {item.audit.model.key: item for item in reversed(outcome.done) if item.training}
    return [
        _Trained(
            tuple(level for _, level in item.audit.cell.levels),
            item.training,
            outcome.weight_changes.get((item.audit.model.key, item.training.kept.number)),
        )
        for item in reversed(found.values())
        if item.training
    ]


def _curves(trained: Sequence[_Trained]) -> Iterator[Chart]:
    """Losses by passes: a chart for each combination of the later factors, in it a shape for each level of the first."""
    charts: dict[tuple[str, ...], list[_Trained]] = {}
    for item in trained:
        charts.setdefault(item.levels[1:], []).append(item)
    titles = factors.names_of(list(charts))
    for title, items in zip(titles, charts.values(), strict=True):
        for start in range(0, len(items), factors.MAX_SERIES):
            part = items[start : start + factors.MAX_SERIES]
            paths = [path for style, item in enumerate(part) for path in _paths(item, style)]
            chart = paths_chart(f"Loss by pass{': ' + title if title else ''}", "passes", "nats a token", paths)
            if chart:
                yield chart


def _paths(item: _Trained, style: int) -> Iterator[LossPath]:
    training, name = item.training, item.levels[0] if item.levels else "members"
    before = (training.base_members_loss, training.base_validation_loss)
    members = [(0.0, before[0]), *((epoch.passes, epoch.members_loss) for epoch in training.epochs)]
    validation = [(0.0, before[1]), *((epoch.passes, epoch.validation_loss) for epoch in training.epochs)]
    for label, points, is_dashed in ((name, members, False), (f"{name}, validation", validation, True)):
        known = tuple((passes, loss) for passes, loss in points if loss is not None)
        yield LossPath(label, style, known, is_dashed=is_dashed)


def _training_rows(trained: Sequence[_Trained]) -> Iterator[TrainingRow]:
    names_ = factors.names_of([item.levels for item in trained])
    for name, item in zip(names_, trained, strict=True):
        training, kept = item.training, item.training.kept
        share = share_learned(training, kept)
        yield TrainingRow(
            name=name or "only",
            trained=f"{training.trainable_parameters:,} of {training.parameters:,}",
            passes=f"{kept.passes:g}",
            validation=_from_to(training.base_validation_loss, kept.validation_loss),
            members=_from_to(training.base_members_loss, kept.members_loss),
            learned="–" if share is None else percent(share),
            weights="–" if item.weight_change is None else percent(item.weight_change),
            privacy=training.privacy.sentence if training.privacy else "–",
        )


def _from_to(before: float | None, after: float | None) -> str:
    return " → ".join("–" if loss is None else number(loss) for loss in (before, after))
