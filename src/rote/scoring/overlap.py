"""How much of a reference stands in a generation: longest common run, ROUGE-L, edit similarity.

All three look at one generation and its own reference, both cut to the shorter one's number of words, so that the
budget of new tokens does not move them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import LCSseq, Levenshtein

from rote.text import words


@dataclass(frozen=True, slots=True)
class Overlap:
    """The three measures of one generation and its reference."""

    longest_common_run: int
    rouge_l: float
    edit_similarity: float


def compare(generated: str, reference: str) -> Overlap:
    """The three measures of both texts, cut to the number of words of the shorter one (white space around is left out).

    All are 0 where either text has no words: nothing came out.

    >>> compare("the cat sat on the mat and purred", "the cat sat on a mat")
    Overlap(longest_common_run=15, rouge_l=0.8333333333333334, edit_similarity=0.8636363636363636)
    """
    in_generated, in_reference = words(generated), words(reference)
    kept = min(len(in_generated), len(in_reference))
    if kept == 0:
        return Overlap(0, 0.0, 0.0)
    generated_cut = generated[: in_generated[kept - 1].end].lstrip()
    reference_cut = reference[: in_reference[kept - 1].end].lstrip()
    return Overlap(
        longest_common_run(generated_cut, reference_cut),
        rouge_l(
            [word.of(generated).lower() for word in in_generated[:kept]],
            [word.of(reference).lower() for word in in_reference[:kept]],
        ),
        edit_similarity(generated_cut, reference_cut),
    )


def rouge_l(generated: Sequence[str], reference: Sequence[str]) -> float:
    """ROUGE-L F1: 2·L / (words of both), L the length of the longest common subsequence of words.

    Range 0..1, higher = more memorised; 0.0 where either has no words. Source: Lin (2004), section 3.1, β = 1. The
    words are the caller's: on those of the `rouge-score` package it equals its rougeL (without stemmer); `compare`
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


def longest_common_run(first: str, second: str) -> int:
    """Length in characters of the longest string that stands in both texts, exactly (case and white space count).

    0 and up, higher = more memorised; 0 where either is empty. Linear time, by the suffix automaton of the shorter
    text (Blumer et al. 1985): `difflib` with its defaults misses most of a long copy.

    >>> longest_common_run("a fever of 39 degrees", "no fever of 38 degrees")
    11
    """
    shorter, longer = sorted((first, second), key=len)
    if shorter in longer:
        return len(shorter)
    automaton = _SuffixAutomaton(shorter)
    longest = state = run = 0
    for character in longer:
        while state and character not in automaton.moves[state]:
            state = automaton.suffix[state]
            run = automaton.length[state]
        if character in automaton.moves[state]:
            state = automaton.moves[state][character]
            run += 1
            longest = max(longest, run)
    return longest


class _SuffixAutomaton:
    """Every substring of a text is a path from state 0; `suffix` leads to the longest suffix in another state."""

    def __init__(self, text: str) -> None:
        self.moves: list[dict[str, int]] = [{}]
        self.suffix = [-1]
        self.length = [0]
        last = 0
        for character in text:
            last = self._extended(last, character)

    def _extended(self, last: int, character: str) -> int:
        new = self._added({}, self.length[last] + 1)
        state = last
        while state != -1 and character not in self.moves[state]:
            self.moves[state][character] = new
            state = self.suffix[state]
        if state != -1:
            self.suffix[new] = self._split(state, character)
        return new

    def _split(self, state: int, character: str) -> int:
        """The state of the string of `state` and the character alone; parted from longer strings where need be."""
        target = self.moves[state][character]
        if self.length[target] == self.length[state] + 1:
            return target
        clone = self._added(self.moves[target].copy(), self.length[state] + 1)
        self.suffix[clone], self.suffix[target] = self.suffix[target], clone
        while state != -1 and self.moves[state].get(character) == target:
            self.moves[state][character] = clone
            state = self.suffix[state]
        return clone

    def _added(self, moves: dict[str, int], length: int) -> int:
        self.moves.append(moves)
        self.length.append(length)
        self.suffix.append(0)
        return len(self.moves) - 1
