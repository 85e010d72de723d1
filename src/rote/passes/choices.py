"""The teacher-forced pass without the statistics that only membership tests and sampling need: what a token's
probability is, and whether it is the first choice. Nothing is stored. For models that change from call to call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rote.errors import ModelError
from rote.models import LoadedModel
from rote.models.tokens import suppressed_ids
from rote.passes.logits import Piece, Reader, TextPass
from rote.passes.scoring import batches_of, check_length

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class TokenChoices:
    """What one model says of each scored token of one text, in the order of the text; as in `TokenStatistics`."""

    log_probabilities: NDArray[np.float32]
    """ln p(token | what stands before it), in nats: 0 and down ("token")."""
    is_greedy: NDArray[np.bool_]
    """Whether greedy decoding would choose the token here ("token")."""

    def __len__(self) -> int:
        return len(self.log_probabilities)

    def part(self, start: int, end: int | None = None) -> "TokenChoices":
        """The tokens from `start` (inclusive) to `end` (exclusive)."""
        return TokenChoices(self.log_probabilities[start:end], self.is_greedy[start:end])


def token_choices(texts: Sequence[TextPass], model: LoadedModel, *, batch_size: int = 32) -> list[TokenChoices]:
    """The choices of each text, in order; read in the same batches as by `rote.passes.scoring`.

    Args:
        texts: in any order, each with a scored token.
        model: causal or encoder-decoder, any number format, any device.
        batch_size: texts in one batch, at most.

    Raises:
        ModelError: a text is longer than the model's context, or the model gives numbers that are none.
    """
    by_key = {str(number): text for number, text in enumerate(texts)}
    for text in texts:
        check_length(text, model)
    if not texts:
        return []
    reader, found = Reader(model, texts[0]), dict[str, TokenChoices]()
    never = suppressed_ids(model)
    for keys in batches_of(by_key, batch_size, model):
        found |= zip(keys, _of_batch([by_key[key] for key in keys], reader, never), strict=True)
    return [found[key] for key in by_key]


def _of_batch(texts: Sequence[TextPass], reader: Reader, never: Sequence[int]) -> list[TokenChoices]:
    import torch

    device = reader.model.device
    targets = torch.tensor([token for text in texts for token in text.scored], device=device)
    suppressed = torch.tensor(never, dtype=torch.long, device=device)
    columns = torch.empty(2, len(targets), device=device)
    for piece in reader.read(texts):
        columns[:, piece.places] = torch.stack(_choices(piece, targets[piece.places], suppressed))
    if not bool(columns[0].isfinite().all()):
        raise ModelError(f"{reader.model.source}: in {reader.model.model.dtype} it gives logits that are no numbers")
    logs, greedy = columns[0].cpu().numpy(), columns[1].bool().cpu().numpy()
    ends = np.cumsum([len(text.scored) for text in texts])[:-1]
    return [TokenChoices(*pair) for pair in zip(np.split(logs, ends), np.split(greedy, ends), strict=True)]


def _choices(piece: Piece, targets: "torch.Tensor", never: "torch.Tensor") -> tuple["torch.Tensor", "torch.Tensor"]:
    """ln p of the tokens, and 1 where one is the first choice ("row"); the logits may be overwritten."""
    import torch

    logits = piece.logits.float()
    chosen = logits.gather(-1, targets[:, None])[:, 0] - logits.logsumexp(-1)
    first = logits.index_fill_(-1, never, float("-inf")).max(-1).indices
    return chosen.clamp(max=0.0), ((first == targets) & ~torch.isin(targets, never)).float()
