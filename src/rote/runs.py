"""The run folder: artifact names, the manifest, what is fresh and what is stale, atomic and resumable writes.

Only this module reads and writes artifacts. An artifact is a JSONL file that is written under a temporary name and
renamed: a file that exists is whole. Long work is appended to `NAME.partial`, one line per finished chunk, so a run
that was killed goes on at the first unfinished chunk and ends in the same bytes.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import TypeAlias, TypeVar, cast

import rote
from rote.errors import StaleRunError
from rote.records import Json, from_row, to_row

FORMAT = 3
"""Raised whenever an artifact's meaning changes; artifacts of another format are stale."""

EXAMPLES = "examples.jsonl"
DROPPED = "dropped.jsonl"
READINGS = "readings.jsonl"
LEFT_OUT = "left-out.jsonl"
LEFT_OUT_PROMPTS = "left-out-prompts.jsonl"
LEFT_OUT_LOSSES = "left-out-losses-{model}.jsonl"
PROMPTS = "prompts.jsonl"
UNMEASURABLE = "unmeasurable.jsonl"
GENERATIONS = "generations-{model}.jsonl"
TOKEN_SCORES = "token-scores-{model}.jsonl"
TOKEN_STORE = "token-store"
RECHECKS = "rechecks-{model}.jsonl"
SOUNDNESS = "soundness-{model}.jsonl"
AGREEMENTS = "agreement-{model}.jsonl"
VARIANTS = "variants-{model}.jsonl"
CANDIDATES = "candidates.jsonl"
NONMEMBER_CANDIDATES = "candidates-nonmember.jsonl"
EXACT = "exact.jsonl"
MATCHES = "matches.jsonl"
DETECTOR = "detector.jsonl"
SCORES = "scores.jsonl"
SIMILARITIES = "similarities.jsonl"
PERSONAL_DATA = "personal-data.jsonl"
PERSONAL_ITEMS = "personal-items.jsonl"
UTILITY = "utility.jsonl"
COMPRESSIONS = "compressions.jsonl"
COMPRESSION_ESTIMATES = "compression-estimates.jsonl"
ESTIMATES = "estimates.jsonl"
COMPARISONS = "comparisons.jsonl"
SEPARATIONS = "separations.jsonl"
CURVES = "curves.jsonl"
REFERENCES = "references.jsonl"
ATTENTION = "attention.jsonl"
ATTENTION_MAPS = "attention-maps.jsonl"
CONTRASTS = "attention-contrasts.jsonl"
INCREMENTAL = "attention-incremental.jsonl"
NEEDED_INPUT = "needed-input.jsonl"
CANARIES = "canaries.jsonl"
EXPOSURES = "exposures-{model}.jsonl"
CANARY_ESTIMATES = "canary-estimates.jsonl"
CANARY_SEPARATIONS = "canary-separations.jsonl"
PRIVACY_BOUNDS = "privacy-bounds.jsonl"
TRAINING_DATA = "members-with-canaries.jsonl"
HELD_OUT_DATA = "nonmembers.jsonl"
CONFIG = "config.toml"
MANIFEST = "manifest.json"
REPORT_HTML = "report.html"
REPORT_JSON = "report.json"
ATTENTION_HTML = "attention.html"

PACKAGES = ("torch", "transformers", "peft", "tokenizers", "numpy", "pydivsufsort", "numba", "rapidfuzz")

Record = TypeVar("Record")
Row: TypeAlias = dict[str, Json]
Echo = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Entry:
    """What the manifest knows of one artifact: how it was made, and its content."""

    key: str
    settings: dict[str, Json]
    inputs: dict[str, str]
    sha256: str


