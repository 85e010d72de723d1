"""Near-duplicates, shared contexts, groups, contamination, splits and draws."""

import dataclasses
import json
import os
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components import as_sets
from rote.config import CorpusConfig
from rote.corpus import Corpus, read_corpus, split
from rote.corpus.near_duplicates import Components, join_near_duplicates, shingles_of
from rote.corpus.overlaps import MAX_SHARING
from rote.corpus.splits import draw
from rote.records import Example, content_id

PASSAGE = "The long brick shed on Alder Row made rope for the river barges until 1926."


def example(text: str, *, group: str = "") -> Example:
    name = content_id("", text)
    return Example(name, "", text, "member", group or name)


def components_of(texts: list[str], threshold: float) -> set[frozenset[int]]:
    components = Components(len(texts))
    join_near_duplicates(texts.__getitem__, components, threshold=threshold)
    return as_sets(components, len(texts))


def naive_components(texts: list[str], threshold: float) -> set[frozenset[int]]:
    """Every pair compared."""
    components = Components(len(texts))
    shingles = [shingles_of(text) for text in texts]
    for i, first in enumerate(shingles):
        for j, second in enumerate(shingles[:i]):
            if len(first & second) / len(first | second) >= threshold:
                components.join(i, j)
    return as_sets(components, len(texts))


@settings(max_examples=150)
@given(
    base=st.lists(st.sampled_from(list("abcdefgh")), min_size=1, max_size=25),
    edits=st.lists(st.tuples(st.integers(0, 24), st.sampled_from(["x", "y", "", "a b"])), max_size=8),
    cuts=st.lists(st.integers(1, 25), max_size=5),
    threshold=st.sampled_from([0.1, 0.3, 0.5, 0.75, 0.8, 0.9, 1.0]),
)
def test_join_equals_comparing_every_pair(
    base: list[str], edits: list[tuple[int, str]], cuts: list[int], threshold: float
) -> None:
    edited = [" ".join([*base[:place], word, *base[place + 1 :]]) for place, word in edits]
    cut = [" ".join(base[:length]) for length in cuts]
    texts = [" ".join(base), *edited, *cut, " ".join(reversed(base)), "", "...", "a"]
    assert components_of(texts, threshold) == naive_components(texts, threshold)


def test_join_equals_comparing_every_pair_on_chains_and_templates() -> None:
    rng = random.Random(0)
    template = [f"w{i}" for i in range(60)]
    texts = []
    for _ in range(120):
        words = template[:]
        for place in rng.sample(range(60), rng.choice([1, 2, 3])):
            words[place] = rng.choice("pqrs")
        texts.append(" ".join(words[: rng.choice([50, 60])]))
    for threshold in (0.4, 0.6, 0.8):
        assert components_of(texts, threshold) == naive_components(texts, threshold)


def test_threshold_is_reached_or_not() -> None:
    words = [f"w{i}" for i in range(13)]  # 9 shingles each, 8 of them shared: 8 of 10
    pair = [" ".join(words), " ".join([*words[:-1], "other"])]
    assert len(components_of(pair, 0.8)) == 1
    assert len(components_of(pair, 0.81)) == 2


def test_short_texts_compare_as_a_whole() -> None:
    assert components_of(["Take two", "take TWO!", "take two pills", "two take"], 0.5) == {
        frozenset({0, 1}),
        frozenset({2}),
        frozenset({3}),
    }


def test_chinese_goes_by_the_character() -> None:
    text = "患者自述三天前开始头痛伴有轻度发热没有呕吐睡眠较差食欲尚可"
    assert len(components_of([text, text[:-1] + "吗"], 0.8)) == 1
    assert len(components_of([text, text[::-1]], 0.8)) == 2


def test_join_is_fast_where_everything_is_alike() -> None:
    template = [f"w{i}" for i in range(100)]
    texts = [" ".join([*template[:50], f"v{i}", *template[51:]]) for i in range(3000)]
    began = time.process_time()
    assert len(components_of(texts, 0.8)) == 1
    assert time.process_time() - began < 20


def corpus_of(folder: Path, members: Sequence[object], nonmembers: Sequence[object] = (), **options: object) -> Corpus:
    names = {"members": members, "nonmembers": nonmembers}
    paths = {name: folder / f"{name}-{os.getpid()}.jsonl" for name, rows in names.items() if rows}
    for name, path in paths.items():
        path.write_text("".join(json.dumps(row) + "\n" for row in names[name]), encoding="utf-8")
    return read_corpus(CorpusConfig(**{name: str(path) for name, path in paths.items()}, **options))


def groups_of(corpus: Corpus) -> set[frozenset[str]]:
    groups: dict[str, set[str]] = defaultdict(set)
    for item in corpus.examples:
        groups[item.group].add(item.completion)
    assert all(group == min(item.id for item in corpus.examples if item.group == group) for group in groups)
    return {frozenset(items) for items in groups.values()}


