"""Extraction and membership in the report: what stands on the page, in the terminal, in the JSON and in comparisons."""

import doctest
import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from report_data import TAGS, Page, make_run, rate
from rote import runs
from rote.config import AuditConfig, ScoringConfig
from rote.records import Curve, Estimate, Separation
from rote.reporting import comparison, extraction, report, terminal, write_json, write_page
from rote.reporting.extraction import draws_chart, extraction_section
from rote.reporting.figures import number, separation_figure
from rote.reporting.membership import membership_section, roc_chart, unfair_split
from rote.reporting.names import title_of
from rote.runs import Run

REFUSED = "only 120 independent non-members; a false-positive rate of 0.1 % needs at least 1,000"


def separation(metric: str, statistic: str, value: float | None, **others: object) -> Separation:
    ends = (None, None) if value is None or statistic.startswith("p_") else (value - 0.05, value + 0.05)
    reason = REFUSED if value is None else None
    plain = Separation(metric, "tuned", statistic, "all", value, *ends, 110, 120, "DeLong", reason)
    return replace(plain, **others)  # type: ignore[arg-type]


def separations(*, blind: float = 0.5) -> list[Separation]:
    found = []
    for metric, area in (("text_loss", 0.91), ("reference_ratio", 0.94)):
        found += [
            separation(metric, "auc", area),
            separation(metric, "tpr@0.1", 0.8),
            separation(metric, "tpr@0.01", 0.41),
            separation(metric, "fpr@0.01", 1 / 120, high=0.045),
            separation(metric, "tpr@0.001", None),
            separation(metric, "p_value", 0.0001),
            separation(metric, "p_value_holm", 0.0002),
            separation(metric, "identified@0.1", 0.3, low=None, high=None),
            separation(metric, "auc", 0.97, stratum="copies=16"),
        ]
    found.append(separation("text_loss", "auc", 0.52, model="base"))
    found.append(separation("text_loss", "auc_over_base", 0.39))
    found.append(separation("blind_baseline", "auc", blind, model="blind"))
    found.append(separation("blind_baseline", "p_value", 0.4, model="blind"))
    found.append(separation("dataset_inference", "p_value", 1e-9))
    found.append(separation("dataset_inference", "p_value", 0.3, model="base"))
    return found


CURVES = [
    Curve("text_loss", "tuned", (0.0, 0.0, 0.01, 0.1, 1.0), (0.0, 0.2, 0.41, 0.8, 1.0)),
    Curve("blind_baseline", "blind", (0.0, 0.5, 1.0), (0.0, 0.45, 1.0)),
    Curve("wbc", "tuned", (0.0, 1.0), (0.0, 1.0)),
]


def extracted() -> list[Estimate]:
    found = []
    for model, split, share in (("tuned", "member", 0.5), ("base", "member", 0.0), ("tuned", "non-member", 0.0)):
        found.append(Estimate("extraction_strength", model, split, "all", share, share, share + 0.1, 24, 0, ""))  # type: ignore[arg-type]
        found.append(Estimate("extraction_chance@t1-k40-p1", model, split, "all", 1e-9, 0.0, 1e-3, 24, 0, ""))  # type: ignore[arg-type]
        for n in ScoringConfig().draws:
            for p in ScoringConfig().chances:
                events = min(24, round(share * 4 * len(str(n)) * (1.2 - p)))
                found.append(rate(f"discoverable@t1-k40-p1,n={n},p={p:g}", events, 24, model, split))  # type: ignore[arg-type]
    found.append(Estimate("draws_needed@t1-k40-p1,p=0.5", "tuned", "member", "all", 3.2e11, 210.0, None, 24, 0, ""))
    found.append(rate("greedy_agreement", 23, 24, "tuned", "member"))
    found.append(rate("greedy_agreement", 24, 24, "base", "member"))
    return found


def run_with(folder: Path, *, blind: float = 0.5, found: Sequence[Separation] = ()) -> Run:
    run = make_run(folder).run
    estimates = [*run.read(runs.ESTIMATES, Estimate), *extracted()]
    for name, records in (
        (runs.ESTIMATES, estimates),
        (runs.SEPARATIONS, list(found) or separations(blind=blind)),
        (runs.CURVES, CURVES),
    ):
        run.write(name, records, settings={})  # type: ignore[arg-type]
    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_with(tmp_path_factory.mktemp("runs") / "one")


