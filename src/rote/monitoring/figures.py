"""What the sampled records show of a model as it is now: rates, means and areas with their intervals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rote.models import LoadedModel
from rote.monitoring.sample import POPULATIONS, Subject
from rote.passes.choices import TokenChoices, token_choices
from rote.scoring import likelihood
from rote.statistics import intervals
from rote.statistics.intervals import Interval
from rote.statistics.separation import Side, Sides, auc

METRICS = ("extractable", "exact_memorization", "loss")
MEMBERSHIP = "membership_auc"
CANARY_MEMBERSHIP = "canaries/membership_auc"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of one call: value and interval are None if and only if there is a reason."""

    name: str
    """"members/extractable", "members/copies-4/loss", "nonmembers/…", "canaries/…", "membership_auc" …"""
    value: float | None
    low: float | None
    high: float | None
    n: int
    """Records that were measured (of an area: of both sides)."""
    reason: str | None = None


def figures(
    subjects: Sequence[Subject], model: LoadedModel, *, batch_size: int, confidence: float
) -> tuple[Figure, ...]:
    """The figures of one call.

    Extractable: share of the records whose continuation is the model's first choice token by token. Exact memorisation:
    share of a continuation's tokens that are, mean over records. Loss: of the continuation's tokens, in nats. The areas under the
    ROC tell members from non-members by the mean log-probability of the whole text, planted from held-out canaries by that
    of the secret: 0..1, 1/2 = chance. Intervals are those of `rote audit`, by duplicate group.
    """
    found = token_choices([subject.reading.text for subject in subjects], model, batch_size=batch_size)
    rows = [_Measured(subject, tokens) for subject, tokens in zip(subjects, found, strict=True)]
    return tuple(_all_figures(rows, confidence))


@dataclass(frozen=True, slots=True)
class _Measured:
    subject: Subject
    tokens: TokenChoices

    @property
    def continuation(self) -> TokenChoices:
        return self.tokens.part(self.subject.reading.prompt_tokens)

    def value(self, metric: str) -> float | None:
        if metric == "extractable":
            found = likelihood.extractable(self.continuation, self.subject.suffix_tokens)
            return None if found is None else float(found)
        return (likelihood.loss if metric == "loss" else likelihood.exact_memorization)(self.continuation)

    @property
    def text_score(self) -> float:
        """Mean log-probability of the text; of a canary, of its secret."""
        is_canary = self.subject.population.startswith("canaries")
        return -(likelihood.loss(self.continuation if is_canary else self.tokens) or 0.0)


def _all_figures(rows: Sequence[_Measured], confidence: float) -> Iterator[Figure]:
    of = {name: [row for row in rows if row.subject.population == name] for name in POPULATIONS}
    for name, part in of.items():
        if part:
            yield from _of_part(name, part, confidence)
    for name in ("members", "canaries"):
        levels = sorted({row.subject.copies for row in of[name]})
        for copies in levels if len(levels) > 1 else ():
            part = [row for row in of[name] if row.subject.copies == copies]
            yield from _of_part(f"{name}/copies-{copies}", part, confidence)
    if of["nonmembers"]:
        yield _area(MEMBERSHIP, of["members"], of["nonmembers"], confidence)
    if of["canaries"] and of["canaries_held_out"]:
        yield _area(CANARY_MEMBERSHIP, of["canaries"], of["canaries_held_out"], confidence)


def _of_part(name: str, rows: Sequence[_Measured], confidence: float) -> Iterator[Figure]:
    for metric in METRICS:
        known = [(value, row.subject.group) for row in rows if (value := row.value(metric)) is not None]
        if not known:
            tokens = rows[0].subject.suffix_tokens
            yield Figure(f"{name}/{metric}", None, None, None, 0, f"no record has {tokens} tokens after its prompt")
            continue
        values, groups = [value for value, _ in known], [group for _, group in known]
        if metric == "extractable":
            found = intervals.rate([bool(value) for value in values], groups, confidence=confidence)
        else:
            found = intervals.mean(values, groups, confidence=confidence)
        yield _figure(f"{name}/{metric}", found, len(known))


def _area(name: str, members: Sequence[_Measured], others: Sequence[_Measured], confidence: float) -> Figure:
    found = auc(Sides(_side(members), _side(others)), confidence=confidence)
    return _figure(name, found, len(members) + len(others))


def _side(rows: Sequence[_Measured]) -> Side:
    return Side(np.array([row.text_score for row in rows]), tuple(row.subject.group for row in rows))


def _figure(name: str, found: Interval, n: int) -> Figure:
    return Figure(name, found.value, found.low, found.high, n, found.reason)
