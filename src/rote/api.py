"""The Python face: what the command line does, as functions, with models and records by path or as objects in memory.

Names are offered by `rote` itself: `rote.audit(…)`, `rote.check(…)`, `rote.finetune(…)`, `rote.align(…)`, `rote.Run(…)`.
"""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from rote import pipeline
from rote.alignment.two_texts import TextMatch
from rote.alignment.two_texts import align_texts as align
from rote.config import AuditConfig, ModelConfig, load_config, with_settings
from rote.console import markup
from rote.console.progress import shown_by
from rote.corpus.held import write_records
from rote.errors import ConfigError, ModelError
from rote.models.loaded import own_random_numbers
from rote.records import Estimate, to_row
from rote.reporting.artifacts import Artifacts, read_artifacts
from rote.reporting.cases import Case, case_of, members_with, worst_members
from rote.reporting.contents import Report, report_of, settings_of_run
from rote.reporting.notebook import case_html, report_html
from rote.reporting.redaction import redacted
from rote.reporting.terminal import generations_of, text_of
from rote.runs import ESTIMATES, REPORT_HTML
from rote.runs import Run as StoredRun
from rote.runs.disk import shortened
from rote.runs.locks import claimed
from rote.scoring.estimates import estimate_metric
from rote.scoring.metrics import Metric
from rote.stages.report import report as write_report

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import pandas
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from rote.models.held import Written

    Model: TypeAlias = "str | Path | PreTrainedModel | PeftModel"
    Tokenizer: TypeAlias = "str | Path | PreTrainedTokenizerBase"
    Records: TypeAlias = "str | Path | Iterable[Mapping[str, object]] | pandas.DataFrame"

__all__ = ["Run", "Shown", "TextMatch", "align", "audit", "check", "finetune"]

Progress: TypeAlias = Callable[[str], None]
HELD = "held"
"""Folder, in the folder of results, of models and records that were given as objects."""


