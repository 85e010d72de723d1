"""Shapes of records: which fields are the prompt and which the completion, recognised from the names of the fields."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from rote.corpus.defects import BadRecord, shown_names

Kind = Literal["pair", "trl", "alpaca", "chat", "translation", "text"]
"""What the fields mean to the trainers that read them: see `rote.corpus.rendering`."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Which fields a record has. Names are compared without regard to case and outer space."""

    prompt: tuple[str, ...]
    """Needed fields of the prompt, in order."""
    completion: str
    optional: str = ""
    """A last field of the prompt that may be missing or empty."""
    passage: str = ""
    """The field of the prompt that several records may share (a passage under several questions)."""
    kind: Kind = "pair"
    beside: tuple[str, ...] = ()
    """Fields that are used where a record has them: system message, tools, earlier turns."""

    @property
    def is_question(self) -> bool:
        """Whether the completion is an answer, of which there may be several."""
        return self.completion.casefold() in ("answer", "answers")

    @property
    def name(self) -> str:
        """How the shape is named in messages: its fields."""
        return "/".join([*self.prompt, *([self.optional] if self.optional else []), self.completion])

    @property
    def needed(self) -> tuple[str, ...]:
        """The fields a record of this shape must have."""
        return (*self.prompt, self.completion)

    @property
    def used(self) -> tuple[str, ...]:
        """The fields that become text, as far as a record has them."""
        return (*self.needed, *([self.optional] if self.optional else []), *self.beside)


def _pairs(prompt: str, *completions: str) -> tuple[Shape, ...]:
    return tuple(Shape((prompt,), completion) for completion in completions)


def _questions(passage: str) -> tuple[Shape, ...]:
    return tuple(Shape((passage, "question"), answer, passage=passage) for answer in ("answer", "answers"))


_CHAT = ("system", "tools", "chat_template_kwargs")
_ALPACA = ("system", "history", "tools")
SHAPES: tuple[Shape, ...] = (
    Shape(("prompt",), "completion", kind="trl", beside=("tools", "chat_template_kwargs")),
    Shape(("prompt",), "chosen", kind="trl", beside=("tools", "chat_template_kwargs")),
    *_pairs("prompt", "response", "target", "output", "answer"),
    Shape(("instruction",), "output", optional="input", kind="alpaca", beside=_ALPACA),
    Shape(("instruction", "input"), "response"),
    Shape(("instruction",), "response", optional="context"),
    *(Shape((), name, kind="chat", beside=_CHAT) for name in ("messages", "conversations", "conversation")),
    *_questions("context"),
    *_questions("passage"),
    *_pairs("question", "answer", "answers"),
    *_pairs("document", "summary", "note"),
    *_pairs("dialogue", "summary", "note", "section_text"),
    *_pairs("article", "highlights", "summary", "abstract"),
    *_pairs("text", "summary"),
    *_pairs("source", "target"),
    *_pairs("src", "tgt"),
    *_pairs("input", "output", "target"),
    *_pairs("query", "response"),
    Shape((), "translation", kind="translation"),
    Shape((), "chosen", kind="trl", beside=("tools", "chat_template_kwargs")),
    Shape((), "text", kind="text"),
)
"""The known shapes in the order in which they are tried: a pair before a lone `text`, whose rest would be lost."""
_TRL_NAMES = ("prompt", "completion")


@lru_cache(maxsize=1024)
def recognise(names: tuple[str, ...]) -> Shape:
    """The first shape whose needed fields are all there, with the names as the record writes them.

    Raises:
        BadRecord: none fits; names the field that the nearest shape misses.
    """
    actual = {name.strip().casefold(): name for name in reversed(names)}
    for shape in SHAPES:
        if all(name in actual for name in shape.needed):
            return replace(
                shape,
                prompt=tuple(actual[name] for name in shape.prompt),
                completion=actual[shape.completion],
                optional=actual.get(shape.optional, "") if shape.optional else "",
                passage=actual[shape.passage] if shape.passage else "",
                beside=tuple(actual[name] for name in shape.beside if name in actual),
            )
    nearest = max(SHAPES, key=lambda shape: sum(name in actual for name in shape.needed) / len(shape.needed))
    missing = [name for name in nearest.needed if name not in actual]
    field = missing[0] if len(missing) < len(nearest.needed) else ""
    raise BadRecord(field, "missing field", f"the fields {shown_names(names)}")


def given_shape(prompt: str, completion: str, names: Iterable[str]) -> Shape:
    """The shape that the settings name; the names of a known shape mean what they mean there."""
    known = tuple(name for name in (prompt, completion) if name)
    is_trl = tuple(name.casefold() for name in known) == _TRL_NAMES
    beside = tuple(name for name in names if name.strip().casefold() in _CHAT)
    return Shape((prompt,) if prompt else (), completion, kind="trl" if is_trl else "pair", beside=beside)


def is_recognised(names: Iterable[str]) -> bool:
    """Whether a record with these fields has a known shape."""
    try:
        recognise(tuple(names))
    except BadRecord:
        return False
    return True
