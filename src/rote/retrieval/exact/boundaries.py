"""Where a run may begin or end: between two tokens of `rote.text.tokens`, decided in kernels.

The index keeps no tokens. A place is looked at when a run begins or ends there, from the last blank on: no token but a
blank holds one, so tokens after it do not depend on what stands before.
"""

import numpy as np
from numpy.typing import NDArray

from rote.kernels import kernel
from rote.text.characters import ALPHANUMERIC, DIGIT, LETTER, MARK, Classes, is_apostrophe, is_point, word_end


@kernel
def read_tokens(
    content: NDArray[np.uint8],
    classes: Classes,
    starts: NDArray[np.int64],
    last_end: NDArray[np.int64],
    chars: NDArray[np.int64],
    letters: NDArray[np.int64],
) -> int:
    """Reads a normal text once, token by token; white space is none.

    Args:
        content: the text, without its end.
        classes: see `character_classes`.
        starts: gets the bytes at which tokens begin; the rest is left as it is.
        last_end: gets, for each byte and for the end of the text, the last place up to there at which a token ends.
        chars: gets the number of characters that begin before it.
        letters: gets the number of letters and digits before it.

    Returns:
        The number of tokens.
    """
    codes = decode(content)
    count = at = byte = end = letter = 0
    while at < len(codes):
        after = max(word_end(codes, at, classes), at + 1)
        is_text = codes[at] != 0x20
        if is_text:
            starts[count] = byte
            count += 1
        while at < after:
            size = 1 + (codes[at] >= 0x80) + (codes[at] >= 0x800) + (codes[at] >= 0x10000)
            last_end[byte : byte + size], chars[byte : byte + size], letters[byte : byte + size] = end, at, letter
            letter += classes[codes[at]] & ALPHANUMERIC > 0
            byte += size
            at += 1
        if is_text:
            end = byte
    last_end[byte], chars[byte], letters[byte] = end, at, letter
    return count


@kernel
def is_boundary(content: NDArray[np.uint8], place: int, classes: Classes) -> bool:
    """Whether a token ends before that byte of normal texts (see `normal_texts`), and another one begins.

    Decided by the characters on both sides where they can: one that stands in no word, two letters, two digits.
    """
    if place == 0 or _ends_words(content[place - 1]) or _ends_words(content[place]):
        return True
    if content[place] & 0xC0 == 0x80:
        return False
    start = place - 1
    while content[start] & 0xC0 == 0x80:
        start -= 1
    pair = decode(content[start : place + 4])
    before, after = classes[pair[0]], classes[pair[1]]
    if after & (LETTER | DIGIT | MARK) == 0 and not is_point(pair[1]) and not is_apostrophe(pair[1]):
        return True
    if before & after & LETTER and (after & DIGIT or not before & DIGIT):
        return False
    return _is_boundary_by_words(content, place, classes)


@kernel
def _is_boundary_by_words(content: NDArray[np.uint8], place: int, classes: Classes) -> bool:
    """The same where the characters on both sides do not decide it: reads word by word from the last blank on."""
    start = end = place
    while start > 0 and not _ends_words(content[start - 1]):
        start -= 1
    while not _ends_words(content[end]):
        end += 1
    codes = decode(content[start:end])
    wanted = len(decode(content[start:place]))
    at = 0
    while at < wanted:
        at = max(word_end(codes, at, classes), at + 1)
    return at == wanted


@kernel
def decode(content: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """The code points of whole characters in UTF-8."""
    codes = np.empty(len(content), dtype=np.uint32)
    count = 0
    for byte in content:
        if byte < 0x80:
            codes[count] = byte
        elif byte >= 0xF0:
            codes[count] = byte & 0x07
        elif byte >= 0xE0:
            codes[count] = byte & 0x0F
        elif byte >= 0xC0:
            codes[count] = byte & 0x1F
        else:
            codes[count - 1] = codes[count - 1] << np.uint32(6) | np.uint32(byte & 0x3F)
            continue
        count += 1
    return codes[:count]


@kernel
def _ends_words(byte: int) -> bool:
    """A blank, or the end of a text."""
    return byte == 0x20 or byte == 0xFF
