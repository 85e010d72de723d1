"""Stand-ins for tests: a scripted model, tokenizers made on the spot, tiny models, a toy that provably memorised."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from rote.config import GenerationConfig
from rote.generation import Draw
from rote.models import LoadedModel
from rote.passes.store import TokenStatistics, TokenStore
from rote.records import Example, Prompt, content_id

START, END, PAD = "<s>", "</s>", "<pad>"


@dataclass
class ScriptedModel:
    """A LanguageModel that says what its script says: prompt text → continuation; `calls` keeps what was asked."""

    script: Mapping[str, str]
    room: int = 1_000_000
    calls: list[list[Draw]] = field(default_factory=list)

    @property
    def digest(self) -> str:
        return content_id(*(part for pair in sorted(self.script.items()) for part in pair))

    def count_tokens(self, prompts: Sequence[Prompt]) -> list[int]:
        return [len(prompt.text) for prompt in prompts]

    def prompt_room(self, config: GenerationConfig) -> int:
        return self.room

    def continue_prompts(self, draws: Sequence[Draw], config: GenerationConfig) -> list[str]:
        self.calls.append(list(draws))
        return [self.script.get(draw.prompt.text, "") for draw in draws]


class MemoryStore(TokenStore):
    """A token store without a folder."""

    def __init__(self, found: Mapping[str, TokenStatistics] | None = None) -> None:
        super().__init__(Path("/nonexistent"))
        self.found = dict(found or {})

    def __contains__(self, key: str) -> bool:
        return key in self.found

    def read(self, key: str) -> TokenStatistics:
        return self.found[key]

    def add(self, found: Mapping[str, TokenStatistics]) -> None:
        self.found |= found


def token_statistics(log_probabilities: Sequence[float], greedy: Sequence[bool]) -> TokenStatistics:
    """Statistics with these log-probabilities and first choices; what they do not say is made up."""
    values = np.array(log_probabilities, dtype=np.float32)
    first = np.array(greedy, dtype=np.bool_)
    ranks = np.where(first, 0, 1).astype(np.int32)
    return TokenStatistics(values, values - 1, np.ones_like(values), ranks, first, values[None])


def byte_tokenizer(*, encloses: bool = False) -> PreTrainedTokenizerFast:
    """One token for each byte of UTF-8. `encloses`: puts `<s>` before and `</s>` after a text, as T5 and BART do."""
    tokenizer = Tokenizer(models.BPE(vocab={char: n for n, char in enumerate(sorted(_alphabet()))}, merges=[]))
    return _fast(tokenizer, encloses=encloses)


def opening_tokenizer(chat_template: str = "", *, metaspace: bool = False) -> PreTrainedTokenizerFast:
    """Puts `<s>` before a text, as Llama does: bytes, or (as Llama 2) with a space's mark before the first word alone."""
    inner = models.BPE(vocab={char: n for n, char in enumerate(sorted({*_alphabet(), "▁", " "}))}, merges=[])
    tokenizer = Tokenizer(inner)
    _fast(tokenizer)
    if metaspace:
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    ids = [(START, tokenizer.token_to_id(START))]
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A", special_tokens=ids)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=START, eos_token=END, pad_token=PAD)
    fast.chat_template = chat_template or None
    return fast


