"""What kind of memory a passage shows. A verbatim passage is verbatim, a summary an idea, and a plain one is asked about.

Both sides of a plain passage are cut into sentences, and every cross pair gets a paraphrase probability p:

| | zeng2024, pan2015 | udsa2026 | corrected |
|---|---|---|---|
| equal sentences (ignoring case) | p = 0 | p = 0 | verbatim if longer than `verbatim_min_chars`, else left out |
| p > 0.99 | paraphrase | discarded | near-verbatim |
| p > 0.5 | paraphrase | paraphrase if the entities agree, else nothing | the same, else weak |
| p ≤ 0.5 | weak | weak if the entities agree | weak |

A passage takes the strongest kind of its pairs; in `corrected` it takes every kind that its pairs show, weak only where
there is no other. Generated sentences that a verbatim passage covers by half, or that have an equal counterpart, are not
asked about; where equal sentences that are too short to be verbatim make up half of the others, the passage is
near-verbatim.

`udsa2026` looks for entities in lower-cased text, as the published code of Zeng et al. does (not verified for Udsa et
al.), `corrected` in the text as it is; there a name counts for both sentences if it stands in both, even where only one
of them shows that it is a name.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nlargest
from itertools import product

from rote.alignment.entities import EntityFinder, agree, named_in
from rote.alignment.paraphrase import ParaphraseClassifier, SentencePair
from rote.alignment.passages import Passage
from rote.alignment.presets import Preset
from rote.alignment.verbatim import covered_chars
from rote.records import KINDS, Kind, Span
from rote.text import sentences, terms

CONFIDENT = 0.5
NEARLY_CERTAIN = 0.99
MAX_PAIRS = 2500
"""Passages with more cross pairs (some 50 sentences on both sides) are judged by the pairs with most words in common."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A passage with its kind."""

    passage: Passage
    kind: Kind
    paraphrase_probability: float | None


@dataclass(frozen=True, slots=True)
class Judge:
    """All that the decision about kinds depends on."""

    preset: Preset
    language: str
    classifier: ParaphraseClassifier
    find_entities: EntityFinder


@dataclass(frozen=True, slots=True)
class _CrossPair:
    generated: Span
    training: Span
    texts: SentencePair

    @property
    def is_equal(self) -> bool:
        """Equal but for case and white space."""
        return self.texts.generated.lower().split() == self.texts.training.lower().split()


@dataclass(frozen=True, slots=True)
class _JudgedPair:
    texts: SentencePair
    probability: float


def find_kinds(passages: Sequence[Passage], generated: str, training: str, *, judge: Judge) -> list[Finding]:
    """The passages with their kinds; a plain passage may show several, or (udsa2026, corrected) none."""
    verbatim = [passage.generated for passage in passages if passage.form == "verbatim"]
    found: list[Finding] = []
    for passage in passages:
        if passage.form == "verbatim":
            found.append(Finding(passage, "verbatim", None))
        elif passage.form == "summary":
            found.append(Finding(passage, "idea", None))
        else:
            found += _judge_plain(passage, generated, training, verbatim, judge)
    return found


def _judge_plain(
    passage: Passage, generated: str, training: str, verbatim: Sequence[Span], judge: Judge
) -> list[Finding]:
    pairs = _cross_pairs(passage, generated, training, verbatim, judge)
    equal = [pair for pair in pairs if pair.is_equal]
    if judge.preset.kind_rules != "corrected":
        judged = _ask([pair.texts for pair in pairs if not pair.is_equal], judge)
        best = _strongest([*judged, *(_JudgedPair(pair.texts, 0.0) for pair in equal)], judge)
        return [Finding(passage, kind, best[kind]) for kind in KINDS if kind in best][:1]
    own, same = {pair.generated for pair in pairs}, {pair.generated for pair in equal}
    found = _equal_sentences(equal, judge)
    best = _strongest(_ask([pair.texts for pair in pairs if pair.generated not in same], judge), judge)
    if not found and same and 2 * sum(map(len, same)) >= sum(map(len, own)):
        best["near-verbatim"] = 1.0
    if len(best) > 1:
        best.pop("weak-paraphrase", None)
    return found + [Finding(passage, kind, best[kind]) for kind in KINDS if kind in best]


def _equal_sentences(pairs: Sequence[_CrossPair], judge: Judge) -> list[Finding]:
    """Long sentences that differ in case alone, each generated sentence once."""
    long = [pair for pair in pairs if len(pair.generated) > judge.preset.verbatim_min_chars]
    first = {pair.generated: pair for pair in reversed(long)}
    passages = [Passage(pair.generated, pair.training, 1.0, "verbatim", "none") for pair in first.values()]
    return [Finding(passage, "verbatim", None) for passage in passages]


def _ask(pairs: Sequence[SentencePair], judge: Judge) -> list[_JudgedPair]:
    probabilities = judge.classifier.probabilities(pairs) if pairs else []
    return [_JudgedPair(pair, probability) for pair, probability in zip(pairs, probabilities, strict=True)]


def _strongest(judged: Sequence[_JudgedPair], judge: Judge) -> dict[Kind, float]:
    """For each kind that a pair shows, the largest probability of such a pair."""
    best: dict[Kind, float] = {}
    for pair in judged:
        kind = _kind_of_pair(pair.texts, pair.probability, judge)
        if kind is not None:
            best[kind] = max(pair.probability, best.get(kind, 0.0))
    return best


def _kind_of_pair(pair: SentencePair, probability: float, judge: Judge) -> Kind | None:
    rules = judge.preset.kind_rules
    if rules == "zeng2024":
        return "paraphrase" if probability > CONFIDENT else "weak-paraphrase"
    if probability > NEARLY_CERTAIN:
        return "near-verbatim" if rules == "corrected" else None
    if rules == "udsa2026":
        if not _entities_agree(SentencePair(pair.generated.lower(), pair.training.lower()), judge):
            return None
        return "paraphrase" if probability > CONFIDENT else "weak-paraphrase"
    is_paraphrase = probability > CONFIDENT and _entities_agree(pair, judge)
    return "paraphrase" if is_paraphrase else "weak-paraphrase"


def _entities_agree(pair: SentencePair, judge: Judge) -> bool:
    one, two = judge.find_entities(pair.generated), judge.find_entities(pair.training)
    if judge.preset.kind_rules == "corrected":
        one, two = one | named_in(pair.generated, two), two | named_in(pair.training, one)
    return agree(one, two)


def _cross_pairs(
    passage: Passage, generated: str, training: str, verbatim: Sequence[Span], judge: Judge
) -> list[_CrossPair]:
    own = _sentences(passage.generated, generated, judge)
    if judge.preset.kind_rules == "corrected":
        own = [span for span in own if 2 * covered_chars(span, verbatim) <= len(span)]
    other = _sentences(passage.training, training, judge)
    chosen: Iterable[tuple[Span, Span]] = product(own, other)
    if len(own) * len(other) > MAX_PAIRS:
        left, right = _stems(own, generated, judge), _stems(other, training, judge)
        chosen = nlargest(MAX_PAIRS, chosen, key=lambda pair: len(left[pair[0]] & right[pair[1]]))
    return [_CrossPair(one, two, SentencePair(one.of(generated), two.of(training))) for one, two in chosen]


def _sentences(within: Span, text: str, judge: Judge) -> list[Span]:
    found = sentences(within.of(text), language=judge.language)
    return [Span(span.start + within.start, span.end + within.start) for span in found]


def _stems(spans: Sequence[Span], text: str, judge: Judge) -> dict[Span, frozenset[str]]:
    return {span: frozenset(terms(span.of(text), language=judge.language)) for span in spans}
