"""The trial: which models are used as they are, which in another way, and which are refused."""

import re
from dataclasses import replace

import pytest
import torch
from transformers import (
    BartConfig,
    BartForCausalLM,
    BertConfig,
    BertLMHeadModel,
    BigBirdConfig,
    BigBirdForCausalLM,
    BigBirdPegasusConfig,
    BigBirdPegasusForConditionalGeneration,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    RecurrentGemmaConfig,
    RecurrentGemmaForCausalLM,
    RwkvConfig,
    RwkvForCausalLM,
    SwitchTransformersConfig,
    SwitchTransformersForConditionalGeneration,
    XLMConfig,
    XLMWithLMHeadModel,
    XLNetConfig,
    XLNetLMHeadModel,
)

from fakes import MEMBERS, NON_MEMBERS, byte_tokenizer, loaded, merging_tokenizer, tiny_decoder, tiny_encoder_decoder
from rote.config import GenerationConfig
from rote.errors import ModelError
from rote.generation import TransformersModel, generate
from rote.models.tokens import decoder_start_ids, model_encoder, suppressed_ids
from rote.passes.scoring import prompt_pass
from rote.records import Generation, Prompt, Soundness, from_row, to_row
from rote.soundness import agreement, agreement_sentence, as_tried, check_agreement, soundness_sentence, trial, widening
from rote.soundness.reading import difference
from rote.soundness.widening import widened

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
        ModelError,
        match=r"cannot be audited: however it is called.*one by one: it raises AttributeError: 'X' object .* Check that",
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


