"""The teacher-forced pass: against sums over the vocabulary at batch 1, for any batch, order, padding and model."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from fakes import (
    MEMBERS,
    NON_MEMBERS,
    MemoryStore,
    byte_tokenizer,
    loaded,
    memorised_toy,
    tiny_decoder,
    tiny_encoder_decoder,
)
from rote.config import GenerationConfig
from rote.errors import ModelError
from rote.generation import TransformersModel, cut_prompts, generate
from rote.models import LoadedModel, load_model
from rote.models.tokens import suppressed_ids
from rote.passes import logits
from rote.passes import scoring as passes
from rote.passes.schemes import PLAIN, Scheme
from rote.passes.scoring import TextPass, key_of, prompt_pass, run_passes, score_prompts, score_texts
from rote.passes.store import TokenStatistics, TokenStore
from rote.records import Prompt, content_id
from rote.scoring.likelihood import exact_memorization, extractable, loss

CONFIG = GenerationConfig(prompt="prefix", prefix_tokens=10, max_new_tokens=12, batch_size=7)
SCHEMES = (PLAIN, Scheme(1.0, 40, 1.0), Scheme(0.8, 0, 0.95))
KINDS = ("gpt2", "llama", "t5", "toy")
CLOSE = 3e-4
"""float32, tiny but lively weights: CPUs differ by up to 4e-5."""


def unequal_prompts() -> list[Prompt]:
    """Sixteen prompts of 1 to 31 bytes."""
    cut = [(text[: 1 + 2 * number], text[1 + 2 * number :]) for number, text in enumerate(MEMBERS + NON_MEMBERS)]
    return [Prompt(content_id(text, str(n)), f"e{n}", text, rest) for n, (text, rest) in enumerate(cut)]


def model_of(kind: str) -> LoadedModel:
    tokenizer = byte_tokenizer(encloses=kind == "t5")
    if kind == "toy":
        return memorised_toy().model
    network = tiny_encoder_decoder(tokens=len(tokenizer)) if kind == "t5" else tiny_decoder(kind, tokens=len(tokenizer))
    return loaded(network, tokenizer)


def scored(prompts: Sequence[Prompt], model: LoadedModel, config=CONFIG, schemes=SCHEMES) -> dict[str, TokenStatistics]:
    """The statistics of prompt and reference, by prompt id."""
    store = MemoryStore()
    found = score_prompts(prompts, model, store, config=config, schemes=schemes, name="tuned")
    return {item.prompt_id: store.read(item.key) for item in found}


def references(prompts: Sequence[Prompt], model: LoadedModel, config=CONFIG) -> dict[str, TokenStatistics]:
    """The statistics of the references alone, by prompt id."""
    store = MemoryStore()
    found = score_prompts(prompts, model, store, config=config, schemes=SCHEMES, name="tuned")
    return {item.prompt_id: store.read(item.key).part(item.prompt_tokens) for item in found}


def own_logits(text: TextPass, model: LoadedModel) -> list[torch.Tensor]:
    """The logits before each scored token, each from its own call of the model at batch 1."""
    network, found = model.model, []
    for at in range(len(text.scored)):
        with torch.no_grad():
            if model.is_encoder_decoder:
                read = [network.config.decoder_start_token_id, model.tokenizer.bos_token_id, *text.scored[:at]]
                output = network(input_ids=torch.tensor([text.shown]), decoder_input_ids=torch.tensor([read]))
            else:
                output = network(torch.tensor([[*text.shown, *text.scored[:at]]]))
        found.append(output.logits[0, -1].double())
    return found


def naive(text: TextPass, model: LoadedModel, schemes: Sequence[Scheme] = SCHEMES) -> TokenStatistics:
    """Direct sums over the vocabulary, one token after the other."""
    rows = []
    for token, row in zip(text.scored, own_logits(text, model), strict=True):
        values = row.tolist()
        largest = max(values)
        total = math.fsum(math.exp(value - largest) for value in values)
        log_p = [value - largest - math.log(total) for value in values]
        mean = math.fsum(math.exp(value) * value for value in log_p)
        variance = math.fsum(math.exp(value) * (value - mean) ** 2 for value in log_p)
        allowed = row.clone()
        allowed[suppressed_ids(model)] = -math.inf
        drawn = [float(warped(allowed, scheme).log_softmax(-1)[token]) for scheme in schemes]
        rank = sum(value > values[token] for value in values)
        rows.append((log_p[token], mean, math.sqrt(variance), rank, int(allowed.argmax()) == token, drawn))
    columns = list(zip(*rows, strict=True)) or [()] * 6
    decoding = np.array(columns[5], dtype=float).reshape(len(text.scored), len(schemes)).T
    return TokenStatistics(*map(np.array, columns[:5]), decoding)


def warped(scores: torch.Tensor, scheme: Scheme) -> torch.Tensor:
    """What transformers' own sampling does to the scores."""
    steps = [TemperatureLogitsWarper(scheme.temperature)]
    steps += [TopKLogitsWarper(scheme.top_k)] if scheme.top_k else []
    steps += [TopPLogitsWarper(scheme.top_p)] if scheme.top_p < 1 else []
    return LogitsProcessorList(steps)(torch.zeros((1, 1), dtype=torch.long), scores[None])[0]


