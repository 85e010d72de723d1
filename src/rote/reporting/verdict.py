"""The verdict in one sentence, and what it cannot claim: words made of estimates alone."""

from collections.abc import Iterator, Sequence

from rote.config import AuditConfig
from rote.records import Estimate, Separation
from rote.reporting.artifacts import find
from rote.reporting.attribution import TEXT_METRICS, membership_clause
from rote.reporting.figures import interval, number, percent
from rote.reporting.names import title_of
from rote.reporting.populations import BASE, MEMBERS_OWN, NON_MEMBERS, at_nonmembers, estimate_of
from rote.scoring.columns import LEFT_OUT

REPETITIVE_SHARE = 0.2
"""Above this share of repetitive generations, whose matches count in no rate, the base model's kind rates are no fair control."""
UNCOUNTED_SHARE = 0.2
"""From this share of generations with something that counts in no rate on, the verdict says so itself."""
_UNCOUNTED = {
    "repetitive": "collapsed into repetition; their matches count in no rate",
    "copied_from_prompt": "repeat their prompt; that is copying, not memory, and counts in no rate",
    "generic": "match phrasing that non-members hold too; that is discounted",
}


def verdict(
    estimates: Sequence[Estimate],
    config: AuditConfig,
    *,
    attribution: str = "",
    separations: Sequence[Separation] = (),
) -> str:
    """How many members come out, with interval, beside the base model and non-members, in one sentence; and what limits it.

    Made of the rates "extractable" and "verbatim", as far as they were measured; where neither was, it says why.

    Args:
        estimates: of the run.
        config: settings.
        attribution: why nothing can be put down to the fine-tuning; "" where something can.
        separations: of the membership scores.
    """
    membership = membership_clause(separations, confidence=config.scoring.confidence)
    measured = [metric for metric in TEXT_METRICS if _value(find(estimates, metric)) is not None]
    if not measured:
        return _not_measured(estimates) + (f" {_capital(membership)}." if membership else "")
    first, *others = [item for metric in measured if (item := find(estimates, metric))]
    level = f"{100 * config.scoring.confidence:g} % interval"
    clauses = [f"{_count(first)} ({percent(first.value or 0)}, {level} {interval(first)}) come out {_words(first)}"]
    for other in others:
        of = "" if other.n == first.n else f" of {other.n:,}"
        own = _own_text(other, estimates)
        clauses.append(f"{_count(other)}{of} ({percent(other.value or 0)}, {interval(other)}) {_words(other)}{own}")
    source = f"from their first {config.generation.prefix_tokens} tokens"
    if config.generation.prompt == "record":
        source = "from their own prompt"
    main = f"Of {first.n:,} member records, {clauses[0]} {source}" + "".join(f" and {item}" for item in clauses[1:])
    counts = "; ".join(filter(None, [main, _controls(estimates, measured), _at_nonmembers(estimates)]))
    said = [counts, attribution, membership, *_uncounted_clauses(estimates), _no_control(estimates)]
    return " ".join(f"{_capital(sentence)}." for sentence in said if sentence)


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
        yield "No base model was run: what it knew before fine-tuning, and so what is due to fine-tuning, cannot be said."
    if not _has_nonmembers(estimates):
        yield f"{_why_none(estimates)}: what these rates are for records that the model has never seen is not known."
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
    for metric in TEXT_METRICS:
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
        item
        for metric in TEXT_METRICS
        if (item := find(estimates, metric)) and item.events == 0 and item.high is not None
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


