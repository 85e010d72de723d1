"""The sections of similarity, personal data and utility: in the report, in the terminal, and in the comparison of runs."""

import json
import re
from pathlib import Path

import pytest
from test_reporting import TAGS

from report_data import Made, Page, make_run, rate
from rote import reporting, runs
from rote.records import Estimate, Score, Split
from rote.reporting import comparison, figures
from rote.reporting.artifacts import read_artifacts
from rote.reporting.contents import report_of
from rote.reporting.plots import Chart
from rote.reporting.sections import Distribution, FigureSection, section_chart
from rote.reporting.terminal import show
from rote.scoring.excess import STRATUM


def mean(metric: str, value: float, model: str, split: Split, stratum: str = "all") -> Estimate:
    return Estimate(metric, model, split, stratum, value, value - 0.05, value + 0.05, 20, 0, "bootstrap")


WRITTEN = (
    mean("similarity_own", 0.61, "tuned", "member"),
    mean("similarity_own", 0.21, "base", "member"),
    mean("similarity_own", 0.22, "tuned", "non-member"),
    mean("similarity_own", 0.39, "tuned", "member", STRATUM),
    rate("similar_own_80", 9, 20, "tuned", "member"),
    rate("pii_leaked", 4, 20, "tuned", "member"),
    rate("pii_leaked", 1, 8, "tuned", "non-member"),
    rate("pii_leak_rate", 5, 17, "tuned", "member"),
    rate("pii_leak_rate", 2, 6, "tuned", "member", "pii=EMAIL"),
    rate("pii_recall", 2, 6, "tuned", "member", "pii=EMAIL"),
    mean("utility_rouge_l", 0.44, "tuned", "non-member"),
    mean("utility_rouge_l", 0.12, "base", "non-member"),
    mean("perplexity", 7.5, "tuned", "non-member"),
)


def made_run(folder: Path, *extra: Estimate) -> Made:
    made = make_run(folder)
    estimates = [*made.run.read(runs.ESTIMATES, Estimate), *(extra or WRITTEN)]
    made.run.write(runs.ESTIMATES, estimates, settings={})
    scores = [Score(g.id, "similarity_own", min(1.0, n / 20)) for n, g in enumerate(made.generations)]
    made.run.write(runs.SIMILARITIES, scores, settings={})
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made_run(tmp_path_factory.mktemp("runs") / "written")


@pytest.fixture(scope="module")
def page(made: Made) -> Page:
    report = report_of(read_artifacts(made.run), made.run, made.config)
    path = made.run.path("report.html")
    reporting.write_page(report, path)
    found = Page(path.read_text(encoding="utf-8"))
    assert found.open == []
    assert {tag for tag, _ in found.tags} <= TAGS
    return found


def section(page: Page, start: str, end: str) -> str:
    return re.sub(r"\s+", " ", page.text.split(f"\n{start}\n")[1].split(f"\n{end}\n")[0])


def test_the_page_has_a_section_for_each_with_its_controls(page: Page) -> None:
    ids = [attrs["id"] for tag, attrs in page.tags if tag == "section"]
    assert [name for name in ids if name in ("similarity", "personal-data", "utility")] == [
        "similarity",
        "personal-data",
        "utility",
    ]
    links = {attrs.get("href") for tag, attrs in page.tags if tag == "a"}
    assert {"#similarity", "#personal-data", "#utility"} <= links
    similar = section(page, "Similarity (lexical: TF-IDF)", "Personal data")
    assert "Members − non-members" in similar
    assert "0.610n = 20 · 0.560–0.660" in similar
    assert "0.390n = 20 · 0.340–0.440" in similar
    assert "it sees shared words" in similar
    assert "over 0.8:" in similar  # the picture in words
    personal = section(page, "Personal data", "Utility")
    assert "Mail addresses: leak rate" in personal
    assert "29.4 %5/17" in personal
    assert "Missed are some names" in personal
    assert "shown as placeholders" in personal
    useful = section(page, "Utility", "Thresholds, and who stands next to them")
    assert "ROUGE-L of the answer" in useful
    assert "taken for texts (by their number and length)" in useful
    assert "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp" in useful


