"""How often each interval that a report prints covers the truth, in simulations with a known truth.

    python benchmarks/intervals.py [--runs 4000] [--only PATTERN] [--seed 0]

Prints a Markdown table: per figure and setting the share of simulated data sets whose interval holds the truth, in percent,
for each parameter. Every interval is stated at 95 %. Exact ones promise at least that ("≥ 95"), the others are meant to be in
93..97 %; where few subjects allow few outcomes they cannot all be. A refusal is no interval: its share is printed.
"""

import argparse
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from machine import machine, progress, report
from numpy.typing import NDArray
from scipy import special, stats

from rote.scoring.canaries import clopper_pearson_epsilon, one_run_epsilon
from rote.scoring.excess import Measured, excess
from rote.statistics import intervals as estimation
from rote.statistics.operating_points import (
    fpr_of_threshold,
    mixture,
    passed,
    threshold_at,
    too_few_for_interval,
    tpr_difference,
)
from rote.statistics.pairs import paired_difference
from rote.statistics.separation import Side, Sides, auc, auc_difference

RUNS = 4_000
RATES = (0.05, 0.1, 0.5, 0.9)
TPRS = (0.05, 0.5, 0.9)
UNEQUAL = (1, 1, 1, 2, 4, 8)
LIKENESS = (0.0, 0.3, 1.0)
APPROXIMATE, EXACT = "93..97", "≥ 95"

Floats = NDArray[np.float64]
Rng = np.random.Generator
Drawn = tuple[float | None, float | None, float]
"""Lower end, upper end, truth; without ends where the interval was refused."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One simulation: what is estimated, under what setting, for which parameter."""

    figure: str
    setting: str
    parameter: str
    stated: str
    draw: Callable[[Rng], Drawn]


@dataclass(frozen=True, slots=True)
class Coverage:
    """Shares of the intervals that were given: covering, wholly over the truth, wholly under it; and of refusals."""

    covered: float
    over: float
    under: float
    refused: float


def simulate(cell: Cell, runs: int, seed: int = 0) -> Coverage:
    """Draws that many data sets, each cell from the same seed."""
    rng = np.random.default_rng(seed)
    covered = over = under = refused = 0
    for _ in range(runs):
        low, high, truth = cell.draw(rng)
        if low is None or high is None:
            refused += 1
        elif truth < low - 1e-12:
            over += 1
        elif truth > high + 1e-12:
            under += 1
        else:
            covered += 1
    given = max(1, runs - refused)
    return Coverage(covered / given, over / given, under / given, refused / runs)


def names(codes: NDArray[np.int64] | range) -> list[str]:
    """Cluster names."""
    return list(_names(tuple(codes)))


