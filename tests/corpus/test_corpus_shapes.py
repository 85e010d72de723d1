"""Shapes of records, given fields, chat records."""

import json
from pathlib import Path

import pytest

from rote.config import CorpusConfig
from rote.corpus import ChatTokenizer, Corpus, read_corpus
from rote.errors import ConfigError, DataError
from rote.records import Example

SAID = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]


def read(
    folder: Path, rows: list[dict[str, object]], *, tokenizer: ChatTokenizer | None = None, **options: object
) -> Corpus:
    path = folder / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return read_corpus(CorpusConfig(**{"members": str(path), "separator": " | ", **options}), tokenizer=tokenizer)


def only(corpus: Corpus) -> Example:
    [example] = corpus.members
    return example


@pytest.mark.parametrize(
    ("row", "prompt", "completion", "shape"),
    [
        ({"text": "a", "label": 1}, "", "a", "text"),
        ({"prompt": "a", "completion": "b", "text": "c"}, "a | ", "b", "prompt/completion"),
        ({"Prompt ": "a", "TARGET": "b"}, "a | ", "b", "Prompt /TARGET"),
        ({"prompt": "", "completion": "b"}, "", "b", "prompt/completion"),
        ({"instruction": "a", "input": "b", "output": "c"}, "a | b | ", "c", "instruction/input/output"),
        ({"instruction": "a", "input": "", "output": "c"}, "a | ", "c", "instruction/input/output"),
        ({"instruction": "a", "input": None, "output": "c"}, "a | ", "c", "instruction/input/output"),
        ({"instruction": "a", "output": "c", "": 1}, "a | ", "c", "instruction/output"),
        ({"instruction": "a", "context": "b", "response": "c"}, "a | b | ", "c", "instruction/context/response"),
        ({"context": "a", "question": "b", "answer": "c"}, "a | b | ", "c", "context/question/answer"),
        (
            {"context": "a", "question": "b", "answers": {"text": ["c", "d"]}},
            "a | b | ",
            "c",
            "context/question/answers",
        ),
        ({"context": "a", "question": "b", "answers": [{"text": "c"}]}, "a | b | ", "c", "context/question/answers"),
        ({"question": "b", "answer": "c"}, "b | ", "c", "question/answer"),
        ({"document": "a", "summary": "b"}, "a | ", "b", "document/summary"),
        ({"dialogue": "a", "note": "b"}, "a | ", "b", "dialogue/note"),
        ({"article": "a", "highlights": "b", "id": "x"}, "a | ", "b", "article/highlights"),
        ({"source": "a", "target": "b"}, "a | ", "b", "source/target"),
        ({"source": "web", "text": "b"}, "", "b", "text"),
    ],
)
def test_shapes_are_recognised_and_told(
    tmp_path: Path, row: dict[str, object], prompt: str, completion: str, shape: str
) -> None:
    told: list[str] = []
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(row))
    example = only(read_corpus(CorpusConfig(members=str(path), separator=" | "), echo=told.append))
    assert (example.prompt, example.completion) == (prompt, completion)
    assert any(note.endswith(f"1 records, recognised as: 1 {shape}") for note in told)


def test_mixed_shapes_are_told_with_their_counts(tmp_path: Path) -> None:
    corpus = read(tmp_path, [{"text": "a"}, {"prompt": "b", "completion": "c"}, {"text": "d"}])
    assert "recognised as: 2 text, 1 prompt/completion" in corpus.notes[0]


def test_unanswerable_question_is_empty(tmp_path: Path) -> None:
    row = {"context": "a", "question": "b", "answers": {"text": []}}
    corpus = read(tmp_path, [row, {"text": "x"}], max_bad=1.0)
    assert [(item.field, item.reason) for item in corpus.dropped] == [("answers", "empty")]


def test_given_fields_win(tmp_path: Path) -> None:
    row = {"prompt": "a", "completion": "b", "x": "c", "y": "d"}
    example = only(read(tmp_path, [row], prompt_field="x", completion_field="y"))
    assert (example.prompt, example.completion) == ("c | ", "d")
    example = only(read(tmp_path, [row], completion_field="y"))
    assert (example.prompt, example.completion) == ("", "d")


def test_fields_that_fit_nothing_are_listed_with_the_flags(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"found the fields 'body', 'head'; .*--prompt-field and --completion-field"):
        read(tmp_path, [{"body": "a", "head": "b"}])
    with pytest.raises(DataError, match=r"found the fields 'doc\.body\.words', 'doc\.title'; "):
        read(tmp_path, [{"doc": {"body": {"words": "a"}, "title": "b"}}])
    with pytest.raises(DataError, match=r"found the fields 'text', but no record has 'q' and 'a'"):
        read(tmp_path, [{"text": "a"}], prompt_field="q", completion_field="a")
    with pytest.raises(ConfigError, match=r"corpus\.prompt_field = 'q' needs corpus\.completion_field"):
        read(tmp_path, [{"text": "a"}], prompt_field="q")
    with pytest.raises(DataError) as caught:
        read(tmp_path, [{"\x1b[31m" * 999: "a", **{f"f{i}": "b" for i in range(99)}}])
    assert "and 88 more" in str(caught.value)
    assert str(caught.value).isprintable()


