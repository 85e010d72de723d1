"""Stage 6b: look. How spread or concentrated a model's attention over its input is while it writes its generation.

For every layer and head and every generated token the attention over the input's tokens is taken where that token is
decided, cut to the input's columns and made to sum to 1; `MEASURES` of it are averaged over the generated tokens.
Causal models: self-attention over the prompt's tokens, with the first token (the *sink*, on which heads rest that have
nothing to say) and without it. Encoder-decoder models: cross-attention over the encoder's input.

Attention maps are looked at a few tokens at a time and dropped: nothing of n × n is kept. Fused attention kernels give
no maps, so the model's plain ("eager") attention is switched on for this pass.

What this does not know: why a head attends. Source: Zeng et al. 2024 (arXiv 2310.06714), section 4, who look at one
layer of an encoder-decoder model; the measures without the sink, all layers and all heads are ours.
"""

import inspect
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rote.errors import ModelError
from rote.models import LoadedModel
from rote.models.tokens import decoder_start_ids, model_encoder, prompt_room
from rote.passes.logits import CACHE_ERRORS, TextPass
from rote.records import Generation, Prompt
from rote.soundness.reading import difference, plain, tolerance

if TYPE_CHECKING:
    import torch

MEASURES = ("entropy", "top_1", "top_5", "top_10", "gini", "largest")
"""−Σ a ln a / ln n; mass of the largest 1, 5 and 10 % of the columns (at least one); Gini coefficient; largest weight."""
TOP_SHARES = (0.01, 0.05, 0.10)
MAPS_AT_ONCE = 1 << 26
"""Bound of layers × batch × heads × steps × columns of attention that is held at a time (256 MB in float32)."""
LEAST_INPUTS = 3
"""Tokens of input below which nothing can be said of how attention is spread."""

ByHead = Annotated[NDArray[np.float32], "layers heads measures"]
Map = Annotated[NDArray[np.float32], "layers steps inputs"]


@dataclass(frozen=True, slots=True)
class WatchedText:
    """What the model reads and what it wrote, in token ids.

    Causal: `read` is the prompt, `written` follows it. Encoder-decoder: the encoder reads `read`; `written` begins with
    what the decoder starts with, of which nothing is measured but where the first token is decided.
    """

    subject_id: str
    read: tuple[int, ...]
    written: tuple[int, ...]
    skipped: int
    """Leading tokens of `written` that were not generated (a decoder's start)."""
    columns: tuple[int, int]
    """First input column that is looked at, and the first after: special tokens are left out, but for a sink."""


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """The measures of one text."""

    subject_id: str
    inputs: int
    """Input columns, the sink included."""
    steps: int
    with_sink: ByHead
    without_sink: ByHead
    """Encoder-decoder models have no sink to leave out: equal to `with_sink`."""
    mean_map: Map | None
    """Mean over heads of the attention with sink; only where it was asked for."""


def watched_text(prompt: Prompt, generation: Generation, model: LoadedModel, *, max_new_tokens: int) -> WatchedText:
    """The tokens of a prompt as the model reads it, and of its generation.

    Raises:
        ModelError: the model's context has no room for a prompt beside the new tokens.
    """
    encoder = model_encoder(model)
    read = encoder.shortened(encoder.prompt(prompt), prompt_room(model, max_new_tokens))
    continued = Prompt(prompt.id, prompt.example_id, prompt.text, generation.text)
    start = decoder_start_ids(model, encoder) if model.is_encoder_decoder else []
    room = model.context_tokens - len(start) - (0 if model.is_encoder_decoder else len(read))
    written = (*start, *encoder.reference(continued)[: min(room, max_new_tokens)])
    _, after = encoder.around(is_rendered=prompt.is_rendered)
    columns = (encoder.opening(read) if model.is_encoder_decoder else encoder.virtual, len(read) - len(after))
    return WatchedText(generation.id, tuple(read), written, len(start), columns)


