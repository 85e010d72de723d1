"""Whose figures stand beside each other, and which of their matches count.

A generation is searched for the texts of all members and for its own record's text. For members both are memory. For a
non-member they are opposites: its own text is what the model cannot know (the control), a member's text is training text
that comes out at a non-member's prompt (a leak). So the control of a kind is made of same-record matches alone, and the
leak has figures of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rote.records import Estimate, Split
from rote.reporting.artifacts import find
from rote.scoring.columns import CROSS_RECORD, SAME_RECORD
from rote.scoring.metrics import LIKELIHOOD_METRICS, metric_of


@dataclass(frozen=True, slots=True)
class Population:
    """The prompts of one split under one model."""

    title: str
    model: str
    split: Split
    is_own_text: bool = False
    """Whether, for metrics of a generation, only matches with the prompt's own record (its duplicate group) count."""


MEMBERS = Population("Members", "tuned", "member")
BASE = Population("Base model", "base", "member")
MEMBERS_ANY = Population("Members (any text)", "tuned", "member")
MEMBERS_OWN = Population("Members (own text)", "tuned", "member", is_own_text=True)
BASE_ANY = Population("Base model (any text)", "base", "member")
NON_MEMBERS = Population("Non-members (own text)", "tuned", "non-member", is_own_text=True)
SHUFFLED = Population("Shuffled pairs", "shuffled", "member", is_own_text=True)
TRUE_SUFFIX = Population("True suffix", "true-suffix", "member")

PLAIN = (MEMBERS, BASE, NON_MEMBERS)
"""Columns of metrics that know no matches."""
BY_TEXT = (MEMBERS_ANY, BASE_ANY, MEMBERS_OWN, NON_MEMBERS)
"""Columns of metrics that count matches: like stands beside like."""

AT_NONMEMBERS = "Training text at non-members’ prompts"
AT_NONMEMBERS_METRICS = ("verbatim", "at_least_paraphrase")


def is_by_text(metric: str) -> bool:
    """Whether the metric looks for texts of records, so that whose text counts makes a difference."""
    return metric_of(metric).name not in LIKELIHOOD_METRICS


def estimate_of(estimates: Sequence[Estimate], metric: str, population: Population) -> Estimate | None:
    """The figure of a population; None where it was not made.

    Where a population is one of own text, metrics of a generation count matches with its own record alone; where a metric
    is not made for these alone (any of n samples, characters per 1,000), there is no figure.
    """
    stratum = SAME_RECORD if population.is_own_text and is_by_text(metric) else "all"
    return find(estimates, metric, model=population.model, split=population.split, stratum=stratum)


def at_nonmembers(estimates: Sequence[Estimate], metric: str, *, model: str = "tuned") -> Estimate | None:
    """Share of the non-members' prompts at which a member's text comes out; None where it was not made."""
    return find(estimates, metric, model=model, split="non-member", stratum=CROSS_RECORD)
