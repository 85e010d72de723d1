"""Candidates of every generation, in chunks that come out the same whenever the stage is run again."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from rote.records import Candidate, Generation
from rote.retrieval.index import Hit, Index
from rote.retrieval.reproduction import CHUNK, ExactSearch, add_sources


def retrieve(
    generations: Sequence[Generation], index: Index, *, depth: int, exact: ExactSearch | None = None, done: int = 0
) -> Iterator[list[Candidate]]:
    """The `depth` best examples of the members' index for each generation, its own record, and what BM25 missed.

    Rank counts from 1 by falling BM25 score; equal scores are in the order of the example ids; examples that share no
    term are left out. A record that was not found by rank is appended with the next rank and its own score, 0.0 where
    it shares no term or (a non-member) does not stand in the index: see `was_retrieved`. Text without terms: only the
    own record. Source: Zeng et al. (2024), section 3 (10 candidates); they do not append its own record.

    Args:
        generations: all generations of the run, the tuned model's among them: a "shuffled" generation gets the
            candidates of the tuned generation of the same prompt and sample, so that the aligner's false alarms are
            counted over the same number of comparisons; but never the record that its text was generated for, where
            a match would be memory and no false alarm.
        index: over the members.
        depth: candidates by rank, at least 1.
        exact: over the members too; sources of runs that stand in no candidate are appended (see `add_sources`).
        done: chunks to pass over (they are finished already).

    Yields:
        The candidates of `CHUNK` generations at a time, in their order.
    """
    tuned = {(item.prompt_id, item.sample): item.text for item in generations if item.model == "tuned"}
    generated_for: defaultdict[str, set[str]] = defaultdict(set)
    for item in generations:
        if item.model == "tuned":
            generated_for[item.text].add(item.example_id)
    for chunk in _chunks(generations, done):
        asked = [_Asked.of(item, tuned, generated_for) for item in chunk]
        texts = [one.text for one in asked]
        ranked = index.search(texts, depth=depth, left_out=[one.left_out for one in asked])
        own_scores = index.scores_of(texts, [item.example_id for item in chunk])
        found: list[Candidate] = []
        for item, one, hits, own_score in zip(chunk, asked, ranked, own_scores, strict=True):
            candidates = _with_own_record(item, _candidates(item, hits), own_score)
            found += add_sources(candidates, item, exact, text=one.text, left_out=one.left_out) if exact else candidates
        yield found


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is looked for on behalf of a generation."""

    text: str
    left_out: Set[str]

    @classmethod
    def of(
        cls, item: Generation, tuned: Mapping[tuple[str, int], str], generated_for: Mapping[str, Set[str]]
    ) -> "_Asked":
        if item.model != "shuffled":
            return cls(item.text, frozenset())
        return cls(tuned[item.prompt_id, item.sample], generated_for.get(item.text, frozenset()) - {item.example_id})


def retrieve_nonmembers(
    generations: Sequence[Generation], index: Index, *, depth: int, exact: ExactSearch | None = None, done: int = 0
) -> Iterator[list[Candidate]]:
    """The `depth` best examples of the non-members' index for each generation, never its own record.

    What a generation shares with a text that the model has not seen is common phrasing. `depth` 0: no candidates.
    `exact`: over the non-members; sources of runs that stand in no candidate are appended.
    See `retrieve` for ranks, ties, `done` and chunks.
    """
    for chunk in _chunks(generations, done):
        own = [{item.example_id} for item in chunk]
        ranked = (
            index.search([item.text for item in chunk], depth=depth, left_out=own) if depth else [[] for _ in chunk]
        )
        found: list[Candidate] = []
        for item, hits, left_out in zip(chunk, ranked, own, strict=True):
            candidates = _candidates(item, hits)
            found += (
                add_sources(candidates, item, exact, text=item.text, left_out=left_out)
                if exact and depth
                else candidates
            )
        yield found


def was_retrieved(candidate: Candidate, *, depth: int) -> bool:
    """Whether a candidate was found by rank; an own record that `retrieve` appended was not."""
    return candidate.rank <= depth and candidate.score > 0


def _chunks(generations: Sequence[Generation], done: int) -> Iterator[Sequence[Generation]]:
    for start in range(done * CHUNK, len(generations), CHUNK):
        yield generations[start : start + CHUNK]


def _candidates(item: Generation, hits: Sequence[Hit]) -> list[Candidate]:
    return [Candidate(item.id, hit.example_id, rank, hit.score) for rank, hit in enumerate(hits, 1)]


def _with_own_record(item: Generation, ranked: list[Candidate], own_score: float) -> list[Candidate]:
    if any(candidate.example_id == item.example_id for candidate in ranked):
        return ranked
    return [*ranked, Candidate(item.id, item.example_id, len(ranked) + 1, own_score)]
