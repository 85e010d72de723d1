"""Are planted groups of one-word variants found, and do intervals by the groups found cover the truth?

    python benchmarks/groups.py [--runs 200]

Each data set holds 40 groups of 1 to 8 variants of a text; the outcomes of a group are equal, with a rate of one half.
Prints, for each length, precision and recall of the pairs put into one group, and the share of 95 % intervals that hold
the rate: with the groups found, and with those of the 5-grams alone.
"""

import argparse
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from rote.corpus.near_duplicates import Components, join_near_duplicates
from rote.corpus.overlaps import most_sharing
from rote.corpus.short_texts import join_variants
from rote.statistics import intervals as estimation

THRESHOLD, VOCABULARY, GROUPS, RATE = 0.8, 5000, 40, 0.5


def planted(rng: np.random.Generator, length: int) -> tuple[list[str], list[int]]:
    """Texts in which one word of their group's text is changed, and their groups."""
    texts, groups = [], []
    for group in range(GROUPS):
        words = rng.integers(0, VOCABULARY, length)
        for _ in range(rng.integers(1, 9)):
            changed = words.copy()
            changed[rng.integers(length)] = rng.integers(VOCABULARY)
            texts.append(" ".join(f"w{word}" for word in changed))
            groups.append(group)
    return texts, groups


def found(texts: Sequence[str], *, words: bool) -> list[int]:
    """The groups by 5-grams, and by single words where asked for."""
    components = Components(len(texts))
    join_near_duplicates(texts.__getitem__, components, threshold=THRESHOLD)
    if words:
        join_variants(texts.__getitem__, components, most=most_sharing(len(texts)), threshold=THRESHOLD)
    return [components.find(number) for number in range(len(texts))]


def pairs(groups: Sequence[Hashable]) -> int:
    """Pairs of texts in one group."""
    return sum(count * (count - 1) // 2 for count in Counter(groups).values())


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    runs = parser.parse_args().runs
    print("| words | grouped by | precision | recall | covers, % |\n|---|---|---|---|---|")
    for length in (8, 15, 30, 60):
        for by_words in (False, True):
            rng = np.random.default_rng(length)
            shared = put = true = covered = 0
            for _ in range(runs):
                texts, truth = planted(rng, length)
                groups = found(texts, words=by_words)
                shared += pairs(list(zip(groups, truth, strict=True)))
                put, true = put + pairs(groups), true + pairs(truth)
                own = rng.random(GROUPS) < RATE
                interval = estimation.rate([bool(own[group]) for group in truth], [str(group) for group in groups])
                covered += (
                    interval.low is not None and interval.high is not None and interval.low <= RATE <= interval.high
                )
            name = "words and 5-grams" if by_words else "5-grams"
            print(
                f"| {length} | {name} | {shared / max(1, put):.3f} | {shared / true:.3f} | {100 * covered / runs:.1f} |"
            )


if __name__ == "__main__":
    main()
