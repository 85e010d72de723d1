"""The command line: each command is one library function; flags are the settings of the stages it runs.

Exit codes: 0 measured and under every threshold · 1 a bug of rote · 2 something the user can mend · 3 a threshold given
with --fail-above is breached · 4 could not measure · 130 interrupted (Ctrl-C) · 143 terminated (SIGTERM).
"""

import argparse
import dataclasses
import difflib
import re
import shlex
import sys
import typing
from collections.abc import Sequence
from pathlib import Path

from rote import __version__
from rote.config import AuditConfig, did_you_mean, flag_name, load_config, sections, toml_value
from rote.console.escaping import visible
from rote.console.signals import Terminated, terminable
from rote.errors import INTERRUPTED, OK, TERMINATED, USER_ERROR, RoteError, is_lack_of_memory
from rote.runs import Run
from rote.runs.locks import claimed, name_command

EPILOG = """\
A first audit:
  rote audit --model ./my-model --base gpt2 --members train.jsonl --nonmembers heldout.jsonl --out runs/first
  rote show runs/first              the worst records, in the terminal
  open runs/first/report.html       the report

No model at hand?
  rote demo                         fine-tunes a shipped model three ways and audits each

Exit codes: 0 measured, 1 a bug, 2 you can mend it, 3 a --fail-above threshold is breached, 4 could not measure,
130 interrupted (Ctrl-C), 143 terminated.
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Command:
    """One sub-command: what it says of itself, whose settings are its flags, and where its results go."""

    name: str
    summary: str
    description: str
    sections: tuple[str, ...]
    takes: typing.Literal["run", "out", "runs", "demo", "theory", "study", "validate"]


ALL = ("model", "corpus", "generation", "retrieval", "alignment", "scoring", "reporting")
COMMANDS = (
    Command("check", "look before you run: data, models, settings, what can be detected", "Reads the data, loads the models, tries them on a few texts and prints what an audit would do: records, defects, groups, prompts, how the models are used, missing controls, and the smallest rate that could be distinguished from zero.", ALL, "out"),
    Command("audit", "the whole audit: what does the model give back?", "Runs every stage that is not up to date: prepare, generate, retrieve, align, score, report. A run that was interrupted resumes where it stopped.", ALL, "out"),
    Command("prepare", "stage 1: read, validate and group the records", "Reads the data, counts and writes what was dropped (dropped.jsonl), finds duplicate groups, and writes examples.jsonl. With --canaries it also writes the members with secrets planted among them, to train on.", ("corpus", "model"), "out"),
    Command("finetune", "stage 2: fine-tune a model on the members", "Trains --base on --members (full, head, lora or prompt) and writes a folder with final/, a checkpoint per epoch, training.json, and the members exactly as they were trained on.", ("model", "corpus", "finetuning"), "out"),
    Command("generate", "stage 3: prompt the models", "Cuts prompts from the prepared records, lets the tuned and the base model continue them, and scores the true continuations in one teacher-forced pass (and other forms of the texts, where scores need them).", ("model", "generation", "scoring"), "run"),
    Command("retrieve", "stage 4: find candidate training texts", "Indexes the training texts and finds candidates for each generation.", ("retrieval",), "run"),
    Command("align", "stage 5: find shared passages and their kinds", "Aligns each generation with its candidates and tells verbatim, paraphrase and idea apart.", ("alignment",), "run"),
    Command("score", "stage 6: scores, rates, intervals, controls", "Turns matches and token scores into scores and estimates. Checks --fail-above.", ("scoring",), "run"),
    Command("references", "train reference models for RMIA and LiRA", "Fine-tunes the base model several times, each time on a random half of members and non-members (LoRA by default; learning rate and epochs: as for `rote finetune`), and keeps what each of these models says of every record. `rote score` then adds RMIA, LiRA and counterfactual memorisation.", ("model", "finetuning", "references"), "run"),
    Command("attend", "stage 6b: where the model attends", "Measures for every layer and head how concentrated the tuned model's attention over its input is while it writes, compares memorised members with others of the same length, and how much of the records' own prompts the completions need. Writes attention.html. The run's scores must be made.", ("model", "attention", "reporting"), "run"),
    Command("compress", "stage 6c: how short a prompt brings a record out (slow)", "Searches, by gradients, the shortest prompt after which the tuned model writes a record's text, for the members and non-members of the least loss, and the same under the base model. A text that comes out of a prompt shorter than itself is memorised. Slow: minutes for each record. The run's scores must be made; an interrupted search resumes where it stopped.", ("model", "compression"), "run"),
    Command("report", "stage 7: the HTML page and report.json", "Writes report.html (self-contained) and report.json.", ("reporting", "scoring"), "run"),
    Command("show", "the results in the terminal", "Prints the verdict and the estimates of a run, or one record with its generation and training text side by side.", (), "runs"),
    Command("compare", "several runs beside each other", "Writes one HTML page that compares runs, and prints the table.", (), "runs"),
    Command("demo", "the embedded demonstration", "Fine-tunes the shipped base model on fictional clinic records three ways (full, LoRA, head-only), audits each, and compares them.", (), "demo"),
    Command("study", "many audits that differ in named factors", "Reads a study (factors, their levels, the settings of all cells), trains each model once, audits every cell at equal epochs and, where the file asks for it, at matched validation loss, and writes study.html, table.parquet and table.csv. What is finished is not repeated; a failing cell is reported; the others still run.", (), "study"),
    Command("validate", "do the metrics measure what they say?", "Fine-tunes a model on records that are repeated 1 to 16 times, audits it, and holds every metric against the planted truth: members against non-members, repeated records against others, and the same audit with another batch size, in bfloat16 and with exchanged words in the prompts. Writes validation.html and validation.json.", (), "validate"),
    Command("theory", "sparse coding, a synthetic demonstration", "Fits a linear learner to synthetic texts and shows that the more of its input a task needs, the more of it can be had back; checks the error against its closed form. No language model and no record stands behind these numbers.", (), "theory"),
)  # fmt: skip


class Parser(argparse.ArgumentParser):
    """An argument parser that takes no abbreviations and, for an unknown word, names the nearest known one."""

    def __init__(self, *args: typing.Any, **options: typing.Any) -> None:
        super().__init__(*args, **{**options, "allow_abbrev": False})

    def error(self, message: str) -> typing.NoReturn:
        """One line on standard error, without the long usage; exit code 2."""
        wrong = re.search(r"argument COMMAND: invalid choice: '([^']*)'", message)
        if wrong:
            message = f"unknown command {wrong[1]!r}{did_you_mean(wrong[1], [item.name for item in COMMANDS])}"
        print(f"{self.prog}: {visible(message)} (see {self.prog} --help)", file=sys.stderr)
        sys.exit(USER_ERROR)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = build_parser()
    options, unknown = parser.parse_known_args(words)
    if unknown:
        parser.error("; ".join(_unknown(word, options.command) for word in unknown))
    if options.command is None:
        parser.print_help()
        return OK
    name_command(words)
    try:
        with terminable():
            code = _run(options)
        if options.command == "check" and code == OK:
            _echo(f"next: {_audit_command(words)}")
        return code
    except RoteError as error:
        print(f"rote: {visible(str(error))}", file=sys.stderr)
        return USER_ERROR
    except Terminated:
        print("\nrote: terminated; the same command resumes where this one stopped", file=sys.stderr)
        return TERMINATED
    except KeyboardInterrupt:
        print("\nrote: interrupted; the same command resumes where this one stopped", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        return OK
    except OSError as error:  # a full disk, a folder without permission …: never a bug of ours alone
        place = f"{error.filename}: " if error.filename else ""
        print(f"rote: {visible(f'{place}{error.strerror or error}')}", file=sys.stderr)
        return USER_ERROR
    except Exception as error:
        if not is_lack_of_memory(error):
            raise
        what = (str(error).splitlines() or [""])[0]
        print(
            f"rote: not enough memory{visible(f' ({what})' if what else '')}: a smaller batch size, fewer records "
            "(--limit), a smaller model or another --dtype need less; the same command resumes where this one stopped",
            file=sys.stderr,
        )
        return USER_ERROR


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands (imports nothing heavy)."""
    parser = Parser(
        prog="rote",
        description="How much of its fine-tuning data did a language model learn by rote?",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"rote {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for command in COMMANDS:
        _add_command(commands, command)
    return parser


def _add_command(commands: "argparse._SubParsersAction[Parser]", command: Command) -> None:
    part = commands.add_parser(command.name, help=command.summary, description=command.description)
    if command.takes == "out":
        part.add_argument("--out", type=Path, help="run folder (default: runs/COMMAND)", metavar="DIR")
    elif command.takes == "run":
        part.add_argument("run", type=Path, help="run folder of `rote prepare` or `rote audit`", metavar="RUN")
    elif command.name == "show":
        part.add_argument("run", type=Path, help="run folder", metavar="RUN")
        part.add_argument("id", nargs="?", help="one record, generation or prompt (its id, or the start of it)")
        part.add_argument("--show-pii", action="store_true", help="show personal data, not placeholders")
    elif command.name == "compare":
        part.add_argument("runs", type=Path, nargs="+", help="run folders", metavar="RUN")
        part.add_argument(
            "--out", type=Path, default=Path("comparison.html"), help="HTML page to write", metavar="FILE"
        )
    elif command.name == "study":
        part.add_argument(
            "files", type=Path, nargs="+", help="TOML file of a study; several get one page", metavar="FILE"
        )
        part.add_argument(
            "--out", type=Path, help="folder (default: runs/NAME-OF-FILE; of several runs/studies)", metavar="DIR"
        )
        part.add_argument("--dry-run", action="store_true", help="print the plan: cells, trainings, time and disk")
    elif command.name == "validate":
        part.add_argument(
            "--base", default="", help="model to fine-tune (default: the shipped decoder)", metavar="TEXT"
        )
        part.add_argument("--members", default="", help="data file (default: the shipped dialogues)", metavar="FILE")
        part.add_argument(
            "--out", type=Path, default=Path("runs/validate"), help="folder (default: runs/validate)", metavar="DIR"
        )
        part.add_argument(
            "--quick", action="store_true", help="few records, no reference models: does everything work?"
        )
    elif command.name == "theory":
        part.add_argument("--features", type=int, default=16, metavar="N", help="features of a text (default: 16)")
        part.add_argument(
            "--decay",
            type=float,
            default=0.8,
            metavar="X",
            help="variance of a feature over the one before (default: 0.8)",
        )
        part.add_argument("--seed", type=int, default=0, metavar="N", help="of the texts (default: 0)")
        part.add_argument(
            "--out", type=Path, default=Path("runs/theory"), help="folder (default: runs/theory)", metavar="DIR"
        )
    else:
        part.add_argument(
            "--out", type=Path, default=Path("runs/demo"), help="folder (default: runs/demo)", metavar="DIR"
        )
        part.add_argument("--quick", action="store_true", help="a few records only: does everything work here?")
    if command.sections:
        _add_settings(part, command.sections)


def _add_settings(part: argparse.ArgumentParser, names: Sequence[str]) -> None:
    part.add_argument("--config", type=Path, help="TOML file with one section per stage", metavar="FILE")
    part.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="any setting by its full name"
    )
    for section in names:
        kind = sections()[section]
        hints = typing.get_type_hints(kind)
        group = part.add_argument_group(f"[{section}]", (kind.__doc__ or "").splitlines()[0])
        for item in dataclasses.fields(kind):
            default, hint = item.default, hints[item.name]
            group.add_argument(
                f"--{flag_name(section, item.name)}",
                dest=f"{section}.{item.name}",
                metavar=_metavar(default, hint),
                nargs="?" if isinstance(default, bool) else None,
                const="true" if isinstance(default, bool) else None,
                action="append" if isinstance(default, tuple) else "store",
                help=(item.metadata["help"] + _choices(hint) + _shown(default)).replace("%", "%%"),
            )


