"""Exact search: the longest run from every position of a generation that stands anywhere in the training texts.

No candidate step, so nothing is missed. `build_exact` once, `open_exact` memory-mapped, then `ExactIndex.runs`.
Source of the approach: Manber and Myers (1990), suffix arrays; OLMoTrace (Liu et al. 2025) for runs with their sources.
"""

from rote.retrieval.exact.index import ExactIndex, build_exact, open_exact

__all__ = ["ExactIndex", "build_exact", "open_exact"]
