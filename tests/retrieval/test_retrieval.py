"""Retrieval: BM25 against a naive reference, its own record, ties, resuming, what is on the disk."""

import math
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rote.config import RetrievalConfig
from rote.errors import RunError
from rote.records import Candidate, Example, Generation, Prompt
from rote.retrieval import (
    ExactSearch,
    build_exact,
    build_index,
    candidates,
    open_exact,
    open_index,
    reproduction,
    reproductions,
    retrieve,
    retrieve_nonmembers,
    was_retrieved,
)
from rote.retrieval.index import FORMAT
from rote.retrieval.strings import SortedStrings, write_strings
from rote.runs.disk import encode, seal, unseal
from rote.text import terms

CONFIG = RetrievalConfig()


def example(name: str, text: str, split: str = "member") -> Example:
    return Example(id=name, prompt="", completion=text, split=split, group=name)  # type: ignore[arg-type]


def generation(text: str, *, own: str = "own", model: str = "tuned", prompt: str = "p", sample: int = 0) -> Generation:
    return Generation(f"{prompt}-{model}-{sample}", prompt, own, model, "greedy", sample, text)


def made(folder: Path, examples: list[Example], prompts: list[Prompt] | None = None):
    build_index(examples, prompts or [], folder / "index", config=CONFIG)
    return open_index(folder / "index")


def flat(chunks) -> list:
    return [candidate for chunk in chunks for candidate in chunk]


CLINIC = [
    example("a", "The gardener complained of a burning pain in the left shoulder."),
    example("b", "A violinist lost the feeling in two fingers after the concert."),
    example("c", "The baker cannot sleep because of an itching rash on both arms."),
]


def naive_bm25(documents: list[list[str]], query: list[str], *, k1: float, b: float) -> list[float]:
    """Robertson's formula with Lucene's inverse document frequency, one document at a time."""
    mean_length = sum(map(len, documents)) / len(documents)
    scores = []
    for document in documents:
        counts, total = Counter(document), 0.0
        for term in query:
            holding = sum(term in other for other in documents)
            idf = math.log(1 + (len(documents) - holding + 0.5) / (holding + 0.5))
            weight = k1 * (1 - b + b * len(document) / mean_length)
            total += idf * counts[term] / (counts[term] + weight) if counts[term] else 0.0
        scores.append(total)
    return scores


def naive_scores(examples: list[list[str]], query: str, *, k1: float, b: float) -> list[float]:
    """Of examples with one or more documents each."""
    documents = [terms(text, language="en", without_stop_words=True) for texts in examples for text in texts]
    if not any(documents):
        return [0.0] * len(examples)
    scores = iter(naive_bm25(documents, terms(query, language="en", without_stop_words=True), k1=k1, b=b))
    return [max(next(scores) for _ in texts) for texts in examples]


WORDS = ["rain", "fever", "cough", "sleep", "back", "knee", "the", "ab"]
TEXT = st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join) | st.sampled_from(["knee " * 300, "rain " * 254])


@settings(max_examples=60)
@given(
    texts=st.lists(st.lists(TEXT, min_size=1, max_size=3, unique=True), min_size=1, max_size=8),
    query=st.lists(st.sampled_from([*WORDS, "absent"]), max_size=8).map(" ".join),
    k1=st.sampled_from([0.0, 1.2, 3.0]),
    b=st.sampled_from([0.0, 0.75, 1.0]),
    depth=st.integers(1, 5),
    shard=st.sampled_from([1, 3, 1 << 16]),
    out=st.sets(st.integers(0, 9)),
)
def test_scores_and_ranks_are_those_of_bm25(
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[list[str]],
    query: str,
    k1: float,
    b: float,
    depth: int,
    shard: int,
    out: set[int],
) -> None:
    folder = tmp_path_factory.mktemp("bm25") / "index"
    examples = [example(f"{i}", first) for i, (first, *_) in enumerate(texts)]
    prompts = [
        Prompt(f"{i}-{n}", f"{i}", "", other) for i, (_, *others) in enumerate(texts) for n, other in enumerate(others)
    ]
    build_index(examples, prompts, folder, config=RetrievalConfig(k1=k1, b=b), shard_documents=shard)
    index = open_index(folder)
    expected = naive_scores(texts, query, k1=k1, b=b)
    scores = index.scores(query)
    assert scores == pytest.approx(expected, rel=1e-6)
    assert index.scores_of([query] * len(texts), [item.id for item in examples]) == scores.tolist()
    best = sorted((i for i in range(len(texts)) if scores[i] > 0 and i not in out), key=lambda i: (-scores[i], i))
    (found,) = index.search([query], depth=depth, left_out=[{str(i) for i in out}])
    assert found == [(str(i), scores[i]) for i in best[:depth]]


