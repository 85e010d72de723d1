"""Days of the calendar in a text, in figures and in words, and whether they are called a birth.

Any whole date (day, month, year) is personal data in a record about a person (HIPAA Safe Harbor, 45 CFR 164.514(b)(2)(i)(C)).
Years alone, and months of a year, are not. Month names: English, German, French, Spanish, Portuguese, Italian, Dutch.
"""

import re
from collections.abc import Iterable, Iterator
from datetime import date

from rote.personal_data.recognized import Recognized
from rote.records import Span

YEARS = range(1900, 2036)
"""Years of dates that concern people who may be alive."""
_BEFORE_CHARS, _AFTER_CHARS = 60, 40

_MONTH_NAMES = (
    "january|januar|janvier|enero|janeiro|gennaio|januari|jänner|jan",
    "february|februar|février|fevrier|febrero|fevereiro|febbraio|februari|feb|févr",
    "march|märz|maerz|mars|marzo|março|marco|maart|mar|mär|mrz",
    "april|avril|abril|aprile|apr|avr|abr",
    "may|mai|mayo|maio|maggio|mei",
    "june|juni|juin|junio|junho|giugno|jun",
    "july|juli|juillet|julio|julho|luglio|jul|juil",
    "august|août|aout|agosto|augustus|aug|ago",
    "september|septembre|septiembre|setembro|settembre|sept|sep|set",
    "october|oktober|octobre|octubre|outubro|ottobre|oct|okt|out|ott",
    "november|novembre|noviembre|novembro|nov",
    "december|dezember|décembre|decembre|diciembre|dezembro|dicembre|dec|dez|déc|dic",
)
_MONTHS = {name: number for number, names in enumerate(_MONTH_NAMES, 1) for name in names.split("|")}
_MONTH = rf"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})(?![^\W\d_])\.?"
_B = r"[ \n]"
_OF = rf"{_B}(?:(?:of|de|del|di|do){_B})?"
_UNITS = [
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
]  # fmt: skip
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]  # fmt: skip
_ORDINALS = [
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth", "nineteenth",
    "twentieth",
]  # fmt: skip
_DAY_WORDS = (
    {word: number for number, word in enumerate(_ORDINALS, 1)}
    | {f"twenty {word}": 20 + number for number, word in enumerate(_ORDINALS[:9], 1)}
    | {"thirtieth": 30, "thirty first": 31}
)
_DAY_WORD = "|".join(sorted((word.replace(" ", "[- ]") for word in _DAY_WORDS), key=len, reverse=True))
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
_UNDER_100 = rf"(?:(?:{'|'.join(_TENS)})(?:[- ](?:{'|'.join(_UNITS[:9])})(?![a-z]))?|{_UNIT})"
_YEAR_WORD = (
    rf"(?:nineteen|twenty)(?:[- ]hundred)?(?:[- ](?:and|oh|o))?[- ]{_UNDER_100}"
    rf"|two[- ]thousand(?:[- ](?:and[- ])?{_UNDER_100})?"
)
_DAY = r"(?P<d>\d{1,2})"
_YEAR = r"(?P<y>\d{4})(?!\d)"
_SHORT_YEAR = r"(?P<y>\d{4}|'?\d\d)(?![\d:%]|[.,]\d)"
_IN_FIGURES = (
    re.compile(r"(?<![\d/.-])(?P<y>\d{4})(?P<s> ?[-/.] ?)(?P<m>\d{1,2})(?P=s)(?P<d>\d{1,2})(?![\d/-]|\.\d)"),
    re.compile(r"(?<![\d/.-])(?P<a>\d{1,2})(?P<s> ?[-/.] ?)(?P<b>\d{1,2})(?P=s)(?P<y>\d{4}|\d{2})(?![\d/-]|\.\d)"),
    re.compile(r"(?<![\d/.-])(?P<a>\d{1,2})(?P<s> )(?P<b>\d{1,2}) (?P<y>(?:19|20)\d\d)(?![\d/-]| ?\d|\.\d)"),
)
_COMPACT = re.compile(r"(?<![\w/.-])(?P<y>(?:19|20)\d\d)(?P<m>[01]\d)(?P<d>[0-3]\d)(?![\w/-]|\.\d)")
_WITH_MONTH = (
    re.compile(rf"(?<![\d.]){_DAY}(?:st|nd|rd|th|er|ter|º|°|\.)?{_OF}{_MONTH},?{_OF}{_YEAR}", re.IGNORECASE),
    re.compile(rf"(?<![^\W\d_]){_MONTH}(?:{_B}|[-/]){_DAY}(?:st|nd|rd|th)?(?:,?{_B}|[-/,]){_YEAR}", re.IGNORECASE),
    re.compile(rf"(?<![\d.]){_DAY}{_MONTH}{_YEAR}", re.IGNORECASE),
    re.compile(rf"(?<![\d.]){_DAY}[-/. ]{_MONTH}[-/. ]{_SHORT_YEAR}", re.IGNORECASE),
    re.compile(rf"(?<![\d/.-])(?P<y>\d{{4}})[-/. ]{_MONTH}[-/. ]{_DAY}(?!\d)", re.IGNORECASE),
)
_IN_WORDS = (
    re.compile(
        rf"\b{_MONTH} (?:the )?(?:(?P<dw>{_DAY_WORD})|{_DAY}(?:st|nd|rd|th)?)(?![a-z]),? (?P<yw>{_YEAR_WORD})(?![a-z])",
        re.IGNORECASE,
    ),
    re.compile(rf"\b{_MONTH} (?:the )?(?P<dw>{_DAY_WORD}),? {_YEAR}", re.IGNORECASE),
    re.compile(
        rf"(?<![a-z])(?:(?P<dw>{_DAY_WORD})|{_DAY}(?:st|nd|rd|th)?) (?:of )?{_MONTH},? (?:(?P<yw>{_YEAR_WORD})(?![a-z])|{_YEAR})",
        re.IGNORECASE,
    ),
)
_LONG_WORD = re.compile(r"(?<![^\W\d_])[^\W\d_]{3,10}(?![^\W\d_])")
_AROUND_MONTH = 70
_BORN = (
    r"\bborn\b|\bbirth(?:day|date|[ -]date)?\b|\bd\.?o\.?b\b|\bgeb(?:oren|\.|urtsdatum|urtstag)|\bn[ée]e? le\b|"
    r"\bnaissance\b|\bnacid[oa]\b|\bnacimiento\b|\bnasc(?:id[oa]|imento)\b|\bnat[oa] il\b|\bnascita\b|\bgeboortedatum\b"
)
_BIRTH_BEFORE = re.compile(rf"\bb\. ?$|(?:{_BORN})\.?[^.;\[\]]{{0,40}}$", re.IGNORECASE)
_BIRTH_AFTER = re.compile(rf"^[^.;\n\[\]\d]{{0,15}}(?:{_BORN})", re.IGNORECASE)


