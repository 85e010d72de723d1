"""From logits to the statistics of the tokens that came next: arithmetic only, on whichever device the logits lie.

On a CPU each row of logits is sorted once: ranks, top-k and top-p are places in that order. On a GPU only its largest
logits are, and a row is sorted only where a scheme keeps more of them.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rote.passes.schemes import Scheme

if TYPE_CHECKING:
    import torch

LOWEST = -1e15
"""Stands for minus infinity, whose product with a probability of 0 would not be a number."""
CPU_BLOCK, CUDA_BLOCK = 1 << 19, 1 << 24
"""Logits that are looked at at once: on a CPU what a core's cache holds, on a GPU what keeps it busy."""
LEAST_TAIL = 1024
"""Largest logits of a row that are put in order on a GPU, at least."""


class Columns(NamedTuple):
    """The fields of `TokenStatistics` as tensors ("token"; the last one "scheme token")."""

    log_probabilities: "torch.Tensor"
    means: "torch.Tensor"
    deviations: "torch.Tensor"
    ranks: "torch.Tensor"
    is_greedy: "torch.Tensor"
    decoding_log_probabilities: "torch.Tensor"


def empty_columns(tokens: int, schemes: int, device: "torch.device") -> Columns:
    """Columns to be filled."""
    import torch

    floats = torch.empty((3, tokens), device=device)
    return Columns(
        floats[0],
        floats[1],
        floats[2],
        torch.empty(tokens, dtype=torch.int32, device=device),
        torch.empty(tokens, dtype=torch.bool, device=device),
        torch.empty((schemes, tokens), device=device),
    )


