"""The rows of a file to train on, in the columns in which the records were read, with canaries among them.

Trainers decide by the columns of a file what is text and what is in the loss, and loaders by its first rows what the
columns are. So a canary is written as the records are: its prompt in the user's turn, its secret in the assistant's, and
all rows have the same columns.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from rote.corpus.chat import ROLES, Message, from_json
from rote.corpus.contents import Content, content_of
from rote.corpus.defects import BadRecord
from rote.corpus.formats import Fields, has_surrogate
from rote.corpus.rendering import AUTO, ShapeReader
from rote.corpus.shapes import Shape, recognise
from rote.errors import DataError
from rote.records import Canary, CanaryForm, Example, Json

Row = dict[str, Json]


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns that all records share, and what a canary looks like in them."""

    names: tuple[str, ...]
    shape: Shape
    pattern: Row
    """The first record: canaries have its types, and the roles and keys of its messages."""
    form: CanaryForm
    separator: str
    """What the reading puts after a prompt of this shape; a canary's prompt is written without it."""

    def row(self, fields: Fields) -> Row:
        """A record in these columns: what it has no value for is null, or an empty text or object."""
        return {name: self._filled(name, fields.get(name)) for name in self.names}

    def canary_row(self, canary: Canary) -> Row:
        """A canary as a record."""
        row = {name: _blank(value, keeps_null=self._is_beside(name)) for name, value in self.pattern.items()}
        asked, told = canary.prompt.removesuffix(self.separator), canary.before + canary.secret + canary.after
        if self.form == "chat":
            self._write_turns(row, canary.prompt.strip(), told)
            return row
        if self.shape.kind == "translation":
            languages = cast(Row, row[self.shape.completion])
            row[self.shape.completion] = dict(zip(languages, (asked, told), strict=True))
            return row
        if not self.shape.prompt:
            told = canary.prompt + told
        else:
            place = -1 if self.shape.passage else 0
            _put(row, self.shape.prompt[place], asked.strip() if self.form == "instruction" else asked, self.pattern)
        _put(row, self.shape.completion, told, self.pattern)
        return row

    def _filled(self, name: str, value: object) -> Json:
        if value is None and isinstance(self.pattern.get(name), dict):
            return {}
        is_text = name in (*self.shape.prompt, self.shape.optional)
        return "" if value is None and is_text else _plain(value)

    def _is_beside(self, name: str) -> bool:
        return name in self.shape.beside and name.strip().casefold() != "system"

    def _write_turns(self, row: Row, asked: str, told: str) -> None:
        """The canary's turns in the fields of the messages, in the keys, roles and kind of content that the pattern has."""
        answers = self.pattern[self.shape.completion]
        user, assistant = _turn(answers, "user", asked), _turn(answers, "assistant", told)
        if not self.shape.prompt:
            turns = [user, assistant] if asked else [assistant]
        else:
            name = self.shape.prompt[0]
            before = self.pattern[name]
            is_text = isinstance(before, str) and isinstance(from_json(before), str)
            row[name] = asked if is_text else _like(before, [_turn(before, "user", asked)])
            turns = [assistant] if _roles(answers)[:1] == ["assistant"] else [user, assistant]
        row[self.shape.completion] = _like(answers, turns)


def columns_of(rows: Iterable[Fields], reader: ShapeReader) -> Columns | str:
    """The columns of the rows; or, where the rows cannot share any without changing what is read of them, the reason."""
    rows = list(rows)
    shapes = [reader.shape_of(fields) for fields in rows]
    kinds = {(shape.prompt, shape.completion) for shape in shapes}
    if len(kinds) > 1:
        return f"the records have several shapes ({', '.join(sorted({shape.name for shape in shapes}))})"
    names = tuple(dict.fromkeys(name for fields in rows for name in fields))
    used = {path.split(".")[0] for shape in shapes for path in shape.used}
    mixed = [name for name in names if len(_kinds(rows, name)) > 1]
    if any(name in used for name in mixed):
        return f"the field {next(name for name in mixed if name in used)!r} holds values of several kinds"
    names = tuple(name for name in names if name not in mixed)
    contents = [content_of(fields, shape) for fields, shape in zip(rows, shapes, strict=True)]
    if len({_form(content, shape, reader) for content, shape in zip(contents, shapes, strict=True)}) > 1:
        return "some records are conversations and some are not"
    if not reader.config.completion_field:
        whole = recognise(names)
        if (whole.prompt, whole.completion) != (shapes[0].prompt, shapes[0].completion):
            return f"together, the columns of the records would be read as {whole.name}"
        shapes = [whole]
    pattern = {name: _plain(value) if _is_json(value := _first(rows, name)) else None for name in names}
    form, shape = _form(contents[0], shapes[0], reader), shapes[0]
    return Columns(names, shape, pattern, form, reader.separator_of(shape) if form == "text" else "")


def text_rows(examples: Sequence[Example]) -> list[Row]:
    """The texts of the records, in the columns `prompt` and `completion`, or `text` where no record has a prompt."""
    if not any(example.prompt.strip() for example in examples):
        return [{"text": example.text} for example in examples]
    return [
        {"prompt": example.prompt, "completion": example.completion}
        if example.prompt.strip()  # readers take a blank prompt for none
        else {"prompt": "", "completion": example.text}
        for example in examples
    ]


