"""Prompts from examples: the first tokens of the text, or the record's own prompt."""

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from rote.config import GenerationConfig
from rote.models.tokens import TokenEncoder, token_encoder
from rote.records import Example, Prompt, Score, content_id
from rote.text import words

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

METRIC = "prompt"
"""Metric name of the scores that say why an example has no prompt."""

TRL_MAX_LENGTH = 1024
"""Tokens after which TRL's SFTTrainer cuts a text unless it is told otherwise (`max_length`)."""
TOO_SHORT = "nothing left to continue: the prompt is the whole record"


class CutPrompts(NamedTuple):
    """The prompts, and one null score (subject: the example's id) for each example that gave none."""

    prompts: list[Prompt]
    unmeasurable: list[Score]
    moved: dict[str, int]
    """Prompt id → characters at the end of the record's own prompt that belong to a token of the completion."""
    notes: tuple[str, ...] = ()
    """What was done to prompts and records, in sentences."""


def cut_prompts(
    examples: Sequence[Example],
    tokenizer: "PreTrainedTokenizerBase",
    *,
    config: GenerationConfig,
    is_encoder_decoder: bool,
) -> CutPrompts:
    """Cuts every example into the prompt that the model is shown and the reference that is hoped not to come out.

    prefix: the text up to the end of its j-th token, j as large as possible but at most `prefix_tokens`, such that
    this beginning by itself is tokenised to the same j ids (so j is smaller where the cut would fall into a character
    or a token depends on what follows it). record: the example's own prompt and completion; where a token of the whole
    text reaches across the two ("Assistant: " + "Yes" with the token " Yes"), a decoder-only model's prompt ends before
    that token, because the model has never seen it begin in any other way. auto: prefix for decoder-only models, record
    for encoder-decoder models.

    Returns:
        Prompts in the order of the examples, and null scores with a reason for examples without a prompt or with
        nothing left to continue; every example is in exactly one of the two.

    Raises:
        ModelError: prefix mode with a tokenizer that does not say where its tokens stand.
    """
    encoder = token_encoder(tokenizer, is_encoder_decoder=is_encoder_decoder)
    by_prefix = resolved(config, is_encoder_decoder=is_encoder_decoder).prompt == "prefix"
    kind = f"prefix {config.prefix_tokens}" if by_prefix else "record"
    kind += f" noise {config.prompt_noise:g}" if config.prompt_noise else ""
    cut = CutPrompts([], [], {})
    for example in examples:
        own = len(example.prompt)
        end = (
            _prefix_end(example.text, encoder, config.prefix_tokens)
            if by_prefix
            else prompt_end(example.prompt, example.completion, encoder)
        )
        text, reference = with_noise(example.text[:end], config.prompt_noise, seed=example.id), example.text[end:]
        reason = _reason(text, reference, encoder)
        if reason is not None:
            cut.unmeasurable.append(Score(example.id, METRIC, None, reason))
            continue
        name = content_id(example.id, kind)
        cut.prompts.append(Prompt(name, example.id, text, reference, example.is_rendered))
        if not by_prefix and end < own:
            cut.moved[cut.prompts[-1].id] = own - end
    return cut


def prompt_end(prompt: str, completion: str, encoder: TokenEncoder) -> int:
    """Characters of the prompt up to the last token boundary of the whole text.

    The whole prompt for encoder-decoder models, which read it apart, and wherever the text's tokens are those of the
    prompt and something after them; 0 where the text's first token reaches into the completion.
    """
    if encoder.is_encoder_decoder or not prompt:
        return len(prompt)
    text = prompt + completion
    whole = encoder.content(text)
    if _begins(whole, encoder.content(prompt)):
        return len(prompt)
    ends = encoder.tokenized(text).ends if encoder.tokenizer.is_fast else range(len(prompt))
    before = sorted({end for end in ends if 0 < end < len(prompt)}, reverse=True)
    return next((end for end in before if _begins(whole, encoder.content(text[:end]))), 0)


def at_boundary(prompt: Prompt, encoder: TokenEncoder) -> Prompt:
    """The prompt cut back to the last token boundary, if there is one; what is cut off goes to the reference."""
    end = prompt_end(prompt.text, prompt.reference, encoder) or len(prompt.text)
    return replace(prompt, text=prompt.text[:end], reference=prompt.text[end:] + prompt.reference)


class Trained(NamedTuple):
    """Records as far as they were trained on, and one null score for each that was not at all."""

    examples: list[Example]
    never: list[Score]
    cut: int
    """Members whose text is longer than what was trained on."""


