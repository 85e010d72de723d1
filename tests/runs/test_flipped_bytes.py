"""One byte flipped in each kind of file of a finished run: whoever reads it refuses and names it, or makes it again."""

import fnmatch
import json
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from fakes import MEMBERS, NON_MEMBERS, byte_tokenizer, tiny_decoder
from rote.cli import main

pytestmark = pytest.mark.slow
SETTINGS = ("--prefix-tokens", "10", "--max-new-tokens", "30", "--suffix-tokens", "12", "--device", "cpu")
SETTINGS += ("--unrelated-prefixes", "1")
NOT_COMPARED = ("manifest.json", ".*")
"""The manifest keeps what has changed, which the files do not."""
COMMANDS = {
    "audit": (),
    "report": (),
    "show": (),
    "score": ("--suffix-tokens", "9", "--confidence", "0.9", "--min-k-share", "0.3"),
    "align": ("--preset", "corrected"),
    "retrieve": ("--depth", "3", "--nonmember-depth", "2"),
}
"""With settings that have the inputs of what they make read again."""
INDEXES = (
    *(f"exact{of}/{name}" for of in ("", "-nonmember") for name in ("0/*.npy", "listing.json")),
    *(f"index{of}/{name}" for of in ("", "-nonmember") for name in ("*.npy", "listing.json")),
)
READ_BY = {
    "agreement-*.jsonl": "report show",
    "candidates.jsonl": "score align report",
    "candidates-nonmember.jsonl": "align",
    "comparisons.jsonl": "report",
    "config.toml": "report show score align retrieve",
    "curves.jsonl": "report",
    "detector.jsonl": "report",
    "dropped.jsonl": "report",
    "estimates.jsonl": "report show",
    "exact.jsonl": "score report",
    "examples.jsonl": "report score align retrieve",
    "generations-*.jsonl": "report score align",
    "left-out*.jsonl": "audit",
    "left-out-losses-*.jsonl": "score",
    "matches.jsonl": "score show",
    "personal-data.jsonl": "report",
    "personal-items.jsonl": "report",
    "prompts.jsonl": "report score align retrieve",
    "readings.jsonl": "audit",
    "rechecks-*.jsonl": "report",
    "rendering-passes-*.jsonl": "score audit",
    "renderings.jsonl": "report show",
    "report.*": "audit",
    "scores.jsonl": "report show",
    "separations.jsonl": "report",
    "similarities.jsonl": "report",
    "soundness-*.jsonl": "report audit",
    "token-scores-*.jsonl": "score report",
    "token-store/*.arrow": "score report show audit",
    "unmeasurable.jsonl": "score",
    "utility.jsonl": "report",
    "variants-*.jsonl": "score",
    **dict.fromkeys(INDEXES, "retrieve"),
}
"""The files of a run, and the commands that read them."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiny models, data with a non-member that holds a member, and `run`, an audit of them."""
    found = tmp_path_factory.mktemp("flipped")
    for number, name in enumerate(("base", "tuned")):
        tiny_decoder(tokens=len(byte_tokenizer()), seed=number).save_pretrained(found / name)
        byte_tokenizer().save_pretrained(found / name)
    held = f"At length, that evening by the fire, she said it again to us. {MEMBERS[0]}"
    for name, texts in (("m", MEMBERS), ("n", (*NON_MEMBERS, held))):
        lines = [json.dumps({"text": f"{text} {text[::-1]}" if text != held else text}) for text in texts]
        (found / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert call("audit", found / "run") == 0
    return found


def call(command: str, run: Path) -> int:
    place = run.parent
    if command != "audit":
        return main([command, str(run), *COMMANDS[command]])
    words = ["--model", place / "tuned", "--base", place / "base", "--members", place / "m.jsonl"]
    return main(["audit", *map(str, [*words, "--nonmembers", place / "n.jsonl", "--out", run]), *SETTINGS])


def files(run: Path) -> dict[str, bytes]:
    paths = [path for path in run.rglob("*") if path.is_file()]
    names = {path.relative_to(run).as_posix(): path for path in paths}
    return {
        name: path.read_bytes()
        for name, path in names.items()
        if not any(fnmatch.fnmatch(path.name, pattern) for pattern in NOT_COMPARED)
    }


@pytest.fixture(scope="module")
def undamaged(folder: Path) -> Callable[[str], dict[str, bytes]]:
    """What the run holds after a command, where no byte was flipped."""

    @cache
    def after(command: str) -> dict[str, bytes]:
        run = copied(folder)
        assert call(command, run) == 0
        return files(run)

    return after


def copied(folder: Path) -> Path:
    """The finished run anew; always in one place, which its pages name."""
    kept = folder / "kept"
    if not kept.exists():
        shutil.copytree(folder / "run", kept)
    shutil.rmtree(folder / "run")
    shutil.copytree(kept, folder / "run")
    return folder / "run"


def test_every_file_of_a_run_is_in_the_table(folder: Path) -> None:
    names = [name for name, content in files(copied(folder)).items() if content]
    assert [name for name in names if not any(fnmatch.fnmatch(name, pattern) for pattern in READ_BY)] == []


@pytest.mark.parametrize("pattern", READ_BY)
def test_a_flipped_byte_is_named_or_mended(
    pattern: str, folder: Path, undamaged: Callable[[str], dict[str, bytes]], capsys: pytest.CaptureFixture[str]
) -> None:
    fitting = [name for name, content in files(copied(folder)).items() if content and fnmatch.fnmatch(name, pattern)]
    noticed = False
    for command in READ_BY[pattern].split():
        expected = undamaged(command)
        for name in fitting[:2]:
            path = copied(folder) / name
            content, middle = path.read_bytes(), len(path.read_bytes()) // 2
            path.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
            flipped = path.read_bytes()
            capsys.readouterr()
            code, after = call(command, folder / "run"), files(folder / "run")
            said = capsys.readouterr().err
            if code:
                assert code == 2
                assert path.name in said
            else:
                # what is not needed may stay as it is, or be removed (a chunk of the store); no other file may differ
                is_as_made = after.get(name) in (None, flipped, expected[name])
                assert is_as_made
                assert after | {name: b""} == expected | {name: b""}
            noticed |= code == 2 or after.get(name) != flipped
    assert noticed or not fitting
