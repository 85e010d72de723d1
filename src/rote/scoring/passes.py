"""The teacher-forced pass: what a model's distribution says of each token of a text. One pass gives everything that the
likelihood metrics need, and is stored once for each model and text.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from rote.config import GenerationConfig
from rote.generation.tokens import decoder_start_ids, prompt_room, suppressed_ids, token_encoder
from rote.models import LoadedModel
from rote.progress import track
from rote.records import Prompt, TokenScores
from rote.scoring.schemes import PLAIN, Scheme
from rote.scoring.store import TokenStatistics, TokenStore

FORMAT = 1
"""Raised whenever the meaning of a stored number changes."""


@dataclass(frozen=True, slots=True)
class TextPass:
    """One text to score: the token ids that are only shown, then those that are scored.

    Causal models read `shown` and `scored` as one text; `shown` holds at least one token. Encoder-decoder models read
    `shown` with the encoder, and the decoder starts as it does when it generates. Texts with the same `shown` (a prefix
    that many continuations share) are read through the model's cache, the prefix once for each batch.
    """

    shown: tuple[int, ...]
    scored: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PromptPass:
    """The pass over a prompt and its reference. The first `prompt_tokens` of the scored tokens are the prompt's."""

    text: TextPass
    prompt_tokens: int
    """0 for encoder-decoder models, whose prompts are not scored."""
    truncated: bool
    """The text was longer than the model's context; only the part that fits is scored."""


def prompt_pass(prompt: Prompt, model: LoadedModel, config: GenerationConfig) -> PromptPass:
    """The tokens of prompt and reference, as `rote generate` shows them: same special tokens, same cuts.

    Causal models: every token after the start token (where the tokenizer puts none: after the first token) is scored.

    Raises:
        ModelError: the model's context has no room for a prompt beside the new tokens.
    """
    encoder = token_encoder(model.tokenizer, is_encoder_decoder=model.is_encoder_decoder)
    whole, reference = encoder.prompt(prompt), encoder.reference(prompt)
    read = encoder.shortened(whole, prompt_room(model, config.max_new_tokens))
    if model.is_encoder_decoder:
        kept = reference[: model.context_tokens]
        return PromptPass(TextPass(tuple(read), tuple(kept)), 0, len(read) < len(whole) or len(kept) < len(reference))
    kept = reference[: model.context_tokens - len(read)]
    shown = max(1, len(encoder.before))
    text = TextPass(tuple(read[:shown]), (*read[shown:], *kept))
    return PromptPass(text, len(read) - shown, len(read) < len(whole) or len(kept) < len(reference))


def key_of(text: TextPass, model: LoadedModel, schemes: Sequence[Scheme]) -> str:
    """The text's key in the store: depends on model and adapter (their hash), number format, token ids and schemes."""
    dtype = str(model.model.dtype).removeprefix("torch.")
    labels = ",".join(scheme.label for scheme in schemes)
    parts = [f"{FORMAT} {model.digest} {dtype} {labels} {suppressed_ids(model)} {len(text.shown)}".encode()]
    parts += [np.array(ids, dtype="<i4").tobytes() for ids in (text.shown, text.scored)]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()[:32]


def score_texts(
    texts: Sequence[TextPass],
    model: LoadedModel,
    store: TokenStore,
    *,
    schemes: Sequence[Scheme] = (PLAIN,),
    batch_size: int = 32,
) -> list[str]:
    """Sees to it that the store has the statistics of each text, and returns the texts' keys, in order.

    Only texts that the store does not have are computed, each once, in batches of like length. Results depend on
    neither batch, padding nor order, but for the last digits of floating-point sums. Memory is bounded: see `run_passes`.

    >>> keys = score_texts(texts, model, store)  # doctest: +SKIP
    >>> [store.read(key) for key in keys]  # doctest: +SKIP

    Args:
        texts: in any order; equal ones share a key.
        model: causal or encoder-decoder, any number format, any device.
        store: where results are kept.
        schemes: decoding schemes, in the order of the rows of `decoding_log_probabilities`.
        batch_size: texts in one batch, at most.

    Raises:
        ModelError: a text is longer than the model's context.
    """
    for _ in run_passes(texts, model, store, schemes=schemes, batch_size=batch_size):
        pass
    return [key_of(text, model, schemes) for text in texts]


