"""Accuracy of the alignment on a PAN text-alignment corpus (format of PAN-13), by obfuscation and as a whole.

    python benchmarks/pan.py --corpus ../shared/pan13-training --preset pan2015
    python benchmarks/pan.py --corpus ../shared/pan13-training --preset corrected --split both --jobs 2

One JSON line per obfuscation folder and one for all ("entire"). The measure is PAN's (`plagdet.py`); `seconds` is CPU
time of aligning, preparation of the texts included and reading the files excluded, summed over the processes, and
`pairs_per_s` therefore per core. A folder without cases has no plagdet: there every detection is a false alarm.

Halves: documents that pairs link go into the same half, by the least content hash of the group; thresholds are chosen
on half a, and half b says whether they hold.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from machine import machine
from pan_corpus import Corpus, Half, Pair, halves, read_corpus, write_detections
from plagdet import Reuse, measure

from rote.alignment import PRESETS, align
from rote.errors import RoteError
from rote.records import Span

Split = Literal["all", "a", "b"]
MIN_CHARS = 150
"""PAN asks for no shorter passages: the floor of `pan2015`, on both sides; `corrected` reports passages from 50
characters on, which is what generations need, and phrases of that length recur in any corpus."""


@dataclass(frozen=True, slots=True)
class Result:
    """What was found in a pair, and the CPU seconds it took."""

    detections: tuple[Reuse, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A pair with its half and its result."""

    pair: Pair
    half: Half
    result: Result


def align_pair(pair: Pair, suspicious: str, source: str, preset: str) -> Result:
    """The detections in a pair: the suspicious document is the generation."""
    start = time.process_time()
    passages = align(suspicious, source, preset=PRESETS[preset])  # type: ignore[index]
    seconds = time.process_time() - start
    sides = [(passage.generated, passage.training) for passage in passages]
    if PRESETS[preset].keeps_all_forms:  # type: ignore[index]
        sides = [(one, two) for one, two in joined(sides) if min(len(one), len(two)) >= MIN_CHARS]
    return Result(tuple(Reuse(pair.suspicious, pair.source, copy, origin) for copy, origin in sides), seconds)


def joined(passages: Iterable[tuple[Span, Span]]) -> list[tuple[Span, Span]]:
    """Of passages of several forms, those that overlap on both sides become one, from the first to the last character.

    `corrected` reports a verbatim run, the plain passage around it and the summary around both side by side; PAN asks
    for one passage.
    """
    found: list[tuple[Span, Span]] = []
    for sides in passages:
        while overlapping := [other for other in found if sides[0].overlap(other[0]) and sides[1].overlap(other[1])]:
            sides = (
                _hull(sides[0], *(one for one, _ in overlapping)),
                _hull(sides[1], *(two for _, two in overlapping)),
            )
            found = [other for other in found if other not in overlapping]
        found.append(sides)
    return found


def _hull(*spans: Span) -> Span:
    return Span(min(span.start for span in spans), max(span.end for span in spans))


def run(corpus: Corpus, pairs: Sequence[Pair], *, preset: str, jobs: int) -> list[Result]:
    """The results of these pairs, in order."""
    texts = [(pair, corpus.suspicious[pair.suspicious], corpus.sources[pair.source], preset) for pair in pairs]
    warm_up = corpus.pairs[0]
    align_pair(warm_up, corpus.suspicious[warm_up.suspicious], corpus.sources[warm_up.source], preset)
    if jobs == 1:
        return [_reported(i, len(texts), align_pair(*one)) for i, one in enumerate(texts)]
    with ProcessPoolExecutor(jobs) as pool:
        results = pool.map(align_pair, *zip(*texts, strict=True), chunksize=32)
        return [_reported(i, len(texts), result) for i, result in enumerate(results)]


def _reported(done: int, of: int, result: Result) -> Result:
    if done % 500 == 0:
        print(f"{done} of {of} pairs", file=sys.stderr)
    return result


def rows(judged: Sequence[Judged], *, preset: str, split: Split) -> list[dict[str, str | int | float | None]]:
    """The lines to print for a split: one per obfuscation, and "entire"."""
    chosen = [one for one in judged if split in ("all", one.half)]
    names = sorted({one.pair.obfuscation for one in chosen})
    groups = [(name, [one for one in chosen if one.pair.obfuscation == name]) for name in names]
    return [_row(name, group, preset, split) for name, group in [*groups, ("entire", chosen)]]


def _row(name: str, judged: Sequence[Judged], preset: str, split: Split) -> dict[str, str | int | float | None]:
    cases = [case for one in judged for case in one.pair.cases]
    detections = [found for one in judged for found in one.result.detections]
    seconds = sum(one.result.seconds for one in judged)
    figures: dict[str, int | float | None] = asdict(measure(cases, detections))
    labels = {"preset": preset, "split": split, "obfuscation": name, "pairs": len(judged)}
    pairs_per_s = round(len(judged) / seconds, 1) if seconds else None
    return {
        **labels,
        **{key: _rounded(value) for key, value in figures.items()},
        "seconds": round(seconds, 3),
        "pairs_per_s": pairs_per_s,
    }


def _rounded(value: float | None) -> float | None:
    return round(value, 4) if isinstance(value, float) else value


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, metavar="DIR", help="susp/, src/ and folders of truth")
    parser.add_argument("--preset", choices=list(PRESETS), required=True)
    parser.add_argument("--split", choices=["all", "a", "b", "both"], default="all", help="both: all, then each half")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (1)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the lines here too")
    parser.add_argument("--detections", type=Path, metavar="DIR", help="write PAN's XML here, one file per pair")
    arguments = parser.parse_args()
    if arguments.jobs < 1:
        parser.error(f"--jobs: expected at least 1, found {arguments.jobs}")
    return arguments


def main() -> None:
    arguments = _arguments()
    corpus = read_corpus(arguments.corpus)
    print(json.dumps(machine()), file=sys.stderr)
    kept = {"a", "b"} & {arguments.split} or {"a", "b"}
    wanted = [(pair, half) for pair, half in zip(corpus.pairs, halves(corpus), strict=True) if half in kept]
    results = run(corpus, [pair for pair, _ in wanted], preset=arguments.preset, jobs=arguments.jobs)
    judged = [Judged(pair, half, result) for (pair, half), result in zip(wanted, results, strict=True)]
    splits: list[Split] = ["all", "a", "b"] if arguments.split == "both" else [arguments.split]
    lines = [json.dumps(row) for split in splits for row in rows(judged, preset=arguments.preset, split=split)]
    print("\n".join(lines))
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if arguments.detections:
        for one in judged:
            write_detections(arguments.detections, one.pair, one.result.detections)


if __name__ == "__main__":
    try:
        main()
    except RoteError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