def page_of(run: Run, folder: Path) -> Page:
    write_page(report(run, AuditConfig()), folder / "page.html")
    html = (folder / "page.html").read_text(encoding="utf-8")
    page = Page(html)
    assert page.open == []
    assert {tag for tag, _ in page.tags} <= TAGS
    return page


def words(page: Page) -> str:
    return re.sub(r"\s+", " ", page.text)


def test_the_page_shows_scores_beside_their_controls(made: Run, tmp_path: Path) -> None:
    text = words(page_of(made, tmp_path))
    row = "Loss 80.0 %75.0–85.0 % 41.0 %36.0–46.0 % 0.9100.860–0.960 p < 0.001 0.5200.470–0.570 0.3900.340–0.440 30.0 %"
    assert row.replace(" ", "") in text.replace(" ", "")
    assert text.count("TPR at 0.1 % FPR") == 1, "in the note alone: no score could be measured there"
    assert f"at 0.1 % FPR is not measurable: {REFUSED}." in text
    assert (
        "1 of the 120 non-members at hand exceed the threshold that is set for 1 % FPR; of non-members in general it may be up to 4.5 %"
        in text
    )
    assert "(dataset inference): p < 0.001 (base model p = 0.300)" in text
    assert "an AUC of 0.500 (0.450–0.550): it finds no difference between the texts" in text
    assert "copies=16" in text


def test_a_rate_whose_threshold_is_taken_as_given_says_so_in_its_column(tmp_path: Path, capsys, monkeypatch) -> None:
    found = [replace(one, statistic=one.statistic.replace("tpr@0.01", "passed@0.01")) for one in separations()]
    run = run_with(tmp_path / "run", found=[*found, separation("text_loss", "tpr@0.01", None)])
    text = words(page_of(run, tmp_path))
    title = "Over the threshold that 1 % of the non-members at hand exceed (threshold taken as given)"
    assert "TPR at 10 % FPR" in text
    assert title in text
    assert "The TPR at 1 % FPR is not measurable" in text
    assert "TPR at 1 % FPR 41" not in text
    monkeypatch.setenv("COLUMNS", "140")
    comparison.compare([run.folder], tmp_path / "c.html")
    assert title in words(Page((tmp_path / "c.html").read_text(encoding="utf-8")))


def test_membership_stands_before_the_records(made: Run, tmp_path: Path) -> None:
    page_of(made, tmp_path)
    html = next(tmp_path.rglob("*.html")).read_text(encoding="utf-8")
    parts = ("verdict", "rates", "extraction", "membership", "records", "thresholds")
    places = [html.index(f'<section id="{name}"') for name in parts if f'<section id="{name}"' in html]
    assert len(places) >= 5
    assert places == sorted(places)
    assert "distinguishes members from non-members" in html[: places[1]]


