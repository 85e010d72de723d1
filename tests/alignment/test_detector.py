"""How good the detector is: trials on members of invented words, false alarms, rows with intervals, refusals."""

import random
from dataclasses import replace

import pytest

import hostile
from planted import aligner, hosts, invented, members
from rote.alignment.detector import CONDITIONS, TRIALS, Host, PlantedText, choose_hosts, run_trials, try_text
from rote.alignment.planting import Plant, insert
from rote.records import Candidate, Condition, Direction, Example, Generation, Kind, Span, Trial
from rote.scoring.detector import NONE_FITS, TITLES, detector_rows, is_right

MEMBERS, HOSTS = members(30), hosts(6)
FOUND = [trial for chunk in run_trials(MEMBERS, HOSTS, aligner(), seed=3) for trial in chunk]


def of(condition: Condition, trials: list[Trial] = FOUND) -> list[Trial]:
    return [trial for trial in trials if trial.condition == condition]


def test_every_condition_is_tried_on_as_many_groups() -> None:
    assert tuple(TITLES) == CONDITIONS
    for condition in CONDITIONS:
        trials = of(condition)
        assert len(trials) == len({trial.example_id for trial in trials}) == (6 if "nothing" in condition else TRIALS)


def test_verbatim_and_reordered_passages_are_found_whole_and_nothing_is_found_where_nothing_is() -> None:
    texts = {example.id: example.text for example in MEMBERS}
    for trial in [*of("verbatim"), *of("reordered")]:
        assert trial.planted is not None
        assert trial.kind == "verbatim"
        assert trial.found_chars >= len(trial.planted) - 12
        assert trial.false_chars <= 2  # the full stop and the space before it
    for trial in of("verbatim"):
        assert trial.planted is not None
        assert trial.planted.of(trial.text) in texts[trial.example_id]
    assert {(trial.kind, trial.false_chars) for trial in [*of("nothing"), *of("nothing-alike")]} == {(None, 0)}


def test_most_edited_and_condensed_passages_are_found_in_the_right_kind() -> None:
    for condition in ("edited-5", "edited-10", "edited-20", "condensed", "expanded"):
        assert sum(map(is_right, of(condition))) >= 0.8 * TRIALS, condition


def test_trials_do_not_depend_on_the_order_of_the_members_and_go_on_after_finished_conditions() -> None:
    again = [*run_trials(random.Random(1).sample(MEMBERS, 30), HOSTS, aligner(), seed=3, done=9)]
    assert [trial for chunk in again for trial in chunk] == [*of("nothing"), *of("nothing-alike")]
    turned = next(run_trials(MEMBERS[::-1], HOSTS, aligner(), seed=3))
    assert turned == of("verbatim")
    assert next(run_trials(MEMBERS, HOSTS, aligner(), seed=4)) != turned


def test_a_group_is_tried_once_and_never_in_its_own_text() -> None:
    twins = [replace(example, id=f"{example.id}b") for example in MEMBERS]
    own = [replace(host, group=example.group) for host, example in zip(HOSTS, MEMBERS, strict=False)]
    chunk = next(run_trials([*MEMBERS, *twins], own, aligner(), seed=0))
    groups = {example.id: example.group for example in [*MEMBERS, *twins]}
    assert len({groups[trial.example_id] for trial in chunk}) == len(chunk) == TRIALS
    host_groups = {host.id: host.group for host in own}
    assert all(groups[trial.example_id] != host_groups[trial.host_id] for trial in chunk)


def test_passages_come_from_the_completion() -> None:
    prompted = [replace(one, prompt=invented(f"prompt {one.id}"), completion=one.completion) for one in MEMBERS]
    for trial in next(run_trials(prompted, HOSTS, aligner(), seed=0)):
        assert trial.planted is not None
        assert trial.planted.of(trial.text) in next(one.completion for one in prompted if one.id == trial.example_id)


def test_without_members_or_other_texts_there_are_no_trials() -> None:
    for members_, hosts_ in (([], HOSTS), (MEMBERS, [])):
        chunks = [*run_trials(members_, hosts_, aligner(), seed=0)]
        assert len(chunks) == len(CONDITIONS)
        assert not [trial for chunk in chunks[:9] for trial in chunk]


