"""The built-in recogniser: patterns with their checks, calendars, word lists. No model and no download."""

from collections.abc import Iterator
from functools import lru_cache

from rote.personal_data.addresses import find_addresses
from rote.personal_data.dates import find_dates
from rote.personal_data.names import find_names
from rote.personal_data.national_ids import NATIONAL_IDS
from rote.personal_data.patterns import (
    LATER_PATTERNS,
    PATTERNS,
    find_hexadecimal,
    find_links,
    find_patterns,
    number_regions,
)
from rote.personal_data.recognized import Recognized, without_overlaps

RULES = 3
"""Raised when the rules find other things in the same text: artifacts of other rules are made again."""


class BuiltInRecognizer:
    """Patterns, checked by check digits, calendars and lists of what is never assigned; names by rules and lists."""

    name = "built-in rules"

    def find(self, text: str) -> list[Recognized]:
        """Personal data by form and context, in reading order.

        >>> [(item.type, item.form) for item in BuiltInRecognizer().find("Ann Roe, born 3 Feb 1980, mail Ann@Example.org")]
        [('NAME', 'ann roe'), ('BIRTH_DATE', '1980-02-03'), ('EMAIL', 'ann@example.org')]
        """
        return without_overlaps(text, (item for item, is_certain in _candidates(text) if is_certain))

    def find_possible(self, text: str) -> list[Recognized]:
        """All that has the form and passes the check, with or without context.

        >>> sorted({item.type for item in BuiltInRecognizer().find_possible("on 3 Feb 1980")})
        ['BIRTH_DATE', 'DATE']
        """
        return [item for item, _ in _candidates(text)]


def find_all_but_names(text: str) -> Iterator[tuple[Recognized, bool]]:
    """What has a form of its own, whoever may claim characters first, first; and whether the text says what it is."""
    yield from find_links(text)
    regions = number_regions(text)
    yield from find_patterns(text, PATTERNS, regions)
    yield from find_patterns(text, NATIONAL_IDS, regions)
    yield from find_dates(text, regions)
    yield from find_patterns(text, LATER_PATTERNS, regions)
    yield from find_hexadecimal(text)
    yield from find_addresses(text)


@lru_cache(maxsize=4)
def _candidates(text: str) -> tuple[tuple[Recognized, bool], ...]:
    """Kept for a while: what is certain and what is possible are asked for one after the other."""
    return (*find_all_but_names(text), *find_names(text))
