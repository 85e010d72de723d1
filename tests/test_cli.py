"""The command line: flags, messages, exit codes."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest

from rote.cli import COMMANDS, _shown, build_parser, main
from rote.config import flag_name, load_config, sections


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    """Exit code and standard error of one command."""
    try:
        code = main([str(word) for word in words])
    except SystemExit as stop:
        code = int(stop.code or 0)
    return code, capsys.readouterr().err


def test_flags_are_unambiguous() -> None:
    names = [flag_name(section, key) for section, kind in sections().items() for key in kind.__dataclass_fields__]
    assert len(names) == len(set(names))
    assert {"model", "adapter", "base", "members", "prefix-tokens", "seed", "generation-seed"} <= set(names)


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        build_parser().parse_args([command, "--help"])
    assert stop.value.code == 0
    assert len(capsys.readouterr().out) > 100


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from rote.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'torch', 'transformers', 'numpy', 'scipy', 'rich', 'jinja2'} & set(sys.modules)))"
    )
    started = time.monotonic()
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip().endswith("[]")
    assert time.monotonic() - started < 3  # 0.2 s on an idle core; the bound only catches a heavy import


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["audit", "--prefx-tokens", "3"], "did you mean '--prefix-tokens'"),
        (["generate", "runs/x", "--members", "m.jsonl"], "`rote generate` has no --members (`rote audit` has)"),
        (["generate", "runs/x", "--out", "runs/y"], "`rote generate` has no --out (`rote audit` has)"),
        (["show", "runs/x", "--prefix-tokens=3"], "`rote show` has no --prefix-tokens (`rote audit` has)"),
        (["adit"], "unknown command 'adit' (did you mean 'audit'?)"),
        (["audit", "--prefix-tokens", "abc"], "generation.prefix_tokens: must be a whole number, found 'abc'"),
        (["audit", "--decoding", "greddy"], "did you mean 'greedy'"),
        (["audit", "--set", "generation.prefix_token=3"], "did you mean 'prefix_tokens'"),
        (["audit", "--model", "./nowhere", "--members", "x.jsonl"], "./nowhere: no such model folder"),
        (["audit", "--members", "x.jsonl"], "give the fine-tuned model with --model"),
        (["audit", "--config", "nothing.toml"], "nothing.toml: No such file"),
        (["finetune"], "--base MODEL and --members FILE"),
        (["show", "nowhere"], "not a run folder"),
        (["score", "nowhere"], "not a run folder"),
    ],
)
def test_a_mistake_is_told_in_one_line_with_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, error = run(capsys, *words)
    assert code == 2
    assert message in error
    assert "Traceback" not in error


def test_missing_data_is_named_before_a_model_is_loaded(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, error = run(capsys, "prepare", "--members", tmp_path / "train.jsonl")
    assert code == 2
    assert "train.jsonl" in error


def test_flags_win_over_set_and_set_over_the_file(tmp_path: Path) -> None:
    from rote.cli import _settings

    path = tmp_path / "audit.toml"
    path.write_text("[generation]\nprefix_tokens = 10\nmax_new_tokens = 20\nbeams = 7\n", encoding="utf-8")
    words = ["audit", "--config", str(path), "--set", "generation.prefix_tokens=11", "--set", "generation.beams=8"]
    options = build_parser().parse_args([*words, "--prefix-tokens", "12", "--fail-above", "verbatim=0.1,idea=0.2"])
    config = _settings(options)
    assert (config.generation.prefix_tokens, config.generation.max_new_tokens, config.generation.beams) == (12, 20, 8)
    assert config.scoring.fail_above == ("verbatim=0.1", "idea=0.2")
    assert load_config(path).generation.prefix_tokens == 10


def test_nothing_that_a_terminal_obeys_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    code, error = run(capsys, "score", "a\x1b[31mred\u202eevil\x07b")
    assert code == 2
    assert "a⟨U+001B⟩[31mred⟨U+202E⟩evil⟨U+0007⟩b" in error


def test_what_the_system_refuses_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(config: object, run: object) -> int:
        raise OSError(28, "No space left on device", "models/x")

    monkeypatch.setattr("rote.stages.prepare.prepare", full)
    assert run(capsys, "prepare", "--out", tmp_path) == (2, "rote: models/x: No space left on device\n")


def test_help_shows_the_choices_and_what_cannot_be_seen(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["audit", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "--preset pan2015|zeng2024|udsa2026|corrected" in shown
    assert [_shown(default) for default in ("\n", " ", "auto", "", 3)] == [
        r" (default: '\n')", " (default: ' ')", " (default: auto)", "", " (default: 3)"
    ]  # fmt: skip
    assert "; of text_loss, zlib, lowercase" in shown


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[corpus]\nmembers = " + b"[" * 50_000, r"not valid TOML: nested too deeply"),
        (b"[corpus]\nseed = " + b"9" * 5_000, r"not valid TOML: Exceeds the limit \(4300 digits\)"),
        (
            b"[corpus]\nseed = " + b"9" * 4_000,
            r"corpus\.seed: must be at most .+, found a whole number of 13,2\d\d bits",
        ),
        (b"[finetuning]\nlearning_rate = " + b"9" * 4_000, r"finetuning\.learning_rate: must be at most"),
        (b"[finetuning]\nlearning_rate = inf", r"finetuning\.learning_rate: must be a finite number, found inf"),
        (b'[corpus]\nmembers = "a\\u0000b"', r"corpus\.members: must be text in Unicode without null characters"),
        (b"[corpus]\n" + b"#" * 200_000, r"more than 131,072 bytes, too many for settings"),
        (b'[corpus]\nmembers = "\xff"', r"not valid TOML: 'utf-8' codec"),
    ],
)
def test_settings_that_cannot_be_read_are_named_in_one_line(
    content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "audit.toml"
    file.write_bytes(content)
    code, error = run(capsys, "audit", "--config", file, "--out", tmp_path / "run")
    assert code == 2
    assert re.search(message, error)
    assert error.count("\n") == 1
    assert len(error) < 400


def test_a_byte_order_mark_is_no_setting(tmp_path: Path) -> None:
    file = tmp_path / "audit.toml"
    file.write_bytes(b"\xef\xbb\xbf[corpus]\r\nseed = 7\r\n")
    assert load_config(file).corpus.seed == 7


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 9 GiB"),
        type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory: you tried …"),
    ],
)
def test_too_little_memory_is_said_in_one_line(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("rote.cli._run", Mock(side_effect=error))
    code, said = run(capsys, "demo")
    assert code == 2
    assert said.startswith(f"rote: not enough memory ({error}): a smaller batch size")
    assert said.count("\n") == 1


def test_a_bug_stays_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rote.cli._run", Mock(side_effect=RecursionError("maximum recursion depth exceeded")))
    with pytest.raises(RecursionError):
        main(["demo"])


WAITING = """
import sys, time
from pathlib import Path
from unittest.mock import Mock
from rote import cli
from rote.runs.locks import claimed
def wait(options):
    with claimed(Path(sys.argv[1])):
        print("working", flush=True)
        time.sleep(60)
cli._run = wait
sys.exit(cli.main(["demo", "--out", sys.argv[1]]))
"""


@pytest.mark.parametrize(("number", "code", "word"), [("SIGTERM", 143, "terminated"), ("SIGINT", 130, "interrupted")])
def test_a_signal_ends_a_command_with_a_message_and_gives_the_folder_back(
    number: str, code: int, word: str, tmp_path: Path
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITING, tmp_path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(getattr(signal, number))
        assert process.wait(20) == code
        assert process.stderr.read() == f"\nrote: {word}; the same command resumes where this one stopped\n"
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_two_commands_do_not_share_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with subprocess.Popen([sys.executable, "-c", WAITING, tmp_path], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        code, error = run(capsys, "audit", "--members", tmp_path / "x.jsonl", "--out", tmp_path)
        other.kill()
    assert code == 2
    assert f"rote: {tmp_path}: `rote demo --out {tmp_path}` (process {other.pid} on " in error
