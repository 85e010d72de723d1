"""Speed of scoring: all likelihood statistics against one plain forward pass, against a pass per metric, and memory.

What is compared, in one run on one machine:

- *plain*: `model(input_ids, attention_mask, use_cache=False).logits` in inference mode, nothing else: the least that any
  likelihood metric costs (with the cache that transformers keeps by default it costs more).
- *statistics*: `rote.passes.scoring.score_texts` on the same tokens at the same batch, into a new token store on the
  disk: keys, the pass, all statistics under the default schemes, writing; then all metrics of `METRICS`, read from there.
- *per metric*: a forward pass at batch 1 for each record and each metric of `METRICS`, as published tools do it.

The weights are random (speed does not depend on them, but for top-p, whose nucleus is large then: the hard case); the
shipped models are real. Times are of the rounds' medians; plain and statistics take turns. One JSON object per line:

    python benchmarks/scoring.py                         # some 5 minutes on two cores
    python benchmarks/scoring.py --only shipped          # one part: large, shipped, metrics, memory, gpu
    python benchmarks/scoring.py --threads 2

On a machine with a CUDA device the part "gpu" gives tokens per second, as a share of the bare forward pass and of the
card's matrix rate, of a model of 355 M parameters.
"""

import argparse
import ctypes
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from machine import machine

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from fakes import byte_tokenizer
from rote import demonstration
from rote.config import ModelConfig, ScoringConfig
from rote.models import LoadedModel, load_model
from rote.passes import logits as logits_module
from rote.passes import token_statistics as statistics_module
from rote.passes.logits import TextPass
from rote.passes.schemes import PLAIN, Scheme, parse_schemes
from rote.passes.scoring import TOKENS_AT_ONCE, score_texts
from rote.passes.store import TokenStatistics, TokenStore
from rote.scoring.extraction import continuation_log_probability, extraction_strength, verbatim_probability
from rote.scoring.likelihood import exact_memorization, extractable, loss
from rote.scoring.membership import min_k, min_k_plus_plus, zlib_ratio

SCHEMES = parse_schemes(ScoringConfig().schemes)
SUFFIX_TOKENS = 50
TEXTS_AT_ONCE = 16
PARTS = ("large", "shipped", "metrics", "memory", "gpu")
Metric = Callable[[TokenStatistics, str], float | bool | None]
METRICS: Mapping[str, Metric] = {
    "loss": lambda tokens, _: loss(tokens),
    "verbatim_probability": lambda tokens, _: verbatim_probability(tokens.log_probabilities),
    "exact_memorization": lambda tokens, _: exact_memorization(tokens),
    "extractable": lambda tokens, _: extractable(tokens, SUFFIX_TOKENS),
    "extraction_strength": lambda tokens, _: extraction_strength(tokens.is_greedy),
    "min_k": lambda tokens, _: min_k(tokens.log_probabilities),
    "min_k_plus_plus": lambda tokens, _: min_k_plus_plus(tokens.log_probabilities, tokens.means, tokens.deviations),
    "zlib_ratio": lambda tokens, text: zlib_ratio(tokens.log_probabilities, text),
    **{
        f"chance under {scheme.label}": lambda tokens, _, number=number: continuation_log_probability(
            tokens.decoding_log_probabilities[number], SUFFIX_TOKENS
        )
        for number, scheme in enumerate(SCHEMES)
    },
}
"""All metrics that need no other text and no other model."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids of texts, and the texts."""

    texts: list[TextPass]
    words: list[str]

    @property
    def tokens(self) -> int:
        return sum(map(len, self.texts))


