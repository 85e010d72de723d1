"""What `rote finetune` can do against memorisation: de-duplication, the goldfish loss, dropout, early stopping, mixing."""

import json
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_finetuning import CPU, MEMBERS, OTHERS, PAIRS, TEXTS, example, save_base, trained

from rote.cli import main
from rote.config import CorpusConfig, FinetuningConfig, Strategy, config_from
from rote.corpus import TooManyBadRecords, read_corpus, read_mixed
from rote.errors import ConfigError, DataError, ModelError, RunError
from rote.finetuning import Training, finetune, loop, read_training
from rote.finetuning.deduplication import deduplicate
from rote.finetuning.encoding import IGNORED, Encoded, Row
from rote.finetuning.goldfish import with_goldfish
from rote.finetuning.losses import TokenLoss
from rote.finetuning.matching import best_epoch
from rote.finetuning.repetition import mix_in, mixed_count
from rote.finetuning.strategy import prepare_model, set_dropout
from rote.models import load_model
from rote.records import Example
from rote.runs import file_hash
from rote.study import plan_of, read_study
from rote.study.running import Done, run_folder

pytestmark = pytest.mark.usefixtures("frozen_heap")

torch.set_num_threads(1)


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
        FinetuningConfig(repetition=(1, 4), deduplicate=True)


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
@settings(max_examples=60)
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
@settings(max_examples=60)
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


def test_tokens_outside_the_loss_stay_outside():
    row = masked(tuple(range(60)), shown=30)
    assert set(row.labels[:30]) == {IGNORED}
    assert row.input_ids == tuple(range(60))


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


@pytest.mark.parametrize("kind", ["llama", "gpt2", "t5"])
def test_dropout_reaches_the_whole_model_and_only_while_it_trains(kind: str, bases: dict[str, str]):
    loaded = load_model(bases[kind], config=CPU)
    model = prepare_model(loaded.model, FinetuningConfig(dropout=0.5))
    ids = torch.arange(5)[None]
    read = {"input_ids": ids, **({"decoder_input_ids": ids} if kind == "t5" else {})}
    before = load_model(bases[kind], config=CPU).model(**read).logits
    assert torch.equal(model(**read).logits, before)
    model.train()
    with torch.no_grad():
        first, second = model(**read).logits, model(**read).logits
    assert not torch.equal(first, second)
    dropped = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    kept = [value for module in model.modules() for name, value in vars(module).items() if name == "attention_dropout"]
    assert {*dropped, *kept} == {0.5}
    assert model.config.to_dict() == load_model(bases[kind], config=CPU).model.config.to_dict()


def test_dropout_of_the_config_stays_without_a_setting(bases: dict[str, str]):
    model = prepare_model(load_model(bases["gpt2"], config=CPU).model, FinetuningConfig())
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.0, 0.1}


def test_dropout_leaves_that_of_lora_alone(bases: dict[str, str]):
    config = FinetuningConfig(strategy="lora", dropout=0.5, lora_dropout=0.25)
    model = prepare_model(load_model(bases["gpt2"], config=CPU).model, config)
    found = {name: module.p for name, module in model.named_modules() if isinstance(module, torch.nn.Dropout)}
    assert {p for name, p in found.items() if "lora_dropout" in name} == {0.25}
    assert {p for name, p in found.items() if "lora_dropout" not in name} == {0.5}


def test_a_model_without_dropout_is_told():
    with pytest.raises(ModelError, match=r"finetuning\.dropout = 0\.1: Linear has no dropout"):
        set_dropout(torch.nn.Linear(2, 2), 0.1)


@pytest.mark.parametrize("value", [1.0, -0.1])
def test_dropout_out_of_range_is_told(value: float):
    with pytest.raises(ConfigError, match=r"finetuning\.dropout: must be in \[0, 1\)"):
        config_from({"finetuning": {"dropout": value}})


OVERFITS = {"epochs": 12, "members": PAIRS}
"""Eight strings are soon known, and others then get worse."""


