"""Hostile pairs of texts, and what must hold of them; read by the tests and by `scripts/fuzz.py`."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from rote.alignment import PRESETS
from rote.alignment.matching import Aligner, find_matches
from rote.alignment.passages import TextAligner
from rote.alignment.preparation import prepare
from rote.alignment.verbatim import shared_runs
from rote.records import Candidate, Generation, Prompt, Span
from rote.text import is_repetitive, sentences, terms, words

Choose = Callable[[int], int]
"""A number from 0 up to, not including, the given one."""

ALPHABET = [
    *" \n\t.!?,;:'’\"()-_/@#0aAzZéßİıſ",
    *("\x00", "\x1b", "\x1c", "\x85", "\xa0", "\xad", "\u0301", "\u0345", "\u2003", "\u200b", "\u200d", "\u2028"),
    *("\u202e", "\u202c", "\ufeff", "\ud800", "\udfff", "\ufffd", "\U0001f469", "\U0001f3fd", "\U0010ffff", "\ufb01"),
    *("今", "天", "。", "ひ", "カ", "ส", "ว", "\u0e34", "ກ", "ខ", "မ", "م", "ر", "ש", "ל", "\u093f", "क", "Ж", "ж"),
]
PHRASES = [
    "The patient was seen at the hospital in the morning. ",
    "Dr. Smith, e.g., said: 'No!' ",
    "the the the the ",
    "x" * 60,
    "word " * 12,
    "今天天气很好我们一起去公园散步。",
    "สวัสดีครับผมชื่อสมชาย ",
    "ذهب الطبيب إلى المستشفى. ",
    "Z\u0351\u036ba\u0334l\u0335g\u0336o\u0337 ",
    "<script>alert('x')</script> ",
    "1.5 mg/kg every 8 hours\n",
]
LANGUAGES = ["en", "de", "ru", "zh", "th", "ar"]


def text_of(choose: Choose) -> str:
    """A text of phrases and of single characters."""
    parts = []
    for _ in range(choose(12)):
        source = (PHRASES, PHRASES, ALPHABET)[choose(3)]
        parts += [source[choose(len(source))]] * (1 + choose(3))
    return "".join(parts)


def mutated(text: str, choose: Choose) -> str:
    """A copy with characters set in, taken out and moved."""
    for _ in range(choose(6)):
        at, size = choose(len(text) + 1), choose(20)
        new = ("", ALPHABET[choose(len(ALPHABET))], text[at : at + size][::-1], text)[choose(4)]
        text = (text[:at] + new + text[at + size :])[:2000]
    return text


def pair_of(choose: Choose) -> tuple[str, str]:
    """Two texts; the second is often a changed copy of the first between others."""
    generated = text_of(choose)
    kind = choose(3)
    if kind == 0:
        return generated, text_of(choose)
    copy = mutated(generated, choose)
    return generated, copy if kind == 1 else text_of(choose) + copy + text_of(choose)


def check_text(text: str, language: str) -> None:
    """What must hold of one text."""
    for found in (words(text), sentences(text, language=language)):
        assert_in_order(found, text)
    terms(text, language=language)
    is_repetitive(text)
    for preset in PRESETS.values():
        prepared = prepare(text, preset, language=language)
        for starts, ends in ((part.starts, part.ends) for part in (prepared.rows, prepared.words)):
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                assert_inside(Span(start, end), text)


def check_pair(generated: str, training: str, language: str) -> None:
    """What must hold of two texts: spans in bounds, verbatim is equal text, same input same output, identity found."""
    for preset in PRESETS.values():
        found = TextAligner(preset, language=language).align(generated, training)
        assert found == TextAligner(preset, language=language).align(generated, training)
        for passage in found:
            assert_inside(passage.generated, generated)
            assert_inside(passage.training, training)
            assert 0.0 <= passage.similarity <= 1.0
            if passage.form == "verbatim" and preset.verbatim_anywhere:
                assert spaced(passage.generated.of(generated)) == spaced(passage.training.of(training))
    for text, other in ((generated, training), (training, generated)):
        for run in shared_runs(text, other, min_chars=10):
            assert_inside(run.read, text)
            assert_inside(run.indexed, other)
            assert spaced(run.read.of(text)) == spaced(run.indexed.of(other))
        check_identity(text)


def check_identity(text: str) -> None:
    """A text that is long enough stands in itself as a whole."""
    normal = spaced(text)
    whole = [run.read for run in shared_runs(text, text, min_chars=25)]
    if len(normal) >= 25 and any(character.isalnum() for character in normal):
        start = len(text) - len(text.lstrip())
        assert whole == [Span(start, start + len(text.strip()))]
    else:
        assert whole == []


def check_matches(generated: str, training: str, aligner: Aligner) -> None:
    """Matches of a generation with a candidate lie in both texts."""
    generation = Generation("g", "p", "e", "tuned", "greedy", 0, generated)
    prompt = Prompt("p", "e", generated[: len(generated) // 2], generated[len(generated) // 2 :])
    for match in find_matches(generation, prompt, [(Candidate("g", "e", 1, 1.0), training)], aligner):
        assert_inside(match.generated, generated)
        assert_inside(match.training, training)
        assert match.paraphrase_probability is None or 0.0 <= match.paraphrase_probability <= 1.0


def spaced(text: str) -> str:
    """The text with every run of white space as one space, none outside."""
    return " ".join(text.split())


def assert_inside(span: Span, text: str) -> None:
    assert 0 <= span.start <= span.end <= len(text)


def assert_in_order(spans: Sequence[Span], text: str) -> None:
    for span in spans:
        assert_inside(span, text)
    assert all(one.end <= two.start for one, two in pairwise(spans))
