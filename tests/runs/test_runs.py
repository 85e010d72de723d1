"""The run folder: fresh, stale, resumed, atomic."""

import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from rote.errors import RunError
from rote.records import Candidate
from rote.runs import CANDIDATES, CONFIG, EXAMPLES, FORMAT, MANIFEST, MATCHES, Run, file_hash
from rote.runs.disk import private_folder
from rote.runs.locks import claimed

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


def test_what_was_made_before_its_input_changed_is_not_read(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write(EXAMPLES, CHUNKS[0], settings={})
    run.make(CANDIDATES, chunks, settings={}, inputs=[EXAMPLES])
    run.make(MATCHES, chunks, settings={}, inputs=[CANDIDATES])
    assert run.is_whole(MATCHES)
    run.write(EXAMPLES, CHUNKS[1], settings={})
    assert not run.is_whole(MATCHES)
    told = r"candidates\.jsonl was made before examples\.jsonl changed; run `rote retrieve`"
    for name in (CANDIDATES, MATCHES):
        with pytest.raises(RunError, match=told):
            run.read(name, Candidate)
    run.make(CANDIDATES, chunks, settings={}, inputs=[EXAMPLES])
    run.make(MATCHES, chunks, settings={}, inputs=[CANDIDATES])
    assert run.read(MATCHES, Candidate)
    run.discard(EXAMPLES)
    with pytest.raises(RunError, match="before examples"):
        run.read(MATCHES, Candidate)


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
    with pytest.raises(RunError, match=r"candidates\.jsonl does not exist"):
        Run(tmp_path).read(CANDIDATES, Candidate)
    with pytest.raises(RunError, match="not a run folder"):
        Run(tmp_path / "nothing", must_exist=True)


DEPTH = '"artifacts"'


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text.replace('"depth": 10', '"depth": 11'), "damaged .its content is not what was written"),
        (lambda text: text[: len(text) // 2], "damaged"),
        (lambda text: "", "damaged"),
        (lambda text: "[" * 100_000 + DEPTH, "damaged .nested too deeply"),
        (lambda text: text.replace('"depth": 10', f'"depth": {"9" * 5000}'), "damaged .Exceeds the limit"),
        (lambda text: text.replace(f'"format": {FORMAT}', '"format": 3'), "a run of format 3, made by rote"),
    ],
)
def test_a_damaged_or_old_manifest_is_named_and_everything_made_again(
    tmp_path: Path, damage: Callable[[str], str], message: str
) -> None:
    run = Run(tmp_path)
    run.make(CANDIDATES, chunks, settings={"depth": 10})
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir() if not path.name.startswith(".")}
    run.path(MANIFEST).write_text(damage(run.path(MANIFEST).read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(RunError, match=rf"manifest\.json: {message}.*; run `rote audit` again"):
        Run(tmp_path, must_exist=True)
    said: list[str] = []
    assert Run(tmp_path, echo=said.append).make(CANDIDATES, chunks, settings={"depth": 10})
    assert len(said) == 1
    assert re.search(f"{message}.*; everything is made again", said[0])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if not path.name.startswith(".")} == whole


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content.replace(b"2.0", b"2.1"),
        lambda content: content[: content.rindex(b"\n", 0, -1) + 1],
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: None,
        lambda content: b'{"generation_id":"g9","example_id":"z","rank":1,"score":1.0}\n',
    ],
)
def test_a_damaged_artifact_is_named_and_made_again(tmp_path: Path, damage: Callable[[bytes], bytes | None]) -> None:
    run = Run(tmp_path)
    run.make(CANDIDATES, chunks, settings={})
    whole = run.path(CANDIDATES).read_bytes()
    damaged = damage(whole)
    if damaged is None:
        run.path(CANDIDATES).unlink()
    else:
        run.path(CANDIDATES).write_bytes(damaged)
    with pytest.raises(
        RunError,
        match=r"candidates\.jsonl(: damaged \(.*\)| does not exist any more); run `rote retrieve` .* again",
    ):
        Run(tmp_path, must_exist=True).read(CANDIDATES, Candidate)
    said: list[str] = []
    assert Run(tmp_path, echo=said.append).make(CANDIDATES, chunks, settings={})
    assert re.fullmatch(r"candidates\.jsonl: damaged \(.*\); making it again", said[0])
    assert run.path(CANDIDATES).read_bytes() == whole


