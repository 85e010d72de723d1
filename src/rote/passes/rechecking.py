"""How far the numbers of the passes can be trusted: a sample of texts is scored again, one by one, in float32.

Written to be checked by reading: the model's own logits of a whole text at batch 1, and sums over the vocabulary in
float64, as the definitions say them. Nothing is shared with the pass that is checked but the token ids.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rote.config import GenerationConfig
from rote.errors import ModelError
from rote.models import LoadedModel
from rote.models.tokens import decoder_start_ids, model_encoder, suppressed_ids
from rote.passes.logits import TextPass
from rote.passes.schemes import Scheme
from rote.passes.scoring import prompt_pass
from rote.passes.store import TokenStatistics, TokenStore
from rote.records import Prompt, Recheck, TokenScores

if TYPE_CHECKING:
    import torch

FULL_PRECISION_NATS = 1e-3
"""Largest difference of a token's log-probability that is rounding, in float32."""
HALF_PRECISION_NATS = 0.1
"""Largest difference of a text's loss, in nats per token, that is rounding in bfloat16 and float16."""
ROWS = 64
"""Tokens of which the probabilities of the whole vocabulary are there at one time."""


def recheck(
    passes: Sequence[TokenScores],
    prompts: Mapping[str, Prompt],
    model: LoadedModel,
    store: TokenStore,
    *,
    config: GenerationConfig,
    schemes: Sequence[Scheme],
    count: int,
    dtype: str,
    name: str,
) -> Recheck:
    """The largest differences between stored statistics and those of the model in float32 at batch 1.

    Args:
        passes: of one model; `count` of them are drawn by their keys, which are as good as random.
        prompts: by id.
        model: the same model in float32.
        store: has the statistics of the passes.
        config: as of the passes.
        schemes: as of the passes.
        count: texts to check.
        dtype: the number format of the passes.
        name: "tuned", "base" …

    Raises:
        ModelError: there is no room for the model in float32.
    """
    import torch

    drawn = sorted(passes, key=lambda item: item.key)[:count]
    stored = [store.read(item.key) for item in drawn]
    texts = [prompt_pass(prompts[item.prompt_id], model, config).text for item in drawn]
    try:
        plain = [plain_statistics(text, model, schemes) for text in texts]
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{model.source}: no room to score a sample again in float32 (scoring.rechecked = {count}; 0 leaves it out)"
        ) from error

    def of(name: str) -> list[tuple[NDArray[np.floating], NDArray[np.floating]]]:
        return [(getattr(one, name), getattr(other, name)) for one, other in zip(stored, plain, strict=True)]

    return Recheck(
        model=name,
        dtype=dtype,
        device=str(model.device),
        texts=len(drawn),
        tokens=sum(map(len, stored)),
        log_probability=_largest(of("log_probabilities")),
        mean=_largest(of("means")),
        deviation=_largest(of("deviations")),
        decoding=_largest(of("decoding_log_probabilities")),
        loss=_largest([(_loss(one), _loss(other)) for one, other in zip(stored, plain, strict=True)]),
        other_choices=_changed(of("is_greedy")),
        other_ranks=_changed(of("ranks")),
        other_draws=_changed([(one == -np.inf, other == -np.inf) for one, other in of("decoding_log_probabilities")]),
    )


def check_recheck(found: Recheck, source: str) -> None:
    """Raises a ModelError where the numbers of the passes differ by more than rounding from those at batch 1 in float32.

    In float32 a log-probability may differ by 1e-3 nats. bfloat16 and float16 round every product to 3 and 4 digits,
    which moves the log-probability of a token by some tenths of a nat (seen: 0.07), now and then, where another expert is
    chosen, by more: there the loss of a text, over which such errors cancel out, may differ by 0.1 nats.
    """
    worst, bound, what = found.log_probability, FULL_PRECISION_NATS, "the log-probability of a token"
    if found.dtype != "float32":
        worst, bound, what = found.loss, HALF_PRECISION_NATS, "the loss of a text"
    if worst > bound:
        raise ModelError(
            f"{source}: {what} under the {found.model} model ({found.dtype}, {found.device}) differs by {worst:.2g} nats from "
            f"that of the same text scored by itself in float32 (of {found.texts} texts; at most {bound:g} is rounding): its "
            "numbers depend on how texts are batched, or on the number format. Try --dtype float32 and "
            "--generation-batch-size 1; if it stays, this architecture cannot be audited"
        )


