"""The sparse-coding demonstration: synthetic numbers, no language model and no record stand behind them.

A text is x = U s, with U orthonormal (d × d) and independent features s of mean 0 and variances v_1 ≥ … ≥ v_d. A task
needs the first k of them: y = Q s_(1:k), with Q of full column rank. The least-squares learner reaches W = Q U_kᵀ. Who
holds W and y recovers x̂ = W⁺ y = U_k Q⁺ y, with the expected error Σ_{i>k} v_i: the more of the input a task needs, the
more of it can be had back from a model that does the task. Attention in proportion to the features' relevance,
v_i · |W u_i|², has an entropy that grows with k as well.

Source: Zeng et al. 2024 (arXiv 2310.06714), section 5. Nothing here shows that a language model is such a learner; its
reviewers said so, and rote prints that sentence beside the figures.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from rote.errors import ConfigError

TRAINING, HELD_OUT = 4_000, 20_000
"""Texts that the learner is fitted on, and others that are recovered."""
DIGITS = 12
"""Decimal digits that float64 leaves of an error; less than that is 0."""

_Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Level:
    """What a task that needs k features gives away."""

    needed: int
    """k."""
    error: float
    """Mean of |x − x̂|² over held-out texts, in the unit of the variances: 0 = everything is recovered."""
    low: float
    high: float
    """Interval of the error; the intervals of all levels hold together."""
    expected_error: float
    """Σ_{i>k} v_i."""
    entropy: float
    """Entropy of attention in proportion to measured relevance, over ln d: 0 (one feature) .. 1 (all alike)."""
    expected_entropy: float
    """The same of v_i / Σ_{j≤k} v_j, i ≤ k: the closed form where the columns of Q are orthonormal."""

    @property
    def agrees(self) -> bool:
        """Whether the closed form lies in the interval of the measured error."""
        return self.low <= self.expected_error <= self.high


def demonstrate(*, features: int = 16, decay: float = 0.8, seed: int = 0, confidence: float = 0.95) -> list[Level]:
    """One level for each k from 1 to `features`: the learner is fitted, and held-out texts are recovered.

    Args:
        features: d, at least 2.
        decay: v_(i+1) / v_i, in (0, 1]; v_1 = 1. The features are Laplace-distributed: mostly small, rarely large.
        seed: of U, Q and the texts.
        confidence: with which all intervals hold (Bonferroni over the levels).

    Raises:
        ConfigError: an argument is out of range.
    """
    if not 2 <= features <= 256:
        raise ConfigError(f"Expected 2 <= features <= 256, got {features}")
    if not 0 < decay <= 1:
        raise ConfigError(f"Expected 0 < decay <= 1, got {decay}")
    draw = np.random.default_rng(seed)
    basis, outputs = _orthonormal(features, draw), _orthonormal(features, draw)
    variances = decay ** np.arange(features, dtype=np.float64)
    seen, unseen = (draw.laplace(size=(n, features)) * np.sqrt(variances / 2) for n in (TRAINING, HELD_OUT))
    quantile = NormalDist().inv_cdf(1 - (1 - confidence) / (2 * features))
    return [_level(k, basis, outputs, variances, seen, unseen, quantile) for k in range(1, features + 1)]


def _level(
    k: int, basis: _Floats, outputs: _Floats, variances: _Floats, seen: _Floats, unseen: _Floats, quantile: float
) -> Level:
    learned = fit(seen @ basis.T, seen[:, :k] @ outputs[:, :k].T)
    texts = unseen @ basis.T
    errors = np.square(texts - recover(learned, unseen[:, :k] @ outputs[:, :k].T)).sum(axis=1)
    mean, reach = float(errors.mean()), quantile * float(errors.std(ddof=1)) / math.sqrt(len(errors))
    relevance = (seen.var(axis=0) * np.square(learned @ basis).sum(axis=0)).clip(min=0)
    return Level(
        needed=k,
        error=round(mean, DIGITS),
        low=round(max(0.0, mean - reach), DIGITS),
        high=round(mean + reach, DIGITS),
        expected_error=float(variances[k:].sum()),
        entropy=normalised_entropy(relevance),
        expected_entropy=normalised_entropy(np.where(np.arange(len(variances)) < k, variances, 0.0)),
    )


def fit(texts: _Floats, answers: _Floats) -> _Floats:
    """The least-squares learner: W ("outputs inputs") with answers ≈ texts Wᵀ, from texts ("n inputs") and answers ("n outputs")."""
    return np.linalg.lstsq(texts, answers)[0].T.astype(np.float64)


def recover(learned: _Floats, answers: _Floats) -> _Floats:
    """The texts ("n inputs") that the weights and the answers give back: x̂ = W⁺ y."""
    return answers @ np.linalg.pinv(learned, rcond=1e-8).T


def normalised_entropy(weights: _Floats) -> float:
    """−Σ a ln a / ln d of a = weights / their sum: 0 (all on one) .. 1 (all alike); 0 where there is no weight.

    >>> normalised_entropy(np.array([1.0, 1.0, 0.0, 0.0]))
    0.5
    """
    shares = weights[weights > 0] / weights.sum() if weights.sum() > 0 else np.ones(1)
    return float(-(shares * np.log(shares)).sum() / math.log(len(weights))) + 0.0


def _orthonormal(size: int, draw: np.random.Generator) -> _Floats:
    return np.linalg.qr(draw.normal(size=(size, size)))[0]
