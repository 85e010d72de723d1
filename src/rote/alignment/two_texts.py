"""Two texts beside each other, without a model or a run: the passages that they share, each with the texts that it lies in."""

from dataclasses import dataclass, fields

from rote.alignment.matching import find_matches, make_aligner
from rote.alignment.presets import Preset, preset_of
from rote.config import AlignmentConfig, PresetName
from rote.console import markup
from rote.errors import DataError
from rote.records import Candidate, Generation, Match, Prompt, content_id
from rote.runs.disk import shortened


@dataclass(frozen=True, slots=True)
class TextMatch(Match):
    """A match, and the two texts that its spans are of."""

    text: str
    other: str

    @property
    def passage(self) -> str:
        """What of `text` repeats the other one."""
        return self.generated.of(self.text)

    @property
    def counterpart(self) -> str:
        """What it repeats."""
        return self.training.of(self.other)

    def __repr__(self) -> str:
        spans = f"text[{self.generated.start}:{self.generated.end}], other[{self.training.start}:{self.training.end}]"
        return f"{type(self).__name__}({self.kind}, {spans}, similarity {self.similarity:.2f})"

    def _repr_html_(self) -> str:
        """The passage and its counterpart, marked in their texts, side by side."""
        sides = (("Text", self.text, self.generated), ("Other text", self.other, self.training))
        return markup.box(
            markup.heading(self.kind, self.details()),
            markup.beside(
                *(
                    markup.heading(name, f"{span.start:,} to {span.end:,} of {len(whole):,} characters")
                    + markup.passage(whole, span.start, span.end)
                    for name, whole, span in sides
                )
            ),
        )


def align_texts(
    text: str, other: str, *, preset: PresetName | Preset = "corrected", language: str = "en"
) -> list[TextMatch]:
    """The passages of a text that repeat another one, told apart by kind.

    What stage 5 does with one generation and one training text: which of them came first nobody knows here, so the text
    is taken for the generation.

    Args:
        text: the text that is looked at.
        other: the text that it may repeat.
        preset: "corrected", or "pan2015", "zeng2024", "udsa2026" as published; or a `rote.alignment.Preset` with thresholds of your own.
        language: of both, as an ISO 639-1 code.

    Returns:
        Matches by place in the text; none where nothing of at least the preset's least length is shared, or a text is
        empty. `similarity` lies in 0..1, higher = closer, 1 for verbatim.

    Raises:
        DataError: a text is no `str`.
        ConfigError: there is no such preset or language.
    """
    for name, given in (("text", text), ("other", other)):
        if not isinstance(given, str):
            raise DataError(f"{name}: expected a str, found {type(given).__name__} {shortened(given)}")
    aligner = make_aligner(AlignmentConfig(language=language), preset=preset_of(preset))
    ids = content_id(text), content_id(other)
    generation, prompt = Generation(ids[0], "", "", "", "", 0, text), Prompt("", "", "", "")
    found = find_matches(generation, prompt, [(Candidate(*ids, rank=1, score=0.0), other)], aligner)
    return [
        TextMatch(**{field.name: getattr(match, field.name) for field in fields(Match)}, text=text, other=other)
        for match in found
    ]
