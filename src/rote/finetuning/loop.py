"""The training run itself: transformers' Trainer, fed with token rows, keeping a model to audit after each pass.

Imports torch and transformers; `rote.finetuning` imports this module only when it trains.
"""

import math
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from peft import PeftModel, load_peft_weights, set_peft_model_state_dict
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from rote.config import ADAPTERS, FinetuningConfig, ModelConfig
from rote.console.progress import Lines
from rote.errors import ModelError
from rote.finetuning.encoding import Row
from rote.finetuning.losses import Collator, TokenLoss, mean_loss
from rote.finetuning.matching import best_epoch
from rote.finetuning.record import CHECKPOINTS, FINAL, RESUME, Epoch, Training, files_of, write_training
from rote.models import load_model
from rote.runs import Echo
from rote.runs.disk import (
    damage_of,
    encode,
    hashes_of,
    make_private,
    private_folder,
    seal,
    temporary_path,
    unseal,
    write_atomically,
)

HASHES = "hashes.json"
SCHEDULES = {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training: what, on what, how, and where to."""

    model: PreTrainedModel
    """With exactly its trainable parameters requiring gradients."""
    tokenizer: PreTrainedTokenizerBase
    rows: Sequence[Row]
    """One pass, repetitions included."""
    members: Sequence[Row]
    """Distinct members that their loss is measured on."""
    validation: Sequence[Row]
    config: FinetuningConfig
    steps: int
    """Optimizer steps; 0: `config.epochs` passes."""
    dtype: str
    """Number format of the forward pass."""
    out: Path
    echo: Echo


def train(job: Job, training: Training) -> Training:
    """Trains the job's model in place; returns the record with its epochs. The last model is not saved yet.

    Goes on from the last whole checkpoint under OUT/resume where there is one.
    """
    folder = job.out / RESUME
    training, resumed_from = resumable(job, training)
    causal = not job.model.config.is_encoder_decoder
    loss = TokenLoss(causal=causal, scored_tokens=training.epochs[-1].scored_tokens if training.epochs else 0)
    recorder = Recorder(job, training, loss=loss)
    trainer = Trainer(
        model=job.model,
        args=_arguments(job, folder),
        data_collator=recorder.collate,
        train_dataset=job.rows,
        compute_loss_func=loss,
        callbacks=[recorder, Bar() if sys.stderr.isatty() else Steps()],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=str(resumed_from) if resumed_from else None)
    return recorder.training


def resumable(job: Job, training: Training) -> tuple[Training, Path | None]:
    """The record up to the pass after which training is resumed, and the checkpoint to resume from; None: from scratch."""
    checkpoint = last_checkpoint(job.out / RESUME)
    epochs = epochs_until(training, checkpoint)
    folders = tuple(f"{epoch.folder}/" for epoch in epochs if epoch.folder)
    kept = {name: known for name, known in training.files.items() if name.startswith(folders)}
    if damage := damage_of(job.out, kept):
        job.echo(f"{job.out}: damaged ({damage}); training again")
        shutil.rmtree(job.out / RESUME)
        return replace(training, epochs=(), files={}), None
    if checkpoint:
        job.echo(f"going on after {len(epochs)} finished passes")
    return replace(training, epochs=epochs), checkpoint


def restore_model(job: Job, folder: Path) -> None:
    """Gives the job's model the weights that `save_model` wrote into the folder."""
    if job.config.strategy in ADAPTERS:
        set_peft_model_state_dict(job.model, load_peft_weights(str(folder), device="cpu"))
    else:
        job.model.load_state_dict(load_model(str(folder), config=ModelConfig(device="cpu")).model.state_dict())


def save_model(job: Job, folder: Path) -> None:
    """Writes model (or adapter) and tokenizer as a folder that exists only when it is whole; replaces an old one."""
    temporary = temporary_path(folder)
    shutil.rmtree(temporary, ignore_errors=True)
    private_folder(temporary)
    if job.config.strategy in ADAPTERS:
        # left to itself, peft asks the hub whether the vocabulary grew
        cast(PeftModel, job.model).save_pretrained(str(temporary), save_embedding_layers=False)
    else:
        job.model.save_pretrained(temporary)
    job.tokenizer.save_pretrained(temporary)
    make_private(temporary)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


class Recorder(TrainerCallback):
    """After each pass: measures the losses, keeps the model, writes the record; only then the Trainer saves its state.

    In this order a run that is killed at any point repeats the pass and ends in the same bytes.
    """

    def __init__(self, job: Job, training: Training, *, loss: TokenLoss) -> None:
        self.job = job
        self.training = training
        self.loss = loss
        self.collate = Collator(job.model, int(job.tokenizer.pad_token_id))
        self.started = time.monotonic()

    def on_train_begin(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: object,
    ) -> None:
        """The Trainer begins."""
        self.begin(state)

    def begin(self, state: TrainerState) -> None:
        """Measures the losses of the model before training."""
        if state.max_steps <= self.job.config.warmup_steps:
            warm_up = self.job.config.warmup_steps
            self.job.echo(f"the warm-up ({warm_up} steps) is no shorter than the training ({state.max_steps} steps)")
        if state.global_step == 0:
            validation, members = self._mean(self.job.validation), self._mean(self.job.members)
            self.training = replace(self.training, base_validation_loss=validation, base_members_loss=members)
        self.started = time.monotonic()

    def on_save(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: object,
    ) -> None:
        """The Trainer has saved its state: only now the checkpoint counts as whole."""
        finish_checkpoint(Path(str(args.output_dir)) / f"checkpoint-{state.global_step}")

    def on_log(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,
        **found: object,
    ) -> None:
        """The Trainer logs "loss" once, at the end of each pass."""
        logs = cast(dict[str, float], found["logs"])
        if "loss" in logs:
            self.end_pass(state, control, training_loss=logs["loss"])

    def end_pass(self, state: TrainerState, control: TrainerControl, *, training_loss: float | None) -> None:
        """Measures, keeps and records the model after a pass, and says to `control` whether it was the last."""
        epoch = self._epoch(state, training_loss=training_loss)
        _check_finite(epoch, self.job.config.learning_rate)
        stopped = _why_stopped((*self.training.epochs, epoch), self.job.config, max_steps=state.max_steps)
        if stopped:
            control.should_save = False  # nothing is left to resume
            control.should_training_stop = True
            if kept_epoch((*self.training.epochs, epoch), self.job.config) is epoch:
                epoch = replace(epoch, folder=FINAL)
        if epoch.folder and epoch.folder != FINAL:
            save_model(self.job, self.job.out / epoch.folder)
        epochs, files = (*self.training.epochs, epoch), files_of(self.job.out)
        self.training = replace(self.training, epochs=epochs, steps=epoch.steps, stopped=stopped, files=files)
        write_training(self.job.out, self.training)
        self.job.echo(_line(epoch))
        self.started = time.monotonic()

    def _epoch(self, state: TrainerState, *, training_loss: float | None) -> Epoch:
        number, config = len(self.training.epochs) + 1, self.job.config
        return Epoch(
            number=number,
            passes=round(state.epoch or 0.0, 6),
            steps=state.global_step,
            tokens=int(state.num_input_tokens_seen),
            scored_tokens=self.loss.scored_tokens,
            training_loss=training_loss,
            validation_loss=self._mean(self.job.validation),
            members_loss=self._mean(self.job.members),
            elapsed_s=round(time.monotonic() - self.started, 3),
            folder=f"{CHECKPOINTS}/epoch-{number:02d}" if config.early_stopping or not config.steps else "",
        )

    def _mean(self, rows: Sequence[Row]) -> float | None:
        return mean_loss(self.job.model, rows, self.collate, batch_size=self.job.config.batch_size)


class Bar(ProgressCallback):
    """The Trainer's progress bar without its log lines."""

    def on_log(self, *_: object, **__: object) -> None:
        """Says nothing: the Recorder tells the losses."""


class Steps(TrainerCallback):
    """A line now and then: how many steps are made."""

    def __init__(self) -> None:
        self.lines = Lines()

    def on_step_end(
        self,
        args: TrainingArguments,  # noqa: ARG002
        state: TrainerState,
        control: TrainerControl,  # noqa: ARG002
        **_: object,
    ) -> None:
        """A step was made."""
        self.lines.show(f"training: {state.global_step:,} of {state.max_steps:,} steps")


def _arguments(job: Job, folder: Path) -> TrainingArguments:
    config, device = job.config, job.model.device
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=config.epochs,
        max_steps=job.steps or -1,
        per_device_train_batch_size=config.batch_size,
        gradient_accumulation_steps=config.gradient_accumulation,
        learning_rate=config.learning_rate,
        lr_scheduler_type=SCHEDULES[config.schedule],
        warmup_steps=config.warmup_steps,
        weight_decay=config.weight_decay,
        max_grad_norm=1.0,
        seed=config.seed,
        data_seed=config.seed,
        # Not grouped by length: the copies of a repeated record are equally long and would share a batch.
        train_sampling_strategy="random",
        bf16=job.dtype == "bfloat16",
        fp16=job.dtype == "float16",
        save_strategy="epoch",
        save_total_limit=1,
        logging_strategy="epoch",
        logging_nan_inf_filter=False,
        include_num_input_tokens_seen="non_padding",
        remove_unused_columns=False,
        use_cache=getattr(job.model.config, "use_cache", True),  # saved with the model; off, generation would crawl
        dataloader_num_workers=0,
        dataloader_pin_memory=device.type == "cuda",
        use_cpu=device.type == "cpu",
        disable_tqdm=True,
        log_level="error",
        report_to="none",
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # one device: the Trainer would spread over all that it sees
    return arguments


def finish_checkpoint(path: Path) -> None:
    """Writes the hashes of all files of a checkpoint beside them."""
    write_atomically(path / HASHES, encode(seal(dict(hashes_of(path)))))
    make_private(path)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint; torn and damaged ones are removed."""
    for path in sorted(folder.glob("checkpoint-*"), key=_steps_of, reverse=True):
        if _is_whole(path):
            return path
        shutil.rmtree(path)
    return None


def _is_whole(checkpoint: Path) -> bool:
    try:
        hashes = cast(dict[str, str], unseal((checkpoint / HASHES).read_bytes()))
    except (OSError, ValueError):
        return False
    return not damage_of(checkpoint, hashes)


def epochs_until(training: Training, checkpoint: Path | None) -> tuple[Epoch, ...]:
    """The epochs before the checkpoint; the others are trained again."""
    steps = _steps_of(checkpoint) if checkpoint else 0
    return tuple(epoch for epoch in training.epochs if epoch.steps <= steps)


def _steps_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def kept_epoch(epochs: Sequence[Epoch], config: FinetuningConfig) -> Epoch:
    """The pass after which the model becomes `final`."""
    return best_epoch(epochs) if config.early_stopping else epochs[-1]


def _why_stopped(epochs: Sequence[Epoch], config: FinetuningConfig, *, max_steps: int) -> str:
    """Why training ends after the last of these passes; "" where it goes on."""
    kept, last = kept_epoch(epochs, config), epochs[-1]
    which = f"; the model after pass {kept.number} is kept" if config.early_stopping else ""
    if last.steps >= max_steps:
        return f"all {max_steps} steps are made{which}"
    waited = last.number - kept.number
    if config.early_stopping and waited >= config.early_stopping:
        return f"passes without a lower validation loss: {waited}{which}"
    return ""


def _check_finite(epoch: Epoch, learning_rate: float) -> None:
    for name, value in (("training", epoch.training_loss), ("validation", epoch.validation_loss)):
        if value is not None and not math.isfinite(value):
            raise ModelError(
                f"the {name} loss is {value} after pass {epoch.number}: training diverged "
                f"(finetuning.learning_rate = {learning_rate:g})"
            )


def _line(epoch: Epoch) -> str:
    shown = {"training": epoch.training_loss, "validation": epoch.validation_loss, "members": epoch.members_loss}
    losses = ", ".join(f"{name} {value:.3f}" for name, value in shown.items() if value is not None)
    return f"epoch {epoch.number}: {losses} nats a token; {epoch.steps} steps, {epoch.elapsed_s:.1f} s"
