"""Errors that the user can mend: printed without a traceback, exit code 2. Anything else is a bug of ours."""

from pathlib import Path


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


class StaleRunError(RoteError):
    """An artifact that a stage needs is missing, or was made with other settings."""


class MissingExtraError(RoteError):
    """An optional dependency is not installed."""

    def __init__(self, package: str, extra: str, needed_for: str) -> None:
        super().__init__(f"{needed_for} needs the package {package!r}: pip install 'rote[{extra}]'")
