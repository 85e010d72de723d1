"""Retrieval: rote's BM25 index against bm25s (Numba backend) and tantivy on the same passages, in one run.

Passages of 100 words are cut from the shared data (novels, sample data, PAN documents under $ROTE_SHARED) at equal
distances; from about 237,000 passages on, neighbours overlap. Queries have 80 words: copies of passages with 0 to 50 % of
their words replaced, and text set aside, by turns. Ten results each, one thread.

All three get the same terms (`rote.text.terms`: stems without stop-words), so that the same scores are asked for. rote
reads texts: its time includes finding the terms. The others get numbers of terms; only their search is timed.

Every engine builds in one process and searches in others, which open the saved index. Engines search by turns, `--rounds`
times; the fastest round of each counts. Ratios to bm25s, once of seconds of the clock, once of the processor.

recall_at_10: of the ten best by bm25s's own scores, how many are among the ten results; results that score the same as the
tenth best are as good. tantivy rounds the length of a document to one byte.

    python benchmarks/retrieval.py                                      # 600,000 passages, about ten minutes
    python benchmarks/retrieval.py --passages 74194
    python benchmarks/retrieval.py --passages 1000000 --without-peers

One JSON object per line on stdout, progress on stderr.
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
from machine import machine, peak_memory_mb, progress, report
from shared_records import EDIT_RATES, Query, make_queries, passages

from rote.config import RetrievalConfig
from rote.records import Example
from rote.retrieval import build_index, open_index
from rote.retrieval.reproduction import CHUNK
from rote.text.forms import TermReader

DEPTH = 10
PASSAGES = "passages.txt"
PASSAGE_WORDS = 100
QUERY_WORDS = 80
SAME = 1e-5
"""bm25s adds numbers of single precision: scores that differ by less than this share are equal."""

Found = list[list[int]]
Search = Callable[[], Found]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Build:
    """What indexing took; the memory holds the texts before it begins."""

    build_s: float
    build_cpu_s: float
    disk_mb: float
    memory_before_mb: float
    build_peak_mb: float


@dataclass(frozen=True, slots=True)
class Round:
    """All queries once, by a process that opened the saved index."""

    open_ms: float
    seconds: float
    cpu_s: float
    search_peak_mb: float
    found: Found


def main() -> int:
    """Runs the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=600_000, help="default: 600,000")
    parser.add_argument("--queries", type=int, default=2000, help="default: 2,000")
    parser.add_argument("--rounds", type=int, default=3, help="searches by turns (default: 3)")
    parser.add_argument("--without-peers", action="store_true", help="rote alone: no ratios, no recall")
    parser.add_argument("--folder", type=Path, help="where the indexes are written (default: a temporary folder)")
    arguments = parser.parse_args()
    report("machine", **machine())
    names = ["rote"] if arguments.without_peers else list(ENGINES)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        measure(names, arguments.passages, arguments.queries, arguments.rounds, Path(folder))
    return 0


def measure(names: Sequence[str], count: int, asked: int, rounds: int, folder: Path) -> None:
    """Builds, searches by turns, grades, and reports."""
    queries = in_own_process(partial(write_task, count, asked, folder))
    report("task", passages=count, queries=asked, passage_words=PASSAGE_WORDS, query_words=QUERY_WORDS, results=DEPTH)
    builds = {}
    for name in names:
        progress(f"{name}: indexing {count:,} passages …")
        builds[name] = in_own_process(partial(build, name, queries, folder / name))
    best: dict[str, Round] = {}
    for number in range(rounds):
        for name in names:
            progress(f"{name}: {asked:,} queries, round {number + 1} …")
            one = in_own_process(partial(search, name, queries, folder / name))
            best[name] = min(one, best.get(name, one), key=lambda found: found.cpu_s)
    grades = {}
    if "bm25s" in names:
        progress("bm25s: scores of all passages, for the recall …")
        found = {name: one.found for name, one in best.items()}
        grades = in_own_process(partial(recalls, found, folder / "bm25s"))
    for name, one in best.items():
        figures = {key: value for key, value in asdict(one).items() if key != "found"}
        speed = {"queries_per_s": asked / one.seconds, "queries_per_cpu_s": asked / one.cpu_s}
        if grades:
            peer = best["bm25s"]
            speed |= {"ratio": peer.seconds / one.seconds, "cpu_ratio": peer.cpu_s / one.cpu_s}
        report(name, **speed, **figures, **asdict(builds[name]))
        if grades:
            report(f"{name}: recall at {DEPTH}", **by_kind(queries, grades[name]))
        sources = [float(query.source in hits) for query, hits in zip(queries, one.found, strict=True)]
        report(f"{name}: share of sources found", **by_kind(queries, sources, copies_only=True))


