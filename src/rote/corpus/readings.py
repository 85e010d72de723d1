"""How a data set was read: files and split, shapes, where the text's form comes from, and what was not used."""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import cast

from rote.corpus.chat import Conversation, Message, messages_of
from rote.corpus.contents import Content, first_answer
from rote.corpus.defects import BadRecord
from rote.corpus.fields import field_of, is_unnamed, leaves
from rote.corpus.formats import Fields
from rote.corpus.rendering import Parts, ShapeReader
from rote.corpus.shapes import Shape
from rote.records import Split

ACCOUNTED = 500
"""Records of a data set, from its first, whose fields are compared with their text."""
FILES_NAMED = 3
CHAT_KEYS = ("role", "content", "from", "value", "weight", "train")
"""Keys of a message that need no rendering without them to see whether they are used."""
MIN_REPEATED_CHARS = 20
"""A text of an unused field that stands in the record's text anyway, and is at least this long, is not lost."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """One shape of a data set."""

    shape: str
    """Its fields: "prompt/completion"."""
    records: int
    rendering: str
    """How its text is made: "joined with nothing between, as TRL does", "rendered through the chat template of …"."""


@dataclass(frozen=True, slots=True)
class Unused:
    """A field that no text comes from, or not all of whose text."""

    field: str
    """Its name; of messages "messages[].tool_calls"."""
    share: float
    """Its unused characters over the characters of all texts and numbers of the records, 0..1."""
    records: int
    """Records that have it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How one data set was read."""

    name: str
    """As it was given."""
    split: Split
    files: tuple[str, ...]
    """Files that were read, in order; of a hub data set its name."""
    part: str
    """The split of the folder or hub data set that was read; "" where there is only one."""
    records: int
    shapes: tuple[Recognised, ...]
    """Most frequent first."""
    unused: tuple[Unused, ...]
    """Largest share first; of the first `accounted` records."""
    accounted: int
    several_answers: int
    """Records (of those accounted) with several answers, of which the first is used."""

    @property
    def unused_share(self) -> float:
        """Share of the records' text that stands in fields that are not used, 0..1."""
        return sum(item.share for item in self.unused)

    def sentences(self) -> list[str]:
        """What a reader must know to see whether these are the texts that were trained on."""
        shapes = ", ".join(f"{item.records:,} {item.shape}" for item in self.shapes)
        found = [f"{self.name}: {self.records:,} records, recognised as: {shapes or 'nothing'}"]
        found += [
            f"{self.name}: {item.shape}: {item.rendering or 'no record of this shape could be read'}"
            for item in self.shapes
        ]
        if len(self.files) > 1 or self.part:
            named = ", ".join(self.files[:FILES_NAMED]) + (" …" if len(self.files) > FILES_NAMED else "")
            split = f", split {self.part}" if self.part else ""
            count = f"{len(self.files):,} files" if len(self.files) > 1 else "1 file"
            found.append(f"{self.name}: read from {count}{split}: {named}")
        if self.unused:
            of = f"; of the first {self.accounted:,} records" if self.accounted < self.records else ""
            names = ", ".join(f"{item.field} ({item.share:.1%} of the text)" for item in self.unused)
            found.append(f"{self.name}: fields not used: {names}{of}")
        if self.several_answers:
            found.append(f"{self.name}: several answers in {self.several_answers:,} records: the first of each is used")
        return found


@dataclass(slots=True)
class Account:
    """Collects what a `Reading` says, record by record."""

    reader: ShapeReader
    shapes: Counter[str] = field(default_factory=Counter)
    renderings: dict[str, str] = field(default_factory=dict)
    chars: int = 0
    records: int = 0
    several_answers: int = 0
    unused_chars: Counter[str] = field(default_factory=Counter)
    having: Counter[str] = field(default_factory=Counter)

    def add(self, fields: Fields, shape: Shape, content: Content, parts: Parts) -> None:
        """One record that was read."""
        if shape.name not in self.renderings:
            self.renderings[shape.name] = self.reader.explained(content, shape)
        if self.records >= ACCOUNTED:
            return
        self.records += 1
        self.chars += sum(map(len, leaves(fields)))
        self.several_answers += shape.is_question and _answers(field_of(fields, shape.completion)) > 1
        unused = unused_texts(fields, shape, content, parts, self.reader)
        self.unused_chars.update(unused)
        self.having.update(unused.keys())

    def reading(self, name: str, split: Split, *, files: tuple[str, ...], part: str, records: int) -> Reading:
        """What was found."""
        shapes = sorted(self.shapes.items(), key=lambda item: (-item[1], item[0]))
        unused = sorted(self.unused_chars.items(), key=lambda item: (-item[1], item[0]))
        return Reading(
            name=name,
            split=split,
            files=files,
            part=part,
            records=records,
            shapes=tuple(Recognised(shape, n, self.renderings.get(shape, "")) for shape, n in shapes),
            unused=tuple(Unused(item, n / max(1, self.chars), self.having[item]) for item, n in unused),
            accounted=self.records,
            several_answers=self.several_answers,
        )


