"""The only place that loads models: transformers and peft, tokenizer, device, number format, hash.

`import rote.models` is cheap; transformers is imported when a model is loaded.
"""

import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rote.config import ModelConfig
from rote.errors import ModelError
from rote.records import content_id
from rote.runs import file_hash

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

CONFIGS = {"model": "config.json", "adapter": "adapter_config.json"}
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "merges.txt", "vocab.txt")
DEFAULT_CONTEXT = 1024
"""Context of a model whose config and tokenizer name none (T5: relative positions, no bound)."""
UNBOUNDED = 10**12
"""Tokenizers without a bound say a larger number than this."""


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
    virtual_ids: tuple[int, ...] = ()
    """Ids of a soft prompt, which stand before everything that the model reads; see `rote.soft_prompts`."""

    @property
    def device(self) -> "torch.device":
        """Where the weights lie."""
        return self.model.device


@contextmanager
def quiet() -> Iterator[None]:
    """Transformers and peft say nothing below an error, and show no bars of their own."""
    from transformers import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            # from the Trainer's own checkpoints of adapters; nothing is amiss
            warnings.filterwarnings("ignore", message="(Could not find a config file|Setting `save_embedding_layers`)")
            # from merging an adapter; about an argument that we do not give
            warnings.filterwarnings("ignore", category=FutureWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


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

    check_folder(source, "tokenizer")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{source}: no tokenizer can be loaded: {_first_line(error)}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token_id is None:
        raise ModelError(f"{source}: the tokenizer has neither a padding nor an end token")
    return tokenizer


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
        raise ModelError(f"{source}: no model can be loaded: {_first_line(error)}") from error
    _check_complete(source, sorted(loading["missing_keys"]))
    virtual_ids: tuple[int, ...] = ()
    if adapter:
        model, virtual_ids = _with_adapter(model, adapter)
    tokenizer = load_tokenizer(tokenizer_source(source, adapter), trust_remote_code=config.trust_remote_code)
    _check_vocabulary(source, model, tokenizer)
    model.to(device)  # type: ignore[arg-type]
    model.eval()  # type: ignore[no-untyped-call]
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        source=source,
        adapter=adapter,
        is_encoder_decoder=bool(architecture.is_encoder_decoder),
        context_tokens=_context_tokens(architecture, tokenizer),
        digest=model_digest(source, adapter),
        virtual_ids=virtual_ids,
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
    if _looks_local(str(named)) and not Path(named).is_dir():
        raise ModelError(
            f"{adapter}: its adapter_config.json names the base model {named}, which is not there; give it with --base"
        )
    return str(named)


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
        raise ModelError(f"{source}: no model config can be read: {_first_line(error)}") from error


def model_digest(source: str, adapter: str = "") -> str:
    """Sixteen hexadecimal digits that depend on the weights and configs (a hub id: on its name)."""
    return content_id(*(_folder_digest(name) for name in (source, adapter) if name))


def tokenizer_digest(source: str) -> str:
    """Sixteen hexadecimal digits that depend on the tokenizer's files (a hub id: on its name)."""
    path = Path(source)
    names = [name for name in TOKENIZER_FILES if (path / name).is_file()]
    return content_id(*(part for name in names for part in (name, file_hash(path / name)))) if names else source


def check_folder(source: str, what: str) -> None:
    """Raises a ModelError that names what is missing where `source` is meant to be a local folder.

    Args:
        source: folder or hub id (of which nothing can be said).
        what: "model", "adapter" or "tokenizer".
    """
    path = Path(source)
    if not source:
        raise ModelError(f"no {what} given")
    if _looks_local(source) and not path.is_dir():
        raise ModelError(f"{source}: no such {what} folder")
    expected = CONFIGS.get(what)
    if path.is_dir() and expected and not (path / expected).exists():
        is_adapter = what == "model" and (path / CONFIGS["adapter"]).exists()
        hint = "; it is a PEFT adapter, which is given with --adapter" if is_adapter else ""
        raise ModelError(f"{source}: no {expected} in the {what} folder (found {_names(path)}){hint}")


def _looks_local(source: str) -> bool:
    is_path = source.startswith((".", "/", "~")) or source.count("/") > 1 or "\\" in source
    return is_path or Path(source).exists()


def check_safetensors(source: str, what: str) -> None:
    """Raises a ModelError where a local folder has no weights that can be read safely; see `check_folder`."""
    path = Path(source)
    if path.is_dir() and not any(path.glob("*.safetensors")):
        raise ModelError(
            f"{source}: no *.safetensors file in the {what} folder (found {_names(path)}); weights are read from "
            "safetensors only: a .bin or .pt file is a pickle, which runs any code it holds when it is opened"
        )


def _check_complete(source: str, missing: Sequence[str]) -> None:
    """transformers fills weights that are not in the file with random numbers, and only warns."""
    if missing:
        raise ModelError(
            f"{source}: {len(missing)} weights of the architecture are not in the folder's safetensors files: "
            f"{', '.join(missing[:4])}{' …' if len(missing) > 4 else ''}"
        )


def _check_vocabulary(source: str, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> None:
    rows = int(cast("torch.nn.Embedding", model.get_input_embeddings()).weight.shape[0])
    if len(tokenizer) > rows:
        raise ModelError(
            f"{source}: the tokenizer has {len(tokenizer)} tokens, the model only {rows}: they do not belong together"
        )


def _with_adapter(model: "PreTrainedModel", adapter: str) -> "tuple[PreTrainedModel, tuple[int, ...]]":
    """The model with the adapter in it, and the ids of its soft prompt, if it is one."""
    from safetensors import SafetensorError

    from rote.soft_prompts import add_soft_prompt, is_soft_prompt

    check_folder(adapter, "adapter")
    check_safetensors(adapter, "adapter")
    try:
        if is_soft_prompt(adapter):
            return model, add_soft_prompt(model, adapter)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise ModelError(f"{adapter}: does not fit the model: {_first_line(error)}") from error
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
        raise ModelError(f"{adapter}: does not fit the model: {_first_line(error)}") from error
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


def tokenizer_source(source: str, adapter: str) -> str:
    """Where the tokenizer lies: with the adapter, if it has one of its own, else with the model."""
    has_own = adapter and (Path(adapter) / "tokenizer_config.json").exists()
    return adapter if has_own else source


def _context_tokens(architecture: "PretrainedConfig", tokenizer: "PreTrainedTokenizerBase") -> int:
    names = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_decoder_position_embeddings")
    known = [getattr(part, name, None) for part in (architecture, architecture.get_text_config()) for name in names]
    bounds = [int(value) for value in [*known, tokenizer.model_max_length] if value and 0 < value < UNBOUNDED]
    return min(bounds) if bounds else DEFAULT_CONTEXT


def _folder_digest(source: str) -> str:
    path = Path(source)
    if not path.is_dir():
        return source
    kept = [
        item
        for item in sorted(path.iterdir())
        if item.suffix == ".safetensors" or item.name.endswith("config.json") or item.name in TOKENIZER_FILES
    ]
    return json.dumps([[item.name, file_hash(item)] for item in kept])


def _names(path: Path) -> str:
    return ", ".join(sorted(item.name for item in path.iterdir())[:8]) or "nothing"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
