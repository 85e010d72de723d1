"""The teacher-forced pass: what a model's distribution says of each token of a text. One pass gives everything that the
likelihood metrics need, and is stored once for each model and text.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from rote.config import GenerationConfig
from rote.console.progress import track
from rote.errors import ModelError
from rote.models import LoadedModel
from rote.models.tokens import length_batches, model_encoder, prompt_room, sharing, suppressed_ids
from rote.passes.logits import Reader, TextPass
from rote.passes.schemes import PLAIN, Scheme
from rote.passes.store import TokenStatistics, TokenStore
from rote.passes.token_statistics import empty_columns, fill
from rote.records import Prompt, TokenScores, content_id

FORMAT = 2
"""Raised whenever the meaning of a stored number changes."""
TOKENS_AT_ONCE = 1 << 13
"""Bound of texts × tokens of the longest one in a batch."""
CHUNK_TOKENS = 1 << 15
"""From so many scored tokens on they are written to the store: about what is lost when a run is killed."""
SHORT_PREFIX = 3
"""Prefixes of up to so many tokens are not worth reading apart."""

__all__ = ["PromptPass", "TextPass", "key_of", "prompt_pass", "run_passes", "score_prompts", "score_texts"]


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

    Causal models: every token after the start token (where there is none: after the first token) is scored, with a soft
    prompt or without one.

    Raises:
        ModelError: the model's context has no room for a prompt beside the new tokens.
    """
    encoder = model_encoder(model)
    whole, reference = encoder.prompt(prompt), encoder.reference(prompt)
    read = encoder.shortened(whole, prompt_room(model, config.max_new_tokens))
    if model.is_encoder_decoder:
        kept = reference[: model.context_tokens]
        return PromptPass(TextPass(tuple(read), tuple(kept)), 0, len(read) < len(whole) or len(kept) < len(reference))
    kept = reference[: model.context_tokens - len(read)]
    shown = max(1 + encoder.virtual, encoder.opening(read))
    text = TextPass(tuple(read[:shown]), (*read[shown:], *kept))
    return PromptPass(text, len(read) - shown, len(read) < len(whole) or len(kept) < len(reference))


def key_of(text: TextPass, model: LoadedModel, schemes: Sequence[Scheme]) -> str:
    """The text's key in the store: depends on model and adapter (their hash), number format, token ids and schemes."""
    dtype = str(model.model.dtype).removeprefix("torch.")
    labels = ",".join(scheme.label for scheme in schemes)
    apart = "" if model.batching == "any" else f" {model.batching}"
    parts = [f"{FORMAT} {model.digest} {dtype} {labels} {suppressed_ids(model)} {len(text.shown)}{apart}".encode()]
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
    """`score_texts`, batch by batch, for a progress bar: yields keys as their texts are found, first or computed.

    Batches are made of all texts, also of those that the store has, so a call that was interrupted resumes with the
    same batches and finds the same numbers. What is computed is written a chunk at a time.

    Memory: the model; its activations for `TOKENS_AT_ONCE` tokens, padding included (or for one text, if that is
    longer); `LOGITS_AT_ONCE` logits in the model's number format, and on a CPU a few copies of `CPU_BLOCK` of them in
    float32 for each thread (on a GPU: of `CUDA_BLOCK`); the statistics of `CHUNK_TOKENS` tokens and one batch.
    """
    by_key = {key_of(text, model, schemes): text for text in texts}
    for text in by_key.values():
        check_length(text, model)
    yield [key for key in by_key if key in store]
    reader: Reader | None = None
    found: dict[str, TokenStatistics] = {}
    for batch in batches_of(by_key, batch_size, model):
        keys = [key for key in batch if key not in store]
        new = [by_key[key] for key in keys]
        if any(text.scored for text in new):
            reader = reader or Reader(model, next(text for text in new if text.scored))
        found |= zip(keys, _batch_statistics(new, reader, model, schemes), strict=True)
        if sum(map(len, found.values())) >= CHUNK_TOKENS:
            store.add(found)
            found = {}
        if keys:
            yield keys
    store.add(found)


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
            token_hash=content_id(" ".join(map(str, item.text.scored))),
        )
        for prompt, item, key in zip(prompts, passes, keys, strict=True)
    ]


