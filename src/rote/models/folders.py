"""What lies in the folder of a model or an adapter: config, weights, digest. Reads no weights."""

import json
from pathlib import Path

from rote.errors import ModelError
from rote.records import content_id
from rote.runs import file_hash

CONFIGS = {"model": "config.json", "adapter": "adapter_config.json"}
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "merges.txt", "vocab.txt")


def check_folder(source: str, what: str) -> None:
    """Raises a ModelError that names what is missing where `source` is meant to be a local folder.

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
        is_adapter = what == "model" and (path / CONFIGS["adapter"]).exists()
        hint = "; it is a PEFT adapter, which is given with --adapter" if is_adapter else ""
        raise ModelError(f"{source}: no {expected} in the {what} folder (found {_names(path)}){hint}")


def looks_local(source: str) -> bool:
    """Whether the source is meant as a path, not as a hub id."""
    is_path = source.startswith((".", "/", "~")) or source.count("/") > 1 or "\\" in source
    return is_path or Path(source).exists()


def check_safetensors(source: str, what: str) -> None:
    """Raises a ModelError where a local folder has no weights that can be read safely; see `check_folder`."""
    path = Path(source)
    if path.is_dir() and not any(path.glob("*.safetensors")):
        raise ModelError(
            f"{source}: no *.safetensors file in the {what} folder (found {_names(path)}); weights are read from "
            "safetensors only: a .bin or .pt file is a pickle, which runs any code it holds when it is opened"
        )


def model_digest(source: str, adapter: str = "") -> str:
    """Sixteen hexadecimal digits that depend on the weights and configs (a hub id: on its name)."""
    return content_id(*(_folder_digest(name) for name in (source, adapter) if name))


def _folder_digest(source: str) -> str:
    path = Path(source)
    if not path.is_dir():
        return source
    kept = [
        item
        for item in sorted(path.iterdir())
        if item.suffix == ".safetensors" or item.name.endswith("config.json") or item.name in TOKENIZER_FILES
    ]
    return json.dumps([[item.name, file_hash(item)] for item in kept])


def _names(path: Path) -> str:
    return ", ".join(sorted(item.name for item in path.iterdir())[:8]) or "nothing"


def first_line(error: Exception) -> str:
    """The error's message, shortened."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]
