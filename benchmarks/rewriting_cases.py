"""Pairs of a generation and a training text for `rewriting.py`: rewrites of known strength, and text on the same topic.

Positive cases, each with the place of the rewrite and of what it rewrites:

- clough: answers labelled cut, light or heavy, against the original of their question;
- pan, msrp, sts: human paraphrases of one sentence (STS: similarity of 4 and more);
- passages: five paraphrases (pan, msrp) one after the other, in both texts between unrelated sentences of the same set;
- pan13: randomly obfuscated passages, up to 250 words, against their whole source document;
- rules: passages of records rewritten by `rewriting_rules.py`, against the whole record.

The strength is the share of the rewrite's words (stems of three letters or more, function words included) that stand in
what it rewrites, each as often: light from 3/4 on, medium from 1/2 on, heavy below. Clough's are the labels.

Negative cases: text on the same topic by somebody else.

- clough: answers labelled non against the original; non against every other answer to the same question;
- nearest: a record and the one of the same data set that BM25 puts first; neighbour: and one that it puts second to
  tenth. Pairs with 50 characters or more in common word for word are left out: they are copies in part;
- pan13: windows of 200 words of suspicious documents against the source that they were paired with and do not use;
- labelled: sentence pairs labelled as no paraphrases. They share most of their words, and stand apart.

Cases with a side under 50 characters are left out: no preset for generations reports matches that short.

The half of a case is decided by its source: the question, the sentences, the documents, the record.
"""

import csv
import json
import random
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
from halves import Half, half_of
from labelled_pairs import LabelledPair, read_pairs
from pan_corpus import halves, read_corpus
from rewriting_rules import RATES, Strength, Vocabulary, rewrite

from rote.alignment.verbatim import shared_runs
from rote.config import RetrievalConfig
from rote.errors import DataError
from rote.records import Example, Span
from rote.retrieval import build_index, open_index
from rote.text import sentences, terms

Label = Strength | Literal["cut", "same topic", "labelled no paraphrase"]
LIGHT, MEDIUM = 0.75, 0.5
PASSAGE_PAIRS = 5
MARGIN_PAIRS = 3
"""Unrelated sentences before and behind a passage, in both texts."""
COPY_CHARS = 50
LEAST_CHARS = 50
MOST_WORDS = 250
WINDOW_WORDS = 200
NEIGHBOURS = 10
RECORDS = {
    "icliniq": ("dialogue/icliniq.jsonl", "prompt"),
    "mtsdialog notes": ("summarization/mtsdialog.jsonl", "target"),
    "pubmedqa": ("qa/pubmedqa.jsonl", "prompt"),
    "scitldr": ("summarization/scitldr.jsonl", "prompt"),
    "imdb": ("sentiment/imdb2k.jsonl", "prompt"),
    "multinews": ("summarization/multinews400.jsonl", "target"),
}
"""Data sets that rules rewrite and neighbours are looked for in: file and field."""
LEAST_RECORD_CHARS = 100
MOST_RECORD_CHARS = 4400


@dataclass(frozen=True, slots=True)
class Case:
    """A generation, a training text, and where in both the rewrite stands (negative: everywhere)."""

    condition: str
    label: Label
    half: Half
    generated: str
    training: str
    planted: Span
    origin: Span

    @property
    def is_rewrite(self) -> bool:
        """Whether the generation repeats the training text in other words."""
        return self.label not in ("same topic", "labelled no paraphrase")

    @property
    def kept(self) -> float:
        """Share of the rewrite's terms that stand in what it rewrites; 0 where it has none."""
        return share_kept(self.planted.of(self.generated), self.origin.of(self.training))


def share_kept(rewritten: str, original: str) -> float:
    """Share of the terms of one text that stand in the other, each as often; 0 for a text without terms."""
    own, other = (Counter(terms(text, language="en")) for text in (rewritten, original))
    return (own & other).total() / own.total() if own else 0.0


def strength_of(rewritten: str, original: str) -> Strength:
    """By the share of words kept."""
    kept = share_kept(rewritten, original)
    return "light" if kept >= LIGHT else "medium" if kept >= MEDIUM else "heavy"


