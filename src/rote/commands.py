"""rote commands in processes of their own, some at a time: what the demonstration and studies are made of."""

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from rote.errors import RoteError
from rote.runs import Echo


class Commands:
    """Runs rote commands, each in a process of its own; every line that one prints advances the bar."""

    def __init__(self, echo: Echo, advance: Callable[[str], None]) -> None:
        self.echo = echo
        self.advance = advance

    def rote(self, *words: object) -> None:
        """One command; raises RoteError with the end of its output where it fails."""
        arguments = [str(word) for word in words]
        self.echo("$ " + shlex.join(["rote", *arguments]))
        process = subprocess.Popen(
            [sys.executable, "-m", "rote.cli", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        lines: list[str] = []
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line.rstrip())
            self.advance(f"{arguments[0]}: {lines[-1]}")
        if process.wait() != 0:
            raise RoteError(f"`{shlex.join(['rote', *arguments])}` failed:\n" + "\n".join(lines[-15:]))


@contextmanager
def worker_threads(at_once: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that run the commands; after an error or Ctrl-C no further command is started."""
    pool = ThreadPoolExecutor(at_once)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def progress(steps: int) -> Iterator[Callable[[str], None]]:
    """A bar over about so many printed lines; the function it gives takes the line that was just printed."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("starting", total=steps)
        yield lambda line: bar.update(task, advance=1, description=line[:80])
