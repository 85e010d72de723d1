"""Records that overlap: chunks of one document, the turns of one chat, the mails of one thread.

Candidates come from fingerprints of the texts: of every 8 consecutive runs of 13 words the one with the smallest hash
(winnowing, Schleimer et al. 2003), so that two texts that share 20 words in a row always share one. Each candidate pair
is then compared word by word.
"""

from collections.abc import Callable, Sequence

import numpy as np

from rote.corpus.containment import RUN_WORDS, is_contained, runs_of, word_batches
from rote.corpus.near_duplicates import Components, Hashes, Indices

WINDOW = 8
"""Consecutive runs of which one is kept."""
MAX_SHARING = 50
"""A text under more records than this (in small data: under half of them) is a template, no context and no overlap."""


def most_sharing(records: int) -> int:
    """How many of so many records may share a text before it is a template."""
    return min(MAX_SHARING, max(10, records // 2))


def join_overlapping(numbers: Sequence[int], text_of: Callable[[int], str], components: Components) -> None:
    """Joins the sets of texts of which the shorter one stands in the other in large part (see `is_contained`).

    Takes about 15 s for 100,000 texts of 150 words, and some 60 bytes of memory for every fourth word.

    Args:
        numbers: of the texts.
        text_of: gives each text by its number.
        components: the sets; changed in place.
    """
    texts = [text_of(number) for number in numbers]
    for first, second in _candidates(texts):
        one, other = numbers[first], numbers[second]
        if components.find(one) != components.find(other) and is_contained(texts[first], texts[second]):
            components.join(one, other)


def _candidates(texts: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs that share a fingerprint, those that share most of them first; of several texts the neighbours by number."""
    parts = [_fingerprints(words, number) for number, words in word_batches(texts)]
    if not parts:
        return []
    text, print_ = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    order = np.lexsort((text, print_))
    text, print_ = text[order], print_[order]
    is_new = np.append(True, (text[1:] != text[:-1]) | (print_[1:] != print_[:-1]))[: len(text)]
    text, print_ = text[is_new], print_[is_new]
    _, number, holders = np.unique(print_, return_inverse=True, return_counts=True)
    is_shared = (holders > 1) & (holders <= most_sharing(len(texts)))
    text, print_ = text[is_shared[number]], print_[is_shared[number]]
    same = print_[1:] == print_[:-1]
    pairs, counts = np.unique(text[:-1][same] * len(texts) + text[1:][same], return_counts=True)
    ranked = pairs[np.lexsort((pairs, -counts))].tolist()
    return [(pair // len(texts), pair % len(texts)) for pair in ranked]


def _fingerprints(words: Hashes, number: Indices) -> tuple[Indices, Hashes]:
    """Text and hash of the smallest run in each window of consecutive runs; all of them in a text with fewer."""
    text, _, hashes = runs_of(words, number, RUN_WORDS)
    if len(hashes) < WINDOW:
        return text, hashes
    windows = np.lib.stride_tricks.sliding_window_view(hashes, WINDOW)
    inside = text[: len(windows)] == text[WINDOW - 1 :]
    is_least = np.zeros(len(hashes), np.bool_)
    is_least[np.flatnonzero(inside) + windows[inside].argmin(axis=1)] = True
    is_short = np.bincount(text)[text] < WINDOW
    kept = is_least | is_short
    return text[kept], hashes[kept]
