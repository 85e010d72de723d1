"""The alignment as one would first write it; the kernels are checked against it.

The published algorithm is the benchmarks' plain peer, here with our own sentences and words; `corrected` adds to it.
"""

from collections.abc import Sequence
from functools import partial

from plain import Run, RunIndex, TextPair, Token, Tokenizer, cosine, read
from plain import align as align_as_published

import reference_evidence as evidence
from rote.alignment import Passage, Preset
from rote.records import Span
from rote.text import sentences, terms, tokens, words


def tokenizer_of(preset: Preset, language: str = "en") -> Tokenizer:
    return Tokenizer(
        sentences=partial(sentences, language=language),
        terms=partial(terms, language=language, without_stop_words=preset.drops_stop_words),
        words=words,
    )


def aligned(generated: str, training: str, preset: Preset) -> list[Passage]:
    """What `rote.alignment.align` has to find."""
    if not preset.keeps_all_forms:
        return align_as_published(generated, training, tokenizer=tokenizer_of(preset), preset=preset)
    plain, summaries = aligned_by_evidence(generated, training, preset)
    runs = shared_runs(generated, training, min_chars=preset.verbatim_min_chars + 1)
    verbatim = [Passage(run.read, run.indexed, 1.0, "verbatim", "none") for run in runs]
    found = verbatim + plain + [as_summary(passage) for passage in summaries if ratio(passage) >= preset.idea_ratio]
    return sorted(found, key=lambda passage: (passage.generated, passage.training, passage.form))


def aligned_by_evidence(generated: str, training: str, preset: Preset) -> tuple[list[Passage], list[Passage]]:
    """Plain passages, and wide ones that are summaries if their sides differ enough in length."""
    sides = [read(text, tokenizer_of(preset), preset) for text in (generated, training)]
    pair = TextPair([[sentence.counts for sentence in side] for side in sides], preset)
    texts = [
        evidence.read(text, [sentence.span for sentence in side], preset)
        for text, side in zip((generated, training), sides, strict=True)
    ]
    ranges = [evidence.refined(texts, pair, preset), evidence.summaries(texts, preset)]
    return tuple([p for r in found if (p := passage_of(r, texts, pair, preset))] for found in ranges)  # type: ignore[return-value]


def passage_of(found: evidence.Range, texts: Sequence[evidence.Text], pair: TextPair, preset: Preset) -> Passage | None:
    spans = [
        Span(text.starts[first], text.ends[end - 1])
        for text, first, end in zip(texts, found[::2], found[1::2], strict=True)
    ]
    if min(map(len, spans)) < preset.min_passage_chars:
        return None
    rows = [
        [i for i, (start, stop) in enumerate(text.sentences) if start < end and stop > first]
        for text, first, end in zip(texts, found[::2], found[1::2], strict=True)
    ]
    sums = [pair._sum(side, touched[0], touched[-1]) for side, touched in enumerate(rows)]
    return Passage(spans[0], spans[1], min(1.0, cosine(*sums)), "plain", "none")


def ratio(passage: Passage) -> float:
    sizes = len(passage.generated), len(passage.training)
    return max(sizes) / min(sizes)


def as_summary(passage: Passage) -> Passage:
    is_condensed = len(passage.generated) < len(passage.training)
    direction = "condensed" if is_condensed else "expanded"
    return Passage(passage.generated, passage.training, passage.similarity, "summary", direction)


def raw_tokens(text: str) -> list[Token]:
    """Words, punctuation and white space, case kept; any run of white space equals any other."""
    return [Token(" " if span.of(text).isspace() else span.of(text), span) for span in tokens(text)]


def shared_runs(one: str, indexed: str, *, min_chars: int) -> list[Run]:
    kept: list[Run] = []
    for run in RunIndex(raw_tokens(indexed)).common_runs(raw_tokens(one)):
        if run.chars < min_chars or not any(map(str.isalnum, run.read.of(one))):
            continue
        if kept and 2 * kept[-1].read.overlap(run.read) > min(len(kept[-1].read), len(run.read)):
            kept[-1] = max(kept[-1], run, key=lambda kept_run: kept_run.chars)
        else:
            kept.append(run)
    return kept