class Run(StoredRun):
    """The folder of an audit, with its results as a notebook wants them.

    Args:
        folder: of `rote.audit` or `rote audit`.

    Raises:
        RunError: there is no run.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(Path(folder), must_exist=True)
        self.exit_code: int | None = None
        """With which `rote audit` would have ended: 0, 3 where a threshold of `fail_above` is breached, 4 where nothing
        could be measured; None for a run that was opened."""

    def __repr__(self) -> str:
        return f"rote.Run({str(self.folder)!r})"

    def estimates(self) -> "pandas.DataFrame | list[Estimate]":
        """Every figure of the report with its interval: a data frame where pandas is installed, else a list.

        A row has the fields of `rote.Estimate`. Figures of all members by the tuned model have model "tuned", split
        "member" and stratum "all".
        """
        found = self.read(ESTIMATES, Estimate)
        try:
            import pandas
        except ModuleNotFoundError:
            return found
        return pandas.DataFrame(
            [to_row(item) for item in found], columns=[f.name for f in dataclasses.fields(Estimate)]
        )

    def cases(self, metric: str | None = None, *, show_pii: bool = False) -> list[Case]:
        """The members of which something comes out, each with its generation and the training texts beside it.

        Args:
            metric: a score's name: of a yes-or-no one the members with yes ("verbatim", "extractable"), of another one all
                that have a value, most memorised first. None: one case for each member of which anything comes out, in the
                order of the report.
            show_pii: personal data as it stands, in place of placeholders.

        Raises:
            ConfigError: no score has that name.
        """
        artifacts = self._artifacts_to_show(show_pii)
        return worst_members(artifacts, len(artifacts.examples)) if metric is None else members_with(metric, artifacts)

    def show(self, id: str, *, show_pii: bool = False) -> "Shown":
        """One record with what the models wrote at its prompts; shows itself in a notebook and prints as `rote show`.

        Args:
            id: of an example, a prompt or a generation, or the start of one.
            show_pii: personal data as it stands, in place of placeholders.

        Raises:
            RoteError: no record or several have such an id.
        """
        artifacts = self._artifacts_to_show(show_pii)
        return Shown(tuple(case_of(generation, artifacts) for generation in generations_of(id, artifacts)))

    def measure(self, metric: Metric, score: Callable[[str, str], float | None]) -> list[Estimate]:
        """A metric of your own, with rote's controls and intervals: nothing of rote is changed for it.

        Args:
            metric: what it measures.
            score: the value for what a model wrote and the record's true continuation; None: not measurable.

        Raises:
            ConfigError: the name is taken, or a value is outside of the metric's range.
        """
        artifacts = read_artifacts(self)
        return estimate_metric(
            metric,
            lambda generation, prompt: score(generation.text, prompt.reference),
            examples=[*artifacts.examples.values()],
            prompts=[*artifacts.prompts.values()],
            generations=[*artifacts.generations.values()],
            confidence=settings_of_run(self).scoring.confidence,
        )

    def report(self) -> Path:
        """Writes the report of the scores as they are now; returns the path of report.html."""
        try:
            write_report(load_config(self.settings_file()), self)
        finally:
            self.close()
        return self.path(REPORT_HTML)

    @property
    def verdict(self) -> str:
        """What the report says first."""
        return self._contents().verdict

    def _artifacts_to_show(self, show_pii: bool) -> Artifacts:
        found = read_artifacts(self)
        return found if show_pii else redacted(found)

    def _contents(self) -> Report:
        config = settings_of_run(self)
        return report_of(self._artifacts_to_show(config.reporting.show_pii), self, config)

    def _repr_html_(self) -> str:
        """The verdict and the headline table; what is there of a run without scores."""
        if not self.has(ESTIMATES):
            return markup.box(markup.heading(repr(self), "no estimates yet"))
        return report_html(self._contents(), str(self.folder))


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    """The cases of one record, to be looked at: prints as `rote show`, and shows itself in a notebook."""

    cases: tuple[Case, ...]

    def __repr__(self) -> str:
        return text_of(self.cases)

    def _repr_html_(self) -> str:
        return markup.box(*map(case_html, self.cases))


def audit(
    *,
    model: "Model | None" = None,
    base: "Model | None" = None,
    tokenizer: "Tokenizer | None" = None,
    members: "Records | None" = None,
    nonmembers: "Records | None" = None,
    out: str | Path = "runs/audit",
    config: AuditConfig | None = None,
    progress: Progress | None = None,
    **settings: object,
) -> Run:
    """The whole audit, as `rote audit`: how much of the members does the model give back?

    Stages that are up to date in `out` are not repeated, and an interrupted audit resumes. A model or tokenizer in memory
    is never changed or moved: it is written (safetensors) to a private folder in `out`, compared there with what it says
    in memory, and audited from there; that takes as much disk as the model is large, and the memory of a second one.

    Args:
        model: the fine-tuned model: a folder, a hub id, a transformers model, or a `PeftModel` (its base model is then
            the model under the adapter, unless `base` is given).
        base: the model before fine-tuning: a folder, a hub id or a transformers model.
        tokenizer: of a `model` (or, without one, a `base`) in memory: a tokenizer or its folder. Without it that of the
            folder which the model came from, or that of the other model, is taken.
        members: the fine-tuning records: a file, a folder, a hub data set; or dictionaries, a data frame, a
            `datasets.Dataset`, which are written to `out` as JSON Lines.
        nonmembers: records of the same kind that the model has not seen.
        out: the run folder.
        config: settings to start from.
        progress: gets each line that the command prints to standard error, e.g. `print`; None: nothing is shown.
        **settings: any setting by the name of its flag, with "_" for "-": `max_new_tokens=50`, `limit=200`.

    Returns:
        The run; its `exit_code` says whether thresholds of `fail_above` hold.

    Raises:
        ConfigError: unknown settings, with the nearest known name, wrong types and values, all at once.
        DataError: the records cannot be read.
        ModelError: a model cannot be loaded, or cannot be measured rightly.
        RunError: the run folder cannot be used.
    """
    given = _Given(model, base, tokenizer, members, nonmembers, Path(out))
    with _at_work(given, config, progress, settings) as (ready, run):
        code = pipeline.audit(ready, run)
    found = Run(out)
    found.exit_code = code
    return found


def check(
    *,
    model: "Model | None" = None,
    base: "Model | None" = None,
    tokenizer: "Tokenizer | None" = None,
    members: "Records | None" = None,
    nonmembers: "Records | None" = None,
    out: str | Path = "runs/check",
    config: AuditConfig | None = None,
    progress: Progress | None = None,
    **settings: object,
) -> list[str]:
    """A look before an audit, as `rote check`: reads the records, loads the models and tries them on a few texts.

    Arguments and errors are those of `audit`.

    Returns:
        What was found, in lines: records, defects, groups, one record as it is read, and what could be detected.
    """
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if progress is not None:
            progress(line)

    given = _Given(model, base, tokenizer, members, nonmembers, Path(out))
    with _at_work(given, config, say, settings) as (ready, run):
        pipeline.check(ready, run)
    return lines


def finetune(
    *,
    base: "Model",
    tokenizer: "Tokenizer | None" = None,
    members: "Records",
    nonmembers: "Records | None" = None,
    out: str | Path = "runs/finetuned",
    config: AuditConfig | None = None,
    progress: Progress | None = None,
    **settings: object,
) -> Path:
    """Fine-tunes a base model on the members, as `rote finetune`; a base model in memory is copied first.

    Arguments and errors are those of `audit`; settings such as `strategy="lora"`, `epochs=3.0`.

    Returns:
        The folder of the trained model or adapter, to be audited with the same records.
    """
    folder = Path(out)
    ready = with_settings(_started(config), settings)
    given = _Given(None, base, tokenizer, members, nonmembers, folder)
    with claimed(folder), shown_by(progress or _nowhere), own_random_numbers():
        pipeline.finetune(_placed(given, ready), folder, echo=progress or _nowhere)
    return folder / "final"


@dataclasses.dataclass(frozen=True, slots=True)
class _Given:
    """Models and records as they were given, and the folder of the results."""

    model: "Model | None"
    base: "Model | None"
    tokenizer: "Tokenizer | None"
    members: "Records | None"
    nonmembers: "Records | None"
    out: Path


def _nowhere(_: str) -> None:
    """Takes a line and shows it nowhere."""


def _started(config: AuditConfig | None) -> AuditConfig:
    if config is not None and not isinstance(config, AuditConfig):
        raise ConfigError(f"config: expected an AuditConfig (rote.load_config reads a file), found {shortened(config)}")
    return config or AuditConfig()


@contextmanager
def _at_work(
    given: _Given, config: AuditConfig | None, progress: Progress | None, settings: "Mapping[str, object]"
) -> Iterator[tuple[AuditConfig, StoredRun]]:
    """The resolved settings, and the run folder, which is this process's alone until the end."""
    ready = with_settings(_started(config), settings)
    say = progress or _nowhere
    with claimed(given.out), shown_by(say), own_random_numbers():
        run = StoredRun(given.out, echo=say)
        try:
            yield _placed(given, ready), run
        finally:
            run.close()


