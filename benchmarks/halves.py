"""Two halves of a benchmark's texts: thresholds are chosen on half a, and half b says whether they hold."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Literal

Half = Literal["a", "b"]


def half_of(text: str) -> Half:
    """By the last bit of the text's SHA-256 (0: a, 1: b)."""
    return _half(_key(text))


def linked_halves(pairs: Sequence[tuple[str, str]]) -> list[Half]:
    """The half of each pair of texts; no text stands in both halves.

    Texts that are linked by pairs form groups, and a group goes where its least SHA-256 says. So no pair is dropped, and
    the half of a group does not depend on the order.
    """
    keys = {text: _key(text) for pair in pairs for text in pair}
    least = {key: key for key in keys.values()}

    def root(key: str) -> str:
        while least[key] != key:
            least[key] = least[least[key]]
            key = least[key]
        return key

    for one, other in pairs:
        first, second = sorted((root(keys[one]), root(keys[other])))
        least[second] = first
    return [_half(root(keys[one])) for one, _ in pairs]


def _key(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _half(key: str) -> Half:
    return "b" if int(key, 16) % 2 else "a"
