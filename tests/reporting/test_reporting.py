"""The report: verdict and caveats, evidence, marks, and a page that shows hostile text and obeys none of it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from report_data import HOSTILE, MEMBERS, TAGS, Made, Page, make_run, rate
from rote import reporting
from rote.config import AuditConfig, GenerationConfig, ReportingConfig
from rote.console.escaping import visible
from rote.corpus.defects import Dropped
from rote.errors import RunError
from rote.records import Difference, Estimate, Generation, Json, RenderingLoss, Score, Span
from rote.reporting import figures, marks, names, plots, populations
from rote.reporting.contents import COLUMNS
from rote.reporting.verdict import caveats, verdict
from rote.runs import DROPPED, GENERATIONS, MATCHES, PROMPTS, RENDERINGS, SCORES, UNMEASURABLE, Run
from rote.stages.report import report as write_report


def page_of(made: Made) -> tuple[str, Page]:
    path = made.run.path("report.html")
    reporting.write_page(reporting.report(made.run, made.config), path)
    html = path.read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    return html, page


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_run(tmp_path_factory.mktemp("runs") / "plain")


@pytest.fixture(scope="module")
def plain(made: Made) -> tuple[str, Page]:
    return page_of(made)


# The verdict


def test_the_verdict_is_one_sentence_with_counts_interval_and_controls(made: Made) -> None:
    assert reporting.report(made.run, made.config).verdict == (
        "Of 24 member records, 5 (20.8 %, 95 % interval 9.2–40.5 %) come out word for word from their first 50 tokens "
        "and 8 (33.3 %, 18.0–53.3 %) with a verbatim passage; the base model gives back 0 and 0 of 24, "
        "non-members (own text) 0 and 0 of 8; at the prompts of 8 non-members, members' text comes out verbatim in 1 "
        "(12.5 %, 2.2–47.1 %; base model 0 of 8)."
    )


def test_members_text_at_nonmembers_prompts_is_no_control(made: Made) -> None:
    report = reporting.report(made.run, made.config)
    rows = {
        row.metric: dict(zip((one.title for one in COLUMNS), row.estimates, strict=True)) for row in report.headline
    }
    for metric in ("verbatim", "at_least_paraphrase", "at_least_idea"):
        for control in ("Non-members (own text)", "Shuffled pairs"):
            found = rows[metric][control]
            assert found is not None
            assert (found.stratum, found.events) == ("match=same-record", 0)
    for metric in ("extractable", "exact_memorization", "loss"):
        found = rows[metric]["Non-members (own text)"]
        assert found is not None
        assert found.stratum == "all"
    assert {
        item.stratum
        for item in (rows["verbatim"]["Members (any text)"], rows["verbatim"]["Base model (any text)"])
        if item
    } == {"all"}
    assert [(row.metric, row.tuned.events, row.base and row.base.events) for row in report.at_nonmembers] == [
        ("verbatim", 1, 0),
        ("at_least_paraphrase", 2, 0),
    ]


def test_a_metric_that_is_not_made_for_own_matches_has_no_control() -> None:
    rows = [rate("verbatim@4", 9, 10, "tuned", split) for split in ("member", "non-member")]
    assert populations.estimate_of(rows, "verbatim@4", populations.MEMBERS) is rows[0]
    assert populations.estimate_of(rows, "verbatim@4", populations.NON_MEMBERS) is None


def test_no_text_at_nonmembers_prompts_is_not_mentioned(tmp_path: Path) -> None:
    made = make_run(tmp_path / "weak", strength=0.0)
    report = reporting.report(made.run, made.config)
    assert "at the prompts of" not in report.verdict
    assert [row.tuned.events for row in report.at_nonmembers] == [0, 0]
    assert reporting.report(make_run(tmp_path / "bare", nonmembers=()).run, made.config).at_nonmembers == ()


@pytest.mark.parametrize(("events", "said"), [(6, False), (24, True)])
def test_a_base_model_that_repeats_itself_is_a_blunt_control(events: int, said: bool) -> None:
    words = f"The base model's generations are repetitive for {events} of 30 members"
    assert any(words in caveat for caveat in caveats([rate("repetitive", events, 30, "base", "member")])) is said


def test_the_verdict_names_the_own_prompt_and_the_level() -> None:
    config = AuditConfig(generation=GenerationConfig(prompt="record"))
    config = replace(config, scoring=replace(config.scoring, confidence=0.9))
    found = verdict([rate("extractable", 3, 10, "tuned", "member")], config)
    assert re.fullmatch(
        r"Of 10 member records, 3 \(30\.0 %, 90 % interval .*\) come out .* from their own prompt\. No non-members .*\.",
        found,
    )


def test_a_verdict_without_measurement_says_why() -> None:
    item = Estimate(
        "verbatim", "tuned", "member", "all", None, None, None, 0, 9, "", None, "shorter than 50 characters"
    )
    assert verdict([item], AuditConfig()) == (
        "Whether member records come out could not be measured: shorter than 50 characters."
    )
    assert verdict([], AuditConfig()) == "Whether member records come out could not be measured."


def test_a_doubt_of_the_rendering_stands_before_everything_else(tmp_path: Path) -> None:
    made = make_run(tmp_path / "doubted", base=False, nonmembers=())
    learned = Difference(-0.1, -0.3, 0.1)
    loss = RenderingLoss("as audited", "", 12, 1.0, 0.9, 9.0, learned, None, None)
    made.run.write(RENDERINGS, [loss], settings={})
    said: list[str] = []
    write_report(made.config, Run(made.run.folder, echo=said.append))
    last = [line for line in said if line.startswith("!") or "member records" in line]
    assert last[0].startswith("Nothing shows that the model was trained on these records as they are rendered here")
    assert len(last) > 1
    assert all(line.startswith("! ") for line in last[1:])
    _, page = page_of(made)
    verdict_at = page.text.index("Nothing shows that the model was trained on these records")
    assert verdict_at < page.text.index("No base model was run")


def test_missing_controls_and_missing_values_are_caveats(tmp_path: Path) -> None:
    made = make_run(tmp_path / "bare", base=False, nonmembers=())
    report = reporting.report(made.run, made.config)
    assert "Nothing of it can be put down to the fine-tuning, since no base model was run" in report.verdict
    assert "No non-members were given, so what comes out of unseen records is not known" in report.verdict
    said = " ".join(report.caveats)
    assert re.search(r"No base model was run", said)
    assert re.search(r"No non-members were given", said)
    rows = [rate("extractable", 0, 40, "tuned", "member"), rate("repetitive", 3, 40, "tuned", "member")]
    rows.append(replace(rate("verbatim", 4, 30, "tuned", "member"), n_missing=10))
    said = " ".join(caveats(rows))
    assert re.search(r"shuffled control was not run", said)
    assert re.search(r"true-suffix control was not run", said)
    assert re.search(r"0 of 40 for “Extractable .*” does not show that nothing can come out: rates up to 8\.8 %", said)
    assert re.search(r"could not be measured for 10 of 40 member prompts", said)
    assert re.search(r"3 of 40 member generations collapsed into repetition", said)


def test_a_full_set_of_controls_leaves_no_caveat(made: Made) -> None:
    assert reporting.report(made.run, made.config).caveats == ()


# The contents


def test_cases_are_the_worst_members_in_order(made: Made) -> None:
    report = reporting.report(made.run, made.config)
    kinds = [case.kind for case in report.cases]
    assert kinds == sorted(kinds, key=lambda kind: names_of_kinds().index(kind))
    assert {case.split for case in report.cases} == {"member"}
    assert len({case.example_id for case in report.cases}) == len(report.cases)
    assert report.cases[0].verbatim_chars == 120
    first = report.cases[0].texts[0]
    assert first.own
    assert first.rank == 1
    assert first.shown == Span(0, 60)


def names_of_kinds() -> list[str | None]:
    return ["verbatim", "near-verbatim", "paraphrase", "idea", "weak-paraphrase", None]


def test_the_number_of_cases_is_a_setting(made: Made) -> None:
    config = replace(made.config, reporting=ReportingConfig(worst=2, title="Mine"))
    report = reporting.report(made.run, config)
    assert len(report.cases) == 2
    assert report.title == "Mine"


def test_matches_that_do_not_count_make_no_case(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run")
    uncounted = [replace(match, generic=True) for match in made.matches[:3]]
    uncounted += [replace(match, in_prompt=True) for match in made.matches[3:]]
    made.run.write(MATCHES, uncounted, settings={})
    report = reporting.report(made.run, made.config)
    assert {case.kind for case in report.cases} == {None}
    assert all(case.extractable for case in report.cases)
    _, page = page_of(made)
    classes = {attrs["class"] for tag, attrs in page.tags if tag == "mark"}
    assert classes
    assert all((name or "").endswith(" off") for name in classes)


def test_several_samples_make_one_case_of_the_worst(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run")
    more = [replace(item, id=item.id[:-1] + "1", sample=1, text="nothing") for item in made.generations]
    made.run.write(GENERATIONS.format(model="tuned"), [*more, *made.generations], settings={})
    cases = reporting.report(made.run, made.config).cases
    assert cases[0].kind == "verbatim"
    assert all(case.generation_id.endswith("-s0") for case in cases if case.kind)


def test_thresholds_come_with_the_nearest_cases_on_either_side(made: Made) -> None:
    by_name = {threshold.name: threshold for threshold in reporting.report(made.run, made.config).thresholds}
    extractable = by_name["Extractable"]
    assert [case.value for case in extractable.above] == sorted(case.value for case in extractable.above)
    assert all(case.value >= 50 for case in extractable.above)
    assert all(case.value < 50 for case in extractable.below)
    assert [case.value for case in extractable.below] == [49, 45, 42, 41, 38]
    assert {case.value for case in by_name["Verbatim"].above} == {120}
    assert all(case.value <= 50 for case in by_name["Verbatim"].below)
    assert {case.value for case in by_name["Paraphrase"].above} <= {0.7, 0.995}
    assert {case.value for case in by_name["Paraphrase"].below} == {0.3}
    assert {case.value for case in by_name["Near-verbatim"].above} == {0.995}
    assert all(len(side) <= 5 for item in by_name.values() for side in (item.above, item.below))
    assert all(case.generated for item in by_name.values() for case in (*item.above, *item.below))
    published = replace(made.config, alignment=replace(made.config.alignment, preset="zeng2024"))
    assert "Near-verbatim" not in {item.name for item in reporting.report(made.run, published).thresholds}


def test_a_run_without_scores_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"estimates\.jsonl does not exist"):
        reporting.report(Run(tmp_path / "empty"), AuditConfig())
    made = make_run(tmp_path / "run")
    made.run.path(SCORES).unlink()
    with pytest.raises(RunError, match=r"scores\.jsonl does not exist"):
        reporting.report(made.run, made.config)


def test_what_was_left_out_is_counted_by_reason(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run")
    empty = [Dropped("members.jsonl", line, "text", "empty", "''") for line in (3, 9)]
    made.run.write(DROPPED, [*empty, Dropped("members.jsonl", 12, "text", "over-long", "'x…'")], settings={})
    made.run.write(UNMEASURABLE, [Score(made.examples[0].id, "extractable", None, "too short")], settings={})
    made.run.note(data_notes=["no flags were needed"])
    assert reporting.report(made.run, made.config).data == (
        "24 member records in 24 groups; 24 of them were prompted.",
        "8 non-member records in 8 groups; 8 of them were prompted.",
        "3 left out when the data were read: 2 empty, 1 over-long (see dropped.jsonl).",
        "1 could not be prompted: 1 too short (see unmeasurable.jsonl).",
        "no flags were needed",
    )


def test_the_kind_of_prompt_is_the_one_that_was_cut(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run")
    made.run.write(PROMPTS, made.prompts, settings={"prompt": "record"})
    assert "come out word for word from their own prompt" in reporting.report(made.run, made.config).verdict


def test_any_of_n_rates_stand_below_their_metric(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run")
    rows = [rate("verbatim", 9, 24, "tuned", "member"), rate("verbatim@4", 12, 24, "tuned", "member")]
    made.run.write("estimates.jsonl", rows, settings={})
    headline = reporting.report(made.run, made.config).headline
    assert [row.metric for row in headline] == ["verbatim", "verbatim@4"]
    assert headline[1].title.endswith("(any of 4 samples)")


# The page


def test_the_page_is_whole_and_loads_nothing(plain: tuple[str, Page]) -> None:
    html, page = plain
    assert {tag for tag, _ in page.tags} <= TAGS
    assert "http://" not in html
    assert "https://" not in html
    assert not re.search(r"url\(|@import", html)
    for tag, attrs in page.tags:
        assert tag not in ("link", "img", "iframe")
        assert "src" not in attrs
        assert not any(name.startswith("on") or name == "style" for name in attrs)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_the_page_allows_no_script_but_its_own(plain: tuple[str, Page]) -> None:
    html, page = plain
    policies = [attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert len(policies) == 1
    assert "default-src 'none'" in (policies[0] or "")
    assert "unsafe" not in (policies[0] or "")
    assert html.count("<script>") == 1


def test_the_page_holds_its_parts_in_order(plain: tuple[str, Page]) -> None:
    html, page = plain
    places = [html.index(f'id="{name}"') for name in ("verdict", "rates", "chart1", "records", "thresholds")
              if f'id="{name}"' in html]  # fmt: skip
    places += [html.index(f'id="{name}"') for name in ("estimates-all", "reading", "provenance")]
    assert places == sorted(places)
    assert "rote 0.1.0 · config cccccccc · data dddddddd" in page.text
    assert "5/24 · 9.2–40.5 %" in page.text
    assert "p < 0.001" in page.text
    assert "not measurable: shorter than 50 characters" in page.text
    assert "By repetition" in page.text
    assert "120 characters stand in 2 training texts (3 places): “" in page.text
    assert re.search(r"Training text at non-members’ prompts.*?Verbatim passage\s*12\.5 %1/8", page.text, re.DOTALL)


def test_marks_hold_exactly_their_spans(made: Made, plain: tuple[str, Page]) -> None:
    generations = {item.id: item for item in made.generations}
    examples = {item.id: item for item in made.examples}
    shown = [text for _, text in plain[1].marks]
    for match in made.matches:
        assert match.training.of(examples[match.example_id].text) in shown
        if match.kind != "paraphrase" or match.rank == 1:
            assert match.generated.of(generations[match.generation_id].text) in shown


def test_every_hostile_text_is_shown_and_none_obeyed(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run", members=[HOSTILE + text for text in MEMBERS[:12]], nonmembers=[HOSTILE])
    config = replace(made.config, reporting=ReportingConfig(title=HOSTILE[:120]))
    made.run.note(device=HOSTILE)
    html, page = page_of(replace(made, config=config))
    assert {tag for tag, _ in page.tags} <= TAGS
    assert html.count("<script") == 1
    assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]", html)
    assert '<script>alert("x")</script>' in page.text
    assert "⟨U+001B⟩[31mred" in page.text
    assert "⟨U+202E⟩right to left" in page.text
    assert "⟨U+0000⟩ nul ⟨U+D800⟩ lone" in page.text
    assert "{{ 7 * 7 }}" in page.text


def test_a_million_characters_are_cut_with_a_stated_count(tmp_path: Path) -> None:
    long = MEMBERS[0] + "x" * 1_000_000
    made = make_run(tmp_path / "run", members=[long], nonmembers=())
    html, page = page_of(made)
    assert len(html) < 100_000
    omitted = re.findall(r"… ([\d,]+) more characters …", page.text)
    assert any(int(count.replace(",", "")) > 990_000 for count in omitted)
    assert made.matches[0].training.of(long) in [text for _, text in page.marks]


def test_an_audit_in_which_nothing_comes_out_says_so(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run")
    made.run.write(MATCHES, [], settings={})
    made.run.write("scores.jsonl", [], settings={})
    _, page = page_of(made)
    assert "No member record has a counted match, and none is extractable." in page.text


def test_json_holds_the_same_and_reads_again(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run", members=[HOSTILE + text for text in MEMBERS[:6]])
    report = reporting.report(made.run, made.config)
    path = tmp_path / "report.json"
    reporting.write_json(report, path)
    again: dict[str, Json] = json.loads(path.read_text(encoding="utf-8"))
    assert again["verdict"] == report.verdict
    assert isinstance(again["cases"], list)
    assert len(again["cases"]) == len(report.cases)
    first = again["cases"][0]
    assert isinstance(first, dict)
    assert first["prompt"] == report.cases[0].prompt
    assert set(again) == set(type(report).__dataclass_fields__)


# Marks, figures, charts


@given(
    text=st.text(max_size=60),
    bounds=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=5),
)
@settings(max_examples=60)
def test_pieces_join_to_the_text_and_to_each_span(text: str, bounds: list[tuple[int, int]]) -> None:
    spans = [Span(min(pair), max(pair)) for pair in bounds]
    pieces = marks.cut(text, spans)
    assert "".join(piece.text for piece in pieces) == text
    for index, span in enumerate(spans):
        assert "".join(piece.text for piece in pieces if index in piece.marks) == span.of(text)


@given(text=st.text(max_size=400), limit=st.integers(1, 50))
@settings(max_examples=60)
def test_shortened_pieces_state_what_they_leave_out(text: str, limit: int) -> None:
    pieces = list(marks.shorten(marks.cut(text, []), context=limit, marked=limit))
    assert sum(len(piece.text) + piece.omitted for piece in pieces) == len(text)
    assert sum(len(piece.text) for piece in pieces) <= limit + 100


@given(st.text(st.characters(), max_size=50))
@settings(max_examples=100)
def test_visible_text_can_be_written_and_moves_nothing(text: str) -> None:
    shown = visible(text + "\ud83d\x1b\u202e")
    shown.encode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", shown)
    assert visible(shown) == shown


def test_ordinary_text_of_any_script_stays_as_it_is() -> None:
    text = "Grüße, “naïve” — 日本語 עברית العربية\n\ttab 👩‍⚕️ ﷺ �"
    assert visible(text) == text
    assert visible("a\r\nb\rc") == "a\nb⟨U+000D⟩c"


def test_one_line_states_what_it_leaves_out() -> None:
    assert marks.one_line(" a\n b ", 10) == "a b"
    assert marks.one_line("x" * 30, 10) == "x" * 10 + " … 20 more characters … "
    assert re.fullmatch(r"x{10} … [\d,]+ more characters … ", marks.one_line("x" * 1_000_000, 10))


def test_figures_read_as_the_house_writes_them() -> None:
    found = figures.figure(rate("verbatim", 31, 150, "tuned", "member"))
    assert (found.main, found.detail) == ("20.7 %", "31/150 · 15.0–27.8 %")
    mean = Estimate("loss", "tuned", "member", "all", 2.3149, 2.1, 2.52, 1500, 0, "bootstrap")
    assert figures.figure(mean).detail == "n = 1,500 · 2.10–2.52"
    assert figures.figure(mean).main == "2.31"
    null = replace(mean, value=None, low=None, high=None, reason="too few")
    assert figures.figure(null) == figures.Figure("not measurable", "too few", "not measurable")
    refused = replace(rate("verbatim", 3, 3, "tuned", "member"), value=None, low=None, high=None, reason="3 groups")
    assert figures.figure(refused).detail == "3 groups · 3/3"
    assert figures.figure(None).state == "absent"
    assert figures.chance(0.0001) == "p < 0.001"
    assert figures.chance(0.0312) == "p = 0.031"
    assert figures.number(0.0) == "0"
    assert figures.number(12345.6) == "12,346"


def test_charts_stay_inside_their_frame_and_say_what_they_show() -> None:
    items = tuple(rate("verbatim", events, 20, "tuned", "member") for events in (0, 7, 20))
    series = [plots.Series("full", 0, items), plots.Series("none", 1, (None, None, None))]
    for chart in (
        plots.levels_chart("By repetition", "copies", ["1", "2", "4"], series),
        plots.rows_chart("By kind", ["a", "b", "c"], series),
    ):
        assert chart is not None
        assert len(chart.dots) == 3
        assert [one.name for one in chart.legend] == ["full"]
        assert all(0 <= dot.x <= plots.WIDTH and 0 <= dot.y <= chart.height for dot in chart.dots)
        assert all(0 <= y <= chart.height for line in chart.lines for y in (line.y1, line.y2))
        assert "100.0 % (20/20 · 83.9–100.0 %)" in chart.description
    assert plots.levels_chart("Nothing", "copies", ["1"], [plots.Series("none", 0, (None,))]) is None


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=4))
@settings(max_examples=60)
def test_axes_reach_every_value(values: list[float]) -> None:
    items = [Estimate("loss", "tuned", "member", "all", v, v, v, 1, 0, "") for v in values]
    chart = plots.levels_chart("t", "a", [str(i) for i in range(len(items))], [plots.Series("s", 0, tuple(items))])
    assert chart is not None
    assert all(plots.TOP - 1 <= dot.y <= chart.height for dot in chart.dots)


def test_every_headline_metric_is_defined() -> None:
    assert all(names.definition_of(metric) for metric in names.HEADLINE)
    assert names.title_of("of_my_own") == "of_my_own"
    assert names.definition_of("of_my_own") == ""


def test_a_generation_of_an_unknown_shape_is_no_surprise(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run")
    empty = [replace(item, text="") for item in made.generations if item.example_id.startswith("n")]
    kept: list[Generation] = [item for item in made.generations if item.example_id.startswith("m")]
    made.run.write(GENERATIONS.format(model="tuned"), [*kept, *empty], settings={})
    page_of(made)


# How good the detector is


def test_the_detector_has_a_table_of_what_was_planted(made: Made, plain: tuple[str, Page]) -> None:
    html, page = plain
    assert html.index('id="thresholds"') < html.index('id="detector"') < html.index('id="estimates-all"')
    words = " ".join(page.text.split())
    assert "texts that have nothing to do with them (8 true continuations of members)" in words
    assert re.search(r"Verbatim ?100\.0 % ?8/8 · 67\.6–100\.0 %", words)
    assert re.search(r"Condensed to a fifth ?87\.5 % ?7/8 · 52\.9–97\.8 %", words)
    assert re.search(r"Expanded fivefold ?not measurable ?no record has a passage that can be planted so", words)
    assert re.search(r"Nothing; other training texts ?100\.0 % ?8/8 · 67\.6–100\.0 % ?0\.0 % ?0/8", words)
    rows = {row.condition: row for row in reporting.report(made.run, made.config).detector}
    assert rows["condensed"].kinds == (0, 0, 0, 7, 1, 0)
    assert rows["condensed"].right_kinds == (0, 0, 0, 7, 0, 0)


def test_a_run_in_which_nothing_was_planted_says_so(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run")
    made.run.discard("detector.jsonl")
    report = reporting.report(made.run, made.config)
    assert (report.detector, report.hosts) == ((), "")
    assert "No passages were planted in this run" in page_of(made)[1].text


def test_the_own_record_stands_first_and_other_records_are_folded(made: Made, plain: tuple[str, Page]) -> None:
    html, _ = plain
    report = reporting.report(made.run, made.config)
    assert all(case.texts[0].own and not any(text.own for text in case.texts[1:]) for case in report.cases)
    assert html.count('<details class="others"') == sum(len(case.texts) > 1 for case in report.cases)
    assert html.index('href="#records"') < html.index('<section id="verdict"')