class FakeTokenizer:
    """Renders <role>content</>; asks with <assistant>."""

    chat_template: str | None = "yes"
    refusal: Exception | None = None
    ask = "<assistant>"

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, add_generation_prompt: bool, tokenize: bool
    ) -> object:
        assert not tokenize
        if self.refusal is not None:
            raise self.refusal
        text = "".join(f"<{message['role']}>{message['content']}</>" for message in conversation)
        return text + (self.ask if add_generation_prompt else "")


@pytest.mark.parametrize("tokenizer", [None, FakeTokenizer()])
def test_chat_is_cut_before_the_last_answer(tmp_path: Path, tokenizer: FakeTokenizer | None) -> None:
    messages = [{"role": "system", "content": "Be kind"}, *SAID, {"role": "user", "content": "Bye"}, SAID[1]]
    example = only(read(tmp_path, [{"messages": messages}], tokenizer=tokenizer))
    if tokenizer is None:
        assert example.prompt == "System: Be kind\nUser: Hi\nAssistant: Hello\nUser: Bye\nAssistant:"
        assert example.completion == " Hello"
    else:
        assert example.prompt == "<system>Be kind</><user>Hi</><assistant>Hello</><user>Bye</><assistant>"
        assert example.completion == "Hello</>"
        assert example.text == tokenizer.apply_chat_template(messages, add_generation_prompt=False, tokenize=False)


def test_template_that_asks_otherwise_than_it_renders_keeps_the_whole_text(tmp_path: Path) -> None:
    tokenizer = FakeTokenizer()
    tokenizer.ask = "<assistant><think>"
    example = only(read(tmp_path, [{"messages": SAID}], tokenizer=tokenizer))
    assert (example.prompt, example.completion) == ("<user>Hi</><assistant>", "Hello</>")


def test_tokenizer_without_a_template_gives_the_plain_form(tmp_path: Path) -> None:
    tokenizer = FakeTokenizer()
    tokenizer.chat_template = None
    assert only(read(tmp_path, [{"messages": SAID}], tokenizer=tokenizer)).text == "User: Hi\nAssistant: Hello"


def test_other_ways_to_write_a_chat(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]
    parts = [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, SAID[1]]
    rows: list[dict[str, object]] = [{"conversations": turns}, {"messages": parts}, {"conversation": SAID}]
    for row in rows:
        assert only(read(tmp_path, [row])).text == "User: Hi\nAssistant: Hello"


@pytest.mark.parametrize(
    ("messages", "field", "reason"),
    [
        ("Hi", "messages", "not text"),
        ([], "messages", "empty"),
        (["Hi"], "messages[0]", "not text"),
        ([{"content": "Hi"}], "messages[0].role", "missing field"),
        ([SAID[0], {"role": "assistant", "content": 7}], "messages[1].content", "not text"),
        ([SAID[0]], "messages", "invalid chat"),
        ([SAID[0], {"role": "assistant", "content": " "}], "messages", "invalid chat"),
        ([SAID[0], {"role": "assistant", "content": "\ud800"}], "messages", "invalid UTF-8"),
    ],
)
def test_bad_chats_are_named(tmp_path: Path, messages: object, field: str, reason: str) -> None:
    corpus = read(tmp_path, [{"messages": messages}, {"text": "fine"}], max_bad=1.0)
    assert [(item.field, item.reason) for item in corpus.dropped] == [(field, reason)]


def test_template_that_refuses_a_chat_makes_a_bad_record(tmp_path: Path) -> None:
    from jinja2 import TemplateError

    tokenizer = FakeTokenizer()
    tokenizer.refusal = TemplateError("Conversation roles must alternate")
    corpus = read(tmp_path, [{"messages": SAID}, {"text": "fine"}], max_bad=1.0, tokenizer=tokenizer)
    assert corpus.dropped[0].reason == "invalid chat"
    assert corpus.dropped[0].found == "the chat template refuses it: Conversation roles must alternate"


def test_a_transformers_tokenizer_fits(tmp_path: Path) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(WordLevel({"a": 0}, unk_token="a")))
    tokenizer.chat_template = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
    example = only(read(tmp_path, [{"messages": SAID}], tokenizer=tokenizer))
    assert (example.prompt, example.completion) == ("<user>Hi</><assistant>", "Hello</>")
