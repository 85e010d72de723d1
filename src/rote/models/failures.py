"""What other libraries raise on somebody's files, as one line that names the folder."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from rote.errors import ModelError, RoteError

MAX_CHARS = 500
"""Longest reason that is shown."""
SHOWN_LINES = 4
"""Lines of a reason that are shown; the first of a state_dict error alone says nothing."""


@contextmanager
def reading(what: str, *, remedy: str = "") -> Iterator[None]:
    """Raises a ModelError that begins with `what` and ends with the remedy for whatever a library raises inside.

    Everything is caught: the files are somebody's, and what a library raises on a strange one is no promise of it
    (AttributeError, RecursionError, OverflowError …).
    """
    try:
        yield
    except RoteError:
        raise
    except Exception as error:
        ending = f"; {remedy}" if remedy and not _is_short_of_memory(error) else ""
        raise ModelError(f"{what}: {reason(error).rstrip('.')}{ending}") from error


def reason(error: Exception) -> str:
    """The useful lines of the error's message, as one; with the error's name where the message alone says too little."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(lines[:SHOWN_LINES])[:MAX_CHARS]
    if _is_short_of_memory(error):
        return f"not enough memory ({text or type(error).__name__})"
    hidden = len(lines) - SHOWN_LINES
    more = f" … ({hidden} more lines)" if hidden > 0 else ""
    named = isinstance(error, LookupError | RecursionError | AttributeError | AssertionError) or not text
    return f"{type(error).__name__}: {text}{more}".rstrip(": ") if named else text + more


def _is_short_of_memory(error: Exception) -> bool:
    said = r"out of memory|can't allocate memory|cannot allocate memory|not enough memory"
    return isinstance(error, MemoryError) or re.search(said, str(error), re.IGNORECASE) is not None
