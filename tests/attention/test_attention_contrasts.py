"""Memorised against other members: planted differences are found, none is found where there is none, lengths explain nothing."""

from pathlib import Path

import numpy as np
import pytest
from test_pipeline import audit, toy_folder  # noqa: F401  (the fixture)

from rote import runs
from rote.attention import MEASURES
from rote.attention.contrasts import Contrast, Labelled, contrasts, incremental_auc, matched, without_lengths
from rote.cli import main
from rote.errors import ConfigError
from rote.records import AttentionMap, AttentionScores, Generation, Score
from rote.reporting.attention import finding, map_view
from rote.runs import Run
from rote.stages.attend import drawn, memorized_members

LAYERS, HEADS = 2, 3


def planted(
    n: int, *, shift: float = 0.0, seed: int = 0, steps: int = 20
) -> tuple[list[AttentionScores], list[Labelled]]:
    """Every second record is memorised; its entropy in layer 1 is higher by `shift` standard deviations."""
    draw = np.random.default_rng(seed)
    scores, records = [], []
    for i in range(n):
        values = draw.normal(0.5, 0.05, size=(LAYERS, HEADS, len(MEASURES)))
        values[1, :, 0] += shift * 0.05 * (i % 2) / np.sqrt(HEADS)
        rows = tuple(tuple(tuple(head) for head in layer) for layer in values.tolist())
        scores.append(AttentionScores(f"g{i}", f"p{i}", f"e{i}", 30, steps, rows, rows))
        records.append(Labelled(i % 2 == 1, f"group {i}", 30, steps))
    return scores, records


def test_a_planted_difference_is_found_where_it_is() -> None:
    found = contrasts(*planted(60, shift=2.0))
    assert len(found) == LAYERS * len(MEASURES) * 2
    certain = [item for item in found if item.corrected_p < 0.05]
    assert {(item.layer, item.measure) for item in certain} == {(1, "entropy")}
    for item in certain:
        assert item.auc.low is not None
        assert item.auc.low > 0.5
        assert item.memorized_mean > item.others_mean
    assert "entropy in layer 1 with" in finding(found)
    assert "is higher for memorised ones" in finding(found)


def test_without_a_difference_a_finding_is_rare() -> None:
    """Of 40 runs without any difference, 5 % may have a corrected p under 0.05."""
    alarms = sum(min(item.corrected_p for item in contrasts(*planted(30, seed=seed))) < 0.05 for seed in range(40))
    assert alarms <= 6
    assert "differs beyond chance" in finding(contrasts(*planted(30, seed=1)))


def test_what_length_explains_is_no_difference() -> None:
    """Longer texts have the higher entropy and more of them are memorised; at equal lengths nothing is left."""
    one, first = planted(80, steps=20)
    two, second = planted(80, seed=1, steps=90)
    two = [
        AttentionScores(
            f"x{s.generation_id}", s.prompt_id, s.example_id, 30, 90, raised(s.with_sink), raised(s.without_sink)
        )
        for s in two
    ]
    records = [
        *(Labelled(i % 8 == 0, f"a{r.group}", r.inputs, 20) for i, r in enumerate(first)),
        *(Labelled(i % 8 != 0, f"b{r.group}", r.inputs, 90) for i, r in enumerate(second)),
    ]
    found = {(item.layer, item.measure): item for item in contrasts([*one, *two], records) if item.sink}
    assert found[1, "entropy"].corrected_p > 0.05
    assert abs((found[1, "entropy"].auc.value or 0) - 0.5) < 0.2


def raised(rows: tuple[tuple[tuple[float, ...], ...], ...]) -> tuple[tuple[tuple[float, ...], ...], ...]:
    return tuple(tuple(tuple(value + 1.0 for value in head) for head in layer) for layer in rows)


def test_lengths_that_only_one_side_has_are_left_out() -> None:
    records = [Labelled(True, "a", 30, 20), Labelled(False, "b", 30, 20), Labelled(True, "c", 30, 200)]
    assert (matched(records) >= 0).tolist() == [True, True, False]
    assert without_lengths(np.array([1.0, 3.0, 10.0, 12.0]), np.array([0, 0, 1, 1])).tolist() == [5.5, 7.5, 5.5, 7.5]


