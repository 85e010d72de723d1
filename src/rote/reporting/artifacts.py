"""What a run folder holds, read once and looked up by id."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from rote import runs
from rote.passes.store import TokenStore, store_of
from rote.records import (
    Agreement,
    Candidate,
    Comparison,
    Estimate,
    ExactRun,
    Example,
    Generation,
    Identifier,
    Match,
    PersonalDatum,
    PersonalItem,
    Prompt,
    Recheck,
    Reproduction,
    Score,
    Soundness,
    Split,
    TokenScores,
    Trial,
)
from rote.runs import Run

Record = TypeVar("Record")
Grouped = TypeVar("Grouped", Match, Candidate)


@dataclass(frozen=True, slots=True)
class Artifacts:
    """The records of a run. Of what the run does not hold there is nothing: an empty mapping or tuple."""

    examples: Mapping[str, Example]
    prompts: Mapping[str, Prompt]
    generations: Mapping[str, Generation]
    candidates: Mapping[str, Sequence[Candidate]]
    """By generation id, in rank order."""
    matches: Mapping[str, Sequence[Match]]
    """By generation id."""
    exact_runs: Mapping[str, Sequence[ExactRun]]
    """By generation id, in reading order."""
    scores: Mapping[str, Mapping[str, Score]]
    """By subject id, then metric."""
    token_scores: Mapping[str, TokenScores]
    """By subject id: prompt id, "-", model."""
    store: TokenStore
    """Has the statistics of the token scores."""
    soundness: Sequence[Soundness]
    agreements: Sequence[Agreement]
    rechecks: Sequence[Recheck]
    estimates: Sequence[Estimate]
    comparisons: Sequence[Comparison]
    trials: Sequence[Trial]
    """The detector's trials: texts with planted passages."""
    personal_data: Sequence[PersonalDatum]
    personal_items: Sequence[PersonalItem]
    identifiers: Sequence[Identifier] = ()
    """Personal data that fields of the records hold."""
    originals: Mapping[Match, Match] = field(default_factory=dict)
    """For matches whose spans are of redacted texts: the match as it was found."""

    def original(self, match: Match) -> Match:
        """The match as it was found: its lengths are those of the texts before any redaction."""
        return self.originals.get(match, match)

    def score(self, subject_id: str, metric: str) -> float | None:
        """The value of one score; None where it was not measured or not made."""
        found = self.scores.get(subject_id, {}).get(metric)
        return found.value if found else None

    def split(self, generation: Generation) -> Split:
        """The split of the record that the generation's prompt was cut from."""
        return self.examples[generation.example_id].split


def read_artifacts(run: Run) -> Artifacts:
    """Reads everything that a report shows.

    Raises:
        RunError: the run has no scores or estimates (any more).
    """
    estimates = run.read(runs.ESTIMATES, Estimate)
    token_scores = _all(run, runs.TOKEN_SCORES, TokenScores)
    scores: dict[str, dict[str, Score]] = defaultdict(dict)
    for score in run.read(runs.SCORES, Score):
        scores[score.subject_id][score.metric] = score
    for score in (*_optional(run, runs.SIMILARITIES, Score), *_optional(run, runs.UTILITY, Score)):
        # Whether a similarity is over a threshold is seen from the similarity.
        if score.value is not None and not score.metric.startswith("similar_"):
            scores[score.subject_id][score.metric] = score
    return Artifacts(
        examples={example.id: example for example in _optional(run, runs.EXAMPLES, Example)},
        prompts={prompt.id: prompt for prompt in _optional(run, runs.PROMPTS, Prompt)},
        generations={generation.id: generation for generation in _all(run, runs.GENERATIONS, Generation)},
        candidates=_grouped(sorted(_optional(run, runs.CANDIDATES, Candidate), key=lambda item: item.rank)),
        matches=_grouped(_optional(run, runs.MATCHES, Match)),
        exact_runs={item.generation_id: item.runs for item in _optional(run, runs.EXACT, Reproduction)},
        scores=dict(scores),
        token_scores={f"{item.prompt_id}-{item.model}": item for item in token_scores},
        store=store_of(run),
        soundness=_all(run, runs.SOUNDNESS, Soundness),
        agreements=_all(run, runs.AGREEMENTS, Agreement),
        rechecks=_all(run, runs.RECHECKS, Recheck),
        estimates=estimates,
        comparisons=_optional(run, runs.COMPARISONS, Comparison),
        trials=_optional(run, runs.DETECTOR, Trial),
        personal_data=_optional(run, runs.PERSONAL_DATA, PersonalDatum),
        identifiers=_optional(run, runs.IDENTIFIERS, Identifier),
        personal_items=_optional(run, runs.PERSONAL_ITEMS, PersonalItem),
    )


def find(
    estimates: Iterable[Estimate], metric: str, *, model: str = "tuned", split: Split = "member", stratum: str = "all"
) -> Estimate | None:
    """The one estimate of that metric for that group; None where it was not made."""
    wanted = (metric, model, split, stratum)
    return next((item for item in estimates if (item.metric, item.model, item.split, item.stratum) == wanted), None)


def _optional(run: Run, name: str, kind: type[Record]) -> list[Record]:
    return run.read(name, kind) if run.has(name) else []


def _all(run: Run, pattern: str, kind: type[Record]) -> list[Record]:
    """The records of every artifact whose name fits the pattern (one per model), in the order of their names."""
    return [record for name in run.names(pattern) for record in run.read(name, kind)]


def _grouped(records: Iterable[Grouped]) -> dict[str, Sequence[Grouped]]:
    groups: dict[str, list[Grouped]] = defaultdict(list)
    for record in records:
        groups[record.generation_id].append(record)
    return dict(groups)
