"""Common runs against naive references; how equal is equal; texts that repeat themselves."""

import time
from itertools import pairwise
from string import ascii_letters

import numpy as np
import plain
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import reference_alignment as reference
from rote.alignment import PAN2015, symbols
from rote.alignment.symbols import Matches, Symbols, cut_blocks, find_matches, keep_maximal
from rote.alignment.verbatim import block_size, covered_chars, raw_symbols, shared_runs, shared_word_runs
from rote.records import Span


def row(text: str) -> Symbols:
    return np.array([ord(character) for character in text], dtype=np.uint32)


def matches_of(read: str, indexed: str, least: int) -> Matches:
    return find_matches(row(read), cut_blocks(row(indexed), block_size(least)), least)


def naive_maximal_runs(read: str, indexed: str, least: int) -> list[list[int]]:
    """Ranges of `read` that stand in `indexed` and lie in no longer such range, by trying them all."""
    ranges = {(i, j) for i in range(len(read)) for j in range(i + 1, len(read) + 1) if read[i:j] in indexed}
    maximal = sorted((i, j) for i, j in ranges if not {(i - 1, j), (i, j + 1)} & ranges)
    return [[i, indexed.index(read[i:j]), j - i] for i, j in maximal if j - i >= least]


rows = st.text("abc", max_size=24)


@given(read=rows, indexed=rows, least=st.integers(1, 8))
@settings(max_examples=500)
def test_the_kernel_finds_what_trying_all_finds(read: str, indexed: str, least: int) -> None:
    assert keep_maximal(matches_of(read, indexed, least)).tolist() == naive_maximal_runs(read, indexed, least)


@given(read=rows, indexed=rows, least=st.integers(1, 8))
@settings(max_examples=300)
def test_what_is_found_in_rows_that_repeat_themselves_is_shared(read: str, indexed: str, least: int) -> None:
    """The bounded search: true runs that do not overlap, and one wherever there is any."""
    blocks = cut_blocks(row(indexed), block_size(least))
    expected = naive_maximal_runs(read, indexed, least)
    if not expected:
        return
    found = symbols._some_matches(row(read), blocks, least).tolist()
    assert found
    for start, place, size in found:
        assert read[start : start + size] == indexed[place : place + size]
        assert size >= least
    assert all(a + n <= b for (a, _, n), (b, _, _) in pairwise(found))


PIECES = [
    "red",
    "fox",
    "Fox",
    "runs",
    " ",
    "  ",
    "\n",
    ".",
    "don't",
    "’",
    "3.5",
    "天",
    "地",
    "e\u0301",
    "\ud800",
    "\0",
    "İ",
]
texts = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@given(read=texts, indexed=texts, min_chars=st.integers(1, 12))
@settings(max_examples=500)
def test_runs_of_characters_are_those_of_the_reference(read: str, indexed: str, min_chars: int) -> None:
    found = [(run.read, run.indexed, run.chars) for run in shared_runs(read, indexed, min_chars=min_chars)]
    expected = reference.shared_runs(read, indexed, min_chars=min_chars)
    assert found == [(run.read, run.indexed, run.chars) for run in expected]


@given(read=texts, indexed=texts, min_chars=st.integers(1, 12))
@settings(max_examples=500)
def test_runs_of_words_are_those_of_the_reference(read: str, indexed: str, min_chars: int) -> None:
    found = [(run.read, run.indexed) for run in shared_word_runs(read, indexed, min_chars=min_chars)]
    tokenizer = reference.tokenizer_of(PAN2015)
    one, two = (plain.lower_words(text, Span(0, len(text)), tokenizer) for text in (read, indexed))
    runs = plain.RunIndex(two).common_runs(one)
    assert found == [(run.read, run.indexed) for run in runs if len(run.indexed) > min_chars]


