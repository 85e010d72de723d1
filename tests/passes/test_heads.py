"""Models of many kinds, cut in two before their output embedding: the same numbers as the whole model gives."""

import math

import pytest
import torch
from test_passes import CONFIG, SCHEMES, assert_same, counted, prompt_pass, unequal_prompts
from transformers import (
    AutoModelForCausalLM,
    BartConfig,
    BartForConditionalGeneration,
    BloomConfig,
    CohereConfig,
    FalconConfig,
    Gemma2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GraniteConfig,
    MambaConfig,
    MistralConfig,
    OPTConfig,
    PreTrainedModel,
    Qwen2Config,
    T5Config,
    T5ForConditionalGeneration,
)

from fakes import MEMBERS, MemoryStore, byte_tokenizer, loaded, tiny_decoder
from rote.models import LoadedModel
from rote.passes.logits import Reader, TextPass
from rote.passes.rechecking import plain_statistics
from rote.passes.schemes import PLAIN
from rote.passes.scoring import score_texts

TOKENS = len(byte_tokenizer())
SIZE = {"vocab_size": TOKENS, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
MIDDLE = {"intermediate_size": 64, "max_position_embeddings": 256}
NO_IDS = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
GQA = {"num_key_value_heads": 1}

CAUSAL = {
    "soft cap (Gemma 2)": Gemma2Config(**SIZE, **MIDDLE, **GQA, **NO_IDS, head_dim=16, final_logit_softcapping=2.0),
    "factor (Cohere)": CohereConfig(**SIZE, **MIDDLE, **GQA, **NO_IDS, logit_scale=0.25),
    "divisor (Granite)": GraniteConfig(**SIZE, **MIDDLE, **GQA, **NO_IDS, logits_scaling=8.0),
    "tied, grouped queries (Qwen 2)": Qwen2Config(**SIZE, **MIDDLE, **GQA, **NO_IDS, tie_word_embeddings=True),
    "sliding window (Mistral)": MistralConfig(**SIZE, **MIDDLE, **GQA, **NO_IDS, sliding_window=8),
    "alibi (Bloom)": BloomConfig(vocab_size=TOKENS, hidden_size=32, n_layer=2, n_head=2, **NO_IDS),
    "one key (Falcon)": FalconConfig(**SIZE, **NO_IDS),
    "parallel (GPT-NeoX)": GPTNeoXConfig(**SIZE, **MIDDLE, **NO_IDS),
    "projection (OPT)": OPTConfig(
        **SIZE, ffn_dim=64, word_embed_proj_dim=16, max_position_embeddings=256, do_layer_norm_before=False,
        bos_token_id=None, eos_token_id=None, pad_token_id=1,
    ),
    "no attention (Mamba)": MambaConfig(vocab_size=TOKENS, hidden_size=32, num_hidden_layers=2, state_size=4, **NO_IDS),
}  # fmt: skip


def causal(name: str) -> LoadedModel:
    torch.manual_seed(3)
    network = AutoModelForCausalLM.from_config(CAUSAL[name])
    return loaded(lively(network), byte_tokenizer())


def lively(network: PreTrainedModel) -> PreTrainedModel:
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.dim() > 1 and not any(part in name for part in ("conv", "A_log", "x_proj", "dt_proj")):
                weight.mul_(4.0)
    return network.eval()


def assert_as_the_whole_model(model: LoadedModel, texts: list[TextPass], *, close: float = 3e-4) -> None:
    store = MemoryStore()
    keys = score_texts(texts, model, store, schemes=SCHEMES, batch_size=5)
    for key, text in zip(keys, texts, strict=True):
        assert_same(store.read(key), plain_statistics(text, model, SCHEMES), close=close)


def texts_for(model: LoadedModel) -> list[TextPass]:
    return [prompt_pass(prompt, model, CONFIG).text for prompt in unequal_prompts()[::3]]


@pytest.mark.parametrize("name", CAUSAL)
def test_causal_models_of_many_kinds(name):
    model = causal(name)
    texts = texts_for(model)
    assert Reader(model, texts[0]).head is not None
    assert_as_the_whole_model(model, texts)


@pytest.mark.parametrize("kind", ["t5", "t5, tied and scaled", "bart with a bias"])
def test_encoder_decoders(kind):
    tokenizer = byte_tokenizer(encloses=True)
    torch.manual_seed(4)
    if kind.startswith("bart"):
        config = BartConfig(vocab_size=len(tokenizer), d_model=32, encoder_layers=1, decoder_layers=1,
                            encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=64, decoder_ffn_dim=64,
                            max_position_embeddings=256, decoder_start_token_id=1, forced_eos_token_id=None)  # fmt: skip
        network = BartForConditionalGeneration(config)
        network.final_logits_bias += torch.linspace(-3, 3, len(tokenizer))
    else:
        config = T5Config(vocab_size=len(tokenizer), d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2,
                          dropout_rate=0.0, tie_word_embeddings="tied" in kind, decoder_start_token_id=0)  # fmt: skip
        network = T5ForConditionalGeneration(config)
    model = loaded(network.eval(), tokenizer)
    texts = texts_for(model)
    assert Reader(model, texts[0]).head is not None
    assert_as_the_whole_model(model, texts)


class Drifting(GPT2LMHeadModel):
    """Does to its logits what nobody else does: something else at every place."""

    def forward(self, *args, past_key_values=None, **kwargs):
        output = super().forward(*args, past_key_values=past_key_values, **kwargs)
        width = output.logits.shape[1]
        seen = output.past_key_values.get_seq_length() - width if output.past_key_values is not None else 0
        output.logits = output.logits * (1 + 0.5 * torch.sin(torch.arange(seen, seen + width))[:, None])
        return output


class Forgetful(Drifting):
    """The same without a cache."""

    def forward(self, input_ids=None, attention_mask=None):
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)


