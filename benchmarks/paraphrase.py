"""The paraphrase decision on labelled sentence pairs: accuracy, F1, AUC, calibration, speed; token overlap and TF-IDF beside.

    python benchmarks/paraphrase.py --pairs ../shared/pairs
    python benchmarks/paraphrase.py --paraphrase-model NAME       # a Hugging Face classifier of sentence pairs, too

Sets: MSRP, the PAN paraphrase pairs, the STS benchmark (similarity of 4 and more: paraphrase). Half a is what the offline
decision was fitted on (`fit_paraphrase.py`), half b is held out; no sentence stands in both.

Decisions:

- offline: `rote.alignment.paraphrase.LexicalClassifier`, p > 0.5;
- token overlap: Jaccard coefficient of the lower-case words, over a threshold;
- tf-idf: cosine of scikit-learn's TfidfVectorizer as it comes, fitted on the sentences of half a, over a threshold.

Both thresholds are the best for half a (accuracy, every class of every set weighing the same), one for all sets. AUC with
DeLong's interval, the difference of the offline decision's AUC to the others' likewise, pairs that share sentences being
clusters; accuracy with Wilson's interval at the effective sample size.

Calibration of the offline decision (and of the named model): Brier score, expected calibration error and reliability (ten
bins of equal width: pairs, mean p, share of paraphrases), at each set's own share of paraphrases, and with both classes
weighing the same, which is what the fit took for granted. Unrelated: mismatched pairs with p > 0.5, all of them wrong.

One JSON object a line on stdout, the machine first. `pairs_per_s` is per CPU second: sentences never seen before, and
known ones in new combinations, as cross pairs of two passages are.
"""

import argparse
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from fit_paraphrase import class_weights
from labelled_pairs import LabelledPair, add_arguments, mismatched, read_pairs
from machine import machine
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score

from rote.alignment.paraphrase import LexicalClassifier, ParaphraseClassifier, SentencePair, load_classifier
from rote.statistics.intervals import Interval, rate
from rote.statistics.separation import Side, Sides, auc, auc_difference
from rote.text import written_words

BINS = 10
SETS = ("msrp", "pan", "sts")
CROSSED = 100
"""Sentences of either side in the second measurement of the speed."""

Line = dict[str, object]


@dataclass(frozen=True)
class Scored:
    """A decision's score of each pair, and the threshold over which it says "paraphrase"."""

    name: str
    scores: np.ndarray
    threshold: float
    is_probability: bool


def token_overlap(pair: SentencePair) -> float:
    """Jaccard coefficient of the words in lower case; 0 where there are none."""
    one, two = ({word.lower() for word in written_words(text)} for text in (pair.generated, pair.training))
    return len(one & two) / len(one | two) if one or two else 0.0


def tfidf_cosines(pairs: Sequence[LabelledPair]) -> np.ndarray:
    """Cosines of vectors whose weights were fitted on half a."""
    vectorizer = TfidfVectorizer()
    vectorizer.fit(text for one in pairs if one.half == "a" for text in (one.pair.generated, one.pair.training))
    left = vectorizer.transform([one.pair.generated for one in pairs])
    right = vectorizer.transform([one.pair.training for one in pairs])
    return np.asarray(left.multiply(right).sum(axis=1)).ravel()


