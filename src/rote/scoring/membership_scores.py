"""Membership scores of the records of a run, from its passes and their variants; see `rote.scoring.membership`."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rote.config import MembershipScore, ScoringConfig
from rote.passes.store import TokenStatistics, TokenStore
from rote.passes.variants import LOWERCASE, NEIGHBOUR, RECALL
from rote.records import Example, Prompt, Score, TokenScores, VariantPass
from rote.scoring import likelihood, membership
from rote.scoring.blind import blind_scores
from rote.scoring.likelihood_scores import other_tokens

BLIND = "blind"
"""The "model" of a baseline that sees none."""
OF_ONE_MODEL: tuple[MembershipScore, ...] = ("text_loss", "zlib", "min_k", "min_k_plus_plus")
"""Scores that need one model alone: the base model has them, too, as a control."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Text:
    """What the scores of one text read. `tokens` are those in scope, which begins at place `start` of those scored."""

    prompt: Prompt
    item: TokenScores
    start: int
    tokens: TokenStatistics
    base: TokenScores | None
    variants: Mapping[str, VariantPass]
    store: TokenStore
    config: ScoringConfig

    def of_base(self) -> Floats | str:
        """Log-probabilities of the same tokens under the base model, or why there are none."""
        if self.base is None:
            return "no base model"
        unlike = other_tokens(self.item, self.base)
        return unlike or self.store.read(self.base.key).part(self.start).log_probabilities

    def of_variant(self, variant: VariantPass) -> Floats:
        """Log-probabilities of the variant's tokens that are in scope."""
        start = variant.prompt_tokens if self.config.membership_scope == "reference" else variant.skipped
        return self.store.read(variant.key).part(start).log_probabilities


def score_membership(
    passes: Sequence[TokenScores],
    base: Mapping[str, TokenScores],
    variants: Sequence[VariantPass],
    prompts: Mapping[str, Prompt],
    store: TokenStore,
    *,
    config: ScoringConfig,
) -> Iterator[Score]:
    """The membership scores that are on, of each pass, in the same order. None, with the reason, where one is not defined.

    Args:
        passes: of one model. Of the base model only the scores that need no other model.
        base: passes of the base model, by prompt id.
        variants: of the passes' texts.
        prompts: by id.
        store: has the statistics of all.
        config: which scores, of which tokens.
    """
    by_prompt: defaultdict[str, dict[str, VariantPass]] = defaultdict(dict)
    for variant in variants:
        by_prompt[variant.prompt_id][variant.variant] = variant
    for item in passes:
        start = item.prompt_tokens if config.membership_scope == "reference" else 0
        tokens, other = store.read(item.key).part(start), base.get(item.prompt_id)
        found = by_prompt[item.prompt_id]
        text = _Text(prompts[item.prompt_id], item, start, tokens, other, found, store, config)
        for name in config.membership:
            if item.model == "tuned" or name in OF_ONE_MODEL:
                value = _SCORES[name](text) if len(tokens) else "no token to score"
                score = (None, value) if isinstance(value, str) else (value, None)
                yield Score(f"{item.prompt_id}-{item.model}", name, *score)


def score_blindly(prompts: Sequence[Prompt], examples: Mapping[str, Example], *, seed: int) -> Iterator[Score]:
    """The blind baseline of each prompt's text; nothing where either side has fewer than two duplicate groups."""
    ordered = sorted(prompts, key=lambda prompt: prompt.id)
    owners = [examples[prompt.example_id] for prompt in ordered]
    is_member = np.array([owner.split == "member" for owner in owners], dtype=np.bool_)
    groups = [owner.group for owner in owners]
    sides = [{owner.group for owner in owners if (owner.split == "member") == side} for side in (True, False)]
    if min(map(len, sides)) >= 2:
        texts = [prompt.text + prompt.reference for prompt in ordered]
        found = blind_scores(texts, is_member, groups, seed=seed)
        for prompt, value in zip(ordered, found, strict=True):
            yield Score(f"{prompt.id}-{BLIND}", "blind_baseline", float(value))


def _text_loss(text: _Text) -> float | str:
    return likelihood.loss(text.tokens) or 0.0


def _zlib(text: _Text) -> float | str:
    if text.item.truncated:
        return "the text was cut at the model's context"
    whole = text.prompt.text * (text.start < text.item.prompt_tokens) + text.prompt.reference
    return _defined(membership.zlib_ratio(text.tokens.log_probabilities, whole))


def _min_k(text: _Text) -> float | str:
    return _defined(membership.min_k(text.tokens.log_probabilities, share=text.config.min_k_share))


def _min_k_plus_plus(text: _Text) -> float | str:
    own, share = text.tokens, text.config.min_k_share
    return _defined(membership.min_k_plus_plus(own.log_probabilities, own.means, own.deviations, share=share))


def _reference_ratio(text: _Text) -> float | str:
    base = text.of_base()
    return base if isinstance(base, str) else _defined(membership.reference_ratio(text.tokens.log_probabilities, base))


def _ez_mia(text: _Text) -> float | str:
    base, own = text.of_base(), text.tokens
    return base if isinstance(base, str) else _defined(membership.ez_mia(own.log_probabilities, base, own.is_greedy))


def _wbc(text: _Text) -> float | str:
    base, own = text.of_base(), text.tokens.log_probabilities
    return base if isinstance(base, str) else _defined(membership.window_comparison(own, base))


def _lowercase(text: _Text) -> float | str:
    lowered = text.variants.get(LOWERCASE)
    if lowered is None:
        return "no pass over the text in lower case"
    return _defined(membership.lowercase_ratio(text.tokens.log_probabilities, text.of_variant(lowered)))


def _recall_ratio(text: _Text) -> float | str:
    variant = text.variants.get(RECALL)
    if variant is None:
        return (
            "no pass after a prefix of non-members: there are none, or the text stands in it, or it is no causal model"
        )
    after = text.of_variant(variant)
    return _defined(membership.recall_ratio(text.tokens.log_probabilities[: len(after)], after))


def _neighbourhood(text: _Text) -> float | str:
    found = [one for name, one in text.variants.items() if name.partition("-")[0] == NEIGHBOUR]
    return _defined(membership.neighbourhood(text.tokens.log_probabilities, [text.of_variant(one) for one in found]))


def _defined(value: float | None) -> float | str:
    return "too few tokens" if value is None else value


_SCORES: Mapping[MembershipScore, Callable[[_Text], float | str]] = {
    "text_loss": _text_loss,
    "zlib": _zlib,
    "lowercase": _lowercase,
    "min_k": _min_k,
    "min_k_plus_plus": _min_k_plus_plus,
    "reference_ratio": _reference_ratio,
    "ez_mia": _ez_mia,
    "wbc": _wbc,
    "recall_ratio": _recall_ratio,
    "neighbourhood": _neighbourhood,
}
