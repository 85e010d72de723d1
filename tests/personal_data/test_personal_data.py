"""Personal data: published examples of each check, what is no personal data, hostile text, forms of the same thing."""

import re
import time
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rote.personal_data.checks import is_social_security_number, passes_luhn, passes_mod_97
from rote.personal_data.finding import Finder
from rote.personal_data.national_ids import BY_COUNTRY, NATIONAL_IDS
from rote.personal_data.recognized import TYPES
from rote.personal_data.recognizing import BuiltInRecognizer

RECOGNIZER = BuiltInRecognizer()


def found(text: str) -> list[tuple[str, str]]:
    return [(item.type, item.span.of(text)) for item in RECOGNIZER.find(text)]


def forms(text: str) -> list[tuple[str, str]]:
    return [(item.type, item.form) for item in RECOGNIZER.find(text)]


# ISO 7812-1, annex B, has 7992739871 with check digit 3; the others are the test numbers that card issuers publish.
@pytest.mark.parametrize(
    "number",
    [
        "4111 1111 1111 1111",
        "4012-8888-8888-1881",
        "4222222222222",
        "5555555555554444",
        "5105 1051 0510 5100",
        "2223003122003222",
        "378282246310005",
        "3714 496353 98431",
        "6011111111111117",
        "30569309025904",
        "3530111333300000",
    ],
)
def test_published_card_numbers(number: str) -> None:
    assert found(f"charge it to {number}, please") == [("CARD", number)]
    broken = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert not [kind for kind, _ in found(f"charge it to {broken}, please") if kind == "CARD"]


def test_luhn() -> None:
    assert [digit for digit in "0123456789" if passes_luhn("7992739871" + digit)] == ["3"]
    assert not passes_luhn("4111111111111112")


@settings(max_examples=100)
@given(st.text(alphabet="0123456789", min_size=2, max_size=19), st.data())
def test_luhn_notices_every_wrong_digit(body: str, data: st.DataObject) -> None:
    number = next(body + digit for digit in "0123456789" if passes_luhn(body + digit))
    place = data.draw(st.integers(0, len(number) - 1))
    other = data.draw(st.sampled_from([digit for digit in "0123456789" if digit != number[place]]))
    assert not passes_luhn(number[:place] + other + number[place + 1 :])


def test_a_card_number_of_no_issuer_or_of_one_digit_is_none() -> None:
    no_issuer = next(number for digit in "0123456789" if passes_luhn(number := "911111111111111" + digit))
    assert found(f"{no_issuer} and 0000000000000000") == []


# The examples of the IBAN registry (SWIFT).
@pytest.mark.parametrize(
    "iban",
    [
        "GB29 NWBK 6016 1331 9268 19",
        "GB82WEST12345698765432",
        "DE89 3704 0044 0532 0130 00",
        "FR14 2004 1010 0505 0001 3M02 606",
        "NL91ABNA0417164300",
        "BE68 5390 0754 7034",
        "CH93 0076 2011 6238 5295 7",
        "NO9386011117947",
        "MT84MALT011000012345MTLCAST001S",
        "PL61109010140000071219812874",
        "BR1800360305000010009795493C1",
        "SA03 8000 0000 6080 1016 7519",
    ],
)
def test_ibans_of_the_registry(iban: str) -> None:
    assert found(f"to {iban} or CASH") == [("IBAN", iban)]
    assert forms(iban.lower()) == [("IBAN", iban.replace(" ", "").upper())]
    compact = iban.replace(" ", "")
    wrong = f"{compact[:2]}{(int(compact[2:4]) + 1) % 97:02}{compact[4:]}"
    assert not passes_mod_97(wrong)
    assert not [kind for kind, _ in found(wrong) if kind == "IBAN"]


@pytest.mark.parametrize("digits", ["000123456", "666123456", "900123456", "999123456", "123004567", "123450000"])
def test_social_security_numbers_that_are_never_assigned(digits: str) -> None:
    assert not is_social_security_number(digits)
    assert not [kind for kind, _ in found(f"{digits[:3]}-{digits[3:5]}-{digits[5:]}") if kind == "SSN"]


