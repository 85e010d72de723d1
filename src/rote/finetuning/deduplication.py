"""De-duplication: of each duplicate group one record is trained on, once (Lee et al. 2022 for the near-duplicates)."""

from dataclasses import replace
from typing import NamedTuple

from rote.finetuning.encoding import Encoded
from rote.records import Example, content_id


class Deduplicated(NamedTuple):
    """What is trained on, and what is not since a record like it is."""

    kept: Encoded
    left_out: tuple[Example, ...]
    """Distinct records, in their order, with their copies."""
    further_copies: int
    """Exact copies of kept records."""


def deduplicate(encoded: Encoded, *, seed: int) -> Deduplicated:
    """Keeps the record of each group whose hash of seed and id is smallest, with one copy.

    The groups are those of the corpus stage: near-duplicates and records that share their context, which is what the
    intervals of an audit and its split into members and non-members go by, too. The order of the records does not
    matter. Records without a token to learn stand for no group.
    """
    chosen: dict[str, str] = {}
    for example in sorted(encoded.examples, key=lambda each: content_id(str(seed), each.id), reverse=True):
        chosen[example.group] = example.id
    pairs = [*zip(encoded.examples, encoded.rows, strict=True)]
    kept = [(example, row) for example, row in pairs if chosen[example.group] == example.id]
    return Deduplicated(
        kept=replace(
            encoded,
            examples=tuple(replace(example, copies=1) for example, _ in kept),
            rows=tuple(row for _, row in kept),
        ),
        left_out=tuple(example for example, _ in pairs if chosen[example.group] != example.id),
        further_copies=sum(example.copies - 1 for example, _ in kept),
    )
