"""Several runs beside each other: one HTML page, and the same tables in the terminal."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from rote.config import AuditConfig, settings_of
from rote.console.escaping import visible
from rote.errors import RunError
from rote.records import Comparison, Estimate, Example, Json, Prompt, Score, Separation
from rote.reporting.artifacts import find
from rote.reporting.attribution import attribution_of
from rote.reporting.contents import repetitions, settings_of_run
from rote.reporting.figures import Figure, figure, separation_figure
from rote.reporting.membership import rate_title, separation_of
from rote.reporting.names import HEADLINE, title_of
from rote.reporting.page import write_html
from rote.reporting.plots import Chart, Series, levels_chart
from rote.reporting.populations import (
    AT_NONMEMBERS,
    AT_NONMEMBERS_METRICS,
    BASE,
    BY_TEXT,
    MEMBERS,
    NON_MEMBERS,
    PLAIN,
    Population,
    at_nonmembers,
    estimate_of,
    is_by_text,
)
from rote.reporting.sections import figure_row
from rote.reporting.terminal import figure_text, open_console, open_table, rendering_line
from rote.reporting.utility import COLUMNS as UTILITY_POPULATIONS
from rote.reporting.utility import METRICS as UTILITY
from rote.reporting.verdict import verdict
from rote.runs import COMPARISONS, ESTIMATES, EXAMPLES, PROMPTS, REPORT_HTML, SCORES, SEPARATIONS, Run
from rote.scoring.separations import separate_difference

REPEATED = ("extractable", "verbatim", "at_least_idea", "exact_memorization")
"""Metrics that are shown by repetition."""
PRINTED = ("extractable", "verbatim", "exact_memorization", "loss")
"""Metrics whose tables are printed in the terminal; the page has all."""
WRITTEN = ("similarity_own", "similar_own_80", "approximately_memorized", "pii_leaked", "pii_leak_rate")
"""Metrics of what was written whose controls count all of a population, not matches of one origin."""
SEPARATED = {"auc": "AUC"} | {
    f"{name}@{fpr:g}": rate_title(f"{name}@{fpr:g}")
    for fpr in (0.1, 0.01)
    for name in ("tpr", "passed", "tpr_over_base")
}
"""Statistics of membership scores that are compared, with their titles."""
_STYLES = (0, 2, 3, 4, 5, 6, 7, 1)
"""Chart styles of the runs, in order; the ninth run starts over."""


@dataclass(frozen=True, slots=True)
class ComparisonRun:
    """One run of a comparison, and what it is called there."""

    folder: Path
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparisonGroup:
    """Runs that stand in one table: what they have in common, and how to read them together."""

    title: str
    note: str
    runs: tuple[ComparisonRun, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """A table of figures: `cells[row][column]`."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[str, ...]
    cells: tuple[tuple[Figure, ...], ...]
    chart: Chart | None


@dataclass(frozen=True, slots=True)
class RunView:
    """One run as the page names it: its verdict, its one-line signature, and its own page where there is one."""

    label: str
    verdict: str
    rendering: str
    """Whether the loss says that the data were rendered as in the training; "" where it was not tried."""
    signature: str
    link: str


@dataclass(frozen=True, slots=True)
class GroupView:
    """One group as page and terminal show it."""

    title: str
    note: str
    warnings: tuple[str, ...]
    runs: tuple[RunView, ...]
    metrics: tuple[Matrix, ...]
    """One for each metric: members, base model, non-members, and training text at non-members' prompts, by run."""
    membership: tuple[Matrix, ...]
    """One for each statistic of separation: membership scores by run; empty where no run has any."""
    utility: tuple[Matrix, ...]
    """One for each metric of utility: non-members, and the base model's on the same, by run."""
    repeated: tuple[Matrix, ...]
    """One for each metric: runs by number of copies; empty where copies do not vary."""