def test_the_source_comes_first(tmp_path: Path) -> None:
    index = made(tmp_path, CLINIC)
    (found,) = retrieve([generation("two fingers have no feeling, said the violinist", own="b")], index, depth=2)
    assert (found[0].example_id, found[0].rank) == ("b", 1)
    assert found[0].score > 0
    assert was_retrieved(found[0], depth=2)


def test_a_short_suffix_counts_as_a_document_of_its_own(tmp_path: Path) -> None:
    long = example("long", "filler words about weather and trains " * 50 + "quinine sulphate")
    alone = made(tmp_path / "1", [long, *CLINIC])
    with_suffix = made(tmp_path / "2", [long, *CLINIC], [Prompt("p", "long", "filler", "quinine sulphate")])
    (best,), (worst,) = (index.scores_of(["quinine sulphate"], ["long"]) for index in (with_suffix, alone))
    assert best > 1.5 * worst > 0


def test_the_own_record_is_always_a_candidate(tmp_path: Path) -> None:
    index = made(tmp_path, CLINIC)
    asked = [
        generation("a burning pain in the shoulder", own="c", prompt="missed"),
        generation("the rash and the pain in the shoulder", own="c", prompt="beyond"),
        generation("a burning pain in the shoulder", own="outside", prompt="nonmember"),
        generation("", own="b", prompt="empty"),
        generation("the of and", own="b", prompt="stop"),
    ]
    found = flat(retrieve(asked, index, depth=1))
    assert [(c.generation_id, c.example_id, c.rank) for c in found] == [
        ("missed-tuned-0", "a", 1),
        ("missed-tuned-0", "c", 2),
        ("beyond-tuned-0", "a", 1),
        ("beyond-tuned-0", "c", 2),
        ("nonmember-tuned-0", "a", 1),
        ("nonmember-tuned-0", "outside", 2),
        ("empty-tuned-0", "b", 1),
        ("stop-tuned-0", "b", 1),
    ]
    assert [was_retrieved(c, depth=1) for c in found if c.example_id in ("c", "outside", "b")] == [False] * 5
    assert [c.score > 0 for c in found] == [True, False, True, True, True, False, False, False]


def test_ties_are_in_the_order_of_ids(tmp_path: Path) -> None:
    same = [example(name, "migraine with aura") for name in ("z", "m", "b", "q", "a")]
    found = flat(retrieve([generation("migraine", own="z")], made(tmp_path, same), depth=3))
    assert [(c.example_id, c.rank) for c in found] == [("a", 1), ("b", 2), ("m", 3), ("z", 4)]


def test_shuffled_generations_get_the_candidates_of_the_tuned_ones(tmp_path: Path) -> None:
    index = made(tmp_path, CLINIC)
    tuned = generation("burning pain in the shoulder", own="a", prompt="p1")
    shuffled = generation("fingers after the concert", own="a", prompt="p1", model="shuffled")
    suffix = generation("fingers after the concert", own="a", prompt="p1", model="true-suffix")
    found = flat(retrieve([shuffled, suffix, tuned], index, depth=1))
    by_model = {
        model: [c.example_id for c in found if f"-{model}-" in c.generation_id] for model in ("tuned", "shuffled")
    }
    assert by_model["shuffled"] == by_model["tuned"] == ["a"]
    assert [c.example_id for c in found if "true-suffix" in c.generation_id] == ["b", "a"]


