"""Stage 3 and 6 of the renderings, from the run folder to the run folder.

Stage 3 tries the tuned model on some members in every rendering, and the base model in that of the audit and in those
that the tuned model knows better; stage 6 compares. The cost is `TRIED_RECORDS` short texts for each rendering.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rote import runs
from rote.config import AuditConfig, settings_of
from rote.errors import RoteError
from rote.records import Example, Json, Prompt, RenderingLoss, RenderingPass
from rote.rendering.judging import Judgement, judgement_of, rendering_losses
from rote.rendering.sentences import lead
from rote.runs import Run

if TYPE_CHECKING:
    from rote.models import LoadedModel
    from rote.rendering.layouts import Layout


def show_record(config: AuditConfig, run: Run, tuned: tuple[str, str], prompts: Sequence[Prompt]) -> None:
    """Stage 3: says how one member is read, token by token, and keeps it in the manifest.

    Args:
        config: settings.
        run: its records are there.
        tuned: the tuned model, whose tokenizer reads.
        prompts: of the run; where no member has one, its own prompt is shown.
    """
    from rote.models import is_encoder_decoder, load_tokenizer
    from rote.models.tokens import token_encoder
    from rote.rendering.record import record_lines
    from rote.stages.measures import identifiers_of
    from rote.stages.prompts import tokenizer_folder

    members = [example for example in run.read(runs.EXAMPLES, Example) if example.split == "member"]
    own = {prompt.example_id: prompt for prompt in prompts}
    example = next((item for item in members if item.id in own), members[0] if members else None)
    if example is None:
        return
    trust = config.model.trust_remote_code
    tokenizer = load_tokenizer(tokenizer_folder(config.model, tuned), trust_remote_code=trust)
    encoder = token_encoder(tokenizer, is_encoder_decoder=is_encoder_decoder(tuned[0], trust_remote_code=trust))
    prompt = own.get(example.id, Prompt("", example.id, example.prompt, example.completion, example.is_rendered))
    identifiers = identifiers_of(run)
    lines = record_lines(example, prompt, encoder, show_pii=config.reporting.show_pii, identifiers=identifiers)
    for line in lines:
        run.echo(line)
    run.note(shown_record=list(lines))


def measure(
    name: str, model: "Callable[[], LoadedModel]", *, used: dict[str, Json], config: AuditConfig, run: Run
) -> None:
    """Stage 3: the passes of one model; the tuned model comes before the base model.

    Args:
        name: "tuned" or "base".
        model: loads it; called only where the passes are not up to date.
        used: which model it is and how it is run.
        config: settings; the members' files are read again.
        run: its records are there.
    """
    from rote.passes.store import store_of
    from rote.rendering.trying import tried_members, try_layouts
    from rote.runs import whole

    artifact, of_tuned = runs.RENDERING_PASSES.format(model=name), runs.RENDERING_PASSES.format(model="tuned")

    def passes() -> Sequence[RenderingPass]:
        chosen = {item.id: item for item in tried_members(run.read(runs.EXAMPLES, Example), seed=config.corpus.seed)}
        found, answers = _layouts(config, run, tuple(chosen.values()))
        if name == "base" and found:
            wanted = _worth_comparing(run.read(of_tuned, RenderingPass), config)
            found = [layout for number, layout in enumerate(found) if not number or layout.name in wanted]
        if not found:
            return []
        size = config.generation.batch_size
        return try_layouts(found, answers, chosen, model(), store_of(run), batch_size=size, name=name)

    settings: dict[str, Json] = {**used, "corpus": settings_of(config.corpus)}
    inputs = [runs.EXAMPLES] if name == "tuned" else [runs.EXAMPLES, of_tuned]
    run.make(artifact, whole(passes), settings=settings, inputs=inputs)


def conclude(config: AuditConfig, run: Run) -> Judgement | None:
    """Stage 6: the comparison of the renderings as an artifact, and what it says; None where nothing was tried."""
    from rote.runs import whole

    names = [name for model in ("tuned", "base") if run.has(name := runs.RENDERING_PASSES.format(model=model))]
    if not names:
        run.discard(runs.RENDERINGS)
        return None
    confidence = config.scoring.confidence

    def losses() -> Sequence[RenderingLoss]:
        return rendering_losses(
            [item for name in names for item in run.read(name, RenderingPass)], confidence=confidence
        )

    run.make(runs.RENDERINGS, whole(losses), settings={"confidence": confidence}, inputs=names)
    found = judgement_of(run)
    said = lead(found) if found else ""
    run.note(rendering=said)
    if said:
        run.echo(said)
    return found


def _worth_comparing(passes: Sequence[RenderingPass], config: AuditConfig) -> set[str]:
    """The renderings that the tuned model knows better than that of the audit."""
    others = rendering_losses(passes, confidence=config.scoring.confidence)[1:]
    return {item.rendering for item in others if item.better and item.better.value > 0}


def _layouts(config: AuditConfig, run: Run, chosen: Sequence[Example]) -> "tuple[list[Layout], dict[str, str]]":
    """The members in every rendering, and their answers; nothing where their files cannot be read any more."""
    from rote.corpus.reading import raw_rows
    from rote.rendering.layouts import answers_of, layouts
    from rote.stages.prompts import ChatTokenizer

    tokenizer = ChatTokenizer(config.model)
    try:
        rows = raw_rows(chosen, config.corpus, tokenizer)
    except RoteError as error:
        run.echo(f"other renderings are not tried: the members cannot be read again: {error}")
        return [], {}
    return layouts(rows, config.corpus, tokenizer), answers_of(rows, config.corpus)
