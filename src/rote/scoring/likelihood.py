"""The teacher-forced pass: how likely each token of a reference is to a model, and whether it is its first choice.

One pass per model and prompt gives everything that likelihood metrics need. Only the tokens of the reference are
scored; the prompt is read.
"""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rote.config import GenerationConfig
from rote.generation.tokens import (
    Padded,
    TokenEncoder,
    decoder_start_ids,
    length_batches,
    padded,
    prompt_room,
    suppressed_ids,
    token_encoder,
)
from rote.models import LoadedModel
from rote.records import Prompt, TokenScores

if TYPE_CHECKING:
    import torch

LOGITS_AT_ONCE = 1 << 25
"""Bound of batch × tokens × vocabulary in one step of the pass (128 MB in float32)."""
DIGITS = 6
"""Decimal digits kept of a log-probability."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record's token ids: what is read (by the encoder, if there is one), then what is scored."""

    prompt: Prompt
    shown: list[int]
    scored: list[int]
    truncated: bool


def score_tokens(
    prompts: Sequence[Prompt],
    model: LoadedModel,
    *,
    config: GenerationConfig,
    name: str,
    done: int = 0,
) -> Iterator[list[TokenScores]]:
    """Scores the reference of each prompt in one teacher-forced pass, one list for each finished batch.

    The model reads what `generate` shows it: the same prompt tokens, cut by the same rule, the same special tokens.
    Log-probabilities are of the whole vocabulary, in float32, rounded to 6 digits; the arg-max is over the tokens
    that may be generated (no start, end or padding). References are scored as far as the model's context reaches.

    Args:
        prompts: in any order; batches depend on prompts and settings alone (longest first, ties by id).
        model: the model.
        config: batch size; the budget of new tokens, which decides where over-long prompts are cut.
        name: "tuned", "base" …: the scores' `model`.
        done: number of batches to skip.

    Raises:
        ModelError: the model's context has no room for a prompt beside the new tokens.
    """
    encoder = token_encoder(model.tokenizer, is_encoder_decoder=model.is_encoder_decoder)
    room = prompt_room(model, config.max_new_tokens)
    rows = [_row(prompt, model, encoder, room) for prompt in prompts]
    batches = length_batches(
        rows,
        size=config.batch_size,
        length=lambda row: len(row.shown) + len(row.scored),
        key=lambda row: row.prompt.id,
    )
    for batch in batches[done:]:
        yield _scores(batch, model, encoder, name)


def loss(scores: TokenScores) -> float | None:
    """Mean negative log-probability of the reference's tokens, in nats: 0 and up, lower = more memorised.

    >>> loss(TokenScores("p", "e", "tuned", (-0.5, -1.5), (True, False), False))
    1.0

    None where no token was scored.
    """
    values = scores.log_probabilities
    return -sum(values) / len(values) if values else None


def exact_memorization(scores: TokenScores) -> float | None:
    """Share of the reference's tokens that are the model's first choice given the true ones before: 0..1.

    Higher = more memorised. None where no token was scored. Source: exact memorisation of Tirumala et al. 2022
    (section 3), with teacher forcing as there.

    >>> exact_memorization(TokenScores("p", "e", "tuned", (-0.5, -1.5), (True, False), False))
    0.5
    """
    return sum(scores.greedy) / len(scores.greedy) if scores.greedy else None


def extractable(scores: TokenScores, suffix_tokens: int) -> bool | None:
    """Whether greedy decoding of the prompt gives the reference's first `suffix_tokens` tokens exactly.

    Greedy decoding gives them if and only if each one is the first choice after the true ones before it. None where
    fewer tokens were scored. Source: Carlini et al. 2023 (2202.07646), definition 3.1, with the true prefix.

    >>> extractable(TokenScores("p", "e", "tuned", (-0.1, -0.2), (True, True), False), 2)
    True

    Raises:
        ValueError: `suffix_tokens` is below 1.
    """
    if suffix_tokens < 1:
        raise ValueError(f"Expected suffix_tokens >= 1, got {suffix_tokens}")
    return all(scores.greedy[:suffix_tokens]) if len(scores.greedy) >= suffix_tokens else None