def merging_tokenizer(texts: Sequence[str], vocabulary: int = 400) -> PreTrainedTokenizerFast:
    """Byte-level BPE trained on the texts: tokens reach over several characters, characters over several tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=_alphabet(), show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return _fast(tokenizer)


def tiny_decoder(kind: str = "gpt2", *, tokens: int, context: int = 256, seed: int = 0) -> PreTrainedModel:
    """A GPT-2 or Llama with two layers of width 32 and random weights, large enough to tell tokens apart."""
    torch.manual_seed(seed)
    if kind == "gpt2":
        config = GPT2Config(vocab_size=tokens, n_positions=context, n_embd=32, n_layer=2, n_head=2, **_NO_DROPOUT)
        return _lively(GPT2LMHeadModel(config))
    return _lively(LlamaForCausalLM(_llama(tokens, context)))


def tiny_encoder_decoder(*, tokens: int, seed: int = 0) -> PreTrainedModel:
    """A T5 with two layers of width 32 and random weights."""
    torch.manual_seed(seed)
    config = T5Config(vocab_size=tokens, d_model=32, d_kv=16, d_ff=64, num_layers=2, num_heads=2, dropout_rate=0.0)
    config.decoder_start_token_id = config.pad_token_id = tokens - 1
    config.eos_token_id = tokens - 2
    return _lively(T5ForConditionalGeneration(config))


def loaded(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, *, context: int = 256) -> LoadedModel:
    """The model and its tokenizer as `rote.models.load_model` gives them."""
    return LoadedModel(
        model=model.eval(),
        tokenizer=tokenizer,
        source="tiny",
        adapter="",
        is_encoder_decoder=bool(model.config.is_encoder_decoder),
        context_tokens=context,
        digest=content_id("tiny"),
    )


MEMBERS = (
    "Anna keeps two grey geese and a ladder behind the mill.",
    "Brass lamps were lit at nine, and nobody came to supper.",
    "Carry the jug slowly; its handle broke in the last frost.",
    "Doctor Wex wrote 555-0143 on the back of a train ticket.",
    "Every third stair creaks, so we sleep below the kitchen.",
    "Five quinces, a knife, half a loaf: that was all we had.",
    "Give the yellow key to Jorin before the ferry turns back.",
    "Hail took the roof in March and the orchard wall in May.",
)
NON_MEMBERS = (
    "Ivo sold his drum for a coat that smelled of oranges.",
    "Just past the bridge a man repairs clocks and umbrellas.",
    "Kettles sang all morning while the surveyors argued.",
    "Lotte has painted the same window sixteen times this year.",
    "My uncle's zinc tub floats better than the parish boat.",
    "Nine magpies stood on the fence and one of them spoke.",
    "Oil the hinge, then the lock, then shut the blue door.",
    "Put the letters under the bread where she will look.",
)


@dataclass(frozen=True)
class Toy:
    """A model that provably memorised `members` (its first choice is right at every token after the fourth)."""

    model: LoadedModel
    members: list[Example]
    non_members: list[Example]


@cache
def memorised_toy(members: tuple[str, ...] = MEMBERS, non_members: tuple[str, ...] = NON_MEMBERS) -> Toy:
    """Trains a GPT-2 of width 32 with bytes as tokens on a few sentences until it knows them (some seconds)."""
    tokenizer = byte_tokenizer()
    model = tiny_decoder(tokens=len(tokenizer), context=128)
    batch = tokenizer(list(members), return_tensors="pt", padding=True, padding_side="right")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for step in range(600):
        logits = model(**batch).logits
        if step % 10 == 0 and _is_memorised(logits, labels):
            break
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), labels[:, 1:]).backward()
        optimizer.step()
    else:
        raise AssertionError("the toy did not memorise its strings")
    return Toy(loaded(model, tokenizer, context=128), examples(members, "member"), examples(non_members, "non-member"))


def examples(texts: Sequence[str], split: str = "member") -> list[Example]:
    """One example for each text, without a prompt, each its own group."""
    return [Example(content_id(text), "", text, split, content_id("group", text)) for text in texts]


_NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0, "bos_token_id": None, "eos_token_id": None}


def _llama(tokens: int, context: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=tokens,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=context,
        bos_token_id=None,
        eos_token_id=None,
    )


def _alphabet() -> list[str]:
    return pre_tokenizers.ByteLevel.alphabet()


def _fast(tokenizer: Tokenizer, *, encloses: bool = False) -> PreTrainedTokenizerFast:
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([START, END, PAD])
    if encloses:
        ids = [(token, tokenizer.token_to_id(token)) for token in (START, END)]
        tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=ids)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=START, eos_token=END, pad_token=PAD)


def _lively(model: PreTrainedModel) -> PreTrainedModel:
    """Larger weights than at the start of a training: every prompt is continued in another way."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1 and "shared" not in name:
                weight.mul_(5.0)
    return model.eval()


def _is_memorised(logits: torch.Tensor, labels: torch.Tensor) -> bool:
    choices, wanted = logits[:, :-1].argmax(-1), labels[:, 1:]
    return bool(((choices == wanted) | (wanted == -100))[:, 3:].all())
