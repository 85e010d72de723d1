"""Personal data that has a form of its own: mail, numbers with check digits, telephone and record numbers, addresses of
machines and logins in links.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from rote.personal_data.checks import is_social_security_number, passes_luhn, passes_mod_97
from rote.personal_data.dates import holds_date
from rote.personal_data.recognized import Recognized
from rote.records import Span

CONTEXT_CHARS = 40
"""Words that say what a number is stand at most that far before it."""

_Form = Callable[[re.Match[str]], str | None]


@dataclass(frozen=True, slots=True)
class Pattern:
    """How one type looks; `form` gives the normal form, or None where the check fails."""

    type: str
    pattern: re.Pattern[str]
    form: _Form
    context: re.Pattern[str] | None = None
    """What must stand before it; None: it speaks for itself."""


_LABEL = r"[^\W_](?:[\w-]{0,61}[^\W_])?"
_EMAIL = re.compile(rf"(?<![\w.+-])[^\W_](?:[\w.%+'-]{{0,62}}[\w%+-])?@(?:{_LABEL}\.)+[^\W\d_]{{2,24}}(?![\w@-])")
_WRITTEN_OUT = re.compile(
    r"(?<![\w.+-])[^\W_][\w.+-]{0,62} ?[\[(]at[\])] ?[^\W_][\w-]{0,62}(?:(?: ?[\[(]dot[\])] ?|\.)[^\W_][\w-]{0,62}){1,4}",
    re.IGNORECASE,
)
_LOGIN = re.compile(
    r"\b(?:https?|ftps?|ssh|sftp|mongodb|postgres(?:ql)?|mysql|redis|amqp)://[^\s/@:]{1,64}(?::[^\s/@]{0,64})?@[\w.-]{1,253}",
    re.IGNORECASE,
)
_CARD = re.compile(r"(?<![\d.,-])\d(?:[ \n-]?\d){12,18}(?![\d-]|[.,]\d)")
_SSN = re.compile(r"(?<![\d-])(\d{3})([- ])(\d{2})\2(\d{4})(?![\d-]|[.,]\d)")
_BARE_SSN = re.compile(r"(?<![\d-])(\d{3})(\d{2})(\d{4})(?![\d-]|[.,]\d)")
_SSN_CONTEXT = re.compile(r"\b(?:SSN|social security)\b[^\n]{0,25}$", re.IGNORECASE)
# What may stand before a telephone number: no part of a longer number or of a code such as AR-5551.
_BEFORE_PHONE = r"(?<![\w+])(?<![A-Z\d]-)(?<!\d[.,])(?<!\d/)"
_EXTENSION = r"(?:,? ?(?:ext(?:ension|n)?\.?|x|#) ?\d{1,6}(?!\d))?"
_NORTH_AMERICAN = re.compile(
    rf"{_BEFORE_PHONE}(?:\+?1[-. /]{{0,2}})?(?:\(\d{{3}}\)[-. \n/]{{0,2}}|\d{{3}}[-. \n/]{{0,2}})\d{{3}}[-. \n]\d{{4}}"
    rf"{_EXTENSION}(?![\w-]|[.,]\d)",
    re.IGNORECASE,
)
_PAIRS = re.compile(rf"{_BEFORE_PHONE}0\d(?:[-. ]\d\d){{4}}(?![\w-]|[.,]\d)")
_MOBILE = re.compile(rf"{_BEFORE_PHONE}(?:07\d{{9}}|0[67]\d{{8}}|01[5-7]\d{{8,9}})(?![\w-]|[.,]\d)")
# Groups of digits with separators; the whole is no part of a longer number. Atomic: hostile digits cost no time.
_PHONE = re.compile(
    rf"{_BEFORE_PHONE}(?!\((?:19|20)\d\d\))"
    r"(?:\+\d{1,3}|00[1-9]\d{0,2}(?=[ ./-])|\(\+?\d{1,5}\)|0[1-9]\d{0,4}(?=[ /-])|(?:1[-. ])?\(?\d{3}\)?(?=[-. ]?\d{3}[-. ]\d{4}))"
    rf"(?>(?:[ ./-]{{0,2}}+\(?\d{{1,8}}+\)?){{1,6}}+){_EXTENSION}(?![\w-]|[.,/]\d)",
    re.IGNORECASE,
)
_LOCAL_PHONE = re.compile(
    rf"{_BEFORE_PHONE}(?>\d{{2,12}}+(?:[ ./-]\d{{2,5}}+){{0,3}}+){_EXTENSION}(?![\w-]|[.,/]\d)", re.IGNORECASE
)
_PHONE_CONTEXT = re.compile(
    r"\b(?:phones?|ph|tel(?:e(?:phone|fon))?|cell|mobile|mob|handy|fax|call(?:s|ed|ing)?|ring|dial|reach(?:ed)?|whatsapp|sms|"
    r"t[ée]l[ée]phone|tel[ée]fono|telefone|telefono|telefoon|(?:my|his|her|their|our|contact|home|work) number|number is)\b"
    r"[^\n]{0,30}$",
    re.IGNORECASE,
)
_RECORD = re.compile(
    r"(?<![\w-])(?:(?:[A-Z]{1,4}[-/]?)?\d{4,12}(?:[-/]\d{1,6})?|\d{2,3}(?:-\d{2,4}){1,3}|\d{3} \d{3}(?: \d{3,4})?)(?![\w-]|[.,]\d)"
)
_RECORD_CONTEXT = re.compile(
    r"(?<![&?])\b(?:MRN|NHS|ID|patient|record|chart|case|file|account|acct|policy|member|customer|client|insurance|passport|"
    r"licen[cs]e|reference|ref|invoice|claim|employee|student|hospital|unit|enrol?ment|tax|visa|permit|Akte|Akten|Patienten?|Kunden?|Versicherten?|Rechnungs?)"
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
    + "|".join(rf"{country}\d\d(?:[ \n-]?[A-Z0-9]){{{chars - 4}}}" for country, chars in _IBAN_CHARS.items())
    + r")(?![A-Za-z0-9])",
    re.IGNORECASE | re.ASCII,
)
IBAN_COUNTRIES = tuple(_IBAN_CHARS)
"""Codes of the countries whose accounts have an IBAN."""
_CARD_ISSUERS = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|"
    r"3(?:0[0-5]|[68]\d)\d{11}|(?:6011|65\d\d|64[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}"
)
"""Numbers of the large issuers, by first digits and length."""


_IPV4 = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?=[0-9a-f:]{0,38}:[0-9a-f]{0,4}:)[0-9a-f:]{3,39}(?![\w:]|\.\d)", re.IGNORECASE)
_NO_IP = re.compile(r"\b(?:v|ver|version|release|section|chapter|build|firmware|§)\.? ?$", re.IGNORECASE)


def _email(match: re.Match[str]) -> str | None:
    local = match.group().partition("@")[0]
    return match.group().lower() if ".." not in local else None


def _written_out(match: re.Match[str]) -> str | None:
    at = re.sub(r" ?[\[(]at[\])] ?", "@", match.group(), count=1, flags=re.IGNORECASE)
    return re.sub(r" ?[\[(]dot[\])] ?", ".", at, flags=re.IGNORECASE).lower()


def _login(match: re.Match[str]) -> str | None:
    return match.group().lower()


def _iban(match: re.Match[str]) -> str | None:
    compact = re.sub(r"[ \n-]", "", match.group()).upper()
    return compact if passes_mod_97(compact) else None


def _card(match: re.Match[str]) -> str | None:
    digits = _digits(match.group())
    return digits if _CARD_ISSUERS.fullmatch(digits) and passes_luhn(digits) and len(set(digits)) > 1 else None


def _ssn(match: re.Match[str]) -> str | None:
    digits = _digits(match.group())
    return digits if is_social_security_number(digits) else None


def _phone(match: re.Match[str]) -> str | None:
    """Digits without extension and international prefix; of North America without the country's 1, too."""
    written = re.split(r"[ext#]", match.group(), maxsplit=1, flags=re.IGNORECASE)[0]
    digits = _digits(written)
    if not 7 <= len(digits) <= 15 or holds_date(written) or len(set(digits)) == 1:
        return None
    digits = digits.removeprefix("00")
    return digits[1:] if len(digits) == 11 and digits[0] == "1" else digits


