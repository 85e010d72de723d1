"""Names into files: splits, links, encodings, tables without a header, JSON columns, text files, bounds."""

import gzip
import json
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest

from rote.config import CorpusConfig
from rote.corpus import Corpus, TooManyBadRecords, bounds, read_corpus
from rote.errors import ConfigError, DataError

ROWS = [{"prompt": f"What is number {i}?\n", "completion": f"It is the number {i}."} for i in range(5)]
EXPECTED = [row["prompt"] + row["completion"] for row in ROWS]


def read(path: Path | str, **settings: object) -> Corpus:
    return read_corpus(CorpusConfig(**{"members": str(path), "near_duplicate": 0.0, **settings}))  # type: ignore[arg-type]


def texts(corpus: Corpus) -> list[str]:
    return [example.text for example in corpus.members]


def jsonl(path: Path, rows: Sequence[object]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def folder_of(folder: Path, *names: str) -> Path:
    for name in names:
        jsonl(folder / name, [{"text": f"This stands in {name}."}])
    return folder


def files_of(corpus: Corpus) -> list[str]:
    return sorted(re.findall(r"in (.*)\.$", text)[0] for text in texts(corpus))


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["train.jsonl", "val.jsonl"], ["train.jsonl"]),
        (["train.jsonl", "dev.jsonl", "eval.jsonl"], ["train.jsonl"]),
        (["my-training-1.jsonl", "my-training-2.jsonl", "testing.jsonl"], ["my-training-1.jsonl", "my-training-2.jsonl"]),
        (["data/train-00000-of-00001.jsonl", "data/validation-00000-of-00001.jsonl"], ["data/train-00000-of-00001.jsonl"]),
        (["train/a.jsonl", "valid/train.jsonl"], ["train/a.jsonl"]),
        (["train.jsonl", "extra.jsonl"], ["train.jsonl"]),
        (["part-1.jsonl", "part-2.jsonl"], ["part-1.jsonl", "part-2.jsonl"]),
        (["test.jsonl"], ["test.jsonl"]),
        (["trainer.jsonl", "contest.jsonl"], ["contest.jsonl", "trainer.jsonl"]),
    ],
)  # fmt: skip
def test_splits_are_told_apart_as_datasets_does(tmp_path: Path, names: list[str], kept: list[str]) -> None:
    corpus = read(folder_of(tmp_path, *names))
    assert files_of(corpus) == kept
    if len(kept) < len(names):
        assert any("split train is read" in note for note in corpus.notes)
        assert corpus.readings[0].part == "train"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["val.jsonl", "test.jsonl"], "holds several splits: test, validation; name the one that is meant, as .*:test"),
        (["members.jsonl", "heldout.jsonl"], "holds several splits: heldout, members; name"),
        (["members.jsonl", "non-members.jsonl"], "holds several splits: members, nonmembers; name"),
        (["test.jsonl", "rest.jsonl"], "several splits: test, files without the name of a split; name"),
    ],
)
def test_anything_else_is_asked_about(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(folder_of(tmp_path, *names))


def test_a_split_of_a_folder_is_named_after_a_colon(tmp_path: Path) -> None:
    folder_of(tmp_path / "a", "train.jsonl", "val.jsonl", "odd.jsonl")
    folder_of(tmp_path / "b", "members.jsonl", "heldout.jsonl")
    for name, kept in {"a:train": "train", "a:validation": "val", "a:val": "val", "a:odd": "odd", "b:members": "members", "b/:heldout": "heldout"}.items():  # fmt: skip
        assert files_of(read(f"{tmp_path}/{name}")) == [f"{kept}.jsonl"]
    with pytest.raises(DataError, match="holds no split 'test', but train, validation"):
        read(f"{tmp_path}/a:test")


def test_the_splits_of_a_saved_dataset_dict(tmp_path: Path) -> None:
    table = pa.Table.from_pylist(ROWS)
    for split in ("members", "heldout"):
        (tmp_path / split).mkdir()
        with pa.ipc.new_stream(str(tmp_path / split / "data-00000-of-00001.arrow"), table.schema) as writer:
            writer.write_table(table.slice(0, 3 if split == "members" else 5))
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["members", "heldout"]}')
    with pytest.raises(DataError, match=r"several splits: heldout, members; name the one that is meant, as .*:heldout"):
        read(tmp_path)
    corpus = read(f"{tmp_path}:members")
    assert texts(corpus) == EXPECTED[:3]
    assert corpus.readings[0].part == "members"


