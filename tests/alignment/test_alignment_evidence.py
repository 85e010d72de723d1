"""Evidence: hand examples, kernels against the plain reference, refinement, overlaps, summaries, laws."""

from dataclasses import replace
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference_evidence as reference
from reference_alignment import aligned
from rote.alignment import CORRECTED, Passage, align
from rote.alignment.evidence import Side, Words, best_segment, mark, odds_for, share_kept, significant, word_evidence
from rote.alignment.preparation import prepare
from rote.alignment.presets import Evidence
from rote.alignment.refinement import Stretches, _join_neighbours, _resolve
from rote.alignment.summaries import _explained_by_all

assert CORRECTED.evidence is not None
RULES: Evidence = CORRECTED.evidence


def side_of(text: reference.Text, other: reference.Text) -> Side:
    terms, others = sorted(set(text.words)), sorted(set(other.words))
    places = np.arange(len(text.words), dtype=np.int32)
    words = Words(
        starts=places,
        ends=places + 1,
        terms=np.array([terms.index(word) for word in text.words], dtype=np.int32),
        counts=np.array([text.words.count(term) for term in terms], dtype=np.int32),
        is_function=np.array(text.is_function, dtype=np.int8),
        prices=(2 * np.array(text.prices)).astype(np.int8),
        first_words=places[:1],
        end_words=places[-1:] + 1,
    )
    return Side(words, np.array([others.index(term) if term in others else -1 for term in terms], dtype=np.int32))


def text_of(words: str, functions: str = "", prices: list[float] | None = None) -> reference.Text:
    found = words.split()
    inner = [1.0] * (len(found) - 1)
    return reference.Text(found, [word in functions.split() for word in found], prices or [0.0, *inner, 0.0])


def marked(side: Side, other: Side) -> np.ndarray:  # type: ignore[type-arg]
    marks = np.zeros(len(other.words.counts), np.bool_)
    mark(other.words, 0, len(other.words.terms), marks, True)
    return marks


def test_evidence_by_hand() -> None:
    """70 words that differ: c = 0.08. A kept word is worth ln(0.6 / 0.08), a lost one ln(0.4 / 0.92)."""
    own, other = text_of("red fox"), text_of(" ".join(["red", *(f"w{i}" for i in range(69))]))
    side, its = side_of(own, other), side_of(other, own)
    found = word_evidence(side, 0, 2, marked(side, its), odds_for(70, 0.6, RULES))
    assert found.tolist() == pytest.approx([log(0.6 / 0.08), log(0.4 / 0.92)])


def test_a_word_that_its_text_repeats_is_weak_evidence() -> None:
    """ "red" is 4 of 10 words, 3 of them elsewhere: x = 10 · 0.3, c = 3 / 4, more than k; so it tells nothing."""
    own = text_of("red red red red a1 a2 a3 a4 a5 a6")
    side, its = side_of(own, own), side_of(own, own)
    found = word_evidence(side, 0, 10, marked(side, its), odds_for(10, 0.6, RULES))
    assert found[:4].tolist() == [0.0] * 4
    assert found[4] == pytest.approx(log(0.6 / (0.08 * (10 / 70) ** 0.35)))


def test_a_function_word_is_weak_evidence_however_rare_in_its_text() -> None:
    own = text_of("the fox", functions="the")
    side, its = side_of(own, own), side_of(own, own)
    function, content = word_evidence(side, 0, 2, marked(side, its), odds_for(140, 0.6, RULES))
    assert function == pytest.approx(log(0.6 / (0.7 / 1.7)))
    assert content > 3 * function


def test_a_cut_inside_a_sentence_must_pay() -> None:
    own, other = text_of("x1 fox ran home x2", prices=[0, 1, 1, 1, 1, 0]), text_of("fox ran home")
    side, its = side_of(own, other), side_of(other, own)
    odds = odds_for(3, 0.6, RULES)
    assert best_segment(side, 0, 5, marked(side, its), odds, 0.0)[:2] == (1, 4)
    assert best_segment(side, 0, 5, marked(side, its), odds, 5.0)[:2] == (0, 5)
    assert best_segment(side, 0, 0, marked(side, its), odds, 5.0) == (0, 0, 0.0)


words = st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=20)
function_words = st.frozensets(st.sampled_from("abcdefghij"), max_size=3)


