"""The artifacts of a run: their file names, and the command that makes each."""

import fnmatch
from collections.abc import Mapping

EXAMPLES = "examples.jsonl"
DROPPED = "dropped.jsonl"
READINGS = "readings.jsonl"
IDENTIFIERS = "identifiers.jsonl"
LEFT_OUT = "left-out.jsonl"
LEFT_OUT_PROMPTS = "left-out-prompts.jsonl"
LEFT_OUT_LOSSES = "left-out-losses-{model}.jsonl"
PROMPTS = "prompts.jsonl"
UNMEASURABLE = "unmeasurable.jsonl"
GENERATIONS = "generations-{model}.jsonl"
TOKEN_SCORES = "token-scores-{model}.jsonl"
TOKEN_STORE = "token-store"
RECHECKS = "rechecks-{model}.jsonl"
SOUNDNESS = "soundness-{model}.jsonl"
AGREEMENTS = "agreement-{model}.jsonl"
VARIANTS = "variants-{model}.jsonl"
RENDERING_PASSES = "rendering-passes-{model}.jsonl"
RENDERINGS = "renderings.jsonl"
CANDIDATES = "candidates.jsonl"
NONMEMBER_CANDIDATES = "candidates-nonmember.jsonl"
EXACT = "exact.jsonl"
MATCHES = "matches.jsonl"
DETECTOR = "detector.jsonl"
SCORES = "scores.jsonl"
SIMILARITIES = "similarities.jsonl"
PERSONAL_DATA = "personal-data.jsonl"
PERSONAL_ITEMS = "personal-items.jsonl"
UTILITY = "utility.jsonl"
COMPRESSIONS = "compressions.jsonl"
COMPRESSION_ESTIMATES = "compression-estimates.jsonl"
ESTIMATES = "estimates.jsonl"
COMPARISONS = "comparisons.jsonl"
SEPARATIONS = "separations.jsonl"
CURVES = "curves.jsonl"
REFERENCES = "references.jsonl"
ATTENTION = "attention.jsonl"
ATTENTION_MAPS = "attention-maps.jsonl"
CONTRASTS = "attention-contrasts.jsonl"
INCREMENTAL = "attention-incremental.jsonl"
NEEDED_INPUT = "needed-input.jsonl"
CANARIES = "canaries.jsonl"
EXPOSURES = "exposures-{model}.jsonl"
CANARY_ESTIMATES = "canary-estimates.jsonl"
CANARY_SEPARATIONS = "canary-separations.jsonl"
PRIVACY_BOUNDS = "privacy-bounds.jsonl"
TRAINING_DATA = "members-with-canaries.jsonl"
HELD_OUT_DATA = "nonmembers.jsonl"
CONFIG = "config.toml"
MANIFEST = "manifest.json"
REPORT_HTML = "report.html"
REPORT_JSON = "report.json"
ATTENTION_HTML = "attention.html"

FIXED_NAMES = tuple(
    value for name, value in globals().items() if name.isupper() and "." in str(value) and "{" not in value
)
"""Every file of a run but the manifest and those of single models."""

_MADE_BY: Mapping[str, tuple[str, ...]] = {
    "prepare": (EXAMPLES, DROPPED, CANARIES, READINGS, IDENTIFIERS, LEFT_OUT),
    "generate": (
        PROMPTS,
        UNMEASURABLE,
        GENERATIONS,
        LEFT_OUT_PROMPTS,
        LEFT_OUT_LOSSES,
        RENDERING_PASSES,
        TOKEN_SCORES,
        RECHECKS,
        VARIANTS,
        EXPOSURES,
        SOUNDNESS,
        AGREEMENTS,
    ),
    "retrieve": (GENERATIONS.format(model="controls"), CANDIDATES, NONMEMBER_CANDIDATES, EXACT),
    "align": (MATCHES, DETECTOR),
    "references": (REFERENCES,),
    "attend": (ATTENTION, ATTENTION_MAPS, CONTRASTS, INCREMENTAL, NEEDED_INPUT),
    "compress": (COMPRESSIONS, COMPRESSION_ESTIMATES),
}
"""Command → the artifacts that it makes; all others are made by `rote score`."""


def command_of(name: str) -> str:
    """The command that makes an artifact: "prepare", "generate" …"""
    makers = {pattern: command for command, patterns in _MADE_BY.items() for pattern in patterns}
    fitting = (command for pattern, command in makers.items() if fnmatch.fnmatch(name, pattern.format(model="*")))
    return makers.get(name) or next(fitting, "score")
