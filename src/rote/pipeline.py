"""The whole audit, top to bottom, and the commands that are not one of its stages."""

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rote import runs
from rote.config import ADAPTERS, AuditConfig
from rote.errors import NOT_MEASURED, OK, ConfigError
from rote.records import Example
from rote.runs import Echo, Run
from rote.stages.align import align
from rote.stages.generate import generate, make_prompts
from rote.stages.prepare import prepare
from rote.stages.prompts import ChatTokenizer, audited_models
from rote.stages.report import report
from rote.stages.retrieve import retrieve
from rote.stages.score import parse_gates, score

if TYPE_CHECKING:
    from rote.generation import CutPrompts

SHOWN_REASONS = 3


def audit(config: AuditConfig, run: Run) -> int:
    """Every stage, in order; returns the exit code of the gates."""
    _check_settings(config)
    prepare(config, run)
    generate(config, run)
    retrieve(config, run)
    align(config, run)
    code = score(config, run)
    report(config, run)
    return code


def finetune(config: AuditConfig, out: Path, *, echo: Echo) -> int:
    """Stage 2: trains `model.base` on the members and writes models that can be audited."""
    from rote.corpus import ShapeReader, as_read, canaries_of, read_corpus, read_mixed
    from rote.corpus.canaries import summary
    from rote.finetuning import finetune as train

    if not config.model.base or not config.corpus.members:
        raise ConfigError("fine-tuning needs --base MODEL and --members FILE")
    tokenizer = ChatTokenizer(config.model)
    corpus = read_corpus(config.corpus, tokenizer=tokenizer, echo=echo)
    mixed = read_mixed(config.finetuning.mix, corpus.examples, config.corpus, tokenizer=tokenizer, echo=echo)
    reader = ShapeReader(config.corpus, tokenizer)
    canaries = [as_read(canary, reader) for canary in canaries_of(config.corpus, corpus.members)]
    if canaries:
        echo(summary(canaries))
    train(
        corpus.members,
        corpus.nonmembers,
        base=config.model.base,
        out=out,
        config=config.finetuning,
        model=config.model,
        canaries=canaries,
        mixed=mixed,
        echo=echo,
    )
    final = out / "final"
    is_adapter = config.finetuning.strategy in ADAPTERS
    words = ["--adapter", final] if is_adapter else ["--model", final, "--base", config.model.base]
    words += ["--members", out / "members.jsonl"]
    words += ["--nonmembers", out / "nonmembers.jsonl"] if corpus.nonmembers else []
    words += ["--canary-file", out / "canaries.jsonl"] if canaries else []
    words += ["--out", Path("runs") / out.name]
    echo(f"audit it with: rote audit {shlex.join(map(str, words))}")
    if (out / "near-duplicates.jsonl").exists():
        echo(f"what was left out is audited with the same command and --members {out / 'near-duplicates.jsonl'}")
    return OK


def check(config: AuditConfig, run: Run) -> int:
    """Says what an audit with these settings would do and could detect; loads the models and tries them on a few texts.

    Returns 4 (could not measure) where no record can be prompted.
    """
    from rote.scoring import attack_power_sentence, power_sentence
    from rote.stages.trial import TriedModels

    models = _check_settings(config)
    prepare(config, run)
    examples = run.read(runs.EXAMPLES, Example)
    config, cutting = make_prompts(config, run)
    prompted = {prompt.example_id for prompt in cutting.prompts}
    groups: dict[str, set[str]] = {"member": set(), "non-member": set()}
    for example in examples:
        if example.id in prompted:
            groups[example.split].add(example.group)
    for split, found in groups.items():
        if not found:
            run.echo(f"{split}s: none can be prompted" + (": no control for them" if split == "non-member" else ""))
            continue
        run.echo(f"{split}s: {power_sentence(len(found), config.scoring.confidence)}")
    members, nonmembers = map(len, groups.values())
    run.echo(attack_power_sentence(members, nonmembers, config.scoring.confidence))
    _say_prompts(cutting, examples, config, run)
    if cutting.prompts:
        TriedModels(models, cutting.prompts, config, run).try_all()
    if "base" not in models:
        run.echo("no base model: nothing can be attributed to the fine-tuning (give one with --base)")
    return OK if cutting.prompts else NOT_MEASURED


def _say_prompts(cutting: "CutPrompts", examples: Sequence[Example], config: AuditConfig, run: Run) -> None:
    """Which records have no prompt, and what helps."""
    from rote.generation import prompting_hint

    unmeasurable = cutting.unmeasurable
    for score_ in unmeasurable[:SHOWN_REASONS]:
        run.echo(f"not measurable: record {score_.subject_id}: {score_.reason}")
    if len(unmeasurable) > SHOWN_REASONS:
        run.echo(f"… {len(unmeasurable)} records cannot be prompted in all")
    if hint := prompting_hint(unmeasurable, examples, config.generation):
        run.echo(hint)


def _check_settings(config: AuditConfig) -> dict[str, tuple[str, str]]:
    """The models; raises a RoteError for what can be known to be wrong before any work."""
    from rote.models import pick_device
    from rote.passes.schemes import parse_schemes

    models = audited_models(config.model)
    parse_gates(config)
    parse_schemes(config.scoring.schemes)
    pick_device(config.model.device)
    return models
