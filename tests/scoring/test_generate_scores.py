"""Stage 3's passes in a run folder: the token store, what is made again, what is shared, what is checked."""

import json
import shutil
from pathlib import Path

import pytest

from fakes import MEMBERS, NON_MEMBERS, byte_tokenizer, tiny_decoder
from rote import runs
from rote.cli import main
from rote.passes.store import store_of
from rote.records import Recheck, TokenScores
from rote.runs import Run

SETTINGS = ("--prefix-tokens", "8", "--max-new-tokens", "6", "--generation-batch-size", "5")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models of random weights, and members and non-members."""
    folder = tmp_path_factory.mktemp("models")
    tokenizer = byte_tokenizer()
    for seed, name in enumerate(("tuned", "base")):
        tiny_decoder("llama", tokens=len(tokenizer), seed=seed).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    for name, texts in (("members", MEMBERS), ("nonmembers", NON_MEMBERS)):
        lines = [json.dumps({"text": text}) for text in texts]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def prepare(folder: Path, out: Path, members: Path | None = None) -> None:
    words = ["--members", members or folder / "members.jsonl", "--nonmembers", folder / "nonmembers.jsonl"]
    assert main(["prepare", *map(str, words), "--out", str(out)]) == 0


def generate(folder: Path, out: Path, *more: str) -> int:
    return main(
        ["generate", str(out), "--model", str(folder / "tuned"), "--base", str(folder / "base"), *SETTINGS, *more]
    )


def passes(out: Path, model: str = "tuned") -> list[TokenScores]:
    return Run(out).read(runs.TOKEN_SCORES.format(model=model), TokenScores)


def chunks(store: Path) -> set[str]:
    return {path.name for path in store.glob("*.arrow")}


def test_every_prompt_has_its_statistics_in_the_store(folder: Path, tmp_path: Path) -> None:
    prepare(folder, tmp_path)
    assert generate(folder, tmp_path) == 0
    store = store_of(Run(tmp_path))
    for model in ("tuned", "base"):
        assert len(passes(tmp_path, model)) == 16
        for item in passes(tmp_path, model):
            assert len(store.read(item.key)) == item.tokens
            assert len(store.read(item.key).decoding_log_probabilities) == 3
    assert not {item.key for item in passes(tmp_path)} & {item.key for item in passes(tmp_path, "base")}


def test_a_second_call_scores_nothing_and_a_new_record_only_itself(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(folder, tmp_path / "run")
    generate(folder, tmp_path / "run")
    store = tmp_path / "run" / runs.TOKEN_STORE
    before = chunks(store)
    capsys.readouterr()
    generate(folder, tmp_path / "run")
    assert "token-scores-tuned.jsonl: up to date" in capsys.readouterr().err
    assert chunks(store) == before
    more = tmp_path / "more.jsonl"
    members = (folder / "members.jsonl").read_text(encoding="utf-8")
    more.write_text(members + json.dumps({"text": "Quite another sentence about nothing."}) + "\n", encoding="utf-8")
    known = {item.key for item in passes(tmp_path / "run")}
    prepare(folder, tmp_path / "run", more)
    generate(folder, tmp_path / "run")
    found = {item.key for item in passes(tmp_path / "run")}
    assert known < found
    assert len(found) == 17
    reopened = store_of(Run(tmp_path / "run"))
    new = [reopened._table(path)["schemes"].to_pylist() for path in store.iterdir() if path.name not in before]
    assert sum(schemes == 3 for rows in new for schemes in rows) == 2  # one text of each model, besides other forms


def test_a_store_that_was_deleted_is_filled_again(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(folder, tmp_path)
    generate(folder, tmp_path)
    artifact = tmp_path / runs.TOKEN_SCORES.format(model="tuned")
    before = artifact.read_bytes()
    shutil.rmtree(tmp_path / runs.TOKEN_STORE)
    capsys.readouterr()
    assert generate(folder, tmp_path) == 0
    assert "token-scores-tuned.jsonl: the token store lacks some of its texts" in capsys.readouterr().err
    assert artifact.read_bytes() == before
    assert all(item.key in store_of(Run(tmp_path)) for item in passes(tmp_path))


def test_runs_that_share_a_store_compute_each_text_once(folder: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    for name in ("one", "two"):
        prepare(folder, tmp_path / name)
        generate(folder, tmp_path / name, "--set", f"scoring.store={shared}")
        assert not (tmp_path / name / runs.TOKEN_STORE).exists()
        if name == "one":
            before = chunks(shared)
    assert chunks(shared) == before
    assert passes(tmp_path / "one") == passes(tmp_path / "two")


def test_another_scheme_or_number_format_is_scored_anew_and_another_decoding_is_not(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(folder, tmp_path)
    generate(folder, tmp_path)
    capsys.readouterr()
    generate(folder, tmp_path, "--decoding", "sample")
    said = capsys.readouterr().err
    assert "generations-tuned.jsonl: stale" in said
    assert "token-scores-tuned.jsonl: up to date" in said
    generate(folder, tmp_path, "--decoding", "sample", "--set", 'scoring.schemes=["t2"]')
    assert "token-scores-tuned.jsonl: stale, schemes was" in capsys.readouterr().err
    before = passes(tmp_path)
    # this toy's loss is another one in bfloat16, which the recheck would not let pass
    other = ("--dtype", "bfloat16", "--rechecked", "0")
    generate(folder, tmp_path, "--decoding", "sample", "--set", 'scoring.schemes=["t2"]', *other)
    assert "stale, dtype was 'float32', is 'bfloat16'" in capsys.readouterr().err
    assert not {item.key for item in before} & {item.key for item in passes(tmp_path)}


def test_a_wrong_scheme_is_told_before_anything_is_run(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(folder, tmp_path)
    assert generate(folder, tmp_path, "--set", 'scoring.schemes=["t0"]') == 2
    assert "scoring.schemes: 't0': the temperature must be > 0" in capsys.readouterr().err
    assert not (tmp_path / runs.GENERATIONS.format(model="tuned")).exists()


@pytest.mark.parametrize(("dtype", "least", "most"), [("float32", 0.0, 1e-4), ("bfloat16", 1e-4, 0.5)])
def test_a_sample_is_scored_again_in_float32(
    dtype: str, least: float, most: float, folder: Path, tmp_path: Path
) -> None:
    prepare(folder, tmp_path)
    generate(folder, tmp_path, "--dtype", dtype, "--set", "scoring.rechecked=5")
    for model in ("tuned", "base"):
        (found,) = Run(tmp_path).read(runs.RECHECKS.format(model=model), Recheck)
        assert (found.model, found.dtype, found.texts) == (model, dtype, 5)
        assert least <= found.log_probability <= most
    generate(folder, tmp_path, "--dtype", dtype, "--set", "scoring.rechecked=0")
    assert not (tmp_path / runs.RECHECKS.format(model="tuned")).exists()
