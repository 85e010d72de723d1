"""Stage 1 of 7: read the data into examples, name what is wrong with it, find what belongs together, split.

`read_corpus` does it all. Inside: `files` finds what a name stands for, `formats` reads rows out of files, `shapes` and
`chat` make a prompt and a completion of a row, `near_duplicates` and `groups` find the records that belong together,
`contamination` the non-members that are no control, `splits` draws, `reading` puts it together; `defects` says what can
be wrong with a record. `mixing` reads other tasks' records to train on beside the members. `canaries` draws secrets of known randomness (`secrets`) and plants them.
"""

from rote.corpus.canaries import canaries_of, draw_canaries, plant, planted_examples, read_canaries
from rote.corpus.chat import ChatTokenizer
from rote.corpus.defects import Dropped, Reason, TooManyBadRecords
from rote.corpus.mixing import read_mixed
from rote.corpus.reading import Corpus, read_corpus
from rote.corpus.secrets import SecretSpace
from rote.corpus.splits import draw, split

__all__ = [
    "ChatTokenizer",
    "Corpus",
    "Dropped",
    "Reason",
    "SecretSpace",
    "TooManyBadRecords",
    "canaries_of",
    "draw",
    "draw_canaries",
    "plant",
    "planted_examples",
    "read_canaries",
    "read_corpus",
    "read_mixed",
    "split",
]
