"""Numbers that fail their check, or stand in longer ones, are masked whole on the page and count nowhere."""

import re
import time

import pytest

from rote.personal_data.finding import Finder
from rote.personal_data.recognizing import BuiltInRecognizer
from rote.personal_data.redaction import Redactor


@pytest.mark.parametrize(
    "number",
    [
        "GB83 WEST 1234 5698 7654 32", "GB83WEST12345698765432", "DE88 3704 0044 0532 0130 00", "DE88-3704-0044-0532-0130-00",
        "FR14 2004 1010 0505 0001 3M02 607", "NL92ABNA0417164300", "DE89 3704 0044 0532 0130", "de88370400440532013000",
        "4111 1111 1111 1112", "4111-1111-1111-1112", "5500000000000005", "378282246310006", "900-12-3456", "123.456.789-00",
        "RSSMRA85T10A562T", "12345678A", "IBAN 1234 5678 9012 3456 7890", "account number 12345678 90123456 77",
        "IBAN: XX12 3456 7890 1234 5", "NHS number 943 476 5918", "PESEL 44051401358", "CPF 111.444.777-36", "SSN: 000 12 3456",
        "Aadhaar 2345 6789 0123", "passport X1234567 89", "phone 555-123-4567-8901",
    ],
)  # fmt: skip
def test_no_digit_of_a_number_that_fails_its_check_is_shown(number: str) -> None:
    for text in (f"Pay to {number} today.", f"({number})", number, f"{number}\nThen 12 went home."):
        shown = Redactor([]).redact(text).text
        left = re.sub(r"\[[A-Z ]+ \d+\]", "", shown).replace("12 went", "")
        assert not re.search(r"\d", left), shown


@pytest.mark.parametrize(
    "text",
    [
        "In 2019, 2020 and 2021 it rose by 1,234,567.", "1 2 3 4 5 6 7 8 9 10 11 12 13 14", "2019 2020 2021 2022 2023",
        "Chapter 12, page 345 of 1000.", "It weighs 3.14159265358979 kg.", "0000000000000000", "In AD1234 THE KING DIED",
        "Call it 12345.", "GB 20 million in 1998", "tax of 2,000 in 1999",
    ],
)  # fmt: skip
def test_other_numbers_stay(text: str) -> None:
    assert Redactor([]).redact(text).text == text


def test_a_right_number_keeps_its_type_and_a_wrong_one_counts_nowhere() -> None:
    assert Redactor([]).redact("to GB82 WEST 1234 5698 7654 32 now").text == "to [IBAN 1] now"
    assert Redactor([]).redact("to GB83 WEST 1234 5698 7654 32 now").text == "to [NUMBER 1] now"
    found = Finder(BuiltInRecognizer()).find("to GB83 WEST 1234 5698 7654 32 now")
    assert "IBAN" not in {item.type for item in found}


@pytest.mark.parametrize(
    "unit", ["GB12 ", "1234 ", "1", "IBAN ", "A1 ", "AB12CD34", "12-", "account 1", "GB12ABCD1234 "]
)
def test_hostile_text_costs_no_time(unit: str) -> None:
    started = time.process_time()
    Redactor([]).redact(unit * (6000 // len(unit)))
    assert time.process_time() - started < 3
