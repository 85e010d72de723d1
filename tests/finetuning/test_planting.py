"""Planted truth: alterations by their definitions, expected kinds, places, hostile text."""

import random
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import LCSseq

import hostile
from planted import invented
from rote.alignment import CORRECTED, PAN2015
from rote.alignment.planting import (
    CONDENSED_SHARE,
    EDIT_RATES,
    condense,
    edit_words,
    expected_kinds,
    first_tokens,
    foreign_words,
    insert,
    make_plant,
    passage_chars,
    passages,
    reorder,
)
from rote.records import NOTHING, Condition, Kind, Span
from rote.scoring.overlap import longest_common_run
from rote.text import sentences, stop_words, words

TEXT = invented("a text")
FOREIGN = foreign_words(invented("foreign"))
PLANTED = [condition for condition in get_args(Condition) if condition not in NOTHING]
TEXTS = st.text(st.sampled_from("ab ., \n'é今"), max_size=60) | st.just(TEXT[:200])


def the_words(text: str) -> list[str]:
    return [span.of(text) for span in words(text)]


@given(TEXTS.filter(lambda text: "今" not in text), st.sampled_from(list(EDIT_RATES.values())), st.integers(0, 9))
@settings(max_examples=150)
def test_edits_change_at_most_their_share_of_the_words_and_know_what_they_left(
    text: str, rate: float, seed: int
) -> None:
    altered = edit_words(text, rate=rate, foreign=FOREIGN, draw=random.Random(seed))
    found = the_words(text)
    edits = min(len(found), max(1, round(rate * len(found))))
    assert LCSseq.similarity(found, the_words(altered.text)) >= len(found) - edits
    assert altered.unchanged_chars <= longest_common_run(altered.text, text) or not altered.text
    assert altered == edit_words(text, rate=rate, foreign=FOREIGN, draw=random.Random(seed))
    if not found:
        assert altered.text == text.strip()


@pytest.mark.parametrize("rate", EDIT_RATES.values())
def test_edits_happen(rate: float) -> None:
    for seed in range(20):
        altered = edit_words(TEXT, rate=rate, foreign=FOREIGN, draw=random.Random(seed))
        assert altered.text != TEXT
        assert altered.unchanged_chars < len(TEXT)
    kept = edit_words("One two, three.", rate=0.05, foreign=[], draw=random.Random(1)).text
    assert {*the_words(kept)} <= {"One", "two", "three"}
    assert kept != "One two, three."


def test_the_longest_unchanged_stretch_is_that_between_the_edits() -> None:
    for seed in range(50):
        altered = edit_words(TEXT, rate=0.01, foreign=FOREIGN, draw=random.Random(seed))
        assert altered.unchanged_chars >= (len(TEXT) - 2 * 9) / 2 - 9
        assert 0 <= longest_common_run(altered.text, TEXT) - altered.unchanged_chars < 10


@given(st.integers(0, 50), st.integers(3, 6))
@settings(max_examples=50)
def test_reordered_sentences_are_the_same_and_none_keeps_its_follower(seed: int, count: int) -> None:
    text = invented("reordered", count=count)
    altered = reorder(text, language="en", draw=random.Random(seed))
    assert altered is not None
    before, after = ([span.of(one) for span in sentences(one)] for one in (text, altered.text))
    assert sorted(before) == sorted(after)
    assert not {*pairwise(before)} & {*pairwise(after)}
    assert altered.unchanged_chars == max(map(len, before))


def test_what_cannot_be_reordered_or_condensed_is_not() -> None:
    assert reorder("One thing. Two things.", language="en", draw=random.Random(0)) is None
    assert condense("I am, you are, it was.", language="en") is None
    assert condense("今天天气很好我们一起去公园散步。明天再见。", language="zh") is None
    assert condense("", language="en") is None


@given(st.integers(0, 1000))
@settings(max_examples=50)
def test_telegraph_style_keeps_a_fifth_and_only_content_words_in_order(seed: int) -> None:
    text = invented(f"condensed {seed}") + " They were with us, and it was not about them at all."
    altered = condense(text, language="en")
    assert altered is not None
    kept, given = the_words(altered.text.lower()), the_words(text.lower())
    assert 0.7 * CONDENSED_SHARE < len(altered.text) / len(text) < 1.3 * CONDENSED_SHARE
    assert LCSseq.similarity(kept, given) == len(kept)
    assert not {*kept} & stop_words("en")
    assert altered.unchanged_chars == max(map(len, kept))


@pytest.mark.parametrize(
    ("condition", "unchanged", "expected"),
    [
        ("verbatim", 51, ("verbatim",)),
        ("verbatim", 50, ("verbatim", "near-verbatim", "paraphrase")),
        ("edited-10", 61, ("verbatim",)),
        ("edited-10", 60, ("verbatim", "near-verbatim", "paraphrase")),
        ("edited-10", 41, ("verbatim", "near-verbatim", "paraphrase")),
        ("edited-10", 40, ("near-verbatim", "paraphrase")),
        ("edited-50", 20, ("near-verbatim", "paraphrase", "weak-paraphrase")),
        ("reordered", 90, ("verbatim",)),
        ("condensed", 9, ("idea",)),
        ("expanded", 9, ("idea",)),
        ("nothing", 0, ()),
        ("nothing-alike", 0, ()),
    ],
)
def test_expected_kinds_around_the_floor(condition: Condition, unchanged: int, expected: tuple[Kind, ...]) -> None:
    assert expected_kinds(condition, unchanged, CORRECTED) == expected
    raised = replace(CORRECTED, verbatim_min_chars=CORRECTED.verbatim_min_chars + 100)
    assert expected_kinds(condition, unchanged + 100, raised) == expected


