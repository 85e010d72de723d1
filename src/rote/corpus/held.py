"""Records that a caller holds in memory (dictionaries, a data frame, a `datasets.Dataset`), as JSON Lines to be read like
any other file."""

import datetime
import decimal
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import cast

from rote.errors import DataError
from rote.records import Json
from rote.runs.disk import encode, private_folder, shortened, write_atomically

WRITTEN_AS_TEXT = (datetime.date, datetime.time, decimal.Decimal, uuid.UUID)
MAX_DEPTH = 50


def write_records(records: object, path: Path, *, name: str) -> Path:
    """Writes the records to a JSON Lines file; the records get the ids that they would have in any other file.

    Args:
        records: dictionaries in a list or another iterable, a pandas or polars frame, or a `datasets.Dataset`. Missing
            values (NaN, NaT, pandas' NA) become null, numbers of numpy plain ones, dates and decimals text.
        path: the file; its folder is made where it does not exist.
        name: what the records are called in messages, e.g. "members".

    Raises:
        DataError: it is none of these, there is no record, or a value that JSON does not know; the record (from 1) and
            the field are named.
    """
    lines = [encode(row) for row in _rows(records, name)]
    if not lines:
        raise DataError(f"{name}: no record in {_kind(records)}")
    private_folder(path.parent, is_inner=True)
    return write_atomically(path, b"\n".join(lines) + b"\n")


def _rows(records: object, name: str) -> Iterator[dict[str, Json]]:
    for number, record in enumerate(_dictionaries(records, name), 1):
        if not isinstance(record, Mapping):
            remedy = '; give [{"text": text} for text in texts]' if isinstance(record, str) else ""
            raise DataError(
                f"{name}: record {number}: expected a dictionary, found {_kind(record)} {shortened(record)}{remedy}"
            )
        yield {
            _key(key, f"{name}: record {number}"): _plain(value, f"{name}: record {number}, field {key!r}")
            for key, value in record.items()
        }


def _dictionaries(records: object, name: str) -> Iterable[object]:
    columns = getattr(records, "columns", None)
    if columns is not None and hasattr(records, "to_dicts"):  # polars
        return cast("Iterable[object]", records.to_dicts())
    if columns is not None and hasattr(records, "to_dict"):  # pandas
        if len(set(columns)) < len(columns):
            raise DataError(f"{name}: two columns of the frame have the same name: {list(columns)}")
        return cast("Iterable[object]", records.to_dict(orient="records"))
    if isinstance(records, Mapping):
        splits = ", ".join(map(repr, records))
        raise DataError(f"{name}: expected records, found {_kind(records)} of {splits}: give one of these, or a list")
    if isinstance(records, (str, bytes)) or not isinstance(records, Iterable):
        raise DataError(
            f"{name}: expected a path, a list of dictionaries, a data frame or a datasets.Dataset, found "
            f"{_kind(records)} {shortened(records)}"
        )
    return records


def _key(key: object, place: str) -> str:
    if isinstance(key, str) or (isinstance(key, int) and not isinstance(key, bool)):
        return str(key)
    raise DataError(f"{place}: a field's name must be a text, found {_kind(key)} {shortened(key)}")


def _plain(value: object, place: str, depth: int = 0) -> Json:
    """The value as JSON knows it."""
    if depth > MAX_DEPTH:
        raise DataError(f"{place}: nested more than {MAX_DEPTH} levels deep")
    if _is_missing(value):
        return None
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, Mapping):
        return {_key(key, place): _plain(item, place, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, place, depth + 1) for item in value]
    if hasattr(value, "tolist"):  # arrays and numbers of numpy, tensors
        return _plain(value.tolist(), place, depth + 1)
    if isinstance(value, WRITTEN_AS_TEXT):
        return str(value)
    raise DataError(f"{place}: neither text nor number, list or dictionary: {_kind(value)} {shortened(value)}")


def _is_missing(value: object) -> bool:
    is_na = type(value).__name__ in ("NAType", "NaTType")
    return value is None or is_na or (isinstance(value, float) and math.isnan(value))


def _kind(value: object) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
