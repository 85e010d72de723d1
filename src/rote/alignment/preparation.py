"""Texts made ready for alignment, in bulk: each becomes one array of numbers, which a compiled call takes as one."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from rote.alignment.evidence import Words
from rote.alignment.presets import Preset
from rote.alignment.seeding import Ints, Rows
from rote.alignment.symbols import hash_blocks
from rote.alignment.verbatim import block_size
from rote.kernels import kernel
from rote.kernels.ordering import sort_by
from rote.text.bulk import Reading, read_texts, reader_of
from rote.text.characters import NEWLINE, SPACE, Classes, character_classes

Numbers = npt.NDArray[np.int32]

HEADER = 5
"""How many rows, entries of rows, terms, words and blocks there are stands first."""
BLOCKS = 4
"""Where the number of blocks stands; they themselves stand last."""
MAX_READ_CHARS = 1 << 20
"""Texts are read so many characters at a time; what is needed meanwhile takes up to 60 bytes for each."""
WORD_PRICE, LINE_PRICE, SENTENCE_PRICE = 2, 1, 0
"""Price of a cut in front of a word, a line, a sentence, in halves of the full price."""


class PreparedText(NamedTuple):
    """A text as the kernels read it."""

    rows: Rows
    """Its sentences; those of few terms are merged with their successors."""
    words: Words
    """Its words that have a term; none where the preset weighs no evidence."""
    blocks: Ints
    """See `rote.alignment.symbols.hash_blocks`; none where the preset does not look for runs in the raw texts."""


class Settings(NamedTuple):
    """What the kernels need to know of a preset."""

    drops_stop_words: bool
    min_terms: int
    merged_end_is_short: bool
    with_words: bool
    block_size: int
    """0: no blocks."""


def settings_of(preset: Preset) -> Settings:
    """What the kernels need to know of a preset."""
    return Settings(
        drops_stop_words=preset.drops_stop_words,
        min_terms=preset.min_sentence_terms,
        merged_end_is_short=preset.merged_end_is_short,
        with_words=preset.evidence is not None,
        block_size=block_size(preset.verbatim_min_chars + 1) if preset.verbatim_anywhere else 0,
    )


def prepare(text: str, preset: Preset, *, language: str) -> PreparedText:
    """One prepared text."""
    return unpack(prepare_all([text], preset, language=language)[0])


def prepare_all(texts: Sequence[str], preset: Preset, *, language: str) -> list[Numbers]:
    """The prepared texts, in order, as `unpack` takes them: about four bytes for each character of English."""
    settings, reader = settings_of(preset), reader_of(language)
    found: list[Numbers] = []
    for batch in _batches(texts):
        reading = read_texts(batch, language)
        places = np.full(len(reader.terms), -1, np.int32)
        numbers, starts = _pack(reading, places, reader.keys(), character_classes(), settings)
        found += [numbers[start:end].copy() for start, end in pairwise(starts.tolist())]
    return found


def _batches(texts: Sequence[str]) -> Iterator[Sequence[str]]:
    """The texts in order, with at most `MAX_READ_CHARS` characters together; a longer one is alone."""
    first = held = 0
    for place, text in enumerate(texts):
        if place > first and held + len(text) > MAX_READ_CHARS:
            yield texts[first:place]
            first, held = place, 0
        held += len(text)
    if first < len(texts):
        yield texts[first:]


@kernel
def unpack(numbers: Numbers) -> PreparedText:
    """Views of the numbers."""
    sentences, entries, terms, words, blocks = numbers[0], numbers[1], numbers[2], numbers[3], numbers[BLOCKS]
    starts, at = _next(numbers, HEADER, sentences)
    ends, at = _next(numbers, at, sentences)
    row_starts, at = _next(numbers, at, sentences + 1)
    columns, at = _next(numbers, at, entries)
    counts, at = _next(numbers, at, entries)
    own_terms, at = _next(numbers, at, terms)
    more_terms, at = _next(numbers, at, terms)
    frequencies, at = _next(numbers, at, terms)
    word_starts, at = _next(numbers, at, words)
    word_ends, at = _next(numbers, at, words)
    word_terms, at = _next(numbers, at, words)
    is_function, at = _next_bytes(numbers, at, words)
    prices, at = _next_bytes(numbers, at, words + 1)
    term_counts, at = _next(numbers, at, terms)
    first_words, at = _next(numbers, at, sentences)
    end_words, at = _next(numbers, at, sentences)
    hashes, at = _next(numbers, at, blocks)
    return PreparedText(
        Rows(starts, ends, row_starts, columns, counts, own_terms, more_terms, frequencies),
        Words(word_starts, word_ends, word_terms, term_counts, is_function, prices, first_words, end_words),
        hashes,
    )


@kernel
def _next(numbers: Numbers, at: int, size: int) -> tuple[Numbers, int]:
    return numbers[at : at + size], at + size


@kernel
def _next_bytes(numbers: Numbers, at: int, size: int) -> tuple[npt.NDArray[np.int8], int]:
    end = at + (size + 3) // 4
    return numbers[at:end].view(np.int8)[:size], end


class _Room(NamedTuple):
    """What the texts of a batch need, one after the other, while they are packed."""

    kept: Numbers
    """Words of the reading."""
    local: Numbers
    """The local term of each."""
    known: Numbers
    """The different terms."""
    by_term: Numbers
    """The rows of the words, in the order of their local terms."""
    term_ends: Numbers
    """Per local term where its rows end there."""
    rows: Numbers
    """Per row: its first word, the first after it, its first character, its end. Rows × 4."""
    cuts: Numbers
    """Per cut: characters from and up to which it reaches, and its price. Cuts × 3."""


@kernel
def _pack(
    reading: Reading, places: Numbers, keys: npt.NDArray[np.int64], classes: Classes, settings: Settings
) -> tuple[Numbers, npt.NDArray[np.int64]]:
    """The numbers of all texts, one after the other, and where each begins; after the last, where it ends.

    Args:
        reading: the texts.
        places: room for each term: -1, and so again afterwards.
        keys: of each term; see `TermReader.keys`.
        classes: see `character_classes`.
        settings: see there.
    """
    room = _room_for(reading)
    texts, sentences, words = len(reading.ends) - 1, len(reading.starts), len(reading.terms)
    blocks = len(reading.codes) // settings.block_size if settings.block_size else 0
    numbers = np.empty((HEADER + 4) * texts + 5 * sentences + 10 * words + blocks, np.int32)
    starts = np.zeros(texts + 1, np.int64)
    for text in range(texts):
        part = numbers[starts[text] :]
        codes = reading.codes[reading.ends[text] : reading.ends[text + 1]]
        rows, words = _keep_words(reading, text, room, settings)
        known = _number_terms(reading, places, keys, room, words)
        entries, at = _write_rows(part, keys, room, rows, known)
        words = words if settings.with_words else 0
        at = _write_words(part, at, reading, text, classes, room, words)
        at = _write_counts(part, at, room, rows, known, words)
        blocks = hash_blocks(codes, classes, settings.block_size, part[at:]) if settings.block_size else 0
        part[0], part[1], part[2], part[3], part[BLOCKS] = rows, entries, known, words, blocks
        starts[text + 1] = starts[text] + at + blocks
    return numbers, starts


@kernel
def _room_for(reading: Reading) -> _Room:
    words, sentences = len(reading.terms), len(reading.starts)
    cuts = len(reading.codes) // 2 + sentences + 2
    return _Room(
        np.empty(words, np.int32),
        np.empty(words, np.int32),
        np.empty(words, np.int32),
        np.empty(words, np.int32),
        np.empty(words + 1, np.int32),
        np.empty((sentences, 4), np.int32),
        np.empty((cuts, 3), np.int32),
    )


@kernel
def _keep_words(reading: Reading, text: int, room: _Room, settings: Settings) -> tuple[int, int]:
    """Chooses the words, and rows of them; returns how many there are of both.

    A row is a sentence with a term; one of fewer than `min_terms` is merged into its successor, from left to right, and
    the last one stays.
    """
    rows = words = 0
    for sentence in range(reading.first_sentences[text], reading.first_sentences[text + 1]):
        first, start, end = words, reading.starts[sentence], reading.stops[sentence]
        for word in range(reading.first_words[sentence], reading.first_words[sentence + 1]):
            if not (settings.drops_stop_words and reading.is_function[word]):
                room.kept[words] = word
                words += 1
        if words == first:
            continue
        if rows and room.rows[rows - 1, 1] - room.rows[rows - 1, 0] < settings.min_terms:
            rows -= 1
            first = room.rows[rows, 0]
            if settings.merged_end_is_short:
                end = room.rows[rows, 3] + end - start
            start = room.rows[rows, 2]
        room.rows[rows, 0], room.rows[rows, 1], room.rows[rows, 2], room.rows[rows, 3] = first, words, start, end
        rows += 1
    return rows, words


@kernel
def _number_terms(reading: Reading, places: Numbers, keys: npt.NDArray[np.int64], room: _Room, words: int) -> int:
    """Notes the different terms, by ascending keys, and for each word the place of its own among them; returns their number."""
    found = 0
    for at in range(words):
        term = reading.terms[room.kept[at]]
        room.local[at] = term
        if places[term] < 0:
            places[term] = 0
            room.known[found] = term
            found += 1
    sort_by(room.known[:found], keys)
    for place in range(found):
        places[room.known[place]] = place
    for at in range(words):
        room.local[at] = places[room.local[at]]
    for place in range(found):
        places[room.known[place]] = -1
    return found


@kernel
def _write_rows(part: Numbers, keys: npt.NDArray[np.int64], room: _Room, rows: int, known: int) -> tuple[int, int]:
    """Writes the sentences and their terms, from the header on; returns the number of entries, and where they end.

    Term by term, and in each row at its next free place: so the columns of a row ascend.
    """
    _order_by_term(room, rows, known)
    free, first_column = HEADER + 2 * rows, HEADER + 3 * rows + 1
    entries = _find_places(part, free, room, rows, known)
    first_count, first_term = first_column + entries, first_column + 2 * entries
    frequencies = first_term + 2 * known
    for term in range(known):
        key = keys[room.known[term]]
        part[first_term + term], part[first_term + known + term] = key >> 31, key & 0x7FFFFFFF
    start = 0
    for term in range(known):
        part[frequencies + term], before, place = 0, -1, 0
        for row in room.by_term[start : room.term_ends[term]]:
            if row != before:
                before, place = row, part[free + row]
                part[free + row] = place + 1
                part[first_column + place], part[first_count + place] = term, 0
                part[frequencies + term] += 1
            part[first_count + place] += 1
        start = room.term_ends[term]
    for row in range(rows, 0, -1):
        part[free + row] = part[free + row - 1]
        part[HEADER + row - 1], part[HEADER + rows + row - 1] = room.rows[row - 1, 2], room.rows[row - 1, 3]
    part[free] = 0
    return entries, frequencies + known


@kernel
def _order_by_term(room: _Room, rows: int, known: int) -> None:
    words = room.rows[rows - 1, 1] if rows else 0
    ends = room.term_ends[: known + 1]
    ends[:] = 0
    for term in room.local[:words]:
        ends[term + 1] += 1
    for term in range(known):
        ends[term + 1] += ends[term]
    for row in range(rows):
        for term in room.local[room.rows[row, 0] : room.rows[row, 1]]:
            room.by_term[ends[term]] = row
            ends[term] += 1


@kernel
def _find_places(part: Numbers, free: int, room: _Room, rows: int, known: int) -> int:
    """Writes, from `free` on, where each row's entries begin; returns the number of entries."""
    part[free : free + rows + 1] = 0
    start = 0
    for term in range(known):
        before = -1
        for row in room.by_term[start : room.term_ends[term]]:
            part[free + row + 1] += row != before
            before = row
        start = room.term_ends[term]
    for row in range(rows):
        part[free + row + 1] += part[free + row]
    return int(part[free + rows])


