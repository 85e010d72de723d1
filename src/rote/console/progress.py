"""Progress on standard error for work that comes in chunks: a bar, or a line now and then where it is no terminal."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")

EVERY_S = 30.0
"""Least time between two lines."""


Show = Callable[[str], None]
_shown_by: ContextVar[Show | None] = ContextVar("_shown_by", default=None)


@contextmanager
def shown_by(show: Show) -> Iterator[None]:
    """Within it progress is no bar: its lines go to this function."""
    before = _shown_by.set(show)
    try:
        yield
    finally:
        _shown_by.reset(before)


def _to_standard_error(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


class Lines:
    """Shows a line at most every `EVERY_S` seconds; the first one after as long."""

    def __init__(self) -> None:
        self._next = time.monotonic() + EVERY_S

    def show(self, line: str) -> None:
        """Shows the line if it is time for one."""
        if time.monotonic() >= self._next:
            (_shown_by.get() or _to_standard_error)(line)
            self._next = time.monotonic() + EVERY_S


def track(chunks: Iterable[Sequence[Item]], label: str, *, total: int, done: int = 0) -> Iterator[Sequence[Item]]:
    """Passes the chunks on and shows how many of `total` items have come; `done` of them came in an earlier run."""
    if _shown_by.get() or not sys.stderr.isatty():
        yield from _in_lines(chunks, label, total=total, done=done)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total, completed=min(done, total))
        for chunk in chunks:
            yield chunk
            progress.advance(task, len(chunk))


def _in_lines(chunks: Iterable[Sequence[Item]], label: str, *, total: int, done: int) -> Iterator[Sequence[Item]]:
    lines = Lines()
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        lines.show(f"{label}: {min(done, total):,} of {total:,}")
