"""Rows out of one file, one at a time: JSON lines, JSON, CSV and TSV, text, Parquet, Arrow.

No row is judged here beyond being readable. Bytes that are not UTF-8 are read as lone surrogates, so that the record,
and the field, they stand in can be named later. A byte-order mark at the start of a file is no part of the text.
"""

import csv
import gzip
import io
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias, cast

from rote.corpus.defects import BadRecord, shown, shown_names
from rote.errors import DataError

if TYPE_CHECKING:
    from _csv import Reader

    import pyarrow

Fields: TypeAlias = dict[str, object]

SLICE = 1000
"""Parquet and Arrow rows that are turned into Python objects at a time."""
LIST_NAMES = ("data", "train", "records", "examples", "rows", "items")
"""Where the records of a JSON object stand, if more than one of its fields is a list of objects."""


@dataclass(frozen=True, slots=True)
class Row:
    """One record as it stands in a file: its fields, or why it cannot be read."""

    file: str
    line: int
    content: Fields | BadRecord


def suffix_of(file: Path) -> str:
    """The suffix that tells the format, lower case, without ".gz"."""
    inner = file.with_suffix("") if file.suffix.lower() == ".gz" else file
    return inner.suffix.lower()


def _jsonl(path: Path) -> Iterator[Row]:
    with _opened(path) as stream:
        for line, raw in enumerate(stream, start=1):
            text = _decoded(raw).strip() if line == 1 else raw.decode("utf-8", "surrogateescape").strip()
            if text:
                yield Row(str(path), line, _parsed(text))


def _parsed(text: str) -> Fields | BadRecord:
    """One JSON object, or what is wrong with it (RecursionError: nested too deeply; ValueError: also huge numbers)."""
    try:
        return as_fields(_DECODER.decode(text))
    except json.JSONDecodeError as error:
        message = f"{error.msg} at column {error.colno}: {shown(text[max(0, error.pos - 20) : error.pos + 60])}"
    except (ValueError, RecursionError) as error:
        message = f"{error}: {shown(text[:60])}"
    return BadRecord("", "invalid UTF-8" if has_surrogate(text) else "invalid JSON", message)


def has_surrogate(text: str) -> bool:
    """Whether the text holds a lone surrogate: it cannot be written in UTF-8."""
    return not text.isascii() and _SURROGATE.search(text) is not None


def _object(pairs: list[tuple[str, object]]) -> Fields | BadRecord:
    fields = dict(pairs)
    if len(fields) == len(pairs):
        return fields
    names = [name for name, _ in pairs]
    repeated = next(name for name in names if names.count(name) > 1)
    return BadRecord(repeated, "repeated field", shown([value for name, value in pairs if name == repeated]))


def as_fields(value: object) -> Fields | BadRecord:
    """The value, if it is an object."""
    if isinstance(value, (dict, BadRecord)):
        return value
    return BadRecord("", "not an object", shown(value))


def _json(path: Path) -> Iterator[Row]:
    """A list of objects, an object with such a list, or (whatever the suffix says) JSON lines.

    The text of the file is held in memory, its records are not.
    """
    with _opened(path) as stream:
        text = _decoded(stream.read())
    start = _skip_space(text, 0)
    if text.startswith("[", start):
        yield from _json_list(path, text, start + 1)
        return
    try:
        top = as_fields(_DECODER.decode(text))
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise DataError.at(path, error.lineno, f"invalid JSON: {error.msg} at column {error.colno}") from error
        yield from _jsonl(path)
        return
    except (ValueError, RecursionError) as error:
        raise DataError.at(path, 1, f"invalid JSON: {error}") from error
    for number, item in enumerate(_inner_list(path, top), start=1):
        yield Row(str(path), number, as_fields(item))


def _json_list(path: Path, text: str, position: int) -> Iterator[Row]:
    """The items of a list, each with the line it begins in."""
    line, counted = 1, 0
    position = _skip_space(text, position)
    while not text.startswith("]", position):
        line, counted = line + text.count("\n", counted, position), position
        try:
            item, position = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            raise DataError.at(path, line, f"invalid JSON: {error}") from error
        yield Row(str(path), line, as_fields(item))
        position = _skip_space(text, position)
        if text.startswith(",", position):
            position = _skip_space(text, position + 1)
        elif not text.startswith("]", position):
            found = shown(text[position : position + 40])
            raise DataError.at(path, line, f"invalid JSON: expected ',' or ']' after the record, found {found}")


