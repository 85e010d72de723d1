"""Overlap measures: against slow references and the rouge-score package; planted runs; empty and hostile text."""

import difflib
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate import bleu_score
from rouge_score import rouge_scorer, tokenize
from sacrebleu.metrics.bleu import BLEU

from reference_common_run import automaton_common_run
from rote.scoring.common_run import longest_common_run
from rote.scoring.overlap import (
    Overlap,
    ascii_words,
    compare,
    cut_alike,
    edit_similarity,
    is_regenerated,
    rouge_l,
    sentence_bleu,
)

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


@settings(max_examples=200)
@given(SMALL, SMALL)
def test_longest_common_run_is_exact(first: str, second: str) -> None:
    assert longest_common_run(first, second) == slow_longest_common_run(first, second)
    assert longest_common_run(first, second) == automaton_common_run(first, second)


@settings(max_examples=100)
@given(ANY, ANY, ANY)
def test_the_kernel_is_the_plain_automaton(shared: str, first: str, second: str) -> None:
    one, other = first + shared + second, second + shared + first
    assert longest_common_run(one, other) == automaton_common_run(one, other)


def test_defect_8_no_common_run_is_lost_in_long_edited_copies() -> None:
    draw = random.Random(8)
    letters = "etaoin shrdlu"
    planted = "".join(draw.choices(letters, k=310))
    filler = ["".join(draw.choices(letters, k=700)) for _ in range(2)]
    one, other = f"{filler[0]}{planted}#", f"{filler[1]}{planted}%"
    assert longest_common_run(one, other) == 310
    assert difflib.SequenceMatcher(None, one, other).find_longest_match().size < 310  # why it is not used
    edited = "".join("#" if at % 61 == 60 else char for at, char in enumerate(one))
    assert longest_common_run(one, edited) == slow_planted(one, edited) == 60


def slow_planted(first: str, second: str) -> int:
    """The longest run at equal places: what an edited copy shares with its original, if nothing else repeats."""
    longest = run = 0
    for a, b in zip(first, second, strict=True):
        run = run + 1 if a == b else 0
        longest = max(longest, run)
    return longest


@settings(max_examples=100)
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


@settings(max_examples=100)
@given(SMALL, SMALL)
def test_edit_similarity_is_levenshtein(first: str, second: str) -> None:
    longer = max(len(first), len(second))
    expected = 1 - slow_levenshtein(first, second) / longer if first and second else 0.0
    assert edit_similarity(first, second) == pytest.approx(expected, abs=1e-12)


WORD = st.sampled_from(["the", "pain", "Back", "39.5", "don't", "pain,", "(mild)", "x"])


@settings(max_examples=200)
@given(st.lists(WORD, max_size=25), st.lists(WORD, max_size=25))
def test_rouge_l_equals_rouge_score(first: list[str], second: list[str]) -> None:
    generated, reference = " ".join(first), " ".join(second)
    theirs = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False).score(reference, generated)["rougeL"].fmeasure
    assert rouge_l(ascii_words(generated), ascii_words(reference)) == pytest.approx(theirs, abs=1e-9)


@settings(max_examples=200)
@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40))
def test_ascii_words_are_those_of_rouge_score(text: str) -> None:
    assert [word.decode() for word in ascii_words(text)] == tokenize.tokenize(text, None)


@settings(max_examples=200)
@given(st.lists(WORD, min_size=1, max_size=25), st.lists(WORD, min_size=1, max_size=25))
def test_sentence_bleu_equals_sacrebleu(first: list[str], second: list[str]) -> None:
    theirs = BLEU(tokenize="none", effective_order=True).sentence_score(" ".join(first), [" ".join(second)]).score
    assert sentence_bleu(first, second) == pytest.approx(theirs / 100, abs=1e-9)


@settings(max_examples=100)
@given(st.lists(WORD, min_size=4, max_size=25), st.data())
def test_sentence_bleu_equals_nltk_where_nothing_is_smoothed(words: list[str], data: st.DataObject) -> None:
    other = [*words, *data.draw(st.lists(WORD, max_size=8))]
    assert sentence_bleu(words, other) == pytest.approx(bleu_score.sentence_bleu([other], words), abs=1e-9)


