"""How much of its input a task needs: the loss on the completions while parts of the prompts are left out.

The empirical counterpart of the sparse-coding argument (`rote.theory`): of each record's own prompt a share of the words
is kept, the completion is scored in one teacher-forced pass, and the *needed share* is the smallest one with which the
mean loss stays within `tolerance` of that with the whole prompt. It says something about this model on these records,
not about a task as such: a model that has learned the completions by rote needs less.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rote.records import Example, Prompt, content_id
from rote.statistics.intervals import Interval, cluster_numbers, mean, refusal
from rote.text import words

SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
ORDERS: tuple["Order", ...] = ("first", "last", "random")
TOLERANCE = 0.05
"""Nats per token by which the mean loss may be above that with the whole prompt."""
RESAMPLES = 2000

Order = Literal["first", "last", "random"]
"""Which words are kept: the first, the last, or some at random in their order."""


@dataclass(frozen=True, slots=True)
class NeededInput:
    """The losses by share of the prompt, and the smallest share that is enough."""

    order: Order
    shares: tuple[float, ...]
    losses: tuple[Interval, ...]
    """Mean over records of the loss on the completion, in nats per token, at each share."""
    needed: Interval
    """0 (nothing of the prompt is needed) .. 1 (all of it)."""


def kept_part(prompt: str, share: float, *, order: Order, seed: str) -> str:
    """The prompt with only that share of its words (rounded up), in their order.

    What stands after the last word (a separator) is always kept; of words at random, what stands between them is one
    blank. A prompt without words is kept as it is.

    >>> kept_part("one two three four\\n", 0.5, order="first", seed="")
    'one two\\n'
    >>> kept_part("one two three four\\n", 0.25, order="last", seed="")
    'four\\n'
    """
    found = words(prompt)
    count = math.ceil(share * len(found) - 1e-9)
    if not found or count == len(found):
        return prompt
    behind = prompt[found[-1].end :]
    if order == "first":
        return prompt[: found[count - 1].end if count else 0] + behind
    if order == "last":
        return prompt[found[len(found) - count].start if count else len(prompt) - len(behind) :]
    draw = np.random.default_rng(int(content_id(seed, prompt), 16))
    places = sorted(draw.permutation(len(found))[:count].tolist())
    return " ".join(found[place].of(prompt) for place in places) + behind


def ablated_prompts(examples: Sequence[Example], share: float, *, order: Order, start: str = "") -> list[Prompt]:
    """A prompt with that share of its words for each example that has a prompt and a completion of its own.

    `start`: the start token as text. A prompt that a chat template began with it keeps it, whatever words are kept.
    """
    return [
        Prompt(
            content_id(example.id, order, repr(share)), example.id, lead + text, example.completion, example.is_rendered
        )
        for example in examples
        if example.prompt.strip() and example.completion.strip()
        for lead in [start if example.is_rendered and example.prompt.startswith(start) else ""]
        for text in [kept_part(example.prompt.removeprefix(lead), share, order=order, seed=example.id)]
        if text
    ]


def needed_input(
    losses: Mapping[float, Mapping[str, float]],
    clusters: Mapping[str, str],
    *,
    order: Order,
    tolerance: float = TOLERANCE,
    confidence: float = 0.95,
) -> NeededInput:
    """The needed share of the records that were scored at every share.

    Args:
        losses: share → example id → loss on the completion, in nats per token; the share 1.0 must be among them.
        clusters: example id → duplicate group.
        order: which words were kept.
        tolerance: see `TOLERANCE`.
        confidence: level of the intervals; that of the needed share is a percentile bootstrap over the groups.
    """
    shares = tuple(sorted(losses))
    ids = sorted(set.intersection(*(set(losses[share]) for share in shares)))
    groups = [clusters[example_id] for example_id in ids]
    table = np.array([[losses[share][example_id] for share in shares] for example_id in ids])
    by_share = tuple(
        mean([losses[share][i] for i in ids], groups, confidence=confidence, least=0.0) for share in shares
    )
    method = "bootstrap over duplicate groups"
    refused = refusal(groups, confidence)
    if refused:
        return NeededInput(order, shares, by_share, Interval(None, None, None, method, refused))
    sums = np.array([np.bincount(cluster_numbers(groups), weights=column) for column in table.T])
    sizes = np.bincount(cluster_numbers(groups)).astype(np.float64)
    draws = np.random.default_rng(0).multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=RESAMPLES)
    resampled = _needed(draws @ sums.T / (draws @ sizes)[:, None], shares, tolerance)
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2], method="inverted_cdf")
    value = float(_needed(table.mean(axis=0)[None], shares, tolerance)[0])
    return NeededInput(
        order, shares, by_share, Interval(value, min(value, float(low)), max(value, float(high)), method)
    )


def _needed(means: NDArray[np.float64], shares: Sequence[float], tolerance: float) -> NDArray[np.float64]:
    """For each row of mean losses ("draws shares") the smallest share from which on all are within the tolerance."""
    is_near = means <= means[:, -1:] + tolerance
    stays = np.flip(np.logical_and.accumulate(np.flip(is_near, axis=1), axis=1), axis=1)
    found: NDArray[np.float64] = np.asarray(shares)[stays.argmax(axis=1)]
    return found
