"""A base model with its own vocabulary beside a tuned one with added tokens, or with a tokenizer of other ids."""

import json
import re
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from fakes import MEMBERS, NON_MEMBERS, byte_tokenizer, tiny_decoder
from rote import runs
from rote.cli import main
from rote.records import Estimate, Prompt, Score, Separation
from rote.runs import Run

pytestmark = pytest.mark.slow
ADDED = ("<|user|>", "<|assistant|>")
SETTINGS = ("--prefix-tokens", "10", "--max-new-tokens", "12", "--suffix-tokens", "12", "--device", "cpu")
RELATIVE = ("base_relative_memorization", "reference_ratio", "ez_mia", "wbc")
"""Scores of the tuned model that compare it with the base model, token by token."""


def marked(text: str) -> str:
    """The text as two turns."""
    words = text.split()
    return f"{' '.join(words[:4])} {ADDED[0]} {' '.join(words[4:7])} {ADDED[1]} {' '.join(words[7:])}"


def audited(folder: Path, base: PreTrainedTokenizerFast, tuned: PreTrainedTokenizerFast) -> Path:
    """The run of an audit of half plain and half marked texts; the models' weights are related, as after a training."""
    network = tiny_decoder("llama", tokens=len(base))
    network.save_pretrained(folder / "base")
    base.save_pretrained(folder / "base")
    network.resize_token_embeddings(len(tuned), mean_resizing=False)
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)) * 0.05)
    network.save_pretrained(folder / "tuned")
    tuned.save_pretrained(folder / "tuned")
    for name, texts in (("m", MEMBERS), ("n", NON_MEMBERS)):
        rows = [json.dumps({"text": text if number % 2 else marked(text)}) for number, text in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    words = ["audit", "--model", folder / "tuned", "--base", folder / "base", "--members", folder / "m.jsonl"]
    words += ["--nonmembers", folder / "n.jsonl", "--out", folder / "run", *SETTINGS]
    assert main([str(word) for word in words]) == 0
    return folder / "run"


def shifted() -> PreTrainedTokenizerFast:
    """Bytes as tokens, each with the next one's id."""
    settings = json.loads(byte_tokenizer().backend_tokenizer.to_str())
    names = list(settings["model"]["vocab"])
    settings["model"]["vocab"] = {name: (number + 1) % len(names) for number, name in enumerate(names)}
    special = {f"{name}_token": getattr(byte_tokenizer(), f"{name}_token") for name in ("bos", "eos", "pad")}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(settings)), **special)


def log_probabilities(folder: Path, ids: list[int]) -> torch.Tensor:
    """Of all tokens but the first, by one plain call of the model in a folder, over its own vocabulary."""
    network = AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.inference_mode():
        logits = network(input_ids=torch.tensor([ids])).logits[0, :-1].double()
    return logits.log_softmax(-1).gather(-1, torch.tensor(ids[1:])[:, None])[:, 0]


def test_base_relative_scores_are_of_the_texts_that_both_models_read_alike(tmp_path: Path) -> None:
    tuned, base = byte_tokenizer(), byte_tokenizer()
    tuned.add_tokens(list(ADDED))
    run = Run(audited(tmp_path, base, tuned))
    scores = [score for score in run.read(runs.SCORES, Score) if score.metric in RELATIVE]
    found = {(score.subject_id, score.metric): score for score in scores}
    for prompt in run.read(runs.PROMPTS, Prompt):
        text = prompt.text + prompt.reference
        own, other = tuned(text)["input_ids"], base(text)["input_ids"]
        of_prompt = [found[f"{prompt.id}-tuned", metric] for metric in RELATIVE]
        if ADDED[0] in text:
            assert len(own) < len(other)
            assert [score.value for score in of_prompt] == [None] * len(RELATIVE)
            assert all(re.fullmatch(r"the models read the text as \d+ and as \d+ tokens", s.reason) for s in of_prompt)
        else:
            assert own == other
            assert all(score.value is not None for score in of_prompt)
            sums = [log_probabilities(tmp_path / name, own).sum().item() for name in ("tuned", "base")]
            ratio = found[f"{prompt.id}-tuned", "reference_ratio"].value
            assert ratio == pytest.approx((sums[0] - sums[1]) / (len(own) - 1), abs=1e-5)
    (auc,) = [
        item
        for item in run.read(runs.SEPARATIONS, Separation)
        if (item.metric, item.model, item.statistic, item.stratum) == ("reference_ratio", "tuned", "auc", "all")
    ]
    assert (auc.members, auc.nonmembers) == (4, 4)


def test_where_no_text_is_read_alike_nothing_relative_to_the_base_is_measured(tmp_path: Path) -> None:
    run = Run(audited(tmp_path, shifted(), byte_tokenizer()))
    scores = [score for score in run.read(runs.SCORES, Score) if score.metric in RELATIVE]
    assert len(scores) == 16 * len(RELATIVE)
    assert {score.value for score in scores} == {None}
    assert all(re.search(r"as \d+ tokens each, but not as the same ones", score.reason) for score in scores)
    estimates = [item for item in run.read(runs.ESTIMATES, Estimate) if item.metric == RELATIVE[0]]
    assert estimates
    assert {item.value for item in estimates} == {None}
    assert "not as the same ones" in run.path(runs.REPORT_HTML).read_text(encoding="utf-8")
