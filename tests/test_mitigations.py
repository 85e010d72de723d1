"""What `rote finetune` can do against memorisation: de-duplication, the goldfish loss."""

import gc
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rote.config import CorpusConfig, config_from
from rote.corpus import read_corpus
from rote.errors import ConfigError
from rote.finetuning.deduplication import deduplicate
from rote.finetuning.encoding import IGNORED, Encoded, Row
from rote.finetuning.goldfish import with_goldfish
from rote.finetuning.losses import TokenLoss
from rote.records import Example
from test_finetuning import MEMBERS, OTHERS, PAIRS, TEXTS, example, save_base, trained

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


def masked(ids: tuple[int, ...], *, k: int = 4, context: int = 5, shown: int = 1) -> Row:
    labels = (*(IGNORED,) * shown, *ids[shown:])
    return with_goldfish(Row(ids, labels), k=k, context=context, is_encoder_decoder=False)


def left_out(row: Row, *, shown: int = 1) -> set[int]:
    return {place for place, label in enumerate(row.labels) if label == IGNORED and place >= shown}


ids = st.lists(st.integers(0, 60_000), min_size=6, max_size=60).map(tuple)


@given(ids, ids, st.integers(2, 9), st.integers(1, 7))
@settings(max_examples=60, deadline=None)
def test_the_tokens_before_decide_wherever_they_stand(
    first: tuple[int, ...], passage: tuple[int, ...], k: int, context: int
):
    alone = left_out(masked(passage, k=k, context=context))
    quoted = left_out(masked(first + passage, k=k, context=context))
    assert {place for place in alone if place >= context} == {
        place - len(first) for place in quoted if place - len(first) >= context
    }
    assert all(place >= context for place in alone)


@given(ids, st.integers(2, 9), st.integers(1, 7), st.data())
@settings(max_examples=60, deadline=None)
def test_what_comes_after_the_window_does_not_matter(row: tuple[int, ...], k: int, context: int, data: st.DataObject):
    cut = data.draw(st.integers(1, len(row)))
    assert left_out(masked(row[:cut], k=k, context=context)) == {
        place for place in left_out(masked(row, k=k, context=context)) if place < cut
    }
    turned = (*row[: cut - 1], row[cut - 1] + 1)  # nor does the token itself
    assert left_out(masked(turned, k=k, context=context)) == left_out(masked(row[:cut], k=k, context=context))


@pytest.mark.parametrize("k", [2, 3, 4, 32])
def test_one_token_in_k_is_left_out(k: int):
    draw = random.Random(k)
    row = tuple(draw.randrange(50_000) for _ in range(20_000))
    share = len(left_out(masked(row, k=k, context=13))) / (len(row) - 13)
    assert abs(share - 1 / k) < 4 * (1 / k * (1 - 1 / k) / len(row)) ** 0.5


def test_goldfish_is_the_same_on_every_machine():
    assert left_out(masked(tuple(range(60)), k=4, context=13)) == {24, 31, 33, 44, 49, 52, 53, 55, 56}


def test_tokens_outside_the_loss_stay_outside_and_k_0_is_off():
    row = masked(tuple(range(60)), shown=30)
    assert set(row.labels[:30]) == {IGNORED}
    assert row.input_ids == tuple(range(60))
    plain = Row((1, 2, 3), (IGNORED, 2, 3))
    assert with_goldfish(plain, k=0, context=1, is_encoder_decoder=False) is plain


def test_goldfish_reads_what_an_encoder_decoder_writes():
    written = tuple(range(60))
    pair = with_goldfish(Row((7, 8, 9), written), k=4, context=5, is_encoder_decoder=True)
    assert pair.input_ids == (7, 8, 9)
    assert left_out(pair, shown=0) == left_out(masked(written))
    other = with_goldfish(Row((1,), written), k=4, context=5, is_encoder_decoder=True)
    assert other.labels == pair.labels


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_goldfish_tokens_are_not_counted_as_scored(kind: str, bases: dict[str, str], tmp_path: Path):
    said: list[str] = []
    members = tuple(replace(member, copies=2) for member in PAIRS)
    found = {"goldfish": 3, "goldfish_context": 4}
    plain = trained(bases[kind], tmp_path / "plain", members=members, epochs=2)
    fish = trained(bases[kind], tmp_path / "fish", members=members, epochs=2, said=said, **found)
    whole, kept = plain.epochs[-1], fish.epochs[-1]
    assert fish.goldfish_tokens > 0 == plain.goldfish_tokens
    assert fish.goldfish_tokens % 2 == 0  # both copies lose the same tokens
    assert kept.scored_tokens == whole.scored_tokens - 2 * fish.goldfish_tokens
    assert kept.tokens == whole.tokens
    assert any(line.startswith(f"goldfish loss: {fish.goldfish_tokens:,} of ") for line in said)
    assert fish.base_validation_loss == plain.base_validation_loss  # measured on every token
    assert fish.base_members_loss == plain.base_members_loss


def test_a_batch_without_a_scored_token_has_no_loss():
    loss = TokenLoss(causal=True, scored_tokens=0)
    outputs = SimpleNamespace(logits=torch.zeros(1, 3, 5, requires_grad=True))
    found = loss(outputs, torch.full((1, 3), IGNORED), torch.tensor(0))
    found.backward()
    assert found.item() == 0.0
    assert torch.equal(outputs.logits.grad, torch.zeros(1, 3, 5))


@pytest.mark.parametrize("k", [1, -2])
def test_goldfish_of_one_is_told(k: int):
    with pytest.raises(ConfigError, match=rf"finetuning\.goldfish: must be 0 or > 1, found {k}"):
        config_from({"finetuning": {"goldfish": k}})