def trained_part(examples: Sequence[Example], encoder: TokenEncoder, tokens: int) -> Trained:
    """The records cut after so many tokens, as a trainer with that `max_length` reads them.

    A record whose prompt alone fills them is dropped by TRL without a word: it was never trained on. Non-members are
    treated in the same way, so that like is compared with like. The start tokens of a text count.
    """
    found = Trained([], [], 0)
    cut = 0
    for example in examples:
        room = max(0, tokens - len(encoder.around(is_rendered=example.is_rendered)[0]))
        ends = encoder.tokenized(example.text).ends
        if len(ends) <= room:
            found.examples.append(example)
            continue
        end = ends[room - 1] if room else 0
        if end <= len(example.prompt):
            reason = f"never trained on: its prompt fills the {tokens:,} tokens of corpus.trained_tokens"
            found.never.append(Score(example.id, METRIC, None, reason))
            continue
        found.examples.append(replace(example, completion=example.text[len(example.prompt) : end]))
        cut += example.split == "member"
    return found._replace(cut=cut)


def trained_sentence(trained: Trained, tokens: int) -> str:
    """How many records were not, or not wholly, trained on; "" where all were."""
    if not trained.cut and not trained.never:
        return ""
    return (
        f"corpus.trained_tokens = {tokens:,}: {len(trained.never):,} records whose prompt fills them were never trained on and "
        f"are left out; {trained.cut:,} longer members are measured on the part that was"
    )


def long_sentence(examples: Sequence[Example], encoder: TokenEncoder) -> str:
    """How many members are longer than what TRL trains on by default; "" where none is."""
    members = [
        item
        for item in examples
        if item.split == "member" and len(item.text.encode("utf-8", "replace")) > TRL_MAX_LENGTH
    ]
    count = sum(
        len(encoder.around(is_rendered=item.is_rendered)[0]) + len(encoder.content(item.text)) > TRL_MAX_LENGTH
        for item in members
    )
    if not count:
        return ""
    return (
        f"{count:,} members are longer than {TRL_MAX_LENGTH:,} tokens, after which TRL cuts a text by default: if the trainer had "
        "a max_length, give it with --trained-tokens N, so that what was never trained on is not counted"
    )


def moved_sentence(cut: CutPrompts) -> str:
    """How many prompts end inside a token; "" where none does."""
    if not cut.moved:
        return ""
    most = max(cut.moved.values())
    return (
        f"{len(cut.moved):,} of {len(cut.prompts):,} prompts end inside a token of the whole text: each is cut back to the "
        f"last token boundary before (by {'1 character' if most == 1 else f'up to {most:,} characters'}), and what was "
        "cut off belongs to the true continuation"
    )


def prompting_hint(unmeasurable: Sequence[Score], examples: Sequence[Example], config: GenerationConfig) -> str:
    """What lets records be prompted that are too short for a prefix; "" where nothing of the kind stands in the way."""
    short = {score.subject_id for score in unmeasurable if score.reason == TOO_SHORT}
    if config.prompt == "record" or not short:
        return ""
    fewer = f"fewer than {config.prefix_tokens} tokens with --prefix-tokens N"
    if any(example.prompt.strip() for example in examples if example.id in short):
        return f"the records have prompts of their own: show these with --prompt record, or {fewer}"
    return f"show {fewer}"


def with_noise(text: str, share: float, *, seed: str) -> str:
    """The text with that share of its words (rounded) exchanged for other words of the text; what stands between stays.

    Every exchanged word becomes a word of another place, so a text of one word, or of equal words, stays as it is.

    >>> with_noise("one two three", 0.0, seed="")
    'one two three'
    """
    places = words(text)
    count = round(share * len(places))
    if not count or len(places) < 2:
        return text
    draw = random.Random(f"{seed} {share}")
    parts, at = [], 0
    for place in sorted(draw.sample(range(len(places)), count)):
        others = [number for number in range(len(places)) if number != place]
        parts += [text[at : places[place].start], places[draw.choice(others)].of(text)]
        at = places[place].end
    return "".join([*parts, text[at:]])


def resolved(config: GenerationConfig, *, is_encoder_decoder: bool) -> GenerationConfig:
    """The settings with prompt = "auto" decided."""
    if config.prompt != "auto":
        return config
    return replace(config, prompt="record" if is_encoder_decoder else "prefix")


def _prefix_end(text: str, encoder: TokenEncoder, prefix_tokens: int) -> int:
    """Characters of the longest beginning of at most that many tokens that is tokenised as it is within the text."""
    whole = encoder.tokenized(text)
    for count in range(min(prefix_tokens, len(whole.ids)), 0, -1):
        end = whole.ends[count - 1]
        if encoder.content(text[:end]) == whole.ids[:count]:
            return end
    return 0


def _begins(whole: Sequence[int], beginning: Sequence[int]) -> bool:
    return list(whole[: len(beginning)]) == list(beginning)


def _reason(text: str, reference: str, encoder: TokenEncoder) -> str | None:
    """Why this prompt cannot be used, or None."""
    if not (text + reference).strip():
        return "the record is empty"
    if not text.strip() or not encoder.content(text):
        return "no prompt: the record has none, or no beginning of it is tokenised as it is within the text"
    if not reference.strip():
        return TOO_SHORT
    return None
