"""National numbers of persons that carry check digits, by country; those that are bare digits need a word before them."""

import re
from collections.abc import Callable

from rote.personal_data.checks import passes_luhn, passes_mod_11_10, passes_verhoeff, weighted
from rote.personal_data.patterns import Pattern

_START, _END = r"(?<![\w.-])", r"(?![\w-]|[.,]\d)"
_SPANISH_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"
_FINNISH_CHARACTERS = "0123456789ABCDEFHJKLMNPRSTUVWXY"
_ITALIAN_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        [
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            1,
            0,
            5,
            7,
            9,
            13,
            15,
            17,
            19,
            21,
            2,
            4,
            18,
            20,
            11,
            3,
            6,
            8,
            12,
            14,
            16,
            10,
            22,
            25,
            24,
            23,
        ],
        strict=True,
    )
)


def _is_british_health(number: str) -> bool:
    """NHS number, modulus 11."""
    return (weighted(number, "9876543210") + sum(map(int, number))) % 11 == 0


def _is_french(number: str) -> bool:
    """NIR: 97 less the remainder; Corsica counts as 19 and 18."""
    digits = number[:13].replace("2A", "19").replace("2B", "18")
    return digits.isdigit() and 97 - int(digits) % 97 == int(number[13:])


def _is_spanish(number: str) -> bool:
    """DNI and NIE: the letter is the remainder by 23."""
    digits = number[:-1].replace("X", "0").replace("Y", "1").replace("Z", "2")
    return _SPANISH_LETTERS[int(digits) % 23] == number[-1]


def _is_italian(number: str) -> bool:
    """Codice fiscale: odd places have values of their own."""
    total = sum(
        _ITALIAN_ODD[char] if place % 2 == 0 else int(char, 36) - 10 * char.isalpha()
        for place, char in enumerate(number[:15])
    )
    return chr(ord("A") + total % 26) == number[15]


def _is_german(number: str) -> bool:
    """Tax number: ISO 7064, and some digit stands there two or three times."""
    return number[0] != "0" and passes_mod_11_10(number) and 1 < max(map(number[:10].count, number[:10])) < 4


def _is_swedish(number: str) -> bool:
    return passes_luhn(number[-10:]) and int(number[-8:-6]) <= 12


def _is_finnish(number: str) -> bool:
    return _FINNISH_CHARACTERS[int(number[:6] + number[-4:-1]) % 31] == number[-1]


def _is_norwegian(number: str) -> bool:
    """Both check digits, modulus 11."""
    first, second = -weighted(number[:9], "376189452") % 11, -weighted(number[:10], "5432765432") % 11
    return number[9:] == f"{first}{second}"


def _is_polish(number: str) -> bool:
    """PESEL."""
    return -weighted(number[:10], "1379137913") % 10 == int(number[10]) and number[2:4] != "00" and len(set(number)) > 2


def _is_belgian(number: str) -> bool:
    """97 less the remainder; born after 2000 with a 2 before."""
    return int(number[9:]) in (97 - int(number[:9]) % 97, 97 - int("2" + number[:9]) % 97)


def _is_dutch(number: str) -> bool:
    """BSN, the eleven test."""
    return (weighted(number[:8], "98765432") - int(number[8])) % 11 == 0 and int(number) > 0


def _is_swiss(number: str) -> bool:
    """AHV number, EAN-13."""
    return -weighted(number[:12], "131313131313") % 10 == int(number[12])


def _is_brazilian(number: str) -> bool:
    """CPF: two digits, modulus 11."""
    first = sum(int(digit) * weight for digit, weight in zip(number[:9], range(10, 1, -1), strict=True)) * 10 % 11 % 10
    second = (
        sum(int(digit) * weight for digit, weight in zip(number[:10], range(11, 1, -1), strict=True)) * 10 % 11 % 10
    )
    return number[9:] == f"{first}{second}" and len(set(number)) > 1


