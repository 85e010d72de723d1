"""Texts without personal data, for what is shown: each piece becomes a placeholder, the same wherever it stands.

Redaction is done to the artifacts of a report before anything is made of them, so that every text that is shown comes from
redacted ones and every span is of the redacted text. What lies in the run folder stays as it is.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from rote import runs
from rote.personal_data.finding import Finder
from rote.personal_data.recognized import TYPES, Key, Recognized
from rote.personal_data.recognizing import BuiltInRecognizer
from rote.records import AttentionMap, ExactRun, Example, Identifier, Match, PersonalDatum, Prompt, Source, Span
from rote.reporting.artifacts import Artifacts
from rote.runs import Run
from rote.scoring.leaks import CONTEXT_CHARS


@dataclass(frozen=True, slots=True)
class _Replaced:
    """A place of the original text, and where its placeholder stands in the redacted one."""

    original: Span
    redacted: Span


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text with placeholders."""

    text: str
    replaced: tuple[_Replaced, ...]
    """In reading order."""

    def moved(self, span: Span) -> Span:
        """The span of the redacted text that the span of the original has become; it covers whole placeholders."""
        return Span(self._at(span.start, end=False), max(self._at(span.start, end=False), self._at(span.end, end=True)))

    def _at(self, place: int, *, end: bool) -> int:
        before = bisect_right(self.replaced, place, key=lambda one: one.original.start) - 1
        if before < 0:
            return place
        last = self.replaced[before]
        if place == last.original.start:
            return last.redacted.start
        if place < last.original.end:
            return last.redacted.end if end else last.redacted.start
        return last.redacted.end + place - last.original.end


MASK = "▮"
"""Stands for a token of personal data."""


class Redactor:
    """Replaces personal data by placeholders such as [EMAIL 1], numbered by type in the order in which they come.

    Replaced is what counts (`rote.personal_data.finding.Finder`): what the built-in recogniser finds, and what is known;
    besides numbers that only look like it (`rote.personal_data.look_alikes`), which count nowhere.

    Args:
        known: personal data of the run, by type and form.
        identifiers: what fields of the records hold.
    """

    def __init__(self, known: Iterable[Key], identifiers: Iterable[Key] = ()) -> None:
        self._finder = Finder(BuiltInRecognizer(), known, identifiers, with_look_alikes=True)
        self._numbers: dict[str, dict[str, int]] = {}

    def redact(self, text: str, *, before: str = "") -> Redacted:
        """The text with placeholders.

        Args:
            text: what is shown.
            before: what stands before it: it may say what a number is, and hold the beginning of one.
        """
        parts, replaced, at, length = [], [], 0, 0
        for span, placeholder in self._placeholders(text, before[-CONTEXT_CHARS:]):
            parts += [text[at : span.start], placeholder]
            length += span.start - at
            replaced.append(_Replaced(span, Span(length, length + len(placeholder))))
            at, length = span.end, length + len(placeholder)
        return Redacted("".join([*parts, text[at:]]), tuple(replaced))

    def masked(self, tokens: Sequence[str], *, before: str = "") -> tuple[str, ...]:
        """The tokens of a text, with a mask for each that holds a part of a personal datum."""
        ends = list(accumulate(map(len, tokens)))
        replaced = self.redact("".join(tokens), before=before).replaced
        return tuple(
            MASK if any(one.original.overlap(Span(end - len(token), end)) for one in replaced) else token
            for token, end in zip(tokens, ends, strict=True)
        )

    def _placeholders(self, text: str, before: str) -> Iterator[tuple[Span, str]]:
        """Where something is replaced, in reading order, and by what."""
        for item in self._finder.find(before + text):
            start, end = max(0, item.span.start - len(before)), item.span.end - len(before)
            if end > start:
                yield Span(start, end), self._placeholder(item)

    def _placeholder(self, item: Recognized) -> str:
        numbers = self._numbers.setdefault(item.type, {})
        return f"[{item.type.replace('_', ' ')} {numbers.setdefault(item.form, len(numbers) + 1)}]"


def masked_maps(maps: Iterable[AttentionMap], run: Run) -> list[AttentionMap]:
    """The maps, with a mask for each token of personal data."""
    known = run.read(runs.PERSONAL_DATA, PersonalDatum) if run.has(runs.PERSONAL_DATA) else []
    identifiers = run.read(runs.IDENTIFIERS, Identifier) if run.has(runs.IDENTIFIERS) else []
    redactor = Redactor(((datum.type, datum.form) for datum in known), (item.key for item in identifiers))
    return [
        replace(one, read=redactor.masked(one.read), written=redactor.masked(one.written, before="".join(one.read)))
        for one in maps
    ]


def redacted(artifacts: Artifacts) -> Artifacts:
    """The artifacts with placeholders in every text, and with the spans of the redacted texts.

    A prompt that ends inside a piece of personal data has the whole placeholder; so has the generation that goes on with it.
    The texts of the detector's trials are shown nowhere and left as they are.
    """
    known = [(datum.type, datum.form) for datum in artifacts.personal_data]
    # What another recogniser found in generations is found again by its letters.
    known += [(item.type, item.form) for item in artifacts.personal_items if item.type not in TYPES]
    redactor = Redactor(known, (item.key for item in artifacts.identifiers))
    texts = {example.id: redactor.redact(example.text) for example in artifacts.examples.values()}
    written = {
        generation.id: redactor.redact(generation.text, before=artifacts.prompts[generation.prompt_id].text)
        for generation in artifacts.generations.values()
    }
    moved = {
        match: _match(match, written[name], texts[match.example_id])
        for name, found in artifacts.matches.items()
        for match in found
    }
    return replace(
        artifacts,
        examples={name: _example(example, texts[name]) for name, example in artifacts.examples.items()},
        prompts={
            name: _prompt(prompt, artifacts.examples[prompt.example_id], texts[prompt.example_id], redactor)
            for name, prompt in artifacts.prompts.items()
        },
        generations={name: replace(item, text=written[name].text) for name, item in artifacts.generations.items()},
        matches={name: tuple(moved[match] for match in found) for name, found in artifacts.matches.items()},
        originals={new: match for match, new in moved.items()},
        exact_runs={
            name: tuple(_run(run, written[name], texts) for run in found)
            for name, found in artifacts.exact_runs.items()
        },
    )


def _example(example: Example, text: Redacted) -> Example:
    cut = text.moved(Span(0, len(example.prompt))).end
    return replace(example, prompt=text.text[:cut], completion=text.text[cut:])


def _prompt(prompt: Prompt, example: Example, text: Redacted, redactor: Redactor) -> Prompt:
    if example.text != prompt.text + prompt.reference:
        shown = redactor.redact(prompt.text)
        return replace(prompt, text=shown.text, reference=redactor.redact(prompt.reference, before=prompt.text).text)
    cut = text.moved(Span(0, len(prompt.text))).end
    return replace(prompt, text=text.text[:cut], reference=text.text[cut:])


def _match(match: Match, generated: Redacted, training: Redacted) -> Match:
    return replace(match, generated=generated.moved(match.generated), training=training.moved(match.training))


def _run(run: ExactRun, generated: Redacted, texts: Mapping[str, Redacted]) -> ExactRun:
    sources = tuple(Source(item.example_id, texts[item.example_id].moved(item.training)) for item in run.sources)
    return replace(run, generated=generated.moved(run.generated), sources=sources)
