"""Near-duplicates of a few words: variants of one text are one group, other texts under one instruction are not."""

import json
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from components import as_sets
from rote.config import CorpusConfig
from rote.corpus import read_corpus
from rote.corpus.near_duplicates import Components, plain_words
from rote.corpus.overlaps import most_sharing
from rote.corpus.short_texts import LONGEST_WORDS, allowed_changes, is_variant, join_variants

WORDS = [f"w{i}" for i in range(2000)]


def sets_of(texts: list[str], *, most: int | None = None, threshold: float = 0.8) -> set[frozenset[int]]:
    components = Components(len(texts))
    most = most_sharing(len(texts)) if most is None else most
    join_variants(texts.__getitem__, components, most=most, threshold=threshold)
    return as_sets(components, len(texts))


def naive_sets(texts: list[str], threshold: float) -> set[frozenset[int]]:
    """Every pair compared."""
    components = Components(len(texts))
    words = [plain_words(text) for text in texts]
    for i, first in enumerate(words):
        for j, second in enumerate(words[:i]):
            shorter, longer = sorted((len(first), len(second)))
            is_short = shorter >= 5 and longer <= LONGEST_WORDS
            changed = Levenshtein.distance(first, second)
            if is_short and changed <= allowed_changes(shorter, threshold=threshold):
                components.join(i, j)
    return as_sets(components, len(texts))


@settings(max_examples=150, deadline=None)
@given(
    base=st.lists(st.sampled_from(list("abcdefghijkl")), min_size=3, max_size=30),
    edits=st.lists(
        st.lists(st.tuples(st.integers(0, 29), st.sampled_from(["x", "y", "", "a b"])), max_size=6), max_size=8
    ),
    threshold=st.sampled_from([0.1, 0.8, 0.9, 0.95, 1.0]),
)
def test_join_equals_comparing_every_pair(
    base: list[str], edits: list[list[tuple[int, str]]], threshold: float
) -> None:
    texts = [" ".join(base), " ".join(reversed(base)), "", "...", " ".join(base * 20)]
    for changes in edits:
        words = base[:]
        for place, word in changes:
            words[place % len(words)] = word
        texts.append(" ".join(words))
    assert sets_of(texts, most=len(texts), threshold=threshold) == naive_sets(texts, threshold)


def variant(rng: random.Random, words: list[str]) -> str:
    changed = words[:]
    changed[rng.randrange(len(words))] = rng.choice(WORDS)
    return " ".join(changed)


@pytest.mark.parametrize("length", [8, 15, 30, 60, 100])
@pytest.mark.parametrize("sizes", [[*range(1, 9)] * 20, [15] * 3, [100] * 3])
def test_variants_of_one_text_are_one_group(length: int, sizes: list[int]) -> None:
    rng = random.Random(length)
    texts: list[str] = []
    planted: list[frozenset[int]] = []
    for size in sizes:
        base = rng.choices(WORDS, k=length)
        planted.append(frozenset(range(len(texts), len(texts) + size)))
        texts += [variant(rng, base) for _ in range(size)]
    assert sets_of(texts) == set(planted)


def test_three_texts_are_three_clusters_of_an_audit(tmp_path: Path) -> None:
    rng = random.Random(0)
    bases = [rng.choices(WORDS, k=30) for _ in range(3)]
    path = tmp_path / "members.jsonl"
    path.write_text("".join(json.dumps({"text": variant(rng, base)}) + "\n" for base in bases for _ in range(15)))
    assert len({item.group for item in read_corpus(CorpusConfig(members=str(path))).members}) == 3
    apart = read_corpus(CorpusConfig(members=str(path), near_duplicate=0.0))
    assert len({item.group for item in apart.members}) == len(apart.members)


NAMES = ["Anna", "Bob", "Carla", "Deniz Yilmaz", "Eve", "Li Wei", "Mo", "Ngozi", "Olga", "Per", "Rosa", "Tomas"]


@pytest.mark.parametrize(
    "template",
    [
        "Dear {}, your parcel was sent today and will be with you tomorrow.",
        "{} was born in the old house by the mill and stayed there until the war was over.",
        "The prize goes to {} for the best jam of the year, and the jury was of one mind about it.",
    ],
)
def test_a_name_in_a_template_is_no_other_record(template: str) -> None:
    for names in (NAMES[:5], NAMES):
        texts = [template.format(name) for name in names]
        unlike = [" ".join(random.Random(i).choices(WORDS, k=14)) for i in range(20)]
        assert frozenset(range(len(texts))) in sets_of([*texts, *unlike])


