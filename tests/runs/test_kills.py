"""A command that is killed at a random write and started again ends in the same bytes; see benchmarks/kills.py."""

import os
from pathlib import Path

import kills
import pytest

from rote.runs.disk import write_atomically


def test_a_process_dies_before_the_write_it_should(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()

    def killed_before(number: int) -> tuple[int, list[str]]:
        pid = os.fork()
        if not pid:
            kills.dying(tmp_path / "run", number)()
            write_atomically(tmp_path / "run" / "a", b"1")
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return code, sorted(path.name.partition(".tmp")[0][:3] for path in (tmp_path / "run").iterdir())

    # removing an old temporary file, opening the new one, its permissions are no write, renaming it
    assert killed_before(1) == (-9, [])
    assert killed_before(2) == (-9, [])
    assert killed_before(3) == (-9, [".a."])
    assert killed_before(4)[0] == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["audit", "align", "finetune", "references"])
def test_a_killed_command_ends_in_the_same_bytes(name: str) -> None:
    kills.read_packages()
    with kills.material() as folder:
        out = folder / "work" / "run"
        out.parent.mkdir()
        (case,) = [case for case in kills.cases(folder, out) if case.name == name]
        found = kills.measure(case, out, kills=2, seed=1)
    assert not found.different