def assert_same(found: TokenStatistics, expected: TokenStatistics, *, close: float = CLOSE) -> None:
    for field in fields(TokenStatistics):
        one, other = getattr(found, field.name), getattr(expected, field.name)
        assert one.shape == other.shape, field.name
        if field.name in ("ranks", "is_greedy"):
            assert (one == other).all(), field.name
        else:
            assert one == pytest.approx(other, abs=close), field.name


@contextmanager
def counted(model: LoadedModel) -> Iterator[list[tuple[int, ...]]]:
    """The shapes of the ids of every forward pass of the model."""
    shapes: list[tuple[int, ...]] = []

    def note(_, args, kwargs) -> None:
        ids = args[0] if args else kwargs.get("decoder_input_ids", kwargs.get("input_ids"))
        shapes.append(tuple(ids.shape))

    hook = model.model.register_forward_pre_hook(note, with_kwargs=True)
    yield shapes
    hook.remove()


# Against the definitions


@pytest.mark.parametrize("kind", KINDS)
def test_every_statistic_is_the_sum_of_its_definition_over_the_vocabulary(kind):
    model, prompts = model_of(kind), unequal_prompts()
    found = scored(prompts, model)
    for prompt in prompts[::5]:
        text = prompt_pass(prompt, model, CONFIG).text
        assert len(found[prompt.id]) == len(text.scored)
        assert_same(found[prompt.id], naive(text, model))


def test_a_causal_models_text_is_scored_from_its_second_token_on_and_split_at_the_prompts_end():
    model, prompts = model_of("gpt2"), unequal_prompts()
    for prompt in prompts:
        cut = prompt_pass(prompt, model, CONFIG)
        whole = model.tokenizer(prompt.text + prompt.reference)["input_ids"]
        assert [*cut.text.shown, *cut.text.scored] == whole
        assert len(cut.text.shown) == 1
        assert cut.prompt_tokens == len(prompt.text.encode()) - 1


def test_with_a_start_token_the_prompts_first_token_is_scored_too():
    tokenizer = byte_tokenizer(encloses=True)
    model = loaded(tiny_decoder("llama", tokens=len(tokenizer)), tokenizer)
    cut = prompt_pass(Prompt("p", "e", "abc", "de"), model, CONFIG)
    assert cut.text.shown == (tokenizer.bos_token_id,)
    assert tokenizer.decode(cut.text.scored) == "abcde"
    assert cut.prompt_tokens == 3


