"""Evidence as one would first write it; the kernels are checked against it."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf, log

from plain import TextPair

from rote.alignment import Preset
from rote.alignment.preparation import prepare
from rote.alignment.presets import Evidence
from rote.records import Span


@dataclass(frozen=True)
class Text:
    """Words that have a term, which of them are function words, and the prices of cuts (one more than words)."""

    words: Sequence[str]
    is_function: Sequence[bool]
    prices: Sequence[float]
    starts: Sequence[int] = ()
    ends: Sequence[int] = ()
    sentences: Sequence[tuple[int, int]] = ()
    """First word of each sentence, and the one behind its last."""

    @cached_property
    def counts(self) -> Counter[str]:
        return Counter(self.words)


def read(text: str, sentences: Sequence[Span], preset: Preset) -> Text:
    """The words as they are prepared (`test_cuts_and_what_they_take_along` says what is asked of that)."""
    rows, found, _ = prepare(text, preset, language="en")
    starts = found.starts.tolist()
    held = [tuple(bisect_left(starts, place) for place in (span.start, span.end)) for span in sentences]
    words = [str(rows.terms[term]) for term in found.terms]
    functions, prices = found.is_function.astype(bool).tolist(), (found.prices / 2).tolist()
    return Text(words, functions, prices, starts, found.ends.tolist(), held)  # type: ignore[arg-type]


def chance(text: Text, word: int, counterpart_words: int, evidence: Evidence) -> float:
    grown = evidence.chance * (counterpart_words / 70) ** evidence.chance_growth
    share = (text.counts[text.words[word]] - 1) / len(text.words)
    if text.is_function[word]:
        share = max(share, evidence.function_word_share)
    expected = counterpart_words * share
    return min(0.98, max(grown, expected / (1 + expected)))


def word_evidence(text: Text, counterpart: Collection[str], words: int, kept: float, evidence: Evidence) -> list[float]:
    found = []
    for place, word in enumerate(text.words):
        c = chance(text, place, words, evidence)
        k = min(0.95, kept)
        found.append(max(0.0, log(k / c)) if word in counterpart else min(0.0, log((1 - k) / (1 - c))))
    return found


def segment_evidence(text: Text, worths: Sequence[float], first: int, end: int, cut_price: float) -> float:
    return sum(worths[first:end]) - cut_price * (text.prices[first] + text.prices[end])


def greatest_evidence(text: Text, worths: Sequence[float], cut_price: float) -> float:
    size = len(worths)
    stretches = [(i, j) for i in range(size) for j in range(i + 1, size + 1)]
    return max([0.0, *(segment_evidence(text, worths, i, j, cut_price) for i, j in stretches)])


Range = tuple[int, int, int, int]


def shared(one: tuple[int, int], other: tuple[int, int]) -> int:
    return len(set(range(*one)) & set(range(*other)))


def resolve(passages: Sequence[tuple[Range, float]]) -> list[tuple[Range, float]]:
    kept: list[tuple[Range, float]] = []
    for passage, worth in sorted(passages, key=lambda item: -item[1]):
        sides = [(mine, its) for other, _ in kept for mine, its in ((passage[:2], other[:2]), (passage[2:], other[2:]))]
        if not any(2 * shared(a, b) > min(a[1] - a[0], b[1] - b[0]) for a, b in sides):  # type: ignore[arg-type]
            kept.append((passage, worth))
    return kept


def best_segment(text: Text, first: int, end: int, worths: Sequence[float], cut_price: float) -> tuple[int, int, float]:
    best, total, start = (first, first, 0.0), -inf, first
    for word in range(first, end):
        price = cut_price * text.prices[word]
        if total < -price:
            total, start = -price, word
        total += worths[word]
        reached = total - cut_price * text.prices[word + 1]
        if reached > best[2]:
            best = (start, word + 1, reached)
    return best


def share_kept(words: Sequence[str], counterpart: Collection[str]) -> float:
    return (1 + sum(word in counterpart for word in words)) / (len(words) + 2)


def explained(
    text: Text,
    other: Text,
    passage: tuple[int, int],
    its: tuple[int, int],
    least_kept: float,
    reach: int,
    rules: Evidence,
) -> tuple[int, int, float]:
    """The best stretch of the text up to `reach` words around the passage, if the other text's stretch explains it."""
    first, end = passage
    counterpart = set(other.words[its[0] : its[1]])
    kept = max(least_kept, share_kept(text.words[first:end], counterpart))
    worths = word_evidence(text, counterpart, its[1] - its[0], kept, rules)
    return best_segment(text, max(0, first - reach), min(len(text.words), end + reach), worths, rules.cut_price)