@dataclass(frozen=True, slots=True)
class _Read:
    label: str
    run: Run
    config: AuditConfig
    estimates: list[Estimate]
    separations: list[Separation]


def compare(runs: Sequence[Path], out: Path) -> int:
    """Compares runs, named by their folders; writes the page, prints the tables, returns 0.

    Raises:
        RunError: a folder is no run, or has no estimates yet.
    """
    names = [folder.resolve().name for folder in runs]
    labels = [name if names.count(name) == 1 else str(folder) for name, folder in zip(names, runs, strict=True)]
    members = tuple(ComparisonRun(folder, label) for folder, label in zip(runs, labels, strict=True))
    title = " / ".join(labels) if len(labels) <= 4 else f"{len(labels)} runs"
    write_comparison(title, [ComparisonGroup(title="Comparison", note="", runs=members)], out)
    return 0


def write_comparison(title: str, groups: Sequence[ComparisonGroup], out: Path) -> None:
    """Writes one self-contained HTML page that compares the runs of each group, and prints its tables.

    Args:
        title: of the page.
        groups: each has its own tables and charts; runs may stand in several.
        out: the page; links to the runs' own pages are relative to it.

    Raises:
        RunError: a folder is no run, or has no estimates yet.
    """
    views = [_view(group, out) for group in groups]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_html("comparison.html.jinja", {"title": title, "groups": views}, out)
    except OSError as error:
        raise RunError(f"{out}: cannot be written: {error.strerror or error}") from error
    _print(title, views)


def _differences(runs: Sequence[_Read]) -> Iterator[str]:
    """What makes runs of a group not comparable: other data, prompts, decoding, alignment or length of extraction."""
    for name, values in _compared(runs):
        if len(set(map(str, values))) > 1:
            found = ", ".join(f"{run.label}: {str(value)[:40]}" for run, value in zip(runs, values, strict=True))
            yield f"Not comparable: {name} differs ({found})."


def _compared(runs: Sequence[_Read]) -> Iterator[tuple[str, list[Json]]]:
    yield "the data (data_hash)", [str(one.run.manifest().get("data_hash"))[:8] for one in runs]
    yield "corpus.limit", [one.config.corpus.limit for one in runs]
    for section in ("generation", "alignment"):
        settings = [settings_of(getattr(one.config, section)) for one in runs]
        for key in settings[0]:
            if key != "batch_size":  # results do not depend on it
                yield f"{section}.{key}", [values[key] for values in settings]
    yield "scoring.suffix_tokens", [one.config.scoring.suffix_tokens for one in runs]


def _view(group: ComparisonGroup, out: Path) -> GroupView:
    runs = [_read(one) for one in group.runs]
    if not runs:
        raise RunError(f"The group {group.title!r} has no runs to compare")
    return GroupView(
        title=group.title,
        note=group.note,
        warnings=tuple(_differences(runs)),
        runs=tuple(
            RunView(one.label, _verdict(one), rendering_line(one.run), one.run.signature(), _link(one.run, out))
            for one in runs
        ),
        metrics=(*_by_population(runs), *_drawn(runs), *_written(runs)),
        membership=(*_by_score(runs), *_beside_the_first(runs)),
        utility=tuple(_utility(runs)),
        repeated=tuple(_by_repetition(runs)),
    )


def _read(one: ComparisonRun) -> _Read:
    run = Run(one.folder, must_exist=True)
    separations = run.read(SEPARATIONS, Separation) if run.has(SEPARATIONS) else []
    return _Read(one.label, run, settings_of_run(run), run.read(ESTIMATES, Estimate), separations)


def _verdict(one: _Read) -> str:
    comparisons = one.run.read(COMPARISONS, Comparison) if one.run.has(COMPARISONS) else []
    put_down = attribution_of(one.run, one.estimates, comparisons, confidence=one.config.scoring.confidence)
    return verdict(one.estimates, one.config, attribution=put_down, separations=one.separations)


