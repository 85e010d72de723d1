"""A progress bar on standard error for work that comes in chunks; silent where nobody watches."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def track(chunks: Iterable[Sequence[Item]], label: str, *, total: int, done: int = 0) -> Iterator[Sequence[Item]]:
    """Passes the chunks on and shows how many of `total` items have come; `done` of them came in an earlier run."""
    if not sys.stderr.isatty():
        yield from chunks
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(label, total=total, completed=min(done, total))
        for chunk in chunks:
            yield chunk
            progress.advance(task, len(chunk))
