"""Stage 6: scores, estimates with intervals and controls, and the gates."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from rote import runs
from rote.config import AuditConfig
from rote.errors import BREACHED, NOT_MEASURED, OK
from rote.records import (
    Candidate,
    Comparison,
    Estimate,
    Example,
    Generation,
    Json,
    Match,
    Prompt,
    Reproduction,
    Score,
    Separation,
)
from rote.runs import Run, whole
from rote.stages import canaries, exclusions, measures, passes, renderings
from rote.stages.inputs import generation_names, generations_of, present, save_settings

if TYPE_CHECKING:
    from rote.scoring import Gate


@dataclass(frozen=True, slots=True)
class _Scored:
    """What is scored, read once."""

    config: AuditConfig
    run: Run
    examples: Sequence[Example]
    prompts: Sequence[Prompt]
    generations: Sequence[Generation]
    matches: Sequence[Match]
    min_chars: int
    """Characters that a verbatim run must have."""
    inputs: Sequence[str]
    """Artifacts that everything here depends on."""

    @property
    def settings(self) -> dict[str, Json]:
        """Settings that the scores depend on."""
        return {**passes.scored_settings(self.config), "min_chars": self.min_chars}


def score(config: AuditConfig, run: Run) -> int:
    """Stage 6: scores, then estimates with intervals and controls; returns the exit code of the gates."""
    gates = parse_gates(config)
    save_settings(config, run)
    scored = _read(config, run)
    names = generation_names(run)
    measures.measure(config, run, scored.generations, names=names, min_chars=scored.min_chars)
    _make_scores(scored)
    _make_estimates(scored)
    separations = passes.make_separations(config, run, examples=scored.examples, prompts=scored.prompts)
    estimates = [*run.read(runs.ESTIMATES, Estimate), *canaries.score(config, run)]
    if run.has(runs.CANARY_SEPARATIONS):
        separations += run.read(runs.CANARY_SEPARATIONS, Separation)
    return _judge(estimates, separations, gates, config=config, run=run)


def _read(config: AuditConfig, run: Run) -> _Scored:
    from rote.alignment import PRESETS

    preset = PRESETS[config.alignment.preset]
    names = [*generation_names(run), *present(run, runs.TOKEN_SCORES), *present(run, runs.VARIANTS)]
    names += [runs.REFERENCES] if run.has(runs.REFERENCES) else []
    return _Scored(
        config,
        run,
        run.read(runs.EXAMPLES, Example),
        run.read(runs.PROMPTS, Prompt),
        generations_of(run),
        run.read(runs.MATCHES, Match),
        # A verbatim run must be longer than its floor: where even a perfect copy is not, nothing can be said.
        max(preset.min_passage_chars, preset.verbatim_min_chars + 1),
        [runs.EXAMPLES, runs.PROMPTS, runs.UNMEASURABLE, runs.CANDIDATES, runs.EXACT, runs.MATCHES, *names],
    )


def _make_scores(scored: _Scored) -> None:
    from rote.scoring import score_generations, score_reproductions

    config, run, prompts, generations = scored.config, scored.run, scored.prompts, scored.generations

    def scores() -> Sequence[Score]:
        found = list(score_generations(generations, scored.matches, prompts, min_chars=scored.min_chars))
        found += score_reproductions(run.read(runs.EXACT, Reproduction), generations, min_chars=scored.min_chars)
        found += passes.pass_scores(config, run, examples=scored.examples, prompts=prompts, generations=generations)
        return found

    run.make(runs.SCORES, whole(scores), settings=scored.settings, inputs=scored.inputs)


def _make_estimates(scored: _Scored) -> None:
    """Estimates and comparisons, made together and only where one of them is not up to date."""
    config, run, scoring = scored.config, scored.run, scored.config.scoring
    settings = {**scored.settings, "confidence": scoring.confidence, "depth": config.retrieval.depth}
    settings |= {"draws": list(scoring.draws), "chances": list(scoring.chances)}
    inputs = [*scored.inputs, runs.SCORES, *measures.ARTIFACTS]

    @cache
    def figures() -> tuple[list[Estimate], list[Comparison]]:
        return _figures(scored)

    def estimates() -> Sequence[Estimate]:
        others = measures.measured_estimates(config, run, scored.generations)
        return [*figures()[0], *others, *exclusions.estimates(config, run)]

    with_losses = [*inputs, *exclusions.artifacts(run)]
    run.make(runs.ESTIMATES, whole(estimates), settings=settings, inputs=with_losses)
    run.make(runs.COMPARISONS, whole(lambda: figures()[1]), settings=settings, inputs=inputs)


def _figures(scored: _Scored) -> tuple[list[Estimate], list[Comparison]]:
    from rote.scoring import estimate

    config, run = scored.config, scored.run
    run.echo("estimating …")
    return estimate(
        examples=scored.examples,
        prompts=scored.prompts,
        generations=scored.generations,
        candidates=run.read(runs.CANDIDATES, Candidate),
        matches=scored.matches,
        reproductions=run.read(runs.EXACT, Reproduction),
        scores=[*run.read(runs.SCORES, Score), *measures.measured_scores(config, run, scored.generations)],
        unmeasurable=run.read(runs.UNMEASURABLE, Score),
        depth=config.retrieval.depth,
        confidence=config.scoring.confidence,
        min_chars=scored.min_chars,
        draws=config.scoring.draws,
        chances=config.scoring.chances,
    )


def _judge(
    estimates: Sequence[Estimate],
    separations: Sequence[Separation],
    gates: "Sequence[Gate]",
    *,
    config: AuditConfig,
    run: Run,
) -> int:
    """The exit code: of the gates, of a rendering that is not what was trained on, of figures without a value."""
    from rote.rendering.sentences import lead
    from rote.scoring import check_gates

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
