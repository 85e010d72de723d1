"""Whose figures stand beside each other, and which of their matches count.

A generation is searched for the texts of all members and for its own record's text. For members both are memory. For a
non-member they are opposites: its own text is what the model cannot know (the control), a member's text is training text
that comes out at a stranger's prompt (a leak). So the control of a kind is made of same-record matches alone, and the
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


MEMBERS = Population("Members", "tuned", "member")
BASE = Population("Base model", "base", "member")
NON_MEMBERS = Population("Non-members (own text)", "tuned", "non-member")
SHUFFLED = Population("Shuffled pairs", "shuffled", "member")
TRUE_SUFFIX = Population("True suffix", "true-suffix", "member")

AT_STRANGERS = "Training text at strangers’ prompts"
AT_STRANGERS_METRICS = ("verbatim", "at_least_paraphrase")


def estimate_of(estimates: Sequence[Estimate], metric: str, population: Population) -> Estimate | None:
    """The figure of a population; None where it was not made.

    Of non-members and shuffled pairs, metrics of a generation count matches with the own record alone; where a metric is
    not made for these alone (any of n samples, characters per 1,000), there is no figure.
    """
    about_own = metric_of(metric).name in LIKELIHOOD_METRICS
    is_control = population.split == "non-member" or population.model == "shuffled"
    stratum = SAME_RECORD if is_control and not about_own else "all"
    return find(estimates, metric, model=population.model, split=population.split, stratum=stratum)


def at_strangers(estimates: Sequence[Estimate], metric: str, *, model: str = "tuned") -> Estimate | None:
    """Share of the non-members' prompts at which a member's text comes out; None where it was not made."""
    return find(estimates, metric, model=model, split="non-member", stratum=CROSS_RECORD)