def in_own_process(work: Callable[[], Result]) -> Result:
    """The result of the work in a fresh process, so that its memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes:
        return processes.submit(work).result()


def write_task(count: int, asked: int, folder: Path) -> list[Query]:
    """Writes the passages, one a line, and returns the queries."""
    texts, unseen = passages(PASSAGE_WORDS, count)
    (folder / PASSAGES).write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return make_queries(texts, unseen, asked, words=QUERY_WORDS)


def build(name: str, queries: Sequence[Query], folder: Path) -> Build:
    """Indexes the passages in a folder; keeps there what the engine is asked for."""
    engine = ENGINES[name]()
    with (folder.parent / PASSAGES).open(encoding="utf-8", newline="\n") as lines:
        texts = [line.removesuffix("\n") for line in lines]
    folder.mkdir()
    engine.build(texts[:100], folder / "warm")
    before, started, cpu = peak_memory_mb(), time.perf_counter(), time.process_time()
    engine.build(texts, folder / "index")
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    size = sum(path.stat().st_size for path in (folder / "index").rglob("*") if path.is_file())
    asked = engine.asked([query.text for query in queries])
    (folder / "asked.json").write_text(json.dumps(asked), encoding="utf-8")
    return Build(seconds, cpu_seconds, size / 1e6, before, peak_memory_mb())


def search(name: str, queries: Sequence[Query], folder: Path) -> Round:
    """Opens the index and searches once for all queries."""
    engine = ENGINES[name]()
    asked = json.loads((folder / "asked.json").read_text(encoding="utf-8"))
    engine.open(folder / "warm")(asked[:1])
    started = time.perf_counter()
    find = engine.open(folder / "index")
    open_ms = 1000 * (time.perf_counter() - started)
    find(asked[:1])
    started, cpu = time.perf_counter(), time.process_time()
    found = [hits for at in range(0, len(queries), CHUNK) for hits in find(asked[at : at + CHUNK])]
    return Round(open_ms, time.perf_counter() - started, time.process_time() - cpu, peak_memory_mb(), found)


class Rote:
    """The index under test; asked for texts."""

    def build(self, texts: Sequence[str], folder: Path) -> None:
        examples = [Example(f"{n:08}", "", text, "member", str(n)) for n, text in enumerate(texts)]
        build_index(examples, [], folder, config=RetrievalConfig())

    def asked(self, texts: Sequence[str]) -> Sequence[object]:
        return texts

    def open(self, folder: Path) -> Callable[[list[str]], Found]:
        index = open_index(folder)
        return lambda texts: [[int(hit.example_id) for hit in hits] for hits in index.search(texts, depth=DEPTH)]


class Bm25s:
    """bm25s with its Numba backend; asked for numbers of terms."""

    reader: TermReader

    def numbers(self, texts: Sequence[str]) -> list[list[int]]:
        found = self.reader.read(texts)
        return [found.numbers[start:end].tolist() for start, end in pairwise(found.first)]

    def build(self, texts: Sequence[str], folder: Path) -> None:
        from bm25s import BM25

        self.reader = TermReader("en", without_stop_words=True)
        rows = [row for at in range(0, len(texts), 10_000) for row in self.numbers(texts[at : at + 10_000])]
        vocabulary = {term: number for number, term in enumerate(self.reader.terms)}
        bm25 = BM25(k1=1.2, b=0.75, method="lucene", backend="numba")
        bm25.index((rows, vocabulary), create_empty_token=False, show_progress=False)
        bm25.save(folder, show_progress=False)

    def asked(self, texts: Sequence[str]) -> Sequence[object]:
        known = len(self.reader.terms)
        return [[number for number in row if number < known] for row in self.numbers(texts)]

    def open(self, folder: Path) -> Callable[[list[list[int]]], Found]:
        from bm25s import BM25

        bm25 = BM25.load(folder, mmap=True, show_progress=False)
        return lambda asked: bm25.retrieve(asked, k=DEPTH, show_progress=False).documents.tolist()


class Tantivy:
    """tantivy, one thread; asked for Boolean queries of terms, which are named by their numbers."""

    terms: Bm25s

    def build(self, texts: Sequence[str], folder: Path) -> None:
        import tantivy

        self.terms = Bm25s()
        self.terms.reader = TermReader("en", without_stop_words=True)
        folder.mkdir()
        index = tantivy.Index(_schema(), path=str(folder))
        writer = index.writer(heap_size=512_000_000, num_threads=1)
        for at in range(0, len(texts), 10_000):
            for place, row in enumerate(self.terms.numbers(texts[at : at + 10_000]), at):
                writer.add_document(tantivy.Document(place=place, body=" ".join(map(str, row))))
        writer.commit()
        writer.wait_merging_threads()

    def asked(self, texts: Sequence[str]) -> Sequence[object]:
        return self.terms.asked(texts)

    def open(self, folder: Path) -> Callable[[list[list[int]]], Found]:
        import tantivy

        schema = _schema()
        searcher = tantivy.Index(schema, path=str(folder)).searcher()
        should = tantivy.Occur.Should

        def find(asked: list[list[int]]) -> Found:
            found = []
            for row in asked:
                terms = [(should, tantivy.Query.term_query(schema, "body", str(number))) for number in row]
                hits = searcher.search(tantivy.Query.boolean_query(terms), DEPTH, count=False).hits
                found.append([searcher.doc(address)["place"][0] for _, address in hits])
            return found

        return find


def _schema() -> object:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_unsigned_field("place", stored=True)
    builder.add_text_field("body", index_option="freq")
    return builder.build()


ENGINES = {"rote": Rote, "bm25s": Bm25s, "tantivy": Tantivy}


def recalls(found: dict[str, Found], folder: Path) -> dict[str, list[float]]:
    """For each engine and query the share of its results that score at least as high as the tenth best."""
    from bm25s import BM25

    bm25 = BM25.load(folder / "index", mmap=True, show_progress=False)
    asked = json.loads((folder / "asked.json").read_text(encoding="utf-8"))
    shares: dict[str, list[float]] = {name: [] for name in found}
    for number, row in enumerate(asked):
        scores = bm25.get_scores_from_ids(row)
        wanted = min(DEPTH, int(np.count_nonzero(scores > 0)))
        least = (1 - SAME) * np.partition(scores, len(scores) - wanted)[len(scores) - wanted]
        for name, results in found.items():
            good = sum(bool(scores[place] >= least) for place in set(results[number]))
            shares[name].append(good / wanted)
    return shares


def by_kind(queries: Sequence[Query], values: Sequence[float], *, copies_only: bool = False) -> dict[str, float]:
    """Mean over all queries, over the copies with each share of replaced words, and over unseen text."""
    kinds = {f"{rate:.0%} replaced": [query.source is not None and query.edited == rate for query in queries] for rate in EDIT_RATES}  # fmt: skip
    is_copy = [query.source is not None for query in queries]
    kinds = {"copies": is_copy, **kinds} if copies_only else {"all": [True] * len(queries), **kinds, "unseen": [not copy for copy in is_copy]}  # fmt: skip
    return {name: float(np.mean(np.array(values)[np.array(chosen)])) for name, chosen in kinds.items()}


if __name__ == "__main__":
    sys.exit(main())