def main() -> int:
    """Runs the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part (may be repeated)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of every comparison (default: 5)")
    parser.add_argument("--peak", choices=("body", "plain", "statistics"), help=argparse.SUPPRESS)
    parser.add_argument("--shape", type=int, nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.peak:
        report("peak", mb=peak_mb(arguments.peak, *arguments.shape))
        return 0
    report("machine", **machine(), torch=torch.__version__, threads=arguments.threads)
    parts = {
        "large": lambda: large(arguments.rounds),
        "shipped": lambda: shipped(arguments.rounds),
        "metrics": metrics,
        "memory": lambda: memory(arguments.threads),
        "gpu": gpu,
    }
    for name in arguments.only or PARTS:
        parts[name]()
    return 0


def report(what: str, **values: object) -> None:
    """One line of the result."""
    rounded = {name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in values.items()}
    print(json.dumps({"what": what, **rounded}), flush=True)


# Models and texts


def random_gpt2(
    width: int = 768, layers: int = 12, *, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> LoadedModel:
    """A GPT-2 with a vocabulary of 50,257 and random weights: 124 M parameters by default."""
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(n_embd=width, n_layer=layers, n_head=width // 64, bos_token_id=None, eos_token_id=None)
    network = GPT2LMHeadModel(config).to(device=device, dtype=dtype).eval()
    return LoadedModel(network, byte_tokenizer(), "random", "", False, 1024, f"random {width} {layers}")


def random_texts(count: int, length: int, *, shortest: int | None = None, seed: int = 0) -> Batch:
    """Texts of so many tokens, evenly spread from `shortest` on if it is given."""
    draw = np.random.default_rng(seed)
    lengths = np.linspace(shortest or length, length, count).astype(int)
    ids = [draw.integers(300, 50_000, size).tolist() for size in lengths]
    return Batch([TextPass(tuple(row[:1]), tuple(row[1:])) for row in ids], [" ".join(map(str, row)) for row in ids])


def shipped_texts(model: LoadedModel, count: int, length: int) -> Batch:
    """Beginnings of the shipped dialogues: for an encoder-decoder the first 64 tokens are shown, the rest is scored."""
    lines = demonstration.records("dialogue").read_text(encoding="utf-8").splitlines()
    records = ["\n".join(value for value in json.loads(line).values() if isinstance(value, str)) for line in lines]
    ids = model.tokenizer(records, truncation=True, max_length=length)["input_ids"]
    full = [(row, text) for row, text in zip(ids, records, strict=True) if len(row) == length][:count]
    cut = 64 if model.is_encoder_decoder else 1
    return Batch([TextPass(tuple(row[:cut]), tuple(row[cut:])) for row, _ in full], [text for _, text in full])


# One plain pass


def plain_pass(batch: Batch, model: LoadedModel) -> None:
    """The logits of every place of the padded batches, and nothing of them."""
    for part in parts_of(batch):
        with torch.inference_mode():
            model.model(**plain_inputs(part, model)).logits  # noqa: B018


def body_pass(batch: Batch, model: LoadedModel) -> None:
    """The same without the head."""
    for part in parts_of(batch):
        with torch.inference_mode():
            model.model.base_model(**plain_inputs(part, model))


def parts_of(batch: Batch) -> list[Batch]:
    """The batches that the scorer makes: longest first."""
    pairs = sorted(zip(batch.texts, batch.words, strict=True), key=lambda pair: -len(pair[0]))
    cut = [pairs[at : at + TEXTS_AT_ONCE] for at in range(0, len(pairs), TEXTS_AT_ONCE)]
    return [Batch([text for text, _ in part], [words for _, words in part]) for part in cut]


def plain_inputs(batch: Batch, model: LoadedModel) -> dict[str, torch.Tensor | bool]:
    if model.is_encoder_decoder:
        shown, read = ([list(getattr(text, part)) for text in batch.texts] for part in ("shown", "scored"))
        (ids, mask), (read_ids, _) = padded(shown, model), padded(read, model)
        return {"input_ids": ids, "attention_mask": mask, "decoder_input_ids": read_ids, "use_cache": False}
    ids, mask = padded([[*text.shown, *text.scored] for text in batch.texts], model)
    return {"input_ids": ids, "attention_mask": mask, "use_cache": False}


def padded(rows: Sequence[list[int]], model: LoadedModel) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], device=model.device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=model.device)
    return ids, mask


# All statistics, and all metrics


def all_metrics(batch: Batch, model: LoadedModel, schemes: Sequence[Scheme] = SCHEMES) -> None:
    """Scores the texts into a new store, and reads every metric of every text from there."""
    with tempfile.TemporaryDirectory() as folder:
        store = TokenStore(Path(folder))
        keys = scored(batch, model, store, schemes)
        for key, words in zip(keys, batch.words, strict=True):
            tokens = store.read(key)
            for name, metric in METRICS.items():
                if len(schemes) == len(SCHEMES) or not name.startswith("chance"):
                    metric(tokens, words)


def all_statistics(batch: Batch, model: LoadedModel, schemes: Sequence[Scheme] = SCHEMES) -> None:
    """The same without the metrics."""
    with tempfile.TemporaryDirectory() as folder:
        scored(batch, model, TokenStore(Path(folder)), schemes)


def scored(batch: Batch, model: LoadedModel, store: TokenStore, schemes: Sequence[Scheme]) -> list[str]:
    return score_texts(batch.texts, model, store, schemes=schemes, batch_size=TEXTS_AT_ONCE)


def compare(what: str, batch: Batch, model: LoadedModel, rounds: int) -> None:
    """Plain pass and all statistics, by turns: seconds and CPU seconds, and their ratios."""
    sides: dict[str, Callable[[], None]] = {
        "plain": lambda: plain_pass(batch, model),
        "statistics": lambda: all_metrics(batch, model),
        "plain scheme only": lambda: all_metrics(batch, model, (PLAIN,)),
    }
    times = by_turns(sides, rounds)
    cpu = {name: statistics.median(pair[0] for pair in found) for name, found in times.items()}
    wall = {name: statistics.median(pair[1] for pair in found) for name, found in times.items()}
    report(
        what,
        parameters_m=sum(weight.numel() for weight in model.model.parameters()) / 1e6,
        vocabulary=model.model.config.vocab_size,
        texts=len(batch.texts),
        texts_at_once=TEXTS_AT_ONCE,
        tokens=batch.tokens,
        plain_us_per_token=1e6 * cpu["plain"] / batch.tokens,
        statistics_us_per_token=1e6 * cpu["statistics"] / batch.tokens,
        ratio_cpu=cpu["statistics"] / cpu["plain"],
        ratio_wall=wall["statistics"] / wall["plain"],
        ratio_cpu_plain_scheme_only=cpu["plain scheme only"] / cpu["plain"],
        ratios_cpu=[float(f"{ours[0] / plain[0]:.3f}") for ours, plain in zip(times["statistics"], times["plain"], strict=True)],
    )  # fmt: skip


def by_turns(sides: Mapping[str, Callable[[], None]], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """(CPU seconds, seconds) of each round of each side, after one round that does not count."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, side in sides.items():
            cpu, wall = time.process_time(), time.perf_counter()
            side()
            if turn:
                times[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return times


def large(rounds: int) -> None:
    """124 M parameters: texts of equal length, and of unequal ones (the plain pass computes the padding, too)."""
    model = random_gpt2()
    compare("large, equal lengths", random_texts(32, 128), model, rounds)
    compare("large, unequal lengths", random_texts(32, 192, shortest=64), model, rounds)


def shipped(rounds: int) -> None:
    """The two shipped models on the shipped dialogues."""
    for folder in (demonstration.DECODER, demonstration.ENCODER_DECODER):
        model = load_model(str(folder), config=ModelConfig(device="cpu"))
        compare(f"shipped {folder.name}", shipped_texts(model, 32, 192), model, rounds)


# A pass per metric


def metrics() -> None:
    """Records per second: a pass at batch 1 for each metric and record, one at batch 1 for all metrics, and ours."""
    shipped_model = load_model(str(demonstration.DECODER), config=ModelConfig(device="cpu"))
    for name, model, batch in (
        ("large", random_gpt2(), random_texts(8, 128)),
        ("shipped decoder", shipped_model, shipped_texts(shipped_model, 32, 192)),
    ):
        each = cpu_seconds(lambda batch=batch, model=model: [one_by_one(batch, model, [name]) for name in PEERS])
        once = cpu_seconds(lambda batch=batch, model=model: one_by_one(batch, model, list(PEERS)))
        ours = cpu_seconds(lambda batch=batch, model=model: all_metrics(batch, model))
        count = len(batch.texts)
        report(
            f"records per second, {name}", metrics=list(PEERS), records=count,
            pass_per_metric=count / each, one_pass_at_batch_1=count / once, rote=count / ours,
            ratio=each / ours, ratio_to_one_pass_at_batch_1=once / ours,
        )  # fmt: skip


def cpu_seconds(call: Callable[[], object], rounds: int = 3) -> float:
    """The least of some rounds, after one that does not count."""
    call()
    found = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found)


