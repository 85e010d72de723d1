"""Hostile text through every public entry: no crash, spans in bounds, equal text where it is called so, bounded time."""

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hostile
from rote import runs
from rote.alignment import CORRECTED, PAN2015, align
from rote.alignment.matching import make_aligner
from rote.alignment.verbatim import shared_runs
from rote.config import AlignmentConfig, RetrievalConfig
from rote.records import Example, Generation, Prompt
from rote.retrieval import build_exact, build_index, open_exact, open_index, retrieve
from rote.runs import Run

SINGLE = {
    "empty": "",
    "white space": " \n\t\u2003\x85 ",
    "one word": "Word",
    "only punctuation": ".,;:!?-" * 40,
    "Chinese": "今天天气很好我们一起去公园散步然后回家吃饭看书睡觉。明天再见面聊天喝茶听音乐写信给远方的朋友。",
    "Thai": "สวัสดีครับผมชื่อสมชายผมอยู่กรุงเทพ และทำงานที่โรงพยาบาลทุกวันจันทร์ถึงวันศุกร์",
    "right to left": "ذهب الطبيب إلى المستشفى في الصباح الباكر. \u202eשלום\u202c ثم عاد إلى بيته بعد الظهر.",
    "combining marks": "Z\u0351\u036b\u0343a\u0334l\u0335g\u0336o\u0337 " * 15 + "\u0301",
    "lone surrogates": "bro\ud800ken text with \udfff lone surrogates in it, some more words to be long enough",
    "NUL": "zero\0bytes\0between\0words\0and more text that is long enough to be found by the aligner",
}


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("language", ["en", "th"])
def test_each_text_alone_and_with_each_other(name: str, language: str) -> None:
    hostile.check_text(SINGLE[name], language)
    aligner = make_aligner(AlignmentConfig(language=language))
    for other in SINGLE.values():
        hostile.check_pair(SINGLE[name], other, language)
        hostile.check_matches(SINGLE[name], other, aligner)


@settings(max_examples=60)
@given(st.randoms(use_true_random=False))
def test_the_laws_hold_for_whole_pairs(draw: random.Random) -> None:
    generated, training = hostile.pair_of(draw.randrange)
    language = draw.choice(hostile.LANGUAGES)
    hostile.check_text(generated, language)
    hostile.check_pair(generated, training, language)
    hostile.check_matches(generated, training, make_aligner(AlignmentConfig()))


def test_the_indexes_take_every_text(tmp_path: Path) -> None:
    """Each text stands in an exact index of all, and retrieval gives each generation its own record."""
    examples = [
        Example(id=f"e{i}", prompt="", completion=text, split="member", group=f"g{i}")
        for i, text in enumerate(SINGLE.values())
    ]
    prompts = [Prompt(f"p{one.id}", one.id, one.text[:10], one.text[10:]) for one in examples]
    build_index(examples, prompts, tmp_path / "bm25", config=RetrievalConfig())
    build_exact(examples, tmp_path / "exact")
    ranked, exact = open_index(tmp_path / "bm25"), open_exact(tmp_path / "exact")
    for one in examples:
        text, generation = one.text, Generation("g", "p", one.id, "tuned", "greedy", 0, one.text)
        assert one.id in {found.example_id for chunk in retrieve([generation], ranked, depth=3) for found in chunk}
        for run in exact.runs(text, min_chars=5):
            hostile.assert_inside(run.generated, text)
        assert exact.longest_run(text) == (len(hostile.spaced(text)) if any(map(str.isalnum, text)) else 0)


def test_generations_survive_their_file(tmp_path: Path) -> None:
    """Lone surrogates and NUL included."""
    generations = [Generation(f"g{i}", "p", "e", "tuned", "greedy", 0, text) for i, text in enumerate(SINGLE.values())]
    run, name = Run(tmp_path / "run"), runs.GENERATIONS.format(model="tuned")
    run.write(name, generations, settings={})
    assert run.read(name, Generation) == generations


LARGE: dict[str, tuple[Callable[[int], str], float]] = {
    "without a full stop": (lambda size: " ".join(f"w{i * 7919 % 104_729}" for i in range(size // 7)), 1.0),
    "one word": (lambda size: "x" * size, 0.1),
    "one repeated word": (lambda size: "word " * (size // 5), 0.1),
    "one repeated sentence": (lambda size: "This is the very same sentence again. " * (size // 38), 0.1),
    "only punctuation": (lambda size: ".,;:!?-" * (size // 7), 1.0),
    "white space": (lambda size: " \n" * (size // 2), 1.0),
    "Chinese": (lambda size: "".join(chr(0x4E00 + i * 7919 % 20_000) for i in range(size)), 0.1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("preset", [CORRECTED, PAN2015], ids=lambda preset: preset.name)
def test_ten_megabytes_take_bounded_time_and_stay_in_bounds(name: str, preset: object) -> None:
    """10 MB (1 MB of what repeats itself or has no spaces) against a piece of it and against itself, in 5 minutes."""
    make, share = LARGE[name]
    text = make(int(10_000_000 * share))
    part = text[len(text) // 2 : len(text) // 2 + 1000]
    start = time.process_time()
    for passage in [*align(part, text, preset=preset), *align(text, text, preset=preset)]:  # type: ignore[arg-type]
        hostile.assert_inside(passage.generated, text)
        hostile.assert_inside(passage.training, text)
    shared_runs(text, text, min_chars=50)
    assert time.process_time() - start < 300
