"""rote commands in processes of their own, some at a time: what the demonstration and studies are made of.

Reading torch and transformers takes longer than many a command takes to work. Where the system can, one server process
reads them once, and each command is forked from it.
"""

import multiprocessing
import os
import runpy
import shlex
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess, SpawnContext, SpawnProcess

from rote.console.progress import Lines
from rote.errors import RoteError
from rote.runs import Echo

PRELOADED = (
    "rote.stages.attend",
    "rote.finetuning.loop",
    "rote.reporting.contents",
    "rote.retrieval",
    "transformers.models.auto.modeling_auto",
    "transformers.models.llama.modeling_llama",
    "transformers.models.t5.modeling_t5",
)
"""Modules that the server reads before the first command."""
PATIENCE_S = 10.0
"""How long a command that was asked to end may take."""
LAST_LINES = 15
"""Lines of a failed command's output that are shown."""


class Commands:
    """Runs rote commands, each in a process of its own; every line that one prints advances the bar."""

    def __init__(self, echo: Echo, advance: Callable[[str], None]) -> None:
        self.echo = echo
        self.advance = advance
        self.context = _context()

    def rote(self, *words: object) -> None:
        """One command; raises RoteError with the end of its output where it fails."""
        arguments = [str(word) for word in words]
        self.echo("$ " + shlex.join(["rote", *arguments]))
        receiver, sender = self.context.Pipe(duplex=False)
        process = self.context.Process(target=run_command, args=(arguments, sender))
        lines: list[str] = []
        with _ended(process):
            sender.close()
            with os.fdopen(os.dup(receiver.fileno()), encoding="utf-8", errors="replace") as output:
                for line in output:
                    lines.append(line.rstrip())
                    self.advance(f"{arguments[0]}: {lines[-1]}")
            receiver.close()
            process.join()
        if process.exitcode != 0:
            raise RoteError(f"`{shlex.join(['rote', *arguments])}` failed:\n" + "\n".join(lines[-LAST_LINES:]))


_running: "set[ForkServerProcess | SpawnProcess]" = set()


@contextmanager
def _ended(process: "ForkServerProcess | SpawnProcess") -> Iterator[None]:
    """Starts the process; after an error or a signal in this one it is ended, too."""
    process.start()
    _running.add(process)
    try:
        yield
    except BaseException:
        _end([process])
        raise
    finally:
        _running.discard(process)


def _end(processes: "Sequence[ForkServerProcess | SpawnProcess]") -> None:
    """Asks processes to end, as SIGTERM does; ends those that do not."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(PATIENCE_S)
        if process.is_alive():
            process.kill()


def _context() -> ForkServerContext | SpawnContext:
    """How processes start: a command inherits nothing of this one, with a fork server or without."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def run_command(arguments: Sequence[str], output: Connection) -> None:
    """Runs one command in this process; what it says goes to the connection, what it prints nowhere."""
    os.dup2(output.fileno(), 2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.argv = ["rote", *arguments]
    runpy.run_module("rote.cli", run_name="__main__")


@contextmanager
def worker_threads(at_once: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that run the commands; after an error no further command is started, after a signal the others are ended."""
    pool = ThreadPoolExecutor(at_once)
    try:
        yield pool
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
        _end([*_running])
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def progress(steps: int) -> Iterator[Callable[[str], None]]:
    """A bar over about so many printed lines; the function it gives takes the line that was just printed.

    Where standard error is no terminal, the newest line is printed now and then.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    if not sys.stderr.isatty():
        yield Lines().show
        return
    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("starting", total=steps)
        yield lambda line: bar.update(task, advance=1, description=line[:80])
