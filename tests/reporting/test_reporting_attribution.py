"""What a verdict may not leave out: nothing is due to the fine-tuning, members are distinguishable, little is counted."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from report_data import make_run, rate
from rote import reporting
from rote.config import AuditConfig
from rote.records import Comparison, Estimate, Separation, Split
from rote.reporting.attribution import attribution, membership_clause
from rote.reporting.verdict import caveats, left_out_sentence, verdict
from rote.scoring.columns import LEFT_OUT, SAME_RECORD

CONFIG = AuditConfig()


def pair(metric: str, only_tuned: int, only_base: int, p_value: float, *, both: int = 90) -> Comparison:
    neither = 100 - both - only_tuned - only_base
    difference = (only_tuned - only_base) / 100
    return Comparison(
        metric, "member", "tuned", "base", both, only_tuned, only_base, neither, difference, -1, 1, p_value, ""
    )


def of_both(tuned: int, base: int | None, metric: str = "verbatim") -> list[Estimate]:
    rows = [rate(metric, tuned, 100, "tuned", "member"), rate(metric, 0, 50, "tuned", "non-member", SAME_RECORD)]
    return rows if base is None else [*rows, rate(metric, base, 100, "base", "member")]


@pytest.mark.parametrize(
    ("tuned", "base", "pairs", "said"),
    [
        (92, 97, [pair("verbatim", 1, 6, 0.12)], r"nothing that comes out can be put down .*: the base model does as much"),
        (95, 91, [pair("verbatim", 4, 0, 0.12)], r"4 of 100 under the tuned model alone, 0 under .* alone, p = 0\.120"),
        (60, 50, [pair("verbatim", 10, 0, 0.002, both=50)], ""),
        (60, 58, [pair("verbatim", 2, 0, 0.5, both=58), pair("at_least_idea", 9, 0, 0.004, both=58)], ""),
        (0, 0, [pair("verbatim", 0, 0, 1.0, both=0)], ""),
        (60, None, [], r"nothing of it can be put down to the fine-tuning, since no base model was run"),
        (60, 58, [], r"too few prompts were measured under both models"),
    ],
    ids=["less than the base", "no significant excess", "excess", "excess of ideas", "nothing out", "no base", "too few"],
)  # fmt: skip
def test_what_the_base_model_does_as_well_is_not_put_down_to_the_fine_tuning(
    tuned: int, base: int | None, pairs: Sequence[Comparison], said: str
) -> None:
    found = attribution(of_both(tuned, base), pairs, confidence=0.95)
    assert re.search(said, found) if said else found == ""
    text = verdict(of_both(tuned, base), CONFIG, attribution=found)
    assert ("put down to the fine-tuning" in text) is bool(said)


def test_one_model_given_twice_is_said() -> None:
    found = attribution(of_both(40, 40), [pair("verbatim", 0, 0, 1.0)], confidence=0.95, is_same_model=True)
    assert (
        found
        == "nothing here can be put down to a fine-tuning: the tuned and the base model are the same, byte for byte"
    )


def area(metric: str, value: float | None, model: str = "tuned", statistic: str = "auc") -> Separation:
    ends = (value - 0.02, value + 0.002) if value is not None and statistic == "auc" else (None, None)
    reason = "too few" if value is None else None
    return Separation(metric, model, statistic, "all", value, *ends, 60, 60, "DeLong", reason)


def test_the_verdict_names_the_best_membership_score_with_its_controls() -> None:
    rows = [
        area("text_loss", 0.91), area("reference_ratio", 0.998), area("reference_ratio", 0.5, "base"),
        area("reference_ratio", 0.0004, statistic="p_value_holm"), area("blind_baseline", 0.51, "blind"),
        area("dataset_inference", 1e-9, statistic="p_value"),
    ]  # fmt: skip
    nothing_out = [rate(metric, 0, 60, "tuned", "member") for metric in ("extractable", "verbatim")]
    text = verdict(nothing_out, CONFIG, separations=rows)
    assert re.search(
        r"The best of 2 membership scores \(.+\) distinguishes members from non-members: AUC 0\.998 \(0\.978–1\.000\); "
        r"base model 0\.500 \(.*\), without any model 0\.510 \(.*\)",
        text,
    )
    assert text.startswith("Of 60 member records, 0 ")
    unmeasured = verdict([], CONFIG, separations=rows)
    assert re.match(
        r"Whether member records come out could not be measured\. The best of 2 membership scores", unmeasured
    )


def test_a_split_that_is_told_without_a_model_is_no_memory() -> None:
    rows = [area("text_loss", 0.93), area("text_loss", 0.001, statistic="p_value")]
    doubt = "which may be the texts’ own difference and no memory"
    assert membership_clause([*rows, area("blind_baseline", 0.88, "blind")], confidence=0.95).endswith(doubt)
    assert doubt not in membership_clause([*rows, area("blind_baseline", 0.5, "blind")], confidence=0.95)


def test_a_score_at_chance_is_no_discovery() -> None:
    rows = [area("text_loss", 0.55), area("text_loss", 0.21, statistic="p_value"), area("zlib_ratio", None)]
    found = membership_clause(rows, confidence=0.95)
    assert found.startswith("the one membership score does not distinguish members from non-members (best: ")
    assert membership_clause([area("text_loss", None)], confidence=0.95) == ""
    several = membership_clause([*rows, area("min_k", 0.51)], confidence=0.95)
    assert several.startswith("none of 2 membership scores distinguishes members from non-members")


def test_a_row_that_is_generic_almost_everywhere_ends_with_that_in_the_verdict() -> None:
    rows = [*of_both(1, 0), rate("generic", 55, 56, "tuned", "member")]
    text = verdict(rows, CONFIG)
    assert " 55 of 56 member generations match phrasing that non-members hold too, that is discounted" in text
    assert "hold too" not in verdict([*of_both(60, 0), rate("generic", 3, 100, "tuned", "member")], CONFIG)


@pytest.mark.parametrize("metric", ["repetitive", "copied_from_prompt"])
def test_what_else_counts_in_no_rate_is_in_the_verdict_where_it_is_much(metric: str) -> None:
    assert "30 of 100 member generations" in verdict(
        [*of_both(60, 0), rate(metric, 30, 100, "tuned", "member")], CONFIG
    )
    assert "of 100 member generations" not in verdict(
        [*of_both(60, 0), rate(metric, 9, 100, "tuned", "member")], CONFIG
    )


def test_any_text_and_own_text_are_told_apart() -> None:
    rows = [rate("extractable", 5, 100, "tuned", "member"), *of_both(60, 10)]
    rows.append(rate("verbatim", 12, 100, "tuned", "member", SAME_RECORD))
    assert "with a verbatim passage of any member’s text (12 of their own)" in verdict(rows, CONFIG)
    rows[-1] = replace(rows[-1], events=60)
    assert "of any member’s text" not in verdict(rows, CONFIG)


def loss(value: float, n: int, split: Split = "non-member", stratum: str = "all", model: str = "tuned") -> Estimate:
    return Estimate("loss", model, split, stratum, value, value - 0.1, value + 0.1, n, 0, "bootstrap")


def test_what_leaving_contained_non_members_out_changes_is_said_in_numbers() -> None:
    rows = [loss(1.18, 14, stratum=LEFT_OUT), loss(3.86, 50), loss(4.1, 14, stratum=LEFT_OUT, model="base")]
    found = left_out_sentence(rows)
    assert "The loss of 14 of them is 1.18 (1.08–1.28; base model 4.10), that of the other 50 3.86 (3.76–3.96)" in found
    assert found.endswith("3.96): as controls they would have hidden what was learned.")
    assert "hidden" not in left_out_sentence([loss(3.85, 14, stratum=LEFT_OUT), rows[1]])
    assert left_out_sentence(rows[1:2]) == ""
    few = [replace(rows[0], low=None, high=None, n=2)]
    assert "The loss of 2 of them is 1.18 (too few for an interval)" in left_out_sentence(few)


def test_a_run_whose_non_members_were_all_left_out_has_no_control_and_says_why() -> None:
    rows = [rate("verbatim", 5, 100, "tuned", "member"), rate("verbatim", 0, 100, "base", "member")]
    rows.append(loss(1.18, 14, stratum=LEFT_OUT))
    assert "All non-members were left out, since members hold their text, so what" in verdict(rows, CONFIG)
    assert any(caveat.startswith("All non-members were left out") for caveat in caveats(rows))
    assert "that of the other" not in left_out_sentence(rows)


def test_the_report_of_one_model_given_twice_leads_with_it(tmp_path: Path) -> None:
    made = make_run(tmp_path / "twice")
    made.run.note(base_model_hash=made.run.manifest()["model_hash"])
    report = reporting.report(made.run, made.config)
    same = "othing here can be put down to a fine-tuning: the tuned and the base model are the same"
    assert f"N{same}" in report.verdict
    assert f"N{same}" in report.attribution


def test_estimates_of_no_record_are_no_control() -> None:
    rows = [rate("verbatim", 5, 100, "tuned", "member"), rate("verbatim", 0, 100, "base", "member")]
    rows.append(Estimate("pii_recall", "tuned", "non-member", "all", None, None, None, 0, 0, "", 0, "no record"))
    assert "No non-members were given" in verdict(rows, CONFIG)
    assert any(caveat.startswith("No non-members were given") for caveat in caveats(rows))
