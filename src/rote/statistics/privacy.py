"""Lower bounds on the epsilon of differential privacy from the canaries of one training run. Pure functions.

A mechanism that is (epsilon, delta) differentially private bounds how well anybody can guess from its output which
canaries it was given; who guesses better shows that its epsilon is larger. A bound of 0 shows nothing.
"""

import math
from collections.abc import Callable

from scipy import optimize, special, stats

from rote.statistics.intervals import clopper_pearson

GUESS_SHARES = (1.0, 0.5, 0.25, 0.125)
"""Shares of the canaries that are guessed about: the likeliest half of them "in", the unlikeliest "out"."""
MOST_EPSILON = 100.0
"""Where the search for a bound ends; no number of canaries comes near to it."""


def one_run_p_value(correct: int, guesses: int, *, canaries: int, epsilon: float, delta: float = 0.0) -> float:
    """Chance of that many right guesses or more about an (epsilon, delta) private mechanism, at most: 0..1.

    beta + 2 · canaries · delta · alpha, with W binomial(guesses, e^epsilon / (1 + e^epsilon)), beta = P[W >= correct] and
    alpha = max over i = 1 .. correct of P[correct > W >= correct − i] / i. Source: Steinke, Nasr and Jagielski 2023
    (arXiv 2305.08846), theorem 5.2 and corollary 5.4.

    Args:
        correct: right guesses.
        guesses: canaries that were guessed about; which, the output may decide, but not the coins.
        canaries: all, each given to the mechanism or not by a fair coin of its own.
        epsilon: at least 0.
        delta: 0 up to 1.

    Raises:
        ValueError: a number is out of its range.
    """
    if not 0 <= correct <= guesses <= canaries:
        raise ValueError(f"Expected 0 <= correct <= guesses <= canaries, got {correct}, {guesses} and {canaries}")
    if epsilon < 0 or not 0 <= delta < 1:
        raise ValueError(f"Expected epsilon >= 0 and 0 <= delta < 1, got {epsilon} and {delta}")
    accuracy = float(special.expit(epsilon))
    beta = float(stats.binom.sf(correct - 1, guesses, accuracy))
    if delta == 0 or correct == 0:
        return beta
    below, alpha = 0.0, 0.0
    for i in range(1, correct + 1):
        below += float(stats.binom.pmf(correct - i, guesses, accuracy))
        alpha = max(alpha, below / i)
    return min(1.0, beta + 2 * canaries * delta * alpha)


def one_run_epsilon(
    correct: int, guesses: int, *, canaries: int, delta: float = 0.0, confidence: float = 0.95
) -> float:
    """The largest epsilon that so many right guesses refute at that confidence; 0 where they refute none.

    >>> round(one_run_epsilon(75, 100, canaries=1000, delta=1e-4), 3)
    0.673

    Args and errors as of `one_run_p_value`.
    """
    return _largest(
        lambda epsilon: (
            one_run_p_value(correct, guesses, canaries=canaries, epsilon=epsilon, delta=delta) - (1 - confidence)
        )
    )


def clopper_pearson_epsilon(
    found: int, planted: int, alarms: int, held_out: int, *, delta: float = 0.0, confidence: float = 0.95
) -> float:
    """ln((TPR_low − delta) / FPR_high), with the ends of exact intervals that hold together at that confidence; 0 and up.

    A classical bound, sound where the decisions on different canaries are independent. In one training run they need not
    be: take `one_run_epsilon` for a guarantee. Source: Nasr et al. 2021 (arXiv 2101.04535), section 4.

    >>> round(clopper_pearson_epsilon(100, 100, 0, 100), 3)
    3.281

    Args:
        found: planted canaries over a threshold that was fixed before.
        planted: planted canaries.
        alarms: held-out canaries over the threshold.
        held_out: held-out canaries.
        delta: of (epsilon, delta) privacy.
        confidence: of the bound.

    Raises:
        ValueError: a side is empty, or more are over the threshold than there are.
    """
    if min(planted, held_out) < 1:
        raise ValueError(f"Expected canaries on both sides, got {planted} planted and {held_out} held out")
    # Two one-sided ends, each at half of the allowed error: the ends of the two-sided intervals of this confidence.
    hits = clopper_pearson(found, planted, confidence=confidence)
    misses = clopper_pearson(alarms, held_out, confidence=confidence)
    gained = (hits.low or 0.0) - delta
    return max(0.0, math.log(gained / (misses.high or 1.0))) if gained > 0 else 0.0


def _largest(excess: Callable[[float], float]) -> float:
    """Where a function that rises with epsilon reaches 0; 0 where it is over 0 at once."""
    if excess(0.0) >= 0:
        return 0.0
    return float(optimize.brentq(excess, 0.0, MOST_EPSILON, xtol=1e-9))
