"""What a row says, before it becomes text: the texts of the prompt and the completion, or a conversation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rote.corpus.chat import Conversation, Message, conversation_of, from_json, is_messages, messages_of, text_of
from rote.corpus.defects import BadRecord, shown, shown_names
from rote.corpus.fields import field_of, text_field
from rote.corpus.formats import Fields
from rote.corpus.shapes import Shape

RENDERED = "is_rendered"
"""The field of a record, true where a chat template wrote its text with all special tokens; `rote finetune` writes it."""


@dataclass(frozen=True, slots=True)
class Content:
    """The texts of a record."""

    texts: tuple[str, ...]
    """Those of the prompt, in order, blank ones left out."""
    completion: str
    passage: str = ""
    """Text of the passage field; "" where the shape has none."""
    has_instruction: bool = False
    """Whether the last of the texts is the input of the one before."""
    chat: Conversation | None = None
    """Where the record is a list of messages."""
    system: str = ""
    history: tuple[tuple[str, str], ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    is_rendered: bool = False
    """The text is one that a chat template wrote before, as the files of `rote finetune` say."""

    @property
    def conversation(self) -> Conversation:
        """The record as messages: the texts of the prompt are what the user says, as LLaMA-Factory does."""
        if self.chat is not None:
            return self.chat
        turns: list[Message] = [{"role": "system", "content": self.system}] if self.system.strip() else []
        for asked, told in self.history:
            turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": told}]
        asking: list[Message] = [{"role": "user", "content": "\n".join(self.texts)}] if self.texts else []
        answer: Message = {"role": "assistant", "content": self.completion}
        return Conversation([*turns, *asking, answer], len(turns) + len(asking), self.options)


def content_of(fields: Fields, shape: Shape) -> Content:
    """The texts of a row of this shape.

    Raises:
        BadRecord: a field is empty, not text, or not UTF-8.
    """
    completion = field_of(fields, shape.completion)
    if shape.kind == "chat" or is_messages(completion):
        return _chat(fields, shape, completion)
    if shape.kind == "translation":
        return _translation(shape.completion, completion)
    texts = [text_field(name, field_of(fields, name)) for name in shape.prompt]
    has_optional = shape.optional and fields.get(shape.optional) is not None
    optional = text_field(shape.optional, fields[shape.optional]) if has_optional else ""
    answer = text_field(shape.completion, first_answer(completion) if shape.is_question else completion)
    if not answer.strip():
        raise BadRecord(shape.completion, "empty", shown(answer))
    return Content(
        texts=tuple(text for text in (*texts, optional) if text.strip() or (text and shape.kind == "trl")),
        completion=answer,
        passage=text_field(shape.passage, field_of(fields, shape.passage)) if shape.passage else "",
        has_instruction=bool(optional.strip()),
        system=_system(fields, shape) if shape.kind == "alpaca" else "",
        history=_history(fields, shape) if shape.kind == "alpaca" else (),
        options=_options(fields, shape) if shape.kind == "alpaca" else {},
        is_rendered=shape.kind in ("trl", "text", "pair") and fields.get(RENDERED) is True,
    )


def first_answer(value: object) -> object:
    """The first answer of SQuAD's `{"text": [...]}` or of a list of answers; anything else as it is."""
    if isinstance(value, dict) and "text" in value:
        value = value["text"]
    if isinstance(value, list):
        value = value[0] if value else ""
        return first_answer(value) if isinstance(value, dict) else value
    return value


def _chat(fields: Fields, shape: Shape, completion: object) -> Content:
    """Messages, those of a prompt field before those of the completion field."""
    name = shape.completion
    messages, answer = messages_of(name, completion), None
    if shape.prompt:
        before = _before(shape.prompt[0], field_of(fields, shape.prompt[0]), messages)
        messages, answer = [*before, *messages], len(before) or None
    system = _system(fields, shape)
    if system.strip() and messages[0]["role"] not in ("system", "developer"):
        messages = [{"role": "system", "content": system}, *messages]
        answer = None if answer is None else answer + 1
    chat = conversation_of(name, messages, options=_options(fields, shape), answer=answer)
    for message in chat.messages:
        text_field(name, text_of(message))
    texts = tuple(text for message in chat.before if (text := text_of(message)).strip())
    return Content(texts, "\n".join(map(text_of, chat.messages[chat.answer :])), chat=chat)


def _before(name: str, asked: object, messages: Sequence[Message]) -> list[Message]:
    """The messages of a prompt field; a text that the completion's messages begin with anyway is none of its own."""
    if not isinstance(asked, str):
        return messages_of(name, asked)
    is_repeated = messages[0]["role"] != "assistant"
    return [] if is_repeated or not asked.strip() else [{"role": "user", "content": asked}]


def _translation(name: str, value: object) -> Content:
    """WMT's `{"de": …, "en": …}`: from the first language into the second."""
    if not isinstance(value, Mapping):
        raise BadRecord(name, "not text", f"expected an object with a text in each language, found {shown(value)}")
    known = {language: text for language, text in value.items() if text is not None}
    if len(known) != 2:
        raise BadRecord(name, "not text", f"expected two languages, found {shown_names(known)}: {_advice(name, known)}")
    source, target = (text_field(f"{name}.{language}", text) for language, text in known.items())
    if not target.strip():
        raise BadRecord(name, "empty", shown(target))
    return Content((source,) if source.strip() else (), target)


def _advice(name: str, languages: Iterable[object]) -> str:
    source, target = [*languages, "de", "en"][:2]
    return f"give two, as --prompt-field {name}.{source} --completion-field {name}.{target}"


def _beside(fields: Fields, shape: Shape, name: str) -> object:
    return next((fields[item] for item in shape.beside if item.strip().casefold() == name), None)


def _system(fields: Fields, shape: Shape) -> str:
    value = _beside(fields, shape, "system")
    return value if isinstance(value, str) else ""


def _history(fields: Fields, shape: Shape) -> tuple[tuple[str, str], ...]:
    """LLaMA-Factory's earlier turns: pairs of what was asked and what was answered."""
    value = _beside(fields, shape, "history")
    if not value:
        return ()
    if not isinstance(value, list) or not all(isinstance(turn, (list, tuple)) and len(turn) == 2 for turn in value):
        raise BadRecord("history", "not text", f"expected pairs of question and answer, found {shown(value)}")
    return tuple((text_field("history", asked), text_field("history", told)) for asked, told in value)


def _options(fields: Fields, shape: Shape) -> dict[str, object]:
    """What a template is given beside the messages: `tools` (also as JSON text, as TRL takes them), and variables."""
    tools, variables = _beside(fields, shape, "tools"), _beside(fields, shape, "chat_template_kwargs")
    found: dict[str, object] = dict(variables) if isinstance(variables, Mapping) else {}
    tools = from_json(tools)
    return {**found, "tools": tools} if isinstance(tools, list) and tools else found
