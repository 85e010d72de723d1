"""Non-members inside members: quotes, shared articles, unrolled chats, overlapping chunks; and what is none of them."""

import html
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rote.config import CorpusConfig
from rote.corpus import Corpus, read_corpus
from rote.corpus.containment import RUN_WORDS, SHORT_WORDS, Contained, shared_runs
from rote.corpus.near_duplicates import plain_words
from rote.records import Example
from rote.retrieval.exact import build_exact, open_exact


def words_of(seed: int, count: int) -> list[str]:
    rng = random.Random(seed)
    return [f"{rng.choice('bcdfgklmnprst')}{rng.choice('aeiou')}{rng.randrange(999)}" for _ in range(count)]


def text_of(seed: int, count: int = 60) -> str:
    return " ".join(words_of(seed, count))


def quoted(text: str) -> str:
    """As a mail program quotes it: lines of eight words behind "> "."""
    words = text.split()
    return "\n".join("> " + " ".join(words[at : at + 8]) for at in range(0, len(words), 8))


def corpus_of(folder: Path, members: Sequence[str], nonmembers: Sequence[str] = (), **options: object) -> Corpus:
    for name, texts in (("members.jsonl", members), ("others.jsonl", nonmembers)):
        (folder / name).write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    others = str(folder / "others.jsonl") if nonmembers else ""
    return read_corpus(CorpusConfig(members=str(folder / "members.jsonl"), nonmembers=others, **options))  # type: ignore[arg-type]


CLEAN = [text_of(seed) for seed in range(900, 906)]
MAILS = [text_of(seed) for seed in range(5)]
ARTICLES = [text_of(seed, 70) for seed in range(100, 115)]
TURNS = [f"User: {text_of(seed, 15)}\nAssistant: {text_of(seed + 50, 20)}" for seed in range(200, 206)]
LONG = words_of(300, 600)
CHUNKS = [" ".join(LONG[at : at + 200]) for at in range(0, 401, 100)]

SAID = [f'"{text_of(700 + i, 6)}", said O\'Hara & {text_of(720 + i, 6)}, "{text_of(740 + i, 6)}"' for i in range(3)]

