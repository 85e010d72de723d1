"""Thresholds of a training: what they may be, which of them is passed, and which checkpoint was saved before."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rote.config import did_you_mean
from rote.errors import ConfigError
from rote.monitoring.figures import CANARY_MEMBERSHIP, MEMBERSHIP, Figure

ENDS = ("", "_low", "_high")
WATCHED = (
    *(
        f"{population}/{metric}"
        for population in ("members", "canaries")
        for metric in ("extractable", "exact_memorization")
    ),
    MEMBERSHIP,
    CANARY_MEMBERSHIP,
)
"""Figures that rise with memorisation."""


@dataclass(frozen=True, slots=True)
class Breach:
    """A figure over its threshold."""

    name: str
    value: float
    threshold: float

    def __str__(self) -> str:
        return f"{self.name} = {self.value:.3g} > {self.threshold:g}"


def checked(given: Mapping[str, float]) -> dict[str, float]:
    """The thresholds under the full names of their figures: "extractable" is "members/extractable".

    Raises:
        ConfigError: a name is unknown, or a threshold is no number in 0..1.
    """
    found = {}
    known = [f"{name}{end}" for name in WATCHED for end in ENDS]
    short = {name.removeprefix("members/"): name for name in known if name.startswith("members/")}
    for name, threshold in given.items():
        full = short.get(name, name)
        if full not in known:
            near = did_you_mean(str(name), [*short, *known])
            fits = ", ".join(repr(each) for each in (*[n for n in short if not n.endswith(ENDS[1:])], *WATCHED[2:]))
            raise ConfigError(
                f"stop_above: unknown figure {name!r}{near}; those that rise with memorisation are {fits}, each also "
                "with _low or _high for an end of its interval"
            )
        if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
            raise ConfigError(f"stop_above: {name!r}: expected a number in 0..1, found {threshold!r}")
        found[full] = float(threshold)
    return found


def check_measurable(thresholds: Iterable[str], found: Sequence[Figure]) -> None:
    """Raises a ConfigError for a threshold of a figure that has no value, with the reason."""
    figures = {figure.name: figure for figure in found}
    for name in thresholds:
        figure = figures.get(_plain_name(name))
        if figure is None:
            needs = "nonmembers" if name.startswith(MEMBERSHIP) else "planted and held-out canaries"
            raise ConfigError(f"stop_above: {name!r} is never measured: it needs {needs}")
        if figure.value is None:
            raise ConfigError(f"stop_above: {name!r} is never measured: {figure.reason}")


def breaches(thresholds: Mapping[str, float], found: Sequence[Figure]) -> list[Breach]:
    """The thresholds that are passed."""
    values = {name: value for figure in found for name, value in ends_of(figure).items()}
    return [
        Breach(name, values[name], threshold)
        for name, threshold in thresholds.items()
        if name in values and values[name] > threshold
    ]


def ends_of(figure: Figure) -> dict[str, float]:
    """A figure's value and the ends of its interval, by name; nothing where there is no value."""
    ends = zip(ENDS, (figure.value, figure.low, figure.high), strict=True)
    return {f"{figure.name}{end}": value for end, value in ends if value is not None and math.isfinite(value)}


def _plain_name(name: str) -> str:
    return name.removesuffix("_low").removesuffix("_high")
