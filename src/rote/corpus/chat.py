"""Chat records: messages, tools and what else a template is given, and the text that the template makes of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, cast

from rote.corpus.bounds import RenderingBudget
from rote.corpus.defects import BadRecord, shown

Message: TypeAlias = dict[str, object]

ROLES = {
    "human": "user",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "function_call": "assistant",
    "observation": "tool",
    "function_response": "tool",
}
"""What `from` or `role` says, and the role it means; other names are kept."""
CALLS = "function_call"
"""ShareGPT's role of a tool call, which LLaMA-Factory reads from the text of the message."""
NOT_FOR_TEMPLATES = ("from", "value", "weight", "train")
"""Keys of a message that are no input of a template: other names of role and content, and what the loss leaves out."""


class ChatTokenizer(Protocol):
    """What is needed of a tokenizer: a Hugging Face tokenizer fits."""

    @property
    def chat_template(self) -> object:
        """None or "" if it has none."""
        ...

    def apply_chat_template(
        self, conversation: list[Message], *, add_generation_prompt: bool, tokenize: bool, **options: object
    ) -> object:
        """The conversation as one text (with `tokenize=False`). `options`: `tools`, and what the record hands on."""
        ...


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages with what a template may be given beside them."""

    messages: list[Message]
    """With `role` and `content`; every other key as the record has it."""
    answer: int
    """Number of the message with which the completion begins."""
    options: Mapping[str, object] = field(default_factory=dict)
    """`tools`, and the record's `chat_template_kwargs`."""

    @property
    def before(self) -> list[Message]:
        """What stands before the completion."""
        return self.messages[: self.answer]

    @property
    def said(self) -> list[str]:
        """The texts of users and assistants before the completion."""
        return [text_of(message) for message in self.before if message["role"] not in ("system", "developer")]


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat as text."""

    prompt: str
    completion: str
    start: int
    """Where in the prompt the first user or assistant speaks: after the system message, also one the template adds."""


def is_messages(value: object) -> bool:
    """Whether the value is a list of messages, or the columns of one (`{"role": [...], "content": [...]}`)."""
    if isinstance(value, Mapping):
        return isinstance(value.get("role", value.get("from")), list)
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, Mapping) and ("role" in first or "from" in first)


def from_json(value: object) -> object:
    """What a text says in JSON (tables keep lists so); the text where it says nothing."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        return cast(object, json.loads(value))
    except (ValueError, RecursionError):
        return value


def messages_of(name: str, value: object) -> list[Message]:
    """The messages of a field.

    Raises:
        BadRecord: it is no list of messages.
    """
    value = from_json(value)
    if isinstance(value, Mapping) and is_messages(value):  # how `datasets` stores a list of objects in some versions
        value = [dict(zip(value, cells, strict=False)) for cells in zip(*value.values(), strict=False)]
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise BadRecord(name, "not text", f"expected a list of messages, found {shown(value)}")
    if not value:
        raise BadRecord(name, "empty", shown(value))
    return [_message(f"{name}[{i}]", item) for i, item in enumerate(value)]


def conversation_of(
    name: str, messages: list[Message], *, options: Mapping[str, object], answer: int | None = None
) -> Conversation:
    """The messages as prompt and completion, cut before the last answer that was trained on.

    What stands after an answer that has a loss, up to a later one that has none (`weight` 0), is left out.

    Raises:
        BadRecord: there is no answer.
    """
    if answer is not None:
        if not any(map(_is_answer, messages[answer:])):
            raise BadRecord(name, "empty", shown([text_of(message) for message in messages[answer:]]))
        return Conversation(_bare(messages), answer, options)
    answers = [i for i, message in enumerate(messages) if message["role"] == "assistant" and _is_answer(message)]
    if not answers:
        roles = [message["role"] for message in messages]
        raise BadRecord(name, "invalid chat", f"no assistant message with content among the roles {shown(roles)}")
    trained = [i for i in answers if _is_trained(messages[i])]
    if not trained:
        raise BadRecord(name, "invalid chat", "every assistant message has weight 0: none was trained on")
    end = len(messages) if trained[-1] == answers[-1] else trained[-1] + 1
    return Conversation(_bare(messages[:end]), trained[-1], options)


