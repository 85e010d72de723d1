"""Rows out of Parquet and Arrow files, one at a time; JSON that stands there as text is decoded by its type."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from rote.corpus.defects import BadRecord, shown
from rote.corpus.formats import Fields, Row, first_line
from rote.errors import DataError

if TYPE_CHECKING:
    import pyarrow

SLICE = 1000
"""Rows that are turned into Python objects at a time."""
JSON_TYPE = "arrow.json"
"""Extension type of a column, or a part of it, whose values are JSON text (datasets: the feature `Json`)."""
Decoder: TypeAlias = Callable[[object], object]


def parquet_rows(path: Path, max_records: int) -> Iterator[Row]:
    """The records of a Parquet file.

    Raises:
        DataError: it cannot be read, or declares more than `max_records` records.
    """
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            check_count(path, file.metadata.num_rows, max_records)
            yield from _batch_rows(path, file.iter_batches(batch_size=SLICE))
    except (ArrowException, OSError) as error:
        raise DataError.at(path, None, f"cannot be read as Parquet: {first_line(error)}") from error


def arrow_rows(path: Path) -> Iterator[Row]:
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


def check_count(name: Path | str, count: int, bound: int) -> None:
    """Raises a DataError for more records than `corpus.max_records`."""
    if count > bound:
        raise DataError(
            f"{name}: holds at least {count:,} records, more than corpus.max_records = {bound:,}; give a part of it, or "
            "raise the bound with --max-records if they fit in memory"
        )


def _batch_rows(path: Path, batches: "Iterable[pyarrow.RecordBatch]") -> Iterator[Row]:
    number = 0
    for batch in batches:
        decoders = {field.name: found for field in batch.schema if (found := _decoder(field)) is not None}
        for start in range(0, batch.num_rows, SLICE):
            for content in _slice_contents(batch.slice(start, SLICE)):
                number += 1
                yield Row(str(path), number, _decoded(content, decoders))


def _slice_contents(batch: "pyarrow.RecordBatch") -> list[Fields | BadRecord]:
    """The records of a batch; one by one if one of them is not UTF-8."""
    try:
        return cast(list[Fields | BadRecord], batch.to_pylist())
    except UnicodeDecodeError as error:
        if batch.num_rows == 1:
            return [BadRecord("", "invalid UTF-8", shown(error.object[max(0, error.start - 20) : error.end + 60]))]
        return [item for i in range(batch.num_rows) for item in _slice_contents(batch.slice(i, 1))]


def _decoded(content: Fields | BadRecord, decoders: Mapping[str, Decoder]) -> Fields | BadRecord:
    if isinstance(content, BadRecord) or not decoders:
        return content
    found = dict(content)
    for name, decode in decoders.items():
        try:
            found[name] = decode(content[name])
        except (ValueError, RecursionError) as error:
            return BadRecord(name, "invalid JSON", f"{first_line(error)}: {shown(content[name])}")
    return found


def _decoder(field: "pyarrow.Field") -> Decoder | None:
    """What decodes the column's values, where any part of them is JSON text."""
    import pyarrow as pa

    kind = field.type
    marked = (field.metadata or {}).get(b"ARROW:extension:name") == JSON_TYPE.encode()
    if marked or getattr(kind, "extension_name", "") == JSON_TYPE:
        return _json
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        inner = _decoder(kind.value_field)
        return None if inner is None else lambda value: _each(value, inner)
    if pa.types.is_struct(kind):
        parts = {kind.field(i).name: _decoder(kind.field(i)) for i in range(kind.num_fields)}
        known = {name: found for name, found in parts.items() if found is not None}
        return (lambda value: _members(value, known)) if known else None
    return None


def _json(value: object) -> object:
    return json.loads(value) if isinstance(value, str) else value


def _each(value: object, inner: Decoder) -> object:
    return [inner(item) for item in value] if isinstance(value, list) else value


def _members(value: object, inner: Mapping[str, Decoder]) -> object:
    if not isinstance(value, dict):
        return value
    return {name: inner[name](item) if name in inner else item for name, item in value.items()}
