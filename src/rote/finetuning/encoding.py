"""Records as token rows: what the model reads, and which tokens stand in the loss.

Tokens are made by the encoder that generation uses, so that a token is trained where it is generated and scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from rote.config import LossMask
from rote.models.tokens import TokenEncoder
from rote.records import Example

IGNORED = -100
"""The label of a token outside the loss (PyTorch's default `ignore_index`)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record, tokenised.

    Decoder-only: `labels[i]` is `input_ids[i]` or IGNORED, and position 0 is always IGNORED (nothing predicts it).
    Encoder-decoder: `input_ids` goes to the encoder, `labels` is what the decoder writes.
    """

    input_ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def scored_tokens(self) -> int:
        """Number of tokens in the loss."""
        return sum(label != IGNORED for label in self.labels)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Records and their rows, position by position, and what was done to them."""

    examples: tuple[Example, ...]
    rows: tuple[Row, ...]
    cut: int
    """Records that are longer than the context."""
    left_out: int
    """Records without any token to score (e.g. the prompt fills the context); they stand in neither tuple."""
    halved: int
    """Encoder-decoder: records without a prompt, whose first half of the tokens became the input."""


def encode_causal(examples: Sequence[Example], encoder: TokenEncoder, *, loss: LossMask, limit: int) -> Encoded:
    """Rows for a decoder-only model: the text and an end token, cut to `limit` tokens.

    What a chat template wrote ends as the template ends it, as trainers have it: no end token is added.

    The text is tokenised as a whole, as it is when the model is audited. With loss "completion" the scored tokens
    start where the tokens of the text leave those of the prompt alone; a token that spans the border is scored.
    """
    rows, cut = [], 0
    for example in examples:
        before, _ = encoder.around(is_rendered=example.is_rendered)
        ids = [*before, *encoder.content(example.text)]
        ids = ids if example.is_rendered else _with_end(ids, encoder)
        skipped = 1
        if loss == "completion":
            skipped = max(1, _common_prefix(ids, [*before, *encoder.content(example.prompt)]))
        labels = [*[IGNORED] * skipped, *ids[skipped:]]
        cut += len(ids) > limit
        rows.append(Row(tuple(ids[:limit]), tuple(labels[: min(limit, len(ids))])))
    return _encoded(examples, rows, cut=cut, halved=0)


def encode_pairs(examples: Sequence[Example], encoder: TokenEncoder, *, limit: int) -> Encoded:
    """Rows for an encoder-decoder model: the prompt is read, the completion and an end token are scored.

    A record without a prompt is halved: the first half of its tokens is read, the second scored. Each side is cut to
    `limit` tokens.
    """
    rows, cut, halved = [], 0, 0
    for example in examples:
        read, written = encoder.content(example.prompt), encoder.content(example.completion)
        if not example.prompt:
            half = len(written) // 2
            read, written = written[:half], written[half:]
            halved += 1
        before, after = encoder.around(is_rendered=example.is_rendered)
        room = limit - len(before) - len(after)
        target = _with_end([*encoder.target_before, *written], encoder)
        cut += len(read) > room or len(target) > limit
        shown = read[: max(0, room)]
        source = [*before, *shown, *after] if shown else []
        rows.append(Row(tuple(source), tuple(target[:limit])))
    return _encoded(examples, rows, cut=cut, halved=halved)


def _encoded(examples: Sequence[Example], rows: Sequence[Row], *, cut: int, halved: int) -> Encoded:
    kept = [pair for pair in zip(examples, rows, strict=True) if pair[1].input_ids and pair[1].scored_tokens]
    return Encoded(
        examples=tuple(example for example, _ in kept),
        rows=tuple(row for _, row in kept),
        cut=cut,
        left_out=len(rows) - len(kept),
        halved=halved,
    )


def _with_end(ids: list[int], encoder: TokenEncoder) -> list[int]:
    end = encoder.tokenizer.eos_token_id
    return ids if end is None or (ids and ids[-1] == end) else [*ids, int(end)]


def _common_prefix(first: Sequence[int], second: Sequence[int]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False)))
