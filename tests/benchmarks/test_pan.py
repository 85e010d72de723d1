"""PAN's measure against hand-computed cases; reading, writing and splitting a corpus; bad input."""

import json
import subprocess
import sys
from math import log2
from pathlib import Path

import pytest
from pan import joined
from pan_corpus import halves, read_corpus, read_passages, write_detections
from plagdet import Reuse, measure

from rote.errors import DataError
from rote.records import Span

PAN = Path(__file__).parents[2] / "benchmarks" / "pan.py"


def reuse(copy: tuple[int, int], origin: tuple[int, int], *, source: str = "b") -> Reuse:
    return Reuse("a", source, Span(*copy), Span(*origin))


WHOLE = reuse((0, 100), (200, 300))
FIRST, SECOND = reuse((0, 50), (200, 250)), reuse((50, 100), (250, 300))


def test_no_detection() -> None:
    figures = measure([WHOLE], [])
    assert (figures.plagdet, figures.recall, figures.precision, figures.granularity) == (0.0, 0.0, None, 1.0)


def test_no_case_and_no_detection() -> None:
    figures = measure([], [])
    assert (figures.plagdet, figures.recall, figures.precision, figures.granularity) == (None, None, None, 1.0)


def test_negatives_only() -> None:
    figures = measure([], [WHOLE])
    assert (figures.detections, figures.plagdet, figures.recall, figures.precision) == (1, None, None, 0.0)


def test_exact() -> None:
    figures = measure([WHOLE], [WHOLE])
    assert (figures.plagdet, figures.recall, figures.precision, figures.granularity) == (1.0, 1.0, 1.0, 1.0)


def test_half() -> None:
    figures = measure([WHOLE], [FIRST])
    assert (figures.recall, figures.precision) == (0.5, 1.0)
    assert figures.plagdet == pytest.approx(2 / 3)


def test_both_sides_count_by_their_characters() -> None:
    """All 100 characters of the copy and 50 of the 300 of the source."""
    figures = measure([reuse((0, 100), (0, 300))], [reuse((0, 100), (0, 50))])
    assert figures.recall == pytest.approx(150 / 400)


def test_two_detections_of_one_case() -> None:
    figures = measure([WHOLE], [FIRST, SECOND])
    assert (figures.recall, figures.precision, figures.granularity) == (1.0, 1.0, 2.0)
    assert figures.plagdet == pytest.approx(1 / log2(3))


def test_overlapping_detections_count_each_character_once() -> None:
    assert measure([WHOLE], [WHOLE, FIRST]).recall == 1.0


def test_one_detection_over_two_cases() -> None:
    figures = measure([FIRST, SECOND], [WHOLE])
    assert (figures.recall, figures.precision, figures.granularity) == (1.0, 1.0, 1.0)


def test_the_mean_is_over_cases_not_characters() -> None:
    long = reuse((1000, 2000), (1000, 2000))
    figures = measure([WHOLE, long], [long])
    assert figures.recall == 0.5
    assert figures.granularity == 1.0


def test_granularity_is_over_detected_cases() -> None:
    missed = reuse((1000, 2000), (1000, 2000))
    assert measure([WHOLE, missed], [FIRST, SECOND]).granularity == 2.0


@pytest.mark.parametrize(
    "detection",
    [
        reuse((0, 100), (300, 400)),
        reuse((100, 200), (200, 300)),
        reuse((0, 100), (200, 300), source="c"),
    ],
)
def test_a_detection_elsewhere_detects_nothing(detection: Reuse) -> None:
    figures = measure([WHOLE], [detection])
    assert (figures.plagdet, figures.recall, figures.precision) == (0.0, 0.0, 0.0)


def test_forms_that_overlap_on_both_sides_become_one_detection() -> None:
    plain, verbatim, elsewhere = (Span(0, 50), Span(0, 50)), (Span(40, 80), Span(40, 80)), (Span(0, 50), Span(90, 99))
    assert joined([plain, verbatim, elsewhere]) == [(Span(0, 80), Span(0, 80)), elsewhere]
    between = (Span(45, 95), Span(45, 95))
    assert joined([plain, (Span(90, 100), Span(90, 100)), between]) == [(Span(0, 100), Span(0, 100))]
    assert joined([]) == []


TEXT = "Eleven boats were lost in the harbour when the storm came in from the west at night. "


def write_corpus(folder: Path) -> Path:
    """Two pairs with one suspicious document, one pair of others; the first is copied whole."""
    copied = TEXT + "The mayor of the town opened the school for all of the families that had lost their homes."
    documents = {
        "susp/s1.txt": f"{copied} Nothing else.",
        "susp/s2.txt": "Quite another matter, on cheese.",
        "src/r1.txt": f"Before. {copied}",
        "src/r2.txt": "Of mountains and of glaciers.",
        "src/r3.txt": "On bread.",
    }
    for name, text in documents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    truth = (
        f'<feature name="plagiarism" this_offset="0" this_length="{len(copied)}" source_reference="r1.txt" '
        f'source_offset="8" source_length="{len(copied)}" />'
    )
    cases = {"02-copied": [("s1", "r1", truth)], "01-none": [("s1", "r2", ""), ("s2", "r3", "")]}
    for name, pairs in cases.items():
        (folder / name).mkdir()
        (folder / name / "pairs").write_text("".join(f"{one}.txt {two}.txt\n" for one, two, _ in pairs))
        for one, two, feature in pairs:
            (folder / name / f"{one}-{two}.xml").write_text(f'<document reference="{one}.txt">{feature}</document>')
    return folder


