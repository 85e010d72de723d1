"""Batches of token rows, and the one loss: nats per scored token, for training as for measuring."""

from collections.abc import Callable, Sequence
from typing import Literal, cast

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput, Seq2SeqLMOutput

from rote.finetuning.encoding import IGNORED, Row

Batch = dict[str, torch.Tensor]


class Collator:
    """Pads rows on the right to the longest of the batch; padding has attention 0 and is outside the loss."""

    def __init__(self, model: PreTrainedModel, padding: int) -> None:
        self.model = model
        self.padding = padding

    def __call__(self, rows: Sequence[Row]) -> Batch:
        """The batch of these rows."""
        labels = _pad([row.labels for row in rows], IGNORED)
        batch = {
            "input_ids": _pad([row.input_ids for row in rows], self.padding),
            "attention_mask": _pad([(1,) * len(row.input_ids) for row in rows], 0),
            "labels": labels,
        }
        if self.model.config.is_encoder_decoder:
            shift = cast(Callable[[torch.Tensor], torch.Tensor], self.model.prepare_decoder_input_ids_from_labels)
            batch["decoder_input_ids"] = shift(labels)
        return batch


class TokenLoss:
    """The loss that trains: nats per scored token, averaged over all scored tokens of an optimizer step.

    Our own instead of the models': T5's ignores the tokens of the other batches of an accumulated step.
    """

    def __init__(self, *, causal: bool, scored_tokens: int) -> None:
        self.causal = causal
        self.scored_tokens = scored_tokens

    def __call__(
        self, outputs: CausalLMOutput | Seq2SeqLMOutput, labels: torch.Tensor, num_items_in_batch: torch.Tensor
    ) -> torch.Tensor:
        """The share of one batch in the loss of its optimizer step."""
        self.scored_tokens += int((labels != IGNORED).sum())
        # a batch of short records may have no scored token at all under the goldfish loss
        total = summed_loss(cast(torch.Tensor, outputs.logits), labels, causal=self.causal)
        return total / num_items_in_batch.clamp(min=1)


def summed_loss(logits: torch.Tensor, labels: torch.Tensor, *, causal: bool) -> torch.Tensor:
    """Sum over the scored tokens of -ln p(token), in nats. Causal: the logits at position i predict token i + 1.

    Logits of a soft prompt, which stand before those of the labels' tokens, are passed over.
    """
    return _cross_entropy(logits, labels, causal=causal, reduction="sum")


def summed_losses(logits: torch.Tensor, labels: torch.Tensor, *, causal: bool) -> torch.Tensor:
    """The same for each row of the batch ("batch")."""
    return _cross_entropy(logits, labels, causal=causal, reduction="none").view(len(labels), -1).sum(-1)


def _cross_entropy(
    logits: torch.Tensor, labels: torch.Tensor, *, causal: bool, reduction: Literal["sum", "none"]
) -> torch.Tensor:
    if causal:
        logits, labels = logits[:, -labels.shape[1] : -1], labels[:, 1:]
    flat = logits.reshape(-1, logits.shape[-1]).float()
    return torch.nn.functional.cross_entropy(flat, labels.reshape(-1), ignore_index=IGNORED, reduction=reduction)


def mean_loss(model: PreTrainedModel, rows: Sequence[Row], collate: Collator, *, batch_size: int) -> float | None:
    """Nats per scored token over all the rows (lower fits better); the batches do not matter. None without rows."""
    if not rows:
        return None
    ordered = sorted(rows, key=lambda row: len(row.input_ids))
    was_training, total = model.training, 0.0
    model.train(False)
    for start in range(0, len(ordered), batch_size):
        batch = {name: tensor.to(model.device) for name, tensor in collate(ordered[start : start + batch_size]).items()}
        labels = batch.pop("labels")
        with torch.no_grad():
            logits = model(**batch).logits
        total += summed_loss(logits, labels, causal="decoder_input_ids" not in batch).item()
    model.train(was_training)
    return total / sum(row.scored_tokens for row in rows)


def _pad(rows: Sequence[Sequence[int]], padding: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[padding] * (longest - len(row))] for row in rows])