@pytest.mark.parametrize("kind", [Drifting, Forgetful])
@pytest.mark.parametrize("at_once", [1 << 24, 5 * 3 * TOKENS])
def test_a_model_that_cannot_be_cut_is_run_whole_in_steps(kind, at_once, monkeypatch):
    monkeypatch.setattr("rote.passes.logits.LOGITS_AT_ONCE", at_once)
    network = kind(tiny_decoder(tokens=TOKENS).config)
    model = loaded(lively(network), byte_tokenizer())
    texts = texts_for(model)
    assert Reader(model, texts[0]).head is None
    assert_as_the_whole_model(model, texts)


def test_a_head_that_is_no_plain_linear_layer_is_called(monkeypatch):
    class Loud(torch.nn.Linear):
        def forward(self, states):
            return super().forward(states) * 1.5

    model = loaded(tiny_decoder("llama", tokens=TOKENS), byte_tokenizer())
    head = Loud(32, TOKENS)
    head.weight.data = model.model.lm_head.weight.data.clone()
    model.model.lm_head = head
    assert_as_the_whole_model(model, texts_for(model))


# Shared prefixes


def continuations(model: LoadedModel, prefix: str = MEMBERS[2]) -> list[TextPass]:
    shown = tuple(model.tokenizer(prefix)["input_ids"])
    ends = [text[: 3 + 4 * number] for number, text in enumerate(MEMBERS)]
    return [TextPass(shown, tuple(model.tokenizer(text, add_special_tokens=False)["input_ids"])) for text in ends]


SHARING = ["soft cap (Gemma 2)", "sliding window (Mistral)", "alibi (Bloom)", "parallel (GPT-NeoX)", "projection (OPT)"]


@pytest.mark.parametrize("name", [*CAUSAL])
def test_continuations_of_one_prefix_have_the_numbers_of_whole_texts(name):
    model = causal(name)
    reader = Reader(model, continuations(model)[0])
    assert reader.can_share or name not in SHARING
    assert_as_the_whole_model(model, continuations(model))


