"""Scores of single teacher-forced passes: what they say of extraction, with nothing generated."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from rote.config import ScoringConfig
from rote.passes.store import TokenStatistics, TokenStore
from rote.passes.variants import UNRELATED
from rote.records import Generation, Prompt, Score, TokenScores, VariantPass
from rote.scoring import likelihood
from rote.scoring.extraction import (
    continuation_log_probability,
    covered_share,
    extraction_strength,
    prior_aware,
    verbatim_probability,
    window_log_probabilities,
)

"""Variants of that name (then "-" and a number) are the suffix after another record's prefix."""
MOST_CUT_BYTES = 3
"""Bytes of a character of UTF-8 that may be missing; each is decoded as one replacement character at most."""
_LARGEST_LOSS = 700.0
"""exp of more is no float."""


def score_likelihood(
    passes: Iterable[TokenScores], store: TokenStore, *, schemes: Sequence[str], config: ScoringConfig
) -> Iterator[Score]:
    """The metrics of extraction of each pass, in the same order; see `METRICS`. NAME@SCHEME is of one decoding scheme.

    None, with the reason, where no token (for some: too few) could be scored. But for the windows, the tokens of the
    prompt are in none of them.

    Args:
        passes: of any model.
        store: has the statistics of each pass.
        schemes: labels of the decoding schemes that the passes were made with, in their order.
        config: tokens that must come out; windows.
    """
    for item in passes:
        whole = store.read(item.key)
        values = dict(_values(whole.part(item.prompt_tokens), schemes, config.suffix_tokens))
        # Where the prompt was scored, too, windows may start as soon as a window's length stands before them.
        values |= _coverage(whole.part(config.window_tokens if item.prompt_tokens else 0), schemes, config)
        for metric, value in values.items():
            yield _measured(f"{item.prompt_id}-{item.model}", metric, value, _reason(metric, config))


def score_against_base(
    tuned: Iterable[TokenScores], base: Mapping[str, TokenScores], store: TokenStore
) -> Iterator[Score]:
    """Exact memorisation of the tuned model's passes minus that of the base model's on the same tokens.

    Args:
        tuned: passes of the tuned model.
        base: those of the base model, by prompt id; prompts without one are passed over.
        store: has the statistics of each pass.
    """
    for item in tuned:
        other = base.get(item.prompt_id)
        if other is not None:
            subject, metric = f"{item.prompt_id}-{item.model}", "base_relative_memorization"
            if unlike := other_tokens(item, other):
                yield Score(subject, metric, None, unlike)
                continue
            own, before = (
                likelihood.exact_memorization(store.read(one.key).part(one.prompt_tokens)) for one in (item, other)
            )
            value = None if own is None or before is None else own - before
            yield _measured(subject, metric, value, "no token to score")


def score_priors(
    passes: Iterable[TokenScores], variants: Iterable[VariantPass], store: TokenStore, *, suffix_tokens: int
) -> Iterator[Score]:
    """How much likelier each suffix is after its own prefix than after unrelated ones; of passes that have such variants.

    Args:
        passes: of the tuned model.
        variants: of its passes; those that are not of unrelated prefixes are passed over.
        store: has the statistics of both.
        suffix_tokens: tokens of the suffix, at most.
    """
    unrelated: dict[str, list[VariantPass]] = {}
    for variant in variants:
        if variant.variant.startswith(UNRELATED):
            unrelated.setdefault(variant.prompt_id, []).append(variant)
    for item in passes:
        found = unrelated.get(item.prompt_id, [])
        if found:
            own = store.read(item.key).part(item.prompt_tokens).log_probabilities
            others = [store.read(one.key).log_probabilities[:suffix_tokens] for one in found]
            tokens = min([suffix_tokens, len(own), *map(len, others)])
            sums = np.array([np.sum(other[:tokens], dtype=np.float64) for other in others])
            value = prior_aware(float(np.sum(own[:tokens], dtype=np.float64)), sums, tokens)
            subject = f"{item.prompt_id}-{item.model}"
            yield _measured(subject, "prior_aware_memorization", value, "no token to score")