def watch(
    texts: Sequence[WatchedText], model: LoadedModel, *, batch_size: int, maps: frozenset[str] = frozenset()
) -> Iterator[list[Attention]]:
    """The attention of each text, in batches of texts of equal length (so that nothing is padded).

    Texts with fewer than `LEAST_INPUTS` input columns or nothing written are passed over.

    Args:
        texts: in any order; batches are by length, ties by subject.
        model: any transformers model that gives attentions.
        batch_size: texts in one batch, at most.
        maps: subjects whose mean map is kept.

    Raises:
        ModelError: the model gives no attention maps, or what it computes while it is watched is not what it says alone.
    """
    fit = [t for t in texts if t.columns[1] - t.columns[0] >= LEAST_INPUTS and len(t.written) > t.skipped]
    ordered = sorted(fit, key=lambda text: (_shape(text), text.subject_id))
    batch_size = 1 if model.batching == "one" else batch_size
    groups = [list(alike) for _, alike in groupby(ordered, key=_shape)]
    batches = [group[at : at + batch_size] for group in groups for at in range(0, len(group), batch_size)]
    if not batches:
        return
    tried = [batches[at] for at in sorted({0, len(batches) // 2, len(batches) - 1})]
    expected = [_plain(batch, model) for batch in tried]
    with _eager(model):
        in_steps = _is_watched_in_steps(tried, expected, model)
        for batch in batches if in_steps else [[text] for group in batches for text in group]:
            yield _watch_batch(batch, model, maps, in_steps=in_steps)


def _plain(batch: Sequence[WatchedText], model: LoadedModel) -> "list[torch.Tensor]":
    """The logits that a plain call of each text gives before each generated token ("step vocabulary")."""
    try:
        return plain([TextPass(text.read, text.written[text.skipped :]) for text in batch], model)
    except FloatingPointError as error:
        raise ModelError(f"{model.source}: its attention cannot be looked at: {error}") from error


def _is_watched_in_steps(
    tried: Sequence[Sequence[WatchedText]], expected: "Sequence[Sequence[torch.Tensor]]", model: LoadedModel
) -> bool:
    """Whether the cache may be used; otherwise texts are read whole, one by one. Compares logits with the plain call's.

    Raises:
        ModelError: they differ both ways.
    """
    allowed = tolerance([logits for batch in expected for logits in batch], model)
    gaps: list[float] = []
    for in_steps in (True, False) if model.uses_cache else (False,):
        pairs = zip(tried, expected, strict=True)
        gaps.append(max(_gap(batch, known, model, in_steps=in_steps) for batch, known in pairs))
        if gaps[-1] <= allowed:
            return in_steps
    raise ModelError(
        f"{model.source}: its attention cannot be looked at: while it is watched (plain attention kernels, maps asked "
        f"for), its log-probabilities differ from those of a plain call by {min(gaps):.2g} nats "
        f"(rounding would be {allowed:.1g})"
    )


def _gap(
    batch: Sequence[WatchedText], expected: "Sequence[torch.Tensor]", model: LoadedModel, *, in_steps: bool
) -> float:
    """How far the logits of the watched call are from the expected ones, in nats; infinite where it fails in steps."""
    import torch

    try:
        with torch.inference_mode():
            parts = [batch] if in_steps else [[text] for text in batch]
            found = [torch.cat([step.logits for step in _rows(part, model, in_steps=in_steps)], 1) for part in parts]
    except CACHE_ERRORS as error:
        if in_steps:
            return float("inf")
        raise ModelError(f"{model.source}: its attention cannot be looked at: {error}") from error
    rows = [row for part in found for row in part]
    return max(difference(row.float(), known, model) for row, known in zip(rows, expected, strict=True))


def _shape(text: WatchedText) -> tuple[int, ...]:
    return len(text.read), len(text.written), text.skipped, *text.columns


@contextmanager
def _eager(model: LoadedModel) -> Iterator[None]:
    """Plain attention, whose maps can be seen; what was set before comes back."""
    network = model.model
    before = network.config._attn_implementation
    try:
        network.set_attn_implementation("eager")
    except (ValueError, AttributeError) as error:
        raise ModelError(f"{model.source}: its attention cannot be looked at: {error}") from error
    try:
        yield
    finally:
        network.set_attn_implementation(before)


def _watch_batch(
    batch: Sequence[WatchedText], model: LoadedModel, maps: frozenset[str], *, in_steps: bool
) -> list[Attention]:
    import torch

    (first, end), steps = batch[0].columns, len(batch[0].written) - batch[0].skipped
    sums: list[torch.Tensor] = []
    parts: list[torch.Tensor] = []
    with torch.inference_mode():
        for step in _rows(batch, model, in_steps=in_steps):
            rows = step.maps[..., first:end]
            both = torch.stack(
                [concentration(rows), concentration(rows if model.is_encoder_decoder else rows[..., 1:])]
            )
            sums = [sums[0] + both.sum(-2)] if sums else [both.sum(-2)]
            if maps:
                parts.append(rows.mean(2).cpu())
        means = (sums[0] / steps).float().cpu().numpy()  # "sink layers batch heads measures"
    whole = torch.cat(parts, dim=2).numpy() if parts else None
    return [
        Attention(
            subject_id=text.subject_id,
            inputs=end - first,
            steps=steps,
            with_sink=means[0, :, at],
            without_sink=means[1, :, at],
            mean_map=whole[:, at] if whole is not None and text.subject_id in maps else None,
        )
        for at, text in enumerate(batch)
    ]


def concentration(rows: "torch.Tensor") -> "torch.Tensor":
    """`MEASURES` of each row of attention weights over n columns, made to sum to 1.

    Shapes: rows "… inputs" → "… measures". Entropy 0 (one column) .. 1 (all alike); Gini 0 (all alike) .. (n − 1) / n
    (one column); the others 0 .. 1. A row without any weight counts as all alike.
    """
    import torch

    n = rows.shape[-1]
    totals = rows.sum(-1, keepdim=True)
    shares = torch.where(totals > 0, rows / totals.clamp_min(1e-30), torch.full_like(rows, 1 / n)).float()
    ordered = shares.sort(-1, descending=True).values
    entropy = torch.special.entr(shares).sum(-1) / math.log(n)
    ranks = torch.arange(n, device=rows.device)
    gini = ((n - 1 - 2 * ranks) * ordered).sum(-1) / n
    tops = [ordered[..., : max(1, math.ceil(share * n))].sum(-1) for share in TOP_SHARES]
    return torch.stack([entropy, *tops, gini, ordered[..., 0]], dim=-1)


class _Step(NamedTuple):
    """What the watched call gives where some of the generated tokens are decided."""

    maps: "torch.Tensor"
    """Attention over the input ("layers batch heads steps inputs")."""
    logits: "torch.Tensor"
    """ "batch steps vocabulary"."""


def _rows(batch: Sequence[WatchedText], model: LoadedModel, *, in_steps: bool) -> Iterator[_Step]:
    """The attention over the input where each generated token is decided, in steps through the cache or all at once."""
    import torch

    read = torch.tensor([text.read for text in batch], device=model.device)
    written = torch.tensor([text.written for text in batch], device=model.device)
    if not in_steps:
        yield _all_at_once(read, written, batch[0].skipped, model)
        return
    config = model.model.config.get_text_config(decoder=True)
    heads = int(getattr(config, "num_attention_heads", 0) or 1) * int(getattr(config, "num_hidden_layers", 0) or 1)
    at_once = max(1, MAPS_AT_ONCE // (len(batch) * heads * (read.shape[1] + written.shape[1])))
    if model.is_encoder_decoder:
        yield from _decoder_steps(read, written, batch[0].skipped, model, at_once)
    else:
        yield from _causal_steps(read, written, model, at_once)


def _all_at_once(read: "torch.Tensor", written: "torch.Tensor", skipped: int, model: LoadedModel) -> _Step:
    """Without a cache, the whole text: the call whose logits the audit's passes are compared with."""
    import torch

    network, options = model.model, {"output_attentions": True}
    if "use_cache" in inspect.signature(network.forward).parameters:
        options["use_cache"] = False
    if model.is_encoder_decoder:
        output = network(input_ids=read, decoder_input_ids=written[:, :-1], **options)
        maps = _stacked(output.cross_attentions, written.shape[1] - 1, read.shape[1], model)
        return _Step(maps[..., skipped - 1 :, :], output.logits[:, skipped - 1 :])
    ids = torch.cat([read, written[:, :-1]], dim=1)
    output = network(ids, **options)
    maps = _stacked(output.attentions, ids.shape[1], ids.shape[1], model)
    first = read.shape[1] - 1
    return _Step(maps[..., first:, : read.shape[1]], output.logits[:, first:])


def _decoder_steps(
    read: "torch.Tensor", written: "torch.Tensor", skipped: int, model: LoadedModel, at_once: int
) -> Iterator[_Step]:
    import torch

    network = model.model
    encoded = network.get_encoder()(input_ids=read)
    shown = {"encoder_outputs": encoded, "attention_mask": torch.ones_like(read)}
    # The last start token decides the first generated one; the last generated token decides nothing.
    cache, queries = None, written[:, :-1]
    if skipped > 1:
        first = network(**shown, decoder_input_ids=queries[:, : skipped - 1], use_cache=True)
        cache, queries = first.past_key_values, queries[:, skipped - 1 :]
    for at in range(0, queries.shape[1], at_once):
        part = queries[:, at : at + at_once]
        output = network(**shown, decoder_input_ids=part, past_key_values=cache, use_cache=True, output_attentions=True)
        cache = output.past_key_values
        yield _Step(_stacked(output.cross_attentions, part.shape[1], read.shape[1], model), output.logits)


def _causal_steps(read: "torch.Tensor", written: "torch.Tensor", model: LoadedModel, at_once: int) -> Iterator[_Step]:
    import torch

    network = model.model
    cache = network(read[:, :-1], use_cache=True).past_key_values
    queries = torch.cat([read[:, -1:], written[:, :-1]], dim=1)
    for at in range(0, queries.shape[1], at_once):
        part = queries[:, at : at + at_once]
        output = network(part, past_key_values=cache, use_cache=True, output_attentions=True)
        cache = output.past_key_values
        seen = read.shape[1] + at + part.shape[1] - 1
        maps = _stacked(output.attentions, part.shape[1], seen, model)
        yield _Step(maps[..., : read.shape[1]], output.logits)


def _stacked(maps: "Sequence[torch.Tensor | None] | None", steps: int, seen: int, model: LoadedModel) -> "torch.Tensor":
    """The layers' maps as one tensor; a layer with a sliding window has forgotten the first of the `seen` columns.

    Raises:
        ModelError: what the model calls its attention is not weights of `steps` tokens over the `seen` ones.
    """
    import torch

    found = [one for one in maps or () if one is not None]
    if not found:
        raise ModelError(f"{model.source}: the model gives no attention maps")
    for one in found:
        if one.dim() != 4 or one.shape[-2] != steps or one.shape[-1] > seen or bool((one < 0).any()):
            raise ModelError(
                f"{model.source}: what {type(model.model).__name__} gives as attention (shape {tuple(one.shape)}) is not "
                f"weights of {steps} tokens over {seen}"
            )
    return torch.stack([torch.nn.functional.pad(one, (seen - one.shape[-1], 0)) for one in found])
