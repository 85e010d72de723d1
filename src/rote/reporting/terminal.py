"""A run in the terminal: the verdict, the headline table and the worst records, or one record with its evidence.

Every text is made visible first and handed to rich as `Text`, so that nothing in a record is read as markup or obeyed.
Matched passages stand in ⟦1 … ⟧ besides their colour, so that they can be seen without one.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from io import StringIO
from textwrap import fill
from typing import TYPE_CHECKING

from rote.console.escaping import more, visible
from rote.errors import RoteError
from rote.records import KINDS, NOTHING, Condition, Generation, Kind, Match, Score, Span
from rote.rendering.judging import judgement_of
from rote.rendering.sentences import brief
from rote.reporting import marks
from rote.reporting.artifacts import Artifacts, read_artifacts
from rote.reporting.canaries import CanarySection, epsilon_figure
from rote.reporting.cases import Case, TrainingText, case_of, run_sentence
from rote.reporting.contents import COLUMNS, NonmembersRow, Report, report_of, settings_of_run
from rote.reporting.figures import Figure, attributable, figure, number, separation_figure
from rote.reporting.membership import MembershipSection, rate_title
from rote.reporting.names import is_yes_or_no, title_of
from rote.reporting.numerics import recheck_sentence
from rote.reporting.page import match_title
from rote.reporting.populations import AT_NONMEMBERS, BASE, SHUFFLED, TRUE_SUFFIX
from rote.reporting.redaction import redacted
from rote.reporting.sections import FigureSection
from rote.runs import EXACT, REPORT_HTML, Run
from rote.scoring import DetectorRow
from rote.soundness.sentences import agreement_sentence, soundness_sentence

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

WORST_IDS = 15
"""Records listed in the overview."""
WIDE = 100
"""From that many columns on generation and training text stand side by side."""
IN_BRIEF: tuple[Condition, ...] = ("verbatim", "edited-10", "edited-30", "condensed")
"""Conditions of planted passages shown in the terminal; the page has all of them."""
BEGIN_CHARS = 24
"""Characters of a record's text shown beside its id, to recognise it."""
CONTEXT_CHARS, MARKED_CHARS, PLAIN_CHARS = 300, 2_000, 1_200
STYLES: Mapping[Kind, str] = {
    "verbatim": "bold red",
    "near-verbatim": "bold yellow",
    "paraphrase": "bold blue",
    "idea": "bold green",
    "weak-paraphrase": "dim",
}


def show(run: Run, id: str | None, *, show_pii: bool = False) -> int:
    """Prints the results of a run or, with an id, one record's generations beside its training texts; returns 0.

    Args:
        run: its scores must be made.
        id: of an example, a prompt or a generation, or the start of one that belongs to one example only.
        show_pii: show personal data, not placeholders.

    Raises:
        RoteError: no such id (with the nearest ones), or several (with some of them).
    """
    artifacts = read_artifacts(run)
    if not show_pii:
        artifacts = redacted(artifacts)
    console = open_console()
    if id is None:
        _print_report(console, report_of(artifacts, run, settings_of_run(run)), run)
        return 0
    if line := rendering_line(run):
        console.print(_plain(line))
    for generation in generations_of(id, artifacts):
        _print_case(console, case_of(generation, artifacts))
    return 0


def rendering_line(run: Run) -> str:
    """Whether the run's losses say that the data were rendered as in the training; "" where that was not tried."""
    found = judgement_of(run)
    return brief(found) if found else ""