def score_agreement(
    passes: Iterable[TokenScores],
    generations: Sequence[Generation],
    prompts: Iterable[Prompt],
    store: TokenStore,
    *,
    max_new_tokens: int,
) -> Iterator[Score]:
    """Whether pass and greedy generation say the same of each prompt; of passes that have a greedy generation.

    The pass says that the continuation is the true one if each of the first `max_new_tokens` tokens of the reference (of
    all, where it is shorter) is the first choice; the generation, if its text is that of the reference as far as both
    reach. They may differ by right: where other tokens spell the same text, or where two tokens are equally likely.
    """
    written = {
        (item.prompt_id, item.model): item.text
        for item in generations
        if item.decoding == "greedy" and item.sample == 0
    }
    references = {prompt.id: prompt.reference for prompt in prompts}
    for item in passes:
        text = written.get((item.prompt_id, item.model))
        if text is not None:
            greedy = store.read(item.key).part(item.prompt_tokens).is_greedy
            reference = references[item.prompt_id]
            fits = len(greedy) >= max_new_tokens and _begins(reference, text)
            same = fits or text.startswith(reference)
            agree = bool(greedy[:max_new_tokens].all()) == same
            yield Score(f"{item.prompt_id}-{item.model}", "greedy_agreement", float(agree))


def _begins(reference: str, text: str) -> bool:
    """Whether the reference begins like the text, whose last character may be cut: its bytes stand in several tokens."""
    end = len(text)
    while text[:end].endswith("\ufffd") and len(text) - end < MOST_CUT_BYTES:
        end -= 1
    return reference.startswith(text) or (end > 0 and reference.startswith(text[:end]))


def other_tokens(one: TokenScores, other: TokenScores) -> str | None:
    """Why two models' passes over a prompt cannot be compared token by token; None where they can."""
    if (one.tokens, one.prompt_tokens) != (other.tokens, other.prompt_tokens):
        return f"the models read the text as {one.tokens} and as {other.tokens} tokens"
    if one.token_hash and other.token_hash and one.token_hash != other.token_hash:
        return f"the models read the text as {one.tokens} tokens each, but not as the same ones"
    return None


def _values(tokens: TokenStatistics, labels: Sequence[str], suffix_tokens: int) -> Iterator[tuple[str, float | None]]:
    extractable, loss = likelihood.extractable(tokens, suffix_tokens), likelihood.loss(tokens)
    yield "extractable", None if extractable is None else float(extractable)
    yield "exact_memorization", likelihood.exact_memorization(tokens)
    yield "loss", loss
    yield "extraction_strength", extraction_strength(tokens.is_greedy)
    yield "verbatim_probability", verbatim_probability(tokens.log_probabilities)
    yield "perplexity", None if loss is None else math.exp(min(max(0.0, loss), _LARGEST_LOSS))
    for label, drawn in zip(labels, tokens.decoding_log_probabilities, strict=True):
        log_probability = continuation_log_probability(drawn, suffix_tokens)
        yield f"extraction_chance@{label}", None if log_probability is None else math.exp(log_probability)
        yield f"drawable@{label}", None if log_probability is None else float(log_probability > -math.inf)


def _coverage(tokens: TokenStatistics, labels: Sequence[str], config: ScoringConfig) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for label, drawn in zip(labels, tokens.decoding_log_probabilities, strict=True):
        windows = window_log_probabilities(drawn, width=config.window_tokens)
        extractable = windows >= math.log(config.window_chance)
        found[f"window_coverage@{label}"] = covered_share(
            extractable, width=config.window_tokens, stride=1, tokens=len(tokens)
        )
    return found


def _reason(metric: str, config: ScoringConfig) -> str:
    name = metric.partition("@")[0]
    if name in ("extractable", "extraction_chance", "drawable"):
        return f"fewer than {config.suffix_tokens} tokens"
    return f"no window of {config.window_tokens} tokens" if name == "window_coverage" else "no token to score"


def _measured(subject: str, metric: str, value: float | None, otherwise: str) -> Score:
    return Score(subject, metric, value, otherwise if value is None else None)