def _shown(default: object) -> str:
    """The default, for a help text: what cannot be seen with escapes."""
    if default in ("", ()):
        return ""
    text = str(default)
    return f" (default: {text if text.isprintable() and text.strip() else repr(default)})"


def _choices(hint: object) -> str:
    """The choices of a list whose items are one of a few, for a help text."""
    inner = typing.get_args(hint)[0] if typing.get_origin(hint) is tuple else None
    return f"; of {', '.join(typing.get_args(inner))}" if typing.get_origin(inner) is typing.Literal else ""


def _metavar(default: object, hint: object) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return "|".join(map(str, typing.get_args(hint)))
    names = {bool: "true|false", int: "N", float: "X", str: "TEXT", tuple: "ITEM"}
    return names[type(default)]


def _settings(options: argparse.Namespace, start: Path | None = None) -> AuditConfig:
    """The settings of --config (or of the run), changed by --set and then by flags."""
    flags = [(name, value) for name, value in vars(options).items() if "." in name and value is not None]
    overrides = [f"{name}={_toml_of(name, value)}" for name, value in flags]
    return load_config(options.config or start, [*options.set, *overrides])


def _unknown(word: str, command: str | None) -> str:
    """What is wrong with a word that no argument takes."""
    known = [flag for item in COMMANDS if item.name == command for flag in _flags(item)]
    flag = word.partition("=")[0]
    others = [item.name for item in COMMANDS[:2] if flag in _flags(item)]
    if others and flag not in known:  # as with `rote generate --members …`: it works on a run folder
        return f"`rote {command}` has no {flag} (`rote {others[-1]}` has)"
    near = difflib.get_close_matches(flag, known, n=1, cutoff=0.5)
    return f"unknown argument {word!r}" + (f" (did you mean {near[0]!r}?)" if near else "")


