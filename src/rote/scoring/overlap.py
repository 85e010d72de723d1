"""How much of a reference stands in a generation: longest common run, ROUGE-L, edit similarity, BLEU.

All look at one generation and its own reference, both cut to the shorter one's number of words, so that the budget of
new tokens does not move them.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from rapidfuzz.distance import LCSseq, Levenshtein

from rote.scoring.common_run import longest_common_run
from rote.text import words

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU

_NOT_ASCII_WORD = bytes(code if chr(code).isascii() and chr(code).isalnum() else ord(" ") for code in range(256))


@dataclass(frozen=True, slots=True)
class Overlap:
    """The measures of one generation and its reference."""

    longest_common_run: int
    rouge_l: float
    edit_similarity: float
    bleu: float


@dataclass(frozen=True, slots=True)
class CutTexts:
    """A generation and its reference, cut to the number of words of the shorter one, without white space around them."""

    generated: str
    reference: str
    generated_words: tuple[str, ...]
    """In lower case."""
    reference_words: tuple[str, ...]


def cut_alike(generated: str, reference: str) -> CutTexts:
    """Both texts, cut to the number of words of the shorter one; empty where either has none.

    >>> cut_alike("The cat sat on the mat", "A dog sat.").generated
    'The cat sat'
    """
    in_generated, in_reference = words(generated), words(reference)
    kept = min(len(in_generated), len(in_reference))
    if kept == 0:
        return CutTexts("", "", (), ())
    return CutTexts(
        generated[: in_generated[kept - 1].end].lstrip(),
        reference[: in_reference[kept - 1].end].lstrip(),
        tuple(word.of(generated).lower() for word in in_generated[:kept]),
        tuple(word.of(reference).lower() for word in in_reference[:kept]),
    )


def compare(generated: str, reference: str) -> Overlap:
    """The measures of both texts, cut to the number of words of the shorter one (white space around is left out).

    All are 0 where either text has no words: nothing came out.

    >>> compare("the cat sat on the mat and purred", "the cat sat on a mat").longest_common_run
    15
    """
    cut = cut_alike(generated, reference)
    return Overlap(
        longest_common_run(cut.generated, cut.reference),
        rouge_l(cut.generated_words, cut.reference_words),
        edit_similarity(cut.generated, cut.reference),
        sentence_bleu(cut.generated_words, cut.reference_words),
    )


def is_regenerated(generated: str, reference: str) -> bool:
    """Whether the generation is the reference, character for character, as far as both reach.

    White space around them is left out. False where either is empty.

    >>> is_regenerated("on the mat, purring.", "on the mat"), is_regenerated("on a mat", "on the mat")
    (True, False)
    """
    shorter, longer = sorted((generated.strip(), reference.strip()), key=len)
    return bool(shorter) and longer.startswith(shorter)


def rouge_l(generated: Sequence[Hashable], reference: Sequence[Hashable]) -> float:
    """ROUGE-L F1: 2·L / (words of both), L the length of the longest common subsequence of words.

    Range 0..1, higher = more memorised; 0.0 where either has no words. Source: Lin (2004), section 3.1, β = 1. The
    words are the caller's: on `ascii_words` it equals the `rouge-score` package's rougeL (without stemmer); `compare`
    uses `rote.text.words`, which knows all scripts and keeps "don't" whole.

    >>> rouge_l("the cat sat".split(), "the dog sat".split())
    0.6666666666666666
    """
    if not generated or not reference:
        return 0.0
    return 2 * LCSseq.similarity(generated, reference) / (len(generated) + len(reference))


def edit_similarity(generated: str, reference: str) -> float:
    """1 − Levenshtein distance / length of the longer text, in characters.

    Range 0..1, higher = more memorised; 0.0 where either text is empty. Source: Lee et al. (2022), Ippolito et al.
    (2023); case and white space count.

    >>> edit_similarity("kitten", "sitting")
    0.5714285714285714
    """
    return Levenshtein.normalized_similarity(generated, reference) if generated and reference else 0.0


def ascii_words(text: str) -> list[bytes]:
    """The words as the `rouge-score` package cuts them: runs of ASCII letters and digits of the text in lower case.

    >>> ascii_words("Don't, at 3.5 mg!")
    [b'don', b't', b'at', b'3', b'5', b'mg']
    """
    return text.lower().encode("utf-8", "surrogatepass").translate(_NOT_ASCII_WORD).split()


def sentence_bleu(generated: Sequence[str], reference: Sequence[str]) -> float:
    """BLEU-4 of one pair of texts, given as words (without white space in them).

    Range 0..1, higher = more memorised; 0.0 where either has no words. Orders that a text of fewer than four words
    cannot have are left out; orders without a match are smoothed exponentially (sacrebleu, which computes it:
    eff:yes, smooth:exp). Source: Papineni et al. (2002).

    >>> sentence_bleu("the cat sat on the mat".split(), "the cat sat on the mat".split())
    1.0
    """
    if not generated or not reference:
        return 0.0
    score: float = _bleu().sentence_score(" ".join(generated), [" ".join(reference)]).score
    return min(1.0, score / 100)


@cache
def _bleu() -> "BLEU":
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize="none", effective_order=True)
