"""Which records belong together: the same text, nearly the same text, or the same context.

Two records are linked if their texts are equal but for case and white space, if their word 5-gram Jaccard similarity is
at least `corpus.near_duplicate` (0: no such links), or if they share their context. A group is everything that links
connect, whatever the order of the records.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rote.corpus.near_duplicates import Components, join_near_duplicates
from rote.corpus.shapes import Parts
from rote.records import Example

MIN_CONTEXT_CHARS = 50
"""Shortest prompt, or part of one, that counts as a context of its own."""
MAX_SHARING = 50
"""A part of the prompt under more records than this (in small data: under half of them) is a template, no context."""


@dataclass(frozen=True, slots=True)
class Contexts:
    """Hashes of the contexts of one record."""

    certain: tuple[int, ...] = ()
    """The passage field of a question."""
    likely: tuple[int, ...] = ()
    """The prompt, and the prompt without its first or last line (a passage before or after its question)."""


@dataclass(frozen=True, slots=True)
class Links:
    """What is connected. Records are numbered in the order they were given in."""

    groups: tuple[int, ...]
    """The same number for the records of one group."""
    contexts: tuple[frozenset[int], ...]
    """The contexts of each record that count."""
    templates: int
    """How many texts were taken for templates, since too many records share them."""


def contexts_of(parts: Parts) -> Contexts:
    """The contexts in which a record may be like another one."""
    passage = _normalised(parts.passage)
    lines = parts.asked.strip().split("\n")
    least = max(MIN_CONTEXT_CHARS, len(parts.asked) // 2)
    cuts = {_normalised(" ".join(lines[start : len(lines) - end])) for start in (0, 1) for end in (0, 1)}
    likely = {_hash(text) for text in cuts if len(text) >= least}
    certain = {_hash(passage)} if len(passage) >= MIN_CONTEXT_CHARS else set()
    likely |= {_hash(passage)} if passage else set()
    return Contexts(tuple(sorted(certain)), tuple(sorted(likely - certain)))


def link(examples: Sequence[Example], contexts: Sequence[Contexts], *, near_duplicate: float) -> Links:
    """Finds the groups of all records.

    Args:
        examples: members and non-members.
        contexts: of the same records.
        near_duplicate: Jaccard similarity from which texts are near-duplicates, 0..1; 0 turns it off.
    """
    components = Components(len(examples))
    distinct = _join_equal([_hash(_normalised(example.text)) for example in examples], components)
    if near_duplicate > 0:
        alike = Components(len(distinct))
        join_near_duplicates([examples[i] for i in distinct], alike, threshold=near_duplicate)
        for i, record in enumerate(distinct):
            components.join(distinct[alike.find(i)], record)
    counts = Counter(key for item in contexts for key in item.likely)
    certain = {key for item in contexts for key in item.certain}
    most = min(MAX_SHARING, max(10, len(examples) // 2))
    templates = {key for key, n in counts.items() if n > most} - certain
    counting = [frozenset((*item.certain, *item.likely)) - templates for item in contexts]
    _join_sharing(counting, components)
    return Links(tuple(map(components.find, range(len(examples)))), tuple(counting), len(templates))


def group_ids(ids: Sequence[str], groups: Iterable[int]) -> list[str]:
    """The name of each record's group: the smallest id in it."""
    numbers = list(groups)
    smallest: dict[int, str] = {}
    for number, name in zip(numbers, ids, strict=True):
        smallest[number] = min(name, smallest.get(number, name))
    return [smallest[number] for number in numbers]


def _join_equal(keys: Sequence[int], components: Components) -> list[int]:
    """Joins the records with equal keys; returns the first of each."""
    first: dict[int, int] = {}
    for record, key in enumerate(keys):
        components.join(first.setdefault(key, record), record)
    return list(first.values())


def _join_sharing(contexts: Sequence[frozenset[int]], components: Components) -> None:
    first: dict[int, int] = {}
    for record, keys in enumerate(contexts):
        for key in keys:
            components.join(first.setdefault(key, record), record)


def _normalised(text: str) -> str:
    return " ".join(text.casefold().split())


def _hash(text: str) -> int:
    raw = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "little")
