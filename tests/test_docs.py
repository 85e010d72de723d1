"""The documentation says what is there: generated pages, links, commands, settings, metrics, presets."""

import argparse
import dataclasses
import math
import re
import runpy
import shlex
import tomllib
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from rote.alignment import PRESETS, Preset
from rote.cli import build_parser
from rote.config import config_from
from rote.corpus import Reason
from rote.corpus.shapes import SHAPES
from rote.records import KINDS
from rote.scoring import METRICS
from rote.study import read_study

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])
REFERENCE = runpy.run_path(str(ROOT / "scripts" / "make_reference.py"))
COMMANDS: dict[str, argparse.ArgumentParser] = REFERENCE["subcommands"](build_parser())

FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)[^)]*\)|(?:src|href)=\"(?P<attribute>[^\"]+)\"")
INLINE = re.compile(r"`(?P<code>(?:\$ )?rote [^`\n]+)`")


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> Iterator[str]:
    """The fenced blocks of these languages, without the indentation of the fence."""
    for found in FENCE.finditer(page.read_text(encoding="utf-8")):
        if found["language"] in languages:
            indent = len(found["indent"])
            yield "\n".join(line[indent:] for line in found["body"].splitlines())


def commands(page: Path) -> list[str]:
    """The `rote …` lines of the shell blocks; a backslash at the end of a line goes on in the next."""
    lines = [line for body in blocks(page, "", "sh", "bash", "shell", "console") for line in joined(body)]
    return [line for line in lines if line.startswith("rote ")]


def joined(body: str) -> list[str]:
    return [line.removeprefix("$ ").strip() for line in re.sub(r"\\\n\s*", "", body).splitlines()]


def inline_commands(page: Path) -> list[str]:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    return [found["code"].removeprefix("$ ") for found in INLINE.finditer(text)]


def method() -> str:
    """All pages of the method."""
    return "\n".join(page.read_text(encoding="utf-8") for page in sorted((DOCS / "method").glob("*.md")))


def tables(text: str) -> dict[str, list[str]]:
    """First cell (without backticks) → the other cells, of all tables of a text of the docs."""
    rows = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    return {first.strip("`"): rest for first, *rest in cells}


def test_the_command_line_reference_is_up_to_date() -> None:
    # white space aside: other versions of Python wrap the same help otherwise
    written = (DOCS / "cli.md").read_text(encoding="utf-8")
    assert written.split() == REFERENCE["cli_reference"]().split(), "run: python scripts/make_reference.py"


