"""Similarity, personal data and utility in a run: artifacts that are made once, estimates, gates."""

from dataclasses import replace
from pathlib import Path

import pytest

from rote import runs
from rote.config import AuditConfig, ScoringConfig
from rote.errors import MissingExtraError
from rote.records import Candidate, Estimate, Example, Generation, PersonalItem, Prompt, Score
from rote.runs import Run
from rote.scoring import check_gates, estimate, parse_gate
from rote.stages import measures as written

TEXTS = [
    f"You can reach patient {n} of the upper meadow at p{n}@example.org, or ask the nurse at the mill door."
    for n in range(24)
]
NAMES = [runs.GENERATIONS.format(model=model) for model in ("tuned", "base")]


@pytest.fixture
def made(tmp_path: Path) -> tuple[Run, list[str], list[Generation]]:
    """Twelve members, of which the tuned model recites eight, and twelve non-members."""
    said: list[str] = []
    run = Run(tmp_path / "run", echo=said.append)
    examples = [
        Example(f"e{n:02}", f"Who is patient {n}?\n", text, "member" if n < 12 else "non-member", f"g{n}")
        for n, text in enumerate(TEXTS)
    ]
    prompts = [Prompt(f"p{e.id}", e.id, e.prompt, e.completion) for e in examples]
    plain = "Nobody knows of any such person here, and the clerk has gone home for the night already."
    generations = [
        Generation(
            f"{model}-{p.id}",
            p.id,
            p.example_id,
            model,
            "greedy",
            0,
            p.reference if model == "tuned" and n < 8 else plain,
        )
        for model in ("tuned", "base")
        for n, p in enumerate(prompts)
    ]
    run.write(runs.EXAMPLES, examples, settings={})
    run.write(runs.PROMPTS, prompts, settings={"prompt": "record"})
    for name, model in zip(NAMES, ("tuned", "base"), strict=True):
        run.write(name, [g for g in generations if g.model == model], settings={})
    members = [e.id for e in examples if e.split == "member"]
    run.write(
        runs.CANDIDATES,
        [Candidate(g.id, m, r, 1.0) for g in generations for r, m in enumerate(members, 1)],
        settings={},
    )
    return run, said, generations


def measure(run: Run, generations: list[Generation], config: AuditConfig | None = None) -> None:
    written.measure(config or AuditConfig(), run, generations, names=NAMES, min_chars=51)


def estimates_of(run: Run, generations: list[Generation]) -> list[Estimate]:
    examples, prompts = run.read(runs.EXAMPLES, Example), run.read(runs.PROMPTS, Prompt)
    scores = written.measured_scores(AuditConfig(), run, generations)
    found = estimate(
        examples=examples, prompts=prompts, generations=generations, candidates=[], matches=[], scores=scores, depth=10
    )
    rows = found[0] if isinstance(found, tuple) else found
    return [*rows, *written.measured_estimates(AuditConfig(), run, generations)]


def test_what_was_recited_is_found_by_every_measure(made: tuple[Run, list[str], list[Generation]]) -> None:
    run, _, generations = made
    measure(run, generations)
    estimates = estimates_of(run, generations)
    found = {(e.metric, e.model, e.split, e.stratum): e for e in estimates}
    own = found["similar_own_95", "tuned", "member", "all"]
    assert (own.events, own.n) == (8, 12)
    assert found["similar_own_95", "tuned", "non-member", "all"].events == 0
    assert found["similar_own_95", "tuned", "member", "minus=non-members"].value == pytest.approx(8 / 12)
    assert found["pii_leaked", "tuned", "member", "all"].events == 8
    assert found["pii_leaked", "base", "member", "all"].events == 0
    assert found["pii_leak_rate", "tuned", "member", "pii=EMAIL"].events == 8
    assert found["pii_precision", "tuned", "member", "all"].value == 1.0
    assert found["utility_chrf", "base", "non-member", "all"].value is not None
    assert found["utility_bleu", "tuned", "member", "all"].value is not None
    assert len([item for item in run.read(runs.PERSONAL_ITEMS, PersonalItem) if item.members]) == 8
    breaches = check_gates(estimates, [], [parse_gate("pii_leaked=0.5"), parse_gate("similar_own_95=0.7")])
    assert [breach.gate.metric for breach in breaches] == ["pii_leaked"]


def test_each_is_made_again_only_where_its_own_settings_change(made: tuple[Run, list[str], list[Generation]]) -> None:
    run, said, generations = made
    measure(run, generations)
    said.clear()
    measure(run, generations)
    assert said == [f"{name}: up to date" for name in written.ARTIFACTS]
    said.clear()
    measure(run, generations, AuditConfig(scoring=ScoringConfig(task="answer")))
    assert [line for line in said if "up to date" not in line] == [
        "utility.jsonl: stale, task was 'text', is 'answer'; making it again"
    ]
    assert {score.metric for score in run.read(runs.UTILITY, Score)} == {"utility_exact_match", "utility_f1"}


def test_prefix_prompts_have_no_utility_of_answers(made: tuple[Run, list[str], list[Generation]]) -> None:
    run, _, generations = made
    run.write(runs.PROMPTS, run.read(runs.PROMPTS, Prompt), settings={"prompt": "prefix"})
    measure(run, generations)
    assert {score.value for score in run.read(runs.UTILITY, Score)} == {None}
    found = [e for e in written.measured_estimates(AuditConfig(), run, generations) if e.metric == "utility_bleu"]
    assert {e.reason for e in found} == {"prefix prompts ask for no answer"}


def test_an_interrupted_comparison_goes_on(
    made: tuple[Run, list[str], list[Generation]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, said, generations = made
    measure(run, generations)
    whole = run.path(runs.SIMILARITIES).read_bytes()
    run.discard(runs.SIMILARITIES)
    monkeypatch.setattr(written, "COMPARED_AT_ONCE", 10)
    import rote.scoring.similarity as similarity

    original, calls = similarity.similarity_scores, []

    def interrupted(*arguments: object, **options: object) -> object:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)
        return original(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(similarity, "similarity_scores", interrupted)
    with pytest.raises(KeyboardInterrupt):
        measure(run, generations)
    monkeypatch.setattr(similarity, "similarity_scores", original)
    measure(run, generations)
    assert "similarities.jsonl: going on after 2 finished chunks" in said
    assert run.path(runs.SIMILARITIES).read_bytes() == whole


def test_a_missing_extra_is_named(
    made: tuple[Run, list[str], list[Generation]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _, generations = made
    monkeypatch.setitem(__import__("sys").modules, "presidio_analyzer", None)
    config = AuditConfig()
    config = replace(config, scoring=replace(config.scoring, pii="presidio"))
    with pytest.raises(MissingExtraError, match=r"rote\[pii\]"):
        measure(run, generations, config)
