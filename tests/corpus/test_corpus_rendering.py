"""What becomes of each shape, what is said of it, and what a template may cost. Trainers themselves: test_trainers.py."""

import json
import re
from pathlib import Path
from typing import cast

import pytest

from fakes import opening_tokenizer
from rote.config import CorpusConfig
from rote.corpus import ChatTokenizer, Corpus, Reading, ShapeReader, bounds, other_renderings, raw_rows, read_corpus
from rote.errors import ConfigError, DataError
from rote.models.tokens import token_encoder
from rote.records import Prompt, from_row, to_row

Row = dict[str, object]
TEMPLATE = (
    "{% if tools %}<tools>{{ tools | tojson }}</tools>{% endif %}{% for m in messages %}<{{ m.role }}>"
    "{% if m.reasoning_content %}<think>{{ m.reasoning_content }}</think>{% endif %}"
    "{{ m.content or '' }}{% for c in m.tool_calls or [] %}<call>{{ c.function.name }}({{ c.function.arguments | tojson }})"
    "{% endfor %}</>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)
DEAF = "{% for m in messages %}<{{ m.role }}>{{ m.content or '' }}</>{% endfor %}"
CHAT: list[Row] = [{"role": "user", "content": "Which lamp?"}, {"role": "assistant", "content": "The brass one."}]
CALL: Row = {"type": "function", "function": {"name": "lookup", "arguments": {"q": "lamps made of brass, and where"}}}
TOOLS: list[Row] = [
    {"type": "function", "function": {"name": "lookup", "description": "Finds a thing in the inventory"}}
]


def with_template(template: str) -> ChatTokenizer:
    return cast(ChatTokenizer, opening_tokenizer(template))


CHATTY, MUTE = with_template(TEMPLATE), with_template("")


def render(row: Row, tokenizer: ChatTokenizer | None = None, **settings: object) -> tuple[str, str]:
    parts = ShapeReader(CorpusConfig(**settings), tokenizer).read(row)  # type: ignore[arg-type]
    return parts.prompt, parts.completion


def read(folder: Path, rows: list[Row], tokenizer: ChatTokenizer | None = None, **settings: object) -> Corpus:
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    config = CorpusConfig(members=str(path), **{"near_duplicate": 0.0, **settings})  # type: ignore[arg-type]
    return read_corpus(config, tokenizer=tokenizer)


def reading_of(folder: Path, rows: list[Row], tokenizer: ChatTokenizer | None = None, **settings: object) -> Reading:
    return read(folder, rows, tokenizer, **settings).readings[0]


ALPACA: Row = {"instruction": "Sum up.", "input": "A long text.", "output": "Short."}
PREAMBLE = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
)
EXPECTED: list[tuple[str, Row, ChatTokenizer | None, str, str]] = [
    ("TRL", {"prompt": "Why?\n\n", "completion": "So."}, None, "Why?\n\n", "So."),
    ("TRL, blank prompt", {"prompt": "\n", "completion": "So."}, None, "\n", "So."),
    ("TRL, text", {"text": "As it is.", "answer": "no"}, None, "", "As it is."),
    ("TRL, messages", {"messages": CHAT}, CHATTY, "<user>Which lamp?</><assistant>", "The brass one.</>"),
    (
        "TRL, message lists",
        {"prompt": CHAT, "completion": CHAT},
        CHATTY,
        "<user>Which lamp?</><assistant>The brass one.</><assistant>"[: -len("<assistant>")] + "<",
        "user>Which lamp?</><assistant>The brass one.</>",
    ),
    ("TRL, preferences", {"prompt": CHAT[:1], "chosen": CHAT[1:], "rejected": CHAT[1:]}, CHATTY,
     "<user>Which lamp?</><assistant>", "The brass one.</>"),
    ("TRL, implicit prompt", {"chosen": CHAT, "rejected": CHAT}, CHATTY,
     "<user>Which lamp?</><assistant>", "The brass one.</>"),
    ("preferences, prompt in both", {"prompt": "Which lamp?", "chosen": CHAT, "rejected": CHAT}, CHATTY,
     "<user>Which lamp?</><assistant>", "The brass one.</>"),
    ("preferences as text", {"prompt": "Why?", "chosen": " So.", "rejected": " No."}, None, "Why?", " So."),
    ("LLaMA-Factory, alpaca", ALPACA, CHATTY, "<user>Sum up.\nA long text.</><assistant>", "Short.</>"),
    (
        "LLaMA-Factory, history and system",
        {**ALPACA, "system": "Be terse.", "history": [["Hi", "Hello"]]},
        CHATTY,
        "<system>Be terse.</><user>Hi</><assistant>Hello</><user>Sum up.\nA long text.</><assistant>",
        "Short.</>",
    ),
    (
        "LLaMA-Factory, sharegpt",
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}], "system": "Be kind."},
        CHATTY,
        "<system>Be kind.</><user>Hi</><assistant>",
        "Hello</>",
    ),
    (
        "LLaMA-Factory, function calls",
        {
            "conversations": [
                {"from": "human", "value": "Hi"},
                {"from": "function_call", "value": '{"name": "f", "arguments": {"q": 1}}'},
                {"from": "observation", "value": "22"},
                {"from": "gpt", "value": "Done"},
            ]
        },
        CHATTY,
        '<user>Hi</><assistant><call>f({"q": 1})</><tool>22</><assistant>',
        "Done</>",
    ),
    ("axolotl, alpaca", ALPACA, MUTE,
     PREAMBLE + "### Instruction:\nSum up.\n\n### Input:\nA long text.\n\n### Response:\n", "Short."),
    (
        "axolotl, alpaca without input",
        {"instruction": "Sum up.", "input": "", "output": "Short."},
        MUTE,
        "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
        "### Instruction:\nSum up.\n\n### Response:\n",
        "Short.",
    ),
    ("axolotl, alpaca_w_system", {**ALPACA, "system": "Be terse."}, MUTE,
     "### System:\nBe terse.\n\n### Instruction:\nSum up.\n\n### Input:\nA long text.\n\n### Response:\n", "Short."),
    (
        "OpenAI, tools",
        {"messages": [CHAT[0], {"role": "assistant", "content": None, "tool_calls": [CALL]}], "tools": TOOLS},
        CHATTY,
        f"<tools>{json.dumps(TOOLS)}</tools><user>Which lamp?</><assistant>",
        '<call>lookup({"q": "lamps made of brass, and where"})</>',
    ),
    (
        "OpenAI, weights",
        {"messages": [CHAT[0], {**CHAT[1], "weight": 1}, CHAT[0], {**CHAT[1], "weight": 0}]},
        CHATTY,
        "<user>Which lamp?</><assistant>",
        "The brass one.</>",
    ),
    ("columns of messages", {"messages": {"role": ["user", "assistant"], "content": ["Hi", "Hello"]}}, CHATTY,
     "<user>Hi</><assistant>", "Hello</>"),
    ("messages as JSON text", {"messages": json.dumps(CHAT)}, CHATTY, "<user>Which lamp?</><assistant>", "The brass one.</>"),
    ("reasoning", {"messages": [CHAT[0], {**CHAT[1], "reasoning_content": "It shines."}]}, CHATTY,
     "<user>Which lamp?</><assistant>", "<think>It shines.</think>The brass one.</>"),
    ("datasets, WMT", {"translation": {"de": "Haus", "en": "house"}}, None, "Haus\n", "house"),
    ("datasets, SQuAD", {"context": "A mill.", "question": "What?", "answers": {"text": ["a mill", "mill"]}}, None,
     "A mill.\nWhat?\n", "a mill"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "tokenizer", "prompt", "completion"),
    [pytest.param(*case[1:], id=case[0]) for case in EXPECTED],
)
def test_a_shape_becomes_the_text_that_its_trainer_makes(
    row: Row, tokenizer: ChatTokenizer | None, prompt: str, completion: str
) -> None:
    assert render(row, tokenizer) == (prompt, completion)


