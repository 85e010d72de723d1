"""What a study varies: factors with named levels, each level a few settings. Read from one strict TOML file.

    title = "Full fine-tuning and LoRA"
    match_over = ["strategy"]               # these levels are also compared at matched validation loss

    [settings.model]                        # settings of every cell, by section
    base = "shipped:decoder"

    [settings.corpus]
    members = "shipped:dialogue"
    holdout = 0.5

    [factors.strategy]                      # factor → level → what the level sets
    full = { finetuning.strategy = "full" }
    lora = { finetuning.strategy = "lora", finetuning.learning_rate = 3e-3 }

    [[only]]                                # if given, combinations that are in none of these are left out
    strategy = ["full", "lora"]             # a list names several levels; a factor that is not named may have any

    [[without]]                             # combinations that are left out
    strategy = "lora"

    [[attend]]                              # cells whose attention is looked at, too
    strategy = "full"

A cell is one level of each factor. `shipped:` names the models and records of the demonstration; other paths are
relative to the file.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import cast

from rote import demonstration
from rote.config import AuditConfig, config_from, did_you_mean, read_toml
from rote.errors import ConfigError

SHIPPED = "shipped:"
KEYS = ("title", "question", "note", "match_over", "settings", "factors", "only", "without", "attend")
PATHS = (("model", "base"), ("corpus", "members"), ("corpus", "nonmembers"), ("finetuning", "mix"))

Settings = Mapping[str, Mapping[str, object]]
"""Section → key → value."""
Combination = Mapping[str, Sequence[str]]
"""Factor → levels; a factor that is not named may have any."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination of levels, and all its settings."""

    levels: tuple[tuple[str, str], ...]
    """Factor and level, in the order of the file."""
    config: AuditConfig
    attend: bool = False
    """Whether its attention is looked at, after the last epoch."""

    @property
    def name(self) -> str:
        """The levels in one word; "only" where nothing is varied."""
        return "-".join(level for _, level in self.levels) or "only"

    def level(self, factor: str) -> str:
        """The cell's level of a factor."""
        return dict(self.levels)[factor]


@dataclass(frozen=True, slots=True)
class Study:
    """A study as its file describes it."""

    title: str
    question: str
    note: str
    factors: tuple[tuple[str, tuple[str, ...]], ...]
    """Factor and its levels, in the order of the file."""
    match_over: tuple[str, ...]
    cells: tuple[Cell, ...]


def read_study(path: Path) -> Study:
    """The study of a TOML file.

    Raises:
        ConfigError: it cannot be read; or all that is wrong with it at once: unknown keys, settings and factors, wrong
            values, a study without cells.
    """
    table = read_toml(path)
    problems = [f"unknown key {key}{did_you_mean(key, KEYS)}" for key in table if key not in KEYS]
    factors = _factors(table.get("factors", {}), problems)
    known = [name for name, _ in factors]
    match_over = tuple(map(str, cast(list[object], table.get("match_over", []))))
    problems += [
        f"match_over: no factor {name!r}{did_you_mean(name, known)}" for name in match_over if name not in known
    ]
    only, without, attend = (
        _combinations(key, table.get(key, []), dict(factors), problems) for key in ("only", "without", "attend")
    )
    if problems:
        raise ConfigError(f"{path}: " + "; ".join(problems))
    cells = tuple(_cells(factors, only, without, attend, common=cast(Settings, table.get("settings", {})), path=path))
    if not cells:
        raise ConfigError(
            f"{path}: no cell is left: every combination of levels is excluded by [[only]] or [[without]]"
        )
    return Study(
        title=str(table.get("title", path.stem)),
        question=str(table.get("question", "")),
        note=str(table.get("note", "")),
        factors=tuple((name, tuple(levels)) for name, levels in factors),
        match_over=match_over,
        cells=cells,
    )


