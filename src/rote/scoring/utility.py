"""Utility: how well the models do what they were trained for, on the records' own prompts; leakage is read beside it.

What is measured goes with the task: accuracy for labels, exact match and F1 for short answers, ROUGE-L, BLEU and chrF for
texts. Every generation has the same budget of new tokens and never ends by itself, so it is cut to the number of words of
the reference first.
"""

import math
import re
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from rote.records import Estimate, Example, Generation, Prompt, Score, Split
from rote.scoring.overlap import ascii_words, rouge_l
from rote.statistics.intervals import cluster_numbers, refusal, wilson_bounds
from rote.text import words

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

Task = Literal["label", "answer", "text"]
MODELS = ("tuned", "base")
TASK_METRICS: Mapping[Task, tuple[str, ...]] = {
    "label": ("utility_accuracy",),
    "answer": ("utility_exact_match", "utility_f1"),
    "text": ("utility_rouge_l", "utility_chrf"),
}
"""Per generation; texts also have a BLEU, which is of all generations together."""
MOST_LABELS, LABEL_WORDS, RECORDS_PER_LABEL = 20, 5, 5
"""At most so many different completions of so few words, each with so many records on average: labels."""
ANSWER_WORDS, ANSWER_SHARE = 5, 0.9
"""At least that share of the completions has at most so many words: answers."""
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def infer_task(examples: Iterable[Example]) -> Task:
    """The task that the completions look like: labels, short answers, or texts (also where there is nothing to look at).

    >>> records = [Example(str(n), "q", word, "member", str(n)) for n, word in enumerate(["yes", "no"] * 5)]
    >>> infer_task(records), infer_task(records[:2])
    ('label', 'answer')
    """
    completions = [normal_answer(example.completion) for example in examples if example.prompt.strip()]
    lengths = [len(words(completion)) for completion in completions]
    if not completions:
        return "text"
    distinct = len(set(completions))
    if distinct <= MOST_LABELS and max(lengths) <= LABEL_WORDS and len(completions) >= RECORDS_PER_LABEL * distinct:
        return "label"
    short = sum(length <= ANSWER_WORDS for length in lengths)
    return "answer" if short >= ANSWER_SHARE * len(lengths) else "text"


def normal_answer(text: str) -> str:
    """Lower case, without punctuation, English articles and superfluous white space. Source: Rajpurkar et al. 2016.

    >>> normal_answer("The  Quick, brown fox!")
    'quick brown fox'
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(answer: str, reference: str) -> bool:
    """Whether both are the same after `normal_answer`."""
    return normal_answer(answer) == normal_answer(reference)


def token_f1(answer: str, reference: str) -> float:
    """F1 of the words of both after `normal_answer`, as multisets; 1.0 where both have none. Source: Rajpurkar et al. 2016.

    >>> token_f1("the old mill", "a mill on the hill")
    0.4
    """
    one, other = Counter(normal_answer(answer).split()), Counter(normal_answer(reference).split())
    if not one or not other:
        return float(one == other)
    return 2 * (one & other).total() / (one.total() + other.total())


def answer_of(generated: str, reference: str) -> str:
    """The generation up to as many words as the reference has (and the punctuation after the last), trimmed.

    >>> answer_of(" Paris. The river is long", "Paris")
    'Paris.'
    """
    found, wanted = words(generated), len(words(reference))
    if wanted >= len(found):
        return generated.strip()
    end = found[wanted - 1].end if wanted else 0
    while end < len(generated) and not generated[end].isspace() and not generated[end].isalnum():
        end += 1
    return generated[:end].strip()


def utility_scores(
    generations: Iterable[Generation], prompts: Mapping[str, Prompt], task: Task, *, by_prefix: bool
) -> Iterator[Score]:
    """The metrics of the task for each generation of the tuned and the base model, in their order.

    None, with the reason, where the prompts are beginnings of the text (what follows answers nothing), or where ROUGE-L has
    no word to look at.
    """
    for generation in generations:
        if generation.model not in MODELS:
            continue
        reference = prompts[generation.prompt_id].reference
        for name in TASK_METRICS[task]:
            if by_prefix:
                yield Score(generation.id, name, None, NO_ANSWER)
            else:
                yield _score(generation.id, name, answer_of(generation.text, reference), reference)


NO_ANSWER = "prefix prompts ask for no answer"
"""The reason where generation.prompt is "prefix": what follows is the text's own, and no answer."""


