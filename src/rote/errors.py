"""Errors that the user can mend: printed without a traceback, exit code 2. Anything else is a bug of ours."""

import signal
from pathlib import Path

OK = 0
"""Exit code: measured, and under every threshold."""
USER_ERROR = 2
"""Exit code: something that the user can mend. A bug of rote ends in Python's own 1."""
BREACHED = 3
"""Exit code: a threshold given with --fail-above is breached."""
NOT_MEASURED = 4
"""Exit code: could not measure."""
INTERRUPTED = 128 + signal.SIGINT
"""Exit code: Ctrl-C."""
TERMINATED = 128 + signal.SIGTERM
"""Exit code: SIGTERM."""


class RoteError(Exception):
    """Something that the user can mend. The message names the value that was found."""


class ConfigError(RoteError):
    """A setting is unknown, of the wrong type, or out of range."""


class DataError(RoteError):
    """A data file cannot be read or used."""

    @classmethod
    def at(cls, file: Path | str, line: int | None, message: str, *, field: str | None = None) -> "DataError":
        """The error with its place in front: file, line (from 1) and field, as far as they are known."""
        place = f"{file}" + (f", line {line}" if line is not None else "") + (f", field {field!r}" if field else "")
        return cls(f"{place}: {message}")


class ModelError(RoteError):
    """A model folder or hub name cannot be loaded or does not fit."""


class RunError(RoteError):
    """A run folder cannot be used: an artifact is missing, damaged or made with other settings, or it cannot be written."""


class MissingExtraError(RoteError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, needed_for: str) -> None:
        super().__init__(f"{needed_for} needs the package {package!r}: pip install 'rote[{extra}]'")


def is_lack_of_memory(error: BaseException) -> bool:
    """Whether Python, NumPy, Arrow or torch (on any device) could not get memory."""
    names = {kind.__name__ for kind in type(error).__mro__}
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )
