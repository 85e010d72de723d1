"""A model cut in two where its output embedding ("head") begins, so that logits can be made for a few places at a time.

The states that enter the head are caught in a forward pass that ends there, so whatever a model does before its head
is done. What it does to the logits afterwards (a soft cap, a factor, a bias) is found out by trying.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    After: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
    Inputs: TypeAlias = dict[str, object]

ROUNDING = 256
"""Logits that differ by so many units in the last place of float32, relative to the largest one, are the same."""


@dataclass(frozen=True, slots=True)
class Head:
    """The output embedding, and what the model does to the logits after it."""

    module: "torch.nn.Module"
    after: "After"
    vocabulary: int
    """Length of a row of logits."""

    def logits(self, states: "torch.Tensor", buffer: "torch.Tensor | None") -> "torch.Tensor":
        """The model's logits for some of the states that enter the head ("row width" to "row vocabulary").

        Args:
            states: as `states_before` gives them.
            buffer: of an earlier call with at least as many rows; it is overwritten, which spares the machine from
                handing out the largest piece of memory in the pass anew each time.
        """
        import torch

        if buffer is None or type(self.module) is not torch.nn.Linear:
            return self.after(self.module(states))
        made = torch.mm(states, self.module.weight.t(), out=buffer[: len(states)])
        return self.after(made if self.module.bias is None else made.add_(self.module.bias))


class _Reached(Exception):
    """Ends a forward pass."""


def states_before(module: "torch.nn.Module", network: "PreTrainedModel", inputs: "Inputs") -> "torch.Tensor | None":
    """What enters the module in a forward pass ("batch length width"), which goes no further; None if nothing does."""
    with _caught(module, goes_on=False) as found, suppress(_Reached):
        network(**inputs)
    return found[0] if found else None


def find_head(network: "PreTrainedModel", inputs: "Inputs") -> Head | None:
    """The model's head, if its logits can be made from the states before it; tried on these inputs."""
    module = cast("torch.nn.Module | None", network.get_output_embeddings())  # type: ignore[no-untyped-call]
    if module is None:
        return None
    with _caught(module, goes_on=True) as found:
        own = network(**inputs).logits
    raw = module(found[0]) if found else None
    if raw is None or own.shape != raw.shape:
        return None
    for after in _possible(network, own, raw):
        if is_same(own, after(raw.clone())):
            return Head(module, after, own.shape[-1])
    return None


@contextmanager
def _caught(module: "torch.nn.Module", *, goes_on: bool) -> "Iterator[list[torch.Tensor]]":
    """What entered the module so far; unless it goes on, it raises `_Reached` then."""
    found: list[torch.Tensor] = []

    def stop(_: "torch.nn.Module", arguments: tuple["torch.Tensor", ...]) -> None:
        found.append(arguments[0])
        if not goes_on:
            raise _Reached

    hook = module.register_forward_pre_hook(stop)
    try:
        yield found
    finally:
        hook.remove()


def _possible(network: "PreTrainedModel", own: "torch.Tensor", raw: "torch.Tensor") -> "Iterator[After]":
    """What a model may do after its head: nothing, a soft cap (Gemma), a factor (Cohere, Granite), a bias (Marian)."""
    cap = getattr(network.config.get_text_config(), "final_logit_softcapping", None)
    if cap:
        yield lambda logits: logits.div_(cap).tanh_().mul_(cap)
    yield lambda logits: logits
    factor = float((own.double() * raw.double()).sum() / raw.double().square().sum())
    yield lambda logits: logits.mul_(factor)
    bias = own[0, -1] - raw[0, -1]
    yield lambda logits: logits.add_(bias)


def is_same(own: "torch.Tensor", made: "torch.Tensor") -> bool:
    """Whether two tensors of logits are the same but for rounding."""
    import torch

    finite = own[own.isfinite()]
    unit = max(ROUNDING * torch.finfo(torch.float32).eps, 2 * torch.finfo(own.dtype).eps)
    tolerance = unit * float(finite.abs().max()) if finite.numel() else 0.0
    return bool(torch.isclose(own.float(), made.float(), rtol=0, atol=tolerance).all())
