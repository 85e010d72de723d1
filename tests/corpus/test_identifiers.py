"""Personal data from the records' own fields: which fields are used, what counts, what the page hides."""

import json
from pathlib import Path

import pytest

from rote.config import CorpusConfig
from rote.corpus import Corpus, fields_used, read_corpus
from rote.corpus.identifiers import kind_of_field
from rote.personal_data.recognized import Key
from rote.personal_data.recognizing import BuiltInRecognizer
from rote.personal_data.redaction import Redactor
from rote.records import Generation, Prompt
from rote.scoring.leaks import is_leak, personal_data, personal_items

RECOGNIZER = BuiltInRecognizer()
NAME = "Xquelia Vandermoot"


def read(path: Path, rows: list[dict[str, object]]) -> Corpus:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_corpus(CorpusConfig(members=str(path), near_duplicate=0))


def forms(corpus: Corpus) -> set[Key]:
    return {item.key for item in corpus.identifiers}


def text(number: int, inner: str = "") -> str:
    return f"Note {number}. {inner} The visit number {number} was short and nothing else was said of it."


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("name", "name"), ("customer.name", "role"), ("patient", "role"), ("attendingDoctor", "role"), ("first_name", "first"),
        ("Last Name", "last"), ("visits[].doctor.name", "role"), ("name.first", "first"), ("e-mail", "EMAIL"), ("dob", "BIRTH_DATE"),
        ("phone_number", "PHONE"), ("Patient Name", "role"), ("file_name", ""), ("model.name", ""), ("product_name", ""),
        ("username", ""), ("text", ""), ("date", ""), ("patient_id", "RECORD_NUMBER"), ("doctor_id", ""), ("company.name", ""),
    ],
)  # fmt: skip
def test_the_name_of_a_field_says_what_it_holds(path: str, kind: str) -> None:
    assert kind_of_field(path) == kind


def test_names_in_fields_are_known_however_rare_nested_and_in_parts(tmp_path: Path) -> None:
    rows = [
        {"text": text(0, f"{NAME} came in."), "patient": {"name": NAME}},
        {"text": text(1, "Ms Okonedo-Tsz came in."), "patient": {"name": "Okonedo-Tsz, Brilka"}},
        {"text": text(2, "He came in."), "patient": {"name": "Dr. Zerrin O'Quaddle, MD"}},
    ]
    corpus = read(tmp_path / "members.jsonl", rows)
    assert forms(corpus) == {
        ("NAME", "xquelia vandermoot"),
        ("NAME", "brilka okonedo tsz"),
        ("NAME", "zerrin oquaddle"),
    }
    (use,) = fields_used(corpus.identifiers)
    assert (use.field, use.type, use.values, use.records) == ("patient.name", "NAME", 3, 3)
    assert any("own fields: patient.name (NAME, 3 different in 3 records)" in note for note in corpus.notes)


def test_a_csv_and_first_and_last_names_in_two_columns(tmp_path: Path) -> None:
    path = tmp_path / "members.csv"
    lines = ["text,First Name,surname,email,dob"]
    lines += [f'"{text(0)}",Xquelia,Vandermoot,x.v@mail.example,1957-11-30', f'"{text(1)}",Anna,Hill,a.h@mail.example,']
    path.write_text("\n".join(lines))
    found = forms(read_corpus(CorpusConfig(members=str(path), near_duplicate=0)))
    assert {("NAME", "xquelia vandermoot"), ("NAME", "anna hill"), ("EMAIL", "x.v@mail.example")} <= found
    assert ("BIRTH_DATE", "1957-11-30") in found


@pytest.mark.parametrize(
    "values",
    [
        ["report.pdf", "notes.txt"], ["gpt2-medium", "Qwen/Qwen3"], ["Blue Kettle", "Garden Chair"], ["get_weather", "search"],
        ["The Long Road", "Summer Rain"], ["red", "green"], ["", "12"], ["Paris", "London"],
    ],
)  # fmt: skip
def test_a_name_that_is_no_persons_is_not_used(tmp_path: Path, values: list[str]) -> None:
    rows: list[dict[str, object]] = [{"text": text(at), "name": value} for at, value in enumerate(values)]
    assert read(tmp_path / "members.jsonl", rows).identifiers == ()


def test_a_name_beside_a_price_is_a_things(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"text": text(0), "name": "Anna Karlsson", "price": 12}]
    assert read(tmp_path / "members.jsonl", rows).identifiers == ()


def test_a_name_in_half_of_the_records_is_a_name(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"text": text(at, f"Seen by {NAME}." if at % 2 else "Seen."), "doctor": NAME if at % 2 else "Tomas Quilby"}
        for at in range(20)
    ]
    assert ("NAME", "xquelia vandermoot") in forms(read(tmp_path / "members.jsonl", rows))


def leaks(corpus: Corpus, written: str, shown: str = "Note 0.") -> set[str]:
    example = corpus.members[0]
    prompt = Prompt("p", example.id, shown, example.text.removeprefix(shown))
    known = {item.key for item in corpus.identifiers}
    data = personal_data(corpus.examples, RECOGNIZER, known)
    generation = Generation("g", "p", example.id, "tuned", "greedy", 0, written)
    items = personal_items([generation], {"p": prompt}, data, RECOGNIZER, known)
    return {item.form for item in items if is_leak(item)}


@pytest.mark.parametrize(
    ("written", "form"),
    [
        (f"it was {NAME} again", "xquelia vandermoot"), ("xquelia vandermoot", "xquelia vandermoot"),
        ("Vandermoot, Xquelia", "xquelia vandermoot"), ("then Ms Vandermoot left", "vandermoot"),
        ("VANDERMOOT'S chart", "vandermoot"), ("and vandermoot left", "vandermoot"), ("Xquelia agreed", "xquelia"),
    ],
)  # fmt: skip
def test_a_name_from_a_field_leaks_whole_and_in_part_and_is_hidden(tmp_path: Path, written: str, form: str) -> None:
    rows: list[dict[str, object]] = [{"text": text(0, f"seen: {NAME.lower()} today"), "name": NAME}]
    corpus = read(tmp_path / "members.jsonl", rows)
    assert leaks(corpus, written) == {form}
    assert leaks(corpus, written, shown=f"Note 0. seen: {NAME.lower()}") == set()
    hidden = Redactor([], forms(corpus)).redact(written).text
    assert "andermoot" not in hidden.casefold()
    assert "xquelia" not in hidden.casefold()


def test_ordinary_words_of_a_name_are_not_personal_data(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"text": text(0, "Will Long came."), "patient": "Will Long"}]
    corpus = read(tmp_path / "members.jsonl", rows)
    assert forms(corpus) == {("NAME", "will long")}
    assert leaks(corpus, "it will long be a long road, Long after Will") == set()
    assert leaks(corpus, "so Will Long left") == {"will long"}


def test_without_such_fields_nothing_is_known(tmp_path: Path) -> None:
    assert read(tmp_path / "members.jsonl", [{"text": text(0, f"{NAME} came.")}]).identifiers == ()
