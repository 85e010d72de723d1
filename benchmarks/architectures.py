"""Every causal and sequence-to-sequence architecture of the installed transformers, built tiny, through rote and by hand.

    python benchmarks/architectures.py                      # all of them, a table
    python benchmarks/architectures.py llama rwkv t5        # some
    python benchmarks/architectures.py --markdown > t.md    # as it stands in docs/models.md

Each type of transformers' two auto mappings is built with a few layers of width 32 and random weights that are large enough
to tell tokens apart, in a process of its own with a time limit. The folder goes through what `rote audit` does: load, trial,
generation at batch 4, passes, generations held against passes, recheck. Beside it, without any code of rote, the same
folder is read by plain forward calls at batch 1: no padding, no cache; each token's log-probability given only what stands
before it (log-softmax in float64), and greedy decoding by calling the model on the whole text again for each token.

- *measured*: equal (log-probabilities to 2e-3 nats, greedy tokens all the same but for ties within that).
- *equal lengths*, *one by one*, *without a cache*: the same, in the way that the trial chose.
- *refused*: a ModelError; its reason.
- *not built*: transformers cannot be made to build it tiny, or to call it on text alone; the reason.
- *WRONG*, *TRACEBACK*: there must be none.
"""

import argparse
import json
import os
import select
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module, metadata
from pathlib import Path

import torch
import transformers
from tiny_configs import tiny_config
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, PreTrainedTokenizerFast
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES,
)

LIMIT_S = 240
PRELOADED = (
    "rote.generation.decoding",
    "rote.models.loading",
    "rote.passes.rechecking",
    "rote.soundness",
    "transformers.models.bart.modeling_bart",
    "transformers.models.gemma3.modeling_gemma3",
    "transformers.models.llama.modeling_llama",
    "transformers.models.mixtral.modeling_mixtral",
)
"""Modules that are read once, before the processes are forked."""
SPECIAL = ("<s>", "</s>", "<pad>", "<unk>")
NEW_TOKENS = 10
CLOSE_NATS = 2e-3
GAINS = (2.0, 1.0, 0.5)
TEXTS = (
    "Anna keeps two grey geese and a ladder behind the mill.",
    "Brass lamps were lit at nine.",
    "Carry the jug slowly; its handle broke in March.",
    "Doctor Wex wrote 555-0143 on a ticket.",
)
PROMPT_CHARS = (11, 7, 23, 17)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one type."""

    kind: str
    """"causal" or "sequence-to-sequence"."""
    type: str
    outcome: str
    reason: str = ""
    nats: float | None = None
    """Largest difference of a log-probability from brute force."""
    seconds: float = 0.0


class NotBuilt(Exception):
    """transformers does not build or run it."""


def byte_tokenizer(*, encloses: bool) -> PreTrainedTokenizerFast:
    """A token for each byte, 260 in all."""
    alphabet = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    made = Tokenizer(models.BPE(vocab={token: n for n, token in enumerate(alphabet)}, merges=[]))
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    if encloses:
        made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    names = dict(zip(("bos_token", "eos_token", "pad_token", "unk_token"), SPECIAL, strict=True))
    return PreTrainedTokenizerFast(tokenizer_object=made, **names)


def lively(network: torch.nn.Module, gain: float) -> torch.nn.Module:
    """Random weights that make every text go on in another way."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if weight.dim() > 1 and weight.is_floating_point():
                scale = 0.7 if "embed" in name or "shared" in name else gain / weight.shape[-1] ** 0.5
                weight.copy_(torch.randn(weight.shape, generator=generator) * scale)
    return network.eval()


def build(kind: str, type_: str) -> str:
    """A folder with the tiny model and its tokenizer.

    Raises:
        NotBuilt: with the reason.
    """
    auto = AutoModelForCausalLM if kind == "causal" else AutoModelForSeq2SeqLM
    torch.manual_seed(0)
    try:
        config = tiny_config(type_, is_causal=kind == "causal")
        network = auto.from_config(config)
    except Exception as error:
        raise NotBuilt(said(error)) from error
    for gain in GAINS:
        lively(network, gain)
        try:
            logits = Brute(network).logits((40, 50, 60, 1), (70, 80))
        except Exception as error:
            raise NotBuilt(f"a plain call: {said(error)}") from error
        if bool(logits.isfinite().all()) and float(logits.abs().max()) < 500:
            break
    else:
        raise NotBuilt("no finite logits with random weights")
    folder = tempfile.mkdtemp(prefix="architecture-")
    try:
        network.save_pretrained(folder)
    except Exception as error:
        raise NotBuilt(f"saving: {said(error)}") from error
    byte_tokenizer(encloses=bool(network.config.is_encoder_decoder)).save_pretrained(folder)
    return folder


