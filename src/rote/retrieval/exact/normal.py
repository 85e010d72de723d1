"""Texts as the exact index compares them: UTF-8 bytes in which every run of white space is one blank.

Lone surrogates are encoded as they are, so every text has such bytes; the byte 0xFF never occurs in them and ends every
text. A byte is *inside* where no run may begin or end: inside a word (`rote.text.tokens`), or inside a character.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rote.kernels import kernel
from rote.text import words

END = 0xFF

_IS_SPACE = np.array([chr(code).isspace() for code in range(0x3001)], dtype=np.uint8)
"""White space by code point; there is none above."""


@dataclass(frozen=True, slots=True, eq=False)
class NormalTexts:
    """Many normal texts, one behind the other."""

    content: NDArray[np.uint8]
    inside: NDArray[np.uint8]
    """For every byte: 1 where no run begins at it, and none ends before it."""
    first: NDArray[np.int64]
    """Text i is `content[first[i] : first[i + 1] - 1]`; the byte after it is `END`."""
    blanks: NDArray[np.int64]
    """The bytes that stand for more than one character of white space."""
    blank_chars: NDArray[np.int64]
    """How many characters they stand for, less one."""


def normal_texts(texts: Sequence[str]) -> NormalTexts:
    """The normal form of each text."""
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    spans = [words(text) for text in texts]
    first_char = _offsets([len(text) for text in texts])
    word_first = _offsets([len(found) for found in spans])
    starts = np.array([span.start for found in spans for span in found], dtype=np.int32)
    ends = np.array([span.end for found in spans for span in found], dtype=np.int32)
    size = 4 * len(codes) + len(texts)
    content, inside = np.empty(size, dtype=np.uint8), np.empty(size, dtype=np.uint8)
    first = np.zeros(len(texts) + 1, dtype=np.int64)
    blanks, blank_chars = np.empty(len(codes), dtype=np.int64), np.empty(len(codes), dtype=np.int64)
    found = _normalise(
        codes, first_char, word_first, starts, ends, _IS_SPACE, content, inside, first, blanks, blank_chars
    )
    return NormalTexts(
        content[: first[-1]], inside[: first[-1]], first, blanks[:found].copy(), blank_chars[:found].copy()
    )


def _offsets(sizes: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(np.array(sizes, dtype=np.int64))])


@kernel
def _normalise(
    codes: NDArray[np.uint32],
    first_char: NDArray[np.int64],
    word_first: NDArray[np.int64],
    word_starts: NDArray[np.int32],
    word_ends: NDArray[np.int32],
    is_space: NDArray[np.uint8],
    content: NDArray[np.uint8],
    inside: NDArray[np.uint8],
    first: NDArray[np.int64],
    blanks: NDArray[np.int64],
    blank_chars: NDArray[np.int64],
) -> int:
    """Writes the bytes, their `inside` flags, the starts of the texts and the wide blanks; returns the number of those."""
    at = found = 0
    for text in range(len(first_char) - 1):
        begin, end = first_char[text], first_char[text + 1]
        word, last_word = word_first[text], word_first[text + 1]
        place = begin
        while place < end:
            code = codes[place]
            if code < len(is_space) and is_space[code]:
                begun = place
                while place < end and codes[place] < len(is_space) and is_space[codes[place]]:
                    place += 1
                if place - begun > 1:
                    blanks[found], blank_chars[found] = at, place - begun - 1
                    found += 1
                content[at], inside[at] = 0x20, 0
                at += 1
                continue
            while word < last_word and word_ends[word] <= place - begin:
                word += 1
            is_inside = word < last_word and word_starts[word] < place - begin
            after = _write_character(code, content, at)
            inside[at] = is_inside
            inside[at + 1 : after] = 1
            at = after
            place += 1
        content[at], inside[at] = 0xFF, 0
        at += 1
        first[text + 1] = at
    return found


@kernel
def _write_character(code: int, content: NDArray[np.uint8], at: int) -> int:
    """Writes one character in UTF-8 and returns the place behind it."""
    if code < 0x80:
        content[at] = code
        return at + 1
    if code < 0x800:
        content[at] = 0xC0 | code >> 6
        content[at + 1] = 0x80 | code & 0x3F
        return at + 2
    if code < 0x10000:
        content[at] = 0xE0 | code >> 12
        content[at + 1] = 0x80 | code >> 6 & 0x3F
        content[at + 2] = 0x80 | code & 0x3F
        return at + 3
    content[at] = 0xF0 | code >> 18
    content[at + 1] = 0x80 | code >> 12 & 0x3F
    content[at + 2] = 0x80 | code >> 6 & 0x3F
    content[at + 3] = 0x80 | code & 0x3F
    return at + 4