def _flags(command: Command) -> list[str]:
    """The flags of a command, but for those that study, demo, theory and validate alone have."""
    keys = [(section, item.name) for section in command.sections for item in dataclasses.fields(sections()[section])]
    return [
        *[f"--{flag_name(*key)}" for key in keys],
        "--config",
        "--set",
        *(["--out"] if command.takes == "out" else []),
    ]


def _toml_of(name: str, value: str | list[str]) -> str:
    section, _, key = name.partition(".")
    hint = typing.get_type_hints(sections()[section])[key]
    if isinstance(value, list):
        items = [part for item in value for part in item.split(",")]
        inner = typing.get_args(hint)[0]
        return "[" + ", ".join(item if inner in (int, float) else toml_value(item) for item in items) + "]"
    if name == "corpus.separator":  # a shell passes \n on as two characters
        value = value.replace("\\n", "\n").replace("\\t", "\t")
    return value if hint in (int, float, bool) else toml_value(value)


def _audit_command(words: Sequence[str]) -> str:
    """The audit that was looked at with `rote check` and these words."""
    place = words.index("check")
    return shlex.join(["rote", *words[:place], "audit", *words[place + 1 :]])


def _run(options: argparse.Namespace) -> int:
    """Calls the command's function."""
    match options.command:
        case "demo":
            from rote.demonstration.demo import run as run_demo

            return run_demo(options.out, quick=options.quick, echo=_echo)
        case "theory":
            from rote.theory.page import demonstrate_in

            return demonstrate_in(options.out, features=options.features, decay=options.decay, seed=options.seed)
        case "validate":
            from rote.validation.running import validate

            return validate(options.base, options.members, options.out, quick=options.quick, echo=_echo)
        case "study":
            from rote.study.command import study

            return study(options.files, options.out, dry_run=options.dry_run, echo=_echo)
        case "show":
            from rote.reporting.terminal import show

            return show(Run(options.run, must_exist=True), options.id, show_pii=options.show_pii)
        case "compare":
            from rote.reporting.comparison import compare

            return compare(options.runs, options.out)
        case "finetune":
            from rote.pipeline import finetune

            out: Path = options.out or Path("runs/finetuned")
            with claimed(out):
                return finetune(_settings(options), out, echo=_echo)
        case _:
            return _run_stage(options)


def _run_stage(options: argparse.Namespace) -> int:
    """A command that works on a run folder: one stage, all of them, or a look before."""
    from rote import pipeline
    from rote.stages.align import align
    from rote.stages.attend import attend
    from rote.stages.compress import compress
    from rote.stages.generate import generate
    from rote.stages.prepare import prepare
    from rote.stages.references import train_references
    from rote.stages.report import report
    from rote.stages.retrieve import retrieve
    from rote.stages.score import score

    functions = {
        "check": pipeline.check,
        "audit": pipeline.audit,
        "prepare": prepare,
        "generate": generate,
        "retrieve": retrieve,
        "align": align,
        "score": score,
        "report": report,
        "references": train_references,
        "attend": attend,
        "compress": compress,
    }
    exists = "run" in options
    folder: Path = options.run if exists else options.out or Path("runs") / options.command
    if exists:
        Run(folder, must_exist=True)
    with claimed(folder):
        run = Run(folder, echo=_echo, must_exist=exists)
        return functions[options.command](_settings(options, run.settings_file() if exists else None), run)


def _echo(line: str) -> None:
    print(visible(line), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
