"""The records: spans, identities, and the way to JSON and back."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rote.records import Estimate, Example, Match, Score, Span, TokenScores, content_id, from_row, to_row
from rote.runs import encode

ANY_TEXT = st.text(alphabet=st.characters(), max_size=40)


def test_span_is_half_open() -> None:
    span = Span(2, 5)
    assert len(span) == 3
    assert span.of("abcdefg") == "cde"
    assert span.overlap(Span(4, 9)) == 1
    assert span.overlap(Span(5, 9)) == 0


@pytest.mark.parametrize(("start", "end"), [(-1, 3), (4, 3)])
def test_span_out_of_order_is_refused_with_its_values(start: int, end: int) -> None:
    with pytest.raises(ValueError, match=f"start={start}, end={end}"):
        Span(start, end)


@pytest.mark.parametrize(("value", "reason"), [(None, None), (1.0, "too short")])
def test_score_has_a_value_or_a_reason(value: float | None, reason: str | None) -> None:
    with pytest.raises(ValueError, match="value or a reason"):
        Score("a", "verbatim", value, reason)


@given(ANY_TEXT, ANY_TEXT)
def test_every_record_survives_json(prompt: str, completion: str) -> None:
    example = Example("i", prompt, completion, "member", "g", copies=3, file="f", line=7)
    assert from_row(Example, json.loads(encode(to_row(example)))) == example
    assert example.text == prompt + completion


def test_nested_records_and_tuples_survive_json() -> None:
    match = Match("g", "e", 1, Span(1, 9), Span(3, 11), "idea", "condensed", 0.7, None, False, True)
    scores = TokenScores("p", "e", "tuned", "key", 3, 7, False)
    estimate = Estimate("loss", "tuned", "member", "all", None, None, None, 0, 3, "none", reason="nothing measured")
    for record in (match, scores, estimate):
        assert from_row(type(record), json.loads(encode(to_row(record)))) == record


@given(ANY_TEXT, ANY_TEXT)
def test_content_id_tells_the_parts_apart(first: str, second: str) -> None:
    assert content_id(first, second) == content_id(first, second)
    if first:
        assert content_id(first + second, "") != content_id(first, second) or second == ""
