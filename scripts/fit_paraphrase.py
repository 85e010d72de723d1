"""Fits the coefficients of `rote.alignment.paraphrase` and measures them on held-out pairs.

    ROTE_SHARED=… python scripts/fit_paraphrase.py

Reads the labelled sentence pairs under $ROTE_SHARED/pairs: MSRP, the PAN paraphrase pairs and the STS benchmark
(similarity 4 and over: paraphrase). A pair is held out when the hash of its two sentences, in either order, falls in
the last fifth. To each corpus the mismatched pairs (first sentence of one pair, second of the next) are added as
negatives, a quarter as many, because alignment asks about every cross pair of two passages. Every class of every
corpus weighs the same.
"""

import hashlib
import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from rote.alignment.paraphrase import FEATURES, SentencePair, features


@dataclass(frozen=True)
class Labelled:
    """A sentence pair of one corpus and whether it is a paraphrase."""

    corpus: str
    pair: SentencePair
    is_paraphrase: bool

    @property
    def is_held_out(self) -> bool:
        """The last fifth by hash."""
        text = "\0".join(sorted((self.pair.generated, self.pair.training)))
        return hashlib.sha256(text.encode()).digest()[0] >= 205


def rows(path: Path) -> list[list[str]]:
    """The cells of a tab-separated file."""
    return [line.split("\t") for line in path.read_text(encoding="utf-8-sig").splitlines() if line]


def read(folder: Path) -> list[Labelled]:
    """All labelled pairs, with the mismatched ones."""
    msrp = [("msrp", cells[3], cells[4], cells[0] == "1") for cells in rows(folder / "msrp-train.tsv")[1:]]
    pan = [("pan", cells[1], cells[2], cells[0] == "1") for cells in rows(folder / "pan-paraphrase-train.tsv")]
    sts = [("sts", cells[5], cells[6], float(cells[4]) >= 4) for cells in rows(folder / "stsb-train.tsv")]
    found = []
    for corpus in (msrp, pan, sts):
        found += [Labelled(name, SentencePair(one, two), label) for name, one, two, label in corpus]
        shifted = list(pairwise(corpus))[::4]
        found += [
            Labelled(first[0] + "-mismatched", SentencePair(first[1], second[2]), False) for first, second in shifted
        ]
    return found


def fit(values: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Intercept and coefficients of the weighted logistic model with the least loss, no coefficient below 0.

    More in common must never mean a lower probability; free coefficients would reward a changed word order.
    """
    signs = np.where(labels, 1.0, -1.0)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        margins = signs * (parameters[0] + values @ parameters[1:])
        pull = -weights * signs * expit(-margins)
        gradient = np.array([pull.sum(), *(values.T @ pull)]) + 0.1 * parameters
        return float((weights * np.logaddexp(0, -margins)).sum() + 0.05 * parameters @ parameters), gradient

    start = np.zeros(values.shape[1] + 1)
    bounds = [(None, None)] + [(0, None)] * values.shape[1]
    return minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"maxiter": 5000}).x


def main() -> None:
    """Fits, prints the coefficients, accuracy and AUC."""
    pairs = read(Path(os.environ["ROTE_SHARED"]) / "pairs")
    values = np.array([features(item.pair, "en") for item in pairs])
    labels = np.array([item.is_paraphrase for item in pairs])
    held_out = np.array([item.is_held_out for item in pairs])
    classes = [f"{item.corpus.partition('-')[0]} {item.is_paraphrase}" for item in pairs]
    sizes = {name: classes.count(name) for name in set(classes)}
    weights = np.array([len(pairs) / len(sizes) / sizes[name] for name in classes])

    coefficients = fit(values[~held_out], labels[~held_out], weights[~held_out])
    print(f"{(~held_out).sum()} pairs to fit, {held_out.sum()} held out")
    print(f"INTERCEPT = {coefficients[0]:.3f}")
    for name, coefficient in zip(FEATURES, coefficients[1:], strict=True):
        print(f"    {coefficient:.3f},  # {name}")

    probabilities = expit(coefficients[0] + values @ coefficients[1:])
    for corpus in ("msrp", "pan", "sts", "msrp-mismatched", "pan-mismatched", "sts-mismatched"):
        chosen = held_out & np.array([item.corpus == corpus for item in pairs])
        accuracy = ((probabilities > 0.5) == labels)[chosen].mean()
        both = len(set(labels[chosen])) == 2
        area = f"AUC {roc_auc_score(labels[chosen], probabilities[chosen]):.3f}" if both else ""
        share = f"{(probabilities[chosen] > 0.99).mean():.3f} over 0.99"
        print(
            f"{corpus:16} n={chosen.sum():5} paraphrases={labels[chosen].mean():.2f} accuracy={accuracy:.3f} {area} {share}"
        )


if __name__ == "__main__":
    main()
