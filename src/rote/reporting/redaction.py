"""Texts without personal data, for what is shown: each piece becomes a placeholder, the same wherever it stands.

Redaction is done to the artifacts of a report before anything is made of them, so that every text that is shown comes from
redacted ones and every span is of the redacted text. What lies in the run folder stays as it is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from rote import runs
from rote.personal_data.recognized import TYPES
from rote.personal_data.redaction import Redacted, Redactor
from rote.records import AttentionMap, ExactRun, Example, Identifier, Match, PersonalDatum, Prompt, Source, Span
from rote.reporting.artifacts import Artifacts
from rote.runs import Run


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
