"""Evidence as one would first write it; the kernels are checked against it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import log

from rote.alignment.presets import Evidence


@dataclass(frozen=True)
class Text:
    """Words that have a term, which of them are function words, and the prices of cuts (one more than words)."""

    words: Sequence[str]
    is_function: Sequence[bool]
    prices: Sequence[float]


def chance(text: Text, word: int, counterpart_words: int, evidence: Evidence) -> float:
    grown = evidence.chance * (counterpart_words / 70) ** evidence.chance_growth
    share = (text.words.count(text.words[word]) - 1) / len(text.words)
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
