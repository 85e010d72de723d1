"""PAN's measure of text alignment: recall, precision, granularity and plagdet, macro-averaged over passages.

Source: Potthast, Stein, Barrón-Cedeño, Rosso, "An Evaluation Framework for Plagiarism Detection" (COLING 2010),
section 3. A detection detects a case if both are of the same document pair and overlap on both sides.

- recall: mean over the cases of the share of the case's characters, of both sides together, that the detections of
  this case cover (each character once);
- precision: the same with the roles of cases and detections exchanged;
- granularity: mean number of detections per detected case, 1 if none is detected;
- plagdet: harmonic mean of recall and precision, divided by log2(1 + granularity).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log2

from rote.alignment.verbatim import covered_chars
from rote.records import Span


@dataclass(frozen=True, slots=True)
class Reuse:
    """A passage of a suspicious document and its source: a case (the truth) or a detection."""

    suspicious: str
    source: str
    copy: Span
    origin: Span

    def overlaps(self, other: "Reuse") -> bool:
        """Whether both sides have characters in common; the documents are taken to be the same."""
        return self.copy.overlap(other.copy) > 0 and self.origin.overlap(other.origin) > 0


@dataclass(frozen=True, slots=True)
class Figures:
    """The measure's values; each of plagdet, recall and precision is None where it is a mean of nothing.

    plagdet and recall without cases, precision without detections; with cases and no detections plagdet is 0.
    """

    cases: int
    detections: int
    plagdet: float | None
    recall: float | None
    precision: float | None
    granularity: float


def measure(cases: Sequence[Reuse], detections: Sequence[Reuse]) -> Figures:
    """PAN's figures for these detections of these cases.

    >>> case = Reuse("a", "b", Span(0, 100), Span(0, 100))
    >>> half = Reuse("a", "b", Span(0, 50), Span(0, 50))
    >>> measure([case], [half])
    Figures(cases=1, detections=1, plagdet=0.6666666666666666, recall=0.5, precision=1.0, granularity=1.0)
    """
    recall, precision = _mean_share(cases, detections), _mean_share(detections, cases)
    granularity = _granularity(cases, detections)
    plagdet = None if recall is None else 0.0
    if recall and precision:
        plagdet = 2 * recall * precision / (recall + precision) / log2(1 + granularity)
    return Figures(len(cases), len(detections), plagdet, recall, precision, granularity)


def _mean_share(covered: Sequence[Reuse], by: Sequence[Reuse]) -> float | None:
    """Mean share of the characters of the first that the second cover."""
    if not covered:
        return None
    known = _by_pair(by)
    return sum(_share(one, known[one.suspicious, one.source]) for one in covered) / len(covered)


def _share(one: Reuse, others: Iterable[Reuse]) -> float:
    found = [other for other in others if one.overlaps(other)]
    chars = covered_chars(one.copy, [other.copy for other in found])
    chars += covered_chars(one.origin, [other.origin for other in found])
    return chars / (len(one.copy) + len(one.origin))


def _granularity(cases: Sequence[Reuse], detections: Sequence[Reuse]) -> float:
    known = _by_pair(detections)
    counts = [sum(map(case.overlaps, known[case.suspicious, case.source])) for case in cases]
    detected = [count for count in counts if count]
    return sum(detected) / len(detected) if detected else 1.0


def _by_pair(passages: Iterable[Reuse]) -> defaultdict[tuple[str, str], list[Reuse]]:
    found: defaultdict[tuple[str, str], list[Reuse]] = defaultdict(list)
    for passage in passages:
        found[passage.suspicious, passage.source].append(passage)
    return found
