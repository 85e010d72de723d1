"""What counts is what is replaced: one function for both, on hostile text, and a redacted text holds nothing that counts."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rote.personal_data.finding import Finder
from rote.personal_data.look_alikes import NUMBER
from rote.personal_data.plain import plain_of
from rote.personal_data.recognizing import BuiltInRecognizer
from rote.personal_data.redaction import Redactor
from rote.records import Span

RECOGNIZER = BuiltInRecognizer()
KNOWN = [
    ("NAME", "ann roe"), ("BIRTH_DATE", "1980-05-03"), ("PHONE", "5550143"), ("RECORD_NUMBER", "AR218840"),
    ("RECORD_NUMBER", "AR218841"), ("RECORD_NUMBER", "BK200417"),
]  # fmt: skip
PIECES = (
    "Ann Roe", "ann roe", "Mr ", "Dr. ", "Roe", "Name: ", "born ", "b. ", "on ", "3 May 1980", "3.5.1980", "1980-05-03",
    "30 November 1957", "07/19/1999", "555-123-4567", "555\u2013123\u20134567", "555\u00a0123\u00a04567", "(555) 123-4567",
    "555-0143", "phone ", "call,", "/", "-", ".", ",", " ", "\n", "\u200b", "\u00ad", "\uff15", "e\u0301", "[PHONE 1]", "[",
    "]", "[NAME 12]", "AR-218840", "DN-238467", "MRN ", "ann@x.org", "@", "17 Tinder Lane", "4111 1111 1111 1111", "12",
    "4567", "x", "X", "GB82WEST12345698765432", "192.0.2.7", ":",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.sampled_from([[], KNOWN]))
def test_what_counts_is_replaced_and_nothing_else_and_nothing_is_left(text: str, known: list[tuple[str, str]]) -> None:
    finder, redactor = Finder(RECOGNIZER, known), Redactor(known)
    items, shown = finder.find(text), redactor.redact(text)
    wide = Finder(RECOGNIZER, known, with_look_alikes=True).find(text)
    assert [item.span for item in wide] == [one.original for one in shown.replaced]
    if not any(item.type == NUMBER for item in wide):  # beside a masked number other things may be found
        assert [item.span for item in wide] == [item.span for item in items]
    assert all(any(item.span.overlap(one.span) == len(item.span) for one in wide) for item in items)
    assert all(one.span.end <= other.span.start for one, other in pairwise(items))
    assert finder.find(shown.text) == []
    assert redactor.redact(shown.text).text == shown.text
    assert {item.key for item in items} <= finder.find_possible(text)


@settings(max_examples=100, deadline=None)
@given(TEXTS, TEXTS)
def test_a_generation_is_read_with_the_end_of_its_prompt_in_both(prompt: str, generated: str) -> None:
    from rote.scoring.leaks import written_data

    counted = written_data(prompt, generated, Finder(RECOGNIZER, KNOWN))
    shown = Redactor(KNOWN).redact(generated, before=prompt)
    spans = {item.span for item in counted}
    assert all(any(span.overlap(one.original) == len(span) for one in shown.replaced) for span in spans)
    more = [one for one in shown.replaced if one.original not in spans]
    if f"[{NUMBER} " not in shown.text:  # beside a masked number other things may be found
        assert all(one.original.start == 0 for one in more)  # less than half of it was generated


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_every_span_of_a_plain_text_has_its_place_in_the_original(text: str) -> None:
    plain = plain_of(text)
    assert len(plain.text) == len(plain.starts) == len(plain.ends)
    for at in range(len(plain.text)):
        span = plain.original(Span(at, at + 1))
        assert 0 <= span.start < span.end <= len(text)
    assert list(plain.starts) == sorted(plain.starts)


def test_plain_texts() -> None:
    assert plain_of("5\u200b55\u2013123\u00a04567 \uff12\u0663 e\u0301 \U0001d7d9").text == "555-123 4567 23 é 1"
    plain = plain_of("a\u200bnn@x.org")
    assert plain.original(Span(0, 9)) == Span(0, 10)
    assert plain_of("[EMAIL 1] and [BIRTH DATE 22]").text == "[▯] and [▯]"


def test_what_one_record_names_is_found_in_others_without_a_name() -> None:
    finder = Finder(RECOGNIZER, KNOWN)
    assert [item.key for item in finder.find("so 555-0143 it was")] == [("PHONE", "5550143")]
    assert Finder(RECOGNIZER).find("so 555-0143 it was") == []
    assert [item.key for item in finder.find("on 3 May 1980")] == [("BIRTH_DATE", "1980-05-03")]


def test_record_numbers_of_a_shape_that_three_records_name_need_no_name() -> None:
    assert [item.type for item in Finder(RECOGNIZER, KNOWN).find("sent by mail. DN-238467.")] == ["RECORD_NUMBER"]
    assert Finder(RECOGNIZER, KNOWN[:5]).find("sent by mail. DN-238467.") == []


@pytest.mark.parametrize(
    "text", ["call 555-123-4567 555-123-4568", "[RECORD NUMBER 1234] 5678", "phone [EMAIL 1] 5551234567"]
)
def test_placeholders_are_no_personal_data_and_name_none(text: str) -> None:
    redactor = Redactor([])
    once = redactor.redact(text).text
    assert redactor.redact(once).text == once
