"""What membership scores can show with so many independent records. Statistics only, no I/O."""

import math

from scipy import special

from rote.statistics.intervals import exact_bounds
from rote.statistics.operating_points import needed_controls
from rote.statistics.separation import FALSE_POSITIVE_RATES

POWER = 0.8


def smallest_detectable_auc(members: int, nonmembers: int, confidence: float = 0.95) -> float:
    """The area that a one-sided test at that level misses one time in five (power 80 %).

    1/2 + (z_confidence + z_0.8) · √((m + n + 1) / (12 m n)): the variance of the Mann-Whitney statistic where nothing
    separates.

    >>> round(smallest_detectable_auc(200, 200), 3)
    0.572
    """
    if min(members, nonmembers) < 1:
        raise ValueError(f"Expected at least one on each side, got {members} and {nonmembers}")
    spread = math.sqrt((members + nonmembers + 1) / (12 * members * nonmembers))
    return min(1.0, 0.5 + float(special.ndtri(confidence) + special.ndtri(POWER)) * spread)


def smallest_detectable_tpr(members: int, nonmembers: int, fpr: float, confidence: float = 0.95) -> float | None:
    """The least share of so many members whose interval (`tpr_at_fpr`) would lie over `fpr`; None where not even all would.

    The exact interval of the members, joined by square-and-add with the threshold's own uncertainty where the score says
    nothing: √(fpr · (1 − fpr) / non-members).

    >>> smallest_detectable_tpr(200, 200, 0.1)
    0.165
    """
    z = float(special.ndtri(0.5 + confidence / 2))
    threshold = z * math.sqrt(fpr * (1 - fpr) / nonmembers)
    for events in range(1, members + 1):
        share = events / members
        sampling = share - exact_bounds(share, members, confidence=confidence).low
        if share - math.hypot(sampling, threshold) > fpr:
            return share
    return None


def attack_power_sentence(members: int, nonmembers: int, confidence: float = 0.95) -> str:
    """What membership scores can show with so many independent records on either side, in words.

    >>> attack_power_sentence(200, 200)
    'Membership, with 200 members and 200 non-members: an AUC below 0.572 may be missed (power 80 %); a TPR at 10 % FPR is distinguished from chance from 16.5 % on; at 1 % FPR not measurable (at least 368 non-members); at 0.1 % FPR not measurable (at least 3,688 non-members).'
    """
    if min(members, nonmembers) < 1:
        return "Membership: not measurable without independent members and non-members."
    area = smallest_detectable_auc(members, nonmembers, confidence)
    rates = [_tpr_power(members, nonmembers, fpr, confidence) for fpr in FALSE_POSITIVE_RATES]
    return (
        f"Membership, with {members:,} members and {nonmembers:,} non-members: an AUC below {area:.3f} may be missed "
        f"(power {100 * POWER:g} %); a TPR at {'; at '.join(rates)}."
    )


def _tpr_power(members: int, nonmembers: int, fpr: float, confidence: float) -> str:
    name = f"{100 * fpr:g} % FPR"
    needed = needed_controls(fpr, confidence)
    if nonmembers < needed:
        return f"{name} not measurable (at least {needed:,} non-members)"
    least = smallest_detectable_tpr(members, nonmembers, fpr, confidence)
    told = "is distinguished from chance " if fpr == FALSE_POSITIVE_RATES[0] else ""
    return f"{name} {told}from {100 * least:.3g} % on" if least else f"{name} is never distinguished from chance"
