"""The records that are read at every call: a fixed sample of members, non-members and canaries, with their prompts."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from rote.config import CorpusConfig, GenerationConfig
from rote.corpus import ChatTokenizer, ShapeReader, as_read, draw, read_canaries, read_corpus
from rote.corpus.held import write_records
from rote.errors import ConfigError
from rote.generation.prompts import at_boundary, cut_prompts
from rote.models import LoadedModel
from rote.models.tokens import TokenEncoder, model_encoder
from rote.passes.scoring import PromptPass, prompt_pass
from rote.records import Canary, Prompt

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import PreTrainedTokenizerBase

    from rote.records import Example

Population = Literal["members", "nonmembers", "canaries", "canaries_held_out"]
POPULATIONS: tuple[Population, ...] = ("members", "nonmembers", "canaries", "canaries_held_out")


@dataclass(frozen=True, slots=True)
class Subject:
    """A record or a canary that is read at every call."""

    population: Population
    group: str
    copies: int
    reading: PromptPass
    suffix_tokens: int
    """Tokens of the continuation that must be the first choice, for it to count as extractable."""


@dataclass(frozen=True, slots=True)
class Records:
    """The sampled records as text, before a model is known."""

    examples: "tuple[Example, ...]"
    canaries: tuple[Canary, ...]


def read_records(
    members: object,
    nonmembers: object,
    canaries: object,
    *,
    corpus: CorpusConfig,
    size: int,
    tokenizer: "PreTrainedTokenizerBase",
    echo: "Callable[[str], None]",
) -> Records:
    """Reads the records as `rote audit` does, and draws up to `size` of each population by seed.

    Args:
        members: a path, or records in memory: see `rote.corpus.held`.
        nonmembers: the same, or None.
        canaries: the path of a file of canaries, or None.
        corpus: how records are read; its members, non-members and canaries are those given here.
        size: records of each population, at most.
        tokenizer: renders chats.
        echo: gets the notes of the reading.

    Raises:
        ConfigError, DataError: the records cannot be read, or are none.
    """
    with tempfile.TemporaryDirectory(prefix="rote-") as folder:
        place = Path(folder)
        config = replace(
            corpus,
            members=_path_of(members, place, "members"),
            nonmembers="" if nonmembers is None else _path_of(nonmembers, place, "nonmembers"),
            canary_file="" if canaries is None else str(canaries),
            limit=0,
            holdout=0.0,  # what is trained on is no non-member
            canaries=0,
        )
        chat = cast(ChatTokenizer, tokenizer)
        found = read_corpus(config, tokenizer=chat, echo=echo)
        reader = ShapeReader(config, chat)
        every = [as_read(canary, reader) for canary in read_canaries(Path(config.canary_file))] if canaries else []
    examples = (
        *draw(found.members, size, seed=corpus.seed),
        *draw(found.nonmembers, size, seed=corpus.seed),
    )
    if not any(example.split == "member" for example in examples):
        raise ConfigError("members: no record is left to measure")
    planted = [canary for canary in every if canary.planted][:size]
    held_out = [canary for canary in every if not canary.planted][:size]
    return Records(examples, (*planted, *held_out))


def subjects_of(
    records: Records, model: LoadedModel, *, generation: GenerationConfig, suffix_tokens: int
) -> tuple[list[Subject], int]:
    """The records with their prompts and tokens, and how many of them give none."""
    cut = cut_prompts(records.examples, model.tokenizer, config=generation, is_encoder_decoder=model.is_encoder_decoder)
    known = {example.id: example for example in records.examples}
    found = []
    for prompt in cut.prompts:
        example = known[prompt.example_id]
        population: Population = "members" if example.split == "member" else "nonmembers"
        reading = prompt_pass(prompt, model, generation)
        found.append(Subject(population, example.group, example.copies, reading, suffix_tokens))
    secrets = list(_secrets(records.canaries, model, generation))
    return [item for item in (*found, *secrets) if _is_measurable(item)], len(records.examples) + len(
        records.canaries
    ) - sum(map(_is_measurable, (*found, *secrets)))


def _is_measurable(subject: Subject) -> bool:
    return len(subject.reading.text.scored) > subject.reading.prompt_tokens


def _secrets(canaries: Sequence[Canary], model: LoadedModel, generation: GenerationConfig) -> Iterator[Subject]:
    """The canaries, with all that stands before the secret as the prompt; those whose secret has tokens of its own."""
    encoder = model_encoder(model)
    for canary in canaries:
        prompt = _before_secret(canary, encoder)
        if prompt is None:
            continue
        reading = prompt_pass(prompt, model, generation)
        tokens = len(reading.text.scored) - reading.prompt_tokens
        if tokens and not reading.truncated:
            population: Population = "canaries" if canary.planted else "canaries_held_out"
            yield Subject(population, canary.id, canary.copies, reading, tokens)


def _before_secret(canary: Canary, encoder: TokenEncoder) -> Prompt | None:
    """None where the tokenizer joins the secret with what follows it, or an encoder has nothing to read."""
    if encoder.is_encoder_decoder:
        # the decoder's output begins before the secret, which is not what extraction asks
        return None
    lead = canary.prompt + canary.before
    whole = encoder.content(lead + canary.secret)
    if encoder.content(lead + canary.secret + canary.after)[: len(whole)] != whole:
        return None
    return at_boundary(Prompt(canary.id, canary.id, lead, canary.secret, canary.is_rendered), encoder)


def _path_of(records: object, folder: Path, name: str) -> str:
    if isinstance(records, (str, Path)):
        return str(records)
    return str(write_records(records, folder / f"{name}.jsonl", name=name))
