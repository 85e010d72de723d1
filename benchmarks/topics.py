"""Real texts by source, for the benchmarks: records of several tasks, and for each the records most like it."""

import gzip
import json
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rote.config import RetrievalConfig
from rote.corpus.near_duplicates import Components, join_near_duplicates
from rote.records import Example, content_id
from rote.retrieval import Index, build_index, open_index

RECORDS = 1000
"""Of each source, drawn."""
MIN_CHARS = 60
COPIES = 0.05
"""Word 5-gram Jaccard similarity from which records of a source are copies of each other, such as two drafts of an
abstract: one of them is left out, as what they share is copied text."""
NOVEL_CHARS = 1500


@dataclass(frozen=True)
class Source:
    """Records of one data set, without copies."""

    name: str
    task: str
    texts: tuple[str, ...]

    @cached_property
    def _index(self) -> Index:
        examples = [Example(f"{place:06d}", "", text, "member", "") for place, text in enumerate(self.texts)]
        with tempfile.TemporaryDirectory() as folder:
            build_index(examples, [], Path(folder) / "index", config=RetrievalConfig())
            return open_index(Path(folder) / "index")

    def nearest(self, place: int, count: int) -> list[int]:
        """The records most like that one (BM25), without itself; fewer where few share a word."""
        scores = self._index.scores(self.texts[place])
        best = [int(other) for other in (-scores).argsort(kind="stable")[: count + 1]]
        return [other for other in best if other != place and scores[other] > 0][:count]


@dataclass(frozen=True, slots=True)
class Summary:
    """A document and what a person made of it in few words."""

    source: str
    place: int
    document: str
    summary: str


_FILES = (
    ("icliniq", "dialogue", "target"),
    ("scitldr", "summarization", "prompt"),
    ("multinews400", "summarization", "target"),
    ("imdb2k", "sentiment", "prompt"),
    ("pubmedqa", "qa", "prompt"),
    ("xquad_en", "qa", "prompt"),
)


def read_sources(seed: int) -> list[Source]:
    """Medical answers, abstracts, news, film reviews, passages with questions (the passage alone), and novels.

    Not the dialogues that a model wrote (chatdoctor5k): most of them begin with the same sentences.
    """
    found = []
    for name, task, field in _FILES:
        texts = (row[field].partition("\nQuestion:")[0].strip() for row in _rows(f"{task}/{name}.jsonl"))
        found.append(Source(name, task, _drawn([text for text in texts if len(text) >= MIN_CHARS], seed)))
    return [*found, Source("novels", "novels", _drawn(list(_novel_pieces()), seed))]


def read_summaries() -> list[Summary]:
    """Abstracts and their one-line summaries, dialogues and the notes on them, articles and what editors made of them."""
    found = []
    for name in ("scitldr", "mtsdialog", "multinews400"):
        for place, row in enumerate(_rows(f"summarization/{name}.jsonl")):
            document = row["prompt"].partition("\n\n\nArticle:")[2] or row["prompt"]
            found.append(Summary(name, place, document.strip(), row["target"].strip()))
    return found


def _drawn(texts: Sequence[str], seed: int) -> tuple[str, ...]:
    """Some of the texts, one of those that copy each other; which ones depends on their content, not on their order."""
    ordered = sorted(set(texts), key=lambda text: content_id(str(seed), text))[: 2 * RECORDS]
    components = Components(len(ordered))
    join_near_duplicates(ordered.__getitem__, components, threshold=COPIES)
    return tuple(text for place, text in enumerate(ordered) if components.find(place) == place)[:RECORDS]


def _novel_pieces() -> Iterator[str]:
    """One piece of each of many places in the novels, from sentence to sentence as far as that is easily told."""
    draw = random.Random(0)
    for path in sorted((_root() / "pretrain").glob("*.txt.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            text = " ".join(file.read().split())
        for start in draw.sample(range(len(text) - 2 * NOVEL_CHARS), RECORDS // 4):
            first = text.find(". ", start) + 2
            yield text[first : first + NOVEL_CHARS]


def _rows(name: str) -> list[dict[str, str]]:
    with (_root() / name).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _root() -> Path:
    root = Path(os.environ.get("ROTE_SHARED", "../shared")) / "data"
    if not root.exists():
        raise SystemExit(f"{root} does not exist: set ROTE_SHARED to the folder with the shared data")
    return root