def test_a_link_to_a_file_outside_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("not for this")
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "a.txt").write_text("inside")
    (folder / "b.txt").symlink_to(folder / "a.txt")
    assert len(texts(read(folder))) == 1
    (folder / "c.txt").symlink_to(secret)
    with pytest.raises(DataError, match=r"texts/c\.txt: is a link to .*secret\.txt, outside the folder"):
        read(folder)
    assert texts(read(folder / "c.txt")) == ["not for this"]


def test_a_snapshot_of_the_hub_links_to_its_blobs(tmp_path: Path) -> None:
    blob = jsonl(tmp_path / "blobs" / "0a1b", ROWS)
    snapshot = tmp_path / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    (snapshot / "train.jsonl").symlink_to(blob)
    assert texts(read(snapshot)) == EXPECTED


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match=r"a\.jsonl: is a FIFO, no file"):
        read(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="is a device, no file"):
        read("/dev/zero")
    with pytest.raises(DataError, match="is a FIFO, no file"):
        read(jsonl(tmp_path.parent / "other.jsonl", ROWS), canary_file=str(tmp_path / "a.jsonl"))
    with pytest.raises(DataError, match="no data files in this folder"):
        read(tmp_path)


def test_encodings_are_recognised_or_named(tmp_path: Path) -> None:
    table = "prompt,completion\r\nGrüße?,Ja – „gut“\r\n"
    (tmp_path / "a.csv").write_bytes(table.encode("utf-16"))
    (tmp_path / "b.csv").write_bytes(table.encode("utf-16-le"))
    (tmp_path / "c.csv").write_bytes(table.encode("cp1252"))
    (tmp_path / "a.jsonl").write_bytes(json.dumps({"text": "Grüße"}, ensure_ascii=False).encode("utf-16"))
    (tmp_path / "a.json").write_bytes(json.dumps([{"text": "Grüße"}], ensure_ascii=False).encode("utf-8-sig"))
    (tmp_path / "a.txt").write_bytes("Grüße".encode("utf-16"))
    assert texts(read(tmp_path / "a.csv")) == ["Grüße?Ja – „gut“"]
    assert texts(read(tmp_path / "b.csv", encoding="utf-16-le")) == ["Grüße?Ja – „gut“"]
    assert texts(read(tmp_path / "c.csv", encoding="cp1252")) == ["Grüße?Ja – „gut“"]
    assert {text for name in ("a.jsonl", "a.json", "a.txt") for text in texts(read(tmp_path / name))} == {"Grüße"}
    with pytest.raises(DataError, match=r"begins with b'p\\x00r\\x00': give its encoding, as --encoding utf-16-le"):
        read(tmp_path / "b.csv")
    with pytest.raises(TooManyBadRecords, match="invalid UTF-8"):
        read(tmp_path / "c.csv")
    with pytest.raises(DataError, match=r"c\.csv: is not ascii: .*; give --encoding"):
        read(tmp_path / "c.csv", encoding="ascii")
    with pytest.raises(ConfigError, match=r"corpus\.encoding = 'utf-17': Python knows no such encoding"):
        read(tmp_path / "c.csv", encoding="utf-17")


