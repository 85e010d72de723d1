"""Adapters as people save them; right is what the trained model in memory says (see benchmarks/adapters.py)."""

import json
import re
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from adapter_cases import TEXTS, Built, built, byte_tokenizer, lora, opened, save_base, scored
from adapter_folders import FOLDERS
from adapters import cases, outcomes
from peft import PeftType

from fakes import MemoryStore
from rote.config import ModelConfig
from rote.errors import ModelError
from rote.models import LoadedModel, load_model, model_digest
from rote.models.probing import Probe, largest_difference, make_probe, rounding
from rote.models.vocabulary import resize
from rote.passes.scoring import TextPass, score_texts
from rote.stages.prompts import audited_models

CPU = ModelConfig(device="cpu")


def make(name: str, folder: Path) -> Built:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return FOLDERS[name](folder) if name in FOLDERS else cases()[name](folder)


def found(made: Built) -> tuple[LoadedModel, float]:
    """As rote loads it; the largest difference of a log-probability from what is right, texts scored four at a time."""
    loaded = load_model(made.base, adapter=made.adapter, config=CPU)
    store = MemoryStore()
    texts = [TextPass((*loaded.virtual_ids, text[0]), tuple(text[1:])) for text in TEXTS]
    scores = [store.read(key).log_probabilities for key in score_texts(texts, loaded, store, batch_size=4)]
    return loaded, max(
        float((torch.tensor(own) - right).abs().max()) for own, right in zip(scores, made.right, strict=True)
    )