def _record(match: re.Match[str]) -> str | None:
    """Without separators; four digits that may be a year are none."""
    return re.sub(r"[- /]", "", match.group()).upper() if not re.fullmatch(r"(?:19|20)\d\d", match.group()) else None


def _ip(match: re.Match[str]) -> str | None:
    """In the shortest writing; addresses of no machine in particular (private, of this machine, of many) are none."""
    if _NO_IP.search(match.string[max(0, match.start() - 12) : match.start()]):
        return None
    try:
        address = ipaddress.ip_address(match.group())
    except ValueError:
        return None
    return None if address.is_loopback or address.is_unspecified or _is_local(address) else str(address)


def _is_local(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    private = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "255.0.0.0/8", "0.0.0.0/8", "fc00::/7")
    return address.is_link_local or address.is_multicast or any(address in ipaddress.ip_network(one) for one in private)


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


_LINKS = (Pattern("URL_LOGIN", _LOGIN, _login), Pattern("EMAIL", _EMAIL, _email))
_OBFUSCATED = (Pattern("EMAIL", _WRITTEN_OUT, _written_out),)
PATTERNS = (
    Pattern("IBAN", _IBAN, _iban),
    Pattern("CARD", _CARD, _card),
    Pattern("SSN", _SSN, _ssn),
    Pattern("SSN", _BARE_SSN, _ssn, _SSN_CONTEXT),
)
"""What is claimed before national numbers and dates."""
LATER_PATTERNS = (
    Pattern("RECORD_NUMBER", _RECORD, _record, _RECORD_CONTEXT),
    Pattern("PHONE", _NORTH_AMERICAN, _phone),
    Pattern("PHONE", _PAIRS, _phone),
    Pattern("PHONE", _MOBILE, _phone),
    Pattern("PHONE", _PHONE, _phone),
    Pattern("PHONE", _LOCAL_PHONE, _phone, _PHONE_CONTEXT),
    Pattern("IP_ADDRESS", _IPV4, _ip),
)
"""What is claimed after them."""


