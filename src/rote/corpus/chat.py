"""Chat records: messages into a prompt and a completion, through the tokenizer's template where there is one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from rote.corpus.defects import BadRecord, shown

ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant", "chatgpt": "assistant"}
"""What `from` says, and the role it means; other names are kept."""


class ChatTokenizer(Protocol):
    """What is needed of a tokenizer: a Hugging Face tokenizer fits."""

    @property
    def chat_template(self) -> object:
        """None or "" if it has none."""
        ...

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, add_generation_prompt: bool, tokenize: bool
    ) -> object:
        """The conversation as one text (with `tokenize=False`)."""
        ...


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat as text."""

    prompt: str
    completion: str
    said: str
    """What users and assistants said before the last answer, without any markup."""
    start: int
    """Where in the prompt the first of them speaks: after the system message, also one that the template adds."""


def read_chat(field: str, value: object, *, tokenizer: ChatTokenizer | None) -> Chat:
    """Prompt: everything up to the last assistant message; completion: the rest. Together the whole rendered text.

    Without a tokenizer that has a template, each message is a line "Role: content", and the prompt ends after
    "Assistant:".

    Raises:
        BadRecord: not a list of messages, no assistant message, or the template refuses it.
    """
    messages = _messages(field, value)
    answers = [i for i, message in enumerate(messages) if message["role"] == "assistant" and message["content"].strip()]
    if not answers:
        roles = [message["role"] for message in messages]
        raise BadRecord(field, "invalid chat", f"no assistant message with content among the roles {shown(roles)}")
    before = messages[: answers[-1]]
    if tokenizer is not None and tokenizer.chat_template:
        prompt, whole = _rendered(field, before, messages, tokenizer)
    else:
        prompt, whole = _plain([*before, {"role": "assistant", "content": ""}]).rstrip(" "), _plain(messages)
    said = [message["content"] for message in before if message["role"] != "system"]
    start = max(0, prompt.find(said[0].strip())) if said else 0
    return Chat(prompt, whole[len(prompt) :], "\n".join(said), start)


def _messages(field: str, value: object) -> list[dict[str, str]]:
    if not isinstance(value, Sequence) or isinstance(value, (str, bytes)):
        raise BadRecord(field, "not text", f"expected a list of messages, found {shown(value)}")
    if not value:
        raise BadRecord(field, "empty", shown(value))
    return [_message(f"{field}[{i}]", item) for i, item in enumerate(value)]


def _message(field: str, item: object) -> dict[str, str]:
    if not isinstance(item, dict):
        raise BadRecord(field, "not text", f"expected a message, found {shown(item)}")
    role = item.get("role", item.get("from"))
    if not isinstance(role, str):
        raise BadRecord(f"{field}.role", "missing field" if role is None else "not text", shown(item))
    content = _content(f"{field}.content", item.get("content", item.get("value")))
    return {"role": ROLES.get(role, role), "content": content}


def _content(field: str, value: object) -> str:
    """Text, or the texts of a list of parts `{"type": "text", "text": …}`."""
    if (
        isinstance(value, list)
        and value
        and all(isinstance(part, dict) and part.get("type") == "text" for part in value)
    ):
        value = "".join(part["text"] for part in value if isinstance(part.get("text"), str))
    if not isinstance(value, str):
        raise BadRecord(field, "not text", shown(value))
    return value


def _rendered(
    field: str, before: list[dict[str, str]], messages: list[dict[str, str]], tokenizer: ChatTokenizer
) -> tuple[str, str]:
    from jinja2 import TemplateError

    try:
        whole = str(tokenizer.apply_chat_template(messages, add_generation_prompt=False, tokenize=False))
        asked = str(tokenizer.apply_chat_template(before, add_generation_prompt=True, tokenize=False)) if before else ""
    except (TemplateError, ValueError, TypeError, LookupError) as error:
        raise BadRecord(field, "invalid chat", f"the chat template refuses it: {error}") from error
    return _shared_start(asked, whole), whole


def _shared_start(asked: str, whole: str) -> str:
    """The prompt; where a template writes the turn that follows otherwise than it asked for it, what they agree on."""
    if whole.startswith(asked):
        return asked
    differs = (i for i, (first, second) in enumerate(zip(asked, whole, strict=False)) if first != second)
    return asked[: next(differs, len(whole))]


def _plain(messages: list[dict[str, str]]) -> str:
    return "\n".join(f"{message['role'].capitalize()}: {message['content']}" for message in messages)