@pytest.mark.parametrize("preset", ["pan2015", "zeng2024", "udsa2026"])
def test_published_presets_are_tried_too(preset: str) -> None:
    chunks = run_trials(MEMBERS, HOSTS, aligner(preset), seed=0)  # type: ignore[arg-type]
    assert sum(trial.kind == "verbatim" for trial in next(chunks)) > 0.8 * TRIALS


def test_hostile_members_and_texts_are_tried() -> None:
    draw = random.Random(5)
    texts = [hostile.text_of(draw.randrange) for _ in range(40)]
    records = [Example(f"{i}", text[:20], text[20:], "member", f"{i}") for i, text in enumerate(texts)]
    others = [Host(f"h{i}", f"h{i}", f"h{i}", text, ()) for i, text in enumerate(texts[:9]) if text]
    for chunk in run_trials(records, others, aligner(), seed=0):
        for trial in chunk:
            hostile.assert_inside(trial.planted or Span(0, 0), trial.text)
            assert 0 <= trial.found_chars + trial.false_chars <= len(trial.text)


# What counts as right, and as a false alarm


def planted_text(training: str, passage: str, around: str, *others: str) -> PlantedText:
    text, place = insert(passage, around, language="en", draw=random.Random(0))
    start = training.index(passage)
    plant = Plant(passage, training, Span(start, start + len(passage)), ("verbatim",))
    return PlantedText("verbatim", "m", "h", text, others, plant, place)


def test_only_the_planted_passage_in_its_own_text_counts_as_found() -> None:
    passage, around = invented("passage", count=2), invented("around", count=4)
    training = f"{invented('before', count=2)} {passage}"
    good = try_text(planted_text(training, passage, around), aligner())
    assert (good.kind, good.found_chars) == ("verbatim", len(passage))
    assert good.false_chars <= 2
    copied = try_text(planted_text(training, passage, around, f"{around} {passage}"), aligner())
    assert (copied.kind, copied.found_chars) == ("verbatim", len(passage))
    assert copied.false_chars >= len(around) - 2
    other = planted_text(training, passage, around, passage)
    assert other.plant is not None
    elsewhere = replace(other, plant=replace(other.plant, training=invented("before", count=5)))
    lost = try_text(elsewhere, aligner())
    assert (lost.kind, lost.found_chars, lost.false_chars) == (None, 0, 0)


def test_a_match_at_another_place_of_the_training_text_is_not_right() -> None:
    passage = invented("passage", count=2)
    text = planted_text(f"{passage} {invented('behind', count=3)}", passage, invented("around", count=3))
    assert text.plant is not None
    moved = replace(text.plant, counterpart=Span(len(passage) + 5, len(passage) + 60))
    assert try_text(replace(text, plant=moved), aligner()).kind is None


def test_what_is_found_where_nothing_was_planted_is_a_false_alarm() -> None:
    text = invented("text", count=3)
    trial = try_text(PlantedText("nothing", "m", "h", text, [invented("far"), text]), aligner())
    assert (trial.kind, trial.expected, trial.false_chars, trial.planted) == ("verbatim", (), len(text), None)
    assert not is_right(trial)


# The texts that passages are planted in


def example(name: str, split: str) -> Example:
    return Example(name, "", f"text of {name}", split, f"group {name}")  # type: ignore[arg-type]


def generation(example_id: str, model: str, text: str = "Some words of a text.") -> Generation:
    return Generation(f"{example_id}-{model}", f"{example_id}-p", example_id, model, "greedy", 0, text)


EXAMPLES = {one.id: one for one in [example(f"m{i}", "member") for i in range(6)] + [example(f"n{i}", "non-member") for i in range(6)]}  # fmt: skip
GENERATIONS = [generation(name, model) for name in EXAMPLES for model in ("tuned", "base", "true-suffix", "shuffled")]


def test_passages_are_planted_in_non_members_own_texts_first() -> None:
    chosen = choose_hosts(GENERATIONS, [], EXAMPLES)
    assert {host.id for host in chosen} == {f"n{i}-true-suffix" for i in range(6)}
    few = [one for one in GENERATIONS if one.id not in ("n0-true-suffix", "n1-true-suffix")]
    assert {host.id.split("-", 1)[1] for host in choose_hosts(few, [], EXAMPLES)} == {"true-suffix", "base"}
    members_alone = [one for one in GENERATIONS if one.example_id[0] == "m" and one.model in ("tuned", "true-suffix")]
    assert {host.id for host in choose_hosts(members_alone, [], EXAMPLES)} == {f"m{i}-true-suffix" for i in range(6)}


