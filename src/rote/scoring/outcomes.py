"""Scores of single generations: what came of each prompt."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from rote.records import KINDS, Generation, Kind, Match, Prompt, Reproduction, Score, Span
from rote.scoring.overlap import compare, is_regenerated
from rote.text import is_repetitive

MIN_CHARS = 50
"""Floor of the aligner: nothing can be said of a shorter reference or generation."""

APPROXIMATE_BLEU = 0.75
"""A generation with more is approximately memorised (Ippolito et al. 2023)."""
NEAR_COPY_SIMILARITY = 0.9
"""A generation with at least this edit similarity is a near copy."""

_CUMULATIVE: Mapping[str, Kind] = {
    "at_least_near_verbatim": "near-verbatim",
    "at_least_paraphrase": "paraphrase",
    "at_least_idea": "idea",
}


def score_generations(
    generations: Iterable[Generation],
    matches: Iterable[Match],
    prompts: Iterable[Prompt],
    *,
    min_chars: int = MIN_CHARS,
) -> Iterator[Score]:
    """Scores each generation by its matches and by its own reference; see `METRICS` for the definitions.

    A match counts unless it was copied from the prompt, is generic, or belongs to a repetitive generation. None, with
    the reason, where generation or reference (white space around them aside) is shorter than `min_chars`: for all
    scores that read matches; where the reference is: for those that compare with it. Whether a generation is
    repetitive can always be said.

    Args:
        generations: of any model, in any order (scores come in the same order).
        matches: all matches of these generations; those of others are passed over.
        prompts: all prompts of these generations.
        min_chars: the shortest text in which the aligner could find a perfect copy.
    """
    found: defaultdict[str, list[Match]] = defaultdict(list)
    for match in matches:
        found[match.generation_id].append(match)
    references = {prompt.id: prompt.reference for prompt in prompts}
    for generation in generations:
        reference = references[generation.prompt_id]
        yield from score_matches(generation, found[generation.id], reference, min_chars=min_chars)
        yield Score(generation.id, "repetitive", float(is_repetitive(generation.text)))
        yield from _overlap_scores(generation, reference, min_chars)


def score_matches(
    generation: Generation, matches: Sequence[Match], reference: str, *, min_chars: int = MIN_CHARS
) -> Iterator[Score]:
    """The scores of one generation that its matches decide: kinds, cumulative kinds, verbatim share, what was left out."""
    counted = [match for match in matches if not match.in_prompt and not match.generic]
    if counted and is_repetitive(generation.text):
        counted = []
    worst = min((KINDS.index(match.kind) for match in counted), default=len(KINDS))
    values = {_metric(kind): float(worst == rank) for rank, kind in enumerate(KINDS)}
    values |= {name: float(worst <= KINDS.index(least)) for name, least in _CUMULATIVE.items()}
    verbatim = [match.generated for match in counted if match.kind == "verbatim"]
    values["verbatim_chars_share"] = covered_chars(verbatim) / max(1, len(generation.text))
    values["copied_from_prompt"] = float(any(match.in_prompt for match in matches))
    values["generic"] = float(any(match.generic for match in matches))
    too_short = min(len(generation.text.strip()), len(reference.strip())) < min_chars
    for name, value in values.items():
        yield _too_short(generation.id, name, min_chars) if too_short else Score(generation.id, name, value)


def score_reproductions(
    reproductions: Iterable[Reproduction], generations: Iterable[Generation], *, min_chars: int = MIN_CHARS
) -> Iterator[Score]:
    """What the exact search over all members found of each generation; see `METRICS`. Nothing is left out of it.

    The share is None, with the reason, where the generation is shorter than `min_chars`: no run could be long enough.

    Args:
        reproductions: of these generations (scores come in the same order); those of others are passed over.
        generations: of any model.
        min_chars: the shortest text in which the aligner could find a perfect copy.
    """
    texts = {generation.id: generation.text for generation in generations}
    for item in reproductions:
        text = texts.get(item.generation_id)
        if text is None:
            continue
        if len(text.strip()) < min_chars:
            yield _too_short(item.generation_id, "reproduced_share", min_chars)
        else:
            share = covered_chars([run.generated for run in item.runs]) / len(text)
            yield Score(item.generation_id, "reproduced_share", share)
        yield Score(item.generation_id, "longest_reproduced_run", float(item.longest_chars))


def covered_chars(spans: Iterable[Span]) -> int:
    """Number of characters that at least one of the spans covers.

    >>> covered_chars([Span(0, 10), Span(5, 12), Span(20, 21)])
    13
    """
    total = reached = 0
    for span in sorted(spans):
        total += max(0, span.end - max(span.start, reached))
        reached = max(reached, span.end)
    return total


def _overlap_scores(generation: Generation, reference: str, min_chars: int) -> Iterator[Score]:
    names = ("longest_common_run", "rouge_l", "edit_similarity", "bleu")
    rates = ("regenerated", "approximately_memorized", "near_copy")
    if len(reference.strip()) < min_chars:
        yield from (_too_short(generation.id, name, min_chars) for name in (*names, *rates))
        return
    overlap = compare(generation.text, reference)
    yield from (Score(generation.id, name, float(getattr(overlap, name))) for name in names)
    yield Score(generation.id, "regenerated", float(is_regenerated(generation.text, reference)))
    yield Score(generation.id, "approximately_memorized", float(overlap.bleu > APPROXIMATE_BLEU))
    yield Score(generation.id, "near_copy", float(overlap.edit_similarity >= NEAR_COPY_SIMILARITY))


def _metric(kind: Kind) -> str:
    return kind.replace("-", "_")


def _too_short(subject: str, metric: str, min_chars: int) -> Score:
    return Score(subject, metric, None, f"shorter than {min_chars} characters")
