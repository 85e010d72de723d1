"""What the trial of base and tuned model costs, beside an audit of 200 records.

    python benchmarks/trial.py                              # a Llama of width 256, four layers, 100 + 100 records
    python benchmarks/trial.py --model DIR --base DIR --members FILE --nonmembers FILE

Runs `rote audit` twice in one process, in folders of their own: as it is, and with a clock around each trial. Prints the
seconds of the whole audit, of the trials (loading not included: an audit without a trial loads the models, too, but for the
base model, which is loaded once more), and their share. They may take 3 % of the audit, or 5 s, whichever is more.
"""

import argparse
import json
import random
import tempfile
import time
from pathlib import Path

import torch
from architectures import byte_tokenizer, lively
from transformers import LlamaConfig, LlamaForCausalLM

from rote.cli import main as rote
from rote.errors import RoteError
from rote.stages import trial as tried

RECORDS, WORDS = 100, 30
SHARE, SECONDS = 0.03, 5.0


def made(folder: Path) -> list[str]:
    """Models and records; the arguments that name them."""
    random.seed(0)
    words = ["".join(random.choices("aeioulnrst", k=random.randint(2, 8))) for _ in range(400)]
    for name in ("members", "nonmembers"):
        rows = [json.dumps({"text": " ".join(random.choices(words, k=WORDS))}) + "\n" for _ in range(RECORDS)]
        (folder / f"{name}.jsonl").write_text("".join(rows), encoding="utf-8")
    size = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 8}
    for name in ("model", "base"):
        torch.manual_seed(0)
        network = LlamaForCausalLM(LlamaConfig(vocab_size=260, bos_token_id=0, eos_token_id=1, pad_token_id=2, **size))
        lively(network, 2.0 if name == "model" else 1.5).save_pretrained(folder / name)
        byte_tokenizer(encloses=False).save_pretrained(folder / name)
    files = [f"--{name}={folder / name}.jsonl" for name in ("members", "nonmembers")]
    return [f"--model={folder / 'model'}", f"--base={folder / 'base'}", *files]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "base", "members", "nonmembers"):
        parser.add_argument(f"--{name}", default="")
    options = parser.parse_args()
    given = [f"--{name}={value}" for name, value in vars(options).items() if value]
    spent: list[float] = []
    own = tried.TriedModels._trial

    def timed(self: tried.TriedModels, name: str) -> object:
        self._loaded(name)
        started = time.perf_counter()
        found = own(self, name)
        spent.append(time.perf_counter() - started)
        return found

    tried.TriedModels._trial = timed
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        words = given or made(Path(folder))
        started = time.perf_counter()
        code = rote(["audit", *words, "--out", f"{folder}/run", "--device", "cpu"])
        whole = time.perf_counter() - started
    if code == 2:
        raise RoteError("the audit failed")
    share = sum(spent) / whole
    print(f"audit {whole:.1f} s, trials {sum(spent):.2f} s ({len(spent)} models): {share:.1%} of the audit")
    bound = max(SECONDS, SHARE * whole)
    print(f"allowed: {SHARE:.0%} or {SECONDS:g} s: {'kept' if sum(spent) <= bound else 'EXCEEDED'}")


if __name__ == "__main__":
    main()
