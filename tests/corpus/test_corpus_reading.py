"""Files and folders into examples: formats, places, defects, bad shares, hostile input."""

import gzip
import json
import os
import re
import sys
import types
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rote.config import CorpusConfig
from rote.corpus import Corpus, Dropped, TooManyBadRecords, read_corpus
from rote.errors import ConfigError, DataError, MissingExtraError
from rote.records import content_id, from_row, to_row

ROWS = [{"prompt": f"What is number {i}?", "completion": f"It is the number {i}."} for i in range(5)]


def read(path: Path | str, **settings: object) -> Corpus:
    return read_corpus(CorpusConfig(**{"members": str(path), "near_duplicate": 0.0, "separator": "\n", **settings}))


def jsonl(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def texts(corpus: Corpus) -> list[str]:
    return [example.text for example in corpus.members]


EXPECTED = [f"What is number {i}?\nIt is the number {i}." for i in range(5)]


def write_csv(path: Path, delimiter: str) -> Path:
    lines = [delimiter.join(['"prompt"', '"completion"'])]
    lines += [delimiter.join([f'"{row["prompt"]}"', f'"{row["completion"]}"']) for row in ROWS]
    path.write_bytes("\r\n".join(lines).encode())
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_other_delimiters_within_cells_do_not_part_them(tmp_path: Path, delimiter: str) -> None:
    others = "a, b; c\td | e, f; g\th | i"
    cells = [others.replace(delimiter, " "), f'"{others}, ""so"";\n{others}"']
    header = delimiter.join(["prompt", '"completion, short; or not"'])
    rows = [delimiter.join([f"{number} {cells[0]}", cells[1]]) for number in range(12)]
    for name, lines in (("with.csv", [header, *rows]), ("without.csv", rows)):
        (tmp_path / name).write_text("\n".join(lines), encoding="utf-8-sig", newline="")
    second = "completion, short; or not"
    named = read(tmp_path / "with.csv", prompt_field="prompt", completion_field=second)
    numbered = read(tmp_path / "without.csv", prompt_field="1", completion_field="2", no_header=True)
    assert texts(named) == texts(numbered) == [f'{n} {cells[0]}\n{others}, "so";\n{others}' for n in range(12)]


def test_a_header_with_another_delimiter_in_it_is_read_by_what_parts_the_rows(tmp_path: Path) -> None:
    rows = [f'"Is it, {n}; or\n{n + 1}?";"It is ""{n}"", so"' for n in range(12)]
    (tmp_path / "a.csv").write_text("\n".join(["Frage;Antwort, kurz", *rows]), encoding="utf-8-sig")
    found = read(tmp_path / "a.csv", prompt_field="Frage", completion_field="Antwort, kurz")
    assert texts(found) == [f'Is it, {n}; or\n{n + 1}?\nIt is "{n}", so' for n in range(12)]


def write_arrow(path: Path, *, stream: bool = True) -> Path:
    table = pa.Table.from_pylist(ROWS)
    new = pa.ipc.new_stream if stream else pa.ipc.new_file
    with new(str(path), table.schema) as writer:
        writer.write_table(table)
    return path


def test_every_format_gives_the_same_examples(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress(jsonl(tmp_path / "a.jsonl", ROWS).read_bytes()))
    (tmp_path / "a.json").write_text(json.dumps(ROWS, indent=2))
    (tmp_path / "b.json").write_text(json.dumps({"version": "1", "data": ROWS}))
    (tmp_path / "c.json").write_text((tmp_path / "a.jsonl").read_text())
    written = [
        packed,
        jsonl(tmp_path / "a.ndjson", ROWS),
        write_csv(tmp_path / "a.csv", ","),
        write_csv(tmp_path / "b.csv", ";"),
        write_csv(tmp_path / "a.tsv", "\t"),
        write_arrow(tmp_path / "a.arrow"),
        write_arrow(tmp_path / "a.feather", stream=False),
        *[tmp_path / name for name in ("a.jsonl", "a.json", "b.json", "c.json", "a.parquet")],
    ]
    read_all = [read(path) for path in written]
    assert all(texts(corpus) == EXPECTED for corpus in read_all)
    assert len({corpus.digest for corpus in read_all}) == 1


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", ["\n", {"text": "one"}, "\r\n", {"text": "two"}])
    assert [example.line for example in read(path).members] == [2, 4]
    (tmp_path / "a.json").write_text('[\n{"text": "one"},\n\n{"text":\n"two"}]')
    assert [example.line for example in read(tmp_path / "a.json").members] == [2, 4]
    (tmp_path / "a.csv").write_text('text,x\n"one\nmore",1\n\ntwo,2\n')
    assert [(example.line, example.text) for example in read(tmp_path / "a.csv").members] == [
        (2, "one\nmore"),
        (5, "two"),
    ]


def test_folder_of_texts_is_one_record_each(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\r\ntwo\n")
    (tmp_path / "inner" / "b.md").write_text("# three")
    (tmp_path / ".hidden.txt").write_text("not this")
    corpus = read(tmp_path)
    assert texts(corpus) == ["one\ntwo\n", "# three"]
    assert [Path(example.file).name for example in corpus.members] == ["a.txt", "b.md"]


def test_folder_of_json_lines_ignores_its_readme_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Data card")
    jsonl(tmp_path / "a.jsonl", ROWS[:2])
    jsonl(tmp_path / "b.jsonl", ROWS[2:])
    corpus = read(tmp_path)
    assert texts(corpus) == EXPECTED
    assert any("2 files are read" in note and "1 are not" in note for note in corpus.notes)


def test_saved_dataset_folder_is_read_without_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        write_arrow(tmp_path / split / "data-00000-of-00001.arrow")
        (tmp_path / split / "state.json").write_text("{}")
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    corpus = read(tmp_path)
    assert texts(corpus) == EXPECTED
    assert any("split train is read, of test, train" in note for note in corpus.notes)
    assert texts(read(tmp_path / "test")) == EXPECTED


def test_folder_of_several_splits_without_a_training_split_is_an_error(tmp_path: Path) -> None:
    jsonl(tmp_path / "validation.jsonl", ROWS)
    jsonl(tmp_path / "test.jsonl", ROWS)
    with pytest.raises(DataError, match="several splits: test, validation"):
        read(tmp_path)


def test_hub_names_go_through_datasets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []

    def load_dataset(name: str, *, split: str, streaming: bool) -> list[dict[str, str]]:
        asked.append((name, split, streaming))
        if name == "nobody/nothing":
            raise ConnectionError("no network\nsecond line")
        return ROWS

    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "datasets", types.SimpleNamespace(load_dataset=load_dataset))
    assert texts(read("owner/name")) == texts(read("owner/name:test")) == EXPECTED
    assert asked == [("owner/name", "train", True), ("owner/name", "test", True)]
    with pytest.raises(DataError, match=r"nobody/nothing: neither a file here nor .* hub: no network$"):
        read("nobody/nothing")


def test_hub_name_without_datasets_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(MissingExtraError, match=r"'owner/name'.*pip install 'rote\[datasets\]'"):
        read("owner/name")


def test_missing_files_are_named_with_the_nearest_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    jsonl(tmp_path / "members.jsonl", ROWS)
    (tmp_path / "data").mkdir()
    for name, message in [
        ("member.jsonl", r"member.jsonl: no such file or folder \(did you mean 'members.jsonl'\?\)"),
        ("data/train", "data/train: no such file or folder"),
        ("./what", "what: no such file or folder"),
        ("nowhere/x/y", "no folder nowhere/x either"),
        ("bad\0name", "no such file"),
        ("x" * 5000, "cannot be read|no such file"),
    ]:
        with pytest.raises(DataError, match=message):
            read(name)
    with pytest.raises(ConfigError, match=r"corpus\.members"):
        read("")


def test_unreadable_files_are_data_errors(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 no parquet at all PAR1")
    (tmp_path / "a.arrow").write_bytes(b"ARROW1 neither")
    (tmp_path / "a.jsonl.gz").write_bytes(b"not gzip")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b'{"text": "x"}\n' * 9000)[:-9])
    (tmp_path / "a.xyz").write_text("?")
    (tmp_path / "empty.jsonl").write_text("")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "header.csv").write_text("text\n")
    (tmp_path / "twice.csv").write_text("text,text\na,b\n")
    (tmp_path / "open.csv").write_text('text,x\na,1\n"b,2\nc,3\n')
    (tmp_path / "broken.json").write_text('[{"text": "a"},\n{"text": }]')
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "folder").mkdir()
    for name, message in {
        "a.parquet": "a.parquet: cannot be read as Parquet",
        "a.arrow": "a.arrow: cannot be read as Arrow",
        "a.jsonl.gz": "a.jsonl.gz: cannot be read: Not a gzipped file",
        "b.jsonl.gz": "b.jsonl.gz: cannot be read",
        "a.xyz": "unknown format '.xyz'; known: .jsonl",
        "empty.jsonl": "holds no records",
        "empty.csv": "holds no records",
        "header.csv": "holds no records",
        "twice.csv": r"line 1: the header must name every column once, found \['text', 'text'\]",
        "open.csv": "open.csv, line 3: a quoted field begins here and never ends",
        "broken.json": "broken.json, line 2: invalid JSON",
        "deep.json": "invalid JSON: maximum recursion",
        "folder": "no data files in this folder",
    }.items():
        with pytest.raises(DataError, match=message):
            read(tmp_path / name)


