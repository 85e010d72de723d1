"""What lies in model folders: indexes, configs, tokenizers; and that all of it is tried before anything is generated."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from adapter_cases import built, lora, save_base
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import MixtralConfig, MixtralForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

from fakes import byte_tokenizer, tiny_decoder
from rote.cli import main
from rote.config import GenerationConfig, ModelConfig
from rote.errors import ModelError
from rote.generation import Draw, TransformersModel
from rote.models import load_model, load_tokenizer, model_digest, tokenizer_source
from rote.models.failures import MAX_CHARS, reading, reason
from rote.records import Prompt

CPU = ModelConfig(device="cpu")
TOKENIZER = byte_tokenizer()


def save(model, folder: Path) -> str:
    model.save_pretrained(folder)
    TOKENIZER.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def decoder(tmp_path: Path) -> str:
    return save(tiny_decoder("llama", tokens=len(TOKENIZER)), tmp_path / "decoder")


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    model = tiny_decoder("llama", tokens=len(TOKENIZER))
    model.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    TOKENIZER.save_pretrained(tmp_path / "shards")
    return tmp_path / "shards"


def renamed(folder: Path, to: object) -> str:
    """The index names another file for every weight of one shard."""
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    (first, *_) = sorted(set(index["weight_map"].values()))
    index["weight_map"] = {name: to if shard == first else shard for name, shard in index["weight_map"].items()}
    path.write_text(json.dumps(index))
    return str(folder)


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "../other.safetensors",
        "/tmp/x.safetensors",
        "sub/x.safetensors",
        "..\\x.safetensors",
        7,
        "",
    ],
)
def test_an_index_names_only_safetensors_in_its_folder(shards: Path, name: object):
    (shards / "pytorch_model.bin").write_bytes(b"would be opened with pickle")
    load_model(str(shards), config=CPU)
    with pytest.raises(
        ModelError, match=r"model\.safetensors\.index\.json names .* as a file of weights; only a safetensors"
    ):
        load_model(renamed(shards, name), config=CPU)


def test_an_index_names_what_is_there(shards: Path):
    with pytest.raises(ModelError, match=r"index\.json names gone\.safetensors, which is not there"):
        load_model(renamed(shards, "gone.safetensors"), config=CPU)
    (shards / "model.safetensors.index.json").write_text('{"weight_map": []}')
    with pytest.raises(ModelError, match="expected a weight_map from weights to files"):
        load_model(str(shards), config=CPU)


def test_the_index_is_part_of_the_digest(shards: Path):
    before = model_digest(str(shards))
    path = shards / "model.safetensors.index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "metadata": {"other": 1}}))
    assert model_digest(str(shards)) != before


@pytest.mark.parametrize("name", ["adapter_model.bin", "model.bin", "../x.safetensors", 3])
def test_a_config_names_no_other_file_of_weights(decoder: str, name: object):
    path = Path(decoder) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "transformers_weights": name}))
    with pytest.raises(ModelError, match=r"config\.json names .* as a file of weights"):
        load_model(decoder, config=CPU)


def test_weights_of_an_adapter_are_no_weights_of_a_model(decoder: str):
    (Path(decoder) / "model.safetensors").rename(Path(decoder) / "adapter_model.safetensors")
    with pytest.raises(
        ModelError, match=r"no model\.safetensors or model\.safetensors\.index\.json file in the model folder"
    ):
        load_model(decoder, config=CPU)


DEEP = "[" * 50_000 + "]" * 50_000
STRANGE = {
    "deep": ('{"a": ' + DEEP + "}", "nested too deeply"),
    "levels": ('{"a": ' + "[" * 60 + "]" * 60 + "}", "nested more than 50 levels deep"),
    "digits": ('{"hidden_size": ' + "9" * 5_000 + "}", "Exceeds the limit"),
    "large": ('{"hidden_size": ' + "9" * 60 + "}", "a number of 60 digits"),
    "list": ("[1, 2]", "expected an object, found list"),
    "bytes": (b"\xff\xfe\x00", "codec can't decode|Expecting value"),
}


@pytest.mark.parametrize(
    "name", ["config.json", "generation_config.json", "tokenizer_config.json", "adapter_config.json"]
)
@pytest.mark.parametrize("kind", STRANGE)
def test_strange_configs_are_one_line(decoder: str, name: str, kind: str, tmp_path: Path):
    folder, (content, reason) = Path(decoder), STRANGE[kind]
    adapter = ""
    if name == "adapter_config.json":
        folder = tmp_path / "adapter"
        folder.mkdir()
        adapter = str(folder)
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ModelError, match=f"{name} cannot be read: .*({reason})") as error:
        load_model(decoder, adapter=adapter, config=CPU)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1_000


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 10**18},
        {"num_attention_heads": 0},
        {"hidden_size": -4},
        {"num_hidden_layers": "two"},
        {"rope_parameters": 3},
        {"vocab_size": None},
        {"model_type": "nobody-knows"},
        {"max_position_embeddings": 10**30},
    ],
)
def test_senseless_sizes_are_one_line(decoder: str, changes: dict[str, object]):
    path = Path(decoder) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    if "max_position_embeddings" in changes:  # which Llama does not need
        assert load_model(decoder, config=CPU).context_tokens == 1024
        return
    with pytest.raises(ModelError, match=r"^[^\n]*decoder: [^\n]*$"):
        load_model(decoder, config=CPU)


@pytest.mark.parametrize("type_", ["vit", "qwen2_audio"])
def test_a_type_that_writes_no_text_is_one_line(decoder: str, type_: str):
    Path(decoder, "config.json").write_text(json.dumps({"model_type": type_}))
    expected = (
        rf"a model of the type '{type_}' cannot be audited: transformers \S+ knows none of this type that continues"
    )
    with pytest.raises(ModelError, match=expected) as raised:
        load_model(decoder, config=CPU)
    assert len(str(raised.value)) < MAX_CHARS


def test_a_config_that_transformers_itself_writes_is_read(decoder: str):
    path = Path(decoder) / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_max_length": int(1e30)}))
    assert load_model(decoder, config=CPU).context_tokens == 256


def test_errors_of_libraries_are_one_useful_line():
    said = "Error(s) in loading state_dict for X:\n\tsize mismatch for a: [2] from [3].\n\tsize mismatch for b.\n\tc.\n\td.\n\te."
    assert reason(RuntimeError(said)) == (
        "Error(s) in loading state_dict for X: size mismatch for a: [2] from [3]. size mismatch for b. c. … (2 more lines)"
    )
    assert reason(KeyError("x")) == "KeyError: 'x'"
    assert reason(RecursionError("maximum recursion depth exceeded")).startswith("RecursionError: maximum")
    assert reason(ValueError()) == "ValueError"
    assert reason(MemoryError()) == "not enough memory (MemoryError)"
    assert reason(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")).startswith(
        "not enough memory"
    )
    assert len(reason(ValueError("x" * 10_000))) == MAX_CHARS
    with pytest.raises(ModelError, match="a: not enough memory"), reading("a"):
        raise MemoryError
    with pytest.raises(KeyboardInterrupt), reading("a"):
        raise KeyboardInterrupt


def test_too_little_memory_is_one_line(decoder: str, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object, **__: object) -> None:
        raise RuntimeError(
            "[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you tried 1 TB"
        )

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", full)
    with pytest.raises(ModelError, match=r"decoder: no model can be loaded: not enough memory \(.*1 TB\)"):
        load_model(decoder, config=CPU)


def test_a_folder_below_is_proposed(decoder: str):
    with pytest.raises(ModelError, match=r"no config\.json in the model folder .*; did you mean .*decoder\?"):
        load_model(str(Path(decoder).parent), config=CPU)


def test_of_several_checkpoints_the_last_is_proposed(decoder: str, tmp_path: Path):
    for steps in (9, 20, 100):
        shutil.copytree(decoder, tmp_path / "trained" / f"checkpoint-{steps}")
    with pytest.raises(ModelError, match=r"no config\.json in the model folder .*; did you mean .*checkpoint-100\?"):
        load_model(str(tmp_path / "trained"), config=CPU)


def without_tokenizer(source: str, folder: Path, *, keep: tuple[str, ...] = ()) -> str:
    shutil.copytree(source, folder)
    for path in folder.glob("*token*"):
        if path.name not in keep:
            path.unlink()
    return str(folder)


@pytest.mark.parametrize("keep", [(), ("tokenizer_config.json",)])
def test_the_bases_tokenizer_is_used_where_there_is_none(decoder: str, keep: tuple[str, ...], tmp_path: Path):
    bare = without_tokenizer(decoder, tmp_path / "bare", keep=keep)
    with pytest.raises(ModelError, match=r"bare: no tokenizer can be loaded: no vocabulary in the folder"):
        load_model(bare, config=CPU)
    loaded = load_model(bare, config=ModelConfig(device="cpu", tuned=bare, base=decoder))
    assert loaded.notes == (f"{bare} has no tokenizer: that of {decoder} is used",)
    assert loaded.tokenizer("a")["input_ids"] == TOKENIZER("a")["input_ids"]
    assert tokenizer_source(bare, "", (decoder,)) == decoder
    assert tokenizer_source(decoder, "", (bare,)) == decoder
    assert load_model(bare, config=ModelConfig(device="cpu", tuned=decoder, base=bare)).tokenizer("a") == TOKENIZER("a")


def qwen_with_its_own_splitting(folder: Path) -> tuple[str, Tokenizer]:
    """A Qwen2 beside a tokenizer that cuts at white space alone: transformers 5 rebuilds it with Qwen2's splitting."""
    own = Tokenizer(models.BPE(unk_token="<unk>"))
    own.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    from tokenizers import trainers

    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<unk>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    own.train_from_iterator(["don't won't can't it's 12,345.67 in-the-mill didn't, 1987, x+1"] * 5, trainer)
    PreTrainedTokenizerFast(tokenizer_object=own, unk_token="<unk>", eos_token="</s>").save_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**settings, "tokenizer_class": "Qwen2Tokenizer"}))
    size = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    Qwen2ForCausalLM(Qwen2Config(vocab_size=own.get_vocab_size(), num_key_value_heads=2, **size)).save_pretrained(
        folder
    )
    return str(folder), own


