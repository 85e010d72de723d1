"""Utility: against sacrebleu, rouge-score and SQuAD's rules; which task; intervals; what prefix prompts cannot say."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from rote.records import Example, Generation, Prompt, Score
from rote.scoring.metrics import METRICS
from rote.scoring.utility import (
    TASK_METRICS,
    Task,
    answer_of,
    bleu_estimates,
    exact_match,
    infer_task,
    normal_answer,
    signatures,
    token_f1,
    utility_scores,
)

REFERENCES = (
    "The bell rings at nine and the ferry leaves without him.",
    "She painted the same window sixteen times this year.",
    "A man repairs clocks and umbrellas just past the bridge.",
    "Oil the hinge, then the lock, then shut the blue door.",
    "He counted the lamps twice and went to bed at once.",
    "Nobody knew where the letters under the bread came from.",
    "Hail took the roof in March and the orchard wall in May.",
    "The surveyors argued all morning about a missing stone.",
)


def records(completions: list[str], split: str = "member") -> list[Example]:
    return [
        Example(f"{split[0]}{n}", f"Question {n}?\n", completion, split, f"{split[0]}g{n}")  # type: ignore[arg-type]
        for n, completion in enumerate(completions)
    ]


def written(
    examples: list[Example], texts: list[str], model: str = "tuned"
) -> tuple[list[Generation], dict[str, Prompt]]:
    prompts = {f"p{e.id}": Prompt(f"p{e.id}", e.id, e.prompt, e.completion) for e in examples}
    generations = [
        Generation(f"{model}{e.id}", f"p{e.id}", e.id, model, "greedy", 0, text)
        for e, text in zip(examples, texts, strict=True)
    ]
    return generations, prompts


@pytest.mark.parametrize(
    ("completions", "task"),
    [
        (["positive", "negative", "Positive.", "positive", "negative"] * 3, "label"),
        ([str(n) for n in range(40)], "answer"),
        (["in the old mill by the river"] * 3 + [f"place {n}" for n in range(20)], "answer"),
        (list(REFERENCES), "text"),
        (["yes"] * 8 + list(REFERENCES) * 2, "text"),
        ([], "text"),
    ],
)
def test_the_task_is_what_the_completions_look_like(completions: list[str], task: Task) -> None:
    assert infer_task(records(completions)) == task


def test_records_without_a_prompt_say_nothing_of_the_task() -> None:
    assert infer_task([Example(str(n), "", "yes", "member", str(n)) for n in range(30)]) == "text"


# The rules of SQuAD's evaluation script, version 1.1.
@pytest.mark.parametrize(
    ("answer", "reference", "match", "f1"),
    [
        ("The Broncos", "broncos!", True, 1.0),
        ("an old  mill.", "Old mill", True, 1.0),
        ("Santa Clara, California", "Santa Clara", False, 0.8),
        ("in 1868", "1868", False, 2 / 3),
        ("the", "a", True, 1.0),
        ("nothing", "", False, 0.0),
        ("a a b b", "b c", False, 0.5),
    ],
)
def test_exact_match_and_f1(answer: str, reference: str, match: bool, f1: float) -> None:
    assert exact_match(answer, reference) is match
    assert token_f1(answer, reference) == pytest.approx(f1)


@settings(max_examples=100)
@given(st.text(max_size=30), st.text(max_size=30))
def test_laws(one: str, other: str) -> None:
    assert token_f1(one, other) == token_f1(other, one)
    assert 0 <= token_f1(one, other) <= 1
    assert token_f1(one, one) == 1.0
    assert not exact_match(one, other) or token_f1(one, other) == 1.0
    assert normal_answer(normal_answer(one)) == normal_answer(one)
    assert answer_of(answer_of(one, other), other) == answer_of(one, other)


@pytest.mark.parametrize(
    ("generated", "reference", "answer"),
    [
        (" positive\nReview: next", "negative", "positive"),
        ("Paris. And more", "the city", "Paris. And"),
        ("Paris.", "the city of Paris", "Paris."),
        ("“Paris”, he said", "Paris", "“Paris”,"),
        ("", "Paris", ""),
        ("Paris", "...", ""),
    ],
)
def test_an_answer_has_as_many_words_as_the_reference(generated: str, reference: str, answer: str) -> None:
    assert answer_of(generated, reference) == answer


def scores_of(task: Task, examples: list[Example], texts: list[str], *, by_prefix: bool = False) -> list[Score]:
    generations, prompts = written(examples, texts)
    return list(utility_scores(generations, prompts, task, by_prefix=by_prefix))


def test_texts_are_measured_as_rouge_score_and_sacrebleu_do() -> None:
    draw = random.Random(0)
    texts = [" ".join(draw.sample(reference.split(), k=len(reference.split()))) for reference in REFERENCES]
    found = scores_of("text", records(list(REFERENCES)), texts)
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)
    for n, (text, reference) in enumerate(zip(texts, REFERENCES, strict=True)):
        answer = answer_of(text, reference)
        own = {score.metric: score.value for score in found if score.subject_id == f"tunedm{n}"}
        assert own == {
            "utility_rouge_l": pytest.approx(scorer.score(reference, answer)["rougeL"].fmeasure, abs=1e-9),
            "utility_chrf": pytest.approx(CHRF().sentence_score(answer, [reference]).score, abs=1e-9),
        }


def test_rouge_l_of_a_script_that_it_cannot_cut_is_not_measured() -> None:
    found = {
        score.metric: score
        for score in scores_of("text", records(["患者は頭痛を訴えている"]), ["患者は頭痛を訴えている"])
    }
    assert found["utility_rouge_l"].reason == "the reference has no word of ASCII letters or digits"
    assert found["utility_chrf"].value == pytest.approx(100)


def test_labels_and_answers() -> None:
    examples = records(["positive", "negative"])
    assert [score.value for score in scores_of("label", examples, [" Positive.\nNext", "positive negative"])] == [
        1.0,
        0.0,
    ]
    found = [(score.metric, score.value) for score in scores_of("answer", examples, ["positive", "is negative"])]
    assert found == [
        ("utility_exact_match", 1.0), ("utility_f1", 1.0), ("utility_exact_match", 0.0), ("utility_f1", 0.0),
    ]  # fmt: skip


@pytest.mark.parametrize("task", TASK_METRICS)
def test_prefix_prompts_ask_for_no_answer(task: Task) -> None:
    found = scores_of(task, records(["yes"]), ["yes"], by_prefix=True)
    assert [score.metric for score in found] == list(TASK_METRICS[task])
    assert all(score.value is None and "prefix prompts" in (score.reason or "") for score in found)


def test_controls_are_not_measured() -> None:
    generations, prompts = written(records(["yes"]), ["yes"], "true-suffix")
    assert list(utility_scores(generations, prompts, "label", by_prefix=False)) == []


def test_corpus_bleu_is_sacrebleus_with_an_interval() -> None:
    draw = random.Random(1)
    texts = []
    for reference in REFERENCES:
        found = reference.split()
        for _ in range(3):
            found[draw.randrange(len(found))] = "stone"
        texts.append(" ".join(found))
    examples = records(list(REFERENCES))
    generations, prompts = written(examples, texts)
    (estimate,) = bleu_estimates(generations, prompts, {e.id: e for e in examples}, by_prefix=False)
    answers = [answer_of(text, reference) for text, reference in zip(texts, REFERENCES, strict=True)]
    assert estimate.value == pytest.approx(BLEU().corpus_score(answers, [list(REFERENCES)]).score, abs=1e-9)
    assert estimate.low is not None
    assert estimate.high is not None
    assert estimate.value is not None
    assert 0 <= estimate.low < estimate.value < estimate.high <= 100
    assert (estimate.metric, estimate.n, estimate.split) == ("utility_bleu", 8, "member")


def test_perfect_answers_are_no_certainty_and_few_are_refused() -> None:
    examples = records(list(REFERENCES))
    generations, prompts = written(examples, list(REFERENCES))
    (whole,) = bleu_estimates(generations, prompts, {e.id: e for e in examples}, by_prefix=False)
    assert whole.value == pytest.approx(100)
    assert whole.low is not None
    assert whole.low < 90
    (few,) = bleu_estimates(generations[:3], prompts, {e.id: e for e in examples}, by_prefix=False)
    assert few.reason == "only 3 independent records; at least 5 are needed"
    (none,) = bleu_estimates(generations, prompts, {e.id: e for e in examples}, by_prefix=True)
    assert (none.value, none.n, none.n_missing) == (None, 0, 8)
    assert "prefix prompts" in (none.reason or "")


def test_the_jackknife_covers_the_truth() -> None:
    """Texts are answered right or in other words by the toss of a coin; the truth is the BLEU of very many."""
    draw = random.Random(3)

    def made(n: int) -> tuple[list[Example], list[str]]:
        references = [draw.choice(REFERENCES) for _ in range(n)]
        texts = [
            text if draw.random() < 0.4 else " ".join(draw.sample(text.split(), len(text.split())))
            for text in references
        ]
        return records(references), texts

    def estimated(n: int) -> tuple[float, float, float]:
        examples, texts = made(n)
        generations, prompts = written(examples, texts)
        (found,) = bleu_estimates(generations, prompts, {e.id: e for e in examples}, by_prefix=False)
        assert found.value is not None
        assert found.low is not None
        assert found.high is not None
        return found.value, found.low, found.high

    truth = estimated(3000)[0]
    held = sum(low <= truth <= high for _, low, high in (estimated(40) for _ in range(100)))
    assert 90 <= held <= 100


def test_signatures_are_those_of_sacrebleu() -> None:
    bleu, chrf = signatures("text")
    assert bleu.startswith("BLEU nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert chrf.startswith("chrF nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:")
    assert signatures("label") == ()


def test_every_metric_of_every_task_is_defined() -> None:
    assert {name for names in TASK_METRICS.values() for name in names} | {"utility_bleu"} <= set(METRICS)
    assert all(METRICS[name].direction == "neither" for names in TASK_METRICS.values() for name in names)
