"""Speed and memory of the alignment: document pairs and generations a second on one core, rote and a plain peer.

    python benchmarks/alignment.py --corpus ../shared/pan13-training
    python benchmarks/alignment.py --preset corrected --pairs 1000 --without-peer

The peer (`plain.py`) is the published algorithm in plain Python with nltk, which reads both texts of each pair anew. It
gets a sample. rote reads the texts of 50 generations (or pairs) together, as the pipeline does, and keeps what fits into
its bound; "with reading" is that, in a fresh aligner whose lexicon knows no word yet; "aligning only" is a second pass with
all texts kept. Each rate stands with its ratio to the published code's (`PUBLISHED`, another machine) and, for the sample,
to the peer's in the same run.

Generations are texts of 79 words, cut from suspicious documents; each is aligned with 10 candidates, the first 4,400
characters of source documents, one of them its own. Times are CPU seconds of one thread. The compiled kernels are
warmed up before; what a fresh install pays for compiling them is measured in processes of their own. One JSON object per
line on stdout, progress on stderr.
"""

import argparse
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from machine import machine, progress, report
from pan_corpus import Corpus, read_corpus
from plain import align as align_plainly
from plain import nltk_tokenizer

from rote.alignment import PAN2015, PRESETS, Passage, Preset
from rote.alignment.passages import TextAligner
from rote.text.bulk import reader_of

GENERATION_WORDS = 79
CANDIDATES = 10
CANDIDATE_CHARS = 4400
READ_TOGETHER = 50
UNLIMITED = 1 << 40
PUBLISHED = {"pairs_per_s": 17.2, "generations_per_s": 8.7}
"""The published code on 2 shared cores of another x86-64 server, as recorded with the issue; not measured here."""

FIRST = """
import json, sys, time
from rote.alignment import PRESETS, align
text = "The ferry to the island leaves at seven in the morning and comes back at noon. " * 3
seconds = {}
for name in sys.argv[1:]:
    start = time.process_time()
    align(text, text, preset=PRESETS[name])
    seconds[name] = time.process_time() - start
print(json.dumps(seconds))
"""

Task = tuple[str, Sequence[str]]
"""A text and those that it is aligned with."""


def main() -> int:
    """Runs the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("ROTE_SHARED", "../shared")) / "pan13-training"
    parser.add_argument("--corpus", type=Path, default=default, help="PAN-13-format corpus (default: of $ROTE_SHARED)")
    parser.add_argument("--preset", choices=list(PRESETS), help="default: pan2015, then corrected")
    parser.add_argument("--pairs", type=int, default=5185, help="document pairs, evenly drawn (default: all of PAN-13)")
    parser.add_argument("--generations", type=int, default=2000, help="default: 2,000")
    parser.add_argument(
        "--peer-pairs", type=int, default=60, help="pairs that the peer gets too, evenly drawn (default: 60)"
    )
    parser.add_argument("--peer-generations", type=int, default=10, help="generations for the peer (default: 10)")
    parser.add_argument("--without-peer", action="store_true", help="rote alone")
    arguments = parser.parse_args()
    corpus = read_corpus(arguments.corpus)
    pairs = document_pairs(corpus, arguments.pairs)
    generations = cut_generations(corpus, arguments.generations)
    report("machine", **machine())
    report("published code, other machine", **PUBLISHED)
    presets = [PRESETS[arguments.preset]] if arguments.preset else [PAN2015, PRESETS["corrected"]]
    for what, tasks, peer_tasks in (
        ("pairs", pairs, arguments.peer_pairs),
        ("generations", generations, arguments.peer_generations),
    ):
        rates = {preset.name: measure(what, tasks, preset) for preset in presets}
        if not arguments.without_peer:
            compare(what, evenly(tasks, peer_tasks), rates)
    for name, (one, two) in large_texts(pairs).items():
        in_own_process(name, one, two)
    measure_first()
    return 0


def document_pairs(corpus: Corpus, count: int) -> list[Task]:
    """Suspicious documents, each with its source."""
    chosen = evenly(corpus.pairs, count)
    return [(corpus.suspicious[pair.suspicious], [corpus.sources[pair.source]]) for pair in chosen]


def cut_generations(corpus: Corpus, count: int) -> list[Task]:
    """Texts of 79 words, each with its own source and nine others, in an order that does not tell."""
    draw = random.Random(0)
    sources = [corpus.sources[name][:CANDIDATE_CHARS] for name in sorted(corpus.sources)]
    tasks = []
    for pair in draw.choices(corpus.pairs, k=count):
        text = corpus.suspicious[pair.suspicious]
        words = text.split(" ")
        start = draw.randrange(max(1, len(words) - GENERATION_WORDS))
        own = corpus.sources[pair.source][:CANDIDATE_CHARS]
        candidates = [own, *draw.sample(sources, CANDIDATES - 1)]
        draw.shuffle(candidates)
        tasks.append((" ".join(words[start : start + GENERATION_WORDS]), candidates))
    return tasks


def evenly(items: Sequence, count: int) -> list:
    """So many of the items, at equal distances."""
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def measure(what: str, tasks: Sequence[Task], preset: Preset) -> float:
    """rote on all tasks: with reading, then aligning only; returns tasks a second, with reading."""
    progress(f"rote, {preset.name}: {len(tasks)} {what} …")
    align_all(TextAligner(preset, language="en"), tasks[:50])
    reader_of.cache_clear()
    fresh = TextAligner(preset, language="en")
    with_reading, passages = timed(lambda: align_all(fresh, tasks))
    full = TextAligner(preset, language="en", max_kept_chars=UNLIMITED)
    for chunk in chunks(tasks):
        full.read(text for task in chunk for text in (task[0], *task[1]))
    timed(lambda: align_all(full, tasks))  # what is made when first asked for is made here
    only, _ = timed(lambda: align_all(full, tasks))
    figures = {f"{what}_per_s": len(tasks) / with_reading, f"{what}_per_s_aligning_only": len(tasks) / only}
    figures["ratio_to_published"] = figures[f"{what}_per_s"] / PUBLISHED[f"{what}_per_s"]
    figures["us_per_alignment"] = 1e6 * only / sum(len(others) for _, others in tasks)
    report(f"rote {what}", preset=preset.name, **{what: len(tasks)}, passages=passages, **figures)
    return len(tasks) / with_reading


def align_all(aligner: TextAligner, tasks: Sequence[Task]) -> int:
    """Number of passages found; texts are read in bulk, those of 50 tasks at a time."""
    passages = 0
    for chunk in chunks(tasks):
        aligner.read(text for task in chunk for text in (task[0], *task[1]))
        passages += sum(len(found) for text, others in chunk for found in aligner.align_each(text, others))
    return passages


def chunks(tasks: Sequence[Task]) -> Iterator[Sequence[Task]]:
    """The tasks, 50 at a time."""
    return (tasks[at : at + READ_TOGETHER] for at in range(0, len(tasks), READ_TOGETHER))


def timed(work: Callable[[], int]) -> tuple[float, int]:
    """CPU seconds and the result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def compare(what: str, tasks: Sequence[Task], rates: Mapping[str, float]) -> None:
    """The peer on a sample: its speed against that of rote on all tasks (`rates`, by preset); how far they find the same."""
    progress(f"plain peer: {len(tasks)} {what} …")
    tokenizer = nltk_tokenizer()
    pairs = [(text, other) for text, others in tasks for other in others]
    found: list[list[Passage]] = []
    seconds, _ = timed(lambda: found.extend(align_plainly(*pair, tokenizer=tokenizer) for pair in pairs) or 0)
    aligner = TextAligner(PAN2015, language="en")
    agreement = generated_chars_in_both(
        [(aligner.align(*pair), peers) for pair, peers in zip(pairs, found, strict=True)]
    )
    rate = len(tasks) / seconds
    ratios = {name: own / rate for name, own in rates.items()}
    report(
        f"plain peer {what}",
        **{what: len(tasks), f"{what}_per_s": rate},
        rote_is_so_many_times_faster=ratios,
        **agreement,
    )


