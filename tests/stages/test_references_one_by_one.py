"""`rote references` on models that read texts one by one, or texts of equal lengths together: each pass is a plain call's."""

import json
from pathlib import Path

import pytest
import torch
from transformers import BartConfig, BartForCausalLM, PreTrainedModel, RwkvConfig, RwkvForCausalLM

from fakes import MEMBERS, NON_MEMBERS, byte_tokenizer
from rote import runs
from rote.cli import main
from rote.config import ModelConfig
from rote.models import load_model
from rote.passes.store import store_of
from rote.records import Prompt, ReferencePass, Soundness
from rote.runs import Run

pytestmark = pytest.mark.slow
SPECIAL = {"bos_token_id": 256, "eos_token_id": 257, "pad_token_id": 258}
SETTINGS = ("--prefix-tokens", "10", "--max-new-tokens", "12", "--suffix-tokens", "12", "--device", "cpu")


def rwkv() -> PreTrainedModel:
    sizes = {"vocab_size": 259, "hidden_size": 32, "attention_hidden_size": 32, "intermediate_size": 64}
    return RwkvForCausalLM(RwkvConfig(**sizes, num_hidden_layers=2, context_length=256, **SPECIAL))


def decoder_only_bart() -> PreTrainedModel:
    sizes = {"vocab_size": 259, "d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 64}
    return BartForCausalLM(BartConfig(**sizes, max_position_embeddings=256, **SPECIAL))


def lively(network: PreTrainedModel) -> PreTrainedModel:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() > 1:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 2 / weight.shape[-1] ** 0.5)
    return network


def watch(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool]]:
    """Of every batch that a model loaded from now on reads: its rows, and whether any of them is padded."""
    seen: list[tuple[int, bool]] = []

    def note(network, args, words) -> None:
        mask = words.get("attention_mask")
        seen.append((len(words["input_ids"]), mask is not None and not bool(mask.all())))

    def watched(*args, **words):
        model = load_model(*args, **words)
        model.model.register_forward_pre_hook(note, with_kwargs=True)
        return model

    monkeypatch.setattr("rote.models.load_model", watched)
    return seen


def plain(network: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    """Log-probabilities of all tokens but the first, by one forward pass of that text alone."""
    with torch.inference_mode():
        logits = network(input_ids=torch.tensor([ids]), use_cache=False).logits[0, :-1].double()
    return logits.log_softmax(-1).gather(-1, torch.tensor(ids[1:])[:, None])[:, 0]


@pytest.mark.parametrize(("make", "batching"), [(rwkv, "one"), (decoder_only_bart, "equal lengths")])
def test_reference_models_are_read_as_the_trial_of_their_base_says(
    make, batching: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("base", "tuned"):
        lively(make()).save_pretrained(tmp_path / name)
        byte_tokenizer().save_pretrained(tmp_path / name)
    for name, texts in (("m", MEMBERS[:4]), ("n", NON_MEMBERS[:4])):
        lines = [json.dumps({"text": text}) for text in texts]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    out = tmp_path / "run"
    data = ["--members", tmp_path / "m.jsonl", "--nonmembers", tmp_path / "n.jsonl", "--out", out]
    assert main(["prepare", *map(str, data)]) == 0
    models = ["--model", tmp_path / "tuned", "--base", tmp_path / "base", *SETTINGS]
    assert main(["generate", *map(str, [out, *models])]) == 0
    training = ["--references-strategy", "full", "--epochs", "2", "--warmup-steps", "0"]
    seen = watch(monkeypatch)
    assert main(["references", str(out), "--models", "2", *training]) == 0
    monkeypatch.undo()
    assert seen
    assert not any(is_padded for _, is_padded in seen)
    assert batching != "one" or {rows for rows, _ in seen} == {1}

    run = Run(out)
    (found,) = run.read(runs.SOUNDNESS.format(model="base"), Soundness)
    assert found.batching == batching
    prompts = {prompt.id: prompt for prompt in run.read(runs.PROMPTS, Prompt)}
    passes, store = run.read(runs.REFERENCES, ReferencePass), store_of(run)
    assert len(passes) == 2 * len(prompts)
    for number in range(2):
        model = load_model(str(out / "references" / f"{number:02}" / "final"), config=ModelConfig(device="cpu"))
        for item in (one for one in passes if one.number == number):
            prompt = prompts[item.prompt_id]
            ids = model.tokenizer(prompt.text + prompt.reference)["input_ids"]
            assert store.read(item.key).log_probabilities == pytest.approx(plain(model.model, ids).numpy(), abs=1e-4)
