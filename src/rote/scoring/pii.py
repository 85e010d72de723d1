"""Personal data in a text: recognisers that check what they find, and one form for all ways to write the same thing.

No model and no download: what has a form of its own is found (mail, phone, IBAN, card, social security number, date of
birth, record number), names and addresses are not. `rote.scoring.presidio` finds those too, as an optional extra.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Protocol

from rote.records import Span

TYPES = ("EMAIL", "PHONE", "IBAN", "CARD", "SSN", "BIRTH_DATE", "RECORD_NUMBER")
"""Of the built-in recognisers, in the order in which they claim characters that two of them want."""
CONTEXT_CHARS = 40
"""Words that say what a date or number is stand at most that far before it."""


@dataclass(frozen=True, slots=True)
class Recognized:
    """One piece of personal data in a text."""

    type: str
    span: Span
    form: str
    """The same for all ways to write it (case, separators)."""


class Recognizer(Protocol):
    """What finds personal data. What it finds depends on the text alone."""

    @property
    def name(self) -> str:
        """For the report."""

    def find(self, text: str) -> list[Recognized]:
        """What is personal data by its form and its context; in reading order, no two overlap."""

    def find_possible(self, text: str) -> list[Recognized]:
        """All that may be, context or not (any date may be a date of birth): to look for known data. May overlap."""


class BuiltInRecognizer:
    """Patterns, checked by check digits, calendars and lists of what is never assigned."""

    name = "built-in patterns"

    def find(self, text: str) -> list[Recognized]:
        """Personal data by form and context, in reading order.

        >>> [(item.type, item.form) for item in BuiltInRecognizer().find("Born 3 Feb 1980, mail Ann@Example.org")]
        [('BIRTH_DATE', '1980-02-03'), ('EMAIL', 'ann@example.org')]
        """
        return without_overlaps(text, (item for item, in_context in _candidates(text) if in_context))

    def find_possible(self, text: str) -> list[Recognized]:
        """All that has the form and passes the check, with or without context.

        >>> [item.type for item in BuiltInRecognizer().find_possible("on 3 Feb 1980")]
        ['BIRTH_DATE']
        """
        return [item for item, _ in _candidates(text)]


def passes_luhn(digits: str) -> bool:
    """Whether the last digit is the check digit of the others. Source: ISO/IEC 7812-1, annex B.

    >>> passes_luhn("79927398713"), passes_luhn("79927398710")
    (True, False)
    """
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def passes_mod_97(iban: str) -> bool:
    """Whether the two check digits of an IBAN (upper case, no blanks) are right. Source: ISO 13616-1; ISO 7064.

    >>> passes_mod_97("GB82WEST12345698765432"), passes_mod_97("GB83WEST12345698765432")
    (True, False)
    """
    return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97 == 1


def is_social_security_number(digits: str) -> bool:
    """Whether nine digits can be a US social security number.

    Area not 000, 666 or 900 to 999, group not 00, serial not 0000; nor one of the two numbers that were withdrawn because
    advertisements printed them. Source: Social Security Administration, numbers after the randomisation of 2011.

    >>> is_social_security_number("219099998"), is_social_security_number("666123456")
    (True, False)
    """
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    withdrawn = digits in ("078051120", "219099999")
    return area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000" and not withdrawn


_Form = Callable[[re.Match[str]], str | None]


@dataclass(frozen=True, slots=True)
class _Pattern:
    """How one type looks; `form` gives the normal form, or None where the check fails."""

    type: str
    pattern: re.Pattern[str]
    form: _Form
    context: re.Pattern[str] | None = None
    """What must stand before it; None: it speaks for itself."""


_EMAIL = re.compile(
    r"(?<![\w.+-])[A-Za-z0-9](?:[\w.%+'-]{0,62}[\w%+-])?@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![\w@-])"
)
_CARD = re.compile(r"(?<![\d.,-])\d(?:[ -]?\d){12,18}(?![\d-]|[.,]\d)")
_SSN = re.compile(r"(?<![\d-])(\d{3})([- ])(\d{2})\2(\d{4})(?![\d-]|[.,]\d)")
_BARE_SSN = re.compile(r"(?<![\d-])(\d{3})(\d{2})(\d{4})(?![\d-]|[.,]\d)")
# Groups of digits with separators; the whole is no part of a longer number. Atomic: hostile digits cost no time.
_PHONE = re.compile(
    r"(?<![\w+.,/-])(?!\((?:19|20)\d\d\))"
    r"(?:\+\d{1,3}|00[1-9]\d{0,2}(?=[ ./-])|\(\+?\d{1,5}\)|0[1-9]\d{0,4}(?=[ /-])|(?:1[-. ])?\(?\d{3}\)?(?=[-. ]?\d{3}[-. ]\d{4}))"
    r"(?>(?:[ ./-]{0,2}+\(?\d{1,8}+\)?){1,6}+)(?![\w-]|[.,/]\d)"
)
_LOCAL_PHONE = re.compile(r"(?<![\w+.,/-])(?>\d{2,12}+(?:[ ./-]\d{2,5}+){0,3}+)(?![\w-]|[.,/]\d)")
_PHONE_CONTEXT = re.compile(
    r"\b(?:phones?|tel(?:e(?:phone|fon))?|cell|mobile|handy|fax|call(?:s|ed|ing)?|ring|dial|reach(?:ed)?|whatsapp|sms)\b"
    r"[^\n]{0,30}$",
    re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = r"(?P<month>(?:jan|feb|mar|mär|apr|may|mai|jun|jul|aug|sep|oct|okt|nov|dec|dez)[a-zä]{0,7})\.?"
_DATES = (
    re.compile(r"(?<![\d/.-])(?P<y>\d{4})[-/.](?P<m>\d{1,2})[-/.](?P<d>\d{1,2})(?![\d/-]|\.\d)"),
    re.compile(
        r"(?<![\d/.-])(?P<a>\d{1,2})(?P<separator>[-/.])(?P<b>\d{1,2})(?P=separator)(?P<y>\d{4}|\d{2})(?![\d/-]|\.\d)"
    ),
    re.compile(
        rf"(?<![\d.])(?P<d>\d{{1,2}})(?:st|nd|rd|th|\.)?(?: of)? {_MONTH},? (?P<y>\d{{4}})(?!\d)", re.IGNORECASE
    ),
    re.compile(rf"\b{_MONTH} (?P<d>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<y>\d{{4}})(?!\d)", re.IGNORECASE),
)
_BIRTH_CONTEXT = re.compile(
    r"(?:\bborn\b|\bbirth(?:day|date|[ -]date)?\b|\bd\.?o\.?b\b|\bgeb(?:oren|\.|urtsdatum|urtstag)|\bn[ée]e? le\b|\bnaissance\b|"
    r"\bnacid[oa]\b|\bnacimiento\b|\bnat[oa] il\b|\bnascita\b)[^\n]{0,25}$",
    re.IGNORECASE,
)
_RECORD = re.compile(r"(?<![\w-])(?:[A-Z]{1,4}[-/]?)?\d{4,12}(?:[-/]\d{1,6})?(?![\w-]|[.,]\d)")
_RECORD_CONTEXT = re.compile(
    r"(?<![&?])\b(?:MRN|NHS|ID|patient|record|chart|case|file|account|acct|policy|member|customer|client|insurance|passport|"
    r"licen[cs]e|reference|ref|invoice|claim|employee|student|Akte|Akten|Patienten?|Kunden?|Versicherten?|Rechnungs?)"
    r"(?:\.?[- ]?(?:id|number|num|nummer|no|nr|file|chart|record))?\b\.?(?:\s?(?:is|was|:|#|=|ist)){0,2}\s{0,2}#?$",
    re.IGNORECASE,
)

_IBAN_CHARS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28, "CH": 21,
    "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18, "FR": 27,
    "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26,
    "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27,
    "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25,
    "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25, "SV": 28, "TL": 23,
    "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip
"""Length of an IBAN by country. Source: SWIFT, IBAN registry."""
_IBAN = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    + "|".join(rf"{country}\d\d(?:[ -]?[A-Z0-9]){{{chars - 4}}}" for country, chars in _IBAN_CHARS.items())
    + r")(?![A-Za-z0-9])",
    re.IGNORECASE | re.ASCII,
)
_CARD_ISSUERS = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|"
    r"3(?:0[0-5]|[68]\d)\d{11}|(?:6011|65\d\d|64[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}"
)
"""Numbers of the large issuers, by first digits and length."""


def _email(match: re.Match[str]) -> str | None:
    local = match.group().partition("@")[0]
    return match.group().lower() if ".." not in local else None


def _iban(match: re.Match[str]) -> str | None:
    compact = re.sub(r"[ -]", "", match.group()).upper()
    return compact if passes_mod_97(compact) else None


def _card(match: re.Match[str]) -> str | None:
    digits = _digits(match.group())
    return digits if _CARD_ISSUERS.fullmatch(digits) and passes_luhn(digits) and len(set(digits)) > 1 else None


def _ssn(match: re.Match[str]) -> str | None:
    digits = _digits(match.group())
    return digits if is_social_security_number(digits) else None


def _phone(match: re.Match[str]) -> str | None:
    """Digits without the international prefix; of North America without the country's 1, too."""
    digits = _digits(match.group())
    if not 7 <= len(digits) <= 15 or _holds_date(match.group()) or len(set(digits)) == 1:
        return None
    digits = digits.removeprefix("00")
    return digits[1:] if len(digits) == 11 and digits[0] == "1" else digits


