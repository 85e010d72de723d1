"""What looks like an identifying number and fails its check, or is part of a longer one: masked on the page, not counted.

An account number with one wrong digit is no IBAN, and still nobody's business: half of it in clear beside a placeholder
would show the rest. What is masked is therefore wider than what is counted.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from rote.personal_data.national_ids import NATIONAL_IDS
from rote.personal_data.patterns import CONTEXT_CHARS, IBAN_COUNTRIES, PATTERNS
from rote.personal_data.recognized import Recognized
from rote.records import Span

NUMBER = "NUMBER"
"""The type of a look-alike; never counted."""
LEAST_DIGITS = 6
"""A group of characters that is called an account or a national number has at least so many digits."""
_GROUP = r"(?=[A-Z]{0,12}\d)[A-Z0-9]{1,60}+"  # possessive, as all that repeats here: hostile digits cost no time
_GROUPED_IBAN = re.compile(
    rf"(?<![^\W_])(?:{'|'.join(IBAN_COUNTRIES)})\d\d(?:[ \n./-]?+[A-Z0-9]{{4}}){{1,2}}+"
    r"(?:[ \n./-]?+(?=[A-Z]{0,3}\d)[A-Z0-9]{1,4}+){1,9}+(?![^\W_])"
)
_WHOLE_IBAN = re.compile(
    rf"(?<![^\W_])(?:{'|'.join(IBAN_COUNTRIES)})\d\d[A-Z0-9]{{8,34}}(?![^\W_])", re.IGNORECASE | re.ASCII
)
_NAMED = re.compile(
    r"\b(?:IBAN|BBAN|account|acct|a/c|Konto(?:nummer)?|compte|cuenta|(?:credit|debit|bank|payment) card|card|visa|mastercard|"
    r"amex|SSN|social security|social insurance|national insurance|NINO|NHS|SIN|PESEL|BSN|CPF|CNPJ|DNI|NIE|NIF|NIR|NISS|"
    r"INSZ|AHV|AVS|aadhaar|PAN|codice fiscale|personnummer|fødselsnummer|henkilötunnus|sécurité sociale|Steuer-?ID|"
    r"Steuer-?(?:identifikations)?nummer|IdNr|passport|tax|licen[cs]e)"
    r"(?:[ -]?(?:id|number|num|nummer|no|nr|code))?\b\.?['\"]?[\s:=#(]{0,3}(?:(?:is|was|ist|est|es|no|nr)\b[.:]?\s{0,2}){0,2}"
    rf"(?P<number>(?:[A-Z]{{2,6}}[ -]?)?{_GROUP}(?:[ \n./-]{{1,2}}(?:[A-Z]{{4}}[ ./-])?{_GROUP}){{0,9}})(?![^\W_])",
    re.IGNORECASE | re.ASCII,
)
_RUN = re.compile(r"(?:[ \n./-]?[A-Z]{0,2}\d{3,}+|-\d{1,2}+)++(?![^\W_]|[.,]\d)")
_RUN_BEFORE = re.compile(r"(?<![^\W_])(?<![.,-])(?:\d{3,}+[ ./-]?)+$")
_NUMBERS = ("IBAN", "CARD", "SSN", "NATIONAL_ID", "RECORD_NUMBER", "PHONE")
_YEARS = re.compile(r"(?:(?:19|20)\d\d\D?)+")


def with_look_alikes(text: str, found: Sequence[Recognized]) -> list[Recognized]:
    """What was found, and look-alikes; where one overlaps what was found, both become one look-alike.

    Numbers that were found reach to the end of the digits that they stand in. In reading order, no two overlap.
    """
    wide = [item.span for item in _alike(text)]
    wide += [_whole(text, item) for item in found]
    merged = _merged(span for span in wide if not any(_holds(item.span, span) for item in found))
    for item in found:
        merged = _merged([*merged, item.span]) if any(_meet(item.span, span) for span in merged) else merged
    kept = [item for item in found if not any(_meet(item.span, span) for span in merged)]
    added = [_as_found(text, span, found) for span in merged]
    return sorted([*kept, *added], key=lambda item: item.span)


def _as_found(text: str, span: Span, found: Iterable[Recognized]) -> Recognized:
    """The item that covers the whole span, or a look-alike."""
    same = next((item for item in found if item.span == span), None)
    return same or Recognized(NUMBER, span, re.sub(r"[^0-9A-Za-z]", "", span.of(text)).upper())


def _alike(text: str) -> Iterator[Recognized]:
    for kind in (*PATTERNS, *NATIONAL_IDS):
        for match in kind.pattern.finditer(text):
            before = text[max(0, match.start() - CONTEXT_CHARS) : match.start()]
            if _may_be_one(match.group()) and (kind.context is None or kind.context.search(before)):
                yield Recognized(NUMBER, Span(*match.span()), "")
    for pattern, group in ((_GROUPED_IBAN, 0), (_WHOLE_IBAN, 0), (_NAMED, "number")):
        for match in pattern.finditer(text):
            if len(re.findall(r"\d", match[group])) >= LEAST_DIGITS:
                yield Recognized(NUMBER, Span(*match.span(group)), "")


def _may_be_one(written: str) -> bool:
    """Not a list of short numbers or of years, nor one digit repeated."""
    groups = re.findall(r"[^\W_]+", written)
    digits = re.sub(r"\D", "", written)
    return (len(groups) < 6 or max(map(len, groups)) > 3) and not _YEARS.fullmatch(written) and len(set(digits)) > 1


def _whole(text: str, item: Recognized) -> Span:
    """The span of a number with the groups of digits that it stands in."""
    if item.type not in _NUMBERS or not text[item.span.end - 1].isdigit():
        return item.span
    after = _RUN.match(text, item.span.end)
    before = _RUN_BEFORE.search(text, max(0, item.span.start - CONTEXT_CHARS), item.span.start)
    return Span(before.start() if before else item.span.start, after.end() if after else item.span.end)


def _meet(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end


def _holds(one: Span, other: Span) -> bool:
    return one.start <= other.start and other.end <= one.end


def _merged(spans: Iterable[Span]) -> list[Span]:
    """Overlapping spans as one."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and span.start < merged[-1].end:
            merged[-1] = Span(merged[-1].start, max(merged[-1].end, span.end))
        else:
            merged.append(span)
    return merged
