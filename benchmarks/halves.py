"""Two halves of a benchmark's texts: thresholds are chosen on half a, and half b says whether they hold."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Literal

Half = Literal["a", "b"]


def half_of(text: str) -> Half:
    """By the last bit of the text's SHA-256 (0: a, 1: b)."""
    return half_of_group(_key(text))


def linked_halves(pairs: Sequence[tuple[str, str]]) -> list[Half]:
    """The half of each pair of texts; no text stands in both halves.

    A group of linked texts goes where its key says. So no pair is dropped, and the half of a group does not depend on the
    order.
    """
    return [half_of_group(group) for group in linked_groups(pairs)]


def linked_groups(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """The group of each pair: texts that pairs link, over however many steps, named by the least SHA-256 of its texts."""
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
    return [root(keys[one]) for one, _ in pairs]


def half_of_group(key: str) -> Half:
    """By the last bit of its key."""
    return "b" if int(key, 16) % 2 else "a"


def _key(text: str) -> str:
    return sha256(text.encode()).hexdigest()