@pytest.mark.parametrize(
    ("name", "notes"),
    [
        ("LoRA, replicated layers", ["beside the weights, not merged into them: merged it differs by up to"]),
        ("LoRA with a bias", ["beside the weights, not merged into them: peft cannot merge it"]),
        ("ADAPTION_PROMPT, llama", ["ADAPTION_PROMPT adapter is run beside the weights"]),
        ("LoRA on embedding and head, weight tying", None),
        ("LoRA on the head, tied", []),
        ("P_TUNING, llama", []),
        ("MULTITASK_PROMPT_TUNING, llama", []),
        ("added tokens, embeddings saved whole", ["from 260 to 262 tokens.*the new rows come from its file"]),
        ("added tokens, trained alone", ["from 260 to 262 tokens.*the new rows come from its file"]),
        ("added tokens, embeddings not saved", ["its file lacks the new rows: they are the mean of the other rows"]),
        ("added tokens, embeddings padded to 320", ["enlarged from 260 to 320 tokens"]),
        ("added tokens, adapted embeddings", ["enlarged from 260 to 262 tokens"]),
        ("an adapter beside the base", [r"adapter beside the model \(adapter_config\.json\) is not applied"]),
        ("a model merged into its adapter's folder", ["is not applied"]),
        ("another adapter beside the base", ["is not applied"]),
        (
            "the base has another name (QLoRA)",
            ["was trained on unsloth/nothing-bnb-4bit; it is put on .*base, as given"],
        ),
        ("LoRA, started by pissa", []),
        ("LoRA, started by pissa_niter_2, converted", []),
    ],
)
def test_what_is_measured_equals_what_was_trained(name: str, notes: list[str] | None, tmp_path: Path):
    loaded, apart = found(make(name, tmp_path))
    assert apart < 1e-3
    if notes is not None:
        assert len(loaded.notes) == len(notes)
        for note, pattern in zip(loaded.notes, notes, strict=True):
            assert re.search(pattern, note)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (
            "LoRA, started by pissa_niter_2",
            r"loaded twice it gives other weights .* \('pissa_niter_2'\) .*merge_and_unload",
        ),
        ("LoRA, started by lora_ga", r"init_lora_weights = 'lora_ga': .*path_initial_model_for_weight_conversion"),
        ("LoRA, activated by tokens", r"is not in the model's layers alone, .*aLoRA does not support merging"),
        ("LILY, llama", r"what the LILY adapter does to a token depends on the tokens after it"),
        ("LoRA, Arrow", r"adapter_config\.json asks for further adapters \(arrow_config\)"),
        ("LoRA on GPT-2's head, weight tying", r"no place for 2 of its weights, e\.g\. .*lm_head\.lora_A"),
        ("CARTRIDGE, llama", r"CARTRIDGE keeps keys and values for every layer"),
        ("a soft prompt for three tasks", r"a soft prompt for 3 tasks: which of them is measured cannot be said"),
        ("of a classifier", r"no place for 1 of its weights, e\.g\. .*score\.weight"),
        ("a part of its weights is lost", r"Found missing adapter keys .*layers\.1"),
        ("weights in a pickle that an index names", r"no adapter_model\.safetensors file in the adapter folder"),
        (
            "added tokens, trained alone, tokenizer not saved",
            r"it trains token 261, but model and tokenizer have 260 tokens",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(name: str, reason: str, tmp_path: Path):
    made = make(name, tmp_path)
    with pytest.raises(ModelError, match=reason) as error:
        load_model(made.base, adapter=made.adapter, config=CPU)
    assert "\n" not in str(error.value)


def test_an_adapter_beside_a_tuned_model_must_be_explained(tmp_path: Path):
    made = make("a model merged into its adapter's folder", tmp_path)
    with pytest.raises(
        ModelError, match=r"a whole model \(config\.json\) and an adapter \(adapter_config\.json\) in one"
    ):
        audited_models(ModelConfig(tuned=made.base))
    both = audited_models(ModelConfig(base=made.base, adapter=made.base))
    assert both == {"tuned": (made.base, made.base), "base": (made.base, "")}
    assert audited_models(ModelConfig(tuned=str(tmp_path / "base"), base=made.base))["base"] == (made.base, "")


def test_an_adapter_in_the_folder_of_its_base_is_applied_once_and_only_when_asked(tmp_path: Path):
    made = make("LORA, llama", tmp_path)
    plain, digest = scored(opened(made.base)), model_digest(made.base)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(f"{made.adapter}/{name}", made.base)
    assert model_digest(made.base) == digest  # the adapter is not read
    loaded, apart = found(Built(made.base, made.base, made.right))
    assert (apart < 1e-3, loaded.notes) == (True, ())
    loaded, apart = found(Built(made.base, "", plain))
    assert (apart < 1e-3, len(loaded.notes)) == (True, 1)


def test_a_cached_hub_model_with_an_adapter_beside_it_is_loaded_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = make("LORA, llama", tmp_path)
    plain = scored(opened(made.base))
    snapshot = tmp_path / "hub" / "models--some--name" / "snapshots" / ("0" * 40)
    shutil.copytree(made.base, snapshot)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(f"{made.adapter}/{name}", snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    for constant in ("huggingface_hub.constants.HF_HUB_CACHE", "transformers.utils.hub.constants.HF_HUB_CACHE"):
        monkeypatch.setattr(constant, str(tmp_path / "hub"))
    loaded, apart = found(Built("some/name", "", plain))
    assert apart < 1e-3
    assert loaded.notes == ("some/name: the adapter beside the model (adapter_config.json) is not applied",)


def test_every_load_of_an_enlarged_base_gives_the_same_weights(tmp_path: Path):
    made = make("added tokens, embeddings not saved", tmp_path)
    one, two = (load_model(made.base, adapter=made.adapter, config=CPU).model.state_dict() for _ in range(2))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    base = load_model(made.base, config=CPU)
    assert (len(base.tokenizer), base.notes) == (260, ())


@pytest.mark.parametrize("kind", ["llama", "gpt2", "t5"])
def test_new_rows_are_the_mean_of_the_others(kind: str, tmp_path: Path):
    model = opened(save_base(tmp_path, kind))
    before = model.get_input_embeddings().weight.detach().clone()
    resize(model, 264)
    after = model.get_input_embeddings().weight
    assert torch.equal(after[:260], before)
    assert torch.allclose(after[260:], before.mean(0).expand(4, -1))
    assert len(model.get_output_embeddings().weight) == 264


def test_embeddings_of_two_sizes_are_refused(tmp_path: Path):
    from safetensors.torch import load_file, save_file

    made = make("added tokens, embeddings saved whole", tmp_path)
    path = Path(made.adapter) / "adapter_model.safetensors"
    weights = load_file(path)
    head = next(name for name in weights if "lm_head" in name)
    save_file({**weights, head: weights[head][:261].contiguous()}, path)
    with pytest.raises(ModelError, match="its embeddings have 261 and 262 rows: they are not of one model"):
        load_model(made.base, adapter=made.adapter, config=CPU)


def test_a_merge_that_rounds_the_adapter_away_is_not_used(tmp_path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = built(tmp_path, lora())
    from safetensors.torch import load_file, save_file

    path = Path(made.adapter) / "adapter_model.safetensors"
    save_file({name: value * 0.05 for name, value in load_file(path).items()}, path)
    narrow = ModelConfig(device="cpu", dtype="bfloat16")
    (note,) = load_model(made.base, adapter=made.adapter, config=narrow).notes
    assert "run beside the weights, not merged into them: merged it differs by up to" in note
    assert load_model(made.base, adapter=made.adapter, config=CPU).notes == ()


def test_settings_that_lead_out_of_the_folder_are_not_followed(tmp_path: Path):
    made = make("MULTITASK_PROMPT_TUNING, llama", tmp_path)
    path = Path(made.adapter) / "adapter_config.json"
    (tmp_path / "other.bin").write_bytes(b"would be opened with pickle")
    settings = {
        "prompt_tuning_init": "EXACT_SOURCE_TASK",
        "prompt_tuning_init_state_dict_path": str(tmp_path / "other.bin"),
    }
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))
    assert found(made)[1] < 1e-3
    made = make("LORA, llama", tmp_path / "more")
    path = Path(made.adapter) / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "megatron_config": {"a": 1}, "megatron_core": "os"}))
    with pytest.raises(ModelError, match=r"asks for a module of another library \(megatron_config\)"):
        load_model(made.base, adapter=made.adapter, config=CPU)


