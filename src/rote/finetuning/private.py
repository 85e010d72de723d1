"""Private training: DP-SGD (Abadi et al. 2016) with Opacus, beside the Trainer, which does not fit it.

Each step draws every row by itself with the same probability, clips the gradient of each drawn row, adds Gaussian noise to
their sum and takes an AdamW step with it. A row's loss is the mean over its scored tokens. What is random in a step depends on
the seed and the step's number alone, so a killed training resumes after its last finished pass and, on a CPU, ends in the same
weights.

What it does not hide: losses and data files in the same folder are of the members as they are; and who knows the seed can
take the noise out again. It trains models to audit.
"""

import contextlib
import inspect
import math
import shutil
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from opacus.grad_sample import GradSampleHooks
from opacus.optimizers import DPOptimizer
from transformers import TrainerControl, TrainerState, get_scheduler

from rote.finetuning.accounting import Sampling, epsilon_of, noise_for, record_epsilon
from rote.finetuning.encoding import IGNORED, Row
from rote.finetuning.loop import SCHEDULES, Job, Recorder, finish_checkpoint, resumable
from rote.finetuning.losses import Batch, Collator, TokenLoss, summed_losses
from rote.finetuning.record import RESUME, Epoch, Privacy, Training
from rote.records import content_id

COMPARED_ROWS = 3
"""Rows on which Opacus' gradients of single rows are held against plain ones before the training."""
STATE, WEIGHTS = "trainer_state.json", "private.pt"


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is fixed before the first step."""

    sampling: Sampling
    """Sampling of the whole training."""
    steps_per_pass: int
    expected_rows: float
    """Drawn in a step."""


def train_privately(job: Job, training: Training) -> Training:
    """Trains the job's model in place under the job's ε; returns the record with its epochs, and what it cost.

    Goes on from the last whole checkpoint under OUT/resume where there is one.

    Raises:
        ConfigError: no noise keeps to the target ε.
    """
    plan = _plan(job)
    training, checkpoint = resumable(job, replace(training, optimizer=_optimizer_line(job)))
    counter = TokenLoss(
        causal=not job.model.config.is_encoder_decoder,
        scored_tokens=training.epochs[-1].scored_tokens if training.epochs else 0,
    )
    job.echo(_plan_line(plan, job))
    with _gradients(job) as is_batched:
        recorder = PrivateRecorder(job, training, loss=counter, sampling=plan.sampling, is_batched=is_batched)
        state = TrainerState.load_from_json(str(checkpoint / STATE)) if checkpoint else TrainerState()
        state.max_steps = plan.sampling.steps
        trainer = _Steps(job, plan, recorder, state, is_batched=is_batched)
        if checkpoint:
            trainer.restore(checkpoint)
        trainer.run()
    job.echo(f"private: {cast(Privacy, recorder.training.privacy).sentence}")
    return recorder.training


class PrivateRecorder(Recorder):
    """Also records what the training has cost so far."""

    def __init__(self, job: Job, training: Training, *, loss: TokenLoss, sampling: Sampling, is_batched: bool) -> None:
        super().__init__(job, training, loss=loss)
        self.sampling = sampling
        self.is_batched = is_batched
        self.most_copies = max(Counter(job.rows).values())

    def _epoch(self, state: TrainerState, *, training_loss: float | None) -> Epoch:
        privacy = self._privacy(replace(self.sampling, steps=state.global_step))
        self.training = replace(self.training, privacy=privacy)
        return replace(super()._epoch(state, training_loss=training_loss), epsilon=privacy.epsilon)

    def _privacy(self, spent: Sampling) -> Privacy:
        delta = self.job.config.dp_delta
        of_record = record_epsilon(spent, delta, self.most_copies)
        return Privacy(
            epsilon=epsilon_of(spent, delta),
            delta=delta,
            noise_multiplier=spent.noise_multiplier,
            clip=self.job.config.dp_clip,
            sample_rate=spent.sample_rate,
            most_copies=self.most_copies,
            record_epsilon=of_record if math.isfinite(of_record) else None,
            row_gradients="batched" if self.is_batched else "one by one",
        )


class _Steps:
    """The loop: draws rows, clips, adds noise, steps; tells the recorder after each pass and keeps what resuming needs."""

    def __init__(
        self, job: Job, plan: Plan, recorder: PrivateRecorder, state: TrainerState, *, is_batched: bool
    ) -> None:
        self.job, self.plan, self.recorder, self.state = job, plan, recorder, state
        self.is_batched = is_batched
        self.at_once = job.config.batch_size if is_batched else 1
        self.weights = {name: weight for name, weight in job.model.named_parameters() if weight.requires_grad}
        config = job.config
        # as in the Trainer: weight decay for matrices alone
        matrices = [weight for weight in self.weights.values() if weight.dim() > 1]
        vectors = [weight for weight in self.weights.values() if weight.dim() <= 1]
        groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        self.adam = torch.optim.AdamW([group for group in groups if group["params"]], lr=config.learning_rate)
        self.noise = torch.Generator(device=job.model.device)
        self.optimizer = DPOptimizer(
            self.adam,
            noise_multiplier=plan.sampling.noise_multiplier,
            max_grad_norm=config.dp_clip,
            expected_batch_size=cast(int, plan.expected_rows),  # a fraction works as well
            generator=self.noise,
        )
        self.schedule = get_scheduler(
            SCHEDULES[config.schedule],
            self.adam,
            num_warmup_steps=config.warmup_steps,
            num_training_steps=plan.sampling.steps,
        )

    def run(self) -> None:
        """All steps that are left."""
        control = TrainerControl()
        self.recorder.begin(self.state)
        self.job.model.train()
        nats = tokens = 0.0
        for step in range(self.state.global_step, self.plan.sampling.steps):
            found = self._step(step)
            nats, tokens = nats + found[0], tokens + found[1]
            self.state.global_step = step + 1
            self.state.epoch = (step + 1) / self.plan.steps_per_pass
            is_last = step + 1 == self.plan.sampling.steps
            if is_last or (step + 1) % self.plan.steps_per_pass == 0:
                self.recorder.end_pass(self.state, control, training_loss=nats / tokens if tokens else None)
                nats = tokens = 0.0
            if (step + 1) % self.plan.steps_per_pass == 0 and not is_last:
                self._save()

    def restore(self, checkpoint: Path) -> None:
        """Weights, optimizer and schedule as `_save` left them."""
        kept = torch.load(checkpoint / WEIGHTS, map_location=self.job.model.device, weights_only=True)
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(kept["weights"][name])
        self.adam.load_state_dict(kept["adam"])
        self.schedule.load_state_dict(kept["schedule"])

    def _save(self) -> None:
        folder = self.job.out / RESUME
        temporary = folder / ".checkpoint.tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        weights = {name: weight.detach() for name, weight in self.weights.items()}
        kept = {"weights": weights, "adam": self.adam.state_dict(), "schedule": self.schedule.state_dict()}
        torch.save(kept, temporary / WEIGHTS)
        self.state.save_to_json(str(temporary / STATE))
        finish_checkpoint(temporary)
        temporary.rename(folder / f"checkpoint-{self.state.global_step}")
        for older in folder.glob("checkpoint-*"):
            if older.name != f"checkpoint-{self.state.global_step}":
                shutil.rmtree(older)

    def _step(self, step: int) -> tuple[float, float]:
        """One step; returns nats and scored tokens of the rows that were drawn for it."""
        torch.manual_seed(_seed(self.job, "dropout", step))
        self.noise.manual_seed(_seed(self.job, "noise", step))
        rows = drawn_rows(self.job, self.plan.sampling.sample_rate, step)
        parts = [rows[at : at + self.at_once] for at in range(0, len(rows), self.at_once)] or [[]]
        nats = 0.0
        for number, part in enumerate(parts):
            nats += self._row_gradients(part)
            self.optimizer.signal_skip_step(number + 1 < len(parts))
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        self.schedule.step()
        scored = sum(row.scored_tokens for row in rows)
        self.recorder.loss.scored_tokens += scored
        self.state.num_input_tokens_seen += sum(len(row.input_ids) for row in rows)
        return nats, scored

    def _row_gradients(self, rows: Sequence[Row]) -> float:
        """Leaves the gradients of each row's loss where the optimizer looks for them; returns the rows' nats."""
        if not rows:
            for weight in self.weights.values():
                weight.grad_sample = weight.new_zeros((0, *weight.shape))  # type: ignore[attr-defined]
            return 0.0
        nats, tokens = _row_losses(self.job, rows, self.recorder.collate, is_batched=self.is_batched)
        (nats / tokens).sum().backward()  # type: ignore[no-untyped-call]
        if not self.is_batched:
            for weight in self.weights.values():
                grad = torch.zeros_like(weight) if weight.grad is None else weight.grad
                weight.grad_sample = grad[None]  # type: ignore[attr-defined]
        return float(nats.detach().sum())


def drawn_rows(job: Job, sample_rate: float, step: int) -> list[Row]:
    """The rows of one step: each with the same probability, whatever becomes of the others (Poisson sampling)."""
    generator = torch.Generator().manual_seed(_seed(job, "rows", step))
    chances = torch.rand(len(job.rows), generator=generator, dtype=torch.float64)
    return [job.rows[number] for number in torch.nonzero(chances < sample_rate).flatten().tolist()]


@contextlib.contextmanager
def _gradients(job: Job) -> Iterator[bool]:
    """Whether Opacus gets the gradients of single rows out of whole batches; meanwhile it may.

    Tried on a few rows beside plain gradients. Where they differ (a weight that all rows of a batch share, as T5's
    relative positions), rows are run one by one: slower, and right for every model.
    """
    rows = list(dict.fromkeys(job.rows))[:COMPARED_ROWS]
    collate = Collator(job.model, int(job.tokenizer.pad_token_id))
    weights = {name: weight for name, weight in job.model.named_parameters() if weight.requires_grad}
    with warnings.catch_warnings(), contextlib.ExitStack() as stack:
        # from layers that read token ids, which have no gradients
        warnings.filterwarnings("ignore", message="Full backward hook is firing")
        with _without_zeros(weights.values()):
            expected = _plain_gradients(job, rows, collate, weights)
            hooks = GradSampleHooks(job.model, loss_reduction="sum", strict=False)
            stack.callback(hooks.cleanup)
            wrong = _wrong_gradients(job, rows, collate, weights, expected)
        if wrong:
            hooks.cleanup()
            job.echo(f"Opacus has no gradients of single rows for {wrong}: rows are run one by one")
        yield not wrong


@contextlib.contextmanager
def _without_zeros(weights: Iterable[torch.nn.Parameter]) -> Iterator[None]:
    """Weights that are all zero, as half of LoRA's at first, hide the gradients of others: meanwhile they are something."""
    with torch.no_grad():
        zeros = [weight for weight in weights if not weight.any()]
        for weight in zeros:
            weight.copy_(torch.linspace(-0.1, 0.1, weight.numel()).view(weight.shape))
    yield
    with torch.no_grad():
        for weight in zeros:
            weight.zero_()


