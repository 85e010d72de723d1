"""Cases: one generation beside the training texts that it repeats, and the members that come out worst."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rote.config import did_you_mean
from rote.errors import ConfigError
from rote.records import KINDS, ExactRun, Generation, Kind, Match, Score, Span, Split
from rote.reporting.artifacts import Artifacts
from rote.reporting.names import is_yes_or_no, lower_is_worse
from rote.scoring.outcomes import covered_chars

MOST_RUNS = 5
"""Exact runs told of one generation, the longest; the number of all is stated."""
MOST_TEXTS = 3
"""Training texts shown beside one generation, besides its own one; the number of further ones is stated."""


@dataclass(frozen=True, slots=True)
class TrainingText:
    """One training text beside the generation, and the passages that both share."""

    example_id: str
    own: bool
    """It is the record that the prompt was cut from."""
    split: Split
    place: str
    """File and line that it came from, as far as they are known."""
    rank: int | None
    """Rank among the retrieved candidates, from 1; None where it was not a candidate."""
    text: str
    shown: Span
    """The part that the model was shown as its prompt (empty in another record's text)."""
    matches: tuple[Match, ...]
    chars: tuple[int, ...]
    """Generated characters of each match, those of personal data that is not shown included."""


@dataclass(frozen=True, slots=True)
class Case:
    """One generation with its evidence. Spans are of `generated` and of the training texts' `text`."""

    example_id: str
    prompt_id: str
    generation_id: str
    model: str
    split: Split
    copies: int
    kind: Kind | None
    """The most severe kind among the counted matches."""
    verbatim_chars: int
    """Generated characters inside counted verbatim matches."""
    repetitive: bool
    extractable: bool | None
    prompt: str
    generated: str
    texts: tuple[TrainingText, ...]
    more_texts: int
    """Training texts with matches beyond those in `texts`."""
    exact_runs: tuple[ExactRun, ...]
    """The longest runs that stand in any member, longest first."""
    n_exact_runs: int
    n_candidates: int
    scores: tuple[Score, ...]
    """Scores of the generation, then of the prompt under the same model."""
    base_loss: float | None
    """Loss of the base model on the true suffix, in nats per token."""

    def _repr_html_(self) -> str:
        """For notebooks."""
        from rote.reporting.notebook import case_html

        return case_html(self)


def counted_matches(generation_id: str, artifacts: Artifacts) -> list[Match]:
    """The matches that enter the rates: none of a repetitive generation, none from the prompt, none that is generic."""
    if _is_repetitive(generation_id, artifacts):
        return []
    return [match for match in artifacts.matches.get(generation_id, ()) if not (match.in_prompt or match.generic)]


def severity(match: Match) -> int:
    """0 for the most severe kind."""
    return KINDS.index(match.kind)


def case_of(generation: Generation, artifacts: Artifacts) -> Case:
    """The case of one generation."""
    example = artifacts.examples[generation.example_id]
    prompt = artifacts.prompts[generation.prompt_id]
    subject = f"{prompt.id}-{generation.model}"
    extractable = artifacts.score(subject, "extractable")
    counted = counted_matches(generation.id, artifacts)
    texts = _training_texts(generation, artifacts)
    kept = [text for index, text in enumerate(texts) if index < MOST_TEXTS or text.own]
    runs = sorted(artifacts.exact_runs.get(generation.id, ()), key=lambda run: (-run.chars, run.generated))
    scores = [*artifacts.scores.get(generation.id, {}).values(), *artifacts.scores.get(subject, {}).values()]
    return Case(
        example_id=example.id,
        prompt_id=prompt.id,
        generation_id=generation.id,
        model=generation.model,
        split=example.split,
        copies=example.copies,
        kind=min(counted, key=severity).kind if counted else None,
        verbatim_chars=_verbatim_chars(counted, artifacts),
        repetitive=_is_repetitive(generation.id, artifacts),
        extractable=None if extractable is None else extractable == 1,
        prompt=prompt.text,
        generated=generation.text,
        texts=tuple(kept),
        more_texts=len(texts) - len(kept),
        exact_runs=tuple(runs[:MOST_RUNS]),
        n_exact_runs=len(runs),
        n_candidates=len(artifacts.candidates.get(generation.id, ())),
        scores=tuple(scores),
        base_loss=artifacts.score(f"{prompt.id}-base", "loss"),
    )


def run_sentence(run: ExactRun) -> str:
    """How long an exact run is, and in how many members it stands."""
    texts = f"{run.examples:,} training text{'' if run.examples == 1 else 's'}"
    places = f" ({run.occurrences:,} places)" if run.occurrences > run.examples else ""
    return f"{run.chars:,} characters stand in {texts}{places}"


def worst_members(artifacts: Artifacts, limit: int) -> list[Case]:
    """The members of which most comes out, worst first, each with its worst generation by the tuned model.

    The order: severity of the kind, verbatim characters, extractable or not, id. Members of which nothing comes out
    (no counted match, not extractable) are left out.
    """
    best: dict[str, tuple[tuple[int, int, int, str], Generation]] = {}
    for generation in artifacts.generations.values():
        if generation.model != "tuned" or artifacts.split(generation) != "member":
            continue
        key = _badness(generation, artifacts)
        if key is not None and (generation.example_id not in best or key < best[generation.example_id][0]):
            best[generation.example_id] = (key, generation)
    ordered = sorted(best.values(), key=lambda item: item[0])
    return [case_of(generation, artifacts) for _, generation in ordered[:limit]]


def members_with(metric: str, artifacts: Artifacts) -> list[Case]:
    """The members' cases, by the tuned model, that a metric speaks of, most memorised first.

    Of a metric that is yes or no for each generation or prompt: those with yes. Of any other: all that have a value.

    Raises:
        ConfigError: the run has no such score.
    """
    known = {name for scores in artifacts.scores.values() for name in scores}
    if metric not in known:
        raise ConfigError(f"metric: no score of this run is called {metric!r}{did_you_mean(metric, known)}")
    found: list[tuple[float, str, Generation]] = []
    for generation in artifacts.generations.values():
        if generation.model != "tuned" or artifacts.split(generation) != "member":
            continue
        subjects = (generation.id, f"{generation.prompt_id}-tuned")
        value = next((v for subject in subjects if (v := artifacts.score(subject, metric)) is not None), None)
        if value is not None and (value == 1 or not is_yes_or_no(metric)):
            found.append((value if lower_is_worse(metric) else -value, generation.id, generation))
    return [case_of(generation, artifacts) for _, _, generation in sorted(found, key=lambda item: item[:2])]


def _badness(generation: Generation, artifacts: Artifacts) -> tuple[int, int, int, str] | None:
    """Sort key of a generation, worst first; None where nothing came out."""
    counted = counted_matches(generation.id, artifacts)
    extractable = artifacts.score(f"{generation.prompt_id}-tuned", "extractable") == 1
    if not counted and not extractable:
        return None
    kind = min(map(severity, counted), default=len(KINDS))
    return kind, -_verbatim_chars(counted, artifacts), -int(extractable), generation.id


def _training_texts(generation: Generation, artifacts: Artifacts) -> list[TrainingText]:
    """The own text, with matches or without, then the other texts with matches, most severe first."""
    by_example: dict[str, list[Match]] = defaultdict(list)
    by_example[generation.example_id] = []
    for match in artifacts.matches.get(generation.id, ()):
        by_example[match.example_id].append(match)
    texts = [_training_text(generation, example_id, found, artifacts) for example_id, found in by_example.items()]
    return sorted(texts, key=_order)


def _order(text: TrainingText) -> tuple[bool, int, int, int, str]:
    kinds = [severity(match) for match in text.matches]
    chars = sum(len(match.generated) for match in text.matches)
    return not text.own, min(kinds, default=len(KINDS)), -chars, text.rank or 0, text.example_id


def _training_text(
    generation: Generation, example_id: str, found: Sequence[Match], artifacts: Artifacts
) -> TrainingText:
    example = artifacts.examples[example_id]
    own = example_id == generation.example_id
    prompt = artifacts.prompts[generation.prompt_id].text
    shown = len(prompt) if own and example.text.startswith(prompt) else 0
    ranks = [item.rank for item in artifacts.candidates.get(generation.id, ()) if item.example_id == example_id]
    ranks += [match.rank for match in found]
    matches = tuple(sorted(found, key=lambda match: (match.generated, match.training, severity(match))))
    return TrainingText(
        example_id=example_id,
        own=own,
        split=example.split,
        place=f"{example.file}:{example.line}" if example.file else "",
        rank=ranks[0] if ranks else None,
        text=example.text,
        shown=Span(0, shown),
        matches=matches,
        chars=tuple(len(artifacts.original(match).generated) for match in matches),
    )


def _is_repetitive(generation_id: str, artifacts: Artifacts) -> bool:
    return artifacts.score(generation_id, "repetitive") == 1


def _verbatim_chars(matches: Iterable[Match], artifacts: Artifacts) -> int:
    return covered_chars([artifacts.original(match).generated for match in matches if match.kind == "verbatim"])
