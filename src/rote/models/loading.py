"""Loads a causal or encoder-decoder model with its tokenizer and adapter."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from rote.config import ModelConfig
from rote.errors import ModelError
from rote.models.adapters import adapter_base, with_adapter
from rote.models.folders import check_folder, check_safetensors, first_line, model_digest
from rote.models.loaded import LoadedModel, pick_device, quiet
from rote.models.tokenizers import check_vocabulary, context_tokens, load_tokenizer, tokenizer_source

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@quiet()
def load_model(source: str, *, adapter: str = "", config: ModelConfig | None = None) -> LoadedModel:
    """Loads a causal or encoder-decoder model (safetensors only), with a PEFT adapter on top where one is given.

    Args:
        source: folder or hub id of the model; may be "" where the adapter names its base.
        adapter: PEFT adapter folder or "".
        config: device, number format, remote code.

    Raises:
        ModelError: nothing can be loaded there; the message says what was looked for.
    """
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    config = config or ModelConfig()
    source = source or adapter_base(adapter)
    device = pick_device(config.device)
    check_folder(source, "model")
    check_safetensors(source, "model")
    options = {"trust_remote_code": config.trust_remote_code}
    try:
        architecture = AutoConfig.from_pretrained(source, **options)
        auto = AutoModelForSeq2SeqLM if architecture.is_encoder_decoder else AutoModelForCausalLM
        loaded = auto.from_pretrained(
            source, dtype=getattr(torch, config.dtype), use_safetensors=True, output_loading_info=True, **options
        )
        model, loading = cast("tuple[PreTrainedModel, dict[str, set[str]]]", loaded)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelError(f"{source}: no model can be loaded: {first_line(error)}") from error
    _check_complete(source, sorted(loading["missing_keys"]))
    virtual_ids: tuple[int, ...] = ()
    if adapter:
        model, virtual_ids = with_adapter(model, adapter)
    tokenizer = load_tokenizer(tokenizer_source(source, adapter), trust_remote_code=config.trust_remote_code)
    check_vocabulary(source, model, tokenizer)
    model.to(device)  # type: ignore[arg-type]
    model.eval()  # type: ignore[no-untyped-call]
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        source=source,
        adapter=adapter,
        is_encoder_decoder=bool(architecture.is_encoder_decoder),
        context_tokens=context_tokens(architecture, tokenizer),
        digest=model_digest(source, adapter),
        virtual_ids=virtual_ids,
    )


def is_encoder_decoder(source: str, *, trust_remote_code: bool = False) -> bool:
    """Whether the model reads its prompt with an encoder; reads its config only.

    Raises:
        ModelError: there is no model config.
    """
    from transformers import AutoConfig

    check_folder(source, "model")
    try:
        return bool(AutoConfig.from_pretrained(source, trust_remote_code=trust_remote_code).is_encoder_decoder)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{source}: no model config can be read: {first_line(error)}") from error


def _check_complete(source: str, missing: Sequence[str]) -> None:
    """transformers fills weights that are not in the file with random numbers, and only warns."""
    if missing:
        raise ModelError(
            f"{source}: {len(missing)} weights of the architecture are not in the folder's safetensors files: "
            f"{', '.join(missing[:4])}{' …' if len(missing) > 4 else ''}"
        )