@kernel
def _put(part: Numbers, at: int, values: Numbers) -> int:
    """Copies the values there; returns where they end."""
    end = at + len(values)
    part[at:end] = values
    return end


@kernel
def _write_words(
    part: Numbers,
    at: int,
    reading: Reading,
    text: int,
    classes: Classes,
    room: _Room,
    words: int,
) -> int:
    """Writes the words from `at` on, with the characters and prices of the cuts between them; returns where they end."""
    starts, at = _next(part, at, words)
    ends, at = _next(part, at, words)
    first_byte = _put(part, at, room.local[:words])
    functions, at = _next_bytes(part, first_byte, words)
    prices, at = _next_bytes(part, at, words + 1)
    part[first_byte:at] = 0
    cuts = _find_cuts(reading, text, classes, room.cuts) if words else 0
    cut = 0
    for word in range(words):
        read = room.kept[word]
        start, price = reading.word_starts[read], WORD_PRICE
        while cut < cuts and room.cuts[cut, 1] <= reading.word_starts[read]:
            its_price = room.cuts[cut, 2]
            if word and (its_price < price or price == WORD_PRICE):
                ends[word - 1] = room.cuts[cut, 0]
            if its_price <= price:
                start, price = room.cuts[cut, 1], its_price
            cut += 1
        starts[word], ends[word] = start, reading.word_ends[read]
        prices[word] = price if word else SENTENCE_PRICE
        functions[word] = reading.is_function[read]
    prices[words] = SENTENCE_PRICE
    if words and cut < cuts:
        ends[words - 1] = room.cuts[cut, 0]
    return at


