"""The trial of one model: in which way it is used, or why it is not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from rote.errors import ModelError, is_lack_of_memory
from rote.models import Batching, LoadedModel, quiet
from rote.models.tokens import decoder_start_ids, model_encoder
from rote.passes.scoring import PromptPass
from rote.records import Soundness
from rote.soundness import widening
from rote.soundness.checks import (
    Choices,
    Finding,
    Plain,
    consistent_tokens,
    earlier_texts,
    generations,
    later_tokens,
    passes,
    shorter_texts,
)
from rote.soundness.samples import draw_samples

Result = TypeVar("Result")

NEW_TOKENS = 8
"""Tokens that are generated after each sample."""
LEAST_CONTEXT = 16
"""A model that reads fewer tokens than that in the same way at every length is refused."""
WAYS: tuple[tuple[Batching, bool], ...] = (
    ("any", True),
    ("equal lengths", True),
    ("one", True),
    ("any", False),
    ("equal lengths", False),
    ("one", False),
)
"""Batching and cache, in the order in which they are tried; the first that is right is used."""
_FORGETS_NOTHING = (
    "its numbers cannot be repeated (BigBird leaves block-sparse attention for good once it has read a short text: set "
    'attention_type to "original_full" in its config.json)'
)
_REMEDY = (
    "Check that the folder is what was trained (tokenizer and config.json included) and try another version of "
    "transformers; the page Models of the documentation lists what is known to work"
)
_NO_MEMORY = "no memory for it"
CAPACITIES = ("expert_capacity",)
"""Settings of a model's config that name a number of tokens from which on it computes otherwise."""


