"""What the stages share: the settings that are saved with a run, and the generations that it has."""

from pathlib import Path

from rote import runs
from rote.config import AuditConfig, to_toml
from rote.records import Generation, content_id
from rote.runs import Run


def save_settings(config: AuditConfig, run: Run) -> None:
    """Saves the resolved settings with the run."""
    text = to_toml(config)
    run.save_settings(text)
    run.note(config_hash=content_id(text), seed=config.generation.seed)


def check_unchanged(*paths: str) -> None:
    """Refuses data and models that `rote finetune` wrote and that are not what it wrote any more."""
    from rote.finetuning import check_unchanged as check

    for path in filter(None, paths):
        if Path(path).exists():
            check(Path(path))


def present(run: Run, pattern: str) -> list[str]:
    """The artifacts of all models that the run has, tuned first."""
    names = [pattern.format(model=name) for name in ("tuned", "base", "controls")]
    return [name for name in names if run.has(name)]


def generation_names(run: Run) -> list[str]:
    """The artifacts of generations that the run has, tuned first, the controls last."""
    return present(run, runs.GENERATIONS)


def generations_of(run: Run) -> list[Generation]:
    """All generations of the run, in the order of `generation_names`."""
    return [generation for name in generation_names(run) for generation in run.read(name, Generation)]
