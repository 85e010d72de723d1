"""The labelled pairs and their halves, and what the benchmark of the paraphrase decision computes."""

from pathlib import Path

import numpy as np
import pytest
from halves import half_of, half_of_group, linked_groups, linked_halves
from hypothesis import given
from hypothesis import strategies as st
from labelled_pairs import mismatched, read_pairs
from paraphrase import best_threshold, brier, calibration, expected_calibration_error, token_overlap

from rote.alignment import SentencePair
from rote.errors import DataError


def write_pairs(folder: Path) -> Path:
    msrp = (
        "﻿Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t1\t2\tAnn went home.\tHome went Ann.\n0\t3\t4\tRed.\tBlue.\n"
    )
    pan = "1\tOne  thing.\tThe other.\n0\tThe other.\tQuite another.\n0\tone thing.\tA \x85 mark.\n"
    sts = "a\tb\tc\td\t3.999\tA man sings.\tA man eats.\na\tb\tc\td\t4.0\tA dog.\tOne dog.\textra\n"
    for name, text in (("msrp", msrp), ("pan-paraphrase", pan), ("stsb", sts)):
        (folder / f"{name}-train.tsv").write_text(text, encoding="utf-8")
    return folder


def test_pairs_are_read(tmp_path: Path) -> None:
    found = read_pairs(write_pairs(tmp_path))
    assert [(one.set, one.is_paraphrase) for one in found] == [
        *(("msrp", True), ("msrp", False)),
        *(("pan", True), ("pan", False), ("pan", False)),
        *(("sts", False), ("sts", True)),
    ]
    assert found[0].pair == SentencePair("Ann went home.", "Home went Ann.")


def test_pairs_that_share_a_sentence_are_one_group(tmp_path: Path) -> None:
    """Whatever its case and white space."""
    pan = [one for one in read_pairs(write_pairs(tmp_path)) if one.set == "pan"]
    assert len({one.group for one in pan}) == len({one.half for one in pan}) == 1


def test_mismatched_pairs_are_of_one_set_and_half(tmp_path: Path) -> None:
    pairs = read_pairs(write_pairs(tmp_path))
    for found in mismatched(pairs):
        assert not found.is_paraphrase
        assert found.is_mismatched
        assert (found.set, found.half) in {(one.set, one.half) for one in pairs}
    assert [found.pair for found in mismatched([one for one in pairs if one.set == "pan"])] == [
        SentencePair("One  thing.", "Quite another.")
    ]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "pan-paraphrase-train.tsv",
            "1\tone\ttwo\n1\tone\n",
            r"pan-paraphrase-train\.tsv, line 2: expected 3 cells, found 2",
        ),
        ("stsb-train.tsv", "a\tb\tc\td\tfour\tone\ttwo\n", r"stsb-train\.tsv, line 1: expected a number, found 'four'"),
        ("msrp-train.tsv", None, r"msrp-train\.tsv: no such file"),
    ],
)
def test_bad_pairs_are_told(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    file = write_pairs(tmp_path) / name
    if text is None:
        file.unlink()
    else:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        read_pairs(tmp_path)


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("abcdefgh")), max_size=12))
def test_no_text_stands_in_two_groups_and_order_does_not_matter(pairs: list[tuple[str, str]]) -> None:
    groups = linked_groups(pairs)
    owners: dict[str, set[str]] = {}
    for pair, group in zip(pairs, groups, strict=True):
        for text in pair:
            owners.setdefault(text, set()).add(group)
    assert all(len(found) == 1 for found in owners.values())
    assert linked_groups(pairs[::-1]) == groups[::-1]
    assert linked_halves(pairs) == [half_of_group(group) for group in groups]


def test_a_text_alone_is_its_own_group() -> None:
    assert linked_halves([("a", "a"), ("b", "b")]) == [half_of("a"), half_of("b")]


scores = st.lists(
    st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.9]), st.booleans(), st.sampled_from([0.5, 1.0, 2.0])),
    min_size=1,
    max_size=12,
)


@given(scores)
def test_the_best_threshold_is_the_best_of_all(rows: list[tuple[float, bool, float]]) -> None:
    values, labels, weights = (np.array(column) for column in zip(*rows, strict=True))

    def right(threshold: float) -> float:
        return float(weights[(values > threshold) == labels].sum())

    found = best_threshold(values, labels, weights)
    everything = float(weights[labels].sum())
    assert max(right(found), everything) == pytest.approx(max(everything, *(right(value) for value in values)))


def test_calibration_by_hand() -> None:
    """Bins 0.0 to 0.1 and 0.9 to 1.0: gaps of 0.05 and 0.15."""
    values, labels = np.array([0.05, 0.05, 0.95, 0.95, 0.95, 1.0]), np.array([False, False, True, True, True, False])
    assert brier(values, labels, np.ones(6)) == pytest.approx((2 * 0.05**2 + 3 * 0.05**2 + 1) / 6, abs=1e-4)
    gap = (2 * 0.05 + abs(3 * -0.05 + 1)) / 6
    assert expected_calibration_error(values, labels, np.ones(6)) == pytest.approx(gap, abs=1e-4)
    found = calibration(values, labels)
    assert found["reliability"] == [[2, 0.05, 0.0], [4, 0.962, 0.75]]
    assert found["brier_even"] == pytest.approx((0.05**2 + (2 * 0.05**2 + 1) / 3) / 2, abs=1e-4)


def test_token_overlap_by_hand() -> None:
    assert token_overlap(SentencePair("The fox ran.", "the FOX sat")) == 0.5
    assert token_overlap(SentencePair("...", "!")) == 0.0
