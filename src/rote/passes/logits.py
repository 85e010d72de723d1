"""The logits at the scored tokens of a batch of texts, a bounded number at a time.

The transformer runs once over the batch, and its head over the scored places alone. A model that cannot be cut in two
(`rote.passes.heads`) is run along the texts in steps, through its own cache.
"""

import copy
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, cast

from rote.models import LoadedModel
from rote.models.tokens import Padded, decoder_start_ids, model_encoder, padded
from rote.passes.heads import find_head, is_same, states_before

if TYPE_CHECKING:
    import torch
    from transformers import DynamicCache
    from transformers.utils.generic import ModelOutput

    from rote.passes.heads import Inputs

LOGITS_AT_ONCE = 1 << 24
"""Bound of places × vocabulary of the logits that are there at one time (64 MB in float32)."""
TRIED_TOKENS = 12
"""Length of the text that the parts of a model are tried on."""
CACHE_ERRORS = (TypeError, ValueError, RuntimeError, NotImplementedError, AttributeError, IndexError)
"""What models that keep another kind of cache raise when they are given a plain one."""


@dataclass(frozen=True, slots=True)
class TextPass:
    """One text to score: the token ids that are only shown, then those that are scored.

    Causal models read `shown` and `scored` as one text; `shown` holds at least one token. Encoder-decoder models read
    `shown` with the encoder, and the decoder starts as it does when it generates.
    """

    shown: tuple[int, ...]
    scored: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.shown) + len(self.scored)


class Piece(NamedTuple):
    """Logits of some scored tokens ("row vocabulary"), and which: places among all scored tokens of the batch."""

    places: "torch.Tensor"
    logits: "torch.Tensor"


