"""Scores of passes: extraction by scheme, windows, against the base model, unrelated prefixes, agreement with generation."""

import math
from dataclasses import replace

import numpy as np
import pytest

from fakes import MemoryStore, memorised_toy, token_statistics
from rote.config import GenerationConfig, ScoringConfig
from rote.generation import TransformersModel, cut_prompts, generate
from rote.passes.schemes import PLAIN
from rote.passes.scoring import score_prompts
from rote.passes.store import TokenStatistics
from rote.records import Generation, Prompt, Score, TokenScores, VariantPass
from rote.scoring.likelihood_scores import score_against_base, score_agreement, score_likelihood, score_priors

CONFIG = ScoringConfig(suffix_tokens=3, window_tokens=2, window_chance=0.2)
SCHEMES = ("t1-k0-p1", "t1-k1-p1")


def tokens(values: list[float], greedy: list[bool], truncated: list[float]) -> TokenStatistics:
    """Under two schemes: the model's own distribution, and a truncated one."""
    plain = token_statistics(values, greedy)
    return replace(plain, decoding_log_probabilities=np.array([values, truncated], dtype=np.float32))


def a_pass(key: str = "k", *, model: str = "tuned", prompt_tokens: int = 0, count: int = 4) -> TokenScores:
    return TokenScores("p", "e", model, key, prompt_tokens, count, False)


def by_metric(scores: list[Score]) -> dict[str, Score]:
    assert len({score.metric for score in scores}) == len(scores)
    return {score.metric: score for score in scores}


def test_a_pass_says_what_each_scheme_would_bring_out() -> None:
    half = math.log(0.5)
    store = MemoryStore({"k": tokens([half, half, half, half], [True, True, False, True], [0.0, 0.0, -math.inf, 0.0])})
    found = by_metric(list(score_likelihood([a_pass()], store, schemes=SCHEMES, config=CONFIG)))
    values = {name: score.value for name, score in found.items()}
    assert values["extractable"] == 0.0
    assert values["extraction_strength"] == 0.25
    assert values["verbatim_probability"] == pytest.approx(0.5)
    assert values["perplexity"] == pytest.approx(2.0)
    assert values["extraction_chance@t1-k0-p1"] == pytest.approx(0.125)
    assert (values["drawable@t1-k0-p1"], values["drawable@t1-k1-p1"]) == (1.0, 0.0)
    assert values["extraction_chance@t1-k1-p1"] == 0.0
    assert values["window_coverage@t1-k0-p1"] == 1.0
    assert values["window_coverage@t1-k1-p1"] == 0.5, "the windows over the third token are out"


def test_windows_of_a_scored_prompt_start_after_one_windows_length() -> None:
    sure, never = [0.0] * 6, [0.0, 0.0, 0.0, -math.inf, 0.0, 0.0]
    store = MemoryStore({"k": tokens(sure, [True] * 6, never)})
    found = by_metric(list(score_likelihood([a_pass(prompt_tokens=1, count=6)], store, schemes=SCHEMES, config=CONFIG)))
    assert found["window_coverage@t1-k1-p1"].value == 0.5, "of tokens 2 to 5, 4 and 5 are covered"
    short = MemoryStore({"k": tokens(sure[:3], [True] * 3, sure[:3])})
    found = by_metric(list(score_likelihood([a_pass(prompt_tokens=1, count=3)], short, schemes=SCHEMES, config=CONFIG)))
    assert found["window_coverage@t1-k0-p1"].reason == "no window of 2 tokens"
    assert found["extraction_chance@t1-k0-p1"].reason == "fewer than 3 tokens"


def test_defect_5_no_token_of_the_prompt_is_in_a_metric_of_the_continuation_and_each_of_the_reference_is() -> None:
    def scores(values: np.ndarray) -> dict[str, float | None]:
        known = token_statistics(values.tolist(), (values > -1).tolist())
        found = score_likelihood(
            [a_pass(prompt_tokens=3, count=8)], MemoryStore({"k": known}), schemes=SCHEMES[:1], config=CONFIG
        )
        return {score.metric: score.value for score in found if not score.metric.startswith("window")}

    values = np.full(8, -2.0)
    plain = scores(values)
    for place in range(8):
        changed = values.copy()
        changed[place] = -0.5
        found = scores(changed)
        assert (found == plain) == (place < 3), place
        assert found["loss"] == pytest.approx(2.0 if place < 3 else (4 * 2 + 0.5) / 5)


def test_what_is_over_the_base_model() -> None:
    store = MemoryStore(
        {
            "tuned": token_statistics([-1] * 4, [True, True, True, False]),
            "base": token_statistics([-1] * 4, [False, True, False, False]),
            "none": token_statistics([], []),
        }
    )
    own, base = a_pass("tuned"), a_pass("base", model="base")
    (found,) = score_against_base([own], {"p": base}, store)
    assert (found.subject_id, found.metric, found.value) == ("p-tuned", "base_relative_memorization", 0.5)
    assert list(score_against_base([own], {}, store)) == []
    (unlike,) = score_against_base([own], {"p": replace(base, tokens=9)}, store)
    assert unlike.reason == "the models read the text as 4 and as 9 tokens"
    (unlike,) = score_against_base([replace(own, token_hash="a")], {"p": replace(base, token_hash="b")}, store)
    assert unlike.value is None
    assert unlike.reason == "the models read the text as 4 tokens each, but not as the same ones"
    (same,) = score_against_base([replace(own, token_hash="a")], {"p": replace(base, token_hash="a")}, store)
    assert same.reason is None
    (nothing,) = score_against_base([a_pass("none", count=0)], {"p": a_pass("none", model="base", count=0)}, store)
    assert nothing.reason == "no token to score"


