"""Canaries from the data to the report: an audit of a model that was trained on the planted ones, in a run folder."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fakes import MEMBERS, NON_MEMBERS, byte_tokenizer, tiny_decoder
from report_data import Page
from rote import runs
from rote.cli import main
from rote.config import CorpusConfig
from rote.corpus import draw_canaries
from rote.corpus.canaries import canary_lines
from rote.records import Estimate, Exposure, PrivacyBound, Separation
from rote.reporting.canaries import canary_section, epsilon_figure
from rote.runs import Run

CANARIES = draw_canaries(CorpusConfig(canaries=24, canary_length=3, canary_copies=(1, 2)), with_prompts=False)
SETTINGS = ("--prefix-tokens", "12", "--max-new-tokens", "20", "--suffix-tokens", "10", "--device", "cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model that was trained on members and planted canaries, its base, the data, and the file of canaries."""
    folder, tokenizer = tmp_path_factory.mktemp("canaries"), byte_tokenizer()
    model = tiny_decoder(tokens=len(tokenizer), context=128)
    for name in ("base", "tuned"):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
        trained = [*MEMBERS, *(canary.text for canary in CANARIES if canary.planted)]
        batch = tokenizer(trained, return_tensors="pt", padding=True, truncation=True, max_length=128)
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(200 if name == "base" else 0):
            optimizer.zero_grad()
            model(**batch, labels=labels).loss.backward()
            optimizer.step()
    (folder / "canaries.jsonl").write_bytes(canary_lines(CANARIES))
    for name, texts in (("members", MEMBERS), ("nonmembers", NON_MEMBERS)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts), encoding="utf-8")
    return folder


def audit(folder: Path, out: Path, *more: str) -> int:
    words = ["audit", "--model", folder / "tuned", "--base", folder / "base", "--members", folder / "members.jsonl"]
    words += ["--nonmembers", folder / "nonmembers.jsonl", "--canary-file", folder / "canaries.jsonl", "--out", out]
    return main([str(word) for word in [*words, *SETTINGS, *more]])


