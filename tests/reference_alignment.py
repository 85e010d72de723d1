"""The alignment as one would first write it: dicts and lists, one function per step. The kernels are checked against it."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations, pairwise

from rote.alignment import Passage, Preset
from rote.records import Span
from rote.text import sentences, terms, tokens, words

Row = tuple[Span, Counter[str]]
Vector = dict[str, float]
Seed = tuple[int, int]
CLOSE = 1e-9


@dataclass(frozen=True)
class Pair:
    """A passage pair in sentences; `sides[0]` in the generation, `sides[1]` in the training text, inclusive."""

    sides: tuple[tuple[int, int], tuple[int, int]]
    cosine: float

    def size(self, side: int) -> int:
        return self.sides[side][1] - self.sides[side][0] + 1

    def sentences(self, side: int) -> range:
        return range(self.sides[side][0], self.sides[side][1] + 1)


def sentence_rows(text: str, preset: Preset, language: str) -> list[Row]:
    """Sentences with terms; one of fewer than `min_sentence_terms` is merged into the next."""
    merged: list[Row] = []
    for span in sentences(text, language=language):
        found = Counter(terms(span.of(text), language=language, without_stop_words=preset.drops_stop_words))
        if not found:
            continue
        if merged and merged[-1][1].total() < preset.min_sentence_terms:
            before, earlier = merged.pop()
            end = before.start + len(before) + len(span) if preset.merged_end_is_short else span.end
            span, found = Span(before.start, end), earlier + found
        merged.append((span, found))
    return merged


class Texts:
    """The sentences of two texts, weighted."""

    def __init__(self, rows: tuple[Sequence[Counter[str]], Sequence[Counter[str]]], preset: Preset) -> None:
        self.preset = preset
        both = [*rows[0], *rows[1]]
        frequencies = Counter(term for row in both for term in row)
        inverse = {term: len(both) / frequency for term, frequency in frequencies.items()}
        idf = {term: math.log(1 + x if preset.smooths_idf else x) for term, x in inverse.items()}
        self.vectors = [[{term: n * idf[term] for term, n in row.items()} for row in side] for side in rows]

    def seeds(self) -> list[Seed]:
        found = []
        for i, one in enumerate(self.vectors[0]):
            for j, two in enumerate(self.vectors[1]):
                dice = 2 * len(one.keys() & two.keys()) / max(1, len(one) + len(two))
                if cosine(one, two) > self.preset.min_sentence_cosine and dice > self.preset.min_sentence_dice:
                    found.append((i, j))
        return found

    def extend(self, seeds: Sequence[Seed], gap: int) -> list[Pair]:
        found: list[Pair] = []
        for cluster in find_clusters(seeds, gap):
            if len(cluster) < self.preset.min_seeds:
                continue
            sides = tuple((min(ids), max(ids)) for ids in zip(*cluster, strict=True))
            similarity = self.passage_cosine(sides)
            if similarity > self.preset.min_passage_cosine:
                found.append(Pair(sides, similarity))  # type: ignore[arg-type]
            elif gap > self.preset.least_gap_sentences:
                found += self.extend(cluster, gap - 1)
        return found

    def passage_cosine(self, sides: Sequence[tuple[int, int]]) -> float:
        sums = []
        for vectors, (first, last) in zip(self.vectors, sides, strict=True):
            total: Vector = Counter()
            for vector in vectors[first : last + 1]:
                for term, weight in vector.items():
                    total[term] += weight
            sums.append(total)
        return cosine(*sums)

    def quality_against(self, passage: Pair, rival: Pair, side: int) -> float:
        best = {}
        for i in passage.sentences(side):
            others = [self.vectors[1 - side][j] for j in passage.sentences(1 - side)]
            best[i] = max(cosine(self.vectors[side][i], other) for other in others)
        claimed = rival.sentences(side)
        return quality([x for i, x in best.items() if i in claimed], [x for i, x in best.items() if i not in claimed])

    def resolve_one_sided(self, passages: Sequence[Pair], side: int) -> list[Pair]:
        rest = sorted(passages, key=lambda passage: passage.sides[side][0])
        kept = []
        while rest:
            champion = rest.pop(0)
            while rivals := [rival for rival in rest if rival.sides[side][0] <= champion.sides[side][1]]:
                rest = rest[len(rivals) :]
                champion = self.winner(champion, rivals, side)
            kept.append(champion)
        return kept

    def winner(self, champion: Pair, rivals: Sequence[Pair], side: int) -> Pair:
        winner, highest = champion, 0.0
        for rival in rivals:
            own, other = self.quality_against(champion, rival, side), self.quality_against(rival, champion, side)
            challenger, reached = (rival, other) if other > own + CLOSE else (winner, 0.0)
            if own > 0.99 and other > 0.99:
                challenger, reached = (rival, other) if rival.size(side) > champion.size(side) else (champion, own)
            if reached > highest + CLOSE:
                winner, highest = challenger, reached
        return winner

    def resolve_both_sides(self, passages: Sequence[Pair]) -> list[Pair]:
        conflicts = []
        for a, b in combinations(range(len(passages)), 2):
            one, two = passages[a], passages[b]
            sides = [side for side in (0, 1) if shared(one, two, side)]
            if any(2 * shared(one, two, side) > min(one.size(side), two.size(side)) for side in sides):
                leads = [self.quality_against(one, two, side) - self.quality_against(two, one, side) for side in sides]
                size = one.size(0) + one.size(1) - two.size(0) - two.size(1)
                conflicts.append((round(sum(leads) / len(leads), 9), size, a, b))
        out: set[int] = set()
        for margin, size, a, b in sorted(conflicts, key=lambda conflict: (-abs(conflict[0]), -abs(conflict[1]))):
            if a not in out and b not in out:
                out.add(b if (margin, size) >= (0, 0) else a)
        return [passage for i, passage in enumerate(passages) if i not in out]

    def passages(self, gap: int) -> list[Pair]:
        found = self.extend(self.seeds(), gap)
        if self.preset.copy_side == "both":
            return self.resolve_both_sides(found)
        return self.resolve_one_sided(found, 0 if self.preset.copy_side == "generated" else 1)


def cosine(one: Vector, two: Vector) -> float:
    lengths = math.sqrt(sum(x * x for x in one.values()) * sum(x * x for x in two.values()))
    return min(1.0, sum(x * two.get(term, 0.0) for term, x in one.items()) / lengths) if lengths else 0.0


def shared(one: Pair, two: Pair, side: int) -> int:
    return len(set(one.sentences(side)) & set(two.sentences(side)))


def quality(claimed: Sequence[float], rest: Sequence[float]) -> float:
    overlap = sum(claimed) / len(claimed)
    return overlap + (1 - overlap) * sum(rest) / len(rest) if rest else overlap


def find_clusters(seeds: Sequence[Seed], gap: int, side: int = 0, is_whole: bool = False) -> list[list[Seed]]:
    """Cut on one side, then each part on the other, until a part is whole on both."""
    ordered = sorted(seeds, key=lambda seed: seed[side])
    cuts = [i + 1 for i, (one, two) in enumerate(pairwise(ordered)) if two[side] - one[side] > gap + 1]
    parts = [ordered[a:b] for a, b in pairwise([0, *cuts, len(ordered)]) if a < b]
    if len(parts) == 1 and is_whole:
        return parts
    return [cluster for part in parts for cluster in find_clusters(part, gap, 1 - side, True)]


def aligned(generated: str, training: str, preset: Preset, language: str = "en") -> list[Passage]:
    """What `rote.alignment.align` has to find."""
    rows = [sentence_rows(text, preset, language) for text in (generated, training)]
    texts = Texts(tuple([found for _, found in side] for side in rows), preset)  # type: ignore[arg-type]
    plain, wide = (
        _long_enough(texts.passages(gap), rows, preset) for gap in (preset.gap_sentences, preset.wide_gap_sentences)
    )
    verbatim = _verbatim(generated, training, plain, preset)
    if preset.keeps_all_forms:
        found = verbatim + plain + [_summary(p) for p in wide if _ratio(p) >= preset.idea_ratio]
    else:
        found = verbatim or _published_summary(wide, preset) or plain
    return sorted(found, key=lambda passage: (passage.generated, passage.training, passage.form))


def _long_enough(pairs: Sequence[Pair], rows: Sequence[Sequence[Row]], preset: Preset) -> list[Passage]:
    found = []
    for pair in pairs:
        spans = [Span(side[a][0].start, side[b][0].end) for side, (a, b) in zip(rows, pair.sides, strict=True)]
        if min(map(len, spans)) >= preset.min_passage_chars:
            found.append(Passage(spans[0], spans[1], pair.cosine, "plain", "none"))
    return found


def _ratio(passage: Passage) -> float:
    sizes = len(passage.generated), len(passage.training)
    return max(sizes) / min(sizes)


def _summary(passage: Passage) -> Passage:
    is_condensed = len(passage.generated) < len(passage.training)
    direction = "condensed" if is_condensed else "expanded"
    return Passage(passage.generated, passage.training, passage.similarity, "summary", direction)


def _published_summary(wide: Sequence[Passage], preset: Preset) -> list[Passage]:
    sizes = sum(len(p.generated) for p in wide), sum(len(p.training) for p in wide)
    copy, origin = sizes if preset.copy_side == "generated" else sizes[::-1]
    if not origin or origin < preset.idea_ratio * copy:
        return []
    direction = "condensed" if preset.copy_side == "generated" else "expanded"
    return [Passage(p.generated, p.training, p.similarity, "summary", direction) for p in wide]


def _verbatim(generated: str, training: str, plain: Sequence[Passage], preset: Preset) -> list[Passage]:
    if preset.verbatim_anywhere:
        runs = shared_runs(generated, training, min_chars=preset.verbatim_min_chars + 1)
        return [Passage(run.read, run.indexed, 1.0, "verbatim", "none") for run in runs]
    found = []
    for passage in plain:
        sides = [lower_words(generated, passage.generated), lower_words(training, passage.training)]
        copy, origin = sides if preset.copy_side == "generated" else sides[::-1]
        for run in RunIndex(copy).common_runs(origin):
            if len(run.indexed) > preset.verbatim_min_chars:
                spans = (run.indexed, run.read) if preset.copy_side == "generated" else (run.read, run.indexed)
                found.append(Passage(*spans, 1.0, "verbatim", "none"))
    return found


@dataclass(frozen=True)
class Token:
    """A token as it is compared (`key`) and where it stands."""

    key: str
    span: Span


@dataclass(frozen=True)
class Run:
    read: Span
    indexed: Span
    chars: int


def raw_tokens(text: str) -> list[Token]:
    """Words, punctuation and white space, case kept; any run of white space equals any other."""
    return [Token(" " if span.of(text).isspace() else span.of(text), span) for span in tokens(text)]


def lower_words(text: str, within: Span) -> list[Token]:
    """The words inside a span in lower case, without punctuation: what the published tools compare."""
    part = within.of(text)
    return [
        Token(span.of(part).lower(), Span(span.start + within.start, span.end + within.start)) for span in words(part)
    ]


def shared_runs(read: str, indexed: str, *, min_chars: int) -> list[Run]:
    kept: list[Run] = []
    for run in RunIndex(raw_tokens(indexed)).common_runs(raw_tokens(read)):
        if run.chars < min_chars or not any(map(str.isalnum, run.read.of(read))):
            continue
        if kept and 2 * kept[-1].read.overlap(run.read) > min(len(kept[-1].read), len(run.read)):
            kept[-1] = max(kept[-1], run, key=lambda one: one.chars)
        else:
            kept.append(run)
    return kept


class RunIndex:
    """A suffix automaton over tokens (Blumer et al. 1985): finds the maximal runs that a text shares with the indexed."""

    def __init__(self, indexed: Sequence[Token]) -> None:
        self.spans = [token.span for token in indexed]
        self.next: list[dict[str, int]] = [{}]
        self.link, self.length, self.first_end = [-1], [0], [-1]
        last = 0
        for position, token in enumerate(indexed):
            last = self._append(last, token.key, position)

    def _append(self, last: int, key: str, position: int) -> int:
        state = self._new_state({}, self.length[last] + 1, position)
        walk = last
        while walk != -1 and key not in self.next[walk]:
            self.next[walk][key] = state
            walk = self.link[walk]
        if walk == -1:
            self.link[state] = 0
            return state
        target = self.next[walk][key]
        if self.length[target] != self.length[walk] + 1:
            target = self._split(walk, key, target)
        self.link[state] = target
        return state

    def _split(self, walk: int, key: str, target: int) -> int:
        clone = self._new_state(dict(self.next[target]), self.length[walk] + 1, self.first_end[target])
        self.link[clone] = self.link[target]
        self.link[target] = clone
        while walk != -1 and self.next[walk].get(key) == target:
            self.next[walk][key] = clone
            walk = self.link[walk]
        return clone

    def _new_state(self, following: dict[str, int], length: int, first_end: int) -> int:
        self.next.append(following)
        self.link.append(-1)
        self.length.append(length)
        self.first_end.append(first_end)
        return len(self.next) - 1

    def common_runs(self, read: Sequence[Token]) -> list[Run]:
        """All runs of the text being read that also stand in the indexed text and lie in no longer such run.

        In reading order; of several places in the indexed text, the first. Without white space at their ends.
        """
        found = []
        state = length = 0
        for position, token in enumerate(read):
            before_state, before_length = state, length
            while state and token.key not in self.next[state]:
                state = self.link[state]
                length = self.length[state]
            following = self.next[state].get(token.key)
            state, length = (following, length + 1) if following is not None else (0, 0)
            if before_length and length <= before_length:
                found.append((position, before_length, self.first_end[before_state] + 1))
        if length:
            found.append((len(read), length, self.first_end[state] + 1))
        offsets = [0, *accumulate(len(token.key) for token in read)]
        runs = [self._run(read, end, size, indexed_end, offsets) for end, size, indexed_end in found]
        return [run for run in runs if run is not None]

    def _run(self, read: Sequence[Token], end: int, size: int, indexed_end: int, offsets: Sequence[int]) -> Run | None:
        start, shift = end - size, indexed_end - end
        start += read[start].key == " "
        end -= end > start and read[end - 1].key == " "
        if start >= end:
            return None
        own = Span(read[start].span.start, read[end - 1].span.end)
        other = Span(self.spans[start + shift].start, self.spans[end + shift - 1].end)
        return Run(own, other, offsets[end] - offsets[start])
