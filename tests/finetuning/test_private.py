"""Private training: the account of ε, the gradients of single rows, what is kept, and what is refused.

What needs Opacus (the extra `privacy`) is marked slow, as are the tests of all optional extras.
"""

import importlib.util
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fakes import MEMBERS, NON_MEMBERS, byte_tokenizer, tiny_decoder, tiny_encoder_decoder
from rote.cli import main
from rote.config import FinetuningConfig, ModelConfig, config_from
from rote.errors import ConfigError, MissingExtraError
from rote.finetuning import Epoch, Privacy, Training, finetune, privacy_of, read_training
from rote.finetuning.accounting import Sampling, check_private, epsilon_of, noise_for, record_epsilon
from rote.finetuning.encoding import IGNORED, Row
from rote.finetuning.losses import Collator, mean_loss, summed_loss
from rote.finetuning.record import write_training
from rote.models import load_model
from rote.records import Example, content_id, from_row
from rote.runs import REPORT_HTML, file_hash

pytestmark = pytest.mark.usefixtures("frozen_heap")

needs_opacus = pytest.mark.skipif(
    importlib.util.find_spec("opacus") is None, reason="needs Opacus: pip install 'rote[privacy]'"
)
CPU = ModelConfig(device="cpu")
PRIVATE = FinetuningConfig(
    epochs=3, batch_size=3, learning_rate=3e-3, warmup_steps=0, lora_rank=4, dp_epsilon=8.0, dp_delta=1e-4
)
KINDS = ("gpt2", "llama", "t5")


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root, tokenizer = tmp_path_factory.mktemp("bases"), byte_tokenizer()
    for kind in KINDS:
        size = len(tokenizer)
        network = tiny_encoder_decoder(tokens=size) if kind == "t5" else tiny_decoder(kind, tokens=size)
        network.save_pretrained(root / kind)
        tokenizer.save_pretrained(root / kind)
    return {kind: str(root / kind) for kind in KINDS}


def example(text: str, *, copies: int = 1) -> Example:
    name = content_id(text)
    return Example(id=name, prompt=text[:16], completion=text[16:], split="member", group=name, copies=copies)


RECORDS = tuple(example(text) for text in MEMBERS)
OTHERS = tuple(example(text) for text in NON_MEMBERS[:2])


def train(base: str, out: Path, config: FinetuningConfig, *, records=RECORDS, echo=lambda _: None) -> Training:
    return finetune(records, OTHERS, base=base, out=out, config=config, model=CPU, echo=echo)


def rows_of(kind: str) -> list[Row]:
    ids = [list(text.encode())[: 20 + 3 * number] for number, text in enumerate(MEMBERS)]
    if kind == "t5":
        return [Row(tuple(row[:10]), tuple(row[10:])) for row in ids]
    return [Row(tuple(row), (IGNORED, *row[1:])) for row in ids]


# --- the account


def sampled_gaussian_epsilon(spent: Sampling, delta: float) -> float:
    """Mironov, Talwar and Zhang (2019), section 3.3, at whole orders, converted as Balle et al. (2020) do."""
    q, sigma, best = spent.sample_rate, spent.noise_multiplier, math.inf
    for order in range(2, 200):
        terms = [
            math.lgamma(order + 1) - math.lgamma(k + 1) - math.lgamma(order - k + 1)
            + (k * math.log(q) if k else 0.0) + ((order - k) * math.log1p(-q) if k < order else 0.0)
            + (k * k - k) / (2 * sigma**2)
            for k in range(order + 1)
        ]  # fmt: skip
        top = max(terms)
        rdp = spent.steps * (top + math.log(sum(math.exp(term - top) for term in terms))) / (order - 1)
        best = min(best, rdp + math.log1p(-1 / order) - math.log(delta * order) / (order - 1))
    return best


@pytest.mark.slow
@needs_opacus
@pytest.mark.parametrize("spent", [Sampling(1.1, 0.05, 200), Sampling(4.0, 0.3, 90), Sampling(20.0, 0.5, 1000)])
def test_epsilon_is_that_of_the_published_formula(spent: Sampling):
    own = sampled_gaussian_epsilon(spent, 1e-5)
    assert own * 0.97 < epsilon_of(spent, 1e-5) <= own * (1 + 1e-9), "broken orders may only improve on whole ones"


@pytest.mark.slow
@needs_opacus
def test_no_steps_cost_nothing():
    assert epsilon_of(Sampling(1.0, 0.1, 0), 1e-5) == 0.0
    assert record_epsilon(Sampling(1.0, 0.1, 0), 1e-5, 3) == 0.0


