"""Stage 1 of 7: read the data into examples, name what is wrong with it, find what belongs together, split.

`read_corpus` does it all. Inside: `files` finds what a name stands for, `formats` and `tables` read rows out of files
(`bounds`: what that may cost), `shapes` recognises their `fields`, `contents` and `chat` find what they say, `rendering`
makes a prompt and a completion of it, `readings` keeps account of how, `near_duplicates` and `groups` find the records that belong together,
`identifiers` the personal data that fields hold, `contamination` the non-members that are no control, `splits` draws, `reading` puts it together; `defects` says what can
be wrong with a record. `mixing` reads other tasks' records to train on beside the members. `canaries` draws secrets of known randomness (`secrets`) and plants them, `training_rows` writes them as the records are.
"""

from rote.corpus.canaries import canaries_of, draw_canaries, plant, planted_examples, read_canaries
from rote.corpus.chat import ChatTokenizer
from rote.corpus.defects import Dropped, Reason, TooManyBadRecords
from rote.corpus.identifiers import FieldUse, fields_sentence, fields_used
from rote.corpus.mixing import read_mixed
from rote.corpus.reading import Corpus, raw_rows, read_corpus
from rote.corpus.readings import Reading, Recognised, Unused
from rote.corpus.rendering import Parts, Rendering, ShapeReader, other_renderings
from rote.corpus.secrets import SecretSpace
from rote.corpus.splits import draw, split
from rote.corpus.training_rows import as_read, columns_of, text_rows

__all__ = [
    "ChatTokenizer",
    "Corpus",
    "Dropped",
    "FieldUse",
    "Parts",
    "Reading",
    "Reason",
    "Recognised",
    "Rendering",
    "SecretSpace",
    "ShapeReader",
    "TooManyBadRecords",
    "Unused",
    "as_read",
    "canaries_of",
    "columns_of",
    "draw",
    "draw_canaries",
    "fields_sentence",
    "fields_used",
    "other_renderings",
    "plant",
    "planted_examples",
    "raw_rows",
    "read_canaries",
    "read_corpus",
    "read_mixed",
    "split",
    "text_rows",
]
