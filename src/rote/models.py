"""The only place that loads models: transformers and peft, tokenizer, device, number format, hash.

`import rote.models` is cheap; transformers is imported when a model is loaded.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rote.config import ModelConfig
from rote.errors import ModelError
from rote.records import content_id
from rote.runs import file_hash

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model that is ready to run: in evaluation mode, on its device, with its tokenizer."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    source: str
    adapter: str
    is_encoder_decoder: bool
    context_tokens: int
    """Longest input (decoder-only: prompt and generation together); encoder-decoder: a conservative bound."""
    digest: str
    """Depends on the weights of model and adapter; the key of everything computed with them."""

    @property
    def device(self) -> "torch.device":
        """Where the weights lie."""
        return self.model.device


def pick_device(name: str) -> "torch.device":
    """The named device; "auto" is CUDA where there is one.

    Raises:
        ModelError: the device is not known or not there.
    """
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ModelError(f"model.device: {name!r} is not a device: {str(error).splitlines()[0]}") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"model.device = {name!r}, but this machine has no CUDA device")
    return device


def load_tokenizer(source: str, *, trust_remote_code: bool = False) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model folder or hub id, padding with its end token where it has no padding token."""
    from transformers import AutoTokenizer

    check_folder(source, "model")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{source}: no tokenizer can be loaded: {_first_line(error)}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token_id is None:
        raise ModelError(f"{source}: the tokenizer has neither a padding nor an end token")
    return tokenizer


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
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM

    config = config or ModelConfig()
    source = source or adapter_base(adapter)
    device = pick_device(config.device)
    check_folder(source, "model")
    options = {"trust_remote_code": config.trust_remote_code}
    try:
        architecture = AutoConfig.from_pretrained(source, **options)
        auto = AutoModelForSeq2SeqLM if architecture.is_encoder_decoder else AutoModelForCausalLM
        model = auto.from_pretrained(source, dtype=getattr(torch, config.dtype), use_safetensors=True, **options)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{source}: no model can be loaded: {_first_line(error)}") from error
    if adapter:
        model = _with_adapter(model, adapter)
    tokenizer = load_tokenizer(_tokenizer_source(source, adapter), trust_remote_code=config.trust_remote_code)
    model.to(device)  # type: ignore[arg-type]
    model.eval()
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        source=source,
        adapter=adapter,
        is_encoder_decoder=bool(architecture.is_encoder_decoder),
        context_tokens=_context_tokens(architecture, tokenizer),
        digest=model_digest(source, adapter),
    )


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
        raise ModelError(f"{adapter}: no PEFT adapter can be loaded: {_first_line(error)}") from error
    if not named:
        raise ModelError(f"{adapter}: its adapter_config.json names no base model; give one with --base")
    return str(named)


def model_digest(source: str, adapter: str = "") -> str:
    """Sixteen hexadecimal digits that depend on the weights and configs (a hub id: on its name)."""
    return content_id(*(_folder_digest(name) for name in (source, adapter) if name))


def check_folder(source: str, what: str) -> None:
    """Raises a ModelError that names what is missing where `source` is meant to be a local folder."""
    path = Path(source)
    if not source:
        raise ModelError(f"no {what} given")
    looks_local = path.exists() or source.startswith((".", "/", "~")) or source.count("/") > 1 or os.sep != "/"
    if looks_local and not path.is_dir():
        raise ModelError(f"{source}: no such {what} folder")
    expected = "adapter_config.json" if what == "adapter" else "config.json"
    if path.is_dir() and not (path / expected).exists():
        names = ", ".join(sorted(item.name for item in path.iterdir())[:8]) or "nothing"
        raise ModelError(f"{source}: not a {what} folder: no {expected} (found {names})")


def _with_adapter(model: "PreTrainedModel", adapter: str) -> "PreTrainedModel":
    from peft import PeftModel

    check_folder(adapter, "adapter")
    try:
        adapted: PreTrainedModel = PeftModel.from_pretrained(model, adapter).merge_and_unload()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"{adapter}: does not fit the model: {_first_line(error)}") from error
    return adapted


def _tokenizer_source(source: str, adapter: str) -> str:
    has_own = adapter and (Path(adapter) / "tokenizer_config.json").exists()
    return adapter if has_own else source


def _context_tokens(architecture: object, tokenizer: "PreTrainedTokenizerBase") -> int:
    names = ("max_position_embeddings", "n_positions", "max_sequence_length")
    known = [getattr(architecture, name, None) for name in names]
    bounds = [int(value) for value in [*known, tokenizer.model_max_length] if value and 0 < value < 1_000_000]
    return min(bounds) if bounds else 1024


def _folder_digest(source: str) -> str:
    path = Path(source)
    if not path.is_dir():
        return source
    kept = [
        item for item in sorted(path.iterdir()) if item.suffix == ".safetensors" or item.name.endswith("config.json")
    ]
    return json.dumps([[item.name, file_hash(item)] for item in kept])


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
