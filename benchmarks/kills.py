"""Does a command that is killed at a random write, and started again, end in the same bytes? With real SIGKILLs.

    python benchmarks/kills.py                     50 kills each of audit, align, finetune and references
    python benchmarks/kills.py align --kills 5

Each command runs once undisturbed, and its writes (files opened to write, renamed, removed, made) are counted. Then it is
killed just before a write drawn at random (every fifth time: at a random moment), started again, and every file of its
folder is compared with the undisturbed run's. What is meant to differ is left out: the seconds in training.json.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rote import demonstration
from rote.runs.disk import content_hash
from rote.runs.locks import LOCK

RECORDS = 12
"""Members, and as many non-members."""
COUNTED = ("os.rename", "os.remove", "os.mkdir", "os.rmdir")
WRITING = os.O_WRONLY | os.O_RDWR


@dataclass(frozen=True, slots=True)
class Case:
    """A command, and the folder that it works in."""

    name: str
    words: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    """Commands that make what it starts from."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one case."""

    name: str
    writes: int
    kills: int
    different: tuple[str, ...]
    """Per kill that did not end in the same bytes: what differs."""
    elapsed_s: float


def cases(folder: Path, out: Path) -> list[Case]:
    """The four commands; `folder` holds the data and the fine-tuned model."""
    base, data = str(demonstration.MODELS["decoder-180k"]), ("--members", str(folder / "members.jsonl"))
    nonmembers = ("--nonmembers", str(folder / "nonmembers.jsonl"))
    models, where = ("--model", str(folder / "tuned" / "final"), "--base", base), ("--out", str(out))
    budget = (
        "--prefix-tokens",
        "20",
        "--max-new-tokens",
        "30",
        "--suffix-tokens",
        "20",
        "--generation-batch-size",
        "4",
    )
    prepared = ("prepare", *data, *nonmembers, *where)
    generated = ("generate", str(out), *models, *budget)
    return [
        Case("audit", ("audit", *models, *data, *nonmembers, *budget, *where)),
        Case("align", ("align", str(out)), (prepared, generated, ("retrieve", str(out)))),
        Case("finetune", ("finetune", "--base", base, *data, "--holdout", "0.5", "--epochs", "3", *where)),
        Case("references", ("references", str(out), "--models", "2", "--epochs", "1"), (prepared, generated)),
    ]


@contextmanager
def material() -> Iterator[Path]:
    """A folder with records and a model that was fine-tuned on them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = demonstration.records("dialogue").read_text(encoding="utf-8").splitlines(keepends=True)
        for place, file in enumerate(("members.jsonl", "nonmembers.jsonl")):
            chosen = lines[place * RECORDS : (place + 1) * RECORDS]
            (folder / file).write_text("".join(chosen), encoding="utf-8")
        base = str(demonstration.MODELS["decoder-180k"])
        words = ("finetune", "--base", base, "--members", str(folder / "members.jsonl"), "--epochs", "8")
        run((*words, "--learning-rate", "3e-3", "--out", str(folder / "tuned")), folder / "log")
        yield folder


def run(words: Sequence[str], log: Path, *, in_child: Callable[[], None] = lambda: None) -> int:
    """One command in a process forked from this one, which has read the packages; returns its exit code."""
    pid = start(words, log, in_child=in_child)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def start(words: Sequence[str], log: Path, *, in_child: Callable[[], None] = lambda: None) -> int:
    """Starts the command; returns the process's number."""
    from rote.cli import main

    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        in_child()
        code = main(list(words))
    finally:
        sys.stderr.flush()
        os._exit(code)