def test_a_probe_reads_what_the_adapter_trains(tmp_path: Path):
    model, tokenizer = opened(save_base(tmp_path, "llama")), byte_tokenizer()
    probe = make_probe(model, tokenizer, trained=[9], invoking=[50, 51], context=256)
    assert (9 in probe.ids, len(probe.ids)) == (True, 48)
    at = probe.ids.index(50)
    assert probe.ids[at : at + 2] == (50, 51)
    assert len(make_probe(model, tokenizer, context=10).ids) <= 10
    shorter = Probe(probe.ids, is_encoder_decoder=False, places=5).log_probabilities(model)
    assert torch.allclose(shorter, probe.log_probabilities(model)[:5], atol=1e-5)


def test_differences():
    one = torch.tensor([[0.0, -torch.inf], [-1.0, -2.0]])
    assert largest_difference(one, one.clone()) == 0
    assert largest_difference(one, torch.tensor([[0.0, -torch.inf], [-1.0, -2.5]])) == 0.5
    assert largest_difference(one, one[:1]) == float("inf")
    assert largest_difference(one, torch.full((2, 2), torch.nan)) == float("inf")
    assert rounding(one, torch.float32) == 1e-3 < rounding(one, torch.bfloat16)


def test_every_type_of_the_installed_peft_is_tried():
    tried = {name.split(",")[0] for name in cases()}
    assert {kind.value for kind in PeftType} <= tried


@pytest.mark.slow
def test_the_benchmark_finds_nothing_silently_wrong():
    chosen = ["VERA, t5", "TRAINABLE_TOKENS, llama", "SHADOW, llama", "RANDLORA, t5", "CPT, llama", "LoRA on experts"]
    chosen += ["POLY, llama", "XLORA, llama", "of another architecture", "a Trainer's checkpoint", "a base in shards"]
    results = {each.case: each.outcome for each in outcomes(chosen)}
    refused = {"POLY, llama", "XLORA, llama", "of another architecture"}
    assert {name for name, outcome in results.items() if outcome == "refused"} == refused
    assert {outcome for name, outcome in results.items() if name not in refused} <= {"measured", "measured unmerged"}
