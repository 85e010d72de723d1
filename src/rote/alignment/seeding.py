"""Seeds: pairs of sentences, one of each text, that share enough of their weighted terms."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rote.kernels import kernel
from rote.kernels.ordering import stable_order

Ints = npt.NDArray[np.int32 | np.int64]
Floats = npt.NDArray[np.float64]
Seeds = npt.NDArray[np.int32]
"""One row per seed: index of the generated sentence, index of the training sentence."""

MAX_SEEDS = 1 << 20
"""Bound of the memory: a generated sentence keeps at most MAX_SEEDS / (generated sentences) seeds, and not under 64:
its strongest. Only texts of thousands of sentences that repeat themselves reach it."""


class Rows(NamedTuple):
    """Sentences of a text and their term counts, as compressed sparse rows (row = sentence, column = local term)."""

    starts: Ints
    ends: Ints
    """Characters of the sentences."""
    row_starts: Ints
    """Length: sentences + 1. Row i holds the entries row_starts[i] to row_starts[i + 1]."""
    columns: Ints
    """Index into `terms`, ascending within a row."""
    counts: Ints
    terms: Ints
    """Upper 31 bits of the keys of the text's terms (`TermReader.keys`); the keys ascend. Sums over terms are taken in
    this order: in that of the reading, they would differ in the last digit after texts that were read before."""
    more_terms: Ints
    """Lower 31 bits of the keys."""
    frequencies: Ints
    """Number of sentences that hold the term, per local term."""


class WeightedRows(NamedTuple):
    """Weighted term vectors of the sentences of one text; columns are the terms of that text alone."""

    row_starts: Ints
    columns: Ints
    weights: Floats
    lengths: Floats
    """Euclidean length of each sentence's vector."""
    size: int
    """Number of different terms in the text."""


class WeightedPair(NamedTuple):
    """Two texts, and where the sentences of the training text hold the terms of the generation."""

    generated: WeightedRows
    training: WeightedRows
    counterparts: Ints
    """For each term of the training text the same term of the generation, or -1."""
    posting_starts: Ints
    """Term t of the generation stands in the training sentences posting_rows[posting_starts[t] : posting_starts[t + 1]]."""
    posting_rows: Ints
    posting_weights: Floats


@kernel
def weigh(generated: Rows, training: Rows, smooths_idf: bool) -> WeightedPair:
    """Weights w(t, s) = tf(t, s) · ln(N / df(t)), or ln(1 + N / df(t)) smoothed.

    N is the number of sentences of both texts, df(t) the number of them that hold t.
    """
    counterparts = _match_terms(generated, training)
    own, other = generated.frequencies.copy(), training.frequencies.copy()
    for term, counterpart in enumerate(counterparts):
        if counterpart >= 0:
            own[counterpart] += other[term]
            other[term] = own[counterpart]
    sentences = len(generated.starts) + len(training.starts)
    inverse = sentences / np.arange(1, sentences + 1)
    idf = np.log(1.0 + inverse) if smooths_idf else np.log(inverse)
    left, right = _weighted(generated, own, idf), _weighted(training, other, idf)
    starts, rows, weights = _postings(right, counterparts, training.frequencies, left.size)
    return WeightedPair(left, right, counterparts, starts, rows, weights)


@kernel
def _match_terms(own: Rows, other: Rows) -> Ints:
    """For each of the other terms its place among its own ones, or -1; the keys of both ascend."""
    places = np.full(len(other.terms), -1, np.int32)
    place = 0
    for term in range(len(other.terms)):
        high, low = other.terms[term], other.more_terms[term]
        while place < len(own.terms) and (
            own.terms[place] < high or (own.terms[place] == high and own.more_terms[place] < low)
        ):
            place += 1
        if place < len(own.terms) and own.terms[place] == high and own.more_terms[place] == low:
            places[term] = place
    return places


@kernel
def _weighted(text: Rows, frequencies: Ints, idf: Floats) -> WeightedRows:
    weights = np.empty(len(text.columns), np.float64)
    lengths = np.empty(len(text.starts), np.float64)
    for row in range(len(lengths)):
        total = 0.0
        for entry in range(text.row_starts[row], text.row_starts[row + 1]):
            weight = text.counts[entry] * idf[frequencies[text.columns[entry]] - 1]
            weights[entry] = weight
            total += weight * weight
        lengths[row] = np.sqrt(total)
    return WeightedRows(text.row_starts, text.columns, weights, lengths, len(text.terms))


