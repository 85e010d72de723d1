"""Which records belong together: the same text, nearly the same text, or the same context.

Two records are linked if their texts are equal but for case and white space, if the word 5-gram Jaccard similarity of
their texts (without an instruction or system message) is at least `corpus.near_duplicate` (0: no such links), if they are
short and at most one word in five differs (`short_texts`; 0 turns this off, too), if they share their context, or if they are of one split and the shorter one stands in the other in large part (overlapping
chunks, the records of one chat or mail thread: `containment`; `corpus.near_duplicate` = 0 turns this off, too). A group
is everything that links connect, whatever the order of the records.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rote.corpus.near_duplicates import Components, join_near_duplicates
from rote.corpus.overlaps import join_overlapping, most_sharing
from rote.corpus.rendering import Parts
from rote.corpus.short_texts import join_variants
from rote.records import Example

MIN_CONTEXT_CHARS = 50
"""Shortest prompt, or part of one, that counts as a context of its own."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An example while its group is sought."""

    example: Example
    certain: tuple[int, ...]
    """Hashes of its contexts: the passage field of a question."""
    likely: tuple[int, ...]
    """Hashes of its contexts: the prompt, and the prompt without its first or last line (a passage and its question)."""
    start: int
    """Where in the text an instruction or system message, which says nothing about the record, is over."""

    @property
    def own_text(self) -> str:
        """The text without instruction or system message."""
        return self.example.text[self.start :]


@dataclass(frozen=True, slots=True)
class Links:
    """What is connected. Entries are numbered in the order they were given in."""

    groups: tuple[int, ...]
    """The same number for the entries of one group."""
    contexts: tuple[frozenset[int], ...]
    """The contexts of each entry that count."""
    templates: int
    """How many texts were taken for templates, since too many records share them."""


def entry_of(example: Example, parts: Parts) -> Entry:
    """The example with the contexts in which it may be like another one."""
    passage = _normalised(parts.passage)
    lines = parts.asked.strip().split("\n")
    least = max(MIN_CONTEXT_CHARS, len(parts.asked) // 2)
    cuts = {_normalised(" ".join(lines[start : len(lines) - end])) for start in (0, 1) for end in (0, 1)}
    likely = {_hash(text) for text in cuts if len(text) >= least} | ({_hash(passage)} if passage else set())
    certain = {_hash(passage)} if len(passage) >= MIN_CONTEXT_CHARS else set()
    return Entry(example, tuple(sorted(certain)), tuple(sorted(likely - certain)), parts.start)


def link(entries: Sequence[Entry], *, near_duplicate: float) -> Links:
    """Finds the groups of all records, members and non-members.

    Args:
        entries: distinct records.
        near_duplicate: Jaccard similarity from which texts are near-duplicates, 0..1; 0 turns it off.
    """
    components = Components(len(entries))
    distinct = _join_equal([_hash(_normalised(entry.example.text)) for entry in entries], components)
    if near_duplicate > 0:
        alike = Components(len(distinct))
        text_of = [entries[number].own_text for number in distinct].__getitem__
        join_near_duplicates(text_of, alike, threshold=near_duplicate)
        join_variants(text_of, alike, most=most_sharing(len(entries)), threshold=near_duplicate)
        for i, number in enumerate(distinct):
            components.join(distinct[alike.find(i)], number)
        for split in ("member", "non-member"):
            # A non-member that stands in a member is left out afterwards, for that reason.
            of_split = [number for number in distinct if entries[number].example.split == split]
            join_overlapping(of_split, lambda number: entries[number].own_text, components)
    contexts, templates = _counting_contexts(entries)
    first: dict[int, int] = {}
    for number, keys in enumerate(contexts):
        for key in keys:
            components.join(first.setdefault(key, number), number)
    return Links(tuple(map(components.find, range(len(entries)))), tuple(contexts), templates)


def _counting_contexts(entries: Sequence[Entry]) -> tuple[list[frozenset[int]], int]:
    """The contexts of each entry without templates, and the number of templates."""
    counts = Counter(key for entry in entries for key in entry.likely)
    certain = {key for entry in entries for key in entry.certain}
    most = most_sharing(len(entries))
    templates = {key for key, n in counts.items() if n > most} - certain
    return [frozenset((*entry.certain, *entry.likely)) - templates for entry in entries], len(templates)


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


def _normalised(text: str) -> str:
    return " ".join(text.casefold().split())


def _hash(text: str) -> int:
    raw = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "little")
