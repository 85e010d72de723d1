"""Is the rendering of the audit the one that the model was trained on? Arithmetic on the losses of a few members.

Two questions, of completions alone (where the loss was masked, a prompt's loss says nothing):

- *Was this learned?* The tuned model's loss must be below the base model's, by its paired interval.
- *Is there a rendering that was learned better?* The tuned model's loss in another rendering is lower than as audited by
  more than `LEAST_NATS` a token, and more so than the base model's in proportion to what is left of the loss: what every
  model finds easier says nothing about the training, and of a loss that training has brought down to a third, such a
  difference is a third, too. The interval of that excess lies above 0, at a level that the number of renderings asks for.
  Without a base model the interval of the tuned model's difference must, and the difference be over `LEAST_SHARE_ALONE`
  of the loss.

Training in one rendering lowers the loss there at least as much as in any other, so that under the right rendering the
excess is below 0; how often a model is accused nevertheless is in `benchmarks/renderings.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rote import runs
from rote.records import Difference, RenderingLoss, RenderingPass
from rote.rendering.layouts import AUDITED
from rote.runs import Run
from rote.statistics.intervals import mean

LEAST_NATS = 0.02
"""Nats a token below which a difference between renderings is not worth a word."""
LEAST_SHARE_ALONE = 0.25
"""Share of the loss as audited by which another rendering's must be lower where no base model says which is easier."""

Losses = Mapping[str, float]
"""Nats a token by example id."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the losses say of the rendering."""

    losses: tuple[RenderingLoss, ...]
    """As audited, then the others, least tuned loss first."""
    is_unlearned: bool
    """The tuned model's loss is not below the base model's."""
    likely: RenderingLoss | None
    """The rendering that the model was probably trained on, where it is not the one of the audit."""
    is_worse_than_guessing: bool
    """The tuned model's loss is above that of a model that finds every token equally likely."""

    @property
    def holds(self) -> bool:
        """Whether nothing speaks against the rendering."""
        return not self.is_unlearned and self.likely is None


def rendering_losses(passes: Sequence[RenderingPass], *, confidence: float) -> list[RenderingLoss]:
    """The losses by rendering, as audited first; empty where nothing was tried.

    Args:
        passes: of the tuned model, and of the base model for the rendering of the audit and any others.
        confidence: level of the interval of `learned`; those between renderings share the error (Bonferroni).
    """
    groups = {item.example_id: item.group for item in passes}
    remedies = {item.rendering: item.remedy for item in passes}
    tokens = {(item.rendering, item.example_id): item.tokens for item in passes if item.model == "tuned"}
    tuned, base = (_by_rendering(passes, model, tokens) for model in ("tuned", "base"))
    audited, base_audited = tuned.get(AUDITED, {}), base.get(AUDITED, {})
    shared = 1 - (1 - confidence) / max(1, len(tuned) - 1)
    left = _share_left(audited, base_audited)
    found = []
    for name, all_own in tuned.items():
        own = {i: loss for i, loss in all_own.items() if i in audited}
        under = {i: loss for i, loss in base.get(name, {}).items() if i in own}
        if not own:
            continue
        is_other = name != AUDITED
        gain, gain_of_base = _gain(audited, own), _gain(base_audited, under, share=left)
        found.append(
            RenderingLoss(
                rendering=name,
                remedy=remedies[name],
                records=len(own),
                tuned=sum(own.values()) / len(own),
                base=sum(under.values()) / len(under) if under else None,
                uniform=passes[0].uniform,
                learned=_difference(under, own, groups, confidence),
                better=_difference(audited, own, groups, shared) if is_other else None,
                beyond_base=_difference(gain, gain_of_base, groups, shared) if is_other else None,
            )
        )
    return sorted(found, key=lambda item: (item.rendering != AUDITED, item.tuned, item.rendering))


def judge(losses: Sequence[RenderingLoss]) -> Judgement | None:
    """What they say; None where nothing was tried. Of too few independent records nothing is concluded."""
    if not losses:
        return None
    audited = losses[0]
    return Judgement(
        losses=tuple(losses),
        is_unlearned=audited.learned is not None and audited.learned.low <= 0,
        likely=_likely(audited, losses[1:]),
        is_worse_than_guessing=audited.tuned > audited.uniform,
    )


def _likely(audited: RenderingLoss, others: Sequence[RenderingLoss]) -> RenderingLoss | None:
    """The one of least loss that is known better than that of the audit; of equally good ones one that flags select."""
    better = [item for item in others if _is_better(item, audited)]
    best = [item for item in better if item.tuned <= better[0].tuned + LEAST_NATS]
    return min(best, key=lambda item: (item.rendering.endswith("(template)"), item.tuned, item.rendering), default=None)


def _is_better(item: RenderingLoss, audited: RenderingLoss) -> bool:
    if item.better is None:
        return False
    if item.beyond_base is not None:
        return item.beyond_base.low > 0 and item.better.value > LEAST_NATS
    return item.better.low > 0 and item.better.value > max(LEAST_NATS, LEAST_SHARE_ALONE * audited.tuned)


def _by_rendering(
    passes: Sequence[RenderingPass], model: str, tokens: Mapping[tuple[str, str], int]
) -> dict[str, dict[str, float]]:
    """Nats per token of the tuned model, whichever model they are of: a base model that lacks added tokens reads more."""
    found: dict[str, dict[str, float]] = {}
    for item in passes:
        if item.model == model:
            found.setdefault(item.rendering, {})[item.example_id] = item.nats / tokens.get(
                (item.rendering, item.example_id), item.tokens
            )
    return found


def _difference(first: Losses, second: Losses, groups: Mapping[str, str], confidence: float) -> Difference | None:
    """The mean of first minus second; None where too few independent records have both."""
    ids = sorted(first.keys() & second.keys())
    found = mean([first[i] - second[i] for i in ids], [groups[i] for i in ids], confidence=confidence)
    if found.value is None or found.low is None or found.high is None:
        return None
    return Difference(found.value, found.low, found.high)


def _gain(first: Losses, second: Losses, *, share: float = 1.0) -> Losses:
    return {i: share * (first[i] - second[i]) for i in first.keys() & second.keys()}


def _share_left(tuned: Losses, base: Losses) -> float:
    """The tuned model's mean loss over the base model's, at most 1."""
    both = tuned.keys() & base.keys()
    under = sum(base[i] for i in both)
    return min(1.0, sum(tuned[i] for i in both) / under) if under > 0 else 1.0


def judgement_of(run: Run) -> Judgement | None:
    """What a run's comparison says; None where it has none."""
    return judge(run.read(runs.RENDERINGS, RenderingLoss)) if run.has(runs.RENDERINGS) else None
