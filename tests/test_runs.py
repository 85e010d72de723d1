"""The run folder: fresh, stale, resumed, atomic."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from rote.errors import StaleRunError
from rote.records import Candidate
from rote.runs import CANDIDATES, MANIFEST, Run, file_hash

CHUNKS = [[Candidate("g1", "a", 1, 2.0), Candidate("g1", "b", 2, 1.0)], [Candidate("g0", "é\ud800<script>", 1, 0.5)]]


def chunks(done: int) -> Iterator[Sequence[Candidate]]:
    return iter(CHUNKS[done:])


def by_generation(row: dict) -> tuple[str, int]:
    return row["generation_id"], row["rank"]


def test_fresh_is_skipped_and_stale_says_why(tmp_path: Path) -> None:
    said: list[str] = []
    run = Run(tmp_path / "run", echo=said.append)
    assert run.make(CANDIDATES, chunks, settings={"depth": 10})
    assert not Run(tmp_path / "run").make(CANDIDATES, chunks, settings={"depth": 10})
    assert run.make(CANDIDATES, chunks, settings={"depth": 20})
    assert any("stale, depth was 10, is 20" in line for line in said)
    assert run.read(CANDIDATES, Candidate) == [record for chunk in CHUNKS for record in chunk]


def test_a_changed_input_makes_stale(tmp_path: Path) -> None:
    said: list[str] = []
    run = Run(tmp_path, echo=said.append)
    run.write("input.jsonl", CHUNKS[0], settings={})
    run.make(CANDIDATES, chunks, settings={}, inputs=["input.jsonl"])
    run.write("input.jsonl", CHUNKS[1], settings={})
    assert run.make(CANDIDATES, chunks, settings={}, inputs=["input.jsonl"])
    assert any("input.jsonl changed" in line for line in said)


def test_an_interrupted_artifact_goes_on_and_ends_in_the_same_bytes(tmp_path: Path) -> None:
    whole = Run(tmp_path / "whole")
    whole.make(CANDIDATES, chunks, settings={}, order=by_generation)

    def killed(done: int) -> Iterator[Sequence[Candidate]]:
        yield CHUNKS[done]
        raise KeyboardInterrupt

    said: list[str] = []
    cut = Run(tmp_path / "cut", echo=said.append)
    with pytest.raises(KeyboardInterrupt):
        cut.make(CANDIDATES, killed, settings={}, order=by_generation)
    assert not cut.path(CANDIDATES).exists()
    with cut.path(CANDIDATES + ".partial").open("ab") as file:
        file.write(b'[{"generation_id":"torn')
    assert cut.make(CANDIDATES, chunks, settings={}, order=by_generation)
    assert any("going on after 1 finished chunks" in line for line in said)
    assert cut.path(CANDIDATES).read_bytes() == whole.path(CANDIDATES).read_bytes()
    assert not list(cut.folder.glob("*.partial")) + list(cut.folder.glob(".*.tmp"))


def test_partial_work_of_other_settings_is_not_used(tmp_path: Path) -> None:
    def killed(done: int) -> Iterator[Sequence[Candidate]]:
        yield CHUNKS[0]
        raise KeyboardInterrupt

    run = Run(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run.make(CANDIDATES, killed, settings={"depth": 1})
    seen: list[int] = []

    def counting(done: int) -> Iterator[Sequence[Candidate]]:
        seen.append(done)
        return chunks(done)

    run.make(CANDIDATES, counting, settings={"depth": 2})
    assert seen == [0]


def test_a_missing_artifact_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(StaleRunError, match=r"candidates\.jsonl does not exist"):
        Run(tmp_path).read(CANDIDATES, Candidate)
    with pytest.raises(StaleRunError, match="not a run folder"):
        Run(tmp_path / "nothing", must_exist=True)


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"format":3,"artifacts":[]}', '{"format":3,"artifacts":{"a":{"x":1}}}']
)
def test_a_broken_manifest_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / MANIFEST).write_text(content, encoding="utf-8")
    with pytest.raises(StaleRunError, match=r"manifest\.json: cannot be read"):
        Run(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"[]\n", b"\xff\n", b"{}\n", b"\0"])
def test_a_damaged_artifact_is_named(tmp_path: Path, content: bytes) -> None:
    run = Run(tmp_path)
    run.write(CANDIDATES, CHUNKS[0], settings={})
    run.path(CANDIDATES).write_bytes(content)
    with pytest.raises(StaleRunError, match=r"candidates\.jsonl: damaged .*; delete it"):
        run.read(CANDIDATES, Candidate)


def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / CANDIDATES).mkdir()
    with pytest.raises(StaleRunError, match=r"candidates\.jsonl: cannot be written: "):
        Run(tmp_path).write(CANDIDATES, CHUNKS[0], settings={})
    assert not list(tmp_path.glob(".*.tmp"))


def test_file_hash_depends_on_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    first = file_hash(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert file_hash(tmp_path) != first
