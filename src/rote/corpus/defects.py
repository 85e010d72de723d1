"""What can be wrong with one record, and how it is reported."""

import reprlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rote.errors import DataError

FOUND_CHARS = 200
"""Longest `Dropped.found`."""
NAMED = 5
"""How many records an error message names."""

Reason: TypeAlias = Literal[
    "empty",
    "not text",
    "too long",
    "invalid UTF-8",
    "invalid JSON",
    "invalid CSV",
    "invalid chat",
    "not an object",
    "missing field",
    "repeated field",
    "ragged row",
    "duplicate",
    "canary",
    "shares its context with a member",
    "near-duplicate of a member",
    "linked to a member",
    "stands in a member",
]
"""Why a record is left out.

"duplicate" is no defect: the record stands in `Example.copies` of its first copy. "canary" is none, either: it was planted
(`corpus.canary_file`) and is scored apart. The last four befall non-members
only: "linked" is in one group with a member through other records (a near-duplicate of a near-duplicate); "stands in" is
quoted, shared or contained, wholly or to a large part (see `containment`).
"""

NO_DEFECT: frozenset[Reason] = frozenset(
    (
        "duplicate",
        "canary",
        "shares its context with a member",
        "near-duplicate of a member",
        "linked to a member",
        "stands in a member",
    )
)
"""Reasons that do not count for `corpus.max_bad`: the record itself is sound."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """One record that was left out. `line` counts from 1 (Parquet, Arrow, hub: the number of the record)."""

    file: str
    line: int
    field: str
    """The field at fault; "" where it is the whole record."""
    reason: Reason
    found: str
    """What was found there, as Python would write it, cut at 200 characters."""

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}" + (f", field {self.field!r}" if self.field else "")
        return f"{place}: {self.reason}, found {self.found}"


class BadRecord(Exception):
    """One record cannot be used; the reader turns it into a `Dropped`."""

    def __init__(self, field: str, reason: Reason, found: str) -> None:
        super().__init__(f"{field}: {reason}: {found}")
        self.field = field
        self.reason: Reason = reason
        self.found = found

    def at(self, file: str, line: int) -> Dropped:
        """The defect with its place."""
        return Dropped(file, line, self.field[:FOUND_CHARS], self.reason, self.found[:FOUND_CHARS])


class TooManyBadRecords(DataError):
    """More records are defective than `corpus.max_bad` allows, or none is left; `dropped` holds them all."""

    def __init__(self, message: str, dropped: Sequence[Dropped]) -> None:
        super().__init__(message)
        self.dropped = list(dropped)


def is_defect(dropped: Dropped) -> bool:
    """Whether the record counts for `corpus.max_bad`."""
    return dropped.reason not in NO_DEFECT


def shown(value: object) -> str:
    """The value as Python would write it, bounded in length and depth: safe in a terminal, whatever it holds."""
    return _SHORT.repr(value)[:FOUND_CHARS]


def shown_names(names: Iterable[str]) -> str:
    """Field names for a message: the first twelve, bounded in length."""
    known = list(names)
    text = ", ".join(shown(name)[:60] for name in known[:12]) or "none"
    return text + (f" and {len(known) - 12} more" if len(known) > 12 else "")


def counted(dropped: Iterable[Dropped]) -> str:
    """Counts by reason in words, most frequent first: "3 empty, 1 too long"."""
    counts = Counter(item.reason for item in dropped)
    return ", ".join(f"{n:,} {reason}" for reason, n in sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _short() -> reprlib.Repr:
    short = reprlib.Repr()
    short.maxstring = short.maxother = FOUND_CHARS - 10
    short.maxlong = 60
    short.maxlevel = 4
    return short


_SHORT = _short()
