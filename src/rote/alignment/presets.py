"""The settings of an alignment: three as published, and `corrected`, the default.

Sources: pan2015: Sanchez-Perez, Gelbukh, Sidorov, "Adaptive Algorithm for Plagiarism Detection" (CLEF 2015);
zeng2024: Zeng et al. (ACL 2024) as shipped; udsa2026: Udsa et al. (arXiv 2510.08750). The published presets keep the
published defects, as far as the fields below name them.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from rote.config import PresetName, did_you_mean
from rote.errors import ConfigError
from rote.runs.disk import shortened


class Seeding(NamedTuple):
    """Which sentences of the two texts are a seed: alike enough to look around them."""

    smooths_idf: bool = False
    """False: ln(N / df), which is 0 for terms of every sentence. True: ln(1 + N / df)."""
    min_sentence_cosine: float = 0.30
    """The cosine of two sentences must be greater."""
    min_sentence_dice: float = 0.33
    """The Dice coefficient of their term sets must be greater."""


class Clustering(NamedTuple):
    """Which seeds make a passage."""

    gap_sentences: int = 4
    """Largest number of sentences between neighbouring seeds of a passage; lowered step by step where that fails."""
    wide_gap_sentences: int = 24
    """The same for the second, wide pass that looks for summaries."""
    least_gap_sentences: int = 0
    """The gap is lowered no further."""
    min_seeds: int = 1
    """Clusters of fewer seeds are dropped."""
    min_passage_cosine: float = 0.34
    """The cosine of two passages must be greater."""


class Evidence(NamedTuple):
    """What the model of chance assumes, and how much evidence is enough; see `rote.alignment.evidence`."""

    min_plain: float
    """Evidence of both sides together that a plain passage needs, beyond what the search gives by chance."""
    min_summary: float
    """The same of a summary, of the short side alone."""
    chance: float
    """Chance that a counterpart of 70 words on the same topic holds a word."""
    chance_growth: float
    """Exponent by which the chance grows with the counterpart's length."""
    function_word_share: float
    """Least share of any text that a function word makes up."""
    kept: float
    """Least probability with which a passage's words are kept; 0..1."""
    kept_in_summary: float
    """The same for a summary's words."""
    cut_price: float
    """Evidence that a cut inside a sentence costs."""
    reach_words: int
    """A passage grows by at most that many words at each step, on each side."""
    join_words: int
    """Passages at most that many words apart on both sides are one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Every threshold and switch of the alignment and of the decision about kinds."""

    name: PresetName
    seeding: Seeding = Seeding()
    clustering: Clustering = Clustering()
    min_sentence_terms: int = 3
    """A sentence of fewer terms is merged into the next."""
    verbatim_min_chars: int
    """A verbatim run must be longer."""
    min_passage_chars: int
    """A passage must be at least as long, on both sides."""
    idea_ratio: float = 3.0
    """A passage at least that many times as long as its counterpart is an idea: a condensation or an expansion."""

    copy_side: Literal["generated", "training", "both"]
    """The side that the published tool took for the copy: there overlaps are resolved, and only it can be the condensed
    one. Zeng et al. pass the training text as the copy. "both": no side is special."""
    drops_stop_words: bool = False
    verbatim_anywhere: bool = False
    """False: verbatim runs only inside aligned passages, in lower case, over words. True: over the raw texts."""
    keeps_all_forms: bool = False
    """False: one verbatim run erases all other passages of the pair, and a summary the plain ones."""
    merged_end_is_short: bool = False
    """True: the end of a merged sentence is short by the white space inside it, as published."""
    evidence: Evidence | None = None
    """None: passages are clusters of seeds, as published. Otherwise the seeds only say where to look, and what a passage
    is and where it ends is decided by `rote.alignment.evidence`; the wide pass is replaced by
    `rote.alignment.summaries`."""
    kind_rules: Literal["zeng2024", "udsa2026", "corrected"]
    """How plain passages are judged; see `rote.alignment.kinds`."""


PAN2015 = Preset(
    name="pan2015",
    verbatim_min_chars=256,
    min_passage_chars=150,
    copy_side="generated",
    merged_end_is_short=True,
    kind_rules="zeng2024",
)
ZENG2024 = replace(PAN2015, name="zeng2024", verbatim_min_chars=50, min_passage_chars=50, copy_side="training")
UDSA2026 = replace(ZENG2024, name="udsa2026", kind_rules="udsa2026")
CORRECTED = Preset(
    name="corrected",
    seeding=Seeding(smooths_idf=True, min_sentence_cosine=0.25, min_sentence_dice=0.20),
    clustering=Clustering(min_passage_cosine=0.0),
    verbatim_min_chars=50,
    min_passage_chars=50,
    copy_side="both",
    evidence=Evidence(
        min_plain=8.0,
        min_summary=3.5,
        chance=0.08,
        chance_growth=0.35,
        function_word_share=0.005,
        kept=0.6,
        kept_in_summary=0.8,
        cut_price=5.0,
        reach_words=50,
        join_words=20,
    ),
    verbatim_anywhere=True,
    keeps_all_forms=True,
    kind_rules="corrected",
)

PRESETS: dict[PresetName, Preset] = {preset.name: preset for preset in (PAN2015, ZENG2024, UDSA2026, CORRECTED)}


def preset_of(preset: PresetName | Preset) -> Preset:
    """The preset of that name; a preset itself as it is.

    Raises:
        ConfigError: there is none of that name.
    """
    if isinstance(preset, Preset):
        return preset
    if not isinstance(preset, str) or preset not in PRESETS:
        near = did_you_mean(preset, PRESETS) if isinstance(preset, str) else ""
        raise ConfigError(f"preset: must be one of {', '.join(PRESETS)}, found {shortened(preset)}{near}")
    return PRESETS[preset]
