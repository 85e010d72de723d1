"""Passages that a generation and a training text share: verbatim, alike, or one a summary of the other."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Literal

import numpy as np

from rote.alignment.pair import Found, explained_by_each, may_share_runs, rules_of, shared_with_each
from rote.alignment.preparation import Numbers, prepare_all
from rote.alignment.presets import Preset, preset_of
from rote.alignment.verbatim import block_size, shared_runs, shared_word_runs
from rote.config import PresetName
from rote.records import Direction, Span
from rote.text.characters import character_classes, codes_of

MAX_KEPT_CHARS = 40_000_000
"""Texts are kept ready up to so many characters together; each takes about four bytes."""

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


def align(generated: str, training: str, *, preset: Preset | PresetName, language: str = "en") -> list[Passage]:
    """The passages that the two texts share.

    `corrected`: every form side by side. Verbatim runs come from the raw texts and are equal text up to runs of white
    space, on word boundaries, case kept; summaries are found in both directions, passage by passage.
    Published presets: the first of these that applies: verbatim runs (in lower case, inside aligned passages) if there
    is one; the wide passages, if together they are `idea_ratio` times as long on the side that is not the copy; the
    plain passages.

    Args:
        generated: the generation.
        training: the training text.
        preset: every threshold, or the name of a preset.
        language: of sentence splitter, stop-words and stemmer (ISO 639-1).

    Returns:
        Passages by place in the generation; none for empty texts and texts without words.

    Raises:
        ConfigError: there is no preset of that name.
    """
    return _aligner(preset_of(preset), language).align(generated, training)


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
        self._texts: dict[str, Numbers] = {}
        self.kept_chars = 0

    def read(self, texts: Iterable[str]) -> None:
        """Makes texts ready, all those together that are not; the ones read longest ago make room."""
        wanted = dict.fromkeys(texts)
        ready = {text: self._texts.pop(text) for text in wanted if text in self._texts}
        new = [text for text in wanted if text not in ready]
        ready.update(zip(new, prepare_all(new, self.preset, language=self.language), strict=True))
        self.kept_chars += sum(map(len, new))
        while self._texts and self.kept_chars > self.max_kept_chars:
            oldest = next(iter(self._texts))
            del self._texts[oldest]
            self.kept_chars -= len(oldest)
        self._texts |= ready

    def align(self, generated: str, training: str) -> list[Passage]:
        """The passages that the two texts share; see `rote.alignment.align`."""
        return self.align_each(generated, [training])[0]

    def align_each(self, generated: str, trainings: Sequence[str]) -> list[list[Passage]]:
        """The passages that a generation shares with each of these texts, as `align` finds them."""
        texts = (generated, *trainings)
        if not all(text in self._texts for text in texts):
            self.read(texts)
        ready = [self._texts[text] for text in texts]
        numbers, starts = np.concatenate(ready), np.array([0, *accumulate(map(len, ready))])
        evidence = self.preset.evidence
        found = _by_candidate(
            shared_with_each(numbers, starts, self._rules)
            if evidence is None
            else explained_by_each(numbers, starts, self._rules, evidence)
        )
        runs = self._runs_with_each(generated, trainings, [plain for plain, _ in found], numbers, starts)
        return [self._forms(own, plain, wide) for own, (plain, wide) in zip(runs, found, strict=True)]

    def _runs_with_each(
        self,
        generated: str,
        trainings: Sequence[str],
        plain: Sequence[list[Passage]],
        numbers: Numbers,
        starts: Numbers,
    ) -> list[list[Passage]]:
        if not self.preset.verbatim_anywhere:
            return [
                [run for passage in own for run in _runs_inside(passage, generated, training, self.preset)]
                for training, own in zip(trainings, plain, strict=True)
            ]
        least = self.preset.verbatim_min_chars + 1
        # The blocks of either side will do: that text is read which is shorter.
        is_swapped = len(trainings) == 1 and len(trainings[0]) < len(generated)
        read, held = (trainings[0], starts[:2]) if is_swapped else (generated, starts[1:])
        may_share = may_share_runs(codes_of(read), character_classes(), block_size(least), numbers, held)
        found: list[list[Passage]] = [[] for _ in trainings]
        for candidate in np.flatnonzero(may_share).tolist():
            runs = shared_runs(generated, trainings[candidate], min_chars=least)
            found[candidate] = [Passage(run.read, run.indexed, 1.0, "verbatim", "none") for run in runs]
        return found

    def _forms(self, runs: list[Passage], plain: list[Passage], wide: list[Passage]) -> list[Passage]:
        """The passages of all forms, or of the first that applies."""
        if self.preset.keeps_all_forms:
            found = runs + plain + _summaries(wide, self.preset)
        else:
            found = runs or _published_summary(wide, self.preset) or plain
        return sorted(found, key=lambda passage: (passage.generated, passage.training, passage.form))


def _by_candidate(found: Found) -> list[tuple[list[Passage], list[Passage]]]:
    """Plain and wide passages of each candidate."""
    passages = [
        Passage(Span(start, end), Span(other, other_end), cosine, "plain", "none")
        for (start, end, other, other_end), cosine in zip(found.spans.tolist(), found.cosines.tolist(), strict=True)
    ]
    ends = found.ends.tolist()
    starts = [0, *(wide for _, wide in ends)]
    return [(passages[start:plain], passages[plain:wide]) for start, (plain, wide) in zip(starts, ends, strict=False)]


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