@pytest.mark.parametrize("kind", ["toy", "gpt2", "t5"])
def test_extraction_by_the_pass_is_extraction_by_generation(kind, toy):
    model = model_of(kind)
    cut = cut_prompts(toy.members + toy.non_members, model.tokenizer, config=CONFIG, is_encoder_decoder=False)
    found = references(cut.prompts, model)
    generated = {
        g.prompt_id: g.text for b in generate(cut.prompts, TransformersModel(model), config=CONFIG, name="t") for g in b
    }
    for prompt in cut.prompts:
        assert extractable(found[prompt.id], 12) == (generated[prompt.id] == prompt.reference[:12])


def test_the_toys_members_are_extractable_and_its_non_members_are_not(toy):
    for group, expected in ((toy.members, 8), (toy.non_members, 0)):
        cut = cut_prompts(group, toy.model.tokenizer, config=CONFIG, is_encoder_decoder=False)
        found = references(cut.prompts, toy.model).values()
        assert sum(extractable(item, 30) for item in found) == expected
        assert all((exact_memorization(item) == 1.0) == (expected == 8) for item in found)
        assert all((loss(item) < 0.2) == (expected == 8) for item in found)


def test_the_probability_under_a_scheme_is_the_frequency_of_its_draws(toy):
    """The first reference token of each non-member, drawn 400 times from the toy by `rote generate`."""
    config = GenerationConfig(
        prompt="prefix", prefix_tokens=6, max_new_tokens=1, decoding="sample", samples=400, temperature=1.5, top_p=0.9
    )
    cut = cut_prompts(toy.non_members, toy.model.tokenizer, config=config, is_encoder_decoder=False)
    drawn = [g for b in generate(cut.prompts, TransformersModel(toy.model), config=config, name="t") for g in b]
    found = scored(cut.prompts, toy.model, config, (Scheme(1.5, 0, 0.9),))
    for prompt in cut.prompts:
        at = prompt_pass(prompt, toy.model, config).prompt_tokens
        p = math.exp(found[prompt.id].decoding_log_probabilities[0, at])
        hits = sum(g.text == prompt.reference[0] for g in drawn if g.prompt_id == prompt.id)
        assert abs(hits / 400 - p) <= 4 * math.sqrt(p * (1 - p) / 400) + 1e-9


# Batches, padding, order


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_depends_on_batch_size_padding_or_order(kind):
    model, prompts = model_of(kind), unequal_prompts()
    expected = scored(prompts, model)
    for size in (1, 5, 32):
        found = scored(prompts[::-1], model, replace(CONFIG, batch_size=size))
        for key, statistics in expected.items():
            assert_same(found[key], statistics)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_defect_1_extraction_does_not_fall_as_the_batch_grows(size, toy):
    """Eight memorised texts behind prompts of eight lengths: all come out, whatever stands beside them."""
    prompts = [Prompt(f"p{n}", e.id, e.text[: 4 + 3 * n], e.text[4 + 3 * n :]) for n, e in enumerate(toy.members)]
    found = references(prompts, toy.model, replace(CONFIG, batch_size=size))
    assert sum(extractable(item, 25) for item in found.values()) == 8
    assert [len(found[p.id]) for p in prompts] == [len(p.reference) for p in prompts]


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5"])
def test_small_pieces_and_small_batches_give_the_same(kind, monkeypatch):
    model, prompts = model_of(kind), unequal_prompts()
    expected = scored(prompts, model)
    monkeypatch.setattr(logits, "LOGITS_AT_ONCE", 5 * len(model.tokenizer))
    monkeypatch.setattr(passes, "TOKENS_AT_ONCE", 100)
    for key, statistics in scored(prompts, model).items():
        assert_same(statistics, expected[key])


