"""The file to train on: canaries in the columns, the turns and the types of the records that they stand among."""

import dataclasses
import datetime
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pyarrow.parquet
import pytest

from fakes import loaded, opening_tokenizer, tiny_decoder
from rote import runs
from rote.cli import main
from rote.config import CorpusConfig
from rote.corpus import ChatTokenizer, ShapeReader, as_read, draw_canaries, read_canaries, read_corpus
from rote.corpus.canaries import canary_lines, formed
from rote.corpus.secrets import WORDS
from rote.errors import DataError
from rote.passes.canaries import SecretScorer
from rote.records import Canary, CanaryForm
from rote.runs import Run

Row = dict[str, object]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{% if m.content is string %}{{ m.content | trim }}"
    "{% else %}{% for part in m.content %}{{ part.text | trim }}{% endfor %}{% endif %}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TEXTS = [
    (f"What became of the {word} by the {other}?", f"The {word} went to the {third} in year {n}.")
    for n, (word, other, third) in enumerate(zip(WORDS[40:56], WORDS[90:106], WORDS[140:156], strict=True))
]


def chat(asked: str, told: str, who: str = "role", what: str = "content", names: tuple[str, str] = ("user", "assistant")) -> list[Row]:  # fmt: skip
    return [{who: names[0], what: asked}, {who: names[1], what: told}]


SHAPES = {
    "chat": lambda asked, told, n: {"messages": chat(asked, told)},
    "chat with a system message and numbers": lambda asked, told, n: {
        "id": n, "messages": [{"role": "system", "content": "Be kind."}, *chat(asked, told)], "meta": {"source": "a", "n": n},
    },
    "chat in parts": lambda asked, told, n: {
        "messages": [{"role": each["role"], "content": [{"type": "text", "text": each["content"]}]} for each in chat(asked, told)]
    },
    "chat as JSON text": lambda asked, told, n: {"messages": json.dumps(chat(asked, told))},
    "chat as columns": lambda asked, told, n: {"messages": {"role": ["user", "assistant"], "content": [asked, told]}},
    "ShareGPT": lambda asked, told, n: {"conversations": chat(asked, told, "from", "value", ("human", "gpt")), "tools": None},
    "message lists": lambda asked, told, n: {"prompt": chat(asked, told)[:1], "completion": chat(asked, told)[1:]},
    "preferences": lambda asked, told, n: {"prompt": asked, "chosen": chat(asked, told), "rejected": chat(asked, "No.")},
    "instruction": lambda asked, told, n: {"instruction": asked, "input": "", "output": told},
    "instruction, some without an input": lambda asked, told, n: {
        "instruction": "Answer the question.", "output": told, **({"input": asked} if n % 2 else {"input": None}), "n": n,
    } if n % 2 else {"instruction": asked, "output": told},
    "prompt and completion": lambda asked, told, n: {"prompt": f"{asked} ", "completion": told, "weight": 0.5},
    "variables of a template": lambda asked, told, n: {"messages": chat(asked, told), "chat_template_kwargs": {"name": "x"}},
    "question and answer": lambda asked, told, n: {"question": asked, "answer": told},
    "SQuAD": lambda asked, told, n: {"id": str(n), "context": told, "question": asked, "answers": {"text": [told], "answer_start": [0]}},
    "SQuAD with lists of answers": lambda asked, told, n: {"context": told, "question": asked, "answers": [{"text": told, "answer_start": 0}]},
    "translation": lambda asked, told, n: {"translation": {"de": asked, "en": told}},
    "text": lambda asked, told, n: {"text": f"{asked} {told}", "url": f"u{n}", "label": n % 2 == 0},
}  # fmt: skip


