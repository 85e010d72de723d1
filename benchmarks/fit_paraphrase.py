"""Fits the coefficients of the offline paraphrase decision (`rote.alignment.paraphrase`) on half a of the labelled pairs.

    python benchmarks/fit_paraphrase.py --pairs ../shared/pairs

Prints the lines to put into the module. Half b is never looked at here; `paraphrase.py` measures on it.
"""

import argparse
from collections import Counter
from collections.abc import Sequence

import numpy as np
from labelled_pairs import LabelledPair, add_arguments, mismatched, read_pairs
from scipy.optimize import minimize
from scipy.special import expit

from rote.alignment.paraphrase import FEATURES, features

RIDGE = 0.05


def fit(values: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Intercept and coefficients of the weighted logistic model with the least loss, no coefficient below 0.

    More in common must never mean a lower probability; free coefficients would reward a changed word order.
    """
    signs = np.where(labels, 1.0, -1.0)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (parameters[0] + values @ parameters[1:])
        pull = -weights * signs * expit(-margins)
        gradient = np.array([pull.sum(), *(values.T @ pull)]) + 2 * RIDGE * parameters
        return float((weights * np.logaddexp(0, -margins)).sum() + RIDGE * parameters @ parameters), gradient

    start = np.zeros(values.shape[1] + 1)
    bounds = [(None, None)] + [(0, None)] * values.shape[1]
    return minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 5000}).x


def class_weights(pairs: Sequence[LabelledPair]) -> np.ndarray:
    """Every class of every set weighs the same, all together as much as there are pairs; mismatched pairs are negatives."""
    classes = [(found.set, found.is_paraphrase) for found in pairs]
    sizes = Counter(classes)
    return np.array([len(pairs) / len(sizes) / sizes[name] for name in classes])


def main() -> None:
    """Prints the coefficients."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    labelled = [found for found in read_pairs(parser.parse_args().pairs) if found.half == "a"]
    pairs = [*labelled, *mismatched(labelled)]
    values = np.array([features(found.pair, "en") for found in pairs])
    labels = np.array([found.is_paraphrase for found in pairs])
    intercept, *coefficients = fit(values, labels, class_weights(pairs)).round(3).tolist()
    print(f"# {len(pairs)} pairs of half a, {len(labelled)} of them labelled")
    print(f"INTERCEPT = {intercept}")
    print(f"COEFFICIENTS = ({', '.join(map(str, coefficients))})")
    for name, coefficient in zip(FEATURES, coefficients, strict=True):
        print(f"# {coefficient:6.3f}  {name}")


if __name__ == "__main__":
    main()
