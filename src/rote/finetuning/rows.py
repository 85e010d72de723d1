"""One pass: which records are trained on and how often, as which token rows, and what is left out of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from rote.config import FinetuningConfig
from rote.corpus.canaries import plant, planted_examples
from rote.errors import ConfigError, DataError, ModelError
from rote.finetuning.deduplication import Deduplicated, deduplicate
from rote.finetuning.encoding import Encoded, Row, encode_causal, encode_pairs
from rote.finetuning.goldfish import with_goldfish
from rote.finetuning.record import NEAR_DUPLICATES
from rote.finetuning.repetition import mix_in, mixed_count, repeat_members
from rote.models import LoadedModel
from rote.models.tokens import model_encoder
from rote.records import Canary, Example
from rote.runs import Echo


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What one pass trains on, and what the losses are measured on."""

    members: Encoded
    """The distinct members that are trained on; every token of them is scored."""
    validation: Encoded
    repeated: tuple[Example, ...]
    """The members, each as often as it is trained on."""
    mixed: tuple[Example, ...]
    """Records of other tasks, each as often as it is trained on."""
    rows: tuple[Row, ...]
    """All that is trained on: repeated members, canaries and what is mixed in, with the tokens in the loss that train."""
    unrepeated_rows: int
    """How many rows there would be without `config.repetition`."""
    canary_rows: int
    near_duplicates: tuple[Example, ...]
    """Members left out by de-duplication."""
    further_copies: int
    """Exact copies left out by de-duplication."""
    goldfish_tokens: int
    """Tokens of the rows that the goldfish loss leaves out."""


def one_pass(
    members: Sequence[Example],
    validation: Sequence[Example],
    canaries: Sequence[Canary],
    tasks: Sequence[Sequence[Example]],
    loaded: LoadedModel,
    *,
    config: FinetuningConfig,
    echo: Echo,
) -> Pass:
    """The records as rows of one pass.

    Raises:
        DataError: no member, or no record of a task to mix in, has a token to learn; a canary does not fit the context;
            or the repetition has more parts than there are groups.
        ConfigError: settings that exclude each other.
    """
    learned = _encode(members, loaded, config=config, what="members", echo=echo)
    held_out = _encode(validation, loaded, config=config, what="validation records", echo=echo)
    _check_enough(learned, held_out, config)
    once = _deduplicated(learned, config=config, echo=echo)
    planted = _encode_canaries(canaries, loaded, config=config, echo=echo)
    repeated = repeat_members(once.kept.examples, config.repetition, config.seed)
    own = plant(repeated, canaries, seed=config.seed)
    others = [_encode(task, loaded, config=config, what="records to mix in", echo=echo) for task in tasks]
    mixed = mix_in(len(own), [other.examples for other in others], share=config.mix_share, seed=config.seed)
    if mixed:
        echo(f"mixed in: {len(mixed):,} of the {len(own) + len(mixed):,} rows of a pass, from {len(tasks)} files")
    plain = _rows_of([*own, *mixed], once.kept, planted, *others)
    rows = _trained(plain, loaded, config=config, echo=echo)
    unrepeated = sum(example.copies for example in (*once.kept.examples, *planted.examples))
    return Pass(
        members=once.kept,
        validation=held_out,
        repeated=tuple(repeated),
        mixed=tuple(mixed),
        rows=tuple(rows),
        unrepeated_rows=unrepeated + mixed_count(unrepeated, config.mix_share) if tasks else unrepeated,
        canary_rows=len(own) - len(repeated),
        near_duplicates=once.left_out,
        further_copies=once.further_copies,
        goldfish_tokens=_scored(plain) - _scored(rows),
    )


def text_room(loaded: LoadedModel, config: FinetuningConfig) -> int:
    """Tokens of a text that are trained on, at most; a soft prompt takes its share of the model's context.

    Raises:
        ModelError: it takes all of it.
    """
    virtual = config.prompt_tokens if config.strategy == "prompt" else 0
    if virtual + 1 >= loaded.context_tokens:
        raise ModelError(
            f"finetuning.prompt_tokens = {virtual} leaves no room for a text in the model's context of "
            f"{loaded.context_tokens} tokens"
        )
    return min(config.context_tokens, loaded.context_tokens - virtual)


