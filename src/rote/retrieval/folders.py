"""An index on the disk: a folder that appears whole or not at all, with a sealed listing of what is in it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from rote.errors import RunError
from rote.records import Json
from rote.runs import Echo
from rote.runs.disk import (
    damage_of,
    encode,
    hashes_of,
    make_private,
    private_folder,
    remove,
    seal,
    temporary_path,
    unseal,
    write_atomically,
)

BATCH_CHARS = 1 << 22
LISTING = "listing.json"
FILES = "files"
"""Key of the listing under which the hash of each file stands."""


@contextmanager
def written_whole(folder: Path, listing: Mapping[str, Json]) -> Iterator[Path]:
    """A temporary folder to write in; at the end it gets the listing and takes the folder's place.

    What was in the folder is there, whole, until then. If writing fails, it stays.
    """
    temporary = temporary_path(folder)
    old = temporary.with_suffix(".old")
    remove(temporary)
    remove(old)
    private_folder(temporary)
    try:
        yield temporary
        whole = seal({**listing, FILES: dict(hashes_of(temporary))})
        write_atomically(temporary / LISTING, encode(whole))
        make_private(temporary)
        if folder.exists() or folder.is_symlink():
            folder.rename(old)
        temporary.rename(folder)
    finally:
        remove(temporary)
        remove(old)


def read_listing(folder: Path) -> dict[str, Json]:
    """What the folder holds, all of its files checked against their hashes.

    The files are read once in a process, whole; later only where they look changed.

    Raises:
        RunError: there is no index in it, or it is damaged.
    """
    path = folder / LISTING
    try:
        listing = unseal(path.read_bytes())
        damage = damage_of(folder, cast(dict[str, str], listing[FILES]))
    except FileNotFoundError:
        raise RunError(f"{folder}: no index there; `rote retrieve` makes it") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path}: the index is damaged ({error}); `rote retrieve` makes it again") from error
    if damage:
        raise RunError(f"{folder}: the index is damaged ({damage}); `rote retrieve` makes it again")
    return listing


def is_whole(folder: Path, digest: str, echo: Echo) -> bool:
    """Whether an undamaged index with this digest is there; damage is reported."""
    if not folder.exists():
        return False
    try:
        return read_listing(folder).get("digest") == digest
    except RunError as error:
        echo(str(error))
        return False


def batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The texts in order, about `BATCH_CHARS` characters at a time: what is made of them has to fit into memory."""
    start = held = 0
    for place, text in enumerate(texts):
        held += len(text)
        if held >= BATCH_CHARS:
            yield texts[start : place + 1]
            start, held = place + 1, 0
    if start < len(texts):
        yield texts[start:]