def test_a_given_separator_or_rendering_wins() -> None:
    pair: Row = {"prompt": "Why?", "completion": "So."}
    assert render(pair, separator="\n") == ("Why?\n", "So.")
    assert render(ALPACA, CHATTY, separator="\n") == ("Sum up.\nA long text.\n", "Short.")
    assert render(pair, CHATTY, rendering="chat") == ("<user>Why?</><assistant>", "So.</>")
    assert render(pair, rendering="roles") == ("User: Why?\nAssistant:", " So.")
    assert render({"messages": CHAT}, CHATTY, rendering="joined", separator=" ") == ("Which lamp? ", "The brass one.")
    assert render(pair, rendering="alpaca")[0].endswith("### Instruction:\nWhy?\n\n### Response:\n")
    with pytest.raises(ConfigError, match="rendering = 'chat': the tokenizer has no chat template"):
        render(pair, MUTE, rendering="chat")
    with pytest.raises(ConfigError, match="no model is given whose chat template"):
        render(pair, rendering="chat")


def test_given_fields_may_be_dotted_and_may_hold_messages() -> None:
    row: Row = {"translation": {"de": "Haus", "en": "house", "fr": "maison"}, "turns": CHAT, "a": {"text": ["x", "y"]}}
    fields = {"prompt_field": "translation.fr", "completion_field": "translation.en"}
    assert render(row, **fields) == ("maison\n", "house")
    assert render(row, completion_field="a.text.1") == ("", "y")
    assert render(row, CHATTY, completion_field="turns") == ("<user>Which lamp?</><assistant>", "The brass one.</>")