def test_an_unfair_split_is_no_footnote(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", blind=0.71)
    found = report(run, AuditConfig())
    assert any(caveat.startswith("The split is not fair: a classifier of words and length") for caveat in found.caveats)
    assert "0.710 (0.660–0.760)" in words(page_of(run, tmp_path))
    assert unfair_split(separations(blind=0.54)) == ""
    assert unfair_split([]) == ""


def test_the_page_shows_what_sampling_brings_out(made: Run, tmp_path: Path) -> None:
    page = page_of(made, tmp_path)
    text = words(page)
    assert "say the same of 47 of 48 prompts (97.9 %; tuned and base)" in text
    assert "Decoding: top-k 40 t1-k40-p1" in text
    assert "n = 100,000" in text
    assert "3.20e+11n = 24 · 210–∞" in text.replace("> ", ">")
    titles = [attrs["aria-labelledby"] for tag, attrs in page.tags if tag == "svg" and attrs.get("role") == "img"]
    assert "roc-title roc-description" in titles
    assert "draws-chart-1-title draws-chart-1-description" in titles


def test_curves_are_drawn_on_logarithmic_scales(made: Run) -> None:
    section = membership_section(made, AuditConfig())
    assert section is not None
    chart = roc_chart(section)
    assert chart is not None
    assert [one.name for one in chart.legend] == ["Loss", "Blind baseline"], "of the drawn scores those that are there"
    left, right, bottom, top = 58, 466, 380, 14
    for line in chart.lines:
        for x, y in ((line.x1, line.y1), (line.x2, line.y2)):
            assert left <= round(x, 6) <= right
            assert top <= round(y, 6) <= bottom
    middle = next(dot for dot in chart.dots if "41.0 % of the members at 1 % FPR" in dot.title)
    assert middle.x == pytest.approx(left + (right - left) / 3), "1 % lies a third of the way from 0.1 to 100 %"
    given = roc_chart(replace(section, rates=("tpr@0.1", "passed@0.01")))
    assert given is not None
    as_given = "of the members over the threshold that 1 % of the non-members at hand exceed (threshold taken as given)"
    assert any(as_given in dot.title for dot in given.dots), "as the column calls it"
    assert not any("at 1 % FPR" in dot.title for dot in given.dots)
    assert roc_chart(replace(section, curves=())) is None


def test_the_terminal_prints_the_attacks(made: Run, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    terminal.show(made, None)
    printed = capsys.readouterr().out
    assert re.search(r"Loss +80\.0 % +41\.0 % +0\.910 +p < 0\.001 +0\.520", printed)
    assert "The pass and greedy generation say the same of 47 of 48 prompts" in printed


def test_the_json_holds_every_separation(made: Run, tmp_path: Path) -> None:
    write_json(report(made, AuditConfig()), tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert len(found["membership"]["separations"]) == len(separations())
    assert found["extraction"]["schemes"][0]["scheme"] == "t1-k40-p1"


def test_without_non_members_or_passes_there_are_no_such_parts(tmp_path: Path) -> None:
    made = make_run(tmp_path / "run", nonmembers=())
    text = words(page_of(made.run, tmp_path))
    assert "told from non-members" not in text
    assert extraction_section([], AuditConfig()) is None
    assert extraction_section([rate("verbatim", 1, 9, "tuned", "member")], AuditConfig()) is None


def test_decodings_that_are_not_greedy_are_not_compared_and_it_says_so() -> None:
    estimates = [item for item in extracted() if item.metric != "greedy_agreement"]
    section = extraction_section(estimates, AuditConfig())
    assert section is not None
    assert section.notes[0].startswith("The pass was not compared with generation")
    none = AuditConfig(scoring=ScoringConfig(draws=(), chances=()))
    section = extraction_section(estimates, none)
    assert section is not None
    assert draws_chart(section.schemes[0]) is None


def test_runs_are_compared_by_score(made: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    make_run(tmp_path / "plain")
    comparison.compare([made.folder, tmp_path / "plain"], tmp_path / "c.html")
    page = Page((tmp_path / "c.html").read_text(encoding="utf-8"))
    assert page.open == []
    text = words(page)
    assert "Membership: how well scores tell members from non-members" in text
    assert re.search(r"AUC ?Loss ?0\.9100\.860–0\.960 ?–", text)
    assert "TPR at 1 % FPR" in text
    assert "Extraction strength" in text
    assert "n=100000,p=0.5" in text
    assert re.search(r"TPR at 10 % FPR +one +plain", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("item", "main", "detail"),
    [
        (separation("wbc", "auc", 0.5), "0.500", "0.450–0.550"),
        (separation("wbc", "tpr@0.1", 0.5), "50.0 %", "45.0–55.0 %"),
        (separation("wbc", "p_value", 0.5), "p = 0.500", ""),
        (separation("wbc", "auc_over_base", -0.2), "−0.200", "−0.250–−0.150"),
        (separation("wbc", "auc", None), "not measurable", REFUSED),
        (None, "–", ""),
    ],
)
def test_cells_of_separations(item: Separation | None, main: str, detail: str) -> None:
    found = separation_figure(item)
    assert (found.main, found.detail) == (main, detail)


def test_names_and_numbers_with_settings() -> None:
    assert title_of("verbatim@8") == "Verbatim passage (any of 8 samples)"
    assert title_of("drawable@t1-k0-p1") == "Can be drawn at all (t1-k0-p1)"
    assert [number(value) for value in (999_999_999, 1e9, 3.2e-12)] == ["999,999,999", "1.00e+09", "3.20e-12"]
    assert doctest.testmod(extraction).failed == 0
