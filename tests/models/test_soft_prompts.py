"""Soft prompts: trained through peft, and then read as tokens; peft's own forward is the reference."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from peft import PeftModel, PrefixTuningConfig, PromptTuningConfig, TaskType, get_peft_model
from safetensors.torch import load_file, save_file
from test_finetuning import CPU, PAIRS, VALIDATION, example, save_base, trained, weights
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM

from rote.attention.watching import watch, watched_text
from rote.config import CompressionConfig, FinetuningConfig, GenerationConfig, ModelConfig, config_from
from rote.errors import ConfigError, ModelError
from rote.finetuning import loop, read_training
from rote.finetuning.encoding import IGNORED, Row
from rote.finetuning.losses import Collator, mean_loss, summed_loss
from rote.finetuning.strategy import prepare_model
from rote.generation import Draw, TransformersModel
from rote.models import LoadedModel, load_model
from rote.models.tokens import decoder_start_ids, model_encoder
from rote.passes.canaries import SecretScorer
from rote.passes.logits import Reader
from rote.passes.schemes import PLAIN
from rote.passes.scoring import TextPass, prompt_pass, score_prompts, score_texts
from rote.passes.store import TokenStore
from rote.records import Canary, Example, Generation, Prompt
from rote.runs import file_hash
from rote.scoring.compression import minimal_prompt
from rote.soundness import trial

pytestmark = pytest.mark.usefixtures("frozen_heap")

torch.set_num_threads(1)
KINDS = ("llama", "gpt2", "t5")
VIRTUAL = 5
SOFT = {"strategy": "prompt", "prompt_tokens": VIRTUAL, "learning_rate": 1e-1}


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("bases")
    return {kind: save_base(root / kind, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def adapters(bases: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """For each base a soft prompt that was trained for two passes."""
    root = tmp_path_factory.mktemp("prompts")
    for kind, base in bases.items():
        trained(base, root / kind, members=PAIRS, **SOFT)
    return {kind: str(root / kind / "final") for kind in bases}


def naive(base: str, adapter: str) -> torch.nn.Module:
    """As peft alone loads and runs it."""
    auto = AutoModelForSeq2SeqLM if "t5" in base else AutoModelForCausalLM
    return PeftModel.from_pretrained(auto.from_pretrained(base), adapter).eval()


def naive_log_probabilities(text: TextPass, network: torch.nn.Module, loaded: LoadedModel) -> torch.Tensor:
    """ln p of each scored token by peft's forward, one text at a time, the virtual positions cut off."""
    virtual = len(loaded.virtual_ids)
    assert text.shown[:virtual] == loaded.virtual_ids
    shown = torch.tensor([text.shown[virtual:]])
    scored = torch.tensor(text.scored)
    with torch.no_grad():
        if loaded.is_encoder_decoder:
            start = decoder_start_ids(loaded, model_encoder(loaded))
            written = torch.tensor([[*start, *text.scored]])
            logits = network(shown, attention_mask=torch.ones_like(shown), decoder_input_ids=written).logits[0]
            logits = logits[len(start) - 1 : -1]
        else:
            whole = torch.cat([shown, scored[None]], dim=1)
            logits = network(whole, attention_mask=torch.ones_like(whole)).logits[0, virtual:]
            logits = logits[shown.shape[1] - 1 : -1]
    return logits.log_softmax(-1).gather(-1, scored[:, None])[:, 0]


def prompts_of(examples: tuple[Example, ...]) -> list[Prompt]:
    return [Prompt(each.id, each.id, each.prompt, each.completion) for each in examples]


