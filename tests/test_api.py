"""The Python face: lazy names, objects in memory in place of paths, results as a notebook wants them."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import peft
import pytest
import torch

import rote
from fakes import MEMBERS, NON_MEMBERS, Toy, memorised_toy
from rote import runs
from rote.api import Shown
from rote.errors import BREACHED, ConfigError, DataError, ModelError, RunError
from rote.records import Example
from rote.reporting.cases import Case
from rote.runs.locks import OWNER
from untouched import untouched

SETTINGS = {"prefix_tokens": 12, "max_new_tokens": 70, "suffix_tokens": 20, "device": "cpu"}
TAIL = " The soup stayed warm till dawn, and nobody at the inn would say why."
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'</td></div> \u202e\x1b[31m"
NAMES = [
    "audit",
    "check",
    "align",
    "finetune",
    "AuditConfig",
    "load_config",
    "Run",
    "Estimate",
    "Match",
    "RoteError",
    "METRICS",
    "statistics",
]


@pytest.fixture(scope="module")
def longer_toy() -> Toy:
    """The aligner says nothing of texts under 50 characters: the toy's sentences get a tail."""
    return memorised_toy(tuple(text + TAIL[: 40 + n] for n, text in enumerate(MEMBERS)), NON_MEMBERS)


def rows(examples: list[Example]) -> list[dict[str, object]]:
    return [{"text": example.text, "number": number} for number, example in enumerate(examples)]


