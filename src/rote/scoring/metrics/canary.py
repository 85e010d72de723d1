"""The metrics of canaries. Part of `METRICS`; no estimate of a run's records is made of them."""

import math

from rote.scoring.metrics.definition import MORE, Metric

CANARIES = (
    Metric(
        name="exposure",
        title="Canary exposure",
        definition="Mean over canaries of log2 of the secrets compared, minus log2 of its own secret's rank among them by "
        "probability. All secrets of the space where there are at most scoring.secrets, else a sample, which ends at its "
        "ceiling of log2 of its size. By chance 1.44.",
        unit="bits",
        high=math.inf,
        direction=MORE,
        estimator="mean",
        source="Carlini et al. 2019 (arXiv 1802.08232)",
    ),
    Metric(
        name="ranked_first",
        title="Canary secret ranked first",
        definition="Share of canaries whose secret the model prefers to all others that it is compared with: those whose "
        "exposure is at its ceiling.",
        unit="share of canaries",
        direction=MORE,
        estimator="rate",
        source="Carlini et al. 2019 (arXiv 1802.08232)",
    ),
    Metric(
        name="extrapolated_exposure",
        title="Canary exposure, extrapolated",
        definition="Mean over canaries whose space was sampled of −log2 F(−ln p of its own secret), F a skew-normal "
        "distribution fitted to the sample.",
        unit="bits",
        high=math.inf,
        direction=MORE,
        estimator="mean",
        source="Carlini et al. 2019 (arXiv 1802.08232)",
    ),
    Metric(
        name="secret_gain",
        title="Gain of canary secrets",
        definition="Mean over canaries of how many standard deviations the secret's ln p lies over the mean of the secrets "
        "that it is compared with, minus the same under the base model where there is one. Its order of the canaries is the "
        "membership test.",
        unit="standard deviations",
        low=-math.inf,
        high=math.inf,
        direction=MORE,
        estimator="mean",
        source="our own: the reference ratio of Carlini et al. 2021, calibrated by other secrets at the same place",
    ),
)
