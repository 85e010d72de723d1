"""What members have more of than non-members of like length."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rote.records import Estimate, Example, Generation, Prompt, Score
from rote.scoring.metrics.definition import Metric
from rote.statistics import intervals
from rote.statistics.intervals import Interval

STRATUM = "minus=non-members"
"""Stratum of the estimates that are differences."""
ALIKE = 1.25
"""Medians of lengths that differ by less than this factor are alike."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The values of one split's subjects; all three of the same length."""

    values: tuple[float, ...]
    clusters: tuple[str, ...]
    levels: tuple[str, ...]
    """What must be alike for a comparison: of length, say."""


def excess(
    members: Measured, nonmembers: Measured, *, is_rate: bool, most: float = 1.0, confidence: float = 0.95
) -> Interval:
    """Mean of the members minus that of the non-members, weighted to the members' levels.

    A level that only one of the splits has is left out. The interval joins those of both means by MOVER (Zou and Donner
    2008; for rates it is Newcombe's, 1998): d − √((p − l_p)² + (u_q − q)²) to d + √((u_p − p)² + (q − l_q)²). So it is
    not empty where neither split shows anything.

    Args:
        members: their values, 0 to `most`.
        nonmembers: theirs.
        is_rate: the values are 0 and 1.
        most: the largest value.
        confidence: level.

    Returns:
        Refused where either split has too few clusters at the levels that both have.
    """
    method = "difference to non-members of like length (MOVER)"
    both = set(members.levels) & set(nonmembers.levels)
    ours, theirs = _at(members, both), _at(nonmembers, both)
    if not ours.values:
        return Interval(None, None, None, method, "no members and non-members of like length")
    if is_rate:
        first = intervals.rate([value == 1 for value in ours.values], ours.clusters, confidence=confidence)
    else:
        first = intervals.mean(ours.values, ours.clusters, confidence=confidence, least=0, most=most)
    share, size = Counter(ours.levels), Counter(theirs.levels)
    weights = [share[level] / size[level] for level in theirs.levels]
    tops = [value * weight for value, weight in zip(theirs.values, weights, strict=True)]
    second = intervals.ratio(tops, weights, theirs.clusters, confidence=confidence, least=0, most=most)
    reason = first.reason or (f"non-members: {second.reason}" if second.reason else None)
    if reason:
        return Interval(None, None, None, method, reason)
    return _joined(first, second, method)


def _at(measured: Measured, levels: set[str]) -> Measured:
    kept = [at for at, level in enumerate(measured.levels) if level in levels]
    return Measured(
        tuple(measured.values[at] for at in kept),
        tuple(measured.clusters[at] for at in kept),
        tuple(measured.levels[at] for at in kept),
    )


def _joined(first: Interval, second: Interval, method: str) -> Interval:
    p, low, high = (first.value or 0.0), (first.low or 0.0), (first.high or 0.0)
    q, other_low, other_high = (second.value or 0.0), (second.low or 0.0), (second.high or 0.0)
    below = math.hypot(p - low, other_high - q)
    above = math.hypot(high - p, q - other_low)
    return Interval(p - q, p - q - below, p - q + above, method)


def terciles(numbers: Mapping[str, float]) -> dict[str, str]:
    """The tercile of each number, by name; a number on a bound belongs to the lower one.

    Neighbouring terciles whose medians differ by less than a quarter are one: such lengths are alike.
    """
    every = sorted(numbers.values())
    bounds = [every[round(len(every) * part / 3) - 1] for part in (1, 2)] if len(every) > 2 else []
    level = {name: sum(number > bound for bound in bounds) for name, number in numbers.items()}
    parts = {part: median(numbers[name] for name in level if level[name] == part) for part in set(level.values())}
    merged: dict[int, int] = {}
    for part in sorted(parts):
        below = merged.get(part - 1)
        merged[part] = below if below is not None and parts[part] < ALIKE * parts[part - 1] else part
    return {name: str(merged[part]) for name, part in level.items()}


def excess_estimates(
    metrics: Sequence[Metric],
    scores: Iterable[Score],
    generations: Sequence[Generation],
    prompts: Mapping[str, Prompt],
    examples: Mapping[str, Example],
    *,
    confidence: float = 0.95,
) -> Iterator[Estimate]:
    """For each metric of the tuned and the base model: members minus non-members of like length, stratum "minus=non-members".

    Of the first sample of each prompt; equal prompts of a split count once. Alike in length are references of the same
    tercile of characters. Nothing where there are no non-members.

    Args:
        metrics: rates or means.
        scores: of the generations; those of other metrics are passed over.
        generations: of any model.
        prompts: by id.
        examples: by id.
        confidence: level.
    """
    values = {(score.metric, score.subject_id): score.value for score in scores}
    for model in ("tuned", "base"):
        first = [g for g in generations if g.model == model and g.sample == 0]
        lengths = {item.prompt_id: float(len(prompts[item.prompt_id].reference)) for item in first}
        level = terciles(lengths)
        splits = {split: _counted_once(first, prompts, examples, split) for split in ("member", "non-member")}
        for metric in metrics if splits["non-member"] else ():
            sides = []
            for found in splits.values():
                kept = [g for g in found if values.get((metric.name, g.id)) is not None]
                sides.append(
                    Measured(
                        tuple(values[metric.name, g.id] or 0.0 for g in kept),
                        tuple(examples[g.example_id].group for g in kept),
                        tuple(level[g.prompt_id] for g in kept),
                    )
                )
            members, nonmembers = sides
            interval = excess(members, nonmembers, is_rate=metric.estimator == "rate", confidence=confidence)
            n, every = len(members.values), len(splits["member"])
            bounds = (interval.value, interval.low, interval.high)
            yield Estimate(
                metric.name, model, "member", STRATUM, *bounds, n, every - n, interval.method, None, interval.reason
            )


def _counted_once(
    generations: Iterable[Generation], prompts: Mapping[str, Prompt], examples: Mapping[str, Example], split: str
) -> list[Generation]:
    found: dict[str, Generation] = {}
    for item in sorted(generations, key=lambda item: item.prompt_id):
        if examples[item.example_id].split == split:
            found.setdefault(prompts[item.prompt_id].text, item)
    return list(found.values())