def _date(match: re.Match[str]) -> str | None:
    """ISO form; None where there is no such day, or nobody who lives was born on it. 3/4/1980 is read as in the US."""
    found = match.groupdict()
    year = int(found["y"])
    if len(found["y"]) == 2:
        year += 1900 if year > 30 else 2000
    if found.get("a"):
        first, second = int(found["a"]), int(found["b"])
        day_first = found["separator"] == "." or first > 12
        month, day = (second, first) if day_first else (first, second)
    else:
        month, day = _month(found), int(found["d"])
    try:
        return date(year, month, day).isoformat() if 1900 <= year <= 2035 else None
    except ValueError:
        return None


def _month(found: dict[str, str]) -> int:
    if "m" in found:
        return int(found["m"])
    name = found["month"][:3].lower()
    same = {"mär": "mar", "mai": "may", "okt": "oct", "dez": "dec"}
    return 1 + _MONTHS.index(same.get(name, name))


def _record(match: re.Match[str]) -> str | None:
    """Without separators; four digits that may be a year are none."""
    return re.sub(r"[- /]", "", match.group()).upper() if not re.fullmatch(r"(?:19|20)\d\d", match.group()) else None


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _holds_date(text: str) -> bool:
    return any(_date(match) for pattern in _DATES[:2] for match in pattern.finditer(text))


