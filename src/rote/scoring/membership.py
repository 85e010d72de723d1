"""Membership scores: one number for one text, higher = more like a text that the model was trained on.

Pure functions of the text's log-probabilities (nats, natural logarithms) under the audited model, and of what each score
needs besides. A score of membership says nothing of extraction. Every score is finite; None where it is not defined.

Scores that their sources define as a ratio a/b are given here as a/(a + b): the same order of the texts, so the same
ROC, and a number where b is 0. 1/2 says that both sides are equal.

Numbers that belong to the same tokens come in the same order and are equally many; anything else raises a ValueError.
"""

import math
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]

WBC_WIDTHS = (2, 3, 4, 6, 9, 13, 18, 25, 32, 40)
LEAST_DEVIATION = 1e-6
"""Under this standard deviation one token has all of the probability, and the standard score means nothing: 0."""


def zlib_ratio(log_probabilities: Floats, text: str) -> float | None:
    """Minus the bits that the model needs for the text, over the bits that zlib needs: −∞..0.

    (Σ log2 p(x_t)) / (8 · bytes of zlib(text)). Source: Carlini et al. 2021 (2012.07805), section 5.2: total log-perplexity
    over zlib entropy. Published tools divide the *mean* loss by the bytes instead, which falls with the length of the
    text whatever the model knows.

    Args:
        log_probabilities: of the tokens of `text`.
        text: what was scored, as UTF-8.
    """
    if not len(log_probabilities):
        return None
    bits = 8 * len(zlib.compress(text.encode("utf-8", "surrogatepass")))
    return float(np.sum(log_probabilities, dtype=np.float64)) / math.log(2) / bits


def min_k(log_probabilities: Floats, *, share: float = 0.2) -> float | None:
    """Mean log-probability of the least likely share of the tokens (at least one): −∞..0.

    Source: Shi et al. 2024 (2310.16789), k = 20 %.

    >>> min_k(np.array([-1.0, -2.0, -3.0, -4.0, -0.5]), share=0.4)
    -3.5
    """
    return _mean_of_least(log_probabilities, share)


def min_k_plus_plus(
    log_probabilities: Floats, means: Floats, deviations: Floats, *, share: float = 0.2
) -> float | None:
    """Mean standard score of the share of the tokens where it is least (at least one): −∞..∞.

    z_t = (ln p(x_t) − μ_t) / σ_t, with mean and standard deviation of ln p(v) over v drawn from the model's own
    distribution. 0 where σ_t is 0: the model is certain. Source: Zhang et al. 2025 (2404.02936). Published tools take the
    plain mean over the vocabulary instead, which is another number.

    Args:
        log_probabilities: of the tokens.
        means: μ_t, from the pass.
        deviations: σ_t, from the pass.
        share: of the tokens.
    """
    _check_same_tokens(log_probabilities=log_probabilities, means=means, deviations=deviations)
    spread = np.asarray(deviations, dtype=np.float64)
    distances = np.asarray(log_probabilities, dtype=np.float64) - np.asarray(means, dtype=np.float64)
    certain = spread < LEAST_DEVIATION
    return _mean_of_least(np.where(certain, 0.0, distances / np.where(certain, 1.0, spread)), share)


def reference_ratio(log_probabilities: Floats, base: Floats) -> float | None:
    """Loss of the base model minus loss of the tuned one, nats per token: −∞..∞.

    The log-likelihood ratio per token. Source: Carlini et al. 2021 (2012.07805); with the model before fine-tuning as the
    reference: Mireshghallah et al. 2022 (2203.03929).
    """
    _check_same_tokens(log_probabilities=log_probabilities, base=base)
    return _mean(log_probabilities) - _mean(base) if len(log_probabilities) else None