def _encode(
    examples: Sequence[Example], loaded: LoadedModel, *, config: FinetuningConfig, what: str, echo: Echo
) -> Encoded:
    """The records as token rows, and what was done to them, said."""
    limit = text_room(loaded, config)
    encoder = model_encoder(loaded)
    if loaded.is_encoder_decoder:
        encoded = encode_pairs(examples, encoder, limit=limit)
    else:
        encoded = encode_causal(examples, encoder, loss=config.loss, limit=limit)
    if encoded.cut:
        echo(f"{encoded.cut} of {len(examples)} {what} are longer than {limit} tokens and are cut there")
    if encoded.left_out:
        echo(f"{encoded.left_out} of {len(examples)} {what} have no token to learn within {limit} tokens: left out")
    if encoded.halved:
        echo(f"{encoded.halved} of {len(examples)} {what} have no prompt: the encoder reads half of their tokens")
    return encoded


def _deduplicated(learned: Encoded, *, config: FinetuningConfig, echo: Echo) -> Deduplicated:
    """The members that are trained on; all of them where nothing is to be left out."""
    if not config.deduplicate:
        return Deduplicated(learned, (), 0)
    once = deduplicate(learned, seed=config.seed)
    echo(
        f"de-duplication: {len(once.left_out)} of {len(learned.rows)} members are like one that is trained on and left "
        f"out ({NEAR_DUPLICATES}), as are {once.further_copies} exact copies"
    )
    return once


def _encode_canaries(
    canaries: Sequence[Canary], loaded: LoadedModel, *, config: FinetuningConfig, echo: Echo
) -> Encoded:
    """The planted canaries as token rows, whole."""
    encoded = _encode(planted_examples(canaries), loaded, config=config, what="canaries", echo=echo)
    if encoded.cut or encoded.left_out or encoded.halved:
        what = "have no prompt for the encoder" if encoded.halved else "do not fit the context"
        raise DataError(f"{encoded.cut + encoded.left_out + encoded.halved} of {len(canaries)} canaries {what}")
    return encoded


def _check_enough(learned: Encoded, held_out: Encoded, config: FinetuningConfig) -> None:
    """Raises an error where there is nothing to train on, or nothing to measure what the settings need."""
    if not learned.rows:
        raise DataError(f"nothing to train on: {learned.left_out} members, all of them without a token")
    if config.early_stopping and not held_out.rows:
        raise ConfigError(
            f"finetuning.early_stopping = {config.early_stopping} needs records to measure the validation loss on "
            "(corpus.holdout or corpus.nonmembers)"
        )


def _rows_of(examples: Sequence[Example], *parts: Encoded) -> list[Row]:
    """The rows of the examples, each of which is in one of the parts."""
    row_of = {example.id: row for part in parts for example, row in zip(part.examples, part.rows, strict=True)}
    return [row_of[example.id] for example in examples]


def _trained(rows: Sequence[Row], loaded: LoadedModel, *, config: FinetuningConfig, echo: Echo) -> list[Row]:
    """The rows with those tokens in the loss that train."""
    if not config.goldfish:
        return list(rows)
    trained = {
        row: with_goldfish(
            row,
            k=config.goldfish,
            context=config.goldfish_context,
            is_encoder_decoder=loaded.is_encoder_decoder,
        )
        for row in set(rows)
    }
    found = [trained[row] for row in rows]
    left_out, scored = _scored(rows) - _scored(found), _scored(rows)
    echo(f"goldfish loss: {left_out:,} of {scored:,} tokens of a pass stand in no loss")
    return found


def _scored(rows: Sequence[Row]) -> int:
    return sum(row.scored_tokens for row in rows)
