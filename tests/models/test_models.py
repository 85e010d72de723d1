import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from peft import IA3Config, LoraConfig, PrefixTuningConfig, get_peft_model
from transformers import AutoModelForCausalLM

from fakes import byte_tokenizer, tiny_decoder, tiny_encoder_decoder
from rote.config import ModelConfig
from rote.errors import ModelError
from rote.models import adapter_base, check_folder, load_model, load_tokenizer, model_digest, pick_device

TOKENIZER = byte_tokenizer()
IDS = torch.arange(5, 25)[None]


def save(model, folder: Path) -> str:
    model.save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    return str(folder)


def logits(model) -> torch.Tensor:
    with torch.no_grad():
        shown = {"input_ids": IDS, "decoder_input_ids": IDS} if model.config.is_encoder_decoder else {"input_ids": IDS}
        return model(**shown).logits


def save_adapter(base: str, folder: Path, config) -> torch.Tensor:
    """Saves an adapter with random weights; returns what the adapted model says."""
    torch.manual_seed(1)
    adapted = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config).eval()
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight.normal_(std=0.2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting `save_embedding_layers`")
        adapted.save_pretrained(folder)
    return logits(adapted) if not isinstance(config, PrefixTuningConfig) else torch.zeros(0)


@pytest.fixture(scope="module")
def decoder(tmp_path_factory) -> str:
    return save(tiny_decoder("llama", tokens=len(TOKENIZER)), tmp_path_factory.mktemp("decoder"))


@pytest.fixture(scope="module")
def encoder_decoder(tmp_path_factory) -> str:
    return save(tiny_encoder_decoder(tokens=len(TOKENIZER)), tmp_path_factory.mktemp("encoder_decoder"))


def test_a_model_folder_gives_the_model_ready_to_run(decoder):
    loaded = load_model(decoder)
    assert not loaded.model.training
    assert (loaded.is_encoder_decoder, loaded.context_tokens, loaded.device.type) == (
        False,
        256,
        pick_device("auto").type,
    )
    assert (loaded.source, loaded.adapter, loaded.digest) == (decoder, "", model_digest(decoder))
    assert torch.equal(logits(loaded.model), logits(AutoModelForCausalLM.from_pretrained(decoder).eval()))


def test_an_encoder_decoder_is_known_as_one(encoder_decoder):
    loaded = load_model(encoder_decoder, config=ModelConfig(device="cpu", dtype="bfloat16"))
    assert (loaded.is_encoder_decoder, loaded.context_tokens, loaded.model.dtype) == (True, 1024, torch.bfloat16)


@pytest.mark.parametrize("target", ["all-linear", ["lm_head"], ["embed_tokens"]])
def test_an_adapter_is_merged_and_brings_its_base(decoder, tmp_path, target):
    said = save_adapter(decoder, tmp_path, LoraConfig(task_type="CAUSAL_LM", target_modules=target))
    assert adapter_base(str(tmp_path)) == decoder
    loaded = load_model("", adapter=str(tmp_path))
    assert loaded.source == decoder
    assert torch.allclose(logits(loaded.model), said, atol=1e-3)
    assert not torch.allclose(said, logits(load_model(decoder).model), atol=0.1)
    assert loaded.digest == model_digest(decoder, str(tmp_path)) != model_digest(decoder)


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings")
def test_an_adapter_on_a_tied_head_leaves_the_input_embedding_alone(tmp_path):
    base = save(tiny_decoder("gpt2", tokens=len(TOKENIZER)), tmp_path / "base")
    config = LoraConfig(task_type="CAUSAL_LM", target_modules=["lm_head"], fan_in_fan_out=False)
    said = save_adapter(base, tmp_path / "adapter", config)
    loaded = load_model(base, adapter=str(tmp_path / "adapter"))
    assert torch.allclose(logits(loaded.model), said, atol=1e-3)


def test_an_adapter_with_whole_modules_is_loaded(decoder, tmp_path):
    config = LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"], modules_to_save=["lm_head"])
    said = save_adapter(decoder, tmp_path, config)
    assert torch.allclose(logits(load_model("", adapter=str(tmp_path)).model), said, atol=1e-3)


def test_an_adapters_own_tokenizer_is_used(decoder, tmp_path):
    save_adapter(decoder, tmp_path, LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]))
    byte_tokenizer(encloses=True).save_pretrained(tmp_path)
    assert len(load_model("", adapter=str(tmp_path)).tokenizer("a")["input_ids"]) == 3