def _placed(given: _Given, config: AuditConfig) -> AuditConfig:
    """The settings with the places of what was given; objects in memory are written to the folder of the results."""
    named: dict[str, object] = {"model": given.model, "base": given.base}
    for name, records in (("members", given.members), ("nonmembers", given.nonmembers)):
        is_path = records is None or isinstance(records, (str, Path))
        named[name] = records if is_path else write_records(records, given.out / HELD / f"{name}.jsonl", name=name)
    paths = {name: str(one) for name, one in named.items() if isinstance(one, (str, Path))}
    return _with_models(given, with_settings(config, paths))


def _with_models(given: _Given, config: AuditConfig) -> AuditConfig:
    """The settings with the folders of the models in memory, each written there and found to be the same."""
    from rote.models.held import check_as_held, is_held, write_held

    models = {"tuned": given.model, "base": given.base}
    held = {name: model for name, model in models.items() if model is not None and is_held(model)}
    if given.tokenizer is not None and not held:
        raise ConfigError(
            "tokenizer: it belongs to a model in memory, and none was given; that of a folder lies in it "
            f"(tokenizer.save_pretrained), found {shortened(given.tokenizer)}"
        )
    written, tokenizer, settings = {}, given.tokenizer, config.model
    for name, model in held.items():
        written[name] = write_held(model, tokenizer, given.out / HELD, name=name)
        tokenizer = None  # the base's own; where it has none, the tuned model's is taken
        settings = _with_folders(settings, name, written[name])
    for name, model in held.items():
        check_as_held(model, written[name], settings, name=name)
    return dataclasses.replace(config, model=settings)


def _with_folders(settings: ModelConfig, name: str, written: "Written") -> ModelConfig:
    if name == "base" and not written.adapter:
        return dataclasses.replace(settings, base=written.model)
    if not written.adapter:
        return dataclasses.replace(settings, tuned=written.model)
    if name == "base":
        raise ModelError("base: a PeftModel cannot be the base; give what merge_and_unload() returns for a copy of it")
    if settings.adapter:
        raise ConfigError(
            f"adapter = {settings.adapter!r}: the model in memory has an adapter already; give one of the two"
        )
    return dataclasses.replace(settings, tuned=written.model, adapter=written.adapter)
