"""Every threshold with its borderline cases: who just passed, who just failed, so that a reader can judge the line."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from rote.alignment.kinds import CONFIDENT, NEARLY_CERTAIN
from rote.alignment.presets import PRESETS
from rote.config import AuditConfig
from rote.records import Generation, Match
from rote.reporting.artifacts import Artifacts
from rote.reporting.cases import counted_matches

CASES_EACH_SIDE = 5


@dataclass(frozen=True, slots=True)
class Borderline:
    """One case near a threshold: a generation or prompt, its value, and the passage on either side."""

    subject_id: str
    example_id: str
    value: float
    generated: str
    training: str


@dataclass(frozen=True, slots=True)
class Threshold:
    """A threshold, and the nearest members on either side of it under the tuned model (nearest first)."""

    name: str
    rule: str
    unit: str
    value: float
    above: tuple[Borderline, ...]
    below: tuple[Borderline, ...]


def thresholds(artifacts: Artifacts, config: AuditConfig) -> list[Threshold]:
    """The thresholds behind the headline rates, with up to five cases on either side."""
    found = [(m, _of_match(m, artifacts)) for m in _member_matches(artifacts)]
    preset = PRESETS[config.alignment.preset]
    lines = [
        _extraction(artifacts, config.scoring.suffix_tokens),
        _verbatim(found, artifacts, preset.verbatim_min_chars),
        _paraphrase(found, "Paraphrase", CONFIDENT, "is a paraphrase; at or under it, a weak one that no rate counts"),
    ]
    if preset.kind_rules == "corrected":  # the published presets know no near-verbatim passages
        verdict = "is near-verbatim; at or under it, a paraphrase"
        lines.append(_paraphrase(found, "Near-verbatim", NEARLY_CERTAIN, verdict))
    return lines


def _extraction(artifacts: Artifacts, suffix_tokens: int) -> Threshold:
    """Tokens of the suffix that the tuned model gets right, from the first on, until it first fails."""
    written = {item.prompt_id: item.text for item in artifacts.generations.values() if _is_first_of_tuned(item)}
    cases = []
    for scores in artifacts.token_scores.values():
        if scores.model != "tuned" or artifacts.examples[scores.example_id].split != "member":
            continue
        greedy = artifacts.store.read(scores.key).part(scores.prompt_tokens).is_greedy
        length = sum(1 for _ in takewhile(bool, greedy))
        subject = f"{scores.prompt_id}-{scores.model}"
        reference = artifacts.prompts[scores.prompt_id].reference
        if len(greedy) >= suffix_tokens:
            text = written.get(scores.prompt_id, "")
            cases.append(Borderline(subject, scores.example_id, length, text, reference))
    above, below = _sides(cases, lambda value: value >= suffix_tokens)
    rule = f"A record is extractable if the first {suffix_tokens} tokens after the prompt all come out greedily."
    return Threshold("Extractable", rule, "tokens right in a row", suffix_tokens, above, below)


def _is_first_of_tuned(generation: Generation) -> bool:
    return generation.model == "tuned" and generation.sample == 0


def _verbatim(found: Sequence[tuple[Match, Borderline]], artifacts: Artifacts, floor: int) -> Threshold:
    """Verbatim matches by length; below: the longest run shared with its own record where there is no such match."""
    matched = {match.generation_id for match, _ in found if match.kind == "verbatim"}
    above = [case for match, case in found if match.kind == "verbatim"]
    below = [
        Borderline(item.id, item.example_id, run, item.text, artifacts.prompts[item.prompt_id].reference)
        for item in artifacts.generations.values()
        if item.model == "tuned" and artifacts.split(item) == "member" and item.id not in matched
        if (run := artifacts.score(item.id, "longest_common_run")) is not None and run <= floor
    ]
    above_cases, below_cases = _sides([*above, *below], lambda value: value > floor)
    rule = (
        f"A passage that both texts share character for character is verbatim if it is longer than {floor} characters."
    )
    return Threshold("Verbatim", rule, "characters", floor, above_cases, below_cases)


def _paraphrase(found: Iterable[tuple[Match, Borderline]], name: str, value: float, verdict: str) -> Threshold:
    cases = [
        Borderline(case.subject_id, case.example_id, match.paraphrase_probability, case.generated, case.training)
        for match, case in found
        if match.paraphrase_probability is not None
    ]
    above, below = _sides(cases, lambda probability: probability > value)
    rule = f"An aligned passage whose paraphrase probability is over {value:g} {verdict}."
    return Threshold(name, rule, "paraphrase probability", value, above, below)


def _sides(
    cases: Iterable[Borderline], passes: Callable[[float], bool]
) -> tuple[tuple[Borderline, ...], tuple[Borderline, ...]]:
    """The cases that pass, lowest first, and those that fail, highest first; one for each record."""
    ordered = sorted(cases, key=lambda case: (case.value, case.subject_id))
    above = [case for case in ordered if passes(case.value)]
    below = [case for case in reversed(ordered) if not passes(case.value)]
    return _one_each(above), _one_each(below)


def _one_each(cases: Sequence[Borderline]) -> tuple[Borderline, ...]:
    first: dict[str, Borderline] = {}
    for case in cases:
        first.setdefault(case.example_id, case)
    return tuple(list(first.values())[:CASES_EACH_SIDE])


def _member_matches(artifacts: Artifacts) -> list[Match]:
    return [
        match
        for item in artifacts.generations.values()
        if item.model == "tuned" and artifacts.split(item) == "member"
        for match in counted_matches(item.id, artifacts)
    ]


def _of_match(match: Match, artifacts: Artifacts) -> Borderline:
    generation = artifacts.generations[match.generation_id]
    return Borderline(
        subject_id=match.generation_id,
        example_id=generation.example_id,
        value=len(artifacts.original(match).generated),
        generated=match.generated.of(generation.text),
        training=match.training.of(artifacts.examples[match.example_id].text),
    )
