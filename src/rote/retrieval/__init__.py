"""Stage 4 of 7: retrieve. BM25 finds, for every generation, the training texts that it may have come from.

`build_index` once over the members (and once over the non-members), `open_index` memory-mapped, then `retrieve`. The
own record is always a candidate, so a miss of BM25 never hides a record from itself; how often it would have been
missed is reported as `retrieval_recall`.
"""

from rote.retrieval.candidates import retrieve, retrieve_nonmembers, was_retrieved
from rote.retrieval.index import Index, build_index, open_index

__all__ = ["Index", "build_index", "open_index", "retrieve", "retrieve_nonmembers", "was_retrieved"]
