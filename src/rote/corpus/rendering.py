"""How a row becomes text: as the trainer that uses its shape writes it, or in another given way.

To see the same rows in another way (for instance to find out under which a model's loss is least):

    rows = raw_rows(examples, config, tokenizer)                 # id → the fields as they stand in the file
    for other in other_renderings(rows.values(), config, tokenizer):  # each `Rendering` says which flags give it
        reader = ShapeReader(other.applied_to(config), tokenizer)
        texts = {name: reader.read(fields) for name, fields in rows.items()}   # `Parts`; BadRecord where it cannot be

Start tokens are no part of a rendering, unless a chat template writes them: `rote.models.tokens` puts the tokenizer's
before every text that no template wrote.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

from rote.config import CorpusConfig, Form
from rote.corpus.bounds import RenderingBudget
from rote.corpus.chat import ChatTokenizer, by_roles, by_template, text_of
from rote.corpus.contents import Content, content_of
from rote.corpus.defects import BadRecord, shown, shown_names
from rote.corpus.fields import has_field, paths_of, text_field
from rote.corpus.formats import Fields
from rote.corpus.shapes import Shape, given_shape, recognise
from rote.errors import ConfigError

AUTO = "auto"
LINE_FEED = "\n"
SEPARATORS = ("", "\n", "\n\n", " ")
"""Separators that `other_renderings` proposes."""
PREAMBLE = "Below is an instruction that describes a task"
WITH_INPUT = ", paired with an input that provides further context"
REQUEST = ". Write a response that appropriately completes the request."


@dataclass(frozen=True, slots=True)
class Rendering:
    """A way to make text of records, as settings of the corpus."""

    form: Form
    """"joined", "roles", "chat" or "alpaca"; never "auto"."""
    separator: str
    """What stands after each text of the prompt; used by "joined" alone."""

    @property
    def name(self) -> str:
        """In words: "joined by '\\n'", "chat template", "lines 'Role: content'", "Alpaca text"."""
        if self.form == "joined":
            return f"joined by {self.separator!r}" if self.separator else "joined with nothing between"
        return {"chat": "chat template", "roles": "lines 'Role: content'", "alpaca": "Alpaca text"}[self.form]

    @property
    def flags(self) -> str:
        """The flags that give it, for a shell."""
        if self.form != "joined":
            return f"--rendering {self.form}"
        written = self.separator.replace("\n", "\\n").replace("\t", "\\t")
        return f"--rendering joined --separator '{written}'"

    def applied_to(self, config: CorpusConfig) -> CorpusConfig:
        """The settings with this rendering."""
        return replace(config, rendering=self.form, separator=self.separator)


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
    is_rendered: bool = False
    """A chat template wrote the text, special tokens included."""

    @property
    def text(self) -> str:
        """Prompt and completion, joined."""
        return self.prompt + self.completion


@dataclass(frozen=True)
class ShapeReader:
    """Makes prompt and completion of rows, by the given fields or by the first shape that fits.

    Raises:
        ConfigError: a prompt field without a completion field, or a chat template is asked for and there is none.
    """

    config: CorpusConfig
    tokenizer: ChatTokenizer | None

    def __post_init__(self) -> None:
        if self.config.prompt_field and not self.config.completion_field:
            raise ConfigError(
                f"corpus.prompt_field = {self.config.prompt_field!r} needs corpus.completion_field, found none"
            )

    @cached_property
    def budget(self) -> RenderingBudget:
        """What the template may take."""
        return RenderingBudget(source_of(self.tokenizer))

    @cached_property
    def has_template(self) -> bool:
        """Whether there is a tokenizer with a chat template (it is loaded by asking)."""
        return self.tokenizer is not None and bool(self.tokenizer.chat_template)

    def shape_of(self, fields: Fields) -> Shape:
        """The shape of a row, with the names as the row writes them.

        Raises:
            BadRecord: no shape fits.
        """
        config = self.config
        if not config.completion_field:
            return recognise(tuple(fields))
        shape = given_shape(config.prompt_field, config.completion_field, fields)
        missing = [name for name in shape.needed if not has_field(fields, name)]
        if missing:
            raise BadRecord(missing[0], "missing field", f"the fields {shown_names(paths_of(fields))}")
        return shape

    def read(self, fields: Fields) -> Parts:
        """Prompt and completion of a row, whatever its shape.

        Raises:
            BadRecord: no shape fits, or as `parts_of`.
        """
        return self.parts_of(fields, self.shape_of(fields))

    def parts_of(self, fields: Fields, shape: Shape) -> Parts:
        """Prompt and completion of a row of that shape.

        Raises:
            BadRecord: a field is empty, not text, not UTF-8, or the whole is too long.
            DataError: the chat template needs too much time or memory.
        """
        return self.rendered(content_of(fields, shape), shape)

    def rendered(self, content: Content, shape: Shape) -> Parts:
        """The text of what a row says; raises as `parts_of`."""
        form = self.form_of(content, shape)
        if form == "chat":
            parts = self._by_template(content, shape)
        elif form == "roles":
            chat = by_roles(content.conversation)
            parts = Parts(
                chat.prompt, chat.completion, content.passage, "\n".join(content.conversation.said), chat.start
            )
        else:
            parts = _alpaca(content) if form == "alpaca" else self._joined(content, shape)
        chars = len(parts.prompt) + len(parts.completion)
        if chars > self.config.max_chars:
            raise BadRecord(shape.completion, "too long", f"{chars} characters: {shown(parts.text[:120])}")
        return parts

    def form_of(self, content: Content, shape: Shape) -> Form:
        """The form of the settings; with "auto" that of the trainer that uses this shape.

        Messages: the chat template, else lines "Role: content". `instruction`, `input`, `output`: a given separator
        joins them; else the chat template (LLaMA-Factory), or without one the Alpaca text (axolotl, torchtune, litgpt).
        Everything else is joined, and what a template wrote before stays as it is.

        Raises:
            ConfigError: "chat", and there is no template.
        """
        if content.is_rendered:
            return "joined"
        form = self.config.rendering
        if form == "chat" and not self.has_template:
            raise ConfigError(f"corpus.rendering = 'chat': {_no_template(self.tokenizer)}")
        if form != AUTO:
            return form
        if content.chat is not None:
            return "chat" if self.has_template else "roles"
        if shape.kind == "alpaca" and self.config.separator == AUTO:
            return "chat" if self.has_template else "alpaca"
        return "joined"

    def separator_of(self, shape: Shape) -> str:
        """The separator of the settings; with "auto" nothing for TRL's `prompt` and `completion`, else a line feed."""
        if self.config.separator != AUTO:
            return self.config.separator
        return "" if shape.kind == "trl" else LINE_FEED

    def explained(self, content: Content, shape: Shape) -> str:
        """One phrase: how the text is made of the fields, and where a template comes from."""
        form = self.form_of(content, shape)
        if form == "chat":
            return f"rendered through the chat template of {source_of(self.tokenizer)}"
        if form == "roles":
            given = self.config.rendering == form
            return "rendered as plain lines 'Role: content'" + (
                "" if given else f", because {_no_template(self.tokenizer)}"
            )
        if form == "alpaca":
            return "rendered as the Alpaca text ('### Instruction: …'), as axolotl, torchtune and litgpt do"
        if content.is_rendered:
            return "rendered before, as its field 'is_rendered' says: the text with its special tokens, as it is"
        if not content.texts:
            return "the text as it is"
        separator = self.separator_of(shape)
        reason = ", as TRL does" if shape.kind == "trl" and self.config.separator == AUTO else ""
        return (f"joined by {separator!r}" if separator else "joined with nothing between") + reason

    def _by_template(self, content: Content, shape: Shape) -> Parts:
        chat = content.conversation
        rendered = by_template(shape.completion, chat, cast(ChatTokenizer, self.tokenizer), self.budget)
        text_field(shape.completion, rendered.prompt + rendered.completion)
        said = "\n".join(chat.said)
        return Parts(rendered.prompt, rendered.completion, content.passage, said, rendered.start, is_rendered=True)

    def _joined(self, content: Content, shape: Shape) -> Parts:
        separator = "" if content.is_rendered else self.separator_of(shape)
        texts = list(content.texts)
        if content.chat is not None:
            completion = separator.join(map(text_of, content.chat.messages[content.chat.answer :]))
        else:
            completion = content.completion
            texts = [text for text in (content.system, *(t for turn in content.history for t in turn)) if text] + texts
        prompt = "".join(text + separator for text in texts)
        if not content.has_instruction:
            return Parts(prompt, completion, content.passage, prompt, 0, content.is_rendered)
        return Parts(prompt, completion, content.passage, texts[-1], len(prompt) - len(texts[-1] + separator))


