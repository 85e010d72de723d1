"""What `rote validate` found, as a page, as JSON and in the terminal."""

import json
from collections.abc import Sequence
from pathlib import Path

from rote.records import to_row
from rote.reporting.attention import shown
from rote.reporting.names import title_of
from rote.reporting.page import write_html
from rote.reporting.terminal import open_console, open_table
from rote.runs import Run, write_atomically
from rote.validation.running import HOLDOUT, LEAST_CORRELATION, NOISE, OFTEN, ONCE, STRATEGIES, Validity, recommended

PAGE, FIGURES = "validation.html", "validation.json"


def write_validation(found: Sequence[Validity], run: Run, out: Path) -> None:
    """Writes validation.html and validation.json, and prints the table."""
    named = [(title_of(item.metric), item) for item in found if item.strategy == STRATEGIES[0]]
    others = {(item.metric, item.strategy): item for item in found}
    context = {
        "title": "Do the metrics measure what they say?",
        "rows": [
            (title, item, [others.get((item.metric, strategy)) for strategy in STRATEGIES[1:]]) for title, item in named
        ],
        "strategies": STRATEGIES,
        "variants": list(LEAST_CORRELATION.items()),
        "recommended": [(title_of(item.metric), item) for item in recommended(found)],
        "often": OFTEN,
        "once": ONCE,
        "noise": NOISE,
        "holdout": HOLDOUT,
        "shown": shown,
        "correlation": correlation,
        "signature": run.signature(),
    }
    write_atomically(out / FIGURES, json.dumps([to_row(item) for item in found], indent=1).encode("ascii") + b"\n")
    write_html("validation.html.jinja", context, out / PAGE)
    _print(found, out)


def correlation(value: float | None) -> str:
    """`0.98`, or `–` where the scores do not vary."""
    return "–" if value is None else f"{value:.3f}"


def _print(found: Sequence[Validity], out: Path) -> None:
    console = open_console()
    names = list(LEAST_CORRELATION)
    table = open_table(["metric", "AUC membership", f"AUC {OFTEN}+ copies against {ONCE}", *names])
    for item in found:
        if item.strategy == STRATEGIES[0]:
            values = dict(item.correlations)
            table.add_row(
                item.metric,
                shown(item.membership),
                shown(item.repetition),
                *(correlation(values.get(name)) for name in names),
            )
    console.print(table)
    best = ", ".join(item.metric for item in recommended(found)[:8]) or "none"
    console.print(f"robust, and repeated records are distinguished from others beyond chance: {best}")
    console.print(f"page: {out / PAGE}")
