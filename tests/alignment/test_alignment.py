"""The stage: acceptance cases, planted passages, laws, hostile text, matches."""

import time
from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rote.alignment import (
    CORRECTED,
    PAN2015,
    PRESETS,
    UDSA2026,
    ZENG2024,
    Passage,
    align,
    find_matches,
    make_aligner,
    mark_generic,
)
from rote.alignment.passages import TextAligner
from rote.config import AlignmentConfig
from rote.errors import ConfigError
from rote.records import Candidate, Generation, Kind, Match, Prompt, Span

ONE = "The quick brown fox jumps over the lazy dog near the old river bank."
VERBATIM = "Since Tuesday morning my left knee swells whenever I climb the wet steps behind the bakery."
WRITTEN = "The doctor prescribed two tablets of ibuprofen every eight hours and told her to rest the leg for a week."
REWRITTEN = "For a week she was told to rest the leg, and two ibuprofen tablets every eight hours were prescribed."
STORM = (
    "The storm flooded the harbour and destroyed eleven fishing boats, and the mayor ordered everyone to higher ground"
)
NEWS = [
    "Eleven fishing boats were destroyed in the harbour by the storm.",
    "Families slept in the cold gymnasium for two nights.",
    "Bread and candles ran out before noon.",
    "Volunteers from the next valley brought blankets and soup.",
    "Nobody complained about the dark.",
    "The school stayed closed.",
    "Later the mayor ordered everyone to higher ground because the storm had flooded the streets.",
]


def of_form(passages: list[Passage], form: str) -> list[Passage]:
    return [passage for passage in passages if passage.form == form]


def common_run(chars: int) -> str:
    """Words that all differ, `chars` characters long."""
    text = " ".join(f"word{i:02}" for i in range(20))[: chars - 3].rstrip()
    return text + "x" * (chars - len(text))


def matches_of(generated: str, training: str, *, preset: str = "corrected", prompt: str = "") -> list[Match]:
    config = AlignmentConfig(preset=preset)  # type: ignore[arg-type]
    generation = Generation("g", "p", "e", "tuned", "greedy", 0, generated)
    candidates = [(Candidate("g", "e", 1, 1.0), training)]
    return find_matches(generation, Prompt("p", "e", prompt, ""), candidates, make_aligner(config))


def test_acceptance_1_identical_single_sentences() -> None:
    """Defect 1."""
    whole = Span(0, len(ONE))
    assert Passage(whole, whole, 1.0, "verbatim", "none") in align(ONE, ONE, preset=CORRECTED)
    for preset in (ZENG2024, UDSA2026, PAN2015):
        assert align(ONE, ONE, preset=preset) == []


@pytest.mark.parametrize(("chars", "is_found"), [(49, False), (50, False), (51, True)])
def test_acceptance_2_the_verbatim_threshold_is_strict(chars: int, is_found: bool) -> None:
    run = common_run(chars)
    assert len(run) == chars
    generated, training = f"alpha beta {run} gamma", f"delta {run} epsilon"
    found = of_form(align(generated, training, preset=CORRECTED), "verbatim")
    assert [passage.generated.of(generated) for passage in found] == ([run] if is_found else [])
    assert [passage.training.of(training) for passage in found] == ([run] if is_found else [])


@pytest.mark.parametrize(("chars", "is_found"), [(49, False), (50, False), (51, True)])
def test_acceptance_2_as_published(chars: int, is_found: bool) -> None:
    run = common_run(chars)
    generated, training = (
        f"Alpha beta {run} gamma. Quite another sentence here.",
        f"Delta {run} epsilon. Nothing alike there.",
    )
    found = align(generated, training, preset=ZENG2024)
    assert [passage.form for passage in found] == (["verbatim"] if is_found else ["plain"])


def test_acceptance_3_verbatim_and_paraphrase_are_both_kept() -> None:
    """Defect 3."""
    generated, training = f"{VERBATIM} {REWRITTEN}", f"{VERBATIM} {WRITTEN}"
    kinds = [match.kind for match in matches_of(generated, training)]
    assert sorted(kinds) == ["paraphrase", "verbatim"]
    assert [match.kind for match in matches_of(generated, training, preset="zeng2024")] == ["verbatim"]


def test_acceptance_4_condensation_and_expansion_are_told_apart() -> None:
    """Defect 4."""
    long = " ".join(NEWS)
    (condensed,) = of_form(align(STORM, long, preset=CORRECTED), "summary")
    (expanded,) = of_form(align(long, STORM, preset=CORRECTED), "summary")
    assert (condensed.direction, expanded.direction) == ("condensed", "expanded")
    assert (condensed.generated, condensed.training) == (Span(0, len(STORM)), Span(0, len(long)))
    assert (expanded.generated, expanded.training) == (Span(0, len(long)), Span(0, len(STORM)))
    assert "idea" in {match.kind for match in matches_of(STORM, long)}


