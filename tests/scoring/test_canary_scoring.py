"""Canaries after the training: likelihoods of secrets, exposure, bounds on epsilon, and the figures made of them."""

import doctest
import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, special, stats
from transformers import RwkvConfig, RwkvForCausalLM

from fakes import byte_tokenizer, loaded, merging_tokenizer, tiny_decoder, tiny_encoder_decoder
from rote.config import CorpusConfig
from rote.corpus import SecretSpace, draw_canaries, secrets
from rote.models import LoadedModel
from rote.passes import canaries as likelihoods
from rote.passes.canaries import SecretScorer, Unmeasurable
from rote.records import Canary, Exposure, PrivacyBound
from rote.scoring.canaries import (
    CHANCE_BITS,
    bits,
    canary_figures,
    exposure,
    extrapolated_exposure,
    measure_exposures,
    one_run_epsilon,
    ranking,
)
from rote.scoring.canaries.ranking import log_distribution
from rote.statistics import privacy
from rote.statistics.privacy import GUESS_SHARES

DIGITS = SecretSpace("number", 2)
PLAIN = CorpusConfig(canaries=8, canary_length=2, canary_copies=(1, 2))


def canaries_of(*, with_prompts: bool = False, **changes: object) -> list[Canary]:
    return draw_canaries(replace(PLAIN, **changes), with_prompts=with_prompts)


def model_of(kind: str) -> LoadedModel:
    if kind == "merging":
        texts = [f"The access code of Mill Pond is {n:04d}." for n in range(0, 4000, 7)]
        tokenizer = merging_tokenizer(texts, 330)
        return loaded(tiny_decoder("gpt2", tokens=len(tokenizer)), tokenizer)
    tokenizer = byte_tokenizer(encloses=kind == "t5")
    network = tiny_encoder_decoder(tokens=len(tokenizer)) if kind == "t5" else tiny_decoder(kind, tokens=len(tokenizer))
    return loaded(network, tokenizer)


def naive(canary: Canary, secret: str, model: LoadedModel) -> float:
    """ln p of all tokens of text and secret: one call of the model at batch 1."""
    encode = lambda text: model.tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
    with torch.inference_mode():
        if model.is_encoder_decoder:
            read = [model.tokenizer.bos_token_id, *encode(canary.prompt), model.tokenizer.eos_token_id]
            text = [model.model.config.decoder_start_token_id, model.tokenizer.bos_token_id]
            text += encode(canary.before + secret)
            logits = model.model(input_ids=torch.tensor([read]), decoder_input_ids=torch.tensor([text])).logits
        else:
            text = encode(canary.prompt + canary.before + secret)
            logits = model.model(torch.tensor([text])).logits
    log_p = logits[0].double().log_softmax(-1)
    return sum(float(log_p[at, token]) for at, token in enumerate(text[1:]))


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5", "merging"])
@pytest.mark.parametrize("secret", ["number", "words"])
def test_likelihoods_differ_between_secrets_as_whole_texts_do(kind: str, secret: str) -> None:
    """What all secrets share is left out; the differences are those of one call for each text."""
    model = model_of(kind)
    canary = canaries_of(with_prompts=True, canary_kind=secret)[0]
    compared = SecretSpace(canary.kind, 2).some(100, 0)
    found = SecretScorer(model, compared).score(canary)
    others = [item for item in compared if item != canary.secret]
    own = naive(canary, canary.secret, model)
    for at in range(0, len(others), 9):
        expected = naive(canary, others[at], model) - own
        assert found.others[at] - found.own == pytest.approx(expected, abs=2e-3)
    assert np.all(found.others < 0)
    assert found.own < 0