def fill(
    columns: Columns,
    places: "torch.Tensor",
    logits: "torch.Tensor",
    targets: "torch.Tensor",
    *,
    suppressed: Sequence[int],
    schemes: Sequence[Scheme],
) -> None:
    """Fills the columns' `places` from the logits, block by block; the logits are overwritten.

    Args:
        columns: of all tokens.
        places: the tokens that these logits belong to ("row").
        logits: any number format ("row vocabulary"); computed with in float32.
        targets: the tokens that came next ("row").
        suppressed: tokens that are never generated.
        schemes: in the order of the rows of `decoding_log_probabilities`.

    Raises:
        FloatingPointError: a logit is no number, or infinite.
    """
    import torch

    block = CPU_BLOCK * torch.get_num_threads() if logits.device.type == "cpu" else CUDA_BLOCK
    step = min(len(logits), max(1, block // logits.shape[-1]))
    room = Room.of(step, logits.shape[-1], logits.device)
    for at in range(0, len(logits), step):
        part = slice(at, at + step)
        found = _statistics(logits[part].float(), targets[part], suppressed, schemes, room)
        for column, values in zip(columns, found, strict=True):
            column[..., places[part]] = values.to(column.dtype)


class Room(NamedTuple):
    """Memory for what is as large as a block ("row vocabulary"); to be given it anew for each block would cost a fifth."""

    mass: "torch.Tensor"
    product: "torch.Tensor"
    below: "torch.Tensor"

    @staticmethod
    def of(rows: int, vocabulary: int, device: "torch.device") -> "Room":
        """Room for so many rows."""
        import torch

        return Room(*torch.empty((3, rows, vocabulary), device=device))

    def cut(self, rows: int) -> "Room":
        """The same memory for fewer rows."""
        return Room(*(part[:rows] for part in self))


def _statistics(
    logits: "torch.Tensor",
    targets: "torch.Tensor",
    suppressed: Sequence[int],
    schemes: Sequence[Scheme],
    room: Room,
) -> Columns:
    """The statistics of one block; `logits` (float32) is overwritten.

    Tokens that may be generated and suppressed ones are looked at apart, and their sums put together: with the
    largest logit of the former as the origin, neither can drown the other.
    """
    import torch

    room = room.cut(len(logits))
    never = torch.tensor(suppressed, dtype=torch.long, device=logits.device)
    may_come = ~torch.isin(targets, never)
    chosen, apart = logits.gather(-1, targets[:, None]), logits[:, never]
    logits.index_fill_(-1, never, LOWEST)
    top = logits.max(-1, keepdim=True)
    if not bool(top.values.isfinite().all()):
        raise FloatingPointError("logits that are no numbers, or infinite")
    logits, tail = _ordered(logits, max(LEAST_TAIL, *(scheme.top_k for scheme in schemes)))
    ranks = _above(logits, tail, chosen) + (apart > chosen).sum(-1)
    if bool((tail[:, 0] < LOWEST).any()):  # some models' own logits are minus infinity
        logits.clamp_(min=LOWEST)
        tail.clamp_(min=LOWEST)
    mass = torch.sub(logits, top.values, out=room.mass).exp_()
    decoding = _decoding(logits, tail, top.values, chosen, schemes, room).masked_fill(~may_come, float("-inf"))
    chosen, apart = chosen - top.values, (apart - top.values).clamp(min=LOWEST)
    total = mass.sum(-1, keepdim=True)
    log_total = torch.logaddexp(total.log(), apart.logsumexp(-1, keepdim=True))
    scale, share_apart = log_total.neg().exp(), (apart - log_total).exp()
    logits.sub_(top.values)
    mean = torch.mul(mass, logits, out=room.product).sum(-1, keepdim=True) * scale + (share_apart * apart).sum(
        -1, keepdim=True
    )
    variance = mass.mul_(logits.sub_(mean).square_()).sum(-1, keepdim=True) * scale
    variance += ((apart - mean).square() * share_apart).sum(-1, keepdim=True)
    return Columns(
        log_probabilities=(chosen - log_total)[:, 0],
        means=(mean - log_total)[:, 0],
        deviations=variance.sqrt()[:, 0],
        ranks=ranks,
        is_greedy=may_come & (top.indices[:, 0] == targets),
        decoding_log_probabilities=decoding,
    )


def _ordered(logits: "torch.Tensor", least: int) -> tuple["torch.Tensor", "torch.Tensor"]:
    """The logits in any order, and the largest ones of each row in ascending order: all (the same tensor), or `least`.

    On a CPU everything is sorted: NumPy does it with vector instructions, twenty times as fast as torch. On a GPU
    sorting would cost more than the model.
    """
    if logits.device.type == "cpu":
        _sort(logits.numpy())
        return logits, logits
    if least < logits.shape[-1]:
        return logits, logits.topk(least).values.flip(-1)
    whole = logits.sort(-1).values
    return whole, whole


def _sort(rows: "NDArray[np.float32]") -> None:
    """Sorts each row in place, on as many threads as torch uses."""
    import torch

    threads = torch.get_num_threads()
    if threads == 1 or len(rows) == 1:
        rows.sort(axis=-1)
        return
    list(_pool(threads).map(lambda part: part.sort(axis=-1), np.array_split(rows, threads)))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="rote-sort")


def _above(logits: "torch.Tensor", tail: "torch.Tensor", chosen: "torch.Tensor") -> "torch.Tensor":
    """Number of larger logits in each row."""
    import torch

    if tail is not logits:
        return (logits > chosen).sum(-1)
    return logits.shape[-1] - torch.searchsorted(logits, chosen, right=True)[:, 0]


def _decoding(
    logits: "torch.Tensor",
    tail: "torch.Tensor",
    top: "torch.Tensor",
    chosen: "torch.Tensor",
    schemes: Sequence[Scheme],
    room: Room,
) -> "torch.Tensor":
    """ln of the probability that each scheme draws the chosen token ("scheme row").

    Args:
        logits: all of them ("row vocabulary").
        tail: the largest logits, ascending ("row tail").
        top: the largest logit ("row 1").
        chosen: the chosen token's logit ("row 1").
        schemes: the schemes.
        room: has the exponentials of the logits less the largest one.
    """
    import torch

    found = []
    for scheme in schemes:
        weights = room.mass if scheme.temperature == 1 else _weights(logits, top, scheme, out=room.product)
        least, kept, is_open = _kept(weights, tail, top, scheme, out=room.below)
        if bool(is_open.any()):  # more is kept than the tail holds
            rows = is_open[:, 0]
            whole = logits[rows].sort(-1).values
            least[rows], kept[rows], _ = _kept(_weights(whole, top[rows], scheme), whole, top[rows], scheme)
        value = (chosen - top) / scheme.temperature - kept.log()
        found.append(value.masked_fill(chosen < least, float("-inf"))[:, 0])
    return torch.stack(found)


def _weights(
    logits: "torch.Tensor", top: "torch.Tensor", scheme: Scheme, *, out: "torch.Tensor | None" = None
) -> "torch.Tensor":
    """Exponentials of the logits, less the largest one, over the temperature."""
    import torch

    warmth = 1 / scheme.temperature
    return torch.add(top * -warmth, logits, alpha=warmth, out=out).exp_()


def _kept(
    weights: "torch.Tensor",
    tail: "torch.Tensor",
    top: "torch.Tensor",
    scheme: Scheme,
    *,
    out: "torch.Tensor | None" = None,
) -> tuple["torch.Tensor", "torch.Tensor", "torch.Tensor"]:
    """The smallest logit that a scheme keeps, the weight of all it keeps, whether it may keep more than the tail ("row 1").

    Args:
        weights: of all logits ("row vocabulary").
        tail: the largest logits, ascending ("row tail"); where it holds all, `weights` is in the same order.
        top: the largest logit ("row 1").
        scheme: top-k, then top-p on what is left.
        out: memory for sums, of the shape of `weights`.
    """
    import torch

    size, is_whole = tail.shape[-1], tail.shape == weights.shape
    first = torch.zeros((len(tail), 1), dtype=torch.long, device=tail.device)
    total = weights.sum(-1, keepdim=True)
    if not scheme.top_k and scheme.top_p == 1:
        return torch.full_like(total, float("-inf")), total, torch.zeros_like(first, dtype=torch.bool)
    part = weights if is_whole else _weights(tail, top, scheme)
    if 0 < scheme.top_k < size:
        first = torch.searchsorted(tail, tail[:, -scheme.top_k, None].contiguous())
        total = _sum_from(part, first)
    if scheme.top_p < 1:
        below = torch.cumsum(part, -1, out=out if is_whole else None)
        last = torch.searchsorted(below, below[:, -1:] - scheme.top_p * total, right=True).clamp(max=size - 1)
        first = torch.maximum(first, torch.searchsorted(tail, tail.gather(-1, last)))
        total = below[:, -1:] - below.gather(-1, (first - 1).clamp(min=0)).where(first > 0, 0)
    return tail.gather(-1, first), total, (first == 0) & (not is_whole)


def _sum_from(values: "torch.Tensor", first: "torch.Tensor") -> "torch.Tensor":
    """Sum of each row from its place `first` on ("row 1")."""
    import torch

    low = int(first.min())
    places = torch.arange(low, values.shape[-1], device=values.device)
    return values[:, low:].where(places >= first, 0).sum(-1, keepdim=True)
