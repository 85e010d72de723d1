"""One record as the model reads it: token by token, with special tokens, and where prompt and completion meet."""

from collections.abc import Sequence
from itertools import accumulate

from rote.models.tokens import TokenEncoder
from rote.personal_data.recognized import Key
from rote.personal_data.redaction import MASK, Redactor
from rote.records import Example, Prompt

BETWEEN = "¦"
"""Stands between two tokens."""
COMPLETION, PROMPT_ENDS = "⟦completion⟧", "⟦the audit's prompt ends⟧"
FIRST_TOKENS, LAST_TOKENS = 80, 20
"""So many tokens at the beginning and at the end of a part are shown, of a longer one."""
ESCAPES = str.maketrans({"\n": "\\n", "\t": "\\t", "\r": "\\r"})


def record_lines(
    example: Example, prompt: Prompt, encoder: TokenEncoder, *, show_pii: bool, identifiers: Sequence[Key] = ()
) -> list[str]:
    """The record in lines of text.

    Causal models: one line, with a mark where the completion begins and one where the prompt of the audit ends.
    Encoder-decoder models: what the encoder reads and what the decoder writes.

    Args:
        example: the record.
        prompt: its prompt in the audit.
        encoder: of the audited model.
        show_pii: show personal data, not masks; masked is what the built-in recogniser finds, and `identifiers`.
        identifiers: what fields of the records hold.
    """
    place = f"{example.file}, line {example.line}" if example.file else f"record {example.id}"
    read, redactor = encoder.prompt(prompt), None if show_pii else Redactor([], identifiers)
    before, after = encoder.around(is_rendered=prompt.is_rendered)
    lead = [_named(encoder, token) for token in before]
    if encoder.is_encoder_decoder:
        shown = [*lead, *_tokens(prompt.text, encoder, redactor), *(_named(encoder, token) for token in after)]
        written = _tokens(prompt.reference, encoder, redactor)
        return [
            f"one record as the model reads it ({place}; {BETWEEN} between tokens), encoder, {len(read)} tokens:",
            f"  {_joined(shown)}",
            f"decoder, {len(written)} tokens:",
            f"  {_joined(written)}",
        ]
    marks = [(len(prompt.text), PROMPT_ENDS)]
    if example.prompt:
        marks.append((len(example.prompt), COMPLETION))
    text = _tokens(example.text, encoder, redactor, marks)
    return [
        f"one record as the model reads it ({place}; {len(lead) + len(encoder.content(example.text))} tokens, {BETWEEN} "
        "between them):",
        f"  {_joined([*lead, *text])}",
    ]


def _named(encoder: TokenEncoder, token: int) -> str:
    """A special token by its name."""
    return str(encoder.tokenizer.convert_ids_to_tokens(token))


def _tokens(
    text: str, encoder: TokenEncoder, redactor: Redactor | None, marks: Sequence[tuple[int, str]] = ()
) -> list[str]:
    """The pieces of the text that its tokens stand for, with the marks at their characters.

    Tokens that share a character are one piece.
    """
    ends = encoder.tokenized(text).ends if encoder.tokenizer.is_fast else [len(text)]
    pieces, at = [], 0
    for end in [*ends, len(text)]:
        if end > at:
            pieces.append(text[at:end])
            at = end
    hidden = list(redactor.masked(pieces)) if redactor else pieces
    starts = [0, *accumulate(map(len, pieces))]
    shown = [
        _marked(piece, start, marks) if piece != MASK else piece for piece, start in zip(hidden, starts, strict=False)
    ]
    for place, mark in sorted(marks, key=lambda mark: mark[0], reverse=True):
        inside = next(
            (i for i, piece in enumerate(hidden) if piece == MASK and starts[i] <= place < starts[i + 1]), None
        )
        if inside is not None:
            shown.insert(inside, mark)
    return shown


def _marked(piece: str, start: int, marks: Sequence[tuple[int, str]]) -> str:
    """The piece on one line, with the marks that fall on its first character or inside it."""
    parts, at = [], 0
    for place, mark in sorted(marks, key=lambda mark: mark[0]):
        if start <= place < start + len(piece):
            parts += [piece[at : place - start].translate(ESCAPES), mark]
            at = place - start
    return "".join([*parts, piece[at:].translate(ESCAPES)])


def _joined(tokens: Sequence[str]) -> str:
    """The tokens with a bar between them; of many tokens those at the marks, the beginning and the end."""
    if len(tokens) <= FIRST_TOKENS + LAST_TOKENS:
        return BETWEEN.join(tokens)
    near = {
        at + step
        for at, token in enumerate(tokens)
        if COMPLETION in token or PROMPT_ENDS in token
        for step in range(-LAST_TOKENS // 2, LAST_TOKENS // 2)
    }
    kept = [at for at in range(len(tokens)) if at < FIRST_TOKENS or at >= len(tokens) - LAST_TOKENS or at in near]
    parts: list[str] = []
    before = -1
    for at in kept:
        if at > before + 1:
            parts.append(f"… {at - before - 1} tokens …")
        parts.append(tokens[at])
        before = at
    return BETWEEN.join(parts)