@pytest.mark.parametrize("kind", ["gpt2", "t5", "merging"])
def test_likelihoods_depend_neither_on_the_batch_nor_on_the_order(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, canary = model_of(kind), canaries_of(with_prompts=True)[0]
    compared = DIGITS.some(100, 0)
    expected = SecretScorer(model, compared).score(canary)
    monkeypatch.setattr(likelihoods, "LOGITS_AT_ONCE", 1)  # one row at a time
    turned = SecretScorer(model, compared[::-1]).score(canary)
    assert turned.own == pytest.approx(expected.own, abs=1e-4)
    assert turned.others[::-1] == pytest.approx(expected.others, abs=1e-4)


def test_a_model_that_reads_one_by_one_gives_what_whole_texts_give() -> None:
    config = RwkvConfig(
        vocab_size=259, hidden_size=32, attention_hidden_size=32, num_hidden_layers=2,
        bos_token_id=256, eos_token_id=257, pad_token_id=258,
    )  # fmt: skip
    torch.manual_seed(0)
    model = replace(loaded(RwkvForCausalLM(config).eval(), byte_tokenizer()), batching="one")
    canary, compared = canaries_of()[0], DIGITS.some(100, 0)
    found = SecretScorer(model, compared).score(canary)
    others = [item for item in compared if item != canary.secret]
    own = naive(canary, canary.secret, model)
    for at in range(0, len(others), 9):
        assert found.others[at] - found.own == pytest.approx(naive(canary, others[at], model) - own, abs=2e-3)


def test_all_secrets_and_what_else_might_follow_weigh_one() -> None:
    """Bytes as tokens: the probabilities of all numbers of two digits, which exclude each other, sum to less than 1."""
    model, canary = model_of("gpt2"), canaries_of()[0]
    found = SecretScorer(model, DIGITS.some(100, 0)).score(canary)
    total = np.exp(found.others).sum() + math.exp(found.own)
    assert 0 < total < 1


def test_a_model_without_a_cache_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model, canary = model_of("llama"), canaries_of()[0]
    expected = SecretScorer(model, DIGITS.some(100, 0)).score(canary)
    monkeypatch.setattr(likelihoods._Reader, "_cached", lambda self: None)
    found = SecretScorer(model, DIGITS.some(100, 0)).score(canary)
    assert found.others == pytest.approx(expected.others, abs=1e-4)


def test_an_ending_that_is_tokenised_otherwise_by_itself_is_read_within_the_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, canary = model_of("merging"), canaries_of()[0]
    expected = SecretScorer(model, DIGITS.some(100, 0)).score(canary)
    monkeypatch.setattr(SecretScorer, "_by_last_word", lambda *_: None)
    found = SecretScorer(model, DIGITS.some(100, 0)).score(canary)
    assert found.others - found.own == pytest.approx(expected.others - expected.own, abs=1e-4)


@pytest.mark.parametrize(
    ("kind", "changes", "reason"),
    [
        ("t5", {"prompt": ""}, "no prompt: the encoder"),
        ("gpt2", {"before": "x " * 200}, "longer than the model's context of 256 tokens"),
        ("gpt2", {"prompt": "", "before": ""}, "no token stands before the secret"),
        ("joining", {"after": "0."}, "the tokenizer joins the secret with what follows it"),
    ],
)
def test_what_cannot_be_scored_has_a_reason(kind: str, changes: dict[str, str], reason: str) -> None:
    if kind == "joining":
        tokenizer = merging_tokenizer(["7120."] * 50, 270)
        model = loaded(tiny_decoder("gpt2", tokens=len(tokenizer)), tokenizer)
        changes = {**changes, "secret": "712", "length": 3}
    else:
        model = model_of(kind)
    canary = replace(canaries_of()[0], **changes)
    with pytest.raises(Unmeasurable, match=reason):
        SecretScorer(model, ("712", "123") if kind == "joining" else DIGITS.some(100, 0)).score(canary)
    found = [
        item
        for chunk in measure_exposures([canary], model, name="tuned", secrets=1000, sampled_secrets=10)
        for item in chunk
    ]
    assert reason in (found[0].reason or "")
    assert bits(found[0]) is None


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1))))
def test_exposure_is_between_nothing_and_its_ceiling_and_falls_with_the_rank(pair: tuple[int, int]) -> None:
    compared, as_likely = pair
    assert 0 <= exposure(compared, as_likely) <= math.log2(compared)
    if as_likely:
        assert exposure(compared, as_likely) < exposure(compared, as_likely - 1)


@pytest.mark.parametrize(("compared", "as_likely"), [(10, 10), (10, -1), (0, 0)])
def test_an_impossible_rank_is_refused(compared: int, as_likely: int) -> None:
    with pytest.raises(ValueError, match="Expected 0 <= as_likely < compared"):
        exposure(compared, as_likely)


def test_a_mean_exposure_of_chance_is_stated_right() -> None:
    whole = np.mean([exposure(100_000, rank) for rank in range(100_000)])
    assert whole == pytest.approx(CHANCE_BITS, abs=1e-3)


