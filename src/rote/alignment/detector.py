"""How good the detector is on the records of a run: passages of its own members, planted in texts unrelated to them.

The aligner of the run, with its preset, looks for them: what it should find is known (`rote.alignment.planting`). Each
text is aligned with as many training texts as a generation is, the passage's own among them: this measures alignment and
kinds, not retrieval.
"""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import get_args

from rote.alignment.matching import Aligner, find_matches
from rote.alignment.planting import Plant, foreign_words, insert, make_plant, passage_chars, passages
from rote.alignment.verbatim import covered_chars
from rote.records import KINDS, NOTHING, Candidate, Condition, Example, Generation, Match, Prompt, Span, Trial
from rote.text import is_repetitive, words

CONDITIONS: tuple[Condition, ...] = get_args(Condition)
TRIALS = 25
"""Texts for each condition, of as many duplicate groups."""
OTHERS = 9
"""Training texts that a text is aligned with beside the true one."""
LOOKED_AT = 500
"""Members that are looked at for passages; what is rarer than one in so many is not measured."""
DISTRACTORS = 50
"""Members among which the others are drawn."""
LEAST_HOSTS = 5
_NO_PROMPT = Prompt("", "", "", "")


@dataclass(frozen=True, slots=True)
class Host:
    """A text that passages are planted in."""

    id: str
    example_id: str
    group: str
    text: str
    alike: tuple[str, ...]
    """The training texts of other groups that retrieval found for it."""


@dataclass(frozen=True, slots=True)
class PlantedText:
    """A text with a planted passage, or with none, and what it is aligned with."""

    condition: Condition
    example_id: str
    """Whose passage was planted; of a text with none, whose text it is."""
    host_id: str
    text: str
    others: Sequence[str]
    """Training texts that it has nothing to do with."""
    plant: Plant | None = None
    place: Span | None = None
    """Where the passage stands in the text."""


def choose_hosts(
    generations: Iterable[Generation], candidates: Iterable[Candidate], examples: Mapping[str, Example]
) -> list[Host]:
    """Texts that the model cannot have taken from the members, as far as the run has them, by id.

    The non-members' own continuations; where these are of fewer than `LEAST_HOSTS` groups, the base model's generations,
    too; then the members' own continuations. Repetitive texts and texts without words are left out.
    """
    tiers: dict[tuple[str, bool], list[Generation]] = {}
    for generation in sorted(generations, key=lambda item: item.id):
        if words(generation.text) and not is_repetitive(generation.text):
            is_member = examples[generation.example_id].split == "member"
            tier = (generation.model, is_member and generation.model != "base")
            tiers.setdefault(tier, []).append(generation)
    chosen: list[Generation] = []
    for name in (("true-suffix", False), ("base", False), ("true-suffix", True)):
        if len({examples[generation.example_id].group for generation in chosen}) < LEAST_HOSTS:
            chosen += tiers.get(name, [])
    alike = _alike(chosen, candidates, examples)
    return [
        Host(item.id, item.example_id, examples[item.example_id].group, item.text, tuple(alike[item.id]))
        for item in chosen
    ]


def _alike(
    generations: Sequence[Generation], candidates: Iterable[Candidate], examples: Mapping[str, Example]
) -> dict[str, list[str]]:
    groups = {generation.id: examples[generation.example_id].group for generation in generations}
    found: dict[str, list[str]] = {generation.id: [] for generation in generations}
    for candidate in sorted(candidates, key=lambda item: item.rank):
        example = examples[candidate.example_id]
        if candidate.generation_id in found and example.group != groups[candidate.generation_id]:
            found[candidate.generation_id].append(example.text)
    return found


def run_trials(
    members: Iterable[Example], hosts: Sequence[Host], aligner: Aligner, *, seed: int, done: int = 0
) -> Iterator[list[Trial]]:
    """Up to `TRIALS` texts for each condition, in the order of `CONDITIONS`; the order of the members is irrelevant.

    Args:
        members: whose passages are planted.
        hosts: of `choose_hosts`.
        aligner: that of the run.
        seed: of all draws.
        done: conditions to pass over (they are finished already).

    Yields:
        The trials of one condition: fewer, or none, where few members have a passage that can be planted so.
    """
    ordered = sorted(members, key=lambda example: example.id)
    drawn = random.Random(seed).sample(ordered, min(LOOKED_AT, len(ordered)))
    for condition in CONDITIONS[done:]:
        if condition in NOTHING:
            yield list(_without_plant(condition, drawn, hosts, aligner, seed))
        else:
            yield list(_with_plant(condition, drawn, hosts, aligner, seed))


