"""The verbatim blocker: against a naive reference, and on models of every kind under every decoding."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fakes import (
    MEMBERS,
    byte_tokenizer,
    examples,
    loaded,
    memorised_toy,
    merging_tokenizer,
    tiny_decoder,
    tiny_encoder_decoder,
)
from rote.config import GenerationConfig, config_from
from rote.errors import ConfigError, ModelError
from rote.generation import TransformersModel, decoding_label, forbidden_tokens, generate, training_tokens
from rote.generation.blocking import VerbatimBlocker
from rote.models.tokens import token_encoder
from rote.records import Prompt

RUN = 4
GREEDY = GenerationConfig(prompt="prefix", prefix_tokens=10, max_new_tokens=24, batch_size=5, block_verbatim=RUN)
BEAM = replace(GREEDY, decoding="beam", beams=3)
SAMPLE = replace(GREEDY, decoding="sample", temperature=0.7, top_k=50, top_p=0.9, samples=2)
TOKENS = st.lists(st.integers(0, 3), max_size=12)


def runs_of(tokens, size):
    return {tuple(tokens[at : at + size]) for at in range(len(tokens) - size + 1)}


@given(st.lists(TOKENS, max_size=5), st.integers(2, 5), st.lists(TOKENS, min_size=1, max_size=4))
def test_what_is_forbidden_is_what_a_plain_search_finds(texts, size, contexts):
    known = {run for text in texts for run in runs_of(text, size)}
    contexts = [(context + [0] * size)[: size - 1] for context in contexts]
    rows, tokens = forbidden_tokens(texts, size).after(np.array(contexts).reshape(len(contexts), size - 1))
    found = list(zip(rows.tolist(), tokens.tolist(), strict=True))
    expected = [
        (row, token) for row, context in enumerate(contexts) for token in range(4) if (*context, token) in known
    ]
    assert found == expected


def test_pieces_make_no_difference(monkeypatch):
    texts = [list(text.encode()) for text in MEMBERS]
    whole = forbidden_tokens(texts, 5)
    monkeypatch.setattr("rote.generation.blocking.TOKENS_AT_ONCE", 10)
    pieces = forbidden_tokens(texts, 5)
    assert (pieces.hashes == whole.hashes).all()
    assert (pieces.last == whole.last).all()
    assert pieces.digest == whole.digest != forbidden_tokens(texts, 6).digest
    assert len(whole.hashes) == len({run for text in texts for run in runs_of(text, 5)})


def model_of(kind: str):
    if kind == "toy":
        return memorised_toy().model
    tokenizer = merging_tokenizer(MEMBERS) if kind == "gpt2" else byte_tokenizer(encloses=kind == "t5")
    size = len(tokenizer)
    return loaded(tiny_encoder_decoder(tokens=size) if kind == "t5" else tiny_decoder(kind, tokens=size), tokenizer)


def members(*, prompt_chars: int = 0):
    """The toy's members, each with so many characters as its prompt."""
    return [
        replace(each, prompt=each.completion[:prompt_chars], completion=each.completion[prompt_chars:])
        for each in examples(MEMBERS, "member")
    ]


def prompts() -> list[Prompt]:
    """Of unequal length; each ends within a training text, but for two that share nothing with any."""
    cut = [(text[: 2 + 5 * number], text[2 + 5 * number :]) for number, text in enumerate(MEMBERS)]
    return [Prompt(f"p{n}", f"e{n}", *pair) for n, pair in enumerate([*cut, ("zzzz", "."), ("qqqqqqqqqqqqqqq", ".")])]


def written(model, config, forbidden, monkeypatch):
    """For each draw the prompt's ids and the new ones."""
    found = []
    new_tokens = TransformersModel._new_tokens

    def kept(self, rows, draws, settings):
        new = new_tokens(self, rows, draws, settings)
        found.extend(zip(rows, new, strict=True))
        return new

    monkeypatch.setattr(TransformersModel, "_new_tokens", kept)
    list(generate(prompts(), TransformersModel(model, forbidden), config=config, name="tuned"))
    return found


def untouched(shown, new, known, *, is_encoder_decoder):
    """Whether no run that the new tokens complete is known; one that lies in the prompt as a whole is none of theirs."""
    tokens = new if is_encoder_decoder else [*shown, *new]
    first = 0 if is_encoder_decoder else max(0, len(shown) - RUN + 1)
    return not runs_of(tokens[first:], RUN) & known


@pytest.mark.parametrize("config", [GREEDY, BEAM, SAMPLE], ids=decoding_label)
@pytest.mark.parametrize("kind", ["gpt2", "llama", "t5", "toy"])
def test_no_generation_completes_a_run_of_a_training_text(kind, config, monkeypatch):
    model = model_of(kind)
    encoder = token_encoder(model.tokenizer, is_encoder_decoder=model.is_encoder_decoder)
    texts = list(training_tokens(members(prompt_chars=20), encoder))
    if kind in (
        "gpt2",
        "llama",
        "t5",
    ):  # an untrained model gives back nothing: it is given what it writes as its training
        plain = written(model, replace(config, block_verbatim=0), None, monkeypatch)
        texts += [new for _, new in plain]
    known = {run for text in texts for run in runs_of(text, RUN)}
    plain = written(model, replace(config, block_verbatim=0), None, monkeypatch)
    assert any(not untouched(*pair, known, is_encoder_decoder=model.is_encoder_decoder) for pair in plain)
    found = written(model, config, forbidden_tokens(texts, RUN), monkeypatch)
    assert len(found) == len(prompts()) * config.samples
    assert all(len(new) == config.max_new_tokens for _, new in found)
    assert all(untouched(*pair, known, is_encoder_decoder=model.is_encoder_decoder) for pair in found)