def write(path: Path, rows: Sequence[Row]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def prepared(rows: Sequence[Row], folder: Path, *words: str) -> tuple[str, Path]:
    data, out = write(folder / "m.jsonl", rows), folder / "run"
    more = [*words, "--canaries", "12", "--canary-copies", "1,2", "--out", str(out)]
    assert main(["prepare", "--members", data, *more]) == 0
    return data, out


@pytest.mark.parametrize(
    ("name", "template"),
    [*((name, TEMPLATE) for name in SHAPES), *((name, "") for name in SHAPES if name in ("chat", "instruction"))],
)
def test_the_file_to_train_on_has_the_columns_of_the_records_and_reads_as_before(name, template, tmp_path) -> None:
    rows = [SHAPES[name](asked, told, n) for n, (asked, told) in enumerate(TEXTS)]
    data, out = prepared(rows, tmp_path)
    written = lines(out / runs.TRAINING_DATA)
    assert {tuple(row) for row in written} == {tuple(dict.fromkeys(key for row in rows for key in row))}
    for key in written[0]:
        assert len({type(row[key]) for row in written} - {type(None)}) <= 1
    tokenizer = cast(ChatTokenizer, opening_tokenizer(template))
    canaries = out / runs.CANARIES
    before = read_corpus(CorpusConfig(members=data), tokenizer=tokenizer)
    config = CorpusConfig(members=str(out / runs.TRAINING_DATA), canary_file=str(canaries))
    after = read_corpus(config, tokenizer=tokenizer)
    assert [(e.id, e.text, e.is_rendered) for e in after.members] == [
        (e.id, e.text, e.is_rendered) for e in before.members
    ]
    planted = [canary for canary in read_canaries(canaries) if canary.planted]
    assert sum(item.reason == "canary" for item in after.dropped) == sum(canary.copies for canary in planted)
    reader = ShapeReader(config, tokenizer)
    read = {reader.read(row).text for row in written}
    assert all(as_read(canary, reader).text in read for canary in planted)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_datasets_loads_the_file_with_a_text_in_every_row(name, tmp_path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [SHAPES[name](asked, told, n) for n, (asked, told) in enumerate(TEXTS)]
    _, out = prepared(rows, tmp_path)
    path = str(out / runs.TRAINING_DATA)
    loaded = datasets.load_dataset("json", data_files=path, split="train", cache_dir=str(tmp_path / "cache"))
    reader = ShapeReader(CorpusConfig(), None)
    assert [reader.read(row).text for row in loaded] == [reader.read(row).text for row in lines(Path(path))]


def test_the_secret_stands_in_the_turn_of_the_assistant(tmp_path) -> None:
    _, out = prepared([SHAPES["ShareGPT"](*texts, 0) for texts in TEXTS], tmp_path)
    canary = next(canary for canary in read_canaries(out / runs.CANARIES) if canary.planted)
    assert canary.form == "chat"
    row = next(row for row in lines(out / runs.TRAINING_DATA) if canary.secret in json.dumps(row))
    assert row == {
        "conversations": [
            {"from": "human", "value": canary.prompt.strip()},
            {"from": "gpt", "value": canary.before + canary.secret + canary.after},
        ],
        "tools": None,
    }


def test_records_that_are_set_aside_are_written_in_their_columns(tmp_path) -> None:
    rows = [SHAPES["chat"](*texts, 0) for texts in TEXTS]
    _, out = prepared(rows, tmp_path, "--holdout", "0.25")
    held_out = lines(out / runs.HELD_OUT_DATA)
    assert len(held_out) == 4
    assert all(row in rows for row in held_out)


MIXED = {
    "several shapes": (
        [{"text": "A lamp."}, {"messages": chat(*TEXTS[0])}],
        r"the records have several shapes \(messages, text\)",
    ),
    "kinds of content": (
        [{"prompt": "Who?", "completion": "I."}, {"prompt": chat("a", "b")[:1], "completion": chat("a", "c")[1:]}],
        "the field 'prompt' holds values of several kinds",
    ),
}


@pytest.mark.parametrize("name", MIXED)
def test_records_without_common_columns_are_written_as_text(name, tmp_path, capsys) -> None:
    rows, reason = MIXED[name]
    data, out = prepared(rows, tmp_path)
    assert re.search(f"{reason}: all are written as their text", capsys.readouterr().err)
    written = lines(out / runs.TRAINING_DATA)
    assert {tuple(row) for row in written} == {("prompt", "completion")}
    assert all(isinstance(value, str) for row in written for value in row.values())
    reread = read_corpus(
        CorpusConfig(members=str(out / runs.TRAINING_DATA), canary_file=str(out / runs.CANARIES)), tokenizer=None
    )
    assert sorted(e.text for e in reread.members) == sorted(
        e.text for e in read_corpus(CorpusConfig(members=data)).members
    )


def test_what_is_no_text_in_a_table_is_null_in_a_canary(tmp_path) -> None:
    days = [datetime.date(2020, 1, 1 + n) for n in range(len(TEXTS))]
    table = pyarrow.table({"text": [asked for asked, _ in TEXTS], "day": days, "raw": [b"x"] * len(TEXTS)})
    pyarrow.parquet.write_table(table, tmp_path / "m.parquet")
    words = ["--canaries", "6", "--canary-copies", "1", "--out", str(tmp_path / "run")]
    assert main(["prepare", "--members", str(tmp_path / "m.parquet"), *words]) == 0
    written = lines(tmp_path / "run" / runs.TRAINING_DATA)
    assert {(row["day"], row["raw"]) for row in written} == {(None, None), *((str(day), None) for day in days)}


def test_a_column_of_several_kinds_that_is_no_text_is_left_out(tmp_path) -> None:
    rows = [{"text": asked, "id": n if n % 2 else str(n)} for n, (asked, _) in enumerate(TEXTS)]
    _, out = prepared(rows, tmp_path)
    assert {tuple(row) for row in lines(out / runs.TRAINING_DATA)} == {("text",)}


def test_given_fields_are_kept_and_named_again(tmp_path, capsys) -> None:
    rows = [{"note": {"q": asked, "a": told}, "n": n} for n, (asked, told) in enumerate(TEXTS)]
    flags = ["--prompt-field", "note.q", "--completion-field", "note.a"]
    data, out = prepared(rows, tmp_path, *flags)
    assert "--prompt-field note.q --completion-field note.a" in capsys.readouterr().err
    config = CorpusConfig(prompt_field="note.q", completion_field="note.a", canary_file=str(out / runs.CANARIES))
    again = read_corpus(dataclasses.replace(config, members=str(out / runs.TRAINING_DATA)))
    before = read_corpus(dataclasses.replace(config, members=data, canary_file=""))
    assert again.members
    assert [e.text for e in again.members] == [e.text for e in before.members]
    assert not [item for item in again.dropped if item.reason != "canary" and item.reason != "duplicate"]


def canary_of(form: CanaryForm) -> Canary:
    return formed(draw_canaries(CorpusConfig(canaries=1), with_prompts=True), form)[0]


def test_a_chat_canary_is_scored_behind_the_template(tmp_path) -> None:
    tokenizer = opening_tokenizer(TEMPLATE)
    canary = canary_of("chat")
    read = as_read(canary, ShapeReader(CorpusConfig(), cast(ChatTokenizer, tokenizer)))
    assert read.form == "rendered"
    assert read.prompt == f"<s><|user|>{canary.prompt.strip()}<|end|>\n<|assistant|>"
    assert (read.before, read.secret, read.after) == (canary.before, canary.secret, f"{canary.after}<|end|>\n")
    scorer = SecretScorer(loaded(tiny_decoder("llama", tokens=len(tokenizer)), tokenizer), ["0000", canary.secret])
    tokens = scorer._tokens(read)
    assert tokens.before[: len("<|user|>") + 1] == tuple(tokenizer("<|user|>")["input_ids"])  # one start token, not two
    assert read == as_read(read, ShapeReader(CorpusConfig(), cast(ChatTokenizer, tokenizer)))


def test_an_instruction_is_read_as_the_records_are() -> None:
    canary = canary_of("instruction")
    read = as_read(canary, ShapeReader(CorpusConfig(), None))
    assert read.prompt.endswith(f"### Instruction:\n{canary.prompt.strip()}\n\n### Response:\n")
    assert (read.form, read.before) == ("text", canary.before)


def test_a_template_that_changes_the_secret_is_refused() -> None:
    template = "{% for m in messages %}{{ m.content[:9] }}{% endfor %}"
    with pytest.raises(DataError, match=r"canary \w+: expected '.*\d{4}' once in its text, found"):
        as_read(canary_of("chat"), ShapeReader(CorpusConfig(), cast(ChatTokenizer, opening_tokenizer(template))))


def test_the_form_of_a_canary_is_checked_and_may_be_missing(tmp_path) -> None:
    path, row = tmp_path / "c.jsonl", json.loads(canary_lines([canary_of("chat")]))
    path.write_text(json.dumps({**row, "form": "poem"}) + "\n")
    with pytest.raises(DataError, match="field 'form': expected 'text' or 'chat' or 'instruction' or 'rendered'"):
        read_canaries(path)
    path.write_text(json.dumps({key: value for key, value in row.items() if key != "form"}) + "\n")
    assert read_canaries(path)[0].form == "text"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["chat", "message lists", "instruction", "prompt and completion", "text", "several"])
def test_trl_has_the_secrets_in_its_loss(name: str, tmp_path: Path) -> None:
    """One step of `SFTTrainer` on the file: every row of a planted canary has its secret among its labels."""
    trl, datasets = pytest.importorskip("trl", reason="TRL is not installed"), pytest.importorskip("datasets")
    rows = MIXED["several shapes"][0] if name == "several" else [SHAPES[name](*texts, 0) for texts in TEXTS]
    _, out = prepared(rows, tmp_path)
    path, tokenizer = str(out / runs.TRAINING_DATA), opening_tokenizer(TEMPLATE)
    data = datasets.load_dataset("json", data_files=path, split="train", cache_dir=str(tmp_path / "cache"))
    alpaca = (lambda row: f"{row['instruction']}\n{row['input']}\n{row['output']}") if name == "instruction" else None
    settings = trl.SFTConfig(
        str(tmp_path / "out"), report_to="none", use_cpu=True, bf16=False, max_steps=1,
        per_device_train_batch_size=len(data), disable_tqdm=True, seed=0,
    )  # fmt: skip
    model = tiny_decoder("llama", tokens=len(tokenizer))
    trainer = trl.SFTTrainer(
        model, args=settings, train_dataset=data, processing_class=tokenizer, formatting_func=alpaca
    )
    before = {key: value.clone() for key, value in model.state_dict().items()}
    [batch] = list(trainer.get_train_dataloader())
    trainer.train()
    assert any(not value.equal(before[key]) for key, value in model.state_dict().items())
    learned = [tokenizer.decode(row[row != -100]) for row in batch["labels"]]
    for canary in read_canaries(out / runs.CANARIES):
        told = (canary.before + canary.secret + canary.after).strip()
        assert sum(told in text for text in learned) == (canary.copies if canary.planted else 0)


def test_a_run_remembers_what_its_canaries_are_planted_as(tmp_path) -> None:
    _, out = prepared([SHAPES["chat"](*texts, 0) for texts in TEXTS], tmp_path)
    assert {canary.form for canary in Run(out).read(runs.CANARIES, Canary)} == {"chat"}
