"""`rote validate`: do the metrics measure what they say? Their scores against models whose memory is known.

A base model is fine-tuned on records that are repeated 1 to 16 times, and audited. Two truths are planted: which records
are members, and which members were repeated often rather than once. Each metric's scores of single records are held
against both (area under the ROC), and against the same audit with another batch size, in bfloat16, and with prompts in which
some words are exchanged (rank correlation of the scores). Reference models, where wanted, add RMIA and LiRA.

What this does not know: other models, tasks and data. Give your own with --base and --members.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import stats

from rote import demonstration, runs
from rote.commands import Commands, progress
from rote.records import Example, Generation, Prompt, Score
from rote.runs import Echo, Run
from rote.runs.locks import claimed
from rote.scoring.metrics import metric_of
from rote.scoring.metrics.definition import LESS
from rote.statistics.intervals import Interval
from rote.statistics.separation import Side, Sides, auc

STRATEGIES = ("full", "lora")
EPOCHS = 3
LEARNING_RATES: Mapping[str, float] = {"full": 1e-3, "lora": 3e-3}
"""As in the demonstration: chosen by validation loss."""
REPETITION = (1, 1, 1, 2, 2, 4, 8, 16)
OFTEN, ONCE = 8, 1
"""Members with at least so many copies, against members with one."""
HOLDOUT = 0.5
RECORDS, QUICK_RECORDS = 80, 24
REFERENCE_MODELS = 4
NOISE = 0.2
"""Share of the prompt's words that are exchanged."""
VARIANTS: Mapping["Variant", tuple[str, ...]] = {
    "batch size": ("--generation-batch-size", "5"),
    "bfloat16": ("--dtype", "bfloat16"),
    "exchanged words": ("--prompt-noise", str(NOISE)),
}
STEPS = 60
LEAST_CORRELATION: Mapping["Variant", float] = {"batch size": 0.999, "bfloat16": 0.95, "exchanged words": 0.5}
"""What a metric that is recommended must reach."""

Variant = Literal["batch size", "bfloat16", "exchanged words"]
Wanted = Callable[[Example], bool]


@dataclass(frozen=True, slots=True)
class Validity:
    """One metric on the models of one strategy."""

    metric: str
    strategy: str
    membership: Interval
    """AUC of members against non-members."""
    repetition: Interval
    """AUC of members with at least `OFTEN` copies against those with `ONCE`."""
    correlations: tuple[tuple[Variant, float | None], ...]
    """Spearman's correlation of the scores with those of a varied audit; None where the scores do not vary."""
    largest_difference: float | None
    """Largest difference of any score when only the batch size differs."""

    @property
    def is_robust(self) -> bool:
        """Whether every correlation reaches what is asked; scores that do not vary prove nothing."""
        return all(value is not None and value >= LEAST_CORRELATION[name] for name, value in self.correlations)

    @property
    def is_recommended(self) -> bool:
        """Robust, and the repeated records are distinguished from the others beyond chance."""
        return self.is_robust and self.repetition.low is not None and self.repetition.low > 0.5


def validate(base: str, members: str, out: Path, *, quick: bool, echo: Echo) -> int:
    """Trains, audits, compares; writes validation.html and validation.json into the folder; returns 0.

    Args:
        base: model to fine-tune; "": the shipped decoder.
        members: data file; "": the shipped dialogues.
        out: folder; what is finished there is not repeated.
        quick: few records and no reference models: does everything work here?
        echo: receives a line for each command.

    Raises:
        RoteError: a command failed.
    """
    from rote.validation.page import write_validation

    base, members = base or str(demonstration.DECODER), members or str(demonstration.records("dialogue"))
    with claimed(out), progress(STEPS) as advance:
        do = Commands(echo, advance)
        for strategy in STRATEGIES:
            _train_and_audit(do, strategy, base, members, out, quick=quick)
        if not quick:
            _reference_models(do, base, out)
    found = [item for strategy in STRATEGIES for item in validity(out, strategy)]
    write_validation(found, Run(out / "full"), out)
    return 0


def _train_and_audit(do: Commands, strategy: str, base: str, members: str, out: Path, *, quick: bool) -> None:
    trained = out / "models" / strategy
    do.rote(
        "finetune",
        *("--base", base, "--members", members, "--holdout", HOLDOUT, "--strategy", strategy, "--epochs", EPOCHS),
        *("--learning-rate", LEARNING_RATES[strategy], "--schedule", "constant"),
        *("--repetition", ",".join(map(str, REPETITION)), "--limit", QUICK_RECORDS if quick else RECORDS),
        *("--out", trained),
    )
    final = trained / "final"
    words: list[object] = ["--adapter" if strategy == "lora" else "--model", final, "--base", base]
    words += ["--members", trained / "members.jsonl", "--nonmembers", trained / "nonmembers.jsonl"]
    words += ["--store", (out / "token-store").resolve()]
    do.rote("audit", *words, "--out", out / strategy)
    if strategy == STRATEGIES[0]:
        for name, varied in VARIANTS.items():
            do.rote("audit", *words, *varied, "--out", _varied(out, name))


