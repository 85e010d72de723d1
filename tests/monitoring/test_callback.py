"""The callback: its figures are those of an audit, and the training does not notice it."""

import gc
import random
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from transformers import (
    BartConfig,
    BartForCausalLM,
    DataCollatorForLanguageModeling,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

import rote
from fakes import MemoryStore, byte_tokenizer, examples, loaded, tiny_decoder
from rote.config import GenerationConfig, ScoringConfig
from rote.corpus.canaries import canary_lines, draw_canaries, planted_examples
from rote.corpus.secrets import WORDS
from rote.errors import ConfigError
from rote.generation import cut_prompts
from rote.monitoring.callback import Measurement, MemorizationCallback
from rote.monitoring.figures import figures
from rote.monitoring.stillness import undisturbed
from rote.passes.choices import token_choices
from rote.passes.logits import TextPass
from rote.passes.schemes import PLAIN
from rote.passes.scoring import key_of, score_prompts, score_texts
from rote.scoring.likelihood_scores import score_likelihood
from rote.statistics.intervals import rate

TOKENIZER = byte_tokenizer()


def texts(count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=12)) for _ in range(count)]


MEMBERS, NONMEMBERS = texts(8, 1), texts(8, 2)


def rows(found: Sequence[str]) -> list[dict[str, object]]:
    return [{"text": text} for text in found]


def callback(**changes: object) -> MemorizationCallback:
    settings: dict[str, object] = {"nonmembers": rows(NONMEMBERS), "prefix_tokens": 20, "suffix_tokens": 10, "steps": 2}
    return MemorizationCallback(**{"members": rows(MEMBERS), **settings, **changes})


class Draws(TrainerCallback):
    """Draws random numbers at every step, as augmentations do, and keeps what is logged."""

    def __init__(self) -> None:
        self.drawn: list[float] = []
        self.logged: list[dict[str, float]] = []

    def on_step_begin(self, args, state, control, **kwargs):
        self.drawn += [random.random(), float(np.random.random()), float(torch.rand(1))]

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.logged.append(dict(logs))


def network(kind: str = "gpt2", *, dropout: float = 0.1):
    model = tiny_decoder(kind, tokens=len(TOKENIZER))
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    return model


def trainer(folder: Path, callbacks: list[TrainerCallback], model=None, data=MEMBERS, **changes: object) -> Trainer:
    settings: dict[str, object] = {
        "max_steps": 6, "per_device_train_batch_size": 4, "learning_rate": 5e-3, "report_to": "none", "use_cpu": True,
        "logging_steps": 1, "save_strategy": "no", "disable_tqdm": True, "seed": 3,
    }  # fmt: skip
    return Trainer(
        model if model is not None else network(),
        TrainingArguments(str(folder), **{**settings, **changes}),
        train_dataset=[TOKENIZER(text) for text in data],
        data_collator=DataCollatorForLanguageModeling(TOKENIZER, mlm=False),
        processing_class=TOKENIZER,
        callbacks=callbacks,
    )


