"""Commands in processes of their own: what they say is told, what fails is an error with their last words."""

from pathlib import Path

import pytest

from rote.commands import Commands
from rote.errors import RoteError


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def do(said: list[str]) -> Commands:
    return Commands(said.append, said.append)


def test_a_command_leaves_its_work_and_what_it_runs_is_told(do: Commands, said: list[str], tmp_path: Path) -> None:
    do.rote("theory", "--features", 6, "--out", tmp_path / "a folder")
    assert (tmp_path / "a folder").is_dir()
    assert said[0] == f"$ rote theory --features 6 --out '{tmp_path}/a folder'"


def test_every_line_of_a_command_advances_the_bar_and_the_last_ones_tell_why_it_failed(
    do: Commands, said: list[str], tmp_path: Path
) -> None:
    with pytest.raises(RoteError, match=r"(?s)`rote audit --out .*` failed:.*no model: give the fine-tuned model"):
        do.rote("audit", "--out", tmp_path / "run")
    assert any(line.startswith("audit: rote: no model") for line in said)


def test_a_word_that_no_command_takes_is_told(do: Commands) -> None:
    with pytest.raises(RoteError, match=r"(?s)`rote audit --modle x` failed:.*did you mean '--model'"):
        do.rote("audit", "--modle", "x")


def test_commands_share_no_state_with_each_other_or_with_the_caller(do: Commands, tmp_path: Path) -> None:
    before = Path.cwd()
    for name in ("one", "two"):
        do.rote("theory", "--features", 6, "--out", tmp_path / name)
    assert Path.cwd() == before
    first, second = ((tmp_path / name / "theory.html").read_bytes() for name in ("one", "two"))
    assert first == second
