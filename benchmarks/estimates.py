"""Stage 6 without its models: how long scores take to become estimates and separations, for an audit of 400 prompts.

    python benchmarks/estimates.py [--prompts 400]

Prints CPU seconds of `estimate` and of `separate`, and how many figures each gave: with the three likelihood metrics that
rote had at first (extractable, exact memorisation, loss), and with all. The scores are random numbers of the right kind; the
time does not depend on their values.
"""

import argparse
import json
import time

import numpy as np
from machine import machine

from rote.config import ScoringConfig
from rote.records import Candidate, Example, Generation, Match, Prompt, Score, Span, Split
from rote.scoring import estimate, metric_of, score_generations
from rote.scoring.membership_scores import score_blindly
from rote.scoring.metrics import LIKELIHOOD_METRICS, SEPARATING_METRICS
from rote.scoring.separations import separate

WORDS = [f"word{number}" for number in range(20)]
COPIES = (1, 1, 1, 2, 2, 4, 8, 16)
FIRST = ["extractable", "exact_memorization", "loss"]
BY_SCHEME = ("extraction_chance", "drawable", "window_coverage")
DERIVED = ("discoverable", "draws_needed")
ALL = [
    *(name for name in LIKELIHOOD_METRICS if name not in (*BY_SCHEME, *DERIVED)),
    *(f"{name}@{scheme}" for name in BY_SCHEME for scheme in ScoringConfig().schemes),
    *(name for name in SEPARATING_METRICS if name not in ("blind_baseline", "dataset_inference")),
]


def records(count: int, rng: np.random.Generator) -> list[Example]:
    """Half members (in up to 16 copies), half non-members, of 60 to 200 words."""
    found = []
    for number in range(count):
        split: Split = "member" if number < count // 2 else "non-member"
        text = " ".join(rng.choice(WORDS, int(rng.integers(60, 200))))
        copies = COPIES[number % len(COPIES)] if split == "member" else 1
        found.append(Example(f"e{number:05}", "", text, split, f"g{number}", copies))
    return found


def main() -> None:
    """Makes the records and times the stage."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=400)
    count = parser.parse_args().prompts
    rng = np.random.default_rng(0)
    examples = records(count, rng)
    prompts = [Prompt(f"p{e.id}", e.id, e.text[:60], e.text[60:]) for e in examples]
    generations = [
        Generation(f"{p.id}-{model}", p.id, p.example_id, model, "greedy", 0, p.reference[:300])
        for model in ("tuned", "base", "true-suffix", "shuffled")
        for p in prompts
    ]
    matches = [
        Match(g.id, g.example_id, 1, Span(0, 70), Span(60, 130), "verbatim", "none", 1.0, None, False, False)
        for g in generations
        if rng.random() < 0.4
    ]
    candidates = [Candidate(g.id, g.example_id, 1, 1.0) for g in generations]
    written = list(score_generations(generations, matches, prompts))
    result: dict[str, object] = {"prompts": count}
    for name, metrics in (("first", FIRST), ("all", ALL)):
        scores = [*written, *likelihood_scores(prompts, metrics, rng)]
        started = time.process_time()
        found, _ = estimate(
            examples=examples,
            prompts=prompts,
            generations=generations,
            candidates=candidates,
            matches=matches,
            scores=scores,
            depth=10,
            draws=ScoringConfig().draws,
            chances=ScoringConfig().chances,
        )
        result[name] = {"scores": len(scores), "estimates": len(found), "estimate_cpu_s": spent(started)}
    scores += score_blindly(prompts, {example.id: example for example in examples}, seed=0)
    started = time.process_time()
    separations, _ = separate(scores, examples=examples, prompts=prompts)
    result["separate"] = {"separations": len(separations), "separate_cpu_s": spent(started)}
    print(json.dumps({**result, "machine": machine()}, indent=1))


def spent(started: float) -> float:
    """CPU seconds since then."""
    return round(time.process_time() - started, 2)


def likelihood_scores(prompts: list[Prompt], metrics: list[str], rng: np.random.Generator) -> list[Score]:
    """A value of each metric, for each prompt and both models."""
    found = []
    for name in metrics:
        for model in ("tuned", "base"):
            values = rng.random(len(prompts))
            kind = metric_of(name)
            values = np.round(values) if kind.estimator == "rate" else values + max(0.0, kind.low)
            found += [Score(f"{p.id}-{model}", name, float(v)) for p, v in zip(prompts, values, strict=True)]
    return found


if __name__ == "__main__":
    main()
