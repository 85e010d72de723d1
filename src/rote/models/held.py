"""Models that a caller holds in memory, written as folders that are audited like any other.

The caller's model is read and never changed. What is saved is a copy of its modules around the same weights (on a device:
copies of them), because transformers and peft set config entries of what they save. Afterwards the model that is held and
the one that was loaded from the folder are compared on a few dozen tokens: hooks, replaced methods, merged or switched-off
adapters and subclasses make it another model than its weights say, and then nothing is measured.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rote.config import ModelConfig
from rote.errors import ModelError
from rote.models.failures import reading
from rote.models.loaded import own_random_numbers, quiet
from rote.models.loading import load_model
from rote.models.probing import Probe, largest_difference, make_probe, rounding
from rote.models.tokenizers import has_tokenizer, load_tokenizer, tokenizer_source
from rote.runs.disk import make_private, private_folder, remove, temporary_path

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


REPLACED = ("forward", "_original_forward", "_old_forward", "_hf_hook")
"""What accelerate sets on a module to cast, or to move, what it reads and writes: no part of the model."""
MIXED_PRECISION = "_original_forward"
"""Set where a Trainer has left the model with a forward pass that runs in half precision."""


@dataclass(frozen=True, slots=True)
class Written:
    """Where a held model was written: the folder of the model and, if it has one, that of its adapter ("" if not)."""

    model: str
    adapter: str


def is_held(model: object) -> bool:
    """Whether this is something in memory, not the path or the name of a model."""
    return not isinstance(model, (str, Path))


@quiet()
def write_held(model: object, tokenizer: object, place: Path, *, name: str) -> Written:
    """Writes a model that the caller holds, with its tokenizer; the model is not changed.

    Args:
        model: a `PreTrainedModel`, or a `PeftModel` around one, on any device, in any mode.
        tokenizer: a tokenizer, its folder or hub id; None: that of the place which the model says it came from, if there
            is one.
        place: folder in a run; the model goes to `place/name`, the adapter of a `PeftModel` to `place/name-adapter`.
        name: "tuned" or "base".

    Raises:
        ModelError: it is no such model, or one that cannot be written: quantised, without weights here, with several
            adapters at once, with a merged adapter …
    """
    from peft import PeftModel

    _check_kind(model, name)
    held = cast("PreTrainedModel | PeftModel", model)
    _check_weights(held, name)
    with reading(f"{name}: the {type(held).__name__} that was given cannot be written"):
        copied = _copied(held)
        folder, adapter = place / name, place / f"{name}-adapter"
        private_folder(place, is_inner=True)
        if isinstance(copied, PeftModel):
            with _written(adapter) as new:
                _save_adapter(copied, new, name)
            prompts = copied.active_peft_config.is_prompt_learning
            copied = cast("PreTrainedModel", copied.get_base_model() if prompts else copied.unload())
        else:
            remove(adapter)
        with _written(folder) as new:
            copied.save_pretrained(new)
            found = _tokenizer(tokenizer, held)
            if found is not None:
                copy.deepcopy(found).save_pretrained(new)
    return Written(str(folder), str(adapter) if adapter.is_dir() else "")


@quiet()
def check_as_held(model: object, written: Written, config: ModelConfig, *, name: str) -> None:
    """Loads what was written, and compares it with the model that is held, in evaluation mode, on a few dozen tokens.

    Raises:
        ModelError: the two do not say the same.
    """
    held = cast("PreTrainedModel | PeftModel", model)
    if not has_tokenizer(tokenizer_source(written.model, written.adapter, (config.base, config.tuned))):
        raise ModelError(
            f"{name}: no tokenizer can be loaded: give that of the {type(held).__name__} in memory with tokenizer=…"
        )
    with own_random_numbers():
        loaded = load_model(written.model, adapter=written.adapter, config=config)
    probe = make_probe(loaded.model, loaded.tokenizer, context=loaded.context_tokens)
    with reading(f"{name}: the {type(held).__name__} that was given cannot be run"), _evaluating(held):
        said = _with_task(probe, held).log_probabilities(held)
    again = replace(probe, before=loaded.virtual_ids).log_probabilities(loaded.model)
    apart = largest_difference(said, again)
    if not apart <= max(rounding(said, _dtype(held)), rounding(again, loaded.model.dtype)):
        raise ModelError(
            f"{name}: what the {type(held).__name__} in memory says is not what its weights and its config say: "
            f"log-probabilities differ by up to {apart:.2g} nats after it was saved and loaded again; remove hooks and "
            "replaced methods, switch its adapter on, or save the model that you mean and give its folder"
        )


def _check_kind(model: object, name: str) -> None:
    from peft import PeftModel
    from peft.tuners.tuners_utils import BaseTunerLayer
    from transformers import PreTrainedModel

    found = f"{type(model).__module__}.{type(model).__name__}"
    if not isinstance(model, (PreTrainedModel, PeftModel)):
        inner = next((part for part in ("_orig_mod", "module", "model") if hasattr(model, part)), "")
        hint = f"; the model inside it may be what is meant: .{inner}" if inner else ""
        raise ModelError(
            f"{name}: expected a folder, a hub id, a transformers PreTrainedModel or a PeftModel, found {found}{hint}"
        )
    layers = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
    if not isinstance(model, PeftModel):
        if layers or getattr(model, "_hf_peft_config_loaded", False):
            raise ModelError(
                f"{name}: this {found} has the layers of an adapter in it, so it is neither the base nor a PeftModel: give "
                "the PeftModel around it (its base model is taken from it), or the base as its folder"
            )
        return
    if len(model.active_adapters) != 1:
        raise ModelError(f"{name}: exactly one adapter must be active, found {model.active_adapters}")
    if any(getattr(layer, "merged", False) for layer in layers):
        raise ModelError(
            f"{name}: the adapter is merged into its base at the moment, which then is no base: call unmerge_adapter() "
            "first, or give what merge_and_unload() returns, and the base beside it"
        )


def _check_weights(model: "nn.Module", name: str) -> None:
    if getattr(model, "is_quantized", False) or getattr(model, "hf_quantizer", None) is not None:
        raise ModelError(
            f"{name}: a quantised model in memory cannot be written as it is; give the folder of the model"
        )
    away = [key for key, value in model.named_parameters() if value.is_meta]
    if away:
        raise ModelError(
            f"{name}: {len(away)} weights are not in memory but offloaded, e.g. {away[0]}; give the folder"
        )


def _copied(model: "PreTrainedModel | PeftModel") -> "PreTrainedModel | PeftModel":
    """The modules copied, the weights shared where they lie in the computer's memory, and brought there where not."""
    import torch
    from peft import PeftModel

    memo: dict[int, object] = {}
    for parameter in model.parameters():
        memo[id(parameter)] = torch.nn.Parameter(parameter.detach().cpu(), requires_grad=False)
    for buffer in model.buffers():
        memo[id(buffer)] = buffer.detach().cpu()
    for module in model.modules():
        memo |= {id(vars(module)[name]): "" for name in REPLACED if name in vars(module)}
    copied = copy.deepcopy(model, memo)
    for module in copied.modules():
        for name in REPLACED:
            vars(module).pop(name, None)
    _keep_ids_alone(cast("PreTrainedModel", copied.get_base_model() if isinstance(copied, PeftModel) else copied))
    return copied


