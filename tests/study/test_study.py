"""Studies: what a file may say, what is shared, what happens to a cell that fails, the table and the page."""

import csv
import dataclasses
import doctest
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from rote import demonstration
from rote.cli import main
from rote.commands import Commands
from rote.config import load_config
from rote.errors import ConfigError, RoteError
from rote.finetuning import Epoch, Training
from rote.finetuning.record import write_training
from rote.models import load_model
from rote.records import Estimate
from rote.runs import ESTIMATES, Run
from rote.study import page as page
from rote.study import plan_of, read_study, run_study
from rote.study.frontier import non_dominated
from rote.study.table import share_learned
from rote.study.weights import weight_change

STUDIES = Path(__file__).parents[2] / "studies"

FILE = """
title = "Strategies <script>"
question = "Which gives back less?"
match_over = ["strategy"]

[settings.model]
base = "shipped:decoder"

[settings.corpus]
members = "shipped:dialogue"
holdout = 0.5
limit = 20

[factors.strategy]
full = { finetuning.strategy = "full" }
lora = { finetuning.strategy = "lora", finetuning.learning_rate = 0.003 }

[factors.prefix]
"20" = { generation.prefix_tokens = 20 }
"50" = { generation.prefix_tokens = 50 }
"""


def written(folder: Path, text: str = FILE) -> Path:
    path = folder / "strategies.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_cells_are_all_combinations_with_the_settings_of_their_levels(tmp_path: Path) -> None:
    study = read_study(written(tmp_path))
    assert [cell.name for cell in study.cells] == ["full-20", "full-50", "lora-20", "lora-50"]
    config = study.cells[2].config
    assert config.finetuning.strategy == "lora"
    assert config.finetuning.learning_rate == 0.003
    assert config.generation.prefix_tokens == 20
    assert config.model.base == str(demonstration.DECODER)
    assert config.corpus.members == str(demonstration.records("dialogue"))


def test_combinations_can_be_left_out(tmp_path: Path) -> None:
    more = '\n[[without]]\nstrategy = "lora"\nprefix = "20"\n'
    assert [cell.name for cell in read_study(written(tmp_path, FILE + more)).cells] == ["full-20", "full-50", "lora-50"]


