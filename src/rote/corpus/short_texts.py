"""Near-duplicates among short texts: a word swapped in a sentence, a name in a template.

One changed word is in five 5-grams, so the Jaccard similarity of 5-grams sees it only from 49 words on (at 0.8). Texts of
5 to 100 words are therefore compared word by word, too: two are near-duplicates if their Levenshtein distance in words is
at most one in five words of the shorter one (`MOST_CHANGED`; less where the threshold is over 0.8), rounded. An
instruction that many records share does not count among these words, so that two short answers to it are no
near-duplicates; but where at most one word in fifteen of the whole differs they are: a name in a long template.

Exact: each pair within the distance ends in one component. Texts that are so near to each other have most words in
common, so they share one of the few rarest of each (prefix filtering, as in `near_duplicates`); those that share one are
compared by rapidfuzz.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from rote.corpus.near_duplicates import SHINGLE, Components, Hashes, Indices, plain_words, word_hashes

LONGEST_WORDS = 100
"""Texts of more words are compared by their 5-grams alone; texts of fewer than 5 as a whole."""
MOST_CHANGED = 0.2
"""Largest share of changed words; with a threshold t over 0.8 it is 1 - t. A third of it where an instruction counts."""
INSTRUCTION_WORDS = 3
"""Fewest words at the beginning or end of many records that count as an instruction."""
BLOCK = 512
"""Texts that are compared with as many others at a time."""
_CODES = 0x110000 - 0x800
_SURROGATES = 0xD800
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class _Short:
    """The texts of 5 to 100 words."""

    number: Indices
    """Index of each text among all."""
    words: Indices
    """Numbers of the words of all texts, one text after the other."""
    starts: Indices
    sizes: Indices

    @classmethod
    def of(cls, text_of: Callable[[int], str], n: int) -> "_Short":
        hashes: list[Hashes] = []
        numbers: list[int] = []
        for number in range(n):
            spelled = plain_words(text_of(number))
            if SHINGLE <= len(spelled) <= LONGEST_WORDS:
                hashes.append(word_hashes(spelled))
                numbers.append(number)
        sizes = np.array([len(words) for words in hashes], np.int64)
        _, words = np.unique(np.concatenate(hashes) if hashes else np.zeros(0, np.uint64), return_inverse=True)
        return cls(np.array(numbers, np.int64), words.astype(np.int64), np.cumsum(sizes) - sizes, sizes)

    def spelled(self) -> list[str]:
        """Each text as a string with one character for each word. (Over a million words, some share a character.)"""
        codes = self.words % _CODES
        codes[codes >= _SURROGATES] += 0x800
        whole = codes.astype("<u4").tobytes().decode("utf-32-le")
        return [
            whole[start : start + size] for start, size in zip(self.starts.tolist(), self.sizes.tolist(), strict=True)
        ]


def allowed_changes(words: int, *, threshold: float) -> int:
    """Words that may differ between two texts, by the number of words of the shorter one that count.

    >>> [allowed_changes(words, threshold=0.8) for words in (5, 8, 12, 30)]
    [1, 2, 2, 6]
    """
    return math.floor(min(MOST_CHANGED, 1 - threshold) * words + 0.5 + _ROUNDING)


def allowed_in_template(words: int, *, threshold: float) -> int:
    """The same where the words of an instruction count, too.

    >>> [allowed_in_template(words, threshold=0.8) for words in (12, 15, 30)]
    [0, 1, 2]
    """
    return math.floor(min(MOST_CHANGED, 1 - threshold) * words / 3 + _ROUNDING)


def is_variant(first: str, second: str, *, threshold: float) -> bool:
    """Whether so few words differ between two short texts, an instruction included in both."""
    one, other = plain_words(first), plain_words(second)
    shorter, longer = sorted((len(one), len(other)))
    if shorter < SHINGLE or longer > LONGEST_WORDS:
        return False
    return Levenshtein.distance(one, other) <= allowed_changes(shorter, threshold=threshold)


def join_variants(text_of: Callable[[int], str], components: Components, *, most: int, threshold: float) -> None:
    """Joins the sets of all short texts between which few words differ.

    Takes about 20 s for 100,000 texts of 30 words, and some 2 kB of memory for each.

    Args:
        text_of: gives each text by its number; called once for each.
        components: as many numbers as there are texts; changed in place.
        most: texts that may share an instruction before it no longer counts.
        threshold: similarity of near-duplicates, in (0, 1]; at 1 no word may differ.
    """
    short = _Short.of(text_of, len(components))
    if not len(short.number):
        return
    comparison = _Comparison.of(short, components, most, threshold)
    for run in _runs(short, comparison.changes):
        if len({*map(components.find, short.number[run].tolist())}) == 1:
            continue
        blocks = [run[at : at + BLOCK] for at in range(0, len(run), BLOCK)]
        for at, block in enumerate(blocks):
            for other in reversed(blocks[: at + 1]):
                comparison.join(block, other)


@dataclass(frozen=True, slots=True)
class _Comparison:
    """What is needed to compare blocks of short texts."""

    short: _Short
    changes: Indices
    """Words of each text that may differ; of two texts the smaller number counts."""
    spelled: Sequence[str]
    components: Components

    @classmethod
    def of(cls, short: _Short, components: Components, most: int, threshold: float) -> "_Comparison":
        own = short.sizes - _instruction(short, most, is_end=False) - _instruction(short, most, is_end=True)
        words = range(LONGEST_WORDS + 1)
        allowed = np.array([allowed_changes(count, threshold=threshold) for count in words], np.int64)
        in_template = np.array([allowed_in_template(count, threshold=threshold) for count in words], np.int64)
        changes = np.maximum(allowed[own.clip(0)] * (own > 0), in_template[short.sizes])
        return cls(short, changes, short.spelled(), components)

    def join(self, block: Indices, other: Indices) -> None:
        """Joins each text of a block with those of the other one that are near it."""
        numbers, sizes = self.short.number, self.short.sizes
        sets = {self.components.find(number) for texts in (block, other) for number in numbers[texts].tolist()}
        cutoff = int(min(self.changes[block].max(), self.changes[other].max()))
        if len(sets) == 1 or sizes[block].min() - sizes[other].max() > cutoff:
            return
        strings = ([self.spelled[text] for text in texts.tolist()] for texts in (block, other))
        changed = cdist(*strings, scorer=Levenshtein.distance, score_cutoff=cutoff, dtype=np.uint8)
        first, second = np.nonzero(changed <= cutoff)
        first, second, changed = block[first], other[second], changed[first, second]
        is_near = (changed <= np.minimum(self.changes[first], self.changes[second])) & (first != second)
        for one, two in zip(numbers[first[is_near]].tolist(), numbers[second[is_near]].tolist(), strict=True):
            self.components.join(one, two)


def _runs(short: _Short, changes: Indices) -> Iterator[Indices]:
    """For each word that several texts have among their rarest (one more than may differ): the texts, shorter ones first."""
    text = np.repeat(np.arange(len(short.sizes)), short.sizes)
    token = _numbered(short.words, text)
    counts = np.bincount(token)
    order = np.lexsort((token, counts[token], text))
    text, token = text[order], token[order]
    rank = np.arange(len(text)) - np.repeat(short.starts, short.sizes)
    kept = (rank <= changes[text]) & (counts[token] > 1)
    text, token = text[kept], token[kept]
    order = np.lexsort((text, short.sizes[text], token))
    text, token = text[order], token[order]
    starts = np.flatnonzero(np.diff(token, prepend=-1))
    for start, end in zip(starts.tolist(), np.append(starts, len(token))[1:].tolist(), strict=True):
        if end - start > 1:
            yield text[start:end]


def _numbered(words: Indices, text: Indices) -> Indices:
    """A number for each word with its count so far in its text: the second "the" of a text is another one than the first."""
    order = np.lexsort((words, text))
    is_first = np.append(True, (words[order][1:] != words[order][:-1]) | (text[order][1:] != text[order][:-1]))
    place = np.arange(len(words))
    count = np.empty_like(place)
    count[order] = place - np.maximum.accumulate(np.where(is_first, place, 0))
    numbers: Indices = np.unique(words * (LONGEST_WORDS + 1) + count, return_inverse=True)[1].astype(np.int64)
    return numbers


def _instruction(short: _Short, most: int, *, is_end: bool) -> Indices:
    """Words at the beginning (or end) of each text that more than `most` texts share before they go different ways.

    They go different ways where at most half of them have the same next word: the copies of one text in which a word is
    changed here and there do not.
    """
    found = np.zeros(len(short.sizes), np.int64)
    texts = np.arange(len(short.sizes))
    node = np.zeros(len(texts), np.int64)
    held = np.array([len(texts)])
    for depth in range(LONGEST_WORDS):
        goes_on = short.sizes[texts] > depth
        place = short.starts[texts] + (short.sizes[texts] - 1 - depth if is_end else depth)
        word = np.where(goes_on, short.words[np.where(goes_on, place, 0)], -1)
        pairs, child = np.unique(node * (len(short.words) + 1) + word + 1, return_inverse=True)
        counts = np.bincount(child)
        largest = np.zeros(len(held), np.int64)
        np.maximum.at(largest, pairs // (len(short.words) + 1), counts)
        if depth >= INSTRUCTION_WORDS:
            branches = 2 * largest <= held
            found[texts[branches[node]]] = depth
        stays = (counts[child] > most) & goes_on
        texts = texts[stays]
        if not len(texts):
            break
        _, node = np.unique(child[stays], return_inverse=True)
        held = np.bincount(node)
    return found
