"""Whether one sentence says what another says: probabilities for sentence pairs.

The offline decision is a logistic model of six lexical features. It needs no download and knows no meaning: it takes
sentences that share most of their words, in much the same order, for paraphrases, and it misses a paraphrase in other
words. A Hugging Face classifier by name knows more and costs a forward pass per pair.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from rapidfuzz.distance import LCSseq

from rote.errors import ModelError
from rote.models import check_folder, load_tokenizer, pick_device
from rote.text import stem, stop_words, written_words

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class SentencePair:
    """A sentence of the generation and one of the training text."""

    generated: str
    training: str


class ParaphraseClassifier(Protocol):
    """Decides on sentence pairs."""

    def probabilities(self, pairs: Sequence[SentencePair]) -> list[float]:
        """For each pair the probability, 0..1, that the sentences are paraphrases."""
        ...


FEATURES = (
    "Dice coefficient of the stems",
    "Dice coefficient of the stems without stop-words",
    "longest common subsequence / longer sentence, in characters",
    "shorter / longer sentence, in words",
    "both or neither negated",
    "Jaccard similarity of the numbers",
)
INTERCEPT = -6.48
COEFFICIENTS = (3.183, 2.716, 1.761, 1.193, 0.464, 1.138)
"""Fitted by benchmarks/fit_paraphrase.py on half a of the labelled pairs, none below 0: more in common never means less
probable. (Free coefficients gain up to 0.01 of AUC by rewarding a changed word order.)"""
NEARLY_EQUAL_STEMS = 0.9
NEARLY_EQUAL_PROBABILITY = 0.995
"""Sentences with that share of their stems in common, in order, are near-verbatim whatever the model says: the labelled
pairs hold hardly any such pairs, and the model alone reaches 0.98 at most."""

_NUMBER = re.compile(r"\d[\d.,:/-]*")
_NEGATIONS: dict[str, frozenset[str]] = {
    "en": frozenset(["no", "not", "never", "none", "nobody", "nothing", "neither", "nor", "cannot", "without"]),
    "de": frozenset(["nicht", "kein", "keine", "keinen", "keinem", "keiner", "nie", "niemals", "nichts", "ohne"]),
}


@dataclass(frozen=True, slots=True)
class LexicalClassifier:
    """The offline decision: a logistic model over `FEATURES`.

    On held-out pairs (half b; `benchmarks/paraphrase.py`), at p > 0.5:

    | pairs | n | paraphrases | accuracy | AUC |
    |---|---|---|---|---|
    | MSRP | 2,073 | 70 % | 0.745 | 0.789 |
    | PAN paraphrases | 4,879 | 50 % | 0.858 | 0.941 |
    | STS benchmark, similarity of 4 and more | 3,005 | 24 % | 0.607 | 0.819 |
    | unrelated sentences of the three | 2,489 | 0 | 0.990 | |

    So it orders pairs well and tells unrelated sentences apart; among sentences on the same matter its threshold is
    generous. The fit is on English pairs; on other languages it has not been measured. Model card:
    docs/paraphrase-model.md.
    """

    language: str = "en"

    def probabilities(self, pairs: Sequence[SentencePair]) -> list[float]:
        """For each pair 1 / (1 + exp(-(INTERCEPT + COEFFICIENTS · features))); nearly equal stems: at least 0.995.

        >>> LexicalClassifier().probabilities([SentencePair("He came home late.", "Late he came home.")])[0] > 0.9
        True
        """
        return [self._probability(pair) for pair in pairs]

    def _probability(self, pair: SentencePair) -> float:
        logit = INTERCEPT + sum(map(math.prod, zip(COEFFICIENTS, features(pair, self.language), strict=True)))
        probability = 1 / (1 + math.exp(-logit))
        return max(probability, NEARLY_EQUAL_PROBABILITY) if _are_nearly_equal(pair, self.language) else probability


def features(pair: SentencePair, language: str) -> list[float]:
    """The values of `FEATURES`, each in 0..1; all 0 where neither sentence has a word."""
    one, two = _profile(pair.generated, language), _profile(pair.training, language)
    longer = max(len(one.stems), len(two.stems))
    if not longer:
        return [0.0] * len(FEATURES)
    return [
        _dice(one.different_stems, two.different_stems),
        _dice(one.content, two.content),
        LCSseq.normalized_similarity(one.text, two.text),
        min(len(one.stems), len(two.stems)) / longer,
        float(one.is_negated == two.is_negated),
        _jaccard(one.numbers, two.numbers),
    ]


def _are_nearly_equal(pair: SentencePair, language: str) -> bool:
    one, two = _profile(pair.generated, language).stems, _profile(pair.training, language).stems
    longer = max(len(one), len(two))
    least = NEARLY_EQUAL_STEMS * longer
    return longer > 0 and min(len(one), len(two)) >= least and LCSseq.similarity(one, two) >= least


@dataclass(frozen=True, slots=True, eq=False)
class _Profile:
    """What the features need to know about one sentence."""

    stems: tuple[str, ...]
    different_stems: frozenset[str]
    content: frozenset[str]
    """Its different stems without stop-words."""
    text: str
    """Its words in lower case, a blank between them."""
    is_negated: bool
    numbers: frozenset[str]


@lru_cache(maxsize=1 << 14)
def _profile(sentence: str, language: str) -> _Profile:
    found = [word.lower() for word in written_words(sentence)]
    stems = tuple(stem(word, language) for word in found)
    functions, negations = stop_words(language), _NEGATIONS.get(language, frozenset())
    return _Profile(
        stems=stems,
        different_stems=frozenset(stems),
        content=frozenset(root for word, root in zip(found, stems, strict=True) if word not in functions),
        text=" ".join(found),
        is_negated=not negations.isdisjoint(found) or any(word.endswith(("n't", "n’t")) for word in found),
        numbers=frozenset(number.rstrip(".,:/-") for number in _NUMBER.findall(sentence)),
    )


def _dice(one: frozenset[str], two: frozenset[str]) -> float:
    return 2 * len(one & two) / (len(one) + len(two)) if one or two else 0.0


def _jaccard(one: frozenset[str], two: frozenset[str]) -> float:
    return len(one & two) / len(one | two) if one or two else 1.0


@dataclass(frozen=True, slots=True)
class TransformersClassifier:
    """A Hugging Face sequence classifier for sentence pairs, e.g. one trained on MRPC."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    label: int
    """Index of the label that means "paraphrase"."""
    batch_size: int = 32

    def probabilities(self, pairs: Sequence[SentencePair]) -> list[float]:
        """Softmax probability of the label; pairs longer than the model's context are truncated."""
        found: list[float] = []
        for start in range(0, len(pairs), self.batch_size):
            found += self._batch(pairs[start : start + self.batch_size])
        return found

    def _batch(self, pairs: Sequence[SentencePair]) -> list[float]:
        import torch

        encoded = self.tokenizer(
            [_encodable(pair.generated) for pair in pairs],
            [_encodable(pair.training) for pair in pairs],
            padding=True,
            truncation=True,
            max_length=min(512, self.tokenizer.model_max_length),
            return_tensors="pt",
        ).to(self.model.device)
        with torch.inference_mode():
            logits = self.model(**encoded).logits
        found: list[float] = torch.softmax(logits.double(), dim=-1)[:, self.label].tolist()
        return found


