"""The run folder: artifact names, the manifest, what is fresh and what is stale, atomic and resumable writes.

Only this module reads and writes artifacts. An artifact is a JSONL file that is written under a temporary name and
renamed: a file that exists is whole. The manifest holds a hash of each, which is checked whenever one is read. Long work
is appended to `NAME.partial` (see `rote.runs.partials`), so a run that was killed resumes and ends in the same bytes. One
process writes a run folder at a time (see `rote.runs.locks`).
"""

import fnmatch
import json
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias, TypeVar, cast

from rote.errors import RunError
from rote.records import Json, content_id, from_row, to_row
from rote.runs import locks, partials
from rote.runs.artifacts import CONFIG, FIXED_NAMES, MANIFEST, command_of
from rote.runs.disk import content_hash, encode, seal, write_atomically
from rote.runs.manifest import (
    Entry,
    UnusableManifest,
    differences,
    followers,
    key_of,
    new_manifest,
    opened,
    outdated,
)

_MISSING = "it is missing"
SHOWN_CHANGES = 3
"""Most changes listed of those that make an artifact stale."""
Record = TypeVar("Record")
Row: TypeAlias = dict[str, Json]
Echo = Callable[[str], None]


def whole(records: Callable[[], Sequence[object]]) -> Callable[[int], Iterator[Sequence[object]]]:
    """An artifact that is made in one piece, as `Run.make` wants it: one chunk."""

    def produce(done: int) -> Iterator[Sequence[object]]:
        if not done:
            yield records()

    return produce


def _listed(changes: Sequence[str]) -> str:
    """The changes; of many their number and the first three."""
    if len(changes) <= SHOWN_CHANGES + 1:
        return ", ".join(changes)
    return f"{len(changes)} changes: {', '.join(changes[:SHOWN_CHANGES])} …"


