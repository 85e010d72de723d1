"""A run and its cases as a notebook shows them: pieces of HTML without a style sheet, a script or a link."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rote.console import markup
from rote.records import Match, Span
from rote.reporting import figures, marks
from rote.reporting.contents import COLUMNS, HeadlineRow, Report
from rote.reporting.populations import SHUFFLED, TRUE_SUFFIX

if TYPE_CHECKING:
    from rote.reporting.cases import Case, TrainingText

CONTEXT_CHARS, MARKED_CHARS = 300, 2_000
"""Longest stretch shown of text around marks, and under one mark."""
SHOWN_COLUMNS = tuple(column for column in COLUMNS if column not in (SHUFFLED, TRUE_SUFFIX))


def report_html(report: Report, place: str) -> str:
    """The verdict, what is to be kept in mind, and the headline table; `place` is where the run lies."""
    result, *controls = [column.title for column in SHOWN_COLUMNS]
    rows = [[row.title, *map(_cell, _figures(row))] for row in report.headline]
    caveats = [markup.element("li", markup.text(caveat)) for caveat in report.caveats]
    return markup.box(
        markup.heading(report.title, place),
        markup.element("p", markup.text(report.verdict)),
        markup.element("ul", *caveats) if caveats else "",
        markup.table(["Metric", result, "Only tuned", *controls], rows) if rows else "",
        markup.element("p", markup.text(report.attribution)) if report.attribution else "",
        markup.element("small", markup.text(report.signature), style=markup.SOFT),
    )


def case_html(case: "Case") -> str:
    """The prompt, and the generation beside each training text, what both share marked."""
    facts = [case.kind or "no counted match", f"{case.verbatim_chars:,} verbatim characters"]
    facts += [f"{case.copies} copies"] if case.copies > 1 else []
    facts += ["extractable"] if case.extractable else []
    facts += ["repetitive"] if case.repetitive else []
    more = f"{case.more_texts} more training texts with matches are not shown."
    return markup.box(
        markup.heading(f"{case.generation_id} ({case.model}, {case.split})", " · ".join(facts)),
        markup.heading("Prompt"),
        _passages(case.prompt, [], []),
        *(_pair(case, source) for source in case.texts),
        markup.element("p", markup.text(more)) if case.more_texts else "",
    )


def _figures(row: HeadlineRow) -> list[figures.Figure]:
    result, *controls = map(figures.figure, row.estimates[: len(SHOWN_COLUMNS)])
    return [result, figures.attributable(row.attributable), *controls]


def _cell(shown: figures.Figure) -> str:
    return "\n".join([shown.main, *(shown.detail.split(" · ") if shown.detail else [])])


def _pair(case: "Case", source: "TrainingText") -> str:
    owner = "own record" if source.own else "another record"
    spans = [match.training for match in source.matches]
    return markup.beside(
        markup.heading("Generation")
        + _passages(case.generated, [match.generated for match in source.matches], source.matches),
        markup.heading("Training text", f"{owner} {source.example_id} {source.place}")
        + _passages(source.text, spans, source.matches),
    )


def _passages(text: str, spans: Sequence[Span], matches: Sequence[Match]) -> str:
    shown = [
        markup.marked(piece.text, ", ".join(matches[index].kind for index in piece.marks))
        + markup.left_out(piece.omitted)
        for piece in marks.shorten(marks.cut(text, spans), context=CONTEXT_CHARS, marked=MARKED_CHARS)
    ]
    return markup.element("div", *shown, style=markup.TEXT)
