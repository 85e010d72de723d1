"""Stage 1 of 7: read the data into examples, name what is wrong with it, find what belongs together, split.

`read_corpus` does it all. Inside: `files` finds what a name stands for, `formats` reads rows out of files, `shapes` and
`chat` make a prompt and a completion of a row, `near_duplicates` and `groups` find the records that belong together,
`contamination` the non-members that are no control, `splits` draws, `reading` puts it together; `defects` says what can
be wrong with a record.
"""

from rote.corpus.chat import ChatTokenizer
from rote.corpus.defects import Dropped, Reason, TooManyBadRecords
from rote.corpus.reading import Corpus, read_corpus
from rote.corpus.splits import draw, split

__all__ = ["ChatTokenizer", "Corpus", "Dropped", "Reason", "TooManyBadRecords", "draw", "read_corpus", "split"]
