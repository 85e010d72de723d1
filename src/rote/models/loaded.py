"""A model that is ready to run, and where it runs."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rote.errors import ModelError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


Batching = Literal["any", "equal lengths", "one"]
"""Texts that may share a batch: any, only texts with equally many tokens, or none (batch size 1)."""


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


@contextmanager
def own_random_numbers() -> Iterator[None]:
    """Within it torch's random numbers may be drawn; the caller's continue afterwards as if none had been."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield


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
    """Ids of a soft prompt, which stand before everything that the model reads; see `rote.models.soft_prompts`."""
    notes: tuple[str, ...] = ()
    """What was done to load it that its user should know, a sentence each: for the terminal, manifest and report."""
    batching: Batching = "any"
    """Which texts the model may read together, as found by trying it; see `rote.soundness`."""
    uses_cache: bool = True
    """Whether generation continues from a cache; otherwise each step reads the whole text again."""

    @property
    def device(self) -> "torch.device":
        """Where the weights lie."""
        return self.model.device
