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
from rote.corpus.canaries import canary_lines, planted_examples
from rote.errors import ModelError
from rote.finetuning.accounting import check_private
from rote.finetuning.record import (
    CANARIES,
    FINAL,
    MEMBERS,
    MIXED,
    NEAR_DUPLICATES,
    NONMEMBERS,
    RESUME,
    Training,
    files_of,
    known_training,
    write_training,
)
from rote.finetuning.repetition import step_limit, to_jsonl
from rote.finetuning.rows import Pass, one_pass, text_room
from rote.finetuning.strategy import (
    changed_names,
    check_changes,
    fingerprints,
    head_names,
    prepare_model,
    untie_head,
)
from rote.models import LoadedModel, check_folder, load_model, model_digest, pick_device, quiet
from rote.records import Canary, Example, Json, content_id
from rote.runs import PACKAGES, Echo
from rote.runs.disk import damage_of, write_atomically
from rote.runs.locks import claimed

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
    mixed: Sequence[Sequence[Example]] = (),
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
        mixed: records of other tasks, task by task, that `config.mix_share` of the rows are drawn from.
        echo: gets a line for everything that is done to the data, and one for each pass.

    Raises:
        DataError: no member has a token to learn, a canary does not fit the context, or the repetition has more parts
            than there are groups.
        ConfigError: settings that exclude each other, or no noise keeps to the target ε.
        MissingExtraError: private training without Opacus.
        ModelError: the base cannot be loaded or trained that way, training diverged, or it changed other parameters
            than the strategy may change.
        RunError: `out` holds a training with other settings.
    """
    if config.dp_epsilon:
        check_private(config, dtype=model.dtype)
    loading = _loading(model, config)
    check_folder(base, "model")
    with claimed(out):
        return _finetune(
            members, validation, base=base, out=out, config=config, model=loading, canaries=canaries, mixed=mixed,
            dtype=model.dtype, echo=echo,
        )  # fmt: skip


def _finetune(
    members: Sequence[Example],
    validation: Sequence[Example],
    *,
    base: str,
    out: Path,
    config: FinetuningConfig,
    model: ModelConfig,
    canaries: Sequence[Canary],
    mixed: Sequence[Sequence[Example]],
    dtype: str,
    echo: Echo,
) -> Training:
    settings = _settings(members, validation, canaries, mixed, base=base, config=config, dtype=dtype)
    known = _known_training(out, settings)
    if known is not None and known.finished and (damage := damage_of(out, known.files)):
        echo(f"{out}: damaged ({damage}); training again")
        shutil.rmtree(out / RESUME, ignore_errors=True)
        known = replace(known, finished=False, epochs=(), files={})
    if known is not None and known.finished:
        shutil.rmtree(out / RESUME, ignore_errors=True)
        echo(f"{out / FINAL}: trained with these settings already, {known.steps} steps; nothing to do")
        return known
    train = _train_privately if config.dp_epsilon else _train
    with quiet():
        source = str(Path(base).resolve()) if Path(base).is_dir() else base  # an adapter names its base by this
        loaded = load_model(source, config=model)
        for note in loaded.notes:
            echo(note)
        data = one_pass(members, validation, canaries, mixed, loaded, config=config, echo=echo)
        loaded, untied = _prepare(loaded, config=config, echo=echo)
        room = text_room(loaded, config)
        training = known or _new_training(loaded, data, settings=settings, context_tokens=room, untied=untied)
        write_training(out, training)
        _write_data(out, data, canaries)
        job = _job(loaded, data, config=config, dtype=dtype, out=out, echo=echo)
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
    mixed: Sequence[Sequence[Example]],
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
        "mix": [_data_digest(task) for task in mixed],
    }
    if canaries:
        settings["canaries"] = _data_digest(planted_examples(canaries))
    return cast(dict[str, Json], json.loads(json.dumps(settings)))


def _data_digest(examples: Sequence[Example]) -> str:
    parts = [(each.prompt, each.completion, each.group, str(each.copies)) for each in examples]
    return f"{len(examples)} records, {content_id(*(part for example in parts for part in example))}"


def _known_training(out: Path, settings: dict[str, Json]) -> Training | None:
    known = known_training(out, settings)
    if known is not None and known.finished and not (out / FINAL).is_dir():
        return replace(known, finished=False, epochs=(), files={})
    return known


def _prepare(loaded: LoadedModel, *, config: FinetuningConfig, echo: Echo) -> tuple[LoadedModel, bool]:
    """The model ready to train, and whether its head was untied from the input embedding."""
    from transformers import set_seed

    untied = config.strategy == "head" and untie_head(loaded.model)
    if untied:
        echo(f"{loaded.source}: input and output embedding share their weights: untied, the head is now a copy")
    set_seed(config.seed)  # an adapter's first weights are drawn
    return replace(loaded, model=prepare_model(loaded.model, config)), untied


def _new_training(
    loaded: LoadedModel, data: Pass, *, settings: dict[str, Json], context_tokens: int, untied: bool
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
        members=len(data.members.rows),
        rows=len(data.rows),
        cut=data.members.cut,
        left_out=data.members.left_out,
        near_duplicates=len(data.near_duplicates),
        further_copies=data.further_copies,
        goldfish_tokens=data.goldfish_tokens,
        context_tokens=context_tokens,
        parameters=total,
        trainable_parameters=sum(each.numel() for each in parameters.values() if each.requires_grad),
        head_parameters=head,
        head_share=head / total,
        embeddings_untied=untied,
        canary_rows=data.canary_rows,
        mixed_rows=len(data.mixed),
    )


def _write_data(out: Path, data: Pass, canaries: Sequence[Canary]) -> None:
    """The records as files that an audit reads."""
    write_atomically(out / MEMBERS, to_jsonl(data.repeated))
    write_atomically(out / NONMEMBERS, to_jsonl(data.validation.examples))
    if data.near_duplicates:
        write_atomically(out / NEAR_DUPLICATES, to_jsonl(data.near_duplicates))
    if data.mixed:
        write_atomically(out / MIXED, to_jsonl(data.mixed))
    if canaries:
        write_atomically(out / CANARIES, canary_lines(canaries))


def _job(loaded: LoadedModel, data: Pass, *, config: FinetuningConfig, dtype: str, out: Path, echo: Echo) -> "Job":
    from rote.finetuning.loop import Job

    row_of = {example.id: row for example, row in zip(data.members.examples, data.members.rows, strict=True)}
    drawn = sorted(row_of, key=lambda name: content_id(str(config.seed), name))[:MEASURED_MEMBERS]
    return Job(
        model=loaded.model,
        tokenizer=loaded.tokenizer,
        rows=data.rows,
        members=[row_of[name] for name in drawn],
        validation=data.validation.rows,
        config=config,
        steps=step_limit(config, data.unrepeated_rows),
        dtype=dtype,
        out=out,
        echo=echo,
    )


def _train(job: "Job", training: Training) -> Training:
    from rote.finetuning.loop import train

    return train(job, training)


def _train_privately(job: "Job", training: Training) -> Training:
    from rote.finetuning.private import train_privately

    return train_privately(job, training)


def _finish(job: "Job", training: Training, before: dict[str, str]) -> Training:
    """Proves that training changed what it may, then keeps the model and drops the means to resume.

    That is the model after the last pass, or with early stopping after the best one, whose checkpoint becomes `final`.
    """
    from rote.finetuning.loop import kept_epoch, restore_model, save_model

    kept = kept_epoch(training.epochs, job.config)
    if kept.folder != FINAL:
        restore_model(job, job.out / kept.folder)
    changed = changed_names(before, fingerprints(job.model))
    training = replace(training, changed_parameters=changed)
    write_training(job.out, training)
    check_changes(job.config.strategy, changed, head=head_names(job.model))
    save_model(job, job.out / FINAL)
    epochs = tuple(replace(epoch, folder=FINAL) if epoch == kept else epoch for epoch in training.epochs)
    if kept.folder != FINAL:
        shutil.rmtree(job.out / kept.folder, ignore_errors=True)
    training = replace(training, epochs=epochs, finished=True, files=files_of(job.out))
    write_training(job.out, training)
    shutil.rmtree(job.out / RESUME, ignore_errors=True)
    if job.config.early_stopping:
        job.echo(training.stopped)
    job.echo(f"{job.out / FINAL}: {kept.steps} steps; {len(changed)} tensors changed, as {training.strategy} may")
    return training
