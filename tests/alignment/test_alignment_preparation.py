"""Reading in bulk and prepared texts: the kernels against the plain reference, laws."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import hostile
import reference_preparation as reference
from rote.alignment import CORRECTED, PRESETS, Preset, preparation
from rote.alignment.preparation import PreparedText, prepare, prepare_all, unpack
from rote.alignment.symbols import add_owner, hash_blocks, mark_owners, no_owners
from rote.alignment.verbatim import raw_symbols
from rote.text import sentences, terms
from rote.text.bulk import read_texts, reader_of
from rote.text.characters import character_classes, codes_of

texts = st.text(max_size=120) | st.randoms(use_true_random=False).map(lambda draw: hostile.text_of(draw.randrange))
presets = st.sampled_from([*PRESETS.values(), replace(CORRECTED, drops_stop_words=True, min_sentence_terms=9)])


@given(text=texts, preset=presets, language=st.sampled_from(hostile.LANGUAGES))
@example(text="Yes. No. We all went home early.\n\n\n \n- It is", preset=CORRECTED, language="en")
@example(text=" \n ", preset=CORRECTED, language="en")
@settings(max_examples=400)
def test_prepared_texts_are_those_of_the_reference(text: str, preset: Preset, language: str) -> None:
    found, expected = prepare(text, preset, language=language), reference.prepare(text, preset, language)
    rows, words, _ = found
    names = names_of(found, language)
    spans = [(row.span.start, row.span.end) for row in expected.rows]
    assert list(zip(rows.starts.tolist(), rows.ends.tolist(), strict=True)) == spans
    assert counts_of(found, names) == [row.counts for row in expected.rows]
    assert rows.frequencies.tolist() == [sum(name in row.counts for row in expected.rows) for name in names]
    columns = (words.starts, words.ends, [names[term] for term in words.terms], words.is_function, words.prices / 2)
    mine = [(word.start, word.end, word.term, word.is_function, word.price) for word in expected.words]
    assert list(zip(*columns, strict=False)) == mine
    assert words.counts.tolist() == [sum(word.term == name for word in expected.words) for name in names]
    assert words.prices[-1] == 0
    assert (np.diff(keys_of(found)) > 0).all()


def names_of(found: PreparedText, language: str) -> list[str]:
    """The text's terms, in the order of their keys."""
    reader = reader_of(language)
    by_key = dict(zip(reader.keys().tolist(), reader.terms, strict=True))
    return [by_key[key] for key in keys_of(found)]


def keys_of(found: PreparedText) -> list[int]:
    pairs = zip(found.rows.terms.tolist(), found.rows.more_terms.tolist(), strict=True)
    return [(high << 31) + low for high, low in pairs]


def test_what_was_read_before_changes_no_byte() -> None:
    text = "The nurse counted eleven tablets and wrote the dose of warfarin into the chart before breakfast."
    before = prepare_all([text], CORRECTED, language="en")[0]
    reader_of.cache_clear()
    prepare_all(["breakfast chart dose eleven warfarin nurse", text[20:]], CORRECTED, language="en")
    assert np.array_equal(prepare_all([text], CORRECTED, language="en")[0], before)


def counts_of(found: PreparedText, names: list[str]) -> list[Counter[str]]:
    """Per row, how often each term stands in it; columns ascend."""
    counted = []
    for start, end in zip(found.rows.row_starts, found.rows.row_starts[1:], strict=False):
        columns = found.rows.columns[start:end].tolist()
        assert columns == sorted(set(columns))
        counted.append(
            Counter(dict(zip([names[column] for column in columns], found.rows.counts[start:end], strict=True)))
        )
    return counted


@given(texts)
@settings(max_examples=100)
def test_words_are_in_order_in_bounds_and_in_their_rows(text: str) -> None:
    rows, words, _ = prepare(text, CORRECTED, language="en")
    assert ((words.starts >= 0) & (words.starts < words.ends) & (words.ends <= len(text))).all()
    assert (words.starts[1:] >= words.ends[:-1]).all()
    assert words.counts.sum() == len(words.terms) == rows.counts.sum()
    for row, (start, end) in enumerate(zip(rows.starts, rows.ends, strict=True)):
        inside = [word for word, place in enumerate(words.starts) if start <= place < end]
        assert inside == list(range(words.first_words[row], words.end_words[row]))


@given(st.lists(texts, max_size=8), presets)
@settings(max_examples=60)
def test_texts_read_together_are_those_read_alone(several: list[str], preset: Preset) -> None:
    together = prepare_all(several, preset, language="en")
    assert len(together) == len(several)
    for text, numbers in zip(several, together, strict=True):
        assert np.array_equal(numbers, prepare_all([text], preset, language="en")[0])
        assert len(numbers) == 5 + sum(len(part) for part in flat(unpack(numbers)))


def flat(found: PreparedText) -> list[np.ndarray]:  # type: ignore[type-arg]
    """The arrays as they lie in the numbers: bytes four to a number."""
    return [
        np.zeros((len(part) + 3) // 4) if part.dtype == np.int8 else part
        for part in (*found.rows, *found.words, found.blocks)
    ]


@given(texts, st.sampled_from(hostile.LANGUAGES))
@settings(max_examples=100)
def test_a_reading_holds_the_terms_of_each_sentence(text: str, language: str) -> None:
    reading = read_texts(["", text], language)
    spans = list(zip(reading.starts.tolist(), reading.stops.tolist(), strict=True))
    assert spans == [(span.start, span.end) for span in sentences(text, language=language)]
    held = [terms(text[start:stop], language=language) for start, stop in spans]
    assert [reader_of(language).terms[number] for number in reading.terms] == [term for part in held for term in part]
    assert np.diff(reading.first_words).tolist() == [len(part) for part in held]


@pytest.mark.parametrize(("sizes", "expected"), [([], []), ([2, 2, 2], [2, 1]), ([9, 1], [1, 1]), ([0, 0, 5, 0], [4])])
def test_batches_are_bounded(monkeypatch: pytest.MonkeyPatch, sizes: list[int], expected: list[int]) -> None:
    monkeypatch.setattr(preparation, "MAX_READ_CHARS", 5)
    assert [len(batch) for batch in preparation._batches(["x" * size for size in sizes])] == expected


spaced = st.text(st.sampled_from("ab \n\u2003"), max_size=40)


@given(text=spaced, others=st.lists(spaced, max_size=3), size=st.integers(1, 4))
@settings(max_examples=300)
def test_texts_that_share_a_block_are_marked(text: str, others: list[str], size: int) -> None:
    table, is_met = no_owners(sum(map(len, others))), np.zeros(len(others), dtype=np.bool_)
    blocks = []
    for owner, other in enumerate(others):
        symbols, hashes = raw_symbols(other).symbols.tolist(), np.empty(len(other), dtype=np.int32)
        blocks.append([symbols[at : at + size] for at in range(0, len(symbols) - size + 1, size)])
        assert hash_blocks(codes_of(other), character_classes(), size, hashes) == len(blocks[-1])
        add_owner(table, hashes[: len(blocks[-1])], owner)
    mark_owners(raw_symbols(text).symbols, size, table, is_met)
    symbols = raw_symbols(text).symbols.tolist()
    windows = [symbols[at : at + size] for at in range(len(symbols) - size + 1)]
    assert is_met.tolist() == [any(block in windows for block in held) for held in blocks]
