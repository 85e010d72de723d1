"""BM25 over a shard of documents at a time: all postings are added as upper bounds, the winners are scored exactly.

    score = Σ over the query's terms of count · idf · tf / (tf + k1 · (1 − b + b · length / mean length))
    idf = ln(1 + (N − df + 0.5) / (df + 0.5)), in single precision

(Robertson et al. 1994, with the idf of Lucene; the constant factor k1 + 1 is left out, as there.)

A posting has the fraction as an 8-bit upper bound. A query adds the bounds of all postings of a shard, as integers. A
document whose sum lies under the score of the last of the best so far cannot be among the best; the others, few, get
their exact score. Shards come in the order of the most that a document in them could score. Once there is a score to beat,
the most frequent terms, which cannot make up for it alone, are added only where the others leave a document in the race
(after Turtle and Flood 1995, MaxScore). So nothing is approximate: the results are those of the formula, ties by the
smaller number. An example's score is the largest of its documents'.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rote.kernels import kernel
from rote.text.forms import TermLists

SHARD_DOCUMENTS = 1 << 16
"""Most documents in a shard: their number takes 16 bits, and their sums fit into a processor's cache."""
BOUNDS = 255
"""The largest bound: bounds are in 255ths."""
MANY = 255
"""A posting with this tf has that or more; `Postings.large_counts` says how much."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Sums = NDArray[np.uint16 | np.uint32]

_MOST = (0, 0, (1 << 16) - 1, 0, (1 << 32) - 1)
"""The largest number of as many bytes."""
_BLOCK = 256
_PART = 32
_ROUNDING = 1e-9
_SKIPPED = 0.5
"""Share of the score to beat that frequent terms may make up at most to be skipped; see `_sum_up`."""
_LOOK_UP = 32
"""Looking a document up in a segment takes as long as adding so many postings."""
_FEW = 1000
"""So many documents of a shard are looked up in the postings; of more, the whole shard is scored."""


class TermCounts(NamedTuple):
    """The different terms of texts, ascending within a text, with the number of their occurrences."""

    first: Ints
    """Text i has the entries first[i] to first[i + 1]."""
    terms: NDArray[np.int32]
    counts: NDArray[np.int32]


class Postings(NamedTuple):
    """The index as the kernels read it; each array is a file."""

    documents: NDArray[np.uint16]
    """Document of each posting, within its shard; by term, then by document."""
    bounds: NDArray[np.uint8]
    counts: NDArray[np.uint8]
    """tf, at most `MANY`."""
    large_places: Ints
    """Which postings have a tf of `MANY` or more, ascending."""
    large_counts: NDArray[np.int32]
    term_segments: Ints
    """Term t has the segments term_segments[t] to term_segments[t + 1]: its postings in one shard each."""
    segment_shards: NDArray[np.int32]
    """Ascending within a term."""
    segment_starts: Ints
    """Segment s has the postings segment_starts[s] to segment_starts[s + 1]."""
    segment_bounds: NDArray[np.uint8]
    """The largest bound of the segment's postings."""
    lengths: NDArray[np.int32]
    """Terms of each document, with repetitions."""
    examples: NDArray[np.int32]
    """Number of each document's example; ascending."""
    k1: float
    b: float
    mean_length: float
    """Mean length of the documents, in terms."""
    shard_documents: int
    """At most `SHARD_DOCUMENTS`."""


class _Query(NamedTuple):
    """The different terms of a query, from the most frequent to the rarest."""

    weights: Floats
    """count · idf of each term."""
    segments: NDArray[np.int64]
    """Shards × terms: the term's segment in the shard, or -1."""


class _Best(NamedTuple):
    """The best examples of a query so far, by falling score, equal ones by number."""

    examples: NDArray[np.int32]
    """-1 where there are not as many."""
    scores: Floats
    """0.0 where there are not as many."""