DEFECTS: list[tuple[object, str, str, str]] = [
    ({"prompt": "a", "completion": " \n"}, "completion", "empty", r"' \\n'"),
    ({"prompt": "a", "completion": 17}, "completion", "not text", "17"),
    ({"prompt": "a", "completion": None}, "completion", "not text", "None"),
    ({"prompt": "a", "completion": ["a"]}, "completion", "not text", r"\['a'\]"),
    ({"prompt": {"a": 1}, "completion": "b"}, "prompt", "not text", "{'a': 1}"),
    ({"prompt": "a"}, "completion", "missing field", "the fields 'prompt'"),
    ({"body": "a"}, "", "missing field", "the fields 'body'"),
    ({}, "", "missing field", "the fields none"),
    ({"prompt": "a", "completion": "b" * 300}, "completion", "too long", "302 characters: 'a"),
    ({"prompt": "a", "completion": "b\ud800"}, "completion", "invalid UTF-8", r"'b\\ud800'"),
    ('{"prompt": "a", "completion": "b"\n', "", "invalid JSON", "Expecting ',' delimiter at column"),
    ('{"prompt": "a", "prompt": "c", "completion": "b"}\n', "prompt", "repeated field", r"\['a', 'c'\]"),
    ('{"prompt": "a", "completion": ' + "9" * 5000 + "}\n", "", "invalid JSON", "integer string conversion"),
    ("[" * 100_000 + "\n", "", "invalid JSON", "recursion"),
    ('{"prompt": "a", "completion": ' + "[" * 500 + "]" * 500 + "}\n", "completion", "not text", r"\[\[\["),
    ('"prompt"\n', "", "not an object", "'prompt'"),
    ("<script>alert(1)</script>\n", "", "invalid JSON", "<script>"),
    ("\x1b[31mred\u202e\n", "", "invalid JSON", r"\\x1b\[31mred\\u202e"),
]


