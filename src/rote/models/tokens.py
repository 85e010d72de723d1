"""How prompts and references become token ids. Generation and the teacher-forced pass both read them from here, so a
token that is scored stands at exactly the place where it would be generated.
"""

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from rote.errors import ModelError
from rote.models import Batching, LoadedModel
from rote.records import Prompt

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

Item = TypeVar("Item")
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """Token ids of a text without special tokens, and the character at which each token ends."""

    ids: list[int]
    ends: list[int]


@dataclass(frozen=True, slots=True)
class TokenEncoder:
    """A tokenizer with what it puts around a text.

    `before` and `after` enclose a prompt; the first `virtual` ids of `before` are a soft prompt, no text. A causal model's
    prompt is open at its end: `after` is empty, whatever the tokenizer closes a text with (an end token there would ask the
    model for a new text). `target_before` stands between an encoder-decoder model's start token and its output.

    What a chat template wrote (`is_rendered`) holds its special tokens: it gets nothing but the soft prompt, so that its
    ids are those of `apply_chat_template(tokenize=True)`. Any other text has those of a call of the tokenizer.
    """

    tokenizer: "PreTrainedTokenizerBase"
    is_encoder_decoder: bool
    before: tuple[int, ...]
    after: tuple[int, ...]
    target_before: tuple[int, ...]
    virtual: int = 0

    def tokenized(self, text: str) -> TokenizedText:
        """The text's own tokens, with their ends in characters of `text`.

        Raises:
            ModelError: the tokenizer is a slow one, which does not know where its tokens stand.
        """
        if not self.tokenizer.is_fast:
            raise ModelError(f"{self.tokenizer.name_or_path}: no fast tokenizer (tokenizer.json), needed for prompts")
        encoded = self.tokenizer(_encodable(text), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        return TokenizedText(list(encoded["input_ids"]), [end for _, end in encoded["offset_mapping"]])

    def content(self, text: str) -> list[int]:
        """The text's own tokens, without the special tokens that a tokenizer puts around it."""
        return list(self.tokenizer(_encodable(text), add_special_tokens=False, verbose=False)["input_ids"])

    def prompt(self, prompt: Prompt) -> list[int]:
        """What the model reads: the prompt's tokens between the tokenizer's special tokens, or as the template wrote them."""
        before, after = self.around(is_rendered=prompt.is_rendered)
        return [*before, *self.content(prompt.text), *after]

    def around(self, *, is_rendered: bool) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The ids that stand before and after its own tokens of a text."""
        return (self.before[: self.virtual], ()) if is_rendered else (self.before, self.after)

    def opening(self, ids: Sequence[int]) -> int:
        """How many ids open a text: soft prompt and start tokens, also those that a chat template wrote."""
        return len(self.before) if tuple(ids[: len(self.before)]) == self.before else self.virtual

    def shortened(self, ids: Sequence[int], room: int) -> list[int]:
        """The prompt's ids with as many of those after its opening left out as are over `room`."""
        over, opening = max(0, len(ids) - room), self.opening(ids)
        return [*ids[:opening], *ids[opening + over :]]

    def reference(self, prompt: Prompt) -> list[int]:
        """The tokens of the true continuation, as they follow the prompt's tokens in the whole text.

        Where the whole text is not tokenised as the prompt and something after it (a token reaches across the cut),
        and for encoder-decoder models, the reference is tokenised by itself.
        """
        if self.is_encoder_decoder:
            encoded = self.tokenizer(text_target=_encodable(prompt.reference), add_special_tokens=False, verbose=False)
            return list(encoded["input_ids"])
        shown, whole = self.content(prompt.text), self.content(prompt.text + prompt.reference)
        return whole[len(shown) :] if whole[: len(shown)] == shown else self.content(prompt.reference)


def token_encoder(tokenizer: "PreTrainedTokenizerBase", *, is_encoder_decoder: bool) -> TokenEncoder:
    """The tokenizer, with the special tokens that it puts around a text found out by trying."""
    plain = list(tokenizer("a", add_special_tokens=False)["input_ids"])
    whole = list(tokenizer("a")["input_ids"])
    start = _position(plain, whole)
    target = list(tokenizer(text_target="a")["input_ids"])
    return TokenEncoder(
        tokenizer=tokenizer,
        is_encoder_decoder=is_encoder_decoder,
        before=tuple(whole[:start]),
        after=tuple(whole[start + len(plain) :]) if is_encoder_decoder else (),
        target_before=tuple(target[: _position(plain, target)]),
    )


def model_encoder(model: LoadedModel) -> TokenEncoder:
    """The model's tokenizer with what stands around a text; before all else the model's soft prompt, if it has one."""
    encoder = token_encoder(model.tokenizer, is_encoder_decoder=model.is_encoder_decoder)
    return replace(encoder, before=(*model.virtual_ids, *encoder.before), virtual=len(model.virtual_ids))


def prompt_room(model: LoadedModel, new_tokens: int) -> int:
    """Largest number of prompt tokens, special ones included, that leaves room for `new_tokens`.

    It does not depend on the record: a budget that shrank with the reference would tell the model its length.

    Raises:
        ModelError: there is no room for a prompt, or a decoder's own context is too short.
    """
    room = model.context_tokens if model.is_encoder_decoder else model.context_tokens - new_tokens
    encoder = model_encoder(model)
    if room <= len(encoder.before) + len(encoder.after) or new_tokens >= model.context_tokens:
        raise ModelError(
            f"{model.source}: generation.max_new_tokens = {new_tokens} leaves no room for a prompt "
            f"in the model's context of {model.context_tokens} tokens"
        )
    return room


def suppressed_ids(model: LoadedModel) -> list[int]:
    """The start, end and padding tokens: never generated, so that every prompt gets the same budget of new text.

    The teacher-forced pass leaves them out of its arg-max for the same reason.
    """
    tokenizer = model.tokenizer
    known = [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]
    for config in (model.model.config, model.model.generation_config):
        end = getattr(config, "eos_token_id", None)
        known += end if isinstance(end, list) else [end]
    return sorted({int(token) for token in known if token is not None})


def decoder_start_ids(model: LoadedModel, encoder: TokenEncoder) -> list[int]:
    """What an encoder-decoder model's decoder reads before the first token of its output."""
    start = _setting(model, "decoder_start_token_id")
    start = _setting(model, "bos_token_id") if start is None else start
    if start is None:
        raise ModelError(f"{model.source}: its config names no decoder_start_token_id")
    forced = _setting(model, "forced_bos_token_id")
    return [start, *([forced] if forced is not None else encoder.target_before)]


def length_batches(
    items: Sequence[Item],
    *,
    size: int,
    length: Callable[[Item], int],
    key: Callable[[Item], str],
    tokens: int | None = None,
) -> list[list[Item]]:
    """Batches of items of like length, longest first (what does not fit in memory fails at once), ties by `key`.

    They depend on the items and the bounds alone, not on the order that the items come in. With `tokens`, a batch of
    several items holds at most that many, each item counted with the length of the longest one.
    """
    ordered = sorted(items, key=lambda item: (-length(item), key(item)))
    batches: list[list[Item]] = []
    room = 0
    for item in ordered:
        if not room:
            batches.append([])
            room = size if tokens is None else min(size, max(1, tokens // max(1, length(item))))
        batches[-1].append(item)
        room -= 1
    return batches


def sharing(lengths: Sequence[Hashable], batching: Batching) -> list[list[int]]:
    """Places of the texts that are read together, where a model cannot read any texts together; in order of the first.

    >>> sharing([3, 5, 3], "any"), sharing([3, 5, 3], "equal lengths"), sharing([3, 5, 3], "one")
    ([[0, 1, 2]], [[0, 2], [1]], [[0], [1], [2]])

    Args:
        lengths: of each text; whatever must be equal where lengths must be.
        batching: which texts the model may read together.
    """
    groups: dict[Hashable, list[int]] = {}
    for place, length in enumerate(lengths):
        groups.setdefault(place if batching == "one" else length if batching == "equal lengths" else 0, []).append(
            place
        )
    return list(groups.values())


@dataclass(frozen=True, slots=True)
class Padded:
    """Rows of ids of unequal length as one tensor; `mask` is 1 where there is a token ("batch length")."""

    ids: "torch.Tensor"
    mask: "torch.Tensor"


def padded(rows: Sequence[Sequence[int]], model: LoadedModel, *, left: bool) -> Padded:
    """The rows as one tensor on the model's device, padded on one side."""
    import torch

    width = max(map(len, rows))
    pad = model.tokenizer.pad_token_id

    def filled(row: Sequence[int], value: int) -> list[int]:
        gap = [value] * (width - len(row))
        return [*gap, *row] if left else [*row, *gap]

    return Padded(
        ids=torch.tensor([filled(row, pad) for row in rows], device=model.device),
        mask=torch.tensor([filled([1] * len(row), 0) for row in rows], device=model.device),
    )


def _encodable(text: str) -> str:
    """Lone surrogates cannot be tokenised; each becomes one replacement character, so that places stay."""
    return _LONE_SURROGATES.sub("\ufffd", text)


def _position(part: list[int], whole: list[int]) -> int:
    places = range(len(whole) - len(part) + 1)
    found = next((place for place in places if whole[place : place + len(part)] == part), None)
    if found is None:
        raise ModelError(f"the tokenizer reads 'a' as {part}, but with its special tokens as {whole}")
    return found


def _setting(model: LoadedModel, name: str) -> int | None:
    values = (getattr(config, name, None) for config in (model.model.generation_config, model.model.config))
    return next((int(value) for value in values if value is not None), None)
