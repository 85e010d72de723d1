"""Passages that a generation and a training text share: verbatim, alike, or one a summary of the other."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from rote.alignment.packed import PackedText, pack
from rote.alignment.pair import passages_by_evidence, rules_of, shared_passages
from rote.alignment.preparation import prepare_all
from rote.alignment.presets import Preset
from rote.alignment.symbols import Blocks, cut_blocks
from rote.alignment.verbatim import SymbolText, block_size, raw_symbols, runs_between, shared_word_runs
from rote.records import Direction, Span

MAX_KEPT_CHARS = 8_000_000
"""Texts are kept ready up to so many characters together; each takes about 12 bytes."""

Form = Literal["verbatim", "plain", "summary"]


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage of the generation and its counterpart in the training text (spans of the original texts)."""

    generated: Span
    training: Span
    similarity: float
    """Cosine of the weighted terms of the two passages, 0..1; 1 for verbatim."""
    form: Form
    """verbatim: a common run; plain: one text says it as the other does; summary: one side, at least `idea_ratio` times
    as long as the other, explains it only as a whole."""
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
    return _aligner(preset, language).align(generated, training)


@lru_cache(maxsize=4)
def _aligner(preset: Preset, language: str) -> "TextAligner":
    return TextAligner(preset, language=language)


class TextAligner:
    """`align` for many pairs: a text is made ready once, in bulk with others, and kept while there is room."""

    def __init__(self, preset: Preset, *, language: str, max_kept_chars: int = MAX_KEPT_CHARS) -> None:
        self.preset = preset
        self.language = language
        self.max_kept_chars = max_kept_chars
        self._rules = rules_of(preset)
        self._texts: dict[str, _ReadyText] = {}
        self.kept_chars = 0

    def read(self, texts: Iterable[str]) -> None:
        """Makes texts ready, all those together that are not; the ones read longest ago make room."""
        wanted = dict.fromkeys(texts)
        ready = {text: self._texts.pop(text) for text in wanted if text in self._texts}
        new = [text for text in wanted if text not in ready]
        for text, prepared in zip(new, prepare_all(new, self.preset, language=self.language), strict=True):
            ready[text] = _ReadyText(text, pack(prepared), block_size(self.preset.verbatim_min_chars + 1))
            self.kept_chars += len(text)
        while self._texts and self.kept_chars > self.max_kept_chars:
            oldest = next(iter(self._texts))
            del self._texts[oldest]
            self.kept_chars -= len(oldest)
        self._texts |= ready

    def align(self, generated: str, training: str) -> list[Passage]:
        """The passages that the two texts share; see `rote.alignment.align`."""
        if generated not in self._texts or training not in self._texts:
            self.read((generated, training))
        one, two = self._texts[generated], self._texts[training]
        plain, wide = self._aligned(one, two)
        found = self._verbatim(one, two, plain)
        if self.preset.keeps_all_forms:
            found += plain + _summaries(wide, self.preset)
        else:
            found = found or _published_summary(wide, self.preset) or plain
        return sorted(found, key=lambda passage: (passage.generated, passage.training, passage.form))

    def _aligned(self, one: "_ReadyText", two: "_ReadyText") -> tuple[list[Passage], list[Passage]]:
        """The plain and the wide passages."""
        evidence = self.preset.evidence
        spans, cosines, plain = (
            shared_passages(one.packed, two.packed, self._rules)
            if evidence is None
            else passages_by_evidence(one.packed, two.packed, self._rules, evidence)
        )
        found = [
            Passage(Span(start, end), Span(other, other_end), cosine, "plain", "none")
            for (start, end, other, other_end), cosine in zip(spans.tolist(), cosines.tolist(), strict=True)
        ]
        return found[:plain], found[plain:]

    def _verbatim(self, one: "_ReadyText", two: "_ReadyText", plain: list[Passage]) -> list[Passage]:
        if not self.preset.verbatim_anywhere:
            return [run for passage in plain for run in _runs_inside(passage, one.text, two.text, self.preset)]
        runs = runs_between(one.text, one.raw, two.raw, two.blocks, self.preset.verbatim_min_chars + 1)
        return [Passage(run.read, run.indexed, 1.0, "verbatim", "none") for run in runs]


@dataclass(frozen=True, eq=False)
class _ReadyText:
    text: str
    packed: PackedText
    block_size: int

    @cached_property
    def raw(self) -> SymbolText:
        return raw_symbols(self.text)

    @cached_property
    def blocks(self) -> Blocks:
        return cut_blocks(self.raw.symbols, self.block_size)


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
