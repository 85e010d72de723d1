"""Labelled sentence pairs: MSRP, the PAN paraphrase pairs and the STS benchmark, split into halves.

No sentence stands in both halves (`halves.linked_groups`, case and white space aside). The offline paraphrase decision
is fitted on half a; half b is held out from every fit and every choice.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from halves import Half, half_of_group, linked_groups

from rote.alignment import SentencePair
from rote.errors import DataError

PairSet = Literal["msrp", "pan", "sts"]
LEAST_SIMILARITY = 4.0
"""STS pairs of that similarity (0 to 5) and more count as paraphrases."""
MISMATCHED_EACH = 4
"""One mismatched pair is made for so many labelled ones."""


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """Two sentences, and whether they are paraphrases of each other."""

    set: PairSet
    group: str
    """Pairs that share sentences are no independent evidence."""
    pair: SentencePair
    is_paraphrase: bool
    is_mismatched: bool = False
    """The second sentence is that of another pair: unrelated, as most cross pairs of two passages are."""

    @property
    def half(self) -> Half:
        """a or b, by the group."""
        return half_of_group(self.group)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The folder with the three files."""
    default = Path(os.environ.get("ROTE_SHARED", "../shared")) / "pairs"
    parser.add_argument("--pairs", type=Path, default=default, metavar="DIR", help="default: of $ROTE_SHARED")


def read_pairs(folder: Path) -> list[LabelledPair]:
    """The labelled pairs of all three sets, in the order of the files.

    Raises:
        DataError: a file is missing, or a line has too few cells or no number where one is needed.
    """
    msrp = _read("msrp", folder / "msrp-train.tsv", 5, lambda row: (row[3], row[4], _number(row[0]) == 1), header=True)
    pan = _read("pan", folder / "pan-paraphrase-train.tsv", 3, lambda row: (row[1], row[2], _number(row[0]) == 1))
    sts = _read("sts", folder / "stsb-train.tsv", 7, lambda row: (row[5], row[6], _number(row[4]) >= LEAST_SIMILARITY))
    return [*msrp, *pan, *sts]


def _read(
    name: PairSet, file: Path, cells: int, parse: Callable[[list[str]], tuple[str, str, bool]], *, header: bool = False
) -> list[LabelledPair]:
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError as error:
        raise DataError(f"{file}: no such file") from error
    rows = []
    for number, line in enumerate(lines, 1):
        row = line.split("\t")
        if line and not (header and number == 1):
            if len(row) < cells:
                raise DataError.at(file, number, f"expected {cells} cells, found {len(row)}")
            try:
                rows.append(parse(row))
            except ValueError as error:
                raise DataError.at(file, number, str(error)) from error
    groups = linked_groups([(_normalised(one), _normalised(two)) for one, two, _ in rows])
    return [
        LabelledPair(name, group, SentencePair(one, two), label)
        for (one, two, label), group in zip(rows, groups, strict=True)
    ]


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError as error:
        raise ValueError(f"expected a number, found {cell!r}") from error


def _normalised(sentence: str) -> str:
    return " ".join(sentence.lower().split())


def mismatched(pairs: Sequence[LabelledPair]) -> list[LabelledPair]:
    """Of each set and half a quarter as many pairs again: the first sentence of one, the second of the next."""
    groups: dict[tuple[PairSet, Half], list[LabelledPair]] = {}
    for pair in pairs:
        groups.setdefault((pair.set, pair.half), []).append(pair)
    return [
        LabelledPair(one.set, one.group, SentencePair(one.pair.generated, other.pair.training), False, True)
        for group in groups.values()
        for one, other in list(pairwise(group))[::MISMATCHED_EACH]
    ]
