"""A model that is trained, read in evaluation mode in between, so that the training goes on as if nothing had happened."""

import copy
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from rote.models.loaded import own_random_numbers

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def undisturbed(model: "nn.Module") -> Iterator[None]:
    """Within it the model is in evaluation mode; afterwards all is as it was, also after an error.

    That is: the mode of every module, the buffers and the generation settings of the model, whether its config uses a
    cache, and the random numbers of Python, NumPy and torch (on all devices). Gradients and weights are only read.
    """
    modes = [(module, module.training) for module in model.modules()]
    buffers = [(module, dict(module._buffers)) for module in model.modules()]
    settings = _settings(model)
    with _same_randomness():
        try:
            for module, _ in modes:
                module.training = False
            yield
        finally:
            for module, is_training in modes:
                module.training = is_training
            for module, held in buffers:
                module._buffers.clear()
                module._buffers.update(held)
            for owner, values in settings:
                owner.__dict__.clear()
                owner.__dict__.update(values)


def _settings(model: "nn.Module") -> list[tuple[object, dict[str, object]]]:
    """The model's config and generation settings, and copies of what they hold."""
    owners = [getattr(model, name, None) for name in ("config", "generation_config")]
    return [(owner, copy.copy(owner.__dict__)) for owner in owners if owner is not None]


@contextmanager
def _same_randomness() -> Iterator[None]:
    python, numpy = random.getstate(), np.random.get_state()
    with own_random_numbers():
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
