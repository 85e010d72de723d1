"""Two texts aligned without a model or a run."""

import re
from dataclasses import replace

import pytest

import rote
from rote.alignment import CORRECTED, PRESETS, align
from rote.alignment.two_texts import TextMatch
from rote.errors import ConfigError, DataError
from rote.records import Match

PASSAGE = "The geese went home before the frost came; nobody in the village had counted them since early March."
TEXT, OTHER = f"She wrote: {PASSAGE} So it was.", f"{PASSAGE} It rained on the mill."


def test_a_shared_passage_is_found_with_its_place_kind_and_texts() -> None:
    (found,) = rote.align(TEXT, OTHER)
    assert isinstance(found, rote.Match)
    assert found.kind == "verbatim"
    assert found.similarity == 1.0
    assert found.passage == found.counterpart == PASSAGE
    assert (found.generated.start, found.training.start) == (11, 0)
    assert repr(found) == "TextMatch(verbatim, text[11:111], other[0:100], similarity 1.00)"


def test_texts_that_share_nothing_or_are_empty_have_no_match() -> None:
    assert rote.align(TEXT, "The mill stood by the river, and it rained for a week or so without an end.") == []
    assert rote.align("", OTHER) == rote.align(TEXT, "") == rote.align("", "") == []


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_go_by_name_or_as_themselves(preset: str) -> None:
    by_name = rote.align(TEXT, OTHER, preset=preset)
    assert by_name == rote.align(TEXT, OTHER, preset=PRESETS[preset])
    assert align(TEXT, OTHER, preset=preset) == align(TEXT, OTHER, preset=PRESETS[preset])


@pytest.mark.parametrize(
    ("preset", "message"),
    [
        ("corected", r"preset: must be one of pan2015, .*, found 'corected' \(did you mean 'corrected'\?\)"),
        (None, r"preset: must be one of .*, found None"),
        (["corrected"], r"found \['corrected'\]"),
    ],
)
def test_another_preset_is_refused_with_the_nearest_name(preset: object, message: str) -> None:
    for function in (rote.align, align):
        with pytest.raises(ConfigError, match=message):
            function(TEXT, OTHER, preset=preset)


@pytest.mark.parametrize("wrong", [None, 3, b"bytes", ["text"]])
def test_what_is_no_text_is_refused(wrong: object) -> None:
    with pytest.raises(DataError, match=f"^text: expected a str, found {type(wrong).__name__} "):
        rote.align(wrong, OTHER)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"^other: expected a str"):
        rote.align(TEXT, wrong)  # type: ignore[arg-type]


def test_in_a_notebook_the_passage_is_marked_and_hostile_text_is_inert() -> None:
    evil = "<script>alert(1)</script><img src=x onerror=alert(2)> \"' style=x </div></mark> \u202e\x1b[31m"
    found, *_ = rote.align(f"{evil} {PASSAGE} {evil}", f"{PASSAGE} {evil}")
    assert isinstance(found, TextMatch)
    html = found._repr_html_()
    assert "<script" not in html.lower()
    assert "<img" not in html
    assert "\u202e" not in html
    assert "\x1b" not in html
    assert "&lt;script&gt;" in html
    assert {*re.findall(r"<(\w+)", html)} <= {"div", "b", "span", "mark"}
    assert html.count("<div") == html.count("</div>")
    assert PASSAGE in html


def test_a_long_passage_is_cut_with_a_count() -> None:
    words = " ".join(f"word{number}" for number in range(1_000))
    (found,) = rote.align(words, words)
    assert re.search(r"… [\d,]+ more characters …", found._repr_html_())
    assert len(found._repr_html_()) < 8_000


def test_a_match_of_a_run_shows_its_places() -> None:
    (found,) = rote.align(TEXT, OTHER)
    plain = Match(*(getattr(found, name) for name in Match.__dataclass_fields__))
    html = plain._repr_html_()
    assert "characters 11 to 111" in html
    assert "similarity 1.00" in html


def test_a_preset_with_thresholds_of_ones_own_is_used_as_it_is() -> None:
    text = "The swollen river carried broken timber past the abandoned mill at noon."
    longer = replace(CORRECTED, min_passage_chars=500, verbatim_min_chars=500)
    assert [match.kind for match in rote.align(text, text, preset=CORRECTED)] == ["verbatim"]
    assert rote.align(text, text, preset=longer) == []
