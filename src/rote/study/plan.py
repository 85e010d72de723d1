"""From cells to work: which models are trained, which audits are made of them, and about what that takes.

Cells whose settings of data and training agree share one training; audits of one model with the same settings are one.
"""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rote.config import AuditConfig, settings_of
from rote.records import content_id
from rote.study.design import Cell, Study

Checkpoint = Literal["final", "matched"]
AUDIT_SECTIONS = ("generation", "retrieval", "alignment", "scoring")
CHARS_PER_TOKEN = 4.0
FLOPS_PER_S = 1e10
"""What a core of a server does of such small models, training and audit alike; a guess for the plan, nothing else."""
PASSES = 3
"""A step of training costs about three forward passes."""


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
    """What a piece of work takes, roughly."""

    seconds: float
    bytes: float


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
    """From the size of data and base model; 0 where either is no local path."""
    config = model.config.finetuning
    tokens = _records_bytes(model.config) / CHARS_PER_TOKEN * max(1.0, _mean(config.repetition))
    parameters = parameters_of(model.config.model.base)
    seconds = 2 * PASSES * parameters * tokens * config.epochs / FLOPS_PER_S
    share = 1.0 if config.strategy == "full" else 0.05 if config.strategy == "lora" else 1.0
    return Cost(seconds, 4 * parameters * share * math.ceil(config.epochs))


def audit_cost(audit: Audit) -> Cost:
    """From the number of prompts, the tokens of each, and the base model's size; tuned and base model together."""
    config = audit.cell.config
    prompts = config.corpus.limit or _records_bytes(config) / 1000
    tokens = (
        2 * prompts * (config.generation.prefix_tokens + config.generation.max_new_tokens) * config.generation.samples
    )
    return Cost(2 * 2 * parameters_of(config.model.base) * tokens / FLOPS_PER_S, 40_000 * prompts)


def parameters_of(source: str) -> float:
    """Parameters of a local model folder, from the size of its weights in float32; 0 of a hub id."""
    path = Path(source)
    return sum(item.stat().st_size for item in path.glob("*.safetensors")) / 4 if path.is_dir() else 0.0


def _records_bytes(config: AuditConfig) -> float:
    path = Path(config.corpus.members)
    if not path.is_file():
        return 0.0
    size = path.stat().st_size * (1 - config.corpus.holdout)
    if not config.corpus.limit:
        return size
    with path.open("rb") as file:
        lines = sum(1 for _ in file)
    return min(size, path.stat().st_size / max(1, lines) * config.corpus.limit)


def _mean(repetition: tuple[int, ...]) -> float:
    return sum(repetition) / len(repetition) if repetition else 1.0


def with_shared_store(config: AuditConfig, out: Path) -> AuditConfig:
    """The settings with one token store for all audits of the study."""
    store = config.scoring.store or str((out / "token-store").resolve())
    return dataclasses.replace(config, scoring=dataclasses.replace(config.scoring, store=store))
