"""How good the detector is: what was found of planted passages, by condition, with intervals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rote.records import KINDS, NOTHING, Condition, Estimate, Kind, Trial
from rote.statistics import intervals
from rote.statistics.intervals import Interval

TITLES: dict[Condition, str] = {
    "verbatim": "Verbatim",
    "edited-5": "5 % of the words edited",
    "edited-10": "10 % of the words edited",
    "edited-20": "20 % of the words edited",
    "edited-30": "30 % of the words edited",
    "edited-50": "50 % of the words edited",
    "reordered": "Sentences reordered",
    "condensed": "Condensed to a fifth",
    "expanded": "Expanded fivefold",
    "nothing": "Nothing; other training texts",
    "nothing-alike": "Nothing; training texts most like it",
}
"""What was planted, or what the text was aligned with where nothing was."""


NONE_FITS = "no record has a passage that can be planted so, and an unrelated text for it to stand in"
DETECTOR_SHARES = ("right_kind", "found", "recalled_chars", "precise_chars")
"""Names of the estimates of a row; all are shares."""


@dataclass(frozen=True, slots=True)
class DetectorRow:
    """What was found under one condition. Shares are from 0 to 1; the clusters of the intervals are duplicate groups."""

    condition: Condition
    title: str
    kinds: tuple[int, ...]
    """Texts by the most severe kind found, in the order of `KINDS`, then those where nothing was found."""
    right_kinds: tuple[int, ...]
    """How many of these are right."""
    right: Estimate
    """Share of the texts where the kind is right; see `is_right`."""
    found: Estimate
    """Share of the texts where anything was found, a weak paraphrase included."""
    recalled_chars: Estimate | None
    """Share of the planted characters inside right matches; None where nothing was planted."""
    precise_chars: Estimate | None
    """Share of the matched characters that lie in the planted passage; None where nothing was planted."""


def is_right(trial: Trial) -> bool:
    """Whether the most severe kind is one that was expected, and an idea in the right direction.

    Where nothing was planted: whether nothing was found, or no more than a weak paraphrase, which no rate counts.
    """
    if trial.planted is None:
        return trial.kind in (None, "weak-paraphrase")
    return trial.kind in trial.expected and (trial.kind != "idea" or trial.direction == trial.condition)


def detector_rows(trials: Iterable[Trial], groups: Mapping[str, str], *, confidence: float = 0.95) -> list[DetectorRow]:
    """One row for each condition, in the order of `TITLES`; none at all without trials.

    Args:
        trials: of all conditions.
        groups: example id → duplicate group; an example that is not in it is a group of its own.
        confidence: level of every interval.

    Returns:
        Estimates are refused, with the reason, where fewer records than `intervals.too_few` asks for could be tried.
    """
    by_condition: dict[Condition, list[Trial]] = {condition: [] for condition in TITLES}
    for trial in trials:
        by_condition[trial.condition].append(trial)
    if not any(by_condition.values()):
        return []
    return [_row(condition, found, groups, confidence) for condition, found in by_condition.items()]


def _row(condition: Condition, trials: Sequence[Trial], groups: Mapping[str, str], confidence: float) -> DetectorRow:
    clusters = [groups.get(trial.example_id, trial.example_id) for trial in trials]
    outcomes = {"right_kind": list(map(is_right, trials)), "found": [trial.kind is not None for trial in trials]}
    rates = [
        _estimate(name, condition, intervals.rate(found, clusters, confidence=confidence), len(trials), sum(found))
        for name, found in outcomes.items()
    ]
    hits = [float(trial.found_chars) for trial in trials]
    lengths = {
        "recalled_chars": [float(len(trial.planted or ())) for trial in trials],
        "precise_chars": [float(trial.found_chars + trial.false_chars) for trial in trials],
    }
    shares = [
        _estimate(
            name,
            condition,
            intervals.ratio(hits, chars, clusters, confidence=confidence, least=0.0, most=1.0),
            len(trials),
        )
        for name, chars in lengths.items()
        if condition not in NOTHING
    ]
    counts, right = _by_kind(trials), _by_kind([trial for trial in trials if is_right(trial)])
    return DetectorRow(condition, TITLES[condition], counts, right, *rates, *(shares or (None, None)))


def _by_kind(trials: Sequence[Trial]) -> tuple[int, ...]:
    kinds: tuple[Kind | None, ...] = (*KINDS, None)
    return tuple(sum(trial.kind == kind for trial in trials) for kind in kinds)


def _estimate(metric: str, condition: Condition, interval: Interval, n: int, events: int | None = None) -> Estimate:
    return Estimate(
        metric=metric,
        model="planted",
        split="member",
        stratum=f"planted={condition}",
        value=interval.value,
        low=interval.low,
        high=interval.high,
        n=n,
        n_missing=0,
        method=interval.method,
        events=events,
        reason=interval.reason if n else NONE_FITS,
    )
