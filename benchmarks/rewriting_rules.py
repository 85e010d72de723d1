"""Rewrites by rule: what a writer changes, without a model. Words are replaced, clauses and sentences reordered.

A rule knows no meaning: a content word is replaced by a word of about the same frequency in the same data set, which
stands for a synonym that shares no stem. So the rewrites are as hard as true ones for whatever compares words, and no
test of whatever compares meanings. In this order, each with a probability of the strength's `Rates`:

1. two sentences are merged by "and", or one is split at a conjunction;
2. the clauses of a sentence change places: at a comma or conjunction, or a passive with "by" turns round;
3. function words are exchanged for others of their group, content words are replaced, words are dropped and inserted;
4. heavy: the sentences are shuffled.
"""

import random
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from rote.text import sentences, stem, stop_words, tokens

Strength = Literal["light", "medium", "heavy"]


@dataclass(frozen=True, slots=True)
class Rates:
    """The probability of each rule: per content word, per function word, per sentence."""

    replaced: float
    exchanged: float
    dropped: float
    inserted: float
    merged_or_split: float
    reordered: float
    shuffles: bool


RATES: dict[Strength, Rates] = {
    "light": Rates(0.10, 0.10, 0.03, 0.03, 0.1, 0.1, shuffles=False),
    "medium": Rates(0.30, 0.25, 0.07, 0.07, 0.3, 0.4, shuffles=False),
    "heavy": Rates(0.55, 0.50, 0.12, 0.15, 0.5, 0.7, shuffles=True),
}
FUNCTION_WORDS = (
    "the this that", "a an one some", "in on at within inside into", "for to towards", "and plus", "but yet though",
    "is was seems", "are were seem", "has had", "have had", "with having using", "of from about", "by through via",
    "because since as", "if whenever", "when while as", "which that", "can could may might", "will would shall",
    "not never hardly", "very quite rather", "also too moreover", "then afterwards", "so thus therefore", "or otherwise",
    "my our", "i we", "he she they", "his her their", "its their", "do did", "should must", "been become",
)  # fmt: skip
_OTHERS = {word: group.split() for group in FUNCTION_WORDS for word in group.split()}
_CLAUSE = re.compile(
    r"^(?P<first>.{12,}?),?\s+(?P<link>and|but|because|when|while|if|which|after|before|so)\s+(?P<second>.{12,})$"
)
_COMMA = re.compile(r"^(?P<first>.{12,}?),\s+(?P<second>.{12,})$")
_PASSIVE = re.compile(r"^(?P<object>.{3,60}?)\s+(?P<verb>(?:is|are|was|were)\s+\w+(?:ed|en))\s+by\s+(?P<subject>.{3,60})$")  # fmt: skip
_SPLIT = re.compile(r",?\s+(?:and|but|because|while|which)\s+")


class Vocabulary:
    """The content words of a data set by frequency."""

    def __init__(self, texts: Iterable[str]) -> None:
        functions = stop_words("en")
        counts = Counter(
            word
            for text in texts
            for word in map(str.lower, re.findall(r"[^\W\d_]{3,}", text))
            if word not in functions
        )
        self._counts = dict(sorted(counts.items(), key=lambda item: (item[1], item[0])))
        self._words = list(self._counts)

    @cached_property
    def _frequencies(self) -> list[int]:
        return list(self._counts.values())

    def replacement(self, word: str, draw: random.Random) -> str:
        """A word of about the same frequency and another stem; the word itself where there is none."""
        place = bisect_left(self._frequencies, self._counts.get(word.lower(), 1))
        around = self._words[max(0, place - 50) : place + 50]
        others = [other for other in around if stem(other, "en") != stem(word, "en")]
        return _cased(draw.choice(others), like=word) if others else word


def rewrite(text: str, strength: Strength, vocabulary: Vocabulary, draw: random.Random) -> str:
    """The text rewritten by the rules above; one line."""
    rates = RATES[strength]
    found = [span.of(text).rstrip(".!? ") for span in sentences(text)]
    found = _merged_or_split(found, rates.merged_or_split, draw)
    found = [_reordered(sentence) if draw.random() < rates.reordered else sentence for sentence in found]
    found = [_reworded(sentence, rates, vocabulary, draw) for sentence in found]
    if rates.shuffles:
        draw.shuffle(found)
    return " ".join(f"{sentence[:1].upper()}{sentence[1:]}." for sentence in found if sentence.strip())


def _merged_or_split(found: Sequence[str], probability: float, draw: random.Random) -> list[str]:
    result: list[str] = []
    for sentence in found:
        if result and draw.random() < probability:
            result[-1] = f"{result[-1]} and {sentence[:1].lower()}{sentence[1:]}"
        elif draw.random() < probability and (match := _SPLIT.search(sentence, 12)):
            result += [sentence[: match.start()], sentence[match.end() :]]
        else:
            result.append(sentence)
    return result


def _reordered(sentence: str) -> str:
    if match := _PASSIVE.match(sentence):
        return f"{match['subject']} {match['verb'].split()[-1]} {match['object']}"
    if match := _CLAUSE.match(sentence):
        return f"{match['link']} {match['second']}, {match['first']}"
    if match := _COMMA.match(sentence):
        return f"{match['second']}, {match['first']}"
    return sentence


def _reworded(sentence: str, rates: Rates, vocabulary: Vocabulary, draw: random.Random) -> str:
    found = [span.of(sentence) for span in tokens(sentence)]
    return "".join(_reworded_token(token, rates, vocabulary, draw) for token in found).strip()


def _reworded_token(token: str, rates: Rates, vocabulary: Vocabulary, draw: random.Random) -> str:
    if not token[0].isalpha():
        return token
    if draw.random() < rates.dropped:
        return ""
    is_function = token.lower() in stop_words("en")
    if is_function and draw.random() < rates.exchanged:
        others = [word for word in _OTHERS.get(token.lower(), []) if word != token.lower()]
        token = _cased(draw.choice(others), like=token) if others else token
    elif not is_function and draw.random() < rates.replaced:
        token = vocabulary.replacement(token, draw)
    if draw.random() < rates.inserted:
        return f"{token} {vocabulary.replacement(token.lower(), draw)}"
    return token


def _cased(word: str, *, like: str) -> str:
    return word.capitalize() if like[:1].isupper() else word