def left_out_sentence(estimates: Sequence[Estimate]) -> str:
    """What leaving non-members out that members hold changes; "" where none were."""
    inside, others = find(estimates, "loss", split="non-member", stratum=LEFT_OUT), find(
        estimates, "loss", split="non-member"
    )  # fmt: skip
    if inside is None or inside.value is None:
        return ""
    base = find(estimates, "loss", model="base", split="non-member", stratum=LEFT_OUT)
    level = "" if base is None or base.value is None else f"; base model {number(base.value)}"
    shown = f" ({interval(inside)}{level})" if inside.low is not None else f" (too few for an interval{level})"
    beside = f", that of the other {others.n:,} {_amount(others)}" if others is not None and others.value else ""
    is_lower = others is not None and inside.high is not None and others.low is not None and inside.high < others.low
    effect = ": as controls they would have hidden what was learned" if is_lower else ""
    return (
        f"Non-members whose text members hold, wholly or in large part, were left out of every control. The loss of "
        f"{inside.n:,} of them is {number(inside.value)}{shown}{beside}{effect}."
    )


def _amount(item: Estimate) -> str:
    return f"{number(item.value or 0.0)} ({interval(item)})" if item.low is not None else number(item.value or 0.0)


def _own_text(item: Estimate, estimates: Sequence[Estimate]) -> str:
    """How many of them give back their own text, where it is not all of them."""
    own = estimate_of(estimates, item.metric, MEMBERS_OWN)
    if own is None or own.value is None or own.events == item.events or own is item:
        return ""
    return f" of any member’s text ({_count(own)} of their own)"


def _uncounted_clauses(estimates: Sequence[Estimate]) -> Iterator[str]:
    """What counts in no rate, where it is much, or more than what counts."""
    counted = find(estimates, "verbatim")
    for metric, words in _UNCOUNTED.items():
        item = find(estimates, metric)
        least = UNCOUNTED_SHARE * item.n if item else 0.0
        if (
            item is not None
            and item.events
            and (item.events >= least or item.events > ((counted and counted.events) or 0))
        ):
            yield f"{item.events:,} of {item.n:,} member generations {words.replace('; ', ', ')}"


def _no_control(estimates: Sequence[Estimate]) -> str:
    """Which controls there are none of; no base model is said with the attribution."""
    if _has_nonmembers(estimates):
        return ""
    return f"{_why_none(estimates)}, so what comes out of unseen records is not known"


def _has_nonmembers(estimates: Sequence[Estimate]) -> bool:
    """Whether any figure is of non-members that are a control."""
    return any(
        item.split == "non-member" and item.stratum != LEFT_OUT and item.n + item.n_missing > 0 for item in estimates
    )


def _why_none(estimates: Sequence[Estimate]) -> str:
    if any(item.stratum == LEFT_OUT for item in estimates):
        return "All non-members were left out, since members hold their text"
    return "No non-members were given"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _controls(estimates: Sequence[Estimate], metrics: Sequence[str]) -> str:
    parts = []
    base = [estimate_of(estimates, metric, BASE) for metric in metrics]
    others = [estimate_of(estimates, metric, NON_MEMBERS) for metric in metrics]
    if counts := _counts(base):
        parts.append(f"the base model gives back {counts}")
    if counts := _counts(others):
        parts.append(f"non-members (own text) {counts}" if parts else f"non-members give back {counts} (own text)")
    return " and ".join(parts) if len(parts) < 2 else f"{parts[0]}, {parts[1]}"


def _at_nonmembers(estimates: Sequence[Estimate]) -> str:
    """That training text comes out at non-members' prompts; "" where it does not."""
    item = at_nonmembers(estimates, "verbatim")
    if item is None or not item.events:
        return ""
    base = at_nonmembers(estimates, "verbatim", model="base")
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
    reasons = [item.reason for metric in TEXT_METRICS if (item := find(estimates, metric)) and item.reason]
    return "Whether member records come out could not be measured" + (f": {reasons[0]}." if reasons else ".")


def _value(estimate: Estimate | None) -> float | None:
    return estimate.value if estimate else None


def _count(estimate: Estimate) -> str:
    events = estimate.events if estimate.events is not None else round((estimate.value or 0) * estimate.n)
    return f"{events:,}"


def _words(estimate: Estimate) -> str:
    return TEXT_METRICS[estimate.metric]
