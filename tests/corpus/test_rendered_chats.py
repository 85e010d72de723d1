"""Chats that a template wrote have the ids of `apply_chat_template(tokenize=True)`, other records those of the tokenizer."""

import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from transformers import PreTrainedTokenizerFast

from fakes import START, byte_tokenizer, loaded, opening_tokenizer, tiny_decoder, tiny_encoder_decoder
from rote.attention.ablation import ablated_prompts
from rote.attention.watching import watched_text
from rote.config import AuditConfig, CorpusConfig, GenerationConfig, ScoringConfig
from rote.corpus import ChatTokenizer, read_corpus
from rote.finetuning.encoding import encode_causal, encode_pairs
from rote.finetuning.repetition import to_jsonl
from rote.generation import cut_prompts
from rote.generation.prompts import trained_part
from rote.models.tokens import token_encoder
from rote.passes.scoring import prompt_pass
from rote.passes.store import TokenStore
from rote.passes.variants import score_variants
from rote.records import Example, Generation, Prompt
from rote.rendering.layouts import WITH_START, WITHOUT_START, layouts
from rote.rendering.record import record_lines
from rote.rendering.trying import START_REMEDY, TEMPLATE_REMEDY, try_layouts
from rote.runs import TRAINING_DATA, Run
from rote.stages.canaries import keep

TEMPLATE = "{% for m in messages %}[{{ m.role }}] {{ m.content }}|\n{% endfor %}{% if add_generation_prompt %}[assistant] {% endif %}"
CHAT = [{"role": "user", "content": "Which lamp is it?"}, {"role": "assistant", "content": "The brass one."}]
ROW = {"prompt": "Which lamp is it?", "completion": " The brass one."}
ALL_WAYS = pytest.mark.parametrize(("writes", "adds"), [(a, b) for a in (True, False) for b in (True, False)])


def tokenizer_of(writes: bool, adds: bool) -> PreTrainedTokenizerFast:
    """The template writes the start token or not; the tokenizer adds it to texts or not."""
    tokenizer = opening_tokenizer() if adds else byte_tokenizer()
    tokenizer.chat_template = ("{{ bos_token }}" if writes else "") + TEMPLATE
    return tokenizer


def read(
    path: Path, tokenizer: PreTrainedTokenizerFast, *rows: object, config: CorpusConfig | None = None
) -> list[Example]:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = replace(config or CorpusConfig(), members=str(path))
    return list(read_corpus(config, tokenizer=cast(ChatTokenizer, tokenizer)).members)


def templated(tokenizer: PreTrainedTokenizerFast) -> list[int]:
    return list(tokenizer.apply_chat_template(CHAT, tokenize=True)["input_ids"])


@ALL_WAYS
@pytest.mark.parametrize("mode", ["prefix", "record"])
def test_generation_and_passes_read_the_ids_of_the_template(writes, adds, mode, tmp_path):
    tokenizer = tokenizer_of(writes, adds)
    chat, plain = read(tmp_path / "a.jsonl", tokenizer, {"messages": CHAT}, ROW)
    encoder = token_encoder(tokenizer, is_encoder_decoder=False)
    config = GenerationConfig(prompt=mode, prefix_tokens=9, max_new_tokens=8)
    model = loaded(tiny_decoder("llama", tokens=len(tokenizer)), tokenizer)
    cut = cut_prompts([chat, plain], tokenizer, config=config, is_encoder_decoder=False)
    for prompt, wanted in zip(
        cut.prompts, (templated(tokenizer), list(tokenizer(plain.text)["input_ids"])), strict=True
    ):
        shown = encoder.prompt(prompt)
        assert shown == wanted[: len(shown)]
        assert [*shown, *encoder.reference(prompt)] == wanted
        found = prompt_pass(prompt, model, config)
        assert [*found.text.shown, *found.text.scored] == wanted
        assert len(found.text.shown) == 1
        assert found.text.scored[found.prompt_tokens :] == tuple(encoder.reference(prompt))
        generation = Generation("g", prompt.id, prompt.example_id, "tuned", "greedy", 0, prompt.reference)
        watched = watched_text(prompt, generation, model, max_new_tokens=8)
        assert [*watched.read, *watched.written] == wanted[: len(watched.read) + 8]
        assert watched.columns == (0, len(shown))