def check_length(text: TextPass, model: LoadedModel) -> None:
    """Raises a ModelError for a text that is longer than the model's context."""
    if not text.shown:
        raise ValueError(f"Expected a text that shows at least one token, got {text}")
    parts = [len(text.shown), len(text.scored)] if model.is_encoder_decoder else [len(text)]
    if max(parts) > model.context_tokens:
        raise ModelError(
            f"{model.source}: a text of {max(parts)} tokens is longer than the model's context of "
            f"{model.context_tokens} tokens"
        )


def batches_of(texts: Mapping[str, TextPass], size: int, model: LoadedModel) -> list[list[str]]:
    """Keys in batches: texts with a prefix of their own by length, then those that share one, prefix by prefix.

    A model that cannot read any texts together reads them as they come.
    """
    by_prefix: defaultdict[tuple[int, ...], list[str]] = defaultdict(list)
    for key, text in texts.items():
        is_prefix = model.batching == "any" and _is_prefix(text, model.is_encoder_decoder)
        by_prefix[text.shown if is_prefix else ()].append(key)
    alone = by_prefix.pop((), [])
    alone += [keys[0] for keys in by_prefix.values() if len(keys) == 1]
    groups = [alone, *(keys for _, keys in sorted(by_prefix.items()) if len(keys) > 1)]
    batches = [
        batch
        for keys in groups
        for batch in length_batches(
            keys, size=size, length=lambda key: len(texts[key]), key=lambda key: key, tokens=TOKENS_AT_ONCE
        )
    ]
    return [
        [batch[at] for at in places]
        for batch in batches
        for places in sharing([shape_of(texts[key], model) for key in batch], model.batching)
    ]


def shape_of(text: TextPass, model: LoadedModel) -> tuple[int, ...]:
    """The lengths that texts have in common where a model reads only texts of equal lengths together."""
    return (len(text.shown), len(text.scored)) if model.is_encoder_decoder else (len(text),)


def _is_prefix(text: TextPass, is_encoder_decoder: bool) -> bool:
    """Whether reading what is shown once for several texts saves anything."""
    return bool(text.shown) if is_encoder_decoder else len(text.shown) > SHORT_PREFIX


def _batch_statistics(
    texts: Sequence[TextPass], reader: Reader | None, model: LoadedModel, schemes: Sequence[Scheme]
) -> list[TokenStatistics]:
    """The statistics of the texts of one batch; no reader is needed where no text has a scored token."""
    import torch

    read = [text for text in texts if text.scored]
    columns = empty_columns(sum(len(text.scored) for text in read), len(schemes), model.device)
    if read and reader is not None:
        targets = torch.tensor([token for text in read for token in text.scored], device=model.device)
        shares = 1 == len({text.shown for text in read}) < len(read) and _is_prefix(read[0], model.is_encoder_decoder)
        shares = shares and model.batching == "any"
        suppressed = suppressed_ids(model)
        try:
            for places, logits in reader.read(read, shares=shares and reader.can_share):
                fill(columns, places, logits, targets[places], suppressed=suppressed, schemes=schemes)
        except FloatingPointError as error:
            raise ModelError(f"{model.source}: in {model.model.dtype} it gives {error}; use another --dtype") from error
    arrays = [column.cpu().numpy() for column in columns]
    ends = list(accumulate(len(text.scored) for text in texts))
    return [
        TokenStatistics(*(array[..., end - len(text.scored) : end] for array in arrays))
        for text, end in zip(texts, ends, strict=True)
    ]
