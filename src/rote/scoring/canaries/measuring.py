"""Exposures of canaries under one model."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from rote.corpus.secrets import SecretSpace
from rote.models import LoadedModel
from rote.passes.canaries import SecretScorer, Unmeasurable
from rote.records import Canary, Exposure
from rote.scoring.canaries.ranking import extrapolated_exposure

DIGITS = 6
"""Decimal digits kept of log-probabilities and bits."""


def measure_exposures(
    canaries: Sequence[Canary],
    model: LoadedModel,
    *,
    name: str,
    secrets: int,
    sampled_secrets: int,
    seed: int = 0,
    done: int = 0,
) -> Iterator[list[Exposure]]:
    """The exposure of each canary, one by one.

    Args:
        canaries: planted and held out, in any order.
        model: the model.
        name: "tuned", "base": the exposures' `model`.
        secrets: spaces of up to that many secrets are compared as a whole: the exposure is exact.
        sampled_secrets: of a larger space so many are drawn, the same for all canaries; what lies beyond is extrapolated.
        seed: of that draw.
        done: number of canaries to skip.
    """
    scorers: dict[SecretSpace, SecretScorer] = {}
    for canary in canaries[done:]:
        space = SecretSpace(canary.kind, canary.length)
        if space not in scorers:
            limit = secrets if space.size <= secrets else sampled_secrets
            scorers[space] = SecretScorer(model, space.some(limit, seed))
        yield [_exposure(canary, scorers[space], name, is_exact=space.size <= secrets)]


def _exposure(canary: Canary, scorer: SecretScorer, name: str, *, is_exact: bool) -> Exposure:
    try:
        found = scorer.score(canary)
    except Unmeasurable as error:
        return Exposure(canary.id, name, None, 0, 0, is_exact, None, None, None, None, str(error))
    others = found.others
    beyond = None if is_exact else extrapolated_exposure(found.own, others)
    return Exposure(
        canary_id=canary.id,
        model=name,
        log_probability=_rounded(found.own),
        compared=1 + len(others),
        as_likely=int(np.sum(others >= found.own)),
        is_exact=is_exact,
        mean=_rounded(math.fsum(others) / len(others)) if len(others) else None,
        deviation=_rounded(float(others.std())) if len(others) else None,
        extrapolated=_rounded(beyond.bits) if beyond else None,
        fit_distance=_rounded(beyond.fit_distance) if beyond else None,
    )


def _rounded(value: float) -> float:
    return round(value, DIGITS) + 0.0