def _by_population(runs: Sequence[_Read]) -> Iterator[Matrix]:
    for metric in HEADLINE:
        populations = BY_TEXT if is_by_text(metric) else PLAIN
        found = {one.title: [estimate_of(run.estimates, metric, one) for run in runs] for one in populations}
        if metric in AT_NONMEMBERS_METRICS:
            found[AT_NONMEMBERS] = [at_nonmembers(run.estimates, metric) for run in runs]
        rows = [name for name, figures in found.items() if any(figures)]
        cells = [tuple(map(figure, found[name])) for name in rows]
        if rows:
            yield Matrix(title_of(metric), tuple(one.label for one in runs), tuple(rows), tuple(cells), None)


def _drawn(runs: Sequence[_Read]) -> Iterator[Matrix]:
    """Extraction strength, and what comes out in most draws with the middle probability, under each decoding scheme."""
    scoring = runs[0].config.scoring
    metrics = ["extraction_strength"]
    if scoring.draws and scoring.chances:
        setting = f"n={max(scoring.draws)},p={sorted(scoring.chances)[len(scoring.chances) // 2]:g}"
        made = dict.fromkeys(item.metric for run in runs for item in run.estimates)
        metrics += [name for name in made if name.startswith("discoverable@") and name.endswith(f",{setting}")]
    for metric in metrics:
        yield from _matrix(metric, [(one, one.title) for one in PLAIN], runs)


def _by_score(runs: Sequence[_Read]) -> Iterator[Matrix]:
    """How well each membership score tells members from non-members, the blind baseline last."""
    metrics = list(dict.fromkeys(item.metric for run in runs for item in run.separations))
    for statistic, title in SEPARATED.items():
        found = {name: [separation_of(run.separations, name, statistic) for run in runs] for name in metrics}
        made = {title_of(name): row for name, row in found.items() if any(row)}
        # Where no score could be measured in any run, the reason is given once.
        rows = {n: row for n, row in made.items() if any(one and one.value is not None for one in row)}
        if statistic.startswith("passed") and not _stands_in(runs, statistic):
            continue
        if made and not rows and not statistic.startswith(("passed", "tpr_over_base")):
            rows = {"Every score": next(iter(made.values()))}
        if rows:
            cells = tuple(tuple(map(separation_figure, row)) for row in rows.values())
            yield Matrix(title, tuple(one.label for one in runs), tuple(rows), cells, None)


def _beside_the_first(runs: Sequence[_Read]) -> Iterator[Matrix]:
    """How much better each score separates in the other runs than in the first, paired, where they have the same prompts."""
    first, *others = runs
    rows: dict[str, dict[str, dict[str, Separation]]] = {}
    for other in others:
        for item in _run_difference(first, other):
            rows.setdefault(item.statistic, {}).setdefault(item.metric, {})[other.label] = item
    for statistic, by_metric in rows.items():
        if any(item.value is not None for found in by_metric.values() for item in found.values()):
            title = "AUC" if statistic == "auc_difference" else rate_title(statistic)
            cells = tuple(
                tuple(separation_figure(found.get(other.label)) for other in others) for found in by_metric.values()
            )
            names = tuple(map(title_of, by_metric))
            yield Matrix(f"{title}, minus that of {first.label}", tuple(o.label for o in others), names, cells, None)


def _run_difference(first: _Read, other: _Read) -> list[Separation]:
    """The paired differences of two runs; empty where their records or prompts are not the same."""
    if not (first.separations and other.separations) or not (first.run.has(SCORES) and other.run.has(SCORES)):
        return []
    examples, prompts = first.run.read(EXAMPLES, Example), first.run.read(PROMPTS, Prompt)
    if prompts != other.run.read(PROMPTS, Prompt) or examples != other.run.read(EXAMPLES, Example):
        return []
    return separate_difference(
        other.run.read(SCORES, Score),
        first.run.read(SCORES, Score),
        examples=examples,
        prompts=prompts,
        confidence=first.config.scoring.confidence,
    )


