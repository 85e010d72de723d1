"""Passes over other forms of the records: what is read and scored, which records share a prefix, what is exchanged."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast, RwkvConfig, RwkvForCausalLM

from fakes import (
    MEMBERS,
    NON_MEMBERS,
    MemoryStore,
    byte_tokenizer,
    examples,
    loaded,
    tiny_decoder,
    tiny_encoder_decoder,
)
from rote.config import GenerationConfig, ScoringConfig
from rote.errors import ModelError
from rote.generation import cut_prompts
from rote.models import LoadedModel
from rote.passes.neighbours import Neighbours
from rote.passes.scoring import prompt_pass
from rote.passes.variants import score_variants, variant_settings
from rote.records import Example, Prompt, VariantPass

GENERATION = GenerationConfig(prompt="prefix", prefix_tokens=10, max_new_tokens=8, batch_size=5)
NONE = ScoringConfig(membership=())


def model_of(kind: str, *, context: int = 256) -> LoadedModel:
    """Causal with or without a start token, or an encoder-decoder."""
    if kind == "rwkv":
        config = RwkvConfig(
            vocab_size=259, hidden_size=32, attention_hidden_size=32, num_hidden_layers=2,
            bos_token_id=256, eos_token_id=257, pad_token_id=258,
        )  # fmt: skip
        torch.manual_seed(0)
        return replace(loaded(RwkvForCausalLM(config).eval(), byte_tokenizer(), context=context), batching="one")
    tokenizer = byte_tokenizer(encloses=kind != "gpt2")
    if kind == "t5":
        return loaded(tiny_encoder_decoder(tokens=len(tokenizer)), tokenizer)
    return loaded(
        tiny_decoder("llama" if kind == "llama" else "gpt2", tokens=len(tokenizer)), tokenizer, context=context
    )


def records() -> tuple[list[Example], dict[str, Example]]:
    found = [*examples(MEMBERS), *examples(NON_MEMBERS, "non-member")]
    return found, {example.id: example for example in found}


def prompts_of(chosen: list[Example], model: LoadedModel) -> list[Prompt]:
    return cut_prompts(chosen, model.tokenizer, config=GENERATION, is_encoder_decoder=model.is_encoder_decoder).prompts


def made(
    model: LoadedModel, scoring: ScoringConfig, *, prompted: list[Example] | None = None
) -> tuple[list[Prompt], list[VariantPass], MemoryStore]:
    everything, by_id = records()
    prompts, store = prompts_of(everything if prompted is None else prompted, model), MemoryStore()
    found = score_variants(prompts, by_id, model, store, generation=GENERATION, scoring=scoring, name="tuned")
    return prompts, found, store


def direct(model: LoadedModel, read: list[int], scored: list[int]) -> np.ndarray:
    """One plain call of a causal model."""
    logits = model.model(torch.tensor([[*read, *scored]])).logits[0].detach().double().log_softmax(-1)
    return logits[len(read) - 1 : -1][torch.arange(len(scored)), scored].numpy()


def ids(model: LoadedModel, text: str) -> list[int]:
    return list(model.tokenizer(text, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5", "rwkv"])
def test_a_lower_case_text_is_scored_as_a_prompt_of_its_own(kind: str) -> None:
    model = model_of(kind)
    prompts, found, store = made(model, replace(NONE, membership=("lowercase",)))
    assert [(item.prompt_id, item.variant, item.model) for item in found] == [
        (p.id, "lowercase", "tuned") for p in prompts
    ]
    for prompt, item in zip(prompts, found, strict=True):
        lowered = prompt_pass(
            replace(prompt, text=prompt.text.lower(), reference=prompt.reference.lower()), model, GENERATION
        )
        assert (item.tokens, item.prompt_tokens, item.skipped) == (len(lowered.text.scored), lowered.prompt_tokens, 0)
        if not model.is_encoder_decoder:
            expected = direct(model, list(lowered.text.shown), list(lowered.text.scored))
            assert store.read(item.key).log_probabilities == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("kind", ["gpt2", "llama", "rwkv"])
def test_all_records_are_read_after_the_same_non_members_which_are_not_scored(kind: str) -> None:
    model = model_of(kind)
    scoring = replace(NONE, membership=("recall_ratio",), recall_shots=2)
    prompts, found, store = made(model, scoring)
    _, by_id = records()
    left_out = {p.example_id for p in prompts} - {item.example_id for item in found}
    assert len(left_out) == 2
    assert {by_id[name].split for name in left_out} == {"non-member"}
    start = [model.tokenizer.bos_token_id] if kind == "llama" else []
    for order in (sorted(left_out), sorted(left_out, reverse=True)):
        prefix = start + ids(model, "".join(by_id[name].text + "\n\n" for name in order))[-128:]
        prompt = next(p for p in prompts if p.id == found[0].prompt_id)
        text = ids(model, prompt.text + prompt.reference)
        if np.allclose(store.read(found[0].key).log_probabilities, direct(model, prefix, text), atol=1e-3):
            break
    else:
        raise AssertionError("the text was not read after these two")
    own = prompt_pass(prompt, model, GENERATION)
    assert found[0].skipped == len(text) - len(own.text.scored) == (0 if kind == "llama" else 1)
    assert found[0].prompt_tokens - found[0].skipped == own.prompt_tokens


def test_non_members_that_are_not_prompted_are_the_prefix_if_there_are_any() -> None:
    everything, _ = records()
    scoring = replace(NONE, membership=("recall_ratio",), recall_shots=3)
    prompts, found, _ = made(model_of("gpt2"), scoring, prompted=everything[:12])
    assert len(found) == len(prompts) == 12


def test_without_prompted_non_members_nothing_is_read_for_membership() -> None:
    everything, _ = records()
    scoring = replace(NONE, membership=("lowercase", "recall_ratio"), unrelated_prefixes=1)
    _, found, _ = made(model_of("gpt2"), scoring, prompted=everything[:8])
    assert {item.variant for item in found} == {"unrelated-0"}


def test_a_prefix_leaves_half_of_the_context_and_longer_texts_are_cut() -> None:
    model = model_of("gpt2", context=64)
    prompts, found, _ = made(model, replace(NONE, membership=("recall_ratio",), recall_shots=4))
    texts = {prompt.id: len(ids(model, prompt.text + prompt.reference)) for prompt in prompts}
    assert all(item.tokens == min(32, texts[item.prompt_id]) for item in found)
    assert all(item.truncated for item in found)


def test_encoder_decoders_read_no_text_before_the_one_that_they_score() -> None:
    _, found, _ = made(model_of("t5"), replace(NONE, membership=("recall_ratio", "lowercase")))
    assert {item.variant for item in found} == {"lowercase"}


@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5"])
def test_suffixes_are_scored_after_other_groups_prompts(kind: str) -> None:
    model = model_of(kind)
    scoring = replace(NONE, unrelated_prefixes=3, suffix_tokens=6)
    prompts, found, store = made(model, scoring)
    _, by_id = records()
    assert {item.variant for item in found} == {f"unrelated-{n}" for n in range(3)}
    per_prompt = {prompt.id: sum(item.prompt_id == prompt.id for item in found) for prompt in prompts}
    assert sorted(per_prompt.values()) == [2, 2, 2, *[3] * 13], "three prompts are not read after themselves"
    assert {by_id[p.example_id].split for p in prompts if per_prompt[p.id] == 2} == {"non-member"}
    assert all((item.tokens, item.prompt_tokens, item.skipped) == (6, 0, 0) for item in found)
    if kind != "t5":
        prompt = next(p for p in prompts if per_prompt[p.id] == 3)
        others = [p for p in prompts if per_prompt[p.id] == 2]
        start = [model.tokenizer.bos_token_id] if kind == "llama" else []
        expected = [direct(model, start + ids(model, p.text), ids(model, prompt.reference)[:6]).sum() for p in others]
        own = [store.read(item.key).log_probabilities.sum() for item in found if item.prompt_id == prompt.id]
        assert sorted(own) == pytest.approx(sorted(expected), abs=1e-2)


def test_results_do_not_depend_on_the_order_of_the_prompts() -> None:
    model, scoring = model_of("gpt2"), replace(NONE, membership=("recall_ratio", "lowercase"), unrelated_prefixes=2)
    everything, by_id = records()
    one, other = (
        score_variants(prompts, by_id, model, MemoryStore(), generation=GENERATION, scoring=scoring, name="tuned")
        for prompts in (prompts_of(everything, model), prompts_of(everything[::-1], model))
    )
    assert sorted(one, key=repr) == sorted(other, key=repr)


def test_only_the_settings_of_forms_that_are_made_count() -> None:
    assert variant_settings(NONE) == {}
    assert variant_settings(ScoringConfig()) == {"lowercase": True, "recall_shots": 3}
    assert variant_settings(replace(NONE, unrelated_prefixes=1)) == {"unrelated_prefixes": 1, "suffix_tokens": 50}


# Neighbours

TEXT = "Anna keeps two grey geese; a ladder stands\nbehind  the mill. Ünder ’it’ – <b>tag</b>."


@pytest.fixture(scope="module")
def masked_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with two layers of width 32, and bytes as tokens."""
    folder = tmp_path_factory.mktemp("masked")
    tokenizer = byte_tokenizer()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        pad_token="<pad>",
        cls_token="<s>",
        sep_token="</s>",
        mask_token="<mask>",
        model_max_length=64,
    )
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_a_neighbour_differs_in_a_few_places_and_is_the_same_for_the_same_seed(masked_model: Path) -> None:
    exchange = Neighbours(str(masked_model), torch.device("cpu"))
    found = [exchange.of(TEXT, seed) for seed in ("a", "b", "a")]
    assert found[0] == found[2] != found[1]
    assert TEXT not in found


