"""Adversarial compression: on a model that provably memorised its strings; resumable; what it cannot search."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import RwkvConfig, RwkvForCausalLM

from fakes import MEMBERS, Toy, byte_tokenizer, loaded, memorised_toy, tiny_encoder_decoder
from rote import runs
from rote.config import AuditConfig, CompressionConfig, ModelConfig
from rote.errors import ModelError, RunError
from rote.models import LoadedModel
from rote.models.tokens import suppressed_ids
from rote.records import Compression, Estimate, Prompt, Score
from rote.runs import Run
from rote.scoring.compression import Found, _Search, minimal_prompt, zlib_ratio
from rote.stages import compress as compression

CONFIG = CompressionConfig(steps=12, candidates=32, favoured=32)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def toy() -> Toy:
    return memorised_toy()


def search(toy: Toy, text: str, start: str = "", *, config: CompressionConfig = CONFIG, seed: int = 0) -> Found:
    ids = [toy.model.tokenizer(part, add_special_tokens=False)["input_ids"] for part in (text, start)]
    return minimal_prompt(ids[0], toy.model, before=(), start=ids[1], config=config, seed=seed)


def writes(model: LoadedModel, prompt: tuple[int, ...], count: int) -> list[int]:
    """Greedy decoding, one token after the other."""
    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(count):
            logits = model.model(torch.tensor([ids])).logits[0, -1]
            logits[suppressed_ids(model)] = -torch.inf
            ids.append(int(logits.argmax()))
    return ids[len(prompt) :]


@pytest.mark.parametrize("start", [True, False], ids=["from its own beginning", "from random tokens"])
def test_a_memorised_string_comes_out_of_a_shorter_prompt(toy: Toy, start: bool) -> None:
    """The toy knows each string at its own places only, so a prompt of five tokens must be found for what follows five."""
    text = MEMBERS[2]
    found = search(toy, text[5:45], text[:5] if start else "", config=replace(CONFIG, steps=40, candidates=64))
    assert found.prompt is not None
    assert 40 / len(found.prompt) >= 8
    assert writes(toy.model, found.prompt, 40) == toy.model.tokenizer(text[5:45])["input_ids"]
    assert start or found.prompt != tuple(toy.model.tokenizer(text[:5])["input_ids"])


def test_a_random_string_does_not_within_the_budget(toy: Toy) -> None:
    found = search(toy, "q7#vR!x2@kZp9&Lw", config=replace(CONFIG, steps=6))
    assert found.prompt is None
    assert found.steps > 6


def test_the_search_depends_on_its_arguments_alone(toy: Toy) -> None:
    text = MEMBERS[3][5:25]
    torch.manual_seed(1)
    first = search(toy, text, seed=5)
    torch.manual_seed(2)
    assert search(toy, text, seed=5) == first


def test_no_special_token_is_ever_used(toy: Toy) -> None:
    found = search(toy, MEMBERS[1][5:29], config=replace(CONFIG, steps=40, candidates=64))
    assert found.prompt is not None
    assert not set(found.prompt) & set(toy.model.tokenizer.all_special_ids)


def test_a_text_of_one_token_has_no_shorter_prompt(toy: Toy) -> None:
    assert search(toy, "a") == Found(None, 0)


def test_encoder_decoder_models_are_refused() -> None:
    tokenizer = byte_tokenizer()
    model = loaded(tiny_encoder_decoder(tokens=len(tokenizer)), tokenizer)
    with pytest.raises(ModelError, match="causal models only"):
        minimal_prompt([1, 2, 3], model, before=(), start=[], config=CONFIG, seed=0)


def test_the_candidates_of_a_model_that_reads_one_by_one_are_read_apart() -> None:
    config = RwkvConfig(
        vocab_size=259, hidden_size=32, attention_hidden_size=32, num_hidden_layers=2,
        bos_token_id=256, eos_token_id=257, pad_token_id=258,
    )  # fmt: skip
    torch.manual_seed(0)
    model = replace(loaded(RwkvForCausalLM(config).eval(), byte_tokenizer()), batching="one")
    prompts, target = torch.randint(256, (5, 4)), [65, 66, 67]
    losses, succeeds = _Search(target, [], model, CONFIG, 0)._losses(prompts)
    for prompt, loss, is_written in zip(prompts.tolist(), losses.tolist(), succeeds.tolist(), strict=True):
        with torch.inference_mode():
            log_p = model.model(torch.tensor([[*prompt, *target]]), use_cache=False).logits[0, 3:-1].log_softmax(-1)
        assert loss == pytest.approx(-float(log_p[range(3), target].sum()), abs=1e-4)
        assert is_written == (writes(model, tuple(prompt), 3) == target)


def test_zlib_ratio_is_of_bytes() -> None:
    assert zlib_ratio("ab" * 200) > 10
    assert zlib_ratio("é") < 1


@pytest.fixture
def run(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of the toy: two members and two others, scores of their losses; models are the toy itself."""
    found = Run(tmp_path / "run")
    examples = [*toy.members[:3], *toy.non_members[:2]]
    prompts = [Prompt(f"p{e.id}", e.id, e.text[:5], e.text[5:]) for e in examples]
    losses = [Score(f"{p.id}-tuned", "loss", 0.1 * n) for n, p in enumerate(prompts)]
    for name, records in ((runs.EXAMPLES, examples), (runs.PROMPTS, prompts), (runs.SCORES, losses)):
        found.write(name, records, settings={})
    for module in ("rote.models", "rote.stages.trial"):
        monkeypatch.setattr(f"{module}.load_model", lambda *_, **__: toy.model)
        monkeypatch.setattr(f"{module}.model_digest", lambda *_: "toy")
    monkeypatch.setattr(compression, "audited_models", lambda _: {"tuned": ("toy", "")})
    return found


def config_of(**options: int) -> AuditConfig:
    return AuditConfig(
        model=ModelConfig(tuned="toy"), compression=replace(CONFIG, records=2, target_tokens=20, steps=4, **options)
    )


def test_the_command_searches_the_best_known_records(run: Run, toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    assert compression.compress(config_of(), run) == 0
    found = run.read(runs.COMPRESSIONS, Compression)
    assert [item.example_id for item in found] == [e.id for e in (*toy.members[:2], *toy.non_members[:2])]
    assert [item.prompt_tokens is not None for item in found] == [True, True, False, False]
    assert {item.target_tokens for item in found} == {20}
    printed = capsys.readouterr().out
    assert "not over 1" in printed
    assert re.search(r"only 2 independent records", re.sub(r"\s+", " ", printed))
    rates = run.read(runs.COMPRESSION_ESTIMATES, Estimate)
    assert [(rate.metric, rate.split, rate.events, rate.n) for rate in rates] == [
        ("compressible", "member", 2, 2),
        ("compressible", "non-member", 0, 2),
    ]


def test_an_interrupted_search_goes_on_and_ends_in_the_same_bytes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    compression.compress(config_of(), run)
    whole = run.path(runs.COMPRESSIONS).read_bytes()
    run.discard(runs.COMPRESSIONS)
    searched: list[str] = []
    original = compression._searched

    def interrupted(prompt: Prompt, *arguments: object) -> Compression:
        if len(searched) == 2:
            raise KeyboardInterrupt
        searched.append(prompt.id)
        return original(prompt, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(compression, "_searched", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compression.compress(config_of(), run)
    monkeypatch.setattr(compression, "_searched", original)
    compression.compress(config_of(), run)
    assert run.path(runs.COMPRESSIONS).read_bytes() == whole


def test_a_run_without_scores_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="run `rote score` first"):
        compression.compress(config_of(), Run(tmp_path / "empty"))