def find_dates(text: str, regions: Iterable[Span]) -> Iterator[tuple[Recognized, bool]]:
    """Each date, as a date of birth where it is called one; dates in figures are looked for in the regions alone.

    The second value: whether it is a date beyond doubt (two figures for the year, or none between the parts, need a word
    that says "birth").
    """
    for match, is_certain in _matches(text, regions):
        form = _form(match)
        if form is None:
            continue
        before = text[max(0, match.start() - _BEFORE_CHARS) : match.start()]
        is_birth = bool(
            _BIRTH_BEFORE.search(before) or _BIRTH_AFTER.search(text[match.end() : match.end() + _AFTER_CHARS])
        )
        span = Span(*match.span())
        if is_birth:
            yield Recognized("BIRTH_DATE", span, form), True
        else:
            yield Recognized("DATE", span, form), is_certain
            yield Recognized("BIRTH_DATE", span, form), False


def holds_date(text: str) -> bool:
    """Whether a run of figures holds a date."""
    return any(_form(match) for pattern in _IN_FIGURES[:2] for match in pattern.finditer(text))


def _matches(text: str, regions: Iterable[Span]) -> Iterator[tuple[re.Match[str], bool]]:
    for window in _near_months(text):
        for pattern in (*_IN_WORDS, *_WITH_MONTH):
            yield from ((match, True) for match in pattern.finditer(text, window.start, window.end))
    for region in regions:
        for pattern in _IN_FIGURES:
            for match in pattern.finditer(text, region.start, region.end):
                yield match, len(match["y"]) == 4 and match["s"] != " "
        yield from ((match, False) for match in _COMPACT.finditer(text, region.start, region.end))


def _near_months(text: str) -> list[Span]:
    """Where the name of a month stands, and a number may stand beside it."""
    found: list[Span] = []
    for match in _LONG_WORD.finditer(text):
        if match.group().lower() in _MONTHS:
            start, end = max(0, match.start() - _AROUND_MONTH), min(len(text), match.end() + _AROUND_MONTH)
            if found and start <= found[-1].end:
                start = found.pop().start
            found.append(Span(start, end))
    return found


def _form(match: re.Match[str]) -> str | None:
    """ISO form; None where there is no such day, or nobody who lives has seen it. 3/4/1980 is read as in the US."""
    found = {name: value for name, value in match.groupdict().items() if value}
    year = _year(found)
    if "a" in found:
        first, second = int(found["a"]), int(found["b"])
        day_first = "." in found["s"] or first > 12
        month, day = (second, first) if day_first else (first, second)
    else:
        month = int(found["m"]) if "m" in found else _MONTHS[found["month"].lower()]
        day = _DAY_WORDS[found["dw"].lower().replace("-", " ")] if "dw" in found else int(found["d"])
    try:
        return date(year, month, day).isoformat() if year in YEARS else None
    except ValueError:
        return None


def _year(found: dict[str, str]) -> int:
    if "yw" in found:
        return _year_in_words(found["yw"])
    year = int(found["y"].lstrip("'"))
    return year + (1900 if year > 30 else 2000) if year < 100 else year


def _year_in_words(text: str) -> int:
    """The year; 0 where it is none.

    >>> _year_in_words("nineteen eighty-four"), _year_in_words("two thousand and eight"), _year_in_words("nineteen oh five")
    (1984, 2008, 1905)
    """
    words = [word for word in re.split(r"[- ]", text.lower()) if word not in ("and", "oh", "o", "hundred")]
    if words[:2] == ["two", "thousand"]:
        return 2000 + _under_100(words[2:])
    return {"nineteen": 1900, "twenty": 2000}[words[0]] + _under_100(words[1:])


def _under_100(words: list[str]) -> int:
    return sum(20 + 10 * _TENS.index(word) if word in _TENS else 1 + _UNITS.index(word) for word in words)
