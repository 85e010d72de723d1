"""Which parameters train (all, the output embedding, LoRA adapters, a soft prompt), and the proof that no others did."""

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from rote.config import FinetuningConfig, Strategy
from rote.errors import ModelError

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel

ALL_LINEAR = "all-linear"


def prepare_model(model: "PreTrainedModel", config: FinetuningConfig) -> "PreTrainedModel":
    """The model with only the strategy's parameters trainable, and those in float32.

    Raises:
        ModelError: there is no output embedding to train, or no module to adapt.
    """
    import torch

    if config.dropout:
        set_dropout(model, config.dropout)
    if config.strategy == "lora":
        model = _with_lora(model, config)
    elif config.strategy == "prompt":
        model = _with_soft_prompt(model, config)
    else:
        model.requires_grad_(config.strategy == "full")
        if config.strategy == "head":
            output_embedding(model).requires_grad_(True)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.float32)
    return model


def set_dropout(model: "PreTrainedModel", share: float) -> None:
    """Makes all dropout of the model drop that share of the numbers while it trains; its config stays as it is.

    That is wherever its architecture has dropout: layers of their own, and probabilities that a module keeps (attention).

    Raises:
        ModelError: it has none.
    """
    from torch import nn

    places = 0
    for module in model.modules():
        named = [name for name, value in vars(module).items() if "dropout" in name and type(value) in (int, float)]
        named += ["p"] if isinstance(module, nn.Dropout) else []
        for name in named:
            setattr(module, name, share)
        places += len(named)
    if not places:
        raise ModelError(f"finetuning.dropout = {share:g}: {type(model).__name__} has no dropout")


def output_embedding(model: "PreTrainedModel") -> "nn.Module":
    """The module that turns hidden states into scores of the vocabulary: the head.

    Raises:
        ModelError: the model has none.
    """
    head = model.get_output_embeddings()  # type: ignore[no-untyped-call]
    if head is None:
        raise ModelError(f"{type(model).__name__} has no output embedding")
    return cast("nn.Module", head)


def untie_head(model: "PreTrainedModel") -> bool:
    """Makes the head a copy of its own where it shares the input embedding's weights; returns whether it did.

    The config says so, too: a saved model is read back with the head that was trained.

    Raises:
        ModelError: the model scales its output by whether the embeddings are tied, so that the copy is another model.
    """
    import torch

    head, embedding = output_embedding(model), model.get_input_embeddings()
    if head.weight is not embedding.weight:
        return False
    before = _probe(model)
    head.weight = torch.nn.Parameter(cast(torch.Tensor, head.weight).detach().clone())
    model.config.tie_word_embeddings = False
    model.config.get_text_config().tie_word_embeddings = False
    for name in head_names(model):
        model.all_tied_weights_keys.pop(name, None)
    if not torch.equal(before, _probe(model)):
        raise ModelError(
            f"{type(model).__name__}: its output depends on whether the embeddings are tied, so the head cannot be "
            "trained apart; use strategy full or lora"
        )
    return True


def head_names(model: "PreTrainedModel") -> set[str]:
    """Names of the head's parameters in `model.named_parameters()` (tied: the shared tensor's one name)."""
    head = {id(parameter) for parameter in output_embedding(model).parameters()}
    return {name for name, parameter in model.named_parameters() if id(parameter) in head}


def fingerprints(model: "PreTrainedModel") -> dict[str, str]:
    """Parameter name → SHA-256 of its bytes: all that is kept of the weights before training."""
    import torch

    found = {}
    for name, parameter in model.named_parameters():
        raw = parameter.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        found[name] = hashlib.sha256(raw.numpy().data).hexdigest()
    return found


