"""Records in memory: the same ids as from a file, and messages that name the record and the field."""

import datetime
import decimal
import json
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rote.config import CorpusConfig
from rote.corpus import read_corpus
from rote.corpus.held import write_records
from rote.errors import DataError

ROWS = [
    {"text": "The mill stood by the river.", "year": 1987, "weight": 1.5, "note": None},
    {"text": "Nobody knew who had lit the lamps: “I didn't!”", "year": 1988, "weight": None, "note": "a\nb\u2028c"},
    {"text": "lone \ud83d surrogate", "year": -1, "weight": 0.0, "note": ""},
]


def written(records: object, folder: Path) -> list[dict[str, object]]:
    path = write_records(records, folder / "given" / "members.jsonl", name="members")
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def ids(path: Path) -> list[str]:
    return [example.id for example in read_corpus(CorpusConfig(members=str(path))).examples]


def test_dictionaries_come_out_as_they_went_in(tmp_path: Path) -> None:
    assert written(ROWS, tmp_path) == ROWS
    assert written((row for row in ROWS), tmp_path) == ROWS
    assert (tmp_path / "given").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "given" / "members.jsonl").stat().st_mode & 0o777 == 0o600


def frame(rows: list[dict[str, object]]) -> object:
    return pytest.importorskip("pandas").DataFrame(rows)


def dataset(rows: list[dict[str, object]]) -> object:
    return pytest.importorskip("datasets").Dataset.from_list(rows)


@pytest.mark.parametrize("make", [list, frame, dataset])
def test_the_ids_are_those_of_a_file(make: Callable[[list[dict[str, object]]], object], tmp_path: Path) -> None:
    rows = [dict(row) for row in ROWS[:2]]
    file = tmp_path / "file.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    written(make(rows), tmp_path)
    assert ids(tmp_path / "given" / "members.jsonl") == ids(file)


def test_a_frames_missing_values_are_null(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(
        {
            "text": ["a", None, pandas.NA],
            "n": [1.0, float("nan"), 3.0],
            "when": pandas.to_datetime(["2024-01-02", None, None]),
        }
    )
    found = written(table, tmp_path)
    assert [row["text"] for row in found] == ["a", None, None]
    assert [row["n"] for row in found] == [1.0, None, 3.0]
    assert [row["when"] for row in found] == ["2024-01-02 00:00:00", None, None]


class PolarsLike:
    """What of a polars frame is used."""

    columns = ("text",)

    def to_dicts(self) -> list[dict[str, object]]:
        return [{"text": "a"}, {"text": None}]


def test_a_polars_frame_is_read_row_by_row(tmp_path: Path) -> None:
    assert written(PolarsLike(), tmp_path) == [{"text": "a"}, {"text": None}]


def test_values_of_other_libraries_become_plain_ones(tmp_path: Path) -> None:
    row = {
        "count": np.int64(3),
        "share": np.float32(0.5),
        "yes": np.bool_(True),
        "many": np.array([1, 2]),
        "pair": ("a", "b"),
        "day": datetime.date(2024, 1, 2),
        "price": decimal.Decimal("1.10"),
        "id": uuid.UUID(int=1),
        "messages": [{"role": "user", "content": np.str_("hi")}],
        3: "a column without a name",
    }
    (found,) = written([row], tmp_path)
    assert found == {
        "count": 3,
        "share": 0.5,
        "yes": True,
        "many": [1, 2],
        "pair": ["a", "b"],
        "day": "2024-01-02",
        "price": "1.10",
        "id": "00000000-0000-0000-0000-000000000001",
        "messages": [{"role": "user", "content": "hi"}],
        "3": "a column without a name",
    }


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("records", "message"),
    [
        (["a text"], r"^members: record 1: expected a dictionary, found str 'a text'; give \[\{"),
        ([{"text": "a"}, None], r"^members: record 2: expected a dictionary, found NoneType None"),
        ([{"text": b"a"}], r"^members: record 1, field 'text': neither text nor number.*: bytes b'a'"),
        ([{"text": "a"}, {"text": {"b"}}], r"^members: record 2, field 'text': .*: set \{'b'\}"),
        ([{"n": float("inf")}], r"field 'n': neither .*: float inf"),
        ([{("a", "b"): "c"}], r"^members: record 1: a field's name must be a text, found tuple"),
        ([{"text": CIRCLE}], r"field 'text': nested more than 50 levels deep"),
        ({"train": [], "test": []}, r"^members: expected records, found dict of 'train', 'test': give one of these"),
        (3, r"^members: expected a path, a list of dictionaries, .* found int 3"),
        (b"path", r"^members: expected a path, .* found bytes b'path'"),
        ([], r"^members: no record in list"),
    ],
)
def test_what_is_no_record_is_refused_by_name(records: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        written(records, tmp_path)
    assert not (tmp_path / "given").exists()


def test_columns_of_the_same_name_are_refused(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(DataError, match="two columns of the frame have the same name"):
        written(pandas.DataFrame([["a", "b"]], columns=["text", "text"]), tmp_path)
