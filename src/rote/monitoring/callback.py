"""`MemorizationCallback`: what a model learns by rote, measured while transformers' `Trainer` or TRL's `SFTTrainer` trains it."""

import copy
import logging
import sys
import time
import weakref
from collections.abc import Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from transformers import TrainerCallback
from transformers.trainer_callback import CallbackHandler

from rote.config import CorpusConfig, GenerationConfig, PromptKind
from rote.errors import ConfigError, ModelError
from rote.models import LoadedModel
from rote.models.loaded import quiet
from rote.models.tokenizers import context_tokens
from rote.monitoring.figures import Figure, figures
from rote.monitoring.sample import Records, Subject, read_records, subjects_of
from rote.monitoring.stillness import undisturbed
from rote.monitoring.thresholds import Breach, breaches, check_measurable, checked, ends_of
from rote.soundness.trial import as_tried, trial

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, Trainer, TrainerControl, TrainerState
    from transformers.training_args import TrainingArguments

PREFIX = "rote/"
"""Stands before the name of every figure that is logged."""
FRAMES = 8
"""Callers among which the trainer's handler of callbacks is looked for."""
logger = logging.getLogger("rote")


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one call found."""

    step: int
    """Optimizer steps made before it."""
    epoch: float
    figures: tuple[Figure, ...]
    elapsed_s: float

    def value(self, name: str) -> float | None:
        """The value of a figure, e.g. "members/extractable"; None where it has none.

        Raises:
            KeyError: there is no such figure.
        """
        return {figure.name: figure for figure in self.figures}[name].value

    @property
    def logs(self) -> dict[str, float]:
        """What is logged: values and ends of intervals by name, and the seconds that it took."""
        found = {f"{PREFIX}{name}": value for figure in self.figures for name, value in ends_of(figure).items()}
        return {**found, f"{PREFIX}elapsed_s": round(self.elapsed_s, 3)}


class MemorizationCallback(TrainerCallback):
    """Measures what the model learns by rote before the training and every `steps` steps, or at each epoch's end.

    The figures are logged as the trainer logs its own, so TensorBoard, Weights & Biases and MLflow have them, under names like
    `rote/members/extractable`, `rote/members/extractable_low`, `rote/members/extractable_high`. Nothing is generated: a
    continuation comes out greedily if and only if each of its tokens is the first choice after the true ones before it.

    The training is not changed: it makes the same losses and weights, to the bit, as without the callback.

    Args:
        members: records that are trained on: a path or hub id as for `rote audit`, or dictionaries, a data frame, a
            `datasets.Dataset`. With canaries among them where these are planted.
        nonmembers: records of the same kind that are not trained on; None: no membership figure.
        canaries: the `canaries.jsonl` of `rote prepare --canaries`; None: no canaries.
        steps: measure every so many optimizer steps; None: at each epoch's end.
        sample: members, non-members and canaries of each kind that are read at each call, at most; drawn once.
        stop_above: figure → threshold: the training stops after the call that finds one over it, and
            `checkpoint` is the one to keep. "extractable" is of the members; `_low` and `_high` name the ends of an interval.
        prompt: "prefix", "record" or "auto", as for `rote audit`.
        prefix_tokens: tokens of a prefix.
        suffix_tokens: tokens that must come out; shorter continuations do not count for `extractable`.
        batch_size: texts that are read together, at most.
        confidence: of the intervals.
        corpus: how the records are read (fields, rendering, seed).
        tokenizer: where the trainer has none.

    Raises:
        ConfigError: a setting is wrong, here or when the training begins.
    """

    def __init__(
        self,
        members: object,
        *,
        nonmembers: object = None,
        canaries: str | Path | None = None,
        steps: int | None = None,
        sample: int = 200,
        stop_above: Mapping[str, float] | None = None,
        prompt: PromptKind = "auto",
        prefix_tokens: int = 50,
        suffix_tokens: int = 50,
        batch_size: int = 32,
        confidence: float = 0.95,
        corpus: CorpusConfig | None = None,
        tokenizer: "PreTrainedTokenizerBase | None" = None,
    ) -> None:
        counts = {"sample": sample, "prefix_tokens": prefix_tokens, "suffix_tokens": suffix_tokens}
        _check_counts(counts | {"batch_size": batch_size} | ({} if steps is None else {"steps": steps}))
        _check_inputs(members, canaries, prompt=prompt, confidence=confidence)
        self.steps, self.sample, self.confidence = steps, sample, confidence
        self.stop_above = checked(stop_above or {})
        self.generation = GenerationConfig(
            prompt=prompt, prefix_tokens=prefix_tokens, max_new_tokens=suffix_tokens, batch_size=batch_size
        )
        self.suffix_tokens = suffix_tokens
        self.history: list[Measurement] = []
        """The figures of each call of the training, in order."""
        self.breaches: tuple[Breach, ...] = ()
        """The thresholds that were passed; empty as long as none is."""
        self._inputs = (members, nonmembers, canaries)
        self._corpus = corpus or CorpusConfig()
        self._tokenizer = tokenizer
        self._reader: _Reader | None = None
        self._handler: weakref.ref[CallbackHandler] | None = None
        self._saved: list[tuple[int, Path]] = []

    def attach(self, trainer: "Trainer") -> "MemorizationCallback":
        """Adds itself to a trainer that exists already; only a weak reference is kept. The same as `callbacks=[…]`."""
        if self not in trainer.callback_handler.callbacks:
            trainer.add_callback(self)
        self._handler = weakref.ref(trainer.callback_handler)
        return self

    @property
    def checkpoint(self) -> Path | None:
        """The checkpoint to keep: the last one that is still there and was saved no later than the last call under all thresholds.

        What was saved after that call has not been measured, so nothing is known of it. None where there is none.
        """
        first = next((number for number, found in enumerate(self.history) if self._over(found)), len(self.history))
        if not first:
            return None
        last = self.history[first - 1].step
        return next((path for step, path in reversed(self._saved) if step <= last and path.is_dir()), None)

    def on_train_begin(
        self, args: "TrainingArguments", state: "TrainerState", control: "TrainerControl", **kwargs: object
    ) -> None:
        """Reads the records, tries the model, and measures it as it is before the training."""
        self._find_handler()
        _check_whole(args)
        self.history, self.breaches, self._saved = [], (), []
        model = cast("nn.Module", kwargs.get("model"))
        tokenizer = _tokenizer_of(self._tokenizer or kwargs.get("processing_class"))
        with undisturbed(model), quiet():
            self._reader = self._opened(model, tokenizer)
            self._measure(state, control)
        check_measurable(self.stop_above, self.history[-1].figures)
        self._report(args, state, control)

    def on_step_end(
        self, args: "TrainingArguments", state: "TrainerState", control: "TrainerControl", **kwargs: object
    ) -> None:
        """Measures where the step is one of `steps`."""
        if self.steps is not None and state.global_step % self.steps == 0:
            self._call(args, state, control, kwargs)

    def on_epoch_end(
        self, args: "TrainingArguments", state: "TrainerState", control: "TrainerControl", **kwargs: object
    ) -> None:
        """Measures where no steps are given."""
        if self.steps is None:
            self._call(args, state, control, kwargs)

    def on_save(
        self, args: "TrainingArguments", state: "TrainerState", control: "TrainerControl", **kwargs: object
    ) -> None:
        """Remembers the checkpoint."""
        self._saved.append((state.global_step, Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"))

    def on_train_end(
        self, args: "TrainingArguments", state: "TrainerState", control: "TrainerControl", **kwargs: object
    ) -> None:
        """Says which checkpoint to keep, where a threshold was passed."""
        if self.breaches and state.is_world_process_zero:
            step = next(found.step for found in self.history if self._over(found))
            keep = f"keep {self.checkpoint}" if self.checkpoint else "no checkpoint was saved before that"
            logger.warning("rote: %s after %d steps: %s", ", ".join(map(str, self.breaches)), step, keep)

    def _call(
        self, args: "TrainingArguments", state: "TrainerState", control: "TrainerControl", kwargs: Mapping[str, object]
    ) -> None:
        with undisturbed(cast("nn.Module", kwargs.get("model"))), quiet():
            self._measure(state, control)
        self._report(args, state, control)

    def _opened(self, model: "nn.Module", tokenizer: "PreTrainedTokenizerBase") -> "_Reader":
        records = read_records(
            *self._inputs,
            corpus=self._corpus,
            size=self.sample,
            tokenizer=tokenizer,
            echo=logger.info,
        )
        return _Reader.of(records, model, tokenizer, self.generation, self.suffix_tokens)

    def _measure(self, state: "TrainerState", control: "TrainerControl") -> None:
        assert self._reader is not None
        start = time.perf_counter()
        found = figures(
            self._reader.subjects,
            self._reader.model,
            batch_size=self.generation.batch_size,
            confidence=self.confidence,
        )
        elapsed_s = time.perf_counter() - start
        self.history.append(Measurement(state.global_step, float(state.epoch or 0), found, elapsed_s))
        over = self._over(self.history[-1])
        if over:
            self.breaches = self.breaches or tuple(over)
        control.should_training_stop = control.should_training_stop or bool(self.breaches)

    def _over(self, found: Measurement) -> list[Breach]:
        return breaches(self.stop_above, found.figures)

    def _report(self, args: "TrainingArguments", state: "TrainerState", control: "TrainerControl") -> None:
        """Logs as `Trainer.log` does. TRL's own `log` would also close its running means before their time."""
        handler = self._handler() if self._handler is not None else None
        if handler is None:
            raise ConfigError("the trainer's callbacks are gone; call callback.attach(trainer) before trainer.train()")
        logs = {**self.history[-1].logs, **({} if state.epoch is None else {"epoch": state.epoch})}
        state.log_history.append({**logs, "step": state.global_step})
        should_log = control.should_log
        handler.on_log(args, state, control, logs)
        control.should_log = should_log  # the handler takes its own log for done

    def _find_handler(self) -> None:
        """Finds the handler of this callback among those that are calling: it hands itself to no callback."""
        frame = sys._getframe(1)
        for _ in range(FRAMES):
            owner = frame.f_locals.get("self")
            if isinstance(owner, CallbackHandler) and self in owner.callbacks:
                self._handler = weakref.ref(owner)
                return
            if frame.f_back is None:
                break
            frame = frame.f_back
        if self._handler is None or self._handler() is None:
            raise ConfigError(
                "the trainer that calls is not known; call callback.attach(trainer) before trainer.train()"
            )