def test_social_security_numbers() -> None:
    assert forms("123-45-6789 and 123 45 6789") == [("SSN", "123456789")] * 2
    assert not [kind for kind, _ in found("078-05-1120, 219-09-9999") if kind == "SSN"]  # printed in advertisements
    assert found("my SSN is 123456789") == [("SSN", "123456789")]
    assert found("about 123456789 of them") == []
    assert not [kind for kind, _ in found("123-45 6789") if kind == "SSN"]


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("(555) 123-4567", "5551234567"),
        ("555-123-4567", "5551234567"),
        ("1-555-123-4567", "5551234567"),
        ("+1 555 123 4567", "5551234567"),
        ("+49 171 2345678", "491712345678"),
        ("0049 171 2345678", "491712345678"),
        ("030 1234567", "0301234567"),
        ("0171/2345678", "01712345678"),
        ("+44 (0)20 7946 0958", "4402079460958"),
    ],
)
def test_phone_numbers(written: str, form: str) -> None:
    assert forms(f"reach me at {written}, after six") == [("PHONE", form)]
    assert found(f"reach me at {written}, after six") == [("PHONE", written)]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("call,555-123-4567", ["555-123-4567"]),
        ("home/555-123-4567/555-123-4568", ["555-123-4567", "555-123-4568"]),
        ("at 555\u2013123\u20134567 or 555\u00a0123\u00a04567", ["555\u2013123\u20134567", "555\u00a0123\u00a04567"]),
        ("at (555)\u00a0123\u20114567 or 555.123.4567", ["(555)\u00a0123\u20114567", "555.123.4567"]),
        ("tel:+1-555-123-4567 ext. 89", ["+1-555-123-4567 ext. 89"]),
        (
            "\uff15\uff15\uff15-123-4567, 5\u200b55-123-45\u200b67",
            ["\uff15\uff15\uff15-123-4567", "5\u200b55-123-45\u200b67"],
        ),
        ("wrapped 555-\n123-4567", ["555-\n123-4567"]),
        ("06.12.34.56.78, 07700 900123, 07700900123", ["06.12.34.56.78", "07700 900123", "07700900123"]),
        ("+442079460958 or +91 98765 43210", ["+442079460958", "+91 98765 43210"]),
        ("my number is 5551234567", ["5551234567"]),
    ],
)
def test_telephone_numbers_however_they_are_set(text: str, written: list[str]) -> None:
    assert [item.span.of(text) for item in Finder(RECOGNIZER).find(text) if item.type == "PHONE"] == written


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("30 November 1957", "1957-11-30"),
        ("November 30th, 1957", "1957-11-30"),
        ("the 30th of November, 1957", "1957-11-30"),
        ("30-Nov-57", "1957-11-30"),
        ("30NOV1957", "1957-11-30"),
        ("Nov-30-1957", "1957-11-30"),
        ("07/19/1999", "1999-07-19"),
        ("19.07.1999", "1999-07-19"),
        ("19. 07. 1999", "1999-07-19"),
        ("19 / 07 / 1999", "1999-07-19"),
        ("1999/07/19", "1999-07-19"),
        ("3 Feb '80", "1980-02-03"),
        ("1er janvier 1980", "1980-01-01"),
        ("3 de febrero de 1982", "1982-02-03"),
        ("7 de março de 1984", "1984-03-07"),
        ("8 oktober 1985", "1985-10-08"),
        ("5 maggio 1983", "1983-05-05"),
        ("July twenty ninth two thousand eight", "2008-07-29"),
        ("third of May, nineteen eighty-four", "1984-05-03"),
        ("March 3, nineteen oh five", "1905-03-03"),
        ("30\nNovember 1957", "1957-11-30"),
    ],
)
def test_dates_without_context(written: str, form: str) -> None:
    assert forms(f"They met on {written}, at noon.") == [("DATE", form)]


@pytest.mark.parametrize(
    "text",
    [
        "I have 9 April 1953 as your birthday.",
        "could you give me your date of birth?\n21 January 1968.",
        "Roe (b. 2 March 1990)",
        "DOB 19800203",
        "d.o.b. 16 February 1986",
    ],
)
def test_dates_that_are_called_a_birth(text: str) -> None:
    assert [kind for kind, _ in found(text) if kind.endswith("DATE")] == ["BIRTH_DATE"]


