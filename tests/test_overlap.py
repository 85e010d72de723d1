"""Overlap measures: against slow references and the rouge-score package; planted runs; empty and hostile text."""

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer, tokenize

from rote.scoring.overlap import Overlap, compare, edit_similarity, longest_common_run, rouge_l

SMALL = st.text(alphabet="ab c", max_size=30)
ANY = st.text(max_size=60)


def slow_longest_common_run(first: str, second: str) -> int:
    return max(
        (n for i in range(len(first)) for n in range(len(first) - i + 1) if first[i : i + n] in second), default=0
    )


def slow_levenshtein(first: str, second: str) -> int:
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        row, before = [i], row
        for j, b in enumerate(second, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b)))
    return row[-1]


@settings(deadline=None, max_examples=200)
@given(SMALL, SMALL)
def test_longest_common_run_is_exact(first: str, second: str) -> None:
    assert longest_common_run(first, second) == slow_longest_common_run(first, second)


@settings(deadline=None, max_examples=100)
@given(ANY, ANY, ANY, ANY, ANY)
def test_a_planted_run_is_found(planted: str, a: str, b: str, c: str, d: str) -> None:
    assert longest_common_run(a + planted + b, c + planted + d) >= len(planted)


def test_a_long_edited_copy_is_measured_exactly_and_soon() -> None:
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefgh", k=draw.randint(2, 8))) for _ in range(2000)]
    text = " ".join(draw.choices(words, k=20_000))[:100_000]
    edited = text[:30_000] + "#" + text[30_001:88_123] + "#" + text[88_124:]
    start = time.perf_counter()
    assert longest_common_run(text, edited) == 88_123 - 30_001
    assert longest_common_run("a" * 100_000, "a" * 50_000 + "b" + "a" * 49_000) == 50_000
    assert time.perf_counter() - start < 10


@settings(deadline=None, max_examples=100)
@given(SMALL, SMALL)
def test_edit_similarity_is_levenshtein(first: str, second: str) -> None:
    longer = max(len(first), len(second))
    expected = 1 - slow_levenshtein(first, second) / longer if first and second else 0.0
    assert edit_similarity(first, second) == pytest.approx(expected, abs=1e-12)


WORD = st.sampled_from(["the", "pain", "Back", "39.5", "don't", "pain,", "(mild)", "x"])


@settings(deadline=None, max_examples=200)
@given(st.lists(WORD, max_size=25), st.lists(WORD, max_size=25))
def test_rouge_l_equals_rouge_score(first: list[str], second: list[str]) -> None:
    generated, reference = " ".join(first), " ".join(second)
    theirs = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False).score(reference, generated)["rougeL"].fmeasure
    ours = rouge_l(tokenize.tokenize(generated, None), tokenize.tokenize(reference, None))
    assert ours == pytest.approx(theirs, abs=1e-9)


@pytest.mark.parametrize(
    ("generated", "reference"), [("", ""), ("", "text"), ("text", ""), (" \n", "text"), ("...", "a b")]
)
def test_nothing_generated_is_nothing_remembered(generated: str, reference: str) -> None:
    assert compare(generated, reference) == Overlap(0, 0.0, 0.0)
    assert rouge_l([], []) == edit_similarity("", "") == longest_common_run("", "") == 0


def test_both_are_cut_to_the_shorter_ones_words() -> None:
    reference = "The patient sleeps badly and wakes at four with a headache."
    assert compare("The patient sleeps badly", reference) == Overlap(24, 1.0, 1.0)
    assert compare("\n " + reference + " And then the text goes on and on.", reference).rouge_l == 1.0
    assert compare("THE PATIENT sleeps", reference).rouge_l == 1.0
    assert compare("THE PATIENT sleeps", reference).longest_common_run == len(" sleeps")


def test_known_values() -> None:
    found = compare("the cat sat on the mat", "the cat lay on the mat")
    assert found == Overlap(len(" on the mat"), pytest.approx(5 / 6), pytest.approx(1 - 2 / 22))


@settings(deadline=None, max_examples=100)
@given(ANY, ANY)
def test_laws(first: str, second: str) -> None:
    found, turned = compare(first, second), compare(second, first)
    assert found == Overlap(
        turned.longest_common_run, pytest.approx(turned.rouge_l), pytest.approx(turned.edit_similarity)
    )
    assert 0 <= found.rouge_l <= 1
    assert 0 <= found.edit_similarity <= 1
    assert 0 <= found.longest_common_run <= min(len(first), len(second))
    itself = compare(first, first)
    assert itself.rouge_l in (0.0, 1.0)
    assert itself.rouge_l == itself.edit_similarity


@pytest.mark.parametrize(
    "text", ["\ud800 lone surrogate \udfff", "nul \x00 in it", "\u202ebidi\u202c words", "患者は頭痛を訴えている"]
)
def test_hostile_text_and_other_scripts(text: str) -> None:
    assert compare(text, text).rouge_l == compare(text, text).edit_similarity == 1.0
