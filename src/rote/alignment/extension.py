"""Extension: seeds that lie close together, on both sides, become passages that are similar as a whole."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rote.alignment.presets import Preset
from rote.alignment.seeding import Seeds, SentencePairs


@dataclass(frozen=True, slots=True)
class SentenceRange:
    """Sentences `first` to `last` of a text, inclusive."""

    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first + 1

    def shared(self, other: "SentenceRange") -> int:
        """Number of sentences in both ranges."""
        return max(0, min(self.last, other.last) - max(self.first, other.first) + 1)


@dataclass(frozen=True, slots=True)
class PassagePair:
    """A passage of the generation and its counterpart in the training text, in sentences."""

    generated: SentenceRange
    training: SentenceRange
    cosine: float


def extend(pairs: SentencePairs, *, gap: int, preset: Preset) -> list[PassagePair]:
    """The passage pairs that the seeds form with at most `gap` sentences between neighbours.

    Adaptive: where the passages of a cluster are not similar as a whole, it is cut again with the gap lowered by one,
    down to `least_gap_sentences`; what fails there is dropped.
    """
    return _validate(pairs, pairs.seeds, gap, preset)


def _validate(pairs: SentencePairs, seeds: Seeds, gap: int, preset: Preset) -> list[PassagePair]:
    found: list[PassagePair] = []
    for cluster in find_clusters(seeds, gap=gap, min_seeds=preset.min_seeds):
        generated = SentenceRange(int(cluster[:, 0].min()), int(cluster[:, 0].max()))
        training = SentenceRange(int(cluster[:, 1].min()), int(cluster[:, 1].max()))
        cosine = _cosine(
            pairs.generated.passage(generated.first, generated.last),
            pairs.training.passage(training.first, training.last),
        )
        if cosine > preset.min_passage_cosine:
            found.append(PassagePair(generated, training, cosine))
        elif gap > preset.least_gap_sentences:
            found += _validate(pairs, cluster, gap - 1, preset)
    return found


def find_clusters(seeds: Seeds, *, gap: int, min_seeds: int = 1) -> list[Seeds]:
    """Cuts the seeds wherever more than `gap` sentences lie between neighbours, on either side, until nothing splits.

    Args:
        seeds: one row per seed, generated and training sentence.
        gap: largest number of sentences between neighbouring seeds of one cluster.
        min_seeds: smaller groups are dropped.
    """
    clusters = []
    open_groups = [(group, 1) for group in reversed(_split(seeds, 0, gap))]
    while open_groups:
        group, side = open_groups.pop()
        if len(group) < min_seeds:
            continue
        parts = _split(group, side, gap)
        if len(parts) == 1:
            clusters.append(parts[0])
        else:
            open_groups += [(part, 1 - side) for part in reversed(parts)]
    return clusters


def _split(seeds: Seeds, side: int, gap: int) -> list[Seeds]:
    if len(seeds) == 0:
        return []
    ordered = seeds[np.argsort(seeds[:, side], kind="stable")]
    return np.split(ordered, np.flatnonzero(np.diff(ordered[:, side]) > gap + 1) + 1)


def _cosine(left: npt.NDArray[np.float64], right: npt.NDArray[np.float64]) -> float:
    lengths = float(np.sqrt((left @ left) * (right @ right)))
    return min(1.0, float(left @ right) / lengths) if lengths > 0 else 0.0
