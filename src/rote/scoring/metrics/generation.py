"""The metrics of what models wrote: similarity to training texts, and utility. Part of `METRICS`."""

from rote.scoring.metrics.definition import MORE, Direction, Metric
from rote.scoring.similarity import THRESHOLDS

_WANG = "Wang and Li 2025 (arXiv 2506.20856), metric B"
_NEITHER: Direction = "neither"
_OWN = "generation and own reference, both cut to the shorter one's number of words"
_BEST = "generation and the stretch of a candidate that is most like it (of members: or its own reference)"


def _share_over(which: str, words: str, threshold: int) -> Metric:
    return Metric(
        name=f"similar_{which}_{threshold}",
        title=f"Similarity to {words} over 0.{threshold}",
        definition=f"Share of prompts with a cosine over 0.{threshold} of {_OWN if which == 'own' else _BEST}.",
        unit="share of prompts",
        direction=MORE,
        estimator="rate",
        by_stratum=False,
        source=_WANG,
    )


SIMILARITY = (
    Metric(
        name="similarity_own",
        title="Similarity to its own suffix",
        definition=f"Mean over prompts of the cosine of {_OWN}.",
        unit="cosine",
        low=-1.0,
        direction=MORE,
        estimator="mean",
        source=_WANG,
    ),
    *(_share_over("own", "its own suffix", threshold) for threshold in THRESHOLDS),
    Metric(
        name="similarity_best",
        title="Similarity to the best training passage",
        definition=f"Mean over prompts of the cosine of {_BEST}.",
        unit="cosine",
        low=-1.0,
        direction=MORE,
        estimator="mean",
        source=_WANG,
    ),
    *(_share_over("best", "the best training passage", threshold) for threshold in THRESHOLDS),
)
"""By `rote.scoring.similarity`."""


def _useful(
    name: str, title: str, definition: str, *, unit: str, high: float = 1.0, is_rate: bool, source: str
) -> Metric:
    return Metric(
        name=f"utility_{name}",
        title=title,
        definition=definition,
        unit=unit,
        high=high,
        direction=_NEITHER,
        estimator="rate" if is_rate else "mean",
        by_stratum=False,
        source=source,
    )


_CUT = "generation, cut to the reference's number of words"
_SQUAD = "Rajpurkar et al. 2016 (arXiv 1606.05250)"

COMPRESSION = (
    Metric(
        name="compressible",
        title="Comes out of a shorter prompt",
        definition="Share of the records looked at whose reference (its first compression.target_tokens tokens) greedy "
        "decoding writes after some prompt of fewer tokens, found by gradients.",
        unit="share of records",
        direction=MORE,
        estimator="rate",
        by_stratum=False,
        source="Schwarzschild et al. 2024 (arXiv 2404.15146), adversarial compression ratio over 1",
    ),
)
"""By `rote.stages.compress`; of few records, the best known ones."""

UTILITY = (
    _useful(
        "accuracy",
        "Accuracy",
        f"Share of prompts whose {_CUT}, is the reference, a label (case, punctuation and articles aside).",
        unit="share of prompts",
        is_rate=True,
        source=_SQUAD,
    ),
    _useful(
        "exact_match",
        "Exact match",
        f"Share of prompts whose {_CUT}, is the reference, an answer (case, punctuation and articles aside).",
        unit="share of prompts",
        is_rate=True,
        source=_SQUAD,
    ),
    _useful(
        "f1",
        "F1 of the answer",
        f"Mean over prompts of the F1 of the words of reference and {_CUT} (case, punctuation and articles aside).",
        unit="F1",
        is_rate=False,
        source=_SQUAD,
    ),
    _useful(
        "rouge_l",
        "ROUGE-L of the answer",
        f"Mean over prompts of the ROUGE-L F1 of reference and {_CUT}; words as the rouge-score package cuts them.",
        unit="F1",
        is_rate=False,
        source="Lin 2004",
    ),
    _useful(
        "bleu",
        "BLEU of the answers",
        f"Corpus BLEU of references and each {_CUT}; by sacrebleu.",
        unit="BLEU",
        high=100.0,
        is_rate=False,
        source="Papineni et al. 2002; Post 2018 (arXiv 1804.08771)",
    ),
    _useful(
        "chrf",
        "chrF of the answer",
        f"Mean over prompts of the chrF of reference and {_CUT}; by sacrebleu.",
        unit="chrF",
        high=100.0,
        is_rate=False,
        source="Popović 2015; Post 2018 (arXiv 1804.08771)",
    ),
)
"""By `rote.scoring.utility`."""