def test_acceptance_4_as_published_only_one_direction_counts() -> None:
    long = " ".join(NEWS)
    assert {passage.form for passage in align(STORM, long, preset=ZENG2024)} <= {"plain"}
    assert [(p.form, p.direction) for p in align(long, STORM, preset=ZENG2024)] == [("summary", "expanded")]
    lenient = replace(PAN2015, min_passage_chars=50)
    assert [(p.form, p.direction) for p in align(STORM, long, preset=lenient)] == [("summary", "condensed")]
    assert {passage.form for passage in align(long, STORM, preset=lenient)} <= {"plain"}


def test_acceptance_13_a_planted_passage_is_found_where_it_is() -> None:
    """Over 200 words, in Unicode, with repetition on both sides."""
    passage = " ".join(f"Žluťoučký kůň č. {i} běžel přes 天地 náměstí, “tiše” — cafe\u0301 {i * 7}." for i in range(30))
    generated = "Úplně jiný začátek! " + passage + " Konec zde"
    training = "Něco: " + passage + " Jinak pokračuje " + passage[:40]
    (found,) = of_form(align(generated, training, preset=CORRECTED, language="cs"), "verbatim")
    assert found.generated.of(generated) == passage
    assert found.training == Span(6, 6 + len(passage))


def test_several_verbatim_passages_are_kept() -> None:
    generated = f"{VERBATIM} Then something new happened here. {WRITTEN}"
    training = f"{WRITTEN} Entirely unrelated words stood between. {VERBATIM}"
    found = of_form(align(generated, training, preset=CORRECTED), "verbatim")
    assert [p.generated.of(generated) for p in found] == [VERBATIM, WRITTEN]


def test_published_verbatim_runs_ignore_case_and_corrected_ones_do_not() -> None:
    other = "Nothing else is alike in these two texts."
    generated, training = f"{VERBATIM.upper()} {other}", f"{VERBATIM} Completely different ending follows now."
    assert [p.form for p in align(generated, training, preset=ZENG2024)] == ["verbatim"]
    assert of_form(align(generated, training, preset=CORRECTED), "verbatim") == []
    assert [match.kind for match in matches_of(generated, training)] == ["verbatim"]


words = st.sampled_from(
    [
        "river",
        "stone",
        "lantern",
        "market",
        "yellow",
        "quietly",
        "winter",
        "copper",
        "garden",
        "letter",
        "doctor",
        "seven",
    ]
)
long_texts = st.lists(st.lists(words, min_size=4, max_size=12).map(" ".join), min_size=3, max_size=8).map(". ".join)
any_texts = st.text(max_size=200) | long_texts
presets = st.sampled_from(list(PRESETS.values()))


@given(generated=any_texts, training=any_texts, preset=presets)
@settings(max_examples=80)
def test_spans_lie_in_bounds_and_similarities_in_0_to_1(generated: str, training: str, preset: object) -> None:
    for passage in align(generated, training, preset=preset):  # type: ignore[arg-type]
        assert 0 <= passage.generated.start < passage.generated.end <= len(generated)
        assert 0 <= passage.training.start < passage.training.end <= len(training)
        assert 0 <= passage.similarity <= 1
        assert (passage.direction != "none") == (passage.form == "summary")


@given(generated=long_texts, training=long_texts)
@settings(max_examples=50)
def test_verbatim_means_equal_text(generated: str, training: str) -> None:
    for passage in of_form(align(generated, training, preset=CORRECTED), "verbatim"):
        assert passage.generated.of(generated) == passage.training.of(training)
        assert len(passage.generated) > CORRECTED.verbatim_min_chars


@given(text=any_texts)
@settings(max_examples=50)
def test_a_text_covers_itself(text: str) -> None:
    stripped = " ".join(text.split())
    assume(len(stripped) > 50 and any(character.isalnum() for character in stripped))
    (found, *_) = of_form(align(text, text, preset=CORRECTED), "verbatim")
    assert found.generated.of(text) == text.strip()


@given(generated=long_texts, training=long_texts)
@settings(max_examples=50)
def test_unrelated_text_behind_the_training_text_removes_no_verbatim_match(generated: str, training: str) -> None:
    before = of_form(align(generated, training, preset=CORRECTED), "verbatim")
    after = of_form(align(generated, training + " | Zzz unrelated appendix xyzzy.", preset=CORRECTED), "verbatim")
    assert {p.generated for p in before} <= {p.generated for p in after}