class _CannotRun(ModelError):
    """The model did not give other numbers, it gave none: it raised, or there was no memory. `why` says which."""

    def __init__(self, message: str, why: str) -> None:
        super().__init__(message)
        self.why = why


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One way to use a model, and what was seen of it."""

    batching: Batching
    uses_cache: bool
    findings: tuple[Finding, ...]
    choices: Choices
    error: str = ""

    @property
    def holds(self) -> bool:
        return not self.error and self.choices.first == self.choices.tokens and all(f.holds for f in self.findings)

    @property
    def reason(self) -> str:
        """What failed, in words."""
        if self.error:
            return self.error
        failed = [finding for finding in self.findings if not finding.holds]
        if failed:
            return f"{failed[0].what} by {failed[0].nats:.2g} nats"
        return f"{self.choices.tokens - self.choices.first} of {self.choices.tokens} generated tokens are not its first choice"


@quiet()
def trial(prompted: Sequence[PromptPass], model: LoadedModel, *, name: str, new_tokens: int) -> Soundness:
    """Tries the model on parts of the texts that it will read; a few hundred tokens.

    In half precision a fault may be smaller than rounding. A model of up to `widening.MOST_WEIGHTS` weights is tried in
    float32 first; the ways that were wrong there are not tried again. Where it cannot run in float32 (no memory for the
    copy, or it raises) it is tried in its own number format alone, and the result says so.

    Args:
        prompted: passes over prompts and references; the samples are cut from the longest of them.
        model: as loaded.
        name: "tuned", "base" …
        new_tokens: that will be generated after each prompt.

    Returns:
        In which way the model is used (`as_tried`), and what was seen.

    Raises:
        ModelError: in no way; names what was tried and what was seen.
    """
    wide = _tried_in_float32(prompted, model, name=name, new_tokens=new_tokens)
    if isinstance(wide, str):
        return replace(_tried(prompted, model, name=name, new_tokens=new_tokens), not_in_float32=wide)
    way = (wide.batching, wide.uses_cache)
    found = _tried(prompted, as_tried(model, wide), name=name, new_tokens=new_tokens, ways=WAYS[WAYS.index(way) :])
    limits = [limit for limit in (wide.context_tokens, found.context_tokens) if limit is not None]
    return replace(
        found,
        context_tokens=min(limits, default=None),
        seen=tuple(dict.fromkeys((*wide.seen, *found.seen))),
        structure_dtype=wide.dtype,
    )


def _tried_in_float32(
    prompted: Sequence[PromptPass], model: LoadedModel, *, name: str, new_tokens: int
) -> Soundness | str:
    """The trial of a model in half precision with its weights in float32, or why there was none ("": it is in float32)."""
    weights = widening.half_weights(model)
    if not weights:
        return ""
    if weights > widening.MOST_WEIGHTS:
        return f"{weights:,} weights are more than the {widening.MOST_WEIGHTS:,} that are copied"
    try:
        with widening.widened(model):
            return _tried(prompted, model, name=name, new_tokens=new_tokens)
    except _CannotRun as error:
        return error.why
    except Exception as error:
        if not is_lack_of_memory(error):
            raise
        return _NO_MEMORY


def _tried(
    prompted: Sequence[PromptPass],
    model: LoadedModel,
    *,
    name: str,
    new_tokens: int,
    ways: Sequence[tuple[Batching, bool]] = WAYS,
) -> Soundness:
    """The trial in the number format that the weights have now."""
    before = len(model_encoder(model).before)
    texts, longest = [item.text for item in prompted], _longest(prompted, model, new_tokens)
    samples = draw_samples(texts, model, longest=longest, before=before)
    known = _reading(model, "read a text by itself", lambda: Plain(samples, model))
    _must_hold(model, later_tokens, known, "only models that see nothing of what follows can be audited")
    # before anything is cut: what has been read by now may have changed the model for good (BigBird)
    _must_hold(model, earlier_texts, known, _FORGETS_NOTHING)
    limit = 0
    if not _reading(model, "read a part of a text", lambda: shorter_texts(known, model)).holds:
        limit = _reading(model, "read a part of a text", lambda: consistent_tokens(known, model))
        if limit < LEAST_CONTEXT:
            _must_hold(model, shorter_texts, known, "what it says of a token depends on the length of the text")
        model = replace(model, context_tokens=limit)
        samples = draw_samples(texts, model, longest=limit, before=before)
        known = Plain(samples, model)
        _must_hold(model, shorter_texts, known, "what it says of a token depends on the length of the text")
    attempts: list[_Attempt] = []
    new = _new_tokens(model, new_tokens)
    full = _full_experts(model, new_tokens)
    for batching, uses_cache in ways:
        if uses_cache and full:
            attempts.append(_Attempt(batching, uses_cache, (), Choices(0, 0), full))
            continue
        attempts.append(_attempt(known, replace(model, batching=batching, uses_cache=uses_cache), new))
        if attempts[-1].holds:
            break
    else:
        raise _refusal(model, attempts)
    _must_hold(model, earlier_texts, known, _FORGETS_NOTHING)
    used = attempts[-1]
    return Soundness(
        model=name,
        dtype=str(model.model.dtype).removeprefix("torch."),
        device=model.device.type,
        batching=used.batching,
        uses_cache=used.uses_cache,
        context_tokens=limit or None,
        tokens=samples.tokens,
        difference=max(finding.nats for finding in used.findings),
        tolerance=known.tolerance,
        first_choices=used.choices.first,
        generated=used.choices.tokens,
        seen=tuple(dict.fromkeys(f"{_way(one)}: {one.reason}" for one in attempts[:-1])),
        notes=model.notes,
        structure_dtype=str(model.model.dtype).removeprefix("torch."),
    )


def as_tried(model: LoadedModel, found: Soundness) -> LoadedModel:
    """The model as it is used after its trial."""
    context = model.context_tokens if found.context_tokens is None else min(model.context_tokens, found.context_tokens)
    return replace(model, batching=found.batching, uses_cache=found.uses_cache, context_tokens=context)


def _longest(prompted: Sequence[PromptPass], model: LoadedModel, new_tokens: int) -> int:
    """Tokens of the longest text that the model (its decoder) will read, scored or generated."""
    if model.is_encoder_decoder:
        reached = [new_tokens, *(len(item.text.scored) for item in prompted)]
        return max(2, min(model.context_tokens - 2, max(reached)))
    shown = max(len(item.text.shown) + item.prompt_tokens for item in prompted)
    return max(4, min(model.context_tokens, max([shown + new_tokens, *(len(item.text) for item in prompted)])))


def _new_tokens(model: LoadedModel, budget: int) -> int:
    """Tokens that are generated in the trial: more where the config names a number after which something changes."""
    named = [getattr(model.model.config, name, None) or 0 for name in CAPACITIES]
    wanted = max([NEW_TOKENS, *(count + NEW_TOKENS for count in named if 0 < count < budget)])
    return max(1, min(wanted, budget, model.context_tokens // 2))


def _full_experts(model: LoadedModel, budget: int) -> str:
    """Why no cache may be used, where an expert may be full: one that is does nothing for the tokens that follow.

    A step through the cache counts the tokens of that step alone, and a few samples need not show it. Source:
    `SwitchTransformersTop1Router` of transformers, which counts within each row.
    """
    named = [(name, getattr(model.model.config, name, None)) for name in CAPACITIES]
    first = len(decoder_start_ids(model, model_encoder(model))) if model.is_encoder_decoder else model.context_tokens
    below = [f"{name} {count}" for name, count in named if isinstance(count, int) and 0 < count < first + budget - 1]
    return (
        f"an expert may be full ({below[0]} in its config), and steps through a cache start to count anew"
        if below
        else ""
    )


def _attempt(known: Plain, model: LoadedModel, new_tokens: int) -> _Attempt:
    try:
        read = passes(known, model)
        written, choices = generations(known, model, new_tokens)
    except Exception as error:
        _raise_memory(model, error)
        return _Attempt(model.batching, model.uses_cache, (), Choices(0, 0), f"it raises {_named(error)}")
    return _Attempt(model.batching, model.uses_cache, (read, written), choices)


def _reading(model: LoadedModel, what: str, read: Callable[[], Result]) -> Result:
    """Calls the model, which may raise anything, and says what it was when it did."""
    try:
        return read()
    except Exception as error:
        _raise_memory(model, error)
        raise _CannotRun(
            f"{model.source}: {type(model.model).__name__} cannot {what} (tried at batch 1, without cache): {_named(error)}",
            f"it raises {_named(error)}",
        ) from error


def _must_hold(model: LoadedModel, check: Callable[[Plain, LoadedModel], Finding], known: Plain, why: str) -> None:
    found = _reading(model, "read a text", lambda: check(known, model))
    if not found.holds:
        raise ModelError(
            f"{model.source}: {type(model.model).__name__} cannot be audited: {found.what} by up to {found.nats:.2g} nats "
            f"(tried on {len(known.samples.rows[0])} tokens at batch 1; rounding would be {known.tolerance:.1g}); {why}"
        )


def _refusal(model: LoadedModel, attempts: Sequence[_Attempt]) -> ModelError:
    seen = "; ".join(f"{_way(attempt)}: {attempt.reason}" for attempt in attempts)
    message = (
        f"{model.source}: {type(model.model).__name__} cannot be audited: however it is called, it says different things of "
        f"the same text, so no number of it would be right. Tried: {seen}. {_REMEDY}"
    )
    raises = all(attempt.error for attempt in attempts)
    return _CannotRun(message, attempts[-1].error) if raises else ModelError(message)


def _way(attempt: _Attempt) -> str:
    """The way, in words."""
    rows = {"any": "unequal texts together", "equal lengths": "texts of equal lengths together", "one": "one by one"}
    return rows[attempt.batching] + ("" if attempt.uses_cache else " without a cache")


def _raise_memory(model: LoadedModel, error: Exception) -> None:
    """Too little memory says nothing of the model."""
    if is_lack_of_memory(error):
        message = f"{model.source}: no memory to try the model on a few texts on {model.device}"
        raise _CannotRun(message, _NO_MEMORY) from error


def _named(error: Exception) -> str:
    line = (str(error).strip() or "without a message").splitlines()[0][:200]
    return f"{type(error).__name__}: {line}"
