"""From cells to work: which models are trained, which audits are made of them, and about what that takes.

Cells whose settings of data and training agree share one training; audits of one model with the same settings are one.
"""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rote.config import ADAPTERS, AuditConfig, settings_of
from rote.records import content_id
from rote.study.design import Cell, Study

Checkpoint = Literal["final", "matched"]
AUDIT_SECTIONS = ("generation", "retrieval", "alignment", "scoring")
CHARS_PER_TOKEN = 3.0
"""Characters per token of the shipped vocabulary; larger ones have about 4."""
START_UP_S, PACKAGES_S = 4.0, 12.0
"""What each command takes to read data and models and to write its pages, and what reading the packages takes once."""
FLOPS_PER_S, TOKEN_S = 7e10, 2e-5
"""What a core of a server does of such models, and what every token costs besides: measured on the shipped ones."""
PASSES = 3
"""A step of training costs about three forward passes."""
SCORINGS, WRITTEN_COST, ABLATIONS = 2, 4, 8
"""Forward passes of an audit over each text, of a token that is written, and of `rote attend` over each text."""


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """One training of the study."""

    key: str
    config: AuditConfig

    def folder(self, out: Path) -> Path:
        """Where `rote finetune` leaves it."""
        return out / "models" / self.key


@dataclass(frozen=True, slots=True)
class Audit:
    """One audit of the study."""

    cell: Cell
    model: TrainedModel
    checkpoint: Checkpoint
    key: str

    def folder(self, out: Path) -> Path:
        """Its run folder."""
        return out / "audits" / f"{self.key}-{self.checkpoint}"


@dataclass(frozen=True, slots=True)
class Plan:
    """All work of a study."""

    study: Study
    models: tuple[TrainedModel, ...]
    audits: tuple[Audit, ...]

    def match_group(self, audit: Audit) -> tuple[TrainedModel, ...]:
        """The trainings that are brought to one validation loss with this one: cells that differ in `match_over` alone."""
        rest = [pair for pair in audit.cell.levels if pair[0] not in self.study.match_over]
        alike = [
            a.model for a in self.audits if [p for p in a.cell.levels if p[0] not in self.study.match_over] == rest
        ]
        return tuple(dict.fromkeys(alike))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a piece of work takes, roughly; of a hub model or data set only the start is known."""

    seconds: float
    bytes: float
    is_known: bool = True


def plan_of(study: Study) -> Plan:
    """The trainings and audits of all cells, in the order of the cells; "matched" ones where `match_over` is given."""
    models: dict[str, TrainedModel] = {}
    audits = []
    checkpoints: tuple[Checkpoint, ...] = ("final", "matched") if study.match_over else ("final",)
    for cell in study.cells:
        trained = [settings_of(getattr(cell.config, name)) for name in ("model", "corpus", "finetuning")]
        key = content_id(json.dumps(trained, sort_keys=True))[:12]
        model = models.setdefault(key, TrainedModel(key, cell.config))
        looked = [settings_of(getattr(cell.config, name)) for name in AUDIT_SECTIONS]
        audit_key = content_id(key, json.dumps(looked, sort_keys=True))[:12]
        audits += [Audit(cell, model, checkpoint, audit_key) for checkpoint in checkpoints]
    return Plan(study, tuple(models.values()), tuple(audits))


def training_cost(model: TrainedModel) -> Cost:
    """From the size of data and base model."""
    config = model.config.finetuning
    tokens = _records_bytes(model.config) / CHARS_PER_TOKEN * max(1.0, _mean(config.repetition))
    parameters = parameters_of(model.config.model.base)
    tokens /= 1 - config.mix_share if config.mix else 1
    seconds = PASSES * _forward_s(parameters, tokens * config.epochs)
    share = 0.05 if config.strategy in ADAPTERS else 1.0
    return Cost(START_UP_S + seconds, 4 * parameters * share * math.ceil(config.epochs), is_known=seconds > 0)


def audit_cost(audit: Audit) -> Cost:
    """From the number of prompts, the tokens of each, and the base model's size; tuned and base model together."""
    config = audit.cell.config
    prompts = 2 * _prompted(config)  # members and non-members
    read = 2 * SCORINGS * _records_bytes(config) / CHARS_PER_TOKEN * 2
    written = 2 * prompts * config.generation.max_new_tokens * config.generation.samples
    seconds = _forward_s(parameters_of(config.model.base), read + WRITTEN_COST * written)
    return Cost(START_UP_S + seconds, 40_000 * prompts, is_known=seconds > 0)


def attention_cost(audit: Audit) -> Cost:
    """The tuned model over the members' prompts and generations, and over their shortened prompts."""
    config = audit.cell.config
    tokens = ABLATIONS * _records_bytes(config) / CHARS_PER_TOKEN
    seconds = _forward_s(parameters_of(config.model.base), tokens)
    return Cost(START_UP_S + seconds, 0.0, is_known=seconds > 0)


def _forward_s(parameters: float, tokens: float) -> float:
    return (2 * parameters / FLOPS_PER_S + TOKEN_S) * tokens if parameters else 0.0


def _prompted(config: AuditConfig) -> float:
    return config.corpus.limit or _records_bytes(config) / 1000


def parameters_of(source: str) -> float:
    """Parameters of a local model folder, from the size of its weights in float32; 0 of a hub id."""
    path = Path(source)
    return sum(item.stat().st_size for item in path.glob("*.safetensors")) / 4 if path.is_dir() else 0.0


def _records_bytes(config: AuditConfig) -> float:
    """Bytes of the members that are trained on; 0 where they are no local file."""
    path = Path(config.corpus.members)
    if not path.is_file():
        return 0.0
    sizes = [_size(line, config) for line in path.read_bytes().splitlines()]
    members = len(sizes) * (1 - config.corpus.holdout)
    return sum(sizes) / max(1, len(sizes)) * (min(members, config.corpus.limit) if config.corpus.limit else members)


def _size(line: bytes, config: AuditConfig) -> int:
    """Bytes of a record; where its fields are named, of those alone."""
    names = [name for name in (config.corpus.prompt_field, config.corpus.completion_field) if name]
    if not names:
        return len(line)
    try:
        fields = json.loads(line)
        return sum(len(str(fields[name])) for name in names)
    except (ValueError, KeyError, TypeError):
        return len(line)


def _mean(repetition: tuple[int, ...]) -> float:
    return sum(repetition) / len(repetition) if repetition else 1.0


def with_shared_store(config: AuditConfig, out: Path) -> AuditConfig:
    """The settings with one token store for all audits of the study."""
    store = config.scoring.store or str((out / "token-store").resolve())
    return dataclasses.replace(config, scoring=dataclasses.replace(config.scoring, store=store))