def test_paths_are_relative_to_the_file_and_hub_ids_stay(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("{}\n", encoding="utf-8")
    text = FILE.replace("shipped:dialogue", "mine.jsonl").replace("shipped:decoder", "openai-community/gpt2")
    config = read_study(written(tmp_path, text)).cells[0].config
    assert config.corpus.members == str(tmp_path / "mine.jsonl")
    assert config.model.base == "openai-community/gpt2"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("title =", "titel ="), r"unknown key titel \(did you mean 'title'\?\)"),
        (
            ('match_over = ["strategy"]', 'match_over = ["strategi"]'),
            r"match_over: no factor 'strategi' \(did you mean",
        ),
        (('strategy = "full"', 'strategi = "full"'), r"cell full-20: unknown key finetuning\.strategi \(did you mean"),
        (("prefix_tokens = 20", "prefix_tokens = -1"), r"generation\.prefix_tokens: must be > 0, found -1"),
        (("{ generation.prefix_tokens = 20 }", "20"), r"factors\.prefix\.20 must set section\.key = value, found 20"),
        (
            ("shipped:dialogue", "shipped:dialog"),
            r"corpus\.members: nothing is shipped .* \(did you mean 'dialogue'\?\)",
        ),
        (("[factors.prefix]", "[factors.prefix]\n["), r"strategies\.toml: not valid TOML"),
    ],
)
def test_what_is_wrong_in_the_file_is_told(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_study(written(tmp_path, FILE.replace(*change)))


def test_wrong_combinations_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\[\[without\]\]: strategy has no level 'lor' \(did you mean 'lora'\?\)"):
        read_study(written(tmp_path, FILE + '\n[[without]]\nstrategy = "lor"\n'))
    everything = '\n[[without]]\nprefix = "20"\n[[without]]\nprefix = "50"\n'
    with pytest.raises(ConfigError, match="no cell is left"):
        read_study(written(tmp_path, FILE + everything))


def test_a_file_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", str(tmp_path / "none.toml")]) == 2
    assert "none.toml: No such file or directory" in capsys.readouterr().err


def test_cells_that_differ_in_the_audit_alone_share_a_training(tmp_path: Path) -> None:
    plan = plan_of(read_study(written(tmp_path)))
    assert len(plan.models) == 2
    assert len(plan.audits) == 8
    full, lora = plan.models
    assert plan.match_group(plan.audits[0]) == (full, lora)


def test_a_dry_run_prints_the_plan_and_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", str(written(tmp_path)), "--dry-run", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().err
    assert "2 trainings, 8 audits; left: about" in said
    assert "audit lora-50, matched: about" in said
    assert not (tmp_path / "out").exists()


class FakeCommands:
    """Does what finetune and audit would leave behind; fails where it is told to."""

    def __init__(self, fails: str = "", killed_after: int = 1000) -> None:
        self.fails = fails
        self.killed_after = killed_after
        self.calls: list[tuple[str, str]] = []

    def __call__(self, _: Commands, *words: object) -> None:
        name, out = str(words[0]), Path(str(words[-1]))
        if len(self.calls) >= self.killed_after:
            raise KeyboardInterrupt
        if name == "attend":
            self.calls.append((name, out.name))
            if self.fails == "attend":
                raise RoteError("`rote attend` failed")
            return
        config = load_config(Path(str(words[2])))
        self.calls.append((name, out.name))
        strategy = config.finetuning.strategy
        if name == "finetune":
            if strategy == self.fails:
                raise RoteError("`rote finetune` failed: <b>no memory</b>")
            (out / "final").mkdir(parents=True, exist_ok=True)
            for split in ("members", "nonmembers"):
                (out / f"{split}.jsonl").write_text('{"text": "x"}\n', encoding="utf-8")
            losses = {"full": (3.0, 2.0, 2.5), "lora": (3.5, 3.0, 2.9)}[strategy]
            write_training(out, training(strategy, losses))
        else:
            share = (0.5 if strategy == "full" else 0.0) * (0.5 if "epoch" in config.model.tuned else 1.0)
            loss = {"full": 2.0, "lora": 2.9}[strategy]
            run = Run(out)
            run.write(
                ESTIMATES,
                [
                    estimate("extractable", share, "member"),
                    estimate("exact_memorization", share, "member"),
                    estimate("loss", loss, "non-member"),
                ],
                settings={},
            )
            (out / "report.html").write_text("", encoding="utf-8")


def training(strategy: str, losses: tuple[float, ...]) -> Training:
    epochs = tuple(
        Epoch(
            number=i,
            passes=i,
            steps=i,
            tokens=i,
            scored_tokens=i,
            training_loss=loss,
            validation_loss=loss,
            members_loss=loss,
            elapsed_s=1.0,
            folder=f"checkpoints/epoch-0{i}" if i < len(losses) else "final",
        )
        for i, loss in enumerate(losses, 1)
    )
    return Training(
        settings={},
        strategy=strategy,
        loss="text",
        base="b",
        base_digest="d",
        device="cpu",
        packages={},
        members=1,
        rows=1,
        cut=0,
        left_out=0,
        context_tokens=1,
        parameters=10,
        trainable_parameters=10 if strategy == "full" else 1,
        head_parameters=1,
        head_share=0.1,
        embeddings_untied=False,
        epochs=epochs,
        finished=True,
    )


def estimate(metric: str, value: float, split: str) -> Estimate:
    return Estimate(metric, "tuned", split, "all", value, value, value, 20, 0, "m", int(20 * value))  # type: ignore[arg-type]


def test_a_study_trains_once_audits_every_cell_and_writes_table_and_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeCommands()
    monkeypatch.setattr(Commands, "rote", lambda self, *words: fake(self, *words))
    plan = plan_of(read_study(written(tmp_path)))
    out = tmp_path / "out"
    assert run_study(plan, out, echo=lambda _: None).exit_code == 0
    assert sum(name == "finetune" for name, _ in fake.calls) == 2
    # LoRA's least validation loss is that of its last pass: its matched cells are its final ones.
    assert sum(name == "audit" for name, _ in fake.calls) == 6
    rows = pq.read_table(out / "table.parquet").to_pylist()
    matched = {row["cell"]: row["epoch"] for row in rows if row["checkpoint"] == "matched"}
    assert matched == {"full-20": 1, "full-50": 1, "lora-20": 3, "lora-50": 3}
    assert {row["factor.strategy"] for row in rows} == {"full", "lora"}
    with (out / "table.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == len(rows) == 8 * 3
    text = (out / "study.html").read_text(encoding="utf-8")
    assert "Strategies &lt;script&gt;" in text
    assert "Strategies <script>" not in text
    assert "At matched validation loss" in text
    assert text.count("report.html") == 8
    assert "★" in text


def test_a_cell_that_fails_is_told_and_the_others_finish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake, said = FakeCommands(fails="lora"), []
    monkeypatch.setattr(Commands, "rote", lambda self, *words: fake(self, *words))
    text = FILE.replace('match_over = ["strategy"]', "")
    assert run_study(plan_of(read_study(written(tmp_path, text))), tmp_path / "out", echo=said.append).exit_code == 4
    assert any("cell lora-20, final, failed: its training failed" in line for line in said)
    rows = pq.read_table(tmp_path / "out" / "table.parquet").to_pylist()
    assert {row["cell"] for row in rows} == {"full-20", "full-50"}
    text = (tmp_path / "out" / "study.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;no memory&lt;/b&gt;" in text


def test_a_study_that_is_run_again_ends_in_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeCommands()
    monkeypatch.setattr(Commands, "rote", lambda self, *words: fake(self, *words))
    plan = plan_of(read_study(written(tmp_path)))
    run_study(plan, tmp_path / "out", echo=lambda _: None)
    before = (tmp_path / "out" / "table.csv").read_bytes()
    run_study(plan, tmp_path / "out", echo=lambda _: None)
    assert (tmp_path / "out" / "table.csv").read_bytes() == before


def test_what_no_other_point_beats_is_on_the_frontier() -> None:
    assert non_dominated([(1.0, 1.0), (1.0, 1.0), (2.0, 0.5), (2.0, 2.0)]) == [True, True, True, False]
    assert non_dominated([]) == []


def test_documented_examples() -> None:
    assert doctest.testmod(page).failed == 0


@pytest.mark.parametrize("path", sorted(STUDIES.rglob("*.toml")), ids=lambda p: p.relative_to(STUDIES).as_posix())
def test_shipped_studies_can_be_planned_without_a_network(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", str(path), "--dry-run"]) == 0
    said = capsys.readouterr().err
    is_full = path.parent.name == "full"
    assert ("left: more than" in said) == is_full
    sources = {model.config.corpus.members for model in plan_of(read_study(path)).models}
    assert all(Path(source).is_file() != is_full for source in sources)


def test_every_shipped_study_has_a_small_and_a_full_version() -> None:
    full = {path.name for path in (STUDIES / "full").glob("*.toml")}
    assert full == {path.name for path in STUDIES.glob("*.toml")} - {"strategies.toml"}


def test_of_named_combinations_only_those_are_made(tmp_path: Path) -> None:
    more = """
[[only]]
strategy = ["full"]

[[only]]
strategy = "lora"
prefix = ["50"]

[[without]]
strategy = ["full", "lora"]
prefix = "20"

[[attend]]
strategy = "lora"
"""
    cells = read_study(written(tmp_path, FILE + more)).cells
    assert [(cell.name, cell.attend) for cell in cells] == [("full-50", False), ("lora-50", True)]
    with pytest.raises(ConfigError, match=r"\[\[only\]\]: no factor 'strateg' \(did you mean 'strategy'\?\)"):
        read_study(written(tmp_path, FILE + '\n[[only]]\nstrateg = "lora"\n'))
    with pytest.raises(ConfigError, match=r"\[\[attend\]\] must hold factor = level, found 'lora'"):
        read_study(written(tmp_path, 'attend = "lora"\n' + FILE))


def test_files_that_are_mixed_in_may_be_shipped_ones(tmp_path: Path) -> None:
    text = FILE.replace('finetuning.strategy = "full"', 'finetuning.mix = ["shipped:qa", "owner/name"]')
    config = read_study(written(tmp_path, text)).cells[0].config
    assert config.finetuning.mix == (str(demonstration.records("qa")), "owner/name")


def test_attention_is_looked_at_after_the_audits_and_its_failure_keeps_the_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake, said = FakeCommands(fails="attend"), []
    monkeypatch.setattr(Commands, "rote", lambda self, *words: fake(self, *words))
    text = FILE + '\n[[attend]]\nstrategy = "full"\nprefix = "20"\n'
    outcome = run_study(plan_of(read_study(written(tmp_path, text))), tmp_path / "out", echo=said.append)
    assert [name for name, _ in fake.calls].count("attend") == 1
    assert fake.calls[-1][0] == "attend"
    assert outcome.exit_code == 4
    assert any("cell full-20: its attention failed" in line for line in said)
    assert {row.cell for row in outcome.rows} == {"full-20", "full-50", "lora-20", "lora-50"}


def test_several_studies_get_a_folder_each_and_one_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake = FakeCommands()
    monkeypatch.setattr(Commands, "rote", lambda self, *words: fake(self, *words))
    first = written(tmp_path)
    (tmp_path / "second.toml").write_text(FILE.replace("Strategies", "More"), encoding="utf-8")
    out = tmp_path / "out"
    assert main(["study", str(first), str(tmp_path / "second.toml"), "--out", str(out)]) == 0
    text = (out / "study.html").read_text(encoding="utf-8")
    assert "Strategies &lt;script&gt; · More &lt;script&gt;" in text
    links = re.findall(r'href="([^"#]+)"', text)
    assert links
    assert all((out / link).exists() for link in links)
    assert {link.split("/")[0] for link in links} == {"strategies", "second"}
    assert (out / "second" / "table.csv").exists()
    assert main(["study", str(first), str(first)]) == 2
    assert "different names, found strategies, strategies" in capsys.readouterr().err


def test_a_study_that_is_killed_anywhere_goes_on_and_ends_in_the_same_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(read_study(written(tmp_path)))

    def table(out: Path, fake: FakeCommands) -> bytes:
        monkeypatch.setattr(Commands, "rote", lambda self, *words: fake(self, *words))
        run_study(plan, out, echo=lambda _: None)
        return (out / "table.csv").read_bytes()

    whole = table(tmp_path / "whole", FakeCommands())
    for commands in range(8):
        out = tmp_path / str(commands)
        with pytest.raises(KeyboardInterrupt):
            table(out, FakeCommands(killed_after=commands))
        assert table(out, FakeCommands()) == whole


@pytest.mark.slow
def test_a_real_study_that_is_killed_goes_on_and_ends_in_the_same_table(tmp_path: Path) -> None:
    text = FILE.replace("limit = 20", "limit = 6\n[settings.finetuning]\nepochs = 2\nwarmup_steps = 0")
    study = written(tmp_path, text.replace("shipped:decoder", "shipped:decoder-180k"))

    def start(out: str) -> subprocess.Popen[bytes]:
        words = [sys.executable, "-m", "rote.cli", "study", str(study), "--out", str(tmp_path / out)]
        return subprocess.Popen(words, stderr=subprocess.DEVNULL, start_new_session=True)

    killed = start("killed")
    while not list((tmp_path / "killed").glob("audits/*/prompts.jsonl")):
        assert killed.poll() is None
        time.sleep(0.2)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert not (tmp_path / "killed" / "table.csv").exists()
    assert start("killed").wait() == 0
    assert start("whole").wait() == 0
    assert (tmp_path / "killed" / "table.csv").read_bytes() == (tmp_path / "whole" / "table.csv").read_bytes()


def test_the_page_shows_the_frontier_the_factors_and_how_the_models_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeCommands()
    monkeypatch.setattr(Commands, "rote", lambda self, *words: fake(self, *words))
    text = FILE.replace("lora = {", '"lora <b>" = {').replace('"20"', '"20 <i>"')
    run_study(plan_of(read_study(written(tmp_path, text))), tmp_path / "out", echo=lambda _: None)
    page = (tmp_path / "out" / "study.html").read_text(encoding="utf-8")
    assert "<b>-" not in page
    assert "<i>" not in page
    assert "Exact memorisation against utility" in page
    assert re.search(r'<ol class="best">\s*<li><b><bdi>lora &lt;b&gt;</bdi>', page)
    assert "By <bdi>strategy</bdi>" in page
    assert "By <bdi>prefix</bdi>" in page
    assert "Loss by pass" in page
    assert re.search(r"full</bdi></th><td[^>]*>10 of 10</td>", page)


def test_what_was_learned_is_a_share_of_the_loss_before() -> None:
    made = dataclasses.replace(training("full", (3.0, 2.0)), base_members_loss=4.0)
    assert [share_learned(made, epoch) for epoch in made.epochs] == [0.25, 0.5]
    assert share_learned(training("full", (3.0,)), made.epochs[0]) is None


def test_weights_that_all_grow_by_a_tenth_moved_by_a_tenth(tmp_path: Path) -> None:
    base = str(demonstration.MODELS["decoder-180k"])
    assert weight_change(base, base) == 0.0
    loaded = load_model(base)
    with torch.no_grad():
        for weight in loaded.model.parameters():
            weight *= 1.1
    loaded.model.save_pretrained(tmp_path / "grown")
    loaded.tokenizer.save_pretrained(tmp_path / "grown")
    assert weight_change(str(tmp_path / "grown"), base) == pytest.approx(0.1, rel=1e-5)
    assert weight_change(str(demonstration.DECODER), base) is None