@pytest.mark.parametrize("batch_size", [3, 32])
def test_a_shared_prefix_is_read_once_and_its_continuations_without_it(batch_size):
    model = loaded(tiny_decoder("llama", tokens=TOKENS), byte_tokenizer())
    texts = continuations(model)
    with counted(model) as shapes:
        score_texts(texts, model, MemoryStore(), batch_size=batch_size)
    prefix = len(texts[0].shown) - 1
    long = [shape for shape in shapes if shape[1] >= prefix]
    assert long == [(1, prefix)]
    assert sum(rows for rows, width in shapes if 12 < width < prefix) > 0


def test_prefixes_take_turns(monkeypatch):
    model = loaded(tiny_decoder("llama", tokens=TOKENS), byte_tokenizer())
    texts = [text for prefix in MEMBERS[:3] for text in continuations(model, prefix)]
    assert_as_the_whole_model(model, texts[::-1])


def test_an_encoder_reads_what_several_texts_show_once():
    tokenizer = byte_tokenizer(encloses=True)
    torch.manual_seed(1)
    config = T5Config(vocab_size=len(tokenizer), d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2,
                      dropout_rate=0.0, decoder_start_token_id=0)  # fmt: skip
    model = loaded(T5ForConditionalGeneration(config).eval(), tokenizer)
    texts = continuations(model)
    rows: list[int] = []
    hook = model.model.get_encoder().register_forward_pre_hook(
        lambda _, args, kwargs: rows.append(kwargs["input_ids"].shape[0]), with_kwargs=True
    )
    score_texts(texts, model, MemoryStore(), batch_size=4)
    hook.remove()
    assert rows == [1, 2, 1, 1, 1]  # the first three try the model's parts
    assert_as_the_whole_model(model, texts)


# Number formats


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_near_float32_and_the_models_own_logits_are_what_is_summed(dtype):
    exact = loaded(tiny_decoder("llama", tokens=TOKENS), byte_tokenizer())
    half = loaded(tiny_decoder("llama", tokens=TOKENS).to(dtype), byte_tokenizer())
    texts = texts_for(half)
    store = MemoryStore()
    for key, text in zip(score_texts(texts, half, store, batch_size=3), texts, strict=True):
        found = store.read(key)
        near, own = plain_statistics(text, exact, (PLAIN,)), plain_statistics(text, half, (PLAIN,))
        assert found.log_probabilities == pytest.approx(near.log_probabilities, abs=0.2)
        assert found.means == pytest.approx(near.means, abs=0.2)
        assert found.log_probabilities == pytest.approx(own.log_probabilities, abs=0.1)
        assert found.log_probabilities.mean() == pytest.approx(own.log_probabilities.mean(), abs=0.01)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_gpu_gives_the_numbers_of_a_cpu(dtype):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    at_home = loaded(tiny_decoder("llama", tokens=5000).to(dtype), byte_tokenizer())
    away = loaded(tiny_decoder("llama", tokens=5000).to(dtype).to("cuda"), byte_tokenizer())
    texts = texts_for(at_home)
    stores = MemoryStore(), MemoryStore()
    for key in score_texts(texts, at_home, stores[0], schemes=SCHEMES):
        assert key in score_texts(texts, away, stores[1], schemes=SCHEMES)
        close = 1e-3 if dtype == torch.float32 else 0.2
        one, other = stores[0].read(key), stores[1].read(key)
        assert other.log_probabilities == pytest.approx(one.log_probabilities, abs=close)
        assert other.means == pytest.approx(one.means, abs=close)
        assert other.deviations == pytest.approx(one.deviations, abs=close)
        both = (one.decoding_log_probabilities > -math.inf) & (other.decoding_log_probabilities > -math.inf)
        assert other.decoding_log_probabilities[both] == pytest.approx(one.decoding_log_probabilities[both], abs=close)
