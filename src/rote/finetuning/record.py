"""What is recorded of a training, in `training.json` beside the model."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

from rote.errors import StaleRunError
from rote.records import Json, from_row, to_row
from rote.runs import write_atomically

TRAINING = "training.json"
MEMBERS = "members.jsonl"
NONMEMBERS = "nonmembers.jsonl"
NEAR_DUPLICATES = "near-duplicates.jsonl"
MIXED = "mixed.jsonl"
CANARIES = "canaries.jsonl"
CHECKPOINTS = "checkpoints"
FINAL = "final"
RESUME = "resume"
OPTIMIZER = "AdamW, betas 0.9 and 0.999, epsilon 1e-8, gradient norm clipped at 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One pass over the rows (the last may be partial). Losses: nats per scored token; lower fits better."""

    number: int
    """From 1."""
    passes: float
    """Passes over the rows since the start."""
    steps: int
    """Optimizer steps since the start."""
    tokens: int
    """Tokens read since the start, padding excluded (encoder-decoder: those of the encoder)."""
    scored_tokens: int
    """Tokens that stood in the loss since the start."""
    training_loss: float | None
    """Mean over the steps of the pass, taken while the weights moved; None where private training drew no row."""
    validation_loss: float | None
    """Over all validation records, after the pass; None without validation records."""
    members_loss: float | None
    """Over at most 200 distinct members, after the pass."""
    elapsed_s: float
    epsilon: float | None = None
    """What private training has cost so far, for one row (see `Privacy`); None of other training."""
    folder: str
    """The model after this pass, relative to `training.json`; "" where none was kept. One pass has "final"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """What private training cost: upper bounds on ε, and what they are computed from (with `Training.steps`).

    The unit is a row: ε is for adding or removing one of the rows of a pass. A record that was trained on several times is
    several rows; `record_epsilon` is for adding or removing all of them.
    """

    epsilon: float
    delta: float
    noise_multiplier: float
    """Deviation of the noise over `clip`."""
    clip: float
    """Largest norm of a row's gradient; longer ones were cut down to it."""
    sample_rate: float
    """Probability of each row to be drawn for a step (Poisson sampling)."""
    most_copies: int
    """Rows of the record that was trained on most often."""
    record_epsilon: float | None
    """ε of that record, at the same delta; None where no finite bound was found."""
    row_gradients: str
    """How the gradients of single rows were had: "batched" by Opacus, or "one by one" where its layers do not fit."""

    @property
    def sentence(self) -> str:
        """Both ε with their units: "(ε = 8, δ = 1e-05) for one row; ε = 26.4 for a record that was trained on 2 times"."""
        said = f"(ε = {self.epsilon:.4g}, δ = {self.delta:g}) for one row"
        if self.most_copies == 1:
            return said
        of_record = "no finite ε" if self.record_epsilon is None else f"ε = {self.record_epsilon:.4g}"
        return f"{said}; {of_record} for a record that was trained on {self.most_copies} times"


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """How a model was fine-tuned, and on what: everything that its audit must know."""

    settings: dict[str, Json]
    """All that the weights depend on; a finished training with equal settings is not repeated."""
    strategy: str
    loss: str
    """Tokens in the loss: "text" or "completion" (encoder-decoder: always "completion")."""
    base: str
    base_digest: str
    device: str
    optimizer: str = OPTIMIZER
    packages: dict[str, Json]
    """Name → version."""
    members: int
    """Distinct records that were trained on."""
    rows: int
    """Records with their repetitions, canaries with their copies, and what is mixed in: one pass."""
    cut: int
    """Distinct records longer than the context, trained on up to it."""
    left_out: int
    """Distinct records without a token to learn, not trained on."""
    near_duplicates: int = 0
    """Distinct records not trained on, since another one of their duplicate group is."""
    further_copies: int = 0
    """Exact copies of trained records that de-duplication left out."""
    goldfish_tokens: int = 0
    """Tokens of one pass over the rows that the goldfish loss leaves out."""
    context_tokens: int
    """Longest text that was trained on (a soft prompt stands before it)."""
    parameters: int
    """Of the model as trained, adapters and an untied head included."""
    trainable_parameters: int
    head_parameters: int
    """Of the output embedding."""
    head_share: float
    """head_parameters / parameters."""
    embeddings_untied: bool
    """Input and output embedding shared their weights in the base; the head became a copy."""
    canary_rows: int = 0
    """How many of the rows are canaries."""
    mixed_rows: int = 0
    """How many of the rows are records of other tasks."""
    base_validation_loss: float | None = None
    """Before training, as `Epoch.validation_loss`."""
    base_members_loss: float | None = None
    epochs: tuple[Epoch, ...] = ()
    steps: int = 0
    """Optimizer steps that were made, those after the pass that was kept included."""
    stopped: str = ""
    """Why training ended, and with early stopping after which pass the model is kept."""
    changed_parameters: tuple[str, ...] = ()
    """Tensors whose bytes differ from those before training."""
    privacy: Privacy | None = None
    """None where training was not private."""
    finished: bool = False

    @property
    def kept(self) -> Epoch:
        """The pass after which the model stands in `final/`: the last one, or with early stopping the best one.

        Raises:
            StaleRunError: the training is not finished.
        """
        found = next((epoch for epoch in self.epochs if epoch.folder == FINAL), None)
        if found is None:
            raise StaleRunError(f"the training of {self.base} is not finished: run `rote finetune` again")
        return found


