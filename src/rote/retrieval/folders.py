"""An index on the disk: a folder that appears whole or not at all, with a listing of what is in it."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

BATCH_CHARS = 1 << 22
LISTING = "listing.json"


@contextmanager
def written_whole(folder: Path, listing: Mapping[str, object]) -> Iterator[Path]:
    """A temporary folder to write in; at the end it gets the listing and takes the folder's place.

    What was in the folder is there, whole, until then. If writing fails, it stays.
    """
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    old = temporary.with_suffix(".old")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        (temporary / LISTING).write_text(json.dumps(listing), encoding="utf-8")
        if folder.exists():
            folder.rename(old)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def read_listing(folder: Path) -> dict[str, object] | None:
    """What the folder holds; None where there is no whole index in it."""
    try:
        listing = json.loads((folder / LISTING).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return listing if isinstance(listing, dict) else None


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
