"""What models that were trained on random halves of the records say of each record: LiRA, RMIA, counterfactual memorisation.

Pure functions over a table with one row for each reference model and one column for each record. A record is *included*
where the model was trained on it. Duplicate groups are dealt as a whole, and the models come in pairs that were trained
on complementary halves, so every record is included by exactly half of them.

p is the geometric mean of the probabilities of a text's tokens: a text's own probability falls with its length.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEAST_SPREAD = 1e-3
"""Standard deviation, in logits, below which LiRA's normal distributions would be points."""
LARGEST_LOSS = 1e-9
"""A text with less loss than that is certain: its logit is bounded there."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


def halves(clusters: Sequence[str], models: int, *, seed: int) -> Flags:
    """Which records each model is trained on ("model record"): whole groups, every record in exactly half of the models.

    Models 2j and 2j + 1 have complementary halves (of the groups; by one unequal where their number is odd).

    Raises:
        ValueError: the number of models is not even, or below 2.
    """
    if models < 2 or models % 2:
        raise ValueError(f"Expected an even number of models, at least 2, got {models}")
    # By name, so that the deal does not depend on the order of the records.
    names, codes = np.unique(np.asarray(clusters, dtype=np.str_), return_inverse=True)
    rng = np.random.default_rng((seed, models))
    rows = []
    for _ in range(models // 2):
        is_first = np.zeros(len(names), dtype=np.bool_)
        is_first[rng.permutation(len(names))[: len(names) // 2]] = True
        rows += [is_first, ~is_first]
    found: Flags = np.array(rows, dtype=np.bool_)[:, codes]
    return found


def logit(losses: Floats) -> Floats:
    """ln(p / (1 − p)) with p = exp(−loss): LiRA's confidence of a text. Falls with the loss.

    >>> logit(np.array([np.log(2.0)])).tolist()
    [0.0]
    """
    bounded = np.maximum(losses, LARGEST_LOSS)
    found: Floats = -bounded - np.log(-np.expm1(-bounded))
    return found + 0.0


def lira(losses: Floats, references: Floats, included: Flags) -> Floats:
    """Log-likelihood ratio of the audited model's confidence: as if trained on the record, or as if not. −∞..∞.

    ln N(φ; μ_in, σ_in) − ln N(φ; μ_out, σ_out), φ the logit of p; higher = more member-like. The means are each record's
    own; the standard deviations are common to all records, as few models could not tell them. Source: Carlini et al. 2022
    (2112.03570), sections IV-C and VI-B.

    Args:
        losses: of each record under the audited model, in nats per token ("record").
        references: the same under each reference model ("model record").
        included: which of these were trained on the record ("model record"); both kinds for every record.
    """
    own, others = logit(losses), logit(references)
    value = np.zeros_like(own)
    for flags, sign in ((included, 1.0), (~included, -1.0)):
        means = _means(others, flags)
        spread = max(LEAST_SPREAD, _spread(others, flags, means))
        value += sign * (-np.log(spread) - np.square((own - means) / spread) / 2)
    return value


def rmia(losses: Floats, references: Floats, included: Flags, population: Flags, *, gamma: float = 1.0) -> Floats:
    """Share of population texts against which the record's likelihood ratio is at least γ times as high: 0..1.

    Of the ratios p(x | audited) / p(x), with p(x) half the mean over the models that were trained on x plus half the mean
    over those that were not. Higher = more member-like. A text is never compared with itself. Source: Zarifzadeh et al. 2024
    (2312.03262), section 3; their p is the probability of a label, ours of a token (geometric mean).

    Args:
        losses: as in `lira`.
        references: as in `lira`.
        included: as in `lira`.
        population: which of the records are non-members that the others are compared with ("record").
        gamma: above 0.
    """
    p = np.exp(-references)
    prior = np.log((_means(p, included) + _means(p, ~included)) / 2)
    ratios = -losses - prior - np.log(gamma)
    nonmembers = np.sort(-losses[population] - prior[population])
    passed = np.searchsorted(nonmembers, ratios, side="right").astype(np.float64)
    own = population & (gamma <= 1.0)
    found: Floats = (passed - own) / np.maximum(1, len(nonmembers) - population)
    return found


def counterfactual_memorization(accuracies: Floats, included: Flags) -> Floats:
    """Mean accuracy under the models that were trained on a record minus that under those that were not: −1..1.

    Accuracy: the share of the record's tokens that are the model's first choice. Higher = more memorised: what a model
    knows of the record because it stood in the data, and not otherwise. Source: Zhang et al. 2023 (2112.12938), section 3,
    who train 400 models from nothing; these start at one base model.

    Args:
        accuracies: of each record under each model ("model record").
        included: as in `lira`.
    """
    return _means(accuracies, included) - _means(accuracies, ~included)


def _means(table: Floats, flags: Flags) -> Floats:
    """Mean over the flagged models, by record."""
    found: Floats = (table * flags).sum(axis=0) / flags.sum(axis=0)
    return found


def _spread(table: Floats, flags: Flags, means: Floats) -> float:
    """Standard deviation about the records' own means, over all records; 0 where each has one model alone."""
    freedom = int(flags.sum()) - table.shape[1]
    return float(np.sqrt((np.square(table - means) * flags).sum() / freedom)) if freedom > 0 else 0.0
