"""How much of rewritten text is found, by strength of the rewriting, and how often text on the same topic is taken for it.

    python benchmarks/rewriting.py [--shared DIR] [--preset NAME ...] [--count N] [--half a|b|both]

What the cases are, and what light, medium and heavy mean, stands in `rewriting_cases.py`. A rewrite is found if a match of
it meets what it rewrites, and half of the shorter of match and rewrite lies in the other; a negative case is a false alarm
if there is any match. Each pair of texts is looked at alone: retrieval has no part in it.

One JSON object a line on stdout, the machine first; then for each preset, half, condition and label the number of cases,
the share found and the share found as a paraphrase or worse (weak paraphrases left out), with Wilson's intervals, and the
median share of words kept. Last, for each label the mean over the conditions, each of the same weight. Tables on standard
error.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from halves import Half
from machine import machine
from rewriting_cases import Case, Label, all_cases

from rote.alignment import PRESETS, Aligner, find_matches, make_aligner
from rote.config import AlignmentConfig
from rote.records import Candidate, Generation, Kind, Match, Prompt
from rote.statistics.intervals import wilson

LABELS: tuple[Label, ...] = ("cut", "light", "medium", "heavy", "same topic", "labelled no paraphrase")
BATCH = 256
"""Cases whose texts are read together."""
_PROMPT = Prompt("", "", "", "")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the aligner says of one case."""

    condition: str
    label: Label
    half: Half
    kinds: frozenset[Kind]
    """Kinds of the right matches; of a negative case, of all."""
    kept: float


def try_cases(cases: Iterable[Case], aligner: Aligner) -> Iterator[Outcome]:
    """One outcome for each case, in order."""
    rows = list(cases)
    for start in range(0, len(rows), BATCH):
        group = rows[start : start + BATCH]
        aligner.texts.read([text for case in group for text in (case.generated, case.training)])
        for case in group:
            generation = Generation("", "", "", "rewritten", "", 0, case.generated)
            matches = find_matches(generation, _PROMPT, [(Candidate("", "", 1, 0.0), case.training)], aligner)
            right = [match.kind for match in matches if not case.is_rewrite or _is_right(match, case)]
            yield Outcome(case.condition, case.label, case.half, frozenset(right), case.kept)


def _is_right(match: Match, case: Case) -> bool:
    shorter = min(len(match.generated), len(case.planted))
    return match.training.overlap(case.origin) > 0 and 2 * match.generated.overlap(case.planted) >= shorter


def lines_of(outcomes: Sequence[Outcome]) -> Iterator[dict[str, object]]:
    """A line for each condition and label, in the order of the labels; then one for each label."""
    for label in LABELS:
        shares = []
        for condition in sorted({one.condition for one in outcomes if one.label == label}):
            own = [one for one in outcomes if (one.condition, one.label) == (condition, label)]
            line = {"condition": condition, "label": label, "n": len(own), **_rates(own)}
            shares.append(line)
            yield line | {"kept": round(statistics.median(one.kept for one in own), 3)}
        if shares:
            yield {"label": label, "conditions": len(shares), **_means(shares)}


def _rates(outcomes: Sequence[Outcome]) -> dict[str, float | None]:
    """Any match; and one that is no weak paraphrase."""
    told = [one.kinds - {"weak-paraphrase"} for one in outcomes]
    rates: dict[str, float | None] = {}
    for name, hits in (
        ("found", [bool(one.kinds) for one in outcomes]),
        ("paraphrase", [bool(kinds) for kinds in told]),
    ):
        rate = wilson(sum(hits), len(hits))
        values = {name: rate.value, f"{name}_low": rate.low, f"{name}_high": rate.high}
        rates |= {key: value if value is None else round(value, 4) for key, value in values.items()}
    return rates


def _means(lines: Sequence[Mapping[str, object]]) -> dict[str, float]:
    return {
        name: round(statistics.fmean(float(str(line[name])) for line in lines), 4) for name in ("found", "paraphrase")
    }


def show(lines: Iterable[Mapping[str, object]], title: str) -> None:
    """The table in a readable form on standard error."""
    print(
        f"\n{title}\n{'condition':26}{'label':24}{'n':>5}  found (95 %)         as paraphrase or worse  kept",
        file=sys.stderr,
    )
    for line in lines:
        if "condition" in line:
            rates = "  ".join(_percent(line, name) for name in ("found", "paraphrase"))
            print(f"{line['condition']:26}{line['label']:24}{line['n']:5}  {rates}   {line['kept']}", file=sys.stderr)
        else:
            means = ", ".join(f"{name} {100 * float(str(line[name])):.1f} %" for name in ("found", "paraphrase"))
            print(f"{line['label']}: mean of {line['conditions']} conditions: {means}", file=sys.stderr)


def _percent(line: Mapping[str, object], name: str) -> str:
    value, low, high = (100 * float(str(line[key])) for key in (name, f"{name}_low", f"{name}_high"))
    return f"{value:5.1f} ({low:4.1f}-{high:5.1f})"


def main() -> int:
    """Runs the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared = os.environ.get("ROTE_SHARED", "../shared")
    parser.add_argument(
        "--shared", type=Path, default=Path(shared), metavar="DIR", help=f"the texts (default: {shared})"
    )
    parser.add_argument("--preset", nargs="+", choices=list(PRESETS), default=["corrected", "zeng2024"])
    parser.add_argument(
        "--count", type=int, default=150, metavar="N", help="cases of a condition, label and half (150)"
    )
    parser.add_argument("--half", choices=["a", "b", "both"], default="both", help="halves to show (both, each apart)")
    arguments = parser.parse_args()
    print(json.dumps({**machine(), "count": arguments.count}), flush=True)
    cases = list(all_cases(arguments.shared, count=arguments.count))
    for preset in arguments.preset:
        start = time.process_time()
        outcomes = list(try_cases(cases, make_aligner(AlignmentConfig(preset=preset))))
        print(f"{preset}: {len(cases)} pairs in {time.process_time() - start:.1f} CPU seconds", file=sys.stderr)
        for half in ("a", "b") if arguments.half == "both" else (arguments.half,):
            lines = list(lines_of([one for one in outcomes if one.half == half]))
            for line in lines:
                print(json.dumps({"preset": preset, "half": half, **line}), flush=True)
            show(lines, f"{preset}, half {half}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
