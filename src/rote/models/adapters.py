"""PEFT adapters on top of a model."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rote.errors import ModelError
from rote.models.folders import check_folder, check_safetensors, first_line, looks_local

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel


def adapter_base(adapter: str) -> str:
    """The base model that an adapter's config names.

    Raises:
        ModelError: there is no adapter config, or it names no base.
    """
    from peft import PeftConfig

    check_folder(adapter, "adapter")
    try:
        named = PeftConfig.from_pretrained(adapter).base_model_name_or_path
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{adapter}: no PEFT adapter can be loaded: {first_line(error)}") from error
    if not named:
        raise ModelError(f"{adapter}: its adapter_config.json names no base model; give one with --base")
    if looks_local(str(named)) and not Path(named).is_dir():
        raise ModelError(
            f"{adapter}: its adapter_config.json names the base model {named}, which is not there; give it with --base"
        )
    return str(named)


def with_adapter(model: "PreTrainedModel", adapter: str) -> "tuple[PreTrainedModel, tuple[int, ...]]":
    """The model with the adapter in it, and the ids of its soft prompt, if it is one."""
    from safetensors import SafetensorError

    from rote.models.soft_prompts import add_soft_prompt, is_soft_prompt

    check_folder(adapter, "adapter")
    check_safetensors(adapter, "adapter")
    try:
        if is_soft_prompt(adapter):
            return model, add_soft_prompt(model, adapter)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise ModelError(f"{adapter}: does not fit the model: {first_line(error)}") from error
    return _merged(model, adapter), ()


def _merged(model: "PreTrainedModel", adapter: str) -> "PreTrainedModel":
    """The model with the adapter merged into its weights.

    A tied output embedding is untied first: an adapter on the head must not change the input embedding.
    """
    from peft import PeftModel
    from safetensors import SafetensorError

    _untie(model)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*(tie_word_embeddings|embedding layer)")
            warnings.filterwarnings("error", message="Found missing adapter keys")
            adapted = PeftModel.from_pretrained(model, adapter)
            _check_used(adapted, adapter)
            merged: PreTrainedModel = adapted.merge_and_unload()
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, UserWarning, SafetensorError) as error:
        raise ModelError(f"{adapter}: does not fit the model: {first_line(error)}") from error
    except (AttributeError, NotImplementedError) as error:
        raise ModelError(
            f"{adapter}: neither an adapter that can be merged into the weights (LoRA and its like) nor a soft prompt"
        ) from error
    return merged


def _untie(model: "PreTrainedModel") -> None:
    import torch

    head = cast("torch.nn.Linear | None", model.get_output_embeddings())  # type: ignore[no-untyped-call]
    if head is not None and head.weight is model.get_input_embeddings().weight:
        head.weight = torch.nn.Parameter(head.weight.detach().clone())


def _check_used(adapted: "PeftModel", adapter: str) -> None:
    """peft passes over adapter weights for which the model has no place, without a word."""
    from peft import get_peft_model_state_dict, load_peft_weights

    unused = sorted(
        set(load_peft_weights(adapter, device="cpu"))
        - set(get_peft_model_state_dict(adapted, save_embedding_layers=True))
    )
    if unused:
        raise ValueError(f"the model has no place for {len(unused)} of its weights, e.g. {unused[0]}")
