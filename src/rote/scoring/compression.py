"""Adversarial compression: the shortest prompt that makes a model write a given text. Slow: a search by gradients.

A text is memorised in this sense if some prompt shorter than the text itself brings it out: then the model, not the prompt,
holds it. What the search does not find may still exist, so a ratio is a lower bound.
"""

import inspect
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from rote.config import CompressionConfig
from rote.errors import ModelError
from rote.models import LoadedModel
from rote.models.tokens import suppressed_ids

if TYPE_CHECKING:
    import torch

FIRST_TOKENS = 5
"""Length of the first prompt; MiniPrompt adds as many after a failure."""
MORE_STEPS = 1.2
"""A longer prompt gets that much more steps than the one before."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a search ended with."""

    prompt: tuple[int, ...] | None
    """The shortest prompt found, as token ids; None where none shorter than the text was found."""
    steps: int
    """Gradient steps that were made."""


def minimal_prompt(
    target: Sequence[int],
    model: LoadedModel,
    *,
    before: Sequence[int],
    start: Sequence[int],
    config: CompressionConfig,
    seed: int,
) -> Found:
    """The shortest prompt that was found after which greedy decoding writes exactly `target`.

    MiniPrompt: from 5 tokens on, one less after each success, five more (and a fifth more steps) after each failure,
    never as many as the text has; each length by greedy coordinate gradient. The answer depends on the arguments alone.

    Source: Schwarzschild et al. (2024), algorithm 1; Zou et al. (2023) for the gradient. Different from there: the first
    prompt is the end of `start` (filled up with random tokens), not random, and a success is noted at any candidate.

    Args:
        target: token ids of the text, at least one.
        model: a causal model.
        before: ids that stand before every prompt and count for none: soft prompt and start tokens.
        start: token ids to begin with; what stands before the text, say.
        config: steps for each length, candidates of a step.
        seed: of the random tokens and candidates.

    Raises:
        ModelError: the model is no causal one.
    """
    search = _Search(target, before, model, config, seed)
    best: tuple[int, ...] | None = None
    shortest, longest_failed, length, allowed, steps = len(target), 0, FIRST_TOKENS, float(config.steps), 0
    length = min(length, shortest - 1)
    prompt = search.first(start, length)
    while longest_failed < length < shortest:
        found, made = search.run(prompt, round(allowed))
        steps += made
        if found is not None:
            best, shortest, length = found, len(found), len(found) - 1
            prompt = list(found[1:])
        else:
            longest_failed, allowed = length, allowed * MORE_STEPS
            length = min(length + FIRST_TOKENS, shortest - 1)
            prompt = search.first(start, length)
    return Found(best, steps)


def zlib_ratio(text: str) -> float:
    """Bytes of a text over those of its zlib compression: what a compressor that knows no such text achieves.

    >>> zlib_ratio("ab" * 100) > 5
    True
    """
    raw = text.encode("utf-8", "surrogatepass")
    return len(raw) / len(zlib.compress(raw, 9))