def _is_chinese(number: str) -> bool:
    """Resident identity number: ISO 7064, MOD 11-2."""
    total = sum(int(digit) * pow(2, 17 - place, 11) for place, digit in enumerate(number[:17]))
    return "10X98765432"[total % 11] == number[17]


def _is_indian(number: str) -> bool:
    """Aadhaar."""
    return number[0] in "23456789" and passes_verhoeff(number)


def _is_right_by_shape(_: str) -> bool:
    return True


def _pattern(shape: str, check: Callable[[str], bool], words: str = "") -> Pattern:
    def form(match: re.Match[str]) -> str | None:
        compact = re.sub(r"[^0-9A-Za-z+]", "", match.group()).upper()
        return compact if check(compact.replace("+", "")) else None

    context = re.compile(rf"\b(?:{words})\b[^\n]{{0,30}}$", re.IGNORECASE) if words else None
    return Pattern("NATIONAL_ID", re.compile(f"{_START}{shape}{_END}"), form, context)


BY_COUNTRY: dict[str, tuple[Pattern, ...]] = {
    "United Kingdom": (
        _pattern(
            r"(?!BG|GB|KN|NK|NT|TN|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]", _is_right_by_shape
        ),
        _pattern(r"\d{3}[ -]?\d{3}[ -]?\d{4}", _is_british_health, "NHS"),
    ),
    "France": (_pattern(r"[12] ?\d\d ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d\d|2[AB]) ?\d{3} ?\d{3} ?\d\d", _is_french),),
    "Spain": (_pattern(r"(?:\d{8}|[XYZ]-?\d{7})-?[A-Z]", _is_spanish),),
    "Italy": (_pattern(r"[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]", _is_italian),),
    "Germany": (
        _pattern(r"\d{2} ?\d{3} ?\d{3} ?\d{3}", _is_german, r"Steuer-?(?:ID|Identifikationsnummer|nummer)|IdNr"),
    ),
    "Sweden": (_pattern(r"(?:19|20)?\d\d[01]\d[0-3]\d[-+]\d{4}", _is_swedish),),
    "Finland": (_pattern(r"[0-3]\d[01]\d\d\d[-+A]\d{3}[0-9A-Y]", _is_finnish),),
    "Norway": (_pattern(r"[0-7]\d[0-1]\d{3} ?\d{5}", _is_norwegian),),
    "Poland": (_pattern(r"\d{11}", _is_polish, "PESEL"),),
    "Belgium": (
        _pattern(r"\d\d\.?\d\d\.?\d\d-?\d{3}\.?\d\d", _is_belgian, r"registre national|rijksregister\w*|NISS|INSZ"),
    ),
    "Netherlands": (_pattern(r"\d{9}", _is_dutch, "BSN|burgerservicenummer|sofinummer"),),
    "Switzerland": (_pattern(r"756\.?\d{4}\.?\d{4}\.?\d\d", _is_swiss),),
    "Brazil": (
        _pattern(r"\d{3}\.\d{3}\.\d{3}-\d\d", _is_brazilian),
        _pattern(r"\d{11}", _is_brazilian, "CPF"),
    ),
    "China": (_pattern(r"[1-9]\d{5}(?:19|20)\d\d[01]\d[0-3]\d{4}[0-9X]", _is_chinese),),
    "India": (_pattern(r"\d{4}[ -]?\d{4}[ -]?\d{4}", _is_indian, "aadhaar|uidai|uid"),),
    "Canada": (_pattern(r"\d{3}[ -]?\d{3}[ -]?\d{3}", passes_luhn, r"SIN|social insurance"),),
}
"""Some countries have more than one number: the United Kingdom (National Insurance, NHS), Brazil (CPF, with points and bare)."""
NATIONAL_IDS = tuple(pattern for patterns in BY_COUNTRY.values() for pattern in patterns)
"""Whoever may claim characters first, first."""
