"""What the trial found decides on what is stale, and holds for reference models and soft prompts."""

from dataclasses import replace
from pathlib import Path

import pytest

from rote import runs
from rote.config import AuditConfig, ModelConfig
from rote.records import Soundness
from rote.runs import Run
from rote.stages.trial import TriedModels

FOUND = Soundness("tuned", "float32", "cpu", "any", True, None, 100, 1e-5, 1e-3, 48, 48, (), ())


@pytest.mark.parametrize(
    ("change", "way"),
    [
        ({}, {}),
        ({"batching": "one"}, {"batching": "one"}),
        ({"batching": "equal lengths"}, {"batching": "equal lengths"}),
        ({"uses_cache": False}, {"cache": False}),
        ({"context_tokens": 64}, {"context_tokens": 64}),
    ],
)
def test_what_was_made_in_another_way_is_stale(
    change: dict[str, object], way: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rote.runs import whole

    monkeypatch.setattr("rote.stages.trial.model_digest", lambda *_: "digest")
    run, made = Run(tmp_path), []
    run.write(runs.PROMPTS, [], settings={})

    def make(found: Soundness) -> None:
        monkeypatch.setattr(TriedModels, "_trial", lambda *_: found)
        tried = TriedModels({"tuned": ("m", "")}, [], AuditConfig(model=ModelConfig(tuned="m")), run)
        # a trial made anew, as after a new version of transformers
        tried._found["tuned"] = found
        assert tried.way("tuned") == (way if found != FOUND else {})
        key = {"model": "digest", **tried.way("tuned")}
        run.make(runs.ATTENTION, whole(lambda: made.append(found) or []), settings=key, inputs=[runs.PROMPTS])

    make(FOUND)
    make(FOUND)
    assert len(made) == 1
    make(replace(FOUND, **change))  # type: ignore[arg-type]
    assert len(made) == (2 if change else 1)