def _keep_ids_alone(model: "PreTrainedModel") -> None:
    """Of the settings of generation the ids of tokens stay: rote reads no other, and transformers saves no odd ones."""
    from transformers import GenerationConfig

    own = getattr(model, "generation_config", None)
    if own is not None:
        ids = {name: value for name, value in own.to_dict().items() if name.endswith("_token_id")}
        model.generation_config = GenerationConfig(**ids)  # type: ignore[no-untyped-call]


def _dtype(model: "PreTrainedModel | PeftModel") -> "torch.dtype":
    """The narrowest format that the model computes in."""
    import torch

    return torch.bfloat16 if MIXED_PRECISION in vars(model) else cast("torch.dtype", model.dtype)


def _save_adapter(model: "PeftModel", folder: Path, name: str) -> None:
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    (adapter,) = model.active_adapters
    weights = get_peft_model_state_dict(model, adapter_name=adapter, save_embedding_layers=False)
    save_file(
        {key: value.detach().clone().contiguous() for key, value in weights.items()},
        folder / "adapter_model.safetensors",
        metadata={"format": "pt"},
    )
    settings = model.peft_config[adapter]
    settings.inference_mode = True
    settings.base_model_name_or_path = name
    settings.save_pretrained(str(folder))


def _tokenizer(tokenizer: object, model: "nn.Module") -> "PreTrainedTokenizerBase | None":
    """The tokenizer that was given, or that of the place which the model came from; None where there is none."""
    from transformers import PreTrainedTokenizerBase

    if isinstance(tokenizer, (str, Path)):
        return load_tokenizer(str(tokenizer))
    if isinstance(tokenizer, PreTrainedTokenizerBase):
        return tokenizer
    if tokenizer is not None:
        found = f"{type(tokenizer).__module__}.{type(tokenizer).__name__}"
        raise ModelError(f"tokenizer: expected a folder, a hub id or a transformers tokenizer, found {found}")
    origin = str(getattr(model, "name_or_path", "") or "")
    return load_tokenizer(origin) if origin and Path(origin).is_dir() and has_tokenizer(origin) else None


@contextmanager
def _written(folder: Path) -> Iterator[Path]:
    """A new folder that takes the place of this one as a whole."""
    new = temporary_path(folder)
    remove(new)
    new.mkdir()
    try:
        yield new
        make_private(new)
        remove(folder)
        new.rename(folder)
    finally:
        remove(new)


@contextmanager
def _evaluating(model: "nn.Module") -> Iterator[None]:
    """Within it every module is in evaluation mode; afterwards each is in its own again."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def _with_task(probe: Probe, model: "nn.Module") -> Probe:
    from peft import MultitaskPromptTuningConfig, PeftModel

    if not isinstance(model, PeftModel):
        return probe
    return replace(probe, has_task=isinstance(model.active_peft_config, MultitaskPromptTuningConfig))
