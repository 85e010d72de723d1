"""Texts as patterns can read them, with the way back: every span of the plain text is a span of the original.

Undone is what a reader does not see: characters without width, combining accents, kinds of blanks, dashes, apostrophes
and digits, full-width and mathematical letters. A line break stays one.
"""

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from rote.records import Span

MASK = "[▯]"
"""Stands for a placeholder while the rest of a text is searched."""
_PLACEHOLDER = re.compile(r"\[[A-Z]{2,20}(?:[ ][A-Z]{1,20}){0,3} \d{1,6}\]")
_WIDTHLESS = "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
_COMPOSED_OR_HIDDEN = re.compile(rf"[{_WIDTHLESS}]|[^\u0300-\u036f{_WIDTHLESS}][\u0300-\u036f]+")
_HAS_ONE = re.compile(rf"[\u0300-\u036f{_WIDTHLESS}]")
_BLANKS = "\t\r\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_BREAKS = "\v\f\x85\u2028\u2029"
_HYPHENS = "\u2010\u2011\u2012\u2013\u2212\ufe58\ufe63"
_APOSTROPHES = "\u2018\u2019\u02bc\u2032\u00b4\u0060"
_STYLED = (range(0xFF01, 0xFF5F), range(0x1D400, 0x1D800))
"""Full-width and mathematical characters."""


@cache
def _same_width() -> dict[int, str]:
    """Characters that one plain character stands for."""
    table = {code: str(unicodedata.digit(chr(code))) for code in range(0x80, 0x20000) if chr(code).isdecimal()}
    for codes in _STYLED:
        for code in codes:
            plain = unicodedata.normalize("NFKC", chr(code))
            if len(plain) == 1 and plain.isascii():
                table[code] = plain
    for characters, plain in ((_BLANKS, " "), (_BREAKS, "\n"), (_HYPHENS, "-"), (_APOSTROPHES, "'")):
        table |= dict.fromkeys(map(ord, characters), plain)
    return table


@dataclass(frozen=True, slots=True)
class Plain:
    """A plain text, and where each of its characters stands in the original."""

    text: str
    starts: Sequence[int]
    ends: Sequence[int]

    def placed(self, span: Span) -> Span:
        """Where a span of the original stands in the plain text; it must cover whole characters of it."""
        return Span(bisect_left(self.starts, span.start), bisect_right(self.ends, span.end))

    def original(self, span: Span) -> Span:
        """The span of the original text that a non-empty span of the plain text stands for."""
        return Span(self.starts[span.start], self.ends[span.end - 1])

    def replaced(self, spans: Iterable[Span], by: str) -> "Plain":
        """With `by` in the place of each of these spans of this text (in reading order, none overlaps)."""
        texts: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        at = 0
        for span in spans:
            whole = self.original(span)
            texts += [self.text[at : span.start], by]
            starts += [*self.starts[at : span.start], *[whole.start] * len(by)]
            ends += [*self.ends[at : span.start], *[whole.end] * len(by)]
            at = span.end
        return Plain("".join([*texts, self.text[at:]]), [*starts, *self.starts[at:]], [*ends, *self.ends[at:]])


def plain_of(text: str) -> Plain:
    """The plain text. Placeholders of an earlier redaction become `MASK`.

    >>> plain_of("555\u2013123\u200b4567 \uff12 [EMAIL 1]").text
    '555-1234567 2 [▯]'
    """
    found = _visible(text)
    placeholders = [Span(*match.span()) for match in _PLACEHOLDER.finditer(found.text)] if "[" in found.text else []
    return found.replaced(placeholders, MASK) if placeholders else found


def _visible(text: str) -> Plain:
    if text.isascii():
        same = text.translate(_same_width()) if re.search(r"[\t\r\v\f`]", text) else text
        return Plain(same, range(len(text)), range(1, len(text) + 1))
    same = text.translate(_same_width())
    if not _HAS_ONE.search(same):
        return Plain(same, range(len(same)), range(1, len(same) + 1))
    parts, starts, ends = [], list[int](), list[int]()
    for part, start, end in _parts(same):
        parts.append(part)
        alone = len(part) == end - start
        starts += range(start, end) if alone else [start] * len(part)
        ends += range(start + 1, end + 1) if alone else [end] * len(part)
    return Plain("".join(parts), starts, ends)


def _parts(text: str) -> Iterator[tuple[str, int, int]]:
    """Stretches of the text and what stands for them: as they are, composed, or left out."""
    at = 0
    for match in _COMPOSED_OR_HIDDEN.finditer(text):
        yield text[at : match.start()], at, match.start()
        if len(match.group()) > 1:
            yield unicodedata.normalize("NFC", match.group()), *match.span()
        at = match.end()
    yield text[at:], at, len(text)