# Published examples of the numbers' descriptions, or numbers whose check digits were worked out by hand.
@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("NINO AB 12 34 56 C", "AB 12 34 56 C"),
        ("NHS number 943 476 5919", "943 476 5919"),
        ("DNI 12345678Z", "12345678Z"),
        ("codice fiscale RSSMRA85T10A562S", "RSSMRA85T10A562S"),
        ("AHV 756.9217.0769.85", "756.9217.0769.85"),
        ("CPF 111.444.777-35", "111.444.777-35"),
        ("personnummer 640823-3234", "640823-3234"),
        ("HETU 131052-308T", "131052-308T"),
        ("Steuer-ID 36 574 261 809", "36 574 261 809"),
        ("PESEL 44051401359", "44051401359"),
        ("BSN 111222333", "111222333"),
        ("SIN 046 454 286", "046 454 286"),
        ("id 11010519491231002X", "11010519491231002X"),
    ],
)
def test_national_numbers(text: str, number: str) -> None:
    assert ("NATIONAL_ID", number) in found(text)
    digit = max(place for place, char in enumerate(number) if char.isdigit())
    wrong = number[:digit] + str((int(number[digit]) + 1) % 10) + number[digit + 1 :]
    if not text.startswith("NINO"):  # has no check digit
        assert "NATIONAL_ID" not in [kind for kind, _ in found(text.replace(number, wrong))]


@pytest.mark.parametrize(
    ("text", "address", "form"),
    [
        ("at 17 Tinder Lane, Corvanwick.", "17 Tinder Lane, Corvanwick", "17 tinder lane"),
        ("221B Baker Street, London NW1 6XE", "221B Baker Street, London NW1 6XE", "221b baker street"),
        ("1600 Main Ave, Springfield, IL 62701", "1600 Main Ave, Springfield, IL 62701", "1600 main avenue"),
        ("Flat 3, 27 Gasworks Parade", "Flat 3, 27 Gasworks Parade", "27 gasworks parade"),
        ("Hauptstraße 5, 10115 Berlin", "Hauptstraße 5, 10115 Berlin", "hauptstrasse 5"),
        ("12 rue de la Paix, 75002 Paris", "12 rue de la Paix, 75002 Paris", "12 rue de la paix"),
        ("Calle Mayor 10", "Calle Mayor 10", "calle mayor 10"),
        ("P.O. Box 123", "P.O. Box 123", "p o box 123"),
    ],
)
def test_postal_addresses(text: str, address: str, form: str) -> None:
    assert ("ADDRESS", address) in found(text)
    assert ("ADDRESS", form) in forms(text)


@pytest.mark.parametrize(
    "text",
    ["12 angry men", "in 1886, Robert Lane and others", "in 5 minutes he drove", "17 of the lanes", "Weg 5 Sterne"],
)
def test_what_is_no_address(text: str) -> None:
    assert "ADDRESS" not in [kind for kind, _ in found(text)]


def test_machines_and_logins() -> None:
    text = (
        "https://ann:secret@host.example.org/x from 203.0.113.7 and 2001:db8::1, not 127.0.0.1, version 1.2.3.4 or ::"
    )
    assert found(text) == [
        ("URL_LOGIN", "https://ann:secret@host.example.org"),
        ("IP_ADDRESS", "203.0.113.7"),
        ("IP_ADDRESS", "2001:db8::1"),
    ]


def test_mail_of_other_alphabets_and_written_out() -> None:
    assert found("ann.o+tag@exämple.org, müller@example.de") == [
        ("EMAIL", "ann.o+tag@exämple.org"),
        ("EMAIL", "müller@example.de"),
    ]
    assert forms("ann [at] example [dot] org") == [("EMAIL", "ann@example.org")]


def test_a_local_number_needs_a_word_that_says_so() -> None:
    assert found("phone: 555-0143.") == [("PHONE", "555-0143")]
    assert found("He scored 555-0143.") == []
    assert [item.form for item in RECOGNIZER.find_possible("He scored 555-0143.") if item.type == "PHONE"] == [
        "5550143"
    ]


