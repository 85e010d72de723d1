"""Each stage, from the run folder to the run folder.

Each stage reads its inputs from the run folder and writes its artifacts there. What is up to date is skipped, what is
stale is made again (and the setting that changed is named), what was interrupted goes on.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from rote import runs
from rote.audited import ChatTokenizer, audited_models, cut, tokenizer_folder
from rote.config import AuditConfig, settings_of, to_toml
from rote.errors import ConfigError, DataError
from rote.progress import track
from rote.records import (
    Candidate,
    Comparison,
    Estimate,
    Example,
    Generation,
    Json,
    Match,
    Prompt,
    Recheck,
    Reproduction,
    Score,
    Separation,
    TokenScores,
    Trial,
    content_id,
)
from rote.runs import Row, Run

if TYPE_CHECKING:
    from rote.alignment import Aligner
    from rote.generation import CutPrompts, ForbiddenTokens
    from rote.models import LoadedModel
    from rote.scoring import Gate
    from rote.tried import TriedModels

OK, BREACHED, NOT_MEASURED = 0, 3, 4
ALIGNED_AT_ONCE = 50
"""Generations in one chunk of the alignment: what is lost when a run is killed."""


def prepare(config: AuditConfig, run: Run) -> int:
    """Stage 1: reads, validates and groups the records."""
    from rote import left_out, planted
    from rote.corpus import TooManyBadRecords, read_corpus

    if not config.corpus.members:
        raise ConfigError("no data: give the fine-tuning records with --members FILE")
    if config.corpus.holdout and (config.model.tuned or config.model.adapter):
        raise ConfigError(
            f"corpus.holdout = {config.corpus.holdout}: a model that was trained on the whole file has seen what is "
            "set aside now; give records that it has not seen with --nonmembers, or none"
        )
    if config.corpus.canaries and (config.model.tuned or config.model.adapter):
        raise ConfigError(
            f"corpus.canaries = {config.corpus.canaries}: canaries are planted before the training; give those that this "
            "model was trained with by --canary-file"
        )
    data = (config.corpus.members, config.corpus.nonmembers, config.corpus.canary_file)
    _check_unchanged(*data, config.model.tuned, config.model.adapter)
    _start(config, run)
    try:
        # All records are kept: a generation may repeat any of them. `limit` draws those that are prompted.
        corpus = read_corpus(
            dataclasses.replace(config.corpus, limit=0), tokenizer=ChatTokenizer(config.model), echo=run.echo
        )
    except TooManyBadRecords as error:
        run.write(runs.DROPPED, error.dropped, settings={})
        run.echo(f"every defect stands in {run.path(runs.DROPPED)}")
        raise
    places = content_id(*(f"{example.id} {example.file} {example.line}" for example in corpus.examples))
    defects = content_id(*map(str, corpus.dropped))
    settings = settings_of(dataclasses.replace(config.corpus, limit=0))
    run.make(runs.DROPPED, whole(lambda: corpus.dropped), settings={**settings, "found": defects})
    run.make(runs.EXAMPLES, whole(lambda: corpus.examples), settings={**settings, "found": [corpus.digest, places]})
    found = content_id(*map(str, corpus.readings))
    run.make(runs.READINGS, whole(lambda: corpus.readings), settings={**settings, "found": found})
    if corpus.identifiers:
        found = content_id(*map(str, corpus.identifiers))
        run.make(runs.IDENTIFIERS, whole(lambda: corpus.identifiers), settings={**settings, "found": found})
    else:
        run.discard(runs.IDENTIFIERS)
    run.note(data_hash=corpus.digest, data_notes=list(corpus.notes))
    left_out.keep(run, corpus)
    planted.keep(config, run, corpus)
    return OK


def generate(config: AuditConfig, run: Run) -> int:
    """Stage 3: cuts prompts, tries the models, lets them continue the prompts, and scores the true continuations."""
    from rote.tried import TriedModels

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
    from rote import left_out
    from rote.generation import resolved
    from rote.models import is_encoder_decoder, tokenizer_digest
    from rote.rendering import measuring as renderings

    tuned = audited_models(config.model)["tuned"]
    encoder_decoder = is_encoder_decoder(tuned[0], trust_remote_code=config.model.trust_remote_code)
    settings = resolved(config.generation, is_encoder_decoder=encoder_decoder)
    config = dataclasses.replace(config, generation=settings)
    _start(config, run)
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
    left_out.cut_prompts(config, run, tuned, settings=key)
    return config, cutting


def _no_prompts(cutting: "CutPrompts", examples: Sequence[Example], config: AuditConfig) -> str:
    """Why no record can be prompted, and what helps."""
    from rote.generation import prompting_hint

    reason = cutting.unmeasurable[0].reason if cutting.unmeasurable else "there are no records"
    hint = prompting_hint(cutting.unmeasurable, examples, config.generation)
    return f"none of the {len(examples)} records can be prompted: {reason}" + (f" ({hint})" if hint else "")


def retrieve(config: AuditConfig, run: Run) -> int:
    """Stage 4: makes the control generations, and finds candidate training texts for every generation."""
    from rote.alignment import PRESETS
    from rote.generation import shuffled_generations, true_suffix_generations
    from rote.retrieval import (
        ExactSearch,
        build_exact,
        build_index,
        open_exact,
        open_index,
        reproductions,
        retrieve_nonmembers,
    )
    from rote.retrieval import retrieve as find

    _start(config, run)
    examples, prompts = run.read(runs.EXAMPLES, Example), run.read(runs.PROMPTS, Prompt)
    tuned = run.read(runs.GENERATIONS.format(model="tuned"), Generation)
    inputs = [runs.EXAMPLES, runs.PROMPTS, runs.GENERATIONS.format(model="tuned")]

    def controls() -> Sequence[Generation]:
        shuffled = shuffled_generations(tuned, examples, seed=config.generation.seed)
        return [*true_suffix_generations(prompts, tuned), *shuffled.generations]

    controls_name = runs.GENERATIONS.format(model="controls")
    run.make(controls_name, whole(controls), settings={"seed": config.generation.seed}, inputs=inputs)
    generations = _generations(run)
    members = [example for example in examples if example.split == "member"]
    nonmembers = [example for example in examples if example.split == "non-member"]
    min_chars = PRESETS[config.alignment.preset].verbatim_min_chars + 1
    settings = {**settings_of(config.retrieval), "run_chars": min_chars}
    inputs = [runs.EXAMPLES, runs.PROMPTS, *_generation_names(run)]

    def search(name: str, searched: Sequence[Example]) -> ExactSearch:
        build_exact(searched, run.path(name), echo=run.echo)
        return ExactSearch(open_exact(run.path(name)), min_chars)

    def member_candidates(done: int) -> Iterator[Sequence[Candidate]]:
        build_index(members, prompts, run.path("index"), config=config.retrieval, echo=run.echo)
        index, exact = open_index(run.path("index")), search("exact", members)
        return find(generations, index, depth=config.retrieval.depth, exact=exact, done=done)

    def nonmember_candidates(done: int) -> Iterator[Sequence[Candidate]]:
        build_index(nonmembers, prompts, run.path("index-nonmember"), config=config.retrieval, echo=run.echo)
        index, exact = open_index(run.path("index-nonmember")), search("exact-nonmember", nonmembers)
        return retrieve_nonmembers(generations, index, depth=config.retrieval.nonmember_depth, exact=exact, done=done)

    def exact_runs(done: int) -> Iterator[Sequence[Reproduction]]:
        candidates = run.read(runs.CANDIDATES, Candidate)
        return reproductions(generations, candidates, search("exact", members), done=done)

    run.make(runs.CANDIDATES, member_candidates, settings=settings, inputs=inputs)
    run.make(runs.NONMEMBER_CANDIDATES, nonmember_candidates, settings=settings, inputs=inputs)
    run.make(runs.EXACT, exact_runs, settings={"run_chars": min_chars}, inputs=[*inputs, runs.CANDIDATES])
    return OK


def align(config: AuditConfig, run: Run) -> int:
    """Stage 5: finds the passages that each generation shares with its candidates, and their kinds.

    The same aligner then looks for passages that were planted: how good is it on these records?
    """
    from rote.alignment import choose_hosts, find_matches, make_aligner, mark_generic, run_trials

    _start(config, run)
    examples = {example.id: example for example in run.read(runs.EXAMPLES, Example)}
    texts = {example.id: example.text for example in examples.values()}
    prompts = {prompt.id: prompt for prompt in run.read(runs.PROMPTS, Prompt)}
    candidates = run.read(runs.CANDIDATES, Candidate)
    members = _by_generation(candidates, texts)
    nonmembers = _by_generation(run.read(runs.NONMEMBER_CANDIDATES, Candidate), texts)
    generations = _generations(run)

    @cache
    def aligner_of_run() -> "Aligner":
        return make_aligner(config.alignment, model=config.model)

    def matches(done: int) -> Iterator[Sequence[Match]]:
        aligner = aligner_of_run()
        chunks = [generations[at : at + ALIGNED_AT_ONCE] for at in range(0, len(generations), ALIGNED_AT_ONCE)]
        for chunk in track(chunks[done:], "aligning", total=len(generations), done=done * ALIGNED_AT_ONCE):
            found: list[Match] = []
            aligner.texts.read(text for generation in chunk for _, text in members.get(generation.id, []))
            aligner.texts.read(generation.text for generation in chunk)
            for generation in chunk:
                prompt = prompts[generation.prompt_id]
                own = find_matches(generation, prompt, members.get(generation.id, []), aligner)
                common = find_matches(generation, prompt, nonmembers.get(generation.id, []), aligner) if own else []
                found += mark_generic(own, common)
            yield found

    inputs = [runs.EXAMPLES, runs.PROMPTS, *_generation_names(run), runs.CANDIDATES, runs.NONMEMBER_CANDIDATES]
    run.make(runs.MATCHES, matches, settings=settings_of(config.alignment), inputs=inputs)

    def trials(done: int) -> Iterator[Sequence[Trial]]:
        hosts = choose_hosts(generations, candidates, examples)
        drawn = [example for example in examples.values() if example.split == "member"]
        return run_trials(drawn, hosts, aligner_of_run(), seed=config.generation.seed, done=done)

    settings = {**settings_of(config.alignment), "seed": config.generation.seed}
    run.make(runs.DETECTOR, trials, settings=settings, inputs=[runs.EXAMPLES, *_generation_names(run), runs.CANDIDATES])
    return OK


def score(config: AuditConfig, run: Run) -> int:
    """Stage 6: scores, then estimates with intervals and controls; returns the exit code of the gates."""
    from rote import forced, left_out, planted, written
    from rote.alignment import PRESETS
    from rote.rendering import measuring as renderings
    from rote.rendering.sentences import lead
    from rote.scoring import check_gates, estimate, score_generations, score_reproductions

    gates = parse_gates(config)
    _start(config, run)
    examples, prompts = run.read(runs.EXAMPLES, Example), run.read(runs.PROMPTS, Prompt)
    generations, matches = _generations(run), run.read(runs.MATCHES, Match)
    preset = PRESETS[config.alignment.preset]
    # A verbatim run must be longer than its floor: where even a perfect copy is not, nothing can be said.
    min_chars = max(preset.min_passage_chars, preset.verbatim_min_chars + 1)
    names = [*_generation_names(run), *_present(run, runs.TOKEN_SCORES), *_present(run, runs.VARIANTS)]
    names += [runs.REFERENCES] if run.has(runs.REFERENCES) else []
    inputs = [runs.EXAMPLES, runs.PROMPTS, runs.UNMEASURABLE, runs.CANDIDATES, runs.EXACT, runs.MATCHES, *names]
    settings: dict[str, Json] = {**forced.scored_settings(config), "min_chars": min_chars}
    written.measure(config, run, generations, names=_generation_names(run), min_chars=min_chars)

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


def report(config: AuditConfig, run: Run) -> int:
    """Stage 7: report.html and report.json."""
    from rote.reporting import report as gather
    from rote.reporting import write_json, write_page

    _start(config, run)
    contents = gather(run, config)
    write_page(contents, run.path(runs.REPORT_HTML))
    write_json(contents, run.path(runs.REPORT_JSON))
    for caveat in contents.caveats:
        run.echo(f"! {caveat}")
    run.echo(contents.verdict)
    run.echo(f"report: {run.path(runs.REPORT_HTML)}")
    return OK


def whole(records: Callable[[], Sequence[object]]) -> Callable[[int], Iterator[Sequence[object]]]:
    """An artifact that is made in one piece, as `Run.make` wants it: one chunk."""

    def produce(done: int) -> Iterator[Sequence[object]]:
        if not done:
            yield records()

    return produce


def parse_gates(config: AuditConfig) -> "list[Gate]":
    """The gates of --fail-above; ConfigError where one is not METRIC=VALUE, can never fire or cannot be measured."""
    from rote.scoring import check_measurable, parse_gate

    gates = [parse_gate(text) for text in config.scoring.fail_above]
    for gate in gates:
        check_measurable(gate, config, has_base=bool(config.model.base or config.model.adapter))
    return gates


def _check_unchanged(*paths: str) -> None:
    """Refuses data and models that `rote finetune` wrote and that are not what it wrote any more."""
    from rote.finetuning import check_unchanged

    for path in filter(None, paths):
        if Path(path).exists():
            check_unchanged(Path(path))


def _start(config: AuditConfig, run: Run) -> None:
    """Saves the resolved settings with the run."""
    text = to_toml(config)
    run.save_settings(text)
    run.note(config_hash=content_id(text), seed=config.generation.seed)


def _run_model(name: str, tried: "TriedModels", *, config: AuditConfig, run: Run) -> None:
    """Generations and token scores of one model; it is loaded when the first of them is not up to date."""
    from rote import forced, left_out, planted
    from rote.finetuning import privacy_of
    from rote.generation import TransformersModel
    from rote.generation import generate as draw
    from rote.models import model_digest
    from rote.rendering import measuring as renderings
    from rote.scoring.passes import score_prompts
    from rote.scoring.schemes import parse_schemes
    from rote.scoring.store import store_of
    from rote.tried import look_at_generations

    _check_unchanged(*tried.models[name])
    (source, adapter), prompts, model = tried.models[name], tried.prompts, partial(tried.get, name)

    def generations(done: int) -> Iterator[Sequence[Generation]]:
        continuing = TransformersModel(model(), _forbidden(model(), config, run))
        batches = draw(prompts, continuing, config=settings, name=name, done=done, echo=run.echo)
        total = len(prompts) * settings.samples
        return track(batches, f"generating ({name})", total=total, done=done * settings.batch_size)

    def token_scores() -> Sequence[TokenScores]:
        return score_prompts(prompts, model(), store, config=settings, schemes=schemes, name=name)

    settings, schemes, store = config.generation, parse_schemes(config.scoring.schemes), store_of(run)
    digest = model_digest(source, adapter)
    used: dict[str, Json] = {"model": digest, "dtype": config.model.dtype, **tried.way(name)}
    key = {**used, **settings_of(settings)}
    size = key.pop("batch_size")
    inputs = [runs.PROMPTS, runs.EXAMPLES] if key["block_verbatim"] else [runs.PROMPTS]
    place = {prompt.id: number for number, prompt in enumerate(prompts)}

    def order(row: Row) -> tuple[int, int]:
        return place[str(row["prompt_id"])], int(str(row["sample"]))

    texts, passes = runs.GENERATIONS.format(model=name), runs.TOKEN_SCORES.format(model=name)
    run.make(texts, generations, settings=key, inputs=inputs, order=order, chunking=size)
    look_at_generations(name, tried, config, run, key=used)
    key = {**used, "max_new_tokens": settings.max_new_tokens, "schemes": [scheme.label for scheme in schemes]}
    store.repair(run.echo)
    forced.discard_unstored(run, passes, TokenScores, store)
    run.make(passes, whole(token_scores), settings=key, inputs=[runs.PROMPTS])
    _recheck(name, tried, key=key, config=config, run=run)
    renderings.measure(name, model, used=used, config=config, run=run)
    if name == "tuned":
        forced.make_variants(config, run, prompts, model, used=used)
    planted.expose(name, model, used=used, config=config, run=run)
    left_out.measure(name, model, used=used, config=config, run=run)
    if name == "tuned":
        privacy = privacy_of(Path(adapter or source))
        run.note(privacy=privacy.sentence if privacy else "")
    known = "model_hash" if name == "tuned" else f"{name}_model_hash"
    run.note(**{known: digest, f"{name}_model": adapter or source})


def _forbidden(model: "LoadedModel", config: AuditConfig, run: Run) -> "ForbiddenTokens | None":
    """The runs of the members' texts that no model may complete: base and tuned model are decoded in the same way."""
    from rote.generation import forbidden_tokens, training_tokens
    from rote.generation.tokens import model_encoder

    if not config.generation.block_verbatim:
        return None
    members = (example for example in run.read(runs.EXAMPLES, Example) if example.split == "member")
    return forbidden_tokens(training_tokens(members, model_encoder(model)), config.generation.block_verbatim)


