"""PEFT adapters on top of a model: merged where that changes nothing, else left beside the weights, else refused.

What peft's own model says about a few dozen tokens is the reference. Nothing is decided by an adapter's name: whether it
can be merged, whether it can be run unmerged, and whether it loads to the same weights each time are all tried.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rote.errors import ModelError
from rote.models.failures import reading, reason
from rote.models.folders import ADAPTER_CONFIG, check_folder, looks_local, read_config
from rote.models.probing import Probe, largest_difference, rounding

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig, PeftModel
    from torch import nn
    from transformers import PreTrainedModel

CONVERT = (
    "merge it where it was trained (merge_and_unload, save_pretrained) and give the result with --model, or save it "
    "there with path_initial_model_for_weight_conversion"
)
"""How an adapter becomes one that does not depend on how it was initialised."""
REPLACED_BASES = ("corda", "lora_ga", "loftq")
"""Initialisations whose training starts from other base weights, found with data that the folder does not hold: peft loads
them onto the plain base without a word. Those that can be repeated from the weights alone are found by trying."""
OUTSIDE = {
    "megatron_config": "a module of another library",
    "arrow_config": "further adapters",
    "adapters": "further adapters (X-LoRA)",
}
"""Settings with which an adapter is not in its folder alone, and what they ask for."""


TWICE_NATS = 1e-4
"""Largest difference of two loads of the same adapter."""
EFFECT_SHARE = 0.25
"""In a narrow number format: rounding by the merge may be so much of what the adapter does."""
INSIDE = ("base_layer", "original_module")
"""Where peft keeps the layer that it wraps."""


@dataclass(frozen=True, slots=True)
class Adapted:
    """A model with its adapter."""

    model: "PreTrainedModel"
    virtual_ids: tuple[int, ...] = ()
    """Ids of a soft prompt; see `rote.models.soft_prompts`."""
    notes: tuple[str, ...] = ()


def adapter_base(adapter: str) -> str:
    """The base model that an adapter's config names.

    Raises:
        ModelError: there is no adapter config, or it names no base.
    """
    named = adapter_config(adapter).base_model_name_or_path
    if not named:
        raise ModelError(f"{adapter}: its adapter_config.json names no base model; give one with --base")
    if looks_local(str(named)) and not Path(named).is_dir():
        raise ModelError(
            f"{adapter}: its adapter_config.json names the base model {named}, which is not there; give it with --base"
        )
    return str(named)


def adapter_config(adapter: str) -> "PeftConfig":
    """The adapter's settings.

    Raises:
        ModelError: they are not there, cannot be read, or ask for something outside the folder.
    """
    from peft import PeftConfig

    check_folder(adapter, "adapter")
    settings = read_config(adapter, ADAPTER_CONFIG)
    for name, asked in OUTSIDE.items():
        if settings.get(name):
            raise ModelError(f"{adapter}: its adapter_config.json asks for {asked} ({name}), which is not measured")
    with reading(f"{adapter}: no PEFT adapter can be loaded"):
        config: PeftConfig = PeftConfig.from_pretrained(adapter)
    if config.peft_type is None:
        raise ModelError(f"{adapter}: its adapter_config.json names no peft_type")
    return config


def apply_adapter(adapter: str, load_base: "Callable[[], PreTrainedModel]", probe: Probe) -> Adapted:
    """The base model with the adapter, which says about the probe what peft's own model says.

    Args:
        adapter: folder of the adapter, or its hub id.
        load_base: gives the base model anew, in evaluation mode: a merge that went wrong cannot be taken back.
        probe: the tokens that everything is tried on.

    Raises:
        ModelError: the adapter does not fit the model, is not the same each time it is loaded, or cannot be run so that
            it equals peft's own model.
    """
    from rote.models.soft_prompts import add_soft_prompt, check_task

    config = adapter_config(adapter)
    _check_initialisation(adapter, config)
    with reading(f"{adapter}: does not fit the model", remedy=_remedy(config)), warnings.catch_warnings():
        warnings.filterwarnings("ignore")  # what peft warns of is tried here
        warnings.filterwarnings("error", message="Found missing adapter keys")
        base = load_base()
        if config.is_prompt_learning:
            check_task(base, config)
            return Adapted(*add_soft_prompt(inject(base, adapter, config), config, probe))
        plain = probe.log_probabilities(base)
        adapted = inject(base, adapter, config)
        said = probe.log_probabilities(adapted)
        if _is_remade(adapted, adapter, plain, probe):
            _check_repeatable(adapter, config, said, probe.log_probabilities(inject(load_base(), adapter, config)))
        tolerance = rounding(said, base.dtype)
        beside = largest_difference(said, probe.log_probabilities(adapted.get_base_model()))
        merged, why = _merged(adapted, said, probe, tolerance=_for_merging(tolerance, said, plain, base))
        if merged is not None:
            return Adapted(merged)
        if beside > tolerance:
            raise ModelError(
                f"{adapter}: cannot be measured: what a {_kind(config)} adapter does is not in the model's layers alone, where rote would run it "
                f"(differences of up to {beside:.2g} nats from peft's own model), and {why}; audit a model that holds it merged"
            )
        del base, adapted
        adapted = inject(load_base(), adapter, config)
        _check_sight(adapter, config, said, probe, adapted, tolerance=tolerance)
    note = f"the {_kind(config)} adapter is run beside the weights, not merged into them: {why}"
    return Adapted(cast("PreTrainedModel", adapted.get_base_model()), notes=(note,))


def inject(model: "PreTrainedModel", adapter: str, config: "PeftConfig") -> "PeftModel":
    """peft's own model, in evaluation mode, with every weight of the adapter's file in it.

    Raises:
        ValueError, RuntimeError, UserWarning …: it does not fit.
    """
    from peft import PeftModel

    if hasattr(config, "prompt_tuning_init"):
        config.prompt_tuning_init = "RANDOM"  # a start, which may name files; the vectors themselves are loaded
    adapted: PeftModel = PeftModel.from_pretrained(model, adapter, config=config)
    adapted.eval()
    _check_used(adapted, adapter)
    return adapted


def _remedy(config: "PeftConfig") -> str:
    named = str(getattr(config, "base_model_name_or_path", "") or "")
    return "give the base model that it was trained on with --base" + (f" (it names {named})" if named else "")


def _kind(config: "PeftConfig") -> str:
    return str(getattr(config.peft_type, "value", config.peft_type))


def _check_initialisation(adapter: str, config: "PeftConfig") -> None:
    start = str(getattr(config, "init_lora_weights", "")).lower()
    if start in REPLACED_BASES:
        raise ModelError(
            f"{adapter}: init_lora_weights = {start!r}: it was trained on base weights that this initialisation had "
            f"changed, and that its folder does not hold; {CONVERT}"
        )


def _check_used(adapted: "PeftModel", adapter: str) -> None:
    """peft passes over adapter weights for which the model has no place, without a word."""
    import torch
    from peft import get_peft_model_state_dict, load_peft_weights

    saved = load_peft_weights(adapter, device="cpu")
    held = get_peft_model_state_dict(adapted, save_embedding_layers=True)
    unused = sorted(set(saved) - set(held))
    if unused:
        raise ValueError(f"the model has no place for {len(unused)} of its weights, e.g. {unused[0]}")
    other = [name for name, value in saved.items() if not torch.equal(held[name].cpu(), value.to(held[name].dtype))]
    if other:
        raise ValueError(f"{len(other)} of its weights are not what peft loads, e.g. {sorted(other)[0]}")


def _is_remade(adapted: "PeftModel", adapter: str, plain: "torch.Tensor", probe: Probe) -> bool:
    """Whether loading computes something: other base weights, or weights of the adapter that its file does not hold."""
    from peft import get_peft_model_state_dict, load_peft_weights

    if set(get_peft_model_state_dict(adapted)) - set(load_peft_weights(adapter, device="cpu")):
        return True
    dtype = cast("PreTrainedModel", adapted.get_base_model()).dtype
    try:
        with adapted.disable_adapter():
            return largest_difference(plain, probe.log_probabilities(adapted)) > rounding(plain, dtype)
    except Exception:  # some kinds cannot be switched off: then nothing is known
        return True


def _check_repeatable(adapter: str, config: "PeftConfig", said: "torch.Tensor", again: "torch.Tensor") -> None:
    apart = largest_difference(said, again)
    if apart > TWICE_NATS:
        start = getattr(config, "init_lora_weights", getattr(config, "init_weights", None))
        raise ModelError(
            f"{adapter}: cannot be measured: loaded twice it gives other weights (log-probabilities differ by up to {apart:.2g} nats): its start "
            f"({start!r}) is computed anew at random at each load, so that nobody can load what was trained; {CONVERT}"
        )


def _check_sight(
    adapter: str, config: "PeftConfig", said: "torch.Tensor", probe: Probe, adapted: "PeftModel", *, tolerance: float
) -> None:
    """Weights see what the model sees; layers beside them may look at the whole text."""
    shorter = replace(probe, places=max(1, len(said) // 2)).log_probabilities(adapted)
    apart = largest_difference(said[: len(shorter)], shorter)
    if apart > tolerance:
        raise ModelError(
            f"{adapter}: cannot be measured: what the {_kind(config)} adapter does to a token depends on the tokens after it (log-probabilities differ by "
            f"up to {apart:.2g} nats where the text ends earlier), so nothing it predicts can be scored"
        )


def _for_merging(tolerance: float, said: "torch.Tensor", plain: "torch.Tensor", base: "PreTrainedModel") -> float:
    """Merged weights are rounded once more; in a narrow format that must stay small against what the adapter does."""
    import torch

    if base.dtype in (torch.float32, torch.float64):
        return tolerance
    effect = largest_difference(said, plain)
    return min(tolerance, EFFECT_SHARE * effect)


def _merged(
    adapted: "PeftModel", said: "torch.Tensor", probe: Probe, *, tolerance: float
) -> "tuple[PreTrainedModel | None, str]":
    """The model with the adapter in its weights if that changes nothing; else None, and why.

    A tied output embedding is untied first: an adapter on the head must not change the input embedding. The weights of
    the given model are spoilt.
    """
    _untie(cast("PreTrainedModel", adapted.get_base_model()))
    try:
        merged = cast("PreTrainedModel", adapted.merge_and_unload())
    except (AttributeError, NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        return None, f"peft cannot merge it ({reason(error)})"
    merged.eval()  # type: ignore[no-untyped-call]
    apart = largest_difference(said, probe.log_probabilities(merged))
    if apart <= tolerance:
        return merged, ""
    return None, f"merged it differs by up to {apart:.2g} nats from peft's own model"


def _untie(model: "PreTrainedModel") -> None:
    import torch

    embedding = _inmost(model.get_input_embeddings())
    head = _inmost(cast("nn.Module | None", model.get_output_embeddings()))  # type: ignore[no-untyped-call]
    if head is not None and embedding is not None and head.weight is embedding.weight:
        weight = cast(torch.Tensor, head.weight)
        head.weight = torch.nn.Parameter(weight.detach().clone(), requires_grad=False)


def _inmost(module: "nn.Module | None") -> "nn.Module | None":
    """The layer itself, inside what an adapter puts around it."""
    while module is not None:
        inner = next((getattr(module, name, None) for name in INSIDE if hasattr(module, name)), None)
        if inner is None:
            break
        module = inner
    return module


def trained_tokens(config: "PeftConfig") -> list[int]:
    """Ids whose embeddings the adapter trains one by one."""
    named = getattr(config, "trainable_token_indices", None) or getattr(config, "token_indices", None) or []
    parts = named.values() if isinstance(named, dict) else [named]
    return [int(token) for part in parts for token in part]