def _stands_in(runs: Sequence[_Read], statistic: str) -> bool:
    """Whether "passed@F" is shown: a run has it and no "tpr@F"."""
    measured = [{item.statistic for item in run.separations if item.value is not None} for run in runs]
    return any(statistic in one and statistic.replace("passed", "tpr") not in one for one in measured)


def _written(runs: Sequence[_Read]) -> Iterator[Matrix]:
    """What was written, of every population with all of its prompts."""
    for metric in WRITTEN:
        # of non-members this one is members' data: no control, but a leak
        last = (NON_MEMBERS, AT_NONMEMBERS if metric == "pii_leaked" else NON_MEMBERS.title)
        yield from _matrix(metric, [(MEMBERS, MEMBERS.title), (BASE, BASE.title), last], runs)


def _utility(runs: Sequence[_Read]) -> Iterator[Matrix]:
    columns = [(one, one.title) for one in UTILITY_POPULATIONS if one.split == "non-member"]
    for metric in UTILITY:
        yield from _matrix(metric, columns, runs)


def _matrix(metric: str, columns: Sequence[tuple[Population, str]], runs: Sequence[_Read]) -> Iterator[Matrix]:
    """The metric by population and run; nothing where no run has it."""
    found = [figure_row(metric, run.estimates, [(one, "all") for one, _ in columns]).estimates for run in runs]
    rows = [(name, row) for (_, name), row in zip(columns, zip(*found, strict=True), strict=True) if any(row)]
    if rows:
        cells = tuple(tuple(map(figure, row)) for _, row in rows)
        names = tuple(name for name, _ in rows)
        yield Matrix(title_of(metric), tuple(one.label for one in runs), names, cells, None)


def _by_repetition(runs: Sequence[_Read]) -> Iterator[Matrix]:
    copies = sorted({number for one in runs for number in repetitions(one.estimates)})
    if len(copies) < 2:
        return
    levels = tuple(map(str, copies))
    for metric in REPEATED:
        found = [[find(one.estimates, metric, stratum=f"copies={n}") for n in copies] for one in runs]
        if not any(any(row) for row in found):
            continue
        series = [
            Series(one.label, _STYLES[i % len(_STYLES)], tuple(row))
            for i, (one, row) in enumerate(zip(runs, found, strict=True))
        ]
        chart = levels_chart(title_of(metric), "copies of the record", levels, series)
        cells = tuple(tuple(map(figure, row)) for row in found)
        yield Matrix(title_of(metric), levels, tuple(one.label for one in runs), cells, chart)


def _link(run: Run, out: Path) -> str:
    """Where the run's own page lies, from the comparison's; "" where it has none."""
    page = run.path(REPORT_HTML)
    return quote(Path(os.path.relpath(page, out.parent)).as_posix()) if page.exists() else ""


def _print(title: str, groups: Sequence[GroupView]) -> None:
    """The tables of the page that matter most, in the terminal."""
    from rich.text import Text

    printed = {*map(title_of, PRINTED), *SEPARATED.values()}
    console = open_console()
    console.print(Text(visible(title), style="bold underline"))
    for group in groups:
        console.print(Text(f"\n{visible(group.title)}", style="bold"))
        console.print(Text(visible(group.note)))
        for warning in group.warnings:
            console.print(Text(visible(warning), style="bold red"))
        for run in group.runs:
            if run.rendering:
                console.print(Text(visible(f"{run.label}: {run.rendering}")))
        for matrix in (one for one in (*group.metrics, *group.membership, *group.repeated) if one.title in printed):
            table = open_table([matrix.title, *matrix.columns])
            for name, row in zip(matrix.rows, matrix.cells, strict=True):
                table.add_row(Text(visible(name)), *map(figure_text, row))
            console.print(table)
