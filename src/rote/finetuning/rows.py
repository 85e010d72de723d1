"""One pass: which records are trained on and how often, as which token rows, and what is left out of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from rote.config import FinetuningConfig
from rote.corpus.canaries import plant, planted_examples
from rote.errors import ConfigError, DataError
from rote.finetuning.deduplication import Deduplicated, deduplicate
from rote.finetuning.encoding import Encoded, Row, encode_causal, encode_pairs
from rote.finetuning.goldfish import with_goldfish
from rote.finetuning.record import NEAR_DUPLICATES
from rote.finetuning.repetition import repeat_members
from rote.generation.tokens import token_encoder
from rote.models import LoadedModel
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
    rows: tuple[Row, ...]
    """All that is trained on: repeated members and canaries, with the tokens in the loss that train."""
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
    loaded: LoadedModel,
    *,
    config: FinetuningConfig,
    echo: Echo,
) -> Pass:
    """The records as rows of one pass.

    Raises:
        DataError: no member has a token to learn, a canary does not fit the context, or the repetition has more parts
            than there are groups.
        ConfigError: settings that exclude each other.
    """
    learned = _encode(members, loaded, config=config, what="members", echo=echo)
    held_out = _encode(validation, loaded, config=config, what="validation records", echo=echo)
    if not learned.rows:
        raise DataError(f"nothing to train on: {len(members)} members, {learned.left_out} of them without a token")
    if config.early_stopping and not held_out.rows:
        raise ConfigError(
            f"finetuning.early_stopping = {config.early_stopping} needs records to measure the validation loss on "
            "(corpus.holdout or corpus.nonmembers)"
        )
    once = _deduplicated(learned, config=config, echo=echo)
    planted = _encode_canaries(canaries, loaded, config=config, echo=echo)
    repeated = repeat_members(once.kept.examples, config.repetition, config.seed)
    examples = plant(repeated, canaries, seed=config.seed)
    plain = _rows_of(once.kept, planted)
    trained = {name: _trained(row, loaded, config) for name, row in plain.items()}
    rows = [trained[example.id] for example in examples]
    scored = sum(plain[example.id].scored_tokens for example in examples)
    goldfish_tokens = scored - sum(row.scored_tokens for row in rows)
    if config.goldfish:
        echo(f"goldfish loss: {goldfish_tokens:,} of {scored:,} tokens of a pass stand in no loss")
    return Pass(
        members=once.kept,
        validation=held_out,
        repeated=tuple(repeated),
        rows=tuple(rows),
        unrepeated_rows=sum(example.copies for example in (*once.kept.examples, *planted.examples)),
        canary_rows=len(examples) - len(repeated),
        near_duplicates=once.left_out,
        further_copies=once.further_copies,
        goldfish_tokens=goldfish_tokens,
    )


def _encode(
    examples: Sequence[Example], loaded: LoadedModel, *, config: FinetuningConfig, what: str, echo: Echo
) -> Encoded:
    """The records as token rows, and what was done to them, said."""
    limit = min(config.context_tokens, loaded.context_tokens)
    encoder = token_encoder(loaded.tokenizer, is_encoder_decoder=loaded.is_encoder_decoder)
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
    once = deduplicate(learned, seed=config.seed, repetition=config.repetition)
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


def _rows_of(*parts: Encoded) -> dict[str, Row]:
    """Example id → its row."""
    return {example.id: row for part in parts for example, row in zip(part.examples, part.rows, strict=True)}


def _trained(row: Row, loaded: LoadedModel, config: FinetuningConfig) -> Row:
    """The row with the tokens in the loss that train."""
    return with_goldfish(
        row,
        k=config.goldfish,
        context=config.goldfish_context,
        is_encoder_decoder=loaded.is_encoder_decoder,
    )
