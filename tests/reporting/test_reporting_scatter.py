"""Frontiers, losses by pass and factor plots: everything inside the frame, every number readable, no line left out."""

import math
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from rote.config import AuditConfig
from rote.records import Estimate
from rote.reporting.plots import WIDTH, Chart, Series
from rote.reporting.scatter import BOTTOM, LEFT, RIGHT, TOP, Path, Point, frontier_chart, paths_chart
from rote.study.design import Cell
from rote.study.factors import MAX_SERIES, factor_charts

shares = st.floats(0, 1)
losses = st.floats(0.01, 20)


def share(value: float, low: float | None = None, high: float | None = None) -> Estimate:
    return Estimate("exact_memorization", "tuned", "member", "all", value, low, high, 20, 0, "m")


def loss(value: float) -> Estimate:
    return Estimate("loss", "tuned", "non-member", "all", value, 0.9 * value, 1.1 * value, 20, 0, "m")


def is_inside(chart: Chart) -> bool:
    slack = 1e-6
    xs = [x for line in chart.lines for x in (line.x1, line.x2)] + [dot.x for dot in chart.dots]
    ys = [y for line in chart.lines for y in (line.y1, line.y2)] + [dot.y for dot in chart.dots]
    return all(LEFT - slack <= x <= RIGHT + slack for x in xs) and all(TOP - slack <= y <= BOTTOM + slack for y in ys)


@given(st.lists(st.tuples(shares, losses), min_size=1, max_size=9))
def test_a_frontier_stays_inside_its_frame_and_numbers_its_best(places: list[tuple[float, float]]) -> None:
    points = [Point(f"c{i}", i % 8, loss(b), share(a, a / 2, (1 + a) / 2), i + 1) for i, (a, b) in enumerate(places)]
    chart = frontier_chart("Leakage", "loss", "share", points, [Series("full", 0, ())])
    assert chart is not None
    assert is_inside(chart)
    assert len(chart.dots) == len(places)
    numbers = [label.text for label in chart.labels if label.style == "number"]
    assert sorted(numbers, key=int) == [str(i + 1) for i in range(len(places))]


def test_numbers_of_near_points_do_not_cover_each_other() -> None:
    points = [Point(f"c{i}", 0, loss(3 + 0.02 * i), share(0.5 - 0.01 * i), i + 1) for i in range(6)]
    chart = frontier_chart("Leakage", "loss", "share", [*points, Point("far", 1, loss(9), share(0.9))], [])
    assert chart is not None
    places = [(label.x, label.y) for label in chart.labels if label.style == "number"]
    assert min(math.dist(one, other) for one in places for other in places if one != other) > 10
    assert [dot.is_faint for dot in chart.dots].count(True) == 1
    assert "far: share 90.0 %, loss 9.00 (8.10–9.90)" in chart.description


def test_the_frontier_is_a_staircase_under_which_no_point_lies() -> None:
    points = [Point("a", 0, loss(2), share(0.8), 1), Point("b", 0, loss(4), share(0.2), 2)]
    chart = frontier_chart("Leakage", "loss", "share", points, [])
    assert chart is not None
    first, second = [line for line in chart.lines if line.style == "frontier"]
    assert (first.y1, first.x2) == (first.y2, second.x1)
    assert second.x1 == second.x2
    assert second.y2 > second.y1  # down to less leakage


def test_a_picture_without_figures_is_none() -> None:
    missing = Estimate("exact_memorization", "tuned", "member", "all", None, None, None, 0, 3, "", None, "too few")
    assert frontier_chart("Leakage", "loss", "share", [Point("a", 0, loss(2), missing)], []) is None
    assert paths_chart("Loss", "passes", "nats", [Path("a", 0, ())]) is None


@given(st.lists(st.lists(losses, min_size=1, max_size=5), min_size=1, max_size=4))
def test_paths_stay_inside_their_frame(rows: list[list[float]]) -> None:
    paths = [
        Path(f"p{i}", i, tuple((float(n), value) for n, value in enumerate(row)), is_dashed=i % 2 == 1)
        for i, row in enumerate(rows)
    ]
    chart = paths_chart("Loss", "passes", "nats", paths)
    assert chart is not None
    assert is_inside(chart)
    assert len(chart.dots) == sum(map(len, rows))
    assert [one.name for one in chart.legend] == [path.name for path in paths if not path.is_dashed]


def cells(*factors: tuple[str, Sequence[str]]) -> list[Cell]:
    rows: list[tuple[tuple[str, str], ...]] = [()]
    for name, levels in factors:
        rows = [(*row, (name, level)) for row in rows for level in levels]
    return [Cell(row, AuditConfig()) for row in rows]


def test_every_factor_is_drawn_and_no_line_is_left_out() -> None:
    made = cells(("strategy", ["full", "lora"]), ("data", [f"d{i}" for i in range(9)]), ("scale", ["only"]))
    figures = {(cell.name, "exact_memorization", "all"): share(0.5, 0.4, 0.6) for cell in made}
    found = list(factor_charts(made, figures, {"exact_memorization": "Exact"}, []))
    assert [one.factor for one in found] == ["strategy", "data"]
    by_strategy = [name.name for chart in found[0].charts for name in chart.legend]
    assert by_strategy == [f"d{i}" for i in range(9)]
    assert [len(chart.legend) for chart in found[0].charts] == [MAX_SERIES, 1]
    assert [chart.title for chart in found[0].charts] == ["Exact, members (1 of 2)", "Exact, members (2 of 2)"]


def test_a_cell_that_differs_in_nothing_alone_makes_no_line() -> None:
    made = [cell for cell in cells(("a", ["1", "2"]), ("b", ["1", "2"])) if cell.name != "2-2"]
    figures = {(cell.name, "exact_memorization", "all"): share(0.5) for cell in made}
    found = list(factor_charts(made, figures, {"exact_memorization": "Exact"}, []))
    assert [(one.factor, len(one.charts[0].dots)) for one in found] == [("a", 2), ("b", 2)]


def test_copies_are_drawn_where_they_vary() -> None:
    made = cells(("strategy", ["full", "lora"]))
    figures = {(cell.name, "verbatim", f"copies={n}"): share(n / 16) for cell in made for n in (1, 16, 4)}
    found = list(factor_charts(made, figures, {"verbatim": "Verbatim"}, ["verbatim"]))
    (chart,) = found[-1].charts
    assert found[-1].factor == "copies of the record"
    assert [label.text for label in chart.labels if label.style == "tick" and label.anchor == "middle"] == [
        "1",
        "4",
        "16",
    ]


def test_long_names_of_levels_stand_beside_their_rows() -> None:
    made = cells(("task", ["summarization", "question answering", "translation", "dialogue", "sentiment"]))
    figures = {(cell.name, "exact_memorization", "all"): share(0.5, 0.4, 0.6) for cell in made}
    ((found,)) = list(factor_charts(made, figures, {"exact_memorization": "Exact"}, []))
    (chart,) = found.charts
    assert all(0 <= dot.x <= WIDTH for dot in chart.dots)
    assert {label.anchor for label in chart.labels if label.style == "level"} == {"end"}
