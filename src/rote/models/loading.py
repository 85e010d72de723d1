"""Loads a causal or encoder-decoder model with its tokenizer and adapter."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rote.config import ModelConfig
from rote.errors import ModelError
from rote.models.adapters import Adapted, adapter_base, adapter_config, apply_adapter, trained_tokens
from rote.models.failures import reading
from rote.models.folders import (
    ADAPTER_CONFIG,
    check_folder,
    check_safetensors,
    model_digest,
    stray_adapter,
)
from rote.models.loaded import LoadedModel, pick_device, quiet
from rote.models.probing import make_probe
from rote.models.tokenizers import OpenedTokenizer, check_vocabulary, context_tokens, open_tokenizer, tokenizer_source
from rote.models.vocabulary import embedding_weight, needed_rows, resize, resizing_note

if TYPE_CHECKING:
    import torch
    from peft import PeftConfig
    from transformers import PretrainedConfig, PreTrainedModel

NEUTRAL = {
    "output_router_logits": False,
    "output_attentions": False,
    "output_hidden_states": False,
    "return_dict": True,
}
"""Settings of a config that change what a forward pass returns besides the logits, and how they are set for measuring.
(Router logits, with which a mixture of experts is trained, end in an error where a batch has padding or a cache.)"""


@quiet()
def load_model(source: str, *, adapter: str = "", config: ModelConfig | None = None) -> LoadedModel:
    """Loads a causal or encoder-decoder model (safetensors only), with a PEFT adapter on top where one is given.

    An adapter is compared with peft's own model on a few dozen tokens; see `rote.models.adapters`. Adapter files that
    lie beside the model are left alone. Whatever was done that is not a matter of course stands in the model's notes.

    Args:
        source: folder or hub id of the model; may be "" where the adapter names its base.
        adapter: PEFT adapter folder or "".
        config: device, number format, remote code; the tuned and base model, one of which may have the tokenizer that
            the other's folder lacks.

    Raises:
        ModelError: nothing can be loaded there; the message says what was looked for.
    """
    config = config or ModelConfig()
    source = source or adapter_base(adapter)
    device = pick_device(config.device)
    check_folder(source, "model")
    check_safetensors(source, "model")
    architecture = _architecture(source, trust_remote_code=config.trust_remote_code)
    opened = _tokenizer(source, adapter, config)
    context = context_tokens(architecture, opened.tokenizer)

    def load_base() -> "PreTrainedModel":
        return _load_weights(source, architecture, config, device)

    adapted = _load_adapted(source, adapter, opened, load_base, context=context) if adapter else Adapted(load_base())
    check_vocabulary(source, adapted.model, opened.tokenizer)
    adapted.model.to(device)  # type: ignore[arg-type]
    adapted.model.eval()  # type: ignore[no-untyped-call]
    return LoadedModel(
        model=adapted.model,
        tokenizer=opened.tokenizer,
        source=source,
        adapter=adapter,
        is_encoder_decoder=bool(architecture.is_encoder_decoder),
        context_tokens=context,
        digest=model_digest(source, adapter),
        virtual_ids=adapted.virtual_ids,
        notes=(*_stray_note(source, adapter), *opened.notes, *adapted.notes),
    )


def is_encoder_decoder(source: str, *, trust_remote_code: bool = False) -> bool:
    """Whether the model reads its prompt with an encoder; reads its config only.

    Raises:
        ModelError: there is no model config.
    """
    check_folder(source, "model")
    return bool(_architecture(source, trust_remote_code=trust_remote_code).is_encoder_decoder)


def _architecture(source: str, *, trust_remote_code: bool) -> "PretrainedConfig":
    """The model's config, made so that a forward pass returns what is measured and no more."""
    from transformers import AutoConfig

    with reading(f"{source}: no model can be loaded"):
        architecture: PretrainedConfig = AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code)
        _neutralise(architecture)
    return architecture


def _neutralise(architecture: "PretrainedConfig") -> None:
    from transformers import PretrainedConfig

    for name, value in NEUTRAL.items():
        if getattr(architecture, name, value) != value:
            setattr(architecture, name, value)
    for part in vars(architecture).values():
        if isinstance(part, PretrainedConfig):
            _neutralise(part)


def _tokenizer(source: str, adapter: str, config: ModelConfig) -> OpenedTokenizer:
    """The model's tokenizer: its own, or that of the model it came from."""
    place = tokenizer_source(source, adapter, (config.base, config.tuned))
    opened = open_tokenizer(place, trust_remote_code=config.trust_remote_code)
    if place in (source, adapter):
        return opened
    note = f"{source} has no tokenizer: that of {place} is used"
    return OpenedTokenizer(opened.tokenizer, (note, *opened.notes))