@given(read=texts, indexed=texts)
@settings(max_examples=300)
def test_runs_are_equal_up_to_white_space_and_end_at_words(read: str, indexed: str) -> None:
    ends = {place for token in reference.raw_tokens(read) for place in (token.span.start, token.span.end)}
    for run in shared_runs(read, indexed, min_chars=3):
        assert " ".join(run.read.of(read).split()) == " ".join(run.indexed.of(indexed).split())
        assert run.chars == len(" ".join(run.read.of(read).split())) >= 3
        assert {run.read.start, run.read.end} <= ends


@given(st.text(st.characters(categories=["Zs", "Zl", "Zp", "Cc", "Ll"]), max_size=30))
def test_white_space_is_what_python_calls_so(text: str) -> None:
    outer = (" " if text[:1].isspace() else "", " " if text[-1:].isspace() else "")
    expected = " ".join(text.split())
    expected = f"{outer[0]}{expected}{outer[1]}" if expected else outer[0]
    assert raw_symbols(text).symbols.tolist() == row(expected).tolist()


@pytest.mark.parametrize(
    ("read", "indexed", "expected"),
    [
        ("the red fox", "a red  \n fox", ["red fox"]),
        ("Red fox", "red fox", ["fox"]),
        ("redfox", "red fox", []),
        ("foxes run", "foxe run", ["run"]),
        ("------", "------", []),
        ("cafe\u0301 noir", "cafe noir", ["noir"]),
        ("", "red", []),
        ("red", "", []),
    ],
)
def test_what_counts_as_equal(read: str, indexed: str, expected: list[str]) -> None:
    assert [run.read.of(read) for run in shared_runs(read, indexed, min_chars=3)] == expected


def test_of_several_places_the_first_even_at_the_edge_of_the_text() -> None:
    (run,) = shared_word_runs("so red fox runs, but", "Red fox runs. A red fox runs.", min_chars=8)
    assert (run.read, run.indexed) == (Span(3, 15), Span(0, 12))


def test_white_space_does_not_make_a_run_longer() -> None:
    assert shared_runs("red" + " " * 100 + "fox", "red" + " " * 100 + "fox", min_chars=8) == []


def test_a_text_that_repeats_itself_gives_few_runs() -> None:
    runs = shared_runs("the dog ran " * 30, "the dog ran " * 10, min_chars=50)
    assert 1 <= len(runs) <= 6


REPETITIVE = {
    "one sentence": "The dog ran over the hill and back again. ",
    "one letter": "a",
    "letters": ascii_letters,
    "a word a line": "word\n",
}


@pytest.mark.parametrize("name", list(REPETITIVE))
def test_repeated_text_takes_time_in_proportion_to_its_length(name: str) -> None:
    unit = REPETITIVE[name]
    shared_runs("one two", "one two", min_chars=3), shared_runs(unit * 400, unit * 400, min_chars=9)
    one = unit * (300_000 // len(unit))
    two = unit * (299_000 // len(unit))
    start = time.process_time()
    runs = shared_runs(one, two, min_chars=51)
    assert time.process_time() - start < 2
    # A single word of 299,000 letters does not stand in one of 300,000.
    expected = [Span(0, len(two.rstrip()))] if unit[-1].isspace() else []
    assert [run.read for run in runs[:1]] == [run.indexed for run in runs[:1]] == expected


def test_repeated_text_with_breaks_is_searched_behind_each() -> None:
    unit = "The dog ran over the hill and back again. " * 3
    one = " ".join(f"{i} {unit}" for i in range(2000))
    two = " ".join(f"{i} {unit}" for i in range(5000, 7000))
    start = time.process_time()
    runs = shared_runs(one, two, min_chars=51)
    assert time.process_time() - start < 2
    assert len(runs) == 2000


def test_covered_characters_are_counted_once() -> None:
    assert covered_chars(Span(10, 20), [Span(0, 12), Span(11, 13), Span(18, 30), Span(40, 50)]) == 5
    assert covered_chars(Span(10, 20), []) == 0