def test_too_few_records_are_not_compared() -> None:
    assert contrasts(*planted(8)) == []
    assert "cannot be compared" in finding([])
    assert incremental_auc({"loss": np.zeros(12)}, *planted(12)) is None


def test_attention_adds_what_cheap_scores_do_not_know_and_nothing_to_what_they_know() -> None:
    scores, records = planted(120, shift=2.5)
    flags = np.array([record.memorized for record in records])
    noise = np.random.default_rng(5).normal(size=120)
    gained = incremental_auc({"loss": noise}, scores, records)
    assert gained is not None
    assert gained.gain.low is not None
    assert gained.gain.low > 0.1
    known = incremental_auc({"loss": flags + 0.1 * noise}, scores, records)
    assert known is not None
    assert known.gain.value == pytest.approx(0.0, abs=0.02)


def test_which_members_count_as_memorised() -> None:
    generations = [Generation(f"g{i}", f"p{i}", f"e{i}", "tuned", "greedy", 0, "x") for i in range(12)]
    few = [Score(f"p{i}-tuned", "extractable", float(i < 2)) for i in range(12)]
    half = [Score(f"g{i}", "verbatim", float(i < 6)) for i in range(12)]
    assert memorized_members([*few, *half], generations, "auto")[0] == "verbatim"
    name, known = memorized_members([*few, *half], generations, "extractable")
    assert name == "extractable"
    assert sum(known.values()) == 2
    exact = [Score(f"p{i}-tuned", "exact_memorization", i / 12) for i in range(12)]
    name, known = memorized_members([*few, *exact], generations, "auto")
    assert name == "exact_memorization above its median"
    assert sum(known.values()) == 6
    with pytest.raises(ConfigError, match=r"attention\.memorized_by: expected a rate .* found 'loss'"):
        memorized_members(few, generations, "loss")


def test_maps_are_of_memorised_and_others_by_turns() -> None:
    assert drawn({"a": False, "b": True, "c": False, "d": True}, 3) == ["b", "a", "d"]
    assert drawn({"a": False, "b": False}, 2) == ["a", "b"]


def test_a_map_leaves_the_sink_out_and_joins_cells_of_one_shade() -> None:
    weights = ((0.9, 0.1, 0.1, 0.0), (0.5, 0.0, 0.25, 0.5))
    view = map_view(AttentionMap("g", "e", 3, ("<s>", "a", " ", "c\x1b"), ("d", "e"), weights))
    assert [(bar.x, bar.width, bar.opacity) for bar in view.bars] == [(74, 26, 1.0), (87, 13, 0.5), (100, 13, 1.0)]
    assert view.columns[:2] == ("a", "␣")
    assert "\x1b" not in view.columns[2]


def test_the_command_writes_the_page_and_makes_nothing_twice(
    toy_folder: Path,  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    audit(toy_folder, tmp_path)
    assert main(["attend", str(tmp_path), "--memorized-by", "exact_memorization", "--maps", "2"]) == 0
    scores = Run(tmp_path).read(runs.ATTENTION, AttentionScores)
    assert len(scores) == 8
    assert np.array(scores[0].with_sink).shape == (2, 2, len(MEASURES))
    page = (tmp_path / runs.ATTENTION_HTML).read_text(encoding="utf-8")
    assert "not measurable: too few memorised or other members" in page
    assert page.count("attention map") == 2
    assert Run(tmp_path).read(runs.CONTRASTS, Contrast) == []
    capsys.readouterr()
    assert main(["attend", str(tmp_path), "--memorized-by", "exact_memorization", "--maps", "2"]) == 0
    assert "attention.jsonl: up to date" in capsys.readouterr().err


def test_the_command_needs_scores(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Run(tmp_path).note(seed=0)
    assert main(["attend", str(tmp_path), "--model", "x/y"]) == 2
    assert "scores.jsonl does not exist: run `rote score` first" in capsys.readouterr().err
