"""Is the rendering named that a model was trained on? One model for each rendering, audited under each of them.

    python benchmarks/renderings.py [--task qa] [--epochs 6] [--records 32] [--loss text] [--seeds 1] [--base decoder-180k]

The shipped decoder is fine-tuned on demonstration records that are written in one way, and then looked at as an audit
that renders them in this way and in each of the others would (`rote.rendering`). A row of the table is a model, a column
the rendering of the audit; the cell is what the audit says: "ok" where nothing speaks against the rendering, or the
rendering that it proposes. Right: "ok" on the diagonal, the row's own name elsewhere.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from rote import demonstration
from rote.config import CorpusConfig, LossMask, ModelConfig
from rote.corpus.formats import Fields
from rote.corpus.rendering import Rendering, ShapeReader
from rote.finetuning.encoding import Row, encode_causal
from rote.models import LoadedModel, load_model
from rote.models.tokens import model_encoder
from rote.passes.store import TokenStore
from rote.records import Example, RenderingPass, content_id
from rote.rendering.judging import Judgement, judge, rendering_losses
from rote.rendering.layouts import TEMPLATES, answers_of, layouts
from rote.rendering.trying import TRIED_RECORDS, try_layouts

FIELDS = {"translation": ("source", "target"), "sentiment": ("prompt", "completion"), "qa": ("question", "answer")}
RENDERINGS = (
    Rendering("joined", "\n"),
    Rendering("joined", ""),
    Rendering("alpaca", "auto"),
    Rendering("roles", "auto"),
    Rendering("chat", "auto"),
)
BATCH = 8


def rows_of(task: str, count: int, *, skip: int = 0) -> dict[str, Fields]:
    """Records of a task as prompt and completion, without the line feed that some prompts end with."""
    names = FIELDS[task]
    lines = demonstration.records(task).read_text(encoding="utf-8").splitlines()[skip : skip + count]
    pairs = [tuple(json.loads(line)[name].strip() for name in names) for line in lines]
    return {content_id(*pair): {"prompt": pair[0], "completion": pair[1]} for pair in pairs}


def examples_of(rows: Mapping[str, Fields], config: CorpusConfig, model: LoadedModel) -> list[Example]:
    """The rows as they are trained on under these settings."""
    reader = ShapeReader(config, model.tokenizer)
    read = {name: reader.read(fields) for name, fields in rows.items()}
    return [Example(name, parts.prompt, parts.completion, "member", name) for name, parts in read.items()]


def train(
    model: LoadedModel, examples: Sequence[Example], *, epochs: int, loss: LossMask, rate: float, seed: int
) -> None:
    """Full fine-tuning by AdamW at a constant rate."""
    encoded = encode_causal(examples, model_encoder(model), loss=loss, limit=model.context_tokens)
    optimizer = torch.optim.AdamW(model.model.parameters(), lr=rate, weight_decay=0.0)
    order = torch.Generator().manual_seed(seed)
    model.model.train()
    for _ in range(epochs):
        places = torch.randperm(len(encoded.rows), generator=order).tolist()
        for at in range(0, len(places), BATCH):
            _step(model, [encoded.rows[place] for place in places[at : at + BATCH]], optimizer)
    model.model.eval()


def _step(model: LoadedModel, rows: Sequence[Row], optimizer: torch.optim.Optimizer) -> None:
    width = max(len(row.input_ids) for row in rows)
    pad = model.tokenizer.pad_token_id
    ids = torch.tensor([[*row.input_ids, *[pad] * (width - len(row.input_ids))] for row in rows])
    labels = torch.tensor([[*row.labels, *[-100] * (width - len(row.labels))] for row in rows])
    mask = torch.tensor([[1] * len(row.input_ids) + [0] * (width - len(row.input_ids)) for row in rows])
    optimizer.zero_grad()
    model.model(input_ids=ids, attention_mask=mask, labels=labels).loss.backward()
    optimizer.step()


def tried(
    model: LoadedModel, rows: Mapping[str, Fields], config: CorpusConfig, store: TokenStore, *, name: str
) -> list[RenderingPass]:
    """The passes of one model over the rows, for an audit with these settings."""
    examples = {item.id: item for item in examples_of(rows, config, model)}
    found = layouts(rows, config, model.tokenizer)
    return try_layouts(found, answers_of(rows, config), examples, model, store, batch_size=32, name=name)


def judged(
    tuned: LoadedModel, base: LoadedModel | None, rows: Mapping[str, Fields], config: CorpusConfig, store: TokenStore
) -> Judgement:
    """What an audit with these settings says."""
    passes = tried(tuned, rows, config, store, name="tuned")
    if base is not None:
        passes += tried(base, rows, config, store, name="base")
    found = judge(rendering_losses(passes, confidence=0.95))
    assert found is not None
    return found


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--task", choices=FIELDS, default="qa")
    parser.add_argument("--base", default="decoder-180k", choices=demonstration.MODELS)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--records", type=int, default=32)
    parser.add_argument("--loss", choices=["text", "completion"], default="text")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--without-base", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    started = time.monotonic()
    named = alarms = unlearned = cells = 0
    for seed in range(options.seeds):
        rows = rows_of(options.task, options.records, skip=seed * options.records)
        sample = dict(list(rows.items())[:TRIED_RECORDS])
        with tempfile.TemporaryDirectory() as folder:
            base = load(options.base, "base")
            for number, truth in enumerate(RENDERINGS):
                torch.manual_seed(seed)
                model = load(options.base, f"tuned {seed} {number}")
                train(
                    model,
                    examples_of(rows, truth.applied_to(CorpusConfig()), model),
                    epochs=options.epochs,
                    loss=options.loss,
                    rate=options.rate,
                    seed=seed,
                )
                said = []
                for audited in RENDERINGS:
                    found = judged(
                        model,
                        None if options.without_base else base,
                        sample,
                        audited.applied_to(CorpusConfig()),
                        TokenStore(Path(folder)),
                    )
                    likely = found.likely.rendering if found.likely else "ok"
                    cells += audited != truth
                    named += audited != truth and likely == truth.name
                    alarms += audited == truth and likely != "ok"
                    unlearned += audited == truth and found.is_unlearned
                    own = found.losses[0]
                    said.append(
                        f"{likely if likely != truth.name else 'OWN'} ({own.tuned:.2f}{f'/{own.base:.2f}' if own.base else ''}{'!' if found.is_unlearned else ''})"
                    )
                print(f"{truth.name:32} | " + " | ".join(said), flush=True)
    print(
        f"named: {named} of {cells}; accused: {alarms} of {options.seeds * len(RENDERINGS)}; own rendering said not to be learned: {unlearned}; {time.monotonic() - started:.0f} s"
    )


def load(base: str, digest: str) -> LoadedModel:
    """The shipped model with the ChatML template; its digest keeps its passes apart from those of others."""
    model = load_model(str(demonstration.MODELS[base]), config=ModelConfig(device="cpu"))
    model.tokenizer.chat_template = TEMPLATES["ChatML"]
    return replace(model, digest=digest)


if __name__ == "__main__":
    main()
