"""A generation and its candidates, from prepared texts to passages, in one compiled call."""

from typing import NamedTuple

import numpy as np

from rote.alignment.evidence import Bools, Side, Words
from rote.alignment.extension import PassagePairs, extend, passage_cosine
from rote.alignment.overlaps import GENERATED, TRAINING, resolve_one_sided
from rote.alignment.preparation import BLOCKS, Numbers, unpack
from rote.alignment.presets import Clustering, Evidence, Preset, Seeding
from rote.alignment.refinement import Sides, refined_passages
from rote.alignment.seeding import Floats, Ints, Rows, Seeds, WeightedPair, find_seeds, weigh
from rote.alignment.summaries import MAX_EXPANSION_WORDS, find_summaries
from rote.alignment.symbols import add_owner, mark_owners, no_owners
from rote.alignment.verbatim import collapse_space
from rote.kernels import kernel
from rote.kernels.ordering import first_not_below
from rote.text.characters import Classes, Codes

COPY_SIDES = {"generated": GENERATED, "training": TRAINING, "both": GENERATED}


class Rules(NamedTuple):
    """The thresholds and switches of a preset that the kernels need."""

    seeding: Seeding
    clustering: Clustering
    copy_side: int
    """Side on which overlaps are resolved as published."""
    min_chars: int


def rules_of(preset: Preset) -> Rules:
    """What the kernels need to know of a preset."""
    return Rules(
        seeding=preset.seeding,
        clustering=preset.clustering,
        copy_side=COPY_SIDES[preset.copy_side],
        min_chars=preset.min_passage_chars,
    )


class Found(NamedTuple):
    """The passages that a generation shares with each of its candidates, one candidate after the other."""

    spans: Ints
    """Generated start and end, training start and end, in characters; passages × 4."""
    cosines: Floats
    ends: Ints
    """Per candidate: the end of its plain passages, and of the wide ones after them. Candidates × 2."""


@kernel
def shared_with_each(numbers: Numbers, starts: Ints, rules: Rules) -> Found:
    """The passages of a generation with each candidate: clusters of seeds, as published.

    Args:
        numbers: the prepared generation and after it its candidates.
        starts: where each of them begins, and where the last one ends.
        rules: thresholds.
    """
    found, generated = _nothing_found(len(starts) - 2), numbers[: starts[1]]
    for candidate in range(len(found.ends)):
        training = numbers[starts[candidate + 1] : starts[candidate + 2]]
        found = _with_passages(found, candidate, _shared_passages(generated, training, rules))
    return found


@kernel
def explained_by_each(numbers: Numbers, starts: Ints, rules: Rules, evidence: Evidence) -> Found:
    """As `shared_with_each`, by `rote.alignment.evidence`."""
    found, generated = _nothing_found(len(starts) - 2), numbers[: starts[1]]
    for candidate in range(len(found.ends)):
        training = numbers[starts[candidate + 1] : starts[candidate + 2]]
        found = _with_passages(found, candidate, _passages_by_evidence(generated, training, rules, evidence))
    return found


@kernel
def _nothing_found(candidates: int) -> Found:
    return Found(np.empty((0, 4), np.int64), np.empty(0, np.float64), np.zeros((candidates, 2), np.int64))


@kernel
def _with_passages(found: Found, candidate: int, passages: tuple[Ints, Floats, int]) -> Found:
    """What was found, with the passages of the next candidate."""
    spans, cosines, plain = passages
    before = len(found.cosines)
    found.ends[candidate, 0], found.ends[candidate, 1] = before + plain, before + len(spans)
    if len(spans) == 0:
        return found
    return Found(np.concatenate((found.spans, spans)), np.concatenate((found.cosines, cosines)), found.ends)


@kernel
def may_share_runs(codes: Codes, classes: Classes, size: int, numbers: Numbers, starts: Ints) -> Bools:
    """For each prepared text whether one of its blocks of `size` symbols is, most probably, a stretch of another text.

    Args:
        codes: that other text.
        classes: see `rote.text.characters`.
        size: as in `rote.alignment.symbols.hash_blocks`.
        numbers: the prepared texts.
        starts: where each of them begins, and where the last one ends.
    """
    blocks = 0
    for start in starts[:-1]:
        blocks += numbers[start + BLOCKS]
    table, found = no_owners(blocks), np.zeros(len(starts) - 1, np.bool_)
    for text in range(len(found)):
        end = starts[text + 1]
        add_owner(table, numbers[end - numbers[starts[text] + BLOCKS] : end], text)
    mark_owners(collapse_space(codes, classes).symbols, size, table, found)
    return found