class Run:
    """One run folder.

    Args:
        folder: created where it does not exist, unless `must_exist` is given.
        echo: gets one line for each artifact that is fresh, stale or resumed.
    """

    def __init__(self, folder: Path, *, echo: Echo = lambda _: None, must_exist: bool = False) -> None:
        self.folder = folder
        self.echo = echo
        if must_exist and not (folder / MANIFEST).exists():
            raise StaleRunError(f"{folder}: not a run folder (no {MANIFEST}); `rote prepare` or `rote audit` makes one")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StaleRunError(f"{folder}: cannot be used as a run folder: {error.strerror}") from error
        self._manifest: dict[str, Json] = self._read_manifest()

    def path(self, name: str) -> Path:
        """Where the artifact of that name lies (it may not exist)."""
        return self.folder / name

    def has(self, name: str) -> bool:
        """Whether the artifact exists and stands in the manifest."""
        return self.entry(name) is not None and self.path(name).exists()

    def entry(self, name: str) -> Entry | None:
        """The manifest's entry of an artifact."""
        row = self._artifacts().get(name)
        return from_row(Entry, cast(dict[str, Json], row)) if row else None

    def read(self, name: str, kind: type[Record]) -> list[Record]:
        """All records of an artifact.

        Raises:
            StaleRunError: it does not exist, or it is not what this program wrote.
        """
        path = self.path(name)
        if not path.exists():
            raise StaleRunError(f"{path} does not exist: run the stage that makes it first (see `rote --help`)")
        try:
            with path.open(encoding="utf-8") as file:
                return [from_row(kind, json.loads(line)) for line in file]
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise StaleRunError(
                f"{path}: damaged ({error}); delete it and run the stage that makes it again"
            ) from error

    def make(
        self,
        name: str,
        produce: Callable[[int], Iterable[Sequence[object]]],
        *,
        settings: Mapping[str, Json],
        inputs: Sequence[str] = (),
        order: Callable[[Row], tuple[str | int, ...]] | None = None,
        chunking: Json = None,
    ) -> bool:
        """Makes the artifact unless it is fresh; returns whether anything was made.

        Args:
            name: the artifact.
            produce: called with the number of chunks that are done already; yields the chunks (lists of records)
                that are left. The chunks must be the same in every run with the same settings and inputs.
            settings: everything that the content depends on besides the inputs.
            inputs: artifacts of this run that the content depends on.
            order: sort key of the finished artifact's rows (chunks may come in another order).
            chunking: whatever decides how the work is cut into chunks, and nothing else (a batch size): an unfinished
                artifact goes on only where it is the same, a finished one does not depend on it.
        """
        hashes = {other: self._sha256(other) for other in inputs}
        key = _key(settings, hashes)
        entry = self.entry(name)
        if entry is not None and entry.key == key and self.path(name).exists():
            self.echo(f"{name}: up to date")
            return False
        if entry is not None and self.path(name).exists():
            self.echo(f"{name}: stale, {_difference(entry, settings, hashes)}; making it again")
        rows = self._rows(name, f"{key} {chunking}", produce)
        if order is not None:
            rows.sort(key=order)
        self._write_rows(name, rows, Entry(key, dict(settings), hashes, ""))
        self.path(name + ".partial").unlink(missing_ok=True)
        return True

    def write(self, name: str, records: Iterable[object], *, settings: Mapping[str, Json]) -> None:
        """Writes a whole artifact at once and enters it in the manifest."""
        self._write_rows(
            name, [to_row(record) for record in records], Entry(_key(settings, {}), dict(settings), {}, "")
        )

    def adopt(self, name: str, other: "Run") -> None:
        """Copies an artifact that another run has; it is up to date here if it was made in the same way."""
        entry = other.entry(name)
        if entry is None or self.has(name) or not other.has(name):
            return
        write_atomically(self.path(name), other.path(name).read_bytes())
        self._artifacts()[name] = to_row(entry)
        self._save_manifest()

    def discard(self, *names: str) -> None:
        """Removes artifacts that no longer belong to the run."""
        for name in names:
            if self.has(name):
                self.echo(f"{name}: no longer part of this run; removed")
            self.path(name).unlink(missing_ok=True)
            self._artifacts().pop(name, None)
        self._save_manifest()

    def write_text(self, name: str, text: str) -> Path:
        """Writes a file of the run atomically (not entered in the manifest)."""
        return write_atomically(self.path(name), text.encode("utf-8", "backslashreplace"))

    def note(self, **facts: Json) -> None:
        """Adds facts to the manifest, e.g. hashes of data and models, the device, the seed."""
        self._manifest.update(facts)
        self._save_manifest()

    def manifest(self) -> dict[str, Json]:
        """The manifest as a JSON object (a copy)."""
        return cast(dict[str, Json], json.loads(json.dumps(self._manifest)))

    def signature(self) -> str:
        """One line that says what made the figures; printed with every table."""
        known = self._manifest
        parts = [f"rote {known['version']}", f"config {str(known.get('config_hash', '?'))[:8]}"]
        parts += [f"data {str(known.get('data_hash', '?'))[:8]}", f"model {str(known.get('model_hash', '?'))[:8]}"]
        parts += [f"device {known.get('device', '?')}", f"seed {known.get('seed', '?')}"]
        return " · ".join(parts)

    def _rows(self, name: str, key: str, produce: Callable[[int], Iterable[Sequence[object]]]) -> list[Row]:
        """All rows, those of finished chunks from the partial file first; new chunks are appended to it."""
        partial = self.path(name + ".partial")
        chunks = _finished_chunks(partial, key)
        if chunks:
            self.echo(f"{name}: going on after {len(chunks)} finished chunks")
        write_atomically(partial, b"".join(encode(part) + b"\n" for part in cast(list[Json], [key, *chunks])))
        with partial.open("ab") as file:
            for chunk in produce(len(chunks)):
                rows = [to_row(record) for record in chunk]
                file.write(encode(cast(Json, rows)) + b"\n")
                file.flush()
                chunks.append(rows)
        return [row for rows in chunks for row in rows]

    def _write_rows(self, name: str, rows: Iterable[Row], entry: Entry) -> None:
        content = b"".join(encode(row) + b"\n" for row in rows)
        write_atomically(self.path(name), content)
        self._artifacts()[name] = to_row(replace(entry, sha256=hashlib.sha256(content).hexdigest()))
        self._save_manifest()

    def _sha256(self, name: str) -> str:
        entry = self.entry(name)
        if entry is None:
            raise StaleRunError(f"{self.path(name)} does not exist: run the stage that makes it first")
        return entry.sha256

    def _artifacts(self) -> dict[str, Json]:
        return cast(dict[str, Json], self._manifest.setdefault("artifacts", {}))

    def _read_manifest(self) -> dict[str, Json]:
        fresh: dict[str, Json] = {"format": FORMAT, "version": rote.__version__, "packages": dict(_packages())}
        path = self.path(MANIFEST)
        if not path.exists():
            return fresh
        try:
            known = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(known, dict):
                raise ValueError(f"an object was expected, found {str(known)[:80]!r}")
            for row in known.get("artifacts", {}).values() if known.get("format") == FORMAT else ():
                from_row(Entry, row)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise StaleRunError(f"{path}: cannot be read ({error}); delete it to start the run anew") from error
        if known.get("format") != FORMAT:
            self.echo(f"{path}: format {known.get('format')}, now {FORMAT}: everything is made again")
            return fresh
        return {**known, **fresh}

    def _save_manifest(self) -> None:
        self.write_text(MANIFEST, json.dumps(self._manifest, indent=1, sort_keys=True, ensure_ascii=True) + "\n")