def run_passes(
    texts: Sequence[TextPass],
    model: LoadedModel,
    store: TokenStore,
    *,
    schemes: Sequence[Scheme] = (PLAIN,),
    batch_size: int = 32,
) -> Iterator[list[str]]:
    """`score_texts`, batch by batch: yields the keys of each finished batch, for a progress bar."""
    by_key = {key_of(text, model, schemes): text for text in texts}
    new = [key for key in by_key if key not in store]
    for at in range(0, len(new), batch_size):
        keys = new[at : at + batch_size]
        store.add({key: _naive(by_key[key], model, schemes) for key in keys})
        yield keys


def score_prompts(
    prompts: Sequence[Prompt],
    model: LoadedModel,
    store: TokenStore,
    *,
    config: GenerationConfig,
    schemes: Sequence[Scheme],
    name: str,
) -> list[TokenScores]:
    """The passes over prompts and references, in the order of the prompts.

    Args:
        prompts: in any order.
        model: the model.
        store: where the numbers are kept.
        config: batch size; the budget of new tokens, which decides where over-long prompts are cut.
        schemes: decoding schemes.
        name: "tuned", "base" …: the passes' `model`.

    Raises:
        ModelError: the model's context has no room for a prompt beside the new tokens.
    """
    passes = [prompt_pass(prompt, model, config) for prompt in prompts]
    texts = [item.text for item in passes]
    keys = [key_of(text, model, schemes) for text in texts]
    batches = run_passes(texts, model, store, schemes=schemes, batch_size=config.batch_size)
    for _ in track(batches, f"scoring ({name})", total=len({*keys})):
        pass
    return [
        TokenScores(
            prompt_id=prompt.id,
            example_id=prompt.example_id,
            model=name,
            key=key,
            prompt_tokens=item.prompt_tokens,
            tokens=len(item.text.scored),
            truncated=item.truncated,
        )
        for prompt, item, key in zip(prompts, passes, keys, strict=True)
    ]


def _naive(text: TextPass, model: LoadedModel, schemes: Sequence[Scheme]) -> TokenStatistics:
    """Simple and slow, at batch 1."""
    import torch

    encoder = token_encoder(model.tokenizer, is_encoder_decoder=model.is_encoder_decoder)
    with torch.inference_mode():
        if model.is_encoder_decoder:
            start = decoder_start_ids(model, encoder)
            read = torch.tensor([[*start, *text.scored]], device=model.device)
            output = model.model(input_ids=torch.tensor([text.shown], device=model.device), decoder_input_ids=read)
            first = len(start)
        else:
            output = model.model(torch.tensor([[*text.shown, *text.scored]], device=model.device))
            first = len(text.shown)
        logits = output.logits[0, first - 1 : -1].double().cpu()
    target = torch.tensor(text.scored, dtype=torch.long)[:, None]
    log_p = logits.log_softmax(-1)
    p = log_p.exp()
    mean = (p * log_p).sum(-1)
    deviation = (p * (log_p - mean[:, None]) ** 2).sum(-1).sqrt()
    allowed = logits.index_fill(-1, torch.tensor(suppressed_ids(model)), float("-inf"))
    decoding = [_truncated(allowed, scheme).gather(-1, target)[:, 0].numpy() for scheme in schemes]
    return TokenStatistics(
        log_p.gather(-1, target)[:, 0].numpy().astype(np.float32),
        mean.numpy().astype(np.float32),
        deviation.numpy().astype(np.float32),
        (logits > logits.gather(-1, target)).sum(-1).numpy().astype(np.int32),
        (allowed.argmax(-1) == target[:, 0]).numpy(),
        np.array(decoding, dtype=np.float32).reshape(len(schemes), len(text.scored)),
    )


def _truncated(logits, scheme: Scheme):  # type: ignore[no-untyped-def]
    scores = logits / scheme.temperature
    if scheme.top_k:
        scores = scores.masked_fill(
            scores < scores.topk(min(scheme.top_k, scores.shape[-1])).values[:, -1:], float("-inf")
        )
    if scheme.top_p < 1:
        ordered, _ = scores.sort(descending=True)
        p = ordered.softmax(-1)
        kept = p.cumsum(-1) - p < scheme.top_p
        last = ordered.masked_fill(~kept, float("inf")).amin(-1, keepdim=True)
        scores = scores.masked_fill(scores < last, float("-inf"))
    return scores.log_softmax(-1)
