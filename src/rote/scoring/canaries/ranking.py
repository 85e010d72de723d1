"""Exposure: how many guesses a canary's secret saves whoever tries the likeliest secrets first. Pure functions.

Source: Carlini et al. 2019 (arXiv 1802.08232). In bits; higher = more memorised. For a model that was not trained on the
canary, the rank is drawn uniformly, so the exposure is over b bits with probability 2^-b and 1.44 bits on average.
"""

import math
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import integrate, special, stats

CHANCE_BITS = 1 / math.log(2)
"""Mean exposure of a secret that the model has not seen, in a large space."""
POOR_FIT = 0.05
"""Kolmogorov-Smirnov distance from which an extrapolation is not to be trusted."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Extrapolation:
    """An exposure beyond the secrets that were compared, and how well its distribution fits them."""

    bits: float
    fit_distance: float
    """Largest difference between the fitted and the empirical distribution function, 0..1."""


def exposure(compared: int, as_likely: int) -> float:
    """log2 of the secrets compared, minus log2 of the rank among them: 0 (the least likely) to log2(compared).

    Where all secrets of the space R are compared, that is log2 |R| − log2 rank, the exact exposure. Where m are, drawn
    at random, its own among them, it is log2 m − log2(1 + likelier ones): an estimate that can never be above log2 m.

    >>> exposure(10_000, 0)  # doctest: +ELLIPSIS
    13.28...
    >>> exposure(10_000, 4_999)
    1.0

    Args:
        compared: secrets, its own among them.
        as_likely: others that are as likely or likelier: ties, frequent in bfloat16, count against the exposure.

    Raises:
        ValueError: more secrets are as likely than there are others.
    """
    if not 0 <= as_likely < compared:
        raise ValueError(f"Expected 0 <= as_likely < compared, got {as_likely} and {compared}")
    return math.log2(compared) - math.log2(1 + as_likely)


def extrapolated_exposure(own: float, others: Floats) -> Extrapolation | None:
    """−log2 F(−ln p(own)), F a skew-normal distribution fitted to −ln p of the others ("secret"): 0 and up.

    It goes on where a sample ends, as far as one trusts the tail of the distribution: none of the others lies there.
    None where the others do not vary. Source: Carlini et al. 2019, section 4.3, who fit the same family.

    Args:
        own: ln p of the canary's secret.
        others: ln p of other secrets of its space.
    """
    values = -np.asarray(others, dtype=np.float64)
    if len(values) < 2 or float(np.ptp(values)) == 0:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # from the optimiser's first steps
        shape, place, scale = map(float, stats.skewnorm.fit(values))
    fitted = stats.skewnorm.cdf(np.sort(values), shape, place, scale)
    steps = np.arange(len(values) + 1) / len(values)
    distance = max(float(np.max(steps[1:] - fitted)), float(np.max(fitted - steps[:-1])))
    bits = -log_distribution((-own - place) / scale, shape) / math.log(2)
    return Extrapolation(max(0.0, bits), min(1.0, distance))


def log_distribution(z: float, shape: float) -> float:
    """ln of the standard skew-normal distribution function at z, also where the function itself is 0 in floating point.

    Far on the left it is the density there times the integral of the densities' ratio, which does not vanish.
    """
    plain = float(stats.skewnorm.cdf(z, shape))
    if plain > 1e-6:
        return math.log(plain)

    def log_density(x: float) -> float:
        return math.log(2) + _log_normal(x) + float(special.log_ndtr(shape * x))

    # The density is log-concave: from z to the left it falls at least as fast as it does at z.
    rate = -z + shape * math.exp(_log_normal(shape * z) - float(special.log_ndtr(shape * z)))
    ratio, _ = integrate.quad(lambda step: math.exp(log_density(z - step) - log_density(z)), 0, 40 / rate)
    return log_density(z) + math.log(ratio)


def _log_normal(x: float) -> float:
    return -0.5 * (x * x + math.log(2 * math.pi))