def encode(value: Json) -> bytes:
    """Compact JSON in UTF-8; text with lone surrogates is written with escapes."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True, separators=(",", ":")).encode("ascii")


def write_atomically(path: Path, content: bytes) -> Path:
    """Writes the file under a temporary name, flushes it to the disk and renames it.

    Raises:
        StaleRunError: it cannot be written: no permission, no space …
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise StaleRunError(f"{path}: cannot be written: {error.strerror or error}") from error
    return path


def file_hash(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder with their relative names."""
    digest = hashlib.sha256()
    files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
    for file in files:
        digest.update(str(file.relative_to(path)).encode("utf-8", "surrogateescape") + b"\0")
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _key(settings: Mapping[str, Json], inputs: Mapping[str, str]) -> str:
    text = json.dumps([FORMAT, dict(settings), dict(inputs)], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _difference(entry: Entry, settings: Mapping[str, Json], inputs: Mapping[str, str]) -> str:
    """In words: which settings and inputs changed since the artifact was made."""
    new = cast(dict[str, Json], json.loads(json.dumps(dict(settings))))
    changed = [
        f"{name} was {entry.settings.get(name)!r}, is {new.get(name)!r}"
        for name in sorted({*entry.settings, *new})
        if entry.settings.get(name) != new.get(name)
    ]
    changed += [f"{name} changed" for name in inputs if entry.inputs.get(name) != inputs[name]]
    return ", ".join(changed) or "made by another version"


def _finished_chunks(partial: Path, key: str) -> list[list[Row]]:
    """The chunks of a partial file that belong to this key; a torn last line is left out."""
    if not partial.exists():
        return []
    lines = partial.read_bytes().split(b"\n")[:-1]
    try:
        first, *chunks = [json.loads(line) for line in lines]
    except ValueError:
        return []
    return chunks if first == key else []


def _packages() -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found
