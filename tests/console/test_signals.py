"""Signals: what must not be left in its middle is finished first."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rote.console.signals import Postponement, Terminated, terminable


def test_a_signal_waits_for_the_outermost_end(capfd: pytest.CaptureFixture[str]) -> None:
    postponement = Postponement(b"wait\n")
    with terminable():
        postponement.begin()
        postponement.begin()
        signal.raise_signal(signal.SIGTERM)
        postponement.end()
        with pytest.raises(Terminated):
            postponement.end()
    assert capfd.readouterr().err == "wait\n"


def test_ctrl_c_waits_and_handlers_are_given_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    postponement = Postponement(b"")
    postponement.begin()
    signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        postponement.end()
    assert signal.getsignal(signal.SIGINT) is before
    postponement.begin()
    postponement.end()  # the signal that came earlier does not come again


TWICE = """
import signal
from rote.console.signals import Postponement
postponement = Postponement(b"")
postponement.begin()
signal.raise_signal(signal.SIGTERM)
signal.raise_signal(signal.SIGTERM)
print("never")
"""


def test_a_second_signal_ends_the_process_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", TWICE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "")


COMPILING = """
import signal
from numba.core import event
from rote import cli, kernels

class Signalling(event.Listener):
    def on_start(self, event):
        signal.raise_signal(signal.{number})
    def on_end(self, event):
        pass

def compile(options):
    event.register("numba:compile", Signalling())
    from rote.text.characters import is_point
    is_point(46)
    print("never")

cli._run = compile
raise SystemExit(cli.main(["check", "--members", "x.jsonl"]))
"""


@pytest.mark.parametrize(("number", "code", "word"), [("SIGTERM", 143, "terminated"), ("SIGINT", 130, "interrupted")])
def test_a_signal_while_a_kernel_is_compiled_ends_with_the_message(
    number: str, code: int, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    source = COMPILING.format(number=number)
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, done.stdout) == (code, "")
    assert "rote: ends when the kernel is compiled (a second time: at once) …\n" in done.stderr
    assert done.stderr.endswith(f"\nrote: {word}; the same command resumes where this one stopped\n")
    assert "Traceback" not in done.stderr
