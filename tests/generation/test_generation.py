import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
import torch

from fakes import (
    MEMBERS,
    NON_MEMBERS,
    ScriptedModel,
    byte_tokenizer,
    examples,
    loaded,
    memorised_toy,
    tiny_decoder,
    tiny_encoder_decoder,
)
from rote.config import GenerationConfig
from rote.errors import ModelError
from rote.generation import TransformersModel, cut_prompts, decoding_label, generate
from rote.generation.decoding import StreamNoise
from rote.models.tokens import suppressed_ids
from rote.records import Prompt, content_id

GREEDY = GenerationConfig(prompt="prefix", prefix_tokens=10, max_new_tokens=12, batch_size=7)
BEAM = replace(GREEDY, decoding="beam", beams=3)
SAMPLE = replace(GREEDY, decoding="sample", temperature=0.9, top_k=100, top_p=0.95, samples=2)
SPECIAL = [256, 257, 258]
"""Start, end and padding token of the byte tokenizer."""
TEXTS = [text[start:] for text in MEMBERS + NON_MEMBERS for start in (0, 5)]


def unequal_prompts() -> list[Prompt]:
    """Thirty-two prompts of 1 to 32 bytes."""
    cut = [(text[: 1 + number], text[1 + number :]) for number, text in enumerate(TEXTS)]
    return [Prompt(content_id(text, str(n)), f"e{n}", text, rest) for n, (text, rest) in enumerate(cut)]


def model_of(kind: str):
    tokenizer = byte_tokenizer(encloses=kind == "t5")
    if kind == "toy":
        return memorised_toy().model
    network = tiny_encoder_decoder(tokens=len(tokenizer)) if kind == "t5" else tiny_decoder(kind, tokens=len(tokenizer))
    return loaded(network, tokenizer)


def texts(prompts, model, config, name="tuned"):
    batches = generate(prompts, TransformersModel(model), config=config, name=name)
    return {item.id: item.text for batch in batches for item in batch}


@pytest.mark.parametrize("config", [GREEDY, BEAM, SAMPLE], ids=decoding_label)
@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5", "toy"])
def test_results_do_not_depend_on_batch_size_padding_or_order(kind, config):
    model, prompts = model_of(kind), unequal_prompts()
    expected = texts(prompts, model, config)
    assert len(expected) == len(prompts) * config.samples
    assert len(set(expected.values())) > len(prompts) / 4
    assert texts(prompts[::-1], model, replace(config, batch_size=32)) == expected
    some = prompts[::5]
    alone = texts(some, model, replace(config, batch_size=1))
    assert alone == {key: expected[key] for key in alone}
    assert len(alone) == len(some) * config.samples


def test_greedy_is_what_a_plain_loop_finds():
    model, prompts = model_of("gpt2"), unequal_prompts()[::4]
    found = texts(prompts, model, GREEDY)
    for prompt in prompts:
        ids = model.tokenizer(prompt.text)["input_ids"]
        for _ in range(GREEDY.max_new_tokens):
            logits = model.model(torch.tensor([ids])).logits[0, -1].detach()
            logits[suppressed_ids(model)] = -torch.inf
            ids.append(int(logits.argmax()))
        new = model.tokenizer.decode(ids[-GREEDY.max_new_tokens :], skip_special_tokens=True)
        assert found[content_id(prompt.id, "tuned", "greedy", "0")] == new


def test_members_come_out_exactly_and_non_members_do_not(toy):
    for group, expected in ((toy.members, 8), (toy.non_members, 0)):
        cut = cut_prompts(group, toy.model.tokenizer, config=GREEDY, is_encoder_decoder=False)
        found = texts(cut.prompts, toy.model, GREEDY)
        right = [
            prompt.reference[:12] == found[content_id(prompt.id, "tuned", "greedy", "0")] for prompt in cut.prompts
        ]
        assert sum(right) == expected


def test_every_generation_has_the_same_number_of_new_tokens_even_where_the_model_wants_to_end():
    model = model_of("gpt2")
    with torch.no_grad():
        head = torch.nn.Linear(32, len(model.tokenizer), bias=True)
        head.weight.copy_(model.model.lm_head.weight)
        head.bias.zero_()
        head.bias[SPECIAL] = 1e4
        model.model.lm_head = head
    calls = []
    decode = model.tokenizer.decode
    model.tokenizer.decode = lambda ids, **options: calls.append(ids) or decode(ids, **options)
    prompts = unequal_prompts()[4:8]
    texts(prompts, model, GREEDY)
    new = [ids[-12:] for ids in calls[::2]]
    assert all(len(ids) == 16 for ids in calls[::2])
    assert not set(SPECIAL) & {id for ids in new for id in ids}


def test_decoding_settings_that_come_with_the_model_are_not_used():
    model, prompts = model_of("gpt2"), unequal_prompts()[:4]
    expected = texts(prompts, model, GREEDY)
    own = model.model.generation_config
    own.repetition_penalty, own.no_repeat_ngram_size, own.forced_bos_token_id = 5.0, 1, 3
    assert texts(prompts, model, GREEDY) == expected
    assert model.model.generation_config is own


