"""Part of stages 3 and 6: what the models' teacher-forced passes say of extraction and of membership.

Stage 3 adds passes over other forms of the texts; stage 6 makes scores of all passes, and separations of the scores.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, TypeVar, cast

from rote import runs
from rote.config import AuditConfig, settings_of
from rote.passes.store import TokenStore, store_of
from rote.records import Curve, Example, Generation, Json, Prompt, Score, Separation, TokenScores, VariantPass
from rote.runs import Run, whole

if TYPE_CHECKING:
    from rote.models import LoadedModel

Record = TypeVar("Record")

_OF_SCORES = ("suffix_tokens", "window_tokens", "window_chance", "membership", "membership_scope", "min_k_share")


def make_variants(
    config: AuditConfig,
    run: Run,
    prompts: Sequence[Prompt],
    model: "Callable[[], LoadedModel]",
    *,
    used: Mapping[str, Json],
) -> None:
    """The tuned model's passes over other forms of the texts, as far as the settings ask for any.

    Args:
        config: settings.
        run: its examples and prompts are there.
        prompts: those of the plain passes.
        model: loads the tuned model.
        used: what the numbers depend on of the model and of the way in which it is used.
    """
    from rote.passes.variants import score_variants, variant_settings

    artifact = runs.VARIANTS.format(model="tuned")
    if not variant_settings(config.scoring):
        run.discard(artifact)
        return
    store = store_of(run)
    key: dict[str, Json] = {**used, "seed": config.generation.seed}
    key |= {"max_new_tokens": config.generation.max_new_tokens, **variant_settings(config.scoring)}

    def variants() -> Sequence[VariantPass]:
        examples = {example.id: example for example in run.read(runs.EXAMPLES, Example)}
        return score_variants(
            prompts, examples, model(), store, generation=config.generation, scoring=config.scoring, name="tuned"
        )

    discard_unstored(run, artifact, VariantPass, store)
    run.make(artifact, whole(variants), settings=key, inputs=[runs.EXAMPLES, runs.PROMPTS])


def discard_unstored(run: Run, artifact: str, kind: type[TokenScores] | type[VariantPass], store: TokenStore) -> None:
    """Removes an artifact that points to texts which the store lacks (any more)."""
    if run.is_whole(artifact) and not all(item.key in store for item in run.read(artifact, kind)):
        run.echo(f"{artifact}: the token store lacks some of its texts; making it again")
        run.discard(artifact)


def scored_settings(config: AuditConfig) -> dict[str, Json]:
    """Everything that the scores of the passes depend on besides the passes."""
    return {name: settings_of(config.scoring)[name] for name in _OF_SCORES}


def pass_scores(
    config: AuditConfig,
    run: Run,
    *,
    examples: Sequence[Example],
    prompts: Sequence[Prompt],
    generations: Sequence[Generation],
) -> list[Score]:
    """The scores of every pass, and the blind baseline beside them."""
    from rote.scoring.likelihood_scores import score_against_base, score_agreement, score_likelihood, score_priors
    from rote.scoring.membership_scores import score_blindly, score_membership
    from rote.stages.references import reference_scores

    store, scoring = store_of(run), config.scoring
    passes = {name: _read(run, runs.TOKEN_SCORES.format(model=name), TokenScores) for name in ("tuned", "base")}
    variants = _read(run, runs.VARIANTS.format(model="tuned"), VariantPass)
    base, by_id = {item.prompt_id: item for item in passes["base"]}, {prompt.id: prompt for prompt in prompts}
    found = list(score_against_base(passes["tuned"], base, store))
    found += score_priors(passes["tuned"], variants, store, suffix_tokens=scoring.suffix_tokens)
    for name, items in passes.items():
        found += score_likelihood(items, store, schemes=_schemes(run, name), config=scoring)
        found += score_agreement(items, generations, prompts, store, max_new_tokens=config.generation.max_new_tokens)
        found += score_membership(items, base, variants, by_id, store, config=scoring)
    found += reference_scores(config, run, passes["tuned"])
    found += score_blindly(prompts, {example.id: example for example in examples}, seed=config.generation.seed)
    return found


def make_separations(
    config: AuditConfig, run: Run, *, examples: Sequence[Example], prompts: Sequence[Prompt]
) -> list[Separation]:
    """The separations and curves of the run's membership scores; returns the separations."""
    from rote.scoring.separations import separate

    confidence, seed = config.scoring.confidence, config.generation.seed

    @cache
    def figures() -> tuple[list[Separation], list[Curve]]:
        run.echo("separating members from non-members …")
        scores = run.read(runs.SCORES, Score)
        return separate(scores, examples=examples, prompts=prompts, confidence=confidence, seed=seed)

    settings: dict[str, Json] = {"confidence": confidence, "seed": seed}
    inputs = [runs.EXAMPLES, runs.PROMPTS, runs.SCORES]
    run.make(runs.SEPARATIONS, whole(lambda: figures()[0]), settings=settings, inputs=inputs)
    run.make(runs.CURVES, whole(lambda: figures()[1]), settings=settings, inputs=inputs)
    return run.read(runs.SEPARATIONS, Separation)


def _schemes(run: Run, model: str) -> list[str]:
    """The decoding schemes that the passes were made with, whatever the settings say now."""
    entry = run.entry(runs.TOKEN_SCORES.format(model=model))
    return cast(list[str], entry.settings["schemes"]) if entry else []


def _read(run: Run, name: str, kind: type[Record]) -> list[Record]:
    return run.read(name, kind) if run.has(name) else []
