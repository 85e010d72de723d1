"""Characters for kernels: classes by code point, and where a word of `rote.text` that begins at a character ends."""

import re
from functools import cache

import numpy as np
from numpy.typing import NDArray

from rote.kernels import kernel
from rote.text.lists import MARK_RANGES, UNSPACED_RANGES

Codes = NDArray[np.uint32]
"""The code points of a text."""
Classes = NDArray[np.uint16]
"""By code point: the sum of its classes."""

# Not plain numbers: kernels that are called with those are compiled for each of them.
LETTER, DIGIT, UNSPACED, MARK, ALPHANUMERIC = (np.uint16(1 << bit) for bit in range(5))
SPACE, LOWER, UPPER, NUMERAL = (np.uint16(1 << bit) for bit in range(5, 9))
STOP, UNSPACED_STOP, CLOSER, OPENER, BREAKS_TOKEN, BULLET, THAI = (np.uint16(1 << bit) for bit in range(9, 16))

NEWLINE, BLANK, TAB, POINT, COLON, UNDERSCORE, HYPHEN, OPENING, CLOSING = map(ord, "\n \t.:_-()")
FIRST_LETTER, LAST_LETTER, PRONOUN = map(ord, "azI")

_PATTERNS = {
    LETTER: rf"[^\W{UNSPACED_RANGES}]+",
    DIGIT: r"\d+",
    UNSPACED: f"[{UNSPACED_RANGES}]+",
    MARK: f"[{MARK_RANGES}]+",
    ALPHANUMERIC: r"[^\W_]+",
    SPACE: r"\s+",
}
_METHODS = {LOWER: str.islower, UPPER: str.isupper, NUMERAL: str.isdigit}
_MEMBERS = {
    STOP: ".!?…؟۔।॥።។",
    UNSPACED_STOP: "。！？｡",
    CLOSER: "\"'”’»)]}›」』】",
    OPENER: " \t\r\n\"'“‘«([{„‚¿¡",
    BREAKS_TOKEN: "([{\"'“‘«",
    BULLET: "-*•–—",
    THAI: "".join(map(chr, range(0x0E00, 0x0F00))),
}
_ASSIGNED = (range(0x40000), range(0xE0000, 0xE0200))
"""Beyond, all code points are of no class."""
CASED = 0x1F000
"""No character from here on has a case."""


@cache
def character_classes() -> Classes:
    """By code point: the classes of the character, as `rote.text` has them."""
    classes = np.zeros(0x110000, dtype=np.uint16)
    for codes in _ASSIGNED:
        every = "".join(map(chr, codes))
        for flag, pattern in _PATTERNS.items():
            for match in re.finditer(pattern, every):
                classes[codes.start + match.start() : codes.start + match.end()] |= flag
    for flag, has_it in _METHODS.items():
        classes[[code for code in _ASSIGNED[0] if has_it(chr(code))]] |= flag
    for flag, members in _MEMBERS.items():
        classes[[ord(character) for character in members]] |= flag
    return classes


@cache
def lower_codes() -> Codes:
    """By code point, up to `CASED`: the character in lower case; itself where that is no single character."""
    lowered = [chr(code).lower() for code in range(CASED)]
    return np.array([ord(one) if len(one) == 1 else code for code, one in enumerate(lowered)], dtype=np.uint32)


def codes_of(text: str) -> Codes:
    """The code points of a text; lone surrogates as they are."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


@kernel
def word_end(codes: Codes, at: int, classes: Classes) -> int:
    """Where the word that begins at that character ends; the character itself where none begins."""
    size = len(codes)
    if classes[codes[at]] & UNSPACED:
        return span_of(codes, at + 1, classes, MARK)
    if classes[codes[at]] & DIGIT:
        digits = end = span_of(codes, at, classes, DIGIT)
        while end + 1 < size and is_point(codes[end]) and classes[codes[end + 1]] & DIGIT:
            end = span_of(codes, end + 1, classes, DIGIT)
        if end > digits:
            return end
    end = span_of(codes, at, classes, LETTER)
    while at < end < size:
        if classes[codes[end]] & MARK:
            end = span_of(codes, end, classes, MARK)
        elif end + 1 < size and is_apostrophe(codes[end]) and classes[codes[end + 1]] & LETTER:
            end += 1
        else:
            break
        end = span_of(codes, end, classes, LETTER)
    return end


@kernel
def span_of(codes: Codes, at: int, classes: Classes, wanted: np.uint16) -> int:
    """The end of the characters of these classes from `at` on."""
    while at < len(codes) and classes[codes[at]] & wanted:
        at += 1
    return at


@kernel
def is_point(code: int) -> bool:
    """A full stop or a comma, which numbers hold."""
    return code == 0x2E or code == 0x2C


@kernel
def is_apostrophe(code: int) -> bool:
    """Whether the character is an apostrophe of either form, as words hold it."""
    return code == 0x27 or code == 0x2019
