"""Numbers as people read them: percent with counts and interval, or why there is no number."""

from dataclasses import dataclass
from typing import Literal

from rote.records import Comparison, Estimate, Separation
from rote.reporting.names import is_share

State = Literal["measured", "not measurable", "absent"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One cell of a table: the number, what stands under it, and whether there is a number at all."""

    main: str
    detail: str
    state: State


def figure(estimate: Estimate | None) -> Figure:
    """The cell for an estimate.

    A rate is `20.7 %` over `31/150 · 15.0–27.8 %`; a mean is `2.31` over `n = 150 · 2.10–2.52`; an estimate without a
    value is `not measurable` over its reason, and the counts where there are any; no estimate at all is `–`.
    """
    if estimate is None:
        return Figure("–", "", "absent")
    if estimate.value is None:
        count = f"{estimate.events:,}/{estimate.n:,}" if estimate.events is not None and estimate.n else ""
        detail = " · ".join(part for part in (estimate.reason or "", count) if part)
        return Figure("not measurable", detail, "not measurable")
    count = f"n = {estimate.n:,}" if estimate.events is None else f"{estimate.events:,}/{estimate.n:,}"
    return Figure(amount(estimate), " · ".join(part for part in (count, interval(estimate)) if part), "measured")


def amount(estimate: Estimate) -> str:
    """The value alone: a rate in percent, anything else as a number; "not measurable" where there is none."""
    if estimate.value is None:
        return "not measurable"
    return percent(estimate.value) if is_share(estimate.metric) else number(estimate.value)


def interval(estimate: Estimate) -> str:
    """The interval, `15.0–27.8 %` or `2.10–2.52`; "" where there is none.

    `2.10–∞` where it has no upper end, `-8.3 to 37.9 %` where it begins below 0.
    """
    if estimate.low is None:
        return ""
    if estimate.high is None:
        return f"{number(estimate.low)}–∞"
    dash = "–" if estimate.low >= 0 else " to "
    if is_share(estimate.metric):
        return f"{100 * estimate.low:.1f}{dash}{100 * estimate.high:.1f} %"
    return f"{number(estimate.low)}{dash}{number(estimate.high)}"


def separation_figure(item: Separation | None) -> Figure:
    """The cell for a separation: an area as `0.912` over its interval, a rate in percent, a p-value as such."""
    if item is None:
        return Figure("–", "", "absent")
    if item.value is None:
        return Figure("not measurable", item.reason or "", "not measurable")
    name = item.statistic.partition("@")[0]
    if name.startswith("p_value"):
        return Figure(chance(item.value), "", "measured")
    write = percent if name in ("tpr", "passed", "fpr", "identified", "tpr_over_base", "tpr_difference") else area
    dash = " to " if write is percent and (item.low or 0.0) < 0 else "–"
    ends = "" if item.low is None or item.high is None else f"{write(item.low)}{dash}{write(item.high)}"
    return Figure(write(item.value), ends.replace(f" %{dash}", dash), "measured")


def area(value: float) -> str:
    """`0.912`, or `−0.04` of a difference."""
    return f"{value:.3f}".replace("-", "−")


def shown_area(item: Separation) -> str:
    """`0.912 (0.880–0.939)`; without an interval the area alone."""
    ends = f" ({area(item.low)}–{area(item.high)})" if item.low is not None and item.high is not None else ""
    return f"{area(item.value or 0.0)}{ends}"


def percent(share: float) -> str:
    """`20.7 %`."""
    return f"{100 * share:.1f} %"


def number(value: float) -> str:
    """Three significant digits or, from 100 on, a whole number with thousands separated (to 10⁹); `0` for 0."""
    return f"{value:,.0f}" if 100 <= abs(value) < 1e9 or value == 0 else f"{value:#.3g}"


def chance(p_value: float) -> str:
    """`p = 0.031`, or `p < 0.001`."""
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"


def attributable(comparison: Comparison | None) -> Figure:
    """The cell for prompts where the first model alone shows it: `19.3 %` over `29/150 · p < 0.001`."""
    if comparison is None:
        return Figure("–", "", "absent")
    n = comparison.both + comparison.only_first + comparison.only_second + comparison.neither
    if n == 0:
        return Figure("not measurable", "no prompt was measured under both models", "not measurable")
    detail = f"{comparison.only_first:,}/{n:,} · {chance(comparison.p_value)}"
    return Figure(percent(comparison.only_first / n), detail, "measured")