def test_a_missing_dotted_field_names_those_within(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found the fields 'translation.de', 'translation.en', but no record has"):
        read(tmp_path, [{"translation": {"de": "a", "en": "b"}}], prompt_field="translation.fr", completion_field="x")
    with pytest.raises(
        DataError,
        match=r"expected two languages, found 'de', 'en', 'fr': give two, as --prompt-field translation\.de --c",
    ):
        read(tmp_path, [{"translation": {"de": "a", "en": "b", "fr": "c"}}])


def test_nested_squad_becomes_a_record_for_each_question(tmp_path: Path) -> None:
    answers = [{"text": "a mill", "answer_start": 0}]
    paragraphs = [
        {"context": f"Passage {n} of the article.", "qas": [{"id": f"{n}{m}", "question": f"Q{m}?", "answers": answers} for m in range(2)]}
        for n in range(2)
    ]  # fmt: skip
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"version": "1.1", "data": [{"title": "Mills", "paragraphs": paragraphs}]}))
    corpus = read_corpus(CorpusConfig(members=str(path)))
    assert [example.text for example in corpus.members][:2] == [
        "Passage 0 of the article.\nQ0?\na mill",
        "Passage 0 of the article.\nQ1?\na mill",
    ]
    assert len(corpus.members) == 4
    assert raw_rows(corpus.members, CorpusConfig(members=str(path)))[corpus.members[3].id]["question"] == "Q1?"


def test_a_json_file_may_hold_one_chat(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text(
        json.dumps({"id": "x", "conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Yo"}]})
    )
    assert [item.text for item in read_corpus(CorpusConfig(members=str(path))).members] == ["User: Hi\nAssistant: Yo"]