def _plain_gradients(
    job: Job, rows: Sequence[Row], collate: Collator, weights: dict[str, torch.nn.Parameter]
) -> dict[str, torch.Tensor]:
    """Gradient of each row's loss by itself, without dropout ("row …")."""
    job.model.train(False)
    found: dict[str, list[torch.Tensor]] = {name: [] for name in weights}
    for row in rows:
        job.model.zero_grad(set_to_none=True)
        nats, tokens = _row_losses(job, [row], collate, is_batched=False)
        (nats / tokens).sum().backward()  # type: ignore[no-untyped-call]
        for name, weight in weights.items():
            found[name].append(torch.zeros_like(weight) if weight.grad is None else weight.grad)
    job.model.zero_grad(set_to_none=True)
    return {name: torch.stack(rows) for name, rows in found.items()}


def _wrong_gradients(
    job: Job,
    rows: Sequence[Row],
    collate: Collator,
    weights: dict[str, torch.nn.Parameter],
    expected: dict[str, torch.Tensor],
) -> str:
    """The first weight, or the error, with which a batch does not give the gradients of its rows; "" where it does."""
    job.model.train(False)
    for module in job.model.modules():
        # Opacus looks at modules that train; those that hold weights themselves have no dropout
        module.training = any(weight.requires_grad for weight in module.parameters(recurse=False))
    try:
        nats, tokens = _row_losses(job, rows, collate, is_batched=True)
        (nats / tokens).sum().backward()  # type: ignore[no-untyped-call]
        found = {name: getattr(weight, "grad_sample", None) for name, weight in weights.items()}
        return next((name for name in weights if not _agree(found[name], expected[name])), "")
    except Exception as error:  # whatever a layer of another library makes of it
        return (
            f"{type(job.model).__name__} ({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})"
        )
    finally:
        job.model.zero_grad(set_to_none=True)
        for weight in weights.values():
            weight.grad_sample = None  # type: ignore[attr-defined]