class Run:
    """One run folder. It is locked when something is first written, and until the object is no longer used.

    Args:
        folder: created, when something is first written, where it does not exist.
        echo: gets one line for each artifact that is up to date, stale, damaged or resumed.
        must_exist: the folder must hold a run of this format.

    Raises:
        RunError: `must_exist`, and there is no run, a damaged one or one of another format; or the folder's
            manifest is no manifest of rote.
    """

    def __init__(self, folder: Path, *, echo: Echo = lambda _: None, must_exist: bool = False) -> None:
        self.folder = folder
        self.echo = echo
        self._must_exist = must_exist
        self._is_claimed = False
        self._release: Callable[[], object] = lambda: None
        self._made: set[str] = set()
        self._said: set[str] = set()
        self._manifest: dict[str, Json] = self._read_manifest()

    def close(self) -> None:
        """Gives the folder free for other processes; it is locked again when something is next written."""
        self._release()
        self._is_claimed = False

    def path(self, name: str) -> Path:
        """Where the artifact of that name lies (it may not exist)."""
        return self.folder / name

    def has(self, name: str) -> bool:
        """Whether the artifact was made: it stands in the manifest."""
        return name in self._artifacts()

    def is_whole(self, name: str) -> bool:
        """Whether the artifact was made, is what was written, and is of what it was made from."""
        entry = self.entry(name)
        return entry is not None and not self._content(name, entry)[1] and not outdated(self._artifacts(), name)

    def names(self, pattern: str) -> list[str]:
        """The artifacts that were made whose name fits the pattern, e.g. `GENERATIONS`, in the order of their names."""
        return sorted(fnmatch.filter(self._artifacts(), pattern.format(model="*")))

    def entry(self, name: str) -> Entry | None:
        """The manifest's entry of an artifact."""
        row = self._artifacts().get(name)
        return from_row(Entry, cast(dict[str, Json], row)) if row else None

    def read(self, name: str, kind: type[Record]) -> list[Record]:
        """All records of an artifact.

        Raises:
            RunError: it was not made, is missing, is not what this program wrote, or something that it was made
                from has been made anew since.
        """
        entry, again = self.entry(name), f"run `rote {command_of(name)}` (or `rote audit`) again"
        if entry is None:
            raise RunError(f"{self.path(name)} does not exist: run `rote {command_of(name)}` (or `rote audit`) first")
        content, damage = self._content(name, entry)
        if damage:
            what = " does not exist any more" if damage == _MISSING else f": damaged ({damage})"
            raise RunError(f"{self.path(name)}{what}; {again}")
        if old := outdated(self._artifacts(), name):
            raise RunError(
                f"{self.path(old[0])} was made before {old[1]} changed; run `rote {command_of(old[0])}` (or `rote audit`)"
            )
        try:
            return [from_row(kind, json.loads(line)) for line in content.split(b"\n")[:-1]]
        except (ValueError, TypeError, AttributeError) as error:
            raise RunError(f"{self.path(name)}: damaged ({error}); {again}") from error

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
        """Makes the artifact unless it is up to date; returns whether anything was made.

        Args:
            name: the artifact.
            produce: called with the number of chunks that are done already; yields the chunks (lists of records)
                that are left. The chunks must be the same in every run with the same settings and inputs.
            settings: everything that the content depends on besides the inputs.
            inputs: artifacts of this run that the content depends on.
            order: sort key of the finished artifact's rows (chunks may come in another order).
            chunking: whatever decides how the work is cut into chunks, and nothing else (a batch size): an unfinished
                artifact is resumed only where it is the same, a finished one does not depend on it.
        """
        self._own()
        hashes = {other: self._sha256(other) for other in inputs}
        key = key_of(settings, hashes)
        entry = self.entry(name)
        if entry is not None and entry.key == key:
            damage = self._content(name, entry)[1]
            if not damage:
                self.echo(f"{name}: up to date")
                partials.path_of(self.path(name)).unlink(missing_ok=True)  # a run was killed before it did that
                return False
            self.echo(f"{name}: damaged ({damage}); making it again")
        elif entry is not None:
            self._announce(name, entry, settings, hashes)
        rows = self._rows(name, partials.Header(key, chunking, hashes), produce)
        if order is not None:
            rows.sort(key=order)
        self._write_rows(name, rows, Entry(key, dict(settings), hashes, ""))
        partials.path_of(self.path(name)).unlink(missing_ok=True)
        self._made.add(name)
        return True

    def write(self, name: str, records: Iterable[object], *, settings: Mapping[str, Json]) -> None:
        """Writes a whole artifact at once and enters it in the manifest."""
        self._write_rows(
            name, [to_row(record) for record in records], Entry(key_of(settings, {}), dict(settings), {}, "")
        )

    def adopt(self, name: str, other: "Run") -> None:
        """Copies an artifact that another run has; it is up to date here if it was made in the same way."""
        entry = other.entry(name)
        if entry is None or self.has(name):
            return
        content, damage = other._content(name, entry)
        if damage:
            return
        self._own()
        write_atomically(self.path(name), content)
        self._artifacts()[name] = to_row(entry)
        self._save_manifest()

    def discard(self, *names: str) -> None:
        """Removes artifacts that no longer belong to the run, with what was done of them."""
        self._own()
        for name in names:
            if self.has(name):
                self.echo(f"{name}: no longer part of this run; removed")
        if [name for name in names if self._artifacts().pop(name, None)]:
            self._save_manifest()
        for name in names:
            self.path(name).unlink(missing_ok=True)
            partials.path_of(self.path(name)).unlink(missing_ok=True)

    def write_text(self, name: str, text: str) -> Path:
        """Writes a file of the run atomically (not entered in the manifest)."""
        self._own()
        return write_atomically(self.path(name), text.encode("utf-8", "backslashreplace"))

    def note(self, **facts: Json) -> None:
        """Adds facts to the manifest, e.g. hashes of data and models, the device, the seed."""
        self._own()
        if any(name not in self._manifest or self._manifest[name] != fact for name, fact in facts.items()):
            self._manifest.update(facts)
            self._save_manifest()

    def manifest(self) -> dict[str, Json]:
        """The manifest as a JSON object, its keys in order (a copy)."""
        return cast(dict[str, Json], json.loads(json.dumps(self._manifest, sort_keys=True)))

    def signature(self) -> str:
        """One line that says what made the figures, as far as it is known; printed with every table."""
        facts = [("config", "config_hash"), ("data", "data_hash"), ("model", "model_hash")]
        parts = [f"rote {self._manifest['version']}"]
        parts += [f"{name} {str(self._manifest[key])[:8]}" for name, key in facts if key in self._manifest]
        parts += [f"{key} {self._manifest[key]}" for key in ("device", "seed") if key in self._manifest]
        return " · ".join(parts)

    def save_settings(self, text: str) -> None:
        """Writes config.toml, and notes its hash: before and after, so that a run killed between them knows either."""
        digest, path = content_id(text), self.path(CONFIG)
        if path.exists() and not self._knows_settings():
            self.echo(f"{CONFIG}: changed since it was written; written again")
        is_known = digest == self._manifest.get("settings_hash") and self._knows_settings()
        if not is_known or "next_settings_hash" in self._manifest:
            self.note(next_settings_hash=digest)
            self.write_text(CONFIG, text)
            del self._manifest["next_settings_hash"]
            self._manifest["settings_hash"] = digest
            self._save_manifest()

    def settings_file(self) -> Path | None:
        """The settings that the run was made with; None where it keeps none.

        Raises:
            RunError: they were changed since.
        """
        path = self.path(CONFIG)
        if "settings_hash" not in self._manifest and not path.exists():
            return None
        if not self._knows_settings():
            raise RunError(
                f"{path}: missing, or changed since it was written; change settings by flags, or run `rote audit` again"
            )
        return path

    def _knows_settings(self) -> bool:
        """Whether config.toml is as it was written."""
        try:
            found = content_id(self.path(CONFIG).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        return found in (self._manifest.get("settings_hash"), self._manifest.get("next_settings_hash"))

    def _own(self) -> None:
        """Locks the folder before something is first written, and clears away what is of no more use."""
        if self._is_claimed:
            return
        locks.claim(self.folder)
        self._is_claimed = True
        self._release = weakref.finalize(self, locks.release, self.folder)
        self._manifest = self._read_manifest()  # another process may have written since
        if not self.path(MANIFEST).exists():
            self._refuse_other_files()
            self._save_manifest()
        for path in self.folder.glob(f"*{partials.ENDING}"):
            if not partials.is_of_use(path, {name: self._sha256(name) for name in self._artifacts()}):
                path.unlink(missing_ok=True)

    def _refuse_other_files(self) -> None:
        """What is called like an artifact and lies in a folder without manifest may be somebody's data: it stays."""
        found = [name for name in FIXED_NAMES if self.path(name).exists() or self.path(name).is_symlink()]
        if found:
            raise RunError(
                f"{self.folder} holds {found[0]!r}, but no {MANIFEST} of a run: it is not overwritten; give another "
                "folder, or remove what a run left there"
            )

    def _announce(self, name: str, entry: Entry, settings: Mapping[str, Json], hashes: Mapping[str, str]) -> None:
        """Says why an artifact is stale: each change once, with the number of artifacts that depend on it."""
        changed = differences(entry, settings)
        new = [change for change in changed if change not in self._said]
        inputs = [other for other in entry.inputs if other in hashes and entry.inputs[other] != hashes[other]]
        new += [f"{other} changed" for other in inputs if other not in self._made]
        if new or not (changed or inputs):
            more = len(followers(self._artifacts(), name))
            others = f", with {more} artifacts that depend on it" if more else ""
            self.echo(f"{name}: stale, {_listed(new) or 'made by another version'}; making it again{others}")
        self._said.update(changed)

    def _rows(
        self, name: str, header: partials.Header, produce: Callable[[int], Iterable[Sequence[object]]]
    ) -> list[Row]:
        """All rows, those of finished chunks from the partial file first; new chunks are appended to it."""
        path = partials.path_of(self.path(name))
        chunks = cast(list[list[Row]], partials.finished_chunks(path, header))
        if chunks:
            self.echo(f"{name}: going on after {len(chunks)} finished chunks")
        with partials.Writer(path, header, cast(list[Json], chunks)) as writer:
            for chunk in produce(len(chunks)):
                rows = [to_row(record) for record in chunk]
                writer.add(cast(Json, rows))
                chunks.append(rows)
        return [row for rows in chunks for row in rows]

    def _write_rows(self, name: str, rows: Iterable[Row], entry: Entry) -> None:
        self._own()
        content = b"".join(encode(row) + b"\n" for row in rows)
        write_atomically(self.path(name), content)
        self._artifacts()[name] = to_row(replace(entry, sha256=content_hash(content)))
        self._save_manifest()

    def _content(self, name: str, entry: Entry) -> tuple[bytes, str]:
        """The bytes of an artifact, and in what they differ from those that were written ("": in nothing)."""
        try:
            content = self.path(name).read_bytes()
        except OSError as error:
            return b"", _MISSING if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        return content, "" if content_hash(content) == entry.sha256 else "its content is not what was written"

    def _sha256(self, name: str) -> str:
        entry = self.entry(name)
        if entry is None:
            raise RunError(f"{self.path(name)} does not exist: run `rote {command_of(name)}` first")
        return entry.sha256

    def _artifacts(self) -> dict[str, Json]:
        return cast(dict[str, Json], self._manifest.setdefault("artifacts", {}))

    def _read_manifest(self) -> dict[str, Json]:
        path = self.path(MANIFEST)
        try:
            return opened(path.read_bytes())
        except FileNotFoundError:
            if not self._must_exist:
                return new_manifest()
            raise RunError(
                f"{self.folder}: not a run folder (no {MANIFEST}); `rote prepare` or `rote audit` makes one"
            ) from None
        except OSError as error:
            raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error
        except UnusableManifest as error:
            if error.is_strange:
                raise RunError(f"{path}: {error}; it is not overwritten, give another folder") from error
            if self._must_exist:
                raise RunError(f"{path}: {error}; run `rote audit` again") from error
            if str(error) not in self._said:
                self.echo(f"{path}: {error}; everything is made again")
            self._said.add(str(error))
            return new_manifest()

    def _save_manifest(self) -> None:
        text = json.dumps(seal(self._manifest), indent=1, sort_keys=True, ensure_ascii=True) + "\n"
        write_atomically(self.path(MANIFEST), text.encode("ascii"))
