"""What a name stands for: a file, the files of a folder or of one of its splits, or a data set on the hub."""

import difflib
import itertools
import json
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rote.corpus.defects import shown_names
from rote.corpus.formats import READERS, Layout, Row, as_fields, first_line, suffix_of
from rote.corpus.tables import arrow_rows, check_count, parquet_rows
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
SUFFIXES = (*READERS, ".parquet", ".arrow", ".feather")
SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""Splits and the words for them in the names of files and folders, as `datasets` has them."""
OTHER_SPLITS = ("nonmembers", "heldout", "holdout", "unseen", "control", "controls", "members")
"""Words that tell records apart by what a model was trained on, which `datasets` does not know."""
_WORDS = re.compile(r"[-._ 0-9]+")
_HUB_NAME = re.compile(r"(?P<name>[\w.-]+(/[\w.-]+)?)(:(?P<split>[\w.-]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Source:
    """What a name stands for."""

    name: str
    files: tuple[Path, ...]
    """In the order in which they are read; none for a hub data set."""
    split: str = ""
    """The split that is read, where a folder or a hub data set has several."""
    hub: str = ""
    """Name of a data set on the hub."""


def find(name: str, *, echo: Echo) -> Source:
    """What a file, a folder, "folder:split", or (where there is no such file) "owner/name" or "owner/name:split" means.

    A folder is read recursively: the files of the first family of formats that it holds, Arrow, Parquet, JSON lines,
    CSV, JSON, text, in the order of their paths; of several splits (train, validation, test …, by the words that
    `datasets` knows, or the folders that `save_to_disk` makes) the training split.

    Raises:
        DataError: there is nothing of that name, it is no file, or it is not clear which split is meant.
    """
    path = Path(name).expanduser()
    try:
        if path.is_dir():
            return _folder(name, path, "", echo)
        if path.exists():
            check_file(path)
            return Source(name, (path,))
        folder, _, split = name.rpartition(":")
        if folder and split and (inner := Path(folder).expanduser()).is_dir():
            return _folder(name, inner, split, echo)
        return _absent(name, path)
    except OSError as error:
        raise DataError.at(path, None, f"cannot be read: {error.strerror or error}") from error


def read_rows(source: Source, layout: Layout, *, max_records: int) -> Iterator[Row]:
    """All rows of a source.

    Raises:
        DataError: a file cannot be read, or there are more than `max_records` rows.
        MissingExtraError: a hub name, and `datasets` is not installed.
    """
    path = Path(source.name)
    try:
        files = (row for file in source.files for row in _rows_of(file, layout, max_records))
        rows = _hub(source) if source.hub else files
        for number, row in enumerate(rows, start=1):
            check_count(source.name, number, max_records)
            yield row
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError.at(getattr(error, "filename", None) or path, None, f"cannot be read: {reason}") from error
    except MemoryError as error:
        raise DataError.at(path, None, "does not fit into memory; give a part of it") from error


def _rows_of(file: Path, layout: Layout, max_records: int) -> Iterator[Row]:
    suffix = suffix_of(file)
    if suffix == ".parquet":
        return parquet_rows(file, max_records)
    if suffix in (".arrow", ".feather"):
        return arrow_rows(file)
    if suffix in READERS:
        return READERS[suffix](file, layout)
    known = ", ".join(SUFFIXES)
    raise DataError.at(
        file, None, f"unknown format {suffix or file.name!r}; known: {known} (all but the binary ones also as .gz)"
    )


def check_file(path: Path) -> None:
    """Raises a DataError for a FIFO, a socket or a device, which may never end."""
    if path.is_file():
        return
    kinds = {"a FIFO": path.is_fifo(), "a socket": path.is_socket()}
    kind = next((name for name, holds in kinds.items() if holds), "a device")
    raise DataError.at(path, None, f"is {kind}, no file; write the records to a file (.jsonl) first")


def _folder(name: str, folder: Path, split: str, echo: Echo) -> Source:
    found = sorted(item for item in folder.rglob("*") if item.is_file() and not _is_hidden(item, folder))
    for family in FAMILIES:
        files = [item for item in found if suffix_of(item) in family]
        if files:
            kept, part = _of_split(name, folder, files, split)
            _check_links(folder, kept)
            if part:
                echo(f"{folder}: split {part} is read, of {', '.join(sorted(set(_splits(folder, files).values())))}")
            if len(kept) < len(found):
                echo(f"{folder}: {len(kept)} files are read ({', '.join(family)}), {len(found) - len(kept)} are not")
            return Source(name, tuple(kept), part)
    names = shown_names(item.name for item in sorted(folder.iterdir()))
    raise DataError.at(folder, None, f"no data files in this folder (looked for {', '.join(SUFFIXES)}; found {names})")


def _is_hidden(item: Path, folder: Path) -> bool:
    """Hidden files, and the caches that `datasets` leaves in its folders."""
    parts = item.relative_to(folder).parts
    return any(part.startswith(".") for part in parts) or (item.suffix == ".arrow" and item.name.startswith("cache-"))


def _check_links(folder: Path, files: Sequence[Path]) -> None:
    """Raises a DataError for a file that is a link to somewhere else; the hub's cache links to its own blobs."""
    inside = [folder.resolve()]
    if folder.absolute().parent.name == "snapshots":
        inside.append(folder.resolve().parent.parent / "blobs")
    for file in files:
        target = file.resolve()
        if not any(target.is_relative_to(place) for place in inside):
            raise DataError.at(
                file, None, f"is a link to {target}, outside the folder; give that file itself, or a copy"
            )