def _reference_models(do: Commands, base: str, out: Path) -> None:
    """Trains reference models for the first strategy's run, then scores it again."""
    run = out / STRATEGIES[0]
    do.rote(
        *("references", run, "--models", REFERENCE_MODELS, "--epochs", EPOCHS),
        *("--learning-rate", LEARNING_RATES["lora"], "--schedule", "constant", "--base", base),
    )
    do.rote("score", run)
    do.rote("report", run)


def _varied(out: Path, name: str) -> Path:
    return out / "varied" / name.replace(" ", "-")


def validity(out: Path, strategy: str) -> Iterator[Validity]:
    """Every metric that has scores of single records, in the order of `METRICS`; metrics of neither direction are left out."""
    run = Run(out / strategy, must_exist=True)
    examples = {example.id: example for example in run.read(runs.EXAMPLES, Example)}
    scores = scores_by_example(run)
    varied = {
        name: scores_by_example(Run(_varied(out, name), must_exist=True))
        for name in VARIANTS
        if strategy == STRATEGIES[0]
    }
    for metric, own in scores.items():
        sides = _sides(metric, own, examples, lambda example: example.split == "member", lambda e: e.split != "member")
        often = _sides(
            metric, own, examples, lambda e: e.copies >= OFTEN, lambda e: e.split == "member" and e.copies == ONCE
        )
        others = {name: found.get(metric, {}) for name, found in varied.items()}
        yield Validity(
            metric=metric,
            strategy=strategy,
            membership=auc(sides),
            repetition=auc(often),
            correlations=tuple((name, _correlation(own, other)) for name, other in others.items()),
            largest_difference=_largest_difference(own, others["batch size"]) if others else None,
        )


def scores_by_example(run: Run) -> dict[str, dict[str, float]]:
    """Metric → example id → score of the tuned model (sample 0) or of the reference models."""
    owners = {prompt.id: prompt.example_id for prompt in run.read(runs.PROMPTS, Prompt)}
    subjects = {
        f"{prompt_id}-{model}": owner for prompt_id, owner in owners.items() for model in ("tuned", "references")
    }
    written = run.read(runs.GENERATIONS.format(model="tuned"), Generation)
    subjects |= {item.id: item.example_id for item in written if item.sample == 0}
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for score in run.read(runs.SCORES, Score):
        if score.value is not None and score.subject_id in subjects and _has_direction(score.metric):
            found[score.metric][subjects[score.subject_id]] = score.value
    return dict(found)


def _has_direction(metric: str) -> bool:
    return metric_of(metric).direction != "neither"


def _sides(metric: str, scores: Mapping[str, float], examples: Mapping[str, Example], *wanted: Wanted) -> Sides:
    """The scores of two sets of records, turned so that higher is more memorised."""
    sign = -1.0 if metric_of(metric).direction == LESS else 1.0

    def side(is_wanted: Wanted) -> Side:
        ids = [example_id for example_id in scores if is_wanted(examples[example_id])]
        values = np.array([sign * scores[example_id] for example_id in ids], dtype=np.float64)
        return Side(values, tuple(examples[example_id].group for example_id in ids))

    return Sides(side(wanted[0]), side(wanted[1]))


def _correlation(one: Mapping[str, float], other: Mapping[str, float]) -> float | None:
    """Spearman's, over the records that both have; None where either does not vary."""
    shared = sorted(one.keys() & other.keys())
    first, second = [one[name] for name in shared], [other[name] for name in shared]
    if len(shared) < 3 or len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return float(stats.spearmanr(first, second).statistic)


def _largest_difference(one: Mapping[str, float], other: Mapping[str, float]) -> float | None:
    shared = one.keys() & other.keys()
    return max((abs(one[name] - other[name]) for name in shared), default=None)


def recommended(found: Sequence[Validity]) -> list[Validity]:
    """The robust metrics of the first strategy that tell repeated records from others, best first."""
    own = [item for item in found if item.strategy == STRATEGIES[0] and item.is_recommended]
    return sorted(own, key=lambda item: -(item.repetition.value or 0.0))