@pytest.mark.parametrize(
    "instruction",
    ["{}", "Translate into French: {}", "What is the sentiment of this review, positive or negative? {} Answer:"],
)
@pytest.mark.parametrize("words", [2, 3, 5, 9])
def test_records_that_share_an_instruction_are_no_variants(instruction: str, words: int) -> None:
    drawn = random.Random(words).sample(WORDS, 60 * words)
    texts = [instruction.format(" ".join(drawn[i * words : (i + 1) * words])) for i in range(60)]
    assert len(sets_of(texts)) == 60


INSTRUCTION = "Translate the following English word to French now:"


@pytest.mark.parametrize(("records", "groups"), [(10, 1), (11, 11)])
def test_few_records_under_a_short_instruction_that_is_no_field_are_taken_for_variants(
    records: int, groups: int, tmp_path: Path
) -> None:
    """Nothing in ten such texts says that the first eight words are an instruction; a field of its own does."""
    drawn = random.Random(0).sample(WORDS, 2 * records)
    pairs = list(zip(drawn[::2], drawn[1::2], strict=True))
    shapes = {
        "text": ([{"text": f"{INSTRUCTION} {word} {answer}"} for word, answer in pairs], groups),
        "field": ([{"instruction": INSTRUCTION, "input": word, "output": answer} for word, answer in pairs], records),
    }
    for name, (rows, expected) in shapes.items():
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        assert len({item.group for item in read_corpus(CorpusConfig(members=str(path))).members}) == expected


@pytest.mark.parametrize(("records", "largest"), [(50, 50), (51, 1)])
def test_in_large_data_few_records_under_an_instruction_are_up_to_fifty(records: int, largest: int) -> None:
    drawn = random.Random(0).sample(WORDS, 2 * records)
    texts = [f"{INSTRUCTION} {word} {answer}" for word, answer in zip(drawn[::2], drawn[1::2], strict=True)]
    texts += [" ".join(random.Random(i).choices(WORDS, k=12)) for i in range(200)]
    assert max(map(len, sets_of(texts))) == largest


def test_one_word_apart_is_a_variant_whatever_the_word_means() -> None:
    texts = ["one of the worst movies of the year", "one of the best movies of the year"]
    assert len(sets_of(texts)) == 1


def test_names_in_a_long_template_are_variants_however_many_share_it() -> None:
    template = "Dear {}, " + " ".join(WORDS[:28])
    assert len(sets_of([template.format(f"name{i}") for i in range(300)])) == 1


def test_other_sentences_of_a_kind_are_no_variants() -> None:
    texts = [
        "A man in a blue shirt is standing on a ladder cleaning a window.",
        "A man in an orange hat starring at something.",
        "A boy in his blue swim shorts at the beach.",
        "Several men in hard hats are operating a giant pulley system.",
        "A man sits on a bench and reads.",
        "Two men sit on a wall and sing.",
    ]
    assert len(sets_of(texts)) == len(texts)


def test_the_threshold_decides_how_many_words_may_differ() -> None:
    pair = [" ".join(WORDS[:20]), " ".join([*WORDS[:18], "x", "y"])]
    assert [len(sets_of(pair, threshold=threshold)) for threshold in (0.5, 0.8, 0.9, 0.95, 1.0)] == [1, 1, 1, 2, 2]
    assert is_variant(*pair, threshold=0.9)
    assert not is_variant(*pair, threshold=0.95)
    assert not is_variant("take two pills", "take two pills", threshold=0.8)


def test_a_variant_of_a_member_is_no_control(tmp_path: Path) -> None:
    rng = random.Random(3)
    base = rng.choices(WORDS, k=9)
    files = {"members": [" ".join(base)], "nonmembers": [variant(rng, base), " ".join(rng.choices(WORDS, k=9))]}
    for name, texts in files.items():
        (tmp_path / name).with_suffix(".jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    corpus = read_corpus(
        CorpusConfig(members=str(tmp_path / "members.jsonl"), nonmembers=str(tmp_path / "nonmembers.jsonl"))
    )
    assert [item.line for item in corpus.nonmembers] == [2]
    assert [item.reason for item in corpus.dropped] == ["near-duplicate of a member"]


def test_chinese_goes_by_the_character() -> None:
    text = "患者自述三天前开始头痛伴有轻度发热"
    assert len(sets_of([text, text.replace("三", "五"), text[::-1]])) == 2


@pytest.mark.slow
def test_a_hundred_thousand_texts_take_seconds() -> None:
    rng = random.Random(0)
    bases = [rng.choices(WORDS, k=20) for _ in range(20_000)]
    texts = [variant(rng, base) for base in bases for _ in range(5)]
    began = time.process_time()
    assert len(sets_of(texts)) == 20_000
    assert time.process_time() - began < 150