def by_template(name: str, chat: Conversation, tokenizer: ChatTokenizer, budget: RenderingBudget) -> Chat:
    """The text that the tokenizer's template makes of it, as `apply_chat_template` does.

    Prompt: everything up to the completion and the mark that asks for it; together the whole rendered text.

    Raises:
        BadRecord: the template refuses it.
        DataError: the template needs too much time or memory.
    """
    from jinja2 import TemplateError

    try:
        with budget.spending():
            whole = _rendered(chat.messages, tokenizer, chat.options, ask=False)
            asked = _rendered(chat.before, tokenizer, chat.options, ask=True) if chat.answer else ""
    except (
        TemplateError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise BadRecord(name, "invalid chat", f"the chat template refuses it: {error}") from error
    prompt = _shared_start(asked, whole)
    said = chat.said
    start = max(0, prompt.find(said[0].strip())) if said else 0
    return Chat(prompt, whole[len(prompt) :], start)


def by_roles(chat: Conversation) -> Chat:
    """Each message as a line "Role: content"; the prompt ends after "Assistant:"."""
    role = str(chat.messages[chat.answer]["role"]).capitalize()
    prompt = "".join(f"{line}\n" for line in _lines(chat.before)) + f"{role}:"
    whole = "\n".join(_lines(chat.messages))
    said = chat.said
    return Chat(prompt, whole[len(prompt) :], max(0, prompt.find(said[0])) if said else 0)


def text_of(message: Message) -> str:
    """The text of a message: its content, or the texts of its parts; "" where it has none."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(str(part["text"]) for part in content if isinstance(part, dict) and part.get("text"))
    return content if isinstance(content, str) else ""


def _lines(messages: Sequence[Message]) -> list[str]:
    return [f"{str(message['role']).capitalize()}: {text_of(message)}" for message in messages]


def _rendered(messages: list[Message], tokenizer: ChatTokenizer, options: Mapping[str, object], *, ask: bool) -> str:
    return str(tokenizer.apply_chat_template(messages, add_generation_prompt=ask, tokenize=False, **options))


def _shared_start(asked: str, whole: str) -> str:
    """The prompt; where a template writes the turn that follows otherwise than it asked for it, what they agree on."""
    if whole.startswith(asked):
        return asked
    differs = (i for i, (first, second) in enumerate(zip(asked, whole, strict=False)) if first != second)
    return asked[: next(differs, len(whole))]


def _is_answer(message: Message) -> bool:
    return bool(text_of(message).strip() or message.get("tool_calls"))


def _is_trained(message: Message) -> bool:
    """Whether the message is in the loss (OpenAI: `weight` 0 or 1; axolotl: `train`)."""
    return message.get("weight") not in (0, 0.0) and message.get("train") is not False


def _bare(messages: list[Message]) -> list[Message]:
    return [{key: value for key, value in item.items() if key not in NOT_FOR_TEMPLATES} for item in messages]


def _message(name: str, item: object) -> Message:
    """The message with role and content under these names; keys that are null are left out, but for the content."""
    if not isinstance(item, Mapping):
        raise BadRecord(name, "not text", f"expected a message, found {shown(item)}")
    role = item.get("role", item.get("from"))
    if not isinstance(role, str):
        raise BadRecord(f"{name}.role", "missing field" if role is None else "not text", shown(item))
    others = {key: _without_null(value) for key, value in item.items() if value is not None}
    found: Message = {**others, "role": ROLES.get(role, role)}
    content = item.get("content", item.get("value"))
    calls = _calls_of(content) if role == CALLS else others.get("tool_calls")
    if calls:
        return {**found, "content": None if role == CALLS else content, "tool_calls": calls}
    _check_content(f"{name}.content", content)
    return {**found, "content": content}


def _check_content(name: str, value: object) -> None:
    """Raises a BadRecord for content that is neither text nor a list of parts `{"type": "text", "text": …}`."""
    is_parts = isinstance(value, list) and bool(value)
    if is_parts and all(isinstance(part, dict) and part.get("type") == "text" for part in cast(list[object], value)):
        return
    if not isinstance(value, str):
        raise BadRecord(name, "not text", shown(value))


def _calls_of(content: object) -> list[object]:
    """The tool calls in the text of a ShareGPT message, `{"name": …, "arguments": …}` or a list of them."""
    found = from_json(content)
    calls = found if isinstance(found, list) else [found]
    if not all(isinstance(call, dict) and "name" in call for call in calls):
        return []
    return [{"type": "function", "function": call} for call in calls]


def _without_null(value: object) -> object:
    """Parquet and Arrow write null where a record lacks a key that another one has."""
    if isinstance(value, dict):
        return {key: _without_null(item) for key, item in value.items() if item is not None}
    return [_without_null(item) for item in value] if isinstance(value, list) else value
