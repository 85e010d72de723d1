"""What `rote finetune` can do against memorisation: de-duplication."""

import gc
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rote.config import CorpusConfig
from rote.corpus import read_corpus
from rote.errors import ConfigError
from rote.finetuning.deduplication import deduplicate
from rote.finetuning.encoding import Encoded, Row
from rote.records import Example
from test_finetuning import MEMBERS, OTHERS, TEXTS, example, save_base, trained

torch.set_num_threads(1)


@pytest.fixture(scope="module", autouse=True)
def _frozen_heap() -> Iterator[None]:
    """As in test_finetuning: the Trainer collects garbage."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("bases")
    return {kind: save_base(root / kind, kind) for kind in ("llama", "gpt2", "t5")}


def encoded(*examples: Example) -> Encoded:
    rows = tuple(Row((number, number), (-100, number)) for number in range(len(examples)))
    return Encoded(examples, rows, cut=0, left_out=0, halved=0)


def lines(path: Path) -> list[object]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


TWINS = tuple(replace(example(text), group=f"g{number // 3}") for number, text in enumerate(TEXTS))
"""Groups of three, three and two records."""


def test_one_record_of_each_group_is_kept_once_whatever_the_order():
    members = tuple(replace(member, copies=2) for member in TWINS)
    once = deduplicate(encoded(*members), seed=0)
    assert [each.group for each in once.kept.examples] == ["g0", "g1", "g2"]
    assert {each.copies for each in once.kept.examples} == {1}
    assert once.further_copies == 3
    kept = {each.id for each in once.kept.examples}
    assert [each.id for each in once.left_out] == [each.id for each in members if each.id not in kept]
    assert [row.input_ids[0] for row in once.kept.rows] == [n for n, each in enumerate(members) if each.id in kept]
    turned = deduplicate(encoded(*random.Random(1).sample(members, len(members))), seed=0)
    assert {each.id for each in turned.kept.examples} == kept
    others = [{each.id for each in deduplicate(encoded(*members), seed=seed).kept.examples} for seed in range(8)]
    assert any(other != kept for other in others)


def test_groups_of_one_are_all_kept():
    once = deduplicate(encoded(*MEMBERS), seed=0)
    assert once.kept == encoded(*MEMBERS)
    assert (once.left_out, once.further_copies) == ((), 0)


def test_repetition_beside_de_duplication_is_told():
    with pytest.raises(
        ConfigError, match=r"repetition = \[1, 4\] repeats what finetuning\.deduplicate .*one of the two"
    ):
        deduplicate(encoded(*MEMBERS), seed=0, repetition=(1, 4))


def test_what_was_left_out_is_said_and_no_longer_a_member(bases: dict[str, str], tmp_path: Path):
    said: list[str] = []
    members = tuple(replace(member, copies=2) for member in TWINS)
    training = trained(bases["llama"], tmp_path, members=members, deduplicate=True, epochs=1, said=said)
    assert (training.members, training.rows) == (3, 3)
    assert (training.near_duplicates, training.further_copies) == (5, 3)
    assert any("5 of 8 members are like one that is trained on" in line and "3 exact copies" in line for line in said)
    kept, left_out = lines(tmp_path / "members.jsonl"), lines(tmp_path / "near-duplicates.jsonl")
    assert [len(kept), len(left_out)] == [3, 5]
    assert sorted(row["text"] for row in (*kept, *left_out)) == sorted(TEXTS)


def test_the_left_out_can_be_audited_against_the_same_non_members(bases: dict[str, str], tmp_path: Path):
    trained(bases["llama"], tmp_path, members=TWINS, deduplicate=True, epochs=1)
    files = {"members": str(tmp_path / "near-duplicates.jsonl"), "nonmembers": str(tmp_path / "nonmembers.jsonl")}
    corpus = read_corpus(CorpusConfig(**files))
    assert len(corpus.members) == 5
    assert [each.text for each in corpus.nonmembers] == list(OTHERS)


def test_without_de_duplication_nothing_is_written(bases: dict[str, str], tmp_path: Path):
    training = trained(bases["llama"], tmp_path, members=TWINS, epochs=1)
    assert (training.members, training.near_duplicates) == (8, 0)
    assert not (tmp_path / "near-duplicates.jsonl").exists()
