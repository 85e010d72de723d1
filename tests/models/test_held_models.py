"""Models in memory: measured as their caller holds them, or refused; and never changed."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import peft
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from transformers import PreTrainedModel

from fakes import byte_tokenizer, tiny_decoder, tiny_encoder_decoder
from rote.config import ModelConfig
from rote.errors import ModelError
from rote.models import load_model, model_digest
from rote.models.held import Written, check_as_held, write_held
from untouched import untouched

CPU = ModelConfig(device="cpu")
TOKENIZER = byte_tokenizer()


def decoder(kind: str = "llama") -> PreTrainedModel:
    return tiny_decoder(kind, tokens=len(TOKENIZER))


def adapted(base: PreTrainedModel | None = None, **settings: object) -> peft.PeftModel:
    """LoRA whose second factor is not zero, so that it changes what the model says."""
    settings = {"task_type": "CAUSAL_LM", "r": 4, "target_modules": "all-linear", **settings}
    model = peft.get_peft_model(base or decoder(), peft.LoraConfig(**settings))
    torch.manual_seed(1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.2)
    return model


def soft_prompt() -> peft.PeftModel:
    torch.manual_seed(1)
    return peft.get_peft_model(decoder(), peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3))


def write(model: object, folder: Path, *, tokenizer: object = TOKENIZER, name: str = "tuned") -> Written:
    written = write_held(model, tokenizer, folder / "held", name=name)
    check_as_held(model, written, CPU, name=name)
    return written


def said(model: torch.nn.Module, text: str = "The old mill stood by the river.") -> torch.Tensor:
    ids = torch.tensor([TOKENIZER(text)["input_ids"]])
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    with torch.inference_mode():
        found = model(input_ids=ids).logits.float().log_softmax(-1)
    for module in training:
        module.training = True
    return found


MODELS: dict[str, Callable[[], torch.nn.Module]] = {
    "llama": decoder,
    "gpt2, tied": lambda: decoder("gpt2"),
    "LoRA": adapted,
    "LoRA on gpt2": lambda: adapted(decoder("gpt2"), fan_in_fan_out=True),
    "LoRA and a whole head": lambda: adapted(target_modules=["q_proj"], modules_to_save=["lm_head"]),
    "LoRA of another name": lambda: peft.get_peft_model(
        decoder(), peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]), adapter_name="mine"
    ),
    "bfloat16": lambda: decoder().to(torch.bfloat16),
    "frozen and partly in training": lambda: adapted().eval().train(),
}


@pytest.fixture
def fresh_accelerator() -> Iterator[None]:
    """Accelerate keeps one number format for a process: other tests train in theirs."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("fresh_accelerator")
