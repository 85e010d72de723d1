"""Texts as the exact index compares them: UTF-8 bytes in which every run of white space is one blank.

Lone surrogates are encoded as they are, so every text has such bytes; the byte 0xFF never occurs in them and ends every
text.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rote.kernels import kernel

END = 0xFF

_IS_SPACE = np.array([chr(code).isspace() for code in range(0x3001)], dtype=np.uint8)
"""White space by code point; there is none above."""


@dataclass(frozen=True, slots=True, eq=False)
class NormalTexts:
    """Many normal texts, one after the other."""

    content: NDArray[np.uint8]
    first: NDArray[np.int64]
    """Text i is `content[first[i] : first[i + 1] - 1]`; the byte after it is `END`."""
    blanks: NDArray[np.int64]
    """The bytes that stand for more than one character of white space."""
    blank_chars: NDArray[np.int64]
    """How many characters they stand for, less one."""


def normal_texts(texts: Sequence[str]) -> NormalTexts:
    """The normal form of each text."""
    end = bytes([END])
    raw = np.frombuffer(b"".join(text.encode("utf-8", "surrogatepass") + end for text in texts), dtype=np.uint8)
    content, first = np.empty(len(raw), dtype=np.uint8), np.zeros(len(texts) + 1, dtype=np.int64)
    wide = np.empty(len(raw) // 2, dtype=np.int64)
    wide_chars = np.empty(len(raw) // 2, dtype=np.int64)
    found = _normalise(raw, _IS_SPACE, content, first, wide, wide_chars)
    return NormalTexts(content[: first[-1]], first, wide[:found].copy(), wide_chars[:found].copy())


@kernel
def _normalise(
    raw: NDArray[np.uint8],
    is_space: NDArray[np.uint8],
    content: NDArray[np.uint8],
    first: NDArray[np.int64],
    blanks: NDArray[np.int64],
    blank_chars: NDArray[np.int64],
) -> int:
    """Copies the bytes with one blank for each run of white space; notes the starts of the texts and the wide blanks.

    Returns:
        The number of wide blanks.
    """
    at = text = found = place = 0
    while place < len(raw):
        byte = raw[place]
        size = 0 if 0x20 < byte < 0x80 else _space_size(raw, place, is_space)
        if size == 0:
            content[at] = byte
            at += 1
            place += 1
            if byte == 0xFF:
                text += 1
                first[text] = at
            continue
        chars = 0
        while size > 0:
            chars += 1
            place += size
            size = _space_size(raw, place, is_space)
        if chars > 1:
            blanks[found], blank_chars[found] = at, chars - 1
            found += 1
        content[at] = 0x20
        at += 1
    return found


@kernel
def _space_size(raw: NDArray[np.uint8], place: int, is_space: NDArray[np.uint8]) -> int:
    """Bytes of the white-space character that begins there; 0 where none does. Every text ends in `END`."""
    byte = raw[place]
    if byte < 0x80:
        return int(is_space[byte])
    if byte == 0xC2:
        return 2 * int(is_space[(byte & 0x1F) << 6 | raw[place + 1] & 0x3F])
    if 0xE1 <= byte <= 0xE3:
        code = (byte & 0x0F) << 12 | (raw[place + 1] & 0x3F) << 6 | raw[place + 2] & 0x3F
        return 3 * int(is_space[code]) if code < len(is_space) else 0
    return 0