def _of_split(name: str, folder: Path, files: list[Path], wanted: str) -> tuple[list[Path], str]:
    """The files of the split that is meant, and its name; all files and "" where names tell no splits apart."""
    splits = _splits(folder, files)
    known = sorted({split for split in splits.values() if split})
    if wanted:
        canonical = next((split for split, words in SPLITS.items() if wanted in words), wanted)
        chosen = [file for file in files if splits[file] in (wanted, canonical)]
        chosen = chosen or [file for file in files if _name_before_suffix(file) == wanted]
        if chosen:
            return chosen, splits[chosen[0]] or wanted
        others = ", ".join(known) or shown_names(_name_before_suffix(file) for file in files)
        raise DataError.at(folder, None, f"holds no split {wanted!r}, but {others}")
    if not known or (len(known) == 1 and "" not in splits.values()):
        return files, ""
    if "train" not in known:
        others = ", ".join([*known, *(["files without the name of a split"] if "" in splits.values() else [])])
        raise DataError.at(
            folder,
            None,
            f"holds several splits: {others}; name the one that is meant, as {name.rstrip('/')}:{known[0]}",
        )
    return [file for file in files if splits[file] == "train"], "train"


def _splits(folder: Path, files: Sequence[Path]) -> dict[Path, str]:
    """The split of each file, "" for none: by the list of `save_to_disk`, else by folders, else by the files' names."""
    parts = {file: file.relative_to(folder).parts for file in files}
    listed = _listed_splits(folder)
    if listed:
        return {file: part[0] if part[0] in listed else "" for file, part in parts.items()}
    by_folder = {file: next(filter(None, map(_split_in, part[:-1])), "") for file, part in parts.items()}
    if any(by_folder.values()):
        return by_folder
    return {file: _split_in(_name_before_suffix(file)) for file in files}


def _listed_splits(folder: Path) -> list[str]:
    try:
        listed = json.loads((folder / "dataset_dict.json").read_text(encoding="utf-8"))["splits"]
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return []
    return [str(name) for name in listed] if isinstance(listed, list) else []


def _split_in(name: str) -> str:
    """The split that a word of the name says."""
    words = [word for word in _WORDS.split(name.lower()) if word]
    words += ["".join(pair) for pair in itertools.pairwise(words)]  # held-out, non_members
    known = next((split for split, others in SPLITS.items() if any(word in others for word in words)), "")
    return known or next((word for word in OTHER_SPLITS if word in words), "")


def _name_before_suffix(file: Path) -> str:
    name = file.name[: -len(".gz")] if file.name.lower().endswith(".gz") else file.name
    return name.rpartition(".")[0] or name


def _absent(name: str, path: Path) -> Source:
    """A hub data set, or the error that says what is not there."""
    match = _HUB_NAME.fullmatch(name)
    is_in_folder = "/" in name and path.parent.is_dir()
    if match is None or suffix_of(path) in SUFFIXES or is_in_folder or name.startswith((".", "~")):
        raise DataError(f"{_not_there(path)}; a data set on the hub is given as owner/name or owner/name:split")
    return Source(name, (), match["split"] or "train", match["name"])


def _not_there(path: Path) -> str:
    parent = path.parent
    if not parent.is_dir():
        return f"{path}: no such file (there is no folder {parent} either)"
    return f"{path}: no such file or folder{_did_you_mean(path)}"


def _did_you_mean(path: Path) -> str:
    names = [item.name for item in itertools.islice(path.parent.iterdir(), 10_000)] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _hub(source: Source) -> Iterator[Row]:
    name = source.name
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("datasets", "datasets", f"{name!r} is no file here; reading it from the hub") from error
    try:
        for number, fields in enumerate(datasets.load_dataset(source.hub, split=source.split, streaming=True), start=1):
            yield Row(name, number, as_fields(fields))
    except Exception as error:  # its network stack raises what it likes
        nowhere = f"{name}: neither a file here{_did_you_mean(Path(name))} nor a data set that can be read from the hub"
        raise DataError(f"{nowhere}: {first_line(error)}") from error
