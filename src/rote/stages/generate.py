"""Stage 3: prompts are cut, the models are tried, and continue them; the true continuations are scored."""

import dataclasses
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rote import runs
from rote.config import AuditConfig, settings_of
from rote.console.progress import track
from rote.errors import OK, DataError
from rote.records import (
    Example,
    Generation,
    Json,
    Recheck,
    TokenScores,
)
from rote.runs import Row, Run, whole
from rote.stages import canaries, exclusions, passes, renderings
from rote.stages.inputs import check_unchanged, save_settings
from rote.stages.prompts import audited_models, cut, tokenizer_folder
from rote.stages.trial import TriedModels, look_at_generations

if TYPE_CHECKING:
    from rote.generation import CutPrompts, ForbiddenTokens
    from rote.models import LoadedModel


def generate(config: AuditConfig, run: Run) -> int:
    """Stage 3: cuts prompts, tries the models, lets them continue the prompts, and scores the true continuations."""
    from rote.passes.schemes import parse_schemes

    parse_schemes(config.scoring.schemes)  # a wrong one is refused before anything is run
    config, cutting = make_prompts(config, run)
    prompts = cutting.prompts
    if not prompts:
        raise DataError(_no_prompts(cutting, run.read(runs.EXAMPLES, Example), config))
    run.note(token_store=str(Path(config.scoring.store).resolve()) if config.scoring.store else "")
    models = audited_models(config.model)
    tried = TriedModels(models, prompts, config, run)
    tried.try_all()
    for name in models:
        _run_model(name, tried, config=config, run=run)
    if "base" not in models:
        of_models = (
            runs.SOUNDNESS,
            runs.GENERATIONS,
            runs.AGREEMENTS,
            runs.TOKEN_SCORES,
            runs.RECHECKS,
            runs.RENDERING_PASSES,
            runs.EXPOSURES,
            runs.LEFT_OUT_LOSSES,
        )
        run.discard(*(name.format(model="base") for name in of_models))
    return OK


def make_prompts(config: AuditConfig, run: Run) -> "tuple[AuditConfig, CutPrompts]":
    """Cuts the run's records into prompts; returns the settings as they were resolved, and the prompts."""
    from rote.generation import resolved
    from rote.models import is_encoder_decoder, tokenizer_digest

    tuned = audited_models(config.model)["tuned"]
    encoder_decoder = is_encoder_decoder(tuned[0], trust_remote_code=config.model.trust_remote_code)
    settings = resolved(config.generation, is_encoder_decoder=encoder_decoder)
    config = dataclasses.replace(config, generation=settings)
    save_settings(config, run)
    cutting = cut(config, run.read(runs.EXAMPLES, Example), tuned)
    for note in cutting.notes:
        run.echo(note)
    run.note(prompt_notes=list(cutting.notes))
    renderings.show_record(config, run, tuned, cutting.prompts)
    tokenizer = tokenizer_digest(tokenizer_folder(config.model, tuned))
    key: dict[str, Json] = {"prompt": settings.prompt, "prefix_tokens": settings.prefix_tokens, "tokenizer": tokenizer}
    key |= {"prompt_noise": settings.prompt_noise, "trained_tokens": config.corpus.trained_tokens}
    key |= {"limit": config.corpus.limit, "seed": config.corpus.seed if config.corpus.limit else None}
    run.make(runs.PROMPTS, whole(lambda: cutting.prompts), settings=key, inputs=[runs.EXAMPLES])
    run.make(runs.UNMEASURABLE, whole(lambda: cutting.unmeasurable), settings=key, inputs=[runs.EXAMPLES])
    exclusions.cut_prompts(config, run, tuned, settings=key)
    return config, cutting


def _no_prompts(cutting: "CutPrompts", examples: Sequence[Example], config: AuditConfig) -> str:
    """Why no record can be prompted, and what helps."""
    from rote.generation import prompting_hint

    reason = cutting.unmeasurable[0].reason if cutting.unmeasurable else "there are no records"
    hint = prompting_hint(cutting.unmeasurable, examples, config.generation)
    return f"none of the {len(examples)} records can be prompted: {reason}" + (f" ({hint})" if hint else "")


def _run_model(name: str, tried: TriedModels, *, config: AuditConfig, run: Run) -> None:
    """Everything that is asked of one model; it is loaded when the first artifact of it is not up to date."""
    from rote.finetuning import privacy_of
    from rote.models import model_digest

    check_unchanged(*tried.models[name])
    (source, adapter), model = tried.models[name], partial(tried.get, name)
    digest = model_digest(source, adapter)
    used: dict[str, Json] = {"model": digest, "dtype": config.model.dtype, **tried.way(name)}
    _make_generations(name, tried, used=used, config=config, run=run)
    look_at_generations(name, tried, config, run, key=used)
    _make_passes(name, tried, used=used, config=config, run=run)
    renderings.measure(name, model, used=used, config=config, run=run)
    if name == "tuned":
        passes.make_variants(config, run, tried.prompts, model, used=used)
    canaries.expose(name, model, used=used, config=config, run=run)
    exclusions.measure(name, model, used=used, config=config, run=run)
    if name == "tuned":
        privacy = privacy_of(Path(adapter or source))
        run.note(privacy=privacy.sentence if privacy else "")
    known = "model_hash" if name == "tuned" else f"{name}_model_hash"
    run.note(**{known: digest, f"{name}_model": adapter or source})


