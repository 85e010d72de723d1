"""What lies in the folder of a model or an adapter: config, weights, digest. Reads no weights.

Weights are read from safetensors only; an index that names anything else is refused before transformers sees it.
"""

import json
import re
from collections.abc import Callable
from pathlib import Path

from rote.errors import ModelError
from rote.records import content_id
from rote.runs import file_hash

CONFIGS = {"model": "config.json", "adapter": "adapter_config.json"}
MODEL_WEIGHTS, MODEL_INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "merges.txt", "vocab.txt")
MAX_DEPTH = 50
"""Deepest nesting of a config: real ones stay below ten."""
MAX_WHOLE = 10**40
"""Whole numbers of a config are below that (a tokenizer without a bound says 10^30)."""
READ = (
    "config.json",
    "generation_config.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "adapter_config.json",
)
"""JSON files that transformers and peft read."""
ONE_LINE = 300
"""Characters of a name in a message."""


def check_folder(source: str, what: str) -> None:
    """Raises a ModelError that names what is missing where `source` is meant to be a local folder.

    The JSON files in it are read, so that a strange one is named.

    Args:
        source: folder or hub id (of which nothing can be said).
        what: "model", "adapter" or "tokenizer".
    """
    path = Path(source)
    if not source:
        raise ModelError(f"no {what} given")
    if looks_local(source) and not path.is_dir():
        raise ModelError(f"{source}: no such {what} folder")
    expected = CONFIGS.get(what)
    if path.is_dir() and expected and not (path / expected).exists():
        is_adapter = what == "model" and (path / ADAPTER_CONFIG).exists()
        hint = "; it is a PEFT adapter, which is given with --adapter" if is_adapter else _hint_below(path, expected)
        raise ModelError(f"{source}: no {expected} in the {what} folder (found {_names(path)}){hint}")
    for name in READ if path.is_dir() else ():
        read_config(source, name)


def _hint_below(path: Path, expected: str) -> str:
    """Where a folder below is what was meant: a Trainer's last checkpoint, an adapter with a name of its own."""
    below = sorted((item.parent.name for item in path.glob(f"*/{expected}")), key=_by_number)
    return f"; did you mean {path / below[-1]}?" if below else ""


def _by_number(name: str) -> tuple[tuple[int, str], ...]:
    """Sort key by which "checkpoint-20" comes before "checkpoint-100"."""
    return tuple((int(part) if part.isdecimal() else -1, part) for part in re.split(r"([0-9]+)", name))


def looks_local(source: str) -> bool:
    """Whether the source is meant as a path, not as a hub id."""
    is_path = source.startswith((".", "/", "~")) or source.count("/") > 1 or "\\" in source
    return is_path or Path(source).exists()


def read_config(source: str, name: str) -> dict[str, object]:
    """A JSON object of a local folder or of the hub's cache; {} where the file is not there.

    Raises:
        ModelError: it is no JSON object, nested too deeply, or holds a number that is none of this world.
    """
    path = stored(source, name)
    if path is None:
        return {}
    try:
        found = json.loads(path.read_bytes())
        _check_plain(found)
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        said = "nested too deeply" if isinstance(error, RecursionError) else str(error).splitlines()[0][:ONE_LINE]
        raise ModelError(f"{source}: {name} cannot be read: {said}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{source}: {name} cannot be read: expected an object, found {type(found).__name__}")
    return found


def stored(source: str, name: str) -> Path | None:
    """A file of a local folder, or of a hub id as far as it can be had; None where it is not there."""
    folder = Path(source)
    if folder.is_dir():
        return folder / name if (folder / name).is_file() else None
    if not source or looks_local(source):
        return None
    from transformers.utils.hub import cached_file

    options = {"_raise_exceptions_for_missing_entries": False, "_raise_exceptions_for_connection_errors": False}
    try:
        found = cached_file(source, name, _raise_exceptions_for_gated_repo=False, **options)
    except (OSError, ValueError):
        return None
    return Path(found) if found else None


def _check_plain(value: object, depth: int = 0) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, int) and abs(value) >= MAX_WHOLE:
        raise ValueError(f"a number of {len(str(abs(value)))} digits")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_plain(part, depth + 1)


