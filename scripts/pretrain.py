"""Pre-train the small base models that rote ships (and larger ones of the same family) from plain text.

    python scripts/pretrain.py decoder --text ../shared/data/pretrain --out build/decoder --tokens 14_000_000
    python scripts/pretrain.py encoder-decoder --text ../shared/data/pretrain --out build/encoder_decoder \
        --tokenizer build/decoder --tokens 12_000_000

The text folder holds `*.txt` or `*.txt.gz` files, documents separated by a form feed. Every 50th document is held
out: the validation loss in the model card is measured on it. A run that was stopped goes on from its last checkpoint.
"""

import argparse
import gzip
import hashlib
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.utils.data import Dataset
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
    Trainer,
    TrainingArguments,
    set_seed,
)

END, PAD = "<|endoftext|>", "<|pad|>"
HOLD_OUT_EVERY = 50
MAX_LENGTH = 512
"""Longest text that the models are meant for, in tokens."""
CHAT_TEMPLATE = (
    "{% for m in messages %}{{ m['role'] | capitalize }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant: {% endif %}"
)


def text_files(folder: Path) -> list[Path]:
    """The text files of the folder, sorted by name."""
    files = sorted([*folder.glob("*.txt"), *folder.glob("*.txt.gz")])
    if not files:
        raise SystemExit(f"no *.txt or *.txt.gz file in {folder}")
    return files


def documents(folder: Path) -> Iterator[str]:
    """Every document of the folder, in file order."""
    for path in text_files(folder):
        opener = gzip.open if path.suffix == ".gz" else open
        with opener(path, "rt", encoding="utf-8") as file:
            yield from (text.strip() for text in file.read().split("\f") if text.strip())


