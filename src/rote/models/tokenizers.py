"""Tokenizers: where they lie, how they are loaded, whether they fit the model."""

from pathlib import Path
from typing import TYPE_CHECKING, cast

from rote.errors import ModelError
from rote.models.folders import TOKENIZER_FILES, check_folder, first_line
from rote.records import content_id
from rote.runs import file_hash

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

DEFAULT_CONTEXT = 1024
"""Context of a model whose config and tokenizer name none (T5: relative positions, no bound)."""
UNBOUNDED = 10**12
"""Tokenizers without a bound say a larger number than this."""


def load_tokenizer(source: str, *, trust_remote_code: bool = False) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model folder or hub id, padding with its end token where it has no padding token."""
    from transformers import AutoTokenizer

    check_folder(source, "tokenizer")
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{source}: no tokenizer can be loaded: {first_line(error)}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token_id is None:
        raise ModelError(f"{source}: the tokenizer has neither a padding nor an end token")
    return tokenizer


def tokenizer_digest(source: str) -> str:
    """Sixteen hexadecimal digits that depend on the tokenizer's files (a hub id: on its name)."""
    path = Path(source)
    names = [name for name in TOKENIZER_FILES if (path / name).is_file()]
    return content_id(*(part for name in names for part in (name, file_hash(path / name)))) if names else source


def tokenizer_source(source: str, adapter: str) -> str:
    """Where the tokenizer lies: with the adapter, if it has one of its own, else with the model."""
    has_own = adapter and (Path(adapter) / "tokenizer_config.json").exists()
    return adapter if has_own else source


def check_vocabulary(source: str, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerBase") -> None:
    """Raises a ModelError where the tokenizer has more tokens than the model has embeddings."""
    rows = int(cast("torch.nn.Embedding", model.get_input_embeddings()).weight.shape[0])
    if len(tokenizer) > rows:
        raise ModelError(
            f"{source}: the tokenizer has {len(tokenizer)} tokens, the model only {rows}: they do not belong together"
        )


def context_tokens(architecture: "PretrainedConfig", tokenizer: "PreTrainedTokenizerBase") -> int:
    """Longest input that config and tokenizer allow."""
    names = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_decoder_position_embeddings")
    known = [getattr(part, name, None) for part in (architecture, architecture.get_text_config()) for name in names]
    bounds = [int(value) for value in [*known, tokenizer.model_max_length] if value and 0 < value < UNBOUNDED]
    return min(bounds) if bounds else DEFAULT_CONTEXT