def generations_of(id: str, artifacts: Artifacts) -> list[Generation]:
    """The generations that an id, or the start of one, means: its own, or those of the tuned and the base model."""
    owners = {example_id: example_id for example_id in artifacts.examples}
    owners |= {prompt.id: prompt.example_id for prompt in artifacts.prompts.values()}
    owners |= {generation.id: generation.example_id for generation in artifacts.generations.values()}
    fitting = [name for name in owners if name.startswith(id)]
    found = [id] if id in owners else [name for name in fitting if name in artifacts.examples] or fitting
    examples = sorted({owners[name] for name in found})
    if not examples:
        close = get_close_matches(id, owners, n=3, cutoff=0.4)
        near = ", ".join(_named(name, artifacts) for name in close) or "none is like it"
        raise RoteError(f"no example, prompt or generation has the id {id!r} (near: {near})")
    if len(examples) > 1:
        some = ", ".join(_named(name, artifacts) for name in examples[:5]) + (" …" if len(examples) > 5 else "")
        raise RoteError(f"{id!r} is the start of an id of {len(examples)} examples: {some}")
    own = [item for item in artifacts.generations.values() if item.example_id == examples[0]]
    named = [item for item in own if item.id.startswith(id) or item.prompt_id.startswith(id)]
    chosen = [item for item in named if item.id.startswith(id) and id not in (item.prompt_id, item.example_id)]
    if not chosen or id in artifacts.examples or id in artifacts.prompts:
        chosen = [item for item in named or own if item.model in ("tuned", "base")]
    if not chosen:
        raise RoteError(f"example {examples[0]} has no generation")
    return sorted(chosen, key=lambda item: (item.model != "tuned", item.model, item.prompt_id, item.sample))


def _named(id: str, artifacts: Artifacts) -> str:
    """An id with the first words of its record."""
    prompt, generation = artifacts.prompts.get(id), artifacts.generations.get(id)
    owner = prompt.example_id if prompt else generation.example_id if generation else id
    example = artifacts.examples.get(owner)
    words = marks.one_line(example.text, BEGIN_CHARS).partition(" … ")[0] if example else ""
    return f"{id} (“{words}”)" if words else id


def text_of(cases: Sequence[Case], *, width: int = 120) -> str:
    """The cases as `rote show` prints them, without colours."""
    from rich.console import Console

    written = StringIO()
    console = Console(file=written, width=width, markup=False, emoji=False, highlight=False, color_system=None)
    for case in cases:
        _print_case(console, case)
    return written.getvalue()


def open_console() -> "Console":
    """A console that takes every text as it is, and writes "?" for what the terminal cannot show."""
    from rich.console import Console

    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    return Console(markup=False, emoji=False, highlight=False)