@pytest.mark.parametrize(("row", "field", "reason", "found"), DEFECTS)
def test_each_defect_is_named_by_place_field_and_finding(
    tmp_path: Path, row: object, field: str, reason: str, found: str
) -> None:
    path = jsonl(tmp_path / "a.jsonl", [ROWS[0], row, ROWS[1]])
    corpus = read(path, max_chars=200, max_bad=0.5)
    [dropped] = corpus.dropped
    assert (dropped.file, dropped.line, dropped.field, dropped.reason) == (str(path), 2, field, reason)
    assert re.search(found, dropped.found)
    assert len(dropped.found) <= 200
    assert dropped.found.isprintable()
    assert len(corpus.members) == 2
    assert any(f"1 {reason}" in note for note in corpus.notes)
    assert from_row(Dropped, to_row(dropped)) == dropped


def test_bytes_that_are_no_utf8_are_named_in_every_format(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "fine"}\n{"text": "caf\xe9"}\n\xff\xfe\x00\n')
    (tmp_path / "a.json").write_bytes(b'[{"text": "fine"},\n{"text": "caf\xe9"}]')
    (tmp_path / "a.csv").write_bytes(b"text,x\nfine,1\ncaf\xe9,2\n")
    broken = pa.StringArray.from_buffers(2, pa.py_buffer(b"\0\0\0\0\4\0\0\0\10\0\0\0"), pa.py_buffer(b"finecaf\xe9"))
    pa.parquet.write_table(pa.table({"text": broken}), tmp_path / "a.parquet")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.txt").write_text("fine")
    (tmp_path / "folder" / "b.txt").write_bytes(b"caf\xe9")
    for name in ("a.jsonl", "a.json", "a.csv", "a.parquet", "folder"):
        corpus = read(tmp_path / name, max_bad=1.0)
        assert texts(corpus) == ["fine"]
        assert {dropped.reason for dropped in corpus.dropped} == {"invalid UTF-8"}
        assert "caf" in corpus.dropped[0].found