def _score(subject: str, name: str, answer: str, reference: str) -> Score:
    match name:
        case "utility_rouge_l":
            wanted = ascii_words(reference)
            if not wanted:
                return Score(subject, name, None, "the reference has no word of ASCII letters or digits")
            return Score(subject, name, rouge_l(ascii_words(answer), wanted))
        case "utility_chrf":
            return Score(subject, name, float(_chrf().sentence_score(answer, [reference.strip()]).score))
        case "utility_f1":
            return Score(subject, name, token_f1(answer, reference))
        case _:
            return Score(subject, name, float(exact_match(answer, reference)))


def bleu_estimates(
    generations: Sequence[Generation],
    prompts: Mapping[str, Prompt],
    examples: Mapping[str, Example],
    *,
    by_prefix: bool,
    confidence: float = 0.95,
) -> Iterator[Estimate]:
    """Corpus BLEU of the first samples of the tuned and the base model, by split, 0..100; by sacrebleu.

    The interval is that of the delete-one-group jackknife (t distribution); where no group differs, the share of unlike
    groups that Wilson's interval allows is put at the ends of the scale. Source: Papineni et al. 2002; Post 2018.
    """
    for model in MODELS:
        for split in ("member", "non-member"):
            first = [g for g in generations if g.model == model and g.sample == 0]
            own = [g for g in first if examples[g.example_id].split == split]
            if own:
                yield _bleu_estimate(own, prompts, examples, model, split, by_prefix=by_prefix, confidence=confidence)


def signatures(task: Task) -> tuple[str, ...]:
    """sacrebleu's settings in one line each, as far as the task uses them."""
    if task != "text":
        return ()
    for metric in (_bleu(), _chrf()):
        metric.corpus_score(["a"], [["a"]])  # sacrebleu knows the number of references from the last texts it saw
    return f"BLEU {_bleu().get_signature()}", f"chrF {_chrf().get_signature()}"


def _bleu_estimate(
    own: Sequence[Generation],
    prompts: Mapping[str, Prompt],
    examples: Mapping[str, Example],
    model: str,
    split: Split,
    *,
    by_prefix: bool,
    confidence: float,
) -> Estimate:
    method = "jackknife over duplicate groups"
    groups = [examples[generation.example_id].group for generation in own]
    reason = NO_ANSWER if by_prefix else refusal(groups, confidence)
    if reason:
        n = 0 if by_prefix else len(own)
        return Estimate("utility_bleu", model, split, "all", None, None, None, n, len(own) - n, method, None, reason)
    rows = np.array([_statistics(g.text, prompts[g.prompt_id].reference) for g in own], dtype=np.int64)
    codes = cluster_numbers(groups)
    sums = np.zeros((codes.max() + 1, rows.shape[1]), np.int64)
    np.add.at(sums, codes, rows)
    value, low, high = _jackknife(sums, confidence)
    return Estimate("utility_bleu", model, split, "all", value, low, high, len(own), 0, method)


def _statistics(generated: str, reference: str) -> list[int]:
    """What BLEU sums over texts: matched n-grams, n-grams, words of the answer, words of the reference."""
    score = _bleu().corpus_score([answer_of(generated, reference)], [[reference.strip()]])
    return [*score.counts, *score.totals, score.sys_len, score.ref_len]


def _jackknife(sums: NDArray[np.int64], confidence: float) -> tuple[float, float, float]:
    whole, size = sums.sum(axis=0), len(sums)
    value = _corpus_bleu(whole)
    left_out = [_corpus_bleu(whole - row) for row in sums]
    spread = math.sqrt((size - 1) / size * sum((one - math.fsum(left_out) / size) ** 2 for one in left_out))
    if spread < 1e-9:
        share = wilson_bounds(0.0, size, confidence=confidence).high
        return value, value * (1 - share), value + share * (100 - value)
    reach = float(special.stdtrit(size - 1, 0.5 + confidence / 2)) * spread
    return value, max(0.0, value - reach), min(100.0, value + reach)


def _corpus_bleu(sums: NDArray[np.int64]) -> float:
    numbers = [int(number) for number in sums]
    score = _bleu().compute_bleu(numbers[:4], numbers[4:8], numbers[8], numbers[9], smooth_method="exp")
    return float(score.score)


@cache
def _bleu() -> "BLEU":
    from sacrebleu.metrics.bleu import BLEU

    return BLEU()


@cache
def _chrf() -> "CHRF":
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()
