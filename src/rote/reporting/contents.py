"""What a report holds: pure data, gathered from the artifacts of one run."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

from rote.config import AuditConfig, PromptKind, load_config
from rote.records import Agreement, Comparison, Estimate, Json, Recheck, RenderingLoss, Soundness
from rote.rendering.judging import Judgement, judgement_of
from rote.rendering.sentences import lead, others, summary
from rote.reporting.artifacts import Artifacts, read_artifacts
from rote.reporting.attribution import attribution_of
from rote.reporting.canaries import CanarySection, canary_section
from rote.reporting.cases import Case, worst_members
from rote.reporting.extraction import ExtractionSection, extraction_section
from rote.reporting.membership import MembershipSection, membership_section, unfair_split
from rote.reporting.names import HEADLINE, definition_of, title_of
from rote.reporting.personal_data import personal_data_section
from rote.reporting.populations import (
    AT_NONMEMBERS_METRICS,
    BASE_ANY,
    MEMBERS_ANY,
    MEMBERS_OWN,
    NON_MEMBERS,
    SHUFFLED,
    TRUE_SUFFIX,
    at_nonmembers,
    estimate_of,
)
from rote.reporting.redaction import redacted
from rote.reporting.sections import FigureSection
from rote.reporting.similarity import similarity_section
from rote.reporting.thresholds import Threshold, thresholds
from rote.reporting.utility import utility_section
from rote.reporting.verdict import caveats, left_out_sentence, verdict
from rote.runs import DROPPED, PROMPTS, UNMEASURABLE, Run
from rote.scoring import DetectorRow, detector_rows

COLUMNS = (MEMBERS_ANY, BASE_ANY, MEMBERS_OWN, NON_MEMBERS, SHUFFLED, TRUE_SUFFIX)
"""The result and its control, both with any member's text; the same with its own text alone, members and non-members. The
last two are the chance level and the ceiling of the search for matches."""


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
class NonmembersRow:
    """How often a member's text comes out at a non-member's prompt."""

    metric: str
    title: str
    tuned: Estimate
    base: Estimate | None
    """Under the base model, at the same prompts; None where it was not made."""


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the page, the JSON file and the terminal show of one run."""

    title: str
    verdict: str
    caveats: tuple[str, ...]
    attribution: str
    """That nothing can be put down to the fine-tuning, and why; "" where something can, or where nothing comes out."""
    headline: tuple[HeadlineRow, ...]
    at_nonmembers: tuple[NonmembersRow, ...]
    """Empty where there are no non-members."""
    estimates: tuple[Estimate, ...]
    comparisons: tuple[Comparison, ...]
    cases: tuple[Case, ...]
    """The members of which most comes out, worst first."""
    thresholds: tuple[Threshold, ...]
    detector: tuple[DetectorRow, ...]
    """What was found of passages that were planted; empty where none were."""
    hosts: str
    """What they were planted in, in words; "" where none were."""
    extraction: ExtractionSection | None
    """None where no pass was scored."""
    membership: MembershipSection | None
    """None without members or without non-members."""
    canaries: CanarySection | None
    """None where none were planted."""
    similarity: FigureSection | None
    personal_data: FigureSection | None
    utility: FigureSection | None
    data: tuple[str, ...]
    """What the figures are of, and what was left out, in sentences."""
    renderings: tuple[RenderingLoss, ...]
    """The loss of some members' completions, rendered as audited, then in other ways; empty where it was not tried."""
    soundness: tuple[Soundness, ...]
    """In which way each model was used, and what its trial saw."""
    agreements: tuple[Agreement, ...]
    """Whether the passes see what the models wrote; empty where that cannot be asked."""
    rechecks: tuple[Recheck, ...]
    """How far the numbers of the passes can be trusted, one for each model; empty where it was not looked at."""
    config: AuditConfig
    manifest: dict[str, Json]
    signature: str


@dataclass(frozen=True, slots=True)
class _Defect:
    """The one field that this module reads of a defect."""

    reason: str


def report(run: Run, config: AuditConfig) -> Report:
    """Gathers the report of a run whose scores are made; writes nothing.

    Raises:
        RunError: the run has no estimates yet.
    """
    artifacts = read_artifacts(run)
    return report_of(artifacts if config.reporting.show_pii else redacted(artifacts), run, config)


def report_of(artifacts: Artifacts, run: Run, config: AuditConfig) -> Report:
    """The same from artifacts that were read already."""
    config = _as_run(config, run)
    membership, judgement = membership_section(run, config), judgement_of(run)
    separations = membership.separations if membership else ()
    put_down = attribution_of(run, artifacts.estimates, artifacts.comparisons, confidence=config.scoring.confidence)
    unfair = unfair_split(membership.separations) if membership else ""
    return Report(
        title=config.reporting.title or run.folder.resolve().name,
        verdict=" ".join(
            filter(
                None,
                [
                    lead(judgement) if judgement else "",
                    verdict(artifacts.estimates, config, attribution=put_down, separations=separations),
                ],
            )
        ),
        caveats=tuple(
            filter(
                None,
                [
                    _private(run),
                    _blocked(config),
                    *caveats(artifacts.estimates),
                    unfair,
                    left_out_sentence(artifacts.estimates),
                ],
            )
        ),
        attribution=put_down[:1].upper() + put_down[1:] + "." if put_down else "",
        headline=tuple(_headline(artifacts.estimates, artifacts.comparisons)),
        at_nonmembers=tuple(_at_nonmembers(artifacts.estimates)),
        estimates=tuple(artifacts.estimates),
        comparisons=tuple(artifacts.comparisons),
        cases=tuple(worst_members(artifacts, config.reporting.worst)),
        thresholds=tuple(thresholds(artifacts, config)),
        detector=tuple(_detector(artifacts, config)),
        hosts=_hosts(artifacts),
        extraction=extraction_section(artifacts.estimates, config),
        membership=membership,
        canaries=canary_section(run),
        similarity=similarity_section(artifacts, config),
        personal_data=personal_data_section(artifacts, config),
        utility=utility_section(artifacts, config),
        data=(*_data(artifacts, run), *_renderings(judgement, run)),
        renderings=judgement.losses if judgement else (),
        soundness=tuple(artifacts.soundness),
        agreements=tuple(artifacts.agreements),
        rechecks=tuple(artifacts.rechecks),
        config=config,
        manifest=run.manifest(),
        signature=run.signature(),
    )


