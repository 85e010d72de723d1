"""Seeds: pairs of sentences, one of each text, that share enough of their weighted terms."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from rote.alignment.preparation import PreparedText
from rote.alignment.presets import Preset

Seeds = npt.NDArray[np.int64]
"""One row per seed: index of the generated sentence, index of the training sentence."""


@dataclass(frozen=True, slots=True, eq=False)
class SentenceVectors:
    """Weighted term vectors of the sentences of one text, over the vocabulary of both texts."""

    row_starts: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    size: int
    """Number of terms in both texts together."""

    def matrix(self) -> csr_array:
        """The vectors scaled to length 1 (sentences × terms); a sentence without weight stays 0."""
        lengths = np.sqrt(self._row_sums(self.weights**2))
        scale = np.repeat(np.divide(1.0, lengths, out=np.zeros_like(lengths), where=lengths > 0), self.sizes())
        return self._rows(self.weights * scale)

    def presence(self) -> csr_array:
        """1 where the sentence holds the term (sentences × terms)."""
        return self._rows(np.ones_like(self.weights))

    def sizes(self) -> npt.NDArray[np.int64]:
        """Number of different terms per sentence."""
        return np.diff(self.row_starts)

    def passage(self, first: int, last: int) -> npt.NDArray[np.float64]:
        """The sum of the vectors of sentences `first` to `last`, inclusive."""
        rows = slice(self.row_starts[first], self.row_starts[last + 1])
        return _sums(self.columns[rows], self.weights[rows], self.size)

    def _rows(self, values: npt.NDArray[np.float64]) -> csr_array:
        return csr_array((values, self.columns, self.row_starts), shape=(len(self.row_starts) - 1, self.size))

    def _row_sums(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        rows = np.repeat(np.arange(len(self.row_starts) - 1), self.sizes())
        return _sums(rows, values, len(self.row_starts) - 1)


def _sums(places: npt.NDArray[np.int64], values: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    """For each of `size` places the sum of its values."""
    return np.asarray(np.bincount(places, weights=values, minlength=size), dtype=np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class SentencePairs:
    """What the later steps need to know about the sentences of two texts."""

    generated: SentenceVectors
    training: SentenceVectors
    cosines: csr_array
    """Generated sentences × training sentences."""
    seeds: Seeds


def weigh(
    generated: PreparedText, training: PreparedText, *, smooths_idf: bool
) -> tuple[SentenceVectors, SentenceVectors]:
    """Weights w(t, s) = tf(t, s) · ln(N / df(t)), or ln(1 + N / df(t)) smoothed.

    N is the number of sentences of both texts, df(t) the number of them that hold t.
    """
    joint = dict(generated.vocabulary)
    places = np.array([joint.setdefault(term, len(joint)) for term in training.vocabulary], dtype=np.int64)
    frequencies = np.zeros(len(joint))
    frequencies[: len(generated.vocabulary)] = generated.frequencies
    frequencies[places] += training.frequencies
    inverse = (len(generated) + len(training)) / frequencies
    idf = np.log(1.0 + inverse) if smooths_idf else np.log(inverse)
    return (
        _weighted(generated, generated.columns, idf),
        _weighted(training, places[training.columns], idf),
    )


def _weighted(text: PreparedText, columns: npt.NDArray[np.int64], idf: npt.NDArray[np.float64]) -> SentenceVectors:
    return SentenceVectors(text.row_starts, columns, text.counts * idf[columns], len(idf))


def find_seeds(generated: PreparedText, training: PreparedText, *, preset: Preset) -> SentencePairs:
    """All sentence pairs with a cosine and a Dice coefficient above their thresholds, by sentence order."""
    left, right = weigh(generated, training, smooths_idf=preset.smooths_idf)
    cosines = left.matrix() @ right.matrix().T
    entries = cosines.tocoo()
    similar = entries.data > preset.min_sentence_cosine
    rows, columns = entries.row[similar], entries.col[similar]
    shared = left.presence()[rows].multiply(right.presence()[columns]).sum(axis=1)
    dice = 2.0 * np.asarray(shared).ravel() / (left.sizes()[rows] + right.sizes()[columns])
    kept = dice > preset.min_sentence_dice
    seeds = np.column_stack([rows[kept], columns[kept]]).astype(np.int64)
    return SentencePairs(left, right, cosines, seeds[np.lexsort((seeds[:, 1], seeds[:, 0]))])