@pytest.mark.slow
@needs_opacus
@pytest.mark.parametrize(("epsilon", "rate", "steps"), [(8.0, 0.1, 100), (0.5, 0.02, 300), (3.0, 1.0, 20)])
def test_the_noise_keeps_to_the_target_and_is_not_more_than_it_takes(epsilon: float, rate: float, steps: int):
    config = replace(PRIVATE, dp_epsilon=epsilon)
    noise = noise_for(config, sample_rate=rate, steps=steps)
    found = epsilon_of(Sampling(noise, rate, steps), config.dp_delta)
    assert 0.99 * epsilon <= found <= epsilon


@pytest.mark.slow
@needs_opacus
def test_a_target_that_no_noise_reaches_is_told():
    config = replace(PRIVATE, dp_epsilon=1e-9)
    with pytest.raises(
        ConfigError, match=r"dp_epsilon = 1e-09 with .*dp_delta = 0\.0001: .* less than 0\.001.*, however"
    ):
        noise_for(config, sample_rate=0.5, steps=10)


@pytest.mark.slow
@needs_opacus
@pytest.mark.parametrize("spent", [Sampling(3.0, 0.05, 200), Sampling(3.5, 1.0, 30), Sampling(0.8, 0.1, 50)])
def test_a_record_of_several_rows_costs_more_with_each(spent: Sampling):
    found = [record_epsilon(spent, 1e-5, copies) for copies in (1, 2, 3, 4, 8)]
    assert found[0] == pytest.approx(epsilon_of(spent, 1e-5))
    assert found == sorted(found)
    assert found[1] > 1.5 * found[0]


@pytest.mark.slow
@needs_opacus
def test_every_row_always_drawn_is_one_gaussian_mechanism_and_copies_move_its_mean():
    """Without sampling k copies move the mean k times as far: the same as one row with noise over k."""
    assert record_epsilon(Sampling(6.0, 1.0, 10), 1e-5, 3) <= epsilon_of(Sampling(2.0, 1.0, 10), 1e-5)


# --- gradients


class Kept:
    """A job of rows, without a folder."""

    def __init__(self, kind: str, config: FinetuningConfig, base: str, rows: list[Row]):
        from rote.finetuning.loop import Job
        from rote.finetuning.strategy import prepare_model, untie_head

        self.loaded = load_model(base, config=CPU)
        if config.strategy == "head":
            untie_head(self.loaded.model)
        self.model = prepare_model(self.loaded.model, config)
        self.said: list[str] = []
        self.job = Job(
            model=self.model, tokenizer=self.loaded.tokenizer, rows=rows, members=rows, validation=[], config=config,
            steps=0, dtype="float32", out=Path("/nonexistent"), echo=self.said.append,
        )  # fmt: skip


def clipped_sum(model: torch.nn.Module, rows: list[Row], collate: Collator, clip: float) -> dict[str, torch.Tensor]:
    """By hand: each row by itself, its gradient cut to `clip`, summed."""
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    total = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    for row in rows:
        model.zero_grad(set_to_none=True)
        batch = collate([row])
        labels = batch.pop("labels")
        causal = "decoder_input_ids" not in batch
        (summed_loss(model(**batch).logits, labels, causal=causal) / row.scored_tokens).backward()
        norm = math.sqrt(sum(float(weight.grad.square().sum()) for weight in weights.values()))
        for name, weight in weights.items():
            total[name] += weight.grad * min(1.0, clip / norm)
    model.zero_grad(set_to_none=True)
    return total


def watched(steps) -> dict[str, torch.Tensor]:
    """Gets the gradients of each step; the weights stay as they are."""
    grads: dict[str, torch.Tensor] = {}

    def keep(*_: object) -> None:
        grads.update({name: weight.grad.clone() for name, weight in steps.weights.items()})

    for group in steps.adam.param_groups:
        group["lr"] = 0.0
    steps.adam.register_step_pre_hook(keep)
    return grads