class Reader:
    """Runs one model over batches of texts, each of which shows and scores something.

    Args:
        model: the model.
        sample: a text with a scored token; the model's parts are tried on its first tokens.
        at_once: see `LOGITS_AT_ONCE`, which it is unless it is given.
    """

    def __init__(self, model: LoadedModel, sample: TextPass, *, at_once: int | None = None) -> None:
        import torch

        self.model = model
        self.at_once = LOGITS_AT_ONCE if at_once is None else at_once
        parameters = inspect.signature(model.model.forward).parameters
        self.takes_cache = model.uses_cache and "past_key_values" in parameters
        self.options: Inputs = {"use_cache": False} if "use_cache" in parameters else {}
        self.start: list[int] = []
        if model.is_encoder_decoder:
            self.start = decoder_start_ids(model, model_encoder(model))
        count = min(TRIED_TOKENS, model.context_tokens // 2)
        self.tried = TextPass(sample.shown[:count], (sample.scored * count)[:count])
        self.buffer: torch.Tensor | None = None
        self.prefix: tuple[tuple[int, ...], DynamicCache] | None = None
        with torch.inference_mode():
            self.head = find_head(model.model, self._inputs([self.tried]))

    @cached_property
    def can_share(self) -> bool:
        """Whether texts with the same `shown` can be read through the model's cache; found out by trying."""
        if self.head is None or not self.takes_cache or self.model.is_encoder_decoder:
            return False
        ids = (*self.tried.shown, *self.tried.scored)
        text = TextPass(ids[: len(ids) // 2], ids[len(ids) // 2 :])
        try:
            whole, through = self._whole([text, text]), self._whole([text, text], shares=True)
        except CACHE_ERRORS:
            return False
        return is_same(whole, through)

    def read(self, texts: Sequence[TextPass], *, shares: bool = False) -> Iterator[Piece]:
        """The logits at all scored tokens, which are counted from text to text; they may be overwritten.

        Args:
            texts: each with a scored token.
            shares: all have the same `shown`, of two tokens at least; it is read once, the rest through the cache.
        """
        import torch

        with torch.inference_mode():
            if self.head is None:
                yield from self._in_steps(texts)
                return
            states = states_before(self.head.module, self.model.model, self._inputs(texts, shares=shares))
            assert states is not None
            rows, places = self._places(texts, shares=shares)
            wanted = states[rows, places]
            del states
            yield from self._pieces(wanted)

    @cached_property
    def can_step(self) -> bool:
        """Whether the whole model gives the same in steps of several tokens through its cache; found out by trying.

        FSMT sees what follows within a step; RecurrentGemma hands out no cache.
        """
        bound, width = self.at_once, len(self._fed([self.tried], shares=False)[0])
        vocabulary = int(self.model.model.config.get_text_config().vocab_size)
        # set before the model is run, so that it is run in steps at all
        self.__dict__["can_step"] = True
        try:
            self.at_once = width * vocabulary
            whole = self._whole([self.tried])
            self.at_once = max(1, width // 3) * vocabulary
            return is_same(whole, self._whole([self.tried]))
        except CACHE_ERRORS:
            return False
        finally:
            self.at_once = bound

    def _whole(self, texts: Sequence[TextPass], *, shares: bool = False) -> "torch.Tensor":
        import torch

        return torch.cat([piece.logits.clone() for piece in self.read(texts, shares=shares)])

    def _pieces(self, states: "torch.Tensor") -> Iterator[Piece]:
        """The head over all states, in pieces that use the same memory."""
        import torch

        assert self.head is not None
        step = max(1, self.at_once // self.head.vocabulary)
        if self.buffer is None or len(self.buffer) < min(step, len(states)):
            self.buffer = states.new_empty((min(step, len(states)), self.head.vocabulary))
        for at in range(0, len(states), step):
            part = states[at : at + step]
            yield Piece(torch.arange(at, at + len(part), device=part.device), self.head.logits(part, self.buffer))

    def _in_steps(self, texts: Sequence[TextPass]) -> Iterator[Piece]:
        """The whole model along the texts, as many tokens at a time as the bound allows; its cache carries the rest.

        A model without such a cache reads one text after the other, each at once.
        """
        import torch

        vocabulary = int(self.model.model.config.get_text_config().vocab_size)
        longest = max(map(len, self._fed(texts, shares=False)))
        step = max(1, self.at_once // (len(texts) * vocabulary))
        steps = self.takes_cache and (step >= longest or self.can_step)
        if not steps and len(texts) > 1:
            yield from self._one_by_one(texts)
            return
        prefix = "decoder_" if self.model.is_encoder_decoder else ""
        inputs = self._inputs(texts)
        tokens = cast("torch.Tensor", inputs.pop(f"{prefix}input_ids"))
        mask = cast("torch.Tensor", inputs.pop(f"{prefix}attention_mask"))
        rows, places = self._places(texts)
        numbers = torch.full(tokens.shape, -1, device=tokens.device)
        numbers[rows, places] = torch.arange(len(rows), device=tokens.device)
        width = tokens.shape[1]
        network, cache = self.model.model, None
        step = step if steps else width
        for at in range(0, width, step):
            read: Inputs = {
                f"{prefix}input_ids": tokens[:, at : at + step],
                f"{prefix}attention_mask": mask[:, : at + step],
            }
            if step < width:
                read |= {"past_key_values": cache, "use_cache": True}
            output = network(**{**inputs, **read})
            cache = output.past_key_values if step < width else None
            found = numbers[:, at : at + step]
            yield Piece(found[found >= 0], output.logits[found >= 0])

    def _one_by_one(self, texts: Sequence[TextPass]) -> Iterator[Piece]:
        done = 0
        for text in texts:
            for piece in self._in_steps([text]):
                yield Piece(piece.places + done, piece.logits)
            done += len(text.scored)

    def _fed(self, texts: Sequence[TextPass], *, shares: bool) -> list[list[int]]:
        """What the decoder reads of each text; nothing comes after the last scored token, so that one is not read."""
        if self.model.is_encoder_decoder:
            return [[*self.start, *text.scored[:-1]] for text in texts]
        return [[*(text.shown[-1:] if shares else text.shown), *text.scored[:-1]] for text in texts]

    def _places(self, texts: Sequence[TextPass], *, shares: bool = False) -> tuple["torch.Tensor", "torch.Tensor"]:
        """Row and column, in what the decoder reads, of the token before each scored one."""
        import torch

        fed, scored = self._fed(texts, shares=shares), [len(text.scored) for text in texts]
        rows = [row for row, count in enumerate(scored) for _ in range(count)]
        places = [len(ids) - back for ids, count in zip(fed, scored, strict=True) for back in range(count, 0, -1)]
        return torch.tensor(rows, device=self.model.device), torch.tensor(places, device=self.model.device)

    def _inputs(self, texts: Sequence[TextPass], *, shares: bool = False) -> "Inputs":
        """The batch as the model takes it, padded on the right, where no token sees the padding."""
        import torch

        fed = padded(self._fed(texts, shares=shares), self.model, left=False)
        if shares:
            prefix = texts[0].shown[:-1]
            mask = torch.cat([fed.mask.new_ones((len(texts), len(prefix))), fed.mask], dim=1)
            cache = self._read_prefix(prefix)
            cache.batch_repeat_interleave(len(texts))
            return {"input_ids": fed.ids, "attention_mask": mask, "past_key_values": cache, "use_cache": True}
        if not self.model.is_encoder_decoder:
            return {"input_ids": fed.ids, "attention_mask": fed.mask, **self.options}
        return {
            **self._encoded(texts),
            "decoder_input_ids": fed.ids,
            "decoder_attention_mask": fed.mask,
            **self.options,
        }

    def _encoded(self, texts: Sequence[TextPass]) -> "Inputs":
        """What the encoder reads of each text; what several texts show is encoded once, where that is right."""
        import torch

        places = {shown: place for place, shown in enumerate(dict.fromkeys(text.shown for text in texts))}
        shown = padded(list(places), self.model, left=False)
        rows = torch.tensor([places[text.shown] for text in texts], device=self.model.device)
        read: Inputs = {"input_ids": shown.ids[rows], "attention_mask": shown.mask[rows]}
        if len(places) < len(texts) and self.can_encode_once:
            read["encoder_outputs"] = self._encoder_outputs(shown, rows)
        return read

    @cached_property
    def can_encode_once(self) -> bool:
        """Whether the encoder's output for one text may be given to the model for several; found out by trying."""
        parts = [self.tried, TextPass(self.tried.shown, self.tried.scored[::-1])]
        shown = padded([self.tried.shown], self.model, left=False)
        fed = padded(self._fed(parts, shares=False), self.model, left=False)
        read = {"input_ids": shown.ids.repeat(2, 1), "attention_mask": shown.mask.repeat(2, 1), **self.options}
        read |= {"decoder_input_ids": fed.ids, "decoder_attention_mask": fed.mask}
        network = self.model.model
        try:
            whole = network(**read).logits
            once = network(**read, encoder_outputs=self._encoder_outputs(shown, shown.mask.new_zeros(2))).logits
        except CACHE_ERRORS:
            return False
        return is_same(whole, once)

    def _encoder_outputs(self, shown: Padded, rows: "torch.Tensor") -> object:
        """The encoder's output, its rows repeated as they are asked for."""
        return repeated(self.model.model.get_encoder()(input_ids=shown.ids, attention_mask=shown.mask), rows)

    def _read_prefix(self, prefix: tuple[int, ...]) -> "DynamicCache":
        """A cache in which the prefix has been read, at batch 1."""
        import torch
        from transformers import DynamicCache

        if self.prefix is None or self.prefix[0] != prefix:
            assert self.head is not None
            cache = DynamicCache(config=self.model.model.config)
            ids = torch.tensor([prefix], device=self.model.device)
            inputs: Inputs = {"input_ids": ids, "past_key_values": cache, "use_cache": True}
            states_before(self.head.module, self.model.model, inputs)
            self.prefix = prefix, cache
        return copy.deepcopy(self.prefix[1])


def repeated(encoded: "ModelOutput", rows: "torch.Tensor") -> "ModelOutput":
    """An encoder's output with these rows of it, in its own class: some models ask for fields that others lack."""
    import torch

    count = len(encoded["last_hidden_state"])
    kept = {
        name: value[rows]
        for name, value in encoded.items()
        if isinstance(value, torch.Tensor) and value.shape[:1] == (count,)
    }
    return type(encoded)(**kept)