def one_by_one(batch: Batch, model: LoadedModel, names: Sequence[str]) -> list[float]:
    """One forward pass at batch 1 for each record; the metrics from its log-softmax."""
    found = []
    for text, words in zip(batch.texts, batch.words, strict=True):
        ids = torch.tensor([[*text.shown, *text.scored]])
        with torch.inference_mode():
            logits = model.model(ids).logits[0, :-1]
            found += [PEERS[name](logits, ids[0, 1:], words) for name in names]
    return found


def _chosen(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return logits.log_softmax(-1).gather(-1, ids[:, None])[:, 0]


def _right(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return logits.argmax(-1) == ids


def _least(values: torch.Tensor) -> float:
    return float(values.sort().values[: max(1, len(values) // 5)].mean())


def _z_scores(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    log_p = logits.log_softmax(-1)
    p = log_p.exp()
    mean = (p * log_p).sum(-1)
    deviation = ((p * log_p.square()).sum(-1) - mean.square()).clamp(min=0).sqrt()
    return (log_p.gather(-1, ids[:, None])[:, 0] - mean) / deviation


def _chance(logits: torch.Tensor, ids: torch.Tensor, scheme: Scheme) -> float:
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    scores = TemperatureLogitsWarper(scheme.temperature)(None, logits)
    scores = TopKLogitsWarper(scheme.top_k)(None, scores) if scheme.top_k else scores
    scores = TopPLogitsWarper(scheme.top_p)(None, scores) if scheme.top_p < 1 else scores
    return float(_chosen(scores, ids)[:SUFFIX_TOKENS].sum())


PEERS: Mapping[str, Callable[[torch.Tensor, torch.Tensor, str], float]] = {
    "loss": lambda logits, ids, _: -float(_chosen(logits, ids).mean()),
    "verbatim_probability": lambda logits, ids, _: float(_chosen(logits, ids).mean().exp()),
    "exact_memorization": lambda logits, ids, _: float(_right(logits, ids).float().mean()),
    "extractable": lambda logits, ids, _: float(_right(logits, ids)[:SUFFIX_TOKENS].all()),
    "extraction_strength": lambda logits, ids, _: float(_right(logits, ids).flip(0).long().cumprod(0).sum() / len(ids)),
    "min_k": lambda logits, ids, _: _least(_chosen(logits, ids)),
    "min_k_plus_plus": lambda logits, ids, _: _least(_z_scores(logits, ids)),
    "zlib_ratio": lambda logits, ids, words: float(_chosen(logits, ids).sum()) / len(words),
    **{
        f"chance under {scheme.label}": lambda logits, ids, _, scheme=scheme: _chance(logits, ids, scheme)
        for scheme in SCHEMES
    },
}
"""The same metrics as published tools compute them: from the logits of a text of their own."""


# Memory


def memory(threads: int) -> None:
    """Peak memory of one batch of `TOKENS_AT_ONCE` tokens beside the model, each in a process of its own.

    Of the large model, and of one with a transformer so small that the logits and what is made of them are all there is.
    """
    for name, width, layers in (("large", 768, 12), ("small transformer", 64, 1)):
        found = {kind: measured_peak(kind, threads, width, layers) for kind in ("body", "plain", "statistics")}
        report(
        f"memory, {name}", tokens=TOKENS_AT_ONCE, vocabulary=50_257, all_logits_mb=TOKENS_AT_ONCE * 50_257 * 4 / 1e6,
        body_mb=found["body"], plain_mb=found["plain"], statistics_mb=found["statistics"],
        statistics_over_body_mb=found["statistics"] - found["body"], stated_bound_over_body_mb=bound_mb(50_257, threads),
    )  # fmt: skip


def bound_mb(vocabulary: int, threads: int) -> float:
    """What the statistics may need beside the transformer's own activations, in float32 on a CPU (docs/method.md)."""
    rows = max(1, logits_module.LOGITS_AT_ONCE // vocabulary)
    block = max(1, statistics_module.CPU_BLOCK * threads // vocabulary)
    return 4 * vocabulary * (rows + BLOCKS * block) / 1e6


BLOCKS = 8
"""Copies of a block of logits that the arithmetic holds at one time, at most."""


def measured_peak(kind: str, threads: int, width: int, layers: int) -> float:
    """The median of three processes: where the allocator has holes moves the peak of the large model by a hundred MB."""
    words = [sys.executable, __file__, "--peak", kind, "--shape", str(width), str(layers), "--threads", str(threads)]
    lines = [subprocess.run(words, capture_output=True, text=True, check=True).stdout for _ in range(3)]
    return statistics.median(float(json.loads(line)["mb"]) for line in lines)


def peak_mb(kind: str, width: int, layers: int) -> float:
    """How much more memory than before this process held at one time during one pass (Linux)."""
    model, batch = random_gpt2(width, layers), random_texts(TEXTS_AT_ONCE, TOKENS_AT_ONCE // TEXTS_AT_ONCE)
    small = Batch(batch.texts[:1], batch.words[:1])
    calls = {"body": lambda: body_pass(batch, model), "plain": lambda: plain_pass(batch, model)}
    all_metrics(small, model)  # what is loaded and compiled at first use does not count
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is from now on
    before = resident_mb("VmRSS")
    calls.get(kind, lambda: all_metrics(batch, model))()
    return resident_mb("VmHWM") - before


def resident_mb(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(name))) * 1024 / 1e6


# GPU


def gpu() -> None:
    """Tokens per second of a model of 355 M parameters in bfloat16, beside its bare forward pass and the card's rate."""
    if not torch.cuda.is_available():
        report("gpu", result="no GPU")
        return
    model = random_gpt2(1024, 24, dtype=torch.bfloat16, device="cuda")
    batch = random_texts(128, TOKENS_AT_ONCE // TEXTS_AT_ONCE)
    rate = matrix_rate()
    sides = {
        "plain": lambda: plain_pass(batch, model),
        "statistics": lambda: all_statistics(batch, model),
        "plain scheme only": lambda: all_statistics(batch, model, (PLAIN,)),
    }
    seconds = {name: gpu_seconds(side) for name, side in sides.items()}
    parameters = sum(weight.numel() for weight in model.model.parameters())
    report(
        "gpu", device=torch.cuda.get_device_name(), parameters_m=parameters / 1e6, tokens=batch.tokens,
        matrix_tflops=rate / 1e12,
        **{f"{name}_tokens_per_s": batch.tokens / value for name, value in seconds.items()},
        **{f"{name}_share_of_plain": seconds["plain"] / value for name, value in seconds.items()},
        **{f"{name}_share_of_matrix_rate": 2 * parameters * batch.tokens / value / rate for name, value in seconds.items()},
    )  # fmt: skip


def gpu_seconds(call: Callable[[], object], rounds: int = 10) -> float:
    """The median of some rounds, after three that do not count."""
    found = []
    for turn in range(rounds + 3):
        torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        torch.cuda.synchronize()
        if turn >= 3:
            found.append(time.perf_counter() - start)
    return statistics.median(found)


def matrix_rate(size: int = 8192) -> float:
    """Floating-point operations per second of a product of two square matrices in bfloat16."""
    one, other = (torch.randn((size, size), device="cuda", dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / gpu_seconds(lambda: one @ other)


if __name__ == "__main__":
    sys.exit(main())
