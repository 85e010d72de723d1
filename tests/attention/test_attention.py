"""Where models attend: against one plain pass without cache, at batch 1, in Python."""

import inspect
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    BartConfig,
    BartForCausalLM,
    FSMTConfig,
    FSMTForConditionalGeneration,
    MistralConfig,
    MistralForCausalLM,
    RwkvConfig,
    RwkvForCausalLM,
)

from fakes import byte_tokenizer, loaded, tiny_decoder, tiny_encoder_decoder
from rote.attention import watching as attention
from rote.attention.watching import MEASURES, Attention, WatchedText, concentration, watch, watched_text
from rote.errors import ModelError
from rote.models import LoadedModel
from rote.records import Generation, Prompt

PROMPTS = ("The grey goose sleeps.", "Nobody came to supper.", "A short", "Brass lamps were lit at nine.")
WRITTEN = (" It rains", " He ate.", " one, then more", " x")


def naive_measures(row: Sequence[float]) -> list[float]:
    n, total = len(row), sum(row)
    shares = sorted((weight / total if total else 1 / n for weight in row), reverse=True)
    entropy = -sum(a * math.log(a) for a in shares if a > 0) / math.log(n)
    tops = [sum(shares[: max(1, math.ceil(part * n))]) for part in (0.01, 0.05, 0.1)]
    gini = sum(abs(a - b) for a in shares for b in shares) / (2 * n)
    return [entropy, *tops, gini, shares[0]]


@given(st.lists(st.floats(0.001, 1.0), min_size=2, max_size=40))
@settings(max_examples=100)
def test_measures_agree_with_plain_sums(weights: list[float]) -> None:
    found = concentration(torch.tensor(weights, dtype=torch.float64)).tolist()
    assert found == pytest.approx(naive_measures(weights), abs=1e-5)


def test_measures_at_their_limits() -> None:
    alike = dict(zip(MEASURES, concentration(torch.full((20,), 0.05)).tolist(), strict=True))
    assert alike == pytest.approx(
        {"entropy": 1.0, "top_1": 0.05, "top_5": 0.05, "top_10": 0.1, "gini": 0.0, "largest": 0.05}, abs=1e-6
    )
    one = torch.zeros(20)
    one[3] = 0.7
    alone = dict(zip(MEASURES, concentration(one).tolist(), strict=True))
    assert alone == pytest.approx(
        {"entropy": 0.0, "top_1": 1.0, "top_5": 1.0, "top_10": 1.0, "gini": 0.95, "largest": 1.0}, abs=1e-6
    )
    assert concentration(torch.zeros(20)).tolist() == pytest.approx(concentration(torch.full((20,), 1.0)).tolist())


def texts(model: LoadedModel) -> list[WatchedText]:
    pairs = zip(PROMPTS, WRITTEN, strict=True)
    prompts = [
        (Prompt(f"p{n}", "e", text, ""), Generation(f"g{n}", f"p{n}", "e", "tuned", "greedy", 0, more))
        for n, (text, more) in enumerate(pairs)
    ]
    return [watched_text(prompt, generation, model, max_new_tokens=32) for prompt, generation in prompts]


def naive(text: WatchedText, model: LoadedModel) -> tuple[np.ndarray, np.ndarray]:
    """With and without sink, from one pass over the whole text."""
    network = model.model
    network.set_attn_implementation("eager")
    first, end = text.columns
    with torch.inference_mode():
        if model.is_encoder_decoder:
            output = network(
                input_ids=torch.tensor([text.read]),
                decoder_input_ids=torch.tensor([text.written]),
                output_attentions=True,
                use_cache=False,
            )
            maps = torch.cat(output.cross_attentions)[:, :, text.skipped - 1 : -1, first:end]
        else:
            output = network(torch.tensor([[*text.read, *text.written]]), output_attentions=True, use_cache=False)
            maps = torch.cat(output.attentions)[:, :, len(text.read) - 1 : -1, first:end]
    sinks = maps if model.is_encoder_decoder else maps[..., 1:]
    return tuple(  # type: ignore[return-value]
        np.array(
            [[np.mean([naive_measures(row) for row in head], axis=0) for head in layer] for layer in part.tolist()]
        )
        for part in (maps, sinks)
    )


def models() -> dict[str, LoadedModel]:
    bytes_, enclosing = byte_tokenizer(), byte_tokenizer(encloses=True)
    found = {
        "gpt2": loaded(tiny_decoder(tokens=len(bytes_)), bytes_),
        "llama": loaded(tiny_decoder("llama", tokens=len(bytes_)), bytes_),
        "llama with start token": loaded(tiny_decoder("llama", tokens=len(enclosing)), enclosing),
        "t5": loaded(tiny_encoder_decoder(tokens=len(enclosing)), enclosing),
    }
    torch.manual_seed(0)
    sliding = MistralConfig(
        vocab_size=len(bytes_),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        sliding_window=12,
        bos_token_id=None,
        eos_token_id=None,
    )
    found["sliding window"] = loaded(MistralForCausalLM(sliding), bytes_)
    return found


@pytest.mark.parametrize("name", list(models()))
@pytest.mark.parametrize("at_once", [1 << 26, 700])
def test_streamed_attention_is_that_of_one_pass(name: str, at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention, "MAPS_AT_ONCE", at_once)
    model = models()[name]
    watched = texts(model)
    found = {item.subject_id: item for batch in watch(watched, model, batch_size=2) for item in batch}
    assert sorted(found) == ["g0", "g1", "g2", "g3"]
    for text in watched:
        with_sink, without_sink = naive(text, model)
        assert found[text.subject_id].with_sink == pytest.approx(with_sink, abs=2e-4)
        assert found[text.subject_id].without_sink == pytest.approx(without_sink, abs=2e-4)