def test_other_kinds_of_adapters(decoder, tmp_path):
    config = IA3Config(task_type="CAUSAL_LM", target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"])
    said = save_adapter(decoder, tmp_path / "ia3", config)
    assert torch.allclose(logits(load_model("", adapter=str(tmp_path / "ia3")).model), said, atol=1e-3)
    save_adapter(decoder, tmp_path / "prefix", PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2))
    with pytest.raises(
        ModelError, match=r"prefix: does not fit the model: PREFIX_TUNING keeps keys and values for every layer"
    ):
        load_model("", adapter=str(tmp_path / "prefix"))


@pytest.mark.parametrize("kind", ["gpt2", "t5"])
@pytest.mark.parametrize("says_tied", [True, False])
def test_an_untied_head_stays_untied(kind, says_tied, tmp_path):
    tokens = len(TOKENIZER)
    model = tiny_encoder_decoder(tokens=tokens) if kind == "t5" else tiny_decoder(kind, tokens=tokens)
    head = model.get_output_embeddings()
    head.weight = torch.nn.Parameter(head.weight.detach() + torch.randn(tokens, 32))
    model.config.tie_word_embeddings = says_tied
    said = logits(model)
    assert torch.equal(logits(load_model(save(model, tmp_path)).model), said)


def test_the_digest_depends_on_weights_and_tokenizer(decoder, tmp_path):
    copy = Path(shutil.copytree(decoder, tmp_path / "copy"))
    assert model_digest(str(copy)) == model_digest(decoder)
    (copy / "README.md").write_text("a card")
    assert model_digest(str(copy)) == model_digest(decoder)
    tokenizer = json.loads((copy / "tokenizer.json").read_text())
    (copy / "tokenizer.json").write_text(json.dumps({**tokenizer, "version": "2.0"}))
    assert model_digest(str(copy)) != model_digest(decoder)
    assert model_digest("some/name") != model_digest("other/name")


def broken(decoder: str, folder: Path, damage) -> str:
    shutil.copytree(decoder, folder)
    damage(folder)
    return str(folder)


def test_missing_folders_and_configs_are_named(decoder, tmp_path):
    with pytest.raises(ModelError, match="no model given"):
        check_folder("", "model")
    with pytest.raises(ModelError, match=r"\./nowhere: no such model folder"):
        load_model("./nowhere")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ModelError, match=r"no config\.json in the model folder \(found notes\.txt\)"):
        load_model(str(tmp_path))
    with pytest.raises(ModelError, match=r"no adapter_config\.json in the adapter folder"):
        load_model(decoder, adapter=decoder)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"it is a PEFT adapter, which is given with --adapter"):
        check_folder(str(tmp_path), "model")


def test_a_name_that_is_no_folder_and_not_to_be_had_is_named():
    with pytest.raises(ModelError, match=r"nobody/nothing-of-this-name: no model can be loaded"):
        load_model("nobody/nothing-of-this-name")
    with pytest.raises(ModelError, match=r"nobody/nothing-of-this-name: no tokenizer can be loaded"):
        load_tokenizer("nobody/nothing-of-this-name")


def test_pickled_weights_are_refused_and_never_opened(decoder, tmp_path):
    def pickled(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        (folder / "pytorch_model.bin").write_bytes(b"would be opened with pickle")

    with pytest.raises(ModelError, match=r"no \*\.safetensors file .*pytorch_model\.bin.*pickle"):
        load_model(broken(decoder, tmp_path / "m", pickled))
    save_adapter(decoder, tmp_path / "a", LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]))
    (tmp_path / "a" / "adapter_model.safetensors").rename(tmp_path / "a" / "adapter_model.bin")
    with pytest.raises(ModelError, match=r"no \*\.safetensors file .*adapter_model\.bin.*pickle"):
        load_model("", adapter=str(tmp_path / "a"))


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, b"\x10\x00\x00\x00\x00\x00\x00\x00{"])
def test_corrupt_weights_are_named(decoder, tmp_path, content):
    damage = lambda folder: (folder / "model.safetensors").write_bytes(content)  # noqa: E731
    with pytest.raises(ModelError, match=r"m: no model can be loaded: .+"):
        load_model(broken(decoder, tmp_path / "m", damage))


