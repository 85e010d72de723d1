"""Rows out of one file, one at a time: JSON lines, JSON, CSV and TSV, text; `tables` reads Parquet and Arrow.

No row is judged here beyond being readable. Bytes that are not UTF-8 are read as lone surrogates, so that the record,
and the field, they stand in can be named later. A byte-order mark at the start of a file names its encoding (UTF-8,
UTF-16) and is no part of the text.
"""

import codecs
import csv
import gzip
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias, cast

from rote.config import TextUnit
from rote.corpus import bounds
from rote.corpus.bounds import sized
from rote.corpus.defects import BadRecord, shown, shown_names
from rote.corpus.shapes import is_recognised
from rote.errors import ConfigError, DataError

if TYPE_CHECKING:
    from _csv import Reader

Fields: TypeAlias = dict[str, object]

LIST_NAMES = ("data", "train", "records", "examples", "rows", "items")
"""Where the records of a JSON object stand, if more than one of its fields is a list of objects."""
DELIMITERS = ",;\t|"
DELIMITING_LINES = 20
"""Lines of a CSV file by which its delimiter is found."""
_QUOTED = re.compile(r'"(?:[^"]|"")*"?')


@dataclass(frozen=True, slots=True)
class Row:
    """One record as it stands in a file: its fields, or why it cannot be read."""

    file: str
    line: int
    content: Fields | BadRecord


@dataclass(frozen=True, slots=True)
class Layout:
    """What a text file does not say itself."""

    encoding: str = "auto"
    """A name that Python knows; "auto": UTF-16 where a byte-order mark says so, else UTF-8."""
    has_header: bool = True
    """Whether the first line of a CSV file names the columns; else they are "1", "2", …"""
    text_unit: TextUnit = "file"
    """What is one record of a text file."""


def suffix_of(file: Path) -> str:
    """The suffix that tells the format, lower case, without ".gz"."""
    inner = file.with_suffix("") if file.suffix.lower() == ".gz" else file
    return inner.suffix.lower()


def _jsonl(path: Path, layout: Layout) -> Iterator[Row]:
    with _opened(path, layout) as stream:
        for line, raw in enumerate(_lines(path, stream), start=1):
            text = raw.strip()
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


def _json(path: Path, layout: Layout) -> Iterator[Row]:
    """A list of objects, an object with such a list, or (whatever the suffix says) JSON lines.

    The text of the file is held in memory, its records are not.
    """
    text = _whole(path, layout, bound=bounds.MAX_FILE_BYTES, remedy="write it as JSON lines (.jsonl)")
    start = _skip_space(text, 0)
    if text.startswith("[", start):
        yield from _json_list(path, text, start + 1)
        return
    try:
        top = as_fields(_DECODER.decode(text))
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise DataError.at(path, error.lineno, f"invalid JSON: {error.msg} at column {error.colno}") from error
        yield from _jsonl(path, layout)
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
    named = [name for name in LIST_NAMES if name in lists]
    if is_recognised(top) and not any(_holds_records(lists[name]) for name in named):
        return [top]  # one record, of which the lists are a part (messages)
    named = named or list(lists)
    if len(named) > 1 and named[0] not in LIST_NAMES:
        raise DataError.at(path, None, f"several fields hold lists of records: {shown_names(named)}; expected one")
    return lists[named[0]] if named else [top]


def _holds_records(items: list[object]) -> bool:
    first = next(filter(_is_object, items))
    return isinstance(first, dict) and is_recognised(first)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _skip_space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _csv(path: Path, layout: Layout) -> Iterator[Row]:
    csv.field_size_limit(bounds.MAX_LINE_BYTES)  # the default stops at 131,072 characters
    with _opened(path, layout, newline="") as stream:
        lines = _lines(path, stream)
        head = list(islice(lines, DELIMITING_LINES))
        delimiter = "\t" if suffix_of(path) == ".tsv" else _delimiter(head)
        reader = csv.reader(chain(head, lines), delimiter=delimiter, strict=True)
        header: list[str] = []
        records = 0
        for line, cells in _csv_cells(path, reader):
            if not header and isinstance(cells, list):
                header = _checked_header(path, line, cells, layout)
                if layout.has_header:
                    continue
            if header:
                header = header if records else _with_index(header, cells)
                records += 1
                yield Row(str(path), line, _csv_fields(header, cells))


def _with_index(header: list[str], cells: list[str] | BadRecord) -> list[str]:
    """The header with an unnamed first column, where the first record has one cell more and begins to count (R)."""
    is_index = isinstance(cells, list) and len(cells) == len(header) + 1 and cells[0] in ("0", "1")
    return ["", *header] if is_index and "" not in header else header