def unused_texts(fields: Fields, shape: Shape, content: Content, parts: Parts, reader: ShapeReader) -> dict[str, int]:
    """Characters of each field that are not in the record's text.

    A field of the shape counts as used; of a conversation what is in the rendered text, or changes it.
    """
    found: dict[str, int] = {}
    used = set(shape.used) - set(shape.beside)
    partly = {name.split(".")[0] for name in used} - used
    for name, value in fields.items():
        if name in used or is_unnamed(name):
            continue
        lost = _lost(value, parts.text, least=0 if name in partly else MIN_REPEATED_CHARS)
        if lost and (name not in shape.beside or not _matters(name, value, content, shape, parts, reader)):
            found[name] = lost
    if shape.is_question:
        answers = field_of(fields, shape.completion)
        lost = _lost(answers, parts.text, least=0) if _answers(answers) > 1 else 0
        found |= {shape.completion: lost} if lost else {}
    if content.chat is not None:
        for name in (*shape.prompt, shape.completion):
            found |= _lost_in_messages(name, field_of(fields, name), content, shape, parts, reader)
    return found


def _answers(value: object) -> int:
    """How many different answers there are."""
    if isinstance(value, dict):
        value = value.get("text", value)
    return len({str(first_answer([item])) for item in value}) if isinstance(value, list) else 1


def _lost(value: object, text: str, *, least: int = MIN_REPEATED_CHARS) -> int:
    texts = [item for item in leaves(value) if item.strip()]
    return sum(len(item) for item in texts if len(item) < least or item.strip() not in text)


def _matters(name: str, value: object, content: Content, shape: Shape, parts: Parts, reader: ShapeReader) -> bool:
    """Whether the text is another without this field."""
    key = name.strip().casefold()
    if key == "system":
        return value in (content.system, _first_system(content)) and str(value).strip() in parts.text
    if key == "history":
        return all(told.strip() in parts.text for turn in content.history for told in turn)
    chat = content.conversation
    gone = ("tools",) if key == "tools" else tuple(item for item in chat.options if item != "tools")
    options = {item: value for item, value in chat.options.items() if item not in gone}
    return len(options) < len(chat.options) and _differs(replace(chat, options=options), content, shape, parts, reader)


def _first_system(content: Content) -> str:
    first = content.conversation.messages[0]
    return str(first["content"]) if first["role"] == "system" else ""


def _lost_in_messages(
    name: str, value: object, content: Content, shape: Shape, parts: Parts, reader: ShapeReader
) -> dict[str, int]:
    """Texts of messages that the rendering leaves out, by key."""
    found: Counter[str] = Counter()
    try:
        messages = messages_of(name, value)
    except BadRecord:
        return {}
    chat = cast(Conversation, content.chat)
    keys = sorted({key for message in messages for key in message})
    whole = _compact(parts.text)
    for key in keys:
        values = [message[key] for message in messages if key in message]
        is_given = key in CHAT_KEYS or _differs(_without(chat, key), content, shape, parts, reader)
        lost = [item for each in values for item in leaves(each) if not is_given or _is_lost(key, item, whole)]
        found[f"{name}[].{key}"] += sum(map(len, lost))
    return {key: chars for key, chars in found.items() if chars}


def _is_lost(key: str, text: str, whole: str) -> bool:
    """Whether a text of a message is missing; of keys that are no speech only long texts are looked for."""
    if key in ("role", "from", "weight", "train"):
        return False
    is_speech = key in ("content", "value", "reasoning_content", "thinking")
    return (is_speech or len(text) >= MIN_REPEATED_CHARS) and bool(text.strip()) and _compact(text) not in whole


def _compact(text: str) -> str:
    """Without white space and escapes: templates trim, indent and quote."""
    return "".join(text.split()).replace("\\", "")


def _without(chat: Conversation, key: str) -> Conversation:
    messages: list[Message] = [{name: item for name, item in each.items() if name != key} for each in chat.messages]
    return replace(chat, messages=messages)


def _differs(chat: Conversation, content: Content, shape: Shape, parts: Parts, reader: ShapeReader) -> bool:
    """Whether the other conversation gives another text (a template that refuses it needs what was taken away)."""
    try:
        return reader.rendered(replace(content, chat=chat), shape).text != parts.text
    except BadRecord:
        return True
