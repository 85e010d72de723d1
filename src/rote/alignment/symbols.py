"""Rows of symbols (characters or words, as numbers), and the runs that two of them share.

One row is cut into blocks, the other is read with a rolling hash: every shared run of at least two blocks' length holds
a whole block, so that it is found where the reading meets the block, and grown from there to both sides.

Bounded work: a run of length L is met once in each of its blocks, so that growing costs no more than meetings × block.
Where the two rows repeat themselves so much that there are more than MEETINGS_PER_SYMBOL meetings per symbol, only the
first FOLLOWED_PLACES places of each block are tried, the longest run wins, and the reading continues after it: linear.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rote.kernels import kernel
from rote.kernels.ordering import stable_order
from rote.text.characters import BLANK, SPACE, Classes, Codes

Symbols = npt.NDArray[np.uint32]
Ints = npt.NDArray[np.int32 | np.int64]
Bools = npt.NDArray[np.bool_]
Matches = npt.NDArray[np.int32]
"""One row per shared run: where it starts in the row that is read, where in the indexed one, how long it is."""

MEETINGS_PER_SYMBOL = 8
FREE_MEETINGS = 10_000
FOLLOWED_PLACES = 16

_BASE = np.uint64(0x9E3779B97F4A7C15)
_SPREAD = np.uint64(0xD6E8FEB86659FD93)


class Blocks(NamedTuple):
    """A row of symbols with its blocks in a hash table."""

    symbols: Symbols
    size: int
    """Symbols in a block; block i starts at i · size."""
    hashes: npt.NDArray[np.uint64]
    heads: Ints
    """The first block of each slot, or -1; a power of two of slots, most of them empty, as most questions are vain."""
    following: Ints
    """The next block of the same slot, or -1; ascending."""


@kernel
def hash_blocks(codes: Codes, classes: Classes, size: int, hashes: Ints) -> int:
    """Writes a number for each block of `size` symbols of a text in which every run of white space is one blank.

    Returns:
        The number of blocks; what is left at the end is in none.
    """
    value, held, count, was_space = np.uint64(0), 0, 0, False
    for code in codes:
        is_space = classes[code] & SPACE != 0
        if is_space and was_space:
            continue
        value = value * _BASE + np.uint64(BLANK if is_space else code)
        was_space, held = is_space, held + 1
        if held == size:
            hashes[count] = _fold(value)
            value, held, count = np.uint64(0), 0, count + 1
    return count


class BlockOwners(NamedTuple):
    """A hash table of the blocks of several texts."""

    numbers: Ints
    """See `hash_blocks`; -1 where a slot is empty, as most are."""
    owners: Ints
    """A text that holds the block; each in a slot of its own."""


@kernel
def no_owners(most: int) -> BlockOwners:
    """A table with room for so many blocks."""
    slots = 8
    while slots < 4 * most:
        slots *= 2
    return BlockOwners(np.full(slots, -1, np.int32), np.empty(slots, np.int32))


@kernel
def add_owner(table: BlockOwners, hashes: Ints, owner: int) -> None:
    """Adds the blocks of one more text."""
    mask = len(table.numbers) - 1
    for number in hashes:
        slot = number & mask
        while table.numbers[slot] >= 0 and not (table.numbers[slot] == number and table.owners[slot] == owner):
            slot = (slot + 1) & mask
        table.numbers[slot], table.owners[slot] = number, owner


@kernel
def mark_owners(symbols: Symbols, size: int, table: BlockOwners, is_met: Bools) -> None:
    """Marks the texts of which a block is, most probably, a stretch of these symbols."""
    mask, power, value = len(table.numbers) - 1, _power(size), np.uint64(0)
    for start in range(len(symbols) - size + 1):
        if start == 0:
            value = _hash(symbols, 0, size)
        else:
            value = _roll(value, symbols[start - 1], symbols[start + size - 1], power)
        number = _fold(value)
        slot = number & mask
        while table.numbers[slot] >= 0:
            if table.numbers[slot] == number:
                is_met[table.owners[slot]] = True
            slot = (slot + 1) & mask


@kernel
def _fold(value: np.uint64) -> int:
    """31 bits of a hash: as few as fit into a prepared text."""
    return int(np.int64((value * _SPREAD) >> np.uint64(33)))


@kernel
def cut_blocks(symbols: Symbols, size: int) -> Blocks:
    """The row cut into blocks of `size` symbols; what is left at its end is in none."""
    count = len(symbols) // size
    slots = 8
    while slots < 8 * count:
        slots *= 2
    hashes, following = np.empty(count, np.uint64), np.empty(count, np.int32)
    heads = np.full(slots, -1, np.int32)
    for block in range(count - 1, -1, -1):
        hashes[block] = _hash(symbols, block * size, size)
        slot = _slot(hashes[block], slots)
        following[block], heads[slot] = heads[slot], block
    return Blocks(symbols, size, hashes, heads, following)


@kernel
def find_matches(read: Symbols, indexed: Blocks, least: int) -> Matches:
    """The shared runs of at least `least` symbols (two blocks or more) that grow to neither side.

    In order of the first block met. Of rows that repeat themselves a great deal, some (see above).
    """
    if len(read) < indexed.size or len(indexed.hashes) == 0:
        return np.empty((0, 3), np.int32)
    found, is_complete = _all_matches(read, indexed, least)
    return found if is_complete else _some_matches(read, indexed, least)


@kernel
def shared_matches(read: Symbols, other: Symbols, size: int, least: int) -> Matches:
    """The matches of a row that is read with another one, which `find_matches` gets in blocks of `size` symbols.

    Of whichever is the longer the blocks are cut, as they cost least; only rows that repeat themselves a great deal are
    read as told.
    """
    if len(read) > len(other) >= size:
        found, is_complete = _all_matches(other, cut_blocks(read, size), least)
        if is_complete:
            matches = np.empty_like(found)
            matches[:, 0], matches[:, 1], matches[:, 2] = found[:, 1], found[:, 0], found[:, 2]
            return matches
    return find_matches(read, cut_blocks(other, size), least)


@kernel
def _hash(symbols: Symbols, start: int, size: int) -> np.uint64:
    value = np.uint64(0)
    for i in range(start, start + size):
        value = value * _BASE + np.uint64(symbols[i])
    return value


@kernel
def _roll(value: np.uint64, leaving: np.uint32, entering: np.uint32, power: np.uint64) -> np.uint64:
    """The hash one symbol further; `power` is the base to the power of the block's size."""
    return value * _BASE + (np.uint64(entering) - np.uint64(leaving) * power)