def _inner_list(path: Path, top: Fields | BadRecord) -> list[object]:
    if isinstance(top, BadRecord):
        raise DataError.at(path, 1, f"{top.reason} {top.field!r}: {top.found}")
    lists = {name: value for name, value in top.items() if isinstance(value, list) and any(map(_is_object, value))}
    named = [name for name in LIST_NAMES if name in lists] or list(lists)
    if len(named) > 1 and named[0] not in LIST_NAMES:
        raise DataError.at(path, None, f"several fields hold lists of records: {shown_names(named)}; expected one")
    return lists[named[0]] if named else [top]


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _csv(path: Path) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)  # the default stops at 131,072 characters
    with _opened(path) as raw, io.TextIOWrapper(raw, "utf-8-sig", "surrogateescape", newline="") as stream:
        first = stream.readline()
        delimiter = "\t" if suffix_of(path) == ".tsv" else max(",;\t|", key=first.count)
        reader = csv.reader(itertools.chain([first], stream), delimiter=delimiter, strict=True)
        header: list[str] = []
        for line, cells in _csv_cells(path, reader):
            if header:
                yield Row(str(path), line, _csv_fields(header, cells))
            elif isinstance(cells, list):
                header = _checked_header(path, line, cells)


def _csv_cells(path: Path, reader: "Reader") -> Iterator[tuple[int, list[str] | BadRecord]]:
    """The cells of each row that is not blank, with the line it begins in."""
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error):  # everything after the quote would be lost
                raise DataError.at(path, line, "a quoted field begins here and never ends") from error
            yield line, BadRecord("", "invalid CSV", str(error))
            continue
        if cells:
            yield line, cells


def _checked_header(path: Path, line: int, cells: list[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if not all(names) or len(set(names)) < len(names):
        raise DataError.at(path, line, f"the header must name every column once, found {shown(names)}")
    return names


def _csv_fields(header: list[str], cells: list[str] | BadRecord) -> Fields | BadRecord:
    if isinstance(cells, BadRecord):
        return cells
    if len(cells) != len(header):
        return BadRecord("", "ragged row", f"{len(cells)} cells under {len(header)} columns: {shown(cells)}")
    return dict(zip(header, cells, strict=True))


def _text(path: Path) -> Iterator[Row]:
    """The whole file is one record; line ends are read as line feeds."""
    with _opened(path) as stream:
        text = _decoded(stream.read())
    yield Row(str(path), 1, {"text": text.replace("\r\n", "\n").replace("\r", "\n")})


def _parquet(path: Path) -> Iterator[Row]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            yield from _batch_rows(path, file.iter_batches(batch_size=SLICE))
    except (ArrowException, OSError) as error:
        raise DataError.at(path, None, f"cannot be read as Parquet: {first_line(error)}") from error


def _arrow(path: Path) -> Iterator[Row]:
    """Stream format (as `datasets` writes it) or file format (Feather)."""
    from pyarrow import ArrowException, ArrowInvalid, ipc, memory_map

    try:
        with memory_map(str(path)) as source:
            try:
                batches: Iterable[pyarrow.RecordBatch] = ipc.open_stream(source)
            except ArrowInvalid:
                file = ipc.open_file(source)
                batches = (file.get_batch(i) for i in range(file.num_record_batches))
            yield from _batch_rows(path, batches)
    except (ArrowException, OSError) as error:
        raise DataError.at(path, None, f"cannot be read as Arrow: {first_line(error)}") from error


def _batch_rows(path: Path, batches: "Iterable[pyarrow.RecordBatch]") -> Iterator[Row]:
    number = 0
    for batch in batches:
        for start in range(0, batch.num_rows, SLICE):
            for content in _slice_contents(batch.slice(start, SLICE)):
                number += 1
                yield Row(str(path), number, content)


def _slice_contents(batch: "pyarrow.RecordBatch") -> list[Fields | BadRecord]:
    """The records of a batch; one by one if one of them is not UTF-8."""
    try:
        return cast(list[Fields | BadRecord], batch.to_pylist())
    except UnicodeDecodeError as error:
        if batch.num_rows == 1:
            return [BadRecord("", "invalid UTF-8", shown(error.object[max(0, error.start - 20) : error.end + 60]))]
        return [item for i in range(batch.num_rows) for item in _slice_contents(batch.slice(i, 1))]


def _opened(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")


def _decoded(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape").removeprefix("\ufeff")


def first_line(error: Exception) -> str:
    """The first line of an error's message, cut at 300 characters."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
_SPACE = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
    ".arrow": _arrow,
    ".feather": _arrow,
    ".txt": _text,
    ".md": _text,
}
