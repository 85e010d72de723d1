"""The manifest of a run folder: what made each artifact, a hash of each, and a hash of the manifest itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import cast

import rote
from rote.records import Json, from_row
from rote.runs.disk import content_hash, parse_json, shortened, unseal

FORMAT = 4
"""Raised whenever an artifact's meaning changes; artifacts of another format are stale."""
PACKAGES = ("torch", "transformers", "peft", "tokenizers", "numpy", "pydivsufsort", "numba", "rapidfuzz")


@dataclass(frozen=True, slots=True)
class Entry:
    """What the manifest knows of one artifact: how it was made, and its content."""

    key: str
    settings: dict[str, Json]
    inputs: dict[str, str]
    sha256: str


class UnusableManifest(ValueError):
    """A manifest that is damaged, of another format, or (`is_strange`) not of rote."""

    def __init__(self, message: str, *, is_strange: bool = False) -> None:
        super().__init__(message)
        self.is_strange = is_strange


def new_manifest() -> dict[str, Json]:
    """The manifest of a run without artifacts."""
    return {"format": FORMAT, "version": rote.__version__, "packages": dict(_packages()), "artifacts": {}}


def opened(content: bytes) -> dict[str, Json]:
    """The manifest that a file holds, with the version and packages of now.

    Raises:
        UnusableManifest: it is not what this version wrote.
    """
    _check_format(content)
    try:
        known = unseal(content)
        for row in cast(dict[str, dict[str, Json]], known["artifacts"]).values():
            from_row(Entry, row)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        is_strange = bool(content.strip()) and b'"artifacts"' not in content
        message = "no manifest of rote" if is_strange else f"damaged ({error})"
        raise UnusableManifest(message, is_strange=is_strange) from error
    return {**new_manifest(), "artifacts": known.pop("artifacts"), **_without(known, ("version", "packages"))}


def _check_format(content: bytes) -> None:
    try:
        found = parse_json(content)
    except ValueError:
        return
    number = found.get("format") if isinstance(found, dict) and "artifacts" in found else None
    if isinstance(number, int) and number != FORMAT:
        version = shortened(cast(dict[str, Json], found).get("version"))
        raise UnusableManifest(
            f"a run of format {shortened(number)}, made by rote {version}; this version reads format {FORMAT}"
        )


def _without(row: Mapping[str, Json], names: tuple[str, ...]) -> dict[str, Json]:
    return {name: value for name, value in row.items() if name not in names}


def key_of(settings: Mapping[str, Json], inputs: Mapping[str, str]) -> str:
    """What an artifact depends on, as one hash: the format, the settings, the hashes of its inputs."""
    return content_hash(json.dumps([FORMAT, dict(settings), dict(inputs)], sort_keys=True).encode("ascii"))


def differences(entry: Entry, settings: Mapping[str, Json]) -> list[str]:
    """In words: which settings changed since the artifact was made."""
    new = cast(dict[str, Json], json.loads(json.dumps(dict(settings))))
    return [
        f"{name} was {shortened(entry.settings.get(name))}, is {shortened(new.get(name))}"
        for name in sorted({*entry.settings, *new})
        if entry.settings.get(name) != new.get(name)
    ]


def followers(artifacts: Mapping[str, Json], name: str) -> set[str]:
    """The artifacts that were made from this one, or from what was made from it."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        rows = cast(Mapping[str, dict[str, dict[str, str]]], artifacts)
        new = [other for other, row in rows.items() if one in row["inputs"] and other not in found]
        waiting += new
        found.update(new)
    return found


def outdated(artifacts: Mapping[str, Json], name: str) -> tuple[str, str] | None:
    """An artifact that this one was made from, or itself, with an input of it that was made anew since; None: there is none."""
    rows = cast(Mapping[str, dict[str, dict[str, str]]], artifacts)
    waiting, seen = [name], {name}
    while waiting:
        one = waiting.pop()
        for other, digest in rows[one]["inputs"].items():
            if other not in rows or rows[other]["sha256"] != cast(object, digest):
                return one, other
            waiting += [other] if other not in seen else []
            seen.add(other)
    return None


def _packages() -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = None
    return found
