"""The loss on the members' completions in one rendering and in others: which of them does the model know?

What is compared is the same in every rendering: the characters of the answer (or of the whole text, where there is no
prompt). Only what stands before and after them differs, and how they are cut into tokens.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from rote.corpus import draw
from rote.corpus.rendering import Parts
from rote.models import LoadedModel
from rote.models.tokens import TokenEncoder, model_encoder
from rote.passes.logits import TextPass
from rote.passes.scoring import score_texts
from rote.passes.store import TokenStore
from rote.records import Example, Prompt, RenderingPass
from rote.rendering.layouts import AUDITED, WITH_START, WITHOUT_START, Layout

TRIED_RECORDS = 24
"""Members that every rendering is tried on, at most, each of another duplicate group as far as there are enough."""
ANSWER_TOKENS, TEXT_TOKENS = 16, 128
"""So many of the first tokens (as the audit renders them) of an answer, and of a text without a prompt, are compared.

Another rendering costs the first tokens of an answer most; of a memorised one, whatever comes later is known anyway."""
START_REMEDY = "the other start token: it is set in the tokenizer (add_bos_token in tokenizer_config.json)"
TEMPLATE_REMEDY = (
    "the other start token: of chats the template decides ({{ bos_token }} at its beginning, in chat_template.jinja)"
)


def tried_members(examples: Sequence[Example], *, seed: int) -> list[Example]:
    """The members that renderings are tried on, drawn by seed, one of a group before a second one."""
    members = [example for example in examples if example.split == "member"]
    groups: dict[str, list[Example]] = {}
    for example in draw(members, 0, seed=seed):
        groups.setdefault(example.group, []).append(example)
    firsts = draw([group[0] for group in groups.values()], TRIED_RECORDS, seed=seed)
    others = [example for group in groups.values() for example in group[1:]]
    return [*firsts, *draw(others, TRIED_RECORDS, seed=seed)][:TRIED_RECORDS]


def try_layouts(
    layouts: Sequence[Layout],
    answers: Mapping[str, str],
    examples: Mapping[str, Example],
    model: LoadedModel,
    store: TokenStore,
    *,
    batch_size: int,
    name: str,
) -> list[RenderingPass]:
    """One pass over every record in every layout.

    Args:
        layouts: the first one is as audited.
        answers: what is compared, by example id: the last answer, or the whole text; see `layouts.answers_of`.
        examples: by id; all that the layouts render.
        model: the tuned or the base model.
        store: where the passes are kept.
        batch_size: texts in one batch.
        name: "tuned" or "base".

    Returns:
        Layout by layout, in the order of the examples' ids; a record that cannot be compared in a layout (its answer
        does not stand in the text, or the prompt fills the model's context) is not there.
    """
    encoder = model_encoder(model)
    if not encoder.tokenizer.is_fast:  # it does not say where its tokens stand
        return []
    parts: dict[str, _Part] = {}
    tokens: dict[str, int] = {}
    for example_id, text in sorted(layouts[0].texts.items()):
        part = _part_of(text, answers.get(example_id, "").strip(), encoder)
        read = _pass(text, part, encoder, model) if part is not None else None
        if part is not None and read is not None:
            parts[example_id], tokens[example_id] = part, len(read.scored)
    found: list[tuple[Layout, str, TextPass]] = []
    for layout, variant in _with_start_tokens(layouts, encoder):
        for example_id, part in parts.items():
            rendered = layout.texts.get(example_id)
            read = _pass(rendered, part, variant, model) if rendered is not None else None
            if read is not None:
                found.append((layout, example_id, read))
    keys = score_texts([read for _, _, read in found], model, store, batch_size=batch_size)
    uniform = math.log(len(model.tokenizer))
    return [
        RenderingPass(
            example_id=example_id,
            group=examples[example_id].group,
            model=name,
            rendering=layout.name,
            remedy=layout.remedy,
            nats=-float(store.read(key).log_probabilities.sum(dtype="float64")),
            tokens=tokens[example_id],
            uniform=uniform,
        )
        for (layout, example_id, _), key in zip(found, keys, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Part:
    """What of a record is compared: characters of its answer (of its text, where it has no prompt)."""

    answer: str
    """Without outer white space; templates trim it."""
    skipped: int
    """The first so many characters are not compared: nothing stands before them."""
    chars: int
    """Characters of the answer that are compared, the skipped ones included."""


def _part_of(text: Parts, answer: str, encoder: TokenEncoder) -> _Part | None:
    if not answer:
        return None
    ends = encoder.tokenized(answer).ends
    skipped = 0 if text.prompt.strip() or encoder.is_encoder_decoder else ends[0]
    count = ANSWER_TOKENS if text.prompt.strip() else TEXT_TOKENS + bool(skipped)
    chars = len(answer) if encoder.is_encoder_decoder else ends[:count][-1]
    return _Part(answer, skipped, chars) if chars > skipped else None


def _pass(text: Parts, part: _Part, encoder: TokenEncoder, model: LoadedModel) -> TextPass | None:
    """The pass over what is compared; None where it does not stand in the text, or the context has no room for it."""
    if encoder.is_encoder_decoder:
        return _pair_pass(text, part, encoder, model)
    place = text.text.rfind(part.answer)
    if place < 0:
        return None
    tokens = encoder.tokenized(text.text)
    read = encoder.prompt(Prompt("", "", text.text, "", text.is_rendered))
    lead = len(read) - len(tokens.ids)
    begins = [0, *tokens.ends[:-1]]
    inside = [
        at
        for at, (begin, end) in enumerate(zip(begins, tokens.ends, strict=True))
        if end > place + part.skipped and begin < place + part.chars
    ]
    if not inside:
        return None
    first, last = max(1 + encoder.virtual, lead + inside[0]), lead + inside[-1] + 1
    if last > model.context_tokens or first >= last:
        return None
    return TextPass(tuple(read[:first]), tuple(read[first:last]))


def _pair_pass(text: Parts, part: _Part, encoder: TokenEncoder, model: LoadedModel) -> TextPass | None:
    if text.completion.strip() != part.answer or not text.prompt.strip():
        return None
    prompt = Prompt("", "", text.prompt, text.completion, text.is_rendered)
    read, written = encoder.prompt(prompt), encoder.reference(prompt)[:ANSWER_TOKENS]
    fits = max(len(read), len(written)) <= model.context_tokens
    return TextPass(tuple(read), tuple(written)) if fits and written else None


def _with_start_tokens(layouts: Sequence[Layout], encoder: TokenEncoder) -> Iterator[tuple[Layout, TokenEncoder]]:
    """The layouts with their encoder, and after the first one the same with a start token more or less."""
    for layout in layouts:
        yield layout, encoder
        if layout.name == AUDITED and not encoder.is_encoder_decoder:
            is_rendered = any(text.is_rendered for text in layout.texts.values())
            yield from (_started_chats if is_rendered else _started_texts)(layout, encoder)


def _started_texts(layout: Layout, encoder: TokenEncoder) -> Iterator[tuple[Layout, TokenEncoder]]:
    """Without the start token that the tokenizer adds; with one, where it adds none."""
    own, start = encoder.before[encoder.virtual :], encoder.tokenizer.bos_token_id
    if own:
        other = replace(encoder, before=encoder.before[: encoder.virtual])
        yield replace(layout, name=WITHOUT_START, remedy=START_REMEDY), other
    elif start is not None:
        other = replace(encoder, before=(*encoder.before, int(start)))
        yield replace(layout, name=WITH_START, remedy=START_REMEDY), other


def _started_chats(layout: Layout, encoder: TokenEncoder) -> Iterator[tuple[Layout, TokenEncoder]]:
    """Without the start token that a template wrote; with that of the tokenizer (a second one, where both have it)."""
    own, start = encoder.before[encoder.virtual :], str(encoder.tokenizer.bos_token or "")
    chats = {name: text for name, text in layout.texts.items() if text.is_rendered}
    is_written = bool(start) and all(text.prompt.startswith(start) for text in chats.values())
    if is_written:
        texts = {name: replace(text, prompt=text.prompt.removeprefix(start)) for name, text in chats.items()}
        yield (
            replace(layout, name=WITHOUT_START, remedy=TEMPLATE_REMEDY, texts={**layout.texts, **texts}),
            encoder,
        )
    if own or (start and not is_written):
        texts = {name: replace(text, is_rendered=False) for name, text in chats.items()}
        before = own or (int(cast(int, encoder.tokenizer.bos_token_id)),)
        other = replace(encoder, before=(*encoder.before[: encoder.virtual], *before))
        yield replace(layout, name=WITH_START, remedy=TEMPLATE_REMEDY, texts={**layout.texts, **texts}), other