@st.composite
def texts(draw: st.DrawFn) -> reference.Text:
    found, functions = draw(words), draw(function_words)
    prices = draw(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=len(found) + 1, max_size=len(found) + 1))
    return reference.Text(found, [word in functions for word in found], prices)


@given(own=texts(), other=texts(), kept=st.sampled_from([0.3, 0.6, 0.95]), price=st.sampled_from([0.0, 1.0, 5.0]))
@settings(max_examples=300)
def test_the_kernels_find_what_trying_all_finds(
    own: reference.Text, other: reference.Text, kept: float, price: float
) -> None:
    side, its = side_of(own, other), side_of(other, own)
    odds, marks, size = odds_for(len(other.words), kept, RULES), marked(side, its), len(own.words)
    expected = reference.word_evidence(own, set(other.words), len(other.words), kept, RULES)
    assert word_evidence(side, 0, size, marks, odds).tolist() == pytest.approx(expected)
    first, end, worth = best_segment(side, 0, size, marks, odds, price)
    assert worth == pytest.approx(reference.greatest_evidence(own, expected, price))
    if end > first:
        assert worth == pytest.approx(reference.segment_evidence(own, expected, first, end, price))
    share = (1 + sum(word in other.words for word in own.words)) / (size + 2)
    assert share_kept(side, 0, size, marks) == pytest.approx(share)


@given(short=texts(), long=texts(), least=st.floats(0, 12))
@settings(max_examples=300)
def test_a_summary_is_given_up_early_only_where_none_is_worth_enough(
    short: reference.Text, long: reference.Text, least: float
) -> None:
    side, other, rules = side_of(short, long), side_of(long, short), RULES._replace(kept_in_summary=0.3)
    marks, size = np.zeros(len(other.words.counts), np.bool_), len(short.words)
    first, end, worth = _explained_by_all(side, other, 0, size, marks, -np.inf, rules)
    found = _explained_by_all(side, other, 0, size, marks, least, rules)
    assert found == (first, end, worth) or (worth <= least and found[2] == 0.0)
    assert not marks.any()


ranges = st.tuples(*[st.integers(0, 12)] * 4).map(
    lambda x: (*sorted({x[0], x[1], x[0] + 1})[::2], *sorted({x[2], x[3], x[2] + 1})[::2])
)
stretches = st.lists(ranges.filter(lambda x: len(x) == 4), max_size=6)


@given(found=stretches)
@settings(max_examples=300)
def test_overlaps_are_resolved_from_the_greatest_evidence_down(found: list[reference.Range]) -> None:
    worths = [float(len(found) - i) for i in range(len(found))]
    kept = _resolve(Stretches(np.array(found, dtype=np.int64).reshape(-1, 4), np.array(worths)))
    expected = reference.resolve(list(zip(found, worths, strict=True)))
    assert list(zip(map(tuple, kept.ranges.tolist()), kept.evidence.tolist(), strict=True)) == expected


@pytest.mark.parametrize(("apart", "joined"), [(20, True), (21, False)])
def test_neighbours_are_joined(apart: int, joined: bool) -> None:
    """In either order on the other side."""
    for other in ([100 + apart, 110 + apart], [90 - apart, 100 - apart]):
        pair = np.array([[0, 10, 100, 110], [10 + apart, 20 + apart, *other]])
        found = _join_neighbours(Stretches(pair.astype(np.int64), np.array([1.0, 2.0])), 20)
        assert len(found.ranges) == (1 if joined else 2)
        if joined:
            assert found.ranges[0].tolist() == [0, 20 + apart, min(100, other[0]), max(110, other[1])]
            assert found.evidence.tolist() == [3.0]


def test_more_text_asks_for_more_evidence() -> None:
    small, large = text_of("a b c d"), text_of(" ".join(f"w{i}" for i in range(400)))
    one, two = side_of(small, large), side_of(large, small)
    assert significant(8.0, 2, one, two) == pytest.approx(8.0 + 2 * log(4 * 400))
    assert significant(8.0, 2, one, two) == significant(8.0, 2, two, one)


RIVER = "The swollen river carried broken timber past the abandoned mill beside Grantham."
CHANGED = "Past the abandoned mill near Grantham, broken timber was carried by the swollen river."
OTHERS = [
    "Grandmother knitted woollen socks beside her window.",
    "Copper prices climbed sharply during autumn trading.",
]


