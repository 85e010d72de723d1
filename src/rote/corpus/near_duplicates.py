"""Near-duplicate texts: word 5-gram Jaccard similarity, found by prefix filtering and verified on the words themselves.

Exact: every pair at or over the threshold ends in one component, and no other pair joins two. The candidate step orders
the 5-grams of each text from rare to common; two texts that are similar enough must share one of their first few
(Chaudhuri, Ganti, Kaushik 2006; the shorter prefix for the smaller text after Xiao et al. 2008, PPJoin). Pairs that are
already connected are not compared, so a thousand copies of one text cost a thousand comparisons, not a million.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

SHINGLE = 5
"""Words in one shingle. A text of fewer words is one shingle: it is compared as a whole."""
BATCH_CHARS = 1_000_000
"""Text that is turned into shingles at a time."""
# A word is a run of letters, digits and underscores; Chinese and Japanese, written without spaces, go by the character.
_CJK = "\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(f"[{_CJK}]|[^\\W{_CJK}]+")
_ROUNDING = 1e-9

Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]
Shingles = frozenset[tuple[str, ...]]


class Components:
    """Disjoint sets of the numbers 0 … n-1."""

    def __init__(self, n: int) -> None:
        self._parent = list(range(n))

    def __len__(self) -> int:
        return len(self._parent)

    def find(self, item: int) -> int:
        """The number that stands for the set of `item`."""
        parent = self._parent
        while parent[item] != item:
            parent[item] = item = parent[parent[item]]
        return item

    def join(self, first: int, second: int) -> None:
        """Makes one set of the sets of both."""
        self._parent[self.find(second)] = self.find(first)


def plain_words(text: str) -> list[str]:
    """The words without regard to case, white space and punctuation; each Chinese or Japanese character is a word."""
    return _WORD.findall(text.casefold())


def words_of(text: str) -> list[str]:
    """The words without regard to case, filled up to five with "" (which is no word)."""
    words = plain_words(text) or [" ".join(text.casefold().split())]
    return words + [""] * (SHINGLE - len(words))


def shingles_of(text: str) -> Shingles:
    """The distinct runs of five words; of a text with fewer words the one run of them all."""
    words = words_of(text)
    return frozenset(zip(*(words[i:] for i in range(SHINGLE)), strict=False))


def is_similar(first: Shingles, second: Shingles, *, threshold: float) -> bool:
    """Whether the Jaccard similarity (shared shingles over all shingles of both) is at least the threshold."""
    shared = len(first & second)
    return shared >= (threshold - _ROUNDING) * (len(first) + len(second) - shared)


def join_near_duplicates(text_of: Callable[[int], str], components: Components, *, threshold: float) -> None:
    """Joins the sets of all texts whose Jaccard similarity is at least the threshold, in (0, 1].

    Takes about 20 s for 100,000 texts of 100 words, and some 20 bytes of memory for each of the rarest shingles (at 0.8
    a fifth of them); much more time only where many texts are almost, but not quite, similar enough.

    Args:
        text_of: gives each text by its number; called several times for each.
        components: as many numbers as there are texts; changed in place.
        threshold: least similarity.
    """
    if not len(components):
        return
    prefixes = _prefixes(text_of, len(components), threshold)
    similar = _comparison(text_of, threshold)
    for run in _runs(prefixes):
        seen: dict[int, list[int]] = {}
        for text, is_indexed in run:
            _connect(text, seen, components, similar)
            if is_indexed:
                seen.setdefault(components.find(text), []).append(text)


def _connect(
    text: int, seen: dict[int, list[int]], components: Components, similar: Callable[[int, int], bool]
) -> None:
    """Compares a text with those seen before, by component; one similar text in a component is enough."""
    for root in [root for root in seen if root != components.find(text)]:
        if any(similar(other, text) for other in seen[root]):
            joined = seen.pop(root) + seen.pop(components.find(text), [])
            components.join(root, text)
            seen[components.find(text)] = joined


def _comparison(text_of: Callable[[int], str], threshold: float) -> Callable[[int, int], bool]:
    known = lru_cache(maxsize=4096)(lambda index: shingles_of(text_of(index)))
    failed: set[tuple[int, int]] = set()

    def similar(first: int, second: int) -> bool:
        if (first, second) in failed:
            return False
        if is_similar(known(first), known(second), threshold=threshold):
            return True
        failed.add((first, second))
        return False

    return similar


@dataclass(frozen=True, slots=True)
class _Prefixes:
    """The rarest shingles of every text, one row each; `indexed` are those that a text offers to larger ones."""

    shingle: Hashes
    text: Indices
    indexed: NDArray[np.bool_]
    sizes: Indices
    """Distinct shingles of every text."""


def _runs(prefixes: _Prefixes) -> Iterator[list[tuple[int, bool]]]:
    """For each shingle that several texts have in their prefix: the texts, smaller ones first."""
    place = np.empty_like(prefixes.sizes)
    place[np.argsort(prefixes.sizes, kind="stable")] = np.arange(len(place))
    order = np.lexsort((place[prefixes.text], prefixes.shingle))
    shingle, text, indexed = prefixes.shingle[order], prefixes.text[order], prefixes.indexed[order]
    starts = np.flatnonzero(np.append(True, shingle[1:] != shingle[:-1]))
    ends = np.append(starts[1:], len(shingle))
    several = (ends - starts > 1) & np.logical_or.reduceat(indexed, starts)
    for start, end in zip(starts[several].tolist(), ends[several].tolist(), strict=True):
        yield list(zip(text[start:end].tolist(), indexed[start:end].tolist(), strict=True))


def _prefixes(text_of: Callable[[int], str], n: int, threshold: float) -> _Prefixes:
    """Two passes over the texts: count the shingles (in a table of fixed size), then keep the rarest of each text.

    Two different shingles that share a place in the table cost time, never a pair.
    """
    bits = min(24, max(10, sum(len(text_of(i)) for i in range(n)).bit_length()))
    counts = np.zeros(1 << bits, np.uint32)
    slot = np.uint64((1 << bits) - 1)
    for _, shingle in _shingle_batches(text_of, n):
        np.add.at(counts, shingle & slot, 1)
    sizes = np.zeros(n, np.int64)
    kept = [
        _rarest(text, shingle, counts[shingle & slot], sizes, threshold)
        for text, shingle in _shingle_batches(text_of, n)
    ]
    text = np.concatenate([part.text for part in kept])
    shingle = np.concatenate([part.shingle for part in kept])
    return _Prefixes(shingle, text, np.concatenate([part.indexed for part in kept]), sizes)


def _rarest(text: Indices, shingle: Hashes, count: NDArray[np.uint32], sizes: Indices, threshold: float) -> _Prefixes:
    """The prefixes of one batch; fills in its `sizes`.

    A text of n shingles shares at least t·n with any similar one, and at least 2t/(1+t)·n with one that is no smaller.
    """
    order = np.lexsort((shingle, count, text))
    text, shingle = text[order], shingle[order]
    is_new = np.append(True, (text[1:] != text[:-1]) | (shingle[1:] != shingle[:-1]))
    text, shingle = text[is_new], shingle[is_new]
    first = np.flatnonzero(np.append(True, text[1:] != text[:-1]))
    size = np.diff(np.append(first, len(text)))
    sizes[text[first]] = size
    rank = np.arange(len(text)) - np.repeat(first, size)
    left = np.repeat(size, size) - rank
    n = np.repeat(size, size)
    probed = left >= np.ceil(threshold * n - _ROUNDING)
    indexed = left >= np.ceil(2 * threshold / (1 + threshold) * n - _ROUNDING)
    return _Prefixes(shingle[probed], text[probed], indexed[probed], sizes)


def _shingle_batches(text_of: Callable[[int], str], n: int) -> Iterator[tuple[Indices, Hashes]]:
    """Text number and hash of every shingle, about a million characters at a time."""
    start = 0
    while start < n:
        words: list[str] = []
        lengths: list[int] = []
        chars = 0
        while start + len(lengths) < n and chars < BATCH_CHARS:
            text = text_of(start + len(lengths))
            own = words_of(text)
            words += own
            lengths.append(len(own))
            chars += len(text)
        number = np.repeat(np.arange(start, start + len(lengths)), lengths)
        inside = number[: 1 - SHINGLE] == number[SHINGLE - 1 :]
        yield number[: 1 - SHINGLE][inside], run_hashes(word_hashes(words), SHINGLE)[inside]
        start += len(lengths)


def word_hashes(words: Sequence[str]) -> Hashes:
    """Hash of each word."""
    return np.fromiter(map(_word_hash, words), np.uint64, len(words))


def run_hashes(words: Hashes, size: int) -> Hashes:
    """Hash of the `size` words from each place on: a polynomial modulo 2^64, then mixed so that all bits count."""
    mixed = np.zeros(max(0, len(words) + 1 - size), np.uint64)
    for i in range(size):
        mixed = mixed * np.uint64(0x9E3779B97F4A7C15) + words[i : len(mixed) + i]
    mixed ^= mixed >> np.uint64(31)
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    return mixed ^ (mixed >> np.uint64(29))


@lru_cache(maxsize=1 << 18)
def _word_hash(word: str) -> int:
    raw = word.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "little")