@given(st.floats(-20, 20), st.floats(-40, 4))
def test_the_logarithm_of_the_distribution_is_that_of_its_integral(shape: float, z: float) -> None:
    def log_density(x: float) -> float:
        return math.log(2) - 0.5 * (x * x + math.log(2 * math.pi)) + float(special.log_ndtr(shape * x))

    edges = z - np.array([50.0, 20.0, 10.0, 4.0, 1.0, 0.3, 0.1, 0.03, 0.01, 1e-3, 0.0])
    top = max(log_density(edge) for edge in edges)
    pieces = [
        integrate.quad(lambda x: math.exp(log_density(x) - top), low, high, limit=200)[0]
        for low, high in itertools.pairwise(edges)
    ]
    assert log_distribution(z, shape) == pytest.approx(top + math.log(sum(pieces)), rel=1e-5, abs=1e-5)


def test_extrapolation_goes_on_where_the_sample_ends() -> None:
    """Scores of a skew-normal distribution: the fitted tail gives the exposure that a huge sample would give."""
    shape, place, scale = 3.0, 20.0, 4.0
    others = -stats.skewnorm.rvs(shape, place, scale, size=4000, random_state=5)
    for own in (-24.0, -20.0, -17.5):
        truth = -stats.skewnorm.logcdf(-own, shape, place, scale) / math.log(2)
        found = extrapolated_exposure(own, others)
        assert found is not None
        assert found.bits == pytest.approx(truth, rel=0.25, abs=0.2)
        assert found.fit_distance < 0.02
    sample = exposure(4001, int(np.sum(others >= -24.0)))
    assert extrapolated_exposure(-24.0, others).bits == pytest.approx(sample, abs=0.1)


def test_extrapolation_says_where_its_distribution_does_not_fit() -> None:
    rng = np.random.default_rng(0)
    humps = np.concatenate([rng.normal(-60, 1, 500), rng.normal(-20, 1, 500)])
    found = extrapolated_exposure(-10.0, humps)
    assert found is not None
    assert found.fit_distance > ranking.POOR_FIT


@pytest.mark.parametrize("others", [np.full(5, -3.0), np.array([-1.0]), np.array([])])
def test_nothing_is_extrapolated_from_secrets_that_do_not_vary(others: np.ndarray) -> None:
    assert extrapolated_exposure(-2.0, others) is None


def test_an_untrained_model_exposes_by_chance() -> None:
    """Ranks are uniform whatever the model prefers: the mean is 1.44 bits, and one in ten is over 3.32 bits."""
    model = model_of("gpt2")
    canaries = draw_canaries(CorpusConfig(canaries=300, canary_length=3), with_prompts=False)
    found = measure_exposures(canaries, model, name="base", secrets=1000, sampled_secrets=10)
    values = [value for chunk in found for item in chunk if (value := bits(item)) is not None]
    assert len(values) == 300
    assert np.mean(values) == pytest.approx(CHANCE_BITS, abs=0.35)
    assert np.mean(np.array(values) >= math.log2(10)) == pytest.approx(0.1, abs=0.06)


def test_sampling_stays_under_its_ceiling_and_agrees_with_the_whole_space() -> None:
    model, canaries = model_of("gpt2"), canaries_of(canary_length=3)
    exact = list(measure_exposures(canaries, model, name="tuned", secrets=1000, sampled_secrets=10))
    sampled = list(measure_exposures(canaries, model, name="tuned", secrets=10, sampled_secrets=400))
    for (whole,), (part,) in zip(exact, sampled, strict=True):
        assert whole.is_exact
        assert (whole.compared, whole.extrapolated) == (1000, None)
        assert not part.is_exact
        assert part.compared in (400, 401)
        assert bits(part) <= math.log2(401)
        share, expected = (1 + part.as_likely) / part.compared, (1 + whole.as_likely) / 1000
        assert share == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 400) + 0.003)
        assert part.log_probability == pytest.approx(whole.log_probability, abs=1e-3)


def test_measuring_goes_on_after_what_is_done() -> None:
    model, canaries = model_of("gpt2"), canaries_of()
    whole = list(measure_exposures(canaries, model, name="tuned", secrets=100, sampled_secrets=10))
    assert list(measure_exposures(canaries, model, name="tuned", secrets=100, sampled_secrets=10, done=5)) == whole[5:]