@pytest.mark.parametrize(
    ("row", "template", "lost"),
    [
        ({"prompt": "Why?", "completion": "So.", "id": 17, "note": "something else"}, "", ["note", "id"]),
        ({"prompt": "Why?", "completion": "So.", "label": False}, "", ["label"]),
        ({"text": "As it is.", "answer": "no, not at all"}, "", ["answer"]),
        ({"prompt": "a b", "completion": "c d", "text": "a b, c d and more of it"}, "", ["text"]),
        ({"prompt": "Why?", "chosen": "So.", "rejected": "Not so."}, "", ["rejected"]),
        ({"messages": CHAT, "tools": TOOLS}, TEMPLATE, []),
        ({"messages": CHAT, "tools": json.dumps(TOOLS)}, TEMPLATE, []),
        ({"messages": CHAT, "tools": TOOLS}, DEAF, ["tools"]),
        ({"messages": CHAT, "tools": "no JSON"}, TEMPLATE, ["tools"]),
        ({"messages": CHAT, "system": "Be kind."}, TEMPLATE, []),
        ({"messages": [{"role": "system", "content": "Be."}, *CHAT], "system": "Be kind."}, TEMPLATE, ["system"]),
        ({"messages": [CHAT[0], {**CHAT[1], "tool_calls": [CALL]}]}, TEMPLATE, []),
        ({"messages": [CHAT[0], {**CHAT[1], "tool_calls": [CALL]}]}, DEAF, ["messages[].tool_calls"]),
        ({"messages": [CHAT[0], {**CHAT[1], "thoughts": "It shines."}]}, TEMPLATE, ["messages[].thoughts"]),
        ({"messages": [CHAT[0], {**CHAT[1], "reasoning_content": "It shines."}]}, TEMPLATE, []),
        ({"messages": [CHAT[0], {**CHAT[1], "thinking": "It shines."}]}, DEAF, ["messages[].thinking"]),
        ({"messages": [CHAT[0], {**CHAT[1], "reasoning_content": "It shines."}]}, "", ["messages[].reasoning_content"]),
        ({"messages": [*CHAT, CHAT[0], {**CHAT[1], "content": "None", "weight": 0}]}, TEMPLATE, ["messages[].content"]),
        ({**ALPACA, "history": [["Hi", "Hello"]], "system": "Be terse."}, TEMPLATE, []),
        ({"context": "A.", "question": "B?", "answers": ["a mill", "the old mill"]}, "", ["answers"]),
        ({"context": "A.", "question": "B?", "answers": ["a mill", "a mill"]}, "", []),
        ({"text": "a", "Unnamed: 0": 7, "": 3}, "", []),
    ],
)
def test_what_is_not_used_is_named(tmp_path: Path, row: Row, template: str, lost: list[str]) -> None:
    reading = reading_of(tmp_path, [row], with_template(template))
    assert [item.field for item in reading.unused] == lost
    assert all(0 < item.share < 1 and item.records == 1 for item in reading.unused)
    assert reading.unused_share < 1
    said = "\n".join(reading.sentences())
    assert all(f"{name} (" in said for name in lost)
    assert ("fields not used" in said) == bool(lost)
    assert from_row(Reading, json.loads(json.dumps(to_row(reading)))) == reading


def test_the_share_of_what_is_not_used(tmp_path: Path) -> None:
    reading = reading_of(tmp_path, [{"prompt": "a" * 30, "completion": "b" * 30, "note": "c" * 40}] * 2)
    assert reading.unused[0].share == pytest.approx(0.4)
    assert any("fields not used: note (40.0% of the text)" in line for line in reading.sentences())


def test_the_source_of_a_template_is_named(tmp_path: Path) -> None:
    named = opening_tokenizer(TEMPLATE)
    named.name_or_path = "acme/chat-7b"
    rows: list[Row] = [{"messages": CHAT}]
    assert reading_of(tmp_path, rows, cast(ChatTokenizer, named)).shapes[0].rendering == (
        "rendered through the chat template of acme/chat-7b"
    )
    named.chat_template = None
    assert reading_of(tmp_path, rows, cast(ChatTokenizer, named)).shapes[0].rendering == (
        "rendered as plain lines 'Role: content', because the tokenizer of acme/chat-7b has no chat template"
    )
    assert "because no model is given" in reading_of(tmp_path, rows).shapes[0].rendering
    corpus = read(tmp_path, [{"prompt": "a", "completion": "b"}])
    assert "prompt/completion: joined with nothing between, as TRL does" in "\n".join(corpus.notes)


def test_several_answers_are_counted(tmp_path: Path) -> None:
    rows: list[Row] = [{"question": f"Q{n}?", "answers": ["one", "two"] if n else ["one"]} for n in range(4)]
    reading = reading_of(tmp_path, rows)
    assert reading.several_answers == 3
    assert any("several answers in 3 records: the first of each is used" in line for line in reading.sentences())