def check_safetensors(source: str, what: str) -> None:
    """Raises a ModelError where a folder has no weights that can be read safely, or has them under other names too.

    Args:
        source: folder or hub id.
        what: "model" or "adapter".
    """
    if what == "adapter":
        _check_there(source, (ADAPTER_WEIGHTS,), what)
        return
    named = read_config(source, CONFIGS["model"]).get("transformers_weights")
    if named is not None:
        _check_name(source, CONFIGS["model"], named, suffixes=(".safetensors", ".safetensors.index.json"))
    entries = (str(named),) if named else (MODEL_WEIGHTS, MODEL_INDEX)
    _check_there(source, entries, what)
    for index in [name for name in entries if name.endswith(".index.json")]:
        _check_index(source, index)


def _check_there(source: str, names: tuple[str, ...], what: str) -> None:
    path = Path(source)
    if path.is_dir() and not any((path / name).is_file() for name in names):
        expected = "*.safetensors" if not any(path.glob("*.safetensors")) else " or ".join(names)
        raise ModelError(
            f"{source}: no {expected} file in the {what} folder (found {_names(path)}); weights are read from "
            "safetensors only: a .bin or .pt file is a pickle, which runs any code it holds when it is opened"
        )


def _check_index(source: str, index: str) -> None:
    """Every shard must be a safetensors file beside the index: transformers opens whatever the index names."""
    held = read_index(source, index)
    for name in held:
        _check_name(source, index, name, suffixes=(".safetensors",))
    missing = [name for name in held if Path(source).is_dir() and not (Path(source) / name).is_file()]
    if missing:
        raise ModelError(f"{source}: {index} names {missing[0]}, which is not there (found {_names(Path(source))})")


def read_index(source: str, index: str) -> list[str]:
    """The names of the shards, sorted; [] without an index."""
    held = read_config(source, index)
    shards = held.get("weight_map", {})
    if not isinstance(shards, dict) or (held and not shards):
        raise ModelError(f"{source}: {index} cannot be read: expected a weight_map from weights to files")
    return sorted({str(name) for name in shards.values()})


def _check_name(source: str, where: str, name: object, *, suffixes: tuple[str, ...]) -> None:
    text = str(name)
    if not isinstance(name, str) or Path(text).name != text or "\\" in text or not text.endswith(suffixes):
        raise ModelError(
            f"{source}: {where} names {text[:ONE_LINE]!r} as a file of weights; only a safetensors file in the same "
            "folder is read: another one may be a pickle, which runs any code it holds when it is opened"
        )


def stray_adapter(source: str) -> str:
    """The adapter's file beside a whole model, "" where there is none; transformers by itself would apply it."""
    has_model = stored(source, CONFIGS["model"]) is not None
    return ADAPTER_CONFIG if has_model and stored(source, ADAPTER_CONFIG) is not None else ""


def model_digest(source: str, adapter: str = "") -> str:
    """Sixteen hexadecimal digits that depend on the files that are loaded (a hub id: on its name)."""
    parts = [_folder_digest(source, _is_of_model)] if source else []
    return content_id(*parts, *([_folder_digest(adapter, _is_of_adapter)] if adapter else []))


def _folder_digest(source: str, is_read: Callable[[str], bool]) -> str:
    path = Path(source)
    if not path.is_dir():
        return source
    kept = [item for item in sorted(path.iterdir()) if is_read(item.name) and item.is_file()]
    return json.dumps([[item.name, file_hash(item)] for item in kept])


def _is_of_model(name: str) -> bool:
    is_weights = name.endswith((".safetensors", ".safetensors.index.json"))
    return not name.startswith("adapter_") and (is_weights or _is_setting(name))


def _is_of_adapter(name: str) -> bool:
    return name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS) or _is_setting(name)


def _is_setting(name: str) -> bool:
    return name.endswith("config.json") or name in TOKENIZER_FILES


def _names(path: Path) -> str:
    return ", ".join(sorted(item.name for item in path.iterdir())[:8]) or "nothing"
