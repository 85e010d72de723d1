"""For tests of planted truth: members and other texts of invented words, so that nothing matches by chance."""

import random

from rote.alignment import Aligner, make_aligner
from rote.alignment.detector import Host
from rote.config import AlignmentConfig, PresetName
from rote.records import Example

_SYLLABLES = [a + b for a in "bdfgklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "el", "or", "is")]


def invented(seed: str, *, count: int = 12) -> str:
    """So many sentences of ten invented words, of which other seeds have hardly any."""
    draw = random.Random(seed)
    words = ["".join(draw.choices(_SYLLABLES, k=3)) for _ in range(10 * count)]
    lines = [" ".join(words[at : at + 10]) for at in range(0, len(words), 10)]
    return " ".join(f"{line.capitalize()}." for line in lines)


def members(count: int) -> list[Example]:
    return [Example(f"m{i:03d}", "", invented(f"member {i}"), "member", f"group {i}") for i in range(count)]


def hosts(count: int) -> list[Host]:
    return [Host(f"h{i}", f"n{i}", f"other {i}", invented(f"host {i}"), (invented(f"like {i}"),)) for i in range(count)]


def aligner(preset: PresetName = "corrected") -> Aligner:
    return make_aligner(AlignmentConfig(preset=preset))
