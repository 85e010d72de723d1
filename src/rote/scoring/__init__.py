"""Stage 6 of 7: score. From matches and token scores to scores, and from scores to estimates with intervals.

`score_generations`, `score_reproductions` and `score_likelihood` give one `Score` for each metric and subject; `estimate` gives the rates,
means and ratios by model, split and stratum, and the paired comparisons of tuned and base model; `check_gates` holds
them against thresholds. `METRICS` says what each of them means.
"""

from rote.scoring.detector import DetectorRow, detector_rows
from rote.scoring.estimates import estimate
from rote.scoring.gates import Breach, Gate, check_gates, check_measurable, parse_gate
from rote.scoring.likelihood_scores import score_likelihood
from rote.scoring.metrics import METRICS, metric_of
from rote.scoring.metrics.definition import Metric
from rote.scoring.outcomes import score_generations, score_reproductions
from rote.statistics.intervals import power_sentence, smallest_detectable_rate
from rote.statistics.power import attack_power_sentence

__all__ = [
    "METRICS",
    "Breach",
    "DetectorRow",
    "Gate",
    "Metric",
    "attack_power_sentence",
    "check_gates",
    "check_measurable",
    "detector_rows",
    "estimate",
    "metric_of",
    "parse_gate",
    "power_sentence",
    "score_generations",
    "score_likelihood",
    "score_reproductions",
    "smallest_detectable_rate",
]
