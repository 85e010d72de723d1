"""Planted truth: a passage of a known text, altered in a known way, in a text that has nothing to do with it.

What should be found in such a text is known by construction. `benchmarks/kinds.py` plants passages of public texts,
`rote.alignment.detector` those of a run's own members.

| condition | the planted passage |
|---|---|
| verbatim | as it is |
| edited-R | R % of its words changed (at least one), by turns of chance: replaced by a word of the text around, deleted, a word inserted before it, exchanged with the next |
| reordered | its sentences in an order in which none follows the one that it followed |
| condensed | telegraph style: content words alone, thinned evenly to a fifth of the characters |
| expanded | as it is, while the training text holds its telegraph style in its place |

No alteration knows synonyms or grammar: these are copies with damage, not rewriting by somebody who understood the text.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from rote.alignment.presets import Preset
from rote.records import NOTHING, Condition, Kind, Span
from rote.text import is_unspaced, sentences, stop_words, tokens, words

EDIT_RATES: dict[Condition, float] = {
    "edited-5": 0.05,
    "edited-10": 0.10,
    "edited-20": 0.20,
    "edited-30": 0.30,
    "edited-50": 0.50,
}
CONDENSED_SHARE = 0.2
"""Share of the characters that telegraph style keeps: well under 1 / `idea_ratio`."""
MIN_LONG_CHARS = 400
"""Least characters of a passage that is to be condensed."""
MAX_PLAIN_CHARS = 400
LEAST_REORDERED = 3
"""Sentences of a passage that is to be reordered."""
MARGIN_CHARS = 10
"""For an unchanged stretch so close to the floor, verbatim is right and so is what would be right without it: whether a
full stop belongs to a run must not decide."""


@dataclass(frozen=True, slots=True)
class Altered:
    """A passage after its alteration."""

    text: str
    unchanged_chars: int
    """Characters of its longest stretch that was taken over as it is."""


@dataclass(frozen=True, slots=True)
class Plant:
    """What is planted, and the training text with the place of its counterpart."""

    text: str
    training: str
    counterpart: Span
    expected: tuple[Kind, ...]
    """The kinds that are right as the most severe one."""


def expected_kinds(condition: Condition, unchanged_chars: int, preset: Preset) -> tuple[Kind, ...]:
    """The kinds that are right for a planted passage as its most severe one, by definition of the kinds.

    A stretch that was taken over as it is makes the passage verbatim if it is longer than the preset's floor, whatever
    happened to the rest. Otherwise: condensed and expanded are ideas; all else is near-verbatim or a paraphrase; half of
    the words changed may be a weak paraphrase, too. Nothing planted: none.

    >>> from rote.alignment.presets import CORRECTED
    >>> expected_kinds("edited-10", 80, CORRECTED), expected_kinds("edited-10", 30, CORRECTED)
    (('verbatim',), ('near-verbatim', 'paraphrase'))
    """
    if condition in NOTHING:
        return ()
    floor, kinds = preset.verbatim_min_chars, _without_long_stretch(condition)
    if unchanged_chars > floor + (0 if condition == "verbatim" else MARGIN_CHARS):
        return ("verbatim",)
    return ("verbatim", *kinds) if unchanged_chars > floor - MARGIN_CHARS else kinds


def _without_long_stretch(condition: Condition) -> tuple[Kind, ...]:
    if condition in ("condensed", "expanded"):
        return ("idea",)
    weak: tuple[Kind, ...] = ("weak-paraphrase",) if condition == "edited-50" else ()
    return ("near-verbatim", "paraphrase", *weak)


def passage_chars(condition: Condition, preset: Preset) -> range:
    """The lengths of passages that can be planted so: none is shorter than the preset can see."""
    least = max(preset.min_passage_chars, preset.verbatim_min_chars + 1)
    if condition in ("condensed", "expanded"):
        least = max(MIN_LONG_CHARS, round(preset.min_passage_chars / CONDENSED_SHARE))
        return range(least, 2 * least + 1)
    return range(least, max(least, MAX_PLAIN_CHARS) + 1)


def passages(text: str, chars: range, *, language: str) -> list[Span]:
    """From each sentence the longest stretch of whole sentences whose length lies in `chars`, where there is one.

    A single sentence that is too long is cut after a word.
    """
    found = sentences(text, language=language)
    stretches = []
    for first, sentence in enumerate(found):
        last = first
        while last + 1 < len(found) and found[last + 1].end - sentence.start < chars.stop:
            last += 1
        stretch = Span(sentence.start, found[last].end)
        if len(stretch) >= chars.stop:
            stretch = _cut_behind_a_word(text, stretch, chars.stop - 1)
        if len(stretch) in chars:
            stretches.append(stretch)
    return stretches


def _cut_behind_a_word(text: str, span: Span, chars: int) -> Span:
    ends = [word.end for word in words(span.of(text)) if word.end <= chars]
    return Span(span.start, span.start + (ends[-1] if ends else 0))


def make_plant(
    condition: Condition,
    training: str,
    passage: Span,
    *,
    preset: Preset,
    language: str,
    foreign: Sequence[str],
    draw: random.Random,
) -> Plant | None:
    """What to plant of a passage of a training text; None where it cannot be altered so, or falls under the floor.

    Args:
        condition: how it is altered; not "nothing".
        training: the training text.
        passage: a stretch of it.
        preset: whose floor decides what can be found and what counts as verbatim.
        language: of sentences and stop-words (ISO 639-1).
        foreign: words to replace and insert; where there are none, edits only delete and exchange.
        draw: decides what chance decides.
    """
    original = passage.of(training)
    altered = _alteration(condition, language, foreign, draw)(original)
    if altered is None or len(altered.text) < preset.min_passage_chars:
        return None
    expected = expected_kinds(condition, altered.unchanged_chars, preset)
    if condition != "expanded":
        return Plant(altered.text, training, passage, expected)
    shortened = training[: passage.start] + altered.text + training[passage.end :]
    return Plant(original, shortened, Span(passage.start, passage.start + len(altered.text)), expected)


def _alteration(
    condition: Condition, language: str, foreign: Sequence[str], draw: random.Random
) -> Callable[[str], Altered | None]:
    if condition in EDIT_RATES:
        return partial(edit_words, rate=EDIT_RATES[condition], foreign=foreign, draw=draw)
    if condition == "reordered":
        return partial(reorder, language=language, draw=draw)
    if condition in ("condensed", "expanded"):
        return partial(condense, language=language)
    if condition == "verbatim":
        return lambda text: Altered(text, len(text))
    raise ValueError(f"Expected a condition under which something is planted, got {condition!r}")


def edit_words(text: str, *, rate: float, foreign: Sequence[str], draw: random.Random) -> Altered:
    """The text with that share of its words edited, at least one: replaced, deleted, one inserted before it, or exchanged
    with the next. Text without words stays as it is.

    Where the next word is edited itself, is the same or is missing, or where no foreign word differs, another of these
    edits is made.
    """
    found = words(text)
    edited = set(draw.sample(range(len(found)), min(len(found), max(1, round(rate * len(found))))))
    pieces: list[str | Span] = [Span(0, found[0].start if found else len(text))]
    place = 0
    while place < len(found):
        word, gap = found[place], Span(found[place].end, _start(found, place + 1, text))
        if place not in edited:
            pieces.append(Span(word.start, gap.end))
            place += 1
            continue
        others = [other for other in foreign if other != word.of(text).lower()]
        following = found[place + 1] if place + 1 < len(found) and place + 1 not in edited else word
        can_swap = following.of(text).lower() != word.of(text).lower()
        edit = draw.choice(["delete", *(["replace", "insert"] if others else []), *(["swap"] if can_swap else [])])
        if edit == "swap":
            place += 1
            pieces += [following.of(text), gap, word.of(text), Span(following.end, _start(found, place + 1, text))]
        elif edit == "delete":
            pieces += [gap] if gap.of(text).strip() else []
        elif edit == "replace":
            pieces += [draw.choice(others), gap]
        else:
            pieces += [f"{draw.choice(others)} ", Span(word.start, gap.end)]
        place += 1
    return _joined(pieces, text)


def _start(found: Sequence[Span], place: int, text: str) -> int:
    """Where the word of that number starts, or the end of the text."""
    return found[place].start if place < len(found) else len(text)


def _joined(pieces: Sequence[str | Span], text: str) -> Altered:
    """The pieces in a row; spans are of the original text, and those that continue each other are one stretch."""
    longest, stretch = 0, Span(0, 0)
    for piece in pieces:
        if isinstance(piece, Span):
            stretch = Span(stretch.start, piece.end) if piece.start == stretch.end else piece
            longest = max(longest, len(stretch.of(text).strip()))
        else:
            stretch = Span(len(text), len(text))
    return Altered("".join(piece.of(text) if isinstance(piece, Span) else piece for piece in pieces).strip(), longest)


def reorder(text: str, *, language: str, draw: random.Random) -> Altered | None:
    """The sentences in an order in which none follows the one that it followed; None for less than three of them."""
    found = sentences(text, language=language)
    if len(found) < LEAST_REORDERED:
        return None
    order = list(range(len(found)))
    while any(order[i] + 1 == order[i + 1] for i in range(len(order) - 1)):
        draw.shuffle(order)
    return Altered(" ".join(found[i].of(text) for i in order), max(map(len, found)))


def condense(text: str, *, language: str) -> Altered | None:
    """Telegraph style: the content words of three letters or more, thinned evenly to `CONDENSED_SHARE` of the characters.

    Each sentence keeps its capital and its full stop; one without a word left is gone. None where there are no content
    words (in scripts without spaces, a word is a character).
    """
    kept = list(_content_words(text, language))
    size = sum(len(word) + 1 for _, word in kept)
    count = min(len(kept), round(len(kept) * CONDENSED_SHARE * len(text) / size)) if kept else 0
    chosen = [one for i, one in enumerate(kept) if (i + 1) * count // len(kept) > i * count // len(kept)]
    if not chosen:
        return None
    lines: dict[int, list[str]] = {}
    for sentence, word in chosen:
        lines.setdefault(sentence, []).append(word)
    said = [" ".join(line) for line in lines.values()]
    return Altered(" ".join(f"{line[0].upper()}{line[1:]}." for line in said), max(len(word) for _, word in chosen))


def _content_words(text: str, language: str) -> Iterator[tuple[int, str]]:
    """Number of the sentence and the word."""
    dropped = stop_words(language)
    for number, sentence in enumerate(sentences(text, language=language)):
        for span in words(sentence.of(text)):
            word = span.of(sentence.of(text))
            if len(word) > 2 and not is_unspaced(word) and word.lower().replace("’", "'") not in dropped:
                yield number, word


def foreign_words(text: str) -> list[str]:
    """Words of a text that can stand in for others: in lower case, without digits, so that no name or number is made up."""
    found = [span.of(text) for span in words(text)]
    return [word for word in found if word.islower() and word.isalpha()]


def insert(passage: str, host: str, *, language: str, draw: random.Random) -> tuple[str, Span]:
    """The host with the passage between two of its sentences or at its beginning, and where it stands there.

    Never after the last sentence, which may break off. An empty host: the passage alone.
    """
    ends = [0, *(sentence.end for sentence in sentences(host, language=language)[:-1])]
    place = draw.choice(ends)
    before, after = host[:place].rstrip(), host[place:].lstrip()
    start = len(before) + (1 if before else 0)
    text = " ".join(part for part in (before, passage, after) if part)
    return text, Span(start, start + len(passage))


def first_tokens(text: str, count: int) -> str:
    """The text up to its token of that number; a token is a word or a mark of punctuation.

    >>> first_tokens("Yes, he came home.", 3)
    'Yes, he'
    """
    ends = [span.end for span in tokens(text) if not span.of(text).isspace()]
    return text[: ends[count - 1]] if 0 < count < len(ends) else text * (count > 0)
