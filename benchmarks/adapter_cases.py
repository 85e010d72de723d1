"""Adapters as people save them, on tiny models with lively random weights; each with what it says by itself.

What is right is computed here with peft and transformers alone: batch 1, no padding, no cache, log-softmax in float64.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import peft
import torch
from peft import LoraConfig, PeftConfig, PeftModel, TaskType, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3MoeConfig,
    Qwen3MoeForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)

SPECIAL = ["<s>", "</s>", "<pad>", "<unk>"]
TOKENS = 260
WIDTH = 32
TEXTS = ((44, 71, 75), (5, 90, 33, 12, 250, 61, 7), tuple(range(40, 80)), tuple(range(100, 60, -3)))
"""What is scored: ids; the first one of each is shown, the others are scored."""
QV = ["q_proj", "v_proj"]
ASKING = ("MULTITASK_PROMPT_TUNING", "POLY")
"""PEFT types that ask for the number of a task."""
NETS: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**_SIZES)),
    "tied llama": lambda: LlamaForCausalLM(LlamaConfig(**_SIZES, tie_word_embeddings=True)),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=TOKENS, n_embd=WIDTH, n_layer=2, n_head=4, n_positions=256, **_ENDS)
    ),
    "t5": lambda: T5ForConditionalGeneration(
        T5Config(vocab_size=TOKENS, d_model=WIDTH, d_kv=8, d_ff=64, num_layers=2, num_heads=4, decoder_start_token_id=2)
    ),
    "mixture": lambda: Qwen3MoeForCausalLM(
        Qwen3MoeConfig(**_SIZES, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16, head_dim=8)
    ),
}
_ENDS = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
_SIZES = {
    "vocab_size": TOKENS,
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 256,
    **_ENDS,
}


@dataclass(frozen=True)
class Built:
    """What rote is given, and what is right."""

    base: str
    adapter: str
    right: Sequence[torch.Tensor] | None
    """ln p of each text's tokens after the first; None: nothing can be right, it must be refused."""
    note: str = ""
    """A part of the note that rote must give."""