def _check_type(source: str, architecture: "PretrainedConfig") -> None:
    """Transformers must know a model of this type that writes text; code that comes with the folder is not looked at."""
    from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING, __version__

    known = MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING if architecture.is_encoder_decoder else MODEL_FOR_CAUSAL_LM_MAPPING
    if type(architecture) not in known and not getattr(architecture, "auto_map", None):
        raise ModelError(
            f"{source}: a model of the type {architecture.model_type!r} cannot be audited: transformers {__version__} knows "
            "none of this type that continues text alone (the text model within it can be audited, where it has a type of its own)"
        )


def _load_weights(
    source: str, architecture: "PretrainedConfig", config: ModelConfig, device: "torch.device"
) -> "PreTrainedModel":
    """The model alone, in evaluation mode."""
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

    _check_type(source, architecture)
    auto = AutoModelForSeq2SeqLM if architecture.is_encoder_decoder else AutoModelForCausalLM
    with reading(f"{source}: no model can be loaded"), _no_adapters():
        loaded = auto.from_pretrained(
            source,
            config=architecture,
            dtype=getattr(torch, config.dtype),
            use_safetensors=True,
            output_loading_info=True,
            trust_remote_code=config.trust_remote_code,
        )
        model, loading = cast("tuple[PreTrainedModel, dict[str, set[str]]]", loaded)
        model.to(device)  # type: ignore[arg-type]
    _check_complete(source, sorted(loading["missing_keys"]))
    if getattr(model, "_hf_peft_config_loaded", False):
        raise ModelError(f"{source}: transformers applied {ADAPTER_CONFIG} beside the model unasked; move it away")
    model.eval()  # type: ignore[no-untyped-call]
    return model


@contextmanager
def _no_adapters() -> Iterator[None]:
    """transformers does not look for adapter files beside a model, which it would apply by itself."""
    from transformers import modeling_utils
    from transformers.models.auto import auto_factory

    def none(source: object, *_: object, **kept: object) -> object:
        return None, source, kept

    lookups: tuple[tuple[object, str, object], ...] = (
        (modeling_utils, "maybe_load_adapters", none),
        (auto_factory, "find_adapter_config_file", lambda *_, **__: None),
    )
    before = [getattr(module, name) for module, name, _ in lookups]
    for module, name, instead in lookups:
        setattr(module, name, instead)
    try:
        yield
    finally:
        for (module, name, _), own in zip(lookups, before, strict=True):
            setattr(module, name, own)


def _stray_note(source: str, adapter: str) -> tuple[str, ...]:
    beside = stray_adapter(source)
    if not beside or (adapter and Path(adapter).resolve() == Path(source).resolve()):
        return ()
    return (f"{source}: the adapter beside the model ({beside}) is not applied",)


def _load_adapted(
    source: str,
    adapter: str,
    opened: OpenedTokenizer,
    load_base: "Callable[[], PreTrainedModel]",
    *,
    context: int,
) -> Adapted:
    """The base with the adapter, its vocabulary as the adapter was trained with."""
    settings = adapter_config(adapter)
    check_safetensors(adapter, "adapter")
    loaded = [load_base()]
    with reading(f"{adapter}: does not fit the model"):
        rows = needed_rows(loaded[0], adapter, opened.tokenizer)
        is_resized = rows != len(embedding_weight(loaded[0]))
        notes = [resizing_note(loaded[0], adapter, rows)] if is_resized else []
    trained = trained_tokens(settings)
    if max(trained, default=0) >= rows:
        raise ModelError(
            f"{adapter}: it trains token {max(trained)}, but model and tokenizer have {rows} tokens; the tokenizer that "
            "it was trained with belongs into its folder"
        )

    def base() -> "PreTrainedModel":
        model = loaded.pop() if loaded else load_base()
        if is_resized:
            resize(model, rows)
        return model

    with reading(f"{source}: the tokenizer does not fit"):
        if not is_resized:
            check_vocabulary(source, loaded[0], opened.tokenizer)
        probe = make_probe(
            loaded[0],
            opened.tokenizer,
            trained=trained,
            invoking=getattr(settings, "alora_invocation_tokens", None) or (),
            context=context,
        )
    adapted = apply_adapter(adapter, base, probe)
    return Adapted(adapted.model, adapted.virtual_ids, (*_base_note(source, settings), *notes, *adapted.notes))


def _base_note(source: str, settings: "PeftConfig") -> tuple[str, ...]:
    """Says where the adapter names another base than the model that it is put on."""
    named = str(settings.base_model_name_or_path or "")
    if not named or Path(named).name == Path(source).name:
        return ()
    if Path(named).is_dir() and model_digest(named) == model_digest(source):
        return ()
    return (f"the adapter was trained on {named}; it is put on {source}, as given",)


def _check_complete(source: str, missing: Sequence[str]) -> None:
    """transformers fills weights that are not in the file with random numbers, and only warns."""
    if missing:
        raise ModelError(
            f"{source}: {len(missing)} weights of the architecture are not in the folder's safetensors files: "
            f"{', '.join(missing[:4])}{' …' if len(missing) > 4 else ''}"
        )