def text_hash(folder: Path) -> str:
    """SHA-256 over the bytes of all text files, in file order."""
    digest = hashlib.sha256()
    for path in text_files(folder):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def train_tokenizer(folder: Path, vocabulary: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE: any text can be written, nothing is unknown."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(documents(folder), trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=PAD)
    fast.clean_up_tokenization_spaces = False
    fast.chat_template = CHAT_TEMPLATE
    return fast


def tokens_of(folder: Path, tokenizer: PreTrainedTokenizerFast) -> tuple[np.ndarray, np.ndarray]:
    """All documents as token ids, (training, validation); an end token closes each document."""
    parts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for number, text in enumerate(documents(folder), start=1):
        ids = [*tokenizer.backend_tokenizer.encode(text).ids, tokenizer.eos_token_id]
        parts[number % HOLD_OUT_EVERY == 0].append(np.array(ids, dtype=np.uint16))
    return np.concatenate(parts[0]), np.concatenate(parts[1])


class Blocks(Dataset):
    """Blocks of `length` consecutive tokens. A prefix model reads the first half and learns the second."""

    def __init__(self, tokens: np.ndarray, length: int, *, prefix: bool) -> None:
        self.blocks = tokens[: len(tokens) // length * length].reshape(-1, length)
        self.prefix = prefix

    def __len__(self) -> int:
        return len(self.blocks)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        ids = torch.from_numpy(self.blocks[index].astype(np.int64))
        half = len(ids) // 2
        return (
            {"input_ids": ids[:half], "labels": ids[half:]}
            if self.prefix
            else {"input_ids": ids, "labels": ids.clone()}
        )


def new_model(
    kind: str, tokenizer: PreTrainedTokenizerFast, *, width: int, layers: int, context: int
) -> PreTrainedModel:
    """A Llama (decoder) or T5 (encoder-decoder) of the given width with fresh weights; heads are 32 wide."""
    special = {
        "vocab_size": len(tokenizer),
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "tie_word_embeddings": True,
    }
    if kind == "decoder":
        return LlamaForCausalLM(
            LlamaConfig(
                hidden_size=width,
                intermediate_size=width * 8 // 3 // 16 * 16,
                num_hidden_layers=layers,
                num_attention_heads=width // 32,
                num_key_value_heads=width // 32,
                max_position_embeddings=context,
                **special,
            )
        )
    return T5ForConditionalGeneration(
        T5Config(
            d_model=width,
            d_kv=32,
            d_ff=width * 4,
            num_layers=layers,
            num_decoder_layers=layers,
            num_heads=width // 32,
            feed_forward_proj="gated-gelu",
            dropout_rate=0.0,
            decoder_start_token_id=tokenizer.pad_token_id,
            **special,
        )
    )


def card(recipe: dict[str, object]) -> str:
    """The model card: everything that was measured or chosen, and what the model is for."""
    rows = "\n".join(f"| {name} | {value} |" for name, value in recipe.items())
    return (
        "---\nlicense: cc0-1.0\n---\n"
        f"# rote's {recipe['kind']} base model\n\n"
        "A deliberately small language model, pre-trained from scratch, for demonstrations and tests of rote. "
        "It writes fluent nonsense in the manner of nineteenth-century novels and is of no other use.\n\n"
        f"| | |\n|---|---|\n{rows}\n\n"
        "**Training text.** English novels in the public domain (computationalstylistics/100_english_novels). "
        "The model has not seen the demonstration records: its only text is the set of files with the SHA-256 "
        "above, published before the records were written, and `python scripts/check_records.py --pretrain DIR` "
        "prints the longest run of characters that the records share with it.\n\n"
        "**Reproduce.** `scripts/pretrain.py` with the settings above; one CPU core is enough.\n"
    )


def main() -> None:
    """Train the tokenizer (unless one is given) and the model, and write a Hugging Face folder with its card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["decoder", "encoder-decoder"])
    parser.add_argument("--text", type=Path, required=True, help="folder of *.txt or *.txt.gz files")
    parser.add_argument("--out", type=Path, required=True, help="folder to write the model to")
    parser.add_argument("--tokenizer", type=Path, help="folder with a tokenizer to use (default: train one)")
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--context", type=int, default=512, help="tokens in one block")
    parser.add_argument("--tokens", type=int, default=14_000_000, help="training tokens in all")
    parser.add_argument("--batch", type=int, default=8, help="blocks in one step")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    set_seed(options.seed)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.tokenizer:
        tokenizer = PreTrainedTokenizerFast.from_pretrained(options.tokenizer)
    else:
        tokenizer = train_tokenizer(options.text, options.vocabulary)
    tokenizer.model_max_length = MAX_LENGTH
    tokenizer.save_pretrained(options.out)
    training, validation = tokens_of(options.text, tokenizer)
    model = new_model(options.kind, tokenizer, width=options.width, layers=options.layers, context=options.context)
    prefix = options.kind == "encoder-decoder"
    work = options.out.with_name(options.out.name + ".training")
    steps = options.tokens // (options.batch * options.context)
    trainer = Trainer(
        model=model,
        args=TrainingArguments(
            output_dir=str(work),
            per_device_train_batch_size=options.batch,
            per_device_eval_batch_size=options.batch,
            max_steps=steps,
            learning_rate=options.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=max(1, steps // 30),
            weight_decay=0.1,
            adam_beta2=0.95,
            logging_steps=max(1, steps // 50),
            save_steps=max(1, steps // 20),
            save_total_limit=1,
            report_to="none",
            seed=options.seed,
            use_cpu=not torch.cuda.is_available(),
            dataloader_pin_memory=False,
        ),
        train_dataset=Blocks(training, options.context, prefix=prefix),
        eval_dataset=Blocks(validation, options.context, prefix=prefix),
    )
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=any(work.glob("checkpoint-*")))
    elapsed_s = time.monotonic() - started
    loss = trainer.evaluate()["eval_loss"]
    model.config.use_cache = True  # the Trainer turns it off
    model.save_pretrained(options.out)
    recipe: dict[str, object] = {
        "kind": options.kind,
        "architecture": type(model).__name__,
        "parameters": sum(p.numel() for p in model.parameters()),
        "vocabulary": len(tokenizer),
        "width": options.width,
        "layers": options.layers if not prefix else f"{options.layers} + {options.layers}",
        "context (tokens)": options.context,
        "objective": "prefix language modelling, loss on the second half" if prefix else "next token",
        "training tokens": steps * options.batch * options.context,
        "steps, blocks a step": f"{steps}, {options.batch}",
        "AdamW learning rate": f"{options.learning_rate}, cosine",
        "seed": options.seed,
        "validation loss (nats a token, held-out novels)": round(loss, 4),
        "validation tokens": len(validation),
        "validation perplexity": round(math.exp(loss), 1),
        "elapsed (s)": round(elapsed_s),
        "SHA-256 of the training text files": text_hash(options.text),
    }
    (options.out / "README.md").write_text(card(recipe), encoding="utf-8")
    (options.out / "recipe.json").write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(recipe, indent=1))


if __name__ == "__main__":
    main()