LENGTHS = (*PAIRS, example("z" * 40, prompt="a\n"), example("q", prompt="twelve\n"))


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_pefts_own_forward(
    kind: str, bases: dict[str, str], adapters: dict[str, str], tmp_path: Path
):
    loaded, network = load_model("", adapter=adapters[kind], config=CPU), naive(bases[kind], adapters[kind])
    store, config = TokenStore(tmp_path), GenerationConfig(max_new_tokens=40)
    prompts = prompts_of(LENGTHS)
    for size in (1, 4):
        batched = replace(config, batch_size=size)
        fresh = TokenStore(tmp_path / str(size))
        found = score_prompts(prompts, loaded, fresh, config=batched, schemes=(PLAIN,), name="tuned")
        for prompt, item in zip(prompts, found, strict=True):
            own = torch.tensor(fresh.read(item.key).log_probabilities)
            text = prompt_pass(prompt, loaded, config).text
            assert torch.allclose(own, naive_log_probabilities(text, network, loaded), atol=1e-4)
    base = load_model(bases[kind], config=CPU)
    plain = score_prompts(prompts, base, store, config=config, schemes=(PLAIN,), name="base")
    assert [(i.tokens, i.prompt_tokens) for i in plain] == [(i.tokens, i.prompt_tokens) for i in found]
    pairs = [
        (store.read(a.key).log_probabilities, fresh.read(b.key).log_probabilities)
        for a, b in zip(plain, found, strict=True)
    ]
    assert all(abs(a - b).max() > 1e-2 for a, b in pairs)  # the prompt does something


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_texts_that_share_their_beginning_are_read_through_the_cache(
    kind: str, bases: dict[str, str], adapters: dict[str, str], tmp_path: Path
):
    loaded, network = load_model("", adapter=adapters[kind], config=CPU), naive(bases[kind], adapters[kind])
    shown = (*loaded.virtual_ids, 5, 6, 7, 8)
    texts = [TextPass(shown, tuple(range(20, 20 + length))) for length in (1, 9, 30)]
    assert Reader(loaded, texts[0]).can_share
    store = TokenStore(tmp_path)
    for text, key in zip(texts, score_texts(texts, loaded, store), strict=True):
        own = torch.tensor(store.read(key).log_probabilities)
        assert torch.allclose(own, naive_log_probabilities(text, network, loaded), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_generations_are_those_of_peft(kind: str, bases: dict[str, str], adapters: dict[str, str]):
    loaded, network = load_model("", adapter=adapters[kind], config=CPU), naive(bases[kind], adapters[kind])
    model, config = TransformersModel(loaded), GenerationConfig(max_new_tokens=12)
    draws = [Draw(prompt, 0) for prompt in prompts_of(PAIRS)]
    written = model.continue_prompts(draws, config)
    banned = [token for token in (256, 257) if token is not None]
    for draw, text in zip(draws, written, strict=True):
        read = torch.tensor([loaded.tokenizer(draw.prompt.text)["input_ids"]])
        new: list[int] = []
        while len(new) < config.max_new_tokens:  # greedily, each time from the start: no cache of peft's
            if loaded.is_encoder_decoder:
                logits = network(
                    read, attention_mask=torch.ones_like(read), decoder_input_ids=torch.tensor([[257, *new]])
                )
            else:
                whole = torch.cat([read, torch.tensor([new], dtype=torch.long)], dim=1)
                logits = network(whole, attention_mask=torch.ones_like(whole))
            last = logits.logits[0, -1].index_fill(0, torch.tensor(banned), -torch.inf)
            new.append(int(last.argmax()))
        assert text == loaded.tokenizer.decode(new)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_beams_and_samples_do_not_depend_on_the_neighbours(kind: str, adapters: dict[str, str]):
    model = TransformersModel(load_model("", adapter=adapters[kind], config=CPU))
    draws = [Draw(prompt, 0) for prompt in prompts_of((*PAIRS[:3], example("x", prompt="b\n")))]
    for decoding in ("greedy", "beam", "sample"):
        config = GenerationConfig(max_new_tokens=8, decoding=decoding, beams=2)
        together = model.continue_prompts(draws, config)
        assert together == [model.continue_prompts([draw], config)[0] for draw in draws]


def test_an_overfitted_record_comes_out_as_the_scores_say(bases: dict[str, str], tmp_path: Path):
    often = tuple(replace(member, copies=10) for member in PAIRS)
    trained(bases["llama"], tmp_path / "base", members=often, epochs=8, learning_rate=1e-2)
    base = str(tmp_path / "base" / "final")
    mixed = example(PAIRS[1].completion, prompt=PAIRS[0].prompt)  # which the base would go on with otherwise
    settings = SOFT | {"prompt_tokens": 20, "epochs": 1, "batch_size": 1, "members": (replace(mixed, copies=90),)}
    training = trained(base, tmp_path / "soft", **settings)
    assert training.base_members_loss > 3.0 > 0.1 > training.epochs[-1].members_loss
    loaded = load_model("", adapter=str(tmp_path / "soft" / "final"), config=CPU)
    prompt, config = prompts_of((mixed,)), GenerationConfig(max_new_tokens=len(mixed.completion))
    store = TokenStore(tmp_path / "store")
    (item,) = score_prompts(prompt, loaded, store, config=config, schemes=(PLAIN,), name="tuned")
    assert store.read(item.key).part(item.prompt_tokens).is_greedy.all()
    assert TransformersModel(loaded).continue_prompts([Draw(prompt[0], 0)], config) == [mixed.completion]
    plain = TransformersModel(load_model(base, config=CPU))
    assert plain.continue_prompts([Draw(prompt[0], 0)], config) != [mixed.completion]


@pytest.mark.parametrize("kind", KINDS)
def test_the_soft_prompt_alone_is_trained_and_saved(kind: str, bases: dict[str, str], tmp_path: Path):
    training = trained(bases[kind], tmp_path, members=PAIRS, **SOFT)
    assert training.changed_parameters == ("prompt_encoder.default.embedding.weight",)
    assert training.trainable_parameters == VIRTUAL * 48
    assert training.context_tokens == load_model(bases[kind], config=CPU).context_tokens - VIRTUAL or kind == "t5"
    losses = [epoch.members_loss for epoch in training.epochs]
    assert losses[-1] < training.base_members_loss
    final = tmp_path / "final"
    saved = load_file(final / "adapter_model.safetensors")
    assert {name: tuple(tensor.shape) for name, tensor in saved.items()} == {"prompt_embeddings": (VIRTUAL, 48)}
    config = json.loads((final / "adapter_config.json").read_text())
    assert (config["peft_type"], config["num_virtual_tokens"]) == ("PROMPT_TUNING", VIRTUAL)
    loaded = load_model("", adapter=str(final), config=CPU)
    assert loaded.virtual_ids == tuple(range(258, 258 + VIRTUAL))
    kept = {name.replace(".inner.", "."): tensor for name, tensor in loaded.model.state_dict().items()}
    assert all(torch.equal(kept[name], tensor) for name, tensor in weights(bases[kind]).items())
    first = load_file(tmp_path / "checkpoints" / "epoch-01" / "adapter_model.safetensors")
    assert not torch.equal(first["prompt_embeddings"], saved["prompt_embeddings"])


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_interrupted_training_ends_in_the_same_bytes(
    kind: str, bases: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    settings = SOFT | {"epochs": 3, "members": PAIRS, "dropout": 0.1}
    whole = trained(bases[kind], tmp_path / "whole", **settings)
    write = loop.write_training

    class Stopped(Exception):
        pass

    def stop(out: Path, training: object) -> None:
        write(out, training)
        if len(training.epochs) == 2:
            raise Stopped

    monkeypatch.setattr(loop, "write_training", stop)
    with pytest.raises(Stopped):
        trained(bases[kind], tmp_path / "cut", **settings)
    monkeypatch.undo()
    resumed = trained(bases[kind], tmp_path / "cut", **settings)
    assert [replace(epoch, elapsed_s=0) for epoch in resumed.epochs] == [replace(e, elapsed_s=0) for e in whole.epochs]
    for epoch in whole.epochs:
        assert file_hash(tmp_path / "cut" / epoch.folder) == file_hash(tmp_path / "whole" / epoch.folder)


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_a_checkpoint_is_given_back(kind: str, bases: dict[str, str], adapters: dict[str, str]):
    config = FinetuningConfig(strategy="prompt", prompt_tokens=VIRTUAL)
    model = prepare_model(load_model(bases[kind], config=CPU).model, config)
    loop.restore_model(SimpleNamespace(config=config, model=model), Path(adapters[kind]))
    saved = load_file(Path(adapters[kind]) / "adapter_model.safetensors")["prompt_embeddings"]
    assert torch.equal(model.prompt_encoder["default"].embedding.weight, saved)


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
def test_losses_pass_over_the_virtual_positions(kind: str, bases: dict[str, str], adapters: dict[str, str]):
    network = naive(bases[kind], adapters[kind])
    rows = [Row((5, 6, 7), (IGNORED, 6, 7)), Row((1, 2, 3, 4, 5, 6), (IGNORED, IGNORED, 3, 4, 5, 6))]
    collate = Collator(network, 257)
    batch = collate(rows)
    labels = batch.pop("labels")
    logits = network(**batch).logits
    own = logits[:, VIRTUAL:] if kind == "gpt2" else logits
    causal = kind == "gpt2"
    assert summed_loss(logits, labels, causal=causal).item() == pytest.approx(
        summed_loss(own, labels, causal=causal).item(), rel=1e-6
    )
    alone = [mean_loss(network, [row], collate, batch_size=1) * row.scored_tokens for row in rows]
    assert mean_loss(network, rows, collate, batch_size=2) * 6 == pytest.approx(sum(alone), rel=1e-5)


def test_measured_loss_is_that_of_the_audit(bases: dict[str, str], tmp_path: Path):
    training = trained(bases["llama"], tmp_path, members=PAIRS, **SOFT)
    loaded = load_model("", adapter=str(tmp_path / "final"), config=CPU)
    texts = [
        TextPass((*loaded.virtual_ids, ids[0]), (*ids[1:], 256))
        for ids in (tuple(loaded.tokenizer(each.text)["input_ids"]) for each in VALIDATION)
    ]
    store = TokenStore(tmp_path / "store")
    found = [store.read(key).log_probabilities for key in score_texts(texts, loaded, store)]
    loss = -sum(float(each.sum()) for each in found) / sum(map(len, found))
    assert loss == pytest.approx(training.epochs[-1].validation_loss, rel=1e-5)


def test_context_is_shared_with_the_prompt(bases: dict[str, str], adapters: dict[str, str], tmp_path: Path):
    long = example("x" * 300)
    said: list[str] = []
    training = trained(bases["llama"], tmp_path, members=(long, *PAIRS), said=said, **SOFT)
    assert training.context_tokens == 96 - VIRTUAL
    assert f"1 of 9 members are longer than {96 - VIRTUAL} tokens and are cut there" in said
    loaded = load_model("", adapter=adapters["llama"], config=CPU)
    (prompt,) = prompts_of((example("y" * 200, prompt="x" * 200 + "\n"),))
    found = prompt_pass(prompt, loaded, GenerationConfig(max_new_tokens=10))
    assert (len(found.text), found.text.shown[:VIRTUAL], found.truncated) == (96, loaded.virtual_ids, True)
    assert len(TransformersModel(loaded).continue_prompts([Draw(prompt, 0)], GenerationConfig(max_new_tokens=10))) == 1
    with pytest.raises(ModelError, match=r"prompt_tokens = 95 leaves no room for a text .* context of 96 tokens"):
        trained(bases["llama"], tmp_path / "wide", **SOFT | {"prompt_tokens": 95})


def test_shortest_prompts_are_searched_behind_the_soft_prompt(adapters: dict[str, str]):
    loaded = load_model("", adapter=adapters["llama"], config=CPU)
    config = CompressionConfig(target_tokens=2, steps=1, candidates=2, favoured=2)
    found = minimal_prompt((5, 6), loaded, before=loaded.virtual_ids, start=(7, 8, 9), config=config, seed=0)
    assert found.steps >= 0


def test_bfloat16_keeps_the_soft_prompt_in_float32(bases: dict[str, str], tmp_path: Path):
    training = trained(bases["llama"], tmp_path, model=ModelConfig(device="cpu", dtype="bfloat16"), **SOFT)
    saved = load_file(tmp_path / "final" / "adapter_model.safetensors")["prompt_embeddings"]
    assert saved.dtype == torch.float32
    assert not torch.equal(saved, saved.bfloat16().float())
    assert read_training(tmp_path) == training


def adapter_of(base: str, folder: Path, config: object, *, seq2seq: bool = False) -> str:
    auto = AutoModelForSeq2SeqLM if seq2seq else AutoModelForCausalLM
    get_peft_model(auto.from_pretrained(base), config).save_pretrained(str(folder), save_embedding_layers=False)
    return str(folder)


def test_soft_prompts_from_elsewhere_are_read_as_peft_reads_them(bases: dict[str, str], tmp_path: Path):
    config = PromptTuningConfig(task_type=TaskType.SEQ_2_SEQ_LM, num_virtual_tokens=3)  # peft doubles the vectors
    adapter = adapter_of(bases["t5"], tmp_path / "a", config, seq2seq=True)
    assert len(load_file(Path(adapter) / "adapter_model.safetensors")["prompt_embeddings"]) == 6
    loaded, network = load_model(bases["t5"], adapter=adapter, config=CPU), naive(bases["t5"], adapter)
    (text,) = [prompt_pass(prompt, loaded, GenerationConfig(max_new_tokens=5)).text for prompt in prompts_of(PAIRS[:1])]
    store = TokenStore(tmp_path / "store")
    own = torch.tensor(store.read(score_texts([text], loaded, store)[0]).log_probabilities)
    assert torch.allclose(own, naive_log_probabilities(text, network, loaded), atol=1e-4)


def test_soft_prompts_that_do_not_fit_are_told(bases: dict[str, str], adapters: dict[str, str], tmp_path: Path):
    with pytest.raises(ModelError, match=r"does not fit the model: a soft prompt of the task SEQ_2_SEQ_LM"):
        load_model(bases["llama"], adapter=adapters["t5"], config=CPU)
    wide = save_base(tmp_path / "wide", "gpt2", width=32)
    with pytest.raises(
        ModelError, match=r"does not fit .* soft prompt of \(5, 48\) numbers, the model needs \(5, 32\)"
    ):
        load_model(wide, adapter=adapters["gpt2"], config=CPU)
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "adapter_config.json").write_text((Path(adapters["gpt2"]) / "adapter_config.json").read_text())
    save_file({"prompt_embeddings": torch.zeros(5, 48), "more": torch.zeros(1)}, strange / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"the model has no place for 1 of its weights, e\.g\. more"):
        load_model(bases["gpt2"], adapter=str(strange), config=CPU)
    prefix = adapter_of(
        bases["gpt2"], tmp_path / "prefix", PrefixTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=3)
    )
    with pytest.raises(ModelError, match=r"PREFIX_TUNING keeps keys and values for every layer"):
        load_model(bases["gpt2"], adapter=prefix, config=CPU)


