import doctest
import math
from dataclasses import replace

import pytest
import torch

from fakes import MEMBERS, NON_MEMBERS, byte_tokenizer, loaded, memorised_toy, tiny_decoder, tiny_encoder_decoder
from rote.config import GenerationConfig
from rote.errors import ModelError
from rote.generation import TransformersModel, cut_prompts, generate
from rote.records import Prompt, TokenScores, content_id
from rote.scoring import likelihood
from rote.scoring.likelihood import exact_memorization, extractable, loss, score_tokens

CONFIG = GenerationConfig(prompt="prefix", prefix_tokens=10, max_new_tokens=12, batch_size=7)


def unequal_prompts() -> list[Prompt]:
    """Sixteen prompts of 1 to 31 bytes."""
    cut = [(text[: 1 + 2 * number], text[1 + 2 * number :]) for number, text in enumerate(MEMBERS + NON_MEMBERS)]
    return [Prompt(content_id(text, str(n)), f"e{n}", text, rest) for n, (text, rest) in enumerate(cut)]


def model_of(kind: str):
    tokenizer = byte_tokenizer(encloses=kind == "t5")
    if kind == "toy":
        return memorised_toy().model
    network = tiny_encoder_decoder(tokens=len(tokenizer)) if kind == "t5" else tiny_decoder(kind, tokens=len(tokenizer))
    return loaded(network, tokenizer)


def scored(prompts, model, config=CONFIG):
    return {
        item.prompt_id: item for batch in score_tokens(prompts, model, config=config, name="tuned") for item in batch
    }


def naive(prompt: Prompt, model) -> TokenScores:
    """One reference token after the other, each from its own call of the model."""
    tokenizer, network = model.tokenizer, model.model
    shown = tokenizer(prompt.text, add_special_tokens=False)["input_ids"]
    reference = tokenizer(prompt.reference, add_special_tokens=False)["input_ids"]
    values, greedy = [], []
    for at, token in enumerate(reference):
        if model.is_encoder_decoder:
            enclosed = [tokenizer.bos_token_id, *shown, tokenizer.eos_token_id]
            read = [network.config.decoder_start_token_id, tokenizer.bos_token_id, *reference[:at]]
            logits = network(input_ids=torch.tensor([enclosed]), decoder_input_ids=torch.tensor([read])).logits
        else:
            logits = network(torch.tensor([shown + reference[:at]])).logits
        last = logits[0, -1].detach().double()
        values.append(float(last.log_softmax(-1)[token]))
        last[[tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id]] = -math.inf
        greedy.append(int(last.argmax()) == token)
    return TokenScores(prompt.id, prompt.example_id, "tuned", tuple(values), tuple(greedy), False)


def assert_same(found: TokenScores, expected: TokenScores) -> None:
    assert found.log_probabilities == pytest.approx(
        expected.log_probabilities, abs=3e-4
    )  # float32, tiny but lively weights: CPUs differ by up to 4e-5
    assert found.greedy == expected.greedy
    assert (found.prompt_id, found.truncated) == (expected.prompt_id, expected.truncated)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5", "toy"])
def test_only_the_references_tokens_are_scored_each_as_one_call_of_the_model_scores_it(kind):
    model, prompts = model_of(kind), unequal_prompts()
    found = scored(prompts, model)
    for prompt in prompts[::4]:
        assert len(found[prompt.id].greedy) == len(prompt.reference.encode())
        assert_same(found[prompt.id], naive(prompt, model))


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5", "toy"])
def test_scores_do_not_depend_on_batch_size_padding_or_order(kind):
    model, prompts = model_of(kind), unequal_prompts()
    expected = scored(prompts, model)
    for other in (
        scored(prompts[::-1], model, replace(CONFIG, batch_size=1)),
        scored(prompts, model, replace(CONFIG, batch_size=32)),
    ):
        for key, scores in expected.items():
            assert_same(other[key], scores)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5"])
def test_a_pass_in_small_steps_scores_the_same(kind, monkeypatch):
    model, prompts = model_of(kind), unequal_prompts()
    expected = scored(prompts, model)
    monkeypatch.setattr(likelihood, "LOGITS_AT_ONCE", 5 * 7 * len(model.tokenizer))
    for key, scores in scored(prompts, model).items():
        assert_same(scores, expected[key])