def _agree(found: object, expected: torch.Tensor) -> bool:
    if not isinstance(found, torch.Tensor) or found.shape != expected.shape:
        return False
    return torch.allclose(found, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


def _row_losses(
    job: Job, rows: Sequence[Row], collate: Collator, *, is_batched: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """For each row the nats of its scored tokens, and how many they are (at least 1)."""
    batch = {name: tensor.to(job.model.device) for name, tensor in collate(rows).items()}
    labels = batch.pop("labels")
    if is_batched:
        batch |= _positions(job, batch)
    logits = cast(torch.Tensor, job.model(**batch).logits)
    nats = summed_losses(logits, labels, causal="decoder_input_ids" not in batch)
    return nats, (labels != IGNORED).sum(-1).clamp(min=1)


def _positions(job: Job, batch: Batch) -> Batch:
    """Positions of its own for each row, where the model takes any: shared ones have no gradients of single rows."""
    if job.config.strategy != "full" or "position_ids" not in inspect.signature(job.model.forward).parameters:
        return {}
    shape = batch["input_ids"].shape
    return {"position_ids": torch.arange(shape[1], device=batch["input_ids"].device).expand(shape)}


def _plan(job: Job) -> Plan:
    config, rows = job.config, len(job.rows)
    wanted = config.batch_size * config.gradient_accumulation
    per_pass = math.ceil(math.ceil(rows / config.batch_size) / config.gradient_accumulation)
    steps = job.steps or math.ceil(config.epochs * per_pass)
    rate = min(1.0, wanted / rows)
    noise = noise_for(config, sample_rate=rate, steps=steps)
    return Plan(Sampling(noise, rate, steps), steps_per_pass=per_pass, expected_rows=rate * rows)


def _plan_line(plan: Plan, job: Job) -> str:
    found, config = plan.sampling, job.config
    few = f"; delta is not below 1 / {len(job.rows)} rows" if config.dp_delta * len(job.rows) >= 1 else ""
    return (
        f"private training: {found.steps} steps, each row drawn with probability {found.sample_rate:.4g}, gradients clipped "
        f"at {config.dp_clip:g}, noise multiplier {found.noise_multiplier:.4g}{few}"
    )


def _optimizer_line(job: Job) -> str:
    return (
        f"DP-SGD with AdamW, betas 0.9 and 0.999, epsilon 1e-8; gradient of each row clipped at {job.config.dp_clip:g}, "
        "Gaussian noise"
    )


def _seed(job: Job, what: str, step: int) -> int:
    return int(content_id(str(job.config.seed), what, str(step)), 16)