def test_a_suffix_is_compared_with_itself_after_other_prefixes() -> None:
    def variant(name: str, key: str) -> VariantPass:
        return VariantPass("p", "e", "tuned", name, key, 0, 0, 3, False)

    store = MemoryStore(
        {
            "own": token_statistics([-9, -1, -1, -1], [True] * 4),
            "a": token_statistics([-3, -3, -3], [False] * 3),
            "b": token_statistics([-5, -5], [False] * 2),
        }
    )
    passes = [a_pass("own", prompt_tokens=1), replace(a_pass("own"), prompt_id="q")]
    variants = [variant("unrelated-0", "a"), variant("unrelated-1", "b"), variant("lowercase", "b")]
    (found,) = score_priors(passes, variants, store, suffix_tokens=3)
    mean = math.log((math.exp(-6) + math.exp(-10)) / 2)
    assert found.value == pytest.approx((-2 - mean) / 2), "over as many tokens as all have"
    assert (found.subject_id, found.metric) == ("p-tuned", "prior_aware_memorization")


def agreement(text: str, greedy: list[bool], *, reference: str = "abcdef", budget: int = 4) -> float | None:
    store = MemoryStore({"k": token_statistics([-1] * len(greedy), greedy)})
    written = Generation("g", "p", "e", "tuned", "greedy", 0, text)
    prompts = [Prompt("p", "e", "shown", reference)]
    (found,) = score_agreement([a_pass(count=len(greedy))], [written], prompts, store, max_new_tokens=budget)
    return found.value


@pytest.mark.parametrize(
    ("text", "greedy", "agree"),
    [
        ("abcd", [True] * 6, True),
        ("abcx", [True] * 6, False),
        ("abcx", [True, True, True, False, True, True], True),
        ("abcd", [True, True, True, False, True, True], False),
        ("abcd", [True, True, True, True, False, True], True),
        ("abc\ufffd", [True] * 6, True),
        ("\ufffd\ufffd\ufffd\ufffd", [True] * 6, False),
        ("abcdefgh", [True] * 3, True),
        ("abcd", [True] * 3, False),
    ],
)
def test_agreement_is_of_both_ways(text: str, greedy: list[bool], agree: bool) -> None:
    assert agreement(text, greedy) == float(agree)


def test_only_greedy_generations_are_compared() -> None:
    store = MemoryStore({"k": token_statistics([-1], [True])})
    drawn = Generation("g", "p", "e", "tuned", "sample-t1-k0-p1", 0, "a")
    others = [drawn, replace(drawn, decoding="greedy", sample=1), replace(drawn, decoding="greedy", model="base")]
    assert list(score_agreement([a_pass()], others, [Prompt("p", "e", "x", "a")], store, max_new_tokens=1)) == []


def test_the_toys_extraction_by_pass_is_extraction_by_generation() -> None:
    toy = memorised_toy()
    config = GenerationConfig(prompt="prefix", prefix_tokens=10, max_new_tokens=12, batch_size=7)
    prompts = cut_prompts(
        toy.members + toy.non_members, toy.model.tokenizer, config=config, is_encoder_decoder=False
    ).prompts
    store = MemoryStore()
    passes = score_prompts(prompts, toy.model, store, config=config, schemes=(PLAIN,), name="tuned")
    written = [g for b in generate(prompts, TransformersModel(toy.model), config=config, name="tuned") for g in b]
    found = list(score_agreement(passes, written, prompts, store, max_new_tokens=12))
    assert [score.value for score in found] == [1.0] * 16
    chances = {
        score.subject_id.removesuffix("-tuned"): score.value
        for score in score_likelihood(passes, store, schemes=[PLAIN.label], config=ScoringConfig(suffix_tokens=12))
        if score.metric == "extraction_chance@t1-k0-p1"
    }
    members = {prompt.id for prompt in prompts if prompt.example_id in {e.id for e in toy.members}}
    assert all((chance > 0.1) == (name in members) for name, chance in chances.items())  # type: ignore[operator]


def test_the_chance_of_one_draw_is_the_share_of_draws_that_are_the_suffix() -> None:
    """(n, p)-discoverable extraction against plain sampling, at temperature 2 so that both outcomes occur."""
    toy = memorised_toy()
    config = GenerationConfig(
        prompt="prefix", prefix_tokens=10, max_new_tokens=2, decoding="sample", temperature=2.0, samples=400
    )
    prompts = cut_prompts(toy.members[:4], toy.model.tokenizer, config=config, is_encoder_decoder=False).prompts
    scheme = replace(PLAIN, temperature=2.0)
    store = MemoryStore()
    passes = score_prompts(prompts, toy.model, store, config=config, schemes=(scheme,), name="tuned")
    settings = ScoringConfig(suffix_tokens=2)
    scores = score_likelihood(passes, store, schemes=[scheme.label], config=settings)
    chances = [score.value for score in scores if score.metric.startswith("extraction_chance")]
    drawn = [g for b in generate(prompts, TransformersModel(toy.model), config=config, name="tuned") for g in b]
    for prompt, chance in zip(prompts, chances, strict=True):
        assert chance is not None
        hits = sum(item.text == prompt.reference[:2] for item in drawn if item.prompt_id == prompt.id)
        assert 0.02 < chance < 0.98
        assert abs(hits / 400 - chance) < 4 * math.sqrt(chance * (1 - chance) / 400)
