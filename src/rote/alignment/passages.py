"""Passages that a generation and a training text share: verbatim, alike, or one a summary of the other."""

from dataclasses import dataclass
from typing import Literal

from rote.alignment.extension import PassagePair, extend
from rote.alignment.overlaps import resolve_both_sides, resolve_one_sided
from rote.alignment.preparation import PreparedText, prepare
from rote.alignment.presets import Preset
from rote.alignment.seeding import SentencePairs, find_seeds
from rote.alignment.verbatim import RunIndex, lower_words, shared_runs
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
    if not len(left) or not len(right):
        return [], []
    pairs = find_seeds(left, right, preset=preset)
    gaps = (preset.gap_sentences, preset.wide_gap_sentences)
    plain, wide = (_long_enough(_resolved(pairs, gap, preset), left, right, preset) for gap in gaps)
    return plain, wide


def _resolved(pairs: SentencePairs, gap: int, preset: Preset) -> list[PassagePair]:
    passages = extend(pairs, gap=gap, preset=preset)
    if preset.copy_side == "both":
        return resolve_both_sides(passages, pairs)
    return resolve_one_sided(passages, pairs, side=preset.copy_side)


def _long_enough(found: list[PassagePair], left: PreparedText, right: PreparedText, preset: Preset) -> list[Passage]:
    passages = []
    for pair in found:
        generated = left.chars(pair.generated.first, pair.generated.last)
        training = right.chars(pair.training.first, pair.training.last)
        if min(len(generated), len(training)) >= preset.min_passage_chars:
            passages.append(Passage(generated, training, pair.cosine, "plain", "none"))
    return passages


def _verbatim(generated: str, training: str, plain: list[Passage], preset: Preset) -> list[Passage]:
    if preset.verbatim_anywhere:
        runs = shared_runs(generated, training, min_chars=preset.verbatim_min_chars + 1)
        return [Passage(run.read, run.indexed, 1.0, "verbatim", "none") for run in runs]
    return [run for passage in plain for run in _runs_inside(passage, generated, training, preset)]


def _runs_inside(passage: Passage, generated: str, training: str, preset: Preset) -> list[Passage]:
    """The published verbatim pass: a run that lies in a longer one on the side of the origin is dropped."""
    left, right = lower_words(generated, passage.generated), lower_words(training, passage.training)
    is_swapped = preset.copy_side == "training"
    copy, origin = (right, left) if is_swapped else (left, right)
    runs = [run for run in RunIndex(copy).common_runs(origin) if len(run.indexed) > preset.verbatim_min_chars]
    sides = [(run.read, run.indexed) if is_swapped else (run.indexed, run.read) for run in runs]
    return [Passage(own, other, 1.0, "verbatim", "none") for own, other in sides]


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
