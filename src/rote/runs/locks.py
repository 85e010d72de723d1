"""One process writes a folder at a time: a lock of the operating system, which ends with its owner, however that ends."""

import json
import os
import shlex
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rote.errors import RunError
from rote.runs.disk import FILE_MODE, parse_json, private_folder, sweep, write_atomically

if TYPE_CHECKING:
    from filelock import FileLock

LOCK, OWNER = ".lock", ".owner.json"
"""The locked file, and who locks it: the latter is there only as long as somebody does."""


@dataclass(slots=True)
class _Held:
    """A folder that this process holds."""

    lock: "FileLock"
    claims: int = 0


_held: dict[Path, _Held] = {}
_guard = threading.Lock()
_words: list[str] = sys.argv[1:]


def name_command(words: Sequence[str]) -> None:
    """Says which command this process runs: what others read where they find a folder locked."""
    _words[:] = words


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Within it this process alone may write the folder, which is made where it does not exist.

    Claims of one process may be nested. What dead processes left in the folder is removed by the first.

    Raises:
        RunError: another process holds the folder (its command, number, machine and start are named), or the
            folder cannot be written.
    """
    claim(folder)
    try:
        yield
    finally:
        release(folder)


def claim(folder: Path) -> None:
    """Begins what `claimed` does; `release` must follow."""
    path = folder.absolute()
    with _guard:
        held = _held.get(path)
        if held is None:
            held = _Held(_locked(folder))
            try:
                _name_owner(folder)
                sweep(folder)
            except BaseException:
                held.lock.release()
                raise
            _held[path] = held
        held.claims += 1


def release(folder: Path) -> None:
    """Ends a claim."""
    path = folder.absolute()
    with _guard:
        held = _held[path]
        held.claims -= 1
        if not held.claims:
            del _held[path]
            with suppress(OSError):
                (folder / OWNER).unlink()
            held.lock.release()


def _locked(folder: Path) -> "FileLock":
    from filelock import FileLock, Timeout

    private_folder(folder)
    lock = FileLock(folder / LOCK, timeout=0, mode=FILE_MODE, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise RunError(
            f"{folder}: {_owner(folder)} is writing it; wait until that has ended, or give another folder"
        ) from None
    except (OSError, NotImplementedError) as error:
        raise RunError(f"{folder}: cannot be locked: {getattr(error, 'strerror', None) or error}") from error
    return lock


def _name_owner(folder: Path) -> None:
    row = {
        "command": shlex.join(["rote", *_words]),
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": time.strftime("%Y-%m-%d %H:%M:%S"),
    }
    write_atomically(folder / OWNER, json.dumps(row).encode("ascii"))


def _owner(folder: Path) -> str:
    """Who writes the folder, as far as it is known."""
    try:
        row = parse_json((folder / OWNER).read_bytes())
    except (OSError, ValueError):
        return "another process"
    if not isinstance(row, dict):
        return "another process"
    command, since = row.get("command"), row.get("since")
    return f"`{command}` (process {row.get('pid')} on {row.get('host')}, since {since})"