@kernel
def _postings(training: WeightedRows, counterparts: Ints, frequencies: Ints, size: int) -> tuple[Ints, Ints, Floats]:
    starts = np.zeros(size + 1, np.int32)
    for term, counterpart in enumerate(counterparts):
        if counterpart >= 0:
            starts[counterpart + 1] = frequencies[term]
    for term in range(size):
        starts[term + 1] += starts[term]
    free = starts[:-1].copy()
    rows, weights = np.empty(starts[size], np.int32), np.empty(starts[size], np.float64)
    for row in range(len(training.lengths)):
        for entry in range(training.row_starts[row], training.row_starts[row + 1]):
            term = counterparts[training.columns[entry]]
            if term >= 0:
                rows[free[term]], weights[free[term]] = row, training.weights[entry]
                free[term] += 1
    return starts, rows, weights


@kernel
def find_seeds(pair: WeightedPair, min_cosine: float, min_dice: float) -> Seeds:
    """All sentence pairs with a cosine and a Dice coefficient above their thresholds, by sentence order."""
    rows, columns = len(pair.generated.lengths), len(pair.training.lengths)
    most = max(64, MAX_SEEDS // max(1, rows))
    dots, shared = np.zeros(columns, np.float64), np.zeros(columns, np.int32)
    similar, cosines = np.empty(columns, np.int32), np.empty(columns, np.float64)
    seeds, size = np.empty((64, 2), np.int32), 0
    for row in range(rows):
        add_products(pair, row, 0, columns - 1, dots, shared)
        count = _keep_similar(pair, row, dots, shared, min_cosine, min_dice, similar, cosines)
        kept = similar[:count] if count <= most else _strongest(similar[:count], cosines[:count], most)
        if size + len(kept) > len(seeds):
            seeds = _longer(seeds, size + len(kept))
        seeds[size : size + len(kept), 0] = row
        seeds[size : size + len(kept), 1] = kept
        size += len(kept)
    return seeds[:size]


@kernel
def add_products(pair: WeightedPair, row: int, first: int, last: int, dots: Floats, shared: Ints) -> None:
    """Adds the dot products of a generated sentence with the training sentences `first` to `last`, inclusive.

    `dots[i]` and `shared[i]` (number of terms in common) belong to training sentence `first + i`.
    """
    own = pair.generated
    for entry in range(own.row_starts[row], own.row_starts[row + 1]):
        term, weight = own.columns[entry], own.weights[entry]
        for posting in range(pair.posting_starts[term], pair.posting_starts[term + 1]):
            other = pair.posting_rows[posting]
            if other > last:
                break
            if other >= first:
                dots[other - first] += weight * pair.posting_weights[posting]
                shared[other - first] += 1


@kernel
def _keep_similar(
    pair: WeightedPair,
    row: int,
    dots: Floats,
    shared: Ints,
    min_cosine: float,
    min_dice: float,
    similar: Ints,
    cosines: Floats,
) -> int:
    """Writes the training sentences similar to the row, with their cosines; empties `dots` and `shared`."""
    row_starts = pair.training.row_starts
    length, terms = pair.generated.lengths[row], pair.generated.row_starts[row + 1] - pair.generated.row_starts[row]
    count = 0
    for column in range(len(dots)):
        if shared[column] == 0:
            continue
        lengths = length * pair.training.lengths[column]
        all_terms = terms + row_starts[column + 1] - row_starts[column]
        if dots[column] > min_cosine * lengths and 2.0 * shared[column] / all_terms > min_dice:
            similar[count], cosines[count] = column, dots[column] / lengths
            count += 1
        dots[column], shared[column] = 0.0, 0
    return count


@kernel
def _strongest(similar: Ints, cosines: Floats, most: int) -> Ints:
    """The `most` sentences of the highest cosine, of equals the first, in text order."""
    is_kept = np.zeros(len(similar), np.bool_)
    is_kept[stable_order(-cosines)[:most]] = True
    return similar[is_kept]


@kernel
def _longer(seeds: Seeds, least: int) -> Seeds:
    longer = np.empty((max(2 * len(seeds), least), 2), np.int32)
    longer[: len(seeds)] = seeds
    return longer
