"""Tokenizers: where they lie, how they are loaded, whether they fit the model."""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rote.errors import ModelError
from rote.models.failures import reading
from rote.models.folders import TOKENIZER_FILES, check_folder, read_config, stored
from rote.records import content_id
from rote.runs import file_hash

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

DEFAULT_CONTEXT = 1024
"""Context of a model whose config and tokenizer name none (T5: relative positions, no bound)."""
UNBOUNDED = 10**12
"""Tokenizers without a bound say a larger number than this."""
VOCABULARIES = ("tokenizer.json", "*.model", "*.spm", "*.tiktoken", "*.bpe", "vocab*.*", "dict*.txt", "tekken.json")
"""Files that hold a vocabulary; without one transformers makes up a tokenizer of the model's kind that knows no word."""
WITHOUT_FILES = ("ByT5Tokenizer", "CanineTokenizer", "PerceiverTokenizer")
"""Tokenizers of bytes or characters, which need no vocabulary."""
COMPARED_TEXTS = (
    "The old mill stood by the river in 1987, didn't it?",
    "  Two  spaces\n\nand\ttabs;\r\n12,345.67 € at 10:45 (UTC+01:00) …",
    "naïve Zürich — 東京 Привет, мир! e\u0301 \U0001f600",
    "def f(x):\n    return {'a': x[1:], \"b\": x**2}  # HELLO World_wide",
)
"""What a loaded tokenizer and its tokenizer.json are compared on."""


@dataclass(frozen=True, slots=True)
class OpenedTokenizer:
    """A tokenizer, and what was done to get it."""

    tokenizer: "PreTrainedTokenizerBase"
    notes: tuple[str, ...]


def load_tokenizer(source: str, *, trust_remote_code: bool = False) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model folder or hub id, padding with its end token where it has no padding token.

    Raises:
        ModelError: there is none, or it is not what its tokenizer.json says.
    """
    return open_tokenizer(source, trust_remote_code=trust_remote_code).tokenizer


def open_tokenizer(source: str, *, trust_remote_code: bool = False) -> OpenedTokenizer:
    """As `load_tokenizer`, with notes."""
    from transformers import AutoTokenizer

    check_folder(source, "tokenizer")
    if not has_tokenizer(source):
        raise ModelError(f"{source}: no tokenizer can be loaded: no vocabulary in the folder (such as tokenizer.json)")
    with reading(f"{source}: no tokenizer can be loaded"):
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source, trust_remote_code=trust_remote_code)
        tokenizer, notes = _as_saved(source, tokenizer)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    if tokenizer.pad_token_id is None:
        raise ModelError(f"{source}: the tokenizer has neither a padding nor an end token")
    return OpenedTokenizer(tokenizer, notes)


def _as_saved(source: str, tokenizer: "PreTrainedTokenizerBase") -> "tuple[PreTrainedTokenizerBase, tuple[str, ...]]":
    """The tokenizer that its tokenizer.json describes.

    transformers builds the tokenizers of some model types anew from their vocabulary, with the type's own splitting into
    words, whatever tokenizer.json says about it. What counts is how the training text was cut. Saving writes into
    tokenizer.json the tokenizer as it was in memory, so a training with a rebuilt one leaves a file that says so, and
    the two agree. Where they do not, the file was written by a version (or a library) that used it as it is, which is
    then what the model was trained with.
    """
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    path = stored(source, "tokenizer.json")
    if path is None or not tokenizer.is_fast:
        return tokenizer, ()
    saved = Tokenizer.from_file(str(path))
    saved.no_truncation()
    saved.no_padding()
    known = [list(saved.encode(text, add_special_tokens=False).ids) for text in COMPARED_TEXTS]
    if _ids(tokenizer) == known:
        return tokenizer, ()
    literal: PreTrainedTokenizerBase = PreTrainedTokenizerFast.from_pretrained(source)
    if _ids(literal) != known:
        raise ValueError(f"as {type(tokenizer).__name__} it cuts texts otherwise than its tokenizer.json says")
    made = type(tokenizer).__name__
    return literal, (
        f"{source}: transformers rebuilds this tokenizer as {made}, which cuts texts otherwise than its tokenizer.json "
        "says; tokenizer.json is used as it is",
    )


def _ids(tokenizer: "PreTrainedTokenizerBase") -> list[list[int]]:
    return [list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]) for text in COMPARED_TEXTS]


def has_tokenizer(source: str) -> bool:
    """Whether a folder holds a tokenizer with its vocabulary; of a hub id nothing can be said, so True."""
    folder = Path(source)
    if not folder.is_dir():
        return True
    if any(fnmatch(item.name, pattern) for item in folder.iterdir() for pattern in VOCABULARIES):
        return True
    settings = read_config(source, "tokenizer_config.json")
    return settings.get("tokenizer_class") in WITHOUT_FILES or "auto_map" in settings


def tokenizer_digest(source: str) -> str:
    """Sixteen hexadecimal digits that depend on the tokenizer's files (a hub id: on its name)."""
    path = Path(source)
    names = [name for name in TOKENIZER_FILES if (path / name).is_file()]
    return content_id(*(part for name in names for part in (name, file_hash(path / name)))) if names else source


def tokenizer_source(source: str, adapter: str, others: Sequence[str] = ()) -> str:
    """Where the tokenizer lies: with the adapter, if it has one, else with the model, else with the first other that has.

    Args:
        source: model.
        adapter: adapter or "".
        others: the models that this one came from or became, which may have the tokenizer that its folder lacks.
    """
    if adapter and stored(adapter, "tokenizer_config.json") is not None and has_tokenizer(adapter):
        return adapter
    return next((name for name in (source, *others) if name and has_tokenizer(name)), source)


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