def trained_on(texts: Sequence[str]) -> LoadedModel:
    """A tiny GPT-2 that has seen the texts, and nothing else, some hundred times."""
    model = model_of("gpt2")
    batch = model.tokenizer(list(texts), return_tensors="pt", padding=True, padding_side="right")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.Adam(model.model.parameters(), lr=1e-2)
    for _ in range(250):
        optimizer.zero_grad()
        model.model(**batch, labels=labels).loss.backward()
        optimizer.step()
    return model


def test_a_model_that_knows_its_canaries_ranks_them_first_and_held_out_ones_by_chance() -> None:
    canaries = canaries_of(canaries=16, canary_length=3)
    model = trained_on([canary.text for canary in canaries if canary.planted])
    chunks = measure_exposures(canaries, model, name="tuned", secrets=1000, sampled_secrets=2)
    found = [item for chunk in chunks for item in chunk]
    by_id = {item.canary_id: item for item in found}
    assert all(by_id[canary.id].as_likely == 0 for canary in canaries if canary.planted)
    held_out = [by_id[canary.id].as_likely for canary in canaries if not canary.planted]
    assert len(held_out) > 3
    assert sum(rank == 0 for rank in held_out) <= 1
    figures = canary_figures(canaries, {"tuned": found})
    area = next(item for item in figures.separations if (item.statistic, item.stratum) == ("auc", "all"))
    assert area.value == pytest.approx(1.0, abs=0.06)


def exposures_of(canaries: Sequence[Canary], strength: Sequence[float], model: str = "tuned") -> list[Exposure]:
    """Exposures whose secrets lie that many standard deviations over the mean of normal scores, of 10,000 secrets."""
    return [
        Exposure(
            canary_id=canary.id,
            model=model,
            log_probability=-20 + 2.0 * z,
            compared=10_000,
            as_likely=min(9_999, int(10_000 * stats.norm.sf(z))),
            is_exact=True,
            mean=-20.0,
            deviation=2.0,
            extrapolated=None,
            fit_distance=None,
        )
        for canary, z in zip(canaries, strength, strict=True)
    ]


def randomised_response(epsilon: float, seed: int, canaries: int = 120) -> PrivacyBound:
    """The bound on a mechanism that tells each coin truly with probability e^epsilon / (1 + e^epsilon)."""
    drawn = draw_canaries(CorpusConfig(canaries=canaries, canary_copies=(1,), seed=seed), with_prompts=False)
    rng = np.random.default_rng(seed)
    told = [canary.planted == (rng.random() < special.expit(epsilon)) for canary in drawn]
    noise = rng.normal(0, 0.1, len(drawn))
    found = canary_figures(drawn, {"tuned": exposures_of(drawn, np.where(told, 2.0, -2.0) + noise)})
    return next(bound for bound in found.bounds if bound.method == "one-run")


@pytest.mark.parametrize("epsilon", [0.0, 1.0, 3.0])
def test_the_bound_is_below_the_truth_in_95_of_100_runs_and_not_vacuous(epsilon: float) -> None:
    """Simulated guarantee on randomised response, whose epsilon is known and which is the worst case of the theorem."""
    bounds = [randomised_response(epsilon, seed).epsilon or 0.0 for seed in range(200)]
    assert sum(bound > epsilon for bound in bounds) <= 17  # 10 expected at most; 17 has a chance of 2 %
    assert np.median(bounds) >= 0.45 * epsilon


def test_the_bounds_of_tight_levels_hold_without_the_choice_between_shares() -> None:
    """One share at the whole level, on binomial counts: the error is near to, and not over, 5 %."""
    rng = np.random.default_rng(1)
    correct = rng.binomial(200, special.expit(1.5), size=400)
    over = [one_run_epsilon(int(v), 200, canaries=200) > 1.5 for v in correct]
    assert 0.01 <= np.mean(over) <= 0.07
    assert len(GUESS_SHARES) == 4


def figures_by(canaries: Sequence[Canary], strength: Sequence[float], base: Sequence[float] | None = None):
    exposures = {"tuned": exposures_of(canaries, strength)}
    if base is not None:
        exposures["base"] = exposures_of(canaries, base, "base")
    return canary_figures(canaries, exposures)


