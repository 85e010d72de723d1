"""Microsoft's Presidio as a recogniser of personal data: names, places and the numbers of many countries.

An optional extra, imported when it is asked for. Names and places need a spaCy pipeline with an entity recogniser; without
one Presidio's patterns alone are used. What the built-in recogniser finds is found, too.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rote.errors import ConfigError, MissingExtraError
from rote.personal_data.recognized import Recognized, without_overlaps
from rote.personal_data.recognizing import BuiltInRecognizer
from rote.records import Span

if TYPE_CHECKING:
    from presidio_analyzer import AnalyzerEngine

SAME_TYPES = {
    "EMAIL_ADDRESS": "EMAIL",
    "PHONE_NUMBER": "PHONE",
    "IBAN_CODE": "IBAN",
    "CREDIT_CARD": "CARD",
    "US_SSN": "SSN",
}
"""Presidio's names of what the built-in recogniser has names for."""
NO_PERSON = ("DATE_TIME", "URL", "NRP")
"""What Presidio finds and is no personal data of anyone: dates without context, addresses of the web, nationalities."""
FETCHING = ("EmailRecognizer", "UrlRecognizer")
"""Presidio's recognisers that fetch a list from the web; mail is found by the built-in patterns."""
LEAST_SCORE = 0.4
"""Presidio's confidence, 0 to 1; its patterns without a check and without context are below."""


class PresidioRecognizer:
    """Presidio beside the built-in patterns, which claim their characters first."""

    def __init__(self, engine: "AnalyzerEngine", name: str) -> None:
        self.engine, self.name = engine, name
        self.built_in = BuiltInRecognizer()

    def find(self, text: str) -> list[Recognized]:
        """What either finds, in reading order, without overlaps."""
        return without_overlaps(text, iter([*self.built_in.find(text), *self._found(text)]))

    def find_possible(self, text: str) -> list[Recognized]:
        """What either finds; of the built-in patterns without need of context."""
        return [*self.built_in.find_possible(text), *self._found(text)]

    def _found(self, text: str) -> Iterator[Recognized]:
        results = self.engine.analyze(text, language="en", score_threshold=LEAST_SCORE)
        for item in sorted(results, key=lambda item: (-item.score, item.start, item.end, item.entity_type)):
            if item.entity_type not in NO_PERSON and text[item.start : item.end].strip():
                span = Span(item.start, item.end)
                yield Recognized(
                    SAME_TYPES.get(item.entity_type, item.entity_type),
                    span,
                    " ".join(span.of(text).casefold().split()),
                )


def load_presidio(pipeline: str) -> PresidioRecognizer:
    """Presidio with a spaCy pipeline, or with its patterns alone where none is named.

    Raises:
        MissingExtraError: presidio-analyzer is not installed.
        ConfigError: there is no such pipeline.
    """
    try:
        import spacy
        from presidio_analyzer import AnalyzerEngine, RecognizerRegistry
        from presidio_analyzer.nlp_engine import SpacyNlpEngine
    except ImportError as error:
        raise MissingExtraError("presidio-analyzer", "pii", "scoring.pii = 'presidio'") from error
    try:
        nlp = spacy.load(pipeline) if pipeline else spacy.blank("en")
    except OSError as error:
        raise ConfigError(f"scoring.pii_model: no spaCy pipeline {pipeline!r} is installed") from error
    registry = RecognizerRegistry(supported_languages=["en"])
    registry.load_predefined_recognizers(languages=["en"])
    for fetching in FETCHING:
        registry.remove_recognizer(fetching)
    engine = SpacyNlpEngine(models=[{"lang_code": "en", "model_name": pipeline or "blank"}])
    vars(engine)["nlp"] = {"en": nlp}  # as Presidio's documentation says; its type knows no loaded pipeline
    name = f"Presidio with {pipeline}" if pipeline else "Presidio's patterns"
    return PresidioRecognizer(AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en"]), name)
