"""How much of its input a task needs: which words are kept, and where the losses say that it is enough."""

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import examples
from rote.attention import ablation
from rote.attention.ablation import ORDERS, SHARES, ablated_prompts, kept_part, needed_input
from rote.records import Example
from rote.text import words

TEXT = "What is the patient's name, and when was she born?\n"


def contents(text: str) -> list[str]:
    return [span.of(text) for span in words(text)]


@pytest.mark.parametrize("order", ORDERS)
def test_all_of_a_prompt_is_the_prompt_and_nothing_is_its_end(order: ablation.Order) -> None:
    assert kept_part(TEXT, 1.0, order=order, seed="s") == TEXT
    assert kept_part(TEXT, 0.0, order=order, seed="s") == "?\n"


@given(st.text(max_size=60), st.floats(0, 1), st.sampled_from(ORDERS))
def test_kept_words_are_words_of_the_prompt_in_their_order(text: str, share: float, order: ablation.Order) -> None:
    found = contents(kept_part(text, share, order=order, seed="s"))
    every = iter(contents(text))
    if order == "random":
        assert len(found) <= len(contents(text)) + 1
    else:
        assert all(any(word == other for other in every) for word in found)


def test_more_words_are_kept_of_a_larger_share_and_the_same_ones_each_time() -> None:
    for order in ORDERS:
        counts = [len(contents(kept_part(TEXT, share, order=order, seed="s"))) for share in SHARES]
        assert counts == sorted(counts)
        assert kept_part(TEXT, 0.5, order=order, seed="s") == kept_part(TEXT, 0.5, order=order, seed="s")
    assert kept_part(TEXT, 0.5, order="random", seed="s") != kept_part(TEXT, 0.5, order="random", seed="t")


def test_records_without_a_prompt_or_a_completion_are_left_out() -> None:
    whole = Example("a", "Question one?\n", "Answer.", "member", "a")
    found = ablated_prompts(
        [whole, *examples(("no prompt",)), Example("b", "Q\n", " ", "member", "b")], 0.5, order="first"
    )
    assert [(item.example_id, item.text, item.reference) for item in found] == [("a", "Question?\n", "Answer.")]


def losses(enough: float, n: int = 40) -> tuple[dict[float, dict[str, float]], dict[str, str]]:
    """Records whose loss is 3 with less than `enough` of the prompt, and 1 from there on, with noise."""
    draw = np.random.default_rng(0)
    ids = [str(i) for i in range(n)]
    found = {share: {i: (1.0 if share >= enough else 3.0) + draw.normal(0, 0.02) for i in ids} for share in SHARES}
    return found, {i: i for i in ids}


@pytest.mark.parametrize("enough", SHARES)
def test_the_needed_share_is_where_the_loss_stops_falling(enough: float) -> None:
    found = needed_input(*losses(enough), order="first")
    assert found.needed.value == found.needed.low == found.needed.high == enough
    assert found.losses[-1].value == pytest.approx(1.0, abs=0.05)


def test_a_share_that_is_enough_by_chance_below_one_that_is_not_does_not_count() -> None:
    table, clusters = losses(0.5)
    table[0.1] = dict(table[1.0])
    assert needed_input(table, clusters, order="first").needed.value == 0.5


def test_nothing_is_said_of_too_few_records() -> None:
    found = needed_input(*losses(0.5, n=3), order="first")
    assert found.needed.value is None
    assert found.needed.reason == "only 3 independent records; at least 5 are needed"


def test_documented_examples() -> None:
    assert doctest.testmod(ablation).failed == 0