_REGION = re.compile(r"\d(?:\D{0,10}\d){3,}")
_REGION_MARGIN = 16


def number_regions(text: str) -> list[Span]:
    """Where numbers of at least four digits may stand, with what may belong to them: the rest need not be searched."""
    found: list[Span] = []
    for match in _REGION.finditer(text):
        start, end = max(0, match.start() - _REGION_MARGIN), min(len(text), match.end() + _REGION_MARGIN)
        if found and start <= found[-1].end:
            start = found.pop().start
        found.append(Span(start, end))
    return found


def find_patterns(
    text: str, patterns: tuple[Pattern, ...], regions: Iterable[Span]
) -> Iterator[tuple[Recognized, bool]]:
    """Everything in these regions that passes its check, with whether its context says so too.

    Whoever may claim characters first comes first.
    """
    for kind in patterns:
        for region in regions:
            for match in kind.pattern.finditer(text, region.start, region.end):
                form = kind.form(match)
                if form is not None:
                    before = text[max(0, match.start() - CONTEXT_CHARS) : match.start()]
                    in_context = kind.context is None or kind.context.search(before) is not None
                    yield Recognized(kind.type, Span(*match.span()), form), in_context


def find_links(text: str) -> Iterator[tuple[Recognized, bool]]:
    """Logins in links, and mail addresses."""
    whole = [Span(0, len(text))]
    if "@" in text:
        yield from find_patterns(text, _LINKS, whole)
    if "at]" in text.lower() or "at)" in text.lower():
        yield from find_patterns(text, _OBFUSCATED, whole)


def find_hexadecimal(text: str) -> Iterator[tuple[Recognized, bool]]:
    """Addresses of machines in their newer form."""
    if text.count(":") > 1:
        yield from find_patterns(text, (Pattern("IP_ADDRESS", _IPV6, _ip),), [Span(0, len(text))])
