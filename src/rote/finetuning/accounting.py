"""What a private training costs: the noise that keeps to a target ε, and the ε that steps with some noise have spent.

Accounts are kept by Opacus (Rényi differential privacy of the Gaussian mechanism under Poisson sampling; Mironov, Talwar and
Zhang 2019). All ε are upper bounds, for adding or removing one *row*: a record that is trained on k times is k rows, and is
protected less (`record_epsilon`).
"""

import importlib.util
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rote.config import FinetuningConfig
from rote.errors import ConfigError, MissingExtraError

ORDERS = (*(tenth / 10 for tenth in range(11, 40)), *range(4, 64), 80, 96, 128, 192, 256, 512, 1024)
"""Rényi orders that are tried; the best one decides."""
TOLERANCE = 1e-3
"""How far below its target the planned ε may stay, as a share of it."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Gaussian noise on sums over rows that are drawn anew for each step, each by itself with the same probability."""

    noise_multiplier: float
    """Deviation of the noise over the largest gradient of a row."""
    sample_rate: float
    steps: int


def check_private(config: FinetuningConfig, *, dtype: str) -> None:
    """What private training cannot do is said before anything is loaded.

    Raises:
        MissingExtraError: Opacus is not installed.
        ConfigError: a setting does not fit.
    """
    asked = f"finetuning.dp_epsilon = {config.dp_epsilon:g}"
    if importlib.util.find_spec("opacus") is None:
        raise MissingExtraError("opacus", "privacy", asked)
    if config.early_stopping:
        raise ConfigError(
            f"{asked} with finetuning.early_stopping = {config.early_stopping}: epsilon is kept to for a number of steps "
            "that is fixed before; give the number of epochs"
        )
    if dtype != "float32":
        raise ConfigError(f"{asked} with model.dtype = {dtype!r}: private training runs in float32")


def noise_for(config: FinetuningConfig, *, sample_rate: float, steps: int) -> float:
    """The least noise multiplier (up to `TOLERANCE`) with which that many steps cost at most the target ε.

    Raises:
        ConfigError: no noise is enough.
    """
    from opacus.accountants.utils import get_noise_multiplier

    least = min(math.log1p(-1 / order) - math.log(config.dp_delta * order) / (order - 1) for order in ORDERS)
    if config.dp_epsilon <= least:
        raise ConfigError(
            f"finetuning.dp_epsilon = {config.dp_epsilon:g} with finetuning.dp_delta = {config.dp_delta:g}: the account "
            f"cannot show less than {least:.2g}, however much noise there is"
        )
    try:
        with _quiet():
            return float(
                get_noise_multiplier(
                    target_epsilon=config.dp_epsilon,
                    target_delta=config.dp_delta,
                    sample_rate=sample_rate,
                    steps=steps,
                    accountant="rdp",
                    epsilon_tolerance=TOLERANCE * config.dp_epsilon,
                    alphas=ORDERS,
                )
            )
    except ValueError as error:
        raise ConfigError(
            f"finetuning.dp_epsilon = {config.dp_epsilon:g}: it takes more noise than Opacus looks for over {steps} steps "
            f"({error})"
        ) from error


def epsilon_of(spent: Sampling, delta: float) -> float:
    """The ε of these steps, for one row. 0 for no steps."""
    from opacus.accountants import RDPAccountant

    if not spent.steps:
        return 0.0
    accountant = RDPAccountant()
    accountant.history = [(spent.noise_multiplier, spent.sample_rate, spent.steps)]
    with _quiet():
        return float(accountant.get_epsilon(delta=delta, alphas=ORDERS))


def record_epsilon(spent: Sampling, delta: float, copies: int) -> float:
    """The ε of these steps for a record that is `copies` rows: the lesser of two upper bounds.

    One: group privacy, from k times the ε of one row at a smaller delta (Vadhan 2017, "The Complexity of Differential Privacy",
    Lemma 2.2), at the best order. Other: that of the mechanism in which all copies are drawn whenever one is, which reveals more
    (noise over k, probability 1 − (1 − q)^k; compare Ganesh 2024 on mixtures of Gaussians). They meet at k = 1.
    """
    together = Sampling(spent.noise_multiplier / copies, 1 - (1 - spent.sample_rate) ** copies, spent.steps)
    return min(epsilon_of(together, delta), _group_epsilon(spent, delta, copies))


def _group_epsilon(spent: Sampling, delta: float, size: int) -> float:
    """(ε', δ') for one row gives (kε', kδ' exp((k − 1)ε')) for k rows. ε' is linear in log δ' at each order, so δ' is solved for."""
    import numpy as np
    from opacus.accountants.analysis.rdp import compute_rdp

    orders = np.array([order for order in ORDERS if order > size])
    if not spent.steps or not len(orders):
        return math.inf if spent.steps else 0.0
    rdp = compute_rdp(
        q=spent.sample_rate, noise_multiplier=spent.noise_multiplier, steps=spent.steps, orders=list(orders)
    )
    at_one = np.asarray(rdp) - np.log(orders) / (orders - 1) + np.log1p(-1 / orders)
    log_delta = (math.log(delta / size) - (size - 1) * at_one) / (1 - (size - 1) / (orders - 1))
    return float(np.nanmin(size * (at_one - log_delta / (orders - 1)), initial=math.inf))


@contextmanager
def _quiet() -> Iterator[None]:
    """Opacus warns where the best order is the first or the last one; the bound holds all the same."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Optimal order is the")
        yield