@dataclass(frozen=True, slots=True)
class _Reader:
    """The model that is trained, as it is to be read, and what it reads."""

    model: LoadedModel
    subjects: list[Subject]

    @classmethod
    def of(
        cls,
        records: Records,
        model: "nn.Module",
        tokenizer: "PreTrainedTokenizerBase",
        generation: GenerationConfig,
        suffix_tokens: int,
    ) -> "_Reader":
        """The reader; the model is tried on parts of the texts first, as every model that rote measures."""
        inner = _network(model)
        loaded = LoadedModel(
            model=inner,
            tokenizer=tokenizer,
            source="the model in training",
            adapter="",
            is_encoder_decoder=bool(inner.config.is_encoder_decoder),
            context_tokens=context_tokens(inner.config, tokenizer),
            digest="",
        )
        subjects, missing = subjects_of(records, loaded, generation=generation, suffix_tokens=suffix_tokens)
        if not any(subject.population == "members" for subject in subjects):
            tokens = generation.prefix_tokens
            raise ConfigError(
                f"members: none of the {len(records.examples)} records has a prompt and something after it; show fewer "
                f"than prefix_tokens = {tokens}, or set prompt='record' where they have prompts of their own"
            )
        if missing:
            logger.warning("rote: %d of the sampled records and canaries have nothing to measure", missing)
        found = trial(
            [subject.reading for subject in subjects], loaded, name="tuned", new_tokens=generation.max_new_tokens
        )
        if found.context_tokens is not None:
            raise ModelError(
                f"the model in training reads texts of more than {found.context_tokens} tokens otherwise than shorter ones; "
                "measure it with rote audit"
            )
        return cls(as_tried(loaded, found), subjects)