def _delimiter(head: list[str]) -> str:
    """What parts the cells: gives every row of these lines as many; else, or of several, stands most often in the first.

    >>> _delimiter(['Frage;"Antwort, kurz, gut"'])
    ';'
    >>> _delimiter(["Yes, so, well;no", "No;yes"])
    ';'
    """

    def parts(delimiter: str) -> bool:
        widths: list[int] = []
        try:
            widths.extend(len(row) for row in csv.reader(head, delimiter=delimiter, strict=True) if row)
        except csv.Error as error:
            if "unexpected end of data" not in str(error):
                return False
        else:  # the last line that is looked at may be the first one of a record
            widths = widths[:-1] if len(head) == DELIMITING_LINES else widths
        return len(set(widths)) == 1 and widths[0] > 1

    first = _QUOTED.sub("", head[0]) if head else ""
    return max(list(filter(parts, DELIMITERS)) or DELIMITERS, key=first.count)


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


def _checked_header(path: Path, line: int, cells: list[str], layout: Layout) -> list[str]:
    """The names of the columns. One column may have none (pandas writes its index so): it is named ""."""
    if not layout.has_header:
        return [str(number) for number in range(1, len(cells) + 1)]
    names = [cell.strip() for cell in cells]
    if len(set(names)) < len(names):
        hint = "; if it is a record, give --no-header"
        raise DataError.at(path, line, f"the header must name every column once, found {shown(names)}{hint}")
    return names


def _csv_fields(header: list[str], cells: list[str] | BadRecord) -> Fields | BadRecord:
    if isinstance(cells, BadRecord):
        return cells
    if len(cells) != len(header):
        return BadRecord("", "ragged row", f"{len(cells)} cells under {len(header)} columns: {shown(cells)}")
    return dict(zip(header, cells, strict=True))


def _text(path: Path, layout: Layout) -> Iterator[Row]:
    """The whole file is one record, or each of its lines or paragraphs; line ends are read as line feeds."""
    if layout.text_unit == "file":
        remedy = "a .txt is one record: --text-unit line or paragraph splits it"
        text = _whole(path, layout, bound=bounds.MAX_LINE_BYTES, remedy=remedy)
        yield Row(str(path), 1, {"text": text.replace("\r\n", "\n").replace("\r", "\n")})
        return
    with _opened(path, layout) as stream:
        for line, unit in _units(_lines(path, stream), layout.text_unit):
            yield Row(str(path), line, {"text": unit})


def _units(lines: Iterator[str], unit: TextUnit) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, or runs of them, each with the number of its first line."""
    first, held = 0, list[str]()
    for number, line in enumerate(lines, start=1):
        if held and (unit == "line" or not line.strip()):
            yield first, "\n".join(held)
            held = []
        if line.strip():
            first = first if held else number
            held.append(line.rstrip("\r\n"))
    if held:
        yield first, "\n".join(held)


def _binary(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")


@contextmanager
def _opened(path: Path, layout: Layout, *, newline: str = "\n") -> Iterator[IO[str]]:
    """The text of a file. Bytes of no character become lone surrogates where that is possible (UTF-8)."""
    with _binary(path) as raw:
        encoding = _encoding_of(path, raw, layout)
        errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
        with io.TextIOWrapper(raw, encoding, errors, newline=newline) as stream:
            try:
                yield stream
            except UnicodeError as error:
                raise DataError.at(path, None, f"is not {encoding}: {first_line(error)}; give --encoding") from error


def _encoding_of(path: Path, raw: IO[bytes], layout: Layout) -> str:
    if layout.encoding != "auto":
        try:
            name = codecs.lookup(layout.encoding).name
        except LookupError as error:
            raise ConfigError(f"corpus.encoding = {layout.encoding!r}: Python knows no such encoding") from error
        return "utf-8-sig" if name == "utf-8" else name
    start = cast(io.BufferedReader, raw).peek(4)[:4]
    if start.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "utf-32"
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if re.match(rb"[ -~]\0|\0[ -~]", start):  # a character of ASCII in two bytes
        raise DataError.at(path, None, f"begins with {start!r}: give its encoding, as --encoding utf-16-le")
    return "utf-8-sig"


def _lines(path: Path, stream: IO[str]) -> Iterator[str]:
    """The lines, with their ends.

    Raises:
        DataError: one of them is too long to be held in memory.
    """
    bound, number = bounds.MAX_LINE_BYTES, 0
    while line := stream.readline(bound + 1):
        number += 1
        if len(line) > bound:
            raise DataError.at(
                path, number, f"the line is longer than {sized(bound)}: a record must be a line of its own"
            )
        yield line


def _whole(path: Path, layout: Layout, *, bound: int, remedy: str) -> str:
    with _opened(path, layout, newline="") as stream:
        text = stream.read(bound + 1)
    if len(text) > bound:
        raise DataError.at(path, None, f"is larger than {sized(bound)}{' unpacked' * (path.suffix == '.gz')}: {remedy}")
    return text


def first_line(error: Exception) -> str:
    """The first line of an error's message, cut at 300 characters."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


_DECODER = json.JSONDecoder(object_pairs_hook=_object)
_SPACE = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile("[\ud800-\udfff]")
READERS: dict[str, Callable[[Path, Layout], Iterator[Row]]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _csv,
    ".txt": _text,
    ".md": _text,
}
"""Readers of text files by suffix."""
