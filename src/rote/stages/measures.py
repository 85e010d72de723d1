"""Part of stage 6: what the models wrote, measured without alignment: similarity, personal data, utility.

Each has an artifact of its own, so that a change of one setting makes that one again and no other.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rote import runs
from rote.config import AuditConfig
from rote.console.progress import track
from rote.records import (
    Candidate,
    Estimate,
    Example,
    Generation,
    Identifier,
    Json,
    PersonalDatum,
    PersonalItem,
    Prompt,
    Score,
)
from rote.runs import Run, whole

if TYPE_CHECKING:
    from rote.personal_data.recognized import Key, Recognizer
    from rote.scoring.leaks import LeakInputs
    from rote.scoring.similarity import LexicalEncoder, SentenceEncoder
    from rote.scoring.utility import Task

COMPARED_AT_ONCE = 100
"""Generations in one chunk of the similarity: what is lost when a run is killed."""
ARTIFACTS = (runs.SIMILARITIES, runs.PERSONAL_DATA, runs.PERSONAL_ITEMS, runs.UTILITY)


def measure(
    config: AuditConfig, run: Run, generations: Sequence[Generation], *, names: Sequence[str], min_chars: int
) -> None:
    """Makes the artifacts of similarity, personal data and utility, as far as they are not up to date.

    Args:
        config: settings.
        run: its candidates must be there.
        generations: of all models and controls.
        names: the artifacts that they come from.
        min_chars: the shortest text of which similarity is said.
    """
    examples, prompts = run.read(runs.EXAMPLES, Example), run.read(runs.PROMPTS, Prompt)
    inputs = [runs.EXAMPLES, runs.PROMPTS, *names]
    _make_similarities(config, run, generations, inputs=inputs, min_chars=min_chars)
    _make_personal(config, run, generations, inputs=inputs)
    task, by_prefix = task_of(config, examples, prompts), _is_by_prefix(run)

    def utility() -> Sequence[Score]:
        from rote.scoring.utility import utility_scores

        return list(utility_scores(generations, {p.id: p for p in prompts}, task, by_prefix=by_prefix))

    run.make(runs.UTILITY, whole(utility), settings={"task": task, "by_prefix": by_prefix}, inputs=inputs)


def measured_scores(config: AuditConfig, run: Run, generations: Sequence[Generation]) -> list[Score]:
    """The scores of all of them."""
    from rote.scoring.leaks import leak_scores

    leaks = leak_scores(_leak_inputs(run, generations), recognizer_of(config), confidence=config.scoring.confidence)
    return [*run.read(runs.SIMILARITIES, Score), *leaks, *run.read(runs.UTILITY, Score)]


def measured_estimates(config: AuditConfig, run: Run, generations: Sequence[Generation]) -> list[Estimate]:
    """The estimates whose subjects are no prompts: personal data, all texts together, differences of the splits."""
    from rote.scoring.excess import excess_estimates
    from rote.scoring.leaks import leak_estimates
    from rote.scoring.metrics.generation import SIMILARITY
    from rote.scoring.utility import bleu_estimates

    examples = {example.id: example for example in run.read(runs.EXAMPLES, Example)}
    prompts = run.read(runs.PROMPTS, Prompt)
    by_id = {prompt.id: prompt for prompt in prompts}
    confidence = config.scoring.confidence
    found = leak_estimates(_leak_inputs(run, generations), recognizer_of(config), confidence=confidence)
    scores = run.read(runs.SIMILARITIES, Score)
    found += excess_estimates(SIMILARITY, scores, generations, by_id, examples, confidence=confidence)
    if task_of(config, list(examples.values()), prompts) == "text":
        by_prefix = _is_by_prefix(run)
        found += bleu_estimates(generations, by_id, examples, by_prefix=by_prefix, confidence=confidence)
    return found


def _leak_inputs(run: Run, generations: Sequence[Generation]) -> "LeakInputs":
    from rote.scoring.leaks import LeakInputs

    return LeakInputs(
        examples={example.id: example for example in run.read(runs.EXAMPLES, Example)},
        prompts=run.read(runs.PROMPTS, Prompt),
        generations=generations,
        known=run.read(runs.PERSONAL_DATA, PersonalDatum),
        identifiers=identifiers_of(run),
        items=run.read(runs.PERSONAL_ITEMS, PersonalItem),
    )


def identifiers_of(run: Run) -> "list[Key]":
    """What fields of the records hold, by type and form; [] where no field holds personal data."""
    found = run.read(runs.IDENTIFIERS, Identifier) if run.has(runs.IDENTIFIERS) else []
    return sorted({item.key for item in found})


def recognizer_of(config: AuditConfig) -> "Recognizer":
    """What finds personal data; MissingExtraError where it is not installed."""
    from rote.personal_data.recognizing import BuiltInRecognizer

    if config.scoring.pii == "built-in":
        return BuiltInRecognizer()
    from rote.personal_data.presidio import load_presidio

    return load_presidio(config.scoring.pii_model)


def task_of(config: AuditConfig, examples: Sequence[Example], prompts: Sequence[Prompt]) -> "Task":
    """The task that is set, or the one that the prompted records look like."""
    from rote.scoring.utility import infer_task

    if config.scoring.task != "auto":
        return config.scoring.task
    prompted = {prompt.example_id for prompt in prompts}
    return infer_task(example for example in examples if example.id in prompted)


def _make_similarities(
    config: AuditConfig, run: Run, generations: Sequence[Generation], *, inputs: Sequence[str], min_chars: int
) -> None:
    from rote.models import model_digest
    from rote.scoring.similarity import LexicalEncoder, TrainingPassages, similarity_scores

    def scores(done: int) -> Iterator[Sequence[Score]]:
        examples = {example.id: example for example in run.read(runs.EXAMPLES, Example)}
        prompts = {prompt.id: prompt for prompt in run.read(runs.PROMPTS, Prompt)}
        lexicon = LexicalEncoder(example.text for example in examples.values() if example.split == "member")
        passages = TrainingPassages(run.read(runs.CANDIDATES, Candidate), examples, lexicon)
        encoder = _encoder(config, lexicon)
        chunks = [generations[at : at + COMPARED_AT_ONCE] for at in range(0, len(generations), COMPARED_AT_ONCE)]
        for chunk in track(chunks[done:], "comparing", total=len(generations), done=done * COMPARED_AT_ONCE):
            yield list(similarity_scores(chunk, prompts, passages, encoder, min_chars=min_chars))

    source = config.scoring.similarity_model
    settings: dict[str, Json] = {"model": model_digest(source) if source else "", "min_chars": min_chars}
    run.make(runs.SIMILARITIES, scores, settings=settings, inputs=[*inputs, runs.CANDIDATES])


def _encoder(config: AuditConfig, lexicon: "LexicalEncoder") -> "SentenceEncoder":
    from rote.models import pick_device
    from rote.scoring.similarity import load_encoder

    source = config.scoring.similarity_model
    if not source:
        return lexicon
    device = str(pick_device(config.model.device))
    return load_encoder(source, device=device, trust_remote_code=config.model.trust_remote_code)


def _make_personal(config: AuditConfig, run: Run, generations: Sequence[Generation], *, inputs: Sequence[str]) -> None:
    from rote.personal_data.recognizing import RULES
    from rote.scoring.leaks import personal_data, personal_items

    settings: dict[str, Json] = {"pii": config.scoring.pii, "model": config.scoring.pii_model, "rules": RULES}

    named = [runs.IDENTIFIERS] if run.has(runs.IDENTIFIERS) else []

    def known() -> Sequence[PersonalDatum]:
        return personal_data(run.read(runs.EXAMPLES, Example), recognizer_of(config), identifiers_of(run))

    def items() -> Sequence[PersonalItem]:
        prompts = {prompt.id: prompt for prompt in run.read(runs.PROMPTS, Prompt)}
        data = run.read(runs.PERSONAL_DATA, PersonalDatum)
        return list(personal_items(generations, prompts, data, recognizer_of(config), identifiers_of(run)))

    run.make(runs.PERSONAL_DATA, whole(known), settings=settings, inputs=[runs.EXAMPLES, *named])
    run.make(runs.PERSONAL_ITEMS, whole(items), settings=settings, inputs=[*inputs, runs.PERSONAL_DATA, *named])


def _is_by_prefix(run: Run) -> bool:
    """Whether the prompts are beginnings of the records' texts."""
    entry = run.entry(runs.PROMPTS)
    return entry is not None and entry.settings.get("prompt") == "prefix"
