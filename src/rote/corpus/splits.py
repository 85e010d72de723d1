"""Draws that do not depend on the order of the records: members and non-members by group, and a part of each."""

from collections.abc import Sequence
from dataclasses import replace

from rote.records import Example, content_id


def split(examples: Sequence[Example], holdout: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Members and non-members, in the order of the examples; a group is never cut.

    Groups are ranked by a hash of seed and group id; the first round(holdout · groups) of them become non-members, at
    least one and at most all but one. With fewer than two groups, or holdout 0, all are members.

    Args:
        examples: their `group` says what belongs together; their `split` is replaced.
        holdout: share of the groups, 0..1.
        seed: another seed draws other groups.
    """
    groups = sorted({example.group for example in examples}, key=lambda group: content_id(str(seed), group))
    wanted = min(max(1, round(holdout * len(groups))), len(groups) - 1) if holdout > 0 else 0
    held_out = set(groups[: max(0, wanted)])
    members = [replace(example, split="member") for example in examples if example.group not in held_out]
    nonmembers = [replace(example, split="non-member") for example in examples if example.group in held_out]
    return members, nonmembers


def draw(examples: Sequence[Example], limit: int, *, seed: int) -> list[Example]:
    """That many examples (all, if `limit` is 0), those whose hash of seed and id is smallest, in their order."""
    if not 0 < limit < len(examples):
        return list(examples)
    ranked = sorted(examples, key=lambda example: content_id(str(seed), example.id))
    drawn = {example.id for example in ranked[:limit]}
    return [example for example in examples if example.id in drawn]
