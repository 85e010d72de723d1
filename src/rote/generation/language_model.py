"""Generations from anything that continues texts: which prompts go together, in which order, under which names."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from rote.config import GenerationConfig
from rote.models.tokens import length_batches
from rote.records import Generation, Prompt, content_id


@dataclass(frozen=True, slots=True)
class Draw:
    """One continuation that is asked for: the `sample`-th (from 0) of a prompt."""

    prompt: Prompt
    sample: int


class LanguageModel(Protocol):
    """What generation needs of a model. A continuation must depend on its own draw alone, not on those beside it."""

    @property
    def digest(self) -> str:
        """Depends on everything that the continuations depend on besides the settings."""

    def count_tokens(self, prompts: Sequence[Prompt]) -> list[int]:
        """Number of tokens of each prompt, before anything is cut."""

    def prompt_room(self, config: GenerationConfig) -> int:
        """Number of prompt tokens that the model can read; of longer prompts it is shown the end."""

    def continue_prompts(self, draws: Sequence[Draw], config: GenerationConfig) -> list[str]:
        """For each draw the text of exactly `max_new_tokens` new tokens, without special tokens."""


def generate(
    prompts: Sequence[Prompt],
    model: LanguageModel,
    *,
    config: GenerationConfig,
    name: str,
    done: int = 0,
    echo: Callable[[str], None] = lambda _: None,
) -> Iterator[list[Generation]]:
    """Draws `samples` continuations of each prompt, one list for each finished batch.

    The batches depend on the prompts and the settings alone (longest first, ties by id): whoever has kept the first
    `done` of them resumes with the next.

    Args:
        prompts: in any order.
        model: what continues them.
        config: decoding, budget of new tokens, samples, batch size, seed.
        name: "tuned", "base" …: the generations' `model`.
        done: number of batches to skip.
        echo: receives a line with how many prompts are longer than the model can read, if any are.

    Raises:
        ModelError: the model's context has no room for a prompt beside the new tokens.
    """
    room = model.prompt_room(config)
    lengths = dict(zip((prompt.id for prompt in prompts), model.count_tokens(prompts), strict=True))
    over = sum(length > room for length in lengths.values())
    if over:
        echo(f"{name}: {over} of {len(prompts)} prompts have more than {room} tokens; the model is shown their end")
    draws = [Draw(prompt, sample) for prompt in prompts for sample in range(config.samples)]
    batches = length_batches(
        draws,
        size=config.batch_size,
        length=lambda draw: lengths[draw.prompt.id],
        key=lambda draw: f"{draw.prompt.id} {draw.sample:09}",
    )
    for batch in batches[done:]:
        texts = model.continue_prompts(batch, config)
        yield [_generation(draw, text, name, config) for draw, text in zip(batch, texts, strict=True)]


def decoding_label(config: GenerationConfig) -> str:
    """The decoding in one word: "greedy", "beam-4", "sample-t1-k0-p1" (temperature, top-k, top-p).

    With a verbatim blocker of n tokens, "-blocked-n" follows.
    """
    label: str = config.decoding
    if config.decoding == "beam":
        label = f"beam-{config.beams}"
    elif config.decoding == "sample":
        label = f"sample-t{config.temperature:g}-k{config.top_k}-p{config.top_p:g}"
    return f"{label}-blocked-{config.block_verbatim}" if config.block_verbatim else label


def generation_id(prompt_id: str, model: str, decoding: str, sample: int) -> str:
    """The id of a generation: depends on the prompt, the model's name, the decoding and the sample."""
    return content_id(prompt_id, model, decoding, str(sample))


def _generation(draw: Draw, text: str, name: str, config: GenerationConfig) -> Generation:
    decoding = decoding_label(config)
    return Generation(
        id=generation_id(draw.prompt.id, name, decoding, draw.sample),
        prompt_id=draw.prompt.id,
        example_id=draw.prompt.example_id,
        model=name,
        decoding=decoding,
        sample=draw.sample,
        text=text,
    )
