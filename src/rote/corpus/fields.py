"""The fields of a record: by name or dotted path, the texts within them, and records within a record."""

import re
from collections.abc import Iterator, Mapping

from rote.corpus.defects import BadRecord, shown, shown_names
from rote.corpus.formats import Fields, has_surrogate

NAMED_LEVELS = 8
"""Objects within objects whose fields are named one by one."""


def field_of(fields: Fields, path: str) -> object:
    """The value of a field; "translation.de" is the field "de" within "translation", "answers.text.0" a list's first.

    Raises:
        BadRecord: there is none.
    """
    if path in fields:
        return fields[path]
    value: object = fields
    for part in path.split("."):
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise BadRecord(path, "missing field", f"the fields {shown_names(paths_of(fields))}")
    return value


def has_field(fields: Fields, path: str) -> bool:
    """Whether `field_of` finds it."""
    try:
        field_of(fields, path)
    except BadRecord:
        return False
    return True


def paths_of(fields: Fields, *, levels: int = NAMED_LEVELS) -> list[str]:
    """The names of the fields, those within objects (and these within others) as dotted paths.

    >>> paths_of({"id": 1, "doc": {"body": {"text": "A mill.", "words": 2}}})
    ['id', 'doc.body.text', 'doc.body.words']
    """
    return [
        f"{name}.{inner}" if inner else name
        for name, value in fields.items()
        for inner in (paths_of(value, levels=levels - 1) if isinstance(value, dict) and value and levels else [""])
    ]


def text_field(name: str, value: object) -> str:
    """The value, if it is a text.

    Raises:
        BadRecord: it is none, or not UTF-8.
    """
    if not isinstance(value, str):
        raise BadRecord(name, "not text", _held(name, value))
    if has_surrogate(value):
        raise BadRecord(name, "invalid UTF-8", shown(value))
    return value


def _held(name: str, value: object) -> str:
    """What stands there instead of a text; of a list or object with the path of its first text, which would be read."""
    path, inner = name, value
    while isinstance(inner, (list, Mapping)) and inner:
        keys = list(inner) if isinstance(inner, Mapping) else ["0"]
        texts = [key for key in keys if isinstance(inner, Mapping) and isinstance(inner[key], str)]
        key = (texts or keys)[0]
        path, inner = f"{path}.{key}", inner[key] if isinstance(inner, Mapping) else inner[0]
    if path == name:
        return shown(value)
    kind = f"a list of {len(value):,}" if isinstance(value, list) else "an object"
    hint = (
        f"; its first text is {path!r}, which a field flag can name"
        if isinstance(inner, str) and len(path) < 80
        else ""
    )
    return f"{kind}: {shown(value)[:60]} …{hint}" if hint else f"{kind}: {shown(value)}"


def leaves(value: object) -> Iterator[str]:
    """All texts, numbers and truth values within a value, as text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, (int, float)):
        yield str(value)


def records_within(content: Fields) -> Iterator[Fields]:
    """The record, or those that it holds: SQuAD's questions (`paragraphs[].qas[]`, `qas[]`) with their passage.

    The other fields of what holds them (a title) stay with each.
    """
    for name in ("paragraphs", "qas"):
        inner = content.get(name)
        if isinstance(inner, list) and inner and all(isinstance(item, dict) for item in inner):
            rest = {key: value for key, value in content.items() if key != name}
            for item in inner:
                yield from records_within({**rest, **item})
            return
    yield content


def is_unnamed(name: str) -> bool:
    """Whether a column has no name, or the one that pandas gives to its index."""
    return not name.strip() or bool(re.fullmatch(r"Unnamed: \d+|__index_level_\d+__", name.strip()))
