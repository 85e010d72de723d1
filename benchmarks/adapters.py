"""Every PEFT type of the installed peft, and the adapter folders that people have: measured right, or refused?

Each adapter is built, trained a little and saved on a tiny model with random weights, in a process of its own with a time
limit, and then loaded and scored by rote four texts at a time. Right is what the trained model in memory says: peft's own
forward pass at batch 1, without padding and cache, log-softmax in float64. Outcomes:

    measured             equal, merged into the weights (or read as tokens before the text)
    measured unmerged    equal, run beside the weights
    refused              with the reason
    silently wrong       another number than the trained model's, without a word
    traceback            an error that is no refusal

    python benchmarks/adapters.py                      # all; some minutes. One line each, then the counts
    python benchmarks/adapters.py --only "added tokens"
    python benchmarks/adapters.py --markdown           # the tables of docs/models.md
"""

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path

LIMIT_S = 120
TOLERANCE_NATS = 1e-3
PRELOADED = ["adapter_folders", "rote.models", "rote.passes.scoring", "peft", "transformers.models.auto.modeling_auto"]
WRONG, TRACEBACK = "silently wrong", "traceback"


@dataclass(frozen=True)
class Outcome:
    """What became of one adapter."""

    case: str
    outcome: str
    detail: str = ""
    """Why it was refused, or what rote noted."""
    difference: float | None = None
    """Largest difference of a log-probability from what is right, in nats."""
    elapsed_s: float = 0.0


def main() -> int:
    """Runs the cases; returns 1 where one is silently wrong or ends in a traceback."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases whose name has this part")
    parser.add_argument("--markdown", action="store_true", help="print tables")
    arguments = parser.parse_args()
    chosen = [name for name in cases() if arguments.only in name]
    found = []
    for outcome in outcomes(chosen):
        found.append(outcome)
        if not arguments.markdown:
            print(json.dumps(asdict(outcome), ensure_ascii=False), flush=True)
    print(_table(found) if arguments.markdown else "")
    counts = Counter(each.outcome for each in found)
    versions = ", ".join(f"{name} {version(name)}" for name in ("peft", "transformers", "torch"))
    print(f"{len(found)} adapters ({versions}): " + ", ".join(f"{number} {what}" for what, number in counts.items()))
    return int(bool(counts[WRONG] + counts[TRACEBACK]))


def cases() -> dict[str, Callable[[Path], object]]:
    """Name → what builds it in a folder."""
    from adapter_cases import type_cases
    from adapter_folders import FOLDERS

    return {**dict(type_cases()), **FOLDERS}


def outcomes(names: list[str]) -> Iterator[Outcome]:
    """One after the other, each in a process that ends with it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    for name in names:
        receiver, sender = context.Pipe(duplex=False)
        started = time.monotonic()
        process = context.Process(target=_run, args=(name, sender))
        process.start()
        sender.close()
        process.join(LIMIT_S)
        if process.is_alive():
            process.kill()
            process.join()
        elapsed_s = round(time.monotonic() - started, 1)
        try:
            yield Outcome(**receiver.recv(), elapsed_s=elapsed_s)
        except EOFError:
            yield Outcome(name, TRACEBACK, f"no answer within {LIMIT_S} s, or the process died", elapsed_s=elapsed_s)


def _run(name: str, sender: Connection) -> None:
    from rote.errors import RoteError

    _silence()
    with tempfile.TemporaryDirectory() as folder:
        try:
            built = cases()[name](Path(folder))
        except Exception as error:
            sender.send({"case": name, "outcome": "not made by peft", "detail": _one_line(error, folder)})
            return
        try:
            sender.send({"case": name, **_measured(built)})
        except RoteError as error:
            sender.send({"case": name, "outcome": "refused", "detail": _one_line(error, folder)})
        except Exception as error:
            sender.send({"case": name, "outcome": TRACEBACK, "detail": f"{type(error).__name__}: {error}"})


def _silence() -> None:
    import torch
    from transformers import logging

    warnings.filterwarnings("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    sys.stderr = open("/dev/null", "w")  # noqa: SIM115, PTH123  # until the process ends


def _measured(built: object) -> dict[str, object]:
    """Loads and scores with rote; compares."""
    import torch
    from adapter_cases import TEXTS, Built

    from rote.config import ModelConfig
    from rote.models import load_model
    from rote.passes.scoring import TextPass, score_texts
    from rote.passes.store import TokenStore

    assert isinstance(built, Built)
    model = load_model(built.base, adapter=built.adapter, config=ModelConfig(device="cpu"))
    detail = "; ".join(model.notes)
    if built.right is None:
        return {"outcome": WRONG, "detail": f"loaded, though nothing can be right: {detail}"}
    texts = [TextPass((*model.virtual_ids, text[0]), tuple(text[1:])) for text in TEXTS]
    with tempfile.TemporaryDirectory() as folder:
        store = TokenStore(Path(folder))
        found = [store.read(key).log_probabilities for key in score_texts(texts, model, store, batch_size=4)]
    apart = max(float((torch.tensor(own) - right).abs().max()) for own, right in zip(found, built.right, strict=True))
    if apart > TOLERANCE_NATS or built.note not in detail:
        return {"outcome": WRONG, "detail": detail, "difference": apart}
    unmerged = any("beside the weights" in note for note in model.notes)
    return {"outcome": "measured unmerged" if unmerged else "measured", "detail": detail, "difference": apart}


def _one_line(error: Exception, folder: str) -> str:
    return " ".join(str(error).replace(folder, "…").split())


def _table(found: list[Outcome]) -> str:
    """What is measured in one row, each other adapter in a row of its own with its reason."""
    plain = [each.case for each in found if each.outcome == "measured" and not each.detail]
    rows = [f"| {'; '.join(plain)} | measured | |"]
    rows += [
        f"| {each.case} | {each.outcome} | {each.detail.replace('|', '/')} |"
        for each in found
        if each.case not in plain
    ]
    return "\n".join(["| adapter | outcome | reason, or what is noted |", "|---|---|---|", *rows])


if __name__ == "__main__":
    sys.exit(main())
