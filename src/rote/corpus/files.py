"""What a name stands for: a file, the files of a folder, or a data set on the hub."""

import difflib
import itertools
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from rote.corpus.defects import shown_names
from rote.corpus.formats import READERS, Row, as_fields, first_line, suffix_of
from rote.errors import DataError, MissingExtraError
from rote.runs import Echo

FAMILIES = (
    (".arrow", ".feather"),
    (".parquet",),
    (".jsonl", ".ndjson"),
    (".csv", ".tsv"),
    (".json",),
    (".txt", ".md"),
)
"""Formats that are read together from one folder, in the order of preference."""
SPLITS = ("train", "validation", "valid", "dev", "test")
"""Names of splits, as words in the names of files and folders."""
_HUB_NAME = re.compile(r"(?P<name>[\w.-]+(/[\w.-]+)?)(:(?P<split>[\w.-]+))?", re.ASCII)


def read_rows(name: str, *, echo: Echo) -> Iterator[Row]:
    """All rows of a file, a folder, or (where there is no such file) a hub data set "owner/name" or "owner/name:split".

    A folder is read recursively: the files of the first family of formats that it holds, Arrow, Parquet, JSON lines,
    CSV, JSON, text, in the order of their paths; of several splits (train, test …) the training split.

    Raises:
        DataError: there is nothing of that name, or it cannot be read at all.
        MissingExtraError: a hub name, and `datasets` is not installed.
    """
    path = Path(name).expanduser()
    try:
        if not path.exists():
            yield from _absent(name, path)
            return
        files = _files_of(path, echo) if path.is_dir() else [path]
        for file in files:
            yield from _reader(file)(file)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError.at(getattr(error, "filename", None) or path, None, f"cannot be read: {reason}") from error


def _reader(file: Path) -> Callable[[Path], Iterator[Row]]:
    suffix = suffix_of(file)
    if suffix not in READERS:
        known = ", ".join(READERS)
        raise DataError.at(
            file, None, f"unknown format {suffix or file.name!r}; known: {known} (all but the binary ones also as .gz)"
        )
    return READERS[suffix]


def _files_of(folder: Path, echo: Echo) -> list[Path]:
    found = sorted(item for item in folder.rglob("*") if item.is_file() and not _is_hidden(item, folder))
    for family in FAMILIES:
        files = [item for item in found if suffix_of(item) in family]
        if files:
            kept = files if ".txt" in family else _training_split(folder, files, echo)
            if len(kept) < len(found):
                echo(f"{folder}: {len(kept)} files are read ({', '.join(family)}), {len(found) - len(kept)} are not")
            return kept
    names = shown_names(item.name for item in sorted(folder.iterdir()))
    raise DataError.at(folder, None, f"no data files in this folder (looked for {', '.join(READERS)}; found {names})")


def _is_hidden(item: Path, folder: Path) -> bool:
    """Hidden files, and the caches that `datasets` leaves in its folders."""
    parts = item.relative_to(folder).parts
    return any(part.startswith(".") for part in parts) or (item.suffix == ".arrow" and item.name.startswith("cache-"))


def _training_split(folder: Path, files: list[Path], echo: Echo) -> list[Path]:
    """The files of the training split, if names of files or folders tell several splits apart."""
    splits = {file: _split_of(file.relative_to(folder)) for file in files}
    known = sorted({name for name in splits.values() if name})
    if len(known) < 2:
        return files
    if "train" not in known:
        raise DataError.at(folder, None, f"holds several splits: {', '.join(known)}; name the file or folder of one")
    echo(f"{folder}: split train is read, of {', '.join(known)}")
    return [file for file in files if splits[file] == "train"]


def _split_of(path: Path) -> str:
    words = [part for item in path.parts for part in re.split(r"[^a-z]+", item.lower())]
    return next((name for name in SPLITS if name in words), "")


def _absent(name: str, path: Path) -> Iterator[Row]:
    """A hub data set, or the error that says what is not there."""
    match = _HUB_NAME.fullmatch(name)
    is_in_folder = "/" in name and path.parent.is_dir()
    if match is None or suffix_of(path) in READERS or is_in_folder or name.startswith((".", "~")):
        raise DataError(f"{_not_there(path)}; a data set on the hub is given as owner/name or owner/name:split")
    return _hub(name, match["name"], split=match["split"] or "train")


def _not_there(path: Path) -> str:
    parent = path.parent
    if not parent.is_dir():
        return f"{path}: no such file (there is no folder {parent} either)"
    return f"{path}: no such file or folder{_did_you_mean(path)}"


def _did_you_mean(path: Path) -> str:
    names = [item.name for item in itertools.islice(path.parent.iterdir(), 10_000)] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _hub(name: str, dataset: str, *, split: str) -> Iterator[Row]:
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", "datasets", f"{name!r} is no file here; reading it from the hub") from error
    try:
        for number, fields in enumerate(datasets.load_dataset(dataset, split=split, streaming=True), start=1):
            yield Row(name, number, as_fields(fields))
    except Exception as error:  # its network stack raises what it likes
        nowhere = f"{name}: neither a file here{_did_you_mean(Path(name))} nor a data set that can be read from the hub"
        raise DataError(f"{nowhere}: {first_line(error)}") from error