def switch(capacity):
    sizes = {"vocab_size": 259, "d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2}
    experts = {"num_heads": 4, "num_experts": 4, "num_sparse_encoder_layers": 1, "num_sparse_decoder_layers": 1}
    config = SwitchTransformersConfig(
        **sizes, **experts, expert_capacity=capacity, decoder_start_token_id=258, **SPECIAL
    )
    return lively(SwitchTransformersForConditionalGeneration(config))


def forwards(model, shown, new_tokens):
    """Greedy decoding by its definition: the whole text anew for each token."""
    encoder, never = model_encoder(model), suppressed_ids(model)
    start = decoder_start_ids(model, encoder) if model.is_encoder_decoder else []
    ids = [*start] if model.is_encoder_decoder else [*shown]
    for _ in range(new_tokens):
        read = {"input_ids": torch.tensor([shown]), "decoder_input_ids": torch.tensor([ids])}
        read = read if model.is_encoder_decoder else {"input_ids": torch.tensor([ids])}
        with torch.inference_mode():
            logits = model.model(**read, use_cache=False).logits[0, -1]
            logits[never] = -torch.inf
        ids.append(int(logits.argmax()))
    return ids[-new_tokens:]


@pytest.mark.parametrize(("capacity", "new_tokens"), [(4, 20), (8, 20), (8, 8), (64, 66)])
def test_experts_that_may_be_full_are_not_decoded_through_a_cache(capacity, new_tokens):
    model = switch(capacity)
    passes = [prompt_pass(prompt, model, CONFIG) for prompt in prompts_of((*MEMBERS[:2], LONG[:150]))]
    found = trial(passes, model, name="tuned", new_tokens=new_tokens)
    assert found.uses_cache is (new_tokens <= capacity)
    assert found.batching == "any"
    if not found.uses_cache:
        assert f"an expert may be full (expert_capacity {capacity} in its config)" in found.seen[0]
    rows = [list(text.text.shown) for text in passes]
    written = TransformersModel(as_tried(model, found)).traced(rows, new_tokens)
    assert [one.new for one in written] == [forwards(model, row, new_tokens) for row in rows]


def big_bird(kind, attention="block_sparse"):
    blocks = {"attention_type": attention, "block_size": 8, "num_random_blocks": 1, "max_position_embeddings": 512}
    if kind == "causal":
        return lively(BigBirdForCausalLM(BigBirdConfig(**SIZE, is_decoder=True, **blocks, **SPECIAL)))
    layers = {f"{part}_{what}": size for part in ("encoder", "decoder") for what, size in
              (("layers", 2), ("attention_heads", 4), ("ffn_dim", 64))}  # fmt: skip
    config = BigBirdPegasusConfig(vocab_size=259, d_model=32, **layers, **blocks, decoder_start_token_id=256, **SPECIAL)
    return lively(BigBirdPegasusForConditionalGeneration(config))


@pytest.mark.parametrize("kind", ["causal", "sequence to sequence"])
def test_block_sparse_attention_that_a_short_text_ends_is_refused(kind):
    texts = [LONG[13 * n :][: 200 + 11 * n] for n in range(3)]
    prompts = [Prompt(str(n), str(n), text[:150], text[150:]) for n, text in enumerate(texts)]

    def found(model):
        return trial([prompt_pass(one, model, CONFIG) for one in prompts], model, name="tuned", new_tokens=8)

    with pytest.raises(ModelError, match=r"depend on the texts that were read before it .*original_full"):
        found(big_bird(kind))
    assert found(big_bird(kind, "original_full")).batching == "any"
    # texts too short for blocks are read with full attention from the first one on
    assert tried(big_bird(kind), [text[:50] for text in MEMBERS[:5]]).batching == "any"


@pytest.mark.parametrize(("make", "batching"), [(rwkv, "one"), (decoder_only_bart, "equal lengths")])
def test_half_precision_hides_no_fault(make, batching):
    model = make()
    model.model.to(torch.bfloat16)
    assert tried(model).batching == batching


def test_half_precision_hides_no_look_ahead():
    model = bidirectional("bert")
    model.model.to(torch.bfloat16)
    with pytest.raises(ModelError, match="changing later tokens"):
        tried(model)
    model = sliding_window()
    model.model.to(torch.bfloat16)
    assert tried(model).batching == "any"


def test_in_half_precision_three_places_of_forty_are_seen():
    model = loaded(tiny_decoder(tokens=259).to(torch.bfloat16), byte_tokenizer())
    logits = torch.randn(40, 259, generator=torch.Generator().manual_seed(0))
    other = logits.clone()
    other[17] += torch.linspace(0, 5, 259)
    assert difference(other, logits, model) == 0.0
    other[:3] += torch.linspace(0, 5, 259)
    assert difference(other, logits, model) > 1


@pytest.mark.parametrize("decoding", ["beam", "sample"])
def test_one_by_one_holds_for_every_way_of_decoding(decoding):
    model = rwkv()
    used = replace(model, batching="one")
    config = replace(CONFIG, decoding=decoding, samples=2 if decoding == "sample" else 1, max_new_tokens=8, beams=2)

    def texts(size):
        batches = generate(prompts_of(), TransformersModel(used), config=replace(config, batch_size=size), name="tuned")
        return {one.id: one.text for batch in batches for one in batch}

    assert texts(8) == texts(1)


def beams(model, shown, new_tokens, count=2):
    """Beam search by its definition, without ends: texts of equal lengths, each read anew at batch 1."""
    kept, never = [(0.0, [*shown])], suppressed_ids(model)
    for _ in range(new_tokens):
        found = []
        for total, ids in kept:
            with torch.inference_mode():
                log_p = model.model(torch.tensor([ids]), use_cache=False).logits[0, -1].log_softmax(-1)
                log_p[never] = -torch.inf
            values, tokens = log_p.topk(count)
            pairs = zip(values.tolist(), tokens.tolist(), strict=True)
            found += [(total + value, [*ids, token]) for value, token in pairs]
        kept = sorted(found, reverse=True)[:count]
    return kept[0][1][len(shown) :]


def test_beam_search_of_a_recurrent_model_is_that_of_its_definition():
    model = replace(rwkv(), batching="one")
    writer, rows = TransformersModel(model), [[10, 20, 30, 40], [50, 60]]
    for row in rows:
        written = writer._new_tokens([row], [], replace(CONFIG, decoding="beam", beams=2, max_new_tokens=6))
        assert written == [beams(model, row, 6)]


def look_ahead(gain):
    """A model in which each token sees a little of the next one."""
    model = loaded(tiny_decoder(tokens=259), byte_tokenizer())

    def leak(module, inputs, output):
        following = torch.cat([output[:, 1:], torch.zeros_like(output[:, :1])], 1)
        return output + gain * following

    model.model.get_input_embeddings().register_forward_hook(leak)
    return model


def small_padding(gain):
    """A model in which a row's first token, padding or not, is seen a little at every place."""
    model = loaded(tiny_decoder(tokens=259), byte_tokenizer())

    def mix(module, inputs, output):
        return output + gain * output[:, :1]

    model.model.get_input_embeddings().register_forward_hook(mix)
    return model


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_fault_smaller_than_half_precision_is_found_in_float32(dtype, monkeypatch):
    ahead = look_ahead(0.003)
    ahead.model.to(dtype)
    before = {name: weight.clone() for name, weight in ahead.model.state_dict().items()}
    with pytest.raises(ModelError, match="changing later tokens"):
        tried(ahead)
    assert all(torch.equal(before[name], weight) for name, weight in ahead.model.state_dict().items())
    padded = small_padding(0.003)
    padded.model.to(dtype)
    found = tried(padded)
    assert (found.batching, found.structure_dtype) == ("equal lengths", "float32")
    assert "also with its weights in float32" in soundness_sentence(found)
    # what bfloat16 hides in a model too large for a copy in float32; the sentence does not claim otherwise
    ahead.model.to(torch.bfloat16)
    monkeypatch.setattr(widening, "MOST_WEIGHTS", 10)
    found = tried(ahead)
    assert found.structure_dtype == found.dtype == "bfloat16"
    assert "also" not in soundness_sentence(found)
    assert re.search(r"Not tried .* float32, .*: [\d,]+ weights are more than the 10 that", soundness_sentence(found))


class HalfOnly(torch.nn.Module):
    """A layer of a kernel that takes half precision alone, or needs memory in float32 that is not there."""

    def __init__(self, inner, error):
        super().__init__()
        self.inner, self.error = inner, error

    def forward(self, *args, **words):
        if self.inner.weight.dtype == torch.float32:
            raise self.error
        return self.inner(*args, **words)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("expected scalar type Half"), "it raises RuntimeError: expected scalar type Half"),
        (torch.OutOfMemoryError("CUDA out of memory"), "no memory for it"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes"), "no memory for it"),
    ],
)
def test_a_model_that_cannot_run_in_float32_is_tried_as_it_is(error, said):
    model = loaded(tiny_decoder(tokens=259), byte_tokenizer())
    model.model.to(torch.bfloat16)
    model.model.transformer.h[1].ln_1 = HalfOnly(model.model.transformer.h[1].ln_1, error)
    found = tried(model)
    assert (found.dtype, found.structure_dtype, found.not_in_float32) == ("bfloat16", "bfloat16", said)
    assert f"Not tried with its weights in float32, where rounding hides no fault: {said}." in soundness_sentence(found)
    assert {weight.dtype for weight in model.model.parameters()} == {torch.bfloat16}


