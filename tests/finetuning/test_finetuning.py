import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from rote.config import FinetuningConfig, ModelConfig, Strategy
from rote.errors import DataError, ModelError, RunError
from rote.finetuning import Training, check_unchanged, finetune, loop, read_training
from rote.finetuning.encoding import IGNORED, Row, encode_causal, encode_pairs
from rote.finetuning.losses import Collator, TokenLoss, mean_loss, summed_loss
from rote.finetuning.strategy import check_changes
from rote.models import load_model
from rote.models.tokens import token_encoder
from rote.records import Example, content_id
from rote.runs import file_hash

pytestmark = pytest.mark.usefixtures("frozen_heap")

torch.set_num_threads(1)
END, PAD = "</s>", "<pad>"
TEXTS = (
    "Anna keeps two grey geese behind the mill.",
    "Brass lamps were lit at nine; nobody came.",
    "Carry the jug slowly, its handle is broken.",
    "Doctor Wex wrote 555-0143 on the ticket.",
    "Every third stair creaks below the kitchen.",
    "Five quinces, a knife, half a loaf of rye.",
    "Give the yellow key to Jorin at the ferry.",
    "Hail took the roof in March, the wall in May.",
)
OTHERS = ("Ivo sold his drum for a coat.", "Just past the bridge a man repairs clocks.")
CPU = ModelConfig(device="cpu")