_PATTERNS = (
    _Pattern("EMAIL", _EMAIL, _email),
    _Pattern("IBAN", _IBAN, _iban),
    _Pattern("CARD", _CARD, _card),
    _Pattern("SSN", _SSN, _ssn),
    _Pattern("SSN", _BARE_SSN, _ssn, re.compile(r"\b(?:SSN|social security)\b[^\n]{0,25}$", re.IGNORECASE)),
    *(_Pattern("BIRTH_DATE", pattern, _date, _BIRTH_CONTEXT) for pattern in _DATES),
    _Pattern("RECORD_NUMBER", _RECORD, _record, _RECORD_CONTEXT),
    _Pattern("PHONE", _PHONE, _phone),
    _Pattern("PHONE", _LOCAL_PHONE, _phone, _PHONE_CONTEXT),
)


def _candidates(text: str) -> Iterator[tuple[Recognized, bool]]:
    """Everything that passes its check, with whether its context says so too; whoever may claim characters first, first."""
    for kind in _PATTERNS:
        for match in kind.pattern.finditer(text):
            form = kind.form(match)
            if form is not None:
                before = text[max(0, match.start() - CONTEXT_CHARS) : match.start()]
                in_context = kind.context is None or kind.context.search(before) is not None
                yield Recognized(kind.type, Span(*match.span()), form), in_context


def without_overlaps(text: str, found: Iterator[Recognized]) -> list[Recognized]:
    """The first claim to any character holds; in reading order."""
    claimed, kept = bytearray(len(text)), []
    for item in found:
        if not any(claimed[item.span.start : item.span.end]):
            claimed[item.span.start : item.span.end] = b"\1" * len(item.span)
            kept.append(item)
    return sorted(kept, key=lambda item: item.span)
