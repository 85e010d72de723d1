"""Files and folders as rote writes them: private, whole or absent, and checked when they are read again.

A file is written under a temporary name and renamed, so a file that exists is whole. What a killed process leaves under
temporary names is removed by `sweep`. Nothing here follows a symbolic link when it writes.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from rote.errors import RunError
from rote.records import Json

FOLDER_MODE, FILE_MODE = 0o700, 0o600
"""Run folders hold training text: they belong to their owner alone, whatever the umask."""
SEAL = "sha256"
"""Key under which a sealed JSON object keeps the hash of the rest of itself."""
MAX_SHOWN_CHARS = 80

_OLD, _NEW = r"\.(?:final|epoch-\d+|checkpoint)\.tmp", r"\..+\.(?:[0-9a-f]{8}-)?(?P<pid>\d+)\.(?:tmp|old)"
_TEMPORARY = re.compile(f"{_OLD}|{_NEW}")
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)


def encode(value: Json) -> bytes:
    """Compact JSON in UTF-8; text with lone surrogates is written with escapes."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def parse_json(content: bytes | str) -> Json:
    """The JSON value.

    Raises:
        ValueError: it is no JSON, nested too deeply, or holds a number of thousands of digits.
    """
    try:
        return cast(Json, json.loads(content))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def seal(row: Mapping[str, Json]) -> dict[str, Json]:
    """The JSON object with the hash of its content, which `unseal` checks."""
    return {**row, SEAL: _seal_of(row)}


def unseal(content: bytes | str) -> dict[str, Json]:
    """The JSON object that `seal` made.

    Raises:
        ValueError: it is no JSON object, or it was changed since it was sealed.
    """
    row = parse_json(content)
    if not isinstance(row, dict):
        raise ValueError(f"an object was expected, found {shortened(row)}")
    if row.pop(SEAL, None) != _seal_of(row):
        raise ValueError("its content is not what was written")
    return row


def _seal_of(row: Mapping[str, Json]) -> str:
    return content_hash(json.dumps(dict(row), sort_keys=True).encode("ascii"))


def shortened(value: object) -> str:
    """The value for a message: at most `MAX_SHOWN_CHARS` characters of it."""
    if isinstance(value, int) and abs(value) >= 1 << 64:
        return f"a whole number of {value.bit_length():,} bits"
    try:
        text = repr(value)
    except RecursionError:
        return "a deeply nested value"
    return text if len(text) <= MAX_SHOWN_CHARS else f"{text[:MAX_SHOWN_CHARS]}…"


def content_hash(content: bytes) -> str:
    """SHA-256, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def file_hash(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder with their relative names."""
    digest = hashlib.sha256()
    files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    for file in files:
        digest.update(str(file.relative_to(path)).encode("utf-8", "surrogateescape") + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


_known_hashes: dict[tuple[str, int, int, int], str] = {}


def known_hash(path: Path) -> str:
    """SHA-256 of a file's content; computed once in this process, and again where size, time or inode are others.

    Raises:
        OSError: it cannot be read.
    """
    status = path.stat()
    key = (str(path.absolute()), status.st_size, status.st_mtime_ns, status.st_ino)
    if key not in _known_hashes:
        with path.open("rb") as file:
            _known_hashes[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _known_hashes[key]


def hashes_of(folder: Path) -> dict[str, str]:
    """The hash of each file of a folder and its subfolders, by relative path."""
    files = sorted(item for item in folder.rglob("*") if item.is_file())
    return {item.relative_to(folder).as_posix(): known_hash(item) for item in files}


def damage_of(folder: Path, hashes: Mapping[str, str]) -> str:
    """The first of the files that is missing or not what was written, in words; "" where there is none."""
    for name, known in hashes.items():
        try:
            if known_hash(folder / name) != known:
                return f"{name} is not what was written"
        except OSError as error:
            return f"{name}: {error.strerror or error}"
    return ""


def write_atomically(path: Path, content: bytes) -> Path:
    """Writes the file under a temporary name, flushes it to the disk and renames it; nobody else may read it.

    Raises:
        RunError: it cannot be written: no permission, no space …
    """
    temporary = temporary_path(path)
    try:
        temporary.unlink(missing_ok=True)
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW, FILE_MODE), "wb") as file:
            temporary.chmod(FILE_MODE)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise RunError(f"{path}: cannot be written: {error.strerror or error}") from error
    return path


def open_to_append(path: Path) -> int:
    """A file descriptor that appends to an existing file; a symbolic link is refused."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | _NO_FOLLOW)


def private_folder(path: Path, *, is_inner: bool = False) -> Path:
    """Makes the folder, for its owner alone; one that exists keeps its permissions.

    Args:
        path: its parents are made where they do not exist.
        is_inner: it lies in a folder of rote, where a symbolic link is nothing that rote made.

    Raises:
        RunError: it cannot be made, or there is a file or (`is_inner`) a symbolic link in its place.
    """
    if is_inner and path.is_symlink():
        raise RunError(f"{path}: a symbolic link, and nothing is written through it; remove it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=FOLDER_MODE)
            path.chmod(FOLDER_MODE)
        if not path.is_dir():
            raise RunError(f"{path}: cannot be used as a folder: a file is in its place")
    except OSError as error:
        raise RunError(f"{path}: cannot be used as a folder: {error.strerror or error}") from error
    return path


def make_private(folder: Path) -> None:
    """Takes all permissions of others from a folder that was just written, and from everything in it."""
    for item in (folder, *folder.rglob("*")):
        if not item.is_symlink():
            item.chmod(FOLDER_MODE if item.is_dir() else FILE_MODE)


def temporary_path(path: Path) -> Path:
    """The name under which this process writes what becomes `path`."""
    return path.with_name(f".{path.name}.{_host()}-{os.getpid()}.tmp")


def sweep(folder: Path) -> None:
    """Removes what dead processes left under temporary names in a folder that nobody else writes.

    In the folder itself everything of the kind is removed; in its direct subfolders, which may be shared with other
    processes, only what no living process of this machine can be writing.
    """
    for item in _temporaries(folder):
        remove(item)
    for part in _subfolders(folder):
        for item in _temporaries(part):
            if not _may_be_written(item.name):
                remove(item)


def _subfolders(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        yield from [item for item in folder.iterdir() if item.is_dir() and not item.is_symlink()]


def _temporaries(folder: Path) -> list[Path]:
    try:
        return [item for item in folder.iterdir() if _TEMPORARY.fullmatch(item.name)]
    except OSError:
        return []


def _may_be_written(name: str) -> bool:
    """Whether a process that lives, or one of another machine, may be writing under this name."""
    found = _TEMPORARY.fullmatch(name)
    pid = found and found["pid"]
    if not pid or int(pid) == os.getpid():
        return False
    if f".{_host()}-{pid}." not in name:
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def remove(path: Path) -> None:
    """Removes a file, a folder with all that it holds, or a symbolic link, as far as that is possible."""
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _host() -> str:
    """Eight digits that stand for this machine."""
    return content_hash(socket.gethostname().encode("utf-8", "replace"))[:8]
