"""Stage 4 of 7: retrieve. BM25 finds, for every generation, the training texts that it may have come from.

`build_index` once over the members (and once over the non-members), `open_index` memory-mapped, then `retrieve`. The
own record is always a candidate, so a miss of BM25 never hides a record from itself; how often it would have been
missed is reported as `retrieval_recall`.

Exact search needs no candidates: it finds every run of a generation that stands in any of the texts, and adds those
texts to the candidates that BM25 did not find (`verbatim_retrieval_recall` says how often it had found them).
"""

from rote.retrieval.candidates import retrieve, retrieve_nonmembers, was_retrieved
from rote.retrieval.exact import ExactIndex, build_exact, open_exact
from rote.retrieval.index import Index, build_index, open_index
from rote.retrieval.reproduction import ExactSearch, reproductions

__all__ = [
    "ExactIndex",
    "ExactSearch",
    "Index",
    "build_exact",
    "build_index",
    "open_exact",
    "open_index",
    "reproductions",
    "retrieve",
    "retrieve_nonmembers",
    "was_retrieved",
]
