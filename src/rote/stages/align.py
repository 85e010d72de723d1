"""Stage 5: passages that generations share with their candidates."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from rote import runs
from rote.config import AuditConfig, settings_of
from rote.console.progress import track
from rote.errors import OK
from rote.records import (
    Candidate,
    Example,
    Match,
    Prompt,
    Trial,
)
from rote.runs import Run
from rote.stages.inputs import generation_names, generations_of, save_settings

if TYPE_CHECKING:
    from rote.alignment import Aligner

ALIGNED_AT_ONCE = 50
"""Generations in one chunk of the alignment: what is lost when a run is killed."""


def align(config: AuditConfig, run: Run) -> int:
    """Stage 5: finds the passages that each generation shares with its candidates, and their kinds.

    The same aligner then looks for passages that were planted: how good is it on these records?
    """
    from rote.alignment import choose_hosts, find_matches, make_aligner, mark_generic, run_trials

    save_settings(config, run)
    examples = {example.id: example for example in run.read(runs.EXAMPLES, Example)}
    texts = {example.id: example.text for example in examples.values()}
    prompts = {prompt.id: prompt for prompt in run.read(runs.PROMPTS, Prompt)}
    candidates = run.read(runs.CANDIDATES, Candidate)
    members = _by_generation(candidates, texts)
    nonmembers = _by_generation(run.read(runs.NONMEMBER_CANDIDATES, Candidate), texts)
    generations = generations_of(run)

    @cache
    def aligner_of_run() -> "Aligner":
        return make_aligner(config.alignment, model=config.model)

    def matches(done: int) -> Iterator[Sequence[Match]]:
        aligner = aligner_of_run()
        chunks = [generations[at : at + ALIGNED_AT_ONCE] for at in range(0, len(generations), ALIGNED_AT_ONCE)]
        for chunk in track(chunks[done:], "aligning", total=len(generations), done=done * ALIGNED_AT_ONCE):
            found: list[Match] = []
            aligner.texts.read(text for generation in chunk for _, text in members.get(generation.id, []))
            aligner.texts.read(generation.text for generation in chunk)
            for generation in chunk:
                prompt = prompts[generation.prompt_id]
                own = find_matches(generation, prompt, members.get(generation.id, []), aligner)
                common = find_matches(generation, prompt, nonmembers.get(generation.id, []), aligner) if own else []
                found += mark_generic(own, common)
            yield found

    inputs = [runs.EXAMPLES, runs.PROMPTS, *generation_names(run), runs.CANDIDATES, runs.NONMEMBER_CANDIDATES]
    run.make(runs.MATCHES, matches, settings=settings_of(config.alignment), inputs=inputs)

    def trials(done: int) -> Iterator[Sequence[Trial]]:
        hosts = choose_hosts(generations, candidates, examples)
        drawn = [example for example in examples.values() if example.split == "member"]
        return run_trials(drawn, hosts, aligner_of_run(), seed=config.generation.seed, done=done)

    settings = {**settings_of(config.alignment), "seed": config.generation.seed}
    run.make(runs.DETECTOR, trials, settings=settings, inputs=[runs.EXAMPLES, *generation_names(run), runs.CANDIDATES])
    return OK


def _by_generation(candidates: Sequence[Candidate], texts: Mapping[str, str]) -> dict[str, list[tuple[Candidate, str]]]:
    """Generation id → its candidates, each with its text."""
    found: dict[str, list[tuple[Candidate, str]]] = {}
    for candidate in candidates:
        found.setdefault(candidate.generation_id, []).append((candidate, texts[candidate.example_id]))
    return found
