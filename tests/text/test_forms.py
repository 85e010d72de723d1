"""Terms of many texts at once, against `rote.text.terms` one text at a time."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile import LANGUAGES, text_of
from rote.text import forms, terms
from rote.text.forms import TermReader

WORDS = [
    "don't",
    "Häuser",
    "e\u0301té",
    "3.14",
    "1,000",
    "_ab",
    "ab_",
    "_",
    "abc",
    "ab",
    "the",
    "The",
    "今天",
    "ไทย",
    "\ud800x",
]
TEXTS = st.lists(
    st.text(max_size=60)
    | st.lists(st.sampled_from([*WORDS, " ", "\n", "’", "\u0301"]), max_size=20).map("".join)
    | st.builds(lambda seed: text_of(random.Random(seed).randrange), st.integers(0, 1 << 32)),
    max_size=6,
)


def read(reader: TermReader, texts: list[str]) -> list[list[str]]:
    found = reader.read(texts)
    assert (found.first[0], found.first[-1]) == (0, len(found.numbers))
    bounds = zip(found.first, found.first[1:], strict=False)
    return [[reader.terms[number] for number in found.numbers[start:end]] for start, end in bounds]


def plain(texts: list[str], language: str, without_stop_words: bool) -> list[list[str]]:
    return [terms(text, language=language, without_stop_words=without_stop_words) for text in texts]


@given(batches=st.lists(TEXTS, max_size=3), language=st.sampled_from(LANGUAGES), without=st.booleans())
def test_the_terms_are_those_of_one_text_at_a_time(batches: list[list[str]], language: str, without: bool) -> None:
    reader = TermReader(language, without_stop_words=without)
    for texts in batches:
        assert read(reader, texts) == plain(texts, language, without)


def test_a_word_does_not_go_on_in_the_next_text() -> None:
    assert read(TermReader("en"), ["head", "ache", "", "今", "天"]) == [["head"], ["ach"], [], [], []]


def test_many_forms_and_long_ones() -> None:
    texts = [
        " ".join(f"word{n}x" for n in range(5000)),
        "x" * 100_000,
        " ".join(f"word{n}x" for n in range(4000, 6000)),
    ]
    reader = TermReader("xx")
    assert read(reader, texts) == plain(texts, "xx", False)
    assert len(reader.terms) == len(set(reader.terms)) == 6001


def test_forms_that_are_forgotten_are_learned_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "MAX_KNOWN_FORMS", 1)
    reader = TermReader("en")
    texts = ["gardens and gardeners", "gardeners", "violins and gardens"]
    assert [read(reader, [text]) for text in texts] == [plain([text], "en", False) for text in texts]
    assert reader.terms == ["garden", "and", "violin"]


def test_terms_are_numbered_in_the_order_of_appearance() -> None:
    reader = TermReader("en", without_stop_words=True)
    assert reader.read(["The rain, the rains and a cough"]).numbers.tolist() == [0, 0, 1]
    assert reader.read(["cough", "fever"]).numbers.tolist() == [1, 2]
    assert reader.terms == ["rain", "cough", "fever"]
