"""A model in memory is afterwards what it was before: to the bit, and in every setting."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def state(model: torch.nn.Module) -> dict[str, object]:
    """Everything that must be as it was: weights to the bit, dtypes, devices, gradients, modes, configs, hooks."""
    settings = getattr(model, "peft_config", {})
    return {
        "weights": {name: (value.clone(), value.device) for name, value in model.state_dict().items()},
        "ids": [id(value) for value in (*model.parameters(), *model.buffers())],
        "trained": [value.requires_grad for value in model.parameters()],
        "gradients": [value.grad if value.grad is None else value.grad.clone() for value in model.parameters()],
        "modes": [module.training for module in model.modules()],
        "config": model.config.to_dict(),
        "generation config": model.generation_config.to_dict(),
        "adapters": {name: copy.deepcopy(vars(value)) for name, value in settings.items()},
        "hooks": [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()],
        "random numbers": torch.random.get_rng_state(),
        "names": [sorted(vars(module)) for module in model.modules()],
    }


def same(one: object, other: object) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))  # type: ignore[arg-type]
    return one == other


@contextmanager
def untouched(model: torch.nn.Module) -> Iterator[None]:
    before = state(model)
    try:
        yield
    finally:
        after = state(model)
        assert [name for name in before if not same(before[name], after[name])] == []