def best_threshold(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """The threshold of the greatest weighted accuracy; what is over it is a paraphrase."""
    order = np.argsort(scores, kind="stable")
    gains = np.where(labels, -weights, weights)[order].cumsum()
    is_last = np.append(np.diff(scores[order]) > 0, True)
    return float(scores[order][np.where(is_last, gains, -np.inf).argmax()])


def decisions(pairs: Sequence[LabelledPair], model: str | None) -> list[Scored]:
    """The offline decision, the peers with their thresholds, and the named model's decision."""
    texts = [one.pair for one in pairs]
    labels, is_fitted = np.array([one.is_paraphrase for one in pairs]), np.array([one.half == "a" for one in pairs])
    weights = class_weights([one for one in pairs if one.half == "a"])
    found = [Scored("offline", np.array(LexicalClassifier().probabilities(texts)), 0.5, True)]
    for name, scores in (
        ("token overlap", np.array([token_overlap(pair) for pair in texts])),
        ("tf-idf", tfidf_cosines(pairs)),
    ):
        threshold = best_threshold(scores[is_fitted], labels[is_fitted], weights)
        found.append(Scored(name, scores, threshold, False))
    if model:
        found.append(Scored(model, np.array(load_classifier(model).probabilities(texts)), 0.5, True))
    return found


def rows(pairs: Sequence[LabelledPair], scored: Sequence[Scored]) -> Iterator[Line]:
    """The lines of each half, set and decision."""
    for half, name in product(("a", "b"), SETS):
        inside = np.array([one.half == half and one.set == name for one in pairs])
        labelled = np.array([not one.is_mismatched for one in pairs])
        chosen = [one for one, is_chosen in zip(pairs, inside & labelled, strict=True) if is_chosen]
        clusters = {one.name: _sides(chosen, one.scores[inside & labelled]) for one in scored}
        for one in scored:
            line: Line = {"half": half, "set": name, "decision": one.name}
            line |= _accuracy(chosen, one.scores[inside & labelled], one.threshold)
            line |= _area(one.name, clusters)
            if one.is_probability:
                line |= calibration(one.scores[inside & labelled], np.array([pair.is_paraphrase for pair in chosen]))
            unrelated = one.scores[inside & ~labelled]
            yield line | {
                "unrelated": len(unrelated),
                "unrelated_over": round(float((unrelated > one.threshold).mean()), 4),
            }


def _sides(pairs: Sequence[LabelledPair], scores: np.ndarray) -> Sides:
    labels = np.array([one.is_paraphrase for one in pairs])
    groups = np.array([one.group for one in pairs])
    return Sides(Side(scores[labels], tuple(groups[labels])), Side(scores[~labels], tuple(groups[~labels])))


def _accuracy(pairs: Sequence[LabelledPair], scores: np.ndarray, threshold: float) -> Line:
    labels, said = np.array([one.is_paraphrase for one in pairs]), scores > threshold
    found = rate((said == labels).tolist(), [one.group for one in pairs])
    return {
        "n": len(pairs),
        "paraphrases": round(float(labels.mean()), 4),
        "threshold": round(threshold, 4),
        **_rounded("accuracy", found),
        "f1": round(float(f1_score(labels, said)), 4),
    }


def _area(name: str, sides: Mapping[str, Sides]) -> Line:
    found = _rounded("auc", auc(sides[name]))
    if name != "offline":
        found |= _rounded("offline_auc_more_by", auc_difference(sides["offline"], sides[name]))
    return found


def _rounded(name: str, interval: Interval) -> Line:
    values = {name: interval.value, f"{name}_low": interval.low, f"{name}_high": interval.high}
    return {key: None if value is None else round(value, 4) for key, value in values.items()}


def calibration(probabilities: np.ndarray, labels: np.ndarray) -> Line:
    """Brier score, expected calibration error, reliability; at the labels' own shares, and with both classes equal."""
    own, even = np.ones(len(labels)), np.where(labels, 1 / labels.sum(), 1 / (~labels).sum())
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    return {
        "brier": brier(probabilities, labels, own),
        "ece": expected_calibration_error(probabilities, labels, own),
        "brier_even": brier(probabilities, labels, even),
        "ece_even": expected_calibration_error(probabilities, labels, even),
        "reliability": [
            [
                int((bins == i).sum()),
                round(float(probabilities[bins == i].mean()), 3),
                round(float(labels[bins == i].mean()), 3),
            ]
            for i in range(BINS)
            if (bins == i).any()
        ],
    }


def brier(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Mean square of what is missing to the truth; 0 to 1, lower is better."""
    return round(float(np.average((probabilities - labels) ** 2, weights=weights)), 4)


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Mean distance between p and the share of paraphrases in ten bins of equal width; 0 to 1, lower is better."""
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    gaps = [abs(float((weights * (probabilities - labels))[bins == i].sum())) for i in range(BINS)]
    return round(sum(gaps) / float(weights.sum()), 4)


def speed(classifier: ParaphraseClassifier, pairs: Sequence[SentencePair]) -> Line:
    """Pairs per CPU second: of sentences never seen before, and of known ones crossed."""
    start = time.process_time()
    classifier.probabilities(pairs)
    fresh = time.process_time() - start
    crossed = [SentencePair(one.generated, other.training) for one, other in product(pairs[:CROSSED], pairs[-CROSSED:])]
    classifier.probabilities(crossed)
    start = time.process_time()
    classifier.probabilities(crossed)
    return {
        "what": "speed",
        "pairs_per_s_new_sentences": round(len(pairs) / fresh),
        "pairs_per_s_known_sentences": round(len(crossed) / (time.process_time() - start)),
    }


def main() -> None:
    """Prints the lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--paraphrase-model", metavar="NAME", help="measure this Hugging Face classifier, too")
    arguments = parser.parse_args()
    labelled = read_pairs(arguments.pairs)
    print(json.dumps(machine()))
    print(json.dumps(speed(LexicalClassifier(), [one.pair for one in labelled[::4]])))
    pairs = [*labelled, *mismatched(labelled)]
    for line in rows(pairs, decisions(pairs, arguments.paraphrase_model)):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
