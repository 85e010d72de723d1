"""What leaving non-members out changes: their losses are measured apart, and enter no control."""

from pathlib import Path

import pytest

from fakes import Toy
from rote import runs
from rote.config import AuditConfig
from rote.corpus import Corpus
from rote.records import Example, Prompt, Score
from rote.runs import Run
from rote.scoring.columns import LEFT_OUT
from rote.stages import exclusions as left_out


def corpus_with(*left: Example) -> Corpus:
    return Corpus([], [], [], (), "digest", (), left)


def example(text: str) -> Example:
    return Example(text, "", text, "non-member", text)


def test_a_run_without_such_records_has_no_artifact(tmp_path: Path) -> None:
    run = Run(tmp_path)
    left_out.keep(run, corpus_with(example("one")))
    assert [item.text for item in run.read(runs.LEFT_OUT, Example)] == ["one"]
    left_out.keep(run, corpus_with())
    assert not run.has(runs.LEFT_OUT)
    left_out.cut_prompts(AuditConfig(), run, ("", ""), settings={})
    assert left_out.artifacts(run) == []
    assert left_out.estimates(AuditConfig(), run) == []


@pytest.mark.parametrize(("count", "has_interval"), [(2, False), (14, True)])
def test_the_mean_has_an_interval_where_there_are_enough(tmp_path: Path, count: int, has_interval: bool) -> None:
    run = Run(tmp_path)
    losses = [Score(f"p{i}-tuned", "loss", 1.0 + i % 2) for i in range(count)]
    run.write(runs.LEFT_OUT_LOSSES.format(model="tuned"), losses, settings={})
    (found,) = left_out.estimates(AuditConfig(), run)
    assert (found.metric, found.model, found.split, found.stratum) == ("loss", "tuned", "non-member", LEFT_OUT)
    assert (found.value, found.n) == (1.5, count)
    assert (found.low is not None) is has_interval


def test_nothing_to_score_has_a_reason(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.write(runs.LEFT_OUT_LOSSES.format(model="base"), [Score("p-base", "loss", None, "x")], settings={})
    (found,) = left_out.estimates(AuditConfig(), run)
    assert (found.model, found.value, found.n, found.n_missing) == ("base", None, 0, 1)
    assert found.reason


def test_what_a_member_holds_has_a_members_loss(tmp_path: Path, toy: Toy) -> None:
    run = Run(tmp_path)
    prompts = [Prompt(f"{item.id}p", item.id, item.text[:12], item.text[12:]) for item in (*toy.members[:6],)]
    unseen = [Prompt(f"{item.id}p", item.id, item.text[:12], item.text[12:]) for item in toy.non_members[:6]]
    means = []
    for chosen in (prompts, unseen):
        run.write(runs.LEFT_OUT_PROMPTS, chosen, settings={})
        left_out.measure("tuned", lambda: toy.model, used={}, config=AuditConfig(), run=run)
        (found,) = left_out.estimates(AuditConfig(), run)
        means.append(found.value or 0.0)
        assert found.n == 6
    assert means[0] < 0.5 < 2.0 < means[1]
