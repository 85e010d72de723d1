"""One pair of texts, from prepared sentences to passages, in one compiled call."""

from typing import NamedTuple

import numpy as np

from rote.alignment.extension import Clustering, PassagePairs, extend
from rote.alignment.overlaps import GENERATED, TRAINING, resolve_both_sides, resolve_one_sided
from rote.alignment.presets import Preset
from rote.alignment.seeding import Floats, Ints, Rows, Seeds, WeightedPair, find_seeds, weigh
from rote.kernels import kernel

COPY_ON_BOTH = 2
COPY_SIDES = {"generated": GENERATED, "training": TRAINING, "both": COPY_ON_BOTH}


class Rules(NamedTuple):
    """The thresholds and switches of a preset that the kernels need."""

    smooths_idf: bool
    min_sentence_cosine: float
    min_sentence_dice: float
    gap: int
    wide_gap: int
    clustering: Clustering
    copy_side: int
    """Side on which overlaps are resolved: GENERATED, TRAINING or COPY_ON_BOTH."""
    min_chars: int


def rules_of(preset: Preset) -> Rules:
    """What the kernels need to know of a preset."""
    return Rules(
        smooths_idf=preset.smooths_idf,
        min_sentence_cosine=preset.min_sentence_cosine,
        min_sentence_dice=preset.min_sentence_dice,
        gap=preset.gap_sentences,
        wide_gap=preset.wide_gap_sentences,
        clustering=Clustering(preset.min_passage_cosine, preset.least_gap_sentences, preset.min_seeds),
        copy_side=COPY_SIDES[preset.copy_side],
        min_chars=preset.min_passage_chars,
    )


@kernel
def shared_passages(generated: Rows, training: Rows, rules: Rules) -> tuple[Ints, Floats, int]:
    """The passages that two texts share.

    Returns:
        Characters (generated start and end, training start and end; passages × 4), cosines, and the number of plain
        passages; they come first, the wide ones behind.
    """
    pair = weigh(generated, training, rules.smooths_idf)
    seeds = find_seeds(pair, rules.min_sentence_cosine, rules.min_sentence_dice)
    if len(seeds) == 0:
        return np.empty((0, 4), np.int32), np.empty(0, np.float64), 0
    plain, plain_cosines = _long_enough(_resolved(pair, seeds, rules.gap, rules), generated, training, rules.min_chars)
    wide, wide_cosines = _long_enough(
        _resolved(pair, seeds, rules.wide_gap, rules), generated, training, rules.min_chars
    )
    return np.concatenate((plain, wide)), np.concatenate((plain_cosines, wide_cosines)), len(plain)


@kernel
def _resolved(pair: WeightedPair, seeds: Seeds, gap: int, rules: Rules) -> PassagePairs:
    passages = extend(pair, seeds, gap, rules.clustering)
    if rules.copy_side == COPY_ON_BOTH:
        return resolve_both_sides(pair, passages)
    return resolve_one_sided(pair, passages, rules.copy_side)


@kernel
def _long_enough(passages: PassagePairs, generated: Rows, training: Rows, min_chars: int) -> tuple[Ints, Floats]:
    """Characters and cosines of the passages of at least `min_chars` on both sides."""
    spans, cosines, found = np.empty_like(passages.ranges), np.empty_like(passages.cosines), 0
    for i in range(len(passages.ranges)):
        first, last, other_first, other_last = passages.ranges[i]
        start, end = generated.starts[first], generated.ends[last]
        other_start, other_end = training.starts[other_first], training.ends[other_last]
        if min(end - start, other_end - other_start) >= min_chars:
            spans[found, 0], spans[found, 1] = start, end
            spans[found, 2], spans[found, 3] = other_start, other_end
            cosines[found] = passages.cosines[i]
            found += 1
    return spans[:found], cosines[:found]