def test_a_corpus_is_read(tmp_path: Path) -> None:
    corpus = read_corpus(write_corpus(tmp_path))
    assert [(pair.obfuscation, pair.suspicious, len(pair.cases)) for pair in corpus.pairs] == [
        ("01-none", "s1.txt", 0),
        ("01-none", "s2.txt", 0),
        ("02-copied", "s1.txt", 1),
    ]
    (case,) = corpus.pairs[2].cases
    assert case.copy.of(corpus.suspicious["s1.txt"]) == case.origin.of(corpus.sources["r1.txt"])


def test_linked_documents_go_into_the_same_half(tmp_path: Path) -> None:
    corpus = read_corpus(write_corpus(tmp_path))
    found = halves(corpus)
    assert found[0] == found[2]
    assert set(found) <= {"a", "b"}


def test_detections_are_written_as_pan_reads_them(tmp_path: Path) -> None:
    pair = read_corpus(write_corpus(tmp_path)).pairs[2]
    found = Reuse(pair.suspicious, pair.source, Span(3, 9), Span(10, 20))
    write_detections(tmp_path / "out", pair, [found])
    assert read_passages(tmp_path / "out" / "02-copied" / "s1-r1.xml", "detected-plagiarism") == [found]


def damage_folder(folder: Path) -> None:
    folder.rename(folder.with_name("moved"))


def damage_susp(folder: Path) -> None:
    (folder / "susp").rename(folder / "suspicious")


def damage_document(folder: Path) -> None:
    (folder / "src" / "r2.txt").unlink()


def damage_encoding(folder: Path) -> None:
    (folder / "src" / "r2.txt").write_bytes(b"caf\xe9")


def damage_pairs(folder: Path) -> None:
    (folder / "01-none" / "pairs").write_text("s1.txt r2.txt\ns1.txt\n")


def damage_xml(folder: Path) -> None:
    (folder / "01-none" / "s1-r2.xml").write_text("<document>\n<feature")


def damage_truth(folder: Path) -> None:
    (folder / "01-none" / "s1-r2.xml").unlink()


def damage_offset(folder: Path) -> None:
    file = folder / "02-copied" / "s1-r1.xml"
    file.write_text(file.read_text().replace('this_offset="0"', 'this_offset="-1"'))


def damage_length(folder: Path) -> None:
    file = folder / "02-copied" / "s1-r1.xml"
    file.write_text(file.read_text().replace('source_offset="8"', 'source_offset="800"'))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_folder, r"--corpus: no folder"),
        (damage_susp, r"no folder 'susp'"),
        (damage_document, r"r2\.txt: no such document"),
        (damage_encoding, r"r2\.txt: not UTF-8"),
        (damage_pairs, r"pairs, line 2: expected .* found 's1\.txt'"),
        (damage_xml, r"s1-r2\.xml, line 2: broken XML"),
        (damage_truth, r"s1-r2\.xml: no such file"),
        (damage_offset, r"s1-r1\.xml: expected whole numbers, found this_offset='-1'"),
        (damage_length, r"s1-r1\.xml: .* is outside its document"),
    ],
)
def test_bad_input_is_told(tmp_path: Path, damage: object, message: str) -> None:
    folder = tmp_path / "corpus"
    folder.mkdir()
    damage(write_corpus(folder))  # type: ignore[operator]
    with pytest.raises(DataError, match=message):
        read_corpus(folder)


def test_the_script_prints_one_line_per_obfuscation_and_the_whole(tmp_path: Path) -> None:
    out = tmp_path / "figures.jsonl"
    command = [sys.executable, PAN, "--corpus", write_corpus(tmp_path), "--preset", "corrected", "--out", out]
    done = subprocess.run([*command, "--detections", tmp_path / "xml"], capture_output=True, text=True, check=True)
    assert done.stdout == out.read_text()
    none, copied, entire = map(json.loads, done.stdout.splitlines())
    assert [row["obfuscation"] for row in (none, copied, entire)] == ["01-none", "02-copied", "entire"]
    assert (none["detections"], none["plagdet"], copied["recall"], copied["granularity"]) == (0, None, 1.0, 1.0)
    assert (entire["pairs"], entire["cases"], entire["plagdet"]) == (3, 1, copied["plagdet"])
    assert len(list((tmp_path / "xml").glob("*/*.xml"))) == 3
    failed = subprocess.run([*command[:3], tmp_path / "nowhere", *command[4:]], capture_output=True, text=True)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert "Traceback" not in failed.stderr
    assert "nowhere" in failed.stderr