def generated_chars_in_both(found: Sequence[tuple[list[Passage], list[Passage]]]) -> dict[str, float | None]:
    """Share of the characters found by the peer that rote finds, and the other way round; None where there are none."""
    both = own = other = 0
    for passages, peers in found:
        one, two = ({i for p in side for i in range(p.generated.start, p.generated.end)} for side in (passages, peers))
        both, own, other = both + len(one & two), own + len(one), other + len(two)
    return {
        "of_the_peers_chars": both / other if other else None,
        "of_rotes_chars": both / own if own else None,
    }


def large_texts(pairs: Sequence[Task]) -> dict[str, tuple[str, str]]:
    """1 MB against 1 MB with shared passages throughout, and texts of one repeated sentence."""
    one, two = (
        "\n\n".join(texts)[:1_000_000] for texts in zip(*((text, others[0]) for text, others in pairs), strict=True)
    )
    sentence = "The ferry to the island leaves at seven and comes back at noon. "
    repeated = sentence * (300_000 // len(sentence))
    return {"1 MB against 1 MB": (one, two), "300 kB of one sentence": (repeated, repeated)}


def in_own_process(name: str, one: str, two: str) -> None:
    """Time and peak memory of one alignment, `corrected`, apart from all others."""
    progress(f"{name} …")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        figures = pool.apply(measure_large, (one, two))
    report(name, preset="corrected", chars=[len(one), len(two)], **figures)


def measure_large(one: str, two: str) -> dict[str, float]:
    """CPU seconds, passages, and the memory above that of a process that has aligned shorter texts."""
    aligner = TextAligner(PRESETS["corrected"], language="en")
    aligner.align(one[:50_000], two[:50_000])
    before = memory_mb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    seconds, passages = timed(lambda: len(aligner.align(one, two)))
    peak = memory_mb("VmHWM")
    return {"seconds": seconds, "passages": passages, "memory_mb": peak - before, "process_mb": peak}


def measure_first() -> None:
    """What the first alignment of a fresh install takes, and the first one of a later process."""
    with tempfile.TemporaryDirectory() as cache:
        for name in ("first alignment, nothing compiled", "first alignment, compiled before"):
            progress(f"{name} …")
            command = [sys.executable, "-c", FIRST, "corrected", "pan2015"]
            done = subprocess.run(
                command, env={**os.environ, "NUMBA_CACHE_DIR": cache}, check=True, capture_output=True, text=True
            )
            report(name, cpu_seconds=json.loads(done.stdout), said=done.stderr.strip())


def memory_mb(field: str) -> float:
    """Resident memory of this process now (VmRSS) or at its peak since `clear_refs` (VmHWM); Linux."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


if __name__ == "__main__":
    raise SystemExit(main())