def test_bleu_of_hand_examples() -> None:
    same = ["the", "patient", "slept", "badly", "and", "woke", "at", "four"]
    assert sentence_bleu(same, same) == 1.0
    assert sentence_bleu(same[:2], same[:2]) == 1.0  # orders that two words cannot have are left out
    assert sentence_bleu(same, ["a", "b", "c", "d"]) < 0.1
    one_changed = [*same[:7], "five"]
    # 7/8 · 6/7 · 5/6 · 4/5 = 1/2, no brevity
    assert sentence_bleu(one_changed, same) == pytest.approx(0.5**0.25)


def test_regenerated_is_equality_as_far_as_both_reach() -> None:
    assert is_regenerated(" on the mat, purring", "on the mat")
    assert is_regenerated("on the", "on the mat\n")
    assert not is_regenerated("On the mat", "on the mat")
    assert not is_regenerated("", "on the mat")
    assert not is_regenerated("  ", "")


def test_cut_alike_keeps_the_shorter_ones_words() -> None:
    cut = cut_alike("  The cat, sat on it. ", "A dog sat.")
    assert (cut.generated, cut.reference) == ("The cat, sat", "A dog sat")
    assert (cut.generated_words, cut.reference_words) == (("the", "cat", "sat"), ("a", "dog", "sat"))
    assert cut_alike("...", "a b").generated == ""


@pytest.mark.parametrize(
    ("generated", "reference"), [("", ""), ("", "text"), ("text", ""), (" \n", "text"), ("...", "a b")]
)
def test_nothing_generated_is_nothing_remembered(generated: str, reference: str) -> None:
    assert compare(generated, reference) == Overlap(0, 0.0, 0.0, 0.0)
    assert rouge_l([], []) == edit_similarity("", "") == longest_common_run("", "") == sentence_bleu([], []) == 0


def test_both_are_cut_to_the_shorter_ones_words() -> None:
    reference = "The patient sleeps badly and wakes at four with a headache."
    assert compare("The patient sleeps badly", reference) == Overlap(24, 1.0, 1.0, 1.0)
    assert compare("\n " + reference + " And then the text goes on and on.", reference).rouge_l == 1.0
    assert compare("THE PATIENT sleeps", reference).rouge_l == 1.0
    assert compare("THE PATIENT sleeps", reference).longest_common_run == len(" sleeps")


def test_known_values() -> None:
    found = compare("the cat sat on the mat", "the cat lay on the mat")
    bleu = (5 / 6 * 3 / 5 * 1 / 4 * 1 / 6) ** 0.25  # no 4-gram of 3 is shared: smoothed to half of 1 in 3
    assert found == Overlap(len(" on the mat"), pytest.approx(5 / 6), pytest.approx(1 - 2 / 22), pytest.approx(bleu))


@settings(max_examples=100)
@given(ANY, ANY)
def test_laws(first: str, second: str) -> None:
    found, turned = compare(first, second), compare(second, first)
    assert (found.longest_common_run, found.rouge_l) == (turned.longest_common_run, pytest.approx(turned.rouge_l))
    assert found.edit_similarity == pytest.approx(turned.edit_similarity)
    assert 0 <= found.bleu <= 1
    assert 0 <= found.rouge_l <= 1
    assert 0 <= found.edit_similarity <= 1
    assert 0 <= found.longest_common_run <= min(len(first), len(second))
    itself = compare(first, first)
    assert itself.rouge_l in (0.0, 1.0)
    assert itself.rouge_l == itself.edit_similarity == pytest.approx(itself.bleu)


@pytest.mark.parametrize(
    "text", ["\ud800 lone surrogate \udfff", "nul \x00 in it", "\u202ebidi\u202c words", "患者は頭痛を訴えている"]
)
def test_hostile_text_and_other_scripts(text: str) -> None:
    assert compare(text, text).rouge_l == compare(text, text).edit_similarity == 1.0