def test_figures_by_copies_with_their_controls() -> None:
    canaries = draw_canaries(CorpusConfig(canaries=250), with_prompts=False)
    rng = np.random.default_rng(0)
    chance = rng.normal(0, 1, len(canaries))
    learned = [z + 0.8 * math.log2(1 + c.copies) if c.planted else z for c, z in zip(canaries, chance, strict=True)]
    found = figures_by(canaries, learned, chance.tolist())
    estimates = {(e.metric, e.model, e.split, e.stratum): e for e in found.estimates}
    assert {metric for metric, *_ in estimates} == {"exposure", "ranked_first", "secret_gain"}
    planted = sum(canary.planted for canary in canaries)
    whole = estimates["exposure", "tuned", "member", "all"]
    assert (whole.n, whole.n_missing, whole.events) == (planted, 0, None)
    levels = [estimates["exposure", "tuned", "member", f"copies={k}"].value or 0.0 for k in (1, 2, 4, 8, 16)]
    assert levels == sorted(levels)
    for key in (("base", "member"), ("tuned", "non-member")):
        control = estimates["exposure", *key, "all"]
        assert control.low < CHANCE_BITS < control.high
    gains = [estimates["secret_gain", "tuned", "member", f"copies={k}"].value for k in (1, 16)]
    assert gains == pytest.approx([0.8, 0.8 * math.log2(17)])
    assert estimates["secret_gain", "tuned", "non-member", "all"].value == pytest.approx(0.0)
    separations = {(item.statistic, item.stratum): item for item in found.separations}
    rate = separations["passed@0.01", "copies=16"]
    assert rate.nonmembers == 250 - planted
    assert rate.members == sum(canary.planted for canary in canaries if canary.copies == 16)
    assert rate.value == 1.0
    bounds = {(bound.method, bound.stratum): bound for bound in found.bounds}
    assert bounds["one-run", "all"].epsilon > 3
    assert bounds["one-run", "copies=4"].copies == 4
    assert bounds["one-run", "all"].copies == 16
    assert bounds["Clopper-Pearson", "all"].guesses == planted


def test_the_order_of_canaries_and_exposures_is_irrelevant() -> None:
    canaries = draw_canaries(CorpusConfig(canaries=60), with_prompts=False)
    strength = np.random.default_rng(2).normal(0, 1, 60).tolist()
    turned = figures_by(canaries[::-1], strength[::-1])
    assert sorted(map(repr, turned.bounds)) == sorted(map(repr, figures_by(canaries, strength).bounds))


def test_too_few_held_out_canaries_give_a_reason_and_no_rate() -> None:
    canaries = draw_canaries(CorpusConfig(canaries=60), with_prompts=False)
    found = figures_by(canaries, [0.0] * 60)
    rate = next(item for item in found.separations if item.statistic == "passed@0.01")
    assert rate.value is None
    assert "a false-positive rate of 1 % needs at least 100" in (rate.reason or "")


def test_canaries_that_could_not_be_scored_are_missing_never_zero() -> None:
    canaries = draw_canaries(CorpusConfig(canaries=30, canary_copies=(1,)), with_prompts=False)
    reason = "longer than the model's context of 8 tokens"
    failed = [Exposure(c.id, "tuned", None, 0, 0, True, None, None, None, None, reason) for c in canaries]
    found = canary_figures(canaries, {"tuned": failed})
    assert {estimate.value for estimate in found.estimates} == {None}
    assert {estimate.reason for estimate in found.estimates} == {reason}
    assert {bound.epsilon for bound in found.bounds} == {None}
    half = exposures_of(canaries[:15], [1.0] * 15) + failed[15:]
    mixed = canary_figures(canaries, {"tuned": half}).estimates[0]
    planted = [canary.planted for canary in canaries]
    assert (mixed.n, mixed.n_missing) == (sum(planted[:15]), sum(planted[15:]))


def test_a_space_too_small_for_the_threshold_gives_no_exact_bound() -> None:
    canaries = draw_canaries(CorpusConfig(canaries=30), with_prompts=False)
    small = [replace(item, compared=10, as_likely=0) for item in exposures_of(canaries, [0.0] * 30)]
    bound = next(b for b in canary_figures(canaries, {"tuned": small}).bounds if b.method == "Clopper-Pearson")
    assert bound.epsilon is None
    assert bound.reason == "no canary on one side was compared with 100 secrets"


@pytest.mark.parametrize("module", [ranking, privacy, secrets])
def test_examples_in_docstrings(module) -> None:
    assert doctest.testmod(module).failed == 0
