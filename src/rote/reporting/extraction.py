"""Extraction from the passes as a report shows it: strength and probabilities, and what sampling would bring out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rote.config import AuditConfig
from rote.generation import decoding_label
from rote.records import Estimate
from rote.reporting.artifacts import find
from rote.reporting.figures import percent
from rote.reporting.names import definition_of, title_of
from rote.reporting.plots import Chart, Series, levels_chart
from rote.reporting.populations import BASE, MEMBERS, NON_MEMBERS, estimate_of

POPULATIONS = (MEMBERS, BASE, NON_MEMBERS)
PLAIN = (
    "extraction_strength",
    "verbatim_probability",
    "perplexity",
    "base_relative_memorization",
    "prior_aware_memorization",
)
"""Metrics without a decoding scheme."""
BY_SCHEME = ("extraction_chance", "drawable", "window_coverage")


@dataclass(frozen=True, slots=True)
class ExtractionRow:
    """One metric of members, base model, non-members; None where it was not made."""

    title: str
    definition: str
    estimates: tuple[Estimate | None, ...]


@dataclass(frozen=True, slots=True)
class DrawsRow:
    """What comes out in so many draws, for each column of the table."""

    draws: int
    estimates: tuple[Estimate | None, ...]


@dataclass(frozen=True, slots=True)
class SchemeTable:
    """What sampling under one decoding scheme would bring out."""

    scheme: str
    words: str
    """The scheme in words."""
    columns: tuple[str, ...]
    """Members at each probability p, then base model and non-members at the least one."""
    discoverable: tuple[DrawsRow, ...]
    needed: tuple[Estimate | None, ...]
    """Draws that half of the members need, at each p."""
    rows: tuple[ExtractionRow, ...]
    """The metrics that do not depend on n and p."""


@dataclass(frozen=True, slots=True)
class ExtractionSection:
    """What a report says of extraction from the passes."""

    notes: tuple[str, ...]
    rows: tuple[ExtractionRow, ...]
    schemes: tuple[SchemeTable, ...]


def extraction_section(estimates: Sequence[Estimate], config: AuditConfig) -> ExtractionSection | None:
    """Made of estimates alone; None where the run has none of the passes."""
    rows = tuple(filter(None, (_row(metric, metric, estimates) for metric in PLAIN)))
    if not rows:
        return None
    names = dict.fromkeys(item.metric for item in estimates)
    schemes = [name.partition("@")[2] for name in names if name.startswith("extraction_chance@")]
    return ExtractionSection(
        notes=tuple(_notes(estimates, config)),
        rows=rows,
        schemes=tuple(_scheme_table(scheme, estimates, config) for scheme in schemes),
    )


def draws_chart(table: SchemeTable) -> Chart | None:
    """The share of records that come out, by number of draws; None where nothing was measured."""
    styles = [*(0, 5, 4, 3, 6, 7)[: len(table.columns) - 2], 1, 2]
    series = [
        Series(name, style, tuple(row.estimates[place] for row in table.discoverable))
        for place, (name, style) in enumerate(zip(table.columns, styles, strict=False))
    ]
    levels = [f"{row.draws:,}" for row in table.discoverable]
    return levels_chart(f"Come out in n draws: {table.words}", "draws", levels, series) if levels else None


def scheme_words(scheme: str) -> str:
    """ "t0.8-k40-p1" is "temperature 0.8, top-k 40"; what is off is not named.

    >>> scheme_words("t1-k0-p1"), scheme_words("t0.8-k40-p0.95")
    ('plain sampling', 'temperature 0.8, top-k 40, top-p 0.95')
    """
    temperature, top_k, top_p = scheme.split("-")
    parts = [f"temperature {temperature[1:]}"] if temperature != "t1" else []
    parts += [f"top-k {top_k[1:]}"] if top_k != "k0" else []
    parts += [f"top-p {top_p[1:]}"] if top_p != "p1" else []
    return ", ".join(parts) or "plain sampling"


def _scheme_table(scheme: str, estimates: Sequence[Estimate], config: AuditConfig) -> SchemeTable:
    chances = config.scoring.chances
    shown = [(MEMBERS, chance) for chance in chances]
    shown += [(one, min(chances)) for one in (BASE, NON_MEMBERS) if chances]
    discoverable = (
        DrawsRow(n, tuple(estimate_of(estimates, f"discoverable@{scheme},n={n},p={p:g}", one) for one, p in shown))
        for n in config.scoring.draws
    )
    return SchemeTable(
        scheme=scheme,
        words=scheme_words(scheme),
        columns=tuple(f"{one.title}, p = {chance:g}" for one, chance in shown),
        discoverable=tuple(discoverable),
        needed=tuple(find(estimates, f"draws_needed@{scheme},p={chance:g}") for chance in chances),
        rows=tuple(filter(None, (_row(name, f"{name}@{scheme}", estimates) for name in BY_SCHEME))),
    )


def _row(name: str, metric: str, estimates: Sequence[Estimate]) -> ExtractionRow | None:
    found = tuple(estimate_of(estimates, metric, one) for one in POPULATIONS)
    return ExtractionRow(title_of(name), definition_of(name), found) if any(found) else None


def _notes(estimates: Sequence[Estimate], config: AuditConfig) -> Iterator[str]:
    """Whether the pass agrees with generation, and what stands behind the figures."""
    made = [item for item in estimates if item.metric == "greedy_agreement" and item.n]
    if made:
        agreed, total = sum(item.events or 0 for item in made), sum(item.n for item in made)
        models = " and ".join(dict.fromkeys(item.model for item in made))
        yield (
            f"The pass and greedy generation say the same of {agreed:,} of {total:,} prompts ({percent(agreed / total)}; "
            f"{models})."
        )
    else:
        yield (
            "The pass was not compared with generation: no prompt was continued by greedy decoding alone "
            f"({decoding_label(config.generation)})."
        )