def read_training(out: Path) -> Training:
    """The record of the training in a folder.

    Raises:
        StaleRunError: there is none, or it cannot be read.
    """
    path = out / TRAINING
    try:
        return from_row(Training, json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise StaleRunError(f"{path}: no record of a training can be read ({error})") from error


def write_training(out: Path, training: Training) -> None:
    """Writes the record atomically."""
    text = json.dumps(to_row(training), indent=1, ensure_ascii=True) + "\n"
    write_atomically(out / TRAINING, text.encode("ascii"))


def privacy_of(model: Path) -> Privacy | None:
    """What the training cost that left this model here: in `final`, or as a checkpoint of an earlier pass.

    None of other models, and of training that was not private. The record's ε is that of the whole training.
    """
    for out in (model.parent, model.parent.parent):
        try:
            training = read_training(out)
        except StaleRunError:
            continue
        own = [each for each in training.epochs if (out / each.folder).resolve() == model.resolve()]
        if own and training.privacy:
            return replace(training.privacy, epsilon=own[-1].epsilon or 0.0)
    return None


def known_training(out: Path, settings: dict[str, Json]) -> Training | None:
    """The training that the folder holds, finished or not; None where it holds none.

    Raises:
        StaleRunError: the folder holds a training with other settings, or models that no training here made.
    """
    if not (out / TRAINING).exists():
        strangers = [name for name in (FINAL, CHECKPOINTS, MEMBERS) if (out / name).exists()]
        if strangers:
            raise StaleRunError(
                f"{out} holds {strangers[0]!r} but no {TRAINING}: give another folder, e.g. {_free(out)}"
            )
        return None
    known = read_training(out)
    differences = [
        f"{name} was {known.settings.get(name)!r}, is {settings.get(name)!r}"
        for name in sorted({*known.settings, *settings})
        if known.settings.get(name) != settings.get(name)
    ]
    if differences:
        raise StaleRunError(
            f"{out} holds {'a model trained' if known.finished else 'an unfinished training'} with other settings: "
            f"{', '.join(differences)}; give another folder, e.g. {_free(out)}"
        )
    return known


def _free(out: Path) -> Path:
    """The first of OUT-2, OUT-3 … that does not exist."""
    number = 2
    while (free := out.with_name(f"{out.name}-{number}")).exists():
        number += 1
    return free