def _factors(table: object, problems: list[str]) -> list[tuple[str, dict[str, Settings]]]:
    if not isinstance(table, Mapping):
        problems.append(f"[factors] must be a section, found {table!r}")
        return []
    found = []
    for name, levels in table.items():
        if not isinstance(levels, Mapping) or not levels:
            problems.append(f'[factors.{name}] must hold levels, e.g. full = {{ finetuning.strategy = "full" }}')
        elif wrong := [level for level, value in levels.items() if not _is_settings(value)]:
            problems.append(f"factors.{name}.{wrong[0]} must set section.key = value, found {levels[wrong[0]]!r}")
        else:
            found.append((name, dict(levels)))
    return found


def _is_settings(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(content, Mapping) for content in value.values())


def _combinations(
    key: str, rows: object, factors: Mapping[str, Mapping[str, object]], problems: list[str]
) -> list[Combination]:
    """The rows of [[only]], [[without]] or [[attend]], each level alone or in a list."""
    found: list[Combination] = []
    for row in rows if isinstance(rows, list) else [rows]:
        if not isinstance(row, Mapping):
            problems.append(f"[[{key}]] must hold factor = level, found {row!r}")
            continue
        named = {factor: level if isinstance(level, list) else [level] for factor, level in row.items()}
        for factor, levels in named.items():
            if factor not in factors:
                problems.append(f"[[{key}]]: no factor {factor!r}{did_you_mean(factor, factors)}")
                continue
            problems += [
                f"[[{key}]]: {factor} has no level {level!r}{did_you_mean(str(level), factors[factor])}"
                for level in levels
                if level not in factors[factor]
            ]
        found.append(named)
    return found


def _is_one_of(combinations: Sequence[Combination], chosen: Mapping[str, str]) -> bool:
    return any(all(chosen[factor] in levels for factor, levels in row.items()) for row in combinations)


def _cells(
    factors: Sequence[tuple[str, Mapping[str, Settings]]],
    only: Sequence[Combination],
    without: Sequence[Combination],
    attend: Sequence[Combination],
    *,
    common: Settings,
    path: Path,
) -> Iterator[Cell]:
    for levels in product(*(settings for _, settings in factors)):
        chosen = {name: level for (name, _), level in zip(factors, levels, strict=True)}
        if (only and not _is_one_of(only, chosen)) or _is_one_of(without, chosen):
            continue
        merged: dict[str, dict[str, object]] = {}
        for part in (common, *(settings[level] for (_, settings), level in zip(factors, levels, strict=True))):
            for section, content in part.items():
                merged.setdefault(section, {}).update(content)
        config = config_from(merged, where=f"{path}, cell {'-'.join(levels) or 'only'}")
        yield Cell(tuple(chosen.items()), _with_paths(config, path.parent), _is_one_of(attend, chosen))


def _with_paths(config: AuditConfig, folder: Path) -> AuditConfig:
    """The settings with shipped names and relative paths resolved; what is no path there (a hub id) stays."""
    for section, key in PATHS:
        part = getattr(config, section)
        value = getattr(part, key)
        if isinstance(value, str):
            found: object = _resolved(value, folder, f"{section}.{key}")
        else:
            found = tuple(_resolved(item, folder, f"{section}.{key}") for item in value)
        config = dataclasses.replace(config, **{section: dataclasses.replace(part, **{key: found})})
    return config


def _resolved(value: str, folder: Path, where: str) -> str:
    if value.startswith(SHIPPED):
        return str(_shipped(value.removeprefix(SHIPPED), where))
    return str((folder / value).resolve()) if value and (folder / value).exists() else value


def _shipped(name: str, where: str) -> Path:
    known = dict(demonstration.MODELS)
    known |= {path.stem: path for path in sorted(demonstration.records("dialogue").parent.glob("*.jsonl"))}
    if name not in known:
        raise ConfigError(f"{where}: nothing is shipped under the name {name!r}{did_you_mean(name, known)}")
    return known[name]
