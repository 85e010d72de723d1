"""What is known of the same subjects: one number each, none of them NaN, and the cluster of each."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def check_subjects(clusters: Sequence[str], **columns: ArrayLike) -> None:
    """Raises a ValueError unless every column has one number for each cluster's name, and none is NaN.

    NumPy would stretch a column of one number to the others, and sort NaN as the largest.

    Args:
        clusters: the cluster of each subject.
        **columns: numbers of the subjects, by the name that a message gives them.
    """
    for name, values in columns.items():
        found = np.asarray(values, dtype=np.float64)
        if found.shape != (len(clusters),):
            shape = str(len(found)) if found.ndim == 1 else f"an array of shape {found.shape}"
            raise ValueError(f"Expected one of {name} for each of {len(clusters)} clusters, got {shape}")
        if np.isnan(found).any():
            raise ValueError(f"Expected numbers as {name}, got {int(np.isnan(found).sum())} that are NaN")


def check_p_values(p_values: Sequence[float]) -> None:
    """Raises a ValueError where one is no number in 0..1."""
    wrong = [p for p in p_values if not 0 <= p <= 1]
    if wrong:
        raise ValueError(f"Expected p-values in 0..1, got {wrong[0]}")
