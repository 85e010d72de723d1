"""Adapter folders that people have: variants of LoRA, added tokens, tied heads, checkpoints, stray and broken files."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import peft
import torch
from adapter_cases import (
    QV,
    Built,
    built,
    byte_tokenizer,
    changed_config,
    copied,
    lora,
    opened,
    save_base,
    scored,
    trained,
)
from peft import PeftConfig, PeftModel
from safetensors.torch import load_file, save_file

ADDED = ("<|im_start|>", "<|im_end|>")


def added_tokens(
    folder: Path, config: PeftConfig, *, kind: str = "llama", rows: int = 262, tokenizer: bool = True, **saving: object
) -> Built:
    """Tokens were added and the base resized before the training; adapter and tokenizer saved into one folder."""
    base = save_base(folder / "base", kind)
    model = opened(base)
    model.resize_token_embeddings(rows)
    adapted = trained(model, config)
    right = scored(adapted)
    adapted.save_pretrained(str(folder / "adapter"), **saving)
    if tokenizer:
        byte_tokenizer(ADDED).save_pretrained(folder / "adapter")
    return Built(base, str(folder / "adapter"), right, "vocabulary is enlarged")


def checkpoint(folder: Path) -> Built:
    """As the Trainer leaves it: optimizer, arguments and states (pickles, never opened) beside the adapter."""
    made = built(folder, lora())
    for name in ("optimizer.pt", "scheduler.pt", "training_args.bin", "rng_state.pth"):
        (Path(made.adapter) / name).write_bytes(b"would be opened with pickle")
    (Path(made.adapter) / "trainer_state.json").write_text("{}")
    byte_tokenizer().save_pretrained(made.adapter)
    return made


def beside_base(folder: Path) -> Built:
    """A base in whose folder another adapter was left."""
    made = built(folder, lora())
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(f"{made.adapter}/{name}", made.base)
    plain = copied(made.base, folder / "plain")
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (Path(plain) / name).unlink()
    return Built(made.base, "", scored(opened(plain)), "is not applied")


def merged_in_place(folder: Path) -> Built:
    """A merged model saved into its adapter's folder."""
    made = built(folder, lora())
    merged = PeftModel.from_pretrained(opened(made.base), made.adapter).merge_and_unload()
    merged.save_pretrained(made.adapter)
    byte_tokenizer().save_pretrained(made.adapter)
    return Built(made.adapter, "", made.right, "is not applied")


def stray_below(folder: Path) -> Built:
    """An adapter on a base in whose folder another adapter was left."""
    made = built(folder, lora())
    other = built(folder / "other", lora(target_modules=["o_proj"]))
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(f"{other.adapter}/{name}", made.base)
    return replace(made, note="is not applied")


def layers(folder: Path, trained_with: int, put_on: int) -> Built:
    """An adapter of a model with another number of layers."""
    from adapter_cases import NETS

    for count in {trained_with, put_on}:
        net = NETS["llama"]()
        config = net.config
        config.num_hidden_layers = count
        type(net)(config).save_pretrained(folder / str(count))
        byte_tokenizer().save_pretrained(folder / str(count))
    adapted = trained(opened(str(folder / str(trained_with))), lora())
    adapted.save_pretrained(str(folder / "adapter"))
    return Built(str(folder / str(put_on)), str(folder / "adapter"), None)


def converted(folder: Path, start: str) -> Built:
    """Initialised by a decomposition, and converted to a plain LoRA when saved."""
    base = save_base(folder / "base", "llama")
    torch.manual_seed(3)
    adapted = peft.get_peft_model(opened(base), lora(init_lora_weights=start)).eval()
    adapted.peft_config["default"].init_lora_weights = True
    adapted.save_pretrained(str(folder / "start"))
    adapted.peft_config["default"].init_lora_weights = start
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape) * 0.1)
    right = scored(adapted)
    adapted.save_pretrained(str(folder / "adapter"), path_initial_model_for_weight_conversion=str(folder / "start"))
    return Built(base, str(folder / "adapter"), right)