def plain_statistics(text: TextPass, model: LoadedModel, schemes: Sequence[Scheme]) -> TokenStatistics:
    """The statistics of one text by their definitions: one forward pass of the model at batch 1, sums in float64."""
    import torch

    device = "cpu" if model.device.type == "mps" else model.device  # which has no float64
    targets = torch.tensor(text.scored, dtype=torch.long, device=device)
    columns: list[list[torch.Tensor]] = [[] for _ in fields(TokenStatistics)]
    with torch.inference_mode():
        logits = plain_logits(text, model)
        for at in range(0, max(1, len(targets)), ROWS):
            rows = slice(at, at + ROWS)
            found = _statistics(logits[rows].to(device).double(), targets[rows], suppressed_ids(model), schemes)
            for column, part in zip(columns, found, strict=True):
                column.append(part)
    return TokenStatistics(*(torch.cat(column, dim=-1).cpu().numpy() for column in columns))


def plain_logits(text: TextPass, model: LoadedModel) -> "torch.Tensor":
    """The model's own logits before each scored token: one call at batch 1, no cache, no mask ("token vocabulary")."""
    import torch

    def tensor(ids: Sequence[int]) -> torch.Tensor:
        return torch.tensor([ids], device=model.device)

    network = model.model
    options = {"use_cache": False} if "use_cache" in inspect.signature(network.forward).parameters else {}
    if model.is_encoder_decoder:
        start = decoder_start_ids(model, model_encoder(model))
        read = {"input_ids": tensor(text.shown), "decoder_input_ids": tensor([*start, *text.scored])}
    else:
        read = {"input_ids": tensor([*text.shown, *text.scored])}
    logits: torch.Tensor = network(**read, **options).logits[0]
    return logits[len(logits) - len(text.scored) - 1 : -1]


def _statistics(
    logits: "torch.Tensor", targets: "torch.Tensor", suppressed: Sequence[int], schemes: Sequence[Scheme]
) -> "tuple[torch.Tensor, ...]":
    """The fields of `TokenStatistics`, of some tokens."""
    import torch

    log_p = logits.log_softmax(-1)
    p, chosen = log_p.exp(), targets[:, None]
    means = (p * log_p).sum(-1)
    deviations = (p * (log_p - means[:, None]).square()).sum(-1).sqrt()
    ranks = (logits > logits.gather(-1, chosen)).sum(-1)
    never = torch.tensor(suppressed, dtype=torch.long, device=logits.device)
    allowed = logits.index_fill(-1, never, float("-inf"))
    decoding = [_under(scheme, allowed).gather(-1, chosen)[:, 0] for scheme in schemes]
    log_probabilities = log_p.gather(-1, chosen)[:, 0]
    return log_probabilities, means, deviations, ranks, allowed.argmax(-1) == targets, torch.stack(decoding)


def _under(scheme: Scheme, logits: "torch.Tensor") -> "torch.Tensor":
    """ln of the probabilities that a scheme draws from."""
    scores = logits / scheme.temperature
    if scheme.top_k:
        least = scores.topk(min(scheme.top_k, scores.shape[-1])).values[:, -1:]
        scores = scores.masked_fill(scores < least, float("-inf"))
    if scheme.top_p < 1:
        ordered = scores.sort(descending=True).values
        p = ordered.softmax(-1)
        least = ordered.masked_fill(p.cumsum(-1) - p >= scheme.top_p, float("inf")).amin(-1, keepdim=True)
        scores = scores.masked_fill(scores < least, float("-inf"))
    return scores.log_softmax(-1)


def _largest(pairs: Sequence[tuple[NDArray[np.floating], NDArray[np.floating]]]) -> float:
    """The largest absolute difference where both are finite; 0 where nothing is."""
    found = [0.0]
    for one, other in pairs:
        both = np.isfinite(one) & np.isfinite(other)
        found.append(float(np.abs(one[both].astype(float) - other[both]).max(initial=0)))
    return max(found)


def _loss(tokens: TokenStatistics) -> NDArray[np.floating]:
    return np.atleast_1d(tokens.log_probabilities.mean(dtype=float)) if len(tokens) else np.zeros(0)


def _changed(pairs: Sequence[tuple[NDArray[np.generic], NDArray[np.generic]]]) -> int:
    """How many places differ."""
    return sum(int((one != other).sum()) for one, other in pairs)
