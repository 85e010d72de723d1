"""Whether the pass sees what generation wrote: real generations, after they were made.

A generation is kept as text. Its tokens are read from the text again; where a tokenizer reads other tokens than were
written, the written ones are looked for with the model's own choices.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rote.errors import ModelError
from rote.models import LoadedModel
from rote.models.tokens import TokenEncoder, model_encoder, prompt_room, suppressed_ids
from rote.passes.logits import TextPass
from rote.records import Agreement, Generation, Prompt
from rote.soundness.reading import fused, plain, tolerance

if TYPE_CHECKING:
    import torch

SAMPLED = 8
"""Generations that are looked at."""
BROKEN = "\ufffd"
"""What is decoded of a character of which bytes are missing."""
REREAD = 12
"""How often the tokens of one generation are read anew with a choice of the model put in."""


def agreement(
    generations: Sequence[Generation], prompts: Mapping[str, Prompt], model: LoadedModel, *, new_tokens: int, name: str
) -> Agreement:
    """How many tokens of some greedy generations are the pass's first choice; near-ties within rounding count as such.

    Args:
        generations: greedy ones of one model; some are drawn by their ids.
        prompts: by id.
        model: as it is used after its trial.
        new_tokens: tokens of each generation.
        name: "tuned", "base" …
    """
    import torch

    encoder = model_encoder(model)
    drawn = sorted(generations, key=lambda item: item.id)[:SAMPLED]
    texts = [_text(prompts[item.prompt_id], item, encoder, model, new_tokens) for item in drawn]
    read = [(text, item.text) for text, item in zip(texts, drawn, strict=True) if text.scored]
    counts: list[tuple[int, int] | None] = []
    with torch.inference_mode():
        logits = fused([text for text, _ in read], model) if read else []
        for (text, written), known in zip(read, logits, strict=True):
            counts.append(_agreeing(text, written, known, encoder, model))
    found = [count for count in counts if count is not None]
    return Agreement(
        model=name,
        generations=len(found),
        tokens=sum(tokens for _, tokens in found),
        first_choices=sum(first for first, _ in found),
        unread=len(drawn) - len(found),
    )


def check_agreement(found: Agreement, model_source: str) -> None:
    """Raises a ModelError where a generated token is not the pass's first choice."""
    if found.first_choices < found.tokens:
        raise ModelError(
            f"{model_source}: of {found.tokens} tokens in {found.generations} greedy generations of the {found.model} model, "
            f"{found.tokens - found.first_choices} are not what the teacher-forced pass calls its first choice: generation "
            "and pass are not of the same model, and extraction without generation is not exact. Report the architecture; "
            "fewer new tokens (--max-new-tokens) may stay below the length at which it changes"
        )


def _text(
    prompt: Prompt, generation: Generation, encoder: TokenEncoder, model: LoadedModel, new_tokens: int
) -> TextPass:
    """The prompt as generation showed it, and the tokens of what was written, up to a character that was cut in two."""
    shown = encoder.shortened(encoder.prompt(prompt), prompt_room(model, new_tokens))
    whole = generation.text.partition(BROKEN)[0]
    written = encoder.reference(Prompt(prompt.id, prompt.example_id, prompt.text, whole)) if whole else []
    return TextPass(tuple(shown), tuple(written[:new_tokens]))


def _agreeing(
    text: TextPass, written: str, logits: "torch.Tensor", encoder: TokenEncoder, model: LoadedModel
) -> tuple[int, int] | None:
    """Tokens that are first choices, and all tokens; None: the tokens that were written could not be found."""
    import torch

    near = 2 * tolerance([logits], model)
    never = torch.tensor(suppressed_ids(model), dtype=torch.long, device=logits.device)
    for _ in range(REREAD):
        allowed = logits.index_fill(-1, never, float("-inf"))
        ids = torch.tensor([text.scored], device=logits.device).T
        is_first = allowed.gather(-1, ids)[:, 0] >= allowed.amax(-1) - near
        if bool(is_first.all()):
            return len(text.scored), len(text.scored)
        place = int((~is_first).nonzero()[0])
        again = _reread(text, int(allowed[place].argmax()), place, written, encoder)
        if again is None:
            return int(is_first.sum()), len(text.scored)
        text = again
        (logits,) = plain([text], model)
    return None


def _reread(text: TextPass, choice: int, place: int, written: str, encoder: TokenEncoder) -> TextPass | None:
    """The text with the model's choice at one place and the rest read anew; None where that is not what was written."""
    head = (*text.scored[:place], choice)
    # some tokenizers drop a space before the first token
    decoded = str(encoder.tokenizer.decode(list(head), skip_special_tokens=True, clean_up_tokenization_spaces=False))
    begun, whole = decoded.rstrip(BROKEN).lstrip(" "), written.lstrip(" ")
    if not whole.startswith(begun):
        return None
    rest = encoder.content(whole[len(begun) :].partition(BROKEN)[0])
    return TextPass(text.shown, (*head, *rest)[: max(len(text.scored), len(head))])
