"""One thread for tiny models (two are many times slower there), and the toy model that several files use."""

import gc
import os
from collections.abc import Iterator

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import hypothesis
import pytest
import torch

from fakes import Toy, memorised_toy

torch.set_num_threads(1)
# an example may take long: kernels are compiled at their first call, and other processes share the cores
hypothesis.settings.register_profile("rote", deadline=None)
hypothesis.settings.load_profile("rote")


@pytest.fixture(scope="session")
def toy() -> Toy:
    """Eight strings that a tiny model knows by heart, and eight that it has never seen."""
    return memorised_toy()


@pytest.fixture(scope="module")
def frozen_heap() -> Iterator[None]:
    """The Trainer collects garbage; with all of torch on the heap that takes longer than tiny trainings."""
    gc.freeze()
    yield
    gc.unfreeze()
