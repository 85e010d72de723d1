"""Non-members that stand inside members: quoted mails, shared articles, unrolled chats, overlapping chunks.

The similarity of two whole texts does not see them. So runs of words are compared, whatever the lengths of both texts:
every run of `RUN_WORDS` words of a non-member is looked up among all of the members, exactly (by its 64-bit hash), and
the words that lie in any such run count as shared. Case, white space and punctuation make no difference, so a mail is
found behind its "> " as well; HTML entities (`&quot;`) are read as what they stand for. Runs that stand in many records are templates and do not count.

Source: Touvron et al. 2023 (Llama 2, appendix A.6), who count the tokens in shared runs of more than 10 and call a text
with 20 % of them not clean; the length of 13 words is that of Brown et al. 2020 (GPT-3, appendix C).
"""

import html
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rote.corpus.defects import FOUND_CHARS, Dropped
from rote.corpus.near_duplicates import BATCH_CHARS, Hashes, Indices, plain_words, run_hashes, word_hashes
from rote.records import Example

RUN_WORDS = 13
"""Shortest run that counts as shared."""
SHORT_WORDS = 8
"""Texts of fewer words than a run, but at least of so many, are looked up as a whole."""
MOST_SHARE = 0.5
"""From this share of shared words on a non-member is no control."""
LONG_RUN_WORDS, LONG_RUN_SHARE = 25, 0.2
"""Nor from a smaller share on, where one stretch of so many words is in it: that is no phrase but a passage."""
MOST_WORDS = 50
"""Nor from one stretch of so many words on, however long the text is."""
MOST_HOLDERS = 50
"""A run that stands in more members than this is a template."""
TEMPLATE_SHARE, TEMPLATE_MEMBERS, TEMPLATE_NONMEMBERS = 0.25, 3, 2
"""So is one that stands in a quarter of the members (three or more) and of the non-members (two or more)."""
_TABLE_BITS = 22

Echo = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Contained:
    """What a non-member shares with members."""

    member: int
    """Number of the member that has most of it; of equals the first."""
    words: int
    """The non-member's words that lie in shared runs."""
    all_words: int
    longest: int
    """Words of the longest stretch of shared runs."""

    @property
    def is_no_control(self) -> bool:
        """Whether so much is shared that its figures are not those of an unseen text."""
        least = LONG_RUN_SHARE if self.longest >= LONG_RUN_WORDS else MOST_SHARE
        return self.longest >= MOST_WORDS or self.words >= least * self.all_words


def is_contained(text: str, other: str) -> bool:
    """Whether the shorter one of two texts stands in the other by the same measure (no run is a template here)."""
    shorter, longer = sorted((text, other), key=len)
    found = shared_runs([longer], [shorter]).found
    return bool(found) and found[0].is_no_control


@dataclass(frozen=True, slots=True)
class Shared:
    """Every non-member that shares a run with a member, by number."""

    found: Mapping[int, Contained]
    templates: int
    """Runs that were taken for templates."""


def without_contained(
    examples: Sequence[Example], own_text: Mapping[str, str], say: Echo
) -> tuple[list[Example], list[Example], list[Dropped]]:
    """The examples without the non-members that stand in members; those; and why each is left out.

    Args:
        examples: members and non-members.
        own_text: of each id, the text without an instruction or system message.
        say: gets a note where any share runs with members.
    """
    members = sorted((item for item in examples if item.split == "member"), key=lambda item: item.id)
    others = [item for item in examples if item.split == "non-member"]
    shared = shared_runs([own_text[item.id] for item in members], [own_text[item.id] for item in others])
    inside = {i: one for i, one in shared.found.items() if one.is_no_control}
    _say(len(inside), len(shared.found) - len(inside), len(others), shared.templates, say)
    dropped = [_dropped(others[i], one, members[one.member]) for i, one in inside.items()]
    left_out = {others[i].id for i in inside}
    return [item for item in examples if item.id not in left_out], [others[i] for i in inside], dropped


def shared_runs(members: Sequence[str], nonmembers: Sequence[str]) -> Shared:
    """What of each non-member stands in members, word for word.

    Memory goes by the non-members' words (about 60 bytes each); the members are read once, a million characters at a time.
    """
    if not members or not nonmembers:
        return Shared({}, 0)
    parts = list(word_batches(nonmembers))
    words, text = np.concatenate([part[1] for part in parts]), np.concatenate([part[0] for part in parts])
    sizes = np.bincount(text, minlength=len(nonmembers)).astype(np.int64)
    lengths = sorted({min(int(size), RUN_WORDS) for size in sizes if size >= SHORT_WORDS})
    sought = [_Sought.of(words, text, sizes, length, len(members)) for length in lengths]
    for number, member_words in word_batches(members):
        for runs in sought:
            runs.read(member_words, number)
    found: dict[int, Contained] = {}
    for runs in sought:
        found |= runs.shared(sizes)
    return Shared(dict(sorted(found.items())), sum(int(runs.is_template.sum()) for runs in sought))


