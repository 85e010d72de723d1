"""Kernels over a suffix array: all suffixes of the indexed bytes, in ascending order of their bytes.

Every 32nd suffix also has its first 16 bytes in two arrays of numbers (`keys`, `more_keys`), which stay in the
processor's cache: a search ends among 32 suffixes before it touches the suffix array or the text. Several searches go
step by step side by side, so that they wait for memory at the same time and not one after the other.

All byte arrays end in `PAD` bytes that no search passes: those of the query differ from every indexed byte.
"""

import numpy as np
from numpy.typing import NDArray

from rote.kernels import kernel
from rote.kernels.ordering import first_not_below, sort
from rote.retrieval.exact.boundaries import is_boundary
from rote.text.characters import Classes

STEP = 32
"""One suffix in so many has keys: 0.5 bytes of keys per byte of text."""
PAD = 16
QUERY_END = 0xFE
"""Follows a query; like 0xFF it stands in no UTF-8, and unlike it in no index."""
_LANES = 16
"""Searches side by side."""


@kernel
def word(content: NDArray[np.uint8], at: int) -> np.uint64:
    """The eight bytes from `at` on as one number that is ordered as they are."""
    place = np.uint64(at)
    value = np.uint64(0)
    for offset in range(8):
        value = (value << np.uint64(8)) | np.uint64(content[place + np.uint64(offset)])
    return value


@kernel
def sample_keys(
    content: NDArray[np.uint8],
    suffixes: NDArray[np.int32],
    keys: NDArray[np.uint64],
    more_keys: NDArray[np.uint64],
) -> None:
    """Fills in bytes 0-7 and 8-15 of every `STEP`th suffix."""
    for sample in range(len(keys)):
        start = suffixes[sample * STEP]
        keys[sample] = word(content, start)
        more_keys[sample] = word(content, start + 8)


@kernel
def common_prefix(
    query: NDArray[np.uint8], at: int, content: NDArray[np.uint8], start: int, known: int
) -> tuple[int, bool]:
    """How many bytes `query[at:]` and `content[start:]` share (at least `known`), and whether the query is smaller."""
    size = known
    while True:
        one, two = word(query, at + size), word(content, start + size)
        if one != two:
            differing = one ^ two
            while not differing >> np.uint64(56):
                differing <<= np.uint64(8)
                size += 1
            return size, bool(one < two)
        size += 8


@kernel
def match(
    query: NDArray[np.uint8],
    places: NDArray[np.int64],
    content: NDArray[np.uint8],
    suffixes: NDArray[np.int32],
    keys: NDArray[np.uint64],
    more_keys: NDArray[np.uint64],
    lengths: NDArray[np.int64],
    ranks: NDArray[np.int64],
) -> None:
    """For each place of the query: the longest string from there on that is indexed, and where it is sorted in.

    lengths[i]: its length in bytes; ranks[i]: number of suffixes that are smaller than the query from places[i] on.
    The longest common prefix with any suffix is that with the suffix before or after.
    """
    low, high = np.empty(_LANES, dtype=np.int64), np.empty(_LANES, dtype=np.int64)
    low_shared, high_shared = np.empty(_LANES, dtype=np.int64), np.empty(_LANES, dtype=np.int64)
    key, more = np.empty(_LANES, dtype=np.uint64), np.empty(_LANES, dtype=np.uint64)
    for group in range(0, len(places), _LANES):
        lanes = min(_LANES, len(places) - group)
        for lane in range(lanes):
            key[lane], more[lane] = word(query, places[group + lane]), word(query, places[group + lane] + 8)
        _search_keys(keys, more_keys, key, more, lanes, low)
        for lane in range(lanes):
            after = _after_equal(keys, more_keys, key[lane], more[lane], low[lane])
            low[lane] = max((low[lane] - 1) * STEP, -1)
            high[lane] = min(after * STEP, len(suffixes))
            low_shared[lane] = high_shared[lane] = -1
        _search_suffixes(query, places[group : group + lanes], content, suffixes, low, high, low_shared, high_shared)
        for lane in range(lanes):
            place = places[group + lane]
            if low_shared[lane] < 0 <= low[lane]:
                low_shared[lane] = common_prefix(query, place, content, suffixes[low[lane]], 0)[0]
            if high_shared[lane] < 0 and high[lane] < len(suffixes):
                high_shared[lane] = common_prefix(query, place, content, suffixes[high[lane]], 0)[0]
            lengths[group + lane] = max(low_shared[lane], high_shared[lane], 0)
            ranks[group + lane] = high[lane]


@kernel
def _search_keys(
    keys: NDArray[np.uint64],
    more_keys: NDArray[np.uint64],
    key: NDArray[np.uint64],
    more: NDArray[np.uint64],
    lanes: int,
    low: NDArray[np.int64],
) -> None:
    """low[lane]: number of samples whose keys are smaller than the lane's."""
    low[:lanes] = 0
    size = len(keys)
    while size > 0:
        half = (size + 1) >> 1
        for lane in range(lanes):
            middle = low[lane] + half - 1
            if middle < len(keys):
                found = keys[middle]
                if found < key[lane] or (found == key[lane] and more_keys[middle] < more[lane]):
                    low[lane] = middle + 1
        size -= half


@kernel
def _after_equal(
    keys: NDArray[np.uint64], more_keys: NDArray[np.uint64], key: np.uint64, more: np.uint64, low: int
) -> int:
    """The first sample from `low` on whose keys are not these (`low` is none that is smaller)."""
    if low == len(keys) or keys[low] != key or more_keys[low] != more:
        return low
    step = 1
    while low + step < len(keys) and keys[low + step] == key and more_keys[low + step] == more:
        low += step
        step *= 2
    high = min(low + step, len(keys))
    while high - low > 1:
        middle = (low + high) >> 1
        if keys[middle] == key and more_keys[middle] == more:
            low = middle
        else:
            high = middle
    return high