def _recheck(name: str, tried: "TriedModels", *, key: dict[str, Json], config: AuditConfig, run: Run) -> None:
    """A sample of one model's passes, scored again; a model that ran in half precision is loaded once more.

    Raises:
        ModelError: the numbers differ by more than rounding.
    """
    from rote.models import load_model
    from rote.scoring.rechecking import check_recheck, recheck
    from rote.scoring.schemes import parse_schemes
    from rote.scoring.store import store_of

    artifact, passes = runs.RECHECKS.format(model=name), runs.TOKEN_SCORES.format(model=name)
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
            run.read(passes, TokenScores),
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
        artifact, whole(rechecks), settings={**key, "texts": config.scoring.rechecked}, inputs=[runs.PROMPTS, passes]
    )


def _was_measured(estimates: Sequence[Estimate]) -> bool:
    """Whether any headline figure of the tuned model's members has a value."""
    from rote.scoring import METRICS

    headline = {name for name, metric in METRICS.items() if metric.headline}
    return any(
        item.value is not None
        for item in estimates
        if item.metric in headline and (item.model, item.split, item.stratum) == ("tuned", "member", "all")
    )


def _present(run: Run, pattern: str) -> list[str]:
    """The artifacts of all models that the run has, tuned first."""
    names = [pattern.format(model=name) for name in ("tuned", "base", "controls")]
    return [name for name in names if run.has(name)]


def _generation_names(run: Run) -> list[str]:
    return _present(run, runs.GENERATIONS)


def _generations(run: Run) -> list[Generation]:
    return [generation for name in _generation_names(run) for generation in run.read(name, Generation)]


def _by_generation(candidates: Sequence[Candidate], texts: Mapping[str, str]) -> dict[str, list[tuple[Candidate, str]]]:
    """Generation id → its candidates, each with its text."""
    found: dict[str, list[tuple[Candidate, str]]] = {}
    for candidate in candidates:
        found.setdefault(candidate.generation_id, []).append((candidate, texts[candidate.example_id]))
    return found