CASES = {
    "a mail quoted below another": (
        [f"{text_of(400 + i)}\n\n-----Original Message-----\n{mail}" for i, mail in enumerate(MAILS)],
        MAILS,
    ),
    "behind quote marks, in other case, with other quotes": (
        [f"{text_of(420 + i)}\n\n{quoted(mail)}" for i, mail in enumerate(MAILS)],
        [f"“{mail.upper()}”" for mail in MAILS],
    ),
    "as a web page quotes it": (
        [f"{text_of(440 + i)} <blockquote>{html.escape(SAID[i])}</blockquote>" for i in range(len(SAID))],
        SAID,
    ),
    "one article of three": (
        [" ||||| ".join(ARTICLES[i : i + 3]) for i in (0, 3, 6)],
        [" ||||| ".join([ARTICLES[i], text_of(500 + i, 70), text_of(600 + i, 70)]) for i in (0, 3, 6)],
    ),
    "one article of twelve": (
        [" ||||| ".join(ARTICLES[:3])],
        [" ||||| ".join([ARTICLES[0], *(text_of(520 + i, 70) for i in range(11))])],
    ),
    "an unrolled chat, the shorter one": (["\n".join(TURNS)], ["\n".join(TURNS[:2])]),
    "an unrolled chat, the longer one": (["\n".join(TURNS[:3])], ["\n".join(TURNS)]),
    "chunks that overlap by half": ([CHUNKS[0], CHUNKS[2]], [CHUNKS[1]]),
    "chunks that overlap by an eighth": ([" ".join(LONG[:200])], [" ".join(LONG[150:350])]),
    "a short text in a long one": ([text_of(1, 400)], [" ".join(words_of(1, 400)[200 : 200 + SHORT_WORDS])]),
    "a sentence of Chinese": (["这座老旧的砖棚位于河边的小巷里，直到一九二六年都在为驳船制作绳索，后来变成了仓库。"],
                            ["“这座老旧的砖棚位于河边的小巷里，直到一九二六年都在为驳船制作绳索。”"]),
    "composed and decomposed accents": ([text_of(7, 9) + " café " + text_of(8, 9)],
                                        [text_of(7, 9) + " cafe\u0301 " + text_of(8, 9)]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_nonmembers_inside_members_are_left_out_with_the_place(tmp_path: Path, name: str) -> None:
    members, inside = CASES[name]
    corpus = corpus_of(tmp_path, [*members, *CLEAN[:3]], [*inside, *CLEAN[3:]])
    assert len(corpus.left_out) == len(inside)
    assert [example.text for example in corpus.nonmembers] == CLEAN[3:]
    of_members = [d for d in corpus.dropped if d.reason not in ("duplicate",)]
    assert len(of_members) == len(inside)
    assert {item.text for item in corpus.left_out} == set(inside)
    for dropped in of_members:
        if dropped.reason == "stands in a member":
            assert "members.jsonl, line " in dropped.found


def test_the_note_counts_them_and_names_the_rule(tmp_path: Path) -> None:
    members, inside = CASES["a mail quoted below another"]
    corpus = corpus_of(tmp_path, members, [*inside, *CLEAN])
    (note,) = [note for note in corpus.notes if "stand in members" in note]
    assert "5 of 11 non-members stand in members" in note
    assert "half of the words in shared runs of 13" in note
    assert corpus.dropped[0].found.startswith("the whole text in ")


@pytest.mark.parametrize(
    ("members", "nonmembers"),
    [
        ([text_of(i) for i in range(8)], [text_of(i) for i in range(20, 28)]),
        (
            [f"{text_of(99, 30)}\n{text_of(i)}" for i in range(8)],
            [f"{text_of(99, 30)}\n{text_of(i)}" for i in range(20, 28)],
        ),
        ([f"{text_of(i)} {text_of(98, 12)}" for i in range(8)], [f"{text_of(i)} {text_of(98, 12)}" for i in (20, 21)]),
        ([text_of(i, 40) for i in range(8)], [" ".join(words_of(1, 40)[:SHORT_WORDS - 1])]),
    ],
    ids=["unrelated", "an instruction above all of them", "a phrase of twelve words", "a text of seven words"],
)  # fmt: skip
def test_what_is_no_containment(tmp_path: Path, members: list[str], nonmembers: list[str]) -> None:
    corpus = corpus_of(tmp_path, members, nonmembers)
    assert len(corpus.nonmembers) == len(nonmembers)
    assert not corpus.left_out


def test_a_template_in_large_data_is_none_though_few_nonmembers_have_it(tmp_path: Path) -> None:
    instruction = text_of(99, 60)
    members = [f"{instruction} {text_of(i, 20)}" for i in range(60)] + [text_of(i, 20) for i in range(100, 400)]
    corpus = corpus_of(tmp_path, members, [f"{instruction} {text_of(1000, 20)}", *CLEAN])
    assert not corpus.left_out
    assert any("counts as a template" in note for note in corpus.notes)


def test_a_little_shared_text_is_counted_and_kept(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path, [text_of(1, 60)], [" ".join([*words_of(2, 60), *words_of(1, 60)[:20]]), *CLEAN])
    assert len(corpus.nonmembers) == 1 + len(CLEAN)
    assert any("1 more non-members share a run of 13 words" in note for note in corpus.notes)


def test_what_is_set_aside_shares_no_chunk_with_what_is_trained_on(tmp_path: Path) -> None:
    books = [words_of(700 + i, 500) for i in range(8)]
    chunks = [" ".join(book[at : at + 100]) for book in books for at in range(0, 401, 50)]
    corpus = corpus_of(tmp_path, chunks, holdout=0.5)
    assert len({example.group for example in corpus.examples}) == 8
    assert not corpus.left_out
    assert corpus.nonmembers
    found = shared_runs([item.text for item in corpus.members], [item.text for item in corpus.nonmembers])
    assert not found.found


def test_turning_near_duplicates_off_leaves_overlapping_records_apart(tmp_path: Path) -> None:
    assert len({item.group for item in corpus_of(tmp_path, CHUNKS, near_duplicate=0.0).members}) == len(CHUNKS)


def naive(members: Sequence[Sequence[str]], text: Sequence[str]) -> int:
    """Words of the text in runs of `RUN_WORDS` that some member has; a shorter text is one run."""
    size = min(RUN_WORDS, len(text))
    known = {tuple(words[at : at + size]) for words in members for at in range(len(words) + 1 - size)}
    covered: set[int] = set()
    for at in range(len(text) + 1 - size):
        if tuple(text[at : at + size]) in known:
            covered |= set(range(at, at + size))
    return len(covered)


@settings(max_examples=100)
@given(data=st.data())
def test_every_shared_run_is_found(data: st.DataObject) -> None:
    pool = words_of(0, 80)
    slices = st.tuples(st.integers(0, 79), st.integers(1, 40)).map(lambda cut: pool[cut[0] : cut[0] + cut[1]])
    texts = st.lists(slices, min_size=1, max_size=4).map(lambda parts: [word for part in parts for word in part])
    members, others = data.draw(st.lists(texts, max_size=2)), data.draw(st.lists(texts, max_size=1))
    found = shared_runs([" ".join(text) for text in members], [" ".join(text) for text in others]).found
    for number, text in enumerate(others):
        wanted = naive(members, text) if len(text) >= SHORT_WORDS and members else 0
        assert (found[number].words if number in found else 0) == wanted


def test_the_suffix_array_finds_the_same(tmp_path: Path) -> None:
    rng, pool = random.Random(3), words_of(9, 400)

    def cut(parts: int) -> str:
        places = [(rng.randrange(380), rng.randrange(1, 30)) for _ in range(parts)]
        return " ".join(word for start, size in places for word in pool[start : start + size])

    members, others = [cut(6) for _ in range(20)], [cut(5) for _ in range(20)]
    build_exact([Example(f"{i:03}", "", text, "member", "") for i, text in enumerate(members)], tmp_path / "exact")
    index = open_exact(tmp_path / "exact")
    found = shared_runs(members, others)
    assert not found.templates
    for number, text in enumerate(others):
        runs = [run for run in index.runs(text, min_chars=1) if len(run.generated.of(text).split()) >= RUN_WORDS]
        covered = {at for run in runs for at in range(run.generated.start, run.generated.end) if text[at] != " "}
        starts = [at for at in range(len(text)) if text[at] != " " and (at == 0 or text[at - 1] == " ")]
        assert (found.found[number].words if number in found.found else 0) == len(covered.intersection(starts))


def test_the_member_that_holds_most_is_named() -> None:
    text = words_of(0, 60)
    members = [" ".join(text[:20]), text_of(5), " ".join(text[20:])]
    assert shared_runs(members, [" ".join(text)]).found == {0: Contained(2, 60, 60, 60)}


@pytest.mark.parametrize(
    ("words", "all_words", "longest", "is_no_control"),
    [(50, 100, 13, True), (49, 100, 24, False), (25, 100, 25, True), (25, 126, 25, False), (50, 5_000, 50, True)],
)
def test_how_much_is_too_much(words: int, all_words: int, longest: int, is_no_control: bool) -> None:
    assert Contained(0, words, all_words, longest).is_no_control is is_no_control


def test_hostile_texts_are_no_surprise() -> None:
    texts = ["", " ", "\ud800 " * 20, "> " * 50, "\u0000" * 30, "a " * 40, "。" * 30]
    found = shared_runs(texts, texts).found
    assert all(one.words <= one.all_words for one in found.values())
    assert len(plain_words("a " * 40)) == 40