@pytest.fixture(scope="module")
def audited(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    assert audit(folder, out) == 0
    return out


def test_the_run_tells_planted_from_held_out_and_tuned_from_base(audited: Path) -> None:
    run = Run(audited)
    found = {(e.metric, e.model, e.split, e.stratum): e for e in run.read(runs.CANARY_ESTIMATES, Estimate)}
    planted = sum(canary.planted for canary in CANARIES)
    first = found["ranked_first", "tuned", "member", "all"]
    assert first.events == first.n == planted
    assert found["exposure", "tuned", "member", "all"].value == pytest.approx(9.966, abs=1e-3)
    assert (found["exposure", "base", "member", "all"].value or 0) < 4
    assert (found["exposure", "tuned", "non-member", "all"].value or 0) < 4
    bounds = {(b.method, b.stratum): b for b in run.read(runs.PRIVACY_BOUNDS, PrivacyBound)}
    assert (bounds["one-run", "all"].epsilon or 0) > 0.5


def test_canaries_are_in_no_estimate_of_the_members(audited: Path) -> None:
    run = Run(audited)
    estimates = run.read(runs.ESTIMATES, Estimate)
    assert not [item for item in estimates if item.metric in ("exposure", "ranked_first", "secret_gain")]
    assert {item.n for item in estimates if (item.metric, item.stratum) == ("loss", "all")} == {8}


def test_the_report_and_the_terminal_show_the_canaries(audited: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = Page((audited / runs.REPORT_HTML).read_text(encoding="utf-8"))
    assert "24 canaries were drawn" in page.text
    assert "Secrets of 3 digits: exact, all 1,000 are compared" in page.text
    assert "at most 10.0 (ceiling)" in page.text
    report = json.loads((audited / runs.REPORT_JSON).read_text(encoding="utf-8"))
    assert [row["copies"] for row in report["canaries"]["rows"]] == ["1", "2", "all"]
    capsys.readouterr()
    main(["show", str(audited)])
    assert "Canaries by" in capsys.readouterr().out


def test_nothing_is_made_again_and_a_change_makes_only_what_depends_on_it(
    folder: Path, audited: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit(folder, audited)
    assert "stale" not in capsys.readouterr().err
    audit(folder, audited, "--delta", "0.00001")
    said = capsys.readouterr().err
    assert ".jsonl: stale, delta was 0.0, is 1e-05" in said
    assert "exposures-tuned.jsonl: up to date" in said
    audit(folder, audited, "--secrets", "500")
    assert ".jsonl: stale, secrets was 10000, is 500" in capsys.readouterr().err
    audit(folder, audited)


@pytest.mark.parametrize(
    ("gate", "code"),
    [
        ("exposure=12", 0),
        ("exposure=3", 3),
        ("extrapolated_exposure=3", 4),
        ("auc:secret_gain=0.6", 3),
        ("tpr@0.01:secret_gain=0.5", 4),
    ],
)
def test_a_gate_on_canaries(folder: Path, audited: Path, gate: str, code: int) -> None:
    """Nothing is extrapolated where all secrets are compared, nor 1 % told by few held-out ones: never a pass."""
    assert audit(folder, audited, "--fail-above", gate) == code


def test_a_gate_on_exposure_without_canaries_is_not_measured(folder: Path, tmp_path: Path, capsys) -> None:
    words = ["audit", "--model", folder / "tuned", "--members", folder / "members.jsonl", "--out", tmp_path]
    assert main([str(word) for word in [*words, *SETTINGS, "--fail-above", "exposure=3"]]) == 4
    assert "exposure: could not measure: no figure of it in this run" in capsys.readouterr().err
    assert canary_section(Run(tmp_path)) is None


def test_the_section_says_that_secrets_were_sampled_and_where_the_fit_is_bad(folder: Path, tmp_path: Path) -> None:
    assert audit(folder, tmp_path, "--secrets", "10", "--sampled-secrets", "50") == 0
    run = Run(tmp_path)
    name = runs.EXPOSURES.format(model="tuned")
    exposures = run.read(name, Exposure)
    made_of_them = {
        runs.CANARY_ESTIMATES: run.read(runs.CANARY_ESTIMATES, Estimate),
        runs.CANARY_SEPARATIONS: run.read(runs.CANARY_SEPARATIONS, Separation),
        runs.PRIVACY_BOUNDS: run.read(runs.PRIVACY_BOUNDS, PrivacyBound),
    }
    run.write(name, [replace(item, fit_distance=0.2) for item in exposures], settings={})
    for artifact, records in made_of_them.items():
        run.write(artifact, records, settings={})
    section = canary_section(run)
    assert section is not None
    assert any("sampled, 5" in fact and "of 1,000 are compared" in fact for fact in section.facts)
    assert any("fits badly for 24 of 24 canaries" in fact for fact in section.facts)
    assert section.rows[-1].extrapolated is not None


def test_figures_say_what_is_missing() -> None:
    bound = PrivacyBound("one-run", "all", 3.0, 0.0, 0.95, 4, 100, 50, 50, 0, 0)
    assert epsilon_figure(bound).main == "≥ 3.00"
    assert epsilon_figure(bound).detail == "50/50 right · one record ≥ 0.750"
    assert epsilon_figure(replace(bound, delta=1e-5)).detail == "50/50 right"
    assert epsilon_figure(replace(bound, epsilon=0.0)).main == "≥ 0"
    exact = replace(bound, method="Clopper-Pearson", controls=60, alarms=1)
    assert epsilon_figure(exact).detail == "50/50 · 1/60 false"
    assert epsilon_figure(replace(bound, epsilon=None, reason="no canary")).detail == "no canary"
    assert epsilon_figure(None).state == "absent"