def ez_mia(log_probabilities: Floats, base: Floats, is_greedy: Flags) -> float | None:
    """At the tokens that the tuned model would not choose: what it gained on the base model, over gain and loss: 0..1.

    With Δ_t = ln p(x_t) − ln p_base(x_t) over the error tokens: P = Σ max(Δ, 0), N = Σ max(−Δ, 0); P/(P + N). 1 where there is
    no error token or no loss: a text that is known by heart is the most member-like of all. 1/2 where no token differs.
    Source: Ilić 2026 (2601.12104), as P/N, whose code gives 0 for a text without errors.

    >>> ez_mia(np.array([-1.0, -2.0, -0.1]), np.array([-4.0, -1.0, -0.1]), np.array([False, False, True]))
    0.75
    """
    _check_same_tokens(log_probabilities=log_probabilities, base=base, is_greedy=is_greedy)
    if not len(log_probabilities):
        return None
    gains = (np.asarray(log_probabilities, dtype=np.float64) - base)[~np.asarray(is_greedy, dtype=np.bool_)]
    if not len(gains):
        return 1.0
    return _share(float(np.maximum(gains, 0).sum()), float(np.maximum(-gains, 0).sum()))


def window_comparison(log_probabilities: Floats, base: Floats, *, widths: Sequence[int] = WBC_WIDTHS) -> float | None:
    """Share of windows in which the tuned model's loss is under the base model's, averaged over window widths: 0..1.

    All windows of each width, one token apart; widths over the text's length are left out. A window where both losses
    are equal counts half. None for texts shorter than the least width. Source: Chen et al. 2026 (2601.02751), "WBC".
    """
    _check_same_tokens(log_probabilities=log_probabilities, base=base)
    gains = np.cumsum(np.concatenate([[0.0], np.asarray(log_probabilities, dtype=np.float64) - base]))
    shares = []
    for width in widths:
        if width < len(gains):
            window = gains[width:] - gains[:-width]
            shares.append(np.mean((np.sign(window) + 1) / 2))
    return float(np.mean(shares)) if shares else None


def lowercase_ratio(log_probabilities: Floats, lowered: Floats) -> float | None:
    """Loss of the text in lower case over loss of the text, as a share: 0..1; 1/2 where both are equal.

    Always 1/2 for texts without upper-case letters. Source: Carlini et al. 2021 (2012.07805), section 5.2.

    Args:
        log_probabilities: of the text's tokens.
        lowered: of the tokens of the text in lower case.
    """
    return _loss_share(lowered, log_probabilities)


def recall_ratio(log_probabilities: Floats, after_nonmembers: Floats) -> float | None:
    """Loss of the text after a prefix of non-members over its loss alone, as a share: 0..1.

    A foreign prefix harms the recall of a member more than it harms other texts. Source: Xie et al. 2024 (2406.15968),
    "ReCaLL".

    Args:
        log_probabilities: of the text's tokens, without the prefix.
        after_nonmembers: of the same tokens after the prefix.
    """
    _check_same_tokens(log_probabilities=log_probabilities, after_nonmembers=after_nonmembers)
    return _loss_share(after_nonmembers, log_probabilities)


def neighbourhood(log_probabilities: Floats, neighbours: Sequence[Floats]) -> float | None:
    """Mean loss of texts that differ in a few words, minus the loss of the text, nats per token: −∞..∞.

    None without neighbours. Source: Mattern et al. 2023 (2305.18462).
    """
    losses = [-_mean(other) for other in neighbours if len(other)]
    return float(np.mean(losses)) + _mean(log_probabilities) if losses and len(log_probabilities) else None


def _check_same_tokens(**arrays: Floats | Flags) -> None:
    """Raises a ValueError unless all have one dimension and the same length: numpy would stretch one to the other."""
    shapes = {name: np.shape(values) for name, values in arrays.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 for shape in shapes.values()):
        found = ", ".join(f"{name} of shape {shape}" for name, shape in shapes.items())
        raise ValueError(f"Expected one number for each token in all of them, got {found}")


def _mean(values: Floats) -> float:
    return float(np.mean(values, dtype=np.float64))


def _mean_of_least(values: Floats, share: float) -> float | None:
    if not 0 < share <= 1:
        raise ValueError(f"Expected 0 < share <= 1, got {share}")
    if not len(values):
        return None
    count = max(1, int(len(values) * share))
    return _mean(np.partition(np.asarray(values, dtype=np.float64), count - 1)[:count])


def _loss_share(other: Floats, own: Floats) -> float | None:
    """L(other) / (L(other) + L(own))."""
    return _share(max(0.0, -_mean(other)), max(0.0, -_mean(own))) if len(other) and len(own) else None


def _share(a: float, b: float) -> float:
    """a/(a + b) for a, b >= 0; 1/2 where both are 0."""
    return a / (a + b) if a + b > 0 else 0.5