def test_corrupt_configs_are_named(decoder, tmp_path):
    damage = lambda folder: (folder / "config.json").write_text("{")  # noqa: E731
    with pytest.raises(ModelError, match=r"m: config\.json cannot be read: .+"):
        load_model(broken(decoder, tmp_path / "m", damage))


def test_weights_of_another_shape_or_missing_weights_are_refused(decoder, tmp_path):
    def configured(**changes):
        def damage(folder: Path) -> None:
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps({**config, **changes}))

        return damage

    with pytest.raises(ModelError, match=r"m: no model can be loaded: .*"):
        load_model(broken(decoder, tmp_path / "m", configured(intermediate_size=48)))
    with pytest.raises(ModelError, match=r"n: 9 weights of the architecture are not in .*: model\.layers\.2"):
        load_model(broken(decoder, tmp_path / "n", configured(num_hidden_layers=3)))


def test_an_adapter_that_does_not_fit_is_named(decoder, tmp_path):
    config = LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])
    save_adapter(decoder, tmp_path / "a", config)
    gpt2 = save(tiny_decoder("gpt2", tokens=len(TOKENIZER)), tmp_path / "gpt2")
    with pytest.raises(ModelError, match=r"a: does not fit the model: .*q_proj"):
        load_model(gpt2, adapter=str(tmp_path / "a"))
    (tmp_path / "a" / "adapter_model.safetensors").write_bytes(b"\xff" * 64)
    with pytest.raises(ModelError, match=r"a: does not fit the model: .+"):
        load_model(decoder, adapter=str(tmp_path / "a"))


@pytest.mark.parametrize("layers", [(2, 3), (3, 2)])
def test_an_adapter_of_a_model_with_other_layers_is_refused(tmp_path, layers):
    from transformers import LlamaForCausalLM

    folders = []
    for count in layers:
        config = tiny_decoder("llama", tokens=len(TOKENIZER)).config
        config.num_hidden_layers = count
        folders.append(save(LlamaForCausalLM(config), tmp_path / str(count)))
    save_adapter(folders[0], tmp_path / "a", LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]))
    with pytest.raises(ModelError, match=r"a: does not fit the model: .*layers\.2"):
        load_model(folders[1], adapter=str(tmp_path / "a"))


def test_an_adapter_whose_base_is_gone_or_not_named(decoder, tmp_path):
    save_adapter(decoder, tmp_path / "a", LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]))
    path = tmp_path / "a" / "adapter_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "base_model_name_or_path": "/not/there/base"}))
    with pytest.raises(
        ModelError, match=r"names the base model /not/there/base, which is not there; give it with --base"
    ):
        load_model("", adapter=str(tmp_path / "a"))
    path.write_text(json.dumps({**config, "base_model_name_or_path": None}))
    with pytest.raises(ModelError, match=r"names no base model; give one with --base"):
        load_model("", adapter=str(tmp_path / "a"))
    path.write_text("{")
    with pytest.raises(ModelError, match=r"a: adapter_config\.json cannot be read: Expecting"):
        load_model("", adapter=str(tmp_path / "a"))


def test_a_tokenizer_of_another_model_is_refused(tmp_path):
    folder = save(tiny_decoder("llama", tokens=100), tmp_path)
    with pytest.raises(ModelError, match=r"the tokenizer has 259 tokens, the model only 100"):
        load_model(folder)


def test_a_tokenizer_without_padding_pads_with_its_end_token(tmp_path):
    tokenizer = byte_tokenizer()
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path)
    assert load_tokenizer(str(tmp_path)).pad_token == "</s>"
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="neither a padding nor an end token"):
        load_tokenizer(str(tmp_path))


def test_devices():
    assert pick_device("cpu").type == "cpu"
    with pytest.raises(ModelError, match=r"model\.device: 'gpu7' is not a device"):
        pick_device("gpu7")
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match=r"model\.device = 'cuda', but this machine has no CUDA device"):
            pick_device("cuda")
