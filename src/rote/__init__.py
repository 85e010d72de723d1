"""rote: how much of its fine-tuning data did a language model learn by rote, and which records can be made to come out?

The pipeline: `corpus` reads the records, `finetuning` trains, `generation` prompts the models with prefixes,
`retrieval` finds candidate training texts for each generation, `alignment` finds the passages they share and their
kinds, `scoring` turns them into scores and estimates beside their controls, `reporting` shows them. `records` are what
passes between the stages, `pipeline` runs them all, `runs` keeps their results.

In Python: `rote.audit(…)`, `rote.check(…)`, `rote.finetune(…)` do what the commands do, `rote.Run(FOLDER)` opens what they
made, `rote.align(text, other)` compares two texts, and
`rote.MemorizationCallback` watches a training. Every name here is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rote import alignment, scoring, statistics
    from rote.alignment.two_texts import align_texts as align
    from rote.api import Run, audit, check, finetune
    from rote.config import AuditConfig, load_config
    from rote.errors import RoteError
    from rote.monitoring.callback import MemorizationCallback
    from rote.records import Estimate, Match
    from rote.scoring.metrics import METRICS, Metric

__version__ = "0.1.0"

_PLACES = {
    "METRICS": "rote.scoring.metrics",
    "AuditConfig": "rote.config",
    "Estimate": "rote.records",
    "Match": "rote.records",
    "Metric": "rote.scoring.metrics",
    "MemorizationCallback": "rote.monitoring.callback",
    "RoteError": "rote.errors",
    "Run": "rote.api",
    "align": "rote.alignment.two_texts:align_texts",
    "alignment": "",
    "audit": "rote.api",
    "check": "rote.api",
    "finetune": "rote.api",
    "load_config": "rote.config",
    "scoring": "",
    "statistics": "",
}
"""Name → the module that has it, with its name there where that is another one; "" for a package of that name."""

__all__ = [
    "METRICS",
    "AuditConfig",
    "Estimate",
    "Match",
    "MemorizationCallback",
    "Metric",
    "RoteError",
    "Run",
    "align",
    "alignment",
    "audit",
    "check",
    "finetune",
    "load_config",
    "scoring",
    "statistics",
]


if not TYPE_CHECKING:  # a type checker knows the names above, and no others

    def __getattr__(name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        place, _, original = _PLACES[name].partition(":")
        found = getattr(import_module(place), original or name) if place else import_module(f"{__name__}.{name}")
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