@pytest.mark.parametrize("make", [decoder, adapted])
def test_what_a_trainer_left_in_mixed_precision_is_written_and_stays_as_it_is(
    make: Callable[[], torch.nn.Module], tmp_path: Path
) -> None:
    model = make()
    plain = said(model)
    prepared = Accelerator(mixed_precision="bf16", cpu=True).prepare_model(model)
    assert prepared is model
    assert "_original_forward" in vars(model)
    forward = model.forward
    with untouched(model):
        written = write(model, tmp_path)
    assert model.forward is forward
    loaded = load_model(written.model, adapter=written.adapter, config=CPU)
    assert torch.allclose(said(loaded.model), plain, atol=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_what_is_written_says_what_is_held_and_the_held_model_is_untouched(name: str, tmp_path: Path) -> None:
    model = MODELS[name]()
    model.train()
    next(model.children()).eval()  # some modules in one mode, some in the other
    calls: list[int] = []
    model.register_forward_hook(lambda *_: calls.append(1))
    trained = [value for value in model.parameters() if value.requires_grad]
    trained[0].grad = torch.ones_like(trained[0])
    with untouched(model):
        written = write(model, tmp_path)
    loaded = load_model(written.model, adapter=written.adapter, config=CPU)
    rounding = 0.5 if name == "bfloat16" else 1e-4
    assert torch.allclose(said(model), said(loaded.model), atol=rounding)
    assert bool(written.adapter) == isinstance(model, peft.PeftModel)


def test_an_encoder_decoder_and_a_soft_prompt_are_written(tmp_path: Path) -> None:
    for number, model in enumerate((tiny_encoder_decoder(tokens=len(TOKENIZER)), soft_prompt())):
        with untouched(model):
            written = write(model, tmp_path / str(number))
    assert load_model(written.model, adapter=written.adapter, config=CPU).virtual_ids


def test_settings_of_generation_that_cannot_be_saved_are_no_obstacle(tmp_path: Path) -> None:
    model = decoder()
    model.generation_config.temperature, model.generation_config.eos_token_id = 0.5, 7
    with untouched(model):
        written = write(model, tmp_path)
    assert load_model(written.model, config=CPU).model.generation_config.eos_token_id == 7


def test_the_base_under_an_adapter_is_written_without_it(tmp_path: Path) -> None:
    base = decoder()
    before = said(base)
    written = write(adapted(base, modules_to_save=["lm_head"], target_modules=["q_proj", "v_proj"]), tmp_path)
    assert torch.allclose(said(load_model(written.model, config=CPU).model), before, atol=1e-5)


def test_the_digest_is_one_of_the_weights_and_the_config(tmp_path: Path) -> None:
    model = decoder()
    one = write(model, tmp_path / "one")
    digest = model_digest(one.model)
    assert model_digest(write(model, tmp_path / "one").model) == digest, "written again, the same"
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1e-3
    assert model_digest(write(model, tmp_path / "one").model) != digest


def test_folders_are_private_and_a_failed_one_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = decoder()
    folder = Path(write(model, tmp_path).model)
    assert {path.stat().st_mode & 0o077 for path in (folder.parent, folder, *folder.iterdir())} == {0}
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def fails(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(PreTrainedModel, "save_pretrained", fails)
    with (
        untouched(model),
        pytest.raises(ModelError, match=r"tuned: the LlamaForCausalLM .* cannot be written: .*space"),
    ):
        write(model, tmp_path)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["tuned"]


def test_an_adapter_of_an_earlier_model_does_not_stay(tmp_path: Path) -> None:
    assert write(adapted(), tmp_path).adapter
    assert write(decoder(), tmp_path).adapter == ""
    assert [path.name for path in (tmp_path / "held").iterdir()] == ["tuned"]


def test_a_tokenizer_is_given_as_a_folder_or_taken_from_where_the_model_came_from(tmp_path: Path) -> None:
    TOKENIZER.save_pretrained(tmp_path / "origin")
    model = decoder()
    model.save_pretrained(tmp_path / "origin")
    assert load_model(write(model, tmp_path / "a", tokenizer=tmp_path / "origin").model, config=CPU).tokenizer
    model = type(model).from_pretrained(tmp_path / "origin")
    assert load_model(write(model, tmp_path / "b", tokenizer=None).model, config=CPU).tokenizer
    with pytest.raises(
        ModelError,
        match=r"^tuned: no tokenizer can be loaded: give that of the LlamaForCausalLM in memory with tokenizer=",
    ):
        write(decoder(), tmp_path / "c", tokenizer=None)
    with pytest.raises(ModelError, match=r"^tokenizer: expected a folder, .* found builtins\.int"):
        write(decoder(), tmp_path / "d", tokenizer=3)


def hooked(model: PreTrainedModel) -> PreTrainedModel:
    """A model that a hook steers: it says something else than its weights."""
    model.lm_head.register_forward_hook(lambda _module, _inputs, logits: logits * 1.5)
    return model


def replaced(model: PreTrainedModel) -> PreTrainedModel:
    forward = model.lm_head.forward
    model.lm_head.forward = lambda hidden: forward(hidden) + torch.arange(len(TOKENIZER)) / 10
    return model


def merged(model: peft.PeftModel) -> peft.PeftModel:
    model.merge_adapter()
    return model


def switched_off(model: peft.PeftModel) -> peft.PeftModel:
    model.base_model.disable_adapter_layers()
    return model


def two_adapters(model: peft.PeftModel) -> peft.PeftModel:
    model.add_adapter("second", peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]))
    model.base_model.set_adapter(["default", "second"])
    return model


def offloaded(model: PreTrainedModel) -> PreTrainedModel:
    model.lm_head = model.lm_head.to("meta")
    return model


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "a hook": (
        lambda: hooked(decoder()),
        r"is not what its weights and its config say: .* by up to [\d.]+ nats.*hooks",
    ),
    "a replaced method": (lambda: replaced(decoder()), r"is not what its weights and its config say"),
    "merged": (lambda: merged(adapted()), r"is merged into its base at the moment.*unmerge_adapter"),
    "switched off": (lambda: switched_off(adapted()), r"is not what its weights .* switch its adapter on"),
    "two adapters": (lambda: two_adapters(adapted()), r"exactly one adapter must be active, found \[?'?default"),
    "the model in a PeftModel": (
        lambda: adapted().get_base_model(),
        r"has the layers of an adapter in it.*give the PeftModel around it",
    ),
    "offloaded": (lambda: offloaded(decoder()), r"1 weights are not in memory but offloaded, e\.g\. lm_head\.weight"),
    "a module": (lambda: torch.nn.Linear(2, 2), r"expected a folder, .* found torch\.nn\.modules\.linear\.Linear"),
    "in a wrapper": (
        lambda: torch.nn.DataParallel(decoder()),
        r"found torch.*DataParallel; .*may be what is meant: \.module",
    ),
    "a dictionary": (dict, r"expected a folder, .* found builtins\.dict"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_its_weights_is_refused(name: str, tmp_path: Path) -> None:
    make, message = REFUSED[name]
    model = make()
    with pytest.raises(ModelError, match=f"^tuned: .*{message}") as caught:
        write(model, tmp_path)
    assert not re.search(r"\n", str(caught.value))


def test_an_initialisation_that_changed_the_base_is_refused_or_measured_rightly(tmp_path: Path) -> None:
    """PiSSA takes the adapter's start out of the base: what is under the adapter is not what was fine-tuned."""
    model = adapted(init_lora_weights="pissa", target_modules=["q_proj"])
    with (
        untouched(model),
        pytest.raises(ModelError, match=r"log-probabilities|cannot be measured|not what its weights"),
    ):
        write(model, tmp_path)
