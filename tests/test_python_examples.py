"""Every example of docs/python.md runs as it stands there, and prints what stands below it."""

import re
from pathlib import Path

import pytest

import rote

PAGE = Path(__file__).parent.parent / "docs" / "python.md"
BLOCK = re.compile(
    r"^## (?P<title>[^\n]+)$|^```python\n(?P<code>.*?)^```\n(?:\n```text\n(?P<output>.*?)^```)?", re.M | re.S
)


def examples() -> dict[str, tuple[str, str | None]]:
    """Section → code and printed text, in the order of the page."""
    found, title = dict[str, tuple[str, str | None]](), ""
    for block in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        if block["title"]:
            title = block["title"]
        else:
            assert title not in found
            found[title] = block["code"], block["output"]
    return found


EXAMPLES = examples()
ALONE = [title for title, (_, output) in EXAMPLES.items() if output is not None]
OF_RUNS = [title for title in EXAMPLES if title not in ALONE]


def test_there_are_five_examples() -> None:
    assert (len(OF_RUNS), len(ALONE)) == (3, 2)


@pytest.mark.parametrize("title", ALONE)
def test_an_example_prints_what_the_page_says(title: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, output = EXAMPLES[title]
    exec(compile(code, title, "exec"), {"__name__": "example"})
    assert capsys.readouterr().out == output


@pytest.mark.slow
def test_the_examples_with_models_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "example"}
    said = []
    for title in OF_RUNS:
        exec(compile(EXAMPLES[title][0], title, "exec"), names)
        said.append(capsys.readouterr().out)
    assert re.match(r"Of 12 member records, \d+ \(\d", said[0])
    assert re.search(r"^\w{16} verbatim \d+$", said[2], re.M)
    assert "Training text: own record" in said[2]
    assert said[2].endswith("report.html\n")
    run = rote.Run("runs/first")
    assert len(run.cases("verbatim")) >= 6, "the model has learned its records by heart"
