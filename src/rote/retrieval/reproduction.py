"""What exact search adds to BM25: the runs of every generation, and the candidates that BM25 did not find."""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import islice

from rote.records import Candidate, Generation, Reproduction
from rote.retrieval.exact import ExactIndex

CHUNK = 256
"""Generations in one chunk."""


@dataclass(frozen=True, slots=True)
class ExactSearch:
    """An exact index, and how long a run has to be."""

    index: ExactIndex
    min_chars: int


def add_sources(
    candidates: Sequence[Candidate],
    generation: Generation,
    exact: ExactSearch,
    *,
    text: str,
    left_out: Set[str],
) -> list[Candidate]:
    """The candidates, and after them the sources of those runs that stand in none of them.

    A source gets the next rank and score 0.0: BM25 did not find it. A run that a candidate holds needs no further one.

    Args:
        candidates: of this generation, in rank order.
        generation: whose candidates they are.
        exact: over the same texts as the candidates' index.
        text: what is searched for (a shuffled generation has the candidates of another text).
        left_out: examples that must not become candidates.
    """
    found = list(candidates)
    for run in exact.index.runs(
        text,
        min_chars=exact.min_chars,
        prefer=[candidate.example_id for candidate in candidates],
    ):
        sources = [source.example_id for source in run.sources]
        if not {candidate.example_id for candidate in found}.intersection(sources):
            new = [example_id for example_id in sources if example_id not in left_out]
            found += [Candidate(generation.id, one, len(found) + 1 + place, 0.0) for place, one in enumerate(new)]
    return found


def reproductions(
    generations: Sequence[Generation], candidates: Iterable[Candidate], exact: ExactSearch, *, done: int = 0
) -> Iterator[list[Reproduction]]:
    """What of each generation stands in any of the indexed texts; shuffled ones, which stand for no prompt, left out.

    As sources of a run its own record is named first, then the candidates in rank order, then others by id.

    Args:
        generations: all generations of the run.
        candidates: of these generations.
        exact: over the members.
        done: chunks to pass over (they are finished already).

    Yields:
        One `Reproduction` for each of `CHUNK` generations at a time, in their order.
    """
    ranked: dict[str, list[str]] = {}
    for candidate in sorted(candidates, key=lambda candidate: candidate.rank):
        ranked.setdefault(candidate.generation_id, []).append(candidate.example_id)
    read = (item for item in generations if item.model != "shuffled")
    waiting = islice(read, done * CHUNK, None)
    while chunk := list(islice(waiting, CHUNK)):
        yield [_reproduction(item, [item.example_id, *ranked.get(item.id, ())], exact) for item in chunk]


def _reproduction(generation: Generation, prefer: Sequence[str], exact: ExactSearch) -> Reproduction:
    runs = exact.index.runs(generation.text, min_chars=exact.min_chars, prefer=prefer)
    longest = max((run.chars for run in runs), default=0) or exact.index.longest_run(generation.text)
    return Reproduction(generation.id, longest, tuple(runs))
