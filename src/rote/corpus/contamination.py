"""Non-members that are no control: they stand in one group with a member."""

from collections import defaultdict
from collections.abc import Sequence

from rote.corpus.defects import FOUND_CHARS, Dropped, Reason
from rote.corpus.groups import Entry, Links
from rote.corpus.near_duplicates import is_similar, shingles_of
from rote.corpus.short_texts import is_variant

MAX_COMPARED = 200
"""Members of its group that a non-member is compared with, to name the one it is like."""


def contaminated(entries: Sequence[Entry], links: Links, *, near_duplicate: float) -> dict[int, Dropped]:
    """The non-members in one group with a member, by number, each with the member it is like.

    The member is the one of the smallest id that shares a context; else the first whose text is a near-duplicate; else
    (they are linked through other records) the one of the smallest id in the group.
    """
    members_of: dict[int, list[Entry]] = defaultdict(list)
    holders: dict[int, Entry] = {}
    for i in sorted(range(len(entries)), key=lambda i: entries[i].example.id):
        if entries[i].example.split == "member":
            members_of[links.groups[i]].append(entries[i])
            for key in links.contexts[i]:
                holders.setdefault(key, entries[i])
    found: dict[int, Dropped] = {}
    for i, entry in enumerate(entries):
        group = members_of.get(links.groups[i])
        if entry.example.split == "non-member" and group:
            sharing = [holders[key] for key in links.contexts[i] if key in holders]
            found[i] = _why(entry, sharing, group, threshold=near_duplicate or 1.0)
    return found


def _why(entry: Entry, sharing: Sequence[Entry], group: Sequence[Entry], *, threshold: float) -> Dropped:
    if sharing:
        nearest = min(sharing, key=lambda member: member.example.id)
        return _dropped(entry, "shares its context with a member", nearest)
    own = shingles_of(entry.own_text)
    for member in group[:MAX_COMPARED]:
        is_near = is_similar(own, shingles_of(member.own_text), threshold=threshold)
        if is_near or is_variant(entry.own_text, member.own_text, threshold=threshold):
            return _dropped(entry, "near-duplicate of a member", member)
    return _dropped(entry, "linked to a member", group[0])


def _dropped(entry: Entry, reason: Reason, member: Entry) -> Dropped:
    example = entry.example
    found = f"{member.example.file}, line {member.example.line}"
    return Dropped(example.file, example.line, "", reason, found[:FOUND_CHARS])
