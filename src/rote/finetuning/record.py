"""What is recorded of a training, in `training.json` beside the model."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

from rote.errors import RunError
from rote.records import Json, from_row, to_row
from rote.runs.disk import SEAL, damage_of, hashes_of, known_hash, parse_json, seal, shortened, unseal, write_atomically

TRAINING = "training.json"
MEMBERS = "members.jsonl"
NONMEMBERS = "nonmembers.jsonl"
NEAR_DUPLICATES = "near-duplicates.jsonl"
MIXED = "mixed.jsonl"
CANARIES = "canaries.jsonl"
CHECKPOINTS = "checkpoints"
DATA = (MEMBERS, NONMEMBERS, NEAR_DUPLICATES, MIXED, CANARIES)
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
    """Parameters of the model as trained, adapters and an untied head included."""
    trainable_parameters: int
    head_parameters: int
    """Parameters of the output embedding."""
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
    files: dict[str, str] = field(default_factory=dict)
    """SHA-256 of each file of data and models that the training wrote, by its path relative to `training.json`."""

    @property
    def kept(self) -> Epoch:
        """The pass after which the model stands in `final/`: the last one, or with early stopping the best one.

        Raises:
            RunError: the training is not finished.
        """
        found = next((epoch for epoch in self.epochs if epoch.folder == FINAL), None)
        if found is None:
            raise RunError(f"the training of {self.base} is not finished: run `rote finetune` again")
        return found


def read_training(out: Path) -> Training:
    """The record of the training in a folder.

    Raises:
        RunError: there is none, or it cannot be read.
    """
    path = out / TRAINING
    try:
        content = path.read_bytes()
        row = parse_json(content)
        if not isinstance(row, dict):
            raise ValueError(f"an object was expected, found {shortened(row)}")
        return from_row(Training, unseal(content) if SEAL in row else row)  # older versions sealed nothing
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path}: no record of a training can be read ({error}); give another folder, or remove this one to train again"
        ) from error


def write_training(out: Path, training: Training) -> None:
    """Writes the record atomically, with a hash of itself."""
    text = json.dumps(seal(to_row(training)), indent=1, ensure_ascii=True) + "\n"
    write_atomically(out / TRAINING, text.encode("ascii"))


def privacy_of(model: Path) -> Privacy | None:
    """What the training cost that left this model here: in `final`, or as a checkpoint of an earlier pass.

    None of other models, and of training that was not private. The record's ε is that of the whole training.
    """
    found = _training_of(model)
    if found is None:
        return None
    out, training = found
    own = [each for each in training.epochs if (out / each.folder).resolve() == model.resolve()]
    if own and training.privacy:
        return replace(training.privacy, epsilon=own[-1].epsilon or 0.0)
    return None


def check_unchanged(path: Path) -> None:
    """Refuses a model folder or data file that `rote finetune` wrote and that was changed since; others pass.

    Raises:
        RunError: a file is missing or is not what was written, or the record of the training is damaged.
    """
    found = _training_of(path)
    if found is None:
        return
    out, training = found
    name = path.resolve().relative_to(out.resolve()).as_posix()
    own = {file: known for file, known in training.files.items() if file == name or file.startswith(f"{name}/")}
    if damage := damage_of(out, own):
        raise RunError(
            f"{out}: {damage} by the training ({TRAINING}); run `rote finetune` again, or audit a copy of it elsewhere"
        )


def _training_of(path: Path) -> tuple[Path, Training] | None:
    """The folder and the record of the training that wrote this file or model; None of what no training here wrote."""
    path = path.resolve()
    for out in (path.parent, path.parent.parent):
        record = out / TRAINING
        if record.is_file() and b'"base_digest"' in record.read_bytes():
            return out, read_training(out)
    return None


def files_of(out: Path) -> dict[str, str]:
    """The hashes of the data files and models of a training, by relative path; notes (README.md) are left out."""
    data = {name: known_hash(out / name) for name in DATA if (out / name).exists()}
    models = {
        f"{folder}/{name}": known
        for folder in (FINAL, CHECKPOINTS)
        if (out / folder).is_dir()
        for name, known in hashes_of(out / folder).items()
        if not name.endswith(".md")
    }
    return data | models


def known_training(out: Path, settings: dict[str, Json]) -> Training | None:
    """The training that the folder holds, finished or not; None where it holds none.

    Raises:
        RunError: the folder holds a training with other settings, or models that no training here made.
    """
    if not (out / TRAINING).exists():
        foreign = [name for name in (FINAL, CHECKPOINTS, *DATA) if (out / name).exists()]
        if foreign:
            raise RunError(f"{out} holds {foreign[0]!r} but no {TRAINING}: give another folder, e.g. {_free(out)}")
        return None
    known = read_training(out)
    differences = [
        f"{name} was {known.settings.get(name)!r}, is {settings.get(name)!r}"
        for name in sorted({*known.settings, *settings})
        if known.settings.get(name) != settings.get(name)
    ]
    if differences:
        raise RunError(
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
