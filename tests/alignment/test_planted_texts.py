"""The benchmark of the kinds: its recall and precision by hand, and the texts that it plants."""

import os
from itertools import islice
from pathlib import Path

import pytest
from kinds import lines_of_case, lines_of_classes
from planted_texts import LEAST_AROUND, SHORT_CHARS, TABLES, TOKENS, Maker
from topics import Source, read_sources, read_summaries

from planted import invented
from rote.alignment import CORRECTED
from rote.records import NOTHING, Condition, Kind, Span, Trial
from rote.text import tokens

SHARED = Path(os.environ.get("ROTE_SHARED", "../shared")) / "data"


def trial(condition: Condition, expected: tuple[Kind, ...], kind: Kind | None, text: str = "x" * 99) -> Trial:
    return Trial(condition, "e", "h", text, Span(0, 50) if expected else None, expected, kind, "none", 0, 0)


def test_recall_and_precision_of_a_class_by_hand() -> None:
    trials = [
        trial("verbatim", ("verbatim",), "verbatim"),
        trial("edited-5", ("verbatim", "near-verbatim", "paraphrase"), "paraphrase"),  # on the border: in no recall
        trial("edited-20", ("near-verbatim", "paraphrase"), "near-verbatim"),
        trial("edited-20", ("near-verbatim", "paraphrase"), "weak-paraphrase"),
        trial("edited-50", ("near-verbatim", "paraphrase", "weak-paraphrase"), "weak-paraphrase"),
        trial("condensed", ("idea",), "paraphrase"),
        trial("nothing", (), "verbatim"),
    ]
    lines = {line["kind"]: line for line in lines_of_classes(trials)}
    assert (lines["verbatim"]["recall_n"], lines["verbatim"]["recall"]) == (1, 1.0)
    assert (lines["verbatim"]["precision_n"], lines["verbatim"]["precision"]) == (2, 0.5)
    assert (lines["paraphrase"]["recall_n"], lines["paraphrase"]["recall"]) == (3, 0.6667)
    assert (lines["paraphrase"]["precision_n"], lines["paraphrase"]["precision"]) == (3, 0.6667)
    assert (lines["idea"]["recall_n"], lines["idea"]["recall"]) == (1, 0.0)
    assert (lines["idea"]["precision_n"], lines["idea"]["precision"]) == (0, None)


def test_finds_by_whether_the_text_around_has_capitals() -> None:
    cased, lower = "x" * 50 + " Some Text. " * 9, "X" * 50 + " some text. " * 9
    trials = [trial("edited-20", ("paraphrase",), kind, text) for kind in ("paraphrase", None) for text in (cased, cased, lower)]  # fmt: skip
    trials.append(trial("verbatim", ("verbatim",), "verbatim", lower))
    assert [(line["edited"], line["found"]) for line in lines_of_case(trials)] == [(4, 0.5), (2, 0.5)]


def test_the_nearest_records_are_those_that_share_most_and_never_itself() -> None:
    texts = [invented(f"a {i}", count=3) for i in range(6)]
    source = Source("s", "t", (*texts, f"{texts[2]} More.", f"{texts[2][:120]} {texts[4][:40]}"))
    assert source.nearest(2, 5)[:2] == [6, 7]
    assert 2 not in source.nearest(2, 5)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason=f"needs the shared data ({SHARED}; set ROTE_SHARED)")
def test_passages_stand_where_they_are_said_to_stand_in_texts_of_the_stated_length() -> None:
    maker = Maker(read_sources(0), read_summaries(), CORRECTED, 0)
    for table in TABLES:
        for condition in table.conditions:
            made = list(islice(maker.texts(table, condition), 12))
            assert len({text.example_id for text in made}) == 12
            assert made == list(islice(maker.texts(table, condition), 12))
            for text in made:
                assert 1 <= len(text.others) <= 10
                if condition in NOTHING:
                    assert text.plant is None
                    continue
                assert text.plant is not None
                assert text.place is not None
                assert text.place.of(text.text) == text.plant.text
                assert text.plant.training not in text.others
                if table.is_short:
                    assert len(text.plant.text) in SHORT_CHARS
                if table.around == "nothing":
                    assert text.text == text.plant.text
                else:
                    length = sum(not span.of(text.text).isspace() for span in tokens(text.text))
                    assert LEAST_AROUND < length <= TOKENS[1] + LEAST_AROUND
