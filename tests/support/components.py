"""Connected components as sets, to be compared."""

from collections import defaultdict

from rote.corpus.near_duplicates import Components


def as_sets(components: Components, n: int) -> set[frozenset[int]]:
    sets: dict[int, set[int]] = defaultdict(set)
    for i in range(n):
        sets[components.find(i)].add(i)
    return {frozenset(items) for items in sets.values()}
