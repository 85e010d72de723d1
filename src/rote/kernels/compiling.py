"""Compiled functions: compiled by Numba when a machine first calls them, from then on loaded from a cache on disk.

Numba's cache knows a function's own file alone, though what a function calls in other files is compiled into it. So each
version of a module, together with the kernel modules and constants that it imports, has a cache folder of its own: after
an edit or an upgrade nothing old is run.
"""

import hashlib
import inspect
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TypeVar, cast

import numba
import numpy as np
from numba.core import config, event
from numba.core.dispatcher import Dispatcher

from rote.console.signals import Postponement

Function = TypeVar("Function", bound=Callable[..., object])

_PACKAGE = Path(__file__).parent
_CONSTANTS = (bool, int, float, str, tuple, np.generic)
_DURATION = "a minute or so"


def kernel(function: Function) -> Function:
    """A compiled function; its types are for the reader: Numba compiles it for the arguments that it gets."""
    folder = cache_folder(function.__module__)
    with _numba_caches_in(folder):
        return cast(Function, numba.njit(cache=folder is not None, nogil=True)(function))


@contextmanager
def _numba_caches_in(folder: Path | None) -> Iterator[None]:
    before = config.CACHE_DIR  # type: ignore[attr-defined]
    config.CACHE_DIR = str(folder or "")  # type: ignore[attr-defined]
    try:
        yield
    finally:
        config.CACHE_DIR = before  # type: ignore[attr-defined]


@cache
def cache_folder(module: str) -> Path | None:
    """Where this version of a module is cached, other versions removed; None where nothing can be written.

    The first that can be written of: NUMBA_CACHE_DIR, beside this file, the user's cache folder.
    """
    name = f"{module}-{_version(sys.modules[module])}"
    for base in _bases():
        folder = base / name
        try:
            if not folder.exists():
                for old in base.glob(f"{module}-*"):
                    shutil.rmtree(old, ignore_errors=True)
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            continue
        return folder
    return None


def _bases() -> Iterator[Path]:
    if config.CACHE_DIR:  # type: ignore[attr-defined]
        yield Path(config.CACHE_DIR, "rote")  # type: ignore[attr-defined]
    yield _PACKAGE / "__pycache__" / "kernels"
    with suppress(RuntimeError):  # there is no home
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        yield Path(home, "rote", hashlib.sha256(str(_PACKAGE).encode()).hexdigest()[:16])


def _version(module: ModuleType) -> str:
    """A hash of all that is compiled into the module's kernels: its file, its constants, kernel modules that it imports."""
    found = hashlib.sha256(Path(inspect.getfile(module)).read_bytes())
    for name, value in sorted(vars(module).items()):
        if isinstance(value, _CONSTANTS) and not name.startswith("__"):
            found.update(f"{name} = {value!r}\n".encode())
    imported = {value.py_func.__module__ for value in vars(module).values() if isinstance(value, Dispatcher)}
    for name in sorted(imported - {module.__name__}):
        found.update(_version(sys.modules[name]).encode())
    return found.hexdigest()[:16]


class _Announcement(event.Listener):
    """Says once in a process why it takes so long."""

    is_made = False

    def on_start(self, event: event.Event) -> None:
        module = event.data["dispatcher"].py_func.__module__
        if self.is_made or module.partition(".")[0] != "rote":
            return
        self.is_made = True
        how_often = f"once, {_DURATION}"
        if cache_folder(module) is None:
            how_often = f"{_DURATION} in every process: no cache can be written; NUMBA_CACHE_DIR may name a folder"
        print(f"rote: compiling kernels for this machine ({how_often}) …", file=sys.stderr, flush=True)

    def on_end(self, event: event.Event) -> None:
        pass


class _Undisturbed(event.Listener):
    """Lets Ctrl-C and SIGTERM wait until a kernel is compiled or loaded: Numba cannot be stopped in the middle of it."""

    postponement = Postponement(b"\nrote: ends when the kernel is compiled (a second time: at once) \xe2\x80\xa6\n")

    def on_start(self, _: event.Event) -> None:
        self.postponement.begin()

    def on_end(self, _: event.Event) -> None:
        self.postponement.end()


event.register("numba:compile", _Announcement())  # type: ignore[no-untyped-call]
event.register("numba:compiler_lock", _Undisturbed())  # type: ignore[no-untyped-call]
