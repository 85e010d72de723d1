"""Stage 5 of 7: align a generation with its candidates and say which passages it repeats, and how.

`align` finds the passages that two texts share (Sanchez-Perez et al. 2015): similar sentences are seeds, seeds close
together grow into passages, passages that are similar as a whole stay. `find_matches` does it for one generation and
all its candidates, and tells verbatim, near-verbatim, paraphrase and idea apart (`rote.alignment.kinds`). `run_trials`
measures how well it does both, on planted passages.

What this stage does not know: whether a passage is common phrasing (`mark_generic` is told by matches with non-member
text), whether the base model writes it too, and what a text means: the offline paraphrase decision is lexical.

Where the published presets depart from the published tools: sentences are split by our own rules (they use Punkt,
which needs a download); words are those of `rote.text.words`; offsets of words come from the tokenizer (they search the
text); a verbatim run that repeats on the side of the copy is reported once. On the PAN-13 training corpus (5,185 pairs)
`pan2015` reaches plagdet 0.901 (published code: 0.902); none 0.981 (0.981), random 0.888 (0.884), translation 0.873
(0.879), summary 0.625 (0.631).
"""

from rote.alignment.detector import choose_hosts, run_trials
from rote.alignment.matching import Aligner, find_matches, make_aligner, mark_generic
from rote.alignment.paraphrase import ParaphraseClassifier, SentencePair
from rote.alignment.passages import Passage, align
from rote.alignment.presets import CORRECTED, PAN2015, PRESETS, UDSA2026, ZENG2024, Preset, preset_of

__all__ = [
    "CORRECTED",
    "PAN2015",
    "PRESETS",
    "UDSA2026",
    "ZENG2024",
    "Aligner",
    "ParaphraseClassifier",
    "Passage",
    "Preset",
    "SentencePair",
    "align",
    "choose_hosts",
    "find_matches",
    "make_aligner",
    "mark_generic",
    "preset_of",
    "run_trials",
]