@dataclass(frozen=True, slots=True, eq=False)
class _Sought:
    """The runs of one length in the non-members, and in which members they stand.

    A text of fewer than `RUN_WORDS` words is one run; longer ones have a run from every word on.
    """

    length: int
    text: Indices
    """The non-member of each run."""
    place: Indices
    """Where it begins, among all words of all non-members."""
    key: Indices
    """Its number in `keys`."""
    keys: Hashes
    """Hashes of the distinct runs, ascending."""
    table: NDArray[np.bool_]
    """Which low bits occur in `keys`: spares most searches."""
    members: int
    nonmembers: int
    counts: Indices
    """Members that hold each of `keys`; filled in by `read`."""
    first: Indices
    """The first of them."""

    @classmethod
    def of(cls, words: Hashes, text: Indices, sizes: Indices, length: int, members: int) -> "_Sought":
        """The runs of the texts that are looked up by that length."""
        number, place, hashes = runs_of(words, text, length)
        wanted = sizes[number] >= RUN_WORDS if length == RUN_WORDS else sizes[number] == length
        keys, key = np.unique(hashes[wanted], return_inverse=True)
        table = np.zeros(1 << _TABLE_BITS, np.bool_)
        table[_low_bits(keys)] = True
        return cls(
            length=length,
            text=number[wanted],
            place=place[wanted],
            key=key.astype(np.int64),
            keys=keys,
            table=table,
            members=members,
            nonmembers=len(sizes),
            counts=np.zeros(len(keys), np.int64),
            first=np.full(len(keys), members, np.int64),
        )

    def read(self, words: Hashes, number: Indices) -> None:
        """Looks the runs of some members up; each member is read as a whole, once."""
        member, _, hashes = runs_of(words, number, self.length)
        likely = self.table[_low_bits(hashes)]
        member, hashes = member[likely], hashes[likely]
        place = np.minimum(np.searchsorted(self.keys, hashes), len(self.keys) - 1)
        held = self.keys[place] == hashes
        pairs = np.unique(place[held] * self.members + member[held])
        np.add.at(self.counts, pairs // self.members, 1)
        np.minimum.at(self.first, pairs // self.members, pairs % self.members)

    @property
    def is_template(self) -> NDArray[np.bool_]:
        """Which of `keys` stand in too many records to say anything about one of them."""
        pairs = np.unique(self.key * self.nonmembers + self.text)
        others = np.bincount(pairs // self.nonmembers, minlength=len(self.keys))
        of_members = self.counts >= max(TEMPLATE_MEMBERS, TEMPLATE_SHARE * self.members)
        of_others = others >= max(TEMPLATE_NONMEMBERS, TEMPLATE_SHARE * self.nonmembers)
        return (self.counts > MOST_HOLDERS) | (of_members & of_others)

    def shared(self, sizes: Indices) -> dict[int, Contained]:
        """What each text shares with the members that were read."""
        held = ((self.counts > 0) & ~self.is_template)[self.key]
        if not held.any():
            return {}
        text, place, holder = self.text[held], self.place[held], self.first[self.key[held]]
        starts = np.append(True, (text[1:] != text[:-1]) | (place[1:] - place[:-1] > self.length))
        first = np.flatnonzero(starts)
        last = np.append(first[1:], len(place)) - 1
        words, owner = place[last] + self.length - place[first], text[first]
        total, longest = np.zeros(len(sizes), np.int64), np.zeros(len(sizes), np.int64)
        np.add.at(total, owner, words)
        np.maximum.at(longest, owner, words)
        most = _most_frequent(text, holder, self.members)
        return {
            number: Contained(most[number], int(total[number]), int(sizes[number]), int(longest[number]))
            for number in np.unique(text).tolist()
        }


def _most_frequent(text: Indices, holder: Indices, members: int) -> dict[int, int]:
    """For each text the holder that occurs most often; the first among equals."""
    pairs, counts = np.unique(text * members + holder, return_counts=True)
    order = np.lexsort((pairs, -counts))
    most: dict[int, int] = {}
    for pair in pairs[order].tolist():
        most.setdefault(pair // members, pair % members)
    return most


def runs_of(words: Hashes, text: Indices, length: int) -> tuple[Indices, Indices, Hashes]:
    """Text, place and hash of every run of that many words inside one text."""
    place = np.flatnonzero(text[: len(text) + 1 - length] == text[length - 1 :]) if len(text) >= length else text[:0]
    return text[place], place, run_hashes(words, length)[place]


def word_batches(texts: Sequence[str]) -> Iterator[tuple[Indices, Hashes]]:
    """Text number and hash of every word, about a million characters at a time; whole texts."""
    start = 0
    while start < len(texts):
        words: list[str] = []
        sizes: list[int] = []
        chars = 0
        while start + len(sizes) < len(texts) and chars < BATCH_CHARS:
            text = texts[start + len(sizes)]
            own = plain_words(unicodedata.normalize("NFKC", html.unescape(text)))
            words += own
            sizes.append(len(own))
            chars += len(text)
        yield np.repeat(np.arange(start, start + len(sizes), dtype=np.int64), sizes), word_hashes(words)
        start += len(sizes)


def _low_bits(hashes: Hashes) -> Indices:
    return (hashes & np.uint64((1 << _TABLE_BITS) - 1)).astype(np.int64)


def _dropped(example: Example, found: Contained, member: Example) -> Dropped:
    amount = "the whole text" if found.words == found.all_words else f"{found.words:,} of {found.all_words:,} words"
    place = f"{amount} in {member.file}, line {member.line}"
    return Dropped(example.file, example.line, "", "stands in a member", place[:FOUND_CHARS])


def _say(inside: int, touching: int, others: int, templates: int, say: Echo) -> None:
    if inside:
        say(
            f"{inside:,} of {others:,} non-members stand in members, wholly or in large part, and are left out of every "
            f"control (half of the words in shared runs of {RUN_WORDS}, a fifth with one of {LONG_RUN_WORDS}, or one of "
            f"{MOST_WORDS})"
        )
    if touching:
        say(f"{touching:,} more non-members share a run of {RUN_WORDS} words with a member, but less than that; kept")
    if templates:
        say(
            f"members and non-members share text that stands in so many records that it counts as a template "
            f"({templates:,} runs of {RUN_WORDS} words)"
        )