def lora():
    torch.manual_seed(0)
    settings = LoraConfig(r=4, lora_dropout=0.2, target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM")
    return get_peft_model(network(), settings)


@pytest.mark.parametrize(("make", "checkpointing"), [(network, False), (lora, True)])
def test_the_training_makes_the_same_losses_and_weights_to_the_bit(make, checkpointing, tmp_path) -> None:
    found = []
    for callbacks in ([], [callback()]):
        draws = Draws()
        run = trainer(tmp_path, [draws, *callbacks], make(), gradient_checkpointing=checkpointing)
        random.seed(5)
        np.random.seed(5)
        run.train()
        losses = [entry["loss"] for entry in run.state.log_history if "loss" in entry]
        norms = [entry["grad_norm"] for entry in run.state.log_history if "grad_norm" in entry]
        weights = {key: value.clone() for key, value in run.model.state_dict().items()}
        found.append((losses, norms, draws.drawn, weights))
    (*plain, weights), (*watched, same) = found
    assert plain == watched
    assert all(weights[key].equal(same[key]) for key in weights)
    assert any(loss > 0 for loss in plain[0])


def disturb(model) -> None:
    with undisturbed(model):
        assert not any(module.training for module in model.modules())
        random.random()
        torch.rand(3)
        model.seen = torch.ones(3)
        model.config.use_cache = not model.config.use_cache
        model.generation_config.max_length = 7
        raise RuntimeError("stop")


def test_what_is_undisturbed_is_as_it_was_also_after_an_error() -> None:
    model = network()
    model.eval()
    model.transformer.h[0].train()
    model.register_buffer("seen", torch.zeros(3))
    held, modes = model.seen, [module.training for module in model.modules()]
    model(torch.tensor([[1, 2, 3]]), labels=torch.tensor([[1, 2, 3]])).loss.backward()
    gradients = [weight.grad.clone() for weight in model.parameters()]
    state = random.getstate(), torch.get_rng_state()
    with pytest.raises(RuntimeError, match="stop"):
        disturb(model)
    assert [module.training for module in model.modules()] == modes
    assert model.seen is held
    assert random.getstate() == state[0]
    assert torch.get_rng_state().equal(state[1])
    assert model.config.use_cache
    assert model.generation_config.max_length != 7
    assert all(weight.grad.equal(old) for weight, old in zip(model.parameters(), gradients, strict=True))


def test_figures_are_those_of_an_audit(tmp_path) -> None:
    watch, model = callback(steps=6, sample=100), network(dropout=0.0)
    run = trainer(tmp_path, [watch], model, max_steps=60)
    watch.steps = 60
    run.train()
    assert [found.step for found in watch.history] == [0, 60]
    final = watch.history[-1]
    config = GenerationConfig(prefix_tokens=20, max_new_tokens=10)
    ready = loaded(model.eval(), TOKENIZER)
    found, store = examples(MEMBERS), MemoryStore()
    prompts = cut_prompts(found, TOKENIZER, config=config, is_encoder_decoder=False).prompts
    passes = score_prompts(prompts, ready, store, config=config, schemes=[PLAIN], name="tuned")
    scores = list(score_likelihood(passes, store, schemes=[PLAIN.label], config=ScoringConfig(suffix_tokens=10)))
    for metric in ("extractable", "exact_memorization", "loss"):
        values = [score.value for score in scores if score.metric == metric]
        assert final.value(f"members/{metric}") == pytest.approx(np.mean(values), abs=1e-6)
    assert final.value("members/exact_memorization") > 2 * final.value("nonmembers/exact_memorization")
    assert final.value("membership_auc") == 1.0
    wanted = rate([bool(s.value) for s in scores if s.metric == "extractable"], [e.group for e in found])
    extractable = next(figure for figure in final.figures if figure.name == "members/extractable")
    assert (extractable.low, extractable.high, extractable.n) == (wanted.low, wanted.high, 8)


def test_what_is_found_is_logged_as_the_trainer_logs(tmp_path) -> None:
    draws, watch = Draws(), callback(steps=None)
    run = trainer(tmp_path, [draws, watch], num_train_epochs=2, max_steps=-1)
    run.train()
    ours = [entry for entry in draws.logged if "rote/members/extractable" in entry]
    assert [entry["epoch"] for entry in ours] == [0, 1.0, 2.0]
    assert [found.step for found in watch.history] == [0, 2, 4]
    assert {"rote/members/loss_low", "rote/members/loss_high", "rote/membership_auc", "rote/elapsed_s"} <= set(ours[0])
    history = [entry for entry in run.state.log_history if "rote/membership_auc" in entry]
    assert [entry["step"] for entry in history] == [0, 2, 4]
    assert all(isinstance(value, (int, float)) for entry in history for value in entry.values())
    assert [entry["step"] for entry in run.state.log_history if "loss" in entry] == [1, 2, 3, 4]


def test_the_trainer_can_be_attached_and_is_not_kept(tmp_path) -> None:
    watch = callback()
    run = trainer(tmp_path, [])
    assert watch.attach(run) is watch.attach(run)
    assert [each for each in run.callback_handler.callbacks if each is watch] == [watch]
    run.train()
    handler = watch._handler
    assert handler is not None
    assert handler() is run.callback_handler
    assert not any(isinstance(held, Trainer) for held in gc.get_referents(watch.__dict__))
    del run
    gc.collect()
    assert handler() is None


def test_a_second_trainer_gets_its_own_figures(tmp_path) -> None:
    watch = callback()
    first = trainer(tmp_path, [])
    watch.attach(first)
    first.train()
    second = trainer(tmp_path, [watch], max_steps=2)
    second.train()
    assert [found.step for found in watch.history] == [0, 2]
    assert [entry["step"] for entry in second.state.log_history if "rote/members/loss" in entry] == [0, 2]
    assert len([entry for entry in first.state.log_history if "rote/members/loss" in entry]) == 4


def test_a_model_whose_padding_changes_what_it_reads_reads_equal_lengths_together(tmp_path) -> None:
    torch.manual_seed(0)
    size = {"d_model": 32, "decoder_layers": 2, "decoder_attention_heads": 2, "decoder_ffn_dim": 64}
    config = BartConfig(vocab_size=len(TOKENIZER), max_position_embeddings=256, is_encoder_decoder=False, **size)
    model = BartForCausalLM(config)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    watch = callback(members=rows([text[: 60 + 3 * n] for n, text in enumerate(MEMBERS)]))
    trainer(tmp_path, [watch], model, max_steps=2).train()
    assert watch._reader is not None
    assert watch._reader.model.batching == "equal lengths"
    ready = replace(watch._reader, model=replace(watch._reader.model, batching="one"))
    model.eval()
    alone = figures(ready.subjects, ready.model, batch_size=1, confidence=0.95)
    assert [f.value for f in figures(ready.subjects, watch._reader.model, batch_size=32, confidence=0.95)] == [
        pytest.approx(figure.value, abs=1e-5) for figure in alone
    ]


def test_a_handler_that_is_not_known_is_asked_for(tmp_path) -> None:
    run = trainer(tmp_path, [])
    with pytest.raises(ConfigError, match=r"callback.attach\(trainer\)"):
        callback().on_train_begin(run.args, run.state, run.control, model=run.model, processing_class=TOKENIZER)


def test_a_training_stops_over_a_threshold_and_the_checkpoint_before_it_is_kept(tmp_path, caplog) -> None:
    watch = callback(steps=10, stop_above={"exact_memorization": 0.4}, sample=8)
    run = trainer(tmp_path, [watch], network(dropout=0.0), max_steps=200, save_strategy="steps", save_steps=5)
    run.train()
    last, before = watch.history[-1], watch.history[-2]
    assert run.state.global_step == last.step < 200
    assert before.value("members/exact_memorization") <= 0.4 < last.value("members/exact_memorization")
    assert watch.checkpoint == tmp_path / f"checkpoint-{before.step}"
    assert [breach.name for breach in watch.breaches] == ["members/exact_memorization"]
    assert f"> 0.4 after {last.step} steps: keep {watch.checkpoint}" in caplog.text


def test_without_a_checkpoint_before_the_threshold_there_is_none_to_keep(tmp_path, caplog) -> None:
    watch = callback(stop_above={"exact_memorization_high": 0.0})
    trainer(tmp_path, [watch]).train()
    assert watch.checkpoint is None
    assert "no checkpoint was saved before that" in caplog.text


def test_members_are_told_apart_by_their_copies(tmp_path) -> None:
    data = [*MEMBERS[:6], *MEMBERS[:6], *texts(6, 4)]
    watch = callback(members=rows(data))
    trainer(tmp_path, [watch], data=data, max_steps=2).train()
    names = {figure.name: figure.n for figure in watch.history[-1].figures}
    assert names["members/copies-1/loss"] == names["members/copies-2/loss"] == 6
    assert names["members/loss"] == 12


def test_canaries_are_read_up_to_their_secret(tmp_path) -> None:
    config = rote.load_config(None).corpus
    canaries = draw_canaries(replace(config, canaries=24, canary_copies=(1, 4)), with_prompts=False)
    path = tmp_path / "canaries.jsonl"
    path.write_bytes(canary_lines(canaries))
    planted = planted_examples(canaries)
    data = [*MEMBERS, *(example.text for example in planted for _ in range(example.copies))]
    watch = callback(members=rows(data), canaries=path, steps=50, sample=30)
    run = trainer(tmp_path, [watch], network(dropout=0.0), data=data, max_steps=50, per_device_train_batch_size=16)
    run.train()
    first, last = watch.history
    names = {figure.name: figure.n for figure in last.figures}
    assert names["members/loss"] == len(MEMBERS)
    assert names["canaries/extractable"] == len(planted)
    assert names["canaries_held_out/extractable"] == 24 - len(planted)
    assert {"canaries/copies-1/loss", "canaries/copies-4/loss"} <= set(names)
    assert first.value("canaries/extractable") == 0.0
    assert last.value("canaries/loss") < last.value("canaries_held_out/loss")
    assert last.value("canaries/membership_auc") > 0.6


@pytest.mark.parametrize("batching", ["any", "equal lengths", "one"])
@pytest.mark.parametrize("kind", ["gpt2", "llama"])
def test_choices_are_those_of_the_full_pass(batching, kind) -> None:
    model = replace(loaded(tiny_decoder(kind, tokens=len(TOKENIZER)), TOKENIZER), batching=batching)
    encoded = [TOKENIZER(text, add_special_tokens=False)["input_ids"] for text in (*MEMBERS, *NONMEMBERS[:2])]
    passes = [TextPass(tuple(ids[:3]), tuple(ids[3 : 20 + 5 * n])) for n, ids in enumerate(encoded)]
    store = MemoryStore()
    score_texts(passes, model, store)
    for text, found in zip(passes, token_choices(passes, model, batch_size=4), strict=True):
        wanted = store.read(key_of(text, model, (PLAIN,)))
        np.testing.assert_allclose(found.log_probabilities, wanted.log_probabilities, atol=1e-5)
        np.testing.assert_array_equal(found.is_greedy, wanted.is_greedy)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": []}, r"members: expected records, found \[\]"),
        ({"members": None}, "members: expected records, found None"),
        ({"steps": 0}, "steps: expected a whole number >= 1, found 0"),
        ({"steps": True}, "steps: expected a whole number >= 1, found True"),
        ({"sample": 1.5}, "sample: expected a whole number >= 1, found 1.5"),
        ({"confidence": 95}, "confidence: expected a number between 0 and 1, found 95"),
        ({"prompt": "all"}, "prompt: expected 'auto' or 'prefix' or 'record', found 'all'"),
        ({"canaries": [1]}, "canaries: expected the path of a canaries.jsonl, found list"),
        ({"stop_above": {"extractible": 0.1}}, r"unknown figure 'extractible' \(did you mean 'extractable'\?\)"),
        ({"stop_above": {"loss": 0.1}}, "unknown figure 'loss'.*those that rise with memorisation are 'extractable'"),
        ({"stop_above": {"extractable": 5}}, r"stop_above: 'extractable': expected a number in 0..1, found 5"),
        ({"stop_above": {"extractable": float("nan")}}, "expected a number in 0..1, found nan"),
    ],
)
def test_bad_settings_are_refused(changes, message) -> None:
    with pytest.raises(ConfigError, match=message):
        callback(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nonmembers": None, "stop_above": {"membership_auc": 0.7}}, "'membership_auc' is never measured: it needs nonm"),
        ({"stop_above": {"canaries/extractable": 0.7}}, "it needs planted and held-out canaries"),
        ({"suffix_tokens": 200, "stop_above": {"extractable": 0.7}}, "no record has 200 tokens after its prompt"),
        ({"members": rows(MEMBERS[:3]), "stop_above": {"extractable": 0.7}}, "only 3 independent records"),
        ({"prefix_tokens": 150}, "none of the 16 records has a prompt and something after it"),
    ],
)  # fmt: skip
def test_what_can_never_be_measured_is_refused_when_the_training_begins(changes, message, tmp_path) -> None:
    with pytest.raises(ConfigError, match=message):
        trainer(tmp_path, [callback(**changes)]).train()


