"""The verdict in one sentence, and what it cannot claim: words made of estimates alone."""

from collections.abc import Iterator, Sequence

from rote.config import AuditConfig
from rote.records import Estimate
from rote.reporting.artifacts import find
from rote.reporting.figures import interval, percent
from rote.reporting.names import title_of
from rote.reporting.populations import BASE, NON_MEMBERS, at_strangers, estimate_of

_WORDS = {"extractable": "word for word", "verbatim": "with a verbatim passage"}
REPETITIVE_SHARE = 0.2
"""Above this share of repetitive generations, whose matches count in no rate, the base model's kind rates are no fair control."""
_UNCOUNTED = {
    "repetitive": "collapsed into repetition; their matches count in no rate",
    "copied_from_prompt": "repeat their prompt; that is copying, not memory, and counts in no rate",
    "generic": "match phrasing that non-members hold too; that is discounted",
}


def verdict(estimates: Sequence[Estimate], config: AuditConfig) -> str:
    """One sentence: how many members come out, with interval, beside the base model and non-members.

    Made of the rates "extractable" and "verbatim", as far as they were measured; where neither was, it says why.
    """
    measured = [metric for metric in _WORDS if _value(find(estimates, metric)) is not None]
    if not measured:
        return _not_measured(estimates)
    first, *others = [item for metric in measured if (item := find(estimates, metric))]
    level = f"{100 * config.scoring.confidence:g} % interval"
    clauses = [f"{_count(first)} ({percent(first.value or 0)}, {level} {interval(first)}) come out {_words(first)}"]
    for other in others:
        of = "" if other.n == first.n else f" of {other.n:,}"
        clauses.append(f"{_count(other)}{of} ({percent(other.value or 0)}, {interval(other)}) {_words(other)}")
    source = f"from their first {config.generation.prefix_tokens} tokens"
    if config.generation.prompt == "record":
        source = "from their own prompt"
    main = f"Of {first.n:,} member records, {clauses[0]} {source}" + "".join(f" and {item}" for item in clauses[1:])
    return "; ".join(filter(None, [main, _controls(estimates, measured), _strangers(estimates)])) + "."


def caveats(estimates: Sequence[Estimate]) -> list[str]:
    """What cannot be claimed: missing controls, what could not be measured, what a zero leaves open."""
    return [
        *_missing_controls(estimates),
        *_blunt_controls(estimates),
        *_unmeasured(estimates),
        *_zeros(estimates),
        *_uncounted(estimates),
    ]


def _missing_controls(estimates: Sequence[Estimate]) -> Iterator[str]:
    models = {item.model for item in estimates}
    if "base" not in models:
        yield "No base model was run: what it knew before fine-tuning, and so what is due to fine-tuning, cannot be told."
    if not any(item.split == "non-member" for item in estimates):
        yield "No non-members were given: what these rates are for records that the model has never seen is not known."
    if "shuffled" not in models:
        yield "The shuffled control was not run: how often unrelated texts match by chance is not known."
    if "true-suffix" not in models:
        yield "The true-suffix control was not run: whether perfect memory would have been found is not known."


def _blunt_controls(estimates: Sequence[Estimate]) -> Iterator[str]:
    item = estimate_of(estimates, "repetitive", BASE)
    if item is not None and (item.events or 0) > REPETITIVE_SHARE * item.n:
        yield (
            f"The base model's generations are repetitive for {_count(item)} of {item.n:,} members: its kind rates are "
            "low by construction; the extraction and loss controls are not affected."
        )


def _unmeasured(estimates: Sequence[Estimate]) -> Iterator[str]:
    for metric in _WORDS:
        item = find(estimates, metric)
        if item is None:
            yield f"“{title_of(metric)}” was not measured in this run."
        elif item.value is None:
            yield f"“{title_of(metric)}” is not measurable: {item.reason}."
        elif item.n_missing:
            yield (
                f"“{title_of(metric)}” could not be measured for {item.n_missing:,} of {item.n + item.n_missing:,} member prompts"
                + (f" ({item.reason})." if item.reason else "; they are in no rate.")
            )


def _zeros(estimates: Sequence[Estimate]) -> Iterator[str]:
    none = [
        item for metric in _WORDS if (item := find(estimates, metric)) and item.events == 0 and item.high is not None
    ]
    for n, high in dict.fromkeys((item.n, item.high) for item in none):
        titles = " and ".join(f"“{title_of(item.metric)}”" for item in none if (item.n, item.high) == (n, high))
        yield (
            f"0 of {n:,} for {titles} does not show that nothing can come out: rates up to {percent(high or 0)} fit "
            "these records, and other prompts may bring out more."
        )


def _uncounted(estimates: Sequence[Estimate]) -> Iterator[str]:
    for metric, words in _UNCOUNTED.items():
        item = find(estimates, metric)
        if item is not None and item.events:
            yield f"{item.events:,} of {item.n:,} member generations {words}."


def _controls(estimates: Sequence[Estimate], metrics: Sequence[str]) -> str:
    parts = []
    base = [estimate_of(estimates, metric, BASE) for metric in metrics]
    others = [estimate_of(estimates, metric, NON_MEMBERS) for metric in metrics]
    if counts := _counts(base):
        parts.append(f"the base model gives back {counts}")
    if counts := _counts(others):
        parts.append(f"non-members (own text) {counts}" if parts else f"non-members give back {counts} (own text)")
    return " and ".join(parts) if len(parts) < 2 else f"{parts[0]}, {parts[1]}"


def _strangers(estimates: Sequence[Estimate]) -> str:
    """That training text comes out at strangers' prompts; "" where it does not."""
    item = at_strangers(estimates, "verbatim")
    if item is None or not item.events:
        return ""
    base = at_strangers(estimates, "verbatim", model="base")
    shown = f"{percent(item.value)}, {interval(item)}" if item.value is not None else f"{item.reason}"
    control = f"; base model {_count(base)} of {base.n:,}" if base else ""
    return (
        f"at the prompts of {item.n:,} non-members, members' text comes out verbatim in {_count(item)} "
        f"({shown}{control})"
    )


def _counts(items: Sequence[Estimate | None]) -> str:
    """`0 and 2 of 150`; "" where nothing was measured."""
    measured = [item for item in items if item is not None and item.value is not None]
    if not measured:
        return ""
    if len({item.n for item in measured}) == 1:
        return " and ".join(map(_count, measured)) + f" of {measured[0].n:,}"
    return " and ".join(f"{_count(item)} of {item.n:,}" for item in measured)


def _not_measured(estimates: Sequence[Estimate]) -> str:
    reasons = [item.reason for metric in _WORDS if (item := find(estimates, metric)) and item.reason]
    return "Whether member records come out could not be measured" + (f": {reasons[0]}." if reasons else ".")


def _value(estimate: Estimate | None) -> float | None:
    return estimate.value if estimate else None


def _count(estimate: Estimate) -> str:
    events = estimate.events if estimate.events is not None else round((estimate.value or 0) * estimate.n)
    return f"{events:,}"


def _words(estimate: Estimate) -> str:
    return _WORDS[estimate.metric]