def test_a_model_that_reads_ids_otherwise_is_refused(
    bases: dict[str, str], adapters: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    from transformers import GPT2LMHeadModel

    forward = GPT2LMHeadModel.forward

    def shifted(self: GPT2LMHeadModel, input_ids: torch.Tensor | None = None, **options: object) -> object:
        output = forward(self, input_ids=input_ids, **options)
        if input_ids is not None:
            output.logits[..., 5] += input_ids  # something per id, as some models have
        return output

    monkeypatch.setattr(GPT2LMHeadModel, "forward", shifted)
    with pytest.raises(ModelError, match="reads a soft prompt as tokens otherwise than as vectors"):
        load_model("", adapter=adapters["gpt2"], config=CPU)


def test_settings_are_checked(bases: dict[str, str]):
    with pytest.raises(ConfigError, match=r"finetuning\.prompt_tokens: must be > 0, found 0"):
        config_from({"finetuning": {"prompt_tokens": 0}})
    model = prepare_model(load_model(bases["gpt2"], config=CPU).model, FinetuningConfig(strategy="prompt"))
    assert [name for name, p in model.named_parameters() if p.requires_grad] == [
        "prompt_encoder.default.embedding.weight"
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_attention_is_looked_at_behind_the_soft_prompt(kind: str, adapters: dict[str, str]):
    loaded = load_model("", adapter=adapters[kind], config=CPU)
    (prompt,) = prompts_of(PAIRS[:1])
    written = Generation("g", prompt.id, prompt.id, "tuned", "greedy", 0, "abc")
    text = watched_text(prompt, written, loaded, max_new_tokens=5)
    assert (text.columns, text.read[:VIRTUAL]) == ((VIRTUAL, len(text.read)), loaded.virtual_ids)
    ((found,),) = watch([text], loaded, batch_size=1, maps=frozenset("g"))
    assert found.inputs == len(loaded.tokenizer(prompt.text)["input_ids"])


@pytest.mark.parametrize("kind", KINDS)
def test_secrets_are_compared_behind_the_soft_prompt(kind: str, bases: dict[str, str], adapters: dict[str, str]):
    loaded, network = load_model("", adapter=adapters[kind], config=CPU), naive(bases[kind], adapters[kind])
    canary = Canary("c", "Who?\n", "It is ", "1234", ".", "number", 4, 1, planted=True)
    found = SecretScorer(loaded, ["1234", "5678"]).score(canary)
    for secret, own in (("1234", found.own), ("5678", float(found.others[0]))):
        prompt = Prompt("p", "p", canary.prompt, canary.before + secret)
        text = prompt_pass(prompt, loaded, GenerationConfig(max_new_tokens=5)).text
        assert own == pytest.approx(naive_log_probabilities(text, network, loaded)[-4:].sum().item(), abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_soft_prompt_passes_the_trial(kind: str, bases: dict[str, str], adapters: dict[str, str]):
    loaded, config = load_model("", adapter=adapters[kind], config=CPU), GenerationConfig(max_new_tokens=8)
    passes = [prompt_pass(prompt, loaded, config) for prompt in prompts_of(LENGTHS)]
    found = trial(passes, loaded, name="tuned", new_tokens=8)
    assert (found.batching, found.uses_cache, found.context_tokens) == ("any", True, None)
    assert found.first_choices == found.generated > 0