def test_a_batch_holds_no_more_padded_tokens_than_the_bound(monkeypatch):
    monkeypatch.setattr(passes, "TOKENS_AT_ONCE", 150)
    model = model_of("gpt2")
    with counted(model) as shapes:
        scored(unequal_prompts(), model, replace(CONFIG, batch_size=32))
    assert len(shapes) > 4
    assert all(rows * (width + 1) <= 150 for rows, width in shapes)


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_no_logits_are_made_for_padding_or_prompts_and_no_more_than_the_bound_at_once(kind, monkeypatch):
    monkeypatch.setattr(logits, "LOGITS_AT_ONCE", 50 * 300)
    sizes: list[int] = []
    model, prompts, fill = model_of(kind), unequal_prompts(), passes.fill

    def spy(columns, places, rows, targets, **options):
        sizes.append(len(rows))
        fill(columns, places, rows, targets, **options)

    monkeypatch.setattr(passes, "fill", spy)
    found = scored(prompts, model)
    assert sum(sizes) == sum(map(len, found.values()))
    assert max(sizes) <= 50 * 300 // model.model.config.vocab_size


# The loss mask


@pytest.mark.parametrize("kind", KINDS)
def test_defect_5_the_loss_is_over_the_references_tokens_each_of_them_and_no_other(kind):
    model, prompts = model_of(kind), unequal_prompts()
    for prompt, tokens in zip(prompts, references(prompts, model).values(), strict=True):
        assert len(tokens) == len(prompt.reference.encode())
    prompt = prompts[3]
    text = prompt_pass(prompt, model, CONFIG).text
    values = [
        float(row.log_softmax(-1)[token]) for row, token in zip(own_logits(text, model), text.scored, strict=True)
    ][-len(prompt.reference.encode()) :]
    found = references([prompt], model)[prompt.id]
    assert found.log_probabilities == pytest.approx(values, abs=CLOSE)
    assert loss(found) == pytest.approx(-math.fsum(values) / len(values), abs=CLOSE)


def test_defect_5_a_prompt_of_other_likelihood_does_not_enter_the_loss_by_itself(toy):
    """Two texts with the same reference, scored as given: only what the model says of the reference counts."""
    member = toy.members[0].text
    prompts = [Prompt("own", "e", member[:20], member[20:]), Prompt("odd", "e", "zqzq" + member[:20], member[20:])]
    found = references(prompts, toy.model)
    assert [len(found[key]) for key in ("own", "odd")] == [len(member) - 20] * 2
    whole = scored(prompts, toy.model)
    assert loss(whole["odd"]) > loss(found["odd"])


def test_an_end_token_is_neither_generated_nor_a_first_choice():
    model = model_of("gpt2")
    prompt = Prompt("p", "e", "abc", f"d{model.tokenizer.eos_token}")
    with torch.no_grad():
        model.model.transformer.wte.weight[model.tokenizer.eos_token_id] *= 50
    tokens = references([prompt], model)["p"]
    assert len(tokens) == 2
    assert not tokens.is_greedy[1]
    assert (tokens.decoding_log_probabilities[:, 1] == -math.inf).all()


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_special_tokens_in_a_prompt_are_read_as_the_tokenizer_reads_them(kind):
    model = model_of(kind)
    prompt = Prompt("p", "e", f"ab{model.tokenizer.eos_token}c{model.tokenizer.pad_token}", "de")
    text = prompt_pass(prompt, model, CONFIG).text
    assert {model.tokenizer.eos_token_id, model.tokenizer.pad_token_id} < {*text.shown, *text.scored}
    beside = unequal_prompts()
    assert_same(scored([*beside, prompt], model, replace(CONFIG, batch_size=32))["p"], naive(text, model))


# Truncation, hostile and empty texts


def test_a_text_over_the_context_is_scored_as_far_as_it_fits():
    model, store = replace(model_of("llama"), context_tokens=40), MemoryStore()
    prompts = [
        Prompt("long", "e", "abcdefghij", "x" * 50),
        Prompt("prompt", "e", "y" * 50, "zz"),
        Prompt("fits", "e", "abc", "de"),
    ]
    found = score_prompts(prompts, model, store, config=CONFIG, schemes=SCHEMES, name="tuned")
    assert [(item.tokens - item.prompt_tokens, item.truncated) for item in found] == [(30, True), (2, True), (2, False)]
    shown = replace(prompts[1], text="y" * 28)
    assert_same(store.read(found[1].key), naive(prompt_pass(shown, model, CONFIG).text, model))