def _with_plant(
    condition: Condition, drawn: Sequence[Example], hosts: Sequence[Host], aligner: Aligner, seed: int
) -> Iterator[Trial]:
    groups: set[str] = set()
    for example in drawn:
        draw = random.Random(f"{seed} {condition} {example.id}")
        unrelated = [host for host in hosts if host.group != example.group]
        if example.group in groups or not unrelated or len(groups) == TRIALS:
            continue
        host = draw.choice(unrelated)
        plant = _plant(condition, example, host, aligner, seed, draw)
        if plant is None:
            continue
        groups.add(example.group)
        text, place = insert(plant.text, host.text, language=aligner.language, draw=draw)
        others = _others(drawn, {example.group, host.group}, draw, OTHERS)
        yield try_text(PlantedText(condition, example.id, host.id, text, others, plant, place), aligner)


def _plant(
    condition: Condition, example: Example, host: Host, aligner: Aligner, seed: int, draw: random.Random
) -> Plant | None:
    """The first passage, in an order drawn for the example, that can be planted so; of the completion, if it has one."""
    chars, language = passage_chars(condition, aligner.preset), aligner.language
    start = len(example.prompt)
    found = [Span(at.start + start, at.end + start) for at in passages(example.completion, chars, language=language)]
    found = found or passages(example.text, chars, language=language)
    random.Random(f"{seed} {example.id}").shuffle(found)
    foreign = foreign_words(host.text)
    for passage in found:
        plant = make_plant(
            condition, example.text, passage, preset=aligner.preset, language=language, foreign=foreign, draw=draw
        )
        if plant is not None:
            return plant
    return None


def _without_plant(
    condition: Condition, drawn: Sequence[Example], hosts: Sequence[Host], aligner: Aligner, seed: int
) -> Iterator[Trial]:
    draw, groups = random.Random(f"{seed} {condition}"), set[str]()
    for host in draw.sample(hosts, len(hosts)):
        others = host.alike if condition == "nothing-alike" else _others(drawn, {host.group}, draw, OTHERS + 1)
        if host.group in groups or not others or len(groups) == TRIALS:
            continue
        groups.add(host.group)
        yield try_text(PlantedText(condition, host.example_id, host.id, host.text, others), aligner)


def _others(drawn: Sequence[Example], groups: Set[str], draw: random.Random, count: int) -> Sequence[str]:
    """Texts of members of other groups than these."""
    texts = [example.text for example in drawn[:DISTRACTORS] if example.group not in groups]
    return draw.sample(texts, min(count, len(texts)))


def try_text(planted: PlantedText, aligner: Aligner) -> Trial:
    """What the aligner finds in the text.

    A match is right if it is with the passage's own training text, meets its counterpart there, and half of the shorter
    of match and planted passage lies in the other. The kind is the most severe of the right matches; where nothing was
    planted, of all matches: each is a false alarm.
    """
    matches, place = _matches(planted, aligner), planted.place or Span(0, 0)
    right = [match for match in matches if planted.plant is None or _is_right(match, planted.plant, place)]
    worst = min(right, key=lambda match: KINDS.index(match.kind), default=None)
    spans, rest = [match.generated for match in matches], (Span(0, place.start), Span(place.end, len(planted.text)))
    return Trial(
        condition=planted.condition,
        example_id=planted.example_id,
        host_id=planted.host_id,
        text=planted.text,
        planted=planted.place,
        expected=planted.plant.expected if planted.plant else (),
        kind=worst.kind if worst else None,
        direction=worst.direction if worst else "none",
        found_chars=covered_chars(place, [match.generated for match in right]),
        false_chars=sum(covered_chars(span, spans) for span in rest),
    )


def _matches(planted: PlantedText, aligner: Aligner) -> list[Match]:
    """With the true training text, if there is one, as the candidate of rank 1."""
    training = [*([planted.plant.training] if planted.plant else []), *planted.others]
    generation = Generation("", "", "", "planted", "", 0, planted.text)
    candidates = [(Candidate("", "", rank, 0.0), text) for rank, text in enumerate(training, 1)]
    aligner.texts.read([planted.text, *training])
    return find_matches(generation, _NO_PROMPT, candidates, aligner)


def _is_right(match: Match, plant: Plant, place: Span) -> bool:
    meets = match.rank == 1 and match.training.overlap(plant.counterpart) > 0
    return meets and 2 * match.generated.overlap(place) >= min(len(match.generated), len(place))