def all_cases(shared: Path, *, count: int) -> Iterator[Case]:
    """Every case; of the drawn conditions up to `count` a half, evenly over the strengths."""
    return (case for case in _cases(shared, count) if min(len(case.planted), len(case.origin)) >= LEAST_CHARS)


def _cases(shared: Path, count: int) -> Iterator[Case]:
    pairs = read_pairs(shared / "pairs")
    yield from clough(shared / "pairs" / "clough")
    yield from one_sentence(pairs, count=count)
    yield from passages(pairs, count=count)
    yield from pan13(shared / "pan13-training", count=count)
    for name, (file, field) in RECORDS.items():
        texts = read_records(shared / "data" / file, field)
        yield from by_rules(f"rules, {name}", texts, count=count // 2)
        yield from neighbours(name, texts, count=count)


def _whole(condition: str, label: Label, half: Half, generated: str, training: str) -> Case:
    return Case(condition, label, half, generated, training, Span(0, len(generated)), Span(0, len(training)))


def clough(folder: Path) -> Iterator[Case]:
    """The short answers against the original, and against each other.

    Raises:
        DataError: a file is missing.
    """
    try:
        with (folder / "file_information.csv").open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["Category"] != "orig"]
        texts = {row["File"]: _read_answer(folder / row["File"]) for row in rows}
        originals = {task: _read_answer(folder / f"orig_task{task}.txt") for task in {row["Task"] for row in rows}}
    except FileNotFoundError as error:
        raise DataError(f"{error.filename}: no such file") from error
    labels: dict[str, Label] = {"cut": "cut", "light": "light", "heavy": "heavy", "non": "same topic"}
    for row in rows:
        original, label = originals[row["Task"]], labels[row["Category"]]
        condition = "clough, non" if label == "same topic" else "clough"
        yield _whole(condition, label, half_of(original), texts[row["File"]], original)
    for one, other in combinations(rows, 2):
        if one["Task"] == other["Task"] and "non" in (one["Category"], other["Category"]):
            half = half_of(originals[one["Task"]])
            yield _whole("clough, two answers", "same topic", half, texts[one["File"]], texts[other["File"]])


def _read_answer(file: Path) -> str:
    return file.read_bytes().decode("utf-8", "replace")


def one_sentence(pairs: Sequence[LabelledPair], *, count: int) -> Iterator[Case]:
    """Human paraphrases of one sentence, up to `count` of each set, half and label."""
    made: Counter[tuple[str, Label, Half]] = Counter()
    for found in pairs:
        one, other = found.pair.generated, found.pair.training
        label: Label = strength_of(other, one) if found.is_paraphrase else "labelled no paraphrase"
        if found.set == "sts" and not found.is_paraphrase:
            continue
        if min(len(one), len(other)) < LEAST_CHARS:
            continue
        made[found.set, label, found.half] += 1
        if made[found.set, label, found.half] <= count:
            yield _whole(f"{found.set}, one sentence", label, found.half, other, one)


