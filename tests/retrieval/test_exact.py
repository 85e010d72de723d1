"""The exact index against plain search: `in` over all texts, and token by token for the runs."""

import re
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rote.errors import DataError, RunError
from rote.records import Example, Source, Span
from rote.retrieval.exact import ExactIndex, build_exact, open_exact
from rote.retrieval.exact.boundaries import decode, is_boundary, read_tokens
from rote.retrieval.exact.normal import normal_texts
from rote.text import tokens
from rote.text.characters import character_classes

PARTS = ["a", "b", "ab", " ", "  ", "\n", "\u3000", "é", "中", "文", "ก", "\ud800", "\0", "'", "1", ".", "\u0301", "😀"]
hostile_texts = st.lists(st.sampled_from(PARTS), max_size=12).map("".join)
repetitive_texts = st.lists(st.sampled_from(["a", "b", " "]), max_size=40).map("".join)
texts = st.one_of(hostile_texts, repetitive_texts)


def example(name: str, text: str) -> Example:
    return Example(id=name, prompt="", completion=text, split="member", group=name)


def made(folder: Path, held: list[str], *, shard_bytes: int = 1 << 20) -> ExactIndex:
    build_exact([example(f"{i:03}", text) for i, text in enumerate(held)], folder / "exact", shard_bytes=shard_bytes)
    return open_exact(folder / "exact")


def spaced(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def normal(text: str) -> bytes:
    return spaced(text).encode("utf-8", "surrogatepass")


def plain_lengths(text: str, held: list[str]) -> list[int]:
    """Longest prefix of each rest of the text that is `in` a text."""
    query, contents = normal(text), [normal(other) for other in held]
    found = []
    for at in range(len(query)):
        sizes = [n for n in range(len(query) - at + 1) if any(query[at : at + n] in content for content in contents)]
        found.append(max(sizes, default=0))
    return found


def keys(text: str) -> list[str]:
    return [" " if span.of(text).isspace() else span.of(text) for span in tokens(text)]


def plain_runs(text: str, held: list[str], min_chars: int) -> list[tuple[Span, int, int, int]]:
    """Span, characters, occurrences and number of texts of all maximal runs of tokens; every pair of ends is tried."""
    own, spans, others = keys(text), tokens(text), [keys(other) for other in held]
    found = []
    for start in range(len(own)):
        for end in range(start + 1, len(own) + 1):
            part = own[start:end]
            counts = [sum(o[i : i + len(part)] == part for i in range(len(o) - len(part) + 1)) for o in others]
            if part[0] != " " != part[-1] and any(counts):
                found.append((start, end, sum(counts), sum(count > 0 for count in counts)))
    runs = []
    for start, end, occurrences, holding in found:
        is_maximal = not any(s <= start and end <= e and (s, e) != (start, end) for s, e, _, _ in found)
        joined = "".join(own[start:end])
        if is_maximal and len(joined) >= min_chars and any(character.isalnum() for character in joined):
            runs.append((Span(spans[start].start, spans[end - 1].end), len(joined), occurrences, holding))
    return runs


@given(st.lists(texts, max_size=4))
def test_normal_texts_are_the_bytes_with_one_blank_for_white_space(held: list[str]) -> None:
    found = normal_texts(held)
    assert found.content.tobytes() == b"".join(normal(text) + b"\xff" for text in held)
    assert found.first.tolist() == [0, *accumulate(len(normal(text)) + 1 for text in held)]


def test_every_white_space_is_one_blank() -> None:
    spaces = [chr(code) for code in range(0x110000) if chr(code).isspace()]
    (text,) = normal_texts(["a".join(spaces)]).content.tobytes().split(b"\xff")[:-1]
    assert text == b"a".join([b" "] * len(spaces))
    others = "".join(chr(code) for code in range(0x110000) if not chr(code).isspace())
    assert normal_texts([others]).content[:-1].tobytes() == others.encode("utf-8", "surrogatepass")


token_texts = st.text(
    st.one_of(st.sampled_from("ab1_ '’.,-\u0301\u0e01\u0e31\u0e51中é\ud800\u0660😀"), st.characters())
)


@settings(max_examples=300)
@given(token_texts)
def test_boundaries_are_those_of_the_tokens(text: str) -> None:
    spaced_text = spaced(text)
    content = normal_texts([text]).content
    found = [place for place in range(len(content)) if is_boundary(content, place, character_classes())]
    starts = [span.start for span in tokens(spaced_text)] + [len(spaced_text)]
    assert found == [len(spaced_text[:start].encode("utf-8", "surrogatepass")) for start in starts]
    assert decode(content[:-1]).tolist() == list(map(ord, spaced_text))


@given(token_texts)
def test_tokens_are_read_as_they_are_cut(text: str) -> None:
    spaced_text = spaced(text)
    content = normal_texts([text]).content[:-1]
    starts, last_end, chars, letters = (np.zeros(len(content) + 1, dtype=np.int64) for _ in range(4))
    count = read_tokens(content, character_classes(), starts, last_end, chars, letters)
    spans = [span for span in tokens(spaced_text) if span.of(spaced_text) != " "]
    place = [len(spaced_text[:at].encode("utf-8", "surrogatepass")) for at in range(len(spaced_text) + 1)]
    assert starts[:count].tolist() == [place[span.start] for span in spans]
    for at, byte in enumerate(place):
        assert last_end[byte] == max((place[span.end] for span in spans if span.end <= at), default=0)
        assert (chars[byte], letters[byte]) == (at, sum(map(str.isalnum, spaced_text[:at])))


@settings(max_examples=150)
@given(
    held=st.lists(texts, max_size=5),
    text=texts,
    shard_bytes=st.sampled_from([200, 1 << 20]),
    min_chars=st.integers(1, 6),
)
def test_all_agrees_with_plain_search(
    tmp_path_factory: pytest.TempPathFactory, held: list[str], text: str, shard_bytes: int, min_chars: int
) -> None:
    index = made(tmp_path_factory.mktemp("exact"), held, shard_bytes=shard_bytes)
    (lengths,) = index.matching_lengths([text])
    assert lengths.tolist() == plain_lengths(text, held)
    runs = index.runs(text, min_chars=min_chars)
    expected = plain_runs(text, held, min_chars)
    assert [(run.generated, run.chars, run.occurrences, run.examples) for run in runs] == expected
    assert index.longest_run(text) == max((chars for _, chars, _, _ in plain_runs(text, held, 1)), default=0)
    for run in runs:
        assert len(run.sources) == min(run.examples, 3)
        for source in run.sources:
            assert source.training in aligned_spans(held[int(source.example_id)])
            assert spaced(source.training.of(held[int(source.example_id)])) == spaced(run.generated.of(text))


def aligned_spans(text: str) -> set[Span]:
    found = tokens(text)
    return {Span(one.start, two.end) for i, one in enumerate(found) for two in found[i:]}


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["one two three", "two three four", "three"]), min_size=40, max_size=120))
def test_many_equal_suffixes(tmp_path_factory: pytest.TempPathFactory, held: list[str]) -> None:
    """More equal keys than stand between two sampled suffixes."""
    index = made(tmp_path_factory.mktemp("exact"), held)
    text = "one two three four"
    assert index.matching_lengths([text])[0].tolist() == plain_lengths(text, held)
    found = [(run.generated, run.chars, run.occurrences, run.examples) for run in index.runs(text, min_chars=5)]
    assert found == plain_runs(text, held, 5)


