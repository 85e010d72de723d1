"""The whole detection: generations of 100 tokens against a training set, rote and bm25s with the plain aligner.

Generations are copies of records with 0 to 50 % of their words replaced, and unseen text, by turns. rote indexes the
records (BM25 and exact), retrieves 10 candidates and the sources of exact runs, reads the candidates' texts, aligns and
tells the kinds. The peer retrieves 10 candidates with bm25s (its own tokenizer, Numba backend) and aligns them with the
published algorithm in plain Python (`plain.py`); it gets a sample, tells no kinds and searches no exact runs.

    python benchmarks/detection.py                                     # 10,000 generations, 100,000 records
    python benchmarks/detection.py --records 10000 --generations 500
    python benchmarks/detection.py --growth --plot docs/images/growth.svg

Seconds are CPU seconds of one thread. One JSON object per line on stdout, progress on stderr.
"""

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from growth import fitted_exponent, plot
from machine import machine, peak_memory_mb, progress, report
from plain import align as align_plainly
from plain import nltk_tokenizer
from shared_records import EDIT_RATES, Query, make_queries, records

from rote.alignment import PRESETS, find_matches, make_aligner
from rote.config import AlignmentConfig, RetrievalConfig
from rote.records import Candidate, Example, Generation, Match, Prompt
from rote.retrieval import ExactSearch, build_exact, build_index, open_exact, open_index, retrieve

DEPTH = 10
ALIGNED_AT_ONCE = 50
GROWTH = (10_000, 100_000, 1_000_000)
GROWTH_CHARS = 130
"""Short records, so that a million of them can be cut from the shared data."""


@dataclass(frozen=True, slots=True)
class Task:
    """The training set and what is looked for in it."""

    examples: list[Example]
    queries: list[Query]
    generations: list[Generation]


def main() -> int:
    """Runs the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000, help="training records (default: 100,000)")
    parser.add_argument("--record-chars", type=int, default=1000, help="characters of a record (default: 1,000)")
    parser.add_argument("--generations", type=int, default=10_000, help="default: 10,000")
    parser.add_argument("--peer-generations", type=int, default=20, help="generations for the peer (default: 20)")
    parser.add_argument("--without-peer", action="store_true", help="rote alone")
    parser.add_argument("--preset", choices=list(PRESETS), default="corrected")
    parser.add_argument(
        "--growth", action="store_true", help=f"rote alone, {GROWTH} records of {GROWTH_CHARS} characters"
    )
    parser.add_argument("--plot", type=Path, help="with --growth: write the picture there")
    arguments = parser.parse_args()
    report("machine", **machine())
    if arguments.growth:
        measure_growth(arguments.generations, arguments.preset, arguments.plot)
        return 0
    ours = in_own_process(arguments.records, arguments.record_chars, arguments.generations, arguments.preset)
    if not arguments.without_peer:
        task = make_task(arguments.records, arguments.record_chars, arguments.generations)
        measure_peer(task, arguments.peer_generations, ours["generations_per_s"])
    return 0


def make_task(count: int, chars: int, generations: int) -> Task:
    """Every record is an example; generation i was prompted with the record that it copies, or with record i."""
    found = records(chars)
    texts = list(islice(found, count))
    if len(texts) < count:
        raise SystemExit(f"the shared data have {len(texts):,} records of {chars} characters, fewer than {count:,}")
    unseen = list(islice(found, 2000)) or texts[-2000:]
    examples = [Example(f"{n:08}", "", text, "member", str(n)) for n, text in enumerate(texts)]
    queries = make_queries(texts, unseen, generations)
    return Task(examples, queries, [_generation(n, query, count) for n, query in enumerate(queries)])


def _generation(number: int, query: Query, records: int) -> Generation:
    own = number % records if query.source is None else query.source
    return Generation(f"g{number}", f"p{number}", f"{own:08}", "tuned", "greedy", 0, query.text)


def in_own_process(count: int, chars: int, generations: int, preset: str) -> dict[str, float]:
    """`measure_ours` in a fresh process, so that its memory is its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as processes:
        return processes.submit(measure_ours, count, chars, generations, preset).result()


def measure_ours(count: int, chars: int, generations: int, preset: str) -> dict[str, float]:
    """Seconds of every step, generations a second, peak memory of the process, and how many copies were found."""
    warm = make_task(50, chars, 10)
    with tempfile.TemporaryDirectory() as folder:
        detect(warm, Path(folder), preset)
    task = make_task(count, chars, generations)
    texts_mb = peak_memory_mb()
    progress(f"rote: {generations:,} generations against {count:,} records …")
    with tempfile.TemporaryDirectory() as folder:
        seconds, matches = detect(task, Path(folder), preset)
    spent = sum(seconds[step] for step in ("retrieve", "read", "align"))
    figures = {
        **{f"{step}_s": value for step, value in seconds.items()},
        "generations_per_s": generations / spent,
        "memory_before_mb": texts_mb,
        "peak_memory_mb": peak_memory_mb(),
    }
    size = sum(len(example.text) for example in task.examples)
    report("rote", records=count, characters=size, generations=generations, preset=preset, **figures)
    report("rote: share of copies found", **found_shares(task, matches))
    return figures