def test_where_the_copy_in_float32_has_no_room_the_weights_are_as_before(monkeypatch):
    model = loaded(tiny_decoder(tokens=259), byte_tokenizer())
    model.model.to(torch.bfloat16)
    before, copied, copy = dict(model.model.state_dict()), [], torch.Tensor.to

    def full(self, *args, **words):
        if args == (torch.float32,) and self.dtype == torch.bfloat16 and self.dim() == 2:
            copied.append(self)
            if len(copied) == 3:
                raise torch.OutOfMemoryError("CUDA out of memory")
        return copy(self, *args, **words)

    monkeypatch.setattr(torch.Tensor, "to", full)
    found = tried(model)
    assert (found.structure_dtype, found.not_in_float32) == ("bfloat16", "no memory for it")
    assert all(before[name].data_ptr() == weight.data_ptr() for name, weight in model.model.state_dict().items())


def test_only_disagreement_in_float32_refuses(monkeypatch):
    """One way that raises does not excuse another that is wrong; a model in float32 says nothing of float32."""
    ahead = look_ahead(0.003)
    ahead.model.to(torch.bfloat16)
    with pytest.raises(ModelError, match="changing later tokens"):
        tried(ahead)
    found = tried(loaded(tiny_decoder(tokens=259), byte_tokenizer()))
    assert (found.structure_dtype, found.not_in_float32) == ("float32", "")
    assert "Not tried" not in soundness_sentence(found)


def test_weights_in_half_precision_come_back_bit_by_bit():
    model = loaded(tiny_decoder(tokens=259), byte_tokenizer())
    model.model.to(torch.bfloat16)
    before = {name: weight.clone() for name, weight in model.model.state_dict().items()}
    with widened(model):
        assert model.model.dtype == torch.float32
        assert model.model.get_input_embeddings().weight.dtype == torch.float32
    assert all(before[name].dtype == weight.dtype for name, weight in model.model.state_dict().items())
    assert all(torch.equal(before[name], weight) for name, weight in model.model.state_dict().items())
