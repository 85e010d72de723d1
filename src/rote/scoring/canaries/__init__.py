"""Canaries after the training: how far the model prefers their secrets to others that might have stood there.

`likelihoods` asks the model, `ranking` turns ranks into bits, `measuring` makes the exposures of all canaries, `privacy`
bounds epsilon, and `estimates` makes the figures: exposure by copies, membership against the held-out canaries, bounds.
"""

from rote.scoring.canaries.estimates import CanaryFigures, bits, canary_figures
from rote.scoring.canaries.measuring import measure_exposures
from rote.scoring.canaries.ranking import CHANCE_BITS, POOR_FIT, exposure, extrapolated_exposure
from rote.statistics.privacy import clopper_pearson_epsilon, one_run_epsilon, one_run_p_value

__all__ = [
    "CHANCE_BITS",
    "POOR_FIT",
    "CanaryFigures",
    "bits",
    "canary_figures",
    "clopper_pearson_epsilon",
    "exposure",
    "extrapolated_exposure",
    "measure_exposures",
    "one_run_epsilon",
    "one_run_p_value",
]
