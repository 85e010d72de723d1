"""The trial: which models are used as they are, which in another way, and which are refused."""

from dataclasses import replace

import pytest
import torch
from transformers import (
    BartConfig,
    BartForCausalLM,
    BertConfig,
    BertLMHeadModel,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    RecurrentGemmaConfig,
    RecurrentGemmaForCausalLM,
    RwkvConfig,
    RwkvForCausalLM,
    XLMConfig,
    XLMWithLMHeadModel,
    XLNetConfig,
    XLNetLMHeadModel,
)

from fakes import MEMBERS, NON_MEMBERS, byte_tokenizer, loaded, merging_tokenizer, tiny_decoder, tiny_encoder_decoder
from rote.config import GenerationConfig
from rote.errors import ModelError
from rote.generation import TransformersModel, generate
from rote.records import Generation, Prompt, Soundness, from_row, to_row
from rote.scoring.passes import prompt_pass
from rote.soundness import agreement, agreement_sentence, as_tried, check_agreement, soundness_sentence, trial

CONFIG = GenerationConfig(prompt="prefix", prefix_tokens=10, max_new_tokens=20, batch_size=4)
SPECIAL = {"bos_token_id": 256, "eos_token_id": 257, "pad_token_id": 258}
SIZE = {"vocab_size": 259, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
LONG = " ".join((*NON_MEMBERS, *MEMBERS))


def lively(network, gain=2.0):
    """Random weights that tell tokens apart."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.dim() > 1:
                scale = 0.7 if "embed" in name or "shared" in name else gain / weight.shape[-1] ** 0.5
                weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
    return loaded(network.eval(), byte_tokenizer())


def prompts_of(texts=MEMBERS[:5]):
    return [Prompt(str(n), str(n), text[: 8 + n], text[8 + n :]) for n, text in enumerate(texts)]


def tried(model, texts=MEMBERS[:5]) -> Soundness:
    passes = [prompt_pass(prompt, model, CONFIG) for prompt in prompts_of(texts)]
    return trial(passes, model, name="tuned", new_tokens=CONFIG.max_new_tokens)


def recurrent_gemma():
    window = {"lru_width": 32, "attention_window_size": 16, "num_key_value_heads": 2}
    return lively(
        RecurrentGemmaForCausalLM(RecurrentGemmaConfig(**{**SIZE, "num_hidden_layers": 3}, **window, **SPECIAL))
    )


def rwkv():
    size = {"vocab_size": 259, "hidden_size": 32, "attention_hidden_size": 32, "intermediate_size": 64}
    return lively(RwkvForCausalLM(RwkvConfig(**size, num_hidden_layers=2, context_length=256, **SPECIAL)))


def decoder_only_bart():
    size = {"vocab_size": 259, "d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 64}
    return lively(BartForCausalLM(BartConfig(**size, max_position_embeddings=256, **SPECIAL)))


def longrope(switch=64):
    factors = {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4, "rope_type": "longrope", "rope_theta": 10000.0}
    scaling = {"rope_parameters": {**factors, "original_max_position_embeddings": switch}}
    config = Phi3Config(
        **SIZE, **scaling, max_position_embeddings=256, original_max_position_embeddings=switch, **SPECIAL
    )
    return lively(Phi3ForCausalLM(config))


def sliding_window():
    return lively(MistralForCausalLM(MistralConfig(**SIZE, num_key_value_heads=2, sliding_window=16, **SPECIAL)))


def bidirectional(kind):
    if kind == "bert":
        return lively(BertLMHeadModel(BertConfig(**SIZE, max_position_embeddings=256, **SPECIAL)))
    if kind == "xlnet":
        return lively(
            XLNetLMHeadModel(XLNetConfig(vocab_size=259, d_model=32, n_layer=2, n_head=4, d_inner=64, **SPECIAL))
        )
    places = {"bos_index": 256, "eos_index": 257, "pad_index": 258, "unk_index": 255}
    config = XLMConfig(vocab_size=259, emb_dim=32, n_layers=2, n_heads=4, n_langs=1, **places, **SPECIAL)
    return lively(XLMWithLMHeadModel(config))


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5", "sliding window"])
def test_a_sound_model_is_used_as_it_is(kind):
    tokenizer = byte_tokenizer(encloses=kind == "t5")
    model = (
        loaded(tiny_encoder_decoder(tokens=len(tokenizer)), tokenizer)
        if kind == "t5"
        else sliding_window()
        if kind == "sliding window"
        else loaded(tiny_decoder(kind, tokens=len(tokenizer)), tokenizer)
    )
    found = tried(model, (*MEMBERS[:4], LONG[:150]))
    assert (found.batching, found.uses_cache, found.context_tokens, found.seen) == ("any", True, None, ())
    assert found.first_choices == found.generated == (32 if kind == "t5" else 48)
    assert found.difference < 1e-4 < found.tolerance
    assert as_tried(model, found) == model
    assert "causal; batches, padding and order change nothing" in soundness_sentence(found)
    assert from_row(Soundness, to_row(found)) == found


@pytest.mark.parametrize("kind", ["bert", "xlnet", "xlm"])
def test_a_model_that_sees_what_follows_is_refused(kind):
    with pytest.raises(
        ModelError, match=r"changing later tokens moves earlier log-probabilities by up to \d+(\.\d)? nats .*40 tokens"
    ):
        tried(bidirectional(kind))


@pytest.mark.parametrize(
    ("model", "batching"), [(rwkv, "one"), (recurrent_gemma, "equal lengths"), (decoder_only_bart, "equal lengths")]
)
def test_a_model_that_padding_or_batches_change_reads_texts_apart(model, batching):
    model = model()
    found = tried(model)
    assert (found.batching, found.uses_cache) == (batching, True)
    assert found.first_choices == found.generated == 48
    assert found.seen[0].startswith("unequal texts together: step-by-step generation differs from a plain call by")
    assert "read" in soundness_sentence(found)
    used = as_tried(model, found)
    assert used.batching == batching
    prompts = prompts_of()
    batched = next(generate(prompts, TransformersModel(used), config=replace(CONFIG, batch_size=8), name="tuned"))
    alone = [
        g
        for b in generate(prompts, TransformersModel(model), config=replace(CONFIG, batch_size=1), name="tuned")
        for g in b
    ]
    assert {g.id: g.text for g in batched} == {g.id: g.text for g in alone}


def test_texts_are_cut_where_a_model_scales_positions_anew():
    model = longrope()
    found = tried(model, (*MEMBERS[:4], LONG[:150]))
    assert (found.batching, found.context_tokens) == ("any", 64)
    assert "at most 64 tokens of a text" in soundness_sentence(found)
    assert as_tried(model, found).context_tokens == 64
    assert tried(model, [text[:40] for text in MEMBERS]).context_tokens is None


def test_what_a_model_raises_is_said(monkeypatch):
    model = loaded(tiny_decoder(tokens=259), byte_tokenizer())

    def broken(*_, **__):
        raise AttributeError("'X' object has no attribute 'y'\nmore")

    monkeypatch.setattr(model.model, "generate", broken)
    with pytest.raises(
        ModelError, match=r"in no way that was tried: .*one by one: it raises AttributeError: 'X' object"
    ):
        tried(model)
    monkeypatch.setattr(model.model, "forward", broken)
    with pytest.raises(ModelError, match=r"cannot read a text by itself .* AttributeError"):
        tried(model)


def test_a_model_that_remembers_what_it_read_is_refused(monkeypatch):
    model = loaded(tiny_decoder(tokens=259), byte_tokenizer())
    forward, seen = model.model.forward, []

    def remembering(*arguments, **options):
        output = forward(*arguments, **options)
        seen.append(output)
        output.logits = output.logits + torch.linspace(0, len(seen) / 100, output.logits.shape[-1])
        return output

    monkeypatch.setattr(model.model, "forward", remembering)
    with pytest.raises(ModelError, match="cannot be audited"):
        tried(model)


def written(model, prompts):
    return [g for b in generate(prompts, TransformersModel(model), config=CONFIG, name="tuned") for g in b]


def test_generations_are_the_first_choices_of_the_pass(toy):
    prompts = prompts_of([example.text for example in (*toy.members, *toy.non_members)])
    generations, by_id = written(toy.model, prompts), {prompt.id: prompt for prompt in prompts}
    found = agreement(generations, by_id, toy.model, new_tokens=20, name="tuned")
    assert found.generations == 8
    assert found.first_choices == found.tokens > 100
    check_agreement(found, "m")
    assert f"{found.tokens} of {found.tokens} tokens in 8 generations" in agreement_sentence(found)


def test_tokens_are_found_where_the_tokenizer_reads_others_than_were_written():
    tokenizer = merging_tokenizer([*MEMBERS, *NON_MEMBERS])
    model = loaded(tiny_decoder(tokens=len(tokenizer)), tokenizer)
    prompts = prompts_of((*MEMBERS, *NON_MEMBERS))
    found = agreement(written(model, prompts), {p.id: p for p in prompts}, model, new_tokens=20, name="tuned")
    assert found.first_choices == found.tokens > 0


def test_broken_characters_are_no_alarm():
    tokenizer = byte_tokenizer(encloses=True)
    model, prompts = loaded(tiny_encoder_decoder(tokens=len(tokenizer)), tokenizer), prompts_of()
    found = agreement(written(model, prompts), {p.id: p for p in prompts}, model, new_tokens=20, name="tuned")
    assert found.first_choices == found.tokens
    assert found.generations + found.unread == 5


def test_generations_of_another_model_are_an_error():
    model, prompts = loaded(tiny_decoder(tokens=259), byte_tokenizer()), prompts_of()
    other = [Generation(str(n), p.id, p.id, "tuned", "greedy", 0, "abcdefghij" * 2) for n, p in enumerate(prompts)]
    found = agreement(other, {prompt.id: prompt for prompt in prompts}, model, new_tokens=20, name="tuned")
    assert found.first_choices < found.tokens == 100
    with pytest.raises(ModelError, match=r"of 100 tokens in 5 greedy generations of the tuned model, \d+ are not"):
        check_agreement(found, "m")