def test_texts_that_repeat_themselves_or_have_no_words_are_no_hosts() -> None:
    odd = [generation("n0", "true-suffix", "ha" * 40), generation("n1", "true-suffix", " … ")]
    assert choose_hosts(odd, [], EXAMPLES) == []


def test_the_texts_most_like_a_host_are_those_that_retrieval_found_but_its_own() -> None:
    found = [Candidate("n0-true-suffix", name, rank, 1.0) for rank, name in ((2, "m2"), (1, "m1"), (3, "n0"))]
    host = next(host for host in choose_hosts(GENERATIONS, found, EXAMPLES) if host.id == "n0-true-suffix")
    assert host.alike == ("text of m1", "text of m2")


# The rows of the report


def trial(condition: Condition, kind: Kind | None, number: int, *, direction: Direction = "none", **more: int) -> Trial:
    is_planted = "nothing" not in condition
    expected: tuple[Kind, ...] = {"condensed": ("idea",), "verbatim": ("verbatim",)}.get(condition, ())  # type: ignore[assignment]
    chars = {"found_chars": 0, "false_chars": 0, **more}
    return Trial(condition, f"e{number}", "h", "x" * 90, Span(0, 80) if is_planted else None, expected, kind, direction, **chars)  # fmt: skip


def rows_of(trials: list[Trial]) -> dict[Condition, tuple[int, int | None, int | None]]:
    groups = {one.example_id: one.example_id for one in trials}
    return {row.condition: (row.right.n, row.right.events, row.found.events) for row in detector_rows(trials, groups)}


def test_rows_count_texts_by_kind_and_say_what_is_right() -> None:
    trials = [trial("condensed", "idea", i, direction="condensed", found_chars=80) for i in range(4)]
    trials += [trial("condensed", "idea", 5, direction="expanded"), trial("condensed", "paraphrase", 6)]
    trials += [trial("condensed", None, 7, false_chars=10), trial("nothing", "weak-paraphrase", 1)]
    trials += [trial("nothing", None, i) for i in range(2, 7)] + [trial("nothing", "verbatim", 8)]
    found = {row.condition: row for row in detector_rows(trials, {})}
    condensed, nothing = found["condensed"], found["nothing"]
    assert condensed.kinds == (0, 0, 1, 5, 0, 1)
    assert condensed.right_kinds == (0, 0, 0, 4, 0, 0)
    assert (condensed.right.events, condensed.found.events, condensed.right.n) == (4, 6, 7)
    assert condensed.recalled_chars is not None
    assert condensed.recalled_chars.value == pytest.approx(4 / 7)
    assert condensed.precise_chars is not None
    assert condensed.precise_chars.value == pytest.approx(320 / 330)
    assert (nothing.right.events, nothing.found.events) == (6, 2)
    assert nothing.recalled_chars is None
    assert nothing.right.low is not None
    assert nothing.right.low < 6 / 7 < (nothing.right.high or 0)


def test_too_few_records_give_no_figure_but_a_reason() -> None:
    found = {row.condition: row for row in detector_rows([trial("verbatim", "verbatim", i) for i in range(4)], {})}
    assert (found["verbatim"].right.value, found["verbatim"].right.events) == (None, 4)
    assert found["verbatim"].right.reason == "only 4 independent records; at least 5 are needed"
    assert found["condensed"].right.reason == NONE_FITS
    assert found["condensed"].recalled_chars is not None
    assert found["condensed"].recalled_chars.reason == NONE_FITS


def test_records_of_one_group_are_one_piece_of_evidence() -> None:
    trials = [trial("verbatim", "verbatim", i) for i in range(8)]
    groups = {one.example_id: "the same" for one in trials}
    (row, *_) = detector_rows(trials, groups)
    assert row.right.reason == "only 1 independent records; at least 5 are needed"


def test_no_trials_no_rows() -> None:
    assert detector_rows([], {}) == []
    assert rows_of([trial("verbatim", None, i) for i in range(5)])["verbatim"] == (5, 0, 0)
