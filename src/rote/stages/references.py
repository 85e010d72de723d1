"""`rote references`: models trained on random halves of the records, and what they say of each record.

The base model is fine-tuned several times, each time on half of the members and non-members together; every record's pass
under each of these models is kept. The score stage then has RMIA, LiRA and counterfactual memorisation.
"""

import dataclasses
import shutil
from collections.abc import Iterator, Sequence

import numpy as np

from rote import runs
from rote.config import ADAPTERS, AuditConfig, FinetuningConfig, settings_of
from rote.errors import ConfigError, ModelError
from rote.passes.store import TokenStatistics, TokenStore, store_of
from rote.records import Example, Json, Prompt, ReferencePass, Score, Soundness, TokenScores
from rote.runs import Run
from rote.scoring import likelihood
from rote.scoring.reference_models import counterfactual_memorization, halves, lira, rmia
from rote.stages.prompts import audited_models

FOLDER = "references"
MODEL = "references"
"""The "model" of what the reference models together say of a record."""
LEAST_FOR_LIRA = 4
"""Models below which no spread can be estimated, so that LiRA is not measured."""


def train_references(config: AuditConfig, run: Run) -> int:
    """Trains the reference models and scores every prompted record with each; returns 0.

    Goes on where it stopped; a finished model is not trained again. The checkpoints of their epochs are not kept.

    Raises:
        ModelError: the run has no base model to start from.
        ConfigError: the number of models is odd.
        RunError: the run has no prompts yet.
    """
    from rote.models import model_digest
    from rote.stages.trial import TriedModels

    settings = config.references
    if settings.models % 2:
        raise ConfigError(f"references.models: expected an even number, found {settings.models}")
    models = audited_models(config.model)
    if "base" not in models:
        raise ModelError("reference models start from the base model: give it with --base")
    base = models["base"][0]
    tried = TriedModels({"base": models["base"]}, run.read(runs.PROMPTS, Prompt), config, run)
    # each model is trained on all of its half, or nobody could say which records it has seen; none are held out
    training = dataclasses.replace(
        config.finetuning, strategy=settings.strategy, repetition=(), deduplicate=False, early_stopping=0, mix=()
    )
    key: dict[str, Json] = {**settings_of(settings), "base": model_digest(base), "dtype": config.model.dtype}
    key |= {"finetuning": settings_of(training), "max_new_tokens": config.generation.max_new_tokens}
    key |= {"seed": config.corpus.seed, **tried.way("base")}

    def passes(done: int) -> Iterator[Sequence[ReferencePass]]:
        return _passes(config, training, base, run, found=tried.found("base"), done=done)

    run.make(runs.REFERENCES, passes, settings=key, inputs=[runs.EXAMPLES, runs.PROMPTS])
    run.echo("`rote score` and `rote report` now show RMIA, LiRA and counterfactual memorisation")
    return 0


def _passes(
    config: AuditConfig, training: FinetuningConfig, base: str, run: Run, *, found: Soundness, done: int
) -> Iterator[Sequence[ReferencePass]]:
    """The passes of one reference model after the other; all are used as the base model is after its trial."""
    from rote.finetuning import finetune
    from rote.models import load_model
    from rote.passes.schemes import PLAIN
    from rote.passes.scoring import score_prompts
    from rote.soundness import as_tried

    examples = sorted(run.read(runs.EXAMPLES, Example), key=lambda example: example.id)
    prompts, store = run.read(runs.PROMPTS, Prompt), store_of(run)
    deal = halves([example.group for example in examples], config.references.models, seed=config.corpus.seed)
    for number in range(done, len(deal)):
        included = [example for example, own in zip(examples, deal[number], strict=True) if own]
        out = run.path(FOLDER) / f"{number:02}"
        run.echo(f"reference model {number + 1} of {len(deal)}: {len(included)} of {len(examples)} records")
        seeded = dataclasses.replace(training, seed=training.seed + number)
        finetune(included, (), base=base, out=out, config=seeded, model=config.model, echo=run.echo)
        final, is_adapter = str(out / "final"), training.strategy in ADAPTERS
        loaded = load_model(base if is_adapter else final, adapter=final if is_adapter else "", config=config.model)
        model = as_tried(loaded, found)
        ids = {example.id for example in included}
        scored = score_prompts(
            prompts, model, store, config=config.generation, schemes=(PLAIN,), name=f"reference {number}"
        )
        shutil.rmtree(out / "checkpoints", ignore_errors=True)
        yield [
            ReferencePass(one.prompt_id, one.example_id, number, one.example_id in ids, one.key, one.prompt_tokens)
            for one in scored
        ]


def reference_scores(config: AuditConfig, run: Run, tuned: Sequence[TokenScores]) -> Iterator[Score]:
    """RMIA and LiRA of the tuned model's passes, and counterfactual memorisation; nothing without reference models.

    Of the tokens that `scoring.membership_scope` names; counterfactual memorisation of the reference's tokens alone.
    """
    passes = run.read(runs.REFERENCES, ReferencePass) if run.has(runs.REFERENCES) else []
    if not passes:
        return
    store, examples = store_of(run), {example.id: example for example in run.read(runs.EXAMPLES, Example)}
    own = {item.prompt_id: item for item in tuned}
    ids = sorted({item.prompt_id for item in passes} & own.keys())
    models = 1 + max(item.number for item in passes)
    by_place = {(item.number, item.prompt_id): item for item in passes}
    table = [[by_place[number, prompt_id] for prompt_id in ids] for number in range(models)]
    included = np.array([[item.included for item in row] for row in table], dtype=np.bool_)
    scope = config.scoring.membership_scope
    losses = np.array([_loss(_tokens(own[i].key, own[i].prompt_tokens, scope, store)) for i in ids])
    others = np.array([[_loss(_tokens(one.key, one.prompt_tokens, scope, store)) for one in row] for row in table])
    nonmembers = np.array([examples[own[i].example_id].split == "non-member" for i in ids], dtype=np.bool_)
    yield from _scores("rmia", ids, rmia(losses, others, included, nonmembers) if nonmembers.any() else None)
    yield from _scores("lira", ids, lira(losses, others, included) if models >= LEAST_FOR_LIRA else None)
    accuracies = np.array(
        [
            [likelihood.exact_memorization(store.read(one.key).part(one.prompt_tokens)) or 0.0 for one in row]
            for row in table
        ]
    )
    yield from _scores("counterfactual_memorization", ids, counterfactual_memorization(accuracies, included))


_REASONS = {
    "rmia": "there are no non-members to compare with",
    "lira": f"fewer than {LEAST_FOR_LIRA} reference models",
}


def _scores(metric: str, ids: Sequence[str], values: np.ndarray | None) -> Iterator[Score]:
    model = MODEL if metric == "counterfactual_memorization" else "tuned"
    for place, prompt_id in enumerate(ids):
        subject = f"{prompt_id}-{model}"
        if values is None:
            yield Score(subject, metric, None, _REASONS[metric])
        else:
            yield Score(subject, metric, float(values[place]))


def _tokens(key: str, prompt_tokens: int, scope: str, store: TokenStore) -> TokenStatistics:
    return store.read(key).part(prompt_tokens if scope == "reference" else 0)


def _loss(tokens: TokenStatistics) -> float:
    return likelihood.loss(tokens) or 0.0
