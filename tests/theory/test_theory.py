"""The sparse-coding demonstration: acceptance case 14, its closed forms, its page."""

import doctest
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rote.cli import main
from rote.errors import ConfigError
from rote.theory import coding as theory
from rote.theory.coding import demonstrate, fit, normalised_entropy, recover


def test_the_error_is_the_variance_of_what_the_task_does_not_need() -> None:
    """Acceptance case 14: at every k the closed form lies in the interval; the intervals hold together with 95 %."""
    for seed in range(3):
        levels = demonstrate(features=12, seed=seed)
        assert [level.needed for level in levels] == list(range(1, 13))
        assert all(level.agrees for level in levels)
        assert all(level.high - level.low < 0.1 * level.expected_error for level in levels[:6])


def test_the_intervals_hold_together_in_about_95_percent_of_the_draws() -> None:
    together = [all(level.agrees for level in demonstrate(features=6, seed=seed)) for seed in range(100, 300)]
    assert 0.91 <= np.mean(together) <= 1.0


def test_a_task_that_needs_everything_gives_everything_away() -> None:
    last = demonstrate(features=8)[-1]
    assert last.error == last.low == last.high == last.expected_error == 0.0


def test_error_falls_and_entropy_grows_with_what_the_task_needs() -> None:
    levels = demonstrate(decay=0.7, seed=4)
    errors, entropies = [level.error for level in levels], [level.entropy for level in levels]
    assert errors == sorted(errors, reverse=True)
    assert entropies == sorted(entropies)
    assert entropies[0] == pytest.approx(0.0, abs=1e-9)
    for level in levels:
        assert level.entropy == pytest.approx(level.expected_entropy, abs=0.01)


def test_features_of_one_variance_have_the_entropy_of_their_number() -> None:
    for level in demonstrate(features=8, decay=1.0):
        assert level.expected_entropy == pytest.approx(np.log(level.needed) / np.log(8))


@given(st.integers(2, 6), st.integers(0, 1000))
@settings(max_examples=20)
def test_the_learner_is_the_one_of_the_closed_form(features: int, seed: int) -> None:
    """W = Q U_kᵀ and W⁺ = U_k Q⁺, for any Q of full column rank."""
    draw = np.random.default_rng(seed)
    basis = np.linalg.qr(draw.normal(size=(features, features)))[0]
    needed = int(draw.integers(1, features + 1))
    mixing = draw.normal(size=(features + 2, needed)) + np.eye(features + 2, needed) * 3
    hidden = draw.normal(size=(200, features))
    texts, answers = hidden @ basis.T, hidden[:, :needed] @ mixing.T
    learned = fit(texts, answers)
    assert learned == pytest.approx(mixing @ basis[:, :needed].T, abs=1e-6)
    expected = answers @ np.linalg.pinv(mixing).T @ basis[:, :needed].T
    assert recover(learned, answers) == pytest.approx(expected, abs=1e-5)


def test_entropy_of_nothing_is_0() -> None:
    assert normalised_entropy(np.zeros(4)) == 0.0
    assert normalised_entropy(np.ones(4)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": 1}, "Expected 2 <= features <= 256, got 1"),
        ({"decay": 0.0}, r"Expected 0 < decay <= 1, got 0\.0"),
        ({"decay": 1.5}, r"Expected 0 < decay <= 1, got 1\.5"),
    ],
)
def test_arguments_out_of_range_are_told(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        demonstrate(**arguments)  # type: ignore[arg-type]


def test_the_command_writes_page_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["theory", "--features", "6", "--out", str(tmp_path / "t")]) == 0
    said = capsys.readouterr().out
    assert "no language model and no record" in said
    assert "at 6 of 6 levels" in said
    page = (tmp_path / "t" / "theory.html").read_text(encoding="utf-8")
    assert "synthetic" in page
    assert page.count('<svg viewBox="0 0 480') == 2
    figures = json.loads((tmp_path / "t" / "theory.json").read_text(encoding="utf-8"))
    assert figures["synthetic"] is True
    assert len(figures["levels"]) == 6


def test_the_command_tells_a_wrong_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["theory", "--decay", "2", "--out", str(tmp_path)]) == 2
    assert "Expected 0 < decay <= 1, got 2.0" in capsys.readouterr().err


def test_documented_examples() -> None:
    assert doctest.testmod(theory, extraglobs={"np": np}).failed == 0