def test_the_settings_reference_is_up_to_date() -> None:
    written = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert written == REFERENCE["settings_reference"](), "run: python scripts/make_reference.py"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_resolves(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    targets = [found["target"] or found["attribute"] for found in LINK.finditer(text)]
    local = [target.partition("#")[0] for target in targets if not re.match(r"[a-z]+:|#", target)]
    missing = [target for target in local if not (page.parent / target).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_anchor_is_a_heading(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    found = [found["target"].split("#", 1) for found in LINK.finditer(text) if "#" in (found["target"] or "")]
    local = [(page.parent / file if file else page, anchor) for file, anchor in found if not re.match("[a-z]+:", file)]
    missing = [(name_of(other), anchor) for other, anchor in local if anchor not in anchors(other.resolve())]
    assert not missing


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as Markdown makes them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#+ +(.+)$", text, re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", re.sub(r"[^\x00-\x7f]", "", title)).strip().lower() for title in titles]
    return {re.sub(r"[-\s]+", "-", title) for title in plain}


def test_the_navigation_names_every_page_once() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    named = list(leaves(settings["nav"]))
    assert sorted(named) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def leaves(nav: object) -> Iterator[str]:
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, list):
        for item in nav:
            yield from leaves(item)
    elif isinstance(nav, dict):
        for item in nav.values():
            yield from leaves(item)


def test_the_site_loads_nothing_from_elsewhere() -> None:
    settings = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert settings["theme"]["font"] is False
    names = [plugin if isinstance(plugin, str) else next(iter(plugin)) for plugin in settings["plugins"]]
    assert names == ["search", "mkdocstrings"], "another one may load something"
    assert not {"extra_javascript", "extra"} & settings.keys()
    assert all((DOCS / path).exists() for path in settings["extra_css"])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_line_parses(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for line in commands(page):
        words = shlex.split(line, comments=True)[1:]
        assert parses(words), f"{line}\n{capsys.readouterr().err}"
        check_flags(words)


def parses(words: list[str]) -> bool:
    try:
        build_parser().parse_args(words)
    except SystemExit as end:
        return not end.code
    return True


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_the_text_name_commands_and_flags_that_exist(page: Path) -> None:
    for line in inline_commands(page):
        check_flags(re.split(r"[\s\[\]]+", line)[1:])


def check_flags(words: list[str]) -> None:
    """The first word is a command, and it has these flags by their full names (argparse accepts a beginning)."""
    if words[0].startswith("-"):
        assert words[0] in {option for action in build_parser()._actions for option in action.option_strings}
        return
    assert words[0] in COMMANDS, words
    known = {option for action in COMMANDS[words[0]]._actions for option in action.option_strings}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, words


def test_there_are_command_lines_to_check() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 20
    assert sum(len(inline_commands(page)) for page in PAGES) > 20


def test_the_parts_of_the_checks_find_what_they_should(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Run `rote show RUN`.\n\n  ```sh\n  $ rote audit --out a \\\n      --model b  # c\n  ls\n  ```\n")
    assert commands(page) == ["rote audit --out a --model b  # c"]
    assert inline_commands(page) == ["rote show RUN"]
    with pytest.raises(AssertionError, match="--modle"):
        check_flags(["audit", "--modle", "x"])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_settings_and_study_file_is_valid(page: Path, tmp_path: Path) -> None:
    for number, body in enumerate(blocks(page, "toml")):
        table = tomllib.loads(body)
        if "factors" in table:
            study = tmp_path / f"study-{number}.toml"
            study.write_text(body, encoding="utf-8")
            assert read_study(study).cells
        else:
            config_from(table)


def test_shipped_paths_in_command_lines_exist() -> None:
    words = {word for page in PAGES for line in commands(page) for word in shlex.split(line, comments=True)}
    shipped = {word for word in words if word.startswith("src/")}
    assert shipped
    assert not [path for path in shipped if not (ROOT / path).exists()]


@pytest.mark.parametrize("metric", METRICS.values(), ids=list(METRICS))
def test_the_method_defines_every_metric(metric: typing.Any) -> None:
    row = tables(method())[metric.name]
    high = "∞" if math.isinf(metric.high) else f"{metric.high:,g}"
    assert row[0] == metric.unit
    assert row[1] == f"{metric.low:g} to {high}"
    assert row[2] == metric.direction.removesuffix(" = more memorised")
    assert row[3] == metric.estimator
    assert f"### {metric.title}" in method()


def test_the_method_names_no_metric_that_is_gone() -> None:
    known = {
        name for name, row in tables(method()).items() if len(row) == 5 and row[2] in ("higher", "lower", "neither")
    }
    assert known == set(METRICS)


def preset_settings(preset: Preset) -> dict[str, object]:
    """Every threshold and switch by its name; evidence is on or off."""
    found = {field.name: getattr(preset, field.name) for field in dataclasses.fields(preset)[1:]}
    found |= {**found.pop("seeding")._asdict(), **found.pop("clustering")._asdict()}
    return found | {"evidence": preset.evidence is not None}


@pytest.mark.parametrize("field", preset_settings(PRESETS["corrected"]))
def test_the_method_has_every_setting_of_every_preset(field: str) -> None:
    columns = tables(method())["preset setting"]
    row = tables(method())[field]
    for name, preset in PRESETS.items():
        value = preset_settings(preset)[field]
        shown = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
        assert row[columns.index(name)] == shown, name


def test_the_method_has_every_setting_of_the_evidence() -> None:
    evidence = PRESETS["corrected"].evidence
    assert evidence is not None
    for field, value in evidence._asdict().items():
        assert tables(method())[field] == [str(value)]


def test_the_corpus_page_lists_shapes_and_reasons() -> None:
    text = (DOCS / "guide" / "corpus.md").read_text(encoding="utf-8")
    assert not [
        name for shape in SHAPES for name in (*shape.needed, shape.optional) if name and f"`{name}`" not in text
    ]
    assert not [reason for reason in typing.get_args(Reason) if f"`{reason}`" not in text]


def test_the_glossary_defines_the_kinds_and_the_metrics() -> None:
    text = (DOCS / "glossary.md").read_text(encoding="utf-8").lower()
    assert not [kind for kind in KINDS if f"**{kind}**" not in text]