def test_a_source_is_named_where_it_stands(tmp_path: Path) -> None:
    held = ["Unrelated.", "He said:\n\n\tthe  quick\u3000brown fox — and left.", "a quick brown fox"]
    (run,) = made(tmp_path, held).runs("See, the quick\nbrown fox!", min_chars=10)
    assert run.generated.of("See, the quick\nbrown fox!") == "the quick\nbrown fox"
    assert (run.chars, run.occurrences, run.examples) == (19, 1, 1)
    (source,) = run.sources
    assert source.example_id == "001"
    assert source.training.of(held[1]) == "the  quick\u3000brown fox"


def test_runs_end_at_words_of_both_texts(tmp_path: Path) -> None:
    held = ["concatenate the parts", "we cat the partridge"]
    index = made(tmp_path, held)
    found = [run.generated.of("cat the part") for run in index.runs("cat the part", min_chars=3)]
    assert found == ["cat the"]
    assert index.matching_lengths(["cat the part"])[0][0] == len("cat the part")


def test_preferred_sources_come_first_and_all_are_counted(tmp_path: Path) -> None:
    index = made(tmp_path, ["the same words twice, the same words"] * 9)
    (run,) = index.runs("the same words", min_chars=5, prefer=["absent", "007", "004", "007"])
    assert [source.example_id for source in run.sources] == ["007", "004", "000"]
    assert run.sources[0] == Source("007", Span(0, 14))
    assert (run.occurrences, run.examples) == (18, 9)


def test_empty_index_and_empty_texts(tmp_path: Path) -> None:
    assert made(tmp_path / "none", []).runs("any text", min_chars=1) == []
    assert made(tmp_path / "none", []).longest_run("any text") == 0
    index = made(tmp_path / "empty", ["", " \n", ""])
    assert index.matching_lengths(["", "a", " "])[2].tolist() == [1]
    assert index.runs("a", min_chars=1) == index.runs("", min_chars=1) == []


def test_an_index_of_the_same_texts_is_kept(tmp_path: Path) -> None:
    made(tmp_path, ["one text", "another"])
    before = (tmp_path / "exact" / "0" / "suffixes.npy").stat().st_mtime_ns
    made(tmp_path, ["one text", "another"])
    assert (tmp_path / "exact" / "0" / "suffixes.npy").stat().st_mtime_ns == before
    assert made(tmp_path, ["one text", "other"]).longest_run("other") == 5
    assert [path.name for path in tmp_path.iterdir()] == ["exact"]


def test_arrays_stay_on_the_disk(tmp_path: Path) -> None:
    (shard,) = made(tmp_path, ["one text"]).shards
    assert isinstance(shard.suffixes.base, np.memmap)


def test_what_cannot_be_indexed_or_opened_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"record 000 has 33 bytes of text; 20 can be indexed"):
        made(tmp_path, ["a text that is longer than that."], shard_bytes=20)
    with pytest.raises(RunError, match="no index there; `rote retrieve` makes it"):
        open_exact(tmp_path / "nowhere")


@pytest.mark.slow
def test_a_long_text_without_blanks_or_of_one_letter(tmp_path: Path) -> None:
    index = made(tmp_path, ["a" * 1_000_000, "b c " * 100_000], shard_bytes=1 << 22)
    assert index.longest_run("a" * 10_000) == 0
    assert index.longest_run("b c " * 1_000) == 3999
    assert index.matching_lengths(["a" * 10_000])[0][0] == 10_000
