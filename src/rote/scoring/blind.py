"""A baseline that never sees a model: can members be distinguished from non-members by their words and their length alone?

Where it can, the two are not alike, and a membership score may have found that difference in place of memory.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, sparse, special

from rote.text import words

FOLDS = 5
REPEATS = 5
"""Deals into folds whose log-odds are averaged: one deal alone moves the AUC by several hundredths."""
LEAST_TEXTS = 2
"""A word that stands in fewer texts is no feature."""

Floats = NDArray[np.float64]


def blind_scores(
    texts: Sequence[str], is_member: NDArray[np.bool_], clusters: Sequence[str], *, seed: int = 0
) -> Floats:
    """For each text the log-odds of being a member, by a classifier that was fitted on other duplicate groups.

    Logistic regression (L2, C = 1) on the words of a text (lower case, present or not, in unit length) and the logarithm of
    its length in characters, standardised; cross-validated in 5 folds of whole groups (fewer where a side has fewer
    groups), each side dealt on its own; the mean over 5 such deals. Higher = more like the members.

    Args:
        texts: what the model was, or could have been, trained on.
        is_member: of each text.
        clusters: duplicate group of each text; a group lies on one side.
        seed: of the folds.

    Raises:
        ValueError: a side has fewer than two groups.
    """
    bags = [sorted({word.of(text).lower() for word in words(text)}) for text in texts]
    lengths = np.log1p([len(text) for text in texts])
    scores = np.zeros(len(texts))
    for repeat in range(REPEATS):
        folds = dealt_folds(is_member, clusters, seed + repeat)
        for fold in range(int(folds.max()) + 1):
            held = folds == fold
            features = _features(bags, lengths, ~held)
            model = fit_logistic(features[~held], is_member[~held])
            scores[held] += (features[held] @ model.weights + model.intercept) / REPEATS
    return scores


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear classifier: log-odds = features · weights + intercept."""

    weights: Floats
    intercept: float


def fit_logistic(features: sparse.csr_matrix, is_member: NDArray[np.bool_], *, strength: float = 1.0) -> Linear:
    """Minimises Σ log(1 + exp(−y · (w·x + b))) + |w|² / (2 · strength) over w and b, by L-BFGS."""
    signs = np.where(is_member, 1.0, -1.0)

    def cost(parameters: Floats) -> tuple[float, Floats]:
        weights, margins = parameters[:-1], signs * (features @ parameters[:-1] + parameters[-1])
        pull = -signs * special.expit(-margins)
        value = float(np.logaddexp(0.0, -margins).sum() + weights @ weights / (2 * strength))
        return value, np.append(features.T @ pull + weights / strength, pull.sum())

    start = np.zeros(features.shape[1] + 1)
    found = optimize.minimize(cost, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "gtol": 1e-6})
    return Linear(found.x[:-1], float(found.x[-1]))


def dealt_folds(is_member: NDArray[np.bool_], clusters: Sequence[str], seed: int) -> NDArray[np.int64]:
    """The fold of each text: whole groups, dealt in a random order, members and non-members each by themselves."""
    rng = np.random.default_rng(seed)
    sides = [sorted({name for name, own in zip(clusters, is_member, strict=True) if own == side}) for side in (1, 0)]
    count = min(FOLDS, *map(len, sides))
    if count < 2:
        raise ValueError(f"Expected at least two groups on each side, got {len(sides[0])} and {len(sides[1])}")
    fold = {side[place]: at % count for side in sides for at, place in enumerate(rng.permutation(len(side)))}
    return np.array([fold[name] for name in clusters], dtype=np.int64)


def _features(bags: Sequence[Sequence[str]], lengths: Floats, fitted: NDArray[np.bool_]) -> sparse.csr_matrix:
    """Words in unit length and the standardised log-length ("text feature"); vocabulary and scale from `fitted` alone."""
    counts = Counter(word for bag, own in zip(bags, fitted, strict=True) if own for word in bag)
    places = {word: place for place, word in enumerate(sorted(w for w, n in counts.items() if n >= LEAST_TEXTS))}
    rows = [[places[word] for word in bag if word in places] for bag in bags]
    values = np.array([len(row) ** -0.5 for row in rows for _ in row])
    columns = np.array([place for row in rows for place in row], dtype=np.int64)
    starts = np.cumsum([0, *map(len, rows)])
    present = sparse.csr_matrix((values, columns, starts), shape=(len(bags), len(places)))
    spread = float(lengths[fitted].std()) or 1.0
    standard = (lengths - lengths[fitted].mean()) / spread
    return sparse.hstack([present, sparse.csr_matrix(standard[:, None])], format="csr")
