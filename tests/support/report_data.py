"""For tests of the report: a run folder made by hand (matches at known places, estimates from counts), and a page reader."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

from fakes import token_statistics
from rote import runs
from rote.config import AuditConfig, GenerationConfig, to_toml
from rote.passes.store import TokenStatistics, store_of
from rote.records import (
    Candidate,
    Comparison,
    Estimate,
    ExactRun,
    Example,
    Generation,
    Kind,
    Match,
    Prompt,
    Recheck,
    Reproduction,
    Score,
    Source,
    Span,
    Split,
    TokenScores,
    Trial,
)
from rote.runs import Run

KINDS_IN_TURN: tuple[Kind | None, ...] = ("verbatim", "paraphrase", None, "near-verbatim", "idea", "weak-paraphrase")
PREFIX_CHARS = 60
MEMBERS = tuple(
    f"Record {i}: the {animal} crossed the {place} before dawn, carrying {load} for the baker, and nobody in the village "
    f"asked why. When the bell struck {i + 3}, it had already turned back toward the {place}, leaving {load} behind."
    for i, (animal, place, load) in enumerate(
        (animal, place, load)
        for load in ("three eggs", "a letter")
        for place in ("frozen river", "upper meadow", "old viaduct")
        for animal in ("heron", "mule", "otter", "grey fox")
    )
)
NON_MEMBERS = tuple(text.replace("village", "harbour").replace("baker", "ferryman") for text in MEMBERS[:8])


HOSTILE = (
    '<script>alert("x")</script><img src=x onerror=alert(1)> "quoted" \'single\' {{ 7 * 7 }} </mark></div> & &amp; '
    "\x1b[31mred\x1b[0m \x1b]8;;x\x07 \u202eright to left\u202c \u2066isolate\u2069 \x00 nul \ud800 lone \x9b1m \ufeff end. "
    "The rest of this record is plain text that only makes it long enough to hold a planted passage."
)
RECHECK = Recheck("tuned", "float32", "cpu", 8, 552, 4e-06, 5e-06, 2e-06, 6e-05, 3e-08, 0, 1, 0)
VOID = {"meta", "path", "line", "input"}
_TAG_NAMES = (
    "html head meta title style body header p span h1 h2 h3 h4 nav a main section div ul li table thead "
    "tbody tr th td b small figure figcaption svg desc path line text bdi article mark code footer "
    "details summary label input dl dt dd pre script i"
)
TAGS = set(_TAG_NAMES.split())
"""Every tag that a page may have."""


class Page(HTMLParser):
    """Collects the tags, their attributes, the text and the marked texts of a page; checks that tags nest."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.marks: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "mark":
            self.marks.append((dict(attrs)["data-match"] or "", ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" in self.open or "script" in self.open:
            return
        self.text += data
        if "mark" in self.open:
            number, text = self.marks[-1]
            self.marks[-1] = (number, text + data)


@dataclass(frozen=True, slots=True)
class Made:
    """The run and the records in it, for comparison with what is shown."""

    run: Run
    config: AuditConfig
    examples: list[Example]
    prompts: list[Prompt]
    generations: list[Generation]
    matches: list[Match]


def make_run(
    folder: Path,
    *,
    members: Sequence[str] = MEMBERS,
    nonmembers: Sequence[str] = NON_MEMBERS,
    base: bool = True,
    strength: float = 1.0,
    prefix_tokens: int = 50,
    data_hash: str = "d" * 64,
    copies: Sequence[int] = (1, 4, 16),
) -> Made:
    """A run folder whose member i has the outcome KINDS_IN_TURN[i % 6]; the rates of its estimates go with `strength`."""
    config = AuditConfig(generation=GenerationConfig(prefix_tokens=prefix_tokens))
    examples = [_example(text, i, "member", copies[i % len(copies)]) for i, text in enumerate(members)]
    examples += [_example(text, i, "non-member", 1) for i, text in enumerate(nonmembers)]
    prompts = [Prompt(f"{e.id}-{prefix_tokens}", e.id, *_halves(e.text)) for e in examples]
    tuned = [_generation(prompt, i, examples) for i, prompt in enumerate(prompts)]
    others = [Generation(f"{p.id}-base-s0", p.id, p.example_id, "base", "greedy", 0, "and so it went") for p in prompts]
    matches = [match for i, item in enumerate(tuned) for match in _matches(item, i, prompts, examples)]
    run = Run(folder)
    write = {
        runs.EXAMPLES: examples,
        runs.PROMPTS: prompts,
        runs.GENERATIONS.format(model="tuned"): tuned,
        runs.CANDIDATES: [c for item in tuned for c in _candidates(item, examples)],
        runs.MATCHES: matches,
        runs.EXACT: [_reproduction(item, matches) for item in tuned],
        runs.TOKEN_SCORES.format(model="tuned"): [_tokens(p, i) for i, p in enumerate(prompts)],
        runs.DETECTOR: _trials(examples[: len(members)], tuned),
        runs.RECHECKS.format(model="tuned"): [RECHECK],
        runs.SCORES: [score for i, item in enumerate(tuned) for score in _scores(item, i)],
        runs.ESTIMATES: estimates(
            len(members), len(nonmembers), base=base, strength=strength, copies=sorted({*copies})
        ),
    }
    if base:
        write[runs.GENERATIONS.format(model="base")] = others
        write[runs.COMPARISONS] = comparisons(len(members), strength)
    for name, records in write.items():
        run.write(name, records, settings={})
    store_of(run).add({f"{right} right": _statistics(right) for right in map(_right, range(len(prompts)))})
    run.save_settings(to_toml(config))
    run.note(data_hash=data_hash, model_hash="m" * 64, config_hash="c" * 64, device="cpu", seed=0)
    return Made(run, config, examples, prompts, tuned, matches)


def _reproduction(item: Generation, matches: Sequence[Match]) -> Reproduction:
    """Every verbatim match as an exact run, in reading order, in two members at three places."""
    verbatim = [m for m in matches if m.generation_id == item.id and m.kind == "verbatim"]
    found = [
        ExactRun(m.generated, len(m.generated), 3, 2, (Source(m.example_id, m.training),))
        for m in sorted(verbatim, key=lambda m: m.generated)
    ]
    return Reproduction(item.id, max((run.chars for run in found), default=0), tuple(found))


def rate(metric: str, events: int, n: int, model: str, split: Split, stratum: str = "all", **other: object) -> Estimate:
    """A rate with its Wilson interval, from counts."""
    p, z = events / n, 1.96
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    return Estimate(metric, model, split, stratum, p, max(0.0, low), min(1.0, high), n, 0, "Wilson", events)


def estimates(n: int, n_others: int, *, base: bool, strength: float, copies: Sequence[int]) -> list[Estimate]:
    """Estimates of every headline metric for members, base, non-members and controls, and by repetition."""
    rows: list[Estimate] = []
    shares = {"extractable": 0.2, "verbatim": 0.35, "at_least_paraphrase": 0.5, "at_least_idea": 0.6}
    for metric, share in shares.items():
        rows.append(rate(metric, round(share * strength * n), n, "tuned", "member"))
        if base:
            rows.append(rate(metric, int(share > 0.4), n, "base", "member"))
        if metric == "extractable":
            rows += [rate(metric, 0, n_others, "tuned", "non-member")] if n_others else []
        else:
            leaked = round(share * strength * n_others / 2)
            rows += _by_origin(metric, 0, leaked, n_others, "tuned", "non-member") if n_others else []
            rows += _by_origin(metric, 0, 0, n_others, "base", "non-member") if n_others and base else []
            rows += _by_origin(metric, 0, n // 12, n, "shuffled", "member")
            rows.append(rate(metric, n, n, "true-suffix", "member"))
        for level, number in enumerate(copies):
            part = max(1, n // len(copies))
            events = round(min(1.0, share * strength * 2 * (level + 0.2) / len(copies)) * part)
            rows.append(rate(metric, events, part, "tuned", "member", f"copies={number}"))
    for model, split, value in (("tuned", "member", 1.2), ("base", "member", 3.9), ("tuned", "non-member", 4.1)):
        if (base or model != "base") and (n_others or split == "member"):
            rows.append(Estimate("loss", model, split, "all", value, value - 0.1, value + 0.1, n, 0, "bootstrap"))
            memorized = 1 - value / 5
            rows.append(
                Estimate(
                    "exact_memorization", model, split, "all", memorized, memorized - 0.02, memorized + 0.02, n, 0, ""
                )
            )
    reason = "shorter than 50 characters"
    rows.append(Estimate("verbatim", "tuned", "member", "length=short", None, None, None, 0, 4, "", None, reason))
    return rows


def _by_origin(metric: str, own: int, others: int, n: int, model: str, split: Split) -> list[Estimate]:
    """The rate of all matches, of those with its own record alone, and of those with other records alone."""
    strata = {"all": max(own, others), "match=same-record": own, "match=cross-record": others}
    return [rate(metric, events, n, model, split, stratum) for stratum, events in strata.items()]


def comparisons(n: int, strength: float) -> list[Comparison]:
    """Tuned against base: nothing by the base model alone."""
    only = round(0.2 * strength * n)
    return [
        Comparison("extractable", "member", "tuned", "base", 0, only, 0, n - only, only / n, 0.1, 0.3, 0.0004, "exact")
    ]


def _example(text: str, index: int, split: Split, copies: int) -> Example:
    return Example(f"{split[0]}{index:03d}e5f0", "", text, split, f"g{index}", copies, f"{split}s.jsonl", index + 1)


def _halves(text: str) -> tuple[str, str]:
    return text[:PREFIX_CHARS], text[PREFIX_CHARS:]


def _generation(prompt: Prompt, index: int, examples: Sequence[Example]) -> Generation:
    is_member = prompt.example_id.startswith("m")
    kind = KINDS_IN_TURN[index % len(KINDS_IN_TURN)] if is_member else None
    text = f"He said: {prompt.reference[:120]} Then it rained." if kind else "Nothing of the sort happened here at all."
    return Generation(f"{prompt.id}-tuned-s0", prompt.id, prompt.example_id, "tuned", "greedy", 0, text)


def _matches(item: Generation, index: int, prompts: Sequence[Prompt], examples: Sequence[Example]) -> list[Match]:
    if not item.text.startswith("He said: "):
        return []
    kind = KINDS_IN_TURN[index % len(KINDS_IN_TURN)] or "verbatim"
    length = min(120, len(prompts[index].reference))
    probability = {"verbatim": None, "near-verbatim": 0.995, "paraphrase": 0.7, "weak-paraphrase": 0.3}.get(kind)
    direction = "condensed" if kind == "idea" else "none"
    own = Match(
        item.id,
        item.example_id,
        1,
        Span(9, 9 + length),
        Span(PREFIX_CHARS, PREFIX_CHARS + length),
        kind,
        direction,
        1.0 if kind == "verbatim" else 0.8,
        probability,
        False,
        False,
    )
    other = examples[(index + 4) % len(prompts)]
    cross = replace(own, example_id=other.id, rank=2, training=Span(0, 40), generated=Span(0, 40), kind="paraphrase")
    return [own, cross] if index % 12 == 0 else [own]


def _candidates(item: Generation, examples: Sequence[Example]) -> list[Candidate]:
    others = [e.id for e in examples if e.split == "member" and e.id != item.example_id][:4]
    return [Candidate(item.id, name, rank, 9.0 - rank) for rank, name in enumerate([item.example_id, *others], 1)]


def _trials(examples: Sequence[Example], generations: Sequence[Generation]) -> list[Trial]:
    """Of eight members: all are found verbatim, one of the condensed ones is taken for a weak paraphrase."""
    trials = []
    for index, (example, host) in enumerate(zip(examples[:8], generations, strict=False)):
        text, place = f"{host.text} {example.text}", Span(len(host.text) + 1, len(host.text) + 1 + len(example.text))
        kind: Kind = "idea" if index else "weak-paraphrase"
        trials += [
            Trial("verbatim", example.id, host.id, text, place, ("verbatim",), "verbatim", "none", len(place), 0),
            Trial("condensed", example.id, host.id, text, place, ("idea",), kind, "condensed", len(place) // 2, 0),
            Trial("nothing", example.id, host.id, host.text, None, (), None, "none", 0, 0),
        ]
    return trials


def _tokens(prompt: Prompt, index: int) -> TokenScores:
    return TokenScores(prompt.id, prompt.example_id, "tuned", f"{_right(index)} right", 9, 69, False)


def _right(index: int) -> int:
    return (index * 7) % 60


def _statistics(right: int) -> TokenStatistics:
    """Nine tokens of a prompt, then sixty of which the first choice is right that often, then never again."""
    return token_statistics((-0.5,) * 69, (False,) * 9 + (True,) * right + (False,) * (60 - right))


def _scores(item: Generation, index: int) -> list[Score]:
    subject = f"{item.prompt_id}-tuned"
    run_length = min(120, len(item.text)) if item.text.startswith("He") else 10 + index
    return [
        Score(item.id, "repetitive", 0.0),
        Score(item.id, "longest_common_run", float(run_length)),
        Score(item.id, "rouge_l", 0.42),
        Score(item.id, "edit_similarity", None, "reference shorter than 50 characters"),
        Score(subject, "extractable", float(_right(index) >= 50)),
        Score(subject, "exact_memorization", 0.8),
        Score(subject, "loss", 0.5),
        Score(f"{item.prompt_id}-base", "loss", 3.9),
    ]