def without(made: Built, part: str) -> Built:
    """The adapter's file without the tensors whose name has that part; nothing can be right."""
    path = Path(made.adapter) / "adapter_model.safetensors"
    save_file({name: value for name, value in load_file(path).items() if part not in name}, path)
    return replace(made, right=None)


def as_pickle(made: Built, *, index: bool) -> Built:
    """The adapter's weights as a pickle, alone or named by an index."""
    path = Path(made.adapter) / "adapter_model.safetensors"
    torch.save(load_file(path), Path(made.adapter) / "adapter_model.bin")
    path.unlink()
    if index:
        named = {"metadata": {}, "weight_map": {"w": "adapter_model.bin"}}
        (Path(made.adapter) / "adapter_model.safetensors.index.json").write_text(json.dumps(named))
        shutil.copy(f"{made.base}/model.safetensors", made.adapter)
    return replace(made, right=None)


def in_format(made: Built, dtype: torch.dtype) -> Built:
    """The adapter's weights rounded to a narrower format, as they are saved after a training in it."""
    path = Path(made.adapter) / "adapter_model.safetensors"
    save_file({name: value.to(dtype) for name, value in load_file(path).items()}, path)
    return replace(made, right=scored(PeftModel.from_pretrained(opened(made.base), made.adapter).eval()))


def below(made: Built) -> Built:
    """The adapter one folder down, as peft saves one with a name of its own; the folder above is given."""
    above = Path(made.adapter).parent / "above"
    above.mkdir()
    shutil.move(made.adapter, above / "mine")
    return replace(made, adapter=str(above), right=None)


def other_base(folder: Path) -> Built:
    """QLoRA: the config names a quantised base that is not there; the base in full precision is given."""
    made = changed_config(built(folder, lora()), base_model_name_or_path="unsloth/nothing-bnb-4bit")
    return replace(made, note="was trained on unsloth/nothing-bnb-4bit")


def own_tokenizer(folder: Path) -> Built:
    """The tokenizer lies with the adapter, the base has none."""
    made = built(folder, lora())
    byte_tokenizer().save_pretrained(made.adapter)
    for path in Path(made.base).glob("tokenizer*"):
        path.unlink()
    return made


def sharded_base(folder: Path) -> Built:
    """The base in several files with an index."""
    made = built(folder, lora())
    model = opened(made.base)
    (Path(made.base) / "model.safetensors").unlink()
    model.save_pretrained(made.base, max_shard_size="20KB")
    return made


def multitask(folder: Path) -> Built:
    """A soft prompt for three tasks: which one is measured cannot be said."""
    base = save_base(folder / "base", "llama")
    config = peft.MultitaskPromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4, num_tasks=3)
    trained(opened(base), config).save_pretrained(str(folder / "adapter"))
    return Built(base, str(folder / "adapter"), None)


def for_classes(folder: Path) -> Built:
    """An adapter of a classifier, put on the language model."""
    from transformers import LlamaForSequenceClassification

    base = save_base(folder / "base", "llama")
    classifier = LlamaForSequenceClassification.from_pretrained(base, num_labels=2)
    trained(classifier, lora(task_type="SEQ_CLS")).save_pretrained(str(folder / "adapter"))
    return Built(base, str(folder / "adapter"), None)


def of_another(folder: Path) -> Built:
    """An adapter of another architecture."""
    made = built(folder, lora())
    return replace(made, base=save_base(folder / "gpt2", "gpt2"), right=None)