@pytest.fixture(scope="module")
def audited(longer_toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> rote.Run:
    """The toy, held in memory and in training mode, audited on dictionaries."""
    folder = tmp_path_factory.mktemp("audited")
    model = longer_toy.model.model.train()
    base = type(model)(model.config)
    with untouched(model), untouched(base):
        return rote.audit(
            model=model,
            tokenizer=longer_toy.model.tokenizer,
            base=base,
            members=rows(longer_toy.members),
            nonmembers=rows(longer_toy.non_members),
            out=folder / "run",
            **SETTINGS,
        )


def test_the_package_offers_its_names_and_loads_nothing_until_they_are_used() -> None:
    code = (
        "import sys, rote; assert set(sys.argv[1:]) <= set(dir(rote)) & set(rote.__all__); "
        "heavy = {'torch', 'transformers', 'numpy', 'scipy', 'numba', 'pandas', 'rote.config', 'rote.api'} & set(sys.modules); "
        "assert not heavy, heavy; rote.align; rote.Match; assert 'torch' not in sys.modules; "
        "print(rote.statistics.intervals.wilson(0, 10).high)"
    )
    done = subprocess.run([sys.executable, "-c", code, *NAMES], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("0.277")


@pytest.mark.parametrize("name", rote.__all__)
def test_every_name_is_what_it_says(name: str) -> None:
    assert getattr(rote, name) is getattr(rote, name)


def test_a_name_that_is_not_there_is_no_name_of_the_package() -> None:
    with pytest.raises(AttributeError, match="module 'rote' has no attribute 'adit'"):
        rote.adit  # noqa: B018
    with pytest.raises(AttributeError, match=r"module 'rote\.statistics' has no attribute 'x'"):
        rote.statistics.x  # noqa: B018
    assert "intervals" in dir(rote.statistics)


def test_objects_in_memory_give_what_paths_give(audited: rote.Run, longer_toy: Toy, tmp_path: Path) -> None:
    for name, examples in (("members", longer_toy.members), ("nonmembers", longer_toy.non_members)):
        lines = "".join(json.dumps(row) + "\n" for row in rows(examples))
        (tmp_path / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    held = audited.folder / "held"
    run = rote.audit(
        model=str(held / "tuned"),
        base=held / "base",
        members=tmp_path / "members.jsonl",
        nonmembers=str(tmp_path / "nonmembers.jsonl"),
        out=tmp_path / "run",
        config=rote.AuditConfig(),
        **SETTINGS,
    )
    names = [name for name in run.names("*.jsonl") if not name.startswith(("examples", "soundness", "readings"))]
    assert len(names) > 15
    assert [name for name in names if run.path(name).read_bytes() != audited.path(name).read_bytes()] == []
    ids = [[example.id for example in one.read(runs.EXAMPLES, Example)] for one in (run, audited)]
    assert ids[0] == ids[1]


def test_the_audit_of_a_held_model_finds_what_it_memorised(audited: rote.Run) -> None:
    assert audited.exit_code == 0
    found = {
        (item.metric, item.model, item.split): item
        for item in audited.read(runs.ESTIMATES, rote.Estimate)
        if item.stratum == "all"
    }
    assert found["extractable", "tuned", "member"].events == 8
    assert found["extractable", "base", "member"].events == 0
    assert found["extractable", "tuned", "non-member"].events == 0
    assert "8 (100.0 %" in audited.verdict
    assert not (audited.folder / OWNER).exists(), "the folder is free again"


@pytest.mark.slow
def test_the_same_objects_again_make_nothing_again_and_other_weights_do(
    audited: rote.Run, longer_toy: Toy, tmp_path: Path
) -> None:
    given = {
        "tokenizer": longer_toy.model.tokenizer,
        "members": rows(longer_toy.members)[:6],
        "out": tmp_path / "run",
    }
    model = longer_toy.model.model
    rote.audit(model=model, **given, **SETTINGS)  # type: ignore[arg-type]
    lines, more = list[str](), list[str]()
    rote.audit(model=model, progress=lines.append, **given, **SETTINGS)  # type: ignore[arg-type]
    assert "generations-tuned.jsonl: up to date" in lines
    assert not [line for line in lines if "stale" in line]
    other = type(model)(model.config)
    rote.audit(model=other, progress=more.append, **given, **SETTINGS)  # type: ignore[arg-type]
    assert [line for line in more if "stale, model was" in line]
    assert "generations-tuned.jsonl: up to date" not in more


def test_estimates_are_a_frame_where_pandas_is_else_a_list(audited: rote.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    frame = audited.estimates()
    (row,) = frame.query(
        "metric == 'extractable' and model == 'tuned' and split == 'member' and stratum == 'all'"
    ).to_dict("records")
    assert (row["value"], row["events"], row["n"]) == (1.0, 8, 8)
    assert list(frame.columns) == [field.name for field in dataclasses.fields(rote.Estimate)]
    monkeypatch.setitem(sys.modules, "pandas", None)
    listed = audited.estimates()
    assert isinstance(listed, list)
    assert len(listed) == len(frame)
    assert all(isinstance(item, rote.Estimate) for item in listed)


@pytest.mark.parametrize("metric", ["verbatim", "extractable", "at_least_idea"])
def test_cases_of_a_rate_are_those_that_it_counts(metric: str, audited: rote.Run) -> None:
    wanted = (metric, "tuned", "member", "all")
    (estimate,) = (
        e for e in audited.read(runs.ESTIMATES, rote.Estimate) if (e.metric, e.model, e.split, e.stratum) == wanted
    )
    cases = audited.cases(metric)
    assert len(cases) == estimate.events > 0
    assert {(case.model, case.split) for case in cases} == {("tuned", "member")}


def test_cases_of_other_metrics_come_most_memorised_first(audited: rote.Run) -> None:
    losses = [next(score.value for score in case.scores if score.metric == "loss") for case in audited.cases("loss")]
    assert len(losses) == 8
    assert losses == sorted(losses)
    assert len(audited.cases()) == 8
    with pytest.raises(ConfigError, match=r"no score of this run is called 'verbtim' \(did you mean 'verbatim'\?\)"):
        audited.cases("verbtim")


def test_a_record_is_shown_by_its_id_as_text_and_as_html(audited: rote.Run) -> None:
    case = audited.cases()[0]
    shown = audited.show(case.example_id)
    assert isinstance(shown, Shown)
    assert {one.example_id for one in shown.cases} == {case.example_id}
    assert "Training text: own record" in repr(shown)
    assert "⟦1 " in repr(shown)
    assert "<mark" in shown._repr_html_()
    with pytest.raises(rote.RoteError, match="no example, prompt or generation has the id 'zzz'"):
        audited.show("zzz")


def test_the_report_is_written_anew_and_its_path_returned(audited: rote.Run) -> None:
    before = audited.path(runs.REPORT_HTML).read_bytes()
    audited.path(runs.REPORT_HTML).unlink()
    assert audited.report() == audited.path(runs.REPORT_HTML)
    assert audited.path(runs.REPORT_HTML).read_bytes() == before
    assert not (audited.folder / OWNER).exists()


def is_inert(html: str) -> bool:
    tags = {*re.findall(r"<(\w+)", html)}
    names = {*re.findall(r"<\w+ (\w+)=", html)}
    balanced = all(len(re.findall(f"<{tag}[ >]", html)) == html.count(f"</{tag}>") for tag in tags - {"br"})
    known = {*["div", "b", "span", "p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td", "small", "mark", "br"]}
    return balanced and tags <= known and names <= {"style"} and not re.search("[\u202e\x1b]", html)


def test_a_run_shows_its_verdict_and_headline_and_a_hostile_title_is_inert(audited: rote.Run) -> None:
    html = rote.Run(audited.folder)._repr_html_()
    assert audited.verdict.replace("“", "“") in html.replace("&#x27;", "'")
    assert "Extractable word for word" in html
    assert "Only tuned" in html
    assert is_inert(html)
    assert repr(audited) == f"rote.Run({str(audited.folder)!r})"


def test_hostile_texts_are_inert_wherever_they_stand(audited: rote.Run) -> None:
    (case, *_) = audited.cases()
    hostile = dataclasses.replace(
        case,
        generation_id=EVIL,
        prompt=EVIL,
        generated=EVIL + case.generated,
        texts=tuple(dataclasses.replace(text, text=EVIL + text.text, place=EVIL) for text in case.texts),
    )
    estimate = dataclasses.replace(
        audited.read(runs.ESTIMATES, rote.Estimate)[0], metric=EVIL, reason=EVIL, method=EVIL
    )
    match = dataclasses.replace(case.texts[0].matches[0], example_id=EVIL, kind=EVIL)
    for shown in (hostile, estimate, match):
        html = shown._repr_html_()
        assert is_inert(html), html
        assert "&lt;script&gt;" in html
    assert isinstance(case, Case)


def test_an_estimate_shows_its_value_interval_and_counts_or_why_there_is_none() -> None:
    one = rote.Estimate("verbatim", "tuned", "member", "all", 0.25, 0.1, 0.5, 8, 2, "Wilson", events=2)
    html = one._repr_html_()
    assert "0.25 (0.1 to 0.5)" in html
    assert "2 of 8" in html
    assert "2 could not be measured" in html
    none = dataclasses.replace(one, value=None, low=None, high=None, events=None, reason="too few")
    assert "not measurable" in none._repr_html_()
    assert "too few" in none._repr_html_()
    assert "0.1 to ∞" in dataclasses.replace(one, high=None)._repr_html_()


def test_a_run_that_is_none_is_refused_and_one_without_scores_says_so(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run folder"):
        rote.Run(tmp_path)
    runs.Run(tmp_path).note(seed=0)
    assert "no estimates yet" in rote.Run(str(tmp_path))._repr_html_()


def test_unknown_settings_and_wrong_values_are_named_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        rote.audit(model="x", members="y", out=tmp_path / "run", max_new_token=3, limit="3", decoding="greddy")
    message = str(caught.value)
    assert "unknown setting 'max_new_token' (did you mean 'max_new_tokens'?)" in message
    assert "corpus.limit: must be a whole number, found '3'" in message
    assert (
        "generation.decoding: must be one of 'greedy', 'beam', 'sample', found 'greddy' (did you mean 'greedy'?)"
        in message
    )
    assert not (tmp_path / "run").exists()
    with pytest.raises(ConfigError, match=r"config: expected an AuditConfig .*, found 'audit\.toml'"):
        rote.check(config="audit.toml", out=tmp_path / "run")  # type: ignore[arg-type]


def test_settings_go_on_from_a_config(longer_toy: Toy, tmp_path: Path) -> None:
    config = rote.load_config(None, ["generation.max_new_tokens=7", "corpus.seed=3"])
    lines: list[str] = []
    found = rote.check(
        model=longer_toy.model.model,
        tokenizer=longer_toy.model.tokenizer,
        members=rows(longer_toy.members),
        out=tmp_path / "run",
        config=config,
        progress=lines.append,
        prefix_tokens=9,
        device="cpu",
    )
    assert lines == found
    assert [line for line in found if "Tuned model tried" in line]
    saved = rote.load_config(tmp_path / "run" / "config.toml")
    assert (saved.generation.max_new_tokens, saved.generation.prefix_tokens, saved.corpus.seed) == (7, 9, 3)


def test_nothing_is_shown_unless_asked_and_random_numbers_continue(
    longer_toy: Toy, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    capfd.readouterr()
    before = torch.random.get_rng_state()
    rote.check(
        model=longer_toy.model.model,
        tokenizer=longer_toy.model.tokenizer,
        members=rows(longer_toy.members),
        out=tmp_path / "run",
        **SETTINGS,
    )
    assert torch.equal(before, torch.random.get_rng_state())
    said = capfd.readouterr()
    assert "compiling" in said.err or not said.err
    assert not said.out


def test_what_does_not_belong_together_is_refused_and_the_folder_is_free_again(longer_toy: Toy, tmp_path: Path) -> None:
    model, tokenizer = longer_toy.model.model, longer_toy.model.tokenizer
    lora = peft.get_peft_model(
        type(model)(model.config),
        peft.LoraConfig(task_type="CAUSAL_LM", target_modules=["c_attn"], fan_in_fan_out=True),
    )
    out = tmp_path / "run"
    members = rows(longer_toy.members)
    refused = [
        (
            ConfigError,
            r"^tokenizer: it belongs to a model in memory, and none was given",
            {"model": "x", "tokenizer": tokenizer},
        ),
        (ModelError, r"^base: a PeftModel cannot be the base", {"model": "x", "base": lora, "tokenizer": tokenizer}),
        (
            ConfigError,
            r"^adapter = 'there': the model in memory has an adapter already",
            {"model": lora, "adapter": "there"},
        ),
        (ModelError, r"^tuned: expected a folder, .* found builtins\.int", {"model": 3}),
        (DataError, r"^nonmembers: record 1: expected a dictionary", {"model": model, "nonmembers": ["text"]}),
    ]
    for kind, message, given in refused:
        with pytest.raises(kind, match=message):
            rote.audit(out=out, members=members, **given)  # type: ignore[arg-type]
        assert not (out / OWNER).exists(), "the folder is free again"


def test_a_breached_threshold_is_told_by_the_exit_code(audited: rote.Run, tmp_path: Path) -> None:
    held = audited.folder / "held"
    run = rote.audit(
        model=held / "tuned",
        base=held / "base",
        members=held / "members.jsonl",
        nonmembers=held / "nonmembers.jsonl",
        out=audited.folder,
        fail_above=["extractable=0.5"],
        **SETTINGS,
    )
    assert run.exit_code == BREACHED
    assert rote.Run(run.folder).exit_code is None


@pytest.mark.slow
def test_a_model_in_memory_is_fine_tuned_as_a_copy_and_audited_as_an_adapter(longer_toy: Toy, tmp_path: Path) -> None:
    base, tokenizer = longer_toy.model.model, longer_toy.model.tokenizer
    members, nonmembers = rows(longer_toy.members), rows(longer_toy.non_members)
    with untouched(base):
        final = rote.finetune(
            base=base, tokenizer=tokenizer, members=members, nonmembers=nonmembers, out=tmp_path / "trained",
            strategy="lora", lora_targets=["c_attn"], epochs=2.0, warmup_steps=0, learning_rate=1e-2, device="cpu",
        )  # fmt: skip
    adapted = peft.PeftModel.from_pretrained(type(base).from_pretrained(base_folder(final)), final)
    with untouched(adapted):
        run = rote.audit(
            model=adapted, tokenizer=tokenizer, members=members, nonmembers=nonmembers, out=tmp_path / "run", **SETTINGS
        )
    assert {item.model for item in run.read(runs.ESTIMATES, rote.Estimate)} >= {"tuned", "base"}


def base_folder(adapter: Path) -> str:
    return str(json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))["base_model_name_or_path"])


def first_words(text: str, reference: str) -> float | None:
    """A toy metric: whether the first three words are the record's own; None of a shorter reference."""
    own = reference.split()[:3]
    return float(text.split()[:3] == own) if len(own) == 3 else None


def toy_metric(**changes: object) -> rote.Metric:
    made = rote.Metric(
        name="first_words",
        title="First three words",
        definition="Share of prompts after which the model writes the record's next three words.",
        unit="share of prompts",
        direction="higher = more memorised",
        estimator="rate",
        source="a toy",
    )
    return dataclasses.replace(made, **changes)  # type: ignore[arg-type]


def test_a_metric_of_ones_own_has_the_controls_and_intervals_of_rotes(audited: rote.Run) -> None:
    found = {(item.model, item.split): item for item in rote.Run(audited.folder).measure(toy_metric(), first_words)}
    members = found["tuned", "member"]
    assert (members.metric, members.events, members.n) == ("first_words", 8, 8)
    assert members.low is not None
    assert 0.5 < members.low < 1.0
    assert found["true-suffix", "member"].events == 8
    assert found["base", "member"].events < 3  # type: ignore[operator]
    assert ("tuned", "non-member") in found
    assert "first_words" not in rote.METRICS, "nothing of the package is changed"


@pytest.mark.parametrize(
    ("changes", "score", "message"),
    [
        ({"name": "verbatim"}, first_words, "metric 'verbatim': rote has one of that name"),
        ({"estimator": "ratio"}, first_words, "expected a rate, a mean or a median, found 'ratio'"),
        ({}, lambda *_: 0.5, "metric 'first_words': expected 0 or 1, found 0.5 for "),
        ({"estimator": "mean"}, lambda *_: 2.0, "expected 0 to 1, found 2.0 for "),
        ({"estimator": "mean"}, lambda *_: float("nan"), "expected 0 to 1, found nan for "),
    ],
)
def test_a_metric_of_ones_own_keeps_its_word(audited: rote.Run, changes, score, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rote.Run(audited.folder).measure(toy_metric(**changes), score)


def test_a_metric_that_measures_nothing_says_so(audited: rote.Run) -> None:
    found = {(e.model, e.split): e for e in rote.Run(audited.folder).measure(toy_metric(), lambda *_: None)}[
        "tuned", "member"
    ]
    assert (found.value, found.n, found.n_missing) == (None, 0, 8)
    assert "not measurable, says the metric (8 of 8)" in str(found.reason)
