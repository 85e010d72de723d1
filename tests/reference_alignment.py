"""The alignment as one would first write it; the kernels are checked against it.

The published algorithm is the benchmarks' plain peer, here with our own sentences and words; `corrected` adds to it.
"""

from collections.abc import Sequence
from functools import partial
from itertools import combinations

from plain import PassagePair, Run, RunIndex, TextPair, Token, Tokenizer, long_enough, read
from plain import align as align_as_published

from rote.alignment import Passage, Preset
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
    sides = [read(text, tokenizer_of(preset), preset) for text in (generated, training)]
    pair = TextPair([[sentence.counts for sentence in side] for side in sides], preset)
    plain, wide = (
        long_enough(resolve_both_sides(pair, pair.extend(pair.find_seeds(), gap)), sides, preset)
        for gap in (preset.gap_sentences, preset.wide_gap_sentences)
    )
    runs = shared_runs(generated, training, min_chars=preset.verbatim_min_chars + 1)
    verbatim = [Passage(run.read, run.indexed, 1.0, "verbatim", "none") for run in runs]
    found = verbatim + plain + [as_summary(passage) for passage in wide if ratio(passage) >= preset.idea_ratio]
    return sorted(found, key=lambda passage: (passage.generated, passage.training, passage.form))


def ratio(passage: Passage) -> float:
    sizes = len(passage.generated), len(passage.training)
    return max(sizes) / min(sizes)


def as_summary(passage: Passage) -> Passage:
    is_condensed = len(passage.generated) < len(passage.training)
    direction = "condensed" if is_condensed else "expanded"
    return Passage(passage.generated, passage.training, passage.similarity, "summary", direction)


def resolve_both_sides(pair: TextPair, passages: Sequence[PassagePair]) -> list[PassagePair]:
    conflicts = []
    for a, b in combinations(range(len(passages)), 2):
        one, two = passages[a], passages[b]
        sides = [side for side in (0, 1) if shared(one, two, side)]
        if any(2 * shared(one, two, side) > min(one.size(side), two.size(side)) for side in sides):
            leads = [pair.quality_against(one, two, side) - pair.quality_against(two, one, side) for side in sides]
            size = one.size(0) + one.size(1) - two.size(0) - two.size(1)
            conflicts.append((round(sum(leads) / len(leads), 9), size, a, b))
    out: set[int] = set()
    for margin, size, a, b in sorted(conflicts, key=lambda conflict: (-abs(conflict[0]), -abs(conflict[1]))):
        if a not in out and b not in out:
            out.add(b if (margin, size) >= (0, 0) else a)
    return [passage for i, passage in enumerate(passages) if i not in out]


def shared(one: PassagePair, two: PassagePair, side: int) -> int:
    return len(set(one.sentences(side)) & set(two.sentences(side)))


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