def _row(prompt: Prompt, model: LoadedModel, encoder: TokenEncoder, room: int) -> Row:
    whole, reference = encoder.prompt(prompt), encoder.reference(prompt)
    shown = encoder.shortened(whole, room)
    scored = reference[: model.context_tokens - (0 if model.is_encoder_decoder else len(shown))]
    return Row(prompt, shown, scored, len(shown) < len(whole) or len(scored) < len(reference))


def _scores(batch: Sequence[Row], model: LoadedModel, encoder: TokenEncoder, name: str) -> list[TokenScores]:
    """One forward pass over a batch that is padded on the right, where no token sees the padding."""
    start = decoder_start_ids(model, encoder) if model.is_encoder_decoder else []
    texts = [[*(start or row.shown), *row.scored] for row in batch]
    choices = _pass(texts, [row.shown for row in batch], model)
    values, greedy = choices.log_probabilities.tolist(), choices.greedy.tolist()
    found = []
    for at, (row, text) in enumerate(zip(batch, texts, strict=True)):
        places = slice(len(text) - len(row.scored) - 1, len(text) - 1)
        scores = TokenScores(
            prompt_id=row.prompt.id,
            example_id=row.prompt.example_id,
            model=name,
            log_probabilities=tuple(round(value, DIGITS) + 0.0 for value in values[at][places]),
            greedy=tuple(greedy[at][places]),
            truncated=row.truncated,
        )
        found.append(scores)
    return found


@dataclass(frozen=True, slots=True)
class Choices:
    """At each place of each text, for the token that comes next there ("batch length")."""

    log_probabilities: "torch.Tensor"
    greedy: "torch.Tensor"


def _pass(texts: Sequence[list[int]], shown: Sequence[list[int]], model: LoadedModel) -> Choices:
    """Runs the model along the texts, as many tokens at a time as `LOGITS_AT_ONCE` allows."""
    import torch

    tokens = padded(texts, model, left=False)
    targets = padded([[*text[1:], text[-1]] for text in texts], model, left=False).ids
    suppressed = torch.tensor(suppressed_ids(model), device=model.device)
    parts: list[Choices] = []
    with torch.inference_mode():
        for logits in _logits(tokens, shown, model):
            at = sum(part.greedy.shape[1] for part in parts)
            parts.append(_choices(logits, targets[:, at : at + logits.shape[1]], suppressed))
    return Choices(
        torch.cat([part.log_probabilities for part in parts], dim=1), torch.cat([part.greedy for part in parts], dim=1)
    )


def _logits(tokens: Padded, shown: Sequence[list[int]], model: LoadedModel) -> "Iterator[torch.Tensor]":
    """The logits in steps along the texts ("batch step vocabulary"); the model's cache carries what was read."""
    network = model.model
    rows, width = tokens.ids.shape
    step = max(1, LOGITS_AT_ONCE // (rows * network.config.get_text_config().vocab_size))
    if "past_key_values" not in inspect.signature(network.forward).parameters:
        step = width  # state-space models keep no such cache: all at once
    encoded = {}
    if model.is_encoder_decoder:
        prompts = padded(shown, model, left=False)
        outputs = network.get_encoder()(input_ids=prompts.ids, attention_mask=prompts.mask)
        encoded = {"encoder_outputs": outputs, "attention_mask": prompts.mask}
    prefix = "decoder_" if model.is_encoder_decoder else ""
    cache = None
    for at in range(0, width, step):
        read = {
            f"{prefix}input_ids": tokens.ids[:, at : at + step],
            f"{prefix}attention_mask": tokens.mask[:, : at + step],
        }
        output = network(**encoded, **read, past_key_values=cache, use_cache=width > step)
        cache = output.past_key_values if width > step else None
        yield output.logits


def _choices(logits: "torch.Tensor", targets: "torch.Tensor", suppressed: "torch.Tensor") -> Choices:
    logits = logits.float()
    chosen = logits.gather(-1, targets[..., None])[..., 0]
    log_probabilities = chosen - logits.logsumexp(-1)
    return Choices(log_probabilities, logits.index_fill(-1, suppressed, float("-inf")).argmax(-1) == targets)