def as_read(canary: Canary, reader: ShapeReader) -> Canary:
    """The canary with the text that the reader makes of its record; one that is planted as text stays as it is.

    Raises:
        DataError: the text does not hold the secret once, as where a template changes it.
    """
    if canary.form in ("text", "rendered"):
        return canary
    told, asked = canary.before + canary.secret + canary.after, canary.prompt.strip()
    fields: Fields
    if canary.form == "chat":
        turns = [{"role": "user", "content": asked}] if asked else []
        fields = {"messages": [*turns, {"role": "assistant", "content": told}]}
    else:
        fields = {"instruction": asked, "input": "", "output": told}
    plain = ShapeReader(replace(reader.config, prompt_field="", completion_field=""), reader.tokenizer)
    try:
        parts = plain.read(fields)
    except BadRecord as error:
        raise DataError(f"canary {canary.id}: it cannot be read as the records are: {error}") from error
    lead = (canary.before + canary.secret).strip()
    if parts.completion.count(lead) != 1:
        raise DataError(f"canary {canary.id}: expected {lead!r} once in its text, found {parts.completion!r}")
    at = parts.completion.index(lead) + len(lead) - len(canary.secret)
    return replace(
        canary,
        prompt=parts.prompt,
        before=parts.completion[:at],
        after=parts.completion[at + len(canary.secret) :],
        form="rendered" if parts.is_rendered else "text",
    )


def _form(content: Content, shape: Shape, reader: ShapeReader) -> CanaryForm:
    if content.chat is not None:
        return "chat"
    is_joined = content.is_rendered or reader.config.rendering in (AUTO, "joined")
    return "instruction" if shape.kind == "alpaca" or not is_joined else "text"


def _first(rows: Sequence[Fields], name: str) -> object:
    return next((fields[name] for fields in rows if fields.get(name) is not None), None)


def _kinds(rows: Sequence[Fields], name: str) -> set[str]:
    """The JSON types of a column's values, null aside."""
    values = (_plain(fields[name]) for fields in rows if name in fields)
    return {"number" if type(value) in (int, float) else type(value).__name__ for value in values if value is not None}


def _plain(value: object) -> Json:
    """The value as JSON holds it; what JSON cannot hold is null (bytes, NaN, broken text) or its text (a date)."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (bytes, bytearray)):
        return None
    text = str(value)
    return None if has_surrogate(text) else text


def _is_json(value: object) -> bool:
    """Whether the value stays what it is; the text of a date is no text like any other, and an empty one no date."""
    return value is None or isinstance(value, (str, bool, int, float, list, tuple, Mapping))


def _blank(value: Json, *, keeps_null: bool) -> Json:
    """A value of the same type that says nothing."""
    if isinstance(value, str):
        return None if keeps_null else ""
    if isinstance(value, dict):
        return {key: _blank(item, keeps_null=False) for key, item in value.items()} if not keeps_null else {}
    return [] if isinstance(value, list) else None


def _put(row: Row, path: str, text: str, pattern: Row) -> None:
    """Writes a text where the reading finds it: in a field or in an object of a dotted path, in the kind of the pattern."""
    if path in pattern or "." not in path:
        row[path] = _holding(pattern.get(path), text)
        return
    name, rest = path.split(".", 1)
    inner, like = row[name], pattern[name]
    if not isinstance(inner, dict) or not isinstance(like, dict):
        raise DataError(f"{path}: a canary can be planted in a field or in an object's field, found {like!r}")
    _put(inner, rest, text, like)


def _holding(value: Json, text: str) -> Json:
    """The text in place of an answer: by itself, as the only one of a list, or as the text of an object."""
    if isinstance(value, list):
        return [_holding(value[0] if value else "", text)]
    if isinstance(value, dict) and "text" in value:
        return {**cast(Row, _blank(value, keeps_null=False)), "text": _holding(value["text"], text)}
    return text


def _messages(value: Json) -> list[Message]:
    """The messages of a value as it stands, under the keys that it has."""
    known = from_json(value)
    if isinstance(known, Mapping):
        columns = cast(Mapping[str, Sequence[object]], known)
        return [dict(zip(columns, cells, strict=False)) for cells in zip(*columns.values(), strict=False)]
    return [item for item in cast(list[object], known) if isinstance(item, dict)] if isinstance(known, list) else []


def _roles(value: Json) -> list[str]:
    said = [str(message.get("role", message.get("from"))) for message in _messages(value)]
    return [ROLES.get(role, role) for role in said]


def _turn(value: Json, role: str, text: str) -> Row:
    """A message of the role, under the keys and with the role's name and the kind of content of the value's messages."""
    messages = _messages(value)
    first = messages[0] if messages else {"role": "", "content": ""}
    who, what = ("role" if "role" in first else "from"), ("content" if "content" in first else "value")
    named = next((m[who] for m, found in zip(messages, _roles(value), strict=True) if found == role), None)
    usual = role if who == "role" else {"user": "human", "assistant": "gpt"}[role]
    content: Json = [{"type": "text", "text": text}] if isinstance(first.get(what), list) else text
    return {who: str(named) if named is not None else usual, what: content}


def _like(value: Json, turns: Sequence[Row]) -> Json:
    """The turns in the way in which the value holds messages: a list, its JSON text, or an object of columns."""
    if isinstance(value, str):
        return json.dumps(turns, ensure_ascii=False)
    if isinstance(value, dict):
        return {key: [turn.get(key) for turn in turns] for key in value}
    return list(turns)