def test_a_run_without_them_has_no_such_section(tmp_path: Path) -> None:
    made = make_run(tmp_path / "plain", nonmembers=())
    report = report_of(read_artifacts(made.run), made.run, made.config)
    assert (report.similarity, report.personal_data) == (None, None)
    assert report.utility is not None  # of its losses
    assert "There are no non-members" in report.utility.notes[0]


def test_what_prefix_prompts_cannot_say_is_said_once(tmp_path: Path) -> None:
    reason = "prefix prompts ask for no answer (8 of 8)"
    missing = Estimate("utility_rouge_l", "tuned", "non-member", "all", None, None, None, 0, 8, "", None, reason)
    made = made_run(tmp_path / "prefix", missing)
    report = report_of(read_artifacts(made.run), made.run, made.config)
    assert report.utility is not None
    assert [row.in_brief for row in report.utility.rows if row.title.startswith("ROUGE-L")] == [False]
    assert "An audit with --prompt record asks for answers" in report.utility.notes[0]


def test_the_terminal_prints_the_rows_that_matter(
    made: Made, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    show(made.run, None)
    printed = capsys.readouterr().out
    assert re.search(r"Similarity to its own suffix +0\.610", printed)
    assert re.search(r"Personal data leaked +20\.0 %", printed)
    assert "Mail addresses" not in printed
    assert re.search(r"Utility +Non-members", printed)


def test_the_json_has_them_too(made: Made) -> None:
    path = made.run.path("report.json")
    reporting.write_json(report_of(read_artifacts(made.run), made.run, made.config), path)
    found = json.loads(path.read_text())
    assert found["similarity"]["columns"][3] == "Members − non-members"
    assert len(found["similarity"]["distributions"][0]["values"]) == 24
    assert found["utility"]["rows"][0]["estimates"]
    assert found["personal_data"]["rows"][0]["title"] == "Personal data leaked"


def test_runs_are_compared_in_leakage_and_utility(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = made_run(tmp_path / "other", mean("similarity_own", 0.3, "tuned", "member"))
    comparison.compare([made.run.folder, other.run.folder], tmp_path / "c.html")
    capsys.readouterr()
    page = Page((tmp_path / "c.html").read_text())
    assert page.open == []
    text = re.sub(r"\s+", " ", page.text)
    assert re.search(r"Similarity to its own suffix ?Members ?0\.610n = 20 · 0\.560–0\.660 0\.300n = 20", text)
    assert "Utility, on records that the models have not seen" in text
    assert re.search(r"ROUGE-L of the answer ?Non-members ?0\.440.*Base model, non-members ?0\.120", text)
    leaked = text.split("Personal data leaked")[1].split("Personal data: leak rate")[0]
    assert "Training text at non-members’ prompts" in leaked
    assert "Non-members" not in leaked


def test_intervals_that_begin_below_zero_have_no_dash() -> None:
    found = Estimate("similar_own_80", "tuned", "member", STRATUM, 0.1, -0.083, 0.379, 20, 0, "")
    assert figures.interval(found) == "-8.3 to 37.9 %"
    assert figures.interval(mean("similarity_own", 0.01, "tuned", "member", STRATUM)) == "-0.0400 to 0.0600"


# The picture of the distributions


def chart_of(*distributions: Distribution) -> Chart | None:
    return section_chart(FigureSection("", "", (), (), (), distributions), "Similarity", [0.7, 0.9])


def test_the_picture_shows_the_share_over_each_value() -> None:
    chart = chart_of(Distribution("Members", 0, (0.2, 0.75, 0.95, 1.0)), Distribution("Base model", 1, (0.1, 0.1)))
    assert chart is not None
    assert [dot.title for dot in chart.dots] == [
        "Members, over 0.7: 75.0 %",
        "Members, over 0.9: 50.0 %",
        "Base model, over 0.7: 0.0 %",
        "Base model, over 0.9: 0.0 %",
    ]
    assert [one.name for one in chart.legend] == ["Members", "Base model"]
    heights = [line.y1 for line in chart.lines if line.style == "path s0"]
    assert heights == sorted(heights)  # a share over a value falls with the value
    assert len([line for line in chart.lines if line.style == "path s1"]) < 8  # flat stretches are one line


def test_there_is_no_picture_of_nothing() -> None:
    assert chart_of() is None
    assert chart_of(Distribution("Members", 0, ())) is None
