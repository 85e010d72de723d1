import doctest
import json
from dataclasses import replace

from report_data import RECHECK, make_run
from rote.records import Recheck
from rote.reporting import numerics
from rote.reporting.numerics import recheck_sentence
from rote.reporting.terminal import show
from rote.runs import REPORT_HTML, REPORT_JSON, Run
from rote.stages.report import report


def test_the_largest_differences_stand_on_the_page_in_the_terminal_and_in_the_json(tmp_path, capsys):
    made = make_run(tmp_path)
    report(made.config, made.run)
    sentence = recheck_sentence(RECHECK)
    assert "log-probabilities differ by at most 4e-06 nats" in sentence
    assert "the first choice is another one at no token" in sentence
    assert sentence in (tmp_path / REPORT_HTML).read_text(encoding="utf-8")
    assert json.loads((tmp_path / REPORT_JSON).read_text(encoding="utf-8"))["rechecks"][0]["log_probability"] == 4e-06
    show(Run(tmp_path), None)
    assert sentence in " ".join(capsys.readouterr().out.split())


def test_one_token_is_not_tokens():
    assert recheck_sentence(replace(RECHECK, other_choices=1)).endswith("at 1 token.")
    assert recheck_sentence(replace(RECHECK, other_choices=1200)).endswith("at 1,200 tokens.")


def test_examples_in_the_documentation():
    assert doctest.testmod(numerics, extraglobs={"Recheck": Recheck}).failed == 0