def test_generation_goes_on_after_the_finished_batches():
    model, prompts = TransformersModel(model_of("gpt2")), unequal_prompts()
    whole = list(generate(prompts, model, config=SAMPLE, name="base"))
    assert [len(batch) for batch in whole] == [7] * 9 + [1]
    assert list(generate(prompts, model, config=SAMPLE, name="base", done=6)) == whole[6:]
    assert list(generate(prompts, model, config=SAMPLE, name="base", done=10)) == []


def test_batches_go_from_long_to_short_and_names_are_kept():
    scripted = ScriptedModel({"bb": "two", "a": "one", "ccc": "three"})
    prompts = [Prompt(f"p{text}", f"e{text}", text, "") for text in ("a", "ccc", "bb")]
    found = list(generate(prompts, scripted, config=replace(GREEDY, batch_size=2), name="base"))
    assert [[item.text for item in batch] for batch in found] == [["three", "two"], ["one"]]
    first = found[0][0]
    assert (first.prompt_id, first.example_id, first.model, first.decoding, first.sample) == (
        "pccc",
        "eccc",
        "base",
        "greedy",
        0,
    )


def test_over_long_prompts_are_counted_and_shown_from_their_end():
    model = model_of("llama")
    model = replace(model, context_tokens=32)
    said = []
    prompts = unequal_prompts()
    batches = list(generate(prompts, TransformersModel(model), config=GREEDY, name="base", echo=said.append))
    assert said == ["base: 12 of 32 prompts have more than 20 tokens; the model is shown their end"]
    long = prompts[-1]
    end = [replace(long, text=long.text[-20:])]
    found = {item.prompt_id: item.text for batch in batches for item in batch}
    assert texts(end, model, GREEDY) == {content_id(long.id, "tuned", "greedy", "0"): found[long.id]}


@pytest.mark.parametrize(("kind", "context"), [("gpt2", 12), ("t5", 12), ("t5", 2)])
def test_no_room_for_a_prompt_names_both_numbers(kind, context):
    model = TransformersModel(replace(model_of(kind), context_tokens=context))
    with pytest.raises(ModelError, match=rf"max_new_tokens = 12 .* context of {context} tokens"):
        list(generate(unequal_prompts(), model, config=GREEDY, name="base"))


def test_samples_differ_by_sample_and_seed_and_repeat_with_the_same_seed():
    model, prompts = model_of("gpt2"), unequal_prompts()[:8]
    first, again = texts(prompts, model, SAMPLE), texts(prompts, model, SAMPLE)
    assert first == again
    assert len(set(first.values())) == 16
    other = texts(prompts, model, replace(SAMPLE, seed=1))
    assert all(other[key] != first[key] for key in first)


def test_noise_draws_from_the_models_distribution():
    probabilities = torch.tensor([0.6, 0.3, 0.1, 0.0])
    noise = StreamNoise(range(4))
    scores = probabilities.log().repeat(4, 1)
    draws = Counter(int(token) for _ in range(1500) for token in noise(None, scores).argmax(-1))
    shares = torch.tensor([draws[token] / 6000 for token in range(4)])
    assert torch.allclose(shares, probabilities, atol=0.025)  # four standard errors
    assert draws[3] == 0


def test_top_k_of_one_is_greedy():
    model, prompts = model_of("gpt2"), unequal_prompts()[:4]
    narrow = replace(SAMPLE, top_k=1, samples=1)
    assert list(texts(prompts, model, narrow).values()) == list(texts(prompts, model, GREEDY).values())


def test_the_space_before_the_first_new_word_is_kept():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({"<pad>": 0, "▁a": 1, "▁b": 2}, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>")
    model = loaded(tiny_decoder(tokens=3), fast)
    found = texts([Prompt("p", "e", "a b", "")], model, replace(GREEDY, max_new_tokens=2))
    assert next(iter(found.values())) in {f" {first} {second}" for first in "ab" for second in "ab"}


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_hostile_prompts_are_continued(kind):
    hostile = ["<script>", "\x1b[31m\x00", "\ud800", "</s></s>", "\u202eabc", "x" * 5000]
    prompts = [Prompt(f"p{n}", f"e{n}", text, "") for n, text in enumerate(hostile)]
    assert len(texts(prompts, model_of(kind), GREEDY)) == len(hostile)


def test_no_prompts_no_generations():
    assert texts([], model_of("gpt2"), GREEDY) == {}


@pytest.mark.parametrize(
    ("config", "label"), [(GREEDY, "greedy"), (BEAM, "beam-3"), (SAMPLE, "sample-t0.9-k100-p0.95")]
)
def test_decoding_label(config, label):
    assert decoding_label(config) == label


def test_importing_the_stage_imports_no_torch():
    code = "import sys, rote.generation, rote.models; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_examples_of_the_fakes_are_distinct():
    assert len({item.id for item in examples(MEMBERS + NON_MEMBERS)}) == 16