def passages(pairs: Sequence[LabelledPair], *, count: int) -> Iterator[Case]:
    """Five paraphrases of a strength in a row, between sentences of pairs that are no paraphrases."""
    for name in ("pan", "msrp"):
        for half in ("a", "b"):
            own = [found.pair for found in pairs if (found.set, found.half, found.is_paraphrase) == (name, half, True)]
            fill = [one.pair for one in pairs if (one.set, one.half, one.is_paraphrase) == (name, half, False)]
            margins = [pair.generated for pair in fill]
            for strength in RATES:
                chosen = [pair for pair in own if strength_of(pair.training, pair.generated) == strength]
                for number in range(min(count, len(chosen) // PASSAGE_PAIRS)):
                    rows = chosen[PASSAGE_PAIRS * number : PASSAGE_PAIRS * (number + 1)]
                    around = [margins[(4 * MARGIN_PAIRS * number + i) % len(margins)] for i in range(4 * MARGIN_PAIRS)]
                    generated, planted = _between([pair.training for pair in rows], around[: 2 * MARGIN_PAIRS])
                    training, origin = _between([pair.generated for pair in rows], around[2 * MARGIN_PAIRS :])
                    label = strength_of(planted.of(generated), origin.of(training))
                    yield Case(f"{name}, passages", label, half, generated, training, planted, origin)


def _between(inner: Sequence[str], around: Sequence[str]) -> tuple[str, Span]:
    before, text, behind = (
        " ".join(map(_ended, part)) for part in (around[:MARGIN_PAIRS], inner, around[MARGIN_PAIRS:])
    )
    start = len(before) + 1
    return f"{before} {text} {behind}", Span(start, start + len(text))


def _ended(sentence: str) -> str:
    return sentence if sentence.rstrip().endswith((".", "!", "?", '"')) else f"{sentence.rstrip()}."


def pan13(folder: Path, *, count: int) -> Iterator[Case]:
    """Randomly obfuscated passages against their source, and documents against one that they do not use."""
    corpus = read_corpus(folder)
    made: Counter[tuple[Label, Half]] = Counter()
    for pair, half in zip(corpus.pairs, halves(corpus), strict=True):
        suspicious, source = corpus.suspicious[pair.suspicious], corpus.sources[pair.source]
        if pair.obfuscation == "03-random-obfuscation":
            for case in pair.cases:
                generated = _first_words(case.copy.of(suspicious), MOST_WORDS)
                label: Label = strength_of(generated, case.origin.of(source))
                made[label, half] += 1
                if made[label, half] <= count:
                    whole = Span(0, len(generated))
                    yield Case("pan13, random", label, half, generated, source, whole, case.origin)
        elif pair.obfuscation == "01-no-plagiarism":
            made["same topic", half] += 1
            if made["same topic", half] <= count:
                yield _whole("pan13, none", "same topic", half, _first_words(suspicious, WINDOW_WORDS), source)


def _first_words(text: str, count: int) -> str:
    return " ".join(text.split(" ")[:count])


def read_records(file: Path, field: str) -> list[str]:
    """The distinct texts of a field that are neither very short nor very long.

    Raises:
        DataError: the file is missing.
    """
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError as error:
        raise DataError(f"{file}: no such file") from error
    found = dict.fromkeys(str(json.loads(line)[field])[:MOST_RECORD_CHARS] for line in lines if line)
    return [text for text in found if len(text) >= LEAST_RECORD_CHARS]


def by_rules(condition: str, texts: Sequence[str], *, count: int) -> Iterator[Case]:
    """Up to `count` passages of three to eight sentences a half, rewritten at every strength."""
    draw = random.Random(0)
    vocabulary = Vocabulary(texts)
    made: Counter[Half] = Counter()
    for text in draw.sample(texts, len(texts)):
        half, spans = half_of(text), sentences(text)
        if made[half] >= count or len(spans) < 3:
            continue
        made[half] += 1
        first = draw.randrange(max(1, len(spans) - 8))
        origin = Span(spans[first].start, spans[min(first + 8, len(spans)) - 1].end)
        for strength in RATES:
            rewritten = rewrite(origin.of(text), strength, vocabulary, draw)
            label = strength_of(rewritten, origin.of(text))
            yield Case(condition, label, half, rewritten, text, Span(0, len(rewritten)), origin)


def neighbours(name: str, texts: Sequence[str], *, count: int) -> Iterator[Case]:
    """Up to `count` records a half, each with its nearest other record of that half, and with one of the next nine."""
    draw = random.Random(0)
    for half in ("a", "b"):
        own = [text for text in texts if half_of(text) == half]
        drawn = draw.sample(range(len(own)), min(count, len(own)))
        for place, others in zip(drawn, _nearest(own, drawn), strict=True):
            for condition, other in (("nearest", others[0]), ("neighbour", draw.choice(others[1:]))):
                if not shared_runs(own[place], own[other], min_chars=COPY_CHARS):
                    yield _whole(f"{condition}, {name}", "same topic", half, own[place], own[other])


def _nearest(texts: Sequence[str], places: Iterable[int]) -> Iterator[list[int]]:
    """For each place the ten other texts of the highest BM25 score."""
    examples = [Example(f"{number:08}", "", text, "member", str(number)) for number, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        build_index(examples, [], Path(folder) / "index", config=RetrievalConfig())
        index = open_index(Path(folder) / "index")
        for place in places:
            scores = index.scores(texts[place]).copy()
            scores[place] = -np.inf
            yield np.argsort(-scores, kind="stable")[:NEIGHBOURS].tolist()