HOSTILE = {
    "empty": "",
    "white space": " \n\t ",
    "one word": "Word",
    "only punctuation": ".,;:!?-" * 40,
    "Chinese": "今天天气很好我们一起去公园散步然后回家吃饭看书睡觉明天再见面聊天喝茶听音乐写信给远方的朋友和家人问好祝大家身体健康万事如意。",
    "Thai": "สวัสดีครับผมชื่อสมชายผมอยู่กรุงเทพและทำงานที่โรงพยาบาลทุกวันจันทร์ถึงวันศุกร์",
    "right to left": "ذهب الطبيب إلى المستشفى في الصباح الباكر وفحص جميع المرضى قبل الظهر ثم عاد إلى بيته. \u202eשלום\u202c",
    "combining marks": "Z\u0351\u036b\u0343a\u0334l\u0335g\u0336o\u0337 " * 15 + "e\u0301te\u0301",
    "lone surrogates": "bro\ud800ken text with \udfff lone surrogates in it, some more words to be long enough",
    "NUL": "zero\0bytes\0between\0words\0and more text that is long enough to be found by the aligner",
    "markup": "<script>alert('x')</script> \x1b[31mred\x1b[0m and then enough words follow to be long",
}


@pytest.mark.parametrize("preset", list(PRESETS))
@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_texts_are_survived(name: str, preset: str) -> None:
    for other in HOSTILE.values():
        matches_of(HOSTILE[name], other, preset=preset, prompt=other)
    if preset == "corrected":
        is_long = len(HOSTILE[name]) > 50 and any(c.isalnum() for c in HOSTILE[name])
        assert any(m.kind == "verbatim" for m in matches_of(HOSTILE[name], HOSTILE[name])) == is_long


@pytest.mark.parametrize("preset", ["corrected", "zeng2024"])
def test_300_kilobytes_without_a_full_stop_take_bounded_time(preset: str) -> None:
    text = " ".join(f"w{i % 4999}" for i in range(52_000))[:300_000]
    generated = text[100_000:100_600]
    start = time.process_time()
    assert matches_of(generated, text, preset=preset)
    assert time.process_time() - start < 10


@pytest.mark.parametrize(("prompt", "in_prompt"), [(f"It said: {VERBATIM}", True), (VERBATIM[:30], False), ("", False)])
def test_a_match_that_stands_in_the_prompt_is_marked(prompt: str, in_prompt: bool) -> None:
    (match,) = matches_of(f"And {VERBATIM}", f"But {VERBATIM}", prompt=prompt)
    assert match.in_prompt is in_prompt


def test_matches_come_by_rank_and_name_their_candidate() -> None:
    generation = Generation("g", "p", "e1", "tuned", "greedy", 0, VERBATIM)
    candidates = [(Candidate("g", f"e{rank}", rank, 9.0 - rank), VERBATIM) for rank in (3, 1, 2)]
    found = find_matches(generation, Prompt("p", "e1", "", ""), candidates, make_aligner(AlignmentConfig()))
    assert [(match.example_id, match.rank, match.kind) for match in found] == [
        ("e1", 1, "verbatim"),
        ("e2", 2, "verbatim"),
        ("e3", 3, "verbatim"),
    ]
    assert find_matches(generation, Prompt("p", "e1", "", ""), [], make_aligner(AlignmentConfig())) == []


def match(kind: Kind, start: int, end: int, *, generation_id: str = "g") -> Match:
    return Match(generation_id, "e", 1, Span(start, end), Span(0, 9), kind, "none", 1.0, None, False, False)


@pytest.mark.parametrize(
    ("nonmember", "is_generic"),
    [
        (match("verbatim", 50, 200), True),
        (match("verbatim", 51, 200), False),
        (match("verbatim", 0, 100, generation_id="other"), False),
        (match("paraphrase", 0, 100), True),
        (match("weak-paraphrase", 0, 100), False),
    ],
)
def test_a_match_found_in_nonmember_text_is_generic(nonmember: Match, is_generic: bool) -> None:
    (marked,) = mark_generic([match("paraphrase", 0, 100)], [nonmember])
    assert marked.generic is is_generic
    assert replace(marked, generic=False) == match("paraphrase", 0, 100)


def test_a_wrong_language_is_an_error() -> None:
    with pytest.raises(ConfigError, match="found 'English'"):
        make_aligner(AlignmentConfig(language="English"))


def test_a_text_aligner_gives_what_align_gives_and_keeps_little() -> None:
    texts = [VERBATIM, f"{WRITTEN} {VERBATIM}", REWRITTEN, " ".join(NEWS), STORM, ""]
    aligner = TextAligner(CORRECTED, language="en", max_kept_chars=300)
    aligner.read(texts)
    for one in texts:
        for two in texts:
            assert aligner.align(one, two) == align(one, two, preset=CORRECTED)
    aligner.read([STORM])
    assert aligner.kept_chars <= 300
