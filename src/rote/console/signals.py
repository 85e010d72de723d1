"""SIGTERM ends a command as Ctrl-C does: what is finished is kept, child processes are ended, a message says so."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """The process was asked to end."""


@contextmanager
def terminable() -> Iterator[None]:
    """Within it SIGTERM raises `Terminated` in the main thread; a second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, _: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise Terminated

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


class Postponement:
    """Between `begin` and `end`, which may be nested, Ctrl-C and SIGTERM wait; a second signal ends the process at once.

    For code that must not be left in its middle: an exception raised within a function that compiled code calls back is
    swallowed, and what follows fails for a reason that nobody can understand. In other threads than the main one, where
    no signal is handled, it does nothing.
    """

    def __init__(self, notice: bytes) -> None:
        self._notice = notice
        """Written to standard error when a signal has to wait."""
        self._depth = 0
        self._came: int | None = None
        self._before: dict[int, signal._HANDLER] = {}

    def begin(self) -> None:
        """From now on signals wait."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._depth += 1
        if self._depth == 1:
            self._came = None
            self._before = {number: signal.signal(number, self._wait) for number in (signal.SIGINT, signal.SIGTERM)}

    def end(self) -> None:
        """Signals are handled as before the outermost `begin`, the one that came meanwhile first of all."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._depth -= 1
        if self._depth == 0:
            for number, handler in self._before.items():
                signal.signal(number, handler or signal.SIG_DFL)
            if self._came is not None:
                signal.raise_signal(self._came)

    def _wait(self, number: int, _: FrameType | None) -> None:
        if self._came is not None:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._came = number
        os.write(2, self._notice)
