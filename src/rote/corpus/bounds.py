"""What hostile data may cost: seconds and memory of chat templates, bytes of a line, of a file, number of records."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

from rote.errors import DataError

if sys.platform != "win32":
    import resource

MAX_LINE_BYTES = 2**26
"""Longest line of a text file, or field of a table; also the longest text file that is one record."""
MAX_FILE_BYTES = 2**30
"""Largest JSON file, unpacked, that is no JSON lines: it is held in memory as a whole."""
RENDERING_S = 10.0
"""Seconds that rendering may take whatever the number of records …"""
RENDERING_S_PER_RECORD = 0.1
"""… and those that each rendered record adds."""
RENDERING_BYTES = 2**30
"""Memory that rendering one record may take on top of what the process has."""


def sized(count: int) -> str:
    """Bytes for a message: "64 MiB".

    >>> sized(2**26)
    '64 MiB'
    """
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"


@dataclass(slots=True)
class RenderingBudget:
    """The time that a data set's chat template has left: a template is a program, and comes with the model."""

    template: str
    """Whose template it is, for the message."""
    spent_s: float = 0.0
    records: int = 0

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Stops what is done within it when the time is over or too much memory is asked for.

        The time is checked while a rendering runs only in the main thread, in any other after it.

        Raises:
            DataError: names the bound.
        """
        self.records += 1
        allowed = RENDERING_S + RENDERING_S_PER_RECORD * self.records
        started = time.monotonic()
        try:
            with _limited_memory(RENDERING_BYTES), _alarm(max(0.001, allowed - self.spent_s)):
                yield
        except _TimeOver:
            self._refuse(f"takes more than {allowed:.3g} s for {self.records:,} records")
        except MemoryError:
            self._refuse(f"needs more than {sized(RENDERING_BYTES)} for one record")
        self.spent_s += time.monotonic() - started
        if self.spent_s > allowed:
            self._refuse(f"takes more than {allowed:.3g} s for {self.records:,} records")

    def _refuse(self, found: str) -> None:
        raise DataError(
            f"the chat template of {self.template} {found}: render the records yourself and give them as text, or give "
            "--rendering roles"
        )


class _TimeOver(BaseException):
    """No Exception: a template's own error handling must not catch it."""


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _TimeOver

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def _limited_memory(room: int) -> Iterator[None]:
    """Lets the address space grow by that much; where its size cannot be read, it is not limited."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    size = _address_space()
    bound = min([value for value in (size + room, soft, hard) if value != resource.RLIM_INFINITY])
    if not size:
        yield
        return
    resource.setrlimit(resource.RLIMIT_AS, (bound, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space() -> int:
    """Bytes of this process's address space; 0 where the system does not say."""
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:  # noqa: PTH123 (on the way to each record)
            return int(stream.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 0
