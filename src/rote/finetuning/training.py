"""From records and a base model to a trained folder: encode, prepare, train, prove what changed, keep."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rote.config import FinetuningConfig, ModelConfig, settings_of
from rote.corpus.canaries import canary_lines, plant, planted_examples
from rote.errors import DataError, ModelError, StaleRunError
from rote.finetuning.deduplication import Deduplicated, deduplicate
from rote.finetuning.encoding import Encoded, encode_causal, encode_pairs
from rote.finetuning.record import (
    CANARIES,
    FINAL,
    MEMBERS,
    NEAR_DUPLICATES,
    NONMEMBERS,
    RESUME,
    Training,
    known_training,
    write_training,
)
from rote.finetuning.repetition import repeat_members, step_limit, to_jsonl
from rote.finetuning.strategy import (
    changed_names,
    check_changes,
    fingerprints,
    head_names,
    prepare_model,
    untie_head,
)
from rote.generation.tokens import token_encoder
from rote.models import LoadedModel, check_folder, load_model, model_digest, pick_device, quiet
from rote.records import Canary, Example, Json, content_id
from rote.runs import PACKAGES, Echo, write_atomically

if TYPE_CHECKING:
    from rote.finetuning.loop import Job

MEASURED_MEMBERS = 200
"""Distinct members (drawn by seed) that the members' loss is measured on."""


def finetune(
    members: Sequence[Example],
    validation: Sequence[Example],
    *,
    base: str,
    out: Path,
    config: FinetuningConfig,
    model: ModelConfig,
    canaries: Sequence[Canary] = (),
    echo: Echo = lambda _: None,
) -> Training:
    """Fine-tunes the base model on the members; writes model, checkpoints, record and data files to `out`.

    Args:
        members: records to train on; `copies` and `config.repetition` say how often.
        validation: records that the validation loss is measured on, never trained on; may be empty.
        base: folder or hub id of the model to start from.
        out: created where it does not exist. A training with the same settings is finished, or found finished, there.
        config: strategy, loss, schedule, repetition.
        model: device and number format. Trained weights are always float32; with bfloat16 or float16 the frozen
            weights and the forward pass use that format.
        canaries: the planted ones are trained on besides the members, as often as they say and never repeated.
        echo: gets a line for everything that is done to the data, and one for each pass.

    Raises:
        DataError: no member has a token to learn, a canary does not fit the context, or the repetition has more parts
            than there are groups.
        ModelError: the base cannot be loaded or trained that way, training diverged, or it changed other parameters
            than the strategy may change.
        StaleRunError: `out` holds a training with other settings.
    """
    loading = _loading(model, config)
    check_folder(base, "model")
    settings = _settings(members, validation, canaries, base=base, config=config, dtype=model.dtype)
    known = _known_training(out, settings)
    if known is not None and known.finished:
        shutil.rmtree(out / RESUME, ignore_errors=True)
        echo(f"{out / FINAL}: trained with these settings already, {known.steps} steps; nothing to do")
        return known
    from rote.finetuning.loop import train

    with quiet():
        source = str(Path(base).resolve()) if Path(base).is_dir() else base  # an adapter names its base by this
        loaded = load_model(source, config=loading)
        learned = _encode(members, loaded, config=config, what="members", echo=echo)
        held_out = _encode(validation, loaded, config=config, what="validation records", echo=echo)
        if not learned.rows:
            raise DataError(f"nothing to train on: {len(members)} members, {learned.left_out} of them without a token")
        once = _deduplicated(learned, config=config, echo=echo)
        learned = once.kept
        planted = _encode_canaries(canaries, loaded, config=config, echo=echo)
        repeated = repeat_members(learned.examples, config.repetition, config.seed)
        rows = plant(repeated, canaries, seed=config.seed)
        loaded, untied = _prepare(loaded, config=config, echo=echo)
        training = known or _new_training(loaded, learned, settings=settings, rows=len(rows), untied=untied)
        training = replace(
            training,
            canary_rows=len(rows) - len(repeated),
            near_duplicates=len(once.left_out),
            further_copies=once.further_copies,
        )
        write_training(out, training)
        write_atomically(out / MEMBERS, to_jsonl(repeated))
        if config.deduplicate:
            write_atomically(out / NEAR_DUPLICATES, to_jsonl(once.left_out))
        if canaries:
            write_atomically(out / CANARIES, canary_lines(canaries))
        write_atomically(out / NONMEMBERS, to_jsonl(held_out.examples))
        job = _job(loaded, learned, held_out, planted, rows, config=config, dtype=model.dtype, out=out, echo=echo)
        before = fingerprints(loaded.model)
        return _finish(job, train(job, training), before)