@kernel
def _power(size: int) -> np.uint64:
    power = np.uint64(1)
    for _ in range(size):
        power *= _BASE
    return power


@kernel
def _slot(value: np.uint64, slots: int) -> int:
    """The low bits of a polynomial hash depend on few symbols' low bits: the high ones choose the slot."""
    return _fold(value) & (slots - 1)


@kernel
def _next_place(indexed: Blocks, block: int, value: np.uint64) -> int:
    """The block itself or the next one of its slot with this hash, or -1."""
    while block >= 0 and indexed.hashes[block] != value:
        block = indexed.following[block]
    return block


@kernel
def _all_matches(read: Symbols, indexed: Blocks, least: int) -> tuple[Matches, bool]:
    """The matches, and whether they are all: the search is given up after too many meetings."""
    size, heads, slots, power = indexed.size, indexed.heads, len(indexed.heads), _power(indexed.size)
    found, count, meetings = np.empty((0, 3), np.int32), 0, 0
    most = FREE_MEETINGS + MEETINGS_PER_SYMBOL * (len(read) + len(indexed.symbols))
    # How far each diagonal (place in `read` minus place in `indexed`) has been read; made when the first block is met.
    reached = np.empty(0, np.int32)
    value = _hash(read, 0, size)
    for start in range(len(read) - size + 1):
        if start:
            value = _roll(value, read[start - 1], read[start + size - 1], power)
        block = heads[_slot(value, slots)]
        if block < 0:
            continue
        block = _next_place(indexed, block, value)
        if block >= 0 and len(reached) == 0:
            reached = np.zeros(len(read) + len(indexed.symbols), np.int32)
        while block >= 0:
            diagonal = start - block * size + len(indexed.symbols) - 1
            if reached[diagonal] <= start:
                first, end = _grow(read, indexed.symbols, start, block * size, reached[diagonal])
                reached[diagonal] = end
                # All blocks of the run are counted when it is grown, so that many long ones are noticed at once.
                meetings += 1 + (end - first) // size
                if meetings > most:
                    return found[:count], False
                if end - first >= least:
                    found = _with_room(found, count)
                    found[count, 0], found[count, 1], found[count, 2] = first, block * size - start + first, end - first
                    count += 1
            block = _next_place(indexed, indexed.following[block], value)
    return found[:count], True


@kernel
def _some_matches(read: Symbols, indexed: Blocks, least: int) -> Matches:
    size, slots, power = indexed.size, len(indexed.heads), _power(indexed.size)
    found, count, behind = np.empty((0, 3), np.int32), 0, 0
    value = _hash(read, 0, size)
    for start in range(len(read) - size + 1):
        if start:
            value = _roll(value, read[start - 1], read[start + size - 1], power)
        if start < behind:
            continue
        longest, first, shift = 0, 0, 0
        block = _next_place(indexed, indexed.heads[_slot(value, slots)], value)
        for _ in range(FOLLOWED_PLACES):
            if block < 0:
                break
            grown, end = _grow(read, indexed.symbols, start, block * size, behind)
            if end - grown > longest:
                longest, first, shift = end - grown, grown, block * size - start
            block = _next_place(indexed, indexed.following[block], value)
        if longest >= least:
            found = _with_room(found, count)
            found[count, 0], found[count, 1], found[count, 2] = first, first + shift, longest
            count, behind = count + 1, first + longest
    return found[:count]


@kernel
def _grow(read: Symbols, indexed: Symbols, start: int, other: int, floor: int) -> tuple[int, int]:
    """The longest run of equal symbols around two places, from `floor` on; start and end in the row that is read."""
    end, shift = start, other - start
    while end < len(read) and end + shift < len(indexed) and read[end] == indexed[end + shift]:
        end += 1
    while start > floor and start + shift > 0 and read[start - 1] == indexed[start + shift - 1]:
        start -= 1
    return start, end


@kernel
def _with_room(found: Matches, count: int) -> Matches:
    if count < len(found):
        return found
    longer = np.empty((max(16, 2 * count), 3), np.int32)
    longer[:count] = found
    return longer


@kernel
def keep_maximal(matches: Matches) -> Matches:
    """The matches that lie in no longer one, on the side that is read; of equals the first place in the indexed row.

    In reading order.
    """
    if len(matches) < 2:
        return matches
    matches = matches[stable_order(matches[:, 1].astype(np.float64))]
    matches = matches[stable_order(-matches[:, 2].astype(np.float64))]
    matches = matches[stable_order(matches[:, 0].astype(np.float64))]
    is_maximal, reached = np.zeros(len(matches), np.bool_), -1
    for i in range(len(matches)):
        end = matches[i, 0] + matches[i, 2]
        is_maximal[i] = end > reached
        reached = max(reached, end)
    return matches[is_maximal]