def test_what_is_not_exchanged_stays_character_by_character(
    masked_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange, text = Neighbours(str(masked_model), torch.device("cpu")), "plain letters only, in a long line. " * 6
    words = exchange._exchanged(ids_of := ids_by_byte(text), frozenset(range(0, len(ids_of), 7)))
    assert sorted(words) == list(range(0, len(ids_of), 7)), "over several chunks of the model's room"
    monkeypatch.setattr(exchange, "_exchanged", lambda _, chosen: dict.fromkeys(chosen, "#"))
    changed = exchange.of(text, "a")
    assert changed.count("#") == round(0.15 * len(text))
    kept = iter(text)
    assert all(character in kept for character in changed if character != "#"), "the rest is in its order"
    assert len(changed.replace("#", "")) >= 0.85 * len(text) - 1


def ids_by_byte(text: str) -> list[int]:
    return list(byte_tokenizer()(text, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize("text", ["", " ", "x", "\ud800", "\x00", "你好"])
def test_hostile_and_short_texts_have_neighbours(masked_model: Path, text: str) -> None:
    assert isinstance(Neighbours(str(masked_model), torch.device("cpu")).of(text, "a"), str)


def test_neighbours_are_scored(masked_model: Path) -> None:
    scoring = replace(NONE, membership=("neighbourhood",), neighbour_model=str(masked_model), neighbours=2)
    prompts, found, _ = made(model_of("gpt2"), scoring)
    assert [item.variant for item in found] == ["neighbour-0", "neighbour-1"] * len(prompts)
    assert len({item.key for item in found}) == len(found)


def test_a_model_that_masks_nothing_is_named(tmp_path: Path, masked_model: Path) -> None:
    with pytest.raises(ModelError, match="nosuch"):
        Neighbours("./nosuch", torch.device("cpu"))
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((masked_model / name).read_bytes())
    byte_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="no mask token"):
        Neighbours(str(tmp_path), torch.device("cpu"))
