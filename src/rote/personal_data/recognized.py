"""What a recogniser of personal data is, and what it finds."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from rote.records import Span

Key: TypeAlias = tuple[str, str]
"""Type and normal form of a piece of personal data."""
TYPES = (
    "EMAIL",
    "URL_LOGIN",
    "IBAN",
    "CARD",
    "SSN",
    "NATIONAL_ID",
    "BIRTH_DATE",
    "DATE",
    "RECORD_NUMBER",
    "PHONE",
    "IP_ADDRESS",
    "ADDRESS",
    "NAME",
)
"""Types of the built-in recogniser, in the order in which they claim characters that two of them want."""


@dataclass(frozen=True, slots=True)
class Recognized:
    """One piece of personal data in a text."""

    type: str
    span: Span
    form: str
    """The same for all ways to write it (case, separators)."""

    @property
    def key(self) -> Key:
        """Type and form."""
        return self.type, self.form


class Recognizer(Protocol):
    """What finds personal data. What it finds depends on the text alone."""

    @property
    def name(self) -> str:
        """For the report."""

    def find(self, text: str) -> list[Recognized]:
        """What is personal data by its form and its context; in reading order, no two overlap."""

    def find_possible(self, text: str) -> list[Recognized]:
        """All that may be, context or not: to look for known data. May overlap."""


def without_overlaps(text: str, found: Iterable[Recognized]) -> list[Recognized]:
    """The first claim to any character holds; in reading order."""
    claimed, kept = bytearray(len(text)), []
    for item in found:
        if not any(claimed[item.span.start : item.span.end]):
            claimed[item.span.start : item.span.end] = b"\1" * len(item.span)
            kept.append(item)
    return sorted(kept, key=lambda item: item.span)
