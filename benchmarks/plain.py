"""The published aligner (Sanchez-Perez et al. 2015) as one would first write it: dicts, lists and nltk, pair by pair.

The peer of the benchmarks, and what the compiled kernels are checked against in the tests (there with our own sentences
and words in place of nltk's). Nothing is kept between pairs: each text is tokenised anew, as the published code does.
Punkt is used untrained, as its trained model has to be downloaded.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from rote.alignment import PAN2015, Passage, Preset
from rote.records import Span

Vector = dict[str, float]
Seed = tuple[int, int]
CLOSE = 1e-9
"""Qualities that differ by less are equal: rounding decides nothing."""


@dataclass(frozen=True)
class Sentence:
    """A sentence and how often each term stands in it."""

    span: Span
    counts: Counter[str]


@dataclass(frozen=True)
class Tokenizer:
    """How texts are read."""

    sentences: Callable[[str], list[Span]]
    terms: Callable[[str], list[str]]
    """The stems of a sentence."""
    words: Callable[[str], list[Span]]
    """What verbatim runs are made of."""


def nltk_tokenizer() -> Tokenizer:
    """Punkt, the Treebank tokenizer and the Snowball stemmer; a term is longer than 2 and begins with a letter or digit."""
    from nltk.stem.snowball import SnowballStemmer
    from nltk.tokenize import PunktSentenceTokenizer, TreebankWordTokenizer

    punkt, treebank, stemmer = PunktSentenceTokenizer(), TreebankWordTokenizer(), SnowballStemmer("english")

    def terms(text: str) -> list[str]:
        found = [word for word in treebank.tokenize(text.lower()) if len(word) > 2 and word[0].isalnum()]
        return [stemmer.stem(word) for word in found]

    def words(text: str) -> list[Span]:
        """Offsets by searching the text, as published."""
        found, at = [], 0
        for word in treebank.tokenize(text):
            if word[0].isalnum() and (start := text.find(word, at)) >= 0:
                found.append(Span(start, start + len(word)))
                at = start + len(word)
        return found

    return Tokenizer(lambda text: [Span(*ends) for ends in punkt.span_tokenize(text)], terms, words)


def read(text: str, tokenizer: Tokenizer, preset: Preset) -> list[Sentence]:
    """Sentences with terms; one of fewer than `min_sentence_terms` is merged into the next."""
    merged: list[Sentence] = []
    for span in tokenizer.sentences(text):
        counts = Counter(tokenizer.terms(span.of(text)))
        if not counts:
            continue
        if merged and merged[-1].counts.total() < preset.min_sentence_terms:
            before = merged.pop()
            end = before.span.start + len(before.span) + len(span) if preset.merged_end_is_short else span.end
            span, counts = Span(before.span.start, end), before.counts + counts
        merged.append(Sentence(span, counts))
    return merged


def align(generated: str, training: str, *, tokenizer: Tokenizer, preset: Preset = PAN2015) -> list[Passage]:
    """The passages that the two texts share: verbatim runs, or else a summary, or else plain passages."""
    sides = [read(text, tokenizer, preset) for text in (generated, training)]
    pair = TextPair([[sentence.counts for sentence in side] for side in sides], preset)
    seeds = pair.find_seeds()
    plain, wide = (
        long_enough(pair.resolve(pair.extend(seeds, gap)), sides, preset)
        for gap in (preset.clustering.gap_sentences, preset.clustering.wide_gap_sentences)
    )
    runs = [run for passage in plain for run in runs_inside(passage, generated, training, tokenizer, preset)]
    found = runs or summary(wide, preset) or plain
    return sorted(found, key=lambda passage: (passage.generated, passage.training, passage.form))


@dataclass(frozen=True)
class PassagePair:
    """First and last sentence of the passage in the generation, then in the training text; inclusive."""

    sides: tuple[tuple[int, int], ...]
    cosine: float

    def sentences(self, side: int) -> range:
        """The sentences on a side."""
        return range(self.sides[side][0], self.sides[side][1] + 1)

    def size(self, side: int) -> int:
        """Number of sentences on a side."""
        return len(self.sentences(side))


class TextPair:
    """The sentences of two texts as weighted vectors: w(t, s) = tf(t, s) · ln(N / df(t)) over both texts."""

    def __init__(self, sides: Sequence[Sequence[Counter[str]]], preset: Preset) -> None:
        self.preset = preset
        both = [*sides[0], *sides[1]]
        inverse = {term: len(both) / n for term, n in Counter(term for counts in both for term in counts).items()}
        idf = {term: math.log(1 + x if preset.seeding.smooths_idf else x) for term, x in inverse.items()}
        self.vectors = [[{term: n * idf[term] for term, n in counts.items()} for counts in side] for side in sides]

    def find_seeds(self) -> list[Seed]:
        """All pairs of sentences, one of each text, that are similar by cosine and by Dice coefficient."""
        found = []
        for i, one in enumerate(self.vectors[0]):
            for j, two in enumerate(self.vectors[1]):
                if (
                    cosine(one, two) > self.preset.seeding.min_sentence_cosine
                    and dice(one, two) > self.preset.seeding.min_sentence_dice
                ):
                    found.append((i, j))
        return found

    def extend(self, seeds: Sequence[Seed], gap: int) -> list[PassagePair]:
        """Clusters that are similar as a whole; what is not is cut again with the gap lowered by one."""
        found: list[PassagePair] = []
        for cluster in find_clusters(seeds, gap):
            if len(cluster) < self.preset.clustering.min_seeds:
                continue
            sides = tuple((min(ids), max(ids)) for ids in zip(*cluster, strict=True))
            similarity = cosine(*(self._sum(side, *ends) for side, ends in enumerate(sides)))
            if similarity > self.preset.clustering.min_passage_cosine:
                found.append(PassagePair(sides, similarity))
            elif gap > self.preset.clustering.least_gap_sentences:
                found += self.extend(cluster, gap - 1)
        return found

    def _sum(self, side: int, first: int, last: int) -> Vector:
        total: Vector = {}
        for vector in self.vectors[side][first : last + 1]:
            for term, weight in vector.items():
                total[term] = total.get(term, 0.0) + weight
        return total

    def resolve(self, passages: Sequence[PassagePair]) -> list[PassagePair]:
        """Overlaps on the side of the copy: from left to right, a tournament in which the winner takes all."""
        side = 1 if self.preset.copy_side == "training" else 0
        rest = sorted(passages, key=lambda passage: passage.sides[side][0])
        kept = []
        while rest:
            champion = rest.pop(0)
            while rivals := [rival for rival in rest if rival.sides[side][0] <= champion.sides[side][1]]:
                rest = rest[len(rivals) :]
                champion = self._winner(champion, rivals, side)
            kept.append(champion)
        return kept

    def _winner(self, champion: PassagePair, rivals: Sequence[PassagePair], side: int) -> PassagePair:
        winner, highest = champion, 0.0
        for rival in rivals:
            own, other = self.quality_against(champion, rival, side), self.quality_against(rival, champion, side)
            challenger, reached = (rival, other) if other > own + CLOSE else (winner, 0.0)
            if own > 0.99 and other > 0.99:
                is_longer = rival.size(side) > champion.size(side)
                challenger, reached = (rival, other) if is_longer else (champion, own)
            if reached > highest + CLOSE:
                winner, highest = challenger, reached
        return winner

    def quality_against(self, passage: PassagePair, rival: PassagePair, side: int) -> float:
        """q = o + (1 - o) · r: mean best cosine of the sentences that both claim, and of the others."""
        best = {}
        for i in passage.sentences(side):
            others = [self.vectors[1 - side][j] for j in passage.sentences(1 - side)]
            best[i] = max(cosine(self.vectors[side][i], other) for other in others)
        claimed = [x for i, x in best.items() if i in rival.sentences(side)]
        rest = [x for i, x in best.items() if i not in rival.sentences(side)]
        overlap = sum(claimed) / len(claimed)
        return overlap + (1 - overlap) * sum(rest) / len(rest) if rest else overlap


def cosine(one: Vector, two: Vector) -> float:
    """Cosine of two sparse vectors; 0 where one has no weight."""
    lengths = math.sqrt(sum(x * x for x in one.values()) * sum(x * x for x in two.values()))
    return min(1.0, sum(x * two[term] for term, x in one.items() if term in two) / lengths) if lengths else 0.0


def dice(one: Vector, two: Vector) -> float:
    """Dice coefficient of the terms."""
    return 2 * len(one.keys() & two.keys()) / (len(one) + len(two))


def find_clusters(seeds: Sequence[Seed], gap: int, side: int = 0, is_whole: bool = False) -> list[list[Seed]]:
    """Cut on one side, then each part on the other, until a part is whole on both."""
    ordered = sorted(seeds, key=lambda seed: seed[side])
    cuts = [i + 1 for i, (one, two) in enumerate(pairwise(ordered)) if two[side] - one[side] > gap + 1]
    parts = [ordered[a:b] for a, b in pairwise([0, *cuts, len(ordered)]) if a < b]
    if len(parts) == 1 and is_whole:
        return parts
    return [cluster for part in parts for cluster in find_clusters(part, gap, 1 - side, True)]


def long_enough(pairs: Sequence[PassagePair], sides: Sequence[Sequence[Sentence]], preset: Preset) -> list[Passage]:
    """The passages in characters, without those that are too short on a side."""
    found = []
    for pair in pairs:
        spans = [
            Span(side[first].span.start, side[last].span.end)
            for side, (first, last) in zip(sides, pair.sides, strict=True)
        ]
        if min(map(len, spans)) >= preset.min_passage_chars:
            found.append(Passage(spans[0], spans[1], pair.cosine, "plain", "none"))
    return found


def summary(wide: Sequence[Passage], preset: Preset) -> list[Passage]:
    """The wide passages, if together they are `idea_ratio` times as long on the side that is not the copy."""
    sizes = sum(len(passage.generated) for passage in wide), sum(len(passage.training) for passage in wide)
    copy, origin = sizes if preset.copy_side == "generated" else sizes[::-1]
    if not origin or origin < preset.idea_ratio * copy:
        return []
    direction = "condensed" if preset.copy_side == "generated" else "expanded"
    return [Passage(p.generated, p.training, p.similarity, "summary", direction) for p in wide]


@dataclass(frozen=True)
class Token:
    """A token as it is compared (`key`) and where it stands."""

    key: str
    span: Span


@dataclass(frozen=True)
class Run:
    """A run of tokens that stands in both texts; `chars` is the length of its keys."""

    read: Span
    indexed: Span
    chars: int


def runs_inside(passage: Passage, generated: str, training: str, tokenizer: Tokenizer, preset: Preset) -> list[Passage]:
    """The runs of words, in lower case, that both sides of a passage share and that are long in the copy."""
    sides = [lower_words(generated, passage.generated, tokenizer), lower_words(training, passage.training, tokenizer)]
    is_swapped = preset.copy_side == "training"
    copy, origin = reversed(sides) if is_swapped else sides
    runs = [run for run in RunIndex(copy).common_runs(origin) if len(run.indexed) > preset.verbatim_min_chars]
    spans = [(run.read, run.indexed) if is_swapped else (run.indexed, run.read) for run in runs]
    return [Passage(own, other, 1.0, "verbatim", "none") for own, other in spans]


def lower_words(text: str, within: Span, tokenizer: Tokenizer) -> list[Token]:
    """The words inside a span, in lower case."""
    part = within.of(text)
    return [
        Token(span.of(part).lower(), Span(span.start + within.start, span.end + within.start))
        for span in tokenizer.words(part)
    ]


class RunIndex:
    """A suffix automaton over tokens (Blumer et al. 1985): the maximal runs that a text shares with the indexed one."""

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
