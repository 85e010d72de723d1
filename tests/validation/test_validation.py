"""The meta-evaluation: planted truth in scores is found, robustness is told, and exchanged words stay words of the prompt."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rote import runs
from rote.cli import main
from rote.generation.prompts import with_noise
from rote.records import Example, Generation, Prompt, Score
from rote.runs import Run
from rote.text import words
from rote.validation import running as validation
from rote.validation.running import VARIANTS, Validity, recommended, scores_by_example, validity


@given(st.text(max_size=80), st.floats(0, 1))
def test_exchanged_words_are_words_of_the_text_and_the_rest_stays(text: str, share: float) -> None:
    found, before = with_noise(text, share, seed="s"), words(text)
    assert found == with_noise(text, share, seed="s")
    if round(share * len(before)) == 0 or len(before) < 2:
        assert found == text


def test_so_many_words_are_exchanged_for_others() -> None:
    text = "one two three, four five six seven eight nine ten!"
    found = with_noise(text, 0.3, seed="s")
    before, after = ([span.of(one) for span in words(one)] for one in (text, found))
    assert len(after) == 10
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 3
    assert set(after) <= set(before)
    assert found.endswith("!")
    assert "," in found


def planted(out: Path, metrics: dict[str, np.ndarray]) -> None:
    """A run of 40 members (every second with 8 copies) and 40 non-members, with scores by record."""
    run = Run(out)
    ids = [f"e{i:02}" for i in range(80)]
    examples = [
        Example(
            name, "", f"text {name}", "member" if i < 40 else "non-member", name, copies=8 if i < 40 and i % 2 else 1
        )
        for i, name in enumerate(ids)
    ]
    run.write(runs.EXAMPLES, examples, settings={})
    run.write(runs.PROMPTS, [Prompt(f"p{name}", name, "a", "b") for name in ids], settings={})
    generations = [Generation(f"g{name}", f"p{name}", name, "tuned", "greedy", 0, "x") for name in ids]
    run.write(runs.GENERATIONS.format(model="tuned"), generations, settings={})
    scores = []
    for metric, values in metrics.items():
        subject = "g{}" if metric == "rouge_l" else "p{}-tuned"
        scores += [Score(subject.format(name), metric, float(v)) for name, v in zip(ids, values, strict=True)]
    run.write(runs.SCORES, [*scores, Score("pe00-base", "loss", 1.0), Score("gx", "rouge_l", 1.0)], settings={})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    member, often = np.arange(80) < 40, (np.arange(80) < 40) & (np.arange(80) % 2 == 1)
    metrics = {
        "loss": 3 - 1.0 * often - 0.5 * member + draw.normal(0, 0.1, 80),
        "exact_memorization": draw.uniform(0, 1, 80),
        "rouge_l": 0.2 + 0.5 * often + draw.normal(0, 0.05, 80),
        "repetitive": np.zeros(80),
    }
    for name in ("full", "lora"):
        planted(tmp_path / name, metrics)
    for name in VARIANTS:
        shaken = metrics | {"rouge_l": draw.uniform(0, 1, 80)} if name == "exchanged words" else metrics
        planted(tmp_path / "varied" / name.replace(" ", "-"), shaken)
    return tmp_path


def test_metrics_are_held_against_the_planted_truth(folder: Path) -> None:
    found = {item.metric: item for item in validity(folder, "full")}
    assert set(found) == {"loss", "exact_memorization", "rouge_l"}
    assert found["loss"].membership.low is not None
    assert found["loss"].membership.low > 0.5
    assert found["loss"].repetition.value == 1.0
    assert found["exact_memorization"].repetition.low is not None
    assert found["exact_memorization"].repetition.low < 0.5
    assert found["loss"].largest_difference == 0.0
    assert dict(found["loss"].correlations)["bfloat16"] == pytest.approx(1.0)


def test_what_is_not_robust_or_does_not_separate_is_not_recommended(folder: Path) -> None:
    assert [item.metric for item in recommended(list(validity(folder, "full")))] == ["loss"]
    found = {item.metric: item for item in validity(folder, "full")}
    assert not found["rouge_l"].is_robust
    assert found["rouge_l"].repetition.value == 1.0


def test_only_the_first_strategy_is_varied(folder: Path) -> None:
    assert all(item.correlations == () and item.largest_difference is None for item in validity(folder, "lora"))


def test_scores_of_other_models_and_samples_are_left_out(folder: Path) -> None:
    assert len(scores_by_example(Run(folder / "full"))["loss"]) == 80
    assert len(scores_by_example(Run(folder / "full"))["rouge_l"]) == 80


def test_scores_that_do_not_vary_prove_no_robustness() -> None:
    nothing = validation.Interval(0.9, 0.8, 1.0, "m")
    assert not Validity("x", "full", nothing, nothing, (("batch size", None),), None).is_robust


def test_the_commands_of_a_validation(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr(validation.Commands, "rote", lambda self, *all_: called.append([str(word) for word in all_]))
    assert main(["validate", "--out", str(folder)]) == 0
    assert [one[0] for one in called] == [
        "finetune",
        *["audit"] * 4,
        "finetune",
        "audit",
        "references",
        "score",
        "report",
    ]
    assert "--prompt-noise" in called[4]
    assert "robust, and repeated records are distinguished from others beyond chance: loss" in capsys.readouterr().out
    page = (folder / "validation.html").read_text(encoding="utf-8")
    assert "1 of 3 metrics are robust" in page