class Brute:
    """Plain calls of a model: one text, no mask, no padding, no cache."""

    def __init__(self, network: torch.nn.Module) -> None:
        import inspect

        self.network = network
        self.seq2seq = bool(network.config.is_encoder_decoder)
        self.options = {"use_cache": False} if "use_cache" in inspect.signature(network.forward).parameters else {}
        if self.seq2seq:
            settings = (network.generation_config, network.config)
            named = [getattr(one, "decoder_start_token_id", None) for one in settings]
            named += [getattr(one, "bos_token_id", None) for one in settings]
            self.start = next(value for value in named if value is not None)

    def logits(self, shown: Sequence[int], written: Sequence[int]) -> torch.Tensor:
        """Of the token that comes next."""
        with torch.inference_mode():
            if self.seq2seq:
                read = {"input_ids": torch.tensor([shown]), "decoder_input_ids": torch.tensor([[self.start, *written]])}
            else:
                read = {"input_ids": torch.tensor([[*shown, *written]])}
            return self.network(**read, **self.options).logits[0, -1].double()

    def log_probabilities(self, shown: Sequence[int], scored: Sequence[int]) -> list[float]:
        """Of each token given only what stands before it."""
        found = [self.logits(shown, scored[:at]).log_softmax(-1)[token] for at, token in enumerate(scored)]
        return [float(one) for one in found]

    def greedy(self, shown: Sequence[int], count: int, never: Sequence[int]) -> tuple[list[int], list[float]]:
        """The most likely tokens, one after the other, and by how much each beats the second."""
        written: list[int] = []
        gaps: list[float] = []
        for _ in range(count):
            logits = self.logits(shown, written).clone()
            logits[list(never)] = float("-inf")
            best = logits.topk(2)
            written.append(int(best.indices[0]))
            gaps.append(float(best.values[0] - best.values[1]))
        return written, gaps


def through_rote(folder: str) -> tuple[str, list, list, list[list[int]], object]:
    """The way that the trial chose, passes, their log-probabilities, greedy tokens, and the model as it was used."""
    from rote.config import GenerationConfig, ModelConfig
    from rote.generation import TransformersModel, generate
    from rote.models import load_model
    from rote.passes.rechecking import check_recheck, recheck
    from rote.passes.schemes import PLAIN
    from rote.passes.scoring import prompt_pass, score_prompts
    from rote.passes.store import TokenStore
    from rote.records import Prompt
    from rote.soundness import agreement, as_tried, check_agreement, trial

    settings = GenerationConfig(prompt="prefix", prefix_tokens=10, max_new_tokens=NEW_TOKENS, batch_size=4)
    prompts = [
        Prompt(str(n), str(n), text[:at], text[at:])
        for n, (text, at) in enumerate(zip(TEXTS, PROMPT_CHARS, strict=True))
    ]
    loaded = load_model(folder, config=ModelConfig(device="cpu"))
    passes = [prompt_pass(prompt, loaded, settings) for prompt in prompts]
    found = trial(passes, loaded, name="tuned", new_tokens=NEW_TOKENS)
    model = as_tried(loaded, found)
    way = {"any": "measured", "equal lengths": "equal lengths", "one": "one by one"}[found.batching]
    way += "" if found.uses_cache else ", without a cache"
    way += "" if found.context_tokens is None else f", up to {found.context_tokens} tokens"
    tokens: dict[str, list[int]] = {}

    class Kept(TransformersModel):
        def _new_tokens(self, rows, draws, config):
            new = super()._new_tokens(rows, draws, config)
            tokens.update(zip((draw.prompt.id for draw in draws), new, strict=True))
            return new

    generations = [one for batch in generate(prompts, Kept(model), config=settings, name="tuned") for one in batch]
    by_id = {prompt.id: prompt for prompt in prompts}
    check_agreement(agreement(generations, by_id, model, new_tokens=NEW_TOKENS, name="tuned"), folder)
    store = TokenStore(Path(tempfile.mkdtemp()))
    scored = score_prompts(prompts, model, store, config=settings, schemes=(PLAIN,), name="tuned")
    options = {"config": settings, "schemes": (PLAIN,), "count": 3, "dtype": "float32", "name": "tuned"}
    check_recheck(recheck(scored, by_id, model, store, **options), folder)
    passes = [prompt_pass(prompt, model, settings) for prompt in prompts]
    log_ps = [store.read(item.key).log_probabilities.tolist() for item in scored]
    return way, passes, log_ps, [tokens[prompt.id] for prompt in prompts], model


