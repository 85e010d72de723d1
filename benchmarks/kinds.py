"""Kinds on planted truth: what the detector says of real passages, planted in real texts, altered in known ways.

    python benchmarks/kinds.py
    python benchmarks/kinds.py --preset corrected zeng2024 --count 300 --seed 1

Passages of six data sets of four tasks, altered and planted as `rote.alignment.planting` defines. Tables:

- long: inside 100 to 400 words and marks of punctuation of another task's records or of novels; the same inside the
  records most like the passage's own.
- short: one sentence of 50 to 200 characters, or so much telegraph style, alone; then inside texts as above.
- by people: summaries that people wrote, planted (condensed), and documents planted whose summary is the training text
  (expanded); at least threefold. What else they share is not known, so every kind but the weak one is right.
- "Nothing" in the tables long and short: a record or a sentence as it is, aligned with records of other tasks, and with
  the records of the same data set most like it: false alarms. Phrases that real texts on one topic have in common are no
  copies of each other, but a verbatim match of them is no error of the detector either.

Each text is aligned with ten training texts: the true one, and the nine records most like it (by people: any) that do
not stand in the text. The kind is the most severe one found at the planted place; which kinds are right is defined by
`rote.alignment.planting.expected_kinds`.

One JSON object a line on stdout, the machine first; then for each condition the number of texts by kind, the shares
where the kind is right and where anything was found (with Wilson's interval), and the shares of the planted characters
that were found and of the matched characters that were planted; then for each class of kinds recall and precision, over
the planted texts and those with nothing of their length: precision depends on that mixture; and how much was found in
texts with and without capitals. The tables in a readable form on standard error.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import islice

from machine import machine
from planted_texts import TABLES, Maker, Table
from topics import read_sources, read_summaries

from rote.alignment import PRESETS, Aligner, make_aligner
from rote.alignment.detector import try_text
from rote.config import AlignmentConfig
from rote.records import KINDS, NOTHING, Estimate, Kind, Span, Trial
from rote.scoring.detector import DetectorRow, detector_rows, is_right
from rote.statistics.intervals import wilson

CLASSES: dict[str, tuple[Kind, ...]] = {
    "verbatim": ("verbatim",),
    "paraphrase": ("near-verbatim", "paraphrase"),
    "idea": ("idea",),
}
"""Near-verbatim and paraphrase are one class here: an edited word more or less decides between them."""

LEAST_CAPITALS = 0.005
"""Share of capitals among the letters below which a text has none to speak of; English prose has about 0.03."""

Line = dict[str, str | int | float | None]


def lines_of_conditions(rows: Sequence[DetectorRow]) -> Iterator[Line]:
    """A line for each condition that texts were made for."""
    for row in rows:
        if row.right.n:
            line: Line = {"condition": row.condition, "n": row.right.n}
            line |= dict(zip((*KINDS, "none"), row.kinds, strict=True))
            for item in (row.right, row.found, row.recalled_chars, row.precise_chars):
                line |= _figures(item.metric, item) if item else {}
            yield line


def _figures(name: str, item: Estimate) -> Line:
    values = {name: item.value, f"{name}_low": item.low, f"{name}_high": item.high}
    return {key: None if value is None else round(value, 4) for key, value in values.items()}


def lines_of_classes(trials: Sequence[Trial]) -> Iterator[Line]:
    """Recall and precision of each class of kinds; texts on the border of two classes count in no recall."""
    for name, kinds in CLASSES.items():
        due = [trial for trial in trials if trial.expected and {*trial.expected} - {"weak-paraphrase"} <= {*kinds}]
        told = [trial for trial in trials if trial.kind in kinds]
        yield {"kind": name, **_rate("recall", due), **_rate("precision", told)}


def _rate(name: str, trials: Sequence[Trial]) -> Line:
    found = wilson(sum(map(is_right, trials)), len(trials))
    values = {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
    return {f"{name}_n": len(trials), **{key: value and round(value, 4) for key, value in values.items()}}


def lines_of_case(trials: Sequence[Trial]) -> Iterator[Line]:
    """How much was found of passages with 20 to 50 % of their words edited, by whether the text around has capitals."""
    edited = [trial for trial in trials if trial.condition in ("edited-20", "edited-30", "edited-50")]
    for name, is_cased in (("with capitals", True), ("without capitals", False)):
        found = [trial.kind is not None for trial in edited if _has_capitals(trial) == is_cased]
        yield {"around": name, "edited": len(found), "found": round(sum(found) / max(1, len(found)), 4)}


def _has_capitals(trial: Trial) -> bool:
    place = trial.planted or Span(0, 0)
    around = trial.text[: place.start] + trial.text[place.end :]
    return sum(map(str.isupper, around)) >= LEAST_CAPITALS * sum(map(str.isalpha, around))


def run(maker: Maker, aligner: Aligner, count: int) -> None:
    """All tables of a preset."""
    nothing: dict[bool, list[Trial]] = {}
    for table in TABLES:
        start = time.process_time()
        trials = [
            try_text(text, aligner)
            for condition in table.conditions
            for text in islice(maker.texts(table, condition), count)
        ]
        nothing.setdefault(table.is_short, [trial for trial in trials if trial.condition in NOTHING])
        planted = [trial for trial in trials if trial.condition not in NOTHING]
        rows = detector_rows(trials, {trial.example_id: trial.example_id for trial in trials})
        classes = [] if table.by_people else list(lines_of_classes([*planted, *nothing[table.is_short]]))
        by_case = list(lines_of_case(trials)) if table.around == "unrelated" and not table.by_people else []
        for line in [*lines_of_conditions(rows), *classes, *by_case]:
            print(json.dumps({"preset": maker.preset.name, "table": table.name, **line}), flush=True)
        show(table, maker.preset.name, rows, [*classes, *by_case], seconds=time.process_time() - start)


def show(table: Table, preset: str, rows: Sequence[DetectorRow], lines: Sequence[Line], *, seconds: float) -> None:
    """The table in a readable form on standard error."""
    heads = ("verbatim", "near-verb.", "paraphrase", "idea", "weak", "none")
    print(f"\n{table.name} ({preset}, {seconds:.1f} CPU seconds)", file=sys.stderr)
    print(f"{'':36}{''.join(f'{head:>11}' for head in heads)}   right  found  recall  precision", file=sys.stderr)
    for row in rows:
        if row.right.n:
            counts = "".join(f"{count or '·':>11}" for count in row.kinds)
            items = [row.right, row.found, row.recalled_chars, row.precise_chars]
            print(f"{row.title:36}{counts}   {'  '.join(map(_percent, items))}", file=sys.stderr)
    for line in lines:
        if "kind" not in line:
            print(json.dumps(line), file=sys.stderr)
            continue
        recall, precision = (_percent_of(line, name) for name in ("recall", "precision"))
        print(f"{line['kind']}: recall {recall}, precision {precision}", file=sys.stderr)


def _percent(item: Estimate | None) -> str:
    return "–" if item is None or item.value is None else f"{100 * item.value:.1f}"


def _percent_of(line: Line, name: str) -> str:
    value, low, high = (line[key] for key in (name, f"{name}_low", f"{name}_high"))
    return "–" if value is None else f"{100 * value:.1f} ({100 * low:.1f}-{100 * high:.1f}, n = {line[f'{name}_n']})"


def main() -> int:
    """Runs the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", nargs="+", choices=list(PRESETS), default=["corrected"], help="default: corrected")
    parser.add_argument("--count", type=int, default=200, metavar="N", help="texts for each condition (200)")
    parser.add_argument("--seed", type=int, default=0, help="of all draws (0)")
    arguments = parser.parse_args()
    if arguments.count < 5:
        parser.error(f"--count: expected at least 5, found {arguments.count}")
    print(json.dumps({**machine(), "count": arguments.count, "seed": arguments.seed}), flush=True)
    sources, summaries = read_sources(arguments.seed), read_summaries()
    for preset in arguments.preset:
        maker = Maker(sources, summaries, PRESETS[preset], arguments.seed)
        run(maker, make_aligner(AlignmentConfig(preset=preset)), arguments.count)
    return 0


if __name__ == "__main__":
    sys.exit(main())