@pytest.mark.parametrize("config", [GREEDY, BEAM, SAMPLE], ids=decoding_label)
@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_results_do_not_depend_on_batch_size(kind, config, monkeypatch):
    model = model_of(kind)
    texts = [new for _, new in written(model, replace(config, block_verbatim=0), None, monkeypatch)]
    forbidden = forbidden_tokens(texts, RUN)
    together = {item.id: item.text for batch in draws(model, config, forbidden) for item in batch}
    alone = {item.id: item.text for batch in draws(model, replace(config, batch_size=1), forbidden) for item in batch}
    assert together == alone


def draws(model, config, forbidden):
    return generate(prompts(), TransformersModel(model, forbidden), config=config, name="tuned")


@pytest.mark.parametrize("config", [GREEDY, BEAM, SAMPLE], ids=decoding_label)
@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_a_blocker_that_never_meets_its_texts_changes_nothing(kind, config):
    model, off = model_of(kind), replace(config, block_verbatim=0)
    forbidden = forbidden_tokens([[0] * 9], 9)
    said = [item.text for batch in draws(model, config, forbidden) for item in batch]
    assert said == [item.text for batch in draws(model, off, None) for item in batch]


def test_a_prompt_that_ends_within_a_training_text_is_left_at_once(toy):
    """The members come out without a blocker; with one, not even the first token after a prompt of n - 1 tokens does."""
    encoder = token_encoder(toy.model.tokenizer, is_encoder_decoder=False)
    forbidden = forbidden_tokens(training_tokens(toy.members, encoder), RUN)
    cut = [Prompt(f"p{n}", f"e{n}", text[:10], text[10:]) for n, text in enumerate(MEMBERS)]
    texts = {}
    for name, blocked in (("plain", None), ("blocked", forbidden)):
        model = TransformersModel(toy.model, blocked)
        config = replace(GREEDY, block_verbatim=RUN if blocked else 0)
        texts[name] = {
            i.prompt_id: i.text for batch in generate(cut, model, config=config, name="tuned") for i in batch
        }
    assert all(texts["plain"][prompt.id][0] == prompt.reference[0] for prompt in cut)
    assert not any(texts["blocked"][prompt.id][0] == prompt.reference[0] for prompt in cut)


def test_padding_and_start_tokens_are_no_part_of_a_run():
    blocker = VerbatimBlocker(forbidden_tokens([[5, 5, 1]], 3), starts=[2, 1, 0])
    scores = blocker(torch.tensor([[5, 5, 5], [5, 5, 5], [5, 5, 5]]), torch.zeros(3, 6))
    assert scores.isneginf().nonzero().tolist() == [[1, 1], [2, 1]]


def test_rows_shorter_than_a_run_are_left_alone():
    scores = torch.zeros(1, 6)
    assert VerbatimBlocker(forbidden_tokens([[1, 2, 3]], 3), starts=[0])(torch.tensor([[1]]), scores) is scores


def test_without_texts_nothing_is_forbidden():
    rows, tokens = forbidden_tokens([[], [1]], 2).after(np.array([[1]]))
    assert (len(rows), len(tokens)) == (0, 0)


def test_where_every_token_is_forbidden_it_is_an_error_and_no_token_is_let_through():
    blocker = VerbatimBlocker(forbidden_tokens([[0, 0], [0, 1], [0, 2]], 2), starts=[0, 0])
    message = r"block_verbatim = 2: .* every one of the 3 tokens would complete a run"
    with pytest.raises(ModelError, match=message):
        blocker(torch.tensor([[1], [0]]), torch.zeros(2, 3))


def test_encoder_decoder_texts_are_prompt_and_completion_decoder_texts_are_whole():
    tokenizer = byte_tokenizer(encloses=True)
    [example] = members(prompt_chars=20)[:1]
    pair = list(training_tokens([example], token_encoder(tokenizer, is_encoder_decoder=True)))
    assert list(map(tokenizer.decode, pair)) == [example.prompt, example.completion]
    [whole] = training_tokens([example], token_encoder(tokenizer, is_encoder_decoder=False))
    assert tokenizer.decode(whole) == example.text


def test_the_digest_knows_the_texts(toy):
    plain = TransformersModel(toy.model)
    blocked = TransformersModel(toy.model, forbidden_tokens([[1, 2, 3]], 2))
    other = TransformersModel(toy.model, forbidden_tokens([[1, 2, 4]], 2))
    assert len({plain.digest, blocked.digest, other.digest}) == 3


def test_labels():
    assert [decoding_label(config) for config in (GREEDY, BEAM, SAMPLE)] == [
        "greedy-blocked-4",
        "beam-3-blocked-4",
        "sample-t0.7-k50-p0.9-blocked-4",
    ]


@pytest.mark.parametrize("wrong", [1, -1])
def test_a_run_of_one_token_cannot_be_blocked(wrong):
    with pytest.raises(ConfigError, match=rf"generation\.block_verbatim: must be 0 or > 1, found {wrong}"):
        config_from({"generation": {"block_verbatim": wrong}})