@pytest.mark.parametrize(
    "text",
    [
        "at 10:30, on 10/12/14, or 3.2.80",
        "in May 1980, in 1980, from 1980 to 1985",
        "Foo et al. (1999) 24 123-130",
        "pi is 3.14159265358979, and 1,000,000 more",
        "192.168.100.200",
        "between 2020-2021 and 2022",
        "twitter.com/@someone and a@b",
        "a..b@example.org",
        "version 1.2.3-4567",
        "tel. 0000000",
    ],
)
def test_what_is_none(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("3 February 1980", "1980-02-03"),
        ("February 3rd, 1980", "1980-02-03"),
        ("3. März 1980", "1980-03-03"),
        ("1980-02-03", "1980-02-03"),
        ("2/3/1980", "1980-02-03"),
        ("13/2/1980", "1980-02-13"),
        ("3.2.1980", "1980-02-03"),
        ("2/3/80", "1980-02-03"),
        ("29 Feb 2000", "2000-02-29"),
    ],
)
def test_dates_of_birth(written: str, form: str) -> None:
    for words in ("born on", "DOB:", "date of birth", "geboren am"):
        assert forms(f"{words} {written}.") == [("BIRTH_DATE", form)]
    of_two_figures = written == "2/3/80"
    assert forms(f"seen on {written}.") == ([] if of_two_figures else [("DATE", form)])
    assert ("BIRTH_DATE", form) in [(i.type, i.form) for i in RECOGNIZER.find_possible(f"seen on {written}.")]


@pytest.mark.parametrize("written", ["30 February 1980", "1980-13-01", "31.4.1980", "29 Feb 1900", "3 May 1789"])
def test_days_that_nobody_living_was_born_on(written: str) -> None:
    assert found(f"born on {written}") == []


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("Chart AR-218840.", "AR-218840"),
        ("MRN: 0012345", "0012345"),
        ("patient ID is 991234", "991234"),
        ("Policy number A1234567", "A1234567"),
        ("Kundennummer: 8812345", "8812345"),
    ],
)
def test_record_numbers(text: str, number: str) -> None:
    assert found(text) == [("RECORD_NUMBER", number)]


@pytest.mark.parametrize("text", ["in case 2020 comes", "page?a=1&id=691977", "record 12", "AR-218840"])
def test_numbers_that_nothing_calls_a_record_number(text: str) -> None:
    assert found(text) == []


def test_mail() -> None:
    text = "Write to Ann.O'Neil+x@Example.co.uk, <bob_1@mail.example.org>."
    assert found(text) == [("EMAIL", "Ann.O'Neil+x@Example.co.uk"), ("EMAIL", "bob_1@mail.example.org")]
    assert forms("ANN@EXAMPLE.ORG") == [("EMAIL", "ann@example.org")]


@settings(max_examples=200)
@given(st.text(alphabet=st.sampled_from("0123456789+-./() @abcDE89,\n٣²é"), max_size=80))
def test_laws(text: str) -> None:
    items = RECOGNIZER.find(text)
    assert all(0 <= item.span.start < item.span.end <= len(text) for item in items)
    assert all(one.span.end <= other.span.start for one, other in pairwise(items))
    assert all(item.type in TYPES and item.form for item in items)
    possible = {(item.type, item.form) for item in RECOGNIZER.find_possible(text)}
    assert {(item.type, item.form) for item in items} <= possible


@pytest.mark.parametrize(
    "text",
    [
        "1" * 100_000,
        "1 2 3 " * 20_000,
        "a@" * 50_000,
        "1-" * 50_000,
        "(1)" * 30_000,
        "DE12 " * 20_000,
        "a@b.c" * 20_000,
    ],
)
def test_hostile_text_takes_no_time(text: str) -> None:
    start = time.process_time()
    RECOGNIZER.find(text)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "piece", ["1 Aa Aa Aa Aa Aa ", "may 3 ", "1/2/", "1-Jan-", "ann [at] x ", "fe80:", "straße 1 ", "A.B.", "e\u0301"]
)
def test_time_grows_with_the_length_alone(piece: str) -> None:
    finder, times = Finder(RECOGNIZER), []
    for chars in (3_000, 12_000):
        start = time.process_time()
        finder.find(piece * (chars // len(piece)))
        times.append(time.process_time() - start)
    assert times[1] < 12 * times[0] + 0.2  # four times the text


def test_the_docs_count_the_national_numbers_as_they_are() -> None:
    text = (Path(__file__).parents[2] / "docs" / "method" / "generations.md").read_text(encoding="utf-8")
    (counts,) = re.findall(r"(\d+) kinds of numbers of (\d+) countries", text)
    assert tuple(map(int, counts)) == (len(NATIONAL_IDS), len(BY_COUNTRY))