@kernel
def _find_cuts(reading: Reading, text: int, classes: Classes, cuts: Numbers) -> int:
    """Writes the white space between sentences and between lines, with what a cut there costs; returns its number."""
    codes = reading.codes[reading.ends[text] : reading.ends[text + 1]]
    first, last = reading.first_sentences[text], reading.first_sentences[text + 1]
    sentence, before, count, at = first, 0, 0, 0
    while at <= len(codes):
        if at < len(codes) and codes[at] != NEWLINE:
            at += 1
            continue
        start = end = at
        while start > 0 and classes[codes[start - 1]] & SPACE:
            start -= 1
        while end < len(codes) and classes[codes[end]] & SPACE:
            end += 1
        is_known = at == len(codes)
        while sentence <= last and before <= start:
            is_known |= before == start
            cuts[count, 0] = before
            cuts[count, 1] = reading.starts[sentence] if sentence < last else len(codes)
            cuts[count, 2] = SENTENCE_PRICE
            if sentence < last:
                before = reading.stops[sentence]
            sentence += 1
            count += 1
        if not is_known:
            cuts[count, 0], cuts[count, 1], cuts[count, 2] = start, end, LINE_PRICE
            count += 1
        at = end + 1
    return count


@kernel
def _write_counts(part: Numbers, at: int, room: _Room, rows: int, known: int, words: int) -> int:
    """Writes how many words have each term, and which words each row has; returns where they end."""
    counts, at = _next(part, at, known)
    counts[:] = 0
    for word in range(words):
        counts[room.local[word]] += 1
    for row in range(rows):
        part[at + row] = room.rows[row, 0] if words else 0
        part[at + rows + row] = room.rows[row, 1] if words else 0
    return at + 2 * rows