def threshold(least: float, sides: int, texts: Sequence[Text]) -> float:
    return least + sides * sum(log(len(text.words)) for text in texts)


def refine(texts: Sequence[Text], passage: Range, rules: Evidence) -> tuple[Range, float]:
    one, two, worth = texts[0], texts[1], 0.0
    for _ in range(4):
        own = explained(one, two, passage[:2], passage[2:], rules.kept, rules.reach_words, rules)
        its = explained(two, one, passage[2:], passage[:2], rules.kept, rules.reach_words, rules)
        if own[0] == own[1] or its[0] == its[1]:
            return passage, 0.0
        before, passage, worth = passage, (*own[:2], *its[:2]), own[2] + its[2]
        if passage == before:
            break
    return passage, worth


def refined(texts: Sequence[Text], pair: TextPair, preset: Preset) -> list[Range]:
    rules = preset.evidence
    if rules is None or not texts[0].words or not texts[1].words:
        return []
    seeds, found = pair.find_seeds(), []
    for _ in range(2):
        left = []
        for cluster in pair.extend(seeds, preset.clustering.gap_sentences):
            (a, b), (c, d) = cluster.sides
            rows = texts[0].sentences, texts[1].sentences
            passage, worth = refine(texts, (rows[0][a][0], rows[0][b][1], rows[1][c][0], rows[1][d][1]), rules)
            if worth > threshold(rules.min_plain, 2, texts):
                found.append((passage, worth))
                inside = [seed for seed in seeds if a <= seed[0] <= b and c <= seed[1] <= d]
                left += [
                    (i, j)
                    for i, j in inside
                    if not (shared(rows[0][i], passage[:2]) and shared(rows[1][j], passage[2:]))
                ]
        seeds = sorted(left)
    return joined([passage for passage, _ in resolve(found)], rules.join_words)


def joined(passages: list[Range], most: int) -> list[Range]:
    for i, one in enumerate(passages):
        for j, two in enumerate(passages[i + 1 :], i + 1):
            gaps = [max(one[side], two[side]) - min(one[side + 1], two[side + 1]) for side in (0, 2)]
            if max(gaps) <= most:
                whole = (min(one[0], two[0]), max(one[1], two[1]), min(one[2], two[2]), max(one[3], two[3]))
                return joined([*passages[:i], whole, *passages[i + 1 : j], *passages[j + 1 :]], most)
    return passages


def summaries(texts: Sequence[Text], preset: Preset) -> list[Range]:
    rules = preset.evidence
    if rules is None or not texts[0].words or not texts[1].words:
        return []
    found = condensed(texts[0], texts[1], 0, len(texts[0].words), rules)
    if len(texts[0].words) <= 500:
        expanded = condensed(texts[1], texts[0], 0, len(texts[1].words), rules)
        found += [(c, d, a, b) for a, b, c, d in expanded]
    return found


def condensed(short: Text, long: Text, lower: int, upper: int, rules: Evidence) -> list[Range]:
    if upper - lower < 8:
        return []
    everything, kept, best = set(long.words), rules.kept_in_summary, (lower, lower, 0.0)
    for _ in range(2):
        worths = word_evidence(short, everything, len(long.words), kept, rules)
        best = best_segment(short, lower, upper, worths, rules.cut_price)
        kept = max(rules.kept_in_summary, share_kept(short.words[best[0] : best[1]], everything))
    first, end, worth = best
    if worth <= threshold(rules.min_summary, 1, (short, long)):
        return []
    own = set(short.words[first:end])
    content = [long.words[i] in own and not long.is_function[i] for i in range(len(long.words))]
    rows = [row for row in long.sentences if sum(content[row[0] : row[1]]) >= 2]
    worths = word_evidence(long, own, end - first, rules.kept, rules)
    start, stop, _ = best_segment(long, 0, len(long.words), worths, rules.cut_price)
    alone = set(long.words[start:stop])
    kept = max(rules.kept, share_kept(short.words[first:end], alone))
    rival = sum(word_evidence(short, alone, stop - start, kept, rules)[first:end]) if stop > start else 0.0
    mine = [(first, end, rows[0][0], rows[-1][1])] if rows and worth > rival else []
    return [*mine, *condensed(short, long, lower, first, rules), *condensed(short, long, end, upper, rules)]