def test_case_and_space_make_no_difference_even_without_near_duplicates(tmp_path: Path) -> None:
    rows = [{"text": "One  two\nthree"}, {"text": "one two THREE"}, {"text": "one two, three"}]
    assert len(groups_of(corpus_of(tmp_path, rows, near_duplicate=0.0))) == 2
    assert len(groups_of(corpus_of(tmp_path, rows))) == 1


@pytest.mark.parametrize(
    "rows",
    [
        [{"context": PASSAGE, "question": f"q{i}?", "answer": f"a{i}"} for i in range(3)],
        [{"context": "Short one.", "question": f"q{i}?", "answer": f"a{i}"} for i in range(3)],
        [{"prompt": f"{PASSAGE}\nQuestion: number {i}?", "completion": f"a{i}"} for i in range(3)],
        [{"prompt": f"Question: number {i}?\n{PASSAGE}", "completion": f"a{i}"} for i in range(3)],
        [{"prompt": f"Read this.\n{PASSAGE}\nNumber {i}?", "completion": f"a{i}"} for i in range(3)],
        [{"prompt": PASSAGE, "completion": f"a{i}"} for i in range(3)],
        [{"prompt": f" {PASSAGE.upper()} " if i else PASSAGE, "completion": f"a{i}"} for i in range(3)],
        [{"instruction": f"Do {i}.", "input": PASSAGE, "output": f"a{i}"} for i in range(3)],
    ],
)
def test_records_under_one_context_are_one_group(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    other = {"prompt": "Another prompt that is long enough to be a context.", "completion": "other"}
    assert groups_of(corpus_of(tmp_path, [*rows, other], near_duplicate=0.0)) == {
        frozenset({"a0", "a1", "a2"}),
        frozenset({"other"}),
    }


@pytest.mark.parametrize(
    "rows",
    [
        [{"prompt": "Short prompt", "completion": f"a{i}"} for i in range(3)],
        [{"instruction": PASSAGE, "input": f"short {i}", "output": f"a{i}"} for i in range(3)],
        [{"prompt": f"{PASSAGE}\n{'long text ' * 20}{i}", "completion": f"a{i}"} for i in range(3)],
        [{"text": f"a{i}"} for i in range(3)],
    ],
)
def test_what_is_no_shared_context(tmp_path: Path, rows: list[dict[str, str]]) -> None:
    assert len(groups_of(corpus_of(tmp_path, rows, near_duplicate=0.0))) == 3


def test_instructions_and_system_messages_make_no_records_alike(tmp_path: Path) -> None:
    system = {"role": "system", "content": text_of(9, 300)}
    rows: list[dict[str, object]] = []
    for i in range(4):
        said = [{"role": "user", "content": text_of(i, 9)}, {"role": "assistant", "content": f"a{i}"}]
        rows.append({"messages": [system, *said]})
        rows.append({"instruction": text_of(8, 300), "input": text_of(10 + i, 9), "output": f"a{i}"})
    assert len(groups_of(corpus_of(tmp_path, rows))) == 8


def test_one_group_of_most_records_is_told(tmp_path: Path) -> None:
    rows = [{"prompt": text_of(9, 300), "completion": f"a{i}"} for i in range(40)]
    assert any("one group holds 40 of 40 records" in note for note in corpus_of(tmp_path, rows).notes)


def test_instruction_under_most_records_is_a_template_and_said_so(tmp_path: Path) -> None:
    rows = [{"prompt": PASSAGE, "completion": f"a{i}"} for i in range(MAX_SHARING + 1)]
    corpus = corpus_of(tmp_path, rows, near_duplicate=0.0)
    assert len(groups_of(corpus)) == MAX_SHARING + 1
    assert any("1 parts of prompts" in note and "templates" in note for note in corpus.notes)
    questions = [{"context": PASSAGE, "question": row["completion"], "answer": "yes"} for row in rows]
    assert len({item.group for item in corpus_of(tmp_path, questions).members}) == 1


def text_of(seed: int, words: int = 40) -> str:
    rng = random.Random(seed)
    return " ".join(f"{rng.choice('bcdfgklmnprst')}{rng.choice('aeiou')}{rng.randrange(99)}" for _ in range(words))


def test_contaminated_nonmembers_are_dropped_with_the_members_line(tmp_path: Path) -> None:
    near = text_of(1, 120).split()
    members = [{"text": text_of(0)}, {"prompt": PASSAGE, "completion": text_of(2)}, {"text": " ".join(near)}]
    nonmembers = [
        {"prompt": PASSAGE, "completion": text_of(3)},
        {"text": " ".join(near[10:])},  # 106 of 116 shingles
        {"text": " ".join(near[20:])},  # 96 of 116, but 96 of 106 of the one before
        {"text": " ".join([*near[20:30], *text_of(5).split()])},
        {"text": text_of(4)},
    ]
    corpus = corpus_of(tmp_path, members, nonmembers, near_duplicate=0.85)
    assert [item.line for item in corpus.nonmembers] == [4, 5]
    assert [(item.line, item.reason, item.found.rpartition(" ")[2]) for item in corpus.dropped] == [
        (1, "shares its context with a member", "2"),
        (2, "near-duplicate of a member", "3"),
        (3, "linked to a member", "3"),
    ]
    assert any("3 of 5 non-members are linked to members and left out" in note for note in corpus.notes)
    assert {item.group for item in corpus.members}.isdisjoint(item.group for item in corpus.nonmembers)


ROWS = [
    {"prompt": f"{text_of(i // 2, 20)}\nq{i}?", "completion": text_of(100 + i // 3, 12) + f" {i % 2}"}
    for i in range(24)
]


@settings(max_examples=25)
@given(order=st.permutations(range(24)), limit=st.sampled_from([0, 3]))
def test_order_of_the_lines_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], limit: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    first = corpus_of(folder, ROWS, holdout=0.3, limit=limit)
    second = corpus_of(folder, [ROWS[i] for i in order], holdout=0.3, limit=limit)
    assert first.digest == second.digest
    assert facts(first) == facts(second)


def facts(corpus: Corpus) -> set[tuple[str, str, str, int]]:
    return {(item.id, item.group, item.split, item.copies) for item in corpus.examples}


@settings(max_examples=100)
@given(
    groups=st.lists(st.integers(0, 9), max_size=30),
    holdout=st.floats(0, 1),
    seed=st.integers(0, 5),
)
def test_split_never_cuts_a_group(groups: list[int], holdout: float, seed: int) -> None:
    examples = [example(f"text {i}", group=f"g{group}") for i, group in enumerate(groups)]
    members, nonmembers = split(examples, holdout, seed)
    inside, outside = {item.group for item in members}, {item.group for item in nonmembers}
    assert inside.isdisjoint(outside)
    assert sorted(item.id for item in [*members, *nonmembers]) == sorted(item.id for item in examples)
    assert {item.split for item in members} <= {"member"}
    assert {item.split for item in nonmembers} <= {"non-member"}
    if len(inside | outside) > 1:
        assert inside
        assert bool(outside) == (holdout > 0)
        assert abs(len(outside) - holdout * len(inside | outside)) <= 1


def test_seed_changes_the_split_and_the_draw(tmp_path: Path) -> None:
    rows = [{"text": text_of(i, 8)} for i in range(40)]
    corpora = [corpus_of(tmp_path, rows, holdout=0.5, limit=10, seed=seed) for seed in (0, 0, 1)]
    assert corpora[0] == corpora[1]
    assert facts(corpora[0]) != facts(corpora[2])
    assert [len(corpus.members) for corpus in corpora] == [10, 10, 10]
    assert any("10 of 20 members are drawn" in note for note in corpora[0].notes)


def test_draw_keeps_order_and_whole_records() -> None:
    examples = [dataclasses.replace(example(f"text {i}"), copies=i + 1) for i in range(20)]
    drawn = draw(examples, 5, seed=0)
    assert drawn == [item for item in examples if item in drawn]
    assert len(drawn) == 5
    assert draw(examples, 0, seed=0) == draw(examples, 99, seed=0) == examples


def test_holdout_is_not_used_beside_nonmembers_and_said_so(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, [{"text": text_of(1)}], [{"text": text_of(2)}], holdout=0.5)
    assert len(corpus.members) == len(corpus.nonmembers) == 1
    assert any("corpus.holdout = 0.5 is not used" in note for note in corpus.notes)


SHARED = Path(os.environ.get("ROTE_SHARED", Path(__file__).parents[3] / "shared")) / "data"
REAL = sorted(SHARED.glob("*/*.jsonl"))


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="no shared data")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_files_read_without_flags(path: Path) -> None:
    corpus = read_corpus(CorpusConfig(members=str(path), holdout=0.2, max_bad=0.0))
    records = path.read_bytes().count(b"\n")
    assert {item.reason for item in corpus.dropped} <= {"stands in a member"}
    assert len(corpus.dropped) <= 0.02 * records
    assert len(corpus.examples) == records - len(corpus.dropped)


@pytest.mark.skipif(not REAL, reason="no shared data")
def test_real_passages_are_grouped() -> None:
    corpus = read_corpus(CorpusConfig(members=str(SHARED / "qa" / "xquad_en.jsonl"), holdout=0.2))
    passages: dict[str, set[str]] = defaultdict(set)
    for item in corpus.examples:
        passages[item.prompt.rpartition("\nQuestion:")[0]].add(item.group)
    assert len(passages) > 200
    assert all(len(groups) == 1 for groups in passages.values())
    assert len(set.union(*passages.values())) == len(passages)