def test_no_room_for_a_prompt_names_both_numbers():
    with pytest.raises(ModelError, match=r"max_new_tokens = 12 .* context of 12 tokens"):
        scored(unequal_prompts(), replace(model_of("gpt2"), context_tokens=12))


def test_a_text_longer_than_the_context_and_one_that_shows_nothing_are_errors():
    model = replace(model_of("gpt2"), context_tokens=40)
    with pytest.raises(ModelError, match=r"a text of 41 tokens is longer than the model's context of 40 tokens"):
        score_texts([TextPass((1,), (2,) * 40)], model, MemoryStore())
    with pytest.raises(ValueError, match="shows at least one token"):
        score_texts([TextPass((), (2,))], model, MemoryStore())


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_hostile_and_empty_references_are_scored(kind):
    hostile = ["<script>", "\x1b[31m\x00", "\ud800", "</s></s>", "\u202eabc", "x" * 5000, ""]
    prompts = [Prompt(f"p{n}", f"e{n}", "a", text) for n, text in enumerate(hostile)]
    found = references(prompts, model_of(kind))
    assert len(found) == len(hostile)
    assert len(found["p6"]) == 0
    assert all(np.isfinite(item.log_probabilities).all() for item in found.values())


def test_nothing_but_empty_texts_needs_no_pass():
    model = model_of("gpt2")
    with counted(model) as shapes:
        keys = score_texts([TextPass((1,), ())], model, store := MemoryStore(), schemes=SCHEMES)
    assert not shapes
    assert store.read(keys[0]).decoding_log_probabilities.shape == (3, 0)


def test_probabilities_that_are_no_numbers_are_an_error():
    model = model_of("llama")
    with torch.no_grad():
        model.model.lm_head.weight[5, 0] = math.nan
    with pytest.raises(
        ModelError, match=r"in torch\.float32 it gives logits that are no numbers, or infinite; use another"
    ):
        scored(unequal_prompts(), model)


# The store


def texts_of(model: LoadedModel, prompts: Sequence[Prompt]) -> list[TextPass]:
    return [prompt_pass(prompt, model, CONFIG).text for prompt in prompts]


def test_defect_7_changing_one_text_computes_that_text_alone(tmp_path):
    model, prompts = model_of("gpt2"), unequal_prompts()
    texts = texts_of(model, prompts)
    with counted(model) as shapes:
        keys = score_texts(texts, model, TokenStore(tmp_path), batch_size=4)
        assert sum(rows for rows, _ in shapes[1:]) == 16  # the first one tries the model's parts
        del shapes[:]
        assert score_texts(texts, model, TokenStore(tmp_path), batch_size=4) == keys
        assert shapes == []
        changed = texts_of(model, [replace(prompts[6], reference="something else"), *prompts[:6], *prompts[7:]])
        found = score_texts(changed, model, TokenStore(tmp_path), batch_size=4)
        assert [rows for rows, _ in shapes[1:]] == [1]
    assert len({*keys} & {*found}) == 15


def test_equal_texts_are_computed_once():
    model, store = model_of("gpt2"), MemoryStore()
    text = TextPass((65,), (66, 67))
    with counted(model) as shapes:
        keys = score_texts([text, text, TextPass((65,), (66, 68)), text], model, store)
    assert len({*keys}) == len(store.found) == 2
    assert shapes[1:] == [(2, 2)]