def test_a_tokenizer_is_what_its_file_says(tmp_path: Path):
    from transformers import AutoTokenizer

    folder, own = qwen_with_its_own_splitting(tmp_path)
    text = "The old mill didn't open in 1987, it's x+1"
    known = own.encode(text, add_special_tokens=False).ids
    assert AutoTokenizer.from_pretrained(folder)(text)["input_ids"] != known  # what is guarded against
    assert load_tokenizer(folder)(text)["input_ids"] == known
    loaded = load_model(folder, config=CPU)
    assert loaded.tokenizer(text)["input_ids"] == known
    (note,) = loaded.notes
    assert "cuts texts otherwise than its tokenizer.json says; tokenizer.json is used as it is" in note


def test_router_logits_are_not_asked_for(tmp_path: Path):
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = MixtralConfig(
        vocab_size=len(TOKENIZER), num_key_value_heads=2, num_local_experts=4, output_router_logits=True, **sizes
    )
    loaded = load_model(save(MixtralForCausalLM(config), tmp_path), config=CPU)
    draws = [Draw(Prompt(text, text, text, ""), 0) for text in ("a", "two grey geese", "the mill")]
    config = GenerationConfig(max_new_tokens=4)
    together = TransformersModel(loaded).continue_prompts(draws, config)
    assert together == [TransformersModel(loaded).continue_prompts([draw], config)[0] for draw in draws]