def _loading(model: ModelConfig, config: FinetuningConfig) -> ModelConfig:
    """How the base is loaded: where, and its weights in float32 if all of them train."""
    device = pick_device(model.device)
    if device.index:
        raise ModelError(
            f"model.device = {model.device!r}: training uses the first visible device; "
            f"set CUDA_VISIBLE_DEVICES={device.index} and model.device = 'cuda'"
        )
    if model.dtype == "float16" and device.type != "cuda":
        raise ModelError(f"model.dtype = 'float16' trains on CUDA only, found device {device}; use bfloat16 or float32")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ModelError(f"fine-tuning runs in one process, found WORLD_SIZE={os.environ['WORLD_SIZE']}")
    return replace(model, device=str(device), dtype="float32" if config.strategy == "full" else model.dtype)


def _settings(
    members: Sequence[Example],
    validation: Sequence[Example],
    canaries: Sequence[Canary],
    *,
    base: str,
    config: FinetuningConfig,
    dtype: str,
) -> dict[str, Json]:
    """All that the trained weights depend on, as it reads back from JSON."""
    settings = settings_of(config) | {
        "dtype": dtype,
        "base_digest": model_digest(base),
        "members": _data_digest(members),
        "validation": _data_digest(validation),
    }
    if canaries:
        settings["canaries"] = _data_digest(planted_examples(canaries))
    return cast(dict[str, Json], json.loads(json.dumps(settings)))


def _data_digest(examples: Sequence[Example]) -> str:
    parts = [(each.prompt, each.completion, each.group, str(each.copies)) for each in examples]
    return f"{len(examples)} records, {content_id(*(part for example in parts for part in example))}"


def _known_training(out: Path, settings: dict[str, Json]) -> Training | None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StaleRunError(f"{out}: cannot be used as a folder for a model: {error.strerror}") from error
    known = known_training(out, settings)
    if known is not None and known.finished and not (out / FINAL).is_dir():
        return replace(known, finished=False, epochs=())
    return known


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


def _prepare(loaded: LoadedModel, *, config: FinetuningConfig, echo: Echo) -> tuple[LoadedModel, bool]:
    """The model ready to train, and whether its head was untied from the input embedding."""
    from transformers import set_seed

    untied = config.strategy == "head" and untie_head(loaded.model)
    if untied:
        echo(f"{loaded.source}: input and output embedding share their weights: untied, the head is now a copy")
    set_seed(config.seed)  # LoRA's first weights are drawn
    return replace(loaded, model=prepare_model(loaded.model, config)), untied


def _new_training(
    loaded: LoadedModel, learned: Encoded, *, settings: dict[str, Json], rows: int, untied: bool
) -> Training:
    """The record of a training that has not begun."""
    parameters = dict(loaded.model.named_parameters())
    total = sum(parameter.numel() for parameter in parameters.values())
    head = sum(parameters[name].numel() for name in head_names(loaded.model))
    return Training(
        settings=settings,
        strategy=str(settings["strategy"]),
        loss="completion" if loaded.is_encoder_decoder else str(settings["loss"]),
        base=loaded.source,
        base_digest=loaded.digest,
        device=str(loaded.device),
        packages={name: metadata.version(name) for name in PACKAGES},
        members=len(learned.rows),
        rows=rows,
        cut=learned.cut,
        left_out=learned.left_out,
        context_tokens=min(cast(int, settings["context_tokens"]), loaded.context_tokens),
        parameters=total,
        trainable_parameters=sum(each.numel() for each in parameters.values() if each.requires_grad),
        head_parameters=head,
        head_share=head / total,
        embeddings_untied=untied,
    )


def _job(
    loaded: LoadedModel,
    learned: Encoded,
    held_out: Encoded,
    planted: Encoded,
    rows: Sequence[Example],
    *,
    config: FinetuningConfig,
    dtype: str,
    out: Path,
    echo: Echo,
) -> "Job":
    from rote.finetuning.loop import Job

    row_of = dict(zip((example.id for example in learned.examples), learned.rows, strict=True))
    drawn = sorted(row_of, key=lambda name: content_id(str(config.seed), name))[:MEASURED_MEMBERS]
    measured = [row_of[name] for name in drawn]
    row_of |= dict(zip((example.id for example in planted.examples), planted.rows, strict=True))
    return Job(
        model=loaded.model,
        tokenizer=loaded.tokenizer,
        rows=[row_of[example.id] for example in rows],
        members=measured,
        validation=held_out.rows,
        config=config,
        steps=step_limit(config, sum(example.copies for example in (*learned.examples, *planted.examples))),
        dtype=dtype,
        out=out,
        echo=echo,
    )


def _finish(job: "Job", training: Training, before: dict[str, str]) -> Training:
    """Proves that training changed what it may, then keeps the last model and drops the means to resume."""
    from rote.finetuning.loop import save_model

    changed = changed_names(before, fingerprints(job.model))
    training = replace(training, changed_parameters=changed)
    write_training(job.out, training)
    check_changes(job.config.strategy, changed, head=head_names(job.model))
    save_model(job, job.out / FINAL)
    training = replace(training, finished=True)
    write_training(job.out, training)
    shutil.rmtree(job.out / RESUME, ignore_errors=True)
    job.echo(f"{job.out / FINAL}: {training.steps} steps; {len(changed)} tensors changed, as {training.strategy} may")
    return training
