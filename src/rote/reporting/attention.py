"""What `rote attend` found, as a page of its own and in the terminal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from rote import runs
from rote.attention.ablation import TOLERANCE, NeededInput
from rote.attention.contrasts import Contrast, Incremental
from rote.console.escaping import visible
from rote.records import AttentionMap, AttentionScores, Estimate
from rote.reporting.page import write_html
from rote.reporting.plots import Chart, Series, levels_chart
from rote.reporting.redaction import masked_maps
from rote.reporting.terminal import open_console, open_table
from rote.runs import Run
from rote.statistics.intervals import Interval

if TYPE_CHECKING:
    from rich.console import Console

TITLES = {
    "entropy": "entropy",
    "top_1": "mass of the top 1 %",
    "top_5": "mass of the top 5 %",
    "top_10": "mass of the top 10 %",
    "gini": "Gini coefficient",
    "largest": "largest weight",
}
DRAWN = ("entropy", "gini", "largest")
SHADES = 12
"""Steps of darkness in a map; neighbours of one shade are drawn as one bar."""
CELL_WIDTH, CELL_HEIGHT, LEFT, TOP = 13, 10, 74, 74
LABEL_CHARS = 12
SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class Bar:
    """Neighbouring cells of one shade."""

    x: int
    y: int
    width: int
    opacity: float


@dataclass(frozen=True, slots=True)
class MapView:
    """A map as it is drawn: columns are input tokens without the sink, rows are generated tokens."""

    example_id: str
    layer: int
    width: int
    height: int
    bars: tuple[Bar, ...]
    columns: tuple[str, ...]
    rows: tuple[str, ...]


def write_attention(run: Run, metric: str, *, show_pii: bool = False) -> None:
    """Writes attention.html into the run folder, and prints the finding; tokens of personal data are masked."""
    maps = run.read(runs.ATTENTION_MAPS, AttentionMap)
    contrasts = run.read(runs.CONTRASTS, Contrast)
    incremental = run.read(runs.INCREMENTAL, Incremental)
    needed = run.read(runs.NEEDED_INPUT, NeededInput)
    scores = run.read(runs.ATTENTION, AttentionScores)
    last = max((item.layer for item in contrasts), default=0)
    context = {
        "title": f"Attention: {run.folder.resolve().name}",
        "metric": metric,
        "watched": len(scores),
        "finding": finding(contrasts),
        "charts": [*_auc_charts(contrasts), _needed_chart(needed)],
        "rows": sorted(contrasts, key=lambda item: (not item.sink, item.layer != last, item.layer)),
        "last": last,
        "titles": TITLES,
        "shown": shown,
        "incremental": incremental[0] if incremental else None,
        "needed": needed,
        "tolerance": TOLERANCE,
        "maps": [map_view(item) for item in (maps if show_pii else masked_maps(maps, run))],
        "cell": {"width": CELL_WIDTH, "height": CELL_HEIGHT, "left": LEFT, "top": TOP},
        "signature": run.signature(),
    }
    write_html("attention.html.jinja", context, run.path(runs.ATTENTION_HTML))
    _print(open_console(), run, metric, contrasts, incremental, needed)


def finding(contrasts: Sequence[Contrast]) -> str:
    """The contrasts in one sentence."""
    if not contrasts:
        return "Too few memorised or other members of like length: their attention cannot be compared."
    certain = [item for item in contrasts if item.corrected_p < SIGNIFICANT]
    one = contrasts[0]
    groups = f"{one.memorized} memorised with {one.others} other members of like length"
    if not certain:
        return f"Comparing {groups}, no measure of attention in any layer differs beyond chance (Holm, 5 %)."
    strongest = max(certain, key=lambda item: abs((item.auc.value or 0.5) - 0.5))
    direction = "higher" if (strongest.auc.value or 0.5) > 0.5 else "lower"
    sink = "with" if strongest.sink else "without"
    return (
        f"Comparing {groups}, {len(certain)} of {len(contrasts)} comparisons differ beyond chance (Holm, 5 %). The clearest: "
        f"{TITLES[strongest.measure]} in layer {strongest.layer} {sink} the sink is {direction} for memorised ones "
        f"(AUC {strongest.auc.value:.2f})."
    )


def map_view(item: AttentionMap) -> MapView:
    """The map with each row scaled to its darkest cell; the sink, which would outshine all others, is left out."""
    bars = [bar for number, row in enumerate(item.weights) for bar in _bars(row[1:], TOP + number * CELL_HEIGHT)]
    return MapView(
        example_id=item.example_id,
        layer=item.layer,
        width=LEFT + CELL_WIDTH * (len(item.read) - 1) + 6,
        height=TOP + CELL_HEIGHT * len(item.written) + 6,
        bars=tuple(bars),
        columns=tuple(_label(token) for token in item.read[1:]),
        rows=tuple(_label(token) for token in item.written),
    )


def _bars(row: Sequence[float], y: int) -> Iterator[Bar]:
    darkest = max(row, default=0.0) or 1.0
    shades = [round(SHADES * weight / darkest) for weight in row]
    x = LEFT
    for shade, alike in groupby(shades):
        width = CELL_WIDTH * len(list(alike))
        if shade:
            yield Bar(x, y, width, round(shade / SHADES, 2))
        x += width


def _label(token: str) -> str:
    return visible(token.strip() or "␣")[:LABEL_CHARS]


def _auc_charts(contrasts: Sequence[Contrast]) -> Iterator[Chart | None]:
    layers = sorted({item.layer for item in contrasts})
    for sink in (False, True):
        series = []
        for style, measure in enumerate(DRAWN):
            found = {item.layer: item for item in contrasts if item.sink == sink and item.measure == measure}
            points = tuple(_estimate("AUC", f"layer={layer}", found[layer].auc) for layer in layers if layer in found)
            series.append(Series(TITLES[measure], (0, 2, 3)[style], points))
        title = f"Memorised against other members, {'with' if sink else 'without'} the sink (AUC, ½ = alike)"
        yield levels_chart(title, "layer", [str(layer) for layer in layers], series)


def _needed_chart(needed: Sequence[NeededInput]) -> Chart | None:
    if not needed:
        return None
    levels = [f"{100 * share:g} %" for share in needed[0].shares]
    series = [
        Series(
            f"{item.order} words",
            style,
            tuple(_estimate("loss", level, loss) for level, loss in zip(levels, item.losses, strict=True)),
        )
        for style, item in zip((0, 2, 3), needed, strict=False)
    ]
    return levels_chart("Loss on the completions by share of the prompt that is kept", "words kept", levels, series)


def _estimate(metric: str, stratum: str, found: Interval) -> Estimate:
    return Estimate(metric, "tuned", "member", stratum, found.value, found.low, found.high, 0, 0, found.method)


def shown(interval: Interval) -> str:
    """`0.62 (0.51–0.72)`, or the reason why there is none."""
    if interval.value is None:
        return f"not measurable: {interval.reason}"
    bounds = f" ({interval.low:.2f}–{interval.high:.2f})" if interval.low is not None else ""
    return f"{interval.value:.2f}{bounds}"


def _print(
    console: "Console",
    run: Run,
    metric: str,
    contrasts: Sequence[Contrast],
    incremental: Sequence[Incremental],
    needed: Sequence[NeededInput],
) -> None:
    console.print(f"Memorised by {metric}. {finding(contrasts)}")
    table = open_table(["last layer", "AUC", "memorised", "others", "p (Holm)"])
    last = max((item.layer for item in contrasts), default=0)
    for item in contrasts:
        if item.layer == last:
            name = f"{TITLES[item.measure]}, {'with' if item.sink else 'without'} sink"
            means = f"{item.memorized_mean:.3f}", f"{item.others_mean:.3f}"
            table.add_row(name, shown(item.auc), *means, f"{item.corrected_p:.3f}")
    if contrasts:
        console.print(table)
    for one in incremental:
        console.print(
            f"AUC of {', '.join(one.features)}: {shown(one.cheap)}; with attention: {shown(one.with_attention)}; "
            f"gain: {shown(one.gain)}."
        )
    for need in needed:
        console.print(f"Needed input ({need.order} words, within {TOLERANCE:g} nats a token): {shown(need.needed)}.")
    console.print(f"page: {run.path(runs.ATTENTION_HTML)}")
