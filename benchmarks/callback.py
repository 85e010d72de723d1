"""What `rote.MemorizationCallback` costs at each call, beside a plain evaluation pass over the same records; and its curves.

    python benchmarks/callback.py                                   # the shipped decoder on 104 + 104 shipped dialogues
    python benchmarks/callback.py --records 32 --epochs 24 --steps 8 --picture docs/images/callback.svg

Fine-tunes the shipped decoder with transformers' `Trainer`. At each call of the callback the same records are read three
times, in turns, in one process: by the callback, by `Trainer.evaluate` (which reads them as they come), and by a loop
over batches of like length that computes the loss and nothing else. Prints the CPU seconds of each, and the callback's
over those of the other two; all read in batches of 16 records.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from machine import machine, report
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForLanguageModeling,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

import rote
from rote import demonstration

BATCH = 16
RECORDS = 104
FIGURES = {
    "members/extractable": "members: extractable",
    "members/exact_memorization": "members: exact memorisation",
    "nonmembers/exact_memorization": "non-members: exact memorisation",
    "membership_auc": "membership (AUC)",
}
COLORS = ("#b2182b", "#ef8a62", "#67a9cf", "#4d4d4d")


def texts(folder: Path, records: int) -> tuple[list[str], list[str]]:
    """Members and non-members, by seed."""
    lines = (folder / "dialogue.jsonl").read_text(encoding="utf-8").splitlines()
    found = [f"{row['document']}\n{row['summary']}" for row in map(json.loads, lines)]
    random.Random(0).shuffle(found)
    return found[:records], found[records : 2 * records]


class Timed(rote.MemorizationCallback):
    """Times the plain passes at each of its calls."""

    plain: "dict[str, Callable[[], None]]"
    spent: "list[dict[str, float]]"

    def _measure(self, state, control) -> None:
        found = {}
        reads = {"callback_s": lambda: super(Timed, self)._measure(state, control), **self.plain}
        for name, read in reads.items():
            started = time.process_time()
            read()
            found[name] = time.process_time() - started
        self.spent.append(found)
        ratios = {f"over_{name[:-2]}": round(found["callback_s"] / found[name], 2) for name in self.plain}
        report(f"step {state.global_step}", **{key: round(value, 2) for key, value in found.items()}, **ratios)


def plain_loop(trainer: Trainer, rows: list[dict[str, list[int]]], pad: int) -> Callable[[], None]:
    """The loss of every batch, batches of like length."""
    ordered = sorted((row["input_ids"] for row in rows), key=len, reverse=True)

    def read() -> None:
        trainer.model.eval()
        with torch.inference_mode():
            for at in range(0, len(ordered), BATCH):
                part = ordered[at : at + BATCH]
                width = len(part[0])
                ids = torch.tensor([ids + [pad] * (width - len(ids)) for ids in part])
                mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids in part])
                trainer.model(
                    input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100), use_cache=False
                )

    return read


def evaluation(trainer: Trainer, rows: list[dict[str, list[int]]]) -> Callable[[], None]:
    """`Trainer`'s own pass, without its logging."""

    def read() -> None:
        trainer.evaluation_loop(trainer.get_eval_dataloader(rows), "", prediction_loss_only=True)

    return read


def trained(folder: Path, *, records: int, epochs: int, steps: int) -> Timed:
    """The callback after a training."""
    members, nonmembers = texts(Path(demonstration.__file__).parent / "records", records)
    base = Path(demonstration.__file__).parent / "decoder"
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base)
    watch = Timed(
        [{"text": text} for text in members],
        nonmembers=[{"text": text} for text in nonmembers],
        steps=steps,
        sample=records,
        batch_size=BATCH,
    )
    settings = TrainingArguments(
        str(folder), num_train_epochs=epochs, per_device_train_batch_size=8, per_device_eval_batch_size=BATCH,
        learning_rate=2e-3, warmup_steps=10, report_to="none", use_cpu=True, save_strategy="no", logging_strategy="no",
        disable_tqdm=True, dataloader_pin_memory=False,
    )  # fmt: skip
    rows = {name: [tokenizer(text) for text in part] for name, part in (("m", members), ("n", nonmembers))}
    trainer = Trainer(
        model,
        settings,
        train_dataset=rows["m"],
        data_collator=DataCollatorForLanguageModeling(tokenizer, mlm=False),
        processing_class=tokenizer,
        callbacks=[watch],
    )
    trainer.remove_callback(PrinterCallback)
    read = [*rows["m"], *rows["n"]]
    watch.spent = []
    watch.plain = {"evaluate_s": evaluation(trainer, read), "loop_s": plain_loop(trainer, read, tokenizer.pad_token_id)}
    trainer.train()
    return watch


def picture(watch: Timed, path: Path) -> None:
    """The curves with their intervals."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "rote"
    from matplotlib import pyplot

    _, axes = pyplot.subplots(figsize=(7.2, 4.0), layout="constrained")
    steps = [found.step for found in watch.history]
    for (name, label), color in zip(FIGURES.items(), COLORS, strict=True):
        points = [next(f for f in found.figures if f.name == name) for found in watch.history]
        axes.plot(steps, [point.value for point in points], color=color, label=label, marker="o", markersize=3)
        axes.fill_between(
            steps, [p.low for p in points], [p.high for p in points], color=color, alpha=0.15, linewidth=0
        )
    axes.set(xlabel="optimizer steps", ylabel="share of records, share of tokens, AUC", ylim=(-0.02, 1.02))
    axes.legend(frameon=False, loc="center right")
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    pyplot.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=160)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=RECORDS, help="members, and as many non-members")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=13, help="steps from call to call")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    report("machine", **machine(), torch=torch.__version__, threads=torch.get_num_threads())
    with tempfile.TemporaryDirectory() as folder:
        watch = trained(Path(folder), records=options.records, epochs=options.epochs, steps=options.steps)
    for found in watch.history:
        values = {name: found.value(name) for name in FIGURES}
        report(
            f"figures, step {found.step}",
            **{name: round(value, 3) for name, value in values.items() if value is not None},
        )
    for name in watch.plain:
        report(
            f"median of callback_s / {name}",
            value=round(statistics.median(s["callback_s"] / s[name] for s in watch.spent), 2),
        )
    if options.picture:
        picture(watch, options.picture)


if __name__ == "__main__":
    main()
