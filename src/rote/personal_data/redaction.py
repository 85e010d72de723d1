"""Texts without personal data: each piece becomes a placeholder, the same wherever it stands."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from rote.personal_data.finding import BEFORE_CHARS, Finder
from rote.personal_data.recognized import Key, Recognized
from rote.personal_data.recognizing import BuiltInRecognizer
from rote.records import Span


@dataclass(frozen=True, slots=True)
class _Replaced:
    """A place of the original text, and where its placeholder stands in the redacted one."""

    original: Span
    redacted: Span


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text with placeholders."""

    text: str
    replaced: tuple[_Replaced, ...]
    """In reading order."""

    def moved(self, span: Span) -> Span:
        """The span of the redacted text that the span of the original has become; it covers whole placeholders."""
        return Span(self._at(span.start, end=False), max(self._at(span.start, end=False), self._at(span.end, end=True)))

    def _at(self, place: int, *, end: bool) -> int:
        before = bisect_right(self.replaced, place, key=lambda one: one.original.start) - 1
        if before < 0:
            return place
        last = self.replaced[before]
        if place == last.original.start:
            return last.redacted.start
        if place < last.original.end:
            return last.redacted.end if end else last.redacted.start
        return last.redacted.end + place - last.original.end


MASK = "▮"
"""Stands for a token of personal data."""


class Redactor:
    """Replaces personal data by placeholders such as [EMAIL 1], numbered by type in the order in which they come.

    Replaced is what counts (`rote.personal_data.finding.Finder`): what the built-in recogniser finds, and what is known;
    besides numbers that only look like it (`rote.personal_data.look_alikes`), which count nowhere.

    Args:
        known: personal data of the run, by type and form.
        identifiers: what fields of the records hold.
    """

    def __init__(self, known: Iterable[Key], identifiers: Iterable[Key] = ()) -> None:
        self._finder = Finder(BuiltInRecognizer(), known, identifiers, with_look_alikes=True)
        self._numbers: dict[str, dict[str, int]] = {}

    def redact(self, text: str, *, before: str = "") -> Redacted:
        """The text with placeholders.

        Args:
            text: what is shown.
            before: what stands before it: it may say what a number is, and hold the beginning of one.
        """
        parts, replaced, at, length = [], [], 0, 0
        for span, placeholder in self._placeholders(text, before[-BEFORE_CHARS:]):
            parts += [text[at : span.start], placeholder]
            length += span.start - at
            replaced.append(_Replaced(span, Span(length, length + len(placeholder))))
            at, length = span.end, length + len(placeholder)
        return Redacted("".join([*parts, text[at:]]), tuple(replaced))

    def masked(self, tokens: Sequence[str], *, before: str = "") -> tuple[str, ...]:
        """The tokens of a text, with a mask for each that holds a part of a personal datum."""
        ends = list(accumulate(map(len, tokens)))
        replaced = self.redact("".join(tokens), before=before).replaced
        return tuple(
            MASK if any(one.original.overlap(Span(end - len(token), end)) for one in replaced) else token
            for token, end in zip(tokens, ends, strict=True)
        )

    def _placeholders(self, text: str, before: str) -> Iterator[tuple[Span, str]]:
        """Where something is replaced, in reading order, and by what."""
        for item in self._finder.find(before + text):
            start, end = max(0, item.span.start - len(before)), item.span.end - len(before)
            if end > start:
                yield Span(start, end), self._placeholder(item)

    def _placeholder(self, item: Recognized) -> str:
        numbers = self._numbers.setdefault(item.type, {})
        return f"[{item.type.replace('_', ' ')} {numbers.setdefault(item.form, len(numbers) + 1)}]"