def test_shuffled_generations_never_meet_the_record_that_their_text_was_generated_for(tmp_path: Path) -> None:
    index = made(tmp_path, CLINIC)
    text = "burning pain, itching rash, two fingers"
    tuned = [generation(text, own="a", prompt="p1"), generation("a rash on two fingers", own="b", prompt="p2")]
    dealt = [generation(tuned[1].text, own="a", prompt="p1", model="shuffled")]
    found = flat(retrieve([*tuned, *dealt], index, depth=3))
    assert {c.example_id for c in found if "p1-tuned" in c.generation_id} == {"a", "b", "c"}
    assert [(c.example_id, c.rank) for c in found if "shuffled" in c.generation_id] == [("a", 1), ("c", 2)]


def test_nonmember_candidates_leave_out_the_own_record(tmp_path: Path) -> None:
    index = made(tmp_path, CLINIC)
    texts = [generation("pain in the shoulder and a rash on both arms", own="a"), generation("", own="b", prompt="q")]
    found = flat(retrieve_nonmembers(texts, index, depth=1))
    assert [(c.example_id, c.rank) for c in found] == [("c", 1)]
    assert flat(retrieve_nonmembers(texts, index, depth=0)) == []


def test_a_resumed_retrieval_gives_the_remaining_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "CHUNK", 2)
    index = made(tmp_path, CLINIC)
    asked = [generation(item.completion, own=item.id, prompt=f"{n}") for n, item in enumerate(CLINIC * 2)]
    whole = list(retrieve(asked, index, depth=2))
    assert [len({c.generation_id for c in chunk}) for chunk in whole] == [2, 2, 2]
    assert list(retrieve(asked, index, depth=2, done=1)) == whole[1:]
    assert list(retrieve(asked, index, depth=2, done=3)) == []
    assert (
        list(retrieve_nonmembers(asked, index, depth=2, done=2)) == list(retrieve_nonmembers(asked, index, depth=2))[2:]
    )


@settings(max_examples=15)
@given(order=st.permutations(CLINIC))
def test_the_order_of_the_examples_is_irrelevant(
    tmp_path_factory: pytest.TempPathFactory, order: list[Example]
) -> None:
    folder = tmp_path_factory.mktemp("order")
    first, second = made(folder / "1", CLINIC), made(folder / "2", order)
    asked = [generation("burning fingers and an itching concert", own="b")]
    assert list(retrieve(asked, first, depth=3)) == list(retrieve(asked, second, depth=3))


@pytest.mark.parametrize("texts", [[], [""], ["", "the of and"], ["\ud800\x00"]])
def test_an_index_without_terms_finds_only_the_own_record(tmp_path: Path, texts: list[str]) -> None:
    index = made(tmp_path, [example(f"e{n}", text) for n, text in enumerate(texts)])
    assert flat(retrieve([generation("burning pain", own="e0")], index, depth=5))[0].score == 0.0
    assert flat(retrieve_nonmembers([generation("burning pain", own="e0")], index, depth=5)) == []


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "\x1b[31mred\x1b[0m", "\u202epain\u202c", "\ud800pain", "pa\x00in", "x" * 1_000_000],
)
def test_hostile_text_is_indexed_and_asked(tmp_path: Path, text: str) -> None:
    index = made(tmp_path, [example("h", text), *CLINIC])
    found = flat(retrieve([generation(text, own="h")], index, depth=2))
    assert "h" in {c.example_id for c in found}


def test_other_languages_and_scripts(tmp_path: Path) -> None:
    index = made(
        tmp_path, [example("ru", "Пациент жалуется на боль"), example("ja", "患者は頭痛を訴えている"), *CLINIC]
    )
    for text, own in (("боль пациента", "ru"), ("頭痛の患者", "ja")):
        assert flat(retrieve([generation(text, own=own)], index, depth=1))[0].example_id == own


