"""Text for the eye: spans as marked pieces, long stretches cut with a stated count."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from rote.console.escaping import more, visible
from rote.records import Span

_LEAST_OMITTED = 100
"""Fewer characters are not worth leaving out."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text that the same spans cover."""

    text: str
    marks: tuple[int, ...]
    """Indices of the spans that cover it, ascending; () where none does."""
    omitted: int = 0
    """Characters left out after `text`, to be stated there."""


def one_line(text: str, limit: int) -> str:
    """The text made visible on one line, cut after `limit` characters with the count of what is left out."""
    head = " ".join(text[: 4 * limit].split())[:limit]
    rest = len(text) - len(text[: 4 * limit]) or max(0, len(" ".join(text[: 4 * limit].split())) - limit)
    return visible(head) + (more(rest) if rest else "")


def cut(text: str, spans: Sequence[Span]) -> list[Piece]:
    """The text in pieces, cut wherever a span starts or ends.

    The pieces joined are the text; the pieces that carry index i, joined, are exactly `spans[i].of(text)`.
    """
    bounds = {0, len(text)} | {min(bound, len(text)) for span in spans for bound in (span.start, span.end)}
    edges = sorted(bounds)
    pieces = []
    for start, end in pairwise(edges):
        marks = tuple(index for index, span in enumerate(spans) if span.start <= start and end <= span.end)
        pieces.append(Piece(text[start:end], marks))
    return pieces


def shorten(pieces: Iterable[Piece], *, context: int, marked: int) -> Iterator[Piece]:
    """The pieces, with the middle left out of those longer than `context` (under a mark: `marked`) characters."""
    for piece in pieces:
        limit = marked if piece.marks else context
        if len(piece.text) <= limit + _LEAST_OMITTED:
            yield piece
            continue
        head, tail = limit - limit // 2, limit // 2
        yield replace(piece, text=piece.text[:head], omitted=len(piece.text) - head - tail)
        yield replace(piece, text=piece.text[len(piece.text) - tail :])