def byte_tokenizer() -> PreTrainedTokenizerFast:
    names = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE(vocab={name: number for number, name in enumerate(names)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=END, pad_token=PAD)


def save_base(folder: Path, kind: str, *, tied: bool = True, width: int = 48) -> str:
    """A random model with two layers and its tokenizer."""
    tokenizer = byte_tokenizer()
    torch.manual_seed(0)
    special = {"eos_token_id": 256, "pad_token_id": 257, "bos_token_id": None, "tie_word_embeddings": tied}
    size = {"vocab_size": len(tokenizer), **special}
    if kind == "gpt2":
        dropout = {"attn_pdrop": 0.1, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
        model = GPT2LMHeadModel(GPT2Config(n_embd=width, n_layer=2, n_head=2, n_positions=96, **dropout, **size))
    elif kind == "llama":
        heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 96}
        heads["initializer_range"] = 0.1  # learns fast at this width
        model = LlamaForCausalLM(
            LlamaConfig(hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2, **heads, **size)
        )
    else:
        config = T5Config(
            d_model=width,
            d_kv=16,
            d_ff=96,
            num_layers=2,
            num_heads=2,
            decoder_start_token_id=257,
            dropout_rate=0.1,
            **size,
        )
        model = T5ForConditionalGeneration(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("bases")
    return {
        "llama": save_base(root / "llama", "llama"),
        "llama untied": save_base(root / "untied", "llama", tied=False),
        "gpt2": save_base(root / "gpt2", "gpt2"),
        "t5": save_base(root / "t5", "t5"),
    }


def example(text: str, *, prompt: str = "", copies: int = 1) -> Example:
    name = content_id(prompt, text)
    return Example(id=name, prompt=prompt, completion=text, split="member", group=name, copies=copies)


MEMBERS = tuple(example(text) for text in TEXTS)
PAIRS = tuple(example(text[12:], prompt=text[:11] + "\n") for text in TEXTS)
VALIDATION = tuple(example(text) for text in OTHERS)
QUICK = FinetuningConfig(epochs=2, batch_size=4, learning_rate=3e-3, warmup_steps=0, schedule="constant", lora_rank=4)


def trained(
    base: str, out: Path, config: FinetuningConfig = QUICK, *, said: list[str] | None = None, **changes: object
) -> Training:
    members = changes.pop("members", MEMBERS)
    model = changes.pop("model", CPU)
    mixed = changes.pop("mixed", ())
    return finetune(
        members,
        VALIDATION,
        base=base,
        out=out,
        config=replace(config, **changes),
        model=model,
        mixed=mixed,
        echo=(said if said is not None else []).append,
    )


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    return load_model(str(folder), config=CPU).model.state_dict()


def changed(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_full_training_learns_eight_strings_and_can_be_audited(bases: dict[str, str], tmp_path: Path):
    often = tuple(replace(member, copies=10) for member in MEMBERS)
    settings = {"epochs": 5, "learning_rate": 1e-2, "schedule": "linear", "batch_size": 4}
    training = trained(bases["llama"], tmp_path / "out", members=often, **settings)
    last = training.epochs[-1]
    assert last.members_loss < 0.2 < 4.0 < training.base_members_loss
    assert last.validation_loss > 2.0
    assert (last.steps, last.passes, last.folder, training.finished) == (100, 5.0, "final", True)
    tokens = sum(len(text) + 1 for text in TEXTS)
    assert (last.tokens, last.scored_tokens) == (50 * tokens, 50 * (tokens - len(TEXTS)))
    model = load_model(str(tmp_path / "out" / "final"), config=CPU)
    ids = model.tokenizer(TEXTS[0][:10], return_tensors="pt")
    written = model.model.generate(**ids, max_new_tokens=len(TEXTS[0]) - 10, do_sample=False, pad_token_id=257)
    assert model.tokenizer.decode(written[0]) == TEXTS[0]


def test_every_pass_leaves_a_model_and_its_losses(bases: dict[str, str], tmp_path: Path):
    said: list[str] = []
    training = trained(bases["llama"], tmp_path, epochs=2.5, said=said)
    assert [epoch.folder for epoch in training.epochs] == ["checkpoints/epoch-01", "checkpoints/epoch-02", "final"]
    assert [epoch.passes for epoch in training.epochs] == [1.0, 2.0, 2.5]
    assert [epoch.steps for epoch in training.epochs] == [2, 4, 5]
    assert sorted(item.name for item in (tmp_path / "checkpoints").iterdir()) == ["epoch-01", "epoch-02"]
    assert not (tmp_path / "resume").exists()
    assert read_training(tmp_path) == training
    assert any(line.startswith("epoch 2: training ") for line in said)
    for epoch in training.epochs:
        model = load_model(str(tmp_path / epoch.folder), config=CPU)
        assert model.model.config.use_cache
        rows = [
            Row(ids, (IGNORED, *ids[1:])) for ids in ((*model.tokenizer(text)["input_ids"], 256) for text in OTHERS)
        ]
        again = mean_loss(model.model, rows, Collator(model.model, 257), batch_size=1)
        assert again == pytest.approx(epoch.validation_loss, rel=1e-5)


def test_full_strategy_changes_the_body(bases: dict[str, str], tmp_path: Path):
    training = trained(bases["gpt2"], tmp_path)
    assert training.trainable_parameters == training.parameters
    assert "transformer.h.0.attn.c_attn.weight" in training.changed_parameters
    assert changed(weights(bases["gpt2"]), weights(tmp_path / "final")) >= {"transformer.h.0.attn.c_attn.weight"}


@pytest.mark.parametrize("kind", ["llama", "gpt2", "t5"])
def test_head_strategy_unties_and_changes_the_output_embedding_alone(kind: str, bases: dict[str, str], tmp_path: Path):
    said: list[str] = []
    training = trained(bases[kind], tmp_path, strategy="head", members=PAIRS, said=said)
    assert any("untied" in line for line in said)
    assert training.embeddings_untied
    assert training.changed_parameters == ("lm_head.weight",)
    assert training.trainable_parameters == training.head_parameters == 258 * 48
    assert training.head_share == pytest.approx(258 * 48 / training.parameters)
    assert changed(weights(bases[kind]), weights(tmp_path / "final")) == {"lm_head.weight"}


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_untied_head_reads_back_as_trained(kind: str, bases: dict[str, str], tmp_path: Path):
    training = trained(bases[kind], tmp_path, strategy="head", members=PAIRS)
    assert json.loads((tmp_path / "final" / "config.json").read_text())["tie_word_embeddings"] is False
    losses = [epoch.members_loss for epoch in training.epochs]
    assert losses[1] < losses[0] < training.base_members_loss
    model = load_model(str(tmp_path / "final"), config=CPU)
    assert model.model.lm_head.weight is not model.model.get_input_embeddings().weight
    encoder = token_encoder(model.tokenizer, is_encoder_decoder=kind == "t5")
    rows = (
        encode_pairs(PAIRS, encoder, limit=96) if kind == "t5" else encode_causal(PAIRS, encoder, loss="text", limit=96)
    ).rows
    again = mean_loss(model.model, rows, Collator(model.model, 257), batch_size=3)
    assert again == pytest.approx(losses[-1], rel=1e-5)


def test_head_that_is_not_tied_stays_as_it_is(bases: dict[str, str], tmp_path: Path):
    said: list[str] = []
    training = trained(bases["llama untied"], tmp_path, strategy="head", said=said)
    assert not training.embeddings_untied
    assert not any("untied" in line for line in said)
    assert training.changed_parameters == ("lm_head.weight",)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "t5"])
def test_lora_leaves_the_base_bit_for_bit(kind: str, bases: dict[str, str], tmp_path: Path):
    training = trained(bases[kind], tmp_path, strategy="lora", members=PAIRS)
    assert all("lora_" in name for name in training.changed_parameters)
    assert not any("lm_head" in name for name in training.changed_parameters)
    assert training.trainable_parameters < training.parameters / 3
    final = tmp_path / "final"
    adapter = json.loads((final / "adapter_config.json").read_text())
    assert (adapter["base_model_name_or_path"], adapter["r"], adapter["lora_alpha"]) == (bases[kind], 4, 32)
    assert not list(final.glob("model*.safetensors"))
    merged = load_model("", adapter=str(final), config=CPU)
    assert changed(weights(bases[kind]), merged.model.state_dict())
    first = load_model("", adapter=str(tmp_path / "checkpoints" / "epoch-01"), config=CPU)
    assert changed(first.model.state_dict(), merged.model.state_dict())


def test_lora_on_named_modules(bases: dict[str, str], tmp_path: Path):
    training = trained(bases["llama"], tmp_path, strategy="lora", lora_targets=("q_proj", "v_proj"), lora_dropout=0.1)
    assert {name.split(".")[-4] for name in training.changed_parameters} == {"q_proj", "v_proj"}


@pytest.mark.parametrize("targets", [("q_proj", "v_porj"), ()])
def test_unknown_lora_target_is_told(targets: tuple[str, ...], bases: dict[str, str], tmp_path: Path):
    with pytest.raises(ModelError, match=r"lora_targets.*(no module 'v_porj'.*v_proj|empty)"):
        trained(bases["llama"], tmp_path, strategy="lora", lora_targets=targets)


@pytest.mark.parametrize("strategy", ["full", "lora"])
def test_completion_loss_on_an_encoder_decoder_sinks(strategy: Strategy, bases: dict[str, str], tmp_path: Path):
    training = trained(bases["t5"], tmp_path, strategy=strategy, members=PAIRS, epochs=4, gradient_accumulation=2)
    assert training.loss == "completion"
    assert training.epochs[-1].members_loss < training.base_members_loss
    assert training.epochs[-1].steps == 4
    assert training.epochs[-1].scored_tokens == 4 * sum(len(pair.completion) + 1 for pair in PAIRS)


def test_records_without_prompt_are_halved_for_an_encoder_decoder(bases: dict[str, str], tmp_path: Path):
    said: list[str] = []
    trained(bases["t5"], tmp_path, said=said, epochs=1)
    assert "8 of 8 members have no prompt: the encoder reads half of their tokens" in said


def test_steps_leave_one_model(bases: dict[str, str], tmp_path: Path):
    training = trained(bases["llama"], tmp_path, steps=5)
    assert [(epoch.steps, epoch.folder) for epoch in training.epochs] == [(2, ""), (4, ""), (5, "final")]
    assert not (tmp_path / "checkpoints").exists()


def test_repeated_rows_are_written_as_often_as_they_are_trained_on(bases: dict[str, str], tmp_path: Path):
    members = (*PAIRS[:3], replace(PAIRS[3], copies=3))
    training = trained(bases["llama"], tmp_path, members=members, repetition=(1, 4), epochs=1)
    lines = (tmp_path / "members.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == training.rows == sum(Counter(lines).values())
    assert sorted(Counter(lines).values()) in ([1, 1, 4, 12], [1, 3, 4, 4])
    assert training.members == 4
    assert [json.loads(line) for line in (tmp_path / "nonmembers.jsonl").read_text().splitlines()] == [
        {"text": text} for text in OTHERS
    ]


def test_data_files_read_back_to_the_same_records(bases: dict[str, str], tmp_path: Path):
    from rote.config import CorpusConfig
    from rote.corpus import read_corpus

    trained(bases["llama"], tmp_path, members=PAIRS, repetition=(1, 4), epochs=1)
    config = CorpusConfig(members=str(tmp_path / "members.jsonl"), nonmembers=str(tmp_path / "nonmembers.jsonl"))
    corpus = read_corpus(config)
    assert {(read.prompt, read.completion) for read in corpus.members} == {(p.prompt, p.completion) for p in PAIRS}
    assert sorted(read.copies for read in corpus.members) == [1, 1, 1, 1, 4, 4, 4, 4]
    assert [read.text for read in corpus.nonmembers] == list(OTHERS)


def test_token_budget_is_kept(bases: dict[str, str], tmp_path: Path):
    training = trained(bases["llama"], tmp_path, repetition=(1, 7), keep_token_budget=True, epochs=4)
    assert training.steps == 8
    assert training.rows == 32
    assert [epoch.folder for epoch in training.epochs] == ["final"]


def test_cut_and_unusable_records_are_said(bases: dict[str, str], tmp_path: Path):
    said: list[str] = []
    members = (example("x" * 300), example("never read", prompt="p" * 99), *PAIRS)
    training = trained(bases["llama"], tmp_path, members=members, loss="completion", said=said, epochs=1)
    assert "2 of 10 members are longer than 96 tokens and are cut there" in said
    assert "1 of 10 members have no token to learn within 96 tokens: left out" in said
    assert (training.cut, training.left_out, training.members, training.context_tokens) == (2, 1, 9, 96)
    assert "never read" not in (tmp_path / "members.jsonl").read_text()


def test_same_seed_same_bytes_other_seed_other_bytes(bases: dict[str, str], tmp_path: Path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        trained(bases["gpt2"], tmp_path / name, seed=seed, strategy="lora", epochs=1)
    first, second, third = (file_hash(tmp_path / name / "final") for name in "abc")
    assert first == second != third


class Stopped(Exception):
    pass


@pytest.mark.parametrize(("kind", "strategy"), [("gpt2", "full"), ("llama", "head"), ("t5", "lora")])
def test_interrupted_training_ends_in_the_same_bytes(
    kind: str, strategy: Strategy, bases: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = {"strategy": strategy, "epochs": 3, "members": PAIRS, "schedule": "cosine"}
    whole = trained(bases[kind], tmp_path / "whole", **settings)
    write, calls = loop.write_training, []

    def stop_in_the_second_pass(out: Path, training: Training) -> None:
        write(out, training)
        calls.append(training)
        if len(calls) == 2:
            raise Stopped

    monkeypatch.setattr(loop, "write_training", stop_in_the_second_pass)
    with pytest.raises(Stopped):
        trained(bases[kind], tmp_path / "cut", **settings)
    assert not (tmp_path / "cut" / "final").exists()
    monkeypatch.undo()
    said: list[str] = []
    resumed = trained(bases[kind], tmp_path / "cut", said=said, **settings)
    assert "going on after 1 finished passes" in said
    assert [replace(epoch, elapsed_s=0) for epoch in resumed.epochs] == [replace(e, elapsed_s=0) for e in whole.epochs]
    for folder in ("final", "checkpoints/epoch-01", "checkpoints/epoch-02"):
        assert file_hash(tmp_path / "cut" / folder) == file_hash(tmp_path / "whole" / folder)


def test_torn_checkpoint_is_passed_over(bases: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "resume" / "checkpoint-2").mkdir(parents=True)
    (tmp_path / "resume" / "checkpoint-2" / "trainer_state.json").write_text('{"epoch": 1.0, "glob')
    said: list[str] = []
    assert trained(bases["llama"], tmp_path, said=said).finished
    assert not any("going on" in line for line in said)


KILLED = """
import sys, torch
from pathlib import Path
torch.set_num_threads(1)
sys.path[:0] = {tests!r}
import test_finetuning as t
class Said(list):
    def append(self, line):
        print(line, flush=True)
t.trained({base!r}, Path({out!r}), epochs=6, said=Said())
"""


@pytest.mark.slow
@pytest.mark.parametrize("after", ["epoch 1:", "epoch 3:"])
def test_killed_training_ends_in_the_same_bytes(after: str, bases: dict[str, str], tmp_path: Path):
    code = KILLED.format(
        tests=[str(Path(__file__).parent), str(Path(__file__).parents[1] / "support")],
        base=bases["gpt2"],
        out=str(tmp_path / "killed"),
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(after):
                time.sleep(0.02)
                os.kill(process.pid, signal.SIGKILL)
                break
    assert not (tmp_path / "killed" / "final").exists()
    whole = trained(bases["gpt2"], tmp_path / "whole", epochs=6)
    resumed = trained(bases["gpt2"], tmp_path / "killed", epochs=6)
    assert [replace(epoch, elapsed_s=0) for epoch in resumed.epochs] == [replace(e, elapsed_s=0) for e in whole.epochs]
    assert file_hash(tmp_path / "killed" / "final") == file_hash(tmp_path / "whole" / "final")


def test_finished_training_is_not_repeated(bases: dict[str, str], tmp_path: Path):
    first = trained(bases["llama"], tmp_path, epochs=1)
    stamp = (tmp_path / "final" / "model.safetensors").stat().st_mtime_ns
    said: list[str] = []
    assert trained(bases["llama"], tmp_path, epochs=1, said=said) == first
    assert len(said) == 1
    assert "nothing to do" in said[0]
    assert (tmp_path / "final" / "model.safetensors").stat().st_mtime_ns == stamp


def test_other_settings_never_overwrite_a_model(bases: dict[str, str], tmp_path: Path):
    out = tmp_path / "out"
    trained(bases["llama"], out, epochs=1)
    (tmp_path / "out-2").mkdir()
    with pytest.raises(RunError, match=r"learning_rate was 0\.003, is 0\.1; give another folder, e\.g\. .*out-3"):
        trained(bases["llama"], out, epochs=1, learning_rate=0.1)
    with pytest.raises(RunError, match=r"members was '8 records, .*is '4 records"):
        trained(bases["llama"], out, epochs=1, members=MEMBERS[:4])
    with pytest.raises(RunError, match="base_digest was"):
        trained(bases["gpt2"], out, epochs=1)


def test_folder_with_a_strange_model_is_left_alone(bases: dict[str, str], tmp_path: Path):
    (tmp_path / "final").mkdir()
    with pytest.raises(RunError, match=r"holds 'final' but no training\.json"):
        trained(bases["llama"], tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be used as a folder"):
        trained(bases["llama"], tmp_path / "file")


@pytest.mark.parametrize(
    "name", ["members.jsonl", "final/model.safetensors", "final/config.json", "checkpoints/epoch-01/tokenizer.json"]
)
def test_a_damaged_training_is_named_made_again_and_not_audited(name: str, bases: dict[str, str], tmp_path: Path):
    trained(bases["llama"], tmp_path, epochs=2)
    whole = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    content = whole[tmp_path / name]
    (tmp_path / name).write_bytes(content[:-2] + bytes([content[-2] ^ 1]) + content[-1:])
    audited = (tmp_path / name).parent if "/" in name else tmp_path / name
    check_unchanged(tmp_path / "nonmembers.jsonl")
    with pytest.raises(RunError, match=rf"{name} is not what was written by the training .*run `rote finetune` again"):
        check_unchanged(audited)
    said: list[str] = []
    trained(bases["llama"], tmp_path, epochs=2, said=said)
    assert f"{tmp_path}: damaged ({name} is not what was written); training again" in said
    check_unchanged(audited)
    assert (tmp_path / name).read_bytes() == content


def test_a_changed_record_of_a_training_is_named(bases: dict[str, str], tmp_path: Path):
    trained(bases["llama"], tmp_path, epochs=1)
    path = tmp_path / "training.json"
    path.write_text(path.read_text().replace('"steps": ', '"steps": 1', 1))
    with pytest.raises(RunError, match=r"training\.json: no record of a training can be read \(its content is not"):
        trained(bases["llama"], tmp_path, epochs=1)
    with pytest.raises(RunError, match="its content is not what was written"):
        check_unchanged(tmp_path / "final")


def test_a_damaged_checkpoint_is_not_resumed(bases: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write = loop.write_training

    def stop(out: Path, training: Training) -> None:
        write(out, training)
        if len(training.epochs) == 2:
            raise Stopped

    monkeypatch.setattr(loop, "write_training", stop)
    with pytest.raises(Stopped):
        trained(bases["llama"], tmp_path, epochs=3)
    monkeypatch.undo()
    (weights,) = tmp_path.glob("resume/checkpoint-*/model.safetensors")
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    said: list[str] = []
    assert trained(bases["llama"], tmp_path, epochs=3, said=said).finished
    assert not any("going on" in line for line in said)


def test_a_trained_folder_is_private(bases: dict[str, str], tmp_path: Path):
    trained(bases["llama"], tmp_path / "out", epochs=1)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert modes == {0o600}
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o700


def test_unreadable_record_is_told(tmp_path: Path):
    with pytest.raises(RunError, match=r"training\.json: no record of a training"):
        read_training(tmp_path)
    (tmp_path / "training.json").write_text("{}")
    with pytest.raises(RunError, match=r"training\.json: no record of a training"):
        read_training(tmp_path)


def test_bad_input_is_told(bases: dict[str, str], tmp_path: Path):
    with pytest.raises(DataError, match="nothing to train on: 0 members"):
        trained(bases["llama"], tmp_path / "a", members=())
    with pytest.raises(ModelError, match="no such model folder"):
        trained(str(tmp_path / "absent"), tmp_path / "b")
    with pytest.raises(ModelError, match="'float16' trains on CUDA only, found device cpu"):
        trained(bases["llama"], tmp_path / "c", model=ModelConfig(device="cpu", dtype="float16"))
    with pytest.raises(ModelError, match=r"training diverged .*learning_rate = 1e\+30"):
        trained(bases["llama"], tmp_path / "d", learning_rate=1e30)


def test_training_that_ends_in_the_warm_up_is_told(bases: dict[str, str], tmp_path: Path):
    said: list[str] = []
    with pytest.raises(ModelError, match="strategy full changed nothing"):
        trained(bases["llama"], tmp_path, steps=1, warmup_steps=10, said=said)
    assert "the warm-up (10 steps) is no shorter than the training (1 steps)" in said
    assert not (tmp_path / "final").exists()
    with pytest.raises(RunError, match="an unfinished training with other settings: warmup_steps was 10, is 0"):
        trained(bases["llama"], tmp_path, steps=1)


@pytest.mark.parametrize(
    ("strategy", "names", "message"),
    [
        ("head", ("body", "head"), "head changed 1 tensors that it must not touch, the first 'body'"),
        ("lora", ("base.weight", "x.lora_A.weight"), "lora changed 1 tensors .* the first 'base.weight'"),
        ("full", ("head",), "full changed only the head"),
        ("lora", (), "lora changed nothing"),
    ],
)
def test_strategy_is_held_to_its_parameters(strategy: Strategy, names: tuple[str, ...], message: str):
    with pytest.raises(ModelError, match=message):
        check_changes(strategy, names, head={"head"})


def test_stray_change_is_caught_and_no_model_kept(
    bases: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    keep = loop.Recorder.on_log

    def spoil(self: loop.Recorder, *args: object, **found: object) -> None:
        keep(self, *args, **found)
        with torch.no_grad():
            self.job.model.get_input_embeddings().weight[0] += 1

    monkeypatch.setattr(loop.Recorder, "on_log", spoil)
    with pytest.raises(ModelError, match="head changed 1 tensors that it must not touch"):
        trained(bases["llama"], tmp_path, strategy="head", epochs=1)
    assert not (tmp_path / "final").exists()
    assert "model.embed_tokens.weight" in read_training(tmp_path).changed_parameters


def test_bfloat16_keeps_trained_weights_in_float32(bases: dict[str, str], tmp_path: Path):
    config = ModelConfig(device="cpu", dtype="bfloat16")
    training = trained(bases["llama"], tmp_path, strategy="head", model=config)
    assert training.changed_parameters == ("lm_head.weight",)
    stored = load_model(str(tmp_path / "final"), config=CPU).model
    assert training.epochs[-1].members_loss < training.base_members_loss
    assert not torch.equal(stored.lm_head.weight, stored.lm_head.weight.bfloat16().float())


def naive_loss(logits: torch.Tensor, rows: list[Row]) -> float:
    """Token by token: the logits at a place are asked for the next token; padding and unscored tokens do not count."""
    total = 0.0
    for number, row in enumerate(rows):
        for place, label in enumerate(row.labels):
            if label != IGNORED:
                total -= torch.log_softmax(logits[number, place - 1].double(), dim=-1)[label].item()
    return total


def test_loss_is_that_of_the_scored_tokens_alone(bases: dict[str, str]):
    model = load_model(bases["gpt2"], config=CPU).model
    rows = [Row((5, 6, 7, 8, 9), (IGNORED, IGNORED, 7, 8, 9)), Row((1, 2), (IGNORED, 2)), Row((3,), (IGNORED,))]
    collate = Collator(model, 257)
    batch = collate(rows)
    labels = batch.pop("labels")
    logits = model(**batch).logits
    expected = naive_loss(logits, rows)
    assert summed_loss(logits, labels, causal=True).item() == pytest.approx(expected, rel=1e-5)
    for size in (1, 2, 3):
        assert mean_loss(model, rows, collate, batch_size=size) == pytest.approx(expected / 4, rel=1e-5)
    assert mean_loss(model, [], collate, batch_size=2) is None


def test_padding_never_contributes(bases: dict[str, str]):
    for kind in ("llama", "t5"):
        model = load_model(bases[kind], config=CPU).model
        short, long = Row((5, 6, 7), (IGNORED, 6, 7)), Row((1, 2, 3, 4, 5, 6, 7, 8), (IGNORED, 2, 3, 4, 5, 6, 7, 8))
        collate = Collator(model, 257)
        alone = [mean_loss(model, [row], collate, batch_size=1) * row.scored_tokens for row in (short, long)]
        together = mean_loss(model, [short, long], collate, batch_size=2) * 9
        assert together == pytest.approx(sum(alone), rel=1e-5)


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_trained_loss_is_the_same_however_a_step_is_split(kind: str, bases: dict[str, str]):
    model = load_model(bases[kind], config=CPU).model
    rows = [Row((5, 6, 7), (IGNORED, 6, 7)), Row((1, 2, 3, 4, 5, 6), (IGNORED, IGNORED, 3, 4, 5, 6))]
    collate, loss = Collator(model, 257), TokenLoss(causal=kind == "llama", scored_tokens=0)

    def share(part: list[Row]) -> float:
        batch = collate(part)
        labels = batch.pop("labels")
        return loss(model(**batch), labels, torch.tensor(6)).item()

    whole = share(rows)
    assert whole == pytest.approx(sum(share([row]) for row in rows), rel=1e-5)
    assert whole == pytest.approx(mean_loss(model, rows, collate, batch_size=2), rel=1e-5)
    assert loss.scored_tokens == 12