def test_the_index_is_memory_mapped_and_kept(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    index = made(tmp_path, CLINIC)
    assert isinstance(index.postings.documents.base, np.memmap)
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    build_index(CLINIC[::-1], [], folder, config=CONFIG)
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    build_index(CLINIC, [], folder, config=RetrievalConfig(k1=2.0))
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} != before
    build_index(CLINIC[:1], [], folder, config=CONFIG)
    assert list(open_index(folder).example_ids) == ["a"]
    build_index([replace(CLINIC[0], id="other")], [], folder, config=CONFIG)
    assert list(open_index(folder).example_ids) == ["other"]
    assert [item.name for item in tmp_path.iterdir()] == ["index"]


def test_a_missing_or_torn_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"nowhere: no index there"):
        open_index(tmp_path / "nowhere")
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / "listing.json").write_text('{"digest": ', encoding="utf-8")
    with pytest.raises(RunError, match=r"listing.json: the index is damaged"):
        open_index(torn)


def test_an_index_of_another_version_is_told(tmp_path: Path) -> None:
    made(tmp_path, CLINIC)
    listing = tmp_path / "index" / "listing.json"
    listing.write_bytes(encode(seal({**unseal(listing.read_bytes()), "format": "0"})))
    with pytest.raises(RunError, match=rf"index: an index of format '0', not '{FORMAT}'; `rote retrieve` makes it"):
        open_index(tmp_path / "index")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("documents.npy", lambda file: file.unlink()),
        ("documents.npy", lambda file: file.write_bytes(file.read_bytes()[:-4])),
        ("terms.npy", lambda file: file.write_bytes(b"")),
        ("examples.npy", lambda file: np.save(file, np.zeros(2, np.int32))),
        ("lengths.npy", lambda file: np.save(file, np.zeros(3))),
        ("bounds.npy", lambda file: file.write_bytes(file.read_bytes()[:-1] + b"\x01")),
        ("listing.json", lambda file: file.write_text(f'{{"format": "{FORMAT}"}}')),
        ("listing.json", lambda file: file.write_text(file.read_text().replace('"k1"', '"k2"'))),
    ],
)
def test_a_damaged_index_is_told_and_made_again(tmp_path: Path, name: str, damage: Callable[[Path], object]) -> None:
    index = made(tmp_path, CLINIC)
    expected = index.search(["burning pain"], depth=3)
    damage(tmp_path / "index" / name)
    with pytest.raises(RunError, match=r"index.*: the index is damaged \(.+\); `rote retrieve` makes it again"):
        open_index(tmp_path / "index")
    said: list[str] = []
    build_index(CLINIC, [], tmp_path / "index", config=CONFIG, echo=said.append)
    assert "the index is damaged" in said[0]
    assert open_index(tmp_path / "index").search(["burning pain"], depth=3) == expected


