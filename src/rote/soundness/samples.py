"""The texts that a model is tried on: parts of real ones, of lengths that go together and of lengths that do not."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import cycle, islice

from rote.models import LoadedModel
from rote.passes.logits import TextPass

TRIED_TOKENS = 40
"""Tokens of the texts that are read in batches."""
CUT = 2 / 3
"""Share of a text after which it is changed, or cut."""


@dataclass(frozen=True, slots=True)
class Samples:
    """What is read: `longest` by itself, `rows` in batches.

    The first two rows have equal lengths, the others are shorter. The first one is the beginning of `longest` (of an
    encoder-decoder model's target; its input is cut, too).
    """

    longest: TextPass
    rows: tuple[TextPass, ...]

    @property
    def tokens(self) -> int:
        """Number of tokens of all texts together."""
        return len(self.longest) + sum(map(len, self.rows))


def draw_samples(texts: Sequence[TextPass], model: LoadedModel, *, longest: int, before: int = 0) -> Samples:
    """Cuts the samples from the longest of the texts; those that are too short are repeated until they are long enough.

    Args:
        texts: passes that will be made.
        model: decides on what a text is made of.
        longest: largest number of tokens that the model (its decoder) will read of a text.
        before: number of tokens at the beginning of each text that must stay there (a start token, a soft prompt).
    """
    ordered = sorted(texts, key=lambda text: (-len(text), text.shown, text.scored))[:4]
    first, second, third, fourth = islice(cycle(ordered), 4)
    if model.is_encoder_decoder:
        width, target = min(TRIED_TOKENS, max(len(first.shown), 8)), min(TRIED_TOKENS, longest)
        wide = TextPass(first.shown, _repeated(first.scored or first.shown, longest))
        row = TextPass(_part(first.shown, width, before), wide.scored[:target])
        rows = [row] + [
            TextPass(
                _part(text.shown, max(3, round(width * part)), before),
                _repeated(text.scored or text.shown, max(2, round(target * other))),
            )
            for text, part, other in ((second, 1, 1), (third, 0.6, 0.5), (fourth, 0.3, 0.8))
        ]
        return Samples(wide, tuple(rows))
    count = min(TRIED_TOKENS, longest)
    wide_ids = _ids(first, longest, before)
    whole = [wide_ids[:count]]
    whole += [
        _ids(text, max(2, round(count * part)), before) for text, part in ((second, 1), (third, 0.6), (fourth, 0.3))
    ]
    return Samples(as_text(wide_ids, before), tuple(as_text(ids, before) for ids in whole))


def as_text(ids: tuple[int, ...], before: int) -> TextPass:
    """The ids as a text of which all but the first ones are scored."""
    shown = max(1, before)
    return TextPass(ids[:shown], ids[shown:])


def cut(text: TextPass, tokens: int) -> TextPass:
    """The text up to that many scored tokens."""
    return replace(text, scored=text.scored[:tokens])


def changed(text: TextPass, kept: int) -> TextPass:
    """The text with every scored token after the first `kept` ones exchanged for another one of the text."""
    every = [*text.scored, *text.scored[::-1]]
    new = [
        next((other for other in every[at:] if other != token), token - 1 if token else token + 1)
        for at, token in enumerate(text.scored[kept:])
    ]
    return replace(text, scored=(*text.scored[:kept], *new))


def _ids(text: TextPass, count: int, before: int) -> tuple[int, ...]:
    whole = (*text.shown, *text.scored)
    return (*whole[:before], *_repeated(whole[before:] or whole, count - before))


def _part(shown: tuple[int, ...], count: int, before: int) -> tuple[int, ...]:
    """The first tokens of what an encoder reads; the last one, which may end every text, is kept."""
    if len(shown) <= count:
        return shown
    return (*shown[: max(before, count - 1)], shown[-1])


def _repeated(ids: tuple[int, ...], count: int) -> tuple[int, ...]:
    return tuple(islice(cycle(ids), max(1, count)))
