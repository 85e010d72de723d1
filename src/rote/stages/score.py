"""Stage 6: scores, estimates with intervals and controls, and the gates."""

from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING

from rote import runs
from rote.config import AuditConfig
from rote.errors import BREACHED, NOT_MEASURED, OK
from rote.records import (
    Candidate,
    Comparison,
    Estimate,
    Example,
    Json,
    Match,
    Prompt,
    Reproduction,
    Score,
    Separation,
)
from rote.runs import Run, whole
from rote.stages.inputs import generation_names, generations_of, present, save_settings

if TYPE_CHECKING:
    from rote.scoring import Gate


def score(config: AuditConfig, run: Run) -> int:
    """Stage 6: scores, then estimates with intervals and controls; returns the exit code of the gates."""
    from rote.alignment import PRESETS
    from rote.rendering.sentences import lead
    from rote.scoring import check_gates, estimate, score_generations, score_reproductions
    from rote.stages import canaries as planted
    from rote.stages import exclusions as left_out
    from rote.stages import measures as written
    from rote.stages import passes as forced
    from rote.stages import renderings as renderings

    gates = parse_gates(config)
    save_settings(config, run)
    examples, prompts = run.read(runs.EXAMPLES, Example), run.read(runs.PROMPTS, Prompt)
    generations, matches = generations_of(run), run.read(runs.MATCHES, Match)
    preset = PRESETS[config.alignment.preset]
    # A verbatim run must be longer than its floor: where even a perfect copy is not, nothing can be said.
    min_chars = max(preset.min_passage_chars, preset.verbatim_min_chars + 1)
    names = [*generation_names(run), *present(run, runs.TOKEN_SCORES), *present(run, runs.VARIANTS)]
    names += [runs.REFERENCES] if run.has(runs.REFERENCES) else []
    inputs = [runs.EXAMPLES, runs.PROMPTS, runs.UNMEASURABLE, runs.CANDIDATES, runs.EXACT, runs.MATCHES, *names]
    settings: dict[str, Json] = {**forced.scored_settings(config), "min_chars": min_chars}
    written.measure(config, run, generations, names=generation_names(run), min_chars=min_chars)

    def scores() -> Sequence[Score]:
        found = list(score_generations(generations, matches, prompts, min_chars=min_chars))
        found += score_reproductions(run.read(runs.EXACT, Reproduction), generations, min_chars=min_chars)
        found += forced.pass_scores(config, run, examples=examples, prompts=prompts, generations=generations)
        return found

    @cache
    def figures() -> tuple[list[Estimate], list[Comparison]]:
        run.echo("estimating …")
        return estimate(
            examples=examples,
            prompts=prompts,
            generations=generations,
            candidates=run.read(runs.CANDIDATES, Candidate),
            matches=matches,
            reproductions=run.read(runs.EXACT, Reproduction),
            scores=[*run.read(runs.SCORES, Score), *written.measured_scores(config, run, generations)],
            unmeasurable=run.read(runs.UNMEASURABLE, Score),
            depth=config.retrieval.depth,
            confidence=config.scoring.confidence,
            min_chars=min_chars,
            draws=config.scoring.draws,
            chances=config.scoring.chances,
        )

    run.make(runs.SCORES, whole(scores), settings=settings, inputs=inputs)
    settings = {**settings, "confidence": config.scoring.confidence, "depth": config.retrieval.depth}
    settings |= {"draws": list(config.scoring.draws), "chances": list(config.scoring.chances)}
    inputs += [runs.SCORES, *written.ARTIFACTS]
    others = partial(written.measured_estimates, config, run, generations)
    run.make(
        runs.ESTIMATES,
        whole(lambda: [*figures()[0], *others(), *left_out.estimates(config, run)]),
        settings=settings,
        inputs=[*inputs, *left_out.artifacts(run)],
    )
    run.make(runs.COMPARISONS, whole(lambda: figures()[1]), settings=settings, inputs=inputs)
    separations = forced.make_separations(config, run, examples=examples, prompts=prompts)
    estimates = [*run.read(runs.ESTIMATES, Estimate), *planted.score(config, run)]
    if run.has(runs.CANARY_SEPARATIONS):
        separations += run.read(runs.CANARY_SEPARATIONS, Separation)
    judgement = renderings.conclude(config, run)
    doubt = lead(judgement) if judgement and not judgement.holds else ""
    breaches = check_gates(estimates, separations, gates, doubt=doubt)
    for breach in breaches:
        run.echo(f"gate: {breach.message}")
    if any(breach.outcome == "above" for breach in breaches):
        return BREACHED
    if breaches or not _was_measured(run.read(runs.ESTIMATES, Estimate)):
        run.echo("could not measure" + ("" if breaches else ": no rate of the members has a value"))
        return NOT_MEASURED
    return OK


def parse_gates(config: AuditConfig) -> "list[Gate]":
    """The gates of --fail-above; ConfigError where one is not METRIC=VALUE, can never fire or cannot be measured."""
    from rote.scoring import check_measurable, parse_gate

    gates = [parse_gate(text) for text in config.scoring.fail_above]
    for gate in gates:
        check_measurable(gate, config, has_base=bool(config.model.base or config.model.adapter))
    return gates


def _was_measured(estimates: Sequence[Estimate]) -> bool:
    """Whether any headline figure of the tuned model's members has a value."""
    from rote.scoring import METRICS

    headline = {name for name, metric in METRICS.items() if metric.headline}
    return any(
        item.value is not None
        for item in estimates
        if item.metric in headline and (item.model, item.split, item.stratum) == ("tuned", "member", "all")
    )