@kernel
def count_terms(lists: TermLists) -> TermCounts:
    """Sorts and counts the terms of each text."""
    first, terms = np.zeros(len(lists.first), np.int64), np.empty(len(lists.numbers), np.int32)
    counts, found = np.empty(len(lists.numbers), np.int32), 0
    for text in range(len(lists.first) - 1):
        row = np.sort(lists.numbers[lists.first[text] : lists.first[text + 1]])
        for i in range(len(row)):
            if i == 0 or row[i] != row[i - 1]:
                terms[found], counts[found] = row[i], 0
                found += 1
            counts[found - 1] += 1
        first[text + 1] = found
    return TermCounts(first, terms[:found].copy(), counts[:found].copy())


def room_for_sums(index: Postings, queries: TermCounts) -> Sums:
    """For one shard, all 0: two bytes for each document; four where a query has so many terms that they would not do."""
    most_terms = int(np.diff(queries.first).max(initial=0))
    size = min(len(index.lengths), index.shard_documents)
    return np.zeros(size, np.uint16 if most_terms < _MOST[2] // 2 else np.uint32)


@kernel
def search(
    index: Postings, queries: TermCounts, left_out: TermLists, depth: int, sums: Sums
) -> tuple[NDArray[np.int32], Floats]:
    """The `depth` best examples of each query and their scores: by falling score, equal ones by number.

    Args:
        index: opened.
        queries: their terms have the index's numbers.
        left_out: for each query the examples that must not be found.
        depth: at least 1.
        sums: see `room_for_sums`.

    Returns:
        Two arrays, queries × depth; where fewer examples share a term with the query, -1 and 0.0.
    """
    examples = np.full((len(queries.first) - 1, depth), -1, np.int32)
    scores = np.zeros((len(queries.first) - 1, depth))
    found = np.empty(len(sums), np.int64)
    for i in range(len(examples)):
        query, best = _query(index, queries, i), _Best(examples[i], scores[i])
        out = left_out.numbers[left_out.first[i] : left_out.first[i + 1]]
        # Rounding a bound up adds at most 1 to it.
        unit = (_MOST[sums.itemsize] - len(query.weights)) / max(query.weights.sum(), 1e-9)
        steps = np.empty((len(query.weights), BOUNDS + 1), sums.dtype)
        for j in range(len(query.weights)):
            for bound in range(BOUNDS + 1):
                steps[j, bound] = math.ceil(query.weights[j] * unit * bound / BOUNDS)
        most = _most(index, query, steps)
        for shard in np.argsort(-most, kind="mergesort"):
            floor = _floor(best, unit)
            if most[shard] >= floor:
                segments = query.segments[shard]
                _sum_up(index, segments, steps, floor, sums, found)
                _keep_best(index, query, shard, out, best, unit, sums, found)
                sums[:] = 0
    return examples, scores


@kernel
def scores_of(index: Postings, queries: TermCounts, examples: Ints) -> Floats:
    """The score of one example for each query; 0.0 where its number is -1 or no term is shared."""
    scores = np.zeros(len(examples))
    for i in range(len(examples)):
        query = _query(index, queries, i)
        first = np.searchsorted(index.examples, examples[i])
        end = np.searchsorted(index.examples, examples[i], side="right")
        for document in range(first, end):
            shard, place = divmod(document, index.shard_documents)
            scores[i] = max(scores[i], _exact(index, query, shard, np.array([place]))[0])
    return scores


@kernel
def all_scores(index: Postings, queries: TermCounts, examples: int) -> Floats:
    """The scores of all examples for the first query."""
    scores, query = np.zeros(examples), _query(index, queries, 0)
    for shard in range(len(query.segments)):
        for place, score in enumerate(_exact_of_all(index, query, shard)):
            example = index.examples[shard * index.shard_documents + place]
            scores[example] = max(scores[example], score)
    return scores


@kernel
def _query(index: Postings, queries: TermCounts, i: int) -> _Query:
    terms = queries.terms[queries.first[i] : queries.first[i + 1]]
    firsts, ends = index.term_segments[terms], index.term_segments[terms + 1]
    frequencies = index.segment_starts[ends] - index.segment_starts[firsts]
    documents = len(index.lengths)
    weights = np.empty(len(terms))
    segments = np.full((-(-documents // index.shard_documents), len(terms)), -1, np.int64)
    for j, place in enumerate(np.argsort(-frequencies, kind="mergesort")):
        # Logarithms differ in the last bit between machines: single precision hides it.
        idf = np.float32(math.log(1.0 + (documents - frequencies[place] + 0.5) / (frequencies[place] + 0.5)))
        weights[j] = queries.counts[queries.first[i] + place] * np.float64(idf)
        for segment in range(firsts[place], ends[place]):
            segments[index.segment_shards[segment], j] = segment
    return _Query(weights, segments)


@kernel
def _most(index: Postings, query: _Query, steps: NDArray[np.uint16 | np.uint32]) -> Ints:
    """For each shard the most that the sum of a document can be."""
    most = np.zeros(len(query.segments), np.int64)
    for shard in range(len(most)):
        for j, segment in enumerate(query.segments[shard]):
            if segment >= 0:
                most[shard] += steps[j, index.segment_bounds[segment]]
    return most


@kernel
def _floor(best: _Best, unit: float) -> int:
    """The least sum of a document that may belong to the best."""
    return max(1, int(best.scores[-1] * unit * (1.0 - _ROUNDING)))


@kernel
def _sum_up(
    index: Postings, segments: Ints, steps: NDArray[np.uint16 | np.uint32], floor: int, sums: Sums, found: Ints
) -> None:
    """The sums of all documents of a shard that have at least `floor`; other sums may lack frequent terms.

    `sums` are 0; `found` is room for numbers of documents.
    """
    skipped, rest = 0, 0
    while skipped < len(segments):
        step = steps[skipped, index.segment_bounds[segments[skipped]]] if segments[skipped] >= 0 else 0
        if rest + step > _SKIPPED * floor:
            break
        rest += step
        skipped += 1
    for j in range(skipped, len(segments)):
        _add(index, segments[j], steps[j], sums)
    if rest:
        places = found[: _gather(sums, floor - rest, 1 << 32, len(found), found)]
        for j in range(skipped):
            _add_to(index, segments[j], steps[j], places, sums)


@kernel
def _add(index: Postings, segment: int, steps: NDArray[np.uint16 | np.uint32], sums: Sums) -> None:
    """Adds what the segment's postings add at most."""
    if segment >= 0:
        start, end = index.segment_starts[segment], index.segment_starts[segment + 1]
        documents, bounds = index.documents[start:end], index.bounds[start:end]
        for i in range(len(documents)):
            sums[documents[i]] += steps[bounds[i]]


@kernel
def _add_to(index: Postings, segment: int, steps: NDArray[np.uint16 | np.uint32], places: Ints, sums: Sums) -> None:
    """The same for these documents at least."""
    if segment >= 0:
        if _LOOK_UP * len(places) > index.segment_starts[segment + 1] - index.segment_starts[segment]:
            _add(index, segment, steps, sums)
        else:
            for i, at in enumerate(_find(index, segment, places)):
                if index.documents[at] == places[i]:
                    sums[places[i]] += steps[index.bounds[at]]


@kernel
def _find(index: Postings, segment: int, places: Ints) -> Ints:
    """For each document the segment's last posting up to it, else the first."""
    at, left = np.full(len(places), index.segment_starts[segment]), index.segment_starts[segment + 1]
    left -= index.segment_starts[segment]
    # Halving for all documents at once has no branches to be guessed.
    while left > 1:
        half = left // 2
        for i in range(len(places)):
            at[i] += half * (index.documents[at[i] + half] <= places[i])
        left -= half
    return at


@kernel
def _keep_best(
    index: Postings,
    query: _Query,
    shard: int,
    left_out: NDArray[np.int32],
    best: _Best,
    unit: float,
    sums: Sums,
    found: Ints,
) -> None:
    """Enters those documents of the shard that belong to the best; `found` is room for their numbers."""
    reached, wanted, floor = 1 << 32, len(best.scores) + len(left_out), 1
    while floor < reached:
        floor = _floor(best, unit)
        least, size = floor, _gather(sums, floor, reached, 4 * wanted, found)
        if size > 4 * wanted:
            # Their own best raise the floor before the others are scored.
            least = _nth_largest(sums, wanted, floor, reached, found)
            size = _gather(sums, least, reached, len(found), found)
        scores = _exact(index, query, shard, found[:size])
        for i in range(size):
            example = index.examples[shard * index.shard_documents + found[i]]
            if not np.any(left_out == example):
                _keep(best, example, scores[i])
        reached, wanted = least, 4 * wanted


@kernel
def _keep(best: _Best, example: int, score: float) -> None:
    """Enters an example where it belongs, once, with its largest score; the last one gives way."""
    examples, scores = best
    place = len(scores) - 1
    if score < scores[place] or (score == scores[place] and example > examples[place]):
        return
    for i in range(len(scores)):
        if examples[i] == example:
            if score <= scores[i]:
                return
            place = i
    while place and (score > scores[place - 1] or (score == scores[place - 1] and example < examples[place - 1])):
        examples[place], scores[place] = examples[place - 1], scores[place - 1]
        place -= 1
    examples[place], scores[place] = example, score


@kernel
def _gather(sums: Sums, least: int, below: int, most: int, found: Ints) -> int:
    """Writes the places of the sums from `least` up to, not including, `below`.

    Returns:
        How many there are; more than `most`: it stopped there.
    """
    count = 0
    for start in range(0, len(sums), _BLOCK):
        if _largest(sums[start : start + _BLOCK]) >= least:
            for first in range(start, min(start + _BLOCK, len(sums)), _PART):
                part = sums[first : first + _PART]
                if count <= most and _largest(part) >= least:
                    for i in range(len(part)):
                        if least <= part[i] < below and count <= most:
                            found[count] = first + i
                            count += 1
    return count


@kernel
def _nth_largest(sums: Sums, n: int, least: int, below: int, found: Ints) -> int:
    """The n-th largest of the sums from `least` up to, not including, `below`, of which there are more than n."""
    largest = np.empty(-(-len(sums) // _BLOCK), np.int64)
    for block in range(len(largest)):
        largest[block] = _largest(sums[block * _BLOCK : (block + 1) * _BLOCK])
    largest.sort()
    # As many sums are at least the n-th largest of the blocks' largest, unless some of these are not under `below`.
    size = _gather(sums, max(least, largest[max(0, len(largest) - n)]), below, len(found), found)
    if size < n:
        size = _gather(sums, least, below, len(found), found)
    chosen = sums[found[:size]].astype(np.int64)
    chosen.sort()
    return int(chosen[size - n])


@kernel
def _largest(row: Sums) -> np.uint16 | np.uint32:
    largest: np.uint16 | np.uint32 = row[0]
    for i in range(len(row)):
        largest = max(largest, row[i])
    return largest


@kernel
def _exact(index: Postings, query: _Query, shard: int, places: Ints) -> Floats:
    """The scores of these documents of the shard."""
    if len(places) > _FEW:
        return _exact_of_all(index, query, shard)[places]
    scores, length_parts = np.zeros(len(places)), np.empty(len(places))
    for i in range(len(places)):
        length_parts[i] = _length_part(index, shard * index.shard_documents + places[i])
    for j, segment in enumerate(query.segments[shard]):
        if segment >= 0:
            for i, at in enumerate(_find(index, segment, places)):
                if index.documents[at] == places[i]:
                    scores[i] += query.weights[j] * _fraction(index, at, length_parts[i])
    return scores


@kernel
def _exact_of_all(index: Postings, query: _Query, shard: int) -> Floats:
    """The scores of all documents of the shard, from the same sums."""
    first = shard * index.shard_documents
    scores = np.zeros(min(index.shard_documents, len(index.lengths) - first))
    for j, segment in enumerate(query.segments[shard]):
        if segment >= 0:
            for at in range(index.segment_starts[segment], index.segment_starts[segment + 1]):
                place = index.documents[at]
                scores[place] += query.weights[j] * _fraction(index, at, _length_part(index, first + place))
    return scores


@kernel
def _fraction(index: Postings, at: int, length_part: float) -> float:
    """tf / (tf + …) of a posting."""
    count = float(index.counts[at])
    if count == MANY:
        count = float(index.large_counts[np.searchsorted(index.large_places, at)])
    return count / (count + length_part)


@kernel
def _length_part(index: Postings, document: int) -> float:
    """What stands beside tf in the denominator."""
    length = float(index.lengths[document])
    return index.k1 * (1.0 - index.b + index.b * length / index.mean_length)