def flat(batches: Sequence[Sequence[Attention]]) -> dict[str, list[float]]:
    return {
        item.subject_id: [*item.with_sink.ravel(), *item.without_sink.ravel()] for batch in batches for item in batch
    }


def test_neither_batch_nor_order_matters() -> None:
    model = models()["llama"]
    watched = [
        *texts(model),
        *(WatchedText(f"copy {t.subject_id}", t.read, t.written, t.skipped, t.columns) for t in texts(model)),
    ]
    one = flat(list(watch(watched, model, batch_size=1)))
    many = flat(list(watch(watched[::-1], model, batch_size=8)))
    assert one.keys() == many.keys()
    for subject, values in one.items():
        assert many[subject] == pytest.approx(values, abs=1e-5)


def test_the_implementation_of_attention_is_put_back() -> None:
    model = models()["llama"]
    before = model.model.config._attn_implementation
    list(watch(texts(model), model, batch_size=2))
    assert model.model.config._attn_implementation == before


def test_maps_are_kept_of_those_asked_for_and_sum_to_what_the_model_gives_the_input() -> None:
    model = models()["gpt2"]
    found = [item for batch in watch(texts(model), model, batch_size=4, maps=frozenset(["g1"])) for item in batch]
    kept = {item.subject_id: item.mean_map for item in found}
    assert {subject for subject, mean_map in kept.items() if mean_map is not None} == {"g1"}
    assert kept["g1"] is not None
    assert kept["g1"].shape == (2, len(WRITTEN[1]), len(PROMPTS[1]))
    assert (kept["g1"].sum(-1) <= 1.0001).all()
    assert kept["g1"][:, 0].sum(-1) == pytest.approx([1.0, 1.0], abs=1e-5)


def test_nothing_is_said_of_what_is_too_short() -> None:
    model = models()["gpt2"]
    short = WatchedText("short", (1, 2), (3, 4), 0, (0, 2))
    silent = WatchedText("silent", (1, 2, 3, 4), (), 0, (0, 4))
    assert list(watch([short, silent], model, batch_size=2)) == []


SPECIAL = {"bos_token_id": 256, "eos_token_id": 257, "pad_token_id": 258}


def lively(network: torch.nn.Module) -> LoadedModel:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in network.parameters():
            if weight.dim() > 1:
                weight.copy_(torch.randn(weight.shape, generator=generator) * 2 / weight.shape[-1] ** 0.5)
    return loaded(network.eval(), byte_tokenizer())


def odd(kind: str) -> LoadedModel:
    if kind == "fsmt":
        layers = {f"{part}_{what}": size for part in ("encoder", "decoder") for what, size in
                  (("layers", 2), ("attention_heads", 4), ("ffn_dim", 64))}  # fmt: skip
        sizes = {"src_vocab_size": 259, "tgt_vocab_size": 259, "d_model": 32, "max_position_embeddings": 256}
        config = FSMTConfig(langs=["en", "de"], **sizes, **layers, decoder_start_token_id=257, **SPECIAL)
        return lively(FSMTForConditionalGeneration(config))
    if kind == "bart":
        sizes = {"decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 64}
        return lively(
            BartForCausalLM(BartConfig(vocab_size=259, d_model=32, max_position_embeddings=256, **sizes, **SPECIAL))
        )
    config = RwkvConfig(vocab_size=259, hidden_size=32, attention_hidden_size=32, num_hidden_layers=2, **SPECIAL)
    return replace(lively(RwkvForCausalLM(config)), batching="one")


@pytest.mark.parametrize("kind", ["fsmt", "bart", "one by one", "without a cache"])
def test_attention_is_that_of_the_plain_call_however_the_model_is_used(kind: str) -> None:
    ways = {"one by one": {"batching": "one"}, "without a cache": {"uses_cache": False}}
    model = replace(models()["llama"], **ways[kind]) if kind in ways else odd(kind)
    watched = texts(model)
    watched += [replace(text, subject_id=f"copy {text.subject_id}") for text in watched]
    found = {item.subject_id: item for batch in watch(watched, model, batch_size=4) for item in batch}
    assert len(found) == 8
    for text in watched:
        assert found[text.subject_id].with_sink == pytest.approx(naive(text, model)[0], abs=2e-4)


def test_without_a_cache_none_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    model = replace(models()["llama"], uses_cache=False)
    forward, caches = model.model.forward, []

    def counting(*arguments: object, **options: object) -> object:
        caches.append(options.get("use_cache"))
        return forward(*arguments, **options)

    monkeypatch.setattr(model.model, "forward", counting)
    list(watch(texts(model), model, batch_size=2))
    assert not any(caches)


def test_what_is_no_attention_is_refused() -> None:
    model = odd("rwkv")
    with pytest.raises(ModelError, match=r"what RwkvForCausalLM gives as attention \(shape .*\) is not weights of \d+"):
        list(watch(texts(model), model, batch_size=2))


def test_a_watched_call_that_says_something_else_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = models()["gpt2"]
    forward = model.model.forward

    def changing(*arguments: object, **options: object) -> object:
        output = forward(*arguments, **options)
        if options.get("output_attentions"):
            output.logits = output.logits.flip(-1)
        return output

    changing.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    monkeypatch.setattr(model.model, "forward", changing)
    with pytest.raises(ModelError, match=r"while it is watched .* differ from those of a plain call by \d"):
        list(watch(texts(model), model, batch_size=2))
