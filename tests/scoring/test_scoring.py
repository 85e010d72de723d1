"""Scores and estimates from hand-made records: kinds, controls, duplicates, strata, comparisons, gates, `METRICS`."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import MemoryStore, token_statistics
from rote.config import AuditConfig, ScoringConfig
from rote.errors import ConfigError
from rote.records import (
    KINDS,
    Candidate,
    Comparison,
    Estimate,
    ExactRun,
    Example,
    Generation,
    Kind,
    Match,
    Prompt,
    Reproduction,
    Score,
    Source,
    Span,
    TokenScores,
)
from rote.scoring import (
    METRICS,
    check_gates,
    check_measurable,
    estimate,
    metric_of,
    parse_gate,
    score_generations,
    score_likelihood,
    score_reproductions,
    strata,
)
from rote.scoring.likelihood_scores import score_against_base
from rote.scoring.metrics import (
    ANY_OF_N_METRICS,
    KIND_METRICS,
    LIKELIHOOD_METRICS,
    PAIRED_METRICS,
    SEPARATING_METRICS,
)
from rote.scoring.outcomes import covered_chars

PROSE = (
    "The gardener came in on Tuesday with a burning pain below her left shoulder blade, worse at night, and told me "
    "that neither heat nor rest had helped since the frost in March; I ordered blood counts and a picture of the chest."
)
CUMULATIVE = ("at_least_near_verbatim", "at_least_paraphrase", "at_least_idea")


def example(number: int, *, split: str = "member", group: str = "", copies: int = 1) -> Example:
    return Example(f"e{number:03}", "", f"{number} {PROSE}", split, group or f"g{number}", copies)  # type: ignore[arg-type]


def prompt(owner: Example, *, text: str = "", reference: str = PROSE) -> Prompt:
    return Prompt(f"p{owner.id}", owner.id, text or f"prompt of {owner.id}", reference)


def generation(shown: Prompt, *, model: str = "tuned", sample: int = 0, text: str = PROSE) -> Generation:
    return Generation(f"{shown.id}-{model}-{sample}", shown.id, shown.example_id, model, "greedy", sample, text)


FIRST_60 = Span(0, 60)


def match(of: Generation, *, kind: Kind = "verbatim", span: Span = FIRST_60, **others: object) -> Match:
    plain = Match(of.id, of.example_id, 1, span, span, kind, "none", 1.0, None, False, False)
    return replace(plain, **others)  # type: ignore[arg-type]


def reproduction(of: Generation, *spans: Span) -> Reproduction:
    runs = tuple(ExactRun(span, len(span), 2, 1, (Source(of.example_id, span),)) for span in spans)
    return Reproduction(of.id, max(map(len, spans), default=7), runs)


def values(scores: Sequence[Score]) -> dict[str, float | None]:
    return {score.metric: score.value for score in scores}


OWNER = example(1)
SHOWN = prompt(OWNER)
GENERATED = generation(SHOWN)


def scored(matches: Sequence[Match], of: Generation = GENERATED, shown: Prompt = SHOWN) -> dict[str, float | None]:
    return values(list(score_generations([of], matches, [shown])))


# Scores of one generation


@pytest.mark.parametrize(
    ("kinds", "exclusive", "cumulative"),
    [
        (["verbatim", "idea"], "verbatim", (1, 1, 1)),
        (["near-verbatim", "paraphrase"], "near_verbatim", (1, 1, 1)),
        (["idea", "paraphrase"], "paraphrase", (0, 1, 1)),
        (["weak-paraphrase", "idea"], "idea", (0, 0, 1)),
        (["weak-paraphrase"], "weak_paraphrase", (0, 0, 0)),
        ([], None, (0, 0, 0)),
    ],
)
def test_the_most_severe_match_decides(kinds: list[Kind], exclusive: str | None, cumulative: tuple[int, ...]) -> None:
    found = scored([match(GENERATED, kind=kind) for kind in kinds])
    names = [kind.replace("-", "_") for kind in KINDS]
    assert [name for name in names if found[name]] == ([exclusive] if exclusive else [])
    assert tuple(found[name] for name in CUMULATIVE) == cumulative


def test_what_was_copied_or_is_generic_does_not_count_but_is_told() -> None:
    found = scored([match(GENERATED, in_prompt=True), match(GENERATED, kind="idea", generic=True)])
    assert (found["copied_from_prompt"], found["generic"], found["at_least_idea"]) == (1.0, 1.0, 0.0)
    assert found["verbatim_chars_share"] == 0.0
    found = scored([match(GENERATED, in_prompt=True), match(GENERATED, kind="paraphrase")])
    assert (found["copied_from_prompt"], found["generic"], found["paraphrase"]) == (1.0, 0.0, 1.0)


def test_mode_collapse_is_filtered_and_counted() -> None:
    collapsed = generation(SHOWN, text="I am very sorry to hear that. " * 12)
    found = scored([match(collapsed), match(collapsed, kind="idea")], of=collapsed)
    assert found["repetitive"] == 1.0
    assert all(found[name] == 0.0 for name in KIND_METRICS)
    assert scored([])["repetitive"] == 0.0


def test_verbatim_characters_are_counted_once() -> None:
    spans = [Span(0, 60), Span(40, 100), Span(150, 151)]
    found = scored([match(GENERATED, span=span) for span in spans] + [match(GENERATED, kind="idea", span=Span(0, 200))])
    assert found["verbatim_chars_share"] == pytest.approx(101 / len(PROSE))
    assert covered_chars([]) == 0


@pytest.mark.parametrize(
    ("generated", "reference"), [(PROSE[:49], PROSE), (PROSE, PROSE[:49]), ("", PROSE), (PROSE, "")]
)
def test_too_short_is_none_with_the_reason(generated: str, reference: str) -> None:
    shown = prompt(OWNER, reference=reference)
    of = generation(shown, text=generated)
    scores = list(score_generations([of], [], [shown]))
    found = {score.metric: score for score in scores}
    for name in (*KIND_METRICS, "verbatim_chars_share", "copied_from_prompt", "generic"):
        assert (found[name].value, found[name].reason) == (None, "shorter than 50 characters")
    assert found["repetitive"].value == 0.0
    for name in ("rouge_l", "edit_similarity", "longest_common_run"):
        assert (found[name].value is None) == (len(reference) < 50)
    assert values(list(score_generations([of], [], [shown], min_chars=0)))["verbatim"] == 0.0


def test_fifty_characters_are_enough() -> None:
    shown = prompt(OWNER, reference=PROSE[:50])
    assert scored([], of=generation(shown, text=PROSE[:50]), shown=shown)["verbatim"] == 0.0


def test_overlap_is_with_the_own_reference() -> None:
    found = scored([], of=generation(SHOWN, text=PROSE + " and more was said"))
    assert (found["rouge_l"], found["edit_similarity"], found["longest_common_run"]) == (1.0, 1.0, len(PROSE) - 1)


@pytest.mark.parametrize("text", ["<script>" * 20, "\x1b[31m" * 30, "\u202e" * 60, "\ud800 x" * 30, "\x00" * 70])
def test_hostile_generations_are_scored(text: str) -> None:
    shown = prompt(OWNER, reference=text)
    found = scored([], of=generation(shown, text=text), shown=shown)
    assert found["verbatim"] == 0.0


def test_scores_come_in_the_order_of_the_generations_for_any_order_of_matches() -> None:
    owners = [example(number) for number in range(6)]
    prompts = [prompt(owner) for owner in owners]
    texts = [generation(shown) for shown in prompts]
    matches = [match(of, kind=kind) for of, kind in zip(texts, KINDS, strict=False)] + [match(texts[0], kind="idea")]
    whole = list(score_generations(texts, matches, prompts))
    assert list(score_generations(texts, matches[::-1], prompts[::-1])) == whole
    assert list(dict.fromkeys(score.subject_id for score in whole)) == [of.id for of in texts]


def test_likelihood_scores() -> None:
    passes = [TokenScores("p", "e", "tuned", "k", 1, 4, False), TokenScores("q", "e", "base", "none", 0, 0, False)]
    known = {"k": token_statistics([-9, -0.5, -0.5, -2], [False, True, True, False]), "none": token_statistics([], [])}
    store = MemoryStore(known)
    config = ScoringConfig(suffix_tokens=2)
    scores = score_likelihood(passes, store, schemes=["t1"], config=config)
    found = {(score.subject_id, score.metric): score for score in scores}
    assert found["p-tuned", "extractable"].value == 1.0
    assert found["p-tuned", "exact_memorization"].value == pytest.approx(2 / 3)
    assert found["p-tuned", "loss"].value == 1.0
    assert found["q-base", "extractable"].reason == "fewer than 2 tokens"
    assert found["q-base", "loss"].reason == "no token to score"
    config = ScoringConfig(suffix_tokens=4)
    longer = values(list(score_likelihood(passes[:1], store, schemes=["t1"], config=config)))
    assert longer["extractable"] is None
    assert longer["loss"] == 1.0


# Estimates of a small run with planted truth


class Study:
    """20 members (of 1 or 4 copies) and 10 non-members; the tuned model gives back the members 0-7 verbatim."""

    def __init__(self) -> None:
        self.examples = [example(n, copies=4 if n < 10 else 1) for n in range(20)]
        self.examples += [example(n, split="non-member") for n in range(20, 30)]
        self.prompts = [prompt(owner) for owner in self.examples]
        models = ("tuned", "base", "true-suffix", "shuffled")
        self.generations = [generation(shown, model=model) for model in models for shown in self.prompts]
        remembered = {"tuned": range(8), "base": range(2), "true-suffix": range(30), "shuffled": range(0)}
        number = {shown.id: n for n, shown in enumerate(self.prompts)}
        self.matches = [match(g) for g in self.generations if number[g.prompt_id] in remembered[g.model]]
        self.candidates = [
            Candidate(g.id, g.example_id, 1, 9.0)
            if number[g.prompt_id] != 19
            else Candidate(g.id, g.example_id, 11, 0.0)
            for g in self.generations
        ]
        self.reproductions = [reproduction(g, FIRST_60) for g in self.generations if g.model != "shuffled"]
        self.passes = [
            TokenScores(shown.id, shown.example_id, model, f"{shown.id}-{model}", 0, 60, False)
            for model in ("tuned", "base")
            for shown in self.prompts
        ]
        self.store = MemoryStore(
            {
                f"{shown.id}-{model}": token_statistics((-0.1 * n - 0.1,) * 60, (n in remembered[model],) * 60)
                for model in ("tuned", "base")
                for n, shown in enumerate(self.prompts)
            }
        )

    def scores(self) -> list[Score]:
        of_generations = score_generations(self.generations, self.matches, self.prompts)
        of_reproductions = score_reproductions(self.reproductions, self.generations)
        of_passes = score_likelihood(self.passes, self.store, schemes=["t1"], config=ScoringConfig())
        tuned, base = ([item for item in self.passes if item.model == name] for name in ("tuned", "base"))
        over_base = score_against_base(tuned, {item.prompt_id: item for item in base}, self.store)
        return [*of_generations, *of_reproductions, *of_passes, *over_base]

    def estimated(self, **others: object) -> tuple[list[Estimate], list[Comparison]]:
        return estimate(
            examples=self.examples,
            prompts=self.prompts,
            generations=self.generations,
            candidates=self.candidates,
            matches=self.matches,
            reproductions=self.reproductions,
            scores=self.scores(),
            depth=10,
            draws=(1, 100),
            chances=(0.5,),
            **others,  # type: ignore[arg-type]
        )

    def found(self) -> dict[tuple[str, str, str, str], Estimate]:
        return {(e.metric, e.model, e.split, e.stratum): e for e in self.estimated()[0]}


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, str, str, str], Estimate]:
    return Study().found()


def test_rates_are_counted(found: dict[tuple[str, str, str, str], Estimate]) -> None:
    tuned = found["verbatim", "tuned", "member", "all"]
    assert (tuned.value, tuned.events, tuned.n, tuned.n_missing) == (0.4, 8, 20, 0)
    assert tuned.low == pytest.approx(0.2188, abs=1e-4)
    assert tuned.high == pytest.approx(0.6134, abs=1e-4)
    assert found["extractable", "base", "member", "all"].value == 0.1
    assert found["extractable", "tuned", "non-member", "all"].events == 0
    assert found["exact_memorization", "tuned", "member", "all"].value == pytest.approx(0.4)
    assert found["loss", "tuned", "member", "all"].value == pytest.approx(1.05)


def test_controls_are_reported_and_the_true_suffix_is_found(found: dict[tuple[str, str, str, str], Estimate]) -> None:
    for split in ("member", "non-member"):
        assert found["verbatim", "true-suffix", split, "all"].value == 1.0
        assert found["verbatim", "shuffled", split, "all"].value == 0.0
        assert found["rouge_l", "true-suffix", split, "all"].value == 1.0
    assert found["verbatim", "shuffled", "member", "all"].high < 0.2  # type: ignore[operator]


def test_strata(found: dict[tuple[str, str, str, str], Estimate]) -> None:
    assert (
        found["verbatim", "tuned", "member", "copies=4"].value,
        found["verbatim", "tuned", "member", "copies=1"].value,
    ) == (0.8, 0.0)
    assert ("verbatim", "tuned", "non-member", "copies=1") not in found
    low = found["extractable", "tuned", "member", "overlap=low"]
    assert (low.n, low.events) == (10, 0)
    assert not any(key[3].startswith("length=") for key in found), "all references are equally long"
    by_origin = {*KIND_METRICS, "verbatim_chars_share", "verbatim_chars_per_1000"}
    assert {key[0] for key in found if key[3].startswith("match=")} == by_origin


def test_length_strata_are_terciles_over_both_splits() -> None:
    study = Study()
    study.prompts = [replace(p, reference=PROSE[: 60 + 4 * n]) for n, p in enumerate(study.prompts)]
    found = study.found()
    sizes = {s: found["loss", "tuned", "member", f"length={s}"].n for s in ("short", "medium")}
    assert sizes == {"short": 10, "medium": 10}
    assert found["loss", "tuned", "non-member", "length=long"].n == 10
    assert ("loss", "tuned", "member", "length=long") not in found


def test_same_record_and_cross_record_are_kept_apart() -> None:
    study = Study()
    study.examples[6] = replace(study.examples[6], group="g5")
    study.matches = [match(study.generations[n]) for n in range(4)]
    study.matches += [match(study.generations[n], example_id="e019", kind="idea") for n in (3, 4)]
    study.matches += [match(study.generations[5], example_id="e006", kind="paraphrase")]
    found = study.found()
    events = {
        (metric, stratum): found[metric, "tuned", "member", stratum].events
        for metric in ("verbatim", "paraphrase", "idea", "at_least_idea")
        for stratum in ("all", "match=same-record", "match=cross-record")
    }
    assert [events["verbatim", s] for s in ("all", "match=same-record", "match=cross-record")] == [4, 4, 0]
    assert [events["paraphrase", s] for s in ("all", "match=same-record", "match=cross-record")] == [1, 1, 0]
    assert [events["idea", s] for s in ("all", "match=same-record", "match=cross-record")] == [1, 0, 2]
    assert [events["at_least_idea", s] for s in ("all", "match=same-record", "match=cross-record")] == [6, 5, 2]


def test_retrieval_recall_is_before_the_own_record_was_added(found: dict[tuple[str, str, str, str], Estimate]) -> None:
    recall = found["retrieval_recall", "tuned", "member", "all"]
    assert (recall.events, recall.n) == (19, 20)
    assert {key[1:3] for key in found if key[0] == "retrieval_recall"} == {
        (model, "member") for model in ("tuned", "base", "true-suffix")
    }


def test_recall_of_runs_is_of_the_prompts_that_have_one() -> None:
    study = Study()
    other = Source("e001", FIRST_60)
    study.reproductions = [
        reproduction(g, *([FIRST_60] if number in (0, 1, 19) else []))
        for number, g in enumerate(study.generations[:30])
    ]
    missed = replace(study.reproductions[1].runs[0], sources=(other, Source("e002", FIRST_60)))
    study.reproductions[1] = replace(study.reproductions[1], runs=(study.reproductions[1].runs[0], missed))
    assert study.reproductions[1].generation_id == study.generations[1].id
    study.candidates = [replace(c, example_id="e000") if c.example_id == "e001" else c for c in study.candidates]
    found = study.found()
    recall = found["verbatim_retrieval_recall", "tuned", "member", "all"]
    assert (recall.events, recall.n) == (1, 3)
    assert ("verbatim_retrieval_recall", "tuned", "non-member", "all") not in found


def test_reproduced_characters_are_counted_once() -> None:
    item = reproduction(GENERATED, Span(0, 60), Span(40, 100), Span(150, 201))
    found = values(list(score_reproductions([item], [GENERATED])))
    assert found["reproduced_share"] == pytest.approx(151 / len(PROSE))
    assert found["longest_reproduced_run"] == 60
    short = generation(SHOWN, text=PROSE[:49])
    scores = {score.metric: score for score in score_reproductions([reproduction(short)], [short])}
    assert scores["reproduced_share"].reason == "shorter than 50 characters"
    assert scores["longest_reproduced_run"].value == 7


def test_verbatim_characters_per_1000_is_a_ratio_of_sums() -> None:
    study = Study()
    study.generations = [replace(g, text=g.text[:100]) if g.prompt_id == "pe000" else g for g in study.generations]
    found = study.found()
    characters = 100 + 19 * len(PROSE)
    assert found["verbatim_chars_per_1000", "tuned", "member", "all"].value == pytest.approx(1000 * 8 * 60 / characters)
    shares = (60 / 100 + 7 * 60 / len(PROSE)) / 20
    assert found["verbatim_chars_share", "tuned", "member", "all"].value == pytest.approx(shares)


def test_duplicate_prompts_count_once_above_and_below_the_line() -> None:
    study = Study()
    plain = study.found()
    twins = [replace(p, id=f"{p.id}-twin", reference=p.reference) for p in study.prompts[:8]]
    models = ("tuned", "base", "true-suffix", "shuffled")
    study.generations += [generation(twin, model=model) for model in models for twin in twins]
    study.matches += [match(g) for g in study.generations if g.prompt_id.endswith("twin")]
    study.passes += [replace(study.passes[n], prompt_id=twin.id) for n, twin in enumerate(twins)]
    study.prompts += twins
    assert study.found() == plain


def test_equal_prompts_with_different_continuations_are_one_generation_but_several_extractions() -> None:
    study = Study()
    study.prompts = [
        replace(p, text="a system prompt", reference=f"{p.reference} {n}") for n, p in enumerate(study.prompts)
    ]
    study.passes = study.passes[:]
    found = study.found()
    assert found["loss", "tuned", "member", "all"].n == 20
    refused = found["verbatim", "tuned", "member", "all"]
    assert (refused.n, refused.value) == (1, None)
    assert refused.reason == "only 1 independent records; at least 5 are needed"


def test_duplicate_groups_widen_the_intervals() -> None:
    study = Study()
    alone = study.found()["verbatim", "tuned", "member", "all"]
    study.examples = [replace(e, group=f"g{n // 3}") for n, e in enumerate(study.examples)]
    together = study.found()["verbatim", "tuned", "member", "all"]
    assert together.value == alone.value
    assert together.low < alone.low  # type: ignore[operator]
    assert together.high > alone.high  # type: ignore[operator]


def test_what_cannot_be_measured_is_missing_not_zero() -> None:
    study = Study()
    study.prompts[:4] = [replace(p, reference=PROSE[:20]) for p in study.prompts[:4]]
    study.prompts[20:] = [replace(p, reference=PROSE[:20]) for p in study.prompts[20:]]
    lost = [example(100 + n) for n in range(3)]
    study.examples += lost
    estimates, _ = study.estimated(unmeasurable=[Score(e.id, "prompt", None, "no suffix") for e in lost])
    found = {(e.metric, e.model, e.split, e.stratum): e for e in estimates}
    members = found["verbatim", "tuned", "member", "all"]
    assert (members.events, members.n, members.n_missing, members.value) == (4, 16, 4 + 3, 0.25)
    assert found["loss", "tuned", "member", "all"].n_missing == 3
    nothing = found["verbatim", "tuned", "non-member", "all"]
    assert (nothing.value, nothing.low, nothing.n, nothing.n_missing) == (None, None, 0, 10)
    assert nothing.reason == "shorter than 50 characters (10 of 10)"


def test_without_base_model_and_nonmembers_the_rest_is_estimated() -> None:
    study = Study()
    study.examples, study.prompts = study.examples[:20], study.prompts[:20]
    kept = {p.id for p in study.prompts}
    study.generations = [g for g in study.generations if g.model == "tuned" and g.prompt_id in kept]
    study.matches = [m for m in study.matches if m.generation_id.endswith("tuned-0") and m.example_id < "e020"]
    study.passes = [p for p in study.passes if p.model == "tuned" and p.prompt_id in kept]
    estimates, comparisons = study.estimated()
    assert comparisons == []
    assert {(e.model, e.split) for e in estimates} == {("tuned", "member")}
    assert not any(e.stratum.startswith("overlap") for e in estimates)


def test_nothing_gives_nothing() -> None:
    empty = estimate(examples=[], prompts=[], generations=[], candidates=[], matches=[], scores=[], depth=10)
    assert empty == ([], [])


def test_any_of_n_samples() -> None:
    study = Study()
    study.generations += [generation(p, sample=1) for p in study.prompts]
    study.matches += [
        match(g, kind="idea") for g in study.generations if g.sample == 1 and g.prompt_id in ("pe000", "pe015")
    ]
    found = study.found()
    rates = {
        name: found[name, "tuned", "member", "all"].events
        for name in ("at_least_idea", "at_least_idea@2", "verbatim@2")
    }
    assert rates == {"at_least_idea": 8, "at_least_idea@2": 9, "verbatim@2": 8}
    with_any = {key[0].partition("@")[0] for key in found if key[0].endswith("@2")}
    assert with_any == set(ANY_OF_N_METRICS) & {key[0] for key in found}
    assert not any(key[0].endswith("@2") for key in found if key[1] == "base")


def test_comparisons_are_paired() -> None:
    _, comparisons = Study().estimated()
    assert [(c.metric, c.split) for c in comparisons] == [
        (m, s) for m in PAIRED_METRICS for s in ("member", "non-member")
    ]
    members = comparisons[0]
    assert (members.first, members.second, members.both, members.only_first, members.only_second, members.neither) == (
        "tuned", "base", 2, 6, 0, 12,
    )  # fmt: skip
    assert members.p_value == pytest.approx(2 * 0.5**6)
    assert members.difference == pytest.approx(0.3)
    assert members.low <= members.difference <= members.high
    assert comparisons[1].p_value == 1.0


def test_the_order_of_the_inputs_is_irrelevant() -> None:
    study, draw = Study(), random.Random(0)
    study.generations += [generation(p, sample=1) for p in study.prompts]
    first = study.estimated()
    for part in (study.examples, study.prompts, study.generations, study.candidates, study.matches, study.passes):
        draw.shuffle(part)  # type: ignore[arg-type]
    assert study.estimated() == first
    strata = [e.stratum for e in first[0] if (e.metric, e.model, e.split) == ("verbatim", "tuned", "member")]
    assert strata == ["all", "copies=1", "copies=4", "match=same-record", "match=cross-record", "overlap=low"]
    names = list(dict.fromkeys(e.metric.partition("@")[0] for e in first[0]))
    assert names == [name for name in METRICS if name in names]


@settings(max_examples=10)
@given(st.lists(st.tuples(st.integers(0, 29), st.sampled_from(KINDS), st.booleans(), st.booleans()), max_size=40))
def test_laws_of_estimates(rows: list[tuple[int, Kind, bool, bool]]) -> None:
    study = Study()
    study.matches = [match(study.generations[n], kind=k, in_prompt=p, generic=g) for n, k, p, g in rows]
    found = study.found()
    for item in found.values():
        if item.value is not None:
            assert item.low <= item.value <= item.high  # type: ignore[operator]
            metric = metric_of(item.metric)
            assert metric.low <= item.low <= item.high <= metric.high  # type: ignore[operator]
            assert item.reason is None
        if metric_of(item.metric).estimator == "rate":
            assert item.value is None or item.value == pytest.approx(item.events / item.n)  # type: ignore[operator]
    for _, model, split, stratum in {key for key in found if key[0] == "verbatim"}:
        events = {name: found[name, model, split, stratum].events or 0 for name in KIND_METRICS}
        exclusive = [events[name] for name in ("verbatim", "near_verbatim", "paraphrase", "idea")]
        assert [events[name] for name in CUMULATIVE] == [sum(exclusive[: n + 2]) for n in range(3)]
        assert sum(exclusive) + events["weak_paraphrase"] <= found["verbatim", model, split, stratum].n


@settings(max_examples=6)
@given(st.integers(0, 19), st.sampled_from(KINDS[:4]))
def test_more_memory_never_lowers_a_rate(number: int, kind: Kind) -> None:
    study = Study()
    before = study.found()
    study.matches.append(match(study.generations[number], kind=kind))
    after = study.found()
    for name in ("verbatim", *CUMULATIVE, "verbatim_chars_share", "verbatim_chars_per_1000"):
        key = (name, "tuned", "member", "all")
        assert after[key].value >= before[key].value  # type: ignore[operator]


# Gates


def figure(metric: str, value: float | None, **others: object) -> Estimate:
    bound = None if value is None else value
    reason = "only 2 independent records; at least 5 are needed" if value is None else None
    plain = Estimate(metric, "tuned", "member", "all", value, bound, bound, 20, 0, "Wilson", None, reason)
    return replace(plain, **others)  # type: ignore[arg-type]


def test_gates_hold_or_are_breached() -> None:
    figures = [
        figure("verbatim", 0.2),
        figure("verbatim", 0.9, split="non-member"),
        figure("verbatim", 0.9, model="base"),
        figure("verbatim", 0.9, stratum="copies=4"),
    ]
    assert check_gates(figures, [], [parse_gate("verbatim=0.2"), parse_gate("verbatim = 0.3")]) == []
    (breach,) = check_gates(figures, [], [parse_gate("verbatim=0.19")])
    assert breach.outcome == "above"
    assert breach.message == "verbatim = 0.2, above 0.19 (interval [0.2, 0.2], n = 20)"


def test_a_gate_that_cannot_be_measured_is_not_passed() -> None:
    gates = [parse_gate("idea=0.9"), parse_gate("extractable=0"), parse_gate("verbatim@8=0.5")]
    breaches = check_gates([figure("idea", None)], [], gates)
    assert [breach.outcome for breach in breaches] == ["not measured"] * 3
    assert breaches[0].message == "idea: could not measure: only 2 independent records; at least 5 are needed"
    assert breaches[1].message == "extractable: could not measure: no figure of it in this run"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("verbatim", r"expected metric=value or statistic:metric=value, found 'verbatim'"),
        ("verbtim=0.1", r"unknown metric 'verbtim' \(did you mean 'verbatim'\?\)"),
        ("x=0.1", r"unknown metric 'x' \(known: extractable, verbatim,"),
        ("verbatim@=0.1", r"unknown metric 'verbatim@'"),
        ("acu:zlib=0.6", r"unknown statistic 'acu' \(did you mean 'auc'\?\)"),
        ("auc:zlb=0.6", r"unknown metric 'zlb' \(did you mean 'zlib'\?\)"),
        ("verbatim=1 %", r"verbatim needs a number, found '1 %'"),
        ("verbatim=nan", r"verbatim needs a number, found 'nan'"),
        ("verbatim=", r"verbatim needs a number, found ''"),
        ("extractable=5", r"extractable=5 can never be breached: extractable lies in 0\.\.1.*5 % is 0\.05"),
        ("extractable=1", r"can never be breached"),
        ("extractable=-0.1", r"extractable=-0\.1 can only be breached: extractable lies in 0\.\.1"),
        ("utility_bleu=100", r"utility_bleu lies in 0\.\.100"),
        ("similarity_own=1", r"similarity_own lies in -1\.\.1"),
        ("verbatim_chars_per_1000=1000", r"lies in 0\.\.1000"),
        ("auc:min_k=1.5", r"auc:min_k lies in 0\.\.1"),
        ("auc_over_base:min_k=1", r"auc_over_base:min_k lies in -1\.\.1"),
        ("min_k=0.5", r"min_k is a membership score.*auc:min_k or tpr@0\.1:min_k"),
        ("auc:extractable=0.5", r"extractable is no membership score and has no auc"),
        ("auc:dataset_inference=0.5", r"dataset_inference has a p_value alone"),
        ("loss=inf", r"loss needs a number"),
    ],
)
def test_malformed_gates(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_gate(text)


@pytest.mark.parametrize(
    "text", ["extractable=0", "loss=7", "loss=-1", "exposure=40", "auc_over_base:min_k=-0.5", "longest_common_run=900"]
)
def test_thresholds_inside_the_range_and_of_unbounded_metrics_stand(text: str) -> None:
    assert parse_gate(text).threshold == float(text.rpartition("=")[2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("compressible=0.1", r"it is measured by rote compress"),
        ("auc_over_base:min_k=0.1", r"there is no base model; give one with --base"),
        ("tpr@0.1:reference_ratio=0.1", r"there is no base model"),
        ("prior_aware_memorization=0.1", r"scoring\.unrelated_prefixes is 0"),
        ("auc:neighbourhood=0.6", r"scoring\.membership has text_loss, zlib"),
        ("verbatim@8=0.1", r"generation\.samples is 1"),
        ("drawable=0.1", r"name one, e\.g\. drawable@t1-k0-p1"),
        ("drawable@t2-k0-p1=0.1", r"no scheme 't2-k0-p1' \(scoring\.schemes gives t1-k0-p1, t1-k40-p1"),
        ("discoverable@t1-k0-p1,n=7,p=0.5=0.1", r"n=7 is not in scoring\.draws \(1, 10"),
        ("discoverable@t1-k0-p1,n=10,p=0.4=0.1", r"p=0\.4 is not in scoring\.chances"),
    ],
)
def test_gates_that_the_settings_rule_out(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_measurable(parse_gate(text), AuditConfig(), has_base=False)


def test_gates_that_the_settings_allow() -> None:
    for text in ("discoverable@t1-k0-p1,n=100,p=0.5=0.1", "auc_over_base:min_k=0.1", "extractable=0.1", "exposure=3"):
        check_measurable(parse_gate(text), AuditConfig(), has_base=True)


# Every metric

WITH_SETTINGS = {
    "extraction_chance": "extraction_chance@t1",
    "drawable": "drawable@t1",
    "discoverable": "discoverable@t1,n=100,p=0.5",
    "draws_needed": "draws_needed@t1,p=0.5",
    "window_coverage": "window_coverage@t1",
}
OF_THE_STUDY = [name for name in METRICS if name in {key[0].partition("@")[0] for key in Study().found()}]
"""The others are no metrics of prompts, matches and plain passes; their own tests say what they say."""


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_defined(name: str) -> None:
    metric = METRICS[name]
    assert metric.name == name
    assert metric.definition.endswith(".")
    assert metric.title
    assert metric.unit
    assert metric.source
    assert metric.low < metric.high
    assert metric.estimator != "rate" or (metric.high == 1.0 and metric.unit.startswith("share of"))
    assert not metric.headline or metric.direction == "higher = more memorised"


@pytest.mark.parametrize("name", OF_THE_STUDY)
def test_every_metric_is_estimated_within_its_range(
    name: str, found: dict[tuple[str, str, str, str], Estimate]
) -> None:
    metric = METRICS[name]
    item = found[WITH_SETTINGS.get(name, name), "tuned", "member", "all"]
    assert item.value is not None
    assert metric.low <= item.low <= item.value <= item.high <= metric.high  # type: ignore[operator]
    assert item.n == 20
    assert (item.events is not None) == (metric.estimator == "rate")


@pytest.mark.parametrize(
    "name",
    # What can be drawn at all is nearly everything; what is over the base model has no figure of the base model.
    [
        name
        for name in OF_THE_STUDY
        if METRICS[name].direction != "neither" and name not in ("drawable", "base_relative_memorization")
    ],
)
def test_every_metric_says_full_memory_and_none(name: str) -> None:
    """The fully memorised limit is the better end of the range; the never-seen limit is the other one."""
    study = Study()
    other = "Nothing here agrees with what stood elsewhere: quick brown foxes jump over lazy dogs, six zinc jugs vex."
    kind: Kind = {"near_verbatim": "near-verbatim", "paraphrase": "paraphrase", "idea": "idea"}.get(name, "verbatim")  # type: ignore[assignment]
    whole = Span(0, len(PROSE))
    study.matches = [match(g, kind=kind, span=whole) for g in study.generations if g.model == "tuned"]
    study.generations = [replace(g, text=other) if g.model == "base" else g for g in study.generations]
    study.reproductions = [
        reproduction(g, *([whole] if g.model == "tuned" else [])) for g in study.generations if g.model != "shuffled"
    ]
    for p in study.passes:
        tuned = p.model == "tuned"
        study.store.add({p.key: token_statistics((0.0 if tuned else -9.0,) * 60, (tuned,) * 60)})
    found = study.found()
    full, none = (found[WITH_SETTINGS.get(name, name), model, "member", "all"].value for model in ("tuned", "base"))
    assert full is not None
    assert none is not None
    if METRICS[name].direction == "higher = more memorised":
        longest = {"longest_common_run": len(PROSE) - 1, "longest_reproduced_run": len(PROSE)}
        assert full == min(METRICS[name].high, longest.get(name, math.inf))
        assert none < 0.4 * full
    else:
        assert full == METRICS[name].low
        assert none >= full + 9.0 - 1e-6


def test_the_lists_of_metrics_name_metrics() -> None:
    for names in (KIND_METRICS, ANY_OF_N_METRICS, PAIRED_METRICS, LIKELIHOOD_METRICS, SEPARATING_METRICS):
        assert set(names) <= set(METRICS)
    assert metric_of("verbatim@8") is METRICS["verbatim"]
    with pytest.raises(KeyError):
        metric_of("nothing")


def test_a_record_at_the_median_itself_has_no_low_overlap() -> None:
    losses = {name: Score(name, "loss", value) for name, value in {"a": 1.0, "b": 2.0, "c": 2.0, "d": 3.0}.items()}
    assert strata._above_median(losses) == ["d"]
    assert strata._above_median({**losses, "e": Score("e", "loss", None, "no reference")}) == ["d"]


def test_a_score_is_a_number_or_a_reason() -> None:
    for value, reason in ((None, None), (1.0, "why")):
        with pytest.raises(ValueError, match="Expected a value or a reason"):
            Score("a", "loss", value, reason)
    with pytest.raises(ValueError, match="Expected a number, got NaN as loss of a"):
        Score("a", "loss", math.nan)
