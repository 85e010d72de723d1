"""From scores to separations: sides, directions, controls, strata, corrections, refusals; membership scores of a run."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest

from fakes import MemoryStore, token_statistics
from rote.config import DEFAULT_MEMBERSHIP, ScoringConfig, load_config
from rote.errors import ConfigError
from rote.records import Curve, Example, Prompt, Score, Separation, TokenScores, VariantPass
from rote.scoring import METRICS, check_gates, parse_gate
from rote.scoring.membership_scores import OF_ONE_MODEL, score_blindly, score_membership
from rote.scoring.metrics import SEPARATING_METRICS
from rote.scoring.separations import STATISTICS, separate, separate_difference
from rote.statistics.tests import holm

WORDS = [f"w{number}" for number in range(40)]


class Split:
    """Members and non-members with a score each; the tuned model's loss is lower on members, the base model's is not."""

    def __init__(self, members: int = 120, nonmembers: int = 120, *, seed: int = 0, copies: tuple[int, ...] = (1,)):
        rng = np.random.default_rng(seed)
        splits = ["member"] * members + ["non-member"] * nonmembers
        self.examples = [
            Example(
                f"e{n:04}", "", self.text(rng, n), split, f"g{n}", copies[n % len(copies)] if split == "member" else 1
            )  # type: ignore[arg-type]
            for n, split in enumerate(splits)
        ]
        self.prompts = [Prompt(f"p{e.id}", e.id, e.text[:20], e.text[20:]) for e in self.examples]
        total = members + nonmembers
        shift = np.where(np.arange(total) < members, 1.5, 0.0)
        self.values = {
            ("text_loss", "tuned"): 3 - shift + rng.normal(0, 1, total),
            ("text_loss", "base"): 3 + rng.normal(0, 1, total),
            ("min_k", "tuned"): -5 + shift + rng.normal(0, 1, total),
            ("min_k", "base"): -5 + rng.normal(0, 1, total),
            ("ez_mia", "tuned"): rng.random(total),
            ("loss", "base"): 3 + rng.normal(0, 1, total),
        }

    @staticmethod
    def text(rng: np.random.Generator, number: int) -> str:
        return f"record {number} " + " ".join(rng.choice(WORDS, int(rng.integers(20, 60))))

    def scores(self) -> list[Score]:
        found = [
            Score(f"{prompt.id}-{model}", metric, float(value))
            for (metric, model), values in self.values.items()
            for prompt, value in zip(self.prompts, values, strict=True)
        ]
        return [*found, *score_blindly(self.prompts, {e.id: e for e in self.examples}, seed=0)]

    def separated(self, **others: float) -> tuple[list[Separation], list[Curve]]:
        return separate(self.scores(), examples=self.examples, prompts=self.prompts, **others)  # type: ignore[arg-type]

    def found(self) -> dict[tuple[str, str, str, str], Separation]:
        return {(s.metric, s.model, s.statistic, s.stratum): s for s in self.separated()[0]}


@pytest.fixture(scope="module")
def found() -> dict[tuple[str, str, str, str], Separation]:
    return Split(copies=(1, 1, 4)).found()


def test_a_score_that_is_lower_for_members_is_turned(found: dict[tuple[str, str, str, str], Separation]) -> None:
    for metric in ("text_loss", "min_k"):
        item = found[metric, "tuned", "auc", "all"]
        assert item.value == pytest.approx(0.855, abs=0.06)
        assert item.low < item.value < item.high  # type: ignore[operator]
        assert (item.members, item.nonmembers) == (120, 120)


def test_controls_are_at_chance(found: dict[tuple[str, str, str, str], Separation]) -> None:
    for key in (("text_loss", "base"), ("ez_mia", "tuned"), ("blind_baseline", "blind")):
        item = found[*key, "auc", "all"]
        assert item.low < 0.5 < item.high, key  # type: ignore[operator]
        assert found[*key, "p_value", "all"].value > 0.01, key  # type: ignore[operator]
    assert found["text_loss", "tuned", "p_value", "all"].value == 1e-4
    over = found["text_loss", "tuned", "auc_over_base", "all"]
    assert over.low > 0.15  # type: ignore[operator]
    assert found["text_loss", "tuned", "p_value_over_base", "all"].value < 0.001  # type: ignore[operator]
    assert ("ez_mia", "tuned", "auc_over_base", "all") not in found, "it has no score under the base model alone"


def test_every_statistic_is_made_or_refused_with_a_reason(found: dict[tuple[str, str, str, str], Separation]) -> None:
    assert [key[2] for key in found if (key[0], key[1], key[3]) == ("text_loss", "tuned", "all")] == list(STATISTICS)
    for item in found.values():
        assert (item.value is None) == (item.reason is not None)
        if item.value is not None and item.low is not None:
            assert item.low <= item.value <= item.high  # type: ignore[operator]
    assert found["text_loss", "tuned", "tpr@0.1", "all"].value is not None
    assert found["text_loss", "tuned", "tpr_over_base@0.1", "all"].low > 0  # type: ignore[operator]
    assert found["text_loss", "tuned", "p_value_tpr_over_base@0.1", "all"].value < 0.025  # type: ignore[operator]
    assert found["text_loss", "tuned", "passed@0.01", "all"].value is not None
    assert found["text_loss", "tuned", "tpr@0.01", "all"].reason == (
        "only 120 independent non-members; an interval of the TPR at 1 % FPR, whose threshold they set, needs at least 368"
    )
    refused = found["text_loss", "tuned", "passed@0.001", "all"]
    assert refused.reason == "only 120 independent non-members; a false-positive rate of 0.1 % needs at least 1,000"


def test_p_values_are_corrected_for_all_scores_of_the_tuned_model(
    found: dict[tuple[str, str, str, str], Separation],
) -> None:
    plain = [
        item for key, item in found.items() if key[1:] == ("tuned", "p_value", "all") and key[0] in SEPARATING_METRICS
    ]
    tested = [item for item in plain if item.metric != "dataset_inference"]
    corrected = [found[item.metric, "tuned", "p_value_holm", "all"] for item in tested]
    assert [item.value for item in corrected] == pytest.approx(holm([item.value for item in tested]))  # type: ignore[misc]
    assert all("Holm over 3 scores" in item.method for item in corrected)
    assert ("text_loss", "base", "p_value_holm", "all") not in found


def test_strata_have_both_sides_and_copies_all_non_members(found: dict[tuple[str, str, str, str], Separation]) -> None:
    strata = [key[3] for key in found if key[:3] == ("text_loss", "tuned", "auc")]
    assert strata == ["all", "copies=1", "copies=4", "length=short", "length=medium", "length=long", "overlap=low"]
    sizes = {name: found["text_loss", "tuned", "auc", name] for name in strata}
    assert (sizes["copies=4"].members, sizes["copies=4"].nonmembers) == (40, 120)
    assert sum(sizes[f"length={name}"].members for name in ("short", "medium", "long")) == 120
    assert (sizes["overlap=low"].members, sizes["overlap=low"].nonmembers) == (60, 60)
    assert ("blind_baseline", "blind", "auc", "length=short") in found
    assert ("text_loss", "base", "auc", "length=short") not in found


def test_a_set_is_inferred_from_all_its_scores(found: dict[tuple[str, str, str, str], Separation]) -> None:
    tuned = found["dataset_inference", "tuned", "p_value", "all"]
    base = found["dataset_inference", "base", "p_value", "all"]
    assert tuned.value < 1e-6 < 0.01 < base.value  # type: ignore[operator]
    assert "3 scores" in tuned.method
    few = Split(12, 40).found()["dataset_inference", "tuned", "p_value", "all"]
    assert few.reason == "only 12 and 40 independent members and non-members; at least 20 of each are needed"


def test_curves_go_from_corner_to_corner_and_turn_at_each_point() -> None:
    _, curves = Split().separated()
    assert {(curve.metric, curve.model) for curve in curves} >= {("text_loss", "tuned"), ("blind_baseline", "blind")}
    for curve in curves:
        rates = np.array([curve.false_positive_rates, curve.true_positive_rates])
        assert rates[:, 0].tolist() == [0, 0]
        assert rates[:, -1].tolist() == [1, 1]
        steps = np.diff(rates)
        assert (steps >= 0).all()
        assert not ((steps[:, :-1] == 0) & (steps[:, 1:] == 0)).any(), "no point in the middle of a straight line"


def test_of_a_long_curve_the_left_end_is_kept() -> None:
    _, curves = Split(1500, 1500).separated()
    curve = next(one for one in curves if one.metric == "ez_mia")
    assert 100 < len(curve.false_positive_rates) <= 201
    assert min(x for x in curve.false_positive_rates if x) < 0.01


def test_equal_records_count_once_and_groups_are_the_clusters() -> None:
    plain = Split(40, 40)
    before = plain.found()
    twice = Split(40, 40)
    twice.prompts += [replace(prompt, id=f"{prompt.id}x") for prompt in twice.prompts]
    twice.values = {key: np.concatenate([values, values]) for key, values in twice.values.items()}
    after = twice.found()
    assert after["text_loss", "tuned", "auc", "all"] == before["text_loss", "tuned", "auc", "all"]
    grouped = Split(40, 40)
    grouped.examples = [replace(e, group=f"{e.split} {n // 4}") for n, e in enumerate(grouped.examples)]
    assert grouped.found()["text_loss", "tuned", "passed@0.1", "all"].value is not None
    assert "only 10 independent non-members" in (grouped.found()["text_loss", "tuned", "tpr@0.1", "all"].reason or "")
    assert len({e.group for e in grouped.examples if e.split == "non-member"}) == 10
    assert grouped.found()["text_loss", "tuned", "passed@0.01", "all"].reason is not None


def test_the_order_of_scores_and_records_is_irrelevant() -> None:
    split, draw = Split(30, 30), random.Random(0)
    scores = split.scores()
    first = separate(scores, examples=split.examples, prompts=split.prompts)
    for part in (scores, split.examples, split.prompts):
        draw.shuffle(part)  # type: ignore[arg-type]
    assert separate(scores, examples=split.examples, prompts=split.prompts) == first


def test_without_one_side_there_is_nothing() -> None:
    for members, nonmembers in ((30, 0), (0, 30), (0, 0)):
        assert Split(members, nonmembers).separated() == ([], [])
    assert separate([], examples=Split().examples, prompts=Split().prompts) == ([], [])


def test_few_of_a_side_are_refused_and_not_0() -> None:
    for item in Split(4, 30).found().values():
        assert item.value is None
        assert item.reason
    one = Split(4, 30).found()["text_loss", "tuned", "identified@0.1", "all"]
    assert one.reason == "members: only 4 independent records; at least 5 are needed"


def test_a_score_that_no_record_has_says_why() -> None:
    split = Split(30, 30)
    missing = [Score(f"{prompt.id}-tuned", "zlib", None, "the text was cut") for prompt in split.prompts]
    found, _ = separate([*split.scores(), *missing], examples=split.examples, prompts=split.prompts)
    item = next(one for one in found if (one.metric, one.statistic, one.stratum) == ("zlib", "auc", "all"))
    assert (item.value, item.members, item.reason) == (None, 0, "the text was cut")
    inferred = next(one for one in found if (one.metric, one.model) == ("dataset_inference", "tuned"))
    assert inferred.value is not None, "the other scores are there"


def test_two_runs_over_the_same_prompts_are_compared_score_by_score() -> None:
    split = Split()
    scores = split.scores()
    weaker = [
        replace(one, value=(one.value or 0.0) + 3 * ((n * 37) % 11 - 5)) if one.metric == "text_loss" else one
        for n, one in enumerate(scores)
    ]
    found = {
        (item.metric, item.statistic): item
        for item in separate_difference(scores, weaker, examples=split.examples, prompts=split.prompts)
    }
    turned = {
        (item.metric, item.statistic): item
        for item in separate_difference(weaker, scores, examples=split.examples, prompts=split.prompts)
    }
    for statistic in ("auc_difference", "tpr_difference@0.1"):
        one, other = found["text_loss", statistic], turned["text_loss", statistic]
        assert one.low > 0  # type: ignore[operator]
        assert one.value == pytest.approx(-other.value)  # type: ignore[operator]
        assert one.low == pytest.approx(-other.high, abs=1e-6)  # type: ignore[operator]
    same = found["min_k", "auc_difference"]
    assert (same.value, same.low < 0 < same.high) == (0.0, True)  # type: ignore[operator]
    assert found["text_loss", "tpr_difference@0.01"].reason is not None
    assert separate_difference(scores, scores, examples=split.examples, prompts=split.prompts[:5]) == []


# Gates


def test_gates_on_separations() -> None:
    separations, _ = Split().separated()
    low, high = parse_gate("auc:text_loss=0.6"), parse_gate("passed@0.01:min_k = 0.99")
    assert (low.metric, low.statistic, low.threshold, low.name) == ("text_loss", "auc", 0.6, "auc:text_loss")
    (breach,) = check_gates([], separations, [low, high])
    assert breach.outcome == "above"
    assert breach.message.startswith("auc:text_loss = 0.8")
    assert "120 members, 120 non-members" in breach.message
    (refused,) = check_gates([], separations, [parse_gate("tpr@0.001:min_k=0.5")])
    assert (refused.outcome, refused.message) == (
        "not measured",
        "tpr@0.001:min_k: could not measure: only 120 independent non-members; an interval of the TPR at 0.1 % FPR, whose "
        "threshold they set, needs at least 3,688",
    )
    (absent,) = check_gates([], separations, [parse_gate("auc:wbc=0.5")])
    assert absent.message == "auc:wbc: could not measure: no figure of it in this run"
    assert check_gates([], separations, [parse_gate("auc:blind_baseline=0.65")]) == [], "is the split fair?"


def test_an_estimates_name_may_hold_settings() -> None:
    gate = parse_gate("discoverable@t1-k0-p1,n=100,p=0.5=0.01")
    assert (gate.metric, gate.threshold) == ("discoverable@t1-k0-p1,n=100,p=0.5", 0.01)
    with pytest.raises(ConfigError, match=r"unknown statistic 'aux' \(did you mean 'auc'\?\)"):
        parse_gate("aux:min_k=1")


# Membership scores of a run

TEXT = Prompt("p", "e", "The Geese ", "went HOME before frost.")


def statistics(values: list[float]) -> object:
    return token_statistics(values, [value > -0.5 for value in values])


def store() -> MemoryStore:
    known = {
        "tuned": [-1.0, -0.2, -2.0, -1.0],
        "base": [-3.0, -2.0, -2.0, -3.0],
        "lower": [-2.0, -2.0, -2.0],
        "after": [-9.0, -2.0, -0.4, -4.0, -2.0],
        "n0": [-2.0] * 4,
        "n1": [-4.0] * 4,
        "none": [],
    }
    return MemoryStore({key: statistics(values) for key, values in known.items()})  # type: ignore[misc]


def a_pass(model: str = "tuned", *, prompt_tokens: int = 2, **others: object) -> TokenScores:
    return replace(TokenScores("p", "e", model, model, prompt_tokens, 4, False), **others)  # type: ignore[arg-type]


VARIANTS = [
    VariantPass("p", "e", "tuned", "lowercase", "lower", 0, 1, 3, False),
    VariantPass("p", "e", "tuned", "recall", "after", 1, 3, 5, False),
    VariantPass("p", "e", "tuned", "neighbour-0", "n0", 0, 2, 4, False),
    VariantPass("p", "e", "tuned", "neighbour-1", "n1", 0, 2, 4, False),
    VariantPass("p", "e", "tuned", "unrelated-0", "n0", 0, 0, 4, False),
]


def scored(item: TokenScores, *, base: bool = True, variants: bool = True, **settings: object) -> dict[str, Score]:
    config = ScoringConfig(**{"membership": (*DEFAULT_MEMBERSHIP, "neighbourhood"), **settings})  # type: ignore[arg-type]
    others = {"p": a_pass("base")} if base else {}
    made = VARIANTS if variants else []
    found = score_membership([item], others, made, {"p": TEXT}, store(), config=config)
    return {score.metric: score for score in found}


def test_scores_of_the_whole_text() -> None:
    found = {name: score.value for name, score in scored(a_pass()).items()}
    assert list(found) == [*DEFAULT_MEMBERSHIP, "neighbourhood"]
    assert found["text_loss"] == pytest.approx(1.05)
    assert found["reference_ratio"] == pytest.approx(2.5 - 1.05)
    assert found["min_k"] == -2.0
    assert found["ez_mia"] == 1.0, "no loss at an error token"
    assert found["lowercase"] == pytest.approx(2 / (2 + 1.05))
    assert found["recall_ratio"] == pytest.approx(2.1 / (2.1 + 1.05)), (
        "the first token after the prefix is not compared"
    )
    assert found["neighbourhood"] == pytest.approx(3 - 1.05)
    assert found["zlib"] == pytest.approx(-4.2 / math.log(2) / (8 * 41), rel=0.2)


def test_scores_of_the_continuation_alone() -> None:
    found = {name: score.value for name, score in scored(a_pass(), membership_scope="reference").items()}
    assert found["text_loss"] == pytest.approx(1.5)
    assert found["reference_ratio"] == pytest.approx(1.0)
    assert found["lowercase"] == pytest.approx(2 / 3.5)
    assert found["recall_ratio"] == pytest.approx(3 / 4.5)
    assert found["neighbourhood"] == pytest.approx(1.5)


def test_the_base_model_has_the_scores_that_need_no_other_model() -> None:
    assert tuple(scored(a_pass("base"))) == OF_ONE_MODEL
    assert tuple(scored(a_pass("base"), membership=("zlib", "wbc"))) == ("zlib",)


def test_what_cannot_be_scored_says_why() -> None:
    alone = scored(a_pass(), base=False, variants=False)
    assert {name: score.reason for name, score in alone.items() if score.value is None} == {
        "lowercase": "no pass over the text in lower case",
        "reference_ratio": "no base model",
        "ez_mia": "no base model",
        "wbc": "no base model",
        "recall_ratio": "no pass after a prefix of non-members: there are none, or the text stands in it, or it is no "
        "causal model",
        "neighbourhood": "too few tokens",
    }
    assert scored(a_pass(truncated=True))["zlib"].reason == "the text was cut at the model's context"
    assert scored(a_pass(tokens=9))["wbc"].reason == "the models read the text as 9 and as 4 tokens"
    empty = scored(a_pass(key="none", tokens=0, prompt_tokens=0))
    assert {score.reason for score in empty.values()} == {"no token to score"}


def test_only_the_scores_that_are_on_are_made() -> None:
    assert list(scored(a_pass(), membership=("min_k", "text_loss"))) == ["min_k", "text_loss"]
    assert scored(a_pass(), membership=()) == {}


def test_every_membership_score_has_a_metric_and_a_setting() -> None:
    of_settings = {*DEFAULT_MEMBERSHIP, "neighbourhood"}
    assert {*SEPARATING_METRICS} >= of_settings | {"dataset_inference", "blind_baseline"}
    assert all(METRICS[name].estimator == "separation" for name in of_settings)
    with pytest.raises(ConfigError, match=r"neighbourhood needs scoring\.neighbour_model"):
        load_config(None, ['scoring.membership=["neighbourhood"]'])
