"""Verbatim runs: what two texts have in common word for word, in time linear in both.

A suffix automaton of one text reads the other token by token and knows at each token how long the longest run ending
there is that also stands in the first text. Runs that no longer run contains are the maximal ones.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

from rote.records import Span
from rote.text import tokens, words


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is compared (`key`) and where it stands."""

    key: str
    span: Span


@dataclass(frozen=True, slots=True)
class CommonRun:
    """Text that stands in both texts; `chars` is its length with every run of white space counted as one."""

    read: Span
    indexed: Span
    chars: int


def raw_tokens(text: str) -> list[Token]:
    """Words, punctuation and white space, case kept; any run of white space equals any other."""
    return [Token(" " if span.of(text).isspace() else span.of(text), span) for span in tokens(text)]


def lower_words(text: str, within: Span) -> list[Token]:
    """The words inside a span in lower case, without punctuation: what the published tools compare."""
    part = within.of(text)
    return [
        Token(span.of(part).lower(), Span(span.start + within.start, span.end + within.start)) for span in words(part)
    ]


class RunIndex:
    """A suffix automaton over tokens: finds the maximal runs that a text shares with the indexed one.

    Construction: Blumer et al. (1985). Memory and time are linear in the number of tokens.
    """

    def __init__(self, indexed: Sequence[Token]) -> None:
        self._spans = [token.span for token in indexed]
        self._next: list[dict[str, int]] = [{}]
        self._link = [-1]
        self._length = [0]
        self._first_end = [-1]
        last = 0
        for position, token in enumerate(indexed):
            last = self._append(last, token.key, position)

    def _append(self, last: int, key: str, position: int) -> int:
        state = self._new_state({}, self._length[last] + 1, position)
        walk = last
        while walk != -1 and key not in self._next[walk]:
            self._next[walk][key] = state
            walk = self._link[walk]
        if walk == -1:
            self._link[state] = 0
            return state
        target = self._next[walk][key]
        if self._length[target] != self._length[walk] + 1:
            target = self._split(walk, key, target)
        self._link[state] = target
        return state

    def _split(self, walk: int, key: str, target: int) -> int:
        clone = self._new_state(dict(self._next[target]), self._length[walk] + 1, self._first_end[target])
        self._link[clone] = self._link[target]
        self._link[target] = clone
        while walk != -1 and self._next[walk].get(key) == target:
            self._next[walk][key] = clone
            walk = self._link[walk]
        return clone

    def _new_state(self, following: dict[str, int], length: int, first_end: int) -> int:
        self._next.append(following)
        self._link.append(-1)
        self._length.append(length)
        self._first_end.append(first_end)
        return len(self._next) - 1

    def common_runs(self, read: Sequence[Token]) -> list[CommonRun]:
        """All runs of the text being read that also stand in the indexed text and lie in no longer such run.

        In reading order; of several places in the indexed text, the first. Runs begin and end at a token that is not
        white space; runs of white space alone are left out.
        """
        found = []
        state = length = 0
        for position, token in enumerate(read):
            before_state, before_length = state, length
            while state and token.key not in self._next[state]:
                state = self._link[state]
                length = self._length[state]
            following = self._next[state].get(token.key)
            state, length = (following, length + 1) if following is not None else (0, 0)
            if before_length and length <= before_length:
                found.append((position, before_length, self._first_end[before_state] + 1))
        if length:
            found.append((len(read), length, self._first_end[state] + 1))
        offsets = [0, *accumulate(len(token.key) for token in read)]
        runs = [self._run(read, end, size, indexed_end, offsets) for end, size, indexed_end in found]
        return [run for run in runs if run is not None]

    def _run(
        self, read: Sequence[Token], end: int, size: int, indexed_end: int, offsets: Sequence[int]
    ) -> CommonRun | None:
        start, shift = end - size, indexed_end - end
        start += read[start].key == " "
        end -= end > start and read[end - 1].key == " "
        if start >= end:
            return None
        own = Span(read[start].span.start, read[end - 1].span.end)
        other = Span(self._spans[start + shift].start, self._spans[end + shift - 1].end)
        return CommonRun(own, other, offsets[end] - offsets[start])


@lru_cache(maxsize=16)
def raw_index(text: str) -> RunIndex:
    """The index of a raw text; the same object again for the same text."""
    return RunIndex(raw_tokens(text))


def shared_runs(read: str, indexed: str, *, min_chars: int) -> list[CommonRun]:
    """The runs of `read` of at least `min_chars` characters that stand in `indexed`, equal up to runs of white space.

    Word-aligned on both sides, case kept, at least one letter or digit. Where two of them share more than half of the
    shorter one (text that repeats itself), the longer is kept. In reading order.
    """
    kept: list[CommonRun] = []
    if not _may_share(read, indexed, min_chars):
        return kept
    for run in raw_index(indexed).common_runs(raw_tokens(read)):
        if run.chars < min_chars or not any(character.isalnum() for character in run.read.of(read)):
            continue
        if kept and 2 * kept[-1].read.overlap(run.read) > min(len(kept[-1].read), len(run.read)):
            kept[-1] = max(kept[-1], run, key=lambda one: one.chars)
        else:
            kept.append(run)
    return kept


def _may_share(read: str, indexed: str, min_chars: int) -> bool:
    """False only where no run of `min_chars` is shared; spares most pairs the index.

    Such a run, white space made equal, holds one whole block of those that cut the indexed text every min_chars // 2.
    """
    one, two = " ".join(read.split()), " ".join(indexed.split())
    size = max(1, min_chars // 2)
    windows = {one[i : i + size] for i in range(len(one) - size + 1)}
    return any(two[i : i + size] in windows for i in range(0, len(two) - size + 1, size))


def covered_chars(span: Span, by: Iterable[Span]) -> int:
    """Number of characters of `span` that at least one of the other spans covers."""
    covered, reached = 0, span.start
    for other in sorted(by):
        start, end = max(other.start, reached), min(other.end, span.end)
        covered += max(0, end - start)
        reached = max(reached, end)
    return covered
