"""The words of `rote.text` for kernels: classes of characters, and where a word that begins at a character ends."""

import re
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rote.kernels import kernel
from rote.text import _MARKS, _UNSPACED

LETTER, DIGIT, UNSPACED, MARK, ALPHANUMERIC = 1, 2, 4, 8, 16
_CODES = 0x110000
_PATTERNS = {
    LETTER: rf"[^\W{_UNSPACED}]+",
    DIGIT: r"\d+",
    UNSPACED: f"[{_UNSPACED}]+",
    MARK: f"[{_MARKS}]+",
    ALPHANUMERIC: r"[^\W_]+",
}


@cache
def character_classes() -> NDArray[np.uint8]:
    """By code point: the classes of characters that words are made of, as `rote.text` has them."""
    every = "".join(map(chr, range(_CODES)))
    classes = np.zeros(_CODES, dtype=np.uint8)
    for flag, pattern in _PATTERNS.items():
        for match in re.finditer(pattern, every):
            classes[match.start() : match.end()] |= flag
    return classes


@kernel
def word_end(codes: NDArray[np.uint32], at: int, classes: NDArray[np.uint8]) -> int:
    """Where the word that begins at that character ends; the character itself where none begins."""
    size = len(codes)
    if classes[codes[at]] & UNSPACED:
        return _span(codes, at + 1, classes, MARK)
    if classes[codes[at]] & DIGIT:
        digits = end = _span(codes, at, classes, DIGIT)
        while end + 1 < size and is_point(codes[end]) and classes[codes[end + 1]] & DIGIT:
            end = _span(codes, end + 1, classes, DIGIT)
        if end > digits:
            return end
    end = _span(codes, at, classes, LETTER)
    while at < end < size:
        if classes[codes[end]] & MARK:
            end = _span(codes, end, classes, MARK)
        elif end + 1 < size and is_apostrophe(codes[end]) and classes[codes[end + 1]] & LETTER:
            end += 1
        else:
            break
        end = _span(codes, end, classes, LETTER)
    return end


@kernel
def _span(codes: NDArray[np.uint32], at: int, classes: NDArray[np.uint8], wanted: int) -> int:
    """The end of the characters of that class from `at` on."""
    while at < len(codes) and classes[codes[at]] & wanted:
        at += 1
    return at


@kernel
def is_point(code: int) -> bool:
    """A full stop or a comma, which numbers hold."""
    return code == 0x2E or code == 0x2C


@kernel
def is_apostrophe(code: int) -> bool:
    """Of either form, which words hold."""
    return code == 0x27 or code == 0x2019