EMBEDDINGS = ["embed_tokens", "lm_head"]
GPT2 = {"target_modules": ["c_attn"], "fan_in_fan_out": True}
FOLDERS: dict[str, Callable[[Path], Built]] = {
    **{
        f"LoRA, started by {start}": (lambda folder, start=start: built(folder, lora(init_lora_weights=start)))
        for start in ("gaussian", "pissa", "olora", "eva", "orthogonal", "mica")
    },
    "LoRA, started by pissa_niter_2": lambda f: replace(built(f, lora(init_lora_weights="pissa_niter_2")), right=None),
    "LoRA, started by lora_ga": lambda f: replace(built(f, lora(init_lora_weights="lora_ga")), right=None),
    "LoRA, started by loftq": lambda f: replace(
        changed_config(built(f, lora()), init_lora_weights="loftq", loftq_config={"loftq_bits": 4}), right=None
    ),
    "LoRA, started by corda": lambda f: replace(
        changed_config(built(f, lora()), init_lora_weights="corda"), right=None
    ),
    "LoRA, started by pissa, converted": lambda f: converted(f, "pissa"),
    "LoRA, started by pissa_niter_2, converted": lambda f: converted(f, "pissa_niter_2"),
    "DoRA": lambda f: built(f, lora(use_dora=True)),
    "rsLoRA with rank and alpha patterns": lambda f: built(
        f, lora(use_rslora=True, rank_pattern={"q_proj": 2}, alpha_pattern={"v_proj": 3})
    ),
    "LoRA on all linear layers": lambda f: built(f, lora(target_modules="all-linear")),
    "LoRA with a bias": lambda f: built(f, lora(lora_bias=True), note="beside the weights"),
    "LoRA, bias all": lambda f: built(f, lora(bias="all", target_modules=["c_attn"], fan_in_fan_out=True), kind="gpt2"),
    "LoRA, activated by tokens": lambda f: replace(built(f, lora(alora_invocation_tokens=[50, 51])), right=None),
    "LoRA, replicated layers": lambda f: built(f, lora(layer_replication=[(0, 2), (1, 2)]), note="beside the weights"),
    "LoRA, KaSA": lambda f: built(f, lora(kasa_config=peft.KasaConfig())),
    "LoRA, MonteCLoRA": lambda f: built(f, lora(monteclora_config=peft.MontecloraConfig())),
    "LoRA, VeLoRA": lambda f: built(f, lora(velora_config=peft.VeloraConfig())),
    "LoRA, block-diagonal": lambda f: built(f, lora(use_bdlora=peft.BdLoraConfig(target_modules_bd_a=QV, nblocks=2))),
    "LoRA, Arrow": lambda f: replace(
        changed_config(built(f, lora()), arrow_config={"top_k": 1, "router_temperature": 1.0}), right=None
    ),
    "LoRA on experts": lambda f: built(
        f, lora(target_parameters=["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]), kind="mixture"
    ),
    "LoRA on GPT-2's Conv1D": lambda f: built(f, lora(**GPT2), kind="gpt2"),
    "LoRA without a task": lambda f: built(f, lora(task_type=None)),
    "LoRA with another task": lambda f: changed_config(built(f, lora(), kind="llama"), task_type="SEQ_2_SEQ_LM"),
    "LoRA of T5 with another task": lambda f: built(f, lora(target_modules=["q", "v"]), kind="t5"),
    "LoRA in bfloat16": lambda f: in_format(built(f, lora()), torch.bfloat16),
    "LoRA in float16": lambda f: in_format(built(f, lora()), torch.float16),
    "VeRA without its projections": lambda f: built(
        f, peft.VeraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"], r=4, save_projection=False)
    ),
    "head saved whole": lambda f: built(f, lora(modules_to_save=["lm_head"])),
    "head saved whole, tied": lambda f: built(f, lora(modules_to_save=["lm_head"]), kind="tied llama"),
    "embedding saved whole, tied": lambda f: built(f, lora(modules_to_save=["embed_tokens"]), kind="tied llama"),
    "LoRA on embeddings": lambda f: built(f, lora(target_modules=[*QV, *EMBEDDINGS])),
    "LoRA on the head, tied": lambda f: built(f, lora(target_modules=["lm_head"]), kind="tied llama"),
    "LoRA on the embedding, tied": lambda f: built(f, lora(target_modules=["embed_tokens"]), kind="tied llama"),
    "LoRA on the head, weight tying": lambda f: built(
        f, lora(target_modules=["lm_head"], ensure_weight_tying=True), kind="tied llama"
    ),
    "LoRA on embedding and head, weight tying": lambda f: built(
        f, lora(target_modules=EMBEDDINGS, ensure_weight_tying=True), kind="tied llama"
    ),
    "LoRA on GPT-2's embedding, weight tying": lambda f: built(
        f, lora(target_modules=["wte"], ensure_weight_tying=True, fan_in_fan_out=True), kind="gpt2"
    ),
    "LoRA on GPT-2's head, weight tying": lambda f: built(
        f, lora(target_modules=["c_attn", "lm_head"], ensure_weight_tying=True, fan_in_fan_out=True), kind="gpt2"
    ),
    "embedding saved whole, weight tying": lambda f: built(
        f, lora(modules_to_save=["embed_tokens"], ensure_weight_tying=True), kind="tied llama"
    ),
    "some tokens trained": lambda f: built(f, lora(trainable_token_indices=[44, 61])),
    "some tokens trained, tied": lambda f: built(f, lora(trainable_token_indices=[44, 61]), kind="tied llama"),
    "added tokens, embeddings saved whole": lambda f: added_tokens(f, lora(modules_to_save=EMBEDDINGS)),
    "added tokens, trained alone": lambda f: added_tokens(f, lora(trainable_token_indices=[260, 261])),
    "added tokens, trained alone, tied": lambda f: added_tokens(
        f, lora(trainable_token_indices=[260, 261]), kind="tied llama"
    ),
    "added tokens, embeddings saved by peft": lambda f: added_tokens(f, lora()),
    "added tokens, embeddings not saved": lambda f: added_tokens(f, lora(), save_embedding_layers=False),
    "added tokens, trained alone, embeddings not saved": lambda f: added_tokens(
        f, lora(trainable_token_indices=[260, 261]), save_embedding_layers=False
    ),
    "added tokens, embeddings padded to 320": lambda f: added_tokens(f, lora(), rows=320),
    "added tokens, adapted embeddings": lambda f: added_tokens(f, lora(target_modules=[*QV, *EMBEDDINGS])),
    "added tokens, GPT-2": lambda f: added_tokens(f, lora(**GPT2), kind="gpt2"),
    "added tokens, T5": lambda f: added_tokens(f, lora(target_modules=["q", "v"], task_type="SEQ_2_SEQ_LM"), kind="t5"),
    "added tokens, tokenizer not saved": lambda f: added_tokens(f, lora(), tokenizer=False),
    "added tokens, trained alone, tokenizer not saved": lambda f: replace(
        added_tokens(f, lora(trainable_token_indices=[260, 261]), tokenizer=False, save_embedding_layers=False),
        right=None,
    ),
    "a Trainer's checkpoint": checkpoint,
    "an adapter beside the base": beside_base,
    "a model merged into its adapter's folder": merged_in_place,
    "another adapter beside the base": stray_below,
    "of a model with more layers": lambda f: layers(f, 3, 2),
    "of a model with fewer layers": lambda f: layers(f, 2, 3),
    "of another architecture": of_another,
    "of a classifier": for_classes,
    "the base has another name (QLoRA)": other_base,
    "tokenizer with the adapter alone": own_tokenizer,
    "a base in shards": sharded_base,
    "the adapter in a folder below": lambda f: below(built(f, lora())),
    "a part of its weights is lost": lambda f: without(built(f, lora()), "layers.1"),
    "weights in a pickle": lambda f: as_pickle(built(f, lora()), index=False),
    "weights in a pickle that an index names": lambda f: as_pickle(built(f, lora()), index=True),
    "settings of a later peft": lambda f: changed_config(built(f, lora()), nobody_knows_this=1),
    "a soft prompt for three tasks": multitask,
}
