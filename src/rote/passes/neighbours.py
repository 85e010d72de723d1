"""Neighbours of a text: a few of its words exchanged for what a masked language model expects there. Slow, by choice."""

from random import Random
from typing import TYPE_CHECKING

from rote.errors import ModelError
from rote.models import check_folder, load_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

EXCHANGED = 0.15
"""Share of the tokens that are masked and exchanged, at least one."""


class Neighbours:
    """A masked language model (BERT, RoBERTa …) that rewrites texts in a few places.

    Mattern et al. 2023 pick single swaps by the model's score under dropout on the embedding; here a random 15 % of the
    tokens are masked together, and each becomes the likeliest *other* token there.

    Args:
        source: folder or hub id.
        device: where it runs.

    Raises:
        ModelError: nothing can be loaded there, or its tokenizer has no mask or does not say where its tokens stand.
    """

    def __init__(self, source: str, device: "torch.device") -> None:
        self.model, self.tokenizer = _loaded(source, device)
        room = min(self.tokenizer.model_max_length, self.model.config.max_position_embeddings)
        self.chunk = max(1, room - 4)  # start, end, and what RoBERTa leaves free

    def of(self, text: str, seed: str) -> str:
        """The text with a random 15 % of its tokens exchanged; the same for the same seed. Text without tokens stays."""
        encoded = self.tokenizer(
            text.encode("utf-8", "replace").decode(),
            add_special_tokens=False,
            return_offsets_mapping=True,
            verbose=False,
        )
        ids, places = list(encoded["input_ids"]), list(encoded["offset_mapping"])
        if not ids:
            return text
        chosen = sorted(Random(seed).sample(range(len(ids)), max(1, round(EXCHANGED * len(ids)))))
        exchanged = self._exchanged(ids, frozenset(chosen))
        pieces, at = [], 0
        for place in chosen:
            start, end = places[place]
            start += len(text[start:end]) - len(text[start:end].lstrip())
            pieces += [text[at:start], exchanged[place]]
            at = max(at, end)
        return "".join([*pieces, text[at:]])

    def _exchanged(self, ids: list[int], chosen: frozenset[int]) -> dict[int, str]:
        """The new word at each chosen place."""
        import torch

        tokenizer = self.tokenizer
        found: dict[int, str] = {}
        before, after = (
            [token] if token is not None else [] for token in (tokenizer.cls_token_id, tokenizer.sep_token_id)
        )
        for start in range(0, len(ids), self.chunk):
            tokens = ids[start : start + self.chunk]
            masked = [tokenizer.mask_token_id if start + at in chosen else token for at, token in enumerate(tokens)]
            with torch.inference_mode():
                read = torch.tensor([[*before, *masked, *after]], device=self.model.device)
                logits = self.model(read).logits[0, len(before) : len(before) + len(tokens)]
                logits[:, tokenizer.all_special_ids] = -torch.inf
                logits[torch.arange(len(tokens)), tokens] = -torch.inf
                words = [str(tokenizer.decode([int(best)])) for best in logits.argmax(-1)]
            chunk = enumerate(words, start)
            found |= {place: word.replace("##", "").strip() for place, word in chunk if place in chosen}
        return found


def _loaded(source: str, device: "torch.device") -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    from transformers import AutoModelForMaskedLM

    check_folder(source, "model")
    try:
        model = AutoModelForMaskedLM.from_pretrained(source, use_safetensors=True)
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{source}: no masked language model can be loaded: {reason}") from error
    tokenizer = load_tokenizer(source)
    if tokenizer.mask_token_id is None or not tokenizer.is_fast:
        raise ModelError(f"{source}: its tokenizer has no mask token, or does not say where its tokens stand")
    model.to(device)
    model.eval()
    return model, tokenizer
