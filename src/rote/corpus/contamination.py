"""Non-members that are no control: they stand in one group with a member."""

from collections import defaultdict
from collections.abc import Sequence

from rote.corpus.defects import FOUND_CHARS, Dropped, Reason
from rote.corpus.groups import Links
from rote.corpus.near_duplicates import is_similar, shingles_of
from rote.records import Example

MAX_COMPARED = 200
"""Members of its group that a non-member is compared with, to name the one it is like."""


def contaminated(examples: Sequence[Example], links: Links, *, near_duplicate: float) -> dict[int, Dropped]:
    """The non-members in one group with a member, by number, each with the member it is like.

    The member is the one of the smallest id that shares a context; else the first whose text is a near-duplicate; else
    (they are linked through other records) the one of the smallest id in the group.
    """
    members_of: dict[int, list[int]] = defaultdict(list)
    holders: dict[int, int] = {}
    for i in sorted(range(len(examples)), key=lambda i: examples[i].id):
        if examples[i].split == "member":
            members_of[links.groups[i]].append(i)
            for key in links.contexts[i]:
                holders.setdefault(key, i)
    found: dict[int, Dropped] = {}
    for i, example in enumerate(examples):
        group = members_of.get(links.groups[i])
        if example.split == "non-member" and group:
            sharing = [examples[holders[key]] for key in links.contexts[i] if key in holders]
            found[i] = _why(example, sharing, [examples[j] for j in group[:MAX_COMPARED]], near_duplicate)
    return found


def _why(example: Example, sharing: Sequence[Example], members: Sequence[Example], threshold: float) -> Dropped:
    if sharing:
        return _dropped(example, "shares its context with a member", min(sharing, key=lambda member: member.id))
    own = shingles_of(example.text)
    for member in members:
        if is_similar(own, shingles_of(member.text), threshold=threshold or 1.0):
            return _dropped(example, "near-duplicate of a member", member)
    return _dropped(example, "linked to a member", members[0])


def _dropped(example: Example, reason: Reason, member: Example) -> Dropped:
    return Dropped(example.file, example.line, "", reason, f"{member.file}, line {member.line}"[:FOUND_CHARS])
