"""Passages that a generation and a training text share: verbatim, alike, or one a summary of the other."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from rote.alignment.extension import Clustering, PassagePairs, extend
from rote.alignment.overlaps import GENERATED, TRAINING, resolve_both_sides, resolve_one_sided
from rote.alignment.preparation import PreparedText, prepare
from rote.alignment.presets import Preset
from rote.alignment.seeding import Floats, Ints, Rows, Seeds, WeightedPair, find_seeds, rows_of, weigh
from rote.alignment.verbatim import shared_runs, shared_word_runs
from rote.kernels import kernel
from rote.records import Direction, Span

Form = Literal["verbatim", "plain", "summary"]


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage of the generation and its counterpart in the training text (spans of the original texts)."""

    generated: Span
    training: Span
    similarity: float
    """Cosine of the weighted terms of the two passages, 0..1; 1 for verbatim."""
    form: Form
    """verbatim: a common run; plain: similar sentences close together; summary: similar sentences up to
    `wide_gap_sentences` apart, one side at least `idea_ratio` times as long as the other."""
    direction: Direction
    """As seen from the generation, of summaries: condensed = the generation is the shorter. Otherwise none."""


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


def align(generated: str, training: str, *, preset: Preset, language: str = "en") -> list[Passage]:
    """The passages that the two texts share.

    `corrected`: every form side by side. Verbatim runs come from the raw texts and are equal text up to runs of white
    space, on word boundaries, case kept; summaries are found in both directions, passage by passage.
    Published presets: the first of these that applies: verbatim runs (in lower case, inside aligned passages) if there
    is one; the wide passages, if together they are `idea_ratio` times as long on the side that is not the copy; the
    plain passages.

    Args:
        generated: the generation.
        training: the training text.
        preset: every threshold.
        language: of sentence splitter, stop-words and stemmer (ISO 639-1).

    Returns:
        Passages by place in the generation; none for empty texts and texts without words.
    """
    left, right = prepare(generated, preset, language=language), prepare(training, preset, language=language)
    plain, wide = _aligned(left, right, preset)
    if preset.keeps_all_forms:
        found = _verbatim(generated, training, plain, preset) + plain + _summaries(wide, preset)
    else:
        found = _verbatim(generated, training, plain, preset) or _published_summary(wide, preset) or plain
    return sorted(found, key=lambda passage: (passage.generated, passage.training, passage.form))


def _aligned(left: PreparedText, right: PreparedText, preset: Preset) -> tuple[list[Passage], list[Passage]]:
    """The plain and the wide passages."""
    spans, cosines, plain = shared_passages(rows_of(left), rows_of(right), _rules(preset))
    found = [
        Passage(Span(row[0], row[1]), Span(row[2], row[3]), cosine, "plain", "none")
        for row, cosine in zip(spans.tolist(), cosines.tolist(), strict=True)
    ]
    return found[:plain], found[plain:]


def _rules(preset: Preset) -> Rules:
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


def _verbatim(generated: str, training: str, plain: list[Passage], preset: Preset) -> list[Passage]:
    if preset.verbatim_anywhere:
        runs = shared_runs(generated, training, min_chars=preset.verbatim_min_chars + 1)
        return [Passage(run.read, run.indexed, 1.0, "verbatim", "none") for run in runs]
    return [run for passage in plain for run in _runs_inside(passage, generated, training, preset)]


def _runs_inside(passage: Passage, generated: str, training: str, preset: Preset) -> list[Passage]:
    """The published verbatim pass: a run that lies in a longer one on the side of the origin is dropped."""
    own, other = passage.generated, passage.training
    is_swapped = preset.copy_side == "training"
    copy, origin = (other.of(training), own.of(generated)) if is_swapped else (own.of(generated), other.of(training))
    runs = shared_word_runs(origin, copy, min_chars=preset.verbatim_min_chars)
    sides = [(run.read, run.indexed) if is_swapped else (run.indexed, run.read) for run in runs]
    return [Passage(_moved(mine, own), _moved(theirs, other), 1.0, "verbatim", "none") for mine, theirs in sides]


def _moved(span: Span, within: Span) -> Span:
    return Span(span.start + within.start, span.end + within.start)


def _summaries(wide: list[Passage], preset: Preset) -> list[Passage]:
    return [
        _as_summary(passage)
        for passage in wide
        if _ratio(len(passage.generated), len(passage.training)) >= preset.idea_ratio
    ]


def _published_summary(wide: list[Passage], preset: Preset) -> list[Passage]:
    generated, training = (sum(map(len, spans)) for spans in _both_sides(wide))
    copy, origin = (generated, training) if preset.copy_side == "generated" else (training, generated)
    if not origin or origin < preset.idea_ratio * copy:
        return []
    direction: Direction = "condensed" if preset.copy_side == "generated" else "expanded"
    return [Passage(p.generated, p.training, p.similarity, "summary", direction) for p in wide]


def _both_sides(passages: list[Passage]) -> tuple[list[Span], list[Span]]:
    return [passage.generated for passage in passages], [passage.training for passage in passages]


def _as_summary(passage: Passage) -> Passage:
    direction: Direction = "condensed" if len(passage.generated) < len(passage.training) else "expanded"
    return Passage(passage.generated, passage.training, passage.similarity, "summary", direction)


def _ratio(one: int, other: int) -> float:
    return max(one, other) / min(one, other)