def _check_counts(counts: Mapping[str, object]) -> None:
    for name, value in counts.items():
        if type(value) is not int or value < 1:
            raise ConfigError(f"{name}: expected a whole number >= 1, found {value!r}")


def _check_inputs(members: object, canaries: object, *, prompt: object, confidence: object) -> None:
    if not isinstance(confidence, float) or not 0 < confidence < 1:
        raise ConfigError(f"confidence: expected a number between 0 and 1, found {confidence!r}")
    if prompt not in get_args(PromptKind):
        raise ConfigError(f"prompt: expected {' or '.join(map(repr, get_args(PromptKind)))}, found {prompt!r}")
    if members is None or (isinstance(members, Sized) and not len(members)):
        raise ConfigError(f"members: expected records, found {members!r}")
    if canaries is not None and not isinstance(canaries, (str, Path)):
        raise ConfigError(f"canaries: expected the path of a canaries.jsonl, found {type(canaries).__name__}")


def _network(model: "nn.Module") -> "PreTrainedModel":
    """The transformers model that is trained: of a PeftModel the one with the adapter's layers in it."""
    from peft import PeftModel
    from transformers import PreTrainedModel

    if isinstance(model, PeftModel):
        if any(config.is_prompt_learning for config in model.peft_config.values()):
            kinds = ", ".join(type(config).__name__ for config in model.peft_config.values())
            raise ConfigError(
                f"the adapter is a soft prompt ({kinds}), which the callback cannot read; measure its checkpoints with "
                "rote audit --adapter"
            )
        return cast("PreTrainedModel", model.get_base_model())
    inner = getattr(model, "_orig_mod", model)  # torch.compile
    if not isinstance(inner, PreTrainedModel):
        raise ConfigError(f"expected a transformers model or a PeftModel in training, found {type(model).__name__}")
    return inner


def _tokenizer_of(given: object) -> "PreTrainedTokenizerBase":
    """A copy of the trainer's tokenizer, which pads with its end token where it has no padding token."""
    from transformers import PreTrainedTokenizerBase

    found = getattr(given, "tokenizer", given)  # of a processor
    if not isinstance(found, PreTrainedTokenizerBase):
        raise ConfigError(
            f"tokenizer: the trainer has none (processing_class is {type(given).__name__}); give tokenizer=…"
        )
    copied = copy.deepcopy(found)
    if copied.pad_token_id is None:
        copied.pad_token = copied.eos_token or copied.unk_token
    if copied.pad_token_id is None:
        raise ConfigError("tokenizer: it has neither a padding nor an end token")
    return copied


def _check_whole(args: "TrainingArguments") -> None:
    """Raises a ConfigError where no process has the whole model."""
    if args.deepspeed or args.fsdp:
        raise ConfigError(
            "the weights are spread over processes (DeepSpeed or FSDP), where no process can read texts with the whole "
            "model; measure the checkpoints with rote audit"
        )