@kernel
def _shared_passages(one: Numbers, two: Numbers, rules: Rules) -> tuple[Ints, Floats, int]:
    """Characters and cosines of the passages, and the number of plain ones; they come first, the wide ones after."""
    generated, training = unpack(one).rows, unpack(two).rows
    pair = weigh(generated, training, rules.seeding.smooths_idf)
    seeds = find_seeds(pair, rules.seeding.min_sentence_cosine, rules.seeding.min_sentence_dice)
    if len(seeds) == 0:
        return np.empty((0, 4), np.int64), np.empty(0, np.float64), 0
    plain, plain_cosines = _long_enough(
        _resolved(pair, seeds, rules.clustering.gap_sentences, rules), generated, training, rules.min_chars
    )
    wide, wide_cosines = _long_enough(
        _resolved(pair, seeds, rules.clustering.wide_gap_sentences, rules), generated, training, rules.min_chars
    )
    return np.concatenate((plain, wide)), np.concatenate((plain_cosines, wide_cosines)), len(plain)


@kernel
def _resolved(pair: WeightedPair, seeds: Seeds, gap: int, rules: Rules) -> PassagePairs:
    passages = extend(pair, seeds, gap, rules.clustering)
    return resolve_one_sided(pair, passages, rules.copy_side)


@kernel
def _long_enough(passages: PassagePairs, generated: Rows, training: Rows, min_chars: int) -> tuple[Ints, Floats]:
    """Characters and cosines of the passages of at least `min_chars` on both sides."""
    size, found = len(passages.ranges), 0
    spans, cosines = np.empty((size, 4), np.int64), np.empty(size, np.float64)
    for i in range(size):
        first, last, other_first, other_last = passages.ranges[i]
        start, end = generated.starts[first], generated.ends[last]
        other_start, other_end = training.starts[other_first], training.ends[other_last]
        if min(end - start, other_end - other_start) >= min_chars:
            spans[found, 0], spans[found, 1] = start, end
            spans[found, 2], spans[found, 3] = other_start, other_end
            cosines[found] = passages.cosines[i]
            found += 1
    return spans[:found], cosines[:found]


@kernel
def _passages_by_evidence(one: Numbers, two: Numbers, rules: Rules, evidence: Evidence) -> tuple[Ints, Floats, int]:
    """The passages by `rote.alignment.evidence`; returned as by `_shared_passages`, summaries last."""
    (generated, own, _), (training, other, _) = unpack(one), unpack(two)
    if len(own.terms) == 0 or len(other.terms) == 0:
        return np.empty((0, 4), np.int64), np.empty(0, np.float64), 0
    pair = weigh(generated, training, rules.seeding.smooths_idf)
    seeds = find_seeds(pair, rules.seeding.min_sentence_cosine, rules.seeding.min_sentence_dice)
    left, right = Side(own, _inverse(pair.counterparts, len(generated.terms))), Side(other, pair.counterparts)
    marks, other_marks = np.zeros(len(generated.terms), np.bool_), np.zeros(len(training.terms), np.bool_)
    sides = Sides(left, right, marks, other_marks)
    plain = refined_passages(sides, pair, seeds, rules.clustering.gap_sentences, rules.clustering, evidence).ranges
    condensed = find_summaries(left, right, other_marks, marks, evidence)
    expanded = condensed[:0]
    if len(own.terms) <= MAX_EXPANSION_WORDS:
        expanded = find_summaries(right, left, marks, other_marks, evidence)
    if len(plain) + len(condensed) + len(expanded) == 0:
        return np.empty((0, 4), np.int64), np.empty(0, np.float64), 0
    expanded = np.concatenate((expanded[:, 2:], expanded[:, :2]), axis=1)
    ranges = np.concatenate((plain, condensed, expanded))
    return _in_characters(pair, own, other, ranges, len(plain), rules.min_chars)


@kernel
def _inverse(counterparts: Ints, terms: int) -> Ints:
    found = np.full(terms, -1, np.int32)
    for term, counterpart in enumerate(counterparts):
        if counterpart >= 0:
            found[counterpart] = term
    return found


@kernel
def _in_characters(
    pair: WeightedPair, own: Words, other: Words, ranges: Ints, plain: int, min_chars: int
) -> tuple[Ints, Floats, int]:
    """Characters, cosines and number of plain ones among the passages of at least `min_chars` on both sides."""
    spans, cosines, found, long_plain = np.empty_like(ranges), np.empty(len(ranges), np.float64), 0, 0
    sums = np.zeros(pair.generated.size, np.float64), np.zeros(pair.training.size, np.float64)
    for i in range(len(ranges)):
        first, end, other_first, other_end = ranges[i]
        span = np.array([own.starts[first], own.ends[end - 1], other.starts[other_first], other.ends[other_end - 1]])
        if min(span[1] - span[0], span[3] - span[2]) < min_chars:
            continue
        rows = np.empty(4, np.int64)
        rows[:2], rows[2:] = _touched(own, first, end), _touched(other, other_first, other_end)
        spans[found], cosines[found] = span, passage_cosine(pair, rows, sums[0], sums[1])
        found += 1
        long_plain += i < plain
    return spans[:found], cosines[:found], long_plain


@kernel
def _touched(words: Words, first: int, end: int) -> Ints:
    """First and last sentence that hold some of these words."""
    return np.array([first_not_below(words.end_words, first + 1), first_not_below(words.first_words, end) - 1])
