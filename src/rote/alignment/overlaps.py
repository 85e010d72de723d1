"""Overlaps: of passages that claim the same sentences, the better supported one is kept."""

from collections.abc import Callable, Sequence
from itertools import combinations

from rote.alignment.extension import PassagePair, SentenceRange
from rote.alignment.seeding import SentencePairs

SideOf = Callable[[PassagePair], SentenceRange]


def quality(shared: Sequence[float], rest: Sequence[float]) -> float:
    """Support of a passage against a rival that overlaps with it: q = o + (1 - o) · r.

    o is the mean best cosine of the sentences that both claim, r that of the passage's other sentences (0 if none).
    Range 0..1, higher = better supported. Source: Sanchez-Perez et al. (2015), section 3.

    >>> quality([0.5, 0.7], [0.2, 0.4])
    0.72
    """
    overlap = sum(shared) / len(shared)
    return overlap + (1 - overlap) * sum(rest) / len(rest) if rest else overlap


def resolve_one_sided(passages: Sequence[PassagePair], pairs: SentencePairs, *, side: str) -> list[PassagePair]:
    """As published: from left to right on one side, a tournament in which the winner takes all."""
    side_of: SideOf = _generated if side == "generated" else _training
    rest = sorted(passages, key=lambda passage: side_of(passage).first)
    kept: list[PassagePair] = []
    while rest:
        champion = rest.pop(0)
        while rest and side_of(rest[0]).first <= side_of(champion).last:
            rivals = [rival for rival in rest if side_of(rival).first <= side_of(champion).last]
            rest = rest[len(rivals) :]
            champion = _winner(champion, rivals, pairs, side_of)
        kept.append(champion)
    return kept


def _winner(champion: PassagePair, rivals: Sequence[PassagePair], pairs: SentencePairs, side_of: SideOf) -> PassagePair:
    """The rival with the highest quality among those that beat the champion; of two perfect ones the longer wins."""
    winner, highest = champion, 0.0
    for rival in rivals:
        own, other = _qualities(champion, rival, pairs, side_of)
        challenger, reached = (rival, other) if other > own else (winner, 0.0)
        if own > 0.99 and other > 0.99:
            is_longer = len(side_of(rival)) > len(side_of(champion))
            challenger, reached = (rival, other) if is_longer else (champion, own)
        if reached > highest:
            winner, highest = challenger, reached
    return winner


def resolve_both_sides(passages: Sequence[PassagePair], pairs: SentencePairs) -> list[PassagePair]:
    """Symmetric in the two sides: a passage yields only to a better one that holds more than half of it.

    Two passages conflict where they share more than half of the sentences of the shorter, on either side. The quality
    is averaged over the sides on which they overlap; of equals the longer wins. Conflicts are decided from the clearest to the closest, so that a
    passage that is out no longer beats others.
    """
    conflicts: list[tuple[float, int, int, int]] = []
    for a, b in combinations(range(len(passages)), 2):
        sides = [side for side in (_generated, _training) if side(passages[a]).shared(side(passages[b]))]
        if any(_holds_half(side(passages[a]), side(passages[b])) for side in sides):
            scores = [_qualities(passages[a], passages[b], pairs, side) for side in sides]
            margin = round(sum(own - other for own, other in scores) / len(scores), 9)
            conflicts.append((margin, _size(passages[a]) - _size(passages[b]), a, b))
    out: set[int] = set()
    for margin, size, a, b in sorted(conflicts, key=lambda conflict: (-abs(conflict[0]), -abs(conflict[1]))):
        if a not in out and b not in out:
            out.add(b if (margin, size) >= (0, 0) else a)
    return [passage for index, passage in enumerate(passages) if index not in out]


def _holds_half(one: SentenceRange, other: SentenceRange) -> bool:
    return 2 * one.shared(other) > min(len(one), len(other))


def _qualities(one: PassagePair, other: PassagePair, pairs: SentencePairs, side_of: SideOf) -> tuple[float, float]:
    return _quality_against(one, other, pairs, side_of), _quality_against(other, one, pairs, side_of)


def _quality_against(passage: PassagePair, rival: PassagePair, pairs: SentencePairs, side_of: SideOf) -> float:
    generated, training = passage.generated, passage.training
    block = pairs.cosines[generated.first : generated.last + 1, training.first : training.last + 1].toarray()
    best = block.max(axis=1 if side_of is _generated else 0).tolist()
    own, claimed = side_of(passage), side_of(rival)
    shared = [value for i, value in enumerate(best, own.first) if claimed.first <= i <= claimed.last]
    rest = [value for i, value in enumerate(best, own.first) if not claimed.first <= i <= claimed.last]
    return quality(shared, rest)


def _generated(passage: PassagePair) -> SentenceRange:
    return passage.generated


def _training(passage: PassagePair) -> SentenceRange:
    return passage.training


def _size(passage: PassagePair) -> int:
    return len(passage.generated) + len(passage.training)
