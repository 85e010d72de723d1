"""What is claimed of the demonstration records (scripts/check_records.py prints the figures)."""

import importlib.util
import json
import os
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "src" / "rote" / "demonstration" / "records"
SHARED = Path(os.environ.get("ROTE_SHARED", ROOT.parent / "shared"))


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_records", ROOT / "scripts" / "check_records.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def records(check: ModuleType) -> dict[str, list[dict]]:
    return {path.stem: check.load(path) for path in sorted(RECORDS.glob("*.jsonl"))}


def test_there_are_enough_of_each_task(records: dict[str, list[dict]]) -> None:
    assert len(records["dialogue"]) >= 200
    assert all(len(records[task]) >= 120 for task in ("sentiment", "qa", "translation"))


def test_no_two_records_share_a_run_of_60_characters(check: ModuleType, records: dict[str, list[dict]]) -> None:
    assert check.shared_runs([record for part in records.values() for record in part]) == []


def test_the_check_itself_finds_a_planted_run(check: ModuleType) -> None:
    run = "the ferry left at ten past six and nobody on the quay waved " + "x" * 5
    planted = [{"id": "a", "text": "One. " + run}, {"id": "b", "text": "Two. " + run + " Three."}]
    assert [pair[:2] for pair in check.shared_runs(planted)] == [("a", "b")]


def test_dialogues_have_their_length_and_their_details(check: ModuleType, records: dict[str, list[dict]]) -> None:
    assert [problem for record in records["dialogue"] for problem in check.dialogue_problems(record)] == []
    assert all(len(record["details"]) >= 2 for record in records["dialogue"])


def test_no_detail_belongs_to_two_patients(records: dict[str, list[dict]]) -> None:
    details = [value for record in records["dialogue"] for value in record["details"].values()]
    assert len(details) == len(set(details))


def test_answers_stand_in_their_passages(records: dict[str, list[dict]]) -> None:
    assert all(record["answer"] in record["context"] for record in records["qa"])


def test_dialogues_are_as_varied_as_real_ones(check: ModuleType, records: dict[str, list[dict]]) -> None:
    real = SHARED / "data" / "summarization" / "mtsdialog.jsonl"
    if not real.exists():
        pytest.skip(f"the real dialogues to compare with are not at {real} (set ROTE_SHARED)")
    theirs = [json.loads(line)["prompt"] for line in real.read_text(encoding="utf-8").splitlines()]
    ours, other, _ = check.equal_size_ratios([record["document"] for record in records["dialogue"]], theirs)
    assert ours >= other