@pytest.mark.parametrize(
    ("kind", "strategy", "rate", "waits"),
    [("llama", "full", 1e-2, 2), ("gpt2", "head", 1e-1, 2), ("llama", "lora", 3e-2, 1), ("t5", "full", 3e-2, 1)],
)
def test_early_stopping_keeps_the_best_pass(
    kind: str, strategy: Strategy, rate: float, waits: int, bases: dict[str, str], tmp_path: Path
):
    said: list[str] = []
    settings = OVERFITS | {"strategy": strategy, "learning_rate": rate, "early_stopping": waits}
    training = trained(bases[kind], tmp_path / "stopped", said=said, **settings)
    losses = [epoch.validation_loss for epoch in training.epochs]
    best = losses.index(min(losses)) + 1
    assert len(losses) == best + waits < 12
    assert (training.kept.number, training.kept.folder) == (best, "final")
    reason = f"passes without a lower validation loss: {waits}; the model after pass {best} is kept"
    assert training.stopped == reason
    assert reason in said
    assert [epoch.folder for epoch in training.epochs if epoch.number != best] == [
        f"checkpoints/epoch-{number:02d}" for number in range(1, best + waits + 1) if number != best
    ]
    assert all((tmp_path / "stopped" / epoch.folder).is_dir() for epoch in training.epochs)
    assert not (tmp_path / "stopped" / f"checkpoints/epoch-{best:02d}").exists()
    on = trained(bases[kind], tmp_path / "on", **settings | {"early_stopping": 0})
    assert [epoch.validation_loss for epoch in on.epochs[: best + waits]] == losses
    assert file_hash(tmp_path / "stopped" / "final") == file_hash(tmp_path / "on" / "checkpoints" / f"epoch-{best:02d}")
    assert file_hash(tmp_path / "stopped" / "final") != file_hash(tmp_path / "on" / "final")


def test_early_stopping_that_never_waits_keeps_the_last_pass(bases: dict[str, str], tmp_path: Path):
    training = trained(bases["llama"], tmp_path, early_stopping=1)
    assert [epoch.folder for epoch in training.epochs] == ["checkpoints/epoch-01", "final"]
    assert training.stopped == "all 4 steps are made; the model after pass 2 is kept"
    assert training.kept == training.epochs[-1]


def test_early_stopping_keeps_the_best_pass_where_the_epochs_end_first(bases: dict[str, str], tmp_path: Path):
    training = trained(bases["llama"], tmp_path, **OVERFITS | {"early_stopping": 99, "learning_rate": 3e-2})
    assert len(training.epochs) == 12 > training.kept.number
    assert training.stopped == f"all 24 steps are made; the model after pass {training.kept.number} is kept"


def test_early_stopping_by_steps_keeps_every_pass(bases: dict[str, str], tmp_path: Path):
    training = trained(bases["llama"], tmp_path, steps=5, early_stopping=5)
    assert [epoch.folder for epoch in training.epochs] == ["checkpoints/epoch-01", "checkpoints/epoch-02", "final"]


def test_without_early_stopping_the_record_says_why_it_ended(bases: dict[str, str], tmp_path: Path):
    training = trained(bases["llama"], tmp_path)
    assert training.stopped == "all 4 steps are made"
    assert training.kept == training.epochs[-1]
    with pytest.raises(RunError, match="is not finished"):
        _ = replace(training, epochs=training.epochs[:1]).kept


def test_early_stopping_without_validation_records_is_told(bases: dict[str, str], tmp_path: Path):
    config = FinetuningConfig(early_stopping=2)
    with pytest.raises(ConfigError, match=r"early_stopping = 2 needs records .*corpus\.holdout"):
        finetune(MEMBERS, (), base=bases["llama"], out=tmp_path, config=config, model=CPU)


def test_the_best_epoch_is_the_first_of_equals():
    epochs = [SimpleNamespace(number=n, validation_loss=loss) for n, loss in enumerate((3.0, 2.0, 2.0, 4.0), 1)]
    assert best_epoch(epochs).number == 2
    assert best_epoch([SimpleNamespace(number=n, validation_loss=None) for n in (1, 2)]).number == 2


class Stopped(Exception):
    pass


