"""Common runs against a naive reference; how equal is equal."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rote.alignment.verbatim import RunIndex, Token, covered_chars, raw_tokens, shared_runs
from rote.records import Span


def naive_maximal_runs(read: list[str], indexed: list[str]) -> set[tuple[int, int]]:
    """Token ranges of `read` that stand in `indexed` and lie in no longer such range, by trying them all."""
    places = {tuple(indexed[i:j]) for i in range(len(indexed)) for j in range(i + 1, len(indexed) + 1)}
    ranges = {(i, j) for i in range(len(read)) for j in range(i + 1, len(read) + 1) if tuple(read[i:j]) in places}
    return {(i, j) for i, j in ranges if not {(i - 1, j), (i, j + 1)} & ranges}


def as_tokens(keys: list[str]) -> list[Token]:
    return [Token(key, Span(i, i + 1)) for i, key in enumerate(keys)]


keys = st.lists(st.sampled_from("abc"), max_size=14)


@given(read=keys, indexed=keys)
@settings(deadline=None, max_examples=300)
def test_the_automaton_finds_what_trying_all_finds(read: list[str], indexed: list[str]) -> None:
    runs = RunIndex(as_tokens(indexed)).common_runs(as_tokens(read))
    assert [(run.read.start, run.read.end) for run in runs] == sorted(naive_maximal_runs(read, indexed))
    for run in runs:
        assert read[run.read.start : run.read.end] == indexed[run.indexed.start : run.indexed.end]
        first = next(
            i for i in range(len(indexed)) if indexed[i : i + len(run.read)] == read[run.read.start : run.read.end]
        )
        assert run.indexed.start == first


texts = st.lists(
    st.sampled_from(["red", "fox", "Fox", "runs", " ", "  ", "\n", ".", "天", "e\u0301", "\ud800"]), max_size=40
).map("".join)


@given(read=texts, indexed=texts)
@settings(deadline=None, max_examples=300)
def test_runs_are_equal_up_to_white_space_and_end_at_words(read: str, indexed: str) -> None:
    for run in shared_runs(read, indexed, min_chars=3):
        assert run.read.of(read).split() == run.indexed.of(indexed).split()
        assert " ".join(run.read.of(read).split()) == " ".join(run.indexed.of(indexed).split())
        assert run.chars == len(" ".join(run.read.of(read).split())) >= 3
        starts = {token.span.start for token in raw_tokens(read)}
        ends = {token.span.end for token in raw_tokens(read)}
        assert run.read.start in starts
        assert run.read.end in ends


@given(read=texts, indexed=texts, min_chars=st.integers(1, 12))
@settings(deadline=None, max_examples=200)
def test_no_run_is_missed_by_the_shortcut(read: str, indexed: str, min_chars: int) -> None:
    runs = RunIndex(raw_tokens(indexed)).common_runs(raw_tokens(read))
    is_shared = any(run.chars >= min_chars and any(map(str.isalnum, run.read.of(read))) for run in runs)
    assert bool(shared_runs(read, indexed, min_chars=min_chars)) == is_shared


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


def test_white_space_does_not_make_a_run_longer() -> None:
    assert shared_runs("red" + " " * 100 + "fox", "red" + " " * 100 + "fox", min_chars=8) == []


def test_a_text_that_repeats_itself_gives_few_runs() -> None:
    runs = shared_runs("the dog ran " * 30, "the dog ran " * 10, min_chars=50)
    assert 1 <= len(runs) <= 6


def test_covered_characters_are_counted_once() -> None:
    assert covered_chars(Span(10, 20), [Span(0, 12), Span(11, 13), Span(18, 30), Span(40, 50)]) == 5
    assert covered_chars(Span(10, 20), []) == 0
