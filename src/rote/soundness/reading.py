"""Plain calls of the model, and how far other ways to read the same texts are from them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rote.models import LoadedModel
from rote.models.tokens import sharing
from rote.passes.logits import Reader, TextPass
from rote.passes.rechecking import FULL_PRECISION_NATS, plain_logits
from rote.passes.scoring import shape_of

if TYPE_CHECKING:
    import torch

ROUNDING = 256
"""Or so many units in the last place of float32, relative to the largest logit: where logits are in the hundreds."""
HALF_ROUNDING = 2
"""In half precision so many units in the last place of the number format, relative to the largest logit."""
WINDOW = 5
"""Places in a row of which half must differ, in half precision, for a difference to count."""
STEP = 7
"""Tokens at a time in which a model that cannot be cut in two is tried along the texts."""
LEAST_LOG_P = -30.0
"""Tokens less likely than that are not looked at: their log-probability is a difference of large numbers."""


def plain(texts: Sequence[TextPass], model: LoadedModel) -> "list[torch.Tensor]":
    """The logits before each scored token, each text by itself ("token vocabulary").

    Raises:
        FloatingPointError: a logit is not a number.
    """
    import torch

    with torch.inference_mode():
        found = [plain_logits(text, model).float() for text in texts]
    if any(bool(logits.isnan().any()) for logits in found):
        raise FloatingPointError("logits that are not numbers")
    return found


def fused(texts: Sequence[TextPass], model: LoadedModel) -> "list[torch.Tensor]":
    """The same through the audit's own passes, in the batches that `model.batching` allows."""
    import torch

    found: dict[int, torch.Tensor] = {}
    reader = Reader(model, texts[0])
    for places in sharing([shape_of(text, model) for text in texts], model.batching):
        batch = [texts[at] for at in places]
        if reader.head is None:
            # what long texts and large vocabularies lead to
            reader.at_once = STEP * len(batch) * int(model.model.config.get_text_config().vocab_size)
        pieces = [piece.logits.float().clone() for piece in reader.read(batch)]
        parts = torch.split(torch.cat(pieces), [len(text.scored) for text in batch])
        found |= dict(zip(places, parts, strict=True))
    return [found[at] for at in range(len(texts))]


def tolerance(logits: "Sequence[torch.Tensor]", model: LoadedModel) -> float:
    """Largest difference, in nats, that is put down to rounding; depends on number format and size of the logits.

    In float32 1e-3, or 256 units in the last place of the largest logit, whichever is more. bfloat16 has 8 bits, float16
    has 11: two units in the last place of the largest logit, which are 0.3 nats for a logit of 20 in bfloat16.
    """
    import torch

    largest = max(float(one[one.isfinite()].abs().max()) for one in logits)
    dtype = model.model.dtype
    if _is_full(dtype):
        return max(FULL_PRECISION_NATS, ROUNDING * torch.finfo(torch.float32).eps * largest)
    return HALF_ROUNDING * torch.finfo(dtype).eps * largest


def difference(found: "torch.Tensor", expected: "torch.Tensor", model: LoadedModel) -> float:
    """How far the log-probabilities of some places are from what they should be, in nats; all shapes "place vocabulary".

    Of each place the largest difference over the tokens that are not utterly unlikely. In float32 the largest over the
    places. In half precision, where rounding alone may send a token to another expert, the largest median of `WINDOW`
    places in a row: what touches three of them, the first or the last of a text among them, is seen.
    """
    import torch

    if found.shape != expected.shape:
        return float("inf")
    if not len(found):
        return 0.0
    wanted = expected.double().log_softmax(-1)
    gaps = (found.double().log_softmax(-1) - wanted).abs().masked_fill(wanted < LEAST_LOG_P, 0.0)
    by_place = gaps.nan_to_num(nan=float("inf")).amax(-1)
    if _is_full(model.model.dtype):
        return float(by_place.max())
    windows = by_place.unfold(0, min(WINDOW, len(by_place)), 1)
    return float(torch.quantile(windows, 0.5, dim=-1).max())


def _is_full(dtype: "torch.dtype") -> bool:
    import torch

    return dtype in (torch.float32, torch.float64)
