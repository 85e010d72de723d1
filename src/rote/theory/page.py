"""The sparse-coding demonstration as a page, as JSON and in the terminal."""

import json
from collections.abc import Sequence
from pathlib import Path

from rote.records import Estimate, Json, to_row
from rote.reporting.page import write_html
from rote.reporting.plots import Chart, Series, levels_chart
from rote.reporting.terminal import open_console, open_table
from rote.runs import write_atomically
from rote.runs.locks import claimed
from rote.theory.coding import HELD_OUT, TRAINING, Level, demonstrate

PAGE, FIGURES = "theory.html", "theory.json"


def demonstrate_in(folder: Path, *, features: int, decay: float, seed: int) -> int:
    """Fits the demonstration, writes theory.html and theory.json into the folder, prints the table; returns 0.

    Raises:
        ConfigError: an argument is out of range.
        RunError: the folder cannot be written.
    """
    levels = demonstrate(features=features, decay=decay, seed=seed)
    with claimed(folder):
        _write(levels, folder, decay=decay, seed=seed)
    _print(levels)
    return 0


def _write(levels: Sequence[Level], folder: Path, *, decay: float, seed: int) -> None:
    charts = [
        _chart("What the weights and the answers give back of the input", "error", levels),
        _chart("Entropy of attention in proportion to relevance", "entropy", levels),
    ]
    settings: dict[str, Json] = {"features": len(levels), "decay": decay, "seed": seed}
    settings |= {"training": TRAINING, "held_out": HELD_OUT}
    context = {"title": "Sparse coding: a synthetic demonstration", "levels": levels, "charts": charts}
    content = {"synthetic": True, "settings": settings, "levels": [to_row(level) for level in levels]}
    write_atomically(folder / FIGURES, json.dumps(content, indent=1).encode("ascii") + b"\n")
    write_html("theory.html.jinja", {**context, "settings": settings}, folder / PAGE)


def _chart(title: str, field: str, levels: Sequence[Level]) -> Chart | None:
    measured = Series("measured", 0, tuple(_estimate(level, field, measured=True) for level in levels))
    closed = Series("closed form", 2, tuple(_estimate(level, field, measured=False) for level in levels))
    return levels_chart(
        title, "features that the task needs (k)", [str(level.needed) for level in levels], [measured, closed]
    )


def _estimate(level: Level, field: str, *, measured: bool) -> Estimate:
    """A point of a chart; charts draw estimates, and these are of synthetic texts that nothing was trained on."""
    has_interval = measured and field == "error"
    return Estimate(
        metric=f"synthetic {field}",
        model="least squares" if measured else "closed form",
        split="non-member",
        stratum=f"k={level.needed}",
        value=getattr(level, field if measured else f"expected_{field}"),
        low=level.low if has_interval else None,
        high=level.high if has_interval else None,
        n=HELD_OUT,
        n_missing=0,
        method="normal, Bonferroni over k" if has_interval else "none",
    )


def _print(levels: Sequence[Level]) -> None:
    console = open_console()
    table = open_table(["k", "error", "interval", "Σ v_i, i > k", "entropy", "closed form"])
    for level in levels:
        error = f"{level.error:.4f}" + ("" if level.agrees else " (!)")
        interval = f"{level.low:.4f}–{level.high:.4f}"
        expected = f"{level.expected_error:.4f}"
        table.add_row(
            str(level.needed), error, interval, expected, f"{level.entropy:.3f}", f"{level.expected_entropy:.3f}"
        )
    console.print("Synthetic numbers: no language model and no record stands behind them.")
    console.print(table)
    agreeing = sum(level.agrees for level in levels)
    console.print(f"The closed form lies in the interval of the measured error at {agreeing} of {len(levels)} levels.")