def load_classifier(source: str, *, device: str = "auto") -> TransformersClassifier:
    """Loads a sequence classifier by folder or hub id (safetensors only).

    The label is the one named like "paraphrase", "equivalent", "duplicate" or "entailment" (without a "not"), else
    the last.

    Raises:
        ModelError: nothing can be loaded there, or it is no classifier of two or more labels.
    """
    from transformers import AutoModelForSequenceClassification

    check_folder(source, "model")
    try:
        model = AutoModelForSequenceClassification.from_pretrained(source, use_safetensors=True)
    except (OSError, ValueError, KeyError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{source}: no sentence-pair classifier can be loaded: {reason}") from error
    labels = {int(index): str(name) for index, name in model.config.id2label.items()}
    if len(labels) < 2:
        raise ModelError(f"{source}: a paraphrase classifier needs two labels or more, found {list(labels.values())}")
    model.to(pick_device(device))
    model.eval()
    return TransformersClassifier(model, load_tokenizer(source), paraphrase_label(labels))


def paraphrase_label(labels: dict[int, str]) -> int:
    """The index of the label that means "paraphrase"; the last where no name tells.

    >>> paraphrase_label({0: "equivalent", 1: "not_equivalent"}), paraphrase_label({0: "LABEL_0", 1: "LABEL_1"})
    (0, 1)
    """
    for index, name in sorted(labels.items()):
        lowered = name.lower()
        is_named = any(word in lowered for word in ("paraphrase", "equivalent", "duplicate", "entail"))
        if is_named and not re.search(r"\b(?:not?|non)[\s_-]|^(?:not|non|un)", lowered):
            return index
    return max(labels)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode("utf-8")