@pytest.mark.parametrize("kind", ["toy", "gpt2", "t5"])
def test_extraction_by_the_pass_is_extraction_by_generation(kind, toy):
    model = model_of(kind)
    cut = cut_prompts(toy.members + toy.non_members, model.tokenizer, config=CONFIG, is_encoder_decoder=False)
    scores = scored(cut.prompts, model)
    generated = {
        g.prompt_id: g.text for b in generate(cut.prompts, TransformersModel(model), config=CONFIG, name="t") for g in b
    }
    for prompt in cut.prompts:
        assert extractable(scores[prompt.id], 12) == (generated[prompt.id] == prompt.reference[:12])


def test_the_toys_members_are_extractable_and_its_non_members_are_not(toy):
    for group, expected in ((toy.members, 8), (toy.non_members, 0)):
        cut = cut_prompts(group, toy.model.tokenizer, config=CONFIG, is_encoder_decoder=False)
        scores = scored(cut.prompts, toy.model).values()
        assert sum(extractable(item, 30) for item in scores) == expected
        assert all((exact_memorization(item) == 1.0) == (expected == 8) for item in scores)
        assert all((loss(item) < 0.2) == (expected == 8) for item in scores)


def test_an_end_token_is_neither_generated_nor_a_first_choice():
    model = model_of("gpt2")
    end = model.tokenizer.eos_token
    prompt = Prompt("p", "e", "abc", f"d{end}")
    with torch.no_grad():
        model.model.transformer.wte.weight[model.tokenizer.eos_token_id] *= 50
    scores = scored([prompt], model)["p"]
    assert len(scores.greedy) == 2
    assert scores.greedy[1] is False


def test_a_text_over_the_context_is_scored_as_far_as_it_fits():
    model = replace(model_of("llama"), context_tokens=40)
    prompts = [
        Prompt("long", "e", "abcdefghij", "x" * 50),
        Prompt("prompt", "e", "y" * 50, "zz"),
        Prompt("fits", "e", "abc", "de"),
    ]
    found = scored(prompts, model)
    assert [(len(found[key].greedy), found[key].truncated) for key in ("long", "prompt", "fits")] == [
        (30, True),
        (2, True),
        (2, False),
    ]
    shown = replace(prompts[1], text="y" * 28)
    assert_same(replace(found["prompt"], truncated=False), naive(shown, model))


def test_no_room_for_a_prompt_names_both_numbers():
    with pytest.raises(ModelError, match=r"max_new_tokens = 12 .* context of 12 tokens"):
        scored(unequal_prompts(), replace(model_of("gpt2"), context_tokens=12))


def test_scoring_goes_on_after_the_finished_batches():
    model, prompts = model_of("gpt2"), unequal_prompts()
    whole = list(score_tokens(prompts, model, config=CONFIG, name="base"))
    assert [len(batch) for batch in whole] == [7, 7, 2]
    assert list(score_tokens(prompts, model, config=CONFIG, name="base", done=1)) == whole[1:]
    assert {item.model for batch in whole for item in batch} == {"base"}


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_hostile_and_empty_references_are_scored(kind):
    hostile = ["<script>", "\x1b[31m\x00", "\ud800", "</s></s>", "\u202eabc", "x" * 5000, ""]
    prompts = [Prompt(f"p{n}", f"e{n}", "a", text) for n, text in enumerate(hostile)]
    found = scored(prompts, model_of(kind))
    assert len(found) == len(hostile)
    assert found["p6"].greedy == ()
    assert all(math.isfinite(value) for item in found.values() for value in item.log_probabilities)


def test_metrics_of_nothing_are_none():
    nothing = TokenScores("p", "e", "tuned", (), (), False)
    assert (loss(nothing), exact_memorization(nothing), extractable(nothing, 1)) == (None, None, None)


def test_extractable_needs_that_many_tokens():
    scores = TokenScores("p", "e", "tuned", (-0.1, -0.1, -5.0), (True, True, False), False)
    assert [extractable(scores, count) for count in (1, 2, 3, 4)] == [True, True, False, None]
    with pytest.raises(ValueError, match=r"suffix_tokens >= 1, got 0"):
        extractable(scores, 0)


def test_examples_in_the_documentation():
    assert doctest.testmod(likelihood, extraglobs={"TokenScores": TokenScores}).failed == 0
