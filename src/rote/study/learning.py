"""How the models of a study learned: losses by pass, what was trained, and how far it went."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rote.reporting.figures import number, percent
from rote.reporting.plots import Chart
from rote.reporting.scatter import Path as LossPath
from rote.reporting.scatter import paths_chart
from rote.study import factors
from rote.study.table import share_learned

if TYPE_CHECKING:
    from rote.finetuning import Training
    from rote.study.running import Outcome


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
class Trained:
    """One training under the name of the first cell that is made of it."""

    levels: tuple[str, ...]
    training: "Training"
    weight_change: float | None


def trainings(outcome: "Outcome") -> list[Trained]:
    """Each training once, in the order of the plan."""
    found = {item.audit.model.key: item for item in reversed(outcome.done) if item.training}
    return [
        Trained(
            tuple(level for _, level in item.audit.cell.levels),
            item.training,
            outcome.weight_changes.get((item.audit.model.key, item.training.kept.number)),
        )
        for item in reversed(found.values())
        if item.training
    ]


def curves(trained: Sequence[Trained]) -> Iterator[Chart]:
    """Losses by passes: a chart for each combination of the later factors, in it a shape for each level of the first."""
    charts: dict[tuple[str, ...], list[Trained]] = {}
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


def _paths(item: Trained, style: int) -> Iterator[LossPath]:
    training, name = item.training, item.levels[0] if item.levels else "members"
    before = (training.base_members_loss, training.base_validation_loss)
    members = [(0.0, before[0]), *((epoch.passes, epoch.members_loss) for epoch in training.epochs)]
    validation = [(0.0, before[1]), *((epoch.passes, epoch.validation_loss) for epoch in training.epochs)]
    for label, points, is_dashed in ((name, members, False), (f"{name}, validation", validation, True)):
        known = tuple((passes, loss) for passes, loss in points if loss is not None)
        yield LossPath(label, style, known, is_dashed=is_dashed)


def training_rows(trained: Sequence[Trained]) -> Iterator[TrainingRow]:
    """The table of trainings."""
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
