"""The report as one HTML file that loads nothing, and as JSON.

Every text goes through `visible` and Jinja's auto-escaping, and the file's own content security policy forbids any
script or style but its own, so a hostile record is read, never obeyed.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from rote.config import to_toml
from rote.console.escaping import more, visible
from rote.generation import decoding_label
from rote.records import KINDS, Match, Span, to_row
from rote.reporting import figures, marks, names
from rote.reporting.artifacts import find
from rote.reporting.canaries import epsilon_figure, exposure_chart
from rote.reporting.cases import Case, TrainingText, run_sentence
from rote.reporting.contents import COLUMNS, Report, repetitions
from rote.reporting.extraction import POPULATIONS, draws_chart
from rote.reporting.membership import rate_title, roc_chart
from rote.reporting.numerics import recheck_sentence
from rote.reporting.plots import Chart, Series, levels_chart, rows_chart
from rote.reporting.populations import AT_NONMEMBERS, BY_TEXT, estimate_of
from rote.reporting.similarity import similarity_chart
from rote.runs import write_atomically
from rote.soundness.sentences import agreement_sentence, soundness_sentence

if TYPE_CHECKING:
    from jinja2 import Environment

OPEN_CASES = 5
"""Cases that stand open; the others unfold."""
CONTEXT_CHARS, PROMPT_CHARS, MARKED_CHARS, PLAIN_CHARS = 400, 600, 3_000, 1_600
"""Longest stretch shown of text around marks, of a prompt, under one mark, and of a text without marks."""
KIND_MEANINGS = {
    "verbatim": "the same characters, in a run longer than the floor",
    "near-verbatim": "the same sentences but for trifles",
    "paraphrase": "the same sentences in other words",
    "idea": "the same content, condensed or expanded at least threefold",
    "weak-paraphrase": "aligned, but the paraphrase decision says no; counted in no cumulative rate",
}


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of text as it is drawn. Chunks with the same match number belong to the same passage."""

    text: str
    style: str
    """Class of the mark, "shown" for the prompt's part of a training text, or ""."""
    numbers: str
    title: str
    omitted: str


@dataclass(frozen=True, slots=True)
class Pair:
    """A generation and one training text, side by side."""

    source: TrainingText
    generated: tuple[Chunk, ...]
    training: tuple[Chunk, ...]


@dataclass(frozen=True, slots=True)
class CaseView:
    """One case as it is drawn."""

    case: Case
    prompt: tuple[Chunk, ...]
    pairs: tuple[Pair, ...]


def write_page(report: Report, path: Path) -> None:
    """Writes the report as one self-contained HTML file, atomically."""
    context = {
        "report": report,
        "columns": COLUMNS,
        "at_nonmembers": AT_NONMEMBERS,
        "decoding": decoding_label(report.config.generation),
        "charts": charts(report),
        "draws_charts": [draws_chart(table) for table in report.extraction.schemes] if report.extraction else [],
        "roc": roc_chart(report.membership) if report.membership else None,
        "populations": POPULATIONS,
        "canary_chart": exposure_chart(report.canaries) if report.canaries else None,
        "extrapolates": any(row.extrapolated for row in report.canaries.rows) if report.canaries else False,
        "similarity_chart": similarity_chart(report.similarity) if report.similarity else None,
        "cases": [view_of(case) for case in report.cases],
        "open_cases": OPEN_CASES,
        "kind_names": (*KINDS, "nothing"),
        "settings": to_toml(report.config),
        "manifest": json.dumps(report.manifest, indent=2, ensure_ascii=False),
    }
    write_html("report.html.jinja", context, path)


def write_json(report: Report, path: Path) -> None:
    """Writes the report as JSON, with whole texts: `Span`s refer to them. Lone surrogates are escaped."""
    text = json.dumps(to_row(report), indent=1, ensure_ascii=True)
    write_atomically(path, text.encode("ascii") + b"\n")


def write_html(template: str, context: Mapping[str, object], path: Path) -> None:
    """Renders one of the templates into a file, atomically."""
    html = _environment().get_template(template).render(context)
    write_atomically(path, html.encode("utf-8", "backslashreplace"))


