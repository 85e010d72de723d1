"""Texts with planted passages for `kinds.py`: of which record, in which text, beside which other training texts."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from topics import Source, Summary

from rote.alignment import Preset
from rote.alignment.detector import PlantedText
from rote.alignment.planting import Plant, first_tokens, foreign_words, insert, make_plant, passage_chars, passages
from rote.records import KINDS, NOTHING, Condition, Kind, Span
from rote.scoring.detector import TITLES
from rote.text import sentences, tokens

TOKENS = (100, 400)
"""Words and marks of punctuation of a text that passages are planted in, with the passage."""
LEAST_AROUND = 40
"""Of these, at least so many are not the passage's."""
SHORT_CHARS = range(50, 201)
OTHERS = 9
NEAR = 30
"""Records most like the passage's own, of which some are the text around it and others are compared with it."""
LANGUAGE = "en"
COUNTED: tuple[Kind, ...] = KINDS[:-1]

Around = Literal["nothing", "unrelated", "alike"]


@dataclass(frozen=True, slots=True)
class Table:
    """Texts of one sort."""

    name: str
    around: Around
    """What the passage stands in: records of another task, or the records most like its own, or it is the whole text."""
    is_short: bool
    """Planted is one sentence, or so much telegraph style."""
    by_people: bool
    """Condensed by people; the documents are of the sources with summaries."""
    conditions: tuple[Condition, ...]


_ALTERED = tuple(condition for condition in TITLES if condition not in NOTHING)
_SHORT: tuple[Condition, ...] = tuple(one for one in _ALTERED if one not in ("reordered", "expanded"))
TABLES = (
    Table("long", "unrelated", False, False, (*_ALTERED, *NOTHING)),
    Table("long, same topic around", "alike", False, False, _ALTERED),
    Table("short", "nothing", True, False, (*_SHORT, *NOTHING)),
    Table("short inside", "unrelated", True, False, _SHORT),
    Table("short inside, same topic around", "alike", True, False, _SHORT),
    Table("by people", "unrelated", False, True, ("condensed", "expanded")),
    Table("by people, short", "nothing", True, True, ("condensed",)),
)


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes texts, the same ones for the same preset and seed."""

    sources: Sequence[Source]
    summaries: Sequence[Summary]
    preset: Preset
    seed: int

    def texts(self, table: Table, condition: Condition) -> Iterator[PlantedText]:
        """Texts without end of records, each of another record, by turns of the sources."""
        draw = random.Random(f"{self.seed} {table.name} {condition}")
        if condition in NOTHING:
            return self._without_plant(table, condition, draw)
        return self._by_people(table, condition, draw) if table.by_people else self._with_plant(table, condition, draw)

    def _with_plant(self, table: Table, condition: Condition, draw: random.Random) -> Iterator[PlantedText]:
        for source, place in self._records(draw):
            near = source.nearest(place, NEAR)
            around, used = self._around(table, source, near, draw)
            plant = self._plant(table, condition, source.texts[place], around, draw)
            if plant is None:
                continue
            text, span = _stand(plant.text, around if table.around != "nothing" else "", draw)
            others = [source.texts[other] for other in near if other not in used][:OTHERS]
            yield PlantedText(condition, f"{source.name} {place}", table.around, text, others, plant, span)

    def _records(self, draw: random.Random) -> Iterator[tuple[Source, int]]:
        """The records of all sources but the novels in a random order, by turns of the sources."""
        sources = [source for source in self.sources if source.task != "novels"]
        orders = [draw.sample(range(len(source.texts)), len(source.texts)) for source in sources]
        for turn in range(max(map(len, orders))):
            for source, order in zip(sources, orders, strict=True):
                if turn < len(order):
                    yield source, order[turn]

    def _around(
        self, table: Table, source: Source, near: Sequence[int], draw: random.Random
    ) -> tuple[str, Sequence[int]]:
        """A text of more than enough words, and the records of the passage's own source that stand in it.

        Where the passage is to stand alone, edits still take their words from it.
        """
        if table.around != "alike":
            return self._unrelated(source.task, draw), ()
        used = 1
        while used < len(near) and _count(" ".join(source.texts[one] for one in near[:used])) < TOKENS[1]:
            used += 1
        return " ".join(source.texts[one] for one in near[:used]), near[:used]

    def _unrelated(self, task: str, draw: random.Random) -> str:
        """Records of one source of another task, one behind the other."""
        source, text = draw.choice([one for one in self.sources if one.task != task]), ""
        while _count(text) < TOKENS[1]:
            text = f"{text} {draw.choice(source.texts)}".strip()
        return text

    def _plant(
        self, table: Table, condition: Condition, training: str, around: str, draw: random.Random
    ) -> Plant | None:
        """A passage of the record that can be planted so, or None."""
        spans = passages(training, passage_chars(condition, self.preset), language=LANGUAGE)
        if table.is_short and condition != "condensed":
            spans = _short_sentences(training)
        draw.shuffle(spans)
        foreign = foreign_words(around)
        for span in spans:
            plant = make_plant(
                condition, training, span, preset=self.preset, language=LANGUAGE, foreign=foreign, draw=draw
            )
            if plant is not None and (not table.is_short or len(plant.text) in SHORT_CHARS):
                return plant
        return None

    def _by_people(self, table: Table, condition: Condition, draw: random.Random) -> Iterator[PlantedText]:
        documents = [item.document for item in self.summaries]
        for item in draw.sample(self.summaries, len(self.summaries)):
            planted, training = item.summary, item.document
            if min(map(len, (planted, training))) < self.preset.min_passage_chars:
                continue
            if len(training) < self.preset.idea_ratio * len(planted):
                continue
            if condition == "expanded":
                planted, training = training, planted
            fits = len(planted) in SHORT_CHARS if table.is_short else _count(planted) <= TOKENS[1] - LEAST_AROUND
            if not fits:
                continue
            around = self._unrelated("summarization", draw) if table.around == "unrelated" else ""
            text, span = _stand(planted, around, draw)
            plant = Plant(planted, training, Span(0, len(training)), COUNTED)
            others = draw.sample(documents, OTHERS)
            yield PlantedText(condition, f"{item.source} {item.place}", table.around, text, others, plant, span)

    def _without_plant(self, table: Table, condition: Condition, draw: random.Random) -> Iterator[PlantedText]:
        for source, place in self._records(draw):
            text = first_tokens(source.texts[place], draw.randint(*TOKENS))
            if table.is_short:
                spans = _short_sentences(text)
                text = draw.choice(spans).of(text) if spans else ""
            if not text:
                continue
            others = [source.texts[other] for other in source.nearest(place, OTHERS + 1)]
            if condition == "nothing":
                strangers = [one for one in self.sources if one.task != source.task]
                others = [draw.choice(draw.choice(strangers).texts) for _ in range(OTHERS + 1)]
            yield PlantedText(condition, f"{source.name} {place}", source.name, text, others)


def _short_sentences(text: str) -> list[Span]:
    return [span for span in sentences(text, language=LANGUAGE) if len(span) in SHORT_CHARS]


def _stand(passage: str, around: str, draw: random.Random) -> tuple[str, Span]:
    room = max(LEAST_AROUND, draw.randint(*TOKENS) - _count(passage))
    return insert(passage, first_tokens(around, room), language=LANGUAGE, draw=draw)


def _count(text: str) -> int:
    """Words and marks of punctuation."""
    return sum(not span.of(text).isspace() for span in tokens(text))
