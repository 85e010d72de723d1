"""Strata: parts of the prompts of one split that have figures of their own."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median, quantiles

from rote.records import Example, Score, Split
from rote.scoring.columns import CROSS_RECORD, SAME_RECORD, Column, Subject
from rote.scoring.metrics import LIKELIHOOD_METRICS, SEPARATING_METRICS

SPLITS: tuple[Split, ...] = ("member", "non-member")
ORIGINS = (SAME_RECORD, CROSS_RECORD)
LENGTHS = ("short", "medium", "long")


@dataclass(frozen=True, slots=True)
class Stratum:
    """Prompts of one split, in the order of their ids."""

    name: str
    split: Split
    prompt_ids: tuple[str, ...]
    without_prompt: int
    """Records that no prompt could be cut from: missing in every estimate of the stratum."""


def strata_of(
    subjects: Mapping[str, Subject], columns: Iterable[Column], without_prompt: Iterable[Example]
) -> Iterator[Stratum]:
    """All strata with a prompt in them, split by split, in the order of the report; one-level factors are left out."""
    base_loss = next((c.scores for c in columns if (c.metric, c.model) == ("loss", "base")), {})
    lengths = {prompt_id: len(subject.prompt.reference) for prompt_id, subject in subjects.items()}
    levels = _length_levels(lengths)
    for split in SPLITS:
        ids = [prompt_id for prompt_id, subject in subjects.items() if subject.split == split]
        copies = sorted({subjects[prompt_id].copies for prompt_id in ids})
        named = [("all", ids)]
        if split == "member" and len(copies) > 1:
            named += [(f"copies={k}", [i for i in ids if subjects[i].copies == k]) for k in copies]
        named += [(origin, ids) for origin in ORIGINS]
        if len(set(levels.values())) > 1:
            named += [(f"length={name}", [i for i in ids if levels[i] == name]) for name in LENGTHS]
        named.append(("overlap=low", _above_median({i: base_loss[i] for i in ids if i in base_loss})))
        lost = Counter(
            name for e in without_prompt if e.split == split for name in ("all", f"copies={e.copies}", *ORIGINS)
        )
        yield from (Stratum(name, split, tuple(found), lost[name]) for name, found in named if found)


def _length_levels(lengths: Mapping[str, int]) -> dict[str, str]:
    """The tercile of each length, by name; a length on a bound belongs to the lower one."""
    bounds = quantiles(lengths.values(), n=3) if len(lengths) > 1 else []
    return {prompt_id: LENGTHS[sum(length > bound for bound in bounds)] for prompt_id, length in lengths.items()}


def _above_median(scores: Mapping[str, Score]) -> list[str]:
    values = {prompt_id: score.value for prompt_id, score in scores.items() if score.value is not None}
    middle = median(values.values()) if values else 0.0
    return [prompt_id for prompt_id, value in values.items() if value > middle]


def counted_once(metric: str, stratum: Stratum, subjects: Mapping[str, Subject]) -> list[str]:
    """The stratum's prompts without those that equal an earlier one."""
    of_reference = metric.partition("@")[0] in (*LIKELIHOOD_METRICS, *SEPARATING_METRICS)
    first: dict[tuple[str, str], str] = {}
    for prompt_id in stratum.prompt_ids:
        prompt = subjects[prompt_id].prompt
        first.setdefault((prompt.text, prompt.reference if of_reference else ""), prompt_id)
    return list(first.values())