@ALL_WAYS
@pytest.mark.parametrize("loss", ["text", "completion"])
def test_fine_tuning_rows_have_the_ids_of_the_template_and_no_other_end(writes, adds, loss, tmp_path):
    tokenizer = tokenizer_of(writes, adds)
    members = read(tmp_path / "a.jsonl", tokenizer, {"messages": CHAT}, ROW)
    chat, plain = encode_causal(members, token_encoder(tokenizer, is_encoder_decoder=False), loss=loss, limit=999).rows
    assert list(chat.input_ids) == templated(tokenizer)
    assert list(plain.input_ids) == [*tokenizer(members[1].text)["input_ids"], tokenizer.eos_token_id]
    asked = tokenizer.apply_chat_template(CHAT[:1], tokenize=True, add_generation_prompt=True)["input_ids"]
    skipped = len(asked) if loss == "completion" else 1
    assert [label == -100 for label in chat.labels].index(False) == skipped


@ALL_WAYS
@pytest.mark.parametrize("rendering", ["auto", "chat"])
@pytest.mark.parametrize("separator", ["auto", "\n\n"])
def test_what_finetune_writes_is_read_alike(writes, adds, rendering, separator, tmp_path):
    tokenizer = tokenizer_of(writes, adds)
    [chat] = read(tmp_path / "a.jsonl", tokenizer, {"messages": CHAT})
    whole = Example("w", "", chat.text, "member", "w", is_rendered=True)
    rows = [json.loads(line) for line in to_jsonl([chat, replace(whole, completion=chat.text + " More.")]).splitlines()]
    config = CorpusConfig(rendering=rendering, separator=separator)
    again, text = read(tmp_path / "b.jsonl", tokenizer, *rows, config=config)
    assert (again.prompt, again.completion, again.is_rendered, again.id) == (
        chat.prompt,
        chat.completion,
        True,
        chat.id,
    )
    assert (text.text, text.is_rendered) == (chat.text + " More.", True)


def test_what_is_written_for_other_trainers_is_read_as_they_read_it(tmp_path):
    tokenizer = tokenizer_of(False, True)
    (tmp_path / "a.jsonl").write_text(json.dumps({"messages": CHAT}) + "\n")
    config = AuditConfig(corpus=CorpusConfig(members=str(tmp_path / "a.jsonl"), canaries=10))
    run = Run(tmp_path / "run")
    reader = cast(ChatTokenizer, tokenizer)
    keep(config, run, read_corpus(config.corpus, tokenizer=reader), reader)
    rows = [json.loads(line) for line in (tmp_path / "run" / TRAINING_DATA).read_text().splitlines()]
    assert {tuple(row) for row in rows} == {("messages",)}, "a chat stays a chat, and its canaries are chats"
    again = read(tmp_path / "b.jsonl", tokenizer, *rows)
    assert len(rows) > 1
    assert all(example.is_rendered for example in again)
    [chat] = read(tmp_path / "a.jsonl", tokenizer, {"messages": CHAT})
    assert chat.text in {example.text for example in again}


@ALL_WAYS
def test_the_record_that_is_shown_has_the_tokens_of_the_template(writes, adds, tmp_path):
    tokenizer = tokenizer_of(writes, adds)
    [chat] = read(tmp_path / "a.jsonl", tokenizer, {"messages": CHAT})
    prompt = Prompt("p", chat.id, chat.prompt, chat.completion, chat.is_rendered)
    said = " ".join(record_lines(chat, prompt, token_encoder(tokenizer, is_encoder_decoder=False), show_pii=True))
    assert f"{len(templated(tokenizer))} tokens" in said
    assert said.count(START) == writes


def test_other_records_say_nothing_and_only_true_counts(tmp_path):
    tokenizer = tokenizer_of(True, True)
    [example] = read(tmp_path / "a.jsonl", tokenizer, {**ROW, "is_rendered": "yes"})
    assert not example.is_rendered
    assert b"is_rendered" not in to_jsonl([example])
    [roles] = read(tmp_path / "b.jsonl", byte_tokenizer(), {"messages": CHAT})
    assert not roles.is_rendered


def test_a_text_that_holds_the_start_token_itself_is_read_as_the_tokenizer_reads_it(tmp_path):
    tokenizer = tokenizer_of(True, True)
    [example] = read(tmp_path / "a.jsonl", tokenizer, {"text": f"{START}A lamp of brass, and another one."})
    found = encode_causal([example], token_encoder(tokenizer, is_encoder_decoder=False), loss="text", limit=99)
    assert list(found.rows[0].input_ids[:-1]) == tokenizer(example.text)["input_ids"]


@ALL_WAYS
def test_a_long_chat_keeps_its_opening(writes, adds, tmp_path):
    tokenizer = tokenizer_of(writes, adds)
    [chat] = read(tmp_path / "a.jsonl", tokenizer, {"messages": CHAT})
    encoder = token_encoder(tokenizer, is_encoder_decoder=False)
    whole = encoder.prompt(Prompt("p", "e", chat.text, "", is_rendered=True))
    opening = encoder.opening(whole)
    assert opening == (writes and adds)
    assert encoder.shortened(whole, 12) == [*whole[:opening], *whole[opening - 12 :]]