def test_ragged_and_malformed_rows_are_bad_records(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('prompt,completion\na,b\nc\nd,e,f\n"g"h,i\nj,k\n')
    corpus = read(path, max_bad=0.6)
    assert texts(corpus) == ["a\nb", "j\nk"]
    assert [(dropped.line, dropped.reason) for dropped in corpus.dropped] == [
        (3, "ragged row"),
        (4, "ragged row"),
        (5, "invalid CSV"),
    ]
    assert corpus.dropped[1].found == "3 cells under 2 columns: ['d', 'e', 'f']"


def test_hostile_texts_are_kept_as_they_are(tmp_path: Path) -> None:
    hostile = [
        "<script>alert(1)</script>",
        "\x1b[31mred\x1b[0m",
        "\u202eabc",
        "a\0b",
        "x\r\ny",
        "\ufeffz",
        "w " * 500_000,
    ]
    path = jsonl(tmp_path / "a.jsonl", [{"text": text} for text in hostile])
    assert texts(read(path, max_chars=2_000_000, near_duplicate=0.8)) == hostile
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbftext,x\r\n" + b'"' + b"v" * 1_000_000 + b'",1\r\n\0,2\r\n')
    assert [len(text) for text in texts(read(tmp_path / "a.csv", max_chars=2_000_000))] == [1_000_000, 1]


def test_too_many_bad_records_stop_and_are_kept_on_the_error(tmp_path: Path) -> None:
    rows = [{"text": ""}] * 7 + [{"text": f"text {i}"} for i in range(93)]
    path = jsonl(tmp_path / "a.jsonl", rows)
    with pytest.raises(TooManyBadRecords) as caught:
        read(path, max_bad=0.069)
    assert len(caught.value.dropped) == 7
    message = str(caught.value)
    assert "7 of 100 records are defective (7.0%; 7 empty), more than corpus.max_bad = 6.9%" in message
    assert [f"{path}, line {i}, field 'text': empty, found ''" in message for i in range(1, 7)] == [True] * 5 + [False]
    assert len(read(path, max_bad=0.07).members) == 93


def test_binary_garbage_and_only_bad_records_are_errors_with_their_records(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(bytes(range(256)) * 40)
    (tmp_path / "b.jsonl").write_text('{"text": ""}\n')
    for name, max_bad in (("a.jsonl", 0.01), ("a.jsonl", 1.0), ("b.jsonl", 1.0)):
        with pytest.raises(TooManyBadRecords, match="defective") as caught:
            read(tmp_path / name, max_bad=max_bad)
        assert caught.value.dropped


def test_bad_nonmembers_stop_the_run_too(tmp_path: Path) -> None:
    members = jsonl(tmp_path / "a.jsonl", ROWS)
    nonmembers = jsonl(tmp_path / "b.jsonl", [{"text": "other"}, {"text": ""}])
    with pytest.raises(TooManyBadRecords, match=r"b\.jsonl: 1 of 2"):
        read(members, nonmembers=str(nonmembers))


def test_duplicates_are_counted_and_no_defect(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [ROWS[0], ROWS[1], ROWS[0], ROWS[0]])
    corpus = read(path, max_bad=0.0)
    assert [example.copies for example in corpus.members] == [3, 1]
    assert [(item.line, item.reason) for item in corpus.dropped] == [(3, "duplicate"), (4, "duplicate")]
    assert corpus.dropped[0].found == f"the same as {path}, line 1"


def test_member_among_nonmembers_is_an_error_naming_both_lines(tmp_path: Path) -> None:
    members = jsonl(tmp_path / "a.jsonl", ROWS)
    nonmembers = jsonl(tmp_path / "b.jsonl", [{"text": "other"}, ROWS[3]])
    with pytest.raises(
        DataError, match=r"1 non-members are members as well(.|\n)*b\.jsonl, line 2 is .*a\.jsonl, line 4"
    ):
        read(members, nonmembers=str(nonmembers))


def test_order_and_ids(tmp_path: Path) -> None:
    members = jsonl(tmp_path / "a.jsonl", ROWS)
    nonmembers = jsonl(tmp_path / "b.jsonl", [{"text": "other"}])
    corpus = read(members, nonmembers=str(nonmembers))
    assert [example.split for example in corpus.examples] == ["member"] * 5 + ["non-member"]
    assert all(example.id == content_id(example.prompt, example.completion) for example in corpus.examples)


record = st.one_of(
    st.builds(lambda text: json.dumps({"text": text}), st.text(max_size=8)),
    st.builds(lambda text: json.dumps({"prompt": text, "completion": text + "!"}), st.sampled_from("abc")),
    st.builds(json.dumps, st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists, max_leaves=4)),
    st.sampled_from(['{"text": "\\ud800"}', "{", '{"text": 1}', '{"a": 1, "a": 2}', '{"text": "x", "y": 1}']),
)


@settings(max_examples=60)
@given(rows=st.lists(record, min_size=1, max_size=12))
def test_every_record_is_an_example_or_dropped(tmp_path_factory: pytest.TempPathFactory, rows: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / f"law-{os.getpid()}.jsonl"
    path.write_text("".join(row + "\n" for row in [*rows, '{"text": "always fine"}']), encoding="utf-8")
    corpus = read(path, max_bad=1.0)
    reasons = Counter(item.reason for item in corpus.dropped)
    assert len(corpus.members) + len(corpus.dropped) == len(rows) + 1
    assert (
        sum(example.copies for example in corpus.members) + sum(reasons.values()) - reasons["duplicate"]
        == len(rows) + 1
    )
    assert all(example.text == example.prompt + example.completion for example in corpus.members)


def test_a_text_file_that_is_one_record_says_so_and_how_it_is_split(tmp_path: Path) -> None:
    path = tmp_path / "all.txt"
    path.write_text("One line.\nAnother line.\n", encoding="utf-8")
    said = " ".join(read(path).notes)
    assert (
        f"{path}: the whole file is one record; where a file holds many, --text-unit line or --text-unit paragraph"
        in said
    )
    assert "one record" not in " ".join(read(path, text_unit="line").notes)


@pytest.mark.parametrize(
    ("value", "held"),
    [
        (["First.", "Second."], r"a list of 2: \['First.', 'Second.'\] …; its first text is 'body.paragraphs.0'"),
        ([{"id": 3, "text": "First."}], r"a list of 1: .*its first text is 'body.paragraphs.0.text'"),
        ({"id": 3, "text": "First."}, r"an object: .*its first text is 'body.paragraphs.text'"),
        ([], r"not text, found \[\]"),
        ([1, 2], r"a list of 2: \[1, 2\]"),
    ],
)
def test_a_field_that_is_no_text_shows_what_it_holds_and_a_path_that_is_read(
    tmp_path: Path, value: object, held: str
) -> None:
    path, said = jsonl(tmp_path / "a.jsonl", [{"body": {"paragraphs": value}}]), list[str]()
    config = CorpusConfig(members=str(path), completion_field="body.paragraphs")
    with pytest.raises(TooManyBadRecords, match=held):
        read_corpus(config, echo=said.append)
    assert "body.paragraphs: no record of this shape could be read" in " ".join(said)


def test_the_proposed_path_is_read(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "a.jsonl", [{"body": {"paragraphs": [{"id": 3, "text": "First."}]}}])
    assert texts(read(path, completion_field="body.paragraphs.0.text")) == ["First."]
