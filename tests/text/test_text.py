"""Words, sentences, terms, repetition: planted truth, laws, hostile text."""

import itertools
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hostile
import reference_sentences as reference
from rote.errors import ConfigError
from rote.text import (
    is_repetitive,
    is_unspaced,
    sentences,
    stem,
    stop_words,
    terms,
    tokens,
    words,
)
from rote.text.splitting import MAX_SENTENCE_CHARS

ANY_TEXT = st.text(max_size=300) | st.lists(
    st.sampled_from(
        ["Dr. Roe", "she said", "?", ".", "\n", "\n\n", " ", "Doctor: ", "3.", "。", "ไทย", "e\u0301", "\ud800", "\0"]
    ),
    max_size=60,
).map("".join)


def split(text: str, language: str = "en") -> list[str]:
    return [span.of(text) for span in sentences(text, language=language)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t ", []),
        ("One word", ["One word"]),
        ("It rained. We left.", ["It rained.", "We left."]),
        ("Dr. Ann B. Roe came at 3 p.m. She stayed.", ["Dr. Ann B. Roe came at 3 p.m.", "She stayed."]),
        ("Take e.g. 2.5 mg daily. Rest.", ["Take e.g. 2.5 mg daily.", "Rest."]),
        ("We met in the U.S. Army there.", ["We met in the U.S. Army there."]),
        ("See No. 5 there. I said no. Then 3 came.", ["See No. 5 there.", "I said no.", "Then 3 came."]),
        ('"Why?" she asked. "No!" (He left.) Fine', ['"Why?" she asked.', '"No!"', "(He left.)", "Fine"]),
        ("Well... maybe. Oh… Yes", ["Well... maybe.", "Oh…", "Yes"]),
        ("A title\n\nThe text goes\non here.", ["A title", "The text goes\non here."]),
        ("Doctor: does it hurt\nPatient: yes, a lot", ["Doctor: does it hurt", "Patient: yes, a lot"]),
        ("Bring\n- milk\n- bread", ["Bring", "- milk", "- bread"]),
        ("wrapped at\nsome column", ["wrapped at\nsome column"]),
    ],
)
def test_english_sentences(text: str, expected: list[str]) -> None:
    assert split(text) == expected


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Am 3. Mai kam Hr. Roe z.B. nach Ulm. Er blieb.", "de", ["Am 3. Mai kam Hr. Roe z.B. nach Ulm.", "Er blieb."]),
        ("今天很好。我们走吧！好", "zh", ["今天很好。", "我们走吧！", "好"]),
        ("สวัสดีครับ ผมชื่อสมชาย", "th", ["สวัสดีครับ", "ผมชื่อสมชาย"]),
        ("مرحبا بك. كيف حالك؟ أنا بخير", "ar", ["مرحبا بك.", "كيف حالك؟", "أنا بخير"]),
    ],
)
def test_sentences_of_other_languages(text: str, language: str, expected: list[str]) -> None:
    assert split(text, language) == expected


@given(text=ANY_TEXT)
@settings(max_examples=100)
def test_sentences_are_ordered_and_lose_only_white_space(text: str) -> None:
    spans = sentences(text)
    rebuilt = "".join(span.of(text) for span in spans)
    assert "".join(rebuilt.split()) == "".join(text.split())
    assert all(one.end <= two.start for one, two in itertools.pairwise(spans))
    assert all(0 < len(span) <= MAX_SENTENCE_CHARS and span.of(text) == span.of(text).strip() for span in spans)


FRAGMENTS = [
    *(
        "U.S. ",
        "The ",
        "the ",
        "a.m.",
        "I. ",
        "J. ",
        "No. 5",
        "'!\"",
        "...",
        "!!!!!!!!!",
        "\"'”’»)",
        "(a) ",
        "- ",
        "12) ",
        "1.\t",
    ),
    *(
        "Mr Roe: ",
        "a b c: ",
        "abcdefghijklmnopqrstuvwxyz: ",
        "Am 3. Mai",
        "İ.",
        "\xa0",
        "\u2003",
        "² ",
        "etc.\nThe",
        "don’t ",
    ),
    *(
        "x" * 30,
        "word " * 300,
        "¿",
        "「",
        "」",
        "！",
        "ሀ።",
        "_a_",
        "५। ",
        "ไทย ไทย",
        "\n",
        "\n\n",
        ". ",
        "Dr. Roe ",
        "e.g. ",
        "\0",
    ),
]
fragments = st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join)


@given(text=ANY_TEXT | fragments, language=st.sampled_from([*hostile.LANGUAGES, "fr"]))
@settings(max_examples=500)
def test_sentences_are_those_of_the_reference(text: str, language: str) -> None:
    assert sentences(text, language=language) == reference.sentences(text, language)


@given(text=ANY_TEXT)
@settings(max_examples=100)
def test_tokens_are_the_whole_text_and_hold_the_words(text: str) -> None:
    spans = tokens(text)
    assert "".join(span.of(text) for span in spans) == text
    assert set(words(text)) <= set(spans)


def test_words_keep_apostrophes_numbers_and_combining_marks() -> None:
    text = "I don’t pay 1,000.50 for cafe\u0301s—'really'!"
    assert [span.of(text) for span in words(text)] == ["I", "don’t", "pay", "1,000.50", "for", "cafe\u0301s", "really"]


def test_unspaced_scripts_give_characters_as_words_and_pairs_as_terms() -> None:
    text = "天很好 ok天"
    assert [span.of(text) for span in words(text)] == ["天", "很", "好", "ok", "天"]
    assert terms(text, language="zh") == ["天很", "很好"]
    assert is_unspaced("天")
    assert not is_unspaced("ok")


def test_terms_are_long_stems_without_punctuation() -> None:
    assert terms("The DOGS were swimming, at 120 — ok?", language="en") == ["the", "dog", "were", "swim", "120"]
    assert terms("The dogs don't", language="en", without_stop_words=True) == ["dog"]
    assert terms("", language="en") == []


def test_composed_and_decomposed_words_have_one_stem() -> None:
    assert stem("Mu\u0308ller", "de") == stem("Müller", "de")


def test_stop_words_are_known_for_english_and_german_only() -> None:
    assert "the" in stop_words("en")
    assert "und" in stop_words("de")
    assert stop_words("fr") == frozenset()


@pytest.mark.parametrize("language", ["english", "EN", "", "e"])
def test_a_wrong_language_is_named(language: str) -> None:
    with pytest.raises(ConfigError, match=rf"ISO 639-1 code .* found '{language}'"):
        sentences("Text.", language=language)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", False),
        ("yes yes yes", False),
        ("the cat sat on the mat. " * 10, True),
        (" ".join(f"word{i}" for i in range(80)), False),
        (" ".join(f"word{i}" for i in range(40)) + " and so on" * 30, True),
        (" ".join(f"word{i}" for i in range(60)) + " and so on" * 8, False),
        ("a" * 100, True),
        (")" * 100, True),
        ("很好" * 40, True),
    ],
)
def test_repetition_is_seen(text: str, expected: bool) -> None:
    """Acceptance case 8 (the filter's half of it)."""
    assert is_repetitive(text) is expected


@pytest.mark.parametrize(
    "piece", ["a ", "b", " ", ".", "\n", "1", "1.", "天", "\u0301", "Yes. ", "'", "\0", "a@b", "A: \n"]
)
def test_time_is_linear_in_hostile_text(piece: str) -> None:
    text = piece * (60_000 // len(piece))
    start = time.process_time()
    sentences(text)
    terms(text, language="en")
    tokens(text)
    is_repetitive(text)
    assert time.process_time() - start < 4
