"""The numerics check finds nothing where the numbers are right, and finds what is wrong."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_passes import CONFIG, KINDS, SCHEMES, assert_same, model_of, naive, unequal_prompts

from fakes import MemoryStore, byte_tokenizer, loaded, tiny_decoder
from rote.errors import ModelError
from rote.passes import rechecking
from rote.passes.rechecking import check_recheck, plain_statistics, recheck
from rote.passes.scoring import prompt_pass, score_prompts
from rote.records import Prompt, Recheck


def checked(model, store, passes, *, exact=None, count=4, dtype="float32") -> Recheck:
    prompts = {prompt.id: prompt for prompt in unequal_prompts()}
    options = {"config": CONFIG, "schemes": SCHEMES, "count": count, "dtype": dtype, "name": "tuned"}
    return recheck(passes, prompts, exact or model, store, **options)


def passes_of(model, store):
    return score_prompts(unequal_prompts(), model, store, config=CONFIG, schemes=SCHEMES, name="tuned")


@pytest.mark.parametrize("kind", KINDS)
def test_the_plain_statistics_are_the_definitions(kind, monkeypatch):
    monkeypatch.setattr(rechecking, "ROWS", 7)
    model = model_of(kind)
    for prompt in [*unequal_prompts()[2::6], Prompt("empty", "e", "ab", "")]:
        text = prompt_pass(prompt, model, CONFIG).text
        assert_same(plain_statistics(text, model, SCHEMES), naive(text, model), close=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_right_numbers_differ_by_rounding_alone(kind):
    model, store = model_of(kind), MemoryStore()
    found = checked(model, store, passes_of(model, store))
    assert (found.texts, found.model, found.dtype, found.device) == (4, "tuned", "float32", "cpu")
    assert found.tokens > 100
    assert max(found.log_probability, found.mean, found.deviation) < 1e-4
    assert found.loss < 1e-5
    assert (found.other_choices, found.other_ranks) == (0, 0)


def test_a_wrong_number_is_found():
    model, store = model_of("gpt2"), MemoryStore()
    passes = passes_of(model, store)
    key = min(item.key for item in passes)
    right = store.read(key)
    wrong = right.log_probabilities.copy()
    wrong[3] -= 0.5
    drawn = right.decoding_log_probabilities.copy()
    drawn[0, 5] = -np.inf
    store.add(
        {key: replace(right, log_probabilities=wrong, is_greedy=~right.is_greedy, decoding_log_probabilities=drawn)}
    )
    found = checked(model, store, passes)
    assert found.log_probability == pytest.approx(0.5, abs=1e-4)
    assert found.loss == pytest.approx(0.5 / len(right), abs=1e-4)
    assert found.other_choices == len(right)
    assert found.other_draws >= 1


def test_half_precision_is_compared_with_the_model_in_float32():
    tokenizer, store = byte_tokenizer(), MemoryStore()
    half = loaded(tiny_decoder("llama", tokens=len(tokenizer)).to(torch.bfloat16), tokenizer)
    exact = loaded(tiny_decoder("llama", tokens=len(tokenizer)), tokenizer)
    found = checked(half, store, passes_of(half, store), exact=exact, dtype="bfloat16")
    assert 1e-3 < found.log_probability < 0.3
    assert found.dtype == "bfloat16"


def test_the_sample_is_drawn_by_key_and_may_be_larger_than_what_there_is():
    model, store = model_of("gpt2"), MemoryStore()
    passes = passes_of(model, store)
    assert checked(model, store, passes[::-1]) == checked(model, store, passes)
    assert checked(model, store, passes, count=99).texts == len(passes)
    assert checked(model, store, [], count=3).log_probability == 0


def test_no_room_for_float32_is_an_error_that_says_how_to_go_on(monkeypatch):
    def no_room(*_: object) -> None:
        raise torch.OutOfMemoryError("no room")

    model, store = model_of("gpt2"), MemoryStore()
    passes = passes_of(model, store)
    monkeypatch.setattr(rechecking, "plain_statistics", no_room)
    with pytest.raises(ModelError, match=r"no room .* in float32 \(scoring\.rechecked = 4; 0 leaves it out\)"):
        checked(model, store, passes)


@pytest.mark.parametrize(("dtype", "name", "most"), [("float32", "log_probability", 1e-3), ("bfloat16", "loss", 0.1)])
def test_a_difference_that_is_no_rounding_is_an_error(dtype, name, most):
    found = Recheck("tuned", dtype, "cpu", 8, 900, 0.0, 0.0, 0.0, 0.0, 0.0, 0, 0, 0)
    check_recheck(replace(found, **{name: most}), "m")
    if dtype == "bfloat16":
        check_recheck(replace(found, log_probability=0.5), "m")
    what = {"loss": "the loss of a text", "log_probability": "the log-probability of a token"}[name]
    with pytest.raises(
        ModelError, match=rf"m: {what} under the tuned model \({dtype}, cpu\) differs by 0\.2 nats .*--dtype float32"
    ):
        check_recheck(replace(found, **{name: 0.2}), "m")