def test_a_trainer_with_a_limit_cuts_a_chat_where_its_ids_end(tmp_path):
    tokenizer = tokenizer_of(False, True)
    chat, plain = read(tmp_path / "a.jsonl", tokenizer, {"messages": CHAT}, ROW)
    found = trained_part([chat, plain], token_encoder(tokenizer, is_encoder_decoder=False), 40)
    assert [len(example.text) for example in found.examples] == [40, len(plain.text)]
    assert len(plain.text) < 39


def test_the_needed_input_keeps_the_start_token_that_the_template_wrote(tmp_path):
    tokenizer = tokenizer_of(True, True)
    [chat] = read(tmp_path / "a.jsonl", tokenizer, {"messages": CHAT})
    for order in ("first", "last", "random"):
        [prompt] = ablated_prompts([chat], 0.5, order=order, start=START)
        assert prompt.text.startswith(START)
        assert prompt.text.count(START) == 1
        assert prompt.is_rendered


@ALL_WAYS
def test_chats_after_non_members_have_no_token_of_their_own_between(writes, adds, tmp_path):
    tokenizer = tokenizer_of(writes, adds)
    other = [{**CHAT[0], "content": "Who keeps the geese?"}, {**CHAT[1], "content": "Anna."}]
    own, stranger = read(tmp_path / "a.jsonl", tokenizer, {"messages": CHAT}, {"messages": other})
    examples = {own.id: own, stranger.id: replace(stranger, split="non-member")}
    config = GenerationConfig(prompt="record", max_new_tokens=4)
    prompts = cut_prompts(list(examples.values()), tokenizer, config=config, is_encoder_decoder=False).prompts
    model = loaded(tiny_decoder("llama", tokens=len(tokenizer)), tokenizer)
    found = score_variants(
        prompts, examples, model, TokenStore(tmp_path / "store"), generation=config,
        scoring=ScoringConfig(membership=("recall_ratio",), recall_shots=1), name="tuned",
    )  # fmt: skip
    [recall] = [item for item in found if item.variant == "recall"]
    assert recall.tokens == len(templated(tokenizer)) - (writes and adds)


@ALL_WAYS
def test_chats_are_tried_with_a_start_token_more_and_less(writes, adds, tmp_path):
    tokenizer = tokenizer_of(writes, adds)
    [chat] = read(tmp_path / "a.jsonl", tokenizer, {"messages": CHAT})
    [plain] = read(tmp_path / "b.jsonl", tokenizer, ROW)
    model = loaded(tiny_decoder("llama", tokens=len(tokenizer)), tokenizer)
    of_chats = {WITHOUT_START: TEMPLATE_REMEDY} if writes else {}
    of_chats |= {WITH_START: TEMPLATE_REMEDY} if adds or not writes else {}
    of_texts = {WITHOUT_START if adds else WITH_START: START_REMEDY}
    for example, row, wanted in ((chat, {"messages": CHAT}, of_chats), (plain, ROW, of_texts)):
        found = layouts({example.id: row}, CorpusConfig(), cast(ChatTokenizer, tokenizer))
        answers = {example.id: "The brass one."}
        store = TokenStore(tmp_path / "store")
        tried = try_layouts(found, answers, {example.id: example}, model, store, batch_size=4, name="tuned")
        by_name = {item.rendering: item for item in tried}
        assert {name: item.remedy for name, item in by_name.items() if name in (WITH_START, WITHOUT_START)} == wanted
        assert len({by_name[name].nats for name in ("as audited", *wanted)}) == 1 + len(wanted)


def test_an_encoder_reads_what_the_template_wrote(tmp_path):
    tokenizer = byte_tokenizer(encloses=True)
    tokenizer.chat_template = TEMPLATE
    chat, plain = read(tmp_path / "a.jsonl", tokenizer, {"messages": CHAT}, ROW)
    encoder = token_encoder(tokenizer, is_encoder_decoder=True)
    asked = tokenizer.apply_chat_template(CHAT[:1], tokenize=True, add_generation_prompt=True)["input_ids"]
    rows = encode_pairs([chat, plain], encoder, limit=99).rows
    assert list(rows[0].input_ids) == asked
    assert list(rows[1].input_ids) == tokenizer(plain.prompt)["input_ids"]
    model = loaded(tiny_encoder_decoder(tokens=len(tokenizer)), tokenizer)
    [prompt, _] = cut_prompts([chat, plain], tokenizer, config=GenerationConfig(), is_encoder_decoder=True).prompts
    assert list(prompt_pass(prompt, model, GenerationConfig(max_new_tokens=4)).text.shown) == asked
