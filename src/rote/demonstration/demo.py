"""`rote demo`: fine-tunes the shipped decoder three ways on the dialogues, audits each, and compares them.

It runs the same commands that a user would type (`rote finetune …`, `rote audit …`), prints them, and leaves their
folders, so that each step can be repeated by hand.
"""

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from rote import demonstration
from rote.commands import Commands, progress, worker_threads
from rote.finetuning import Epoch, Training, read_training
from rote.finetuning.matching import matched_epochs
from rote.reporting.comparison import ComparisonGroup, ComparisonRun, write_comparison
from rote.runs import GENERATIONS, RECHECKS, TOKEN_SCORES, TOKEN_STORE, Echo, Run
from rote.runs.locks import claimed

STRATEGIES = ("full", "lora", "head")
REPETITION = (1, 1, 1, 2, 2, 4, 8, 16)
"""Copies of each eighth of the members: three eighths are trained on once, two twice, and so on."""
EPOCHS = 3
LEARNING_RATES: Mapping[str, float] = {"full": 1e-3, "lora": 3e-3, "head": 1e-3}
"""For each strategy the one with the least validation loss among those that were tried (docs/reproductions.md)."""
HOLDOUT = 0.5
"""Share of the dialogues that is kept out as non-members."""
RECORDS = 104
"""Members, and as many non-members: enough for a rate of true positives at 1 % false ones."""
QUICK_RECORDS = 16
PREFIX_TOKENS, NEW_TOKENS, SUFFIX_TOKENS = 50, 100, 50
AT_ONCE = 2
"""Commands that run side by side, each on one thread and in about 1.2 GB."""
STEPS = 3 * (EPOCHS + 1) + 6 * 8
"""About as many lines as the commands print; the length of the progress bar."""


@dataclass(frozen=True, slots=True)
class Audited:
    """One model that was audited: the run folder, and the pass of the training that it comes from."""

    strategy: str
    run: Path
    epoch: Epoch


def run(out: Path, *, quick: bool, echo: Echo) -> int:
    """Trains, audits and compares; returns 0. What is finished already is not repeated."""
    started = time.monotonic()
    limit = QUICK_RECORDS if quick else RECORDS
    with claimed(out), progress(STEPS) as advance, worker_threads(AT_ONCE) as pool:
        do = Commands(echo, advance)
        training = {strategy: pool.submit(_train, do, strategy, out, limit) for strategy in STRATEGIES}
        jobs = [pool.submit(_audit_final, do, strategy, out, training[strategy]) for strategy in STRATEGIES]
        chosen = matched_epochs({strategy: job.result() for strategy, job in training.items()})
        more = [pool.submit(_audit_epoch, do, strategy, chosen[strategy], out) for strategy in STRATEGIES]
        final, matched = [job.result() for job in jobs], [job.result() for job in more]
    write_comparison(
        "The demonstration: full fine-tuning, LoRA and head-only",
        [
            _group(f"At equal epochs ({EPOCHS})", "Every strategy has seen every record equally often.", final),
            _group(
                "At the checkpoints nearest to equal validation loss",
                "The checkpoints at which the strategies have learned about equally much of the task. "
                "This is the fairer comparison.",
                matched,
            ),
        ],
        out / "report.html",
    )
    echo(f"report: {out / 'report.html'} ({time.monotonic() - started:.0f} s)")
    return 0


def _train(do: Commands, strategy: str, out: Path, limit: int) -> Training:
    folder = out / "models" / strategy
    do.rote(
        "finetune",
        *("--base", demonstration.DECODER, "--members", demonstration.records("dialogue"), "--holdout", HOLDOUT),
        *("--strategy", strategy, "--epochs", EPOCHS, "--learning-rate", LEARNING_RATES[strategy]),
        *("--schedule", "constant", "--repetition", ",".join(map(str, REPETITION)), "--limit", limit, "--out", folder),
    )
    return read_training(folder)


def _audit_final(do: Commands, strategy: str, out: Path, training: "Future[Training]") -> Audited:
    return _audit(do, strategy, training.result().epochs[-1], out, out / strategy)


def _audit_epoch(do: Commands, strategy: str, epoch: Epoch, out: Path) -> Audited:
    last = read_training(out / "models" / strategy).epochs[-1]
    if epoch.number == last.number:
        return Audited(strategy, out / strategy, epoch)
    return _audit(do, strategy, epoch, out, out / "matched" / strategy)


def _audit(do: Commands, strategy: str, epoch: Epoch, out: Path, folder: Path) -> Audited:
    trained = out / "models" / strategy
    model = trained / epoch.folder
    for other in (out / name for name in STRATEGIES):
        if other != folder and (other / "manifest.json").exists():
            for name in (GENERATIONS, TOKEN_SCORES, RECHECKS):
                Run(folder).adopt(name.format(model="base"), Run(other))
    do.rote(
        "audit",
        *("--adapter" if strategy == "lora" else "--model", model, "--base", demonstration.DECODER),
        *("--members", trained / "members.jsonl", "--nonmembers", trained / "nonmembers.jsonl"),
        *("--prefix-tokens", PREFIX_TOKENS, "--max-new-tokens", NEW_TOKENS, "--suffix-tokens", SUFFIX_TOKENS),
        *("--store", out / TOKEN_STORE),
        *("--title", f"Demonstration: {strategy}, after epoch {epoch.number}", "--out", folder),
    )
    return Audited(strategy, folder, epoch)


def _group(title: str, note: str, audited: Sequence[Audited]) -> ComparisonGroup:
    runs = tuple(ComparisonRun(item.run, f"{item.strategy}, epoch {item.epoch.number}") for item in audited)
    losses = ", ".join(f"{item.strategy} {item.epoch.validation_loss:.2f}" for item in audited)
    return ComparisonGroup(title=title, note=f"{note} Validation loss, in nats a token: {losses}.", runs=runs)
