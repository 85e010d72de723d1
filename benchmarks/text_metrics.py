"""Text metrics: ROUGE-L against rouge-score at equal values, and the longest common run against slower ways, in one run.

Pairs of texts of `--words` words, made by seed: a text, and a copy of it with 0 to 60 % of its words replaced. CPU
seconds, one thread, both sides on the same pairs; tokenising is part of the time.

One JSON object per line:

    python benchmarks/text_metrics.py                    # some 20 seconds
    python benchmarks/text_metrics.py --words 100 --pairs 50
"""

import argparse
import difflib
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from machine import machine, report

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "support"))

from reference_common_run import automaton_common_run
from rote.scoring.common_run import longest_common_run
from rote.scoring.overlap import ascii_words, compare, rouge_l

Pair = tuple[str, str]
REPEATS = 20
"""How often the fast side is repeated, so that its time can be measured."""


def main() -> int:
    """Runs the benchmark; returns 1 where a value differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=300, help="words of a text (default: 300)")
    parser.add_argument("--pairs", type=int, default=100, help="pairs of texts (default: 100)")
    arguments = parser.parse_args()
    pairs = [make_pair(arguments.words, number) for number in range(arguments.pairs)]
    report("machine", **machine())
    report("texts", pairs=len(pairs), words=arguments.words, chars=sum(map(len, pairs[0])) / 2)
    return int(not (rouge_is_equal(pairs) and runs_are_equal(pairs)))


def make_pair(count: int, seed: int) -> Pair:
    """A text, and a copy with some words replaced."""
    draw = random.Random(seed)
    known = ["".join(draw.choices("etaoinshrdlucm", k=draw.randint(1, 9))) for _ in range(count)]
    text = draw.choices(known, k=count)
    share = 0.6 * draw.random()
    copy = [draw.choice(known) if draw.random() < share else word for word in text]
    return ", ".join(text), " ".join(copy).capitalize() + "."


def rouge_is_equal(pairs: Sequence[Pair]) -> bool:
    """ROUGE-L of whole texts: the package, and ours on its words."""
    from rouge_score import rouge_scorer

    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)

    def theirs(one: str, other: str) -> float:
        return float(scorer.score(other, one)["rougeL"].fmeasure)

    def ours(one: str, other: str) -> float:
        return rouge_l(ascii_words(one), ascii_words(other))

    largest = max(abs(theirs(*pair) - ours(*pair)) for pair in pairs)
    slow, fast = cpu_seconds(theirs, pairs), cpu_seconds(ours, repeated(pairs)) / REPEATS
    cut = [(ascii_words(one), ascii_words(other)) for one, other in pairs]
    alone = cpu_seconds(rouge_l, repeated(cut)) / REPEATS
    report(
        "ROUGE-L", rouge_score_ms=1e3 * slow / len(pairs), rote_us=1e6 * fast / len(pairs), ratio=slow / fast,
        ratio_without_cutting_words=slow / alone, largest_difference=largest,
    )  # fmt: skip
    return largest < 1e-9


def runs_are_equal(pairs: Sequence[Pair]) -> bool:
    """The longest common run: the kernel, the plain automaton, and difflib with and without autojunk."""

    def matcher(autojunk: bool) -> Callable[[str, str], int]:
        return lambda a, b: difflib.SequenceMatcher(None, a, b, autojunk=autojunk).find_longest_match().size

    found = [longest_common_run(*pair) for pair in pairs]
    few = pairs[:10]
    exact = found == [automaton_common_run(*pair) for pair in pairs]
    fast = cpu_seconds(longest_common_run, repeated(pairs)) / REPEATS / len(pairs)
    slow = cpu_seconds(automaton_common_run, pairs) / len(pairs)
    peer = cpu_seconds(matcher(False), few) / len(few)
    missed = sum(matcher(True)(*pair) < size for pair, size in zip(few, found, strict=False))
    report(
        "longest common run", rote_us=1e6 * fast, plain_automaton_us=1e6 * slow, ratio=slow / fast,
        difflib_without_autojunk_us=1e6 * peer, ratio_to_difflib=peer / fast, equal=exact,
        pairs_that_difflib_with_autojunk_underestimates=f"{missed} of {len(few)}",
    )  # fmt: skip
    report("all measures of one pair (compare)", rote_us=1e6 * cpu_seconds(compare, pairs) / len(pairs))
    return exact


def repeated(pairs: Sequence[tuple[object, object]]) -> list[tuple[object, object]]:
    """Every pair several times in a row."""
    return [pair for pair in pairs for _ in range(REPEATS)]


def cpu_seconds(measure: Callable[..., object], pairs: Sequence[tuple[object, object]]) -> float:
    """Processor time of measuring all pairs, after one to warm up."""
    measure(*pairs[0])
    start = time.process_time()
    for one, other in pairs:
        measure(one, other)
    return time.process_time() - start


if __name__ == "__main__":
    sys.exit(main())