def test_a_key_depends_on_model_format_text_and_schemes_and_on_nothing_else():
    model = model_of("gpt2")
    text = TextPass((65,), (66, 67))
    half = replace(model, model=tiny_decoder(tokens=len(model.tokenizer)).to(torch.bfloat16))
    keys = [
        key_of(text, model, SCHEMES),
        key_of(text, replace(model, digest="other"), SCHEMES),
        key_of(text, half, SCHEMES),
        key_of(TextPass((65, 66), (67,)), model, SCHEMES),
        key_of(TextPass((65,), (66, 68)), model, SCHEMES),
        key_of(text, model, SCHEMES[:2]),
        key_of(text, model, SCHEMES[::-1]),
    ]
    assert len({*keys}) == len(keys)
    assert key_of(TextPass((65,), (66, 67)), replace(model, source="elsewhere"), SCHEMES) == keys[0]


def test_an_interrupted_call_goes_on_with_the_same_batches_to_the_same_bits(tmp_path, monkeypatch):
    monkeypatch.setattr(passes, "CHUNK_TOKENS", 150)
    model = model_of("llama")
    texts = texts_of(model, unequal_prompts())
    whole = TokenStore(tmp_path / "whole")
    keys = score_texts(texts, model, whole, batch_size=3)
    for stop in range(1, 6):
        folder = tmp_path / f"stopped-{stop}"
        running = run_passes(texts, model, TokenStore(folder), batch_size=3)
        for _ in range(stop):
            next(running)
        running.close()
        resumed = TokenStore(folder)
        score_texts(texts, model, resumed, batch_size=3)
        for key in keys:
            assert_same(resumed.read(key), whole.read(key), close=0)


def test_a_progress_bar_sees_every_text_once(tmp_path):
    model = model_of("gpt2")
    texts = texts_of(model, unequal_prompts())
    score_texts(texts[:5], model, TokenStore(tmp_path))
    seen = [key for keys in run_passes([*texts, *texts], model, TokenStore(tmp_path), batch_size=4) for key in keys]
    assert sorted(seen) == sorted({key_of(text, model, (PLAIN,)) for text in texts})


# Adapters


@pytest.fixture(scope="module")
def adapted(tmp_path_factory) -> tuple[str, str]:
    """A model folder, and a LoRA adapter on all of its linear layers, the head included."""
    folder = tmp_path_factory.mktemp("adapted")
    tokenizer = byte_tokenizer()
    network = tiny_decoder("llama", tokens=len(tokenizer))
    network.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    torch.manual_seed(8)
    config = LoraConfig(
        task_type="CAUSAL_LM", target_modules=["q_proj", "down_proj", "lm_head"], init_lora_weights=False
    )
    get_peft_model(network, config).save_pretrained(folder / "adapter", save_embedding_layers=False)
    return str(folder / "base"), str(folder / "adapter")


def test_an_adapter_has_keys_of_its_own_and_the_numbers_of_the_adapted_model(adapted):
    base, adapter = adapted
    plain, merged = load_model(base), load_model(base, adapter=adapter)
    live = PeftModel.from_pretrained(load_model(base).model, adapter)
    prompts = unequal_prompts()[::5]
    found, without = scored(prompts, merged), scored(prompts, plain)
    for prompt in prompts:
        text = prompt_pass(prompt, merged, CONFIG).text
        assert key_of(text, merged, SCHEMES) != key_of(text, plain, SCHEMES)
        assert_same(found[prompt.id], naive(text, replace(merged, model=live)))
        assert abs(found[prompt.id].log_probabilities - without[prompt.id].log_probabilities).max() > 0.1


def test_a_model_with_a_live_adapter_is_scored_as_well(adapted):
    base, adapter = adapted
    loaded_ = load_model(base)
    model = replace(loaded_, model=PeftModel.from_pretrained(loaded_.model, adapter).eval())
    prompts = unequal_prompts()[::5]
    for prompt, tokens in zip(prompts, scored(prompts, model).values(), strict=True):
        assert_same(tokens, naive(prompt_pass(prompt, model, CONFIG).text, model))