@kernel
def _search_suffixes(
    query: NDArray[np.uint8],
    places: NDArray[np.int64],
    content: NDArray[np.uint8],
    suffixes: NDArray[np.int32],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    low_shared: NDArray[np.int64],
    high_shared: NDArray[np.int64],
) -> None:
    """Halves all intervals until the query lies between two neighbours; notes what was found shared with each."""
    is_open = True
    while is_open:
        is_open = False
        for lane in range(len(places)):
            if high[lane] - low[lane] > 1:
                is_open = True
                middle = (low[lane] + high[lane]) >> 1
                known = max(min(low_shared[lane], high_shared[lane]), 0)
                shared, is_smaller = common_prefix(query, places[lane], content, suffixes[middle], known)
                if is_smaller:
                    high[lane], high_shared[lane] = middle, shared
                else:
                    low[lane], low_shared[lane] = middle, shared


@kernel
def reach(
    query: NDArray[np.uint8],
    places: NDArray[np.int64],
    lengths: NDArray[np.int64],
    ranks: NDArray[np.int64],
    last_end: NDArray[np.int64],
    chars: NDArray[np.int64],
    letters: NDArray[np.int64],
    content: NDArray[np.uint8],
    suffixes: NDArray[np.int32],
    classes: Classes,
    min_chars: int,
    longest: int,
    ends: NDArray[np.int64],
) -> int:
    """How far the longest indexed run from each place on reaches that begins and ends at word boundaries on both sides.

    Walks from the query's place among the suffixes outwards, where ever shorter prefixes are shared. Looks only for
    runs of at least `min_chars` characters, or longer than the longest so far, that lie in no run found before.

    Args:
        query, places, lengths, ranks: as in `match`; the places are those where a run may begin, ascending.
        last_end: for every byte of the query the last place up to there where a run may end.
        chars, letters: number of characters, of letters and digits, before every byte of the query.
        content, suffixes: the index.
        classes: see `character_classes`.
        min_chars, longest: see above.
        ends: places where runs end, as known from other indexes; raised where this one reaches farther.

    Returns:
        Characters of the longest run with a letter or digit.
    """
    furthest = 0
    for index in range(len(places)):
        place = places[index]
        best = ends[index]
        end = last_end[place + lengths[index]]
        if end > max(best, furthest) and chars[end] - chars[place] >= min(min_chars, longest + 1):
            for direction in (-1, 1):
                rank = ranks[index] + min(direction, 0)
                while 0 <= rank < len(suffixes):
                    start = suffixes[rank]
                    end = last_end[place + common_prefix(query, place, content, start, 0)[0]]
                    if end <= max(best, furthest) or chars[end] - chars[place] < min(min_chars, longest + 1):
                        break
                    if is_boundary(content, start, classes):
                        while end > best and not is_boundary(content, start + end - place, classes):
                            end = last_end[end - 1]
                        best = max(best, end)
                    rank += direction
        ends[index] = best
        furthest = max(furthest, best)
        if best > place and letters[best] > letters[place]:
            longest = max(longest, chars[best] - chars[place])
    return longest


@kernel
def interval(
    query: NDArray[np.uint8], at: int, size: int, content: NDArray[np.uint8], suffixes: NDArray[np.int32]
) -> tuple[int, int]:
    """The half-open interval of the suffixes that begin with `query[at : at + size]`."""
    low, high = 0, len(suffixes)
    while low < high:
        middle = (low + high) >> 1
        shared, is_smaller = common_prefix(query, at, content, suffixes[middle], 0)
        if shared >= size or is_smaller:
            high = middle
        else:
            low = middle + 1
    first, high = low, len(suffixes)
    while low < high:
        middle = (low + high) >> 1
        if common_prefix(query, at, content, suffixes[middle], 0)[0] >= size:
            low = middle + 1
        else:
            high = middle
    return first, low


@kernel
def occurrences(
    query: NDArray[np.uint8],
    at: int,
    size: int,
    content: NDArray[np.uint8],
    suffixes: NDArray[np.int32],
    first: NDArray[np.int64],
    classes: Classes,
) -> tuple[int, NDArray[np.int64], NDArray[np.int64]]:
    """How often `query[at : at + size]` stands between boundaries; the texts that hold it, and where it begins in each.

    Ascending; of several places in a text the first. `first` is where each text begins.
    """
    low, high = interval(query, at, size, content, suffixes)
    starts, count = np.empty(high - low, np.int32), 0
    for rank in range(low, high):
        start = suffixes[rank]
        if is_boundary(content, start, classes) and is_boundary(content, start + size, classes):
            starts[count] = start
            count += 1
    sort(starts[:count])
    texts, places, found = np.empty(count, np.int64), np.empty(count, np.int64), 0
    for start in starts[:count]:
        if found == 0 or start >= first[texts[found - 1] + 1]:
            texts[found], places[found] = first_not_below(first, start + 1) - 1, start
            found += 1
    return count, texts[:found], places[:found]


@kernel
def original_chars(
    content: NDArray[np.uint8], start: int, end: int, blanks: NDArray[np.int64], blank_chars: NDArray[np.int64]
) -> int:
    """How many characters of the originals these bytes stand for; see `NormalTexts` for the blanks."""
    count = 0
    for byte in content[start:end]:
        count += byte & 0xC0 != 0x80
    blank = first_not_below(blanks, start)
    while blank < len(blanks) and blanks[blank] < end:
        count += blank_chars[blank]
        blank += 1
    return count
