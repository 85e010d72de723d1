"""The terminal view: readable at 80 columns without colour, found by the start of an id, safe with hostile text."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from test_reporting import HOSTILE

from report_data import MEMBERS, Made, make_run
from rote.errors import RoteError, RunError
from rote.reporting import terminal
from rote.reporting.artifacts import read_artifacts
from rote.runs import Run


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_run(tmp_path_factory.mktemp("runs") / "plain")


def shown(made: Made, id: str | None, capsys: pytest.CaptureFixture[str]) -> str:
    assert terminal.show(made.run, id) == 0
    return capsys.readouterr().out


def test_the_overview_has_verdict_table_and_worst_ids(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(made, None, capsys)
    assert re.search(r"Of 24 member records, 5 \(20\.8 %, 95 % interval 9\.2–40\.5 %\)", out.replace("\n", " "))
    assert re.search(r"Metric +\(any text\) +Only tuned +\(any text\) +\(own text\) +\(own text\)", out)
    assert re.search(r"Verbatim passage +33\.3 % +– +0\.0 % +– +0\.0 %", out)
    assert re.search(r"Training text at non-members’ prompts +Tuned model +Base model", out)
    assert re.search(r"Verbatim passage +12\.5 % +0\.0 %", out)
    assert re.search(r"m000e5f0 +verbatim +120 chars +1 +no +Record 0: the heron cros", out)
    assert "rote 0.1.0 · config cccccccc" in out
    assert max(len(line) for line in out.splitlines() if "rote show" not in line) <= 80


def test_missing_controls_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = shown(make_run(tmp_path / "bare", base=False, nonmembers=()), None, capsys)
    assert re.search(r"! No base model was run", out)
    assert re.search(r"! No non-members were given", out)


def test_one_record_is_shown_with_its_passages_in_brackets(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    out = " ".join(shown(made, "m000", capsys).split())
    match = made.matches[0]
    text = match.generated.of(made.generations[0].text)
    assert out.count(f"⟦1 {' '.join(text.split())}⟧") == 2
    assert "Training text: own record m000e5f0, candidate 1 of 5" in out
    assert "Training text: another record m004e5f0" in out
    assert "1 verbatim, 120 characters, similarity 1.00" in out
    assert "120 characters stand in 2 training texts (3 places), first m000e5f0: " in out
    assert "Extractable word for word: no" in out
    assert "ROUGE-L: 0.420" in out
    assert "Edit similarity: not measurable: reference shorter than 50 characters" in out
    assert "m000e5f0-50-base-s0 (base, member)" in out


def test_wide_terminals_show_both_sides_beside_each_other(
    made: Made, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    assert re.search(r"Generation +Training text: own record", shown(made, "m000", capsys))


def test_ids_of_generations_and_prompts_name_just_those(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    assert "(base, member)" not in shown(made, "m001e5f0-50-tuned-s0", capsys)
    assert "(tuned, member)" not in shown(made, "m001e5f0-50-b", capsys)
    both = shown(made, "m001e5f0-50", capsys)
    assert both.index("(tuned, member)") < both.index("(base, member)")


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("m0", r"'m0' is the start of an id of 24 examples: m000e5f0 \(“Record 0: .*”\), m001e5f0 .* …"),
        ("m000e5f1", r"no example, prompt or generation has the id 'm000e5f1' \(near: .*m000e5f0"),
        ("§", r"\(near: none is like it\)"),
    ],
)
def test_ambiguous_and_unknown_ids_name_near_ones(made: Made, id: str, message: str) -> None:
    with pytest.raises(RoteError, match=message):
        terminal.show(made.run, id)


def test_the_start_of_an_examples_own_id_comes_before_that_of_a_prompts(made: Made) -> None:
    artifacts = read_artifacts(made.run)
    prompts = {id: replace(prompt, id="m000" + id) for id, prompt in artifacts.prompts.items()}
    artifacts = replace(artifacts, prompts={prompt.id: prompt for prompt in prompts.values()})
    assert {item.example_id for item in terminal.generations_of("m000", artifacts)} == {"m000e5f0"}


def test_a_folder_without_estimates_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"estimates\.jsonl does not exist"):
        terminal.show(Run(tmp_path), None)


def test_hostile_text_is_printed_safely(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = ["[bold red]markup[/] [link=x]y[/link] :smile: " + HOSTILE + text for text in MEMBERS[:3]]
    texts.append(MEMBERS[3] + "x" * 1_000_000)
    made = make_run(tmp_path / "run", members=texts)
    out = shown(made, None, capsys) + shown(made, "m000", capsys) + shown(made, "m003", capsys)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff]", out)
    assert "[bold red]markup[/] [link=x]y[/link] :smile:" in out
    assert "⟨U+001B⟩" in out
    assert len(out) < 60_000
    assert re.search(r"… [\d,]+ more\s+characters …", out)


def test_the_overview_says_in_one_line_how_good_the_detector_is(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = "Detector, right kind of planted passages: verbatim 8/8, condensed to a fifth 7/8, false alarms 0/8."
    assert line in " ".join(shown(made, None, capsys).split())
    few = make_run(tmp_path / "few", members=MEMBERS[:3])
    said = " ".join(shown(few, None, capsys).split())
    assert "Detector: not measurable; only 3 independent records; at least 5 are needed." in said
