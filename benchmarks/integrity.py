"""What the checks of what is on the disk cost: their share of the time of each stage of an audit, twice in a row.

    python benchmarks/integrity.py --records 100
    python benchmarks/integrity.py --records 400

In the first run everything is made; in the second one everything is up to date and is only checked. Counted is all of the
reading and hashing of artifacts, unfinished work, store chunks and index arrays, also where the reading is needed anyway.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from machine import machine, report

from rote import demonstration, stages
from rote.config import load_config
from rote.finetuning import record
from rote.passes import store
from rote.runs import Run, disk, partials

STAGES = ("prepare", "generate", "retrieve", "align", "score", "report")
CHECKS = ((Run, "_content"), (partials, "_values"), (partials, "_mark"), (disk, "known_hash"), (disk, "unseal"))

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Clock:
    """Seconds inside of the timed functions, nested ones counted once."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0

    def timed(self, function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
        """The function; its time is added."""

        @wraps(function)
        def call(*arguments: Arguments.args, **options: Arguments.kwargs) -> Result:
            self._depth += 1
            started = time.perf_counter()
            try:
                return function(*arguments, **options)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds += time.perf_counter() - started

        return call


def watched() -> Clock:
    """The clock of all checks of this process."""
    clock = Clock()
    for place, name in CHECKS:
        setattr(place, name, clock.timed(getattr(place, name)))
    for module in (store, record):
        module.known_hash = disk.known_hash
    return clock


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--records", type=int, default=100, help="members, and a fifth as many non-members")
    parser.add_argument("--new-tokens", type=int, default=50)
    options = parser.parse_args()
    report("machine", **machine())
    clock = watched()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        lines = demonstration.records("dialogue").read_text(encoding="utf-8").splitlines(keepends=True)
        (folder / "members.jsonl").write_text("".join(lines[: options.records]), encoding="utf-8")
        others = lines[options.records : options.records + options.records // 5]
        (folder / "nonmembers.jsonl").write_text("".join(others), encoding="utf-8")
        model = demonstration.MODELS["decoder-180k"]
        settings = [
            f'model.tuned="{model}"', f'model.base="{demonstration.MODELS["decoder-450k"]}"',
            f'corpus.members="{folder / "members.jsonl"}"', f'corpus.nonmembers="{folder / "nonmembers.jsonl"}"',
            f"generation.max_new_tokens={options.new_tokens}", f"scoring.suffix_tokens={options.new_tokens}",
        ]  # fmt: skip
        for number in ("first", "second"):
            run = Run(folder / "run")
            config = load_config(None, settings)
            for stage in STAGES:
                clock.seconds, started = 0.0, time.perf_counter()
                getattr(stages, stage)(config, run)
                elapsed_s = time.perf_counter() - started
                share = round(100 * clock.seconds / elapsed_s, 2)
                report(
                    stage, run=number, elapsed_s=round(elapsed_s, 3), checks_s=round(clock.seconds, 4), percent=share
                )
        size = sum(path.stat().st_size for path in (folder / "run").rglob("*") if path.is_file())
        report("run folder", mb=round(size / 1e6, 1))


if __name__ == "__main__":
    main()
