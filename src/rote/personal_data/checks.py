"""Check digits and the numbers that are never assigned."""


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


def passes_mod_11_10(digits: str) -> bool:
    """Whether the last digit is the check digit of the others. Source: ISO/IEC 7064, MOD 11,10.

    >>> passes_mod_11_10("36574261809"), passes_mod_11_10("36574261890")
    (True, False)
    """
    check = 10
    for digit in digits[:-1]:
        check = ((check + int(digit)) % 10 or 10) * 2 % 11
    return (check + int(digits[-1])) % 10 == 1


def weighted(digits: str, weights: str) -> int:
    """Sum of digits times weights, each weight one digit.

    >>> weighted("123", "321")
    10
    """
    return sum(int(digit) * int(weight) for digit, weight in zip(digits, weights, strict=True))


_DIHEDRAL = [
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678", "5987604321", "6598710432", "7659821043",
    "8765932104", "9876543210",
]  # fmt: skip
_PERMUTED = [
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
]  # fmt: skip


def passes_verhoeff(digits: str) -> bool:
    """Whether the last digit is the check digit of the others. Source: Verhoeff (1969), Error detecting decimal codes.

    >>> passes_verhoeff("2363"), passes_verhoeff("2364")
    (True, False)
    """
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(_DIHEDRAL[check][int(_PERMUTED[place % 8][int(digit)])])
    return check == 0


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
