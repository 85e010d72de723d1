"""Exact search over a training set: our suffix array against infini-gram, at equal answers, in one run.

Both index the same texts (novels, news, PAN documents and the sample data under $ROTE_SHARED, cut into records of about
1,000 characters, white space made one blank) and answer the same question: for every byte of a query, the longest string
from there on that stands in the texts. infini-gram (byte mode) answers it with `creativity`; as it is slow, it gets a
sample of the queries. Queries are 100 tokens long: copies with 0 to 50 % of the words replaced, and unseen text.

One JSON object per line on stdout, progress on stderr:

    python benchmarks/exact.py                            # 100 MB, a few minutes
    python benchmarks/exact.py --megabytes 20 --peer-queries 20
    python benchmarks/exact.py --without-peer --generations 10000
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from machine import machine, progress, report
from numpy.typing import NDArray
from shared_records import make_queries, records

from rote.records import Example
from rote.retrieval.exact import ExactIndex, build_exact, open_exact

RECORD_CHARS = 1000


def main() -> int:
    """Runs the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=100, help="text to index (default: 100)")
    parser.add_argument("--generations", type=int, default=10_000, help="queries of 100 tokens (default: 10,000)")
    parser.add_argument("--peer-queries", type=int, default=60, help="queries that infini-gram gets too (default: 60)")
    parser.add_argument("--without-peer", action="store_true", help="leave infini-gram out")
    parser.add_argument("--folder", type=Path, help="where the indexes are written (default: a temporary folder)")
    arguments = parser.parse_args()
    texts, unseen = texts_of(arguments.megabytes)
    queries = [query.text for query in make_queries(texts, unseen, arguments.generations)]
    report("machine", **machine())
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        ours = measure_ours(texts, queries, Path(folder))
        if not arguments.without_peer:
            measure_peer(texts, queries[: arguments.peer_queries], Path(folder), ours)
    return 0


def texts_of(megabytes: float) -> tuple[list[str], list[str]]:
    """Records of that many megabytes, and 2,000 that follow them."""
    wanted, held = megabytes * 1e6, 0
    texts: list[str] = []
    unseen: list[str] = []
    for text in records(RECORD_CHARS):
        if held < wanted:
            texts.append(text)
            held += len(text.encode("utf-8")) + 1
        elif len(unseen) < 2000:
            unseen.append(text)
        else:
            break
    if held < wanted:
        raise SystemExit(f"the shared data have {held / 1e6:.0f} MB of text, fewer than --megabytes {megabytes:g}")
    return texts, unseen or texts[-2000:]


def measure_ours(texts: Sequence[str], queries: Sequence[str], folder: Path) -> "Ours":
    """Build, size, opening, longest match per byte, and the runs of every generation."""
    examples = [Example(f"{n:08}", "", text, "member", str(n)) for n, text in enumerate(texts)]
    size = sum(len(text.encode("utf-8")) + 1 for text in texts)
    build_exact(examples[:1], folder / "warm")
    open_exact(folder / "warm").runs(texts[0], min_chars=50)
    open_exact(folder / "warm").matching_lengths(texts[:1])
    progress(f"rote: indexing {size / 1e6:.0f} MB …")
    started, cpu = time.perf_counter(), time.process_time()
    build_exact(examples, folder / "rote")
    built = time.perf_counter() - started
    on_disk = sum(path.stat().st_size for path in (folder / "rote").rglob("*") if path.is_file())
    report(
        "rote build", megabytes=size / 1e6, records=len(texts), seconds=built, cpu_seconds=time.process_time() - cpu,
        bytes_per_byte=on_disk / size,
    )  # fmt: skip
    started = time.perf_counter()
    index = open_exact(folder / "rote")
    report("rote open", seconds=time.perf_counter() - started)
    progress(f"rote: {len(queries):,} queries …")
    started = time.perf_counter()
    lengths = index.matching_lengths(queries)
    rate = len(queries) / (time.perf_counter() - started)
    report("rote longest match per byte", queries=len(queries), queries_per_s=rate,
           bytes_per_query=sum(map(len, lengths)) / len(queries))  # fmt: skip
    started = time.perf_counter()
    found = [index.runs(query, min_chars=51) for query in queries]
    seconds = time.perf_counter() - started
    report(
        "rote runs with sources", generations=len(queries), seconds=seconds, generations_per_s=len(queries) / seconds,
        with_a_run=sum(map(bool, found)), runs=sum(map(len, found)),
    )  # fmt: skip
    return Ours(index, lengths, built, rate)


class Ours:
    """What infini-gram is compared with."""

    def __init__(self, index: ExactIndex, lengths: list[NDArray[np.int64]], build_s: float, queries_per_s: float):
        self.index, self.lengths, self.build_s, self.queries_per_s = index, lengths, build_s, queries_per_s


def measure_peer(texts: Sequence[str], queries: Sequence[str], folder: Path, ours: Ours) -> None:
    """infini-gram on the same texts: build with one processor, as ours; longest match per byte; equal answers."""
    from infini_gram.engine import InfiniGramEngine

    data, index = folder / "data", folder / "infini-gram"
    data.mkdir()
    with (data / "texts.jsonl").open("w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    progress("infini-gram: indexing …")
    command = [sys.executable, "-m", "infini_gram.indexing", "--data_dir", str(data.resolve())]
    command += ["--save_dir", str(index.resolve()), "--token_dtype", "u8", "--cpus", "1", "--mem", "8"]
    started = time.perf_counter()
    subprocess.run([*command, "--ulimit", "1024"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    built = time.perf_counter() - started
    report("infini-gram build", seconds=built, ratio=built / ours.build_s)
    engine = InfiniGramEngine([str(index.resolve())], eos_token_id=0, vocab_size=255, token_dtype="u8")
    progress(f"infini-gram: {len(queries)} queries …")
    started = time.perf_counter()
    answers = [engine.creativity(list(query.encode("utf-8")))["rs"] for query in queries]
    rate = len(queries) / (time.perf_counter() - started)
    equal = sum(
        np.array_equal(np.array(ends) - np.arange(len(ends)), lengths)
        for ends, lengths in zip(answers, ours.lengths, strict=False)
    )
    report("infini-gram longest match per byte", queries=len(queries), queries_per_s=rate,
           ratio=ours.queries_per_s / rate, equal_answers=equal)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
