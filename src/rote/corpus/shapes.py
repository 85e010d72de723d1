"""Shapes of records: which fields are the prompt and which the completion, recognised from the names of the fields."""

from dataclasses import dataclass, replace
from functools import lru_cache

from rote.config import CorpusConfig
from rote.corpus.chat import ChatTokenizer, read_chat
from rote.corpus.defects import BadRecord, shown, shown_names
from rote.corpus.formats import Fields, has_surrogate
from rote.errors import ConfigError


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
    is_chat: bool = False

    @property
    def is_question(self) -> bool:
        """Whether the completion is an answer, of which there may be several."""
        return self.completion.casefold() in ("answer", "answers")

    @property
    def name(self) -> str:
        """How the shape is told: its fields."""
        return "/".join([*self.prompt, *([self.optional] if self.optional else []), self.completion])

    @property
    def needed(self) -> tuple[str, ...]:
        """The fields a record of this shape must have."""
        return (*self.prompt, self.completion)


def _pairs(prompt: str, *completions: str) -> tuple[Shape, ...]:
    return tuple(Shape((prompt,), completion) for completion in completions)


def _questions(passage: str) -> tuple[Shape, ...]:
    return tuple(Shape((passage, "question"), answer, passage=passage) for answer in ("answer", "answers"))


SHAPES: tuple[Shape, ...] = (
    *_pairs("prompt", "completion", "response", "target", "output", "answer"),
    Shape(("instruction",), "output", optional="input"),
    Shape(("instruction",), "response", optional="context"),
    *(Shape((), name, is_chat=True) for name in ("messages", "conversations", "conversation")),
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
    Shape((), "text"),
)
"""The known shapes in the order in which they are tried: a pair before a lone `text`, whose rest would be lost."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a row becomes. `prompt` ends with the separator, unless it is empty or a chat."""

    prompt: str
    completion: str
    passage: str
    """Text of the passage field; "" where the shape has none."""
    asked: str
    """The prompt without instruction and markup: where a passage shared with other records is looked for."""
    start: int
    """Where in prompt and completion an instruction or system message is over."""


@dataclass(frozen=True, slots=True)
class ShapeReader:
    """Makes prompt and completion of rows, by the given fields or by the first shape that fits.

    Raises:
        ConfigError: a prompt field without a completion field.
    """

    config: CorpusConfig
    tokenizer: ChatTokenizer | None

    def __post_init__(self) -> None:
        if self.config.prompt_field and not self.config.completion_field:
            raise ConfigError(
                f"corpus.prompt_field = {self.config.prompt_field!r} needs corpus.completion_field, found none"
            )

    def shape_of(self, fields: Fields) -> Shape:
        """The shape of a row, with the names as the row writes them.

        Raises:
            BadRecord: no shape fits.
        """
        config = self.config
        if not config.completion_field:
            return recognise(tuple(fields))
        shape = Shape((config.prompt_field,) if config.prompt_field else (), config.completion_field)
        missing = [name for name in shape.needed if name not in fields]
        if missing:
            raise BadRecord(missing[0], "missing field", f"the fields {shown_names(fields)}")
        return shape

    def parts_of(self, fields: Fields, shape: Shape) -> Parts:
        """Prompt and completion of a row.

        Raises:
            BadRecord: a field is empty, not text, not UTF-8, or the whole is too long.
        """
        parts = self._chat(fields, shape) if shape.is_chat else self._pair(fields, shape)
        chars = len(parts.prompt) + len(parts.completion)
        if chars > self.config.max_chars:
            text = parts.prompt + parts.completion
            raise BadRecord(shape.completion, "too long", f"{chars} characters: {shown(text[:120])}")
        return parts

    def _pair(self, fields: Fields, shape: Shape) -> Parts:
        needed = [_text(name, fields[name]) for name in shape.prompt]
        has_optional = shape.optional and fields.get(shape.optional) is not None
        optional = _text(shape.optional, fields[shape.optional]) if has_optional else ""
        answer = fields[shape.completion]
        completion = _text(shape.completion, _first_answer(answer) if shape.is_question else answer)
        if not completion.strip():
            raise BadRecord(shape.completion, "empty", shown(completion))
        prompt = "".join(text + self.config.separator for text in (*needed, optional) if text.strip())
        passage = _text(shape.passage, fields[shape.passage]) if shape.passage else ""
        if not optional.strip():
            return Parts(prompt, completion, passage, prompt, 0)
        return Parts(prompt, completion, passage, optional, len(prompt) - len(optional + self.config.separator))

    def _chat(self, fields: Fields, shape: Shape) -> Parts:
        chat = read_chat(shape.completion, fields[shape.completion], tokenizer=self.tokenizer)
        _text(shape.completion, chat.prompt + chat.completion)
        return Parts(chat.prompt, chat.completion, "", chat.said, chat.start)


@lru_cache(maxsize=1024)
def recognise(names: tuple[str, ...]) -> Shape:
    """The first shape whose needed fields are all there.

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
            )
    nearest = max(SHAPES, key=lambda shape: sum(name in actual for name in shape.needed) / len(shape.needed))
    missing = [name for name in nearest.needed if name not in actual]
    field = missing[0] if len(missing) < len(nearest.needed) else ""
    raise BadRecord(field, "missing field", f"the fields {shown_names(names)}")


def _first_answer(value: object) -> object:
    """The first answer of SQuAD's `{"text": [...]}` or of a list of answers; anything else as it is."""
    if isinstance(value, dict) and "text" in value:
        value = value["text"]
    if isinstance(value, list):
        value = value[0] if value else ""
        return _first_answer(value) if isinstance(value, dict) else value
    return value


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        raise BadRecord(field, "not text", shown(value))
    if has_surrogate(value):
        raise BadRecord(field, "invalid UTF-8", shown(value))
    return value
