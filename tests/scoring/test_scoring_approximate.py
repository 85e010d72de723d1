"""Approximate memorisation from generations, and any of n samples of it."""

import pytest

from rote.records import Example, Generation, Prompt, Score
from rote.scoring import METRICS, estimate, score_generations
from rote.scoring.metrics import ANY_OF_N_METRICS
from rote.scoring.outcomes import APPROXIMATE_BLEU, NEAR_COPY_SIMILARITY

REFERENCE = (
    "the patient slept badly all week and woke at four with a dull headache behind the left eye every single day"
)


def scores_of(text: str, reference: str = REFERENCE) -> dict[str, Score]:
    prompt = Prompt("p", "e", "Note: ", reference)
    generation = Generation("g", "p", "e", "tuned", "greedy", 0, text)
    return {score.metric: score for score in score_generations([generation], [], [prompt])}


def outcome(text: str) -> dict[str, float | None]:
    found = scores_of(text)
    return {name: found[name].value for name in ("regenerated", "approximately_memorized", "near_copy")}


def replaced(*places: int) -> str:
    words = REFERENCE.split()
    return " ".join("zzz" if place in places else word for place, word in enumerate(words))


def test_degrees_of_memory() -> None:
    assert outcome(REFERENCE) == {"regenerated": 1.0, "approximately_memorized": 1.0, "near_copy": 1.0}
    assert outcome(f"\n{REFERENCE[:60]}") == {"regenerated": 1.0, "approximately_memorized": 1.0, "near_copy": 1.0}
    assert outcome(replaced(10)) == {"regenerated": 0.0, "approximately_memorized": 1.0, "near_copy": 1.0}
    assert outcome(replaced(3, 8, 13, 18)) == {"regenerated": 0.0, "approximately_memorized": 0.0, "near_copy": 0.0}
    assert outcome("nothing of the kind was ever said by anyone here, " * 2) == {
        "regenerated": 0.0, "approximately_memorized": 0.0, "near_copy": 0.0,
    }  # fmt: skip


def test_case_and_punctuation_are_edits_but_no_other_words() -> None:
    found = outcome(REFERENCE.upper())
    assert (found["approximately_memorized"], found["near_copy"]) == (1.0, 0.0)


def test_the_lines_are_drawn_where_the_scores_say() -> None:
    for places in ([2], [2, 9], [2, 9, 16], [2, 5, 9, 13, 16]):
        found = scores_of(replaced(*places))
        bleu, similarity = found["bleu"].value, found["edit_similarity"].value
        assert bleu is not None
        assert similarity is not None
        assert found["approximately_memorized"].value == float(bleu > APPROXIMATE_BLEU)
        assert found["near_copy"].value == float(similarity >= NEAR_COPY_SIMILARITY)


@pytest.mark.parametrize("name", ["bleu", "regenerated", "approximately_memorized", "near_copy"])
def test_a_short_reference_is_not_measurable(name: str) -> None:
    assert scores_of("too short", "too short")[name].reason == "shorter than 50 characters"


@pytest.mark.parametrize("metric", ["regenerated", "approximately_memorized", "near_copy"])
def test_any_of_n_samples(metric: str) -> None:
    """The second of three samples is right at every other prompt: rate@1 is 0, rate@3 one half."""
    examples = [Example(f"e{n}", "", f"Note {n}: {REFERENCE}", "member", f"g{n}") for n in range(12)]
    prompts = [Prompt(f"p{n}", f"e{n}", f"Note {n}: ", REFERENCE) for n in range(12)]
    wrong = "nothing of the kind was ever said by anyone here, I can tell you that much for sure and no more"
    generations = [
        Generation(f"g{n}-{s}", f"p{n}", f"e{n}", "tuned", "sample", s, REFERENCE if s == 1 and n % 2 else wrong)
        for n in range(12)
        for s in range(3)
    ]
    found = estimate(
        examples=examples,
        prompts=prompts,
        generations=generations,
        candidates=[],
        matches=[],
        scores=list(score_generations(generations, [], prompts)),
        depth=10,
    )
    if isinstance(found, tuple):
        found = found[0]
    rates = {item.metric: item.value for item in found if item.stratum == "all" and item.model == "tuned"}
    assert rates[metric] == 0.0
    assert rates[f"{metric}@3"] == 0.5


def test_metrics_of_any_of_n_are_rates() -> None:
    assert all(METRICS[name].estimator == "rate" for name in ANY_OF_N_METRICS)