class _Search:
    """Greedy coordinate gradient for one text under one model."""

    def __init__(
        self, target: Sequence[int], before: Sequence[int], model: LoadedModel, config: CompressionConfig, seed: int
    ) -> None:
        import torch

        if model.is_encoder_decoder:
            raise ModelError(f"{model.source}: prompts are searched for causal models only")
        self.network, self.config, self.reads_one = model.model, config, model.batching == "one"
        parameters = inspect.signature(model.model.forward).parameters
        self.options = {"use_cache": False} if "use_cache" in parameters else {}
        self.target = torch.tensor(list(target), device=model.device)
        self.before = torch.tensor(list(before), dtype=torch.long, device=model.device)
        self.table = _embeddings(model)
        with torch.no_grad():
            self.read_before = cast(torch.Tensor, model.model.get_input_embeddings()(self.before))
        self.suppressed = torch.tensor(suppressed_ids(model), device=model.device)
        special = sorted({*model.tokenizer.all_special_ids, *self.suppressed.tolist()})
        usable = torch.ones(len(self.table), dtype=torch.bool)
        usable[len(model.tokenizer) :] = False
        usable[special] = False
        self.usable = usable
        self.random = torch.Generator().manual_seed(seed)

    def first(self, start: Sequence[int], length: int) -> list[int]:
        """The end of `start`, after as many random tokens as it lacks."""
        import torch

        kept = [token for token in start if self.usable[token]][-length:] if length else []
        known = self.usable.nonzero()[:, 0]
        drawn = torch.randint(len(known), (length - len(kept),), generator=self.random)
        return [*known[drawn].tolist(), *kept]

    def run(self, prompt: Sequence[int], steps: int) -> tuple[tuple[int, ...] | None, int]:
        """A prompt of the same length that succeeds, or None; and the number of steps made."""
        import torch

        current = torch.tensor(list(prompt), dtype=torch.long)
        _, succeeds = self._losses(current[None])
        if succeeds[0]:
            return tuple(current.tolist()), 0
        for step in range(1, steps + 1):
            candidates = self._candidates(current, self._gradient(current))
            losses, succeeds = self._losses(candidates)
            if succeeds.any():
                return tuple(candidates[int(succeeds.nonzero()[0, 0])].tolist()), step
            current = candidates[int(losses.argmin())]
        return None, steps

    def _candidates(self, current: "torch.Tensor", gradient: "torch.Tensor") -> "torch.Tensor":
        """Copies of the prompt with one token each replaced by one that the gradient favours ("candidate place")."""
        import torch

        count, favoured = self.config.candidates, min(self.config.favoured, int(self.usable.sum()))
        ranked = (-gradient).masked_fill(~self.usable, -torch.inf).topk(favoured, dim=-1).indices
        places = torch.randint(len(current), (count,), generator=self.random)
        chosen = torch.randint(favoured, (count,), generator=self.random)
        candidates = current.repeat(count, 1)
        candidates[torch.arange(count), places] = ranked[places, chosen]
        return candidates

    def _gradient(self, current: "torch.Tensor") -> "torch.Tensor":
        """Gradient of the loss by each token that could stand at each place ("place token")."""
        import torch

        one_hot = torch.nn.functional.one_hot(current, len(self.table)).to(self.table)
        one_hot.requires_grad_(True)
        embedded = torch.cat([self.read_before, one_hot @ self.table, self.table[self.target]])
        with torch.enable_grad():
            logits = (
                self.network(inputs_embeds=embedded[None], **self.options).logits[0, -len(self.target) - 1 : -1].float()
            )
            torch.nn.functional.cross_entropy(logits, self.target).backward()  # type: ignore[no-untyped-call]
        assert one_hot.grad is not None
        return one_hot.grad.float().cpu()

    def _losses(self, prompts: "torch.Tensor") -> "tuple[torch.Tensor, torch.Tensor]":
        """The loss of the text after each prompt, and whether greedy decoding writes it."""
        import torch

        rows, device = len(prompts), self.target.device
        ids = torch.cat([self.before.repeat(rows, 1), prompts.to(device), self.target.repeat(rows, 1)], dim=1)
        with torch.inference_mode():
            parts = torch.chunk(ids, rows if self.reads_one else 1)
            found = [self.network(input_ids=part, **self.options).logits for part in parts]
            logits = torch.cat([part[:, -len(self.target) - 1 : -1].float() for part in found])
            losses = torch.nn.functional.cross_entropy(
                logits.transpose(1, 2), self.target.repeat(rows, 1), reduction="none"
            )
            choices = logits.index_fill(-1, self.suppressed, -torch.inf).argmax(-1)
        return losses.sum(1).cpu(), (choices == self.target).all(1).cpu()


def _embeddings(model: LoadedModel) -> "torch.Tensor":
    """The input embeddings; the weights themselves need no gradient from now on."""
    model.model.requires_grad_(False)
    return cast("torch.nn.Embedding", model.model.get_input_embeddings()).weight.detach()
