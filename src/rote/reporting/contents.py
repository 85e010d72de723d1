"""What a report holds: pure data, gathered from the artifacts of one run."""

from collections.abc import Sequence
from dataclasses import dataclass

from rote.config import AuditConfig, load_config
from rote.records import Comparison, Estimate, Json, Split
from rote.reporting.artifacts import Artifacts, find, read_artifacts
from rote.reporting.cases import Case, worst_members
from rote.reporting.names import HEADLINE, definition_of, title_of
from rote.reporting.thresholds import Threshold, thresholds
from rote.reporting.verdict import caveats, verdict
from rote.runs import CONFIG, Run


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the headline table: whose figures stand in it."""

    title: str
    model: str
    split: Split


COLUMNS = (
    Column("Members", "tuned", "member"),
    Column("Base model", "base", "member"),
    Column("Non-members", "tuned", "non-member"),
    Column("Shuffled pairs", "shuffled", "member"),
    Column("True suffix", "true-suffix", "member"),
)
"""The result, then its controls. The last two are the chance level and the ceiling of the search for matches."""


@dataclass(frozen=True, slots=True)
class HeadlineRow:
    """One metric with its controls beside it."""

    metric: str
    title: str
    definition: str
    estimates: tuple[Estimate | None, ...]
    """One for each of `COLUMNS`; None where it was not made."""
    attributable: Comparison | None
    """Tuned against base on the members' prompts; what only the tuned model shows is due to fine-tuning."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the page, the JSON file and the terminal show of one run."""

    title: str
    verdict: str
    caveats: tuple[str, ...]
    headline: tuple[HeadlineRow, ...]
    estimates: tuple[Estimate, ...]
    comparisons: tuple[Comparison, ...]
    cases: tuple[Case, ...]
    """The members of which most comes out, worst first."""
    thresholds: tuple[Threshold, ...]
    config: AuditConfig
    manifest: dict[str, Json]
    signature: str


def report(run: Run, config: AuditConfig) -> Report:
    """Gathers the report of a run whose scores are made; writes nothing.

    Raises:
        StaleRunError: the run has no estimates yet.
    """
    return report_of(read_artifacts(run), run, config)


def report_of(artifacts: Artifacts, run: Run, config: AuditConfig) -> Report:
    """The same from artifacts that were read already; of the run only its name and manifest are used."""
    return Report(
        title=config.reporting.title or run.folder.resolve().name,
        verdict=verdict(artifacts.estimates, config),
        caveats=tuple(caveats(artifacts.estimates)),
        headline=tuple(_headline(artifacts.estimates, artifacts.comparisons)),
        estimates=tuple(artifacts.estimates),
        comparisons=tuple(artifacts.comparisons),
        cases=tuple(worst_members(artifacts, config.reporting.worst)),
        thresholds=tuple(thresholds(artifacts, config)),
        config=config,
        manifest=run.manifest(),
        signature=run.signature(),
    )


def settings_of_run(run: Run) -> AuditConfig:
    """The settings that a run was made with; the defaults where it keeps none."""
    saved = run.path(CONFIG)
    return load_config(saved if saved.exists() else None)


def repetitions(estimates: Sequence[Estimate]) -> list[int]:
    """The numbers of copies that members were stratified by, ascending."""
    strata = {item.stratum for item in estimates if item.split == "member"}
    return sorted(int(stratum.removeprefix("copies=")) for stratum in strata if stratum.startswith("copies="))


def _headline(estimates: Sequence[Estimate], comparisons: Sequence[Comparison]) -> list[HeadlineRow]:
    rows = []
    measured = dict.fromkeys(item.metric for item in estimates)
    for metric in [name for first in HEADLINE for name in measured if name.partition("@")[0] == first]:
        cells = tuple(find(estimates, metric, model=column.model, split=column.split) for column in COLUMNS)
        if any(cells):
            pair = [c for c in comparisons if (c.metric, c.split, c.first) == (metric, "member", "tuned")]
            row = HeadlineRow(metric, title_of(metric), definition_of(metric), cells, pair[0] if pair else None)
            rows.append(row)
    return rows