def test_a_soft_prompt_is_refused(tmp_path) -> None:
    model = get_peft_model(network(), PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"))
    with pytest.raises(ConfigError, match=r"the adapter is a soft prompt \(PromptTuningConfig\)"):
        trainer(tmp_path, [callback()], model).train()


def test_a_trainer_without_a_tokenizer_is_told_to_give_one(tmp_path) -> None:
    run = trainer(tmp_path, [callback()])
    run.callback_handler.processing_class = None
    with pytest.raises(ConfigError, match="tokenizer: the trainer has none"):
        run.train()
    run = trainer(tmp_path, [callback(tokenizer=TOKENIZER)], max_steps=2)
    run.callback_handler.processing_class = None
    run.train()


def test_a_measurement_says_what_it_has() -> None:
    with pytest.raises(KeyError):
        Measurement(0, 0.0, (), 0.1).value("members/loss")


@pytest.mark.slow
@pytest.mark.parametrize("make", [network, lora])
def test_trl_trains_the_same_with_it(make, tmp_path) -> None:
    trl, datasets = pytest.importorskip("trl", reason="TRL is not installed"), pytest.importorskip("datasets")
    data, found = datasets.Dataset.from_list(rows(MEMBERS)), []
    for watch in (None, callback(members=data)):
        settings = trl.SFTConfig(
            str(tmp_path), report_to="none", use_cpu=True, bf16=False, max_steps=6, logging_steps=3,
            per_device_train_batch_size=4, disable_tqdm=True, seed=0, save_strategy="no",
        )  # fmt: skip
        run = trl.SFTTrainer(
            make(), args=settings, train_dataset=data, processing_class=TOKENIZER, callbacks=[watch] if watch else []
        )
        run.train()
        logs = [
            {key: value for key, value in entry.items() if "runtime" not in key and "second" not in key}
            for entry in run.state.log_history
            if not any(key.startswith("rote/") for key in entry)
        ]
        found.append((logs, {key: value.clone() for key, value in run.model.state_dict().items()}))
    (plain, weights), (watched, same) = found
    assert plain == watched
    assert all(weights[key].equal(same[key]) for key in weights)


@pytest.mark.slow
def test_the_example_of_the_guide_runs(tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("trl", reason="TRL is not installed")
    pytest.importorskip("datasets")
    page = (Path(__file__).parents[2] / "docs" / "guide" / "training.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(compile(example, "training.md", "exec"), {})
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if re.match(r"\d+ \d", line)]
    assert [line[0] for line in lines] == ["0", "6", "12"]
    assert float(lines[-1][2]) > float(lines[0][2])
