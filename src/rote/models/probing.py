"""A few dozen tokens that two forms of a model are compared on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TEXT = "The old mill stood by the river. In 1987 nobody, not even Anna, knew who had lit 24 lamps: “I didn't!”"
MAX_TOKENS = 48
ADDED_TOKENS = 8
"""Number of the vocabulary's last tokens, where added ones are, that are read as well."""
TOLERANCE_NATS = 1e-3
"""Largest difference of two log-probabilities in float32 that is rounding."""
ROUNDINGS = 4
"""In a narrower format: units in the last place of the largest logit."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Token ids that a model reads; an encoder-decoder model reads them with both parts."""

    ids: tuple[int, ...]
    is_encoder_decoder: bool
    before: tuple[int, ...] = ()
    """Ids that stand before the others where the model reads a prompt."""
    has_task: bool = False
    """Whether the model asks for the number of a task; it gets 0."""
    places: int | None = None
    """A decoder reads only so many of them; None: all."""

    def log_probabilities(self, model: "nn.Module") -> "torch.Tensor":
        """ln p of every token of the vocabulary at every place, at batch 1, without padding and cache ("place token")."""
        import torch

        device = next(model.parameters()).device
        written = self.ids[: self.places]
        ids = torch.tensor([[*self.before, *(self.ids if self.is_encoder_decoder else written)]], device=device)
        read = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if self.is_encoder_decoder:
            read["decoder_input_ids"] = torch.tensor([written], device=device)
        if self.has_task:
            read["task_ids"] = torch.zeros(1, dtype=torch.long, device=device)
        with torch.inference_mode():
            logits = cast(torch.Tensor, model(**read).logits[0])
        return logits.detach().double().log_softmax(-1).cpu()


def make_probe(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    *,
    trained: Sequence[int] = (),
    invoking: Sequence[int] = (),
    context: int,
) -> Probe:
    """A short text in the model's tokens, with the last tokens that the tokenizer has and the given ones in it.

    Args:
        model: what the ids are for; it has at least as many embeddings as the tokenizer has tokens.
        tokenizer: cuts the text.
        trained: ids whose embeddings the adapter trains.
        invoking: ids that switch the adapter on where they stand together.
        context: longest input.
    """
    text = list(tokenizer(TEXT, add_special_tokens=False, verbose=False)["input_ids"])
    last = range(max(0, len(tokenizer) - ADDED_TOKENS), len(tokenizer))
    known = {id_ for id_ in tokenizer.all_special_ids if id_ is not None}
    added = [id_ for id_ in (*last, *trained[:ADDED_TOKENS]) if id_ not in known]
    added += invoking[:ADDED_TOKENS]
    room = max(1, min(MAX_TOKENS, context // 2) - len(added))
    ids = [*text[: room // 2], *added, *text[room // 2 : room]]
    return Probe(tuple(ids[: max(1, context)]), bool(model.config.is_encoder_decoder))


def largest_difference(one: "torch.Tensor", other: "torch.Tensor") -> float:
    """In nats; infinite where the two have other shapes, or one has a number where the other has none."""
    import torch

    if one.shape != other.shape or not torch.equal(one.isnan(), other.isnan()):
        return float("inf")
    apart = torch.where(one == other, torch.zeros_like(one), (one - other).abs())  # two infinities are no difference
    return float(apart.nan_to_num(nan=0.0, posinf=float("inf")).max())


def rounding(said: "torch.Tensor", dtype: "torch.dtype") -> float:
    """The largest difference of log-probabilities that computing them in another order explains, in nats."""
    import torch

    if dtype in (torch.float32, torch.float64):
        return TOLERANCE_NATS
    finite = said[said.isfinite()]
    return ROUNDINGS * torch.finfo(dtype).eps * float(finite.abs().max()) if finite.numel() else 0.0