def source_of(tokenizer: ChatTokenizer | None) -> str:
    """The name of the tokenizer's folder or hub repository, for messages."""
    return str(getattr(tokenizer, "name_or_path", "") or "the tokenizer")


def _no_template(tokenizer: ChatTokenizer | None) -> str:
    source = getattr(tokenizer, "name_or_path", "")
    if tokenizer is None or source is None:
        return "no model is given whose chat template could be used"
    return f"the tokenizer {f'of {source} ' if source else ''}has no chat template"


def _alpaca(content: Content) -> Parts:
    """The text of Stanford Alpaca (Taori et al. 2023), which axolotl's `alpaca`, torchtune and litgpt use.

    A system text stands in the place of the preamble, as axolotl's `alpaca_w_system` writes it.

    Raises:
        BadRecord: there is no instruction.
    """
    if not content.texts:
        raise BadRecord("", "empty", "no instruction for the Alpaca text")
    instruction, rest = content.texts[0], "\n".join(content.texts[1:])
    if content.system:
        preamble = f"### System:\n{content.system}"
    else:
        preamble = f"{PREAMBLE}{WITH_INPUT if rest else ''}{REQUEST}"
    earlier = "".join(f"### Instruction:\n{asked}\n\n### Response:\n{told}\n\n" for asked, told in content.history)
    task = f"### Instruction:\n{instruction}\n\n" + (f"### Input:\n{rest}\n\n" if rest else "")
    prompt = f"{preamble}\n\n{earlier}{task}### Response:\n"
    start = prompt.rindex(rest if rest else instruction)
    return Parts(prompt, content.completion, content.passage, rest or instruction, start)


def other_renderings(rows: Iterable[Fields], config: CorpusConfig, tokenizer: ChatTokenizer | None) -> list[Rendering]:
    """The renderings that make another text of the first readable row than the settings do, each text once."""
    reader = ShapeReader(config, tokenizer)
    candidates = [Rendering("chat", AUTO)] if reader.has_template else []
    candidates += [Rendering("roles", AUTO), Rendering("alpaca", AUTO)]
    candidates += [Rendering("joined", separator) for separator in SEPARATORS]
    for fields in rows:
        known = {_text(reader, fields)}
        if None in known:
            continue
        found = []
        for candidate in candidates:
            text = _text(ShapeReader(candidate.applied_to(config), tokenizer), fields)
            if text is not None and text not in known:
                found.append(candidate)
                known.add(text)
        return found
    return []


def _text(reader: ShapeReader, fields: Fields) -> str | None:
    try:
        return reader.read(fields).text
    except BadRecord:
        return None