def charts(report: Report) -> list[Chart]:
    """The charts of a report: rates by kind beside their controls, and by repetition where copies vary."""
    estimates = report.estimates
    shown = [metric for metric in names.RATES if find(estimates, metric)]
    kinds = [
        Series(one.title, style, tuple(estimate_of(estimates, metric, one) for metric in shown))
        for style, one in zip((0, 1, 5, 2), BY_TEXT, strict=True)
    ]
    copies = repetitions(estimates)
    repeated = [
        Series(names.title_of(metric), style, tuple(find(estimates, metric, stratum=f"copies={n}") for n in copies))
        for metric, style in (("extractable", 0), ("verbatim", 5), ("at_least_idea", 3))
    ]
    by_kind = rows_chart("What comes out", [names.title_of(metric) for metric in shown], kinds)
    by_copies = levels_chart("By repetition", "copies of the record", [str(n) for n in copies], repeated)
    return [chart for chart in (by_kind, by_copies if len(copies) > 1 else None) if chart]


def view_of(case: Case) -> CaseView:
    """The case with its texts cut into marked chunks."""
    pieces = marks.shorten(marks.cut(case.prompt, []), context=PROMPT_CHARS, marked=PROMPT_CHARS)
    pairs = [
        Pair(
            source=source,
            generated=_chunks(case.generated, [m.generated for m in source.matches], source),
            training=_chunks(source.text, [*(m.training for m in source.matches), source.shown], source),
        )
        for source in case.texts
    ]
    plain = tuple(Chunk(piece.text, "", "", "", _omitted(piece)) for piece in pieces)
    return CaseView(case, plain, tuple(pairs))


def _chunks(text: str, spans: Sequence[Span], source: TrainingText) -> tuple[Chunk, ...]:
    context = CONTEXT_CHARS if source.matches and len(text) > PLAIN_CHARS else PLAIN_CHARS
    pieces = marks.shorten(marks.cut(text, spans), context=context, marked=MARKED_CHARS)
    return tuple(_chunk(piece, source) for piece in pieces)


def _omitted(piece: marks.Piece) -> str:
    return more(piece.omitted) if piece.omitted else ""


def _chunk(piece: marks.Piece, source: TrainingText) -> Chunk:
    """The chunk of a piece; an index beyond the matches is the part of the text that the model was shown."""
    omitted, matches = _omitted(piece), source.matches
    found = sorted((KINDS.index(matches[i].kind), i) for i in piece.marks if i < len(matches))
    if not found:
        return Chunk(piece.text, "shown" if piece.marks else "", "", "", omitted)
    worst = matches[found[0][1]]
    style = f"k-{worst.kind}" + ("" if not (worst.in_prompt or worst.generic) else " off")
    numbers = " ".join(str(i + 1) for _, i in found)
    title = " + ".join(match_title(matches[i], source.chars[i]) for _, i in found)
    return Chunk(piece.text, style, numbers, title, omitted)


def match_title(match: Match, chars: int) -> str:
    """One line on a match: kind, length, similarity, and why it is not counted where it is not."""
    return f"{match.kind}, {match.details(chars)}"


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("rote.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    style, script = _asset("style.css"), _asset("filter.js")
    environment.globals |= {
        "style": Markup(style),
        "script": Markup(script),
        "policy": f"default-src 'none'; style-src {_source(style)}; script-src {_source(script)}; base-uri 'none'",
        "kinds": {kind: KIND_MEANINGS[kind] for kind in KINDS},
        "figure": figures.figure,
        "amount": figures.amount,
        "interval": figures.interval,
        "percent": figures.percent,
        "number": figures.number,
        "chance": figures.chance,
        "separation": figures.separation_figure,
        "rate_title": rate_title,
        "epsilon": epsilon_figure,
        "attributable": figures.attributable,
        "title_of": names.title_of,
        "one_line": marks.one_line,
        "run_sentence": run_sentence,
        "recheck_sentence": recheck_sentence,
        "soundness_sentence": soundness_sentence,
        "agreement_sentence": agreement_sentence,
    }
    return environment


def _asset(name: str) -> str:
    return resources.files("rote.reporting").joinpath("templates", name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    """What a content security policy calls this very text."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