def _make_generations(name: str, tried: TriedModels, *, used: dict[str, Json], config: AuditConfig, run: Run) -> None:
    from rote.generation import TransformersModel
    from rote.generation import generate as draw

    settings, prompts = config.generation, tried.prompts
    place = {prompt.id: number for number, prompt in enumerate(prompts)}

    def generations(done: int) -> Iterator[Sequence[Generation]]:
        model = tried.get(name)
        continuing = TransformersModel(model, _forbidden(model, config, run))
        batches = draw(prompts, continuing, config=settings, name=name, done=done, echo=run.echo)
        total = len(prompts) * settings.samples
        return track(batches, f"generating ({name})", total=total, done=done * settings.batch_size)

    def order(row: Row) -> tuple[int, int]:
        return place[str(row["prompt_id"])], int(str(row["sample"]))

    key = {**used, **settings_of(settings)}
    size = key.pop("batch_size")
    inputs = [runs.PROMPTS, runs.EXAMPLES] if key["block_verbatim"] else [runs.PROMPTS]
    artifact = runs.GENERATIONS.format(model=name)
    run.make(artifact, generations, settings=key, inputs=inputs, order=order, chunking=size)


def _make_passes(name: str, tried: TriedModels, *, used: dict[str, Json], config: AuditConfig, run: Run) -> None:
    """The teacher-forced passes over the true continuations, and a sample of them scored again."""
    from rote.passes.schemes import parse_schemes
    from rote.passes.scoring import score_prompts
    from rote.passes.store import store_of

    settings, schemes, store = config.generation, parse_schemes(config.scoring.schemes), store_of(run)
    artifact = runs.TOKEN_SCORES.format(model=name)

    def token_scores() -> Sequence[TokenScores]:
        return score_prompts(tried.prompts, tried.get(name), store, config=settings, schemes=schemes, name=name)

    labels: list[Json] = [scheme.label for scheme in schemes]
    key: dict[str, Json] = {**used, "max_new_tokens": settings.max_new_tokens, "schemes": labels}
    store.repair(run.echo)
    passes.discard_unstored(run, artifact, TokenScores, store)
    run.make(artifact, whole(token_scores), settings=key, inputs=[runs.PROMPTS])
    _recheck(name, tried, key=key, config=config, run=run)


def _forbidden(model: "LoadedModel", config: AuditConfig, run: Run) -> "ForbiddenTokens | None":
    """The runs of the members' texts that no model may complete: base and tuned model are decoded in the same way."""
    from rote.generation import forbidden_tokens, training_tokens
    from rote.models.tokens import model_encoder

    if not config.generation.block_verbatim:
        return None
    members = (example for example in run.read(runs.EXAMPLES, Example) if example.split == "member")
    return forbidden_tokens(training_tokens(members, model_encoder(model)), config.generation.block_verbatim)


def _recheck(name: str, tried: TriedModels, *, key: dict[str, Json], config: AuditConfig, run: Run) -> None:
    """A sample of one model's passes, scored again; a model that ran in half precision is loaded once more.

    Raises:
        ModelError: the numbers differ by more than rounding.
    """
    from rote.models import load_model
    from rote.passes.rechecking import check_recheck, recheck
    from rote.passes.schemes import parse_schemes
    from rote.passes.store import store_of

    artifact, scored = runs.RECHECKS.format(model=name), runs.TOKEN_SCORES.format(model=name)
    if not config.scoring.rechecked:
        run.discard(artifact)
        return

    def rechecks() -> Sequence[Recheck]:
        in_float32 = dataclasses.replace(config.model, dtype="float32")
        exact, (source, adapter) = tried.get(name), tried.models[name]
        if config.model != in_float32:
            again = load_model(source, adapter=adapter, config=in_float32)
            exact = dataclasses.replace(exact, model=again.model)
        found = recheck(
            run.read(scored, TokenScores),
            {prompt.id: prompt for prompt in tried.prompts},
            exact,
            store_of(run),
            config=config.generation,
            schemes=parse_schemes(config.scoring.schemes),
            count=config.scoring.rechecked,
            dtype=config.model.dtype,
            name=name,
        )
        check_recheck(found, exact.source)
        return [found]

    run.make(
        artifact, whole(rechecks), settings={**key, "texts": config.scoring.rechecked}, inputs=[runs.PROMPTS, scored]
    )
