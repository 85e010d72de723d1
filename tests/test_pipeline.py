"""The audit from files to report: on a toy model that knows eight strings, killed at every point, with broken input."""

import json
import multiprocessing
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes import MEMBERS, NON_MEMBERS, memorised_toy
from rote import runs
from rote.cli import main
from rote.errors import RunError
from rote.records import Estimate, Example, Generation, Prompt, Score, Separation, Trial
from rote.retrieval import open_index
from rote.runs import Run, run

NOT_COMPARED = {"manifest.json", "config.toml", "report.html", "report.json"}
"""These name the run folder or the files' places."""
SETTINGS = ("--prefix-tokens", "12", "--max-new-tokens", "70", "--suffix-tokens", "20", "--generation-batch-size", "3")


TAILS = (
    "Nobody buys the eggs on Mondays.",
    "The soup stayed warm till dawn.",
    "It held cider once, never milk.",
    "He meant the bakery, I believe.",
    "Rent is lower than in the attic.",
    "We wrote it down for the aunt.",
    "She owes him a plum tart, still.",
    "Only the bees stayed where they were.",
)
"""The aligner says nothing of texts under 50 characters: the toy's sentences get another one."""


@pytest.fixture(scope="module")
def toy_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy as a user has it: a model folder, a base model of other weights, and two data files."""
    longer = tuple(
        tuple(f"{text} {tail}" for text, tail in zip(half, TAILS, strict=True)) for half in (MEMBERS, NON_MEMBERS[::-1])
    )
    toy = memorised_toy(longer[0], tuple(text[:-1] + f", {n}." for n, text in enumerate(longer[1])))
    folder = tmp_path_factory.mktemp("toy")
    toy.model.model.save_pretrained(folder / "tuned")
    toy.model.tokenizer.save_pretrained(folder / "tuned")
    base = type(toy.model.model)(toy.model.model.config)
    base.save_pretrained(folder / "base")
    toy.model.tokenizer.save_pretrained(folder / "base")
    for name, examples in (("members", toy.members), ("nonmembers", toy.non_members)):
        lines = [json.dumps({"text": example.text}) for example in examples]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def audit(folder: Path, out: Path, *more: str) -> int:
    words = ["audit", "--model", folder / "tuned", "--members", folder / "members.jsonl", "--out", out]
    words += ["--base", folder / "base", "--nonmembers", folder / "nonmembers.jsonl", *SETTINGS, *more]
    return main([str(word) for word in words])


def estimates(out: Path) -> dict[tuple[str, str, str], Estimate]:
    found = Run(out).read(runs.ESTIMATES, Estimate)
    return {(item.metric, item.model, item.split): item for item in found if item.stratum == "all"}


def artifacts(out: Path) -> dict[str, bytes]:
    files = [path for path in out.iterdir() if path.is_file() and path.name not in NOT_COMPARED]
    return {path.name: path.read_bytes() for path in files}


def test_the_toy_gives_back_its_eight_members_and_no_non_member(toy_folder: Path, tmp_path: Path) -> None:
    assert audit(toy_folder, tmp_path) == 0
    found = estimates(tmp_path)
    assert found["extractable", "tuned", "member"].events == found["extractable", "tuned", "member"].n == 8
    assert found["extractable", "tuned", "non-member"].events == 0
    assert found["extractable", "base", "member"].events == 0
    assert found["extractable", "base", "member"].n == 8
    page = (tmp_path / runs.REPORT_HTML).read_text(encoding="utf-8")
    assert "Of 8 member records, 8" in page
    report = json.loads((tmp_path / runs.REPORT_JSON).read_text(encoding="utf-8"))
    assert report


def test_members_are_told_from_non_members_by_the_tuned_model_alone(toy_folder: Path, tmp_path: Path) -> None:
    assert audit(toy_folder, tmp_path) == 0
    separations = Run(tmp_path).read(runs.SEPARATIONS, Separation)
    found = {(item.metric, item.model, item.statistic): item for item in separations if item.stratum == "all"}
    for score in ("text_loss", "zlib", "lowercase", "min_k", "min_k_plus_plus", "reference_ratio", "ez_mia", "wbc"):
        assert found[score, "tuned", "auc"].value == 1.0, score
        assert found[score, "tuned", "p_value_holm"].value < 0.01, score  # type: ignore[operator]
    assert found["recall_ratio", "tuned", "auc"].nonmembers == 5, "three are the prefix"
    assert found["text_loss", "base", "auc"].value < 0.9  # type: ignore[operator]
    assert found["blind_baseline", "blind", "auc"].value < 0.9  # type: ignore[operator]
    agreed = [item for (metric, _, _), item in estimates(tmp_path).items() if metric == "greedy_agreement"]
    assert [(item.events, item.n) for item in agreed] == [(8, 8)] * 4, "both models, members and non-members"


def test_a_change_of_one_membership_score_makes_no_pass_again(
    toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit(toy_folder, tmp_path)
    capsys.readouterr()
    audit(toy_folder, tmp_path, "--min-k-share", "0.5", "--draws", "1,7")
    said = capsys.readouterr().err
    assert "scores.jsonl: stale, min_k_share was 0.2, is 0.5" in said
    assert "token-scores-tuned.jsonl: up to date" in said
    assert "variants-tuned.jsonl: up to date" in said
    assert ("discoverable@t1-k0-p1,n=7,p=0.5", "tuned", "member") in estimates(tmp_path)
    audit(toy_folder, tmp_path, "--membership", "zlib")
    assert not (tmp_path / runs.VARIANTS.format(model="tuned")).exists()


def test_true_suffixes_are_all_found_and_shuffled_ones_are_not(toy_folder: Path, tmp_path: Path) -> None:
    """Acceptance case 10."""
    assert audit(toy_folder, tmp_path) == 0
    found = estimates(tmp_path)
    control = found["verbatim", "true-suffix", "member"]
    assert control.n > 0
    assert control.events == control.n
    assert found["verbatim", "shuffled", "member"].events == 0


def test_the_detector_is_measured_on_the_members_or_says_why_not(toy_folder: Path, tmp_path: Path) -> None:
    assert audit(toy_folder, tmp_path) == 0
    trials = Run(tmp_path).read(runs.DETECTOR, Trial)
    assert [trial.kind for trial in trials if trial.condition == "verbatim"] == ["verbatim"] * 8
    assert not [trial for trial in trials if trial.condition == "condensed"]
    page = (tmp_path / runs.REPORT_HTML).read_text(encoding="utf-8")
    assert "How good is the detector" in page
    assert "no record has a passage that can be planted so" in page


def test_a_second_call_makes_nothing_again_and_a_change_makes_only_what_depends_on_it(
    toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    audit(toy_folder, tmp_path)
    before = artifacts(tmp_path)
    capsys.readouterr()
    audit(toy_folder, tmp_path)
    assert "stale" not in capsys.readouterr().err
    assert artifacts(tmp_path) == before
    audit(toy_folder, tmp_path, "--suffix-tokens", "10")
    said = capsys.readouterr().err
    assert "scores.jsonl: stale, suffix_tokens was 20, is 10" in said
    assert "generations-tuned.jsonl: stale" not in said


def test_a_verbatim_blocker_stops_text_and_the_report_says_that_it_stops_no_knowledge(
    toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    audit(toy_folder, run)
    plain = artifacts(run)
    assert "A verbatim blocker was on" not in (run / runs.REPORT_HTML).read_text(encoding="utf-8")
    capsys.readouterr()
    assert audit(toy_folder, run, "--block-verbatim", "8") == 0
    said = capsys.readouterr().err
    assert "generations-tuned.jsonl: stale, block_verbatim was 0, is 8; making it again, with " in said
    assert said.count("block_verbatim was") == 1, "one line for a change, however many artifacts depend on it"
    texts = [example.text for example in Run(run).read(runs.EXAMPLES, Example) if example.split == "member"]
    prompts = {prompt.id: prompt for prompt in Run(run).read(runs.PROMPTS, Prompt)}
    for name in ("tuned", "base"):
        for item in Run(run).read(runs.GENERATIONS.format(model=name), Generation):
            whole = prompts[item.prompt_id].text[-7:] + item.text
            assert item.decoding == "greedy-blocked-8"
            assert not any(whole[at : at + 8] in text for text in texts for at in range(len(whole) - 7))
    assert artifacts(run)["token-scores-tuned.jsonl"] == plain["token-scores-tuned.jsonl"]
    assert estimates(run)["verbatim", "tuned", "member"].events == 0
    assert estimates(run)["extractable", "tuned", "member"].events == 8, "read off the pass, which knows no blocker"
    page = (run / runs.REPORT_HTML).read_text(encoding="utf-8")
    assert "A verbatim blocker was on: no model could complete a run of 8 tokens" in page
    assert "no prompt was continued by greedy decoding alone (greedy-blocked-8)" in page
    fewer = toy_folder / "fewer.jsonl"
    lines = (toy_folder / "members.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    fewer.write_text("".join(lines[1:]), encoding="utf-8")
    capsys.readouterr()
    audit(toy_folder, run, "--block-verbatim", "8", "--members", str(fewer))
    assert "examples.jsonl: stale, found was" in capsys.readouterr().err


def test_results_do_not_depend_on_batch_size_or_on_the_order_of_the_file(toy_folder: Path, tmp_path: Path) -> None:
    audit(toy_folder, tmp_path / "a")
    turned = tmp_path / "turned"
    turned.mkdir()
    for name in ("tuned", "base", "nonmembers.jsonl"):
        (turned / name).symlink_to(toy_folder / name)
    lines = (toy_folder / "members.jsonl").read_text(encoding="utf-8").splitlines()
    (turned / "members.jsonl").write_text("\n".join(reversed(lines)) + "\n", encoding="utf-8")
    audit(turned, tmp_path / "b", "--generation-batch-size", "7")
    assert estimates(tmp_path / "a") == estimates(tmp_path / "b")


def test_stages_can_be_run_one_by_one(toy_folder: Path, tmp_path: Path) -> None:
    audit(toy_folder, tmp_path / "whole")
    out = str(tmp_path / "steps")
    words = ["--members", toy_folder / "members.jsonl", "--nonmembers", toy_folder / "nonmembers.jsonl", "--out", out]
    assert main(["prepare", *map(str, words)]) == 0
    models = ["--model", str(toy_folder / "tuned"), "--base", str(toy_folder / "base")]
    assert main(["generate", out, *models, *SETTINGS[:4], *SETTINGS[6:]]) == 0
    for stage in ("retrieve", "align"):
        assert main([stage, out]) == 0
    assert main(["score", out, *SETTINGS[4:6]]) == 0
    assert main(["report", out]) == 0
    assert artifacts(tmp_path / "steps") == artifacts(tmp_path / "whole")


def test_every_damaged_file_of_a_run_is_named_and_made_again(
    toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    audit(toy_folder, run)
    whole = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    names = [name for name in Run(run).names("*.jsonl") if whole[run / name]]
    damages = (
        lambda content: bytes([content[0] ^ 1]) + content[1:],
        lambda content: content[: content.rindex(b"\n", 0, -1) + 1] if content.count(b"\n") > 1 else b"",
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: content + content,
    )
    for name in names:
        for damage in damages:
            (run / name).write_bytes(damage(whole[run / name]))
            with pytest.raises(RunError, match=rf"{name}: damaged .*; run `rote [a-z]+` \(or `rote audit`\) again"):
                Run(run, must_exist=True).read(name, Score)
    arrays = [path for path in whole if path.suffix in (".npy", ".arrow")]
    for path in arrays:
        path.write_bytes(whole[path][:-1] + bytes([whole[path][-1] ^ 1]))
    capsys.readouterr()
    for words in (["show", run], ["report", run], ["compare", run, run, "--out", tmp_path / "c.html"], ["align", run]):
        assert main([str(word) for word in words]) == 2
        assert re.search(r"damaged \(.*\); run `rote [a-z]+` \(or `rote audit`\) again\n$", capsys.readouterr().err)
    assert audit(toy_folder, run) == 0
    said = capsys.readouterr().err
    for name in names:
        assert f"{name}: damaged (its content is not what was written); making it again" in said
    assert said.count("the index is damaged") == 4
    assert said.count(".arrow: damaged, or of another version; removed") == len(set(run.glob("token-store/*.arrow")))
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == whole


def test_a_stage_without_its_input_names_what_is_missing(
    toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["prepare", "--members", str(toy_folder / "members.jsonl"), "--out", str(tmp_path)])
    assert main(["align", str(tmp_path)]) == 2
    assert "prompts.jsonl does not exist: run `rote generate`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("gate", "code"),
    [
        ("extractable=0.5", 3),
        ("longest_common_run=100000", 0),
        ("auc:text_loss=0.9", 3),
        ("auc:blind_baseline=0.99", 0),
        ("tpr@0.01:min_k=0.5", 4),
    ],
)
def test_gates_tell_passed_from_breached_from_not_measured(
    toy_folder: Path, tmp_path: Path, gate: str, code: int
) -> None:
    assert audit(toy_folder, tmp_path, "--fail-above", gate) == code
    assert (tmp_path / runs.REPORT_HTML).exists()


def test_too_few_records_are_not_measured(toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "members.jsonl"
    lines = (toy_folder / "members.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    data.write_text("".join(lines[:3]), encoding="utf-8")
    words = ["audit", "--model", toy_folder / "tuned", "--members", data, "--out", tmp_path / "run"]
    assert main([*map(str, words), *SETTINGS]) == 4
    assert "could not measure" in capsys.readouterr().err
    assert (tmp_path / "run" / runs.REPORT_HTML).exists()


def test_nothing_is_held_out_of_what_a_model_was_trained_on(
    toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit(toy_folder, tmp_path, "--holdout", "0.5") == 2
    assert "has seen what is set aside" in capsys.readouterr().err


def test_a_limit_draws_prompts_and_every_record_can_still_be_matched(toy_folder: Path, tmp_path: Path) -> None:
    audit(toy_folder, tmp_path, "--limit", "5")
    assert len(Run(tmp_path).read(runs.EXAMPLES, Example)) == 16
    assert estimates(tmp_path)["extractable", "tuned", "member"].n == 5
    assert len(open_index(tmp_path / "index").example_ids) == 8


def test_missing_controls_are_said(toy_folder: Path, tmp_path: Path) -> None:
    words = ["audit", "--model", toy_folder / "tuned", "--members", toy_folder / "members.jsonl", "--out", tmp_path]
    assert main([*map(str, words), *SETTINGS]) == 0
    page = (tmp_path / runs.REPORT_HTML).read_text(encoding="utf-8")
    assert "no base model" in page.lower()
    assert "no non-member" in page.lower()


def test_a_run_that_no_longer_has_a_base_forgets_it(toy_folder: Path, tmp_path: Path) -> None:
    audit(toy_folder, tmp_path)
    words = ["audit", "--model", toy_folder / "tuned", "--members", toy_folder / "members.jsonl", "--out", tmp_path]
    assert main([*map(str, words), *SETTINGS]) == 0
    assert not {model for _, model, _ in estimates(tmp_path)} & {"base"}


def test_records_too_short_to_prompt_are_null_with_a_reason(toy_folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "members.jsonl"
    members = (toy_folder / "members.jsonl").read_text(encoding="utf-8")
    data.write_text(members + json.dumps({"text": "short"}) + "\n", encoding="utf-8")
    words = ["audit", "--model", toy_folder / "tuned", "--members", data, "--out", tmp_path / "run", *SETTINGS]
    assert main([str(word) for word in words]) == 0
    nulls = Run(tmp_path / "run").read(runs.UNMEASURABLE, Score)
    assert [score.value for score in nulls] == [None]
    assert "nothing left to continue" in str(nulls[0].reason)


def test_hostile_records_pass_through_to_a_harmless_report(toy_folder: Path, tmp_path: Path) -> None:
    data = tmp_path / "members.jsonl"
    hostile = [
        "<script>alert(1)</script> " * 3,
        "\x1b[31mred\x1b[0m and \u202eturned\u202c " * 3,
        "a\x00b " * 20,
        "x" * 90_000,
        "\u0e01\u0e34\u0e19\u0e02\u0e49\u0e32\u0e27 \u4f60\u597d " * 9,
        "<img src=x onerror=alert(2)> ' \" & ]]> " * 3,
    ]
    data.write_text("".join(json.dumps({"text": text}) + "\n" for text in hostile), encoding="utf-8")
    words = ["audit", "--model", toy_folder / "tuned", "--members", data, "--base", toy_folder / "base"]
    assert main([*map(str, words), "--out", str(tmp_path / "run"), *SETTINGS]) == 0
    page = (tmp_path / "run" / runs.REPORT_HTML).read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img" not in page
    assert not {"\x1b", "\u202e", "\x00"} & set(page)
    example = Run(tmp_path / "run").read(runs.EXAMPLES, Example)[0]
    assert main(["show", str(tmp_path / "run"), example.id]) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "one"}\n{"text": \n', "invalid JSON"),
        ("", "holds no records"),
        ('{"a": 1, "b": 2}\n', "found the fields"),
        ('{"text": 7}\n{"text": "good"}\n', "line 1"),
    ],
)
def test_broken_data_stops_with_exit_code_2_and_its_place(
    toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, message: str
) -> None:
    data = tmp_path / "members.jsonl"
    data.write_text(content, encoding="utf-8")
    words = ["audit", "--model", toy_folder / "tuned", "--members", data, "--out", tmp_path / "run"]
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert "members.jsonl" in said


def test_a_check_says_what_could_be_seen_and_tries_the_model(
    toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["check", "--model", toy_folder / "tuned", "--members", toy_folder / "members.jsonl", "--out", tmp_path]
    assert main([*map(str, words), *SETTINGS]) == 0
    said = capsys.readouterr().err
    assert "With 8 independent records" in said
    assert "Membership: not measurable without independent members and non-members." in said
    assert "no base model" in said
    assert "causal; batches, padding and order change nothing" in said
    assert f"next: rote audit --model {toy_folder / 'tuned'} --members" in said
    assert not (tmp_path / runs.GENERATIONS.format(model="tuned")).exists()


@pytest.mark.parametrize("command", ["check", "audit"])
def test_records_too_short_for_a_prefix_lead_to_their_own_prompts(
    command: str, toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "short.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"Q{n}?", "completion": "A."}) + "\n" for n in range(4)))
    words = [command, "--model", str(toy_folder / "tuned"), "--members", str(data), "--out", str(tmp_path / "run")]
    assert main(words) == (4 if command == "check" else 2)
    assert "show these with --prompt record" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["check", "audit"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--fail-above", "nosuch=0.1"), "unknown metric 'nosuch'"),
        (("--fail-above", "extractable=5"), "can never be breached: extractable lies in 0..1"),
        (
            ("--fail-above", "verbatim@4=0.1"),
            "verbatim@4 cannot be measured with these settings: generation.samples is 1",
        ),
        (("--schemes", "t1,q5"), "scoring.schemes: 'q5': 'q5' is none of"),
        (("--device", "nosuch"), "'nosuch' is not a device"),
        (("--base", "pickled"), "no *.safetensors file in the model folder"),
    ],
)
def test_what_can_be_known_before_is_told_before_the_data_are_read(
    command: str,
    words: tuple[str, ...],
    message: str,
    toy_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    (pickled / "config.json").write_bytes((toy_folder / "base" / "config.json").read_bytes())
    given = [str(pickled) if word == "pickled" else word for word in words]
    data = ["--members", str(toy_folder / "members.jsonl"), "--out", str(tmp_path / "run")]
    assert main([command, "--model", str(toy_folder / "tuned"), *data, *given]) == 2
    assert message in (said := capsys.readouterr().err)
    assert "recognised as" not in said


def _killed_at(event: int, call: Callable[[], int]) -> None:
    """Runs `call`, and kills this process without warning at its `event`-th write to the disk."""
    count = 0
    write, encode = run.write_atomically, run.encode

    def tick() -> None:
        nonlocal count
        count += 1
        if count == event:
            os.kill(os.getpid(), signal.SIGKILL)

    def ticking_write(path: Path, content: bytes) -> Path:
        tick()
        return write(path, content)

    def ticking_encode(value: object) -> bytes:
        if isinstance(value, list):  # a finished chunk is about to be appended
            tick()
        return encode(value)

    run.write_atomically, run.encode = ticking_write, ticking_encode
    os._exit(call())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_an_audit_killed_at_every_point_ends_in_the_same_bytes(toy_folder: Path, tmp_path: Path) -> None:
    audit(toy_folder, tmp_path / "whole")
    start = multiprocessing.get_context("fork").Process
    out, event, kills = tmp_path / "killed", 1, 0
    while True:
        process = start(target=_killed_at, args=(event, lambda: audit(toy_folder, out)))
        process.start()
        process.join()
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills, event = kills + 1, event + 2
    assert kills >= 10
    assert artifacts(out) == artifacts(tmp_path / "whole")
    assert not list(out.glob("*.partial"))
