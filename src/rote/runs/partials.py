"""Artifacts that are not finished: `NAME.partial`, a header and one line for each finished chunk.

Each line begins with a hash of its content and of the line before, so that a line that was changed, lost or torn is
noticed, with all that follow it: work is resumed after the last chunk that is as it was written.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rote.records import Json
from rote.runs.disk import content_hash, encode, open_to_append, parse_json, write_atomically

ENDING = ".partial"
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Header:
    """What the chunks of a partial file depend on."""

    key: str
    """Key of the artifact: all its settings and inputs."""
    chunking: Json
    """How the work is cut into chunks."""
    inputs: Mapping[str, str]
    """Artifact → hash."""

    def row(self) -> Json:
        """As JSON."""
        return [self.key, self.chunking, dict(self.inputs)]


def path_of(artifact: Path) -> Path:
    """Where the finished chunks of an artifact are kept."""
    return artifact.with_name(artifact.name + ENDING)


def finished_chunks(path: Path, header: Header) -> list[Json]:
    """The chunks of a partial file, up to the first that is not whole; none where it has another header."""
    found = list(_values(path))
    return found[1:] if found and encode(found[0]) == encode(header.row()) else []


def is_of_use(path: Path, hashes: Mapping[str, str]) -> bool:
    """Whether work may be resumed there: its header is whole, and its inputs are those of the run.

    Args:
        path: the partial file.
        hashes: artifact of the run → hash.
    """
    header = next(_values(path), None)
    if not isinstance(header, list) or len(header) != 3 or not isinstance(header[2], dict):
        return False
    return all(hashes.get(name) == known for name, known in header[2].items())


class Writer:
    """Writes a partial file: what is finished at once, then chunk by chunk."""

    def __init__(self, path: Path, header: Header, chunks: Sequence[Json]) -> None:
        self._path = path
        self._before = ""
        lines = [self._line(value) for value in (header.row(), *chunks)]
        write_atomically(path, b"".join(lines))
        self._file = os.fdopen(open_to_append(path), "ab")

    def add(self, chunk: Json) -> None:
        """Appends a finished chunk."""
        self._file.write(self._line(chunk))
        self._file.flush()

    def _line(self, value: Json) -> bytes:
        content = encode(value)
        self._before = _mark(self._before, content)
        return self._before.encode("ascii") + b" " + content + b"\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _values(path: Path) -> Iterator[Json]:
    """The values of the lines, up to the first one that is not as it was written."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except OSError:
        return
    before = ""
    for line in lines:
        mark, content = line[:_DIGITS], line[_DIGITS + 1 :]
        before = _mark(before, content)
        if mark != before.encode("ascii"):
            return
        yield parse_json(content)


def _mark(before: str, content: bytes) -> str:
    return content_hash(before.encode("ascii") + content)[:_DIGITS]