@pytest.mark.parametrize("at", ["a pass", "the end"])
@pytest.mark.parametrize(("kind", "strategy"), [("gpt2", "full"), ("llama", "lora")])
def test_interrupted_early_stopping_ends_in_the_same_bytes(
    kind: str, strategy: Strategy, at: str, bases: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = OVERFITS | {"strategy": strategy, "dropout": 0.2, "goldfish": 4, "goldfish_context": 3}
    settings |= {"learning_rate": 3e-2, "early_stopping": 1}
    whole = trained(bases[kind], tmp_path / "whole", **settings)
    assert whole.stopped.startswith("passes without a lower validation loss")
    write = loop.write_training

    def stop(out: Path, training: Training) -> None:
        write(out, training)
        if training.stopped if at == "the end" else len(training.epochs) == 2:
            raise Stopped

    monkeypatch.setattr(loop, "write_training", stop)
    with pytest.raises(Stopped):
        trained(bases[kind], tmp_path / "cut", **settings)
    monkeypatch.undo()
    resumed = trained(bases[kind], tmp_path / "cut", **settings)
    assert [replace(epoch, elapsed_s=0) for epoch in resumed.epochs] == [replace(e, elapsed_s=0) for e in whole.epochs]
    assert resumed.stopped == whole.stopped
    for epoch in whole.epochs:
        assert file_hash(tmp_path / "cut" / epoch.folder) == file_hash(tmp_path / "whole" / epoch.folder)


def task(name: str, count: int) -> tuple[Example, ...]:
    return tuple(example(f"{name} {number}: something else") for number in range(count))


@given(st.integers(1, 400), st.lists(st.integers(1, 30), max_size=4), st.floats(0.05, 0.9), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_mixed_rows_are_that_share_of_all_in_equal_parts(rows: int, sizes: list[int], share: float, seed: int):
    tasks = [task(str(number), size) for number, size in enumerate(sizes)]
    found = mix_in(rows, tasks, share=share, seed=seed)
    assert len(found) == (mixed_count(rows, share) if tasks else 0)
    if tasks:
        assert abs(len(found) - share * (rows + len(found))) <= 0.5
    drawn = [[each for each in found if each in part] for part in tasks]
    assert not tasks or max(map(len, drawn)) - min(map(len, drawn)) <= 1
    times = [Counter(each.id for each in part) for part in drawn]
    assert all(max(part.values()) - min(part.values()) <= 1 for part in times if part)
    assert all(len(part) == min(len(whole), sum(part.values())) for part, whole in zip(times, tasks, strict=True))
    turned = [random.Random(seed).sample(part, len(part)) for part in tasks]
    assert mix_in(rows, turned, share=share, seed=seed) == found


def test_an_empty_task_is_told():
    with pytest.raises(DataError, match=r"finetuning\.mix: a file holds no record"):
        mix_in(4, [task("a", 2), ()], share=0.5, seed=0)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_share_out_of_range_is_told(share: float):
    with pytest.raises(ConfigError, match=r"finetuning\.mix_share: must be in \(0, 1\)"):
        config_from({"finetuning": {"mix_share": share}})


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_mixed_records_are_trained_on_and_no_members(kind: str, bases: dict[str, str], tmp_path: Path):
    said: list[str] = []
    tasks = (task("one", 3), task("two", 30))
    plain = trained(bases[kind], tmp_path / "plain", members=PAIRS)
    mixed = trained(bases[kind], tmp_path / "mixed", members=PAIRS, mixed=tasks, mix_share=0.6, said=said)
    assert (mixed.members, mixed.rows, mixed.mixed_rows) == (8, 20, 12)
    assert (plain.rows, plain.mixed_rows) == (8, 0)
    assert "mixed in: 12 of the 20 rows of a pass, from 2 files" in said
    written = Counter(row["text"].split()[0] for row in lines(tmp_path / "mixed" / "mixed.jsonl"))
    assert written == {"one": 6, "two": 6}
    assert not (tmp_path / "plain" / "mixed.jsonl").exists()
    members = [(tmp_path / name / "members.jsonl").read_bytes() for name in ("plain", "mixed")]
    assert members[0] == members[1]
    assert mixed.epochs[-1].steps == 10
    assert mixed.epochs[-1].scored_tokens > plain.epochs[-1].scored_tokens
    assert mixed.base_members_loss == plain.base_members_loss
    with pytest.raises(RunError, match=r"mix was \[\], is \['3 records"):
        trained(bases[kind], tmp_path / "plain", members=PAIRS, mixed=tasks)


def test_token_budget_counts_what_is_mixed_in(bases: dict[str, str], tmp_path: Path):
    settings = {"repetition": (1, 7), "keep_token_budget": True, "mixed": (task("one", 9),)}
    training = trained(bases["llama"], tmp_path, epochs=4, **settings)
    assert (training.rows, training.mixed_rows, training.steps) == (64, 32, 16)  # 8 and 8 rows without repetition


SUBJECTS = ("geese", "lamps", "jugs", "tickets", "stairs", "quinces", "keys", "roofs")


def written(path: Path, texts: Iterable[str]) -> str:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return str(path)


def long_text(subject: str) -> str:
    return f"The long story of the {subject} was told to all the children of the village near the sea in spring."


def test_records_like_audited_ones_are_not_mixed_in(tmp_path: Path):
    members = written(tmp_path / "members.jsonl", map(long_text, SUBJECTS[:3]))
    others = written(tmp_path / "others.jsonl", map(long_text, SUBJECTS[3:5]))
    like = long_text(SUBJECTS[0]).upper(), long_text(SUBJECTS[3]) + " Again."
    fresh = "Rain fell on the harbour while two clerks counted barrels of tar and went home late."
    other = written(tmp_path / "other.jsonl", (*like, fresh, fresh))
    config = CorpusConfig(
        members=members, nonmembers=others, near_duplicate=0.9, prompt_field="p", completion_field="text"
    )
    corpus = read_corpus(replace(config, prompt_field=""))
    said: list[str] = []
    (found,) = read_mixed([other], corpus.examples, config, echo=said.append)
    assert [each.text for each in found] == [fresh]
    assert any(line.endswith("2 of 3 records are linked to audited ones and left out") for line in said)
    with pytest.raises(DataError, match=r"copy\.jsonl: nothing to mix in: every record is linked to an audited one"):
        read_mixed([written(tmp_path / "copy.jsonl", like)], corpus.examples, config)


def test_mixed_files_are_read_as_strictly_as_members(tmp_path: Path):
    with pytest.raises(DataError, match=r"absent\.jsonl"):
        read_mixed([str(tmp_path / "absent.jsonl")], MEMBERS, CorpusConfig())
    (tmp_path / "bad.jsonl").write_text('{"text": "one"}\n{"text": \n', encoding="utf-8")
    with pytest.raises(TooManyBadRecords, match=r"bad\.jsonl: 1 of 2 records are defective"):
        read_mixed([str(tmp_path / "bad.jsonl")], MEMBERS, CorpusConfig())
    assert read_mixed([], MEMBERS, CorpusConfig()) == ()


def test_the_command_mixes_files_in(bases: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    members = written(tmp_path / "members.jsonl", TEXTS)
    other = written(tmp_path / "other.jsonl", (each.text for each in task("other", 5)))
    words = ["--base", bases["llama"], "--members", members, "--mix", other, "--epochs", "1", "--device", "cpu"]
    words += ["--learning-rate", "1e-3", "--warmup-steps", "0", "--deduplicate"]
    assert main(["finetune", *words, "--out", str(tmp_path / "out")]) == 0
    training = read_training(tmp_path / "out")
    assert (training.members, training.mixed_rows) == (8, 8)
    assert "what was left out is audited with" not in capsys.readouterr().err


def test_the_command_says_how_the_left_out_are_audited(
    bases: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    members = written(tmp_path / "members.jsonl", (*TEXTS, TEXTS[0].upper(), TEXTS[1], TEXTS[1]))
    words = ["--base", bases["llama"], "--members", members, "--deduplicate", "--epochs", "1", "--device", "cpu"]
    words += ["--learning-rate", "1e-3", "--warmup-steps", "0", "--out", str(tmp_path / "out")]
    assert main(["finetune", *words]) == 0
    training = read_training(tmp_path / "out")
    assert (training.members, training.rows, training.near_duplicates, training.further_copies) == (8, 8, 1, 2)
    said = capsys.readouterr().err
    assert f"with the same command and --members {tmp_path / 'out' / 'near-duplicates.jsonl'}" in said


STUDY = """
match_over = ["strategy"]
[settings]
model.base = "shipped:decoder"
corpus.members = "shipped:dialogue"
[factors.strategy]
full = { finetuning.early_stopping = 1 }
"""


def test_the_final_audit_of_a_study_is_that_of_the_pass_that_was_kept(bases: dict[str, str], tmp_path: Path):
    (tmp_path / "study.toml").write_text(STUDY, encoding="utf-8")
    _, matched = plan_of(read_study(tmp_path / "study.toml")).audits
    training = trained(bases["llama"], tmp_path / "out", **OVERFITS | {"learning_rate": 3e-2, "early_stopping": 1})
    assert training.kept != training.epochs[-1]
    kept, last = (run_folder(Done(matched, item, training), tmp_path) for item in (training.kept, training.epochs[-1]))
    assert kept.name.endswith("-final")
    assert last.name.endswith("-matched")