def test_no_passage_is_shorter_than_the_preset_can_see() -> None:
    assert passage_chars("verbatim", CORRECTED) == range(51, 401)
    assert passage_chars("condensed", CORRECTED) == range(400, 801)
    assert passage_chars("verbatim", PAN2015) == range(257, 401)
    assert passage_chars("expanded", PAN2015) == range(750, 1501)


def test_passages_are_the_longest_stretches_of_whole_sentences() -> None:
    text = "One here. Two there now. Three. Four is at the very end of it."
    assert [span.of(text) for span in passages(text, range(10, 26), language="en")] == [
        "One here. Two there now.",
        "Two there now. Three.",
        "Four is at the very end",
    ]
    assert [span.of(text) for span in passages(text, range(20, 31), language="en")] == [
        "One here. Two there now.",
        "Two there now. Three.",
        "Four is at the very end of it.",
    ]


def test_a_sentence_that_is_too_long_is_cut_behind_a_word() -> None:
    assert [span.of("word " * 100) for span in passages("word " * 100, range(20, 31), language="en")] == [
        "word word word word word word"
    ]
    assert passages("x" * 100, range(20, 31), language="en") == []
    assert passages("", range(1, 9), language="en") == []


@given(TEXTS, TEXTS, st.integers(0, 9))
@settings(max_examples=150)
def test_a_planted_passage_stands_where_it_is_said_to_stand(passage: str, host: str, seed: int) -> None:
    text, place = insert(passage, host, language="en", draw=random.Random(seed))
    assert place.of(text) == passage
    around = the_words(text[: place.start]) + the_words(text[place.end :])
    assert around == the_words(host)


def test_nothing_is_planted_behind_the_last_sentence() -> None:
    texts = {insert("HERE", "One. Two. Three breaks", language="en", draw=random.Random(i))[0] for i in range(40)}
    assert texts == {"HERE One. Two. Three breaks", "One. HERE Two. Three breaks", "One. Two. HERE Three breaks"}


@pytest.mark.parametrize(
    ("count", "expected"), [(0, ""), (1, "Yes"), (2, "Yes,"), (5, "Yes, he came."), (9, "Yes, he came.")]
)
def test_the_first_tokens(count: int, expected: str) -> None:
    assert first_tokens("Yes, he came.", count) == expected


def test_foreign_words_make_up_no_names_and_no_numbers() -> None:
    assert foreign_words("Ann took 3 of the B2 pills in Rome, x3.") == ["took", "of", "the", "pills", "in"]


@pytest.mark.parametrize("condition", PLANTED)
def test_a_plant_and_its_counterpart(condition: Condition) -> None:
    passage = passages(TEXT, passage_chars(condition, CORRECTED), language="en")[1]
    plant = make_plant(
        condition, TEXT, passage, preset=CORRECTED, language="en", foreign=FOREIGN, draw=random.Random(0)
    )
    assert plant is not None
    if condition == "expanded":
        assert plant.text == passage.of(TEXT)
        assert plant.counterpart.of(plant.training) == getattr(condense(plant.text, language="en"), "text", "")
        assert plant.training.startswith(TEXT[: passage.start])
        assert plant.training.endswith(TEXT[passage.end :])
    else:
        assert (plant.training, plant.counterpart) == (TEXT, passage)
    assert (plant.text == passage.of(TEXT)) == (condition in ("verbatim", "expanded"))


def test_what_falls_under_the_floor_is_not_planted() -> None:
    def planted(text: str, condition: Condition) -> object:
        whole = Span(0, len(text))
        return make_plant(
            condition, text, whole, preset=CORRECTED, language="en", foreign=FOREIGN, draw=random.Random(0)
        )

    assert planted("x" * 49, "verbatim") is None
    assert planted("x" * 50, "verbatim") is not None
    assert planted(TEXT[:180], "condensed") is None
    with pytest.raises(ValueError, match="a condition under which something is planted, got 'nothing'"):
        planted(TEXT, "nothing")


@pytest.mark.parametrize("language", ["en", "th"])
@given(st.integers(0, 10**9))
@settings(max_examples=40)
def test_hostile_texts_are_planted_or_left_alone(language: str, seed: int) -> None:
    draw = random.Random(seed)
    text, host = hostile.pair_of(draw.randrange)
    for condition in PLANTED:
        for passage in passages(text, range(20, 200), language=language)[:3]:
            hostile.assert_inside(passage, text)
            plant = make_plant(
                condition, text, passage, preset=CORRECTED, language=language, foreign=foreign_words(host), draw=draw
            )
            if plant is not None:
                whole, place = insert(plant.text, host, language=language, draw=draw)
                assert place.of(whole) == plant.text
                hostile.assert_inside(plant.counterpart, plant.training)
