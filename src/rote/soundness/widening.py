"""A model in half precision, for a while in float32: faults are not hidden by its rounding there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rote.models import LoadedModel

if TYPE_CHECKING:
    import torch

MOST_WEIGHTS = 1_000_000_000
"""Larger models are tried in their number format alone: their copy in float32 takes 4 bytes more for each weight."""


def half_weights(model: LoadedModel) -> int:
    """How many of the model's weights are in half precision; 0: it is in float32, and nothing has to be widened."""
    return sum(tensor.numel() for tensor in _half(model))


@contextmanager
def widened(model: LoadedModel) -> Iterator[None]:
    """Within it the weights in half precision are float32, of the same values; afterwards they are what they were.

    Raises:
        Exception: whatever lack of memory raises (see `is_lack_of_memory`); the weights are what they were then, too.
    """
    import torch

    tensors = [(tensor, tensor.data) for tensor in _half(model)]
    try:
        for tensor, data in tensors:
            tensor.data = data.to(torch.float32)
        yield
    finally:
        for tensor, data in tensors:
            tensor.data = data


def _half(model: LoadedModel) -> "Iterator[torch.Tensor]":
    """Weights and buffers in half precision, each once."""
    import torch

    for tensor in (*model.model.parameters(), *model.model.buffers()):
        if tensor.dtype in (torch.bfloat16, torch.float16):
            yield tensor