def open_table(columns: Sequence[str], *, is_tight: bool = False) -> "Table":
    """An open table: the first column holds names, the others figures; a tight one has one blank between columns."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0 if is_tight else 1), pad_edge=False, show_lines=False)
    for index, name in enumerate(columns):
        table.add_column(Text(visible(name)), justify="right" if index else "left", overflow="fold")
    return table


def figure_text(shown: Figure) -> "Text":
    """The number, and under it its counts and its interval."""
    from rich.text import Text

    style = "bold" if shown.state == "measured" else "dim"
    text = Text(visible(shown.main), style=style)
    for part in shown.detail.split(" · ") if shown.detail else ():
        text.append(f"\n{visible(part)}", style="not bold dim")
    return text


def _print_report(console: "Console", report: Report, run: Run) -> None:
    console.print(_heading(report.title))
    console.print(_plain(report.verdict))
    if line := rendering_line(run):
        console.print(_plain(line))
    console.print("")
    for caveat in report.caveats:
        console.print(_plain(f"! {caveat}", "yellow"))
    console.print(_headline_table(report))
    if report.attribution:
        console.print(_plain(report.attribution, "yellow"))
    if report.at_nonmembers:
        console.print(_nonmembers_table(report.at_nonmembers))
    if report.cases:
        console.print(_worst_table(report.cases[:WORST_IDS]))
    if report.membership:
        console.print(_attack_table(report.membership))
    sections = [section for section in (report.extraction, report.membership) if section]
    for note in [note for section in sections for note in section.notes]:
        console.print(_plain(note))
    if report.canaries:
        console.print(_canary_table(report.canaries))
    for section in (report.similarity, report.personal_data, report.utility):
        if section and any(row.in_brief for row in section.rows):
            console.print(_section_table(section))
    if report.detector:
        console.print(_plain(detector_line(report.detector)))
    for trial in report.soundness:
        console.print(_plain(soundness_sentence(trial), "dim"))
    for agreement in report.agreements:
        console.print(_plain(agreement_sentence(agreement), "dim"))
    for found in report.rechecks:
        console.print(_plain(recheck_sentence(found), "dim"))
    console.print(_plain(report.signature, "dim"))
    page = f", the whole report: {run.path(REPORT_HTML)}" if run.path(REPORT_HTML).exists() else ""
    console.print(_plain(f"One record: rote show {run.folder} ID{page}", "dim"), soft_wrap=True)


def _headline_table(report: Report) -> "Table":
    columns = [column for column in COLUMNS if column not in (SHUFFLED, TRUE_SUFFIX)]
    members, *controls = [column.title.replace(" (", "\n(") for column in columns]
    table = open_table(["Metric", members, "Only tuned", *controls], is_tight=True)
    for row in report.headline:
        result, *others = [figure_text(figure(item)) for item in row.estimates[: len(columns)]]
        table.add_row(_plain(row.title), result, figure_text(attributable(row.attributable)), *others)
    return table


def detector_line(rows: Sequence[DetectorRow]) -> str:
    """How many planted passages were found in the right kind, and how many that are not there; in one line."""
    measured = [row for row in rows if row.right.value is not None]
    found = [f"{row.title.lower()} {row.right.events}/{row.right.n}" for row in measured if row.condition in IN_BRIEF]
    empty = [row for row in measured if row.condition in NOTHING]
    alarms = [f"false alarms {sum(r.right.n - (r.right.events or 0) for r in empty)}/{sum(r.right.n for r in empty)}"]
    if not measured:
        return f"Detector: not measurable; {rows[0].right.reason}."
    return f"Detector, right kind of planted passages: {', '.join(found + (alarms if empty else []))}."


def _nonmembers_table(rows: Sequence[NonmembersRow]) -> "Table":
    table = open_table([AT_NONMEMBERS, "Tuned model", BASE.title])
    for row in rows:
        table.add_row(_plain(row.title), figure_text(figure(row.tuned)), figure_text(figure(row.base)))
    return table


def _section_table(section: FigureSection) -> "Table":
    """The rows that matter most; of the columns the first four."""
    table = open_table([section.title, *(column.replace(", ", ",\n") for column in section.columns[:4])])
    for row in section.rows:
        if row.in_brief:
            table.add_row(_plain(row.title), *(figure_text(figure(item)) for item in row.estimates[:4]))
    return table


def _attack_table(section: MembershipSection) -> "Table":
    rates = [fill(rate_title(one), 16) for one in section.rates]
    table = open_table(["Membership", *rates, "AUC", "p,\ncorrected", "AUC,\nbase model"])
    for row in section.rows:
        shown = map(separation_figure, (*row.rates, row.auc, row.p_value, row.base))
        table.add_row(_plain(row.title), *map(figure_text, shown))
    return table


def _canary_table(section: CanarySection) -> "Table":
    table = open_table(
        ["Canaries by copies", "Exposure\n(bits)", "Base model", "Held out", fill(section.detected, 16), "ε, one run"]
    )
    for row in section.rows:
        exposures = [figure_text(figure(item)) for item in (row.planted, row.base, row.held_out)]
        shown = [separation_figure(row.detected), epsilon_figure(row.one_run)]
        table.add_row(_plain(row.copies), *exposures, *map(figure_text, shown))
    return table


def _worst_table(cases: Sequence[Case]) -> "Table":
    table = open_table(["Worst members", "Kind", "Verbatim", "Copies", "Extr.", "  Begins"], is_tight=True)
    table.columns[-1].justify = "left"
    for case in cases:
        kind = _plain(case.kind or "none", STYLES[case.kind] if case.kind else "dim")
        extractable = {None: "–", True: "yes", False: "no"}[case.extractable]
        verbatim = f"{case.verbatim_chars:,} chars"
        begins = _plain("  " + marks.one_line(case.prompt, BEGIN_CHARS).partition(" … ")[0], "dim")
        table.add_row(_plain(case.example_id), kind, verbatim, str(case.copies), extractable, begins)
    return table


def _print_case(console: "Console", case: Case) -> None:
    facts = [case.kind or "no counted match", f"{case.verbatim_chars:,} verbatim characters"]
    facts += [f"{case.copies} copies"] if case.copies > 1 else []
    facts += ["extractable"] if case.extractable else []
    facts += ["repetitive"] if case.repetitive else []
    console.print(_heading(f"{case.generation_id} ({case.model}, {case.split})"))
    console.print(_plain(" · ".join(facts)), "", sep="\n")
    console.print(_plain("Prompt", "bold"))
    console.print(_passage(case.prompt, [], ()), "", sep="\n")
    for source in case.texts:
        _print_pair(console, case, source)
    if case.more_texts:
        console.print(_plain(f"{case.more_texts} more training texts with matches are not shown."))
    for run in case.exact_runs:
        found = marks.one_line(run.generated.of(case.generated), 80)
        console.print(_plain(f"{run_sentence(run)}, first {run.sources[0].example_id}: {found}"))
    if case.n_exact_runs > len(case.exact_runs):
        console.print(_plain(f"{case.n_exact_runs - len(case.exact_runs)} shorter runs: see {EXACT}."))
    for line in _score_lines(case):
        console.print(_plain(line, "dim"))
    console.print()


def _print_pair(console: "Console", case: Case, source: TrainingText) -> None:
    """Generation and training text, side by side where there is room."""
    from rich.table import Table

    rank = f", candidate {source.rank} of {case.n_candidates}" if source.rank else ""
    owner = "own record" if source.own else "another record"
    left = _plain("Generation", "bold")
    right = _plain(f"Training text: {owner} {source.example_id}{rank} {source.place}", "bold")
    generated = _passage(case.generated, [match.generated for match in source.matches], source.matches)
    spans = [*(match.training for match in source.matches), source.shown]
    training = _passage(source.text, spans, source.matches)
    if console.width >= WIDE:
        grid = Table.grid(padding=(0, 4, 0, 0), expand=True)
        grid.add_column(ratio=1, overflow="fold")
        grid.add_column(ratio=1, overflow="fold")
        grid.add_row(left, right)
        grid.add_row(generated, training)
        console.print(grid)
    else:
        console.print(left, generated, "", right, training, sep="\n")
    for index, (match, chars) in enumerate(zip(source.matches, source.chars, strict=True), 1):
        console.print(_plain(f"{index} {match_title(match, chars)}", STYLES[match.kind]))
    console.print()


def _passage(text: str, spans: Sequence[Span], matches: Sequence[Match]) -> "Text":
    """The text with its matched passages in brackets and colour, the part that the model was shown dim."""
    from rich.text import Text

    shown = Text()
    context = CONTEXT_CHARS if matches and len(text) > PLAIN_CHARS else PLAIN_CHARS
    before: set[int] = set()
    for piece in marks.shorten(marks.cut(text, spans), context=context, marked=MARKED_CHARS):
        inside = {index for index in piece.marks if index < len(matches)}
        shown.append("⟧" * len(before - inside), "bold")
        shown.append("".join(f"⟦{index + 1} " for index in sorted(inside - before)), "bold")
        worst = min((matches[index].kind for index in inside), key=KINDS.index, default=None)
        shown.append(visible(piece.text), STYLES[worst] if worst else "dim" if piece.marks else None)
        shown.append(more(piece.omitted) if piece.omitted else "", "dim italic")
        before = inside
    return shown.append("⟧" * len(before), "bold")


def _score_lines(case: Case) -> Iterator[str]:
    for score in case.scores:
        yield f"{title_of(score.metric)}: {_value(score)}"
    if case.base_loss is not None and case.model != "base":
        yield f"{title_of('loss')}, base model: {number(case.base_loss)}"


def _value(score: Score) -> str:
    if score.value is None:
        return f"not measurable: {score.reason}"
    if is_yes_or_no(score.metric):
        return "yes" if score.value else "no"
    return number(score.value)


def _heading(text: str) -> "Text":
    return _plain(f"\n{text}", "bold underline")


def _plain(text: str, style: str = "") -> "Text":
    from rich.text import Text

    return Text(visible(text), style=style)
