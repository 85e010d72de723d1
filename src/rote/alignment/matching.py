"""From a generation and its candidates to matches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rote.alignment.entities import rule_entities, spacy_entities
from rote.alignment.kinds import Finding, Judge, find_kinds
from rote.alignment.paraphrase import LexicalClassifier, load_classifier
from rote.alignment.passages import TextAligner
from rote.alignment.presets import PRESETS, Preset
from rote.alignment.verbatim import covered_chars, shared_runs
from rote.config import AlignmentConfig, ModelConfig
from rote.records import KINDS, Candidate, Generation, Match, Prompt, Span
from rote.text import check_language

PROMPT_RUN_CHARS = 25
"""A run of at least that many characters that stands in the prompt counts as copied from it."""


@dataclass(frozen=True, slots=True)
class Aligner:
    """Everything that finding matches needs besides the texts; made once by `make_aligner`."""

    judge: Judge
    texts: TextAligner

    @property
    def preset(self) -> Preset:
        """Every threshold of the alignment."""
        return self.judge.preset

    @property
    def language(self) -> str:
        """ISO 639-1 code."""
        return self.judge.language


def make_aligner(config: AlignmentConfig, *, model: ModelConfig | None = None, preset: Preset | None = None) -> Aligner:
    """The aligner for these settings; loads the paraphrase model and the spaCy pipeline where they are named.

    Args:
        config: preset, models, language.
        model: names the device that a paraphrase model runs on.
        preset: in place of the one that the settings name.

    Raises:
        ConfigError: the language is no ISO 639-1 code.
        ModelError: a named model cannot be loaded.
        MissingExtraError: spaCy is named and not installed.
    """
    language = check_language(config.language)
    device = (model or ModelConfig()).device
    named = config.paraphrase_model
    judge = Judge(
        preset=preset or PRESETS[config.preset],
        language=language,
        classifier=load_classifier(named, device=device) if named else LexicalClassifier(language),
        find_entities=spacy_entities(config.spacy_model) if config.spacy_model else rule_entities(language),
    )
    return Aligner(judge, TextAligner(judge.preset, language=language))


def find_matches(
    generation: Generation, prompt: Prompt, candidates: Sequence[tuple[Candidate, str]], aligner: Aligner
) -> list[Match]:
    """The passages of a generation that repeat its candidates' texts.

    Args:
        generation: what the model wrote.
        prompt: what it was shown; passages that stand in it are marked `in_prompt`.
        candidates: candidates, each with its training text.
        aligner: preset, paraphrase decision, entities; texts that it has read in bulk (`aligner.texts.read`) are not
            read again.

    Returns:
        Matches by candidate rank, then by place in the generation; `generic` is False (see `mark_generic`). None where
        nothing is shared or a text is empty.
    """
    found: list[Match] = []
    copied: list[Span] | None = None
    ranked = sorted(candidates, key=lambda pair: pair[0].rank)
    passages = aligner.texts.align_each(generation.text, [training for _, training in ranked])
    for (candidate, training), shared in zip(ranked, passages, strict=True):
        for finding in find_kinds(shared, generation.text, training, judge=aligner.judge):
            if copied is None:
                runs = shared_runs(generation.text, prompt.text, min_chars=PROMPT_RUN_CHARS)
                copied = [run.read for run in runs]
            found.append(_match(finding, candidate, copied))
    return found


def _match(finding: Finding, candidate: Candidate, copied: Sequence[Span]) -> Match:
    passage = finding.passage
    return Match(
        generation_id=candidate.generation_id,
        example_id=candidate.example_id,
        rank=candidate.rank,
        generated=passage.generated,
        training=passage.training,
        kind=finding.kind,
        direction=passage.direction,
        similarity=passage.similarity,
        paraphrase_probability=finding.paraphrase_probability,
        in_prompt=2 * covered_chars(passage.generated, copied) > len(passage.generated),
        generic=False,
    )


def mark_generic(matches: Sequence[Match], nonmember_matches: Sequence[Match]) -> list[Match]:
    """The matches with `generic` set: a match of the same generation with non-member text covers at least half of it.

    The non-member match must be of the same or a more severe kind: a vague likeness to some other text does not make a
    verbatim passage common phrasing. It may itself stand in the prompt.
    """
    by_generation: dict[str, list[Match]] = {}
    for match in nonmember_matches:
        by_generation.setdefault(match.generation_id, []).append(match)
    return [
        replace(match, generic=any(_explains(other, match) for other in by_generation.get(match.generation_id, ())))
        for match in matches
    ]


def _explains(nonmember: Match, match: Match) -> bool:
    is_as_severe = KINDS.index(nonmember.kind) <= KINDS.index(match.kind)
    return is_as_severe and 2 * nonmember.generated.overlap(match.generated) >= len(match.generated)