def settings_of_run(run: Run) -> AuditConfig:
    """The settings that a run was made with; the defaults where it keeps none."""
    return _as_run(load_config(run.settings_file()), run)


def repetitions(estimates: Sequence[Estimate]) -> list[int]:
    """The numbers of copies that members were stratified by, ascending."""
    strata = {item.stratum for item in estimates if item.split == "member"}
    return sorted(int(stratum.removeprefix("copies=")) for stratum in strata if stratum.startswith("copies="))


def _as_run(config: AuditConfig, run: Run) -> AuditConfig:
    """The settings with the kind of prompt as it was decided when the prompts were cut."""
    entry = run.entry(PROMPTS)
    decided = entry.settings.get("prompt") if entry else None
    if not decided:
        return config
    return replace(config, generation=replace(config.generation, prompt=cast(PromptKind, decided)))


def _private(run: Run) -> str:
    """What is promised of a tuned model that was trained privately; "" of others."""
    promised = run.manifest().get("privacy")
    if not promised:
        return ""
    return (
        f"The tuned model was trained privately (DP-SGD): {promised}. These are upper bounds, with the row that is trained on "
        "as their unit; what this audit finds are lower ones."
    )


def _blocked(config: AuditConfig) -> str:
    """What a verbatim blocker does to the figures; "" without one."""
    count = config.generation.block_verbatim
    if not count:
        return ""
    return (
        f"A verbatim blocker was on: no model could complete a run of {count} tokens of the members' texts, the base model "
        "no more than the tuned one. It stops text, not knowledge: losses, extraction by probability, membership and exposure "
        "are of the models without it, and whoever has the weights can leave it off."
    )


def _detector(artifacts: Artifacts, config: AuditConfig) -> list[DetectorRow]:
    groups = {example.id: example.group for example in artifacts.examples.values()}
    return detector_rows(artifacts.trials, groups, confidence=config.scoring.confidence)


def _hosts(artifacts: Artifacts) -> str:
    """Whose texts the passages were planted in: `120 true continuations of non-members, 30 generations of the base model`."""
    ids = {trial.host_id for trial in artifacts.trials}
    generations = [artifacts.generations[host_id] for host_id in sorted(ids & artifacts.generations.keys())]
    what = Counter(
        "generations of the base model"
        if generation.model == "base"
        else f"true continuations of {artifacts.split(generation)}s"
        for generation in generations
    )
    return ", ".join(f"{count} {name}" for name, count in what.most_common())


def _data(artifacts: Artifacts, run: Run) -> Iterator[str]:
    for split in ("member", "non-member"):
        examples = [example for example in artifacts.examples.values() if example.split == split]
        groups = len({example.group for example in examples})
        prompted = {prompt.example_id for prompt in artifacts.prompts.values()} & {example.id for example in examples}
        yield f"{len(examples):,} {split} records in {groups:,} groups; {len(prompted):,} of them were prompted."
    yield from _counts("left out when the data were read", DROPPED, run)
    yield from _counts("could not be prompted", UNMEASURABLE, run)
    notes = run.manifest().get("data_notes")
    yield from map(str, notes if isinstance(notes, list) else [])


def _renderings(judgement: Judgement | None, run: Run) -> Iterator[str]:
    """How one record is read, where the prompts end, and the losses of the renderings that were tried."""
    for name in ("shown_record", "prompt_notes"):
        notes = run.manifest().get(name)
        yield from map(str, notes if isinstance(notes, list) else [])
    if judgement:
        yield summary(judgement)
        yield from others(judgement)


def _counts(what: str, name: str, run: Run) -> Iterator[str]:
    """How many records an artifact of defects names, by reason."""
    reasons = Counter(item.reason for item in run.read(name, _Defect)) if run.has(name) else Counter[str]()
    if reasons:
        listed = ", ".join(f"{count:,} {reason}" for reason, count in reasons.most_common())
        yield f"{reasons.total():,} {what}: {listed} (see {name})."


def _headline(estimates: Sequence[Estimate], comparisons: Sequence[Comparison]) -> list[HeadlineRow]:
    rows = []
    measured = dict.fromkeys(item.metric for item in estimates)
    for metric in [name for first in HEADLINE for name in measured if name.partition("@")[0] == first]:
        cells = tuple(estimate_of(estimates, metric, column) for column in COLUMNS)
        if any(cells):
            pair = [c for c in comparisons if (c.metric, c.split, c.first) == (metric, "member", "tuned")]
            row = HeadlineRow(metric, title_of(metric), definition_of(metric), cells, pair[0] if pair else None)
            rows.append(row)
    return rows


def _at_nonmembers(estimates: Sequence[Estimate]) -> Iterator[NonmembersRow]:
    for metric in AT_NONMEMBERS_METRICS:
        tuned = at_nonmembers(estimates, metric)
        if tuned is not None:
            yield NonmembersRow(metric, title_of(metric), tuned, at_nonmembers(estimates, metric, model="base"))