def test_tables_without_a_header_and_with_an_index(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("one\tEins\ntwo\tZwei\n")
    (tmp_path / "b.csv").write_text(",text,label\n0,one,1\n1,two,0\n")
    (tmp_path / "c.tsv").write_text("text\tlabel\n1\tone\tx\n2\ttwo\ty\n")
    fields = {"no_header": True, "prompt_field": "1", "completion_field": "2"}
    assert texts(read(tmp_path / "a.tsv", **fields)) == ["one\nEins", "two\nZwei"]
    assert texts(read(tmp_path / "a.tsv", no_header=True, completion_field="2")) == ["Eins", "Zwei"]
    assert texts(read(tmp_path / "b.csv")) == ["one", "two"]
    assert texts(read(tmp_path / "c.tsv")) == ["one", "two"]
    with pytest.raises(DataError, match=r"found the fields 'one', 'Eins' \(if they are a record .*--no-header\)"):
        read(tmp_path / "a.tsv")
    with pytest.raises(DataError, match="found the fields '1', '2'; name those"):
        read(tmp_path / "a.tsv", no_header=True)


def test_columns_of_json_text_are_decoded_by_their_type(tmp_path: Path) -> None:
    kind = pa.json_(pa.utf8())
    chats = [
        [{"role": "user", "content": f"Price of {i}?"}, {"role": "assistant", "content": f'"{i}"', "name": "clerk"}]
        for i in range(3)
    ]
    answers = ['a "quoted"\nline', 38, "{}"]
    rows = [{"question": f"Q{i}?", "answer": answers[i], "messages": chats[i]} for i in range(3)]
    as_text = pa.array([json.dumps(item) for item in answers]).cast(kind)
    flat = pa.array([json.dumps(message) for chat in chats for message in chat]).cast(kind)
    lists = pa.ListArray.from_arrays(pa.array([0, 2, 4, 6], pa.int32()), flat)
    questions = pa.table({"question": [row["question"] for row in rows], "answer": as_text})
    nested = pa.table({"messages": lists})
    structs = pa.table({"a": pa.StructArray.from_arrays([as_text], ["b"])})
    for name, table in {"questions": questions, "chats": nested, "structs": structs}.items():
        pa.parquet.write_table(table, tmp_path / f"{name}.parquet")
        with pa.ipc.new_stream(str(tmp_path / f"{name}.arrow"), table.schema) as writer:
            writer.write_table(table)
    written = {
        "questions": [{"question": row["question"], "answer": row["answer"]} for row in rows],
        "chats": [{"messages": row["messages"]} for row in rows],
        "structs": [{"a": {"b": row["answer"]}} for row in rows],
    }
    for name, wanted in written.items():
        settings = {"max_bad": 0.5, **({"completion_field": "a.b"} if name == "structs" else {})}
        expected = texts(read(jsonl(tmp_path / f"{name}.jsonl", wanted), **settings))
        assert len(expected) == (3 if name == "chats" else 2)
        assert texts(read(tmp_path / f"{name}.parquet", **settings)) == expected
        assert texts(read(tmp_path / f"{name}.arrow", **settings)) == expected


def test_a_json_column_that_holds_none_is_a_bad_record(tmp_path: Path) -> None:
    table = pa.table({"text": pa.array(['"fine"', "{no"]).cast(pa.json_(pa.utf8()))})
    pa.parquet.write_table(table, tmp_path / "a.parquet")
    corpus = read(tmp_path / "a.parquet", max_bad=0.5)
    assert texts(corpus) == ["fine"]
    assert (corpus.dropped[0].field, corpus.dropped[0].reason) == ("text", "invalid JSON")


def test_text_files_are_split_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\r\nmore\r\n\r\n \r\ntwo\r\n\r\n\r\nthree")
    assert texts(read(path)) == ["one\nmore\n\n \ntwo\n\n\nthree"]
    lines = read(path, text_unit="line")
    assert texts(lines) == ["one", "more", "two", "three"]
    assert [example.line for example in lines.members] == [1, 2, 5, 8]
    paragraphs = read(path, text_unit="paragraph")
    assert texts(paragraphs) == ["one\nmore", "two", "three"]
    assert [example.line for example in paragraphs.members] == [1, 5, 8]


def test_a_text_file_that_is_too_long_says_how_to_split(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A record.\n\n" * 100)
    with pytest.raises(TooManyBadRecords, match=r"too long(.|\n)*--text-unit line or --text-unit paragraph"):
        read(tmp_path / "a.txt", max_chars=500)


def test_bounds_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pa.parquet.write_table(pa.table({"text": ["the same"] * 5000}), tmp_path / "a.parquet")
    jsonl(tmp_path / "many.jsonl", [{"text": "the same"}] * 101)
    (tmp_path / "line.jsonl.gz").write_bytes(gzip.compress(b'{"text": "' + b"a" * 5000 + b'"}\n'))
    (tmp_path / "line.csv").write_text("text\n" + "a" * 5000 + "\n")
    (tmp_path / "file.json.gz").write_bytes(gzip.compress(b"[" + b" " * 50_000 + b"]"))
    (tmp_path / "file.txt").write_text("a" * 5000)
    monkeypatch.setattr(bounds, "MAX_LINE_BYTES", 4096)
    monkeypatch.setattr(bounds, "MAX_FILE_BYTES", 20_480)
    for name, message in {
        "a.parquet": r"a\.parquet: holds at least 5,000 records, more than corpus\.max_records = 100; give a part",
        "many.jsonl": r"many\.jsonl: holds at least 101 records, more than corpus\.max_records = 100",
        "line.jsonl.gz": r"line\.jsonl\.gz, line 1: the line is longer than 4 KiB",
        "line.csv": r"line\.csv, line 2: the line is longer than 4 KiB",
        "file.json.gz": r"file\.json\.gz: is larger than 20 KiB unpacked: write it as JSON lines",
        "file.txt": r"file\.txt: is larger than 4 KiB: a \.txt is one record: --text-unit line",
    }.items():
        with pytest.raises(DataError, match=message):
            read(tmp_path / name, max_records=100)


def test_a_packed_parquet_of_equal_rows_is_refused_before_it_is_read(tmp_path: Path) -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 3_000_000, pa.int8()), ["the same text"])
    pa.parquet.write_table(pa.table({"text": column}), tmp_path / "a.parquet", row_group_size=3_000_000)
    assert (tmp_path / "a.parquet").stat().st_size < 20_000
    started = time.monotonic()
    with pytest.raises(DataError, match=r"at least 3,000,000 records, more than corpus\.max_records = 2,000,000"):
        read(tmp_path / "a.parquet")
    assert time.monotonic() - started < 2


@pytest.mark.slow
def test_what_datasets_writes_reads_as_what_it_was_made_of(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    answers = [
        {"question": f"Q{i}?", "answer": 38 if i == 5 else f'It costs "{i} coins".\nAt noon.'} for i in range(12)
    ]
    chats = [
        {"messages": [{"role": "user", "content": f"Price {i}?"}, {"role": "assistant", "content": f"It is {i}.", **({"name": "clerk"} if i % 3 else {})}]}
        for i in range(12)
    ]  # fmt: skip
    for name, rows in {"answers": answers, "chats": chats}.items():
        source = jsonl(tmp_path / f"{name}.jsonl", rows)
        data = datasets.load_dataset("json", data_files=str(source), split="train", cache_dir=str(tmp_path / "cache"))
        data.save_to_disk(str(tmp_path / name))
        data.to_parquet(str(tmp_path / f"{name}.parquet"))
        wanted = texts(read(source, max_bad=0.5))
        assert len(wanted) == (11 if name == "answers" else 12)
        assert texts(read(tmp_path / name, max_bad=0.5)) == wanted
        assert texts(read(tmp_path / f"{name}.parquet", max_bad=0.5)) == wanted
