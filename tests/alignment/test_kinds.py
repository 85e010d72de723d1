"""The decision about kinds, by preset, with a scripted paraphrase classifier; entities."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from rote.alignment import PRESETS, Passage, SentencePair
from rote.alignment.entities import agree, rule_entities, spacy_entities
from rote.alignment.kinds import MAX_PAIRS, Finding, Judge, find_kinds
from rote.config import PresetName
from rote.errors import MissingExtraError, ModelError
from rote.records import Kind, Span

LONG = "This sentence is long enough to stand over the floor of fifty."


@dataclass
class Scripted:
    """Probabilities by the first word of the generated sentence; remembers what it was asked."""

    answers: dict[str, float]
    asked: list[SentencePair] = field(default_factory=list)

    def probabilities(self, pairs: Sequence[SentencePair]) -> list[float]:
        self.asked += pairs
        return [self.answers.get(pair.generated.split()[0].strip("."), 0.0) for pair in pairs]


def judged(
    preset: PresetName, generated: str, training: str, answers: dict[str, float], *more: Passage
) -> tuple[list[Finding], Scripted]:
    classifier = Scripted(answers)
    judge = Judge(PRESETS[preset], "en", classifier, rule_entities("en"))
    whole = Passage(Span(0, len(generated)), Span(0, len(training)), 0.7, "plain", "none")
    return find_kinds([whole, *more], generated, training, judge=judge), classifier


def kinds(
    preset: PresetName, generated: str, training: str, answers: dict[str, float]
) -> list[tuple[Kind, float | None]]:
    return [(f.kind, f.paraphrase_probability) for f in judged(preset, generated, training, answers)[0]]


@pytest.mark.parametrize(
    ("preset", "probability", "expected"),
    [
        ("zeng2024", 0.995, "paraphrase"),
        ("zeng2024", 0.51, "paraphrase"),
        ("zeng2024", 0.5, "weak-paraphrase"),
        ("pan2015", 0.51, "paraphrase"),
        ("udsa2026", 0.995, None),
        ("udsa2026", 0.99, "paraphrase"),
        ("udsa2026", 0.5, "weak-paraphrase"),
        ("corrected", 0.995, "near-verbatim"),
        ("corrected", 0.99, "paraphrase"),
        ("corrected", 0.51, "paraphrase"),
        ("corrected", 0.5, "weak-paraphrase"),
    ],
)
def test_thresholds_by_preset(preset: PresetName, probability: float, expected: Kind | None) -> None:
    found = kinds(preset, "One thing said.", "Said was one thing.", {"One": probability})
    assert found == ([(expected, probability)] if expected else [])


@pytest.mark.parametrize(
    ("preset", "expected"),
    [("zeng2024", ["paraphrase"]), ("udsa2026", []), ("corrected", ["weak-paraphrase"])],
)
def test_disagreeing_numbers(preset: PresetName, expected: list[Kind]) -> None:
    found = kinds(preset, "Take 5 of them.", "You take 7 of them.", {"Take": 0.9})
    assert [kind for kind, _ in found] == expected


def test_names_count_in_corrected_but_not_in_lower_case_as_published() -> None:
    generated, training = "We met Ann there.", "There we met Bob."
    assert kinds("corrected", generated, training, {"We": 0.9}) == [("weak-paraphrase", 0.9)]
    assert kinds("udsa2026", generated, training, {"We": 0.9}) == [("paraphrase", 0.9)]


@pytest.mark.parametrize("preset", ["zeng2024", "udsa2026"])
def test_equal_sentences_have_probability_0_as_published(preset: PresetName) -> None:
    found, classifier = judged(preset, LONG.upper(), LONG, {})
    assert [(f.kind, f.paraphrase_probability) for f in found] == [("weak-paraphrase", 0.0)]
    assert classifier.asked == []


def test_equal_sentences_are_verbatim_in_corrected_from_the_floor_on() -> None:
    found, _ = judged("corrected", f"Other words. {LONG.upper()}", f"{LONG} {LONG}", {"Other": 0.1})
    assert [f.kind for f in found] == ["verbatim", "weak-paraphrase"]
    assert found[0].passage.generated == Span(13, 13 + len(LONG))
    assert found[0].passage.training == Span(0, len(LONG))
    assert kinds("corrected", "Thank you. One thing said.", "Thank you. Said.", {"One": 0.7}) == [("paraphrase", 0.7)]
    assert kinds("corrected", "Thank you.", "Thank  YOU.", {}) == [("near-verbatim", 1.0)]


def test_short_equal_sentences_that_make_up_half_of_a_passage_are_near_verbatim() -> None:
    generated, training = "She was here. He left early. They came.", "He left early. They came. She was here."
    found, classifier = judged("corrected", generated, training, {})
    assert [(f.kind, f.paraphrase_probability) for f in found] == [("near-verbatim", 1.0)]
    assert classifier.asked == []
    more = "Somebody said quite another thing."
    assert kinds("corrected", f"{generated} {more}", training, {}) == [("near-verbatim", 1.0)]
    assert kinds("corrected", f"They came. {more}", training, {}) == [("weak-paraphrase", 0.0)]
    assert kinds("zeng2024", generated, training, {}) == [("weak-paraphrase", 0.0)]


def test_corrected_keeps_every_kind_but_weak_and_published_the_strongest() -> None:
    answers = {"One": 0.995, "Two": 0.8, "Three": 0.1}
    generated, training = "One is here. Two is there. Three is gone.", "Something else was written."
    assert kinds("corrected", generated, training, answers) == [("near-verbatim", 0.995), ("paraphrase", 0.8)]
    assert kinds("zeng2024", generated, training, answers) == [("paraphrase", 0.995)]
    assert kinds("udsa2026", generated, training, answers) == [("paraphrase", 0.8)]


def test_every_cross_pair_is_asked_about() -> None:
    _, classifier = judged("zeng2024", "One a. Two b.", "Three c. Four d. Five e.", {})
    assert len(classifier.asked) == len(set(classifier.asked)) == 6


def test_sentences_that_a_verbatim_passage_covers_are_not_asked_about_again() -> None:
    generated = f"{LONG} Two is there."
    verbatim = Passage(Span(0, len(LONG)), Span(0, len(LONG)), 1.0, "verbatim", "none")
    found, classifier = judged("corrected", generated, f"{LONG} There is two.", {"Two": 0.8}, verbatim)
    assert {f.kind for f in found} == {"verbatim", "paraphrase"}
    assert {pair.generated for pair in classifier.asked} == {"Two is there."}
    only, _ = judged("corrected", LONG, LONG, {}, verbatim)
    assert [f.kind for f in only] == ["verbatim"]


def test_forms_that_need_no_question() -> None:
    summary = Passage(Span(0, 3), Span(0, 9), 0.6, "summary", "condensed")
    found = find_kinds(
        [summary], "One", "One thing", judge=Judge(PRESETS["corrected"], "en", Scripted({}), rule_entities("en"))
    )
    assert found == [Finding(summary, "idea", None)]


def test_the_number_of_questions_is_bounded_and_the_likeliest_are_asked() -> None:
    many = " ".join(f"Word{i} number{i} stands here." for i in range(60))
    _, classifier = judged("corrected", many, many.replace("stands here", "here stood"), {})
    assert len(classifier.asked) == MAX_PAIRS
    alike = SentencePair("Word7 number7 stands here.", "Word7 number7 here stood.")
    assert alike in classifier.asked


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        (set(), set(), True),
        ({"Ann"}, set(), False),
        (set(), {"Ann"}, False),
        ({"Ann"}, {"Ann", "5"}, True),
        ({"Ann", "5"}, {"5"}, True),
        ({"Ann"}, {"Ann"}, True),
        ({"Ann", "5"}, {"5", "Bob"}, False),
    ],
)
def test_acceptance_9_entity_agreement(one: set[str], two: set[str], expected: bool) -> None:
    assert agree(frozenset(one), frozenset(two)) is expected


@pytest.mark.parametrize(
    ("generated", "training", "corrected"),
    [
        ("Baghdad has suffered often.", "Often Baghdad has suffered.", True),
        ("The rate of erosion fell.", "Fell the rate The of erosion.", True),
        ("Ann paid.", "It was Anna who paid.", False),
        ("It took 3 days.", "Days it took, 3.5 of them.", False),
        ("Somebody paid.", "It was Ann who paid.", False),
    ],
)
def test_a_name_counts_for_both_sentences_if_it_stands_in_both(generated: str, training: str, corrected: bool) -> None:
    expected = "paraphrase" if corrected else "weak-paraphrase"
    answers = {generated.split()[0]: 0.8}
    assert kinds("corrected", generated, training, answers) == [(expected, 0.8)]


@pytest.mark.parametrize(
    ("sentence", "language", "expected"),
    [
        ("", "en", set()),
        ("Yesterday it rained and I'm wet.", "en", set()),
        ("They met Ann O'Neill and Bob's aunt in New York.", "en", {"Ann", "O'Neill", "Bob", "New", "York"}),
        ('He said: "Why not?" to Dr. Roe', "en", {"Dr"}),
        ("On 12 March 2024, at 3:30, for $1,000.50.", "en", {"12", "March", "2024", "3:30", "1,000.50"}),
        (
            "Write to j.roe+x@mail.example.org or www.example.org/a?b, now.",
            "en",
            {"j.roe+x@mail.example.org", "www.example.org/a?b"},
        ),
        ("Der Arzt gab Frau Roe 5 Tabletten.", "de", {"5"}),
    ],
)
def test_offline_entities(sentence: str, language: str, expected: set[str]) -> None:
    assert rule_entities(language)(sentence) == expected


def test_offline_entities_take_bounded_time_on_hostile_text() -> None:
    for piece in ("a", "a@", "1.", "A ", "www.", "x.y@z."):
        rule_entities("en")(piece * (60_000 // len(piece)))


def test_spacy_is_an_extra() -> None:
    try:
        import spacy  # noqa: F401
    except ImportError:
        with pytest.raises(MissingExtraError, match=re.escape("needs the package 'spacy': pip install 'rote[spacy]'")):
            spacy_entities("en_core_web_sm")
    else:
        with pytest.raises(ModelError, match="no spaCy pipeline 'no_such_pipeline'"):
            spacy_entities("no_such_pipeline")
