"""The generations of the controls: what perfect memory would write, and what a non-member's text looks like."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from rote.generation.language_model import generation_id
from rote.records import Example, Generation, Prompt, Score, content_id

TRUE_SUFFIX, SHUFFLED = "true-suffix", "shuffled"


class Shuffled(NamedTuple):
    """The negative control, and one null score (subject: the generation's id) for each that found no partner."""

    generations: list[Generation]
    unmeasurable: list[Score]


def true_suffix_generations(prompts: Sequence[Prompt], like: Sequence[Generation]) -> list[Generation]:
    """The positive control: for each generation of `like` the true continuation, cut to as many characters.

    Whatever finds memorised text must find it here (about 100 %, short of texts under a length floor). A reference
    that is shorter than the generation is given whole.

    Raises:
        KeyError: a generation's prompt is not among the prompts.
    """
    references = {prompt.id: prompt.reference for prompt in prompts}
    return [
        _control(generation, TRUE_SUFFIX, references[generation.prompt_id][: len(generation.text)])
        for generation in like
    ]


def shuffled_generations(generations: Sequence[Generation], examples: Sequence[Example], *, seed: int) -> Shuffled:
    """The negative control: each prompt gets the text that was generated for another record.

    Within each split and sample the texts are dealt anew, each at most once, never to a record of the duplicate group
    that it was generated for. All generations have the same budget of tokens, so lengths need no matching. What a
    metric finds here it finds without any memory of the record.

    Returns:
        Generations in the order given, and null scores where there is no record of another group to take a text from
        (one group only, or one that holds more than half of the records).

    Raises:
        KeyError: a generation's example is not among the examples.
    """
    known = {example.id: example for example in examples}
    strata: dict[tuple[str, int], list[Generation]] = defaultdict(list)
    for generation in generations:
        strata[known[generation.example_id].split, generation.sample].append(generation)
    groups = {example.id: example.group for example in examples}
    texts: dict[str, str] = {}
    for stratum in strata.values():
        texts |= _dealt(stratum, groups, seed)
    reason = "every text left over was generated for the same duplicate group"
    return Shuffled(
        [_control(item, SHUFFLED, texts[item.id]) for item in generations if item.id in texts],
        [Score(item.id, SHUFFLED, None, reason) for item in generations if item.id not in texts],
    )


def _dealt(generations: Sequence[Generation], groups: Mapping[str, str], seed: int) -> dict[str, str]:
    """Generation id → the text of a generation of another group.

    Sorted by group and turned by the size of the largest one, no text stays in its group, if none holds over half.
    """
    group = {item.id: groups[item.example_id] for item in generations}
    ordered = sorted(
        generations, key=lambda item: (content_id(str(seed), group[item.id]), content_id(str(seed), item.id))
    )
    sizes = [sum(other == one for other in group.values()) for one in set(group.values())]
    turned = ordered[max(sizes) :] + ordered[: max(sizes)]
    return {to.id: giver.text for to, giver in zip(ordered, turned, strict=True) if group[to.id] != group[giver.id]}


def _control(generation: Generation, model: str, text: str) -> Generation:
    new_id = generation_id(generation.prompt_id, model, generation.decoding, generation.sample)
    return replace(generation, id=new_id, model=model, text=text)
