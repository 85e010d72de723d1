"""Decoding schemes: how sampling changes the model's distribution before a token is drawn."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from rote.errors import ConfigError

_PART = re.compile(r"([tkp])([0-9.]+)")


@dataclass(frozen=True, slots=True)
class Scheme:
    """Temperature first, then top-k, then top-p on what is left: the order in which `rote generate` applies them.

    Start, end and padding tokens are never drawn. Tokens as likely as the last one that is kept are kept, too.
    """

    temperature: float = 1.0
    top_k: int = 0
    """Only that many most likely tokens (0: all)."""
    top_p: float = 1.0
    """Only the most likely tokens up to this mass: those of which the likelier ones together weigh less (1: all)."""

    @property
    def label(self) -> str:
        """The scheme in one word, e.g. "t0.8-k0-p0.95"; `parse_scheme` reads it back."""
        return f"t{self.temperature:g}-k{self.top_k}-p{self.top_p:g}"


PLAIN = Scheme()
"""Draws from the model's own distribution."""


def parse_scheme(text: str) -> Scheme:
    """Reads parts joined by "-": t (temperature), k (top-k), p (top-p); what is not named is off.

    >>> parse_scheme("t0.8-p0.95")
    Scheme(temperature=0.8, top_k=0, top_p=0.95)

    Raises:
        ConfigError: a part is unknown, given twice, or out of range; the message names what was found.
    """
    found: dict[str, str] = {}
    for part in text.split("-"):
        match = _PART.fullmatch(part)
        if match is None or match[1] in found:
            wrong = f"{part!r} {'is given twice' if match else 'is none of tNUMBER, kNUMBER, pNUMBER'}"
            raise ConfigError(f"scoring.schemes: {text!r}: {wrong} (example: t0.8-k40-p0.95)")
        found[match[1]] = match[2]
    temperature, top_p = _number(text, found.get("t", "1")), _number(text, found.get("p", "1"))
    top_k = _number(text, found.get("k", "0"))
    if not temperature > 0:
        raise ConfigError(f"scoring.schemes: {text!r}: the temperature must be > 0, found {found['t']}")
    if top_k != int(top_k):
        raise ConfigError(f"scoring.schemes: {text!r}: k must be a whole number, found {found['k']}")
    if not 0 < top_p <= 1:
        raise ConfigError(f"scoring.schemes: {text!r}: p must be in (0, 1], found {found['p']}")
    return Scheme(temperature, int(top_k), top_p)


def parse_schemes(texts: Sequence[str]) -> tuple[Scheme, ...]:
    """All schemes, in order.

    Raises:
        ConfigError: there is none, one of them is wrong, or two are the same.
    """
    schemes = tuple(parse_scheme(text) for text in texts)
    labels = [scheme.label for scheme in schemes]
    if not labels:
        raise ConfigError("scoring.schemes: at least one decoding scheme is needed, found none")
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise ConfigError(f"scoring.schemes: {twice} is given twice")
    return schemes


def _number(text: str, raw: str) -> float:
    try:
        value = float(raw)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ConfigError(f"scoring.schemes: {text!r}: {raw!r} is not a number")
    return value
