"""Settings: strict, all problems at once, and back to the same TOML."""

from pathlib import Path

import pytest

from rote.config import AuditConfig, CorpusConfig, GenerationConfig, load_config, to_toml
from rote.errors import ConfigError


def test_defaults_survive_toml(tmp_path: Path) -> None:
    config = AuditConfig(generation=GenerationConfig(prefix_tokens=30, temperature=0.5))
    path = tmp_path / "audit.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    assert load_config(path) == config


@pytest.mark.parametrize("text", ['quote " and \\ back', "new\nline", "tab\t", "bell\x07", "ümlaut 名"])
def test_any_text_survives_toml(tmp_path: Path, text: str) -> None:
    path = tmp_path / "audit.toml"

    path.write_text(to_toml(AuditConfig(corpus=CorpusConfig(members=text))), encoding="utf-8")
    assert load_config(path).corpus.members == text


def test_all_problems_are_told_at_once() -> None:
    wrong = [
        "generation.max_new_token=4",
        "mdel.x=1",
        "generation.decoding=greddy",
        "corpus.max_bad=3",
        "corpus.limit=1.5",
    ]
    with pytest.raises(ConfigError) as caught:
        load_config(None, wrong)
    message = str(caught.value)
    assert "unknown key generation.max_new_token (did you mean 'max_new_tokens'?)" in message
    assert "unknown section [mdel] (did you mean 'model'?)" in message
    assert "found 'greddy' (did you mean 'greedy'?)" in message
    assert "corpus.max_bad: must be in 0..1, found 3.0" in message
    assert "corpus.limit: must be a whole number, found 1.5" in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[model\n", "not valid TOML"),
        ("model = 3\n", r"\[model\] must be a section"),
        ("[model]\ntuned = 3\n", "model.tuned: must be a text, found 3"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "audit.toml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError, match=message) as caught:
        load_config(path)
    assert "audit.toml" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: No such file"):
        load_config(tmp_path / "none.toml")


def test_an_override_without_a_section_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected section\.key=value"):
        load_config(None, ["depth=3"])


def test_several_samples_need_sampling() -> None:
    with pytest.raises(ConfigError, match=r"samples = 4 needs generation\.decoding = 'sample', found 'greedy'"):
        load_config(None, ["generation.samples=4"])
    assert load_config(None, ["generation.samples=4", "generation.decoding=sample"]).generation.samples == 4


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ('scoring.membership=["zlb"]', r"must be one of 'text_loss', .*found 'zlb' \(did you mean 'zlib'\?\)"),
        ("scoring.chances=[0.5, 1.0]", r"must be all in \(0, 1\), found \(0\.5, 1\.0\)"),
        ("scoring.draws=[0]", r"must be all >= 1, found \(0,\)"),
        ("scoring.window_chance=0", r"must be in \(0, 1\], found 0\.0"),
        ("scoring.membership_scope=all", r"must be one of 'text', 'reference', found 'all'"),
    ],
)
def test_settings_of_extraction_and_membership(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, [override])