def compare(folder: str, kind: str) -> Outcome:
    """rote's numbers against brute force."""
    from rote.errors import ModelError

    type_ = AutoConfig.from_pretrained(folder).model_type
    try:
        way, passes, log_ps, tokens, model = through_rote(folder)
    except ModelError as error:
        return Outcome(kind, type_, "refused", str(error).replace(folder + ": ", ""))
    auto = AutoModelForSeq2SeqLM if kind != "causal" else AutoModelForCausalLM
    brute = Brute(auto.from_pretrained(folder).eval())
    nats, wrong = 0.0, 0
    from rote.models.tokens import suppressed_ids

    never = suppressed_ids(model)
    for item, found, new in zip(passes, log_ps, tokens, strict=True):
        expected = brute.log_probabilities(item.text.shown, item.text.scored)
        nats = max([nats, *(abs(a - b) for a, b in zip(found, expected, strict=True))])
        shown = [*item.text.shown, *item.text.scored[: item.prompt_tokens]]
        written, gaps = brute.greedy(shown, NEW_TOKENS, never)
        at = next((n for n, (a, b) in enumerate(zip(new, written, strict=True)) if a != b), None)
        wrong += at is not None and gaps[at] > CLOSE_NATS
    if nats > CLOSE_NATS or wrong:
        return Outcome(kind, type_, "WRONG", f"{way}: {nats:.2g} nats, {wrong} of {len(tokens)} generations", nats)
    return Outcome(kind, type_, way, "", nats)


def said(error: Exception) -> str:
    """An exception in one line."""
    line = (str(error).strip() or "no message").splitlines()[0][:160]
    return f"{type(error).__name__}: {line}"


def measured(kind: str, type_: str) -> Outcome:
    """One type, in this process."""
    from dataclasses import replace

    try:
        return replace(compare(build(kind, type_), kind), type=type_)
    except NotBuilt as error:
        return Outcome(kind, type_, "not built", str(error))
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return Outcome(kind, type_, "TRACEBACK", f"{said(error)} ({place.filename.rsplit('/', 1)[-1]}:{place.lineno})")


def built(kind: str, type_: str) -> Outcome:
    """Only whether it can be built, in this process."""
    try:
        build(kind, type_)
    except NotBuilt as error:
        return Outcome(kind, type_, "not built", str(error))
    return Outcome(kind, type_, "built")


def apart(kind: str, type_: str, work: Callable[[str, str], Outcome] = measured) -> Outcome:
    """The same in a process of its own, which is killed when its time is over."""
    receiver, sender = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if not child:
        os.close(receiver)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        with os.fdopen(sender, "w") as out:
            json.dump(asdict(work(kind, type_)), out)
        os._exit(0)
    os.close(sender)
    with os.fdopen(receiver) as answer:
        ready, _, _ = select.select([answer], [], [], LIMIT_S)
        text = answer.read() if ready else ""
        if not ready:
            os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    seconds = time.monotonic() - started
    if not text:
        return Outcome(
            kind, type_, "not built", f"no answer in {LIMIT_S} s" if not ready else "the process died", None, seconds
        )
    return Outcome(**{**json.loads(text), "seconds": seconds})


def types() -> Iterator[tuple[str, str]]:
    """All of both mappings."""
    yield from (("causal", name) for name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    yield from (("sequence-to-sequence", name) for name in MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES)


def table(found: Sequence[Outcome]) -> Iterator[str]:
    """As Markdown."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("transformers", "torch"))
    yield f"{len(found)} types of {versions}:"
    yield ""
    counts = Counter((one.kind, one.outcome) for one in found)
    yield "| | " + " | ".join(kinds := list(dict.fromkeys(one.kind for one in found))) + " |"
    yield "|---|" + "---:|" * len(kinds)
    for outcome in dict.fromkeys([*(one.outcome for one in found), "WRONG", "TRACEBACK"]):
        yield f"| {outcome} | " + " | ".join(str(counts[kind, outcome]) for kind in kinds) + " |"
    yield ""
    yield "| type | kind | outcome | largest difference (nats) | reason |"
    yield "|---|---|---|---:|---|"
    for one in found:
        nats = "" if one.nats is None else f"{one.nats:.0e}"
        yield f"| {one.type} | {one.kind} | {one.outcome} | {nats} | {one.reason.replace('|', '/')} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("types", nargs="*", help="model types (default: all)")
    parser.add_argument("--markdown", action="store_true", help="a table for docs/models.md")
    parser.add_argument("--build", action="store_true", help="only build")
    parser.add_argument("--here", action="store_true", help="in this process, with tracebacks")
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    for module in PRELOADED:
        import_module(module)

    found = []
    for kind, name in types():
        if options.types and name not in options.types:
            continue
        if options.here:
            found.append(compare(build(kind, name), kind))
        else:
            found.append(apart(kind, name, built if options.build else measured))
        one = found[-1]
        nats = "" if one.nats is None else f"{one.nats:.1e}"
        print(
            f"{one.seconds:5.1f} s {kind[:6]:6} {name:28} {one.outcome:14} {nats:8} {one.reason}",
            file=sys.stderr,
            flush=True,
        )
    if options.markdown:
        print("\n".join(table(found)))
    else:
        print(Counter(one.outcome for one in found))
    sys.exit(any(one.outcome in ("WRONG", "TRACEBACK") for one in found))


if __name__ == "__main__":
    main()