def on_each_write(folder: Path, act: Callable[[], None]) -> Callable[[], None]:
    """Calls `act` before each write of this process in the folder, from now on."""
    inside = str(folder)

    def look(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = (isinstance(mode, str) and set(mode) & set("wax+")) or (isinstance(flags, int) and flags & WRITING)
            if writes and not isinstance(path, int) and os.fsdecode(path).startswith(inside):  # type: ignore[arg-type]
                act()
        elif event in COUNTED and not isinstance(arguments[0], int):
            path = os.fsdecode(arguments[0])  # type: ignore[arg-type]
            if path.startswith(inside) or not Path(path).is_absolute():
                act()

    return lambda: sys.addaudithook(look)


def counting(folder: Path, count: Path) -> Callable[[], None]:
    """Counts the writes: one byte for each in a file outside of the folder."""
    file = os.open(count, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    return on_each_write(folder, lambda: os.write(file, b"."))


def dying(folder: Path, number: int) -> Callable[[], None]:
    """Kills this process before the write of that number, counted from 1."""
    left = [number]

    def act() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return on_each_write(folder, act)


def bytes_of(folder: Path) -> dict[str, str]:
    """Hash of every file, by its path; without the lock, and without the seconds of a training."""
    return {
        path.relative_to(folder).as_posix(): content_hash(_without_seconds(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != LOCK
    }


def _without_seconds(path: Path) -> bytes:
    content = path.read_bytes()
    if path.name != "training.json":
        return content
    row = json.loads(content)
    del row["sha256"]
    for epoch in row["epochs"]:
        epoch["elapsed_s"] = 0
    return json.dumps(row).encode("utf-8")


def measure(case: Case, out: Path, *, kills: int, seed: int) -> Outcome:
    """Runs the case undisturbed, then kills it that often; `out` is its folder, what lies beside it is its own."""
    started, template, log = time.monotonic(), out.with_name("template"), out.with_name("log")
    for words in case.before:
        assert run(words, log) == 0, log.read_text(encoding="utf-8")
    if out.exists():
        shutil.copytree(out, template)
    count = out.with_name("count")
    code = run(case.words, log, in_child=counting(out, count))
    assert code == 0, log.read_text(encoding="utf-8")
    _reset(out, template)
    begun = time.monotonic()
    assert run(case.words, log) == 0
    duration_s = time.monotonic() - begun
    writes, expected, draw = count.stat().st_size, bytes_of(out), random.Random(f"{seed} {case.name}")
    different = []
    for number in range(kills):
        _reset(out, template)
        said = _kill(case, out, log, draw, writes=writes, duration_s=duration_s, timed=number % 5 == 4)
        code, found = run(case.words, log), bytes_of(out)
        wrong = sorted(name for name in {*expected, *found} if expected.get(name) != found.get(name))
        if code or wrong:
            different.append(f"{said}: exit code {code}, {', '.join(wrong) or log.read_text(encoding='utf-8')[-300:]}")
    _reset(out, template)
    shutil.rmtree(template, ignore_errors=True)
    return Outcome(case.name, writes, kills, tuple(different), time.monotonic() - started)


def _kill(case: Case, out: Path, log: Path, draw: random.Random, *, writes: int, duration_s: float, timed: bool) -> str:
    """Starts the command and kills it; says when."""
    if timed:
        wait_s = draw.uniform(0, duration_s)
        pid = start(case.words, log)
        time.sleep(wait_s)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return f"killed after {wait_s:.2f} s"
    place = draw.randint(1, writes)
    code = run(case.words, log, in_child=dying(out, place))
    return f"killed before write {place} of {writes} (exit code {code})"


def _reset(out: Path, template: Path) -> None:
    shutil.rmtree(out, ignore_errors=True)
    if template.exists():
        shutil.copytree(template, out)


def read_packages() -> None:
    """Reads what the commands need, once for all processes that are forked from this one."""
    import importlib

    from rote.commands import PRELOADED

    for name in PRELOADED:
        importlib.import_module(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", help="commands (default: all four)")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    read_packages()
    print(f"{'command':<12}{'writes':>8}{'kills':>8}{'same bytes':>12}{'seconds':>10}", flush=True)
    with material() as folder:
        out = folder / "work" / "run"
        out.parent.mkdir()
        for case in cases(folder, out):
            if options.names and case.name not in options.names:
                continue
            found = measure(case, out, kills=options.kills, seed=options.seed)
            same = f"{found.kills - len(found.different)} of {found.kills}"
            print(f"{found.name:<12}{found.writes:>8}{found.kills:>8}{same:>12}{found.elapsed_s:>10.0f}", flush=True)
            for line in found.different:
                print(f"  {line}", flush=True)
            shutil.rmtree(out, ignore_errors=True)


if __name__ == "__main__":
    main()