@lru_cache(maxsize=64)
def _names(codes: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(map(str, codes))


def clusters_of(sizes: Sequence[int]) -> NDArray[np.int64]:
    """The cluster of each subject."""
    return np.repeat(np.arange(len(sizes)), sizes)


def cycled(count: int) -> list[int]:
    """So many clusters of 1, 1, 1, 2, 4, 8, 1, … subjects."""
    return [UNEQUAL[number % len(UNEQUAL)] for number in range(count)]


def outcomes(rng: Rng, rate: float, codes: NDArray[np.int64], likeness: float) -> list[bool]:
    """Yes-or-no outcomes of that rate; the chances of a cluster are beta-distributed with that intraclass correlation."""
    groups = int(codes[-1]) + 1
    if likeness == 0:
        own = np.full(groups, rate)
    elif likeness == 1:
        own = (rng.random(groups) < rate).astype(float)
    else:
        own = rng.beta(rate * (1 / likeness - 1), (1 - rate) * (1 / likeness - 1), groups)
    return [bool(outcome) for outcome in rng.random(len(codes)) < own[codes]]


def normals(rng: Rng, codes: NDArray[np.int64], likeness: float) -> Floats:
    """Standard normal values; those of a cluster have that correlation."""
    shared = rng.standard_normal(int(codes[-1]) + 1)[codes]
    return math.sqrt(likeness) * shared + math.sqrt(1 - likeness) * rng.standard_normal(len(codes))


def drawn(found: estimation.Interval, truth: float) -> Drawn:
    """An interval and the truth."""
    return found.low, found.high, truth


# What is drawn


def draw_rate(rng: Rng, rate: float, codes: NDArray[np.int64], likeness: float, *, exact: bool = False) -> Drawn:
    """A share of yes-or-no outcomes."""
    method = estimation.exact_rate if exact else estimation.rate
    return drawn(method(outcomes(rng, rate, codes, likeness), names(codes)), rate)


def draw_mean(rng: Rng, kind: str, codes: NDArray[np.int64], likeness: float) -> Drawn:
    """A mean of normal values, of shares, or of skewed (lognormal) values."""
    z = normals(rng, codes, likeness)
    values, truth = {
        "normal": (z, 0.0),
        "shares": (special.ndtr(2 * z - 1), float(special.ndtr(-1 / math.sqrt(5)))),
        "lognormal": (np.exp(z), math.exp(0.5)),
    }[kind]
    least, most = (0.0, 1.0) if kind == "shares" else (-math.inf, math.inf)
    return drawn(estimation.mean(values.tolist(), names(codes), least=least, most=most), truth)


def draw_ratio(rng: Rng, codes: NDArray[np.int64], likeness: float) -> Drawn:
    """Sum of copied characters over the sum of all: texts of 200 to 800, a share of each that varies."""
    weights = rng.integers(200, 800, len(codes)).astype(float)
    shares = special.ndtr(2 * normals(rng, codes, likeness) - 1)
    found = estimation.ratio((weights * shares).tolist(), weights.tolist(), names(codes), least=0, most=1)
    return drawn(found, float(special.ndtr(-1 / math.sqrt(5))))


def draw_median(rng: Rng, codes: NDArray[np.int64], likeness: float) -> Drawn:
    """The median of very skewed values."""
    return drawn(estimation.median(np.exp(2 * normals(rng, codes, likeness)).tolist(), names(codes)), 1.0)


def draw_geometric(rng: Rng, codes: NDArray[np.int64], likeness: float) -> Drawn:
    """The geometric mean of very skewed values."""
    return drawn(estimation.geometric_mean(np.exp(2 * normals(rng, codes, likeness)).tolist(), names(codes)), 1.0)


def draw_pair(rng: Rng, shares: tuple[float, float, float], codes: NDArray[np.int64], likeness: float) -> Drawn:
    """The difference of two yes-or-no outcomes of the same subjects; shares of both, only first, only second."""
    cells = np.array([*shares, 1 - sum(shares)])
    groups = int(codes[-1]) + 1
    if likeness == 1:
        kinds = rng.choice(4, size=groups, p=cells)[codes]
    else:
        own = rng.dirichlet(cells * (1 / likeness - 1), groups) if likeness else np.tile(cells, (groups, 1))
        kinds = (rng.random(len(codes))[:, None] > np.cumsum(own, axis=1)[codes][:, :3]).sum(axis=1)
    found = paired_difference((kinds <= 1).tolist(), ((kinds == 0) | (kinds == 2)).tolist(), names(codes))
    truth = shares[1] - shares[2]
    return (None, None, truth) if found is None else (found.low, found.high, truth)


def draw_excess(rng: Rng, rate: float, other: float, count: int) -> Drawn:
    """Members minus non-members of like length: two rates of as many each, at three lengths."""
    sides = []
    for share in (rate, other):
        values = tuple((rng.random(count) < share).astype(float).tolist())
        levels = tuple(names(rng.integers(0, 3, count)))
        sides.append(Measured(values, tuple(names(range(count))), levels))
    return drawn(excess(sides[0], sides[1], is_rate=True), rate - other)


# Scores of members and non-members


def sides_of(
    rng: Rng, distance: float, members: NDArray[np.int64], nonmembers: NDArray[np.int64], likeness: float
) -> Sides:
    """Normal scores, the members' higher by that distance."""
    return Sides(
        Side(normals(rng, members, likeness) + distance, tuple(f"m{code}" for code in members)),
        Side(normals(rng, nonmembers, likeness), tuple(f"n{code}" for code in nonmembers)),
    )


def draw_auc(rng: Rng, area: float, codes: NDArray[np.int64], likeness: float) -> Drawn:
    """The area under the ROC of normal scores."""
    return drawn(auc(sides_of(rng, math.sqrt(2) * float(special.ndtri(area)), codes, codes, likeness)), area)


SCORES: dict[str, Callable[[float, float, Rng, int, int], tuple[Floats, Floats]]] = {
    "normal": lambda fpr, tpr, rng, m, n: (
        rng.standard_normal(m) + stats.norm.isf(fpr) - stats.norm.isf(tpr),
        rng.standard_normal(n),
    ),
    "members twice as spread": lambda fpr, tpr, rng, m, n: (
        2 * rng.standard_normal(m) + stats.norm.isf(fpr) - 2 * stats.norm.isf(tpr),
        rng.standard_normal(n),
    ),
    "members half as spread": lambda fpr, tpr, rng, m, n: (
        rng.standard_normal(m) / 2 + stats.norm.isf(fpr) - stats.norm.isf(tpr) / 2,
        rng.standard_normal(n),
    ),
    "heavy tails (t, 3)": lambda fpr, tpr, rng, m, n: (
        rng.standard_t(3, m) + stats.t.isf(fpr, 3) - stats.t.isf(tpr, 3),
        rng.standard_t(3, n),
    ),
    "exponential": lambda fpr, tpr, rng, m, n: (
        rng.exponential(size=m) + stats.expon.isf(fpr) - stats.expon.isf(tpr),
        rng.exponential(size=n),
    ),
    "20 levels": lambda fpr, tpr, rng, m, n: _levels(fpr - 0.03, tpr, rng, m, n),
    "20 levels, one ends at the FPR": lambda fpr, tpr, rng, m, n: _levels(fpr, tpr, rng, m, n),
}
"""Scores of m members and n non-members whose TPR at that FPR is that."""


def _levels(over: float, tpr: float, rng: Rng, m: int, n: int) -> tuple[Floats, Floats]:
    """Equal scores, 20 levels in 0..1 of the non-members: the threshold is the level that the share `over` exceeds."""
    nonmembers = np.ceil(20 * (over - rng.random(n)))
    is_over = rng.random(m) < tpr
    members = np.where(is_over, np.ceil(20 * over * rng.random(m)), np.ceil(-20 * (1 - over) * rng.random(m)))
    return members, nonmembers


def draw_tpr(rng: Rng, kind: str, fpr: float, tpr: float, m: int, n: int) -> Drawn:
    """The TPR at a FPR, of independent records."""
    members, nonmembers = SCORES[kind](fpr, tpr, rng, m, n)
    sides = Sides(Side(members, tuple(names(range(m)))), Side(nonmembers, tuple(names(range(n)))))
    return _tpr_drawn(sides, fpr, tpr)


def _tpr_drawn(sides: Sides, fpr: float, tpr: float) -> Drawn:
    """Whether `tpr_at_fpr` covers, by its distribution function at the truth: quantiles would take thirty times as long.

    As there, the interval reaches to the value.
    """
    if too_few_for_interval(sides.nonmembers, fpr):
        return None, None, tpr
    found = mixture(sides, fpr)
    level = found.below(tpr)
    is_over, is_under = level < 0.025 and tpr < found.value, level > 0.975 and tpr > found.value
    return (1.0 if is_over else 0.0), (0.0 if is_under else 1.0), tpr


def draw_tpr_clustered(rng: Rng, fpr: float, tpr: float, codes: NDArray[np.int64], likeness: float) -> Drawn:
    """The same with duplicate groups on both sides."""
    distance = float(stats.norm.isf(fpr) - stats.norm.isf(tpr))
    return _tpr_drawn(sides_of(rng, distance, codes, codes, likeness), fpr, tpr)


def draw_passed(rng: Rng, fpr: float, tpr: float, count: int, *, of_nonmembers: bool) -> Drawn:
    """The rates over the threshold at hand, taken as given."""
    distance = float(stats.norm.isf(fpr) - stats.norm.isf(tpr))
    codes = np.arange(count)
    sides = sides_of(rng, distance, codes, codes, 0)
    threshold = threshold_at(sides.nonmembers.values, fpr)
    if of_nonmembers:
        return drawn(fpr_of_threshold(sides, fpr), float(stats.norm.sf(threshold)))
    return drawn(passed(sides, fpr), float(stats.norm.sf(threshold - distance)))


def draw_two(rng: Rng, fpr: float, truths: tuple[float, float], count: int, alike: float, *, areas: bool) -> Drawn:
    """The difference of two scores on the same records, with that correlation: of TPRs, or of AUCs."""
    codes, both = np.arange(count), []
    shared = [rng.standard_normal(count) for _ in range(2)]
    for truth in truths:
        distance = math.sqrt(2) * special.ndtri(truth) if areas else stats.norm.isf(fpr) - stats.norm.isf(truth)
        own = [math.sqrt(alike) * one + math.sqrt(1 - alike) * rng.standard_normal(count) for one in shared]
        both.append(Sides(Side(own[0] + distance, tuple(names(codes))), Side(own[1], tuple(names(codes)))))
    found = auc_difference(both[0], both[1]) if areas else tpr_difference(both[0], both[1], fpr)
    return drawn(found, truths[0] - truths[1])


def draw_epsilon(rng: Rng, epsilon: float, canaries: int, *, one_run: bool) -> Drawn:
    """Lower bounds on epsilon of randomised response, which tells each canary's coin right with e^ε / (1 + e^ε)."""
    right = rng.random(canaries) < special.expit(epsilon)
    planted = rng.random(canaries) < 0.5
    if one_run:
        return one_run_epsilon(int(right.sum()), canaries, canaries=canaries), math.inf, epsilon
    sides = int(planted.sum())
    hits, alarms = int((planted & right).sum()), int((~planted & ~right).sum())
    return clopper_pearson_epsilon(hits, sides, alarms, canaries - sides), math.inf, epsilon


# The table


def cells() -> Iterator[Cell]:
    """All simulations, in the order of the table."""
    yield from _rates()
    yield from _means()
    yield from _pairs()
    yield from _attacks()
    yield from _bounds()


def _layouts() -> dict[str, NDArray[np.int64]]:
    unequal = {f"{count} groups of 1, 1, 1, 2, 4, 8": clusters_of(cycled(count)) for count in (10, 30, 100)}
    return unequal | {f"{count} groups of 4": clusters_of([4] * count) for count in (10, 40)}


def _rates() -> Iterator[Cell]:
    for count in (20, 100):
        for rate in RATES:
            alone = partial(draw_rate, rate=rate, codes=np.arange(count), likeness=0.0)
            yield Cell("rate (Wilson)", f"{count} records", f"{rate:g}", APPROXIMATE, alone)
    for layout, codes in _layouts().items():
        for likeness in (0.0, 0.3, 0.5, 1.0):
            for rate in RATES:
                draw = partial(draw_rate, rate=rate, codes=codes, likeness=likeness)
                yield Cell("rate (Wilson, clustered)", f"{layout}, ICC {likeness:g}", f"{rate:g}", APPROXIMATE, draw)
    for rate in RATES:
        draw = partial(draw_rate, rate=rate, codes=np.arange(60), likeness=0.0, exact=True)
        yield Cell("rate (Clopper-Pearson)", "60 records", f"{rate:g}", EXACT, draw)


def _means() -> Iterator[Cell]:
    layouts = {f"{count} records": np.arange(count) for count in (10, 30, 100)} | _layouts()
    for layout, codes in layouts.items():
        alone = len(np.unique(codes)) == len(codes)
        for likeness in (0.0,) if alone else LIKENESS:
            setting = layout if alone else f"{layout}, ICC {likeness:g}"
            for kind in ("normal", "shares", "lognormal"):
                draw = partial(draw_mean, kind=kind, codes=codes, likeness=likeness)
                yield Cell("mean (bootstrap)", setting, kind, APPROXIMATE, draw)
            for figure, method in (("ratio (bootstrap)", draw_ratio), ("median", draw_median)):
                yield Cell(figure, setting, "", APPROXIMATE, partial(method, codes=codes, likeness=likeness))
            if alone:
                draw = partial(draw_geometric, codes=codes, likeness=likeness)
                yield Cell("geometric mean", setting, "", APPROXIMATE, draw)


def _pairs() -> Iterator[Cell]:
    kinds = {
        "50 and 50 %, 1 in 4 differs": (0.375, 0.125, 0.125),
        "50 and 30 %": (0.265, 0.235, 0.035),
        "90 and 10 %": (0.09, 0.81, 0.01),
        "10 and 2 %": (0.008, 0.092, 0.012),
        "50 and 50 %, 1 in 20 differs": (0.475, 0.025, 0.025),
    }
    layouts = {"40 records": np.arange(40), "160 records": np.arange(160)}
    layouts |= {"40 groups of 4": clusters_of([4] * 40), "10 groups of 4": clusters_of([4] * 10)}
    layouts |= {"24 groups of 1, 1, 1, 2, 4, 8": clusters_of(cycled(24))}
    for layout, codes in layouts.items():
        for likeness in (0.0,) if layout.endswith("records") else LIKENESS:
            setting = layout if layout.endswith("records") else f"{layout}, ICC {likeness:g}"
            for kind, shares in kinds.items():
                draw = partial(draw_pair, shares=shares, codes=codes, likeness=likeness)
                yield Cell("paired difference (Newcombe)", setting, kind, APPROXIMATE, draw)
    for rate, other in ((0.5, 0.1), (0.2, 0.2), (0.05, 0.02)):
        draw = partial(draw_excess, rate=rate, other=other, count=100)
        yield Cell("members minus non-members", "100 and 100 records", f"{rate:g} − {other:g}", APPROXIMATE, draw)


def _attacks() -> Iterator[Cell]:
    for layout, codes in {
        "50 and 50 records": np.arange(50),
        "100 and 100 records": np.arange(100),
        **_layouts(),
    }.items():
        for likeness in (0.0,) if layout.endswith("records") else LIKENESS:
            setting = layout if layout.endswith("records") else f"{layout} a side, ICC {likeness:g}"
            for area in (0.5, 0.7, 0.9):
                draw = partial(draw_auc, area=area, codes=codes, likeness=likeness)
                yield Cell("AUC", setting, f"{area:g}", APPROXIMATE, draw)
    for alike in (0.0, 0.8):
        for truths in ((0.7, 0.7), (0.8, 0.6)):
            draw = partial(draw_two, fpr=0.1, truths=truths, count=100, alike=alike, areas=True)
            name = f"{truths[0]:g} − {truths[1]:g}"
            yield Cell("difference of two AUCs", f"100 and 100 records, correlation {alike:g}", name, APPROXIMATE, draw)
    for count, fpr in ((50, 0.1), (100, 0.1), (400, 0.1), (400, 0.01), (100, 0.01)):
        for kind in SCORES:
            for tpr in TPRS:
                if fpr < 0.1 and ("levels" in kind or (count < 400 and kind != "normal")):
                    continue
                draw = partial(draw_tpr, kind=kind, fpr=fpr, tpr=tpr, m=count, n=count)
                setting = f"{count} and {count} records, {kind}"
                yield Cell(f"TPR at {100 * fpr:g} % FPR", setting, f"{tpr:g}", APPROXIMATE, draw)
    for layout in ("100 groups of 1, 1, 1, 2, 4, 8", "60 groups of 3"):
        codes = clusters_of(cycled(100) if "1, 1" in layout else [3] * 60)
        for likeness in LIKENESS:
            for tpr in TPRS:
                draw = partial(draw_tpr_clustered, fpr=0.1, tpr=tpr, codes=codes, likeness=likeness)
                yield Cell("TPR at 10 % FPR", f"{layout} a side, ICC {likeness:g}", f"{tpr:g}", APPROXIMATE, draw)
    for figure, of_nonmembers in (("over the threshold at hand", False), ("FPR of the threshold at hand", True)):
        for tpr in TPRS:
            draw = partial(draw_passed, fpr=0.01, tpr=tpr, count=200, of_nonmembers=of_nonmembers)
            yield Cell(figure, "1 % of 200 non-members", f"{tpr:g}", EXACT, draw)
    for count, fpr in ((100, 0.1), (400, 0.1), (400, 0.01)):
        for alike in (0.0, 0.8):
            for truths in ((0.3, 0.3), (0.5, 0.3), (0.9, 0.5)):
                draw = partial(draw_two, fpr=fpr, truths=truths, count=count, alike=alike, areas=False)
                setting = f"{100 * fpr:g} % FPR, {count} and {count} records, correlation {alike:g}"
                name = f"{truths[0]:g} − {truths[1]:g}"
                yield Cell("difference of two TPRs", setting, name, APPROXIMATE, draw)


def _bounds() -> Iterator[Cell]:
    for figure, one_run in (("bound on ε, one run", True), ("bound on ε, exact intervals", False)):
        for epsilon in (0.0, 1.0, 3.0):
            draw = partial(draw_epsilon, epsilon=epsilon, canaries=100, one_run=one_run)
            yield Cell(figure, "100 canaries", f"{epsilon:g}", EXACT, draw)


def cell_text(cell: Cell, found: Coverage) -> str:
    """`.5: 95.2`, in bold where it is out of what is stated; the share of refusals, if any."""
    share = 100 * found.covered
    wrong = share < 93 or (cell.stated == APPROXIMATE and share > 97)
    text = "refused" if found.refused == 1 else f"{share:.1f}"
    text = f"**{text}**" if wrong and found.refused < 1 else text
    text += f" ({100 * found.refused:.0f} % refused)" if 0 < found.refused < 1 else ""
    return f"{cell.parameter}: {text}" if cell.parameter else text


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", default="", help="figures whose name matches this regular expression")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    start = time.process_time()
    rows: dict[tuple[str, str, str], list[tuple[Cell, Coverage]]] = {}
    for cell in cells():
        if re.search(options.only, cell.figure):
            key = cell.figure, cell.setting, cell.stated
            rows.setdefault(key, []).append((cell, simulate(cell, options.runs, options.seed)))
            progress(f"{cell.figure} · {cell.setting} · {cell_text(*rows[key][-1])}")
    print("| figure | setting | stated, % | covers, % |\n|---|---|---|---|")
    for (figure, setting, stated), row in rows.items():
        print(f"| {figure} | {setting} | {stated} | {' · '.join(cell_text(*one) for one in row)} |")
    everything = [
        found for row in rows.values() for cell, found in row if cell.stated == APPROXIMATE and found.refused < 1
    ]
    inside = sum(0.93 <= found.covered <= 0.97 for found in everything)
    seconds = round(time.process_time() - start)
    report("coverage", runs=options.runs, cells=len(everything), inside=inside, cpu_s=seconds, **machine())


if __name__ == "__main__":
    main()
