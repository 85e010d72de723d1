"""Comparison of runs: tables and charts by repetition, warnings where runs are not comparable, relative links."""

import re
from pathlib import Path

import pytest
from test_reporting import TAGS, Page

from report_data import make_run
from rote.errors import RunError
from rote.records import Difference, Example, RenderingLoss
from rote.reporting import comparison
from rote.reporting.comparison import ComparisonGroup, ComparisonRun
from rote.reporting.terminal import show
from rote.runs import EXAMPLES, RENDERINGS, Run


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    for name, strength in (("full", 1.0), ("lora", 0.3), ("head", 0.0)):
        make_run(folder / name, strength=strength)
    (folder / "full" / "report.html").write_text("the report of full")
    return [folder / "full", folder / "lora", folder / "head"]


def test_compare_writes_a_page_and_prints_its_tables(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep" / "comparison.html"
    assert comparison.compare(runs, out) == 0
    html = out.read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    assert {tag for tag, _ in page.tags} <= TAGS
    assert "http://" not in html
    assert "https://" not in html
    links = [attrs["href"] or "" for tag, attrs in page.tags if tag == "a"]
    assert len(links) == 1
    assert (out.parent / links[0]).read_text() == "the report of full"
    assert "8/24 · 18.0–53.3 %" in page.text
    assert "not comparable" not in page.text.lower()
    printed = capsys.readouterr().out
    assert re.search(r"Verbatim passage +full +lora +head", printed)
    assert re.search(r"Members \(any text\) +33\.3 % +12\.5 % +0\.0 %", printed)
    assert re.search(r"Non-members \(own text\) +0\.0 % +0\.0 % +0\.0 %", printed)
    assert len(re.findall(r"Training text at non-members’ prompts +12\.5 % +0\.0 % +0\.0 %", printed)) == 1
    assert len(re.findall(r"Training text at non-members’ prompts\s+\d", page.text)) == 2
    assert re.search(r"Verbatim passage +1 +4 +16", printed)
    assert re.search(r"Loss on the true +full +lora +head|Loss on the true continuation +full", printed)
    assert max(map(len, printed.splitlines())) <= 80


def test_whether_the_rendering_fits_is_said_of_each_run_and_of_one_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [tmp_path / "right", tmp_path / "doubtful", tmp_path / "untried"]
    for folder, low in zip(folders, (1.8, -0.3, None), strict=True):
        make_run(folder, strength=1.0)
        if low is not None:
            learned = Difference(low + 0.2, low, low + 0.4)
            loss = RenderingLoss("as audited", "", 12, 1.0, 1.2 + low, 9.0, learned, None, None)
            Run(folder).write(RENDERINGS, [loss], settings={})
    comparison.compare(folders, tmp_path / "comparison.html")
    said = " ".join(capsys.readouterr().out.split())
    assert "right: Rendering: nothing speaks against it (loss on members' completions 1.00 nats" in said
    assert "doubtful: Rendering: in doubt, nothing shows that the model was trained on these records" in said
    assert "untried: Rendering" not in said
    assert "Rendering: in doubt" in Page((tmp_path / "comparison.html").read_text(encoding="utf-8")).text
    for id_ in (None, Run(folders[1]).read(EXAMPLES, Example)[0].id):
        show(Run(folders[1], must_exist=True), id_)
        assert "Rendering: in doubt" in " ".join(capsys.readouterr().out.split())


def test_there_is_one_chart_for_each_repeated_metric_with_a_line_for_each_run(runs: list[Path], tmp_path: Path) -> None:
    comparison.compare(runs, tmp_path / "c.html")
    page = Page((tmp_path / "c.html").read_text(encoding="utf-8"))
    images = [attrs for tag, attrs in page.tags if tag == "svg" and attrs.get("role") == "img"]
    assert len(images) == 3
    assert re.search(r"full, copies of the record 16: [\d.]+ % \(\d/8 · ", page.text)
    paths = [attrs["class"] for tag, attrs in page.tags if tag == "line" and (attrs["class"] or "").startswith("path")]
    assert set(paths) == {"path s0", "path s2", "path s3"}


def test_groups_have_their_own_tables_and_notes(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tuple(ComparisonRun(run, f"{run.name} <b>") for run in runs[:2])
    second = tuple(ComparisonRun(run, run.name) for run in runs[1:])
    groups = [
        ComparisonGroup(title="At equal epochs", note="Seen equally often.", runs=first),
        ComparisonGroup(title="At equal loss", note="[bold]Fairer[/]", runs=second),
    ]
    comparison.write_comparison("The demonstration", groups, tmp_path / "c.html")
    page = Page((tmp_path / "c.html").read_text(encoding="utf-8"))
    assert page.text.index("At equal epochs") < page.text.index("Seen equally often.")
    assert "full <b>" in page.text
    printed = capsys.readouterr().out
    assert re.search(r"The demonstration\s+At equal epochs\s+Seen equally often\.", printed)
    assert "[bold]Fairer[/]" in printed


def test_runs_that_are_not_comparable_are_warned_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_run(tmp_path / "a" / "run")
    other = make_run(tmp_path / "b" / "run", prefix_tokens=30, data_hash="e" * 64).run
    config = (tmp_path / "b" / "run" / "config.toml").read_text(encoding="utf-8")
    other.save_settings(config.replace("limit = 0", "limit = 9"))
    comparison.compare([tmp_path / "a" / "run", tmp_path / "b" / "run"], tmp_path / "c.html")
    page = Page((tmp_path / "c.html").read_text(encoding="utf-8"))
    said = " ".join(page.text.split())
    assert re.search(r"Not comparable: the data \(data_hash\) differs \(.*a/run: dddddddd, .*b/run: eeeeeeee\)", said)
    assert re.search(r"Not comparable: generation\.prefix_tokens differs \(.*: 50, .*: 30\)", said)
    assert re.search(r"Not comparable: corpus\.limit differs \(.*: 0, .*: 9\)", said)
    assert "max_new_tokens" not in said
    assert "Not comparable: generation.prefix_tokens" in " ".join(capsys.readouterr().out.split())


def test_runs_without_repetition_or_controls_compare_too(tmp_path: Path) -> None:
    make_run(tmp_path / "a", base=False, nonmembers=(), copies=(1,))
    comparison.compare([tmp_path / "a"], tmp_path / "c.html")
    page = Page((tmp_path / "c.html").read_text(encoding="utf-8"))
    assert "Base model" not in page.text.split("How to read this")[0]
    assert not any(tag == "svg" for tag, _ in page.tags)


def test_a_folder_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere: not a run folder"):
        comparison.compare([tmp_path / "nowhere"], tmp_path / "c.html")
    with pytest.raises(RunError, match=r"'Empty' has no runs"):
        comparison.write_comparison("t", [ComparisonGroup(title="Empty", note="", runs=())], tmp_path / "c.html")