def changed_names(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the parameters whose bytes differ, sorted."""
    return tuple(sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name)))


def check_changes(strategy: Strategy, changed: tuple[str, ...], *, head: set[str]) -> None:
    """Compares what training changed with what the strategy may change.

    full: anything, but something besides the head; head: the output embedding alone; lora: `lora_` tensors alone;
    prompt: the soft prompt alone (the base's weights keep their bytes).

    Raises:
        ModelError: something else changed, or nothing that should have.
    """
    stray = [name for name in changed if not _may_change(strategy, name, head)]
    if stray:
        raise ModelError(
            f"strategy {strategy} changed {len(stray)} tensors that it must not touch, the first {stray[0]!r}: "
            "a bug of rote or of the model's own code; the model is not saved"
        )
    if not changed or (strategy == "full" and set(changed) <= head):
        found = "only the head" if changed else "nothing"
        raise ModelError(
            f"strategy {strategy} changed {found}: the learning rate is too small, or training ended in the warm-up"
        )


def _may_change(strategy: Strategy, name: str, head: set[str]) -> bool:
    match strategy:
        case "full":
            return True
        case "head":
            return name in head
        case "lora":
            return "lora_" in name
        case "prompt":
            return name.startswith("prompt_encoder.")


def _with_lora(model: "PreTrainedModel", config: FinetuningConfig) -> "PreTrainedModel":
    from peft import LoraConfig, TaskType, get_peft_model
    from transformers.pytorch_utils import Conv1D

    targets = config.lora_targets
    _check_targets(model, targets)
    alpha = config.lora_alpha
    settings = LoraConfig(
        r=config.lora_rank,
        lora_alpha=cast(int, int(alpha) if alpha.is_integer() else alpha),  # a fraction works as well
        lora_dropout=config.lora_dropout,
        target_modules=ALL_LINEAR if targets == (ALL_LINEAR,) else list(targets),
        # GPT-2's Conv1D stores its weight transposed; peft warns where this flag does not say so
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in model.modules()),
        task_type=TaskType.SEQ_2_SEQ_LM if model.config.is_encoder_decoder else TaskType.CAUSAL_LM,
    )
    try:
        return cast("PreTrainedModel", get_peft_model(model, settings))
    except ValueError as error:
        raise ModelError(f"finetuning.lora_targets = {list(targets)}: {str(error).splitlines()[0]}") from error


def _with_soft_prompt(model: "PreTrainedModel", config: FinetuningConfig) -> "PreTrainedModel":
    """The frozen model with trainable vectors before its input, which start as those of tokens drawn at random."""
    from peft import PromptTuningConfig, PromptTuningInit, TaskType, get_peft_model

    settings = PromptTuningConfig(
        num_virtual_tokens=config.prompt_tokens,
        prompt_tuning_init=PromptTuningInit.SAMPLE_VOCAB,
        num_transformer_submodules=1,  # an encoder-decoder model gets them before its encoder alone
        task_type=TaskType.SEQ_2_SEQ_LM if model.config.is_encoder_decoder else TaskType.CAUSAL_LM,
    )
    try:
        return cast("PreTrainedModel", get_peft_model(model, settings))
    except ValueError as error:
        raise ModelError(f"finetuning.strategy = 'prompt': {str(error).splitlines()[0]}") from error


def _check_targets(model: "PreTrainedModel", targets: tuple[str, ...]) -> None:
    """Every named target must be there: peft itself is content if one of them is."""
    if targets == (ALL_LINEAR,):
        return
    if not targets:
        raise ModelError(f"finetuning.lora_targets is empty; give module names or {ALL_LINEAR!r}")
    modules = {name: module for name, module in model.named_modules() if name}
    for target in targets:
        if not any(name == target or name.endswith(f".{target}") for name in modules):
            known = {name.rpartition(".")[2] for name, module in modules.items() if hasattr(module, "weight")}
            there = ", ".join(sorted(known))
            raise ModelError(f"finetuning.lora_targets: no module {target!r} in the model; there are {there}")


def _probe(model: "PreTrainedModel") -> "torch.Tensor":
    """The model's output for three tokens."""
    import torch

    ids = torch.arange(3, device=model.device)[None]
    read = {"decoder_input_ids": ids} if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return cast(torch.Tensor, model(input_ids=ids, **read).logits)
