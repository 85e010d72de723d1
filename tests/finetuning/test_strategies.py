"""Acceptance case 12: a tiny model over-fitted on records repeated 32 times gives back full > LoRA > base."""

import json
from pathlib import Path

import pytest

from fakes import MEMBERS, NON_MEMBERS, byte_tokenizer, tiny_decoder
from rote import runs
from rote.cli import main
from rote.records import Estimate
from rote.runs import Run

TRAINING = ("--repetition", "32", "--epochs", "4", "--batch-size", "8", "--warmup-steps", "2", "--schedule", "constant")
AUDIT = ("--prefix-tokens", "12", "--max-new-tokens", "40", "--suffix-tokens", "20")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strategies")
    tokenizer = byte_tokenizer()
    tiny_decoder("llama", tokens=len(tokenizer), context=128).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    for name, texts in (("members", MEMBERS), ("nonmembers", NON_MEMBERS)):
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        (folder / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    return folder


def memorised(folder: Path, strategy: str, learning_rate: str) -> dict[str, float]:
    """Exact memorisation of the members by the tuned and the base model after one strategy's training."""
    data = ["--members", folder / "members.jsonl", "--nonmembers", folder / "nonmembers.jsonl"]
    trained, out = folder / strategy, folder / f"run-{strategy}"
    words = ["finetune", "--base", folder / "base", "--strategy", strategy, "--learning-rate", learning_rate, *data]
    assert main([*map(str, words), *TRAINING, "--lora-rank", "2", "--out", str(trained)]) == 0
    data = ["--members", trained / "members.jsonl", "--nonmembers", trained / "nonmembers.jsonl"]
    model = ["--adapter" if strategy == "lora" else "--model", trained / "final", "--base", folder / "base"]
    assert main([*map(str, ["audit", *model, *data, "--out", out]), *AUDIT]) == 0
    found = Run(out).read(runs.ESTIMATES, Estimate)
    return {
        item.model: item.value
        for item in found
        if (item.metric, item.split, item.stratum) == ("exact_memorization", "member", "all") and item.value is not None
    }


def test_full_gives_back_more_than_lora_and_lora_more_than_the_base(folder: Path) -> None:
    full, lora = memorised(folder, "full", "3e-3"), memorised(folder, "lora", "3e-3")
    assert full["tuned"] > lora["tuned"] + 0.1
    assert lora["tuned"] > lora["base"] + 0.1
    assert full["base"] == lora["base"] < 0.2
    rows = (folder / "full" / "members.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 32 * len(set(rows)) == 32 * len(MEMBERS)
