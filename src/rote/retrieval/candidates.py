"""Candidates of every generation, in chunks that come out the same whenever the stage is run again."""

from collections import defaultdict
from collections.abc import Iterator, Sequence, Set

import numpy as np
from numpy.typing import NDArray

from rote.records import Candidate, Generation
from rote.retrieval.index import Index
from rote.retrieval.reproduction import CHUNK, ExactSearch, add_sources


def retrieve(
    generations: Sequence[Generation], index: Index, *, depth: int, exact: ExactSearch | None = None, done: int = 0
) -> Iterator[list[Candidate]]:
    """The `depth` best examples of the members' index for each generation, its own record, and what BM25 missed.

    Rank counts from 1 by falling BM25 score; equal scores are in the order of the example ids; examples that share no
    term are left out. A record that was not found by rank is appended with the next rank and its own score, 0.0 where
    it shares no term or (a non-member) does not stand in the index: see `was_retrieved`. Text without terms: only the
    own record. Source: Zeng et al. (2024), section 3 (10 candidates); they do not append the own record.

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
        found: list[Candidate] = []
        for item in chunk:
            is_shuffled = item.model == "shuffled"
            text = tuned[item.prompt_id, item.sample] if is_shuffled else item.text
            scores = index.scores(text)
            left_out = generated_for[item.text] - {item.example_id} if is_shuffled else set()
            hits = _with_own_record(item, index, scores, _ranked(item, index, scores, depth, left_out))
            found += add_sources(hits, item, exact, text=text, left_out=left_out) if exact else hits
        yield found


def retrieve_nonmembers(
    generations: Sequence[Generation], index: Index, *, depth: int, exact: ExactSearch | None = None, done: int = 0
) -> Iterator[list[Candidate]]:
    """The `depth` best examples of the non-members' index for each generation, never its own record.

    What a generation shares with a text that the model has not seen is common phrasing. `depth` 0: no candidates.
    `exact`: over the non-members; sources of runs that stand in no candidate are appended.
    See `retrieve` for ranks, ties, `done` and chunks.
    """
    for chunk in _chunks(generations, done):
        found: list[Candidate] = []
        for item in chunk:
            hits = _ranked(item, index, index.scores(item.text), depth, {item.example_id})
            found += (
                add_sources(hits, item, exact, text=item.text, left_out={item.example_id}) if exact and depth else hits
            )
        yield found


def was_retrieved(candidate: Candidate, *, depth: int) -> bool:
    """Whether a candidate was found by rank; an own record that `retrieve` appended was not."""
    return candidate.rank <= depth and candidate.score > 0


def _chunks(generations: Sequence[Generation], done: int) -> Iterator[Sequence[Generation]]:
    for start in range(done * CHUNK, len(generations), CHUNK):
        yield generations[start : start + CHUNK]


def _with_own_record(
    item: Generation, index: Index, scores: NDArray[np.float32], hits: list[Candidate]
) -> list[Candidate]:
    if any(hit.example_id == item.example_id for hit in hits):
        return hits
    place = index.position(item.example_id)
    own_score = 0.0 if place is None else float(scores[place])
    return [*hits, Candidate(item.id, item.example_id, len(hits) + 1, own_score)]


def _ranked(
    item: Generation, index: Index, scores: NDArray[np.float32], depth: int, left_out: Set[str]
) -> list[Candidate]:
    """The best `depth` examples with a score above 0 (positions are in the order of ids, and the sort is stable)."""
    allowed = scores.copy()
    for example_id in left_out:
        place = index.position(example_id)
        if place is not None:
            allowed[place] = 0
    nth = len(allowed) - depth
    least = np.partition(allowed, nth)[nth] if 0 < depth < len(allowed) else 0
    places = np.flatnonzero((allowed >= least) & (allowed > 0))
    best = places[np.argsort(-allowed[places], kind="stable")][:depth]
    return [
        Candidate(item.id, index.example_ids[place], rank, float(allowed[place])) for rank, place in enumerate(best, 1)
    ]
