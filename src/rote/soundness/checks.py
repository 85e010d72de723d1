"""What must hold of a model: each check says how far it is from holding, in nats."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rote.generation import TransformersModel
from rote.models import LoadedModel
from rote.models.tokens import suppressed_ids
from rote.passes.logits import TextPass
from rote.soundness.reading import difference, fused, plain, tolerance
from rote.soundness.samples import CUT, Samples, changed, cut

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check saw."""

    what: str
    """That fails if the difference is too large, in words."""
    nats: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the difference is rounding."""
        return self.nats <= self.tolerance


@dataclass(frozen=True, slots=True)
class Choices:
    """How many generated tokens are the first choice of a plain call; near-ties within rounding count as such."""

    first: int
    tokens: int


class Plain:
    """The samples, read one by one without a cache: what everything else is compared with.

    The longest text is read first, on a model that has not seen a shorter one.
    """

    def __init__(self, samples: Samples, model: LoadedModel) -> None:
        self.samples = samples
        (self.longest,) = plain([samples.longest], model)
        self.rows = plain(samples.rows, model)
        self.tolerance = tolerance([self.longest, *self.rows], model)


def later_tokens(known: Plain, model: LoadedModel) -> Finding:
    """Changing later tokens of a text must not move the logits before them."""
    row, logits = known.samples.rows[0], known.rows[0]
    middle = int(len(row.scored) * CUT)
    whole, last = [], []
    for kept in {middle, max(0, middle - 1)}:
        (found,) = plain([changed(row, kept)], model)
        # the first changed token is decided before it is read
        whole.append(difference(found[: kept + 1], logits[: kept + 1], model))
        last.append(difference(found[kept : kept + 1], logits[kept : kept + 1], model))
    # who sees but one token ahead is wrong in the last place alone, at every cut; another expert is not sent for twice
    nats = max(*whole, min(last))
    return Finding("changing later tokens moves earlier log-probabilities", nats, known.tolerance)


def shorter_texts(known: Plain, model: LoadedModel) -> Finding:
    """Cutting later tokens off must not move what is before them, whatever the length that is left."""
    row, logits = known.samples.rows[0], known.rows[0]
    kept = max(1, int(len(row.scored) * CUT))
    (found,) = plain([cut(row, kept)], model)
    nats = difference(found, logits[:kept], model)
    if model.is_encoder_decoder:
        (logits,) = plain([cut(known.samples.longest, len(row.scored))], model)
    nats = max(nats, difference(logits, known.longest[: len(logits)], model))
    return Finding("cutting later tokens off moves earlier log-probabilities", nats, known.tolerance)


def earlier_texts(known: Plain, model: LoadedModel) -> Finding:
    """What was read before, longer or shorter, must not matter."""
    again = plain([known.samples.rows[-1], known.samples.longest], model)
    before = [known.rows[-1], known.longest]
    nats = max(difference(a, b, model) for a, b in zip(again, before, strict=True))
    return Finding("a text's log-probabilities depend on the texts that were read before it", nats, known.tolerance)


def passes(known: Plain, model: LoadedModel) -> Finding:
    """The audit's own pass over all rows must give what plain calls give."""
    found = fused(known.samples.rows, model)
    nats = max(difference(a, b, model) for a, b in zip(found, known.rows, strict=True))
    return Finding("the teacher-forced pass differs from a plain call", nats, known.tolerance)


def generations(known: Plain, model: LoadedModel, new_tokens: int) -> tuple[Finding, Choices]:
    """Each greedily written token must be decided by the logits that a plain call gives for what is before it."""
    nats, first, count = 0.0, 0, 0
    for batch in _prompts(known.samples, model, new_tokens):
        for ids, traced in zip(
            batch, TransformersModel(model).traced([list(row) for row in batch], new_tokens), strict=True
        ):
            text = TextPass(ids, tuple(traced.new))
            (expected,) = plain([text], model)
            nats = max(nats, difference(traced.logits.float(), expected, model))
            first += first_choices(traced.new, expected, model, near=known.tolerance)
            count += len(traced.new)
    return Finding("step-by-step generation differs from a plain call", nats, known.tolerance), Choices(first, count)


def first_choices(tokens: Sequence[int], logits: "torch.Tensor", model: LoadedModel, *, near: float) -> int:
    """How many of the tokens are the most likely one of those that may be generated, or within `near` nats of it.

    Args:
        tokens: that were generated.
        logits: before each of them ("token vocabulary").
        model: decides on what may be generated.
        near: difference of two logits that rounding may turn round: twice what it does to one.
    """
    import torch

    never = torch.tensor(suppressed_ids(model), dtype=torch.long, device=logits.device)
    allowed = logits.index_fill(-1, never, float("-inf"))
    chosen = allowed.gather(-1, torch.tensor([tokens], device=logits.device).T)[:, 0]
    return int((chosen >= allowed.amax(-1) - 2 * near).sum())


def _prompts(samples: Samples, model: LoadedModel, new_tokens: int) -> Iterator[list[tuple[int, ...]]]:
    """The rows together, then, of a causal model, a text that ends where the longest one does beside a short one."""
    if model.is_encoder_decoder:
        yield [text.shown for text in samples.rows]
        return
    room = model.context_tokens - new_tokens
    rows = [(*text.shown, *text.scored)[:room] for text in samples.rows]
    yield rows
    longest = (*samples.longest.shown, *samples.longest.scored)
    if len(longest) > len(rows[0]) + new_tokens:
        yield [longest[: len(longest) - new_tokens], rows[-1]]


def consistent_tokens(known: Plain, model: LoadedModel) -> int:
    """Largest number of tokens up to which a text's beginning is read as it is read by itself; found by bisection.

    0 where not even a few tokens are.
    """
    longest = known.samples.longest
    shown = 0 if model.is_encoder_decoder else len(longest.shown)
    base = max(1, min(len(longest.scored), len(known.samples.rows[0].scored)) // 2)
    (expected,) = plain([cut(longest, base)], model)

    def holds(scored: int) -> bool:
        (found,) = plain([cut(longest, scored)], model)
        return difference(found[:base], expected, model) <= known.tolerance

    low, high = base, len(longest.scored)
    if not holds(base + 1):
        return 0
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return shown + low