def test_rows_can_be_rendered_in_another_way(tmp_path: Path) -> None:
    rows: list[Row] = [{"prompt": f"Why {n}?", "completion": "So."} for n in range(3)]
    corpus = read(tmp_path, rows, CHATTY)
    config = CorpusConfig(members=str(tmp_path / "a.jsonl"))
    found = raw_rows(corpus.members, config, CHATTY)
    assert [found[example.id] for example in corpus.members] == rows
    others = other_renderings(found.values(), config, CHATTY)
    texts = {
        other.name: ShapeReader(other.applied_to(config), CHATTY).read(rows[0]).text
        for other in others
    }  # fmt: skip
    assert texts["chat template"] == "<user>Why 0?</><assistant>So.</>"
    assert texts["joined by '\\n'"] == "Why 0?\nSo."
    assert "joined with nothing between" not in texts
    assert len(set(texts.values())) == len(texts)
    assert {other.name: other.flags for other in others}["joined by '\\n'"] == "--rendering joined --separator '\\n'"


BOS_TEMPLATE = "{{ bos_token }}" + "{% for m in messages %}[{{ m.role }}] {{ m.content }}{% endfor %}" + (
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)  # fmt: skip


@pytest.mark.parametrize("metaspace", [False, True])
def test_a_start_token_of_the_template_is_read_once(metaspace: bool) -> None:
    tokenizer = opening_tokenizer(BOS_TEMPLATE, metaspace=metaspace)
    parts = ShapeReader(CorpusConfig(), cast(ChatTokenizer, tokenizer)).read({"messages": CHAT})
    encoder = token_encoder(tokenizer, is_encoder_decoder=False)
    wanted = list(tokenizer.apply_chat_template(CHAT, tokenize=True)["input_ids"])
    prompt = Prompt("p", "e", parts.prompt, parts.completion, parts.is_rendered)
    ids = [*encoder.prompt(prompt), *encoder.reference(prompt)]
    assert ids == wanted
    assert ids.count(tokenizer.bos_token_id) == 1
    plain = Prompt("p", "e", "[user] Hi", "")
    assert encoder.prompt(plain)[0] == tokenizer.bos_token_id  # and a text without one still gets it
    assert encoder.shortened(ids, 5) == [ids[0], *ids[-4:]]


LOOPING = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
GROWING = "{{ 'a' * 4000000000 }}"


def test_a_template_that_never_ends_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bounds, "RENDERING_S", 0.2)
    with pytest.raises(DataError, match=r"the chat template of the tokenizer takes more than 0\.3 s for 1 records"):
        read(tmp_path, [{"messages": CHAT}], with_template(LOOPING))


def test_a_template_that_fills_the_memory_is_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bounds, "RENDERING_BYTES", 2**26)
    with pytest.raises(DataError, match="the chat template of the tokenizer needs more than 64 MiB for one record"):
        read(tmp_path, [{"messages": CHAT}], with_template(GROWING))


def test_a_template_that_cannot_be_computed_refuses_the_record(tmp_path: Path) -> None:
    corpus = read(tmp_path, [{"messages": CHAT}, {"text": "fine"}], with_template("{{ 1 // 0 }}"), max_bad=1.0)
    assert corpus.dropped[0].found.startswith("the chat template refuses it")


def test_no_flag_shows_an_empty_default(capsys: pytest.CaptureFixture[str]) -> None:
    from rote.cli import main

    with pytest.raises(SystemExit):
        main(["prepare", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "(default: )" not in shown
    assert "--separator TEXT" in shown
    assert "nothing for prompt/completion, as TRL joins them; else a line feed) (default: auto)" in shown


GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "corpus.md"
SHOWN = (
    "{% if tools %}<tools>{{ tools | tojson }}</>{% endif %}{% for m in messages %}<{{ m.role }}>{{ m.content }}</>"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def guide_rows() -> list[tuple[str, Row, str]]:
    """Trainer, record and text of each row of the guide's table."""
    found = re.findall(r"^\| ([^|]+) \| `(\{.*\})` \| `(.*▮.*)` \|$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    return [(trainer, json.loads(record), text.replace("↵", "\n")) for trainer, record, text in found]


def test_every_row_of_the_guide_is_so() -> None:
    rows = guide_rows()
    assert len(rows) == 16
    for trainer, row, text in rows:
        has_none = "`alpaca" in trainer or trainer.startswith("none")
        assert "▮".join(render(row, MUTE if has_none else with_template(SHOWN))) == text, trainer
