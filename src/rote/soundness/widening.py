"""A model in half precision, for a while in float32: faults are not hidden by its rounding there."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rote.models import LoadedModel

if TYPE_CHECKING:
    import torch

MOST_WEIGHTS = 1_000_000_000
"""Larger models are tried in their number format alone: their copy in float32 takes 4 bytes more for each weight."""


def can_widen(model: LoadedModel) -> bool:
    """Whether the model is in half precision, and small enough to be tried in float32 as well."""
    tensors = list(_half(model))
    return bool(tensors) and sum(tensor.numel() for tensor in tensors) <= MOST_WEIGHTS


@contextmanager
def widened(model: LoadedModel) -> Iterator[None]:
    """Within it the weights in half precision are float32, of the same values; afterwards they are what they were."""
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