@pytest.mark.parametrize(
    "setting", [{"return_dict": False}, {"output_hidden_states": True}, {"output_attentions": True}]
)
def test_what_a_forward_pass_returns_besides_is_switched_off(decoder: str, setting: dict[str, bool]):
    plain = load_model(decoder, config=CPU)
    path = Path(decoder) / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **setting}))
    ids = torch.arange(20)[None]
    with torch.no_grad():
        found = load_model(decoder, config=CPU).model(ids)
        assert torch.equal(found.logits, plain.model(ids).logits)
    assert (found.hidden_states, found.attentions) == (None, None)


@pytest.fixture
def members(tmp_path: Path) -> str:
    path = tmp_path / "members.txt.jsonl"
    texts = [f"Record {n}: the mill by the river had {n * 7} lamps, and nobody came to supper." for n in range(4)]
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(path)


@pytest.mark.parametrize("command", ["check", "audit"])
@pytest.mark.parametrize("wrong", ["base", "tokenizer", "adapter"])
def test_everything_is_loaded_before_anything_is_generated(
    command: str, wrong: str, decoder: str, members: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    words = {
        "base": ["--model", decoder, "--base", "nobody/nothing-of-this-name"],
        "tokenizer": ["--model", str(tmp_path / "small")],
        "adapter": ["--adapter", str(tmp_path / "made" / "adapter"), "--base", str(tmp_path / "gpt2")],
    }[wrong]
    if wrong == "tokenizer":
        save(tiny_decoder("llama", tokens=100), tmp_path / "small")
    if wrong == "adapter":
        built(tmp_path / "made", lora())
        save_base(tmp_path / "gpt2", "gpt2")
    out = tmp_path / "run"
    options = ["--prefix-tokens", "10", "--max-new-tokens", "5", "--device", "cpu"]
    assert main([command, *words, "--members", members, "--out", str(out), *options]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert {"base": "nothing-of-this-name", "tokenizer": "do not belong together", "adapter": "does not fit"}[
        wrong
    ] in said
    assert not list(out.glob("generations*"))


def test_notes_are_said(decoder: str, members: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    bare = without_tokenizer(decoder, tmp_path / "bare")
    words = [
        "--model",
        bare,
        "--base",
        decoder,
        "--members",
        members,
        "--out",
        str(tmp_path / "run"),
        "--device",
        "cpu",
    ]
    assert main(["check", *words, "--prefix-tokens", "10", "--max-new-tokens", "5"]) == 0
    assert "has no tokenizer: that of" in " ".join(capsys.readouterr().err.split())


def test_notes_are_of_the_folder_that_was_given(
    decoder: str, members: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same weights in another folder are tried again: what lies beside them is another thing."""
    beside = Path(shutil.copytree(decoder, tmp_path / "beside"))
    (beside / "adapter_config.json").write_text("{}")
    (beside / "adapter_model.safetensors").write_bytes(b"")
    said = []
    for base in (str(beside), decoder):
        words = ["--model", decoder, "--base", base, "--members", members, "--out", str(tmp_path / "run")]
        assert main(["check", *words, "--device", "cpu", "--prefix-tokens", "10", "--max-new-tokens", "5"]) == 0
        said.append(" ".join(capsys.readouterr().err.split()))
    assert f"{beside}: the adapter beside the model (adapter_config.json) is not applied." in said[0]
    assert "is not applied" not in said[1]