def test_a_changed_chunk_of_unfinished_work_is_not_used(tmp_path: Path) -> None:
    def killed(done: int) -> Iterator[Sequence[Candidate]]:
        yield from CHUNKS
        raise KeyboardInterrupt

    run = Run(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run.make(CANDIDATES, killed, settings={})
    partial = run.path(CANDIDATES + ".partial")
    partial.write_bytes(partial.read_bytes().replace(b'"score":0.5', b'"score":0.6'))
    seen: list[int] = []

    def counting(done: int) -> Iterator[Sequence[Candidate]]:
        seen.append(done)
        return chunks(done)

    run.make(CANDIDATES, counting, settings={})
    assert seen == [1], "the first chunk is whole, the second one was changed"


def test_settings_that_were_changed_in_the_folder_are_named(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.save_settings("[corpus]\nseed = 1\n")
    assert Run(tmp_path).settings_file() == tmp_path / CONFIG
    before = (tmp_path / MANIFEST).read_bytes()
    run.path(CONFIG).write_text("[corpus]\nseed = 2\n", encoding="utf-8")
    with pytest.raises(RunError, match=r"config\.toml: missing, or changed since it was written"):
        Run(tmp_path).settings_file()
    said: list[str] = []
    Run(tmp_path, echo=said.append).save_settings("[corpus]\nseed = 1\n")
    assert said == ["config.toml: changed since it was written; written again"]
    assert (tmp_path / MANIFEST).read_bytes() == before


def test_the_manifest_does_not_depend_on_the_order_of_work(tmp_path: Path) -> None:
    one, two = Run(tmp_path / "one"), Run(tmp_path / "two")
    one.note(seed=1, device="cpu")
    two.note(device="cpu")
    two.note(seed=1)
    assert list(one.manifest()) == list(two.manifest())
    assert one.path(MANIFEST).read_bytes() == two.path(MANIFEST).read_bytes()


def test_what_is_stale_is_said_once_for_each_change(tmp_path: Path) -> None:
    def audit(depth: int, said: list[str]) -> None:
        run = Run(tmp_path, echo=said.append)
        run.make(CANDIDATES, chunks, settings={"depth": depth})
        run.make("b.jsonl", chunks, settings={}, inputs=[CANDIDATES])
        run.make("c.jsonl", chunks, settings={"depth": depth}, inputs=["b.jsonl"])

    audit(10, [])
    said: list[str] = []
    audit(20, said)
    stale = [line for line in said if "stale" in line]
    assert stale == [
        "candidates.jsonl: stale, depth was 10, is 20; making it again, with 2 artifacts that depend on it"
    ]


def test_of_many_changes_the_number_and_three_are_said(tmp_path: Path) -> None:
    names = [f"setting_{at:02}" for at in range(25)]
    Run(tmp_path).make(CANDIDATES, chunks, settings=dict.fromkeys(names, 1))
    said: list[str] = []
    Run(tmp_path, echo=said.append).make(CANDIDATES, chunks, settings=dict.fromkeys(names, 2))
    three = ", ".join(f"{name} was 1, is 2" for name in names[:3])
    assert said[0] == f"candidates.jsonl: stale, 25 changes: {three} …; making it again"


@pytest.mark.parametrize("name", ["config.toml", CANDIDATES, "report.html"])
def test_a_file_of_somebody_else_is_not_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine", encoding="utf-8")
    with pytest.raises(RunError, match=rf"holds '{name}', but no manifest.json of a run: it is not overwritten"):
        Run(tmp_path).write(CANDIDATES, CHUNKS[0], settings={})
    assert (tmp_path / name).read_text(encoding="utf-8") == "mine"
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")] == [name]


def test_a_manifest_of_something_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text('{"name": "my extension", "manifest_version": 3}', encoding="utf-8")
    with pytest.raises(RunError, match=r"manifest\.json: no manifest of rote; it is not overwritten"):
        Run(tmp_path)


def test_what_cannot_be_written_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.note(seed=1)
    (tmp_path / CANDIDATES).mkdir()
    with pytest.raises(RunError, match=r"candidates\.jsonl: cannot be written: "):
        run.write(CANDIDATES, CHUNKS[0], settings={})
    assert not list(tmp_path.glob(".*.tmp"))


def test_links_are_not_followed_when_writing(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("mine", encoding="utf-8")
    run = Run(tmp_path / "run")
    run.note(seed=1)
    for name in (CANDIDATES, CANDIDATES + ".partial", CONFIG):
        run.path(name).symlink_to(outside)
    run.save_settings("[corpus]\n")
    run.make(CANDIDATES, chunks, settings={})
    assert outside.read_text(encoding="utf-8") == "mine"
    assert not run.path(CANDIDATES).is_symlink()
    run.path("token-store").symlink_to(tmp_path)
    with pytest.raises(RunError, match="token-store: a symbolic link, and nothing is written through it"):
        private_folder(run.path("token-store"), is_inner=True)


def test_run_folders_and_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        run = Run(tmp_path / "run")
        run.make(CANDIDATES, chunks, settings={})
        run.save_settings("[corpus]\n")
    finally:
        os.umask(before)
    assert stat.S_IMODE(run.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in run.folder.iterdir()} == {0o600}


LOCKING = """
import sys, time
from pathlib import Path
from rote.runs.locks import claimed, name_command
name_command(["audit", "--out", "x"])
with claimed(Path(sys.argv[1])):
    print("locked", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_written_by_one_process_and_a_dead_owner_gives_way(tmp_path: Path) -> None:
    leftovers = [".scores.jsonl.4294967.tmp", f".scores.jsonl.{'0' * 8}-4294967.tmp", ".index.4294967.old"]
    with subprocess.Popen([sys.executable, "-c", LOCKING, tmp_path], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        message = rf"`rote audit --out x` \(process {other.pid} on .+, since 2\d\d\d-.+\) is writing it; wait until"
        with pytest.raises(RunError, match=message), claimed(tmp_path):
            pass
        with pytest.raises(RunError, match=message):
            Run(tmp_path).note(seed=1)
        for name in leftovers:
            (tmp_path / name).write_text("a training text", encoding="utf-8")
        other.kill()
    with claimed(tmp_path), claimed(tmp_path):
        assert [path.name for path in tmp_path.glob(".*") if path.suffix in (".tmp", ".old")] == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock"]


def test_unfinished_work_that_cannot_be_resumed_is_swept(tmp_path: Path) -> None:
    def killed(done: int) -> Iterator[Sequence[Candidate]]:
        yield CHUNKS[0]
        raise KeyboardInterrupt

    run = Run(tmp_path)
    run.write("input.jsonl", CHUNKS[0], settings={})
    with pytest.raises(KeyboardInterrupt):
        run.make(CANDIDATES, killed, settings={}, inputs=["input.jsonl"])
    partial = run.path(CANDIDATES + ".partial")
    Run(tmp_path).note(seed=1)
    assert partial.exists()
    Run(tmp_path).write("input.jsonl", CHUNKS[1], settings={})
    Run(tmp_path).note(seed=2)
    assert not partial.exists()


def test_file_hash_depends_on_names_and_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    first = file_hash(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert file_hash(tmp_path) != first
