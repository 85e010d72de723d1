"""Stage 4: the control generations, and candidate training texts for every generation."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rote import runs
from rote.config import AuditConfig, settings_of
from rote.errors import OK
from rote.records import (
    Candidate,
    Example,
    Generation,
    Prompt,
    Reproduction,
)
from rote.runs import Run, whole
from rote.stages.inputs import generation_names, generations_of, save_settings

if TYPE_CHECKING:
    pass


def retrieve(config: AuditConfig, run: Run) -> int:
    """Stage 4: makes the control generations, and finds candidate training texts for every generation."""
    from rote.alignment import PRESETS
    from rote.generation import shuffled_generations, true_suffix_generations
    from rote.retrieval import (
        ExactSearch,
        build_exact,
        build_index,
        open_exact,
        open_index,
        reproductions,
        retrieve_nonmembers,
    )
    from rote.retrieval import retrieve as find

    save_settings(config, run)
    examples, prompts = run.read(runs.EXAMPLES, Example), run.read(runs.PROMPTS, Prompt)
    tuned = run.read(runs.GENERATIONS.format(model="tuned"), Generation)
    inputs = [runs.EXAMPLES, runs.PROMPTS, runs.GENERATIONS.format(model="tuned")]

    def controls() -> Sequence[Generation]:
        shuffled = shuffled_generations(tuned, examples, seed=config.generation.seed)
        return [*true_suffix_generations(prompts, tuned), *shuffled.generations]

    controls_name = runs.GENERATIONS.format(model="controls")
    run.make(controls_name, whole(controls), settings={"seed": config.generation.seed}, inputs=inputs)
    generations = generations_of(run)
    members = [example for example in examples if example.split == "member"]
    nonmembers = [example for example in examples if example.split == "non-member"]
    min_chars = PRESETS[config.alignment.preset].verbatim_min_chars + 1
    settings = {**settings_of(config.retrieval), "run_chars": min_chars}
    inputs = [runs.EXAMPLES, runs.PROMPTS, *generation_names(run)]

    def search(name: str, searched: Sequence[Example]) -> ExactSearch:
        build_exact(searched, run.path(name), echo=run.echo)
        return ExactSearch(open_exact(run.path(name)), min_chars)

    def member_candidates(done: int) -> Iterator[Sequence[Candidate]]:
        build_index(members, prompts, run.path("index"), config=config.retrieval, echo=run.echo)
        index, exact = open_index(run.path("index")), search("exact", members)
        return find(generations, index, depth=config.retrieval.depth, exact=exact, done=done)

    def nonmember_candidates(done: int) -> Iterator[Sequence[Candidate]]:
        build_index(nonmembers, prompts, run.path("index-nonmember"), config=config.retrieval, echo=run.echo)
        index, exact = open_index(run.path("index-nonmember")), search("exact-nonmember", nonmembers)
        return retrieve_nonmembers(generations, index, depth=config.retrieval.nonmember_depth, exact=exact, done=done)

    def exact_runs(done: int) -> Iterator[Sequence[Reproduction]]:
        candidates = run.read(runs.CANDIDATES, Candidate)
        return reproductions(generations, candidates, search("exact", members), done=done)

    run.make(runs.CANDIDATES, member_candidates, settings=settings, inputs=inputs)
    run.make(runs.NONMEMBER_CANDIDATES, nonmember_candidates, settings=settings, inputs=inputs)
    run.make(runs.EXACT, exact_runs, settings={"run_chars": min_chars}, inputs=[*inputs, runs.CANDIDATES])
    return OK
