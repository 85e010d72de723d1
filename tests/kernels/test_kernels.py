"""Kernels: cached once, announced when they are compiled, never stale."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rote.kernels import compiling as kernels
from rote.text.characters import is_point

ANNOUNCEMENT = r"rote: compiling kernels for this machine (once, a minute or so) …"
CALL = "from rote.text.characters import is_point; print(is_point(46), len(is_point.stats.cache_hits))"


def run(*code: str, cache: Path, **environment: str) -> tuple[str, str]:
    """What a fresh process prints, on both streams."""
    settings = {**os.environ, "NUMBA_CACHE_DIR": str(cache), **environment}
    done = subprocess.run([sys.executable, *code], env=settings, capture_output=True, text=True, check=True)
    return done.stdout.strip(), done.stderr.strip()


def test_compiling_is_announced_once_and_then_cached(tmp_path: Path) -> None:
    assert run("-c", CALL, cache=tmp_path) == ("True 0", ANNOUNCEMENT)
    assert run("-c", CALL, cache=tmp_path) == ("True 1", "")


def test_help_compiles_nothing(tmp_path: Path) -> None:
    out, error = run("-m", "rote.cli", "--help", cache=tmp_path)
    assert (out.startswith("usage: rote"), error, list(tmp_path.iterdir())) == (True, "", [])


def test_a_cache_that_cannot_be_written_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    no_bases = f"from rote.kernels import compiling; compiling._bases = lambda: iter([compiling.Path({str(tmp_path / 'file')!r})]); "
    _, error = run("-c", no_bases + CALL, cache=tmp_path)
    expected = "a minute or so in every process: no cache can be written; NUMBA_CACHE_DIR may name a folder"
    assert error == f"rote: compiling kernels for this machine ({expected}) …"


CALLEE = """
from constants import ADDED
from rote.kernels import kernel

@kernel
def add(x):
    return x + ADDED + {}
"""
CALLER = """
from callee import add
from rote.kernels import kernel

@kernel
def twice(x):
    return add(add(x))
"""


def test_a_caller_is_compiled_again_when_what_it_calls_has_changed(tmp_path: Path) -> None:
    (tmp_path / "caller.py").write_text(CALLER, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])

    def result(*, constant: int, written: int) -> int:
        (tmp_path / "constants.py").write_text(f"ADDED = {constant}\n", encoding="utf-8")
        (tmp_path / "callee.py").write_text(CALLEE.format(written), encoding="utf-8")
        code = "from caller import twice; print(twice(0))"
        return int(run("-B", "-c", code, cache=tmp_path / "cache", PYTHONPATH=path)[0])

    assert result(constant=1, written=0) == 2
    assert result(constant=1, written=5) == 12
    assert result(constant=3, written=5) == 16
    assert len(list((tmp_path / "cache" / "rote").glob("caller-*"))) == 1


def test_the_cache_folder_is_the_first_that_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setattr(kernels, "_bases", lambda: iter([tmp_path / "file", tmp_path / "folder"]))
    find = kernels.cache_folder.__wrapped__
    folder = find(is_point.__module__)
    assert folder is not None
    assert (folder.parent, folder.is_dir()) == (tmp_path / "folder", True)
    monkeypatch.setattr(kernels, "_bases", lambda: iter([tmp_path / "file"]))
    assert find(is_point.__module__) is None