@pytest.mark.slow
@needs_opacus
@pytest.mark.parametrize("clip", [0.1, 1e6])
@pytest.mark.parametrize("strategy", ["full", "lora", "head"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_sums_the_clipped_gradients_of_the_drawn_rows(
    kind: str, strategy: str, clip: float, bases: dict[str, str]
):
    from transformers import TrainerState

    from rote.finetuning import private

    rows = rows_of(kind)
    config = replace(PRIVATE, strategy=strategy, dp_clip=clip)
    kept = Kept(kind, config, bases[kind], rows)
    for name, weight in kept.model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.2)
    plan = replace(private._plan(kept.job), sampling=Sampling(0.0, 0.6, 5), expected_rows=4.0)
    with private._gradients(kept.job) as is_batched:
        assert is_batched == ((kind, strategy) != ("t5", "full"))
        recorder = private.PrivateRecorder(
            kept.job, None, loss=private.TokenLoss(causal=True, scored_tokens=0), sampling=plan.sampling,
            is_batched=is_batched,
        )  # fmt: skip
        steps = private._Steps(kept.job, plan, recorder, TrainerState(), is_batched=is_batched)
        grads = watched(steps)
        kept.model.train()
        nats, tokens = steps._step(0)
    drawn = private.drawn_rows(kept.job, 0.6, 0)
    assert config.batch_size < len(drawn) < len(rows), "more rows than are run at once, and not all"
    collate = Collator(kept.model, int(kept.loaded.tokenizer.pad_token_id))
    expected = clipped_sum(kept.model, drawn, collate, clip)
    assert grads.keys() == expected.keys()
    for name, grad in grads.items():
        assert torch.allclose(
            4.0 * grad, expected[name], rtol=1e-3, atol=1e-5 * float(expected[name].abs().max()) + 1e-9
        ), name
    norm = math.sqrt(sum(float((4.0 * grad).square().sum()) for grad in grads.values()))
    assert norm <= clip * len(drawn) * 1.0001
    assert nats / tokens == pytest.approx(mean_loss(kept.model, drawn, collate, batch_size=4), rel=1e-4)
    assert not any(hasattr(weight, "grad_sample") for weight in kept.model.parameters()), "nothing of Opacus is left"


@pytest.mark.slow
@needs_opacus
def test_the_noise_has_the_deviation_that_the_account_is_of(bases: dict[str, str]):
    """A step that draws no row is noise alone: its deviation is noise multiplier times clip over the expected rows."""
    from transformers import TrainerState

    from rote.finetuning import private

    kept = Kept("llama", replace(PRIVATE, dp_clip=0.5), bases["llama"], rows_of("llama"))
    plan = replace(private._plan(kept.job), sampling=Sampling(3.0, 1e-12, 5), expected_rows=2.0)
    recorder = private.PrivateRecorder(
        kept.job, None, loss=private.TokenLoss(causal=True, scored_tokens=0), sampling=plan.sampling, is_batched=False
    )
    steps = private._Steps(kept.job, plan, recorder, TrainerState(), is_batched=False)
    grads, found = watched(steps), []
    for step in (0, 1):
        assert steps._step(step) == (0.0, 0)
        found.append(torch.cat([grad.flatten() for grad in grads.values()]))
    assert [float(noise.std()) for noise in found] == pytest.approx([0.75, 0.75], rel=0.02)
    assert not torch.equal(*found)


@pytest.mark.slow
@needs_opacus
def test_every_row_is_drawn_as_often_as_the_account_says(bases: dict[str, str]):
    from rote.finetuning import private

    kept = Kept("llama", PRIVATE, bases["llama"], rows_of("llama"))
    drawn = [private.drawn_rows(kept.job, 0.3, step) for step in range(2000)]
    sizes = torch.tensor([len(rows) for rows in drawn], dtype=torch.float64)
    assert float(sizes.mean()) == pytest.approx(8 * 0.3, rel=0.05)
    assert float(sizes.var()) == pytest.approx(8 * 0.3 * 0.7, rel=0.1), "each by itself, not a fixed number"
    assert all(0.25 < sum(row in rows for rows in drawn) / 2000 < 0.35 for row in kept.job.rows)


# --- the whole training


@pytest.mark.slow
@needs_opacus
@pytest.mark.parametrize(
    ("kind", "strategy"),
    [("gpt2", "full"), ("llama", "lora"), ("llama", "head"), ("gpt2", "prompt"), ("t5", "full"), ("t5", "prompt")],
)
def test_what_it_cost_and_what_changed_is_recorded(kind: str, strategy: str, bases: dict[str, str], tmp_path: Path):
    said: list[str] = []
    records = (example(MEMBERS[0], copies=3), *RECORDS[1:])
    training = train(
        bases[kind], tmp_path / "out", replace(PRIVATE, strategy=strategy), records=records, echo=said.append
    )
    assert training == read_training(tmp_path / "out")
    privacy = training.privacy
    assert privacy is not None
    assert (privacy.clip, privacy.delta, privacy.most_copies) == (1.0, 1e-4, 3)
    assert privacy.sample_rate == pytest.approx(3 / 10)
    assert training.steps == 3 * 4
    own = sampled_gaussian_epsilon(Sampling(privacy.noise_multiplier, 0.3, training.steps), 1e-4)
    assert privacy.epsilon == pytest.approx(own, rel=0.05)
    assert 7.9 < privacy.epsilon <= 8.0
    assert [epoch.epsilon for epoch in training.epochs] == sorted(epoch.epsilon for epoch in training.epochs)
    assert training.epochs[-1].epsilon == privacy.epsilon
    assert privacy.record_epsilon > 2 * privacy.epsilon
    alone = strategy == "prompt" or (kind, strategy) == ("t5", "full")
    assert privacy.row_gradients == ("one by one" if alone else "batched")
    assert any("rows are run one by one" in line for line in said) == alone
    assert said[-2] == f"private: {privacy.sentence}"
    assert "for a record that was trained on 3 times" in privacy.sentence
    assert privacy_of(tmp_path / "out" / "final") == privacy
    first = privacy_of(tmp_path / "out" / "checkpoints" / "epoch-01")
    assert first == replace(privacy, epsilon=training.epochs[0].epsilon)
    assert training.optimizer.startswith("DP-SGD with AdamW")
    changed = training.changed_parameters
    assert changed
    assert all("lora_" in name for name in changed) == (strategy == "lora")
    assert not list((tmp_path / "out").glob("resume"))


@pytest.mark.slow
@needs_opacus
@pytest.mark.parametrize("strategy", ["full", "lora"])
def test_with_little_noise_it_learns_and_the_saved_model_is_the_trained_one(
    strategy: str, bases: dict[str, str], tmp_path: Path
):
    config = replace(PRIVATE, strategy=strategy, epochs=20, learning_rate=2e-2, dp_epsilon=1e4)
    training = train(bases["llama"], tmp_path / "out", config)
    reached = training.epochs[-1].members_loss
    assert reached < training.base_members_loss - 1.0
    final = str(tmp_path / "out" / "final")
    source, adapter = (bases["llama"], final) if strategy == "lora" else (final, "")
    loaded = load_model(source, adapter=adapter, config=CPU)
    ids = [[*loaded.tokenizer(each.text)["input_ids"], loaded.tokenizer.eos_token_id] for each in RECORDS]
    rows = [Row(tuple(row), (IGNORED, *row[1:])) for row in ids]
    collate = Collator(loaded.model, int(loaded.tokenizer.pad_token_id))
    assert mean_loss(loaded.model, rows, collate, batch_size=4) == pytest.approx(reached, rel=1e-3)


@pytest.mark.slow
@needs_opacus
def test_much_noise_hides_what_little_noise_learns(bases: dict[str, str], tmp_path: Path):
    config = replace(PRIVATE, strategy="lora", epochs=10, learning_rate=2e-2)
    losses = [
        train(bases["llama"], tmp_path / f"{epsilon:g}", replace(config, dp_epsilon=epsilon)).epochs[-1].members_loss
        for epsilon in (1e4, 0.5)
    ]
    assert losses[0] < losses[1] - 0.5


@pytest.mark.slow
@needs_opacus
@pytest.mark.parametrize("strategy", ["full", "lora"])
def test_a_killed_training_ends_in_the_same_bytes(
    strategy: str, bases: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from rote.finetuning import private

    config = replace(PRIVATE, strategy=strategy, lora_dropout=0.2)
    whole = train(bases["gpt2"], tmp_path / "whole", config)
    draw = private.drawn_rows

    def killed(job: object, rate: float, step: int) -> list[Row]:
        if step == 7:
            raise KeyboardInterrupt
        return draw(job, rate, step)

    monkeypatch.setattr(private, "drawn_rows", killed)
    with pytest.raises(KeyboardInterrupt):
        train(bases["gpt2"], tmp_path / "killed", config)
    assert len(read_training(tmp_path / "killed").epochs) == 2
    said: list[str] = []
    monkeypatch.setattr(private, "drawn_rows", draw)
    again = train(bases["gpt2"], tmp_path / "killed", config, echo=said.append)
    assert "going on after 2 finished passes" in said
    for name in ("final", "checkpoints"):
        assert file_hash(tmp_path / "killed" / name) == file_hash(tmp_path / "whole" / name)
    assert again.privacy == whole.privacy
    same = [replace(epoch, elapsed_s=0) for epoch in again.epochs]
    assert same == [replace(epoch, elapsed_s=0) for epoch in whole.epochs]


@pytest.mark.slow
@needs_opacus
def test_a_training_without_noise_is_not_taken_for_a_private_one(bases: dict[str, str], tmp_path: Path):
    plain = train(bases["llama"], tmp_path / "plain", replace(PRIVATE, dp_epsilon=0.0))
    assert plain.privacy is None
    assert privacy_of(tmp_path / "plain" / "final") is None
    assert privacy_of(Path(bases["llama"])) is None
    assert all(epoch.epsilon is None for epoch in plain.epochs)


@pytest.mark.slow
@needs_opacus
def test_steps_and_accumulation_decide_what_is_planned(bases: dict[str, str], tmp_path: Path):
    said: list[str] = []
    config = replace(PRIVATE, steps=7, gradient_accumulation=2)
    training = train(bases["llama"], tmp_path / "out", config, echo=said.append)
    assert training.steps == 7
    assert training.privacy.sample_rate == pytest.approx(6 / 8)
    assert any("private training: 7 steps, each row drawn with probability 0.75" in line for line in said)


@pytest.mark.slow
@needs_opacus
def test_a_delta_that_is_no_promise_is_said(bases: dict[str, str], tmp_path: Path):
    said: list[str] = []
    train(bases["llama"], tmp_path / "out", replace(PRIVATE, steps=2, dp_delta=0.2), echo=said.append)
    assert any("delta is not below 1 / 8 rows" in line for line in said)


PROMISED = Privacy(
    epsilon=8.0, delta=1e-5, noise_multiplier=1.1, clip=1.0, sample_rate=0.1, most_copies=4, record_epsilon=51.26,
    row_gradients="batched",
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "(ε = 8, δ = 1e-05) for one row; ε = 51.26 for a record that was trained on 4 times"),
        (
            {"record_epsilon": None},
            "(ε = 8, δ = 1e-05) for one row; no finite ε for a record that was trained on 4 times",
        ),
        ({"most_copies": 1}, "(ε = 8, δ = 1e-05) for one row"),
    ],
)
def test_both_epsilons_are_said_with_their_units(change: dict[str, object], said: str):
    assert replace(PROMISED, **change).sentence == said


