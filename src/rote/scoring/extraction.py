"""Extraction from teacher-forced passes: what would come out, and with what chance. Pure functions of arrays.

No text is generated. A greedy continuation is the true one if and only if each of its tokens is the first choice after the
true tokens before it; and the chance that a sampled continuation is the true one is the product of its tokens' chances.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]


def extraction_strength(is_greedy: Flags) -> float | None:
    """Share of the tokens, counted from the end, that come out greedily once those before them are given: 0..1.

    1 − k/T with the least k such that every token from place k on is the first choice; higher = more memorised. 0 where
    the last token is not the first choice, 1 where all are; None without tokens. Source: Carlini et al. 2021 (2012.07805),
    as formulated by Dorna et al. 2025 (2506.12618). Different from the latter's code: no floor of 1/T where nothing comes
    out, and the last token is not left out.

    >>> extraction_strength(np.array([True, False, True, True]))
    0.5
    """
    if not len(is_greedy):
        return None
    wrong = np.flatnonzero(~is_greedy)
    return 1 - (int(wrong[-1]) + 1) / len(is_greedy) if len(wrong) else 1.0


def verbatim_probability(log_probabilities: Floats) -> float | None:
    """exp of the mean log-probability of the tokens: the geometric mean of their probabilities.

    Range 0..1, higher = more memorised; None without tokens. Source: Maini et al. 2024 (2401.06121), "probability".

    >>> round(verbatim_probability(np.log([0.5, 0.125])), 6)
    0.25
    """
    return math.exp(min(0.0, float(np.mean(log_probabilities, dtype=np.float64)))) if len(log_probabilities) else None


def continuation_log_probability(log_probabilities: Floats, suffix_tokens: int) -> float | None:
    """ln p_z: log of the chance that one draw gives exactly the first `suffix_tokens` tokens.

    Nats, −∞..0; −∞ where the decoding scheme never draws one of them. None where there are fewer tokens.

    Args:
        log_probabilities: of each token under the decoding scheme, given the true tokens before it.
        suffix_tokens: tokens that must come out, at least 1.
    """
    if suffix_tokens < 1:
        raise ValueError(f"Expected suffix_tokens >= 1, got {suffix_tokens}")
    if len(log_probabilities) < suffix_tokens:
        return None
    # Where the model is certain, rounding in float32 leaves a little more than 0.
    return min(0.0, float(np.sum(log_probabilities[:suffix_tokens], dtype=np.float64)))


def chance_of_any(log_probability: float, draws: float) -> float:
    """Chance that at least one of n independent draws is the one whose log-probability is given: 1 − (1 − p)^n.

    Computed as −expm1(n · log1p(−p)): in the plain form every p under 1e-16 becomes 0. Range 0..1.

    >>> chance_of_any(math.log(1e-20), 1e18)  # doctest: +ELLIPSIS
    0.00995...
    """
    return -math.expm1(-draws * _rate(log_probability))


def draws_needed(log_probability: float, chance: float) -> float:
    """Least number of draws n of which at least one is the one whose log-probability is given, with that chance.

    ⌈log(1 − chance) / log(1 − p)⌉, at least 1; infinity where p is 0 (under 1e-308). Source: Hayes et al.
    2025 (2410.19482), section 3.

    >>> draws_needed(math.log(0.01), 0.5)
    69.0

    Args:
        log_probability: of one draw, at most 0.
        chance: inside 0..1.
    """
    if not 0 < chance < 1:
        raise ValueError(f"Expected 0 < chance < 1, got {chance}")
    rate = _rate(log_probability)
    return max(1.0, float(np.ceil(-math.log1p(-chance) / rate))) if rate else math.inf


def window_log_probabilities(log_probabilities: Floats, *, width: int, stride: int = 1) -> Floats:
    """Sum of the log-probabilities in every window of `width` tokens that starts at 0, stride, 2 · stride … ("window").

    The log of the chance that one draw gives the whole window, shown everything before it. −∞ where a token of the
    window is never drawn; empty where there are fewer tokens than `width`.
    """
    if width < 1 or stride < 1:
        raise ValueError(f"Expected width >= 1 and stride >= 1, got {width} and {stride}")
    values = np.asarray(log_probabilities, dtype=np.float64)
    never = np.isneginf(values)
    starts = np.arange(0, len(values) - width + 1, stride)
    finite = _running(np.where(never, 0.0, values))
    blocked = _running(never)
    sums = finite[starts + width] - finite[starts]
    return np.where(blocked[starts + width] > blocked[starts], -np.inf, np.minimum(sums, 0.0))


def covered_share(is_window: Flags, *, width: int, stride: int, tokens: int) -> float | None:
    """Share of the tokens that lie in at least one of the marked windows: 0..1; None where there is no window.

    Args:
        is_window: whether each window of `window_log_probabilities` counts.
        width: tokens in a window.
        stride: tokens between the starts of neighbouring windows.
        tokens: length of the text.
    """
    if not len(is_window):
        return None
    edges = np.zeros(tokens + 1, dtype=np.int64)
    starts = np.flatnonzero(is_window) * stride
    np.add.at(edges, starts, 1)
    np.add.at(edges, starts + width, -1)
    return float(np.mean(np.cumsum(edges[:-1]) > 0))


def prior_aware(log_probability: float, unrelated: Floats, tokens: int) -> float | None:
    """How much likelier a suffix is after its own prefix than after unrelated ones, in nats per token.

    (1/T) · [ln p(s | p) − ln((1/m) Σ p(s | p'_i))]: −∞..∞, higher = more memorised; about 0 where any prefix brings the
    suffix (a common phrase). None without tokens or unrelated prefixes. Source: after Tiwari et al. 2026 (2602.18733).

    Args:
        log_probability: of the whole suffix after its own prefix.
        unrelated: log-probability of the whole suffix after each of m other records' prefixes.
        tokens: of the suffix.
    """
    if not tokens or not len(unrelated):
        return None
    others = np.asarray(unrelated, dtype=np.float64)
    largest = float(others.max())
    average = largest + math.log(float(np.mean(np.exp(others - largest))))
    return (log_probability - average) / tokens


def _rate(log_probability: float) -> float:
    """−log(1 − p): draws are Poisson events of that rate, exactly. 0 where p underflows, infinity at p = 1."""
    if log_probability > 0:
        raise ValueError(f"Expected a log-probability <= 0, got {log_probability}")
    p = math.exp(log_probability)
    return -math.log1p(-p) if p < 1 else math.inf


def _running(values: NDArray[np.generic]) -> NDArray[np.float64]:
    """Sum of the values before each place, and of all at the end."""
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
