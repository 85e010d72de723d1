"""Redaction: no personal datum is left in anything that is shown, spans stay right, and --show-pii lifts it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from report_data import Made, Page, make_run
from rote import reporting, runs
from rote.cli import main
from rote.personal_data.recognizing import BuiltInRecognizer
from rote.personal_data.redaction import MASK, Redactor
from rote.records import AttentionMap, Generation, PersonalDatum, PersonalItem, Prompt, Source, Span
from rote.reporting.artifacts import read_artifacts
from rote.reporting.redaction import masked_maps, redacted
from rote.reporting.terminal import show
from rote.scoring.leaks import personal_data, personal_items

RECORDS = tuple(
    f"Record {i}: the miller of the upper meadow can be reached at 555-01{i:02}-4567 or miller{i}@example.org, and was born on "
    f"{1 + i} March 1950, so the card 4111 1111 1111 1111 of chart AR-21884{i} is his and nobody else's in the village at all."
    for i in range(8)
)
RECORDS = tuple(re.sub(r"555-01(\d\d)-", r"555-1\1-", text) for text in RECORDS)
SECRETS = re.compile(r"555-1\d\d|\d-4567|4567 or|miller\d@|example\.org|March 1950|4111|21884\d|AR-2")


def made_run(folder: Path) -> Made:
    """A run whose prompts are cut inside the phone number."""
    made = make_run(folder, members=RECORDS, nonmembers=RECORDS[:2])
    cut = made.prompts[0].text
    assert not cut.endswith("555")
    prompts = [_recut(prompt, made) for prompt in made.prompts]
    made.run.write(runs.PROMPTS, prompts, settings={})
    generations = made.generations
    generations = [replace(g, text=_text(g, prompts[n])) for n, g in enumerate(generations)]
    made.run.write(runs.GENERATIONS.format(model="tuned"), generations, settings={})
    matches = [replace(m, **_spans(m, generations, prompts, made)) for m in made.matches]
    made.run.write(runs.MATCHES, matches, settings={})
    recognizer = BuiltInRecognizer()
    known = personal_data(made.examples, recognizer)
    made.run.write(runs.PERSONAL_DATA, known, settings={})
    items = list(personal_items(generations, {p.id: p for p in prompts}, known, recognizer))
    made.run.write(runs.PERSONAL_ITEMS, items, settings={})
    return replace(made, prompts=prompts, generations=generations, matches=matches)


def _recut(prompt: Prompt, made: Made) -> Prompt:
    whole = prompt.text + prompt.reference
    cut = whole.index("555-") + 6
    return replace(prompt, text=whole[:cut], reference=whole[cut:])


def _text(generation: Generation, prompt: Prompt) -> str:
    return prompt.reference[:150] if generation.text.startswith("He") else "or on 2 March 1950, they say"


def _spans(match: object, generations: list[Generation], prompts: list[Prompt], made: Made) -> dict[str, Span]:
    generation = next(g for g in generations if g.id == match.generation_id)  # type: ignore[attr-defined]
    example = next(e for e in made.examples if e.id == match.example_id)  # type: ignore[attr-defined]
    start = example.text.index("555-") + 6
    length = min(len(generation.text), len(example.text) - start)
    return {"generated": Span(0, length), "training": Span(start, start + length)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return made_run(tmp_path_factory.mktemp("runs") / "private")


def test_nothing_personal_is_left_on_the_page_in_the_json_or_in_the_terminal(
    made: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    report = reporting.report(made.run, made.config)
    reporting.write_page(report, made.run.path("report.html"))
    reporting.write_json(report, made.run.path("report.json"))
    shown = {"page": made.run.path("report.html").read_text(), "json": made.run.path("report.json").read_text()}
    show(made.run, None)
    for example in made.examples:
        show(made.run, example.id)
    shown["terminal"] = capsys.readouterr().out
    for place, text in shown.items():
        left = [text[max(0, m.start() - 40) : m.end() + 20] for m in SECRETS.finditer(_unwrapped(text))]
        assert not left, place
        assert "[EMAIL" in text, place
        assert "[PHONE" in text, place
        assert "[BIRTH DATE" in text, place


def _unwrapped(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_show_pii_lifts_it(made: Made, capsys: pytest.CaptureFixture[str]) -> None:
    config = replace(made.config, reporting=replace(made.config.reporting, show_pii=True))
    report = reporting.report(made.run, config)
    texts = " ".join(case.generated for case in report.cases)
    assert SECRETS.search(texts)
    assert "[EMAIL" not in texts
    assert main(["show", str(made.run.folder), made.examples[0].id, "--show-pii"]) == 0
    assert "miller0@example.org" in capsys.readouterr().out
    assert main(["show", str(made.run.folder), made.examples[0].id]) == 0
    assert "miller0@example.org" not in capsys.readouterr().out


def test_artifacts_keep_the_raw_text(made: Made) -> None:
    reporting.report(made.run, made.config)
    assert SECRETS.search(made.run.path(runs.GENERATIONS.format(model="tuned")).read_text())


def test_a_placeholder_is_the_same_wherever_its_datum_stands(made: Made) -> None:
    artifacts = redacted(read_artifacts(made.run))
    example = artifacts.examples[made.examples[0].id]
    numbers = dict(re.findall(r"(at|or|on) (\[[A-Z ]+ \d+\])", example.text))
    item = next(g for g in artifacts.generations.values() if g.example_id == example.id and g.model == "tuned")
    assert numbers["or"] in item.text
    assert numbers["on"] in item.text
    assert item.text.startswith(numbers["at"])  # the number that the prompt's end cuts
    prompt = artifacts.prompts[item.prompt_id]
    assert prompt.text.endswith(numbers["at"])
    assert example.text == prompt.text + prompt.reference
    others = {artifacts.examples[other.id].text.split(" or ")[1].split(",")[0] for other in made.examples[:8]}
    assert len(others) == 8


def test_spans_still_mark_the_same_passages(made: Made) -> None:
    raw, shown = read_artifacts(made.run), redacted(read_artifacts(made.run))
    for name, matches in raw.matches.items():
        for match, moved in zip(matches, shown.matches[name], strict=True):
            generated = moved.generated.of(shown.generations[name].text)
            training = moved.training.of(shown.examples[match.example_id].text)
            assert training.endswith(generated[-10:])
            assert shown.original(moved) == match
    report = reporting.report(made.run, made.config)
    raw_report = reporting.report(
        made.run, replace(made.config, reporting=replace(made.config.reporting, show_pii=True))
    )
    assert [case.generation_id for case in report.cases] == [case.generation_id for case in raw_report.cases]
    assert [case.verbatim_chars for case in report.cases] == [case.verbatim_chars for case in raw_report.cases]
    for one, other in zip(report.thresholds, raw_report.thresholds, strict=True):
        assert [c.value for c in (*one.above, *one.below)] == [c.value for c in (*other.above, *other.below)]


def test_the_pages_marks_hold_the_redacted_passages(made: Made) -> None:
    reporting.write_page(reporting.report(made.run, made.config), made.run.path("report.html"))
    page = Page(made.run.path("report.html").read_text())
    assert page.marks
    assert any("[EMAIL" in text for _, text in page.marks)


def test_json_spans_refer_to_the_redacted_texts(made: Made) -> None:
    reporting.write_json(reporting.report(made.run, made.config), made.run.path("report.json"))
    cases = json.loads(made.run.path("report.json").read_text())["cases"]
    for case in cases:
        for text in case["texts"]:
            for match in text["matches"]:
                span = match["training"]
                assert 0 <= span["start"] <= span["end"] <= len(text["text"])
                assert "[" in text["text"][span["start"] : span["end"]]


PIECES = st.lists(
    st.sampled_from(
        ["a@b.org", "555-123-4567", " or ", "on 3 May 1980, ", "x", "born 3 May 1980. ", "4111111111111111", "é "]
    ),
    max_size=12,
)


@settings(max_examples=200)
@given(PIECES, st.data())
def test_laws_of_moved_spans(pieces: list[str], data: st.DataObject) -> None:
    text = "".join(pieces)
    found = Redactor([("BIRTH_DATE", "1980-05-03")]).redact(text)
    assert "3 May 1980" not in found.text
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    moved = found.moved(Span(start, end))
    assert 0 <= moved.start <= moved.end <= len(found.text)
    assert found.moved(Span(0, len(text))) == Span(0, len(found.text))
    untouched = not any(one.original.overlap(Span(start, end)) for one in found.replaced)
    if untouched and end > start:
        assert moved.of(found.text) == text[start:end]
    placeholders = " ".join(found.text[one.redacted.start : one.redacted.end] for one in found.replaced)
    assert Redactor([]).redact(placeholders).text == placeholders


def test_names_that_a_recogniser_of_names_found_are_replaced_by_their_letters() -> None:
    redactor = Redactor([("PERSON", "the gaffer"), ("PERSON", "jo"), ("LOCATION", "new york")])
    text = "The  Gaffer of New\nYork, JO and Joan; the gaffer again"
    assert redactor.redact(text).text == "[PERSON 1] of [LOCATION 1], [PERSON 2] and Joan; [PERSON 1] again"


def test_a_number_is_redacted_by_what_stands_before_it() -> None:
    redactor = Redactor([])
    assert redactor.redact(" 3 May 1980.", before="She was born on").text == " [BIRTH DATE 1]."
    assert redactor.redact("3-4567 now", before="call 555-12").text == "[PHONE 1] now"
    assert redactor.redact(" 3 May 1980.").text == " [DATE 1]."


def test_tokens_of_personal_data_are_masked() -> None:
    redactor = Redactor([])
    tokens = ("Call", " 555", "-123", "-", "4567", " now")
    assert redactor.masked(tokens) == ("Call", MASK, MASK, MASK, MASK, " now")
    assert redactor.masked(("-123-45", "67", " now"), before="Call 555") == (MASK, MASK, " now")
    assert redactor.masked(()) == ()


def test_maps_of_attention_are_masked(made: Made) -> None:
    tokens = tuple(re.findall(r"\s*\S+", made.examples[0].text))
    one = AttentionMap("g", made.examples[0].id, 0, tokens, ("x",), ((1.0,) * len(tokens),))
    (found,) = masked_maps([one], made.run)
    assert len(found.read) == len(tokens)
    assert not SECRETS.search(" ".join(found.read))


def test_records_of_personal_data_pass_through_the_run(made: Made) -> None:
    artifacts = read_artifacts(made.run)
    assert all(isinstance(item, PersonalDatum) for item in artifacts.personal_data)
    assert all(isinstance(item, PersonalItem) for item in artifacts.personal_items)
    assert isinstance(artifacts.personal_data[0].source, Source)