def byte_tokenizer(added: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """One token for each byte, after the special ones."""
    alphabet = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    made = Tokenizer(models.BPE(vocab={char: number for number, char in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    names = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    fast = PreTrainedTokenizerFast(tokenizer_object=made, **names)
    if added:
        fast.add_tokens(list(added))
    return fast


def save_base(folder: Path, kind: str, *, seed: int = 0) -> str:
    """A model of that kind, whose weights are large enough that texts differ."""
    generator = torch.Generator().manual_seed(seed)
    net = NETS[kind]()
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if weight.dim() >= 2:
                scale = 0.7 if "embed" in name or "shared" in name or "wte" in name else 2 / weight.shape[-1] ** 0.5
                weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
    net.eval().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return str(folder)


def opened(base: str) -> PreTrainedModel:
    """The model in the folder, by transformers alone."""
    kind = json.loads((Path(base) / "config.json").read_text())["architectures"][0]
    classes = (LlamaForCausalLM, GPT2LMHeadModel, T5ForConditionalGeneration, Qwen3MoeForCausalLM)
    return next(each for each in classes if each.__name__ == kind).from_pretrained(base).eval()


def scored(model: torch.nn.Module, texts: Sequence[Sequence[int]] = TEXTS) -> list[torch.Tensor]:
    """ln p of each text's tokens after the first one, one text at a time."""
    task = {}
    if isinstance(model, PeftModel) and model.active_peft_config.peft_type.value in ASKING:
        task["task_ids"] = torch.zeros(1, dtype=torch.long)
    found = []
    for text in texts:
        first, rest = torch.tensor([text[:1]]), torch.tensor(text[1:])
        with torch.no_grad():
            if model.config.is_encoder_decoder:
                written = torch.tensor([[2, *text[1:-1]]])
                logits = model(input_ids=first, decoder_input_ids=written, **task).logits[0]
            else:
                whole = torch.tensor([text])
                logits = model(input_ids=whole, attention_mask=torch.ones_like(whole), **task).logits[0]
                logits = logits[-len(text) :][:-1]  # peft puts virtual tokens before
        found.append(logits.double().log_softmax(-1).gather(-1, rest[:, None])[:, 0])
    return found


def trained(model: PreTrainedModel, config: PeftConfig, *, seed: int = 1) -> PeftModel:
    """The model with an adapter whose weights were moved as by a training."""
    torch.manual_seed(seed)
    adapted = get_peft_model(model, config).eval()
    with torch.no_grad():
        for weight in adapted.parameters():
            if weight.requires_grad:
                weight.add_(torch.randn(weight.shape) * 0.1)
    return adapted


def built(folder: Path, config: PeftConfig, *, kind: str = "llama", note: str = "", **saving: object) -> Built:
    """An adapter on a model of that kind, trained and saved."""
    base = save_base(folder / "base", kind)
    adapted = trained(opened(base), config)
    right = scored(adapted)
    adapted.save_pretrained(str(folder / "adapter"), **saving)
    return Built(base, str(folder / "adapter"), right, note)


def peft_types() -> dict[str, Callable[[str], PeftConfig]]:
    """For each PEFT type, its settings for a task."""
    modules = {"CAUSAL_LM": QV, "SEQ_2_SEQ_LM": ["q", "v"]}
    fed_forward = {"CAUSAL_LM": "down_proj", "SEQ_2_SEQ_LM": "wo"}
    norms = {"CAUSAL_LM": ["input_layernorm", "norm"], "SEQ_2_SEQ_LM": ["layer_norm"]}
    embedding = {"CAUSAL_LM": "embed_tokens", "SEQ_2_SEQ_LM": "shared"}

    def tuner(name: str, **settings: object) -> Callable[[str], PeftConfig]:
        return lambda task: getattr(peft, name)(task_type=task, target_modules=modules[task], **settings)

    def one(name: str, **settings: object) -> Callable[[str], PeftConfig]:
        return lambda task: getattr(peft, name)(task_type=task, target_modules=modules[task][:1], **settings)

    def plain(name: str, **settings: object) -> Callable[[str], PeftConfig]:
        return lambda task: getattr(peft, name)(task_type=task, **settings)

    return {
        "PROMPT_TUNING": plain("PromptTuningConfig", num_virtual_tokens=4),
        "MULTITASK_PROMPT_TUNING": plain("MultitaskPromptTuningConfig", num_virtual_tokens=4, num_tasks=1),
        "P_TUNING": plain("PromptEncoderConfig", num_virtual_tokens=4, encoder_hidden_size=16),
        "PREFIX_TUNING": plain("PrefixTuningConfig", num_virtual_tokens=4),
        "LORA": tuner("LoraConfig", r=4),
        "ADALORA": tuner("AdaLoraConfig", total_step=10, tinit=1, tfinal=1),
        "ADAMSS": tuner("AdamssConfig", r=8),
        "BOFT": tuner("BOFTConfig", boft_block_size=4),
        "ADAPTION_PROMPT": plain("AdaptionPromptConfig", adapter_len=4, adapter_layers=2),
        "IA3": lambda task: peft.IA3Config(
            task_type=task,
            target_modules=[modules[task][0], fed_forward[task]],
            feedforward_modules=[fed_forward[task]],
        ),
        "BEFT": tuner("BeftConfig"),
        "LILY": tuner("LilyConfig", r=4),
        "LOHA": tuner("LoHaConfig", r=4),
        "LOKR": tuner("LoKrConfig", r=4),
        "OFT": tuner("OFTConfig", oft_block_size=4),
        "POLY": tuner("PolyConfig", r=4),
        "LN_TUNING": lambda task: peft.LNTuningConfig(task_type=task, target_modules=norms[task]),
        "VERA": one("VeraConfig", r=4),
        "FROD": tuner("FrodConfig", progressbar=False),
        "PVERA": one("PveraConfig", r=4),
        "FOURIERFT": tuner("FourierFTConfig", n_frequency=50),
        "GLORA": tuner("GloraConfig", r=4),
        "HRA": tuner("HRAConfig", r=4),
        "VBLORA": tuner("VBLoRAConfig", r=2, num_vectors=8, vector_length=16),
        "UNILORA": tuner("UniLoraConfig", r=4),
        "CPT": plain("CPTConfig", cpt_token_ids=[5, 6, 7, 8], cpt_mask=[1] * 4, cpt_tokens_type_mask=[1, 2, 3, 4]),
        "MISS": tuner("MissConfig", r=4),
        "RANDLORA": tuner("RandLoraConfig", r=4),
        "ROAD": tuner("RoadConfig", group_size=8),
        "TRAINABLE_TOKENS": lambda task: peft.TrainableTokensConfig(
            task_type=task, token_indices=[44, 61, 70], target_modules=[embedding[task]]
        ),
        "HIRA": tuner("HiraConfig", r=4),
        "SHIRA": tuner("ShiraConfig", r=4),
        "C3A": one("C3AConfig", block_size=8),
        "WAVEFT": tuner("WaveFTConfig", n_frequency=50),
        "OSF": tuner("OSFConfig", effective_rank=8),
        "DELORA": tuner("DeloraConfig", r=4),
        "GRALORA": tuner("GraloraConfig", r=4, gralora_k=2),
        "CARTRIDGE": plain("CartridgeConfig", num_virtual_tokens=4),
        "TINYLORA": tuner("TinyLoraConfig"),
        "PSOFT": tuner("PsoftConfig", r=4),
        "PEANUT": tuner("PeanutConfig", r=4),
        "SHADOW": plain("ShadowConfig", r=4),
        "SUPERTUNING": tuner("SupertuningConfig"),
        "DEFT": tuner("DeftConfig", r=4),
    }


def lora(**settings: object) -> LoraConfig:
    """LoRA of rank 4 on queries and values, but for what is given."""
    return LoraConfig(**{"task_type": TaskType.CAUSAL_LM, "r": 4, "target_modules": QV, **settings})


def type_cases() -> Iterator[tuple[str, Callable[[Path], Built]]]:
    """Every PEFT type on a decoder and on an encoder-decoder."""
    for name, config in peft_types().items():
        yield f"{name}, llama", lambda folder, config=config: built(folder, config("CAUSAL_LM"))
        yield f"{name}, t5", lambda folder, config=config: built(folder, config("SEQ_2_SEQ_LM"), kind="t5")
    yield "XLORA, llama", mixture_of_adapters


def mixture_of_adapters(folder: Path) -> Built:
    """X-LoRA: a mixture of adapters that lie elsewhere."""
    made = built(folder, lora())
    return Built(
        changed_config(made, peft_type="XLORA", hidden_size=WIDTH, adapters={"0": str(folder / "other")}).base,
        made.adapter,
        None,
    )


def changed_config(built: Built, **changes: object) -> Built:
    """The adapter with other settings in its file."""
    path = Path(built.adapter) / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return built


def copied(source: str, folder: Path) -> str:
    """A copy of a folder."""
    return str(shutil.copytree(source, folder, dirs_exist_ok=True))