def detect(task: Task, folder: Path, preset: str) -> tuple[dict[str, float], list[Match]]:
    """Seconds of every step, and the matches."""
    aligner = make_aligner(AlignmentConfig(preset=preset))
    texts = {example.id: example.text for example in task.examples}
    clock = Clock()
    prompts = [Prompt(item.prompt_id, item.example_id, "", "") for item in task.generations]
    build_index(task.examples, prompts, folder / "index", config=RetrievalConfig())
    clock.note("index")
    build_exact(task.examples, folder / "exact")
    clock.note("exact_index")
    index = open_index(folder / "index")
    exact = ExactSearch(open_exact(folder / "exact"), PRESETS[preset].verbatim_min_chars + 1)
    found = list(retrieve(task.generations, index, depth=DEPTH, exact=exact))
    clock.note("retrieve")
    candidates: dict[str, list[tuple[Candidate, str]]] = {item.id: [] for item in task.generations}
    for candidate in (one for chunk in found for one in chunk):
        candidates[candidate.generation_id].append((candidate, texts[candidate.example_id]))
    matches: list[Match] = []
    for start in range(0, len(task.generations), ALIGNED_AT_ONCE):
        chunk = task.generations[start : start + ALIGNED_AT_ONCE]
        aligner.texts.read(text for item in chunk for _, text in candidates[item.id])
        aligner.texts.read(item.text for item in chunk)
        clock.note("read")
        for item, prompt in zip(chunk, prompts[start : start + ALIGNED_AT_ONCE], strict=True):
            matches += find_matches(item, prompt, candidates[item.id], aligner)
        clock.note("align")
    return clock.seconds, matches


class Clock:
    """Adds up the seconds between its notes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.process_time()

    def note(self, step: str) -> None:
        """The time since the last note belongs to this step."""
        now = time.process_time()
        self.seconds[step] = self.seconds.get(step, 0.0) + now - self._last
        self._last = now


def found_shares(task: Task, matches: Sequence[Match]) -> dict[str, float]:
    """Of the copies with each share of replaced words: how many have a match with the record that they copy."""
    pairs = {(match.generation_id, match.example_id) for match in matches}
    shares = {}
    for rate in EDIT_RATES:
        copies = [
            (item.id, item.example_id)
            for item, query in zip(task.generations, task.queries, strict=True)
            if query.source is not None and query.edited == rate
        ]
        shares[f"{rate:.0%} replaced"] = sum(pair in pairs for pair in copies) / max(1, len(copies))
    return shares


def measure_peer(task: Task, count: int, ours_per_s: float) -> None:
    """bm25s and the plain aligner on a sample of the generations."""
    import bm25s
    import Stemmer

    progress(f"bm25s and the plain aligner: {count} generations …")
    stemmer = Stemmer.Stemmer("english")
    clock = Clock()
    bm25 = bm25s.BM25(method="lucene", backend="numba")
    texts = [example.text for example in task.examples]
    bm25.index(bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False)
    clock.note("index")
    step = max(1, len(task.queries) // count)
    sample = [query.text for query in task.queries[::step]][:count]
    bm25.retrieve(bm25s.tokenize(sample[:1], stopwords="en", stemmer=stemmer, show_progress=False), k=DEPTH, show_progress=False)  # fmt: skip
    tokenizer = nltk_tokenizer()
    align_plainly(sample[0], texts[0], tokenizer=tokenizer)
    clock.note("warm")
    asked = bm25s.tokenize(sample, stopwords="en", stemmer=stemmer, show_progress=False)
    found, _ = bm25.retrieve(asked, k=min(DEPTH, len(texts)), show_progress=False)
    clock.note("retrieve")
    for text, places in zip(sample, found, strict=True):
        for place in places:
            align_plainly(text, texts[int(place)], tokenizer=tokenizer)
    clock.note("align")
    rate = len(sample) / (clock.seconds["retrieve"] + clock.seconds["align"])
    report(
        "bm25s and plain aligner", generations=len(sample), index_s=clock.seconds["index"],
        retrieve_s=clock.seconds["retrieve"], align_s=clock.seconds["align"], generations_per_s=rate,
        ratio=ours_per_s / rate,
    )  # fmt: skip


def measure_growth(generations: int, preset: str, picture: Path | None) -> None:
    """The same generations against ten and a hundred times as many records; exponent b of a · records^b."""
    figures = [in_own_process(count, GROWTH_CHARS, generations, preset) for count in GROWTH]
    series = {name: [item[name] for item in figures] for name in _growing(figures)}
    exponents = {name: fitted_exponent(GROWTH, values) for name, values in series.items()}
    report("growth: exponents", records=list(GROWTH), **exponents)
    if picture is not None:
        plot(picture, GROWTH, series, title=f"{generations:,} generations against records of {GROWTH_CHARS} characters")


def _growing(figures: Sequence[dict[str, float]]) -> Iterator[str]:
    return (name for name in figures[0] if (name.endswith("_s") and name != "generations_per_s") or "peak" in name)


if __name__ == "__main__":
    sys.exit(main())