def plain(generated: str, training: str) -> list[Passage]:
    return [passage for passage in align(generated, training, preset=CORRECTED) if passage.form == "plain"]


def test_a_rewritten_sentence_is_found_where_it_is() -> None:
    generated = f"{OTHERS[0]} {CHANGED} {OTHERS[1]}"
    (found,) = plain(generated, f"Penguins huddle together. {RIVER} Bakers proof their dough overnight.")
    assert found.generated.of(generated) == CHANGED


def test_a_passage_may_begin_inside_a_sentence() -> None:
    """A text without full stops around what it took."""
    copied = "eleven fishing boats were destroyed when the sudden storm flooded the old harbour at Grantham"
    generated = f"Penguins huddle together against freezing antarctic gales while {copied}"
    (found,) = plain(generated, copied.capitalize() + ".")
    assert found.generated.of(generated) == copied


def test_same_topic_is_not_reuse() -> None:
    one = "The fox hunts mice at night. A fox den has several exits. Young foxes leave the den in autumn."
    two = "A red fox eats berries in summer. The den of a fox is often an old badger sett. Foxes bark in winter."
    assert plain(one, two) == []


SUMMARY = (
    "Storm floods destroyed eleven fishing boats; the mayor reopened the school as a shelter for stranded families."
)
ARTICLE = [
    "The storm came in from the west on Tuesday night.",
    "By the morning eleven boats were lost, most of them used for fishing cod.",
    "Bread and candles ran out before noon.",
    "Volunteers from the next valley brought blankets.",
    "Three floods in ten years have destroyed what the harbour lived from.",
    "The mayor spoke to reporters in the rain.",
    "Some of the families had been stranded on roofs.",
    "The school was reopened, and its hall turned into a shelter.",
]


@pytest.mark.parametrize("order", [1, -1])
def test_a_summary_needs_no_similar_sentence_and_no_order(order: int) -> None:
    article = " ".join(ARTICLE[::order])
    found = {passage.form: passage for passage in align(SUMMARY, article, preset=CORRECTED)}
    assert list(found) == ["summary"]
    assert found["summary"].generated == type(found["summary"].generated)(0, len(SUMMARY))
    assert len(found["summary"].training) > 0.8 * len(article)


sentences = st.lists(
    st.lists(
        st.sampled_from(["river", "stone", "lantern", "market", "yellow", "winter", "copper", "garden", "letter"]),
        min_size=4,
        max_size=12,
    ).map(" ".join),
    min_size=1,
    max_size=8,
).map(". ".join)


@given(one=sentences, two=sentences)
@settings(max_examples=100)
def test_passages_are_those_of_the_plain_reference(one: str, two: str) -> None:
    assert align(one, two, preset=CORRECTED) == [
        replace(passage, similarity=pytest.approx(passage.similarity))  # type: ignore[arg-type]
        for passage in aligned(one, two, CORRECTED)
    ]


@given(one=sentences, two=sentences)
@settings(max_examples=100)
def test_the_sides_can_be_exchanged(one: str, two: str) -> None:
    there = {(p.form, p.generated, p.training) for p in align(one, two, preset=CORRECTED) if p.form != "verbatim"}
    back = {(p.form, p.training, p.generated) for p in align(two, one, preset=CORRECTED) if p.form != "verbatim"}
    assert there == back


def test_cuts_and_what_they_take_along() -> None:
    text = '"Oh, the fox ran." It is\nan odd tale of 3 men'
    found = prepare(text, CORRECTED, language="en").words
    pieces = [text[start:end] for start, end in zip(found.starts, found.ends, strict=True)]
    assert pieces == ['"Oh, the', "fox", 'ran."', "It is\nan odd", "tale", "men"]
    assert found.prices.tolist() == [0, 2, 2, 0, 2, 2, 0]
    assert found.is_function.tolist() == [1, 0, 0, 0, 0, 0]


def test_a_word_longer_than_a_sentence_may_be_is_cut() -> None:
    assert len(prepare("天" * 5000, CORRECTED, language="zh").words.terms) == 4997
    found = prepare("a" * 5000, CORRECTED, language="en").words
    assert found.ends.tolist() == [2000, 4000, 5000]
    assert found.prices.tolist() == [0] * 4


def test_published_presets_read_no_words() -> None:
    assert len(prepare(RIVER, replace(CORRECTED, evidence=None), language="en").words.starts) == 0