def test_an_index_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, CLINIC)
    monkeypatch.setattr("rote.retrieval.index.write_strings", Mock(side_effect=OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        made(tmp_path, CLINIC[:1])
    assert len(open_index(tmp_path / "index").example_ids) == 3
    assert [item.name for item in tmp_path.iterdir()] == ["index"]


def test_many_equal_texts_are_found_in_the_order_of_ids(tmp_path: Path) -> None:
    same = [example(f"{n:04}", "migraine with aura") for n in range(2500)]
    index = made(tmp_path, [*same, example("x", "migraine"), *CLINIC])
    (found,) = index.search(["migraine aura"], depth=4, left_out=[["0001"]])
    assert [hit.example_id for hit in found] == ["0000", "0002", "0003", "0004"]
    assert [hit.score for hit in found] == index.scores_of(["migraine aura"] * 4, ["0000", "0001", "0002", "2499"])
    assert len(index.search(["migraine"], depth=9999)[0]) == 2501


def test_a_full_shard_and_the_next_one(tmp_path: Path) -> None:
    words = ["rain", "fever", "cough", "sleep", "back", "knee", "chill"]
    texts = [" ".join(words[n // 7**i % 7] for i in range(6)) for n in range((1 << 16) + 10)]
    index = made(tmp_path, [example(f"{n:06}", text) for n, text in enumerate(texts)])
    query = "fever cough sleep sleep knee"
    scores = index.scores(query)
    best = np.argsort(-scores, kind="stable")[:7]
    assert index.search([query], depth=7) == [[(f"{place:06}", scores[place]) for place in best]]
    assert index.scores_of([query], ["065540"]) == [scores[65540]] != [0.0]


@pytest.mark.parametrize("seed", range(3))
def test_the_best_of_many_are_those_of_a_full_sort(tmp_path: Path, seed: int) -> None:
    draw = np.random.default_rng(seed)
    vocabulary = np.array([f"word{n}" for n in range(40)])
    drawn = draw.choice(vocabulary, size=(3000, 6), p=np.arange(40, 0, -1) / 820)
    index = made(tmp_path, [example(f"{n:04}", " ".join(words[: 1 + n % 6])) for n, words in enumerate(drawn)])
    for depth in (1, 2, 10, 100):
        query = " ".join(draw.choice(vocabulary, size=12))
        scores = index.scores(query)
        out = draw.choice(3000, size=5)
        scores[out] = 0
        best = [(f"{n:04}", scores[n]) for n in np.argsort(-scores, kind="stable")[:depth] if scores[n] > 0]
        assert index.search([query], depth=depth, left_out=[[f"{n:04}" for n in out]]) == [best]


def test_texts_are_asked_together_as_one_by_one(tmp_path: Path) -> None:
    index = made(tmp_path, CLINIC)
    texts = ["burning pain", "", "the violinist and the baker", "unheard", "burning pain"]
    assert index.search(texts, depth=2) == [
        hits for text in texts for hits in made(tmp_path, CLINIC).search([text], depth=2)
    ]
    assert index.search([], depth=2) == []


@given(
    strings=st.sets(st.text(max_size=4) | st.sampled_from(["\ud800", "\uffff", "\U00010000"])),
    wanted=st.text(max_size=4),
)
def test_sorted_strings_are_found(tmp_path_factory: pytest.TempPathFactory, strings: set[str], wanted: str) -> None:
    ordered, folder = sorted(strings), tmp_path_factory.mktemp("strings")
    write_strings(ordered, folder, "x")
    found = SortedStrings(np.load(folder / "x.npy"), np.load(folder / "x-starts.npy"))
    assert (list(found), len(found), list(found[1:])) == (ordered, len(ordered), ordered[1:])
    assert found.places(ordered).tolist() == list(range(len(ordered)))
    assert found.places([wanted]).tolist() == [ordered.index(wanted) if wanted in strings else -1]
    with pytest.raises(IndexError, match=f"of {len(ordered)} strings"):
        found[len(ordered)]


def test_the_bytes_do_not_depend_on_the_hash_seed(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import test_retrieval as t;"
        "t.made(Path(sys.argv[2]), t.CLINIC)"
    )
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        environment = {"PYTHONHASHSEED": seed, "OMP_NUM_THREADS": "1"}
        subprocess.run(
            [sys.executable, "-c", code, str(Path(__file__).parent), str(folder)],
            check=True,
            env=environment,
        )
    first, second = ({f.name: f.read_bytes() for f in (tmp_path / s / "index").iterdir()} for s in ("1", "2"))
    assert first == second


# What exact search adds

COPIED = "she keeps bees behind the old mill and sells the honey in blue jars on Fridays"


def crowded(folder: Path, *, copies: int = 1) -> tuple[ExactSearch, "list[Example]"]:
    """Texts that BM25 prefers for the generation below, and last the one that holds a short copy of it."""
    words = " ".join(sorted(COPIED.split()))
    rivals = [example(f"r{i:02}", f"Fever, cough, chills, rash; {words}; visit {i} to the clinic") for i in range(30)]
    held = [example(f"s{i}", "Weather and trains and harbours. " * 200 + COPIED) for i in range(copies)]
    build_exact([*rivals, *held], folder / "exact")
    return ExactSearch(open_exact(folder / "exact"), 51), [*rivals, *held]


ASKED = generation(f"Fever and cough, chills, a rash at the clinic, {COPIED}, fever, cough, chills, rash", own="r00")


def test_exact_search_finds_the_short_copy_that_bm25_ranks_low(tmp_path: Path) -> None:
    exact, examples = crowded(tmp_path)
    index = made(tmp_path, examples)
    by_rank = flat(retrieve([ASKED], index, depth=10))
    assert "s0" not in {candidate.example_id for candidate in by_rank}
    found = flat(retrieve([ASKED], index, depth=10, exact=exact))
    assert found[:-1] == by_rank
    assert (found[-1].example_id, found[-1].rank, found[-1].score) == ("s0", by_rank[-1].rank + 1, 0.0)
    assert not was_retrieved(found[-1], depth=100)


def test_a_run_that_a_candidate_holds_needs_no_further_one(tmp_path: Path) -> None:
    exact, examples = crowded(tmp_path, copies=4)
    index = made(tmp_path, examples)
    own = replace(ASKED, example_id="s2")
    assert flat(retrieve([own], index, depth=5, exact=exact)) == flat(retrieve([own], index, depth=5))
    found = flat(retrieve([ASKED], index, depth=5, exact=exact))
    assert [candidate.example_id for candidate in found[-3:]] == ["s0", "s1", "s2"]


def test_a_shuffled_generation_never_gets_the_record_of_its_text_from_exact_search(tmp_path: Path) -> None:
    exact, examples = crowded(tmp_path)
    index = made(tmp_path, examples)
    asked = [
        replace(ASKED, example_id="s0"),
        generation("Fever and cough " + COPIED, own="r01", prompt="q"),
        generation(ASKED.text, own="r01", prompt="q", model="shuffled"),
    ]
    found = flat(retrieve(asked, index, depth=3, exact=exact))
    held_by = {candidate.generation_id for candidate in found if candidate.example_id == "s0"}
    assert held_by == {"p-tuned-0", "q-tuned-0"}


def test_exact_search_over_non_members_leaves_the_own_record_out(tmp_path: Path) -> None:
    exact, examples = crowded(tmp_path)
    index = made(tmp_path, examples)
    own = replace(ASKED, example_id="s0")
    assert flat(retrieve_nonmembers([own], index, depth=3, exact=exact)) == flat(
        retrieve_nonmembers([own], index, depth=3)
    )
    assert flat(retrieve_nonmembers([ASKED], index, depth=3, exact=exact))[-1].example_id == "s0"
    assert flat(retrieve_nonmembers([ASKED], index, depth=0, exact=exact)) == []


def test_reproductions_name_the_own_record_first_and_go_on_where_they_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact, examples = crowded(tmp_path, copies=4)
    candidates = flat(retrieve([ASKED], made(tmp_path, examples), depth=5, exact=exact))
    asked = [
        ASKED,
        replace(ASKED, id="own", example_id="s3"),
        replace(ASKED, id="shuffled", model="shuffled"),
        replace(ASKED, id="none", text="the clinic"),
    ]
    monkeypatch.setattr(reproduction, "CHUNK", 1)
    whole = list(reproductions(asked, candidates, exact))
    assert list(reproductions(asked, candidates, exact, done=1)) == whole[1:]
    first, own, none = flat(whole)
    (run,) = first.runs
    assert run.generated.of(ASKED.text) == COPIED
    assert (run.chars, first.longest_chars, run.examples) == (len(COPIED), len(COPIED), 4)
    assert [source.example_id for source in own.runs[0].sources] == ["s3", "s0", "s1"]
    assert all(source.training.of(examples[-1].text) == COPIED for source in own.runs[0].sources)
    assert (none.generation_id, none.longest_chars, none.runs) == ("none", len("the clinic"), ())


@pytest.mark.parametrize(("rank", "score", "expected"), [(3, 0.5, True), (4, 0.5, False), (3, 0.0, False)])
def test_a_candidate_at_the_depth_itself_was_retrieved(rank: int, score: float, expected: bool) -> None:
    assert was_retrieved(Candidate("g", "e", rank, score), depth=3) is expected
