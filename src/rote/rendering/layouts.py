"""Ways in which the members may have been written when the model was trained: the renderings to try.

Those that settings give (`rote.corpus.rendering`) come first; for conversations, usual chat templates that the tokenizer
does not bring come after them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rote.config import CorpusConfig
from rote.corpus.chat import ChatTokenizer
from rote.corpus.defects import BadRecord
from rote.corpus.formats import Fields
from rote.corpus.rendering import Parts, ShapeReader, other_renderings

AUDITED = "as audited"
WITHOUT_START, WITH_START = "as audited, without a start token", "as audited, with a start token"

TEMPLATES: Mapping[str, str] = {
    "ChatML": (
        "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\\n' + m['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    ),
    "Llama 2": (
        "{% for m in messages %}{% if m['role'] == 'system' %}{{ '<<SYS>>\\n' + m['content'] + '\\n<</SYS>>\\n\\n' }}"
        "{% elif m['role'] == 'assistant' %}{{ ' ' + m['content'] + ' ' }}"
        "{% else %}{{ '[INST] ' + m['content'] + ' [/INST]' }}{% endif %}{% endfor %}"
    ),
    "'### Human: … ### Assistant: …'": (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}{{ '### Assistant: ' + m['content'] + '\\n' }}"
        "{% elif m['role'] == 'system' %}{{ m['content'] + '\\n' }}{% else %}{{ '### Human: ' + m['content'] + '\\n' }}"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '### Assistant: ' }}{% endif %}"
    ),
    "'User: … Assistant: …' on lines": (
        "{% for m in messages %}{{ m['role'] | capitalize }}: {{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}"
    ),
}
"""Name → Jinja text of templates that many people train with."""


@dataclass(frozen=True, slots=True)
class Layout:
    """One rendering of some records."""

    name: str
    """In words; `AUDITED` is the one that the audit uses."""
    remedy: str
    """What has to be given so that the audit uses it: flags, or what to do; "" where that is not known."""
    texts: Mapping[str, Parts]
    """By example id; a record that cannot be rendered in this way is not there."""


class Templated:
    """A tokenizer with another chat template."""

    def __init__(self, tokenizer: ChatTokenizer, template: str) -> None:
        self.tokenizer = tokenizer
        self.template = template

    @property
    def chat_template(self) -> object:
        """The template."""
        return self.template

    def apply_chat_template(
        self, conversation: list[dict[str, object]], *, add_generation_prompt: bool, tokenize: bool, **options: object
    ) -> object:
        """The conversation as one text."""
        return self.tokenizer.apply_chat_template(
            conversation,
            add_generation_prompt=add_generation_prompt,
            tokenize=tokenize,
            **{**options, "chat_template": self.template},
        )


def layouts(rows: Mapping[str, Fields], config: CorpusConfig, tokenizer: ChatTokenizer | None) -> list[Layout]:
    """The rows as the audit renders them, then in every other way, each text once.

    Args:
        rows: example id → the record's fields, as they stand in its file.
        config: the settings of the audit.
        tokenizer: brings the chat template; None: no template is tried.

    Returns:
        At least the first one; more where the records have a prompt or are conversations.
    """
    found = [Layout(AUDITED, "", _texts(rows, config, tokenizer))]
    for other in other_renderings(rows.values(), config, tokenizer):
        found.append(Layout(other.name, other.flags, _texts(rows, other.applied_to(config), tokenizer)))
    if tokenizer is not None and any(parts.prompt for parts in found[0].texts.values()):
        settings = replace(config, rendering="chat")
        for name, template in TEMPLATES.items():
            texts = _texts(rows, settings, Templated(tokenizer, template))
            remedy = (
                f"--rendering chat, after the {name} chat template was given to the tokenizer (chat_template.jinja)"
            )
            found.append(Layout(f"{name} (template)", remedy, texts))
    return _distinct(found)


def answers_of(rows: Mapping[str, Fields], config: CorpusConfig) -> dict[str, str]:
    """By example id the last answer, or the whole text of a record without a prompt: the same in every rendering."""
    plain = replace(config, rendering="joined", separator="")
    return {name: parts.completion for name, parts in _texts(rows, plain, None).items()}


def _texts(rows: Mapping[str, Fields], config: CorpusConfig, tokenizer: ChatTokenizer | None) -> dict[str, Parts]:
    reader, found = ShapeReader(config, tokenizer), {}
    for example_id, fields in rows.items():
        try:
            found[example_id] = reader.read(fields)
        except BadRecord:
            continue
    return found


def _distinct(found: Sequence[Layout]) -> list[Layout]:
    """The layouts that have texts, each of another text than those before."""
    known: set[tuple[str, ...]] = set()
    kept = []
    for layout in found:
        key = tuple(f"{name} {parts.text}" for name, parts in sorted(layout.texts.items()))
        if key and key not in known:
            known.add(key)
            kept.append(layout)
    return kept