def test_the_report_of_a_privately_trained_model_says_what_was_promised(
    bases: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    trained = tmp_path / "model"
    training = train(bases["llama"], trained, replace(PRIVATE, dp_epsilon=0.0, epochs=1))
    epochs = (replace(training.epochs[0], epsilon=7.5),)
    write_training(trained, replace(training, privacy=PROMISED, epochs=epochs))
    words = ["audit", "--model", trained / "final", "--members", trained / "members.jsonl", "--out", tmp_path / "run"]
    assert main([*map(str, words), "--prefix-tokens", "8", "--max-new-tokens", "30"]) == 0
    page = (tmp_path / "run" / REPORT_HTML).read_text(encoding="utf-8")
    assert "trained privately (DP-SGD): (ε = 7.5, δ = 1e-05) for one row; ε = 51.26 for a record" in page
    words[2] = bases["llama"]
    assert main([*map(str, words), "--prefix-tokens", "8", "--max-new-tokens", "30"]) == 0
    assert "trained privately" not in (tmp_path / "run" / REPORT_HTML).read_text(encoding="utf-8")


# --- refused


def test_without_opacus_the_message_says_what_to_install(
    bases: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    message = r"finetuning\.dp_epsilon = 8 needs the package 'opacus': pip install 'rote\[privacy\]'"
    with pytest.raises(MissingExtraError, match=message):
        train(bases["llama"], tmp_path / "out", PRIVATE)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "dtype", "message"),
    [
        ({"early_stopping": 2}, "float32", r"dp_epsilon = 8 with finetuning\.early_stopping = 2: .* number of steps"),
        ({}, "bfloat16", r"dp_epsilon = 8 with model\.dtype = 'bfloat16': private training runs in float32"),
    ],
)
def test_what_does_not_go_together_is_told(
    change: dict[str, int], dtype: str, message: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    with pytest.raises(ConfigError, match=message):
        check_private(replace(PRIVATE, **change), dtype=dtype)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("dp_epsilon", -1.0, "must be >= 0, found -1"),
        ("dp_delta", 0.0, r"must be in \(0, 1\), found 0"),
        ("dp_delta", 1.0, r"must be in \(0, 1\), found 1"),
        ("dp_clip", 0.0, "must be > 0, found 0"),
    ],
)
def test_settings_out_of_range_are_told(key: str, value: float, message: str):
    with pytest.raises(ConfigError, match=rf"finetuning\.{key}: {message}"):
        config_from({"finetuning": {key: value}})


def test_a_record_of_a_training_before_there_were_private_ones_is_read(tmp_path: Path):
    known = {"number": 1, "passes": 1.0, "steps": 2, "tokens": 3, "scored_tokens": 3, "training_loss": 1.0}
    known |= {"validation_loss": None, "members_loss": None, "elapsed_s": 0.1, "folder": "final"}
    assert from_row(Epoch, json.loads(json.dumps(known))).epsilon is None
