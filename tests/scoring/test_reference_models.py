"""LiRA, RMIA and counterfactual memorisation: plain references, planted truth, laws; and `rote references` on the toy."""

import doctest
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from test_pipeline import audit, toy_folder  # noqa: F401  (the fixture)

from rote import runs
from rote.cli import main
from rote.records import Estimate, ReferencePass, Score, Separation
from rote.runs import Run
from rote.scoring import reference_models
from rote.scoring.reference_models import counterfactual_memorization, halves, lira, logit, rmia


@given(st.integers(1, 30), st.integers(1, 4), st.integers(0, 99))
def test_every_record_is_in_half_of_the_models_and_groups_stay_together(groups: int, pairs: int, seed: int) -> None:
    clusters = [f"g{i % groups}" for i in range(3 * groups)]
    found = halves(clusters, 2 * pairs, seed=seed)
    assert (found.sum(axis=0) == pairs).all()
    assert (found[::2] == ~found[1::2]).all()
    for row in found:
        assert len({(name, bool(own)) for name, own in zip(clusters, row, strict=True)}) == groups
    turned = halves(clusters[::-1], 2 * pairs, seed=seed)
    assert (turned[:, ::-1] == found).all()


@pytest.mark.parametrize("models", [0, 1, 3])
def test_models_come_in_pairs(models: int) -> None:
    with pytest.raises(ValueError, match=f"Expected an even number of models, at least 2, got {models}"):
        halves(["a", "b"], models, seed=0)


def table(seed: int, records: int, models: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Losses under the audited model and the reference models; trained-on records have the lower loss."""
    draw = np.random.default_rng(seed)
    included = halves([str(i) for i in range(records)], models, seed=seed)
    level = draw.uniform(1.0, 4.0, size=records)
    references = level - 0.5 * included + draw.normal(0, 0.1, size=included.shape)
    is_member = np.arange(records) < records // 2
    return level - 0.5 * is_member + draw.normal(0, 0.1, size=records), np.maximum(0.01, references), included


@given(st.integers(0, 50))
@settings(max_examples=25)
def test_lira_is_the_difference_of_two_normal_log_densities(seed: int) -> None:
    losses, references, included = table(seed, 12, 6)
    found = lira(np.maximum(0.01, losses), references, included)
    phi = [math.log(math.exp(-x) / (1 - math.exp(-x))) for x in np.maximum(0.01, losses)]
    others = np.log(np.exp(-references) / (1 - np.exp(-references)))
    spreads = []
    for flags in (included, ~included):
        residuals = [others[m, r] - others[flags[:, r], r].mean() for m in range(6) for r in range(12) if flags[m, r]]
        spreads.append(math.sqrt(sum(x * x for x in residuals) / (len(residuals) - 12)))
    for record in range(12):
        means = [others[flags[:, record], record].mean() for flags in (included, ~included)]
        expected = stats.norm.logpdf(phi[record], means[0], spreads[0]) - stats.norm.logpdf(
            phi[record], means[1], spreads[1]
        )
        assert found[record] == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(st.integers(0, 50))
@settings(max_examples=25)
def test_rmia_counts_the_nonmembers_that_are_beaten(seed: int) -> None:
    losses, references, included = table(seed, 10, 4)
    population = np.arange(10) >= 5
    found = rmia(losses, references, included, population)

    def ratio(record: int) -> float:
        p = np.exp(-references[:, record])
        own = included[:, record]
        return math.exp(-losses[record]) / ((p[own].mean() + p[~own].mean()) / 2)

    for record in range(10):
        others = [z for z in range(5, 10) if z != record]
        assert found[record] == pytest.approx(np.mean([ratio(record) >= ratio(z) for z in others]))


def test_both_tell_planted_members_where_the_loss_alone_does_not() -> None:
    losses, references, included = table(0, 200, 8)
    is_member = np.arange(200) < 100

    def area(scores: np.ndarray) -> float:
        return float((scores[is_member][:, None] > scores[~is_member]).mean())

    assert area(-losses) < 0.7
    assert area(lira(losses, references, included)) > 0.95
    assert area(rmia(losses, references, included, ~is_member)) > 0.95


def test_lower_loss_is_never_less_member_like_for_rmia() -> None:
    losses, references, included = table(3, 20, 4)
    population = np.arange(20) >= 10
    before = rmia(losses, references, included, population)
    lower = losses.copy()
    lower[0] -= 0.3
    assert rmia(lower, references, included, population)[0] >= before[0]


def test_certainty_is_finite() -> None:
    assert np.isfinite(logit(np.array([0.0, 1e-12, 50.0, 800.0]))).all()
    included = halves(["a", "b"], 4, seed=0)
    assert np.isfinite(lira(np.zeros(2), np.zeros((4, 2)), included)).all()


def test_counterfactual_memorisation_by_hand() -> None:
    included = np.array([[True, False], [False, True], [True, False], [False, True]])
    accuracies = np.array([[1.0, 0.2], [0.4, 0.4], [0.8, 0.2], [0.2, 0.6]])
    assert counterfactual_memorization(accuracies, included).tolist() == pytest.approx([0.6, 0.3])


def test_documented_examples() -> None:
    assert doctest.testmod(reference_models).failed == 0


def test_reference_models_are_trained_once_and_their_scores_reach_the_report(
    toy_folder: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    audit(toy_folder, tmp_path)
    words = ["references", str(tmp_path), "--models", "4", "--references-strategy", "full", "--epochs", "2"]
    assert main(words) == 0
    passes = Run(tmp_path).read(runs.REFERENCES, ReferencePass)
    assert len(passes) == 4 * 16
    assert sum(item.included for item in passes) == 2 * 16
    capsys.readouterr()
    assert main(words) == 0
    assert "references.jsonl: up to date" in capsys.readouterr().err
    assert main(["score", str(tmp_path)]) == 0
    scores = Run(tmp_path).read(runs.SCORES, Score)
    for metric in ("rmia", "lira", "counterfactual_memorization"):
        assert sum(score.metric == metric for score in scores) == 16
    found = Run(tmp_path).read(runs.ESTIMATES, Estimate)
    assert any(item.metric == "counterfactual_memorization" and item.model == "references" for item in found)
    separations = Run(tmp_path).read(runs.SEPARATIONS, Separation)
    areas = {one.metric: one for one in separations if (one.statistic, one.stratum) == ("auc", "all")}
    assert areas["rmia"].value is not None
    assert main(["report", str(tmp_path)]) == 0
    assert "RMIA" in (tmp_path / runs.REPORT_HTML).read_text(encoding="utf-8")


def test_what_is_missing_or_wrong_is_told(
    toy_folder: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    audit(toy_folder, tmp_path)
    capsys.readouterr()
    assert main(["references", str(tmp_path), "--models", "3"]) == 2
    assert "references.models: expected an even number, found 3" in capsys.readouterr().err
