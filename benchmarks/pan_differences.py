"""On which pairs of a PAN corpus, and why, `pan2015` differs from the published algorithm as nltk reads texts.

    python benchmarks/pan_differences.py --corpus ../shared/pan13-training --jobs 2
    python benchmarks/pan_differences.py --corpus ../shared/pan13-training --pairs 400

A ladder from the plain peer (`plain.py`) to rote, one step at a time; each pair with cases is aligned on every step:

    peer        untrained Punkt, Treebank tokens, nltk's Snowball stemmer, plain Python
    sentences   our sentences
    tokens      and our words, in the terms and in the verbatim runs
    stems       and our stemmer
    kernels     and the compiled kernels (rounding, ties): rote

One JSON line per obfuscation: PAN's plagdet on each step over these pairs. One line with the number of pairs by cause:
the step that moves the pair's own plagdet most, "none" where no step moves it by more than 0.001. Then the ten pairs
that differ most between peer and rote. The published code uses a trained Punkt model that has to be downloaded; so the
step "sentences" is its distance to untrained Punkt, not to that model. The published totals are printed beside.
"""

import argparse
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

from machine import machine
from pan_corpus import Pair, read_corpus
from plagdet import Reuse, measure
from plain import Tokenizer, nltk_tokenizer
from plain import align as align_plainly

from rote.alignment import PAN2015, Passage, align
from rote.text import sentences, terms, words

STEPS = ("peer", "sentences", "tokens", "stems", "kernels")
PUBLISHED = {"01": None, "02": 0.981, "03": 0.884, "04": 0.879, "05": 0.631, "entire": 0.9022}
"""Plagdet of the published code by the number that begins a folder's name; not measured here."""
SAME = 0.001


@dataclass(frozen=True)
class Ladder:
    """What each step found in a pair."""

    pair: Pair
    detections: tuple[tuple[Reuse, ...], ...]

    @property
    def values(self) -> list[float]:
        """The pair's own plagdet on each step."""
        return [measure(self.pair.cases, found).plagdet or 0.0 for found in self.detections]

    @property
    def cause(self) -> str:
        """The step that moves the value most."""
        moves = [abs(two - one) for one, two in pairwise(self.values)]
        return STEPS[1 + moves.index(max(moves))] if max(moves) > SAME else "none"

    @property
    def difference(self) -> float:
        """How much better rote is than the peer."""
        return self.values[-1] - self.values[0]


@cache
def tokenizers() -> list[Tokenizer]:
    """How the texts are read on each step but the last."""
    from nltk.stem.snowball import SnowballStemmer

    stemmer = SnowballStemmer("english")

    def our_words_their_stems(text: str) -> list[str]:
        found = [span.of(text).lower() for span in words(text)]
        return [stemmer.stem(word) for word in found if len(word) > 2 and word[0].isalnum()]

    peer = nltk_tokenizer()
    own_sentences = replace(peer, sentences=partial(sentences, language="en"))
    own_words = replace(own_sentences, terms=our_words_their_stems, words=words)
    return [peer, own_sentences, own_words, replace(own_words, terms=partial(terms, language="en"))]


def climb(pair: Pair, suspicious: str, source: str) -> Ladder:
    """Aligns a pair on every step."""
    found = [align_plainly(suspicious, source, tokenizer=tokenizer) for tokenizer in tokenizers()]
    found.append(align(suspicious, source, preset=PAN2015))
    return Ladder(pair, tuple(_reuses(pair, passages) for passages in found))


def _reuses(pair: Pair, passages: Sequence[Passage]) -> tuple[Reuse, ...]:
    return tuple(Reuse(pair.suspicious, pair.source, passage.generated, passage.training) for passage in passages)


def row(name: str, ladders: Sequence[Ladder]) -> dict[str, object]:
    """Plagdet over these pairs on each step."""
    cases = [case for ladder in ladders for case in ladder.pair.cases]
    values = {
        step: _rounded(measure(cases, [one for ladder in ladders for one in ladder.detections[i]]).plagdet)
        for i, step in enumerate(STEPS)
    }
    return {"obfuscation": name, "pairs": len(ladders), **values, "published": PUBLISHED.get(name.partition("-")[0])}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def causes(ladders: Sequence[Ladder]) -> dict[str, object]:
    """Number of pairs by cause, and how many of each rote gets right more or less than the peer."""
    counts = Counter(ladder.cause for ladder in ladders)
    better = Counter(ladder.cause for ladder in ladders if ladder.difference > SAME)
    worse = Counter(ladder.cause for ladder in ladders if ladder.difference < -SAME)
    return {
        cause: {"pairs": counts[cause], "rote better": better[cause], "rote worse": worse[cause]}
        for cause in ("none", *STEPS[1:])
    }


def worst(ladders: Sequence[Ladder]) -> list[dict[str, object]]:
    """The pairs that differ most, with their values on each step."""
    chosen = sorted(ladders, key=lambda ladder: -abs(ladder.difference))[:10]
    return [
        {
            "pair": ladder.pair.file_name,
            "obfuscation": ladder.pair.obfuscation,
            "cause": ladder.cause,
            **dict(zip(STEPS, (round(value, 3) for value in ladder.values), strict=True)),
        }
        for ladder in chosen
    ]


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("ROTE_SHARED", "../shared")) / "pan13-training"
    parser.add_argument("--corpus", type=Path, default=default, help="PAN-13-format corpus (default: of $ROTE_SHARED)")
    parser.add_argument("--pairs", type=int, help="pairs with cases, evenly drawn (default: all)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (1)")
    arguments = parser.parse_args()
    corpus = read_corpus(arguments.corpus)
    pairs = [pair for pair in corpus.pairs if pair.cases]
    count = min(arguments.pairs or len(pairs), len(pairs))
    pairs = [pairs[i * len(pairs) // count] for i in range(count)]
    print(json.dumps({"what": "machine", **machine()}), flush=True)
    texts = [(corpus.suspicious[pair.suspicious], corpus.sources[pair.source]) for pair in pairs]
    ladders: list[Ladder] = []
    with ProcessPoolExecutor(arguments.jobs) as pool:
        for ladder in pool.map(climb, pairs, *zip(*texts, strict=True), chunksize=8):
            ladders.append(ladder)
            if len(ladders) % 100 == 0:
                print(f"{len(ladders)} of {len(pairs)} pairs", file=sys.stderr, flush=True)
    groups: defaultdict[str, list[Ladder]] = defaultdict(list)
    for ladder in ladders:
        groups[ladder.pair.obfuscation].append(ladder)
    for name, group in [*sorted(groups.items()), ("entire", ladders)]:
        print(json.dumps(row(name, group)))
    print(json.dumps({"what": "pairs by cause", **causes(ladders)}))
    for line in worst(ladders):
        print(json.dumps(line))


if __name__ == "__main__":
    main()
