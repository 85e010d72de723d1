"""Canaries: secrets of known randomness, planted among the records before a training, to see what it learns by rote.

A coin decides for each canary whether it is planted or held out. The held-out ones are drawn in the same way and never
trained on: they are what a membership test must not find, and they make the audit of one training run possible (Steinke
et al. 2023).
"""

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import get_args

from rote.config import CorpusConfig
from rote.corpus.files import check_file
from rote.corpus.rendering import AUTO, LINE_FEED
from rote.corpus.secrets import WORDS, SecretSpace
from rote.errors import ConfigError, DataError
from rote.records import Canary, CanaryForm, Example, Json, content_id, from_row, to_row
from rote.runs import encode

NAME, SECRET = "{name}", "{secret}"
CONTROLS = 100
"""Held-out canaries that a false-positive rate of 1 % needs."""


def canaries_of(config: CorpusConfig, members: Sequence[Example]) -> list[Canary]:
    """The canaries of the settings: those of `canary_file`, else newly drawn ones; none where neither is asked for.

    New canaries have a prompt if most members have one.

    Raises:
        ConfigError: a file and a number are given, or a template does not fit.
        DataError: the file cannot be used.
    """
    if config.canary_file and config.canaries:
        raise ConfigError(
            f"corpus.canaries = {config.canaries} would draw canaries, and corpus.canary_file = {config.canary_file!r} "
            "names some: give one of the two"
        )
    if config.canary_file:
        return read_canaries(Path(config.canary_file))
    with_prompts = sum(bool(member.prompt) for member in members) * 2 > len(members)
    return draw_canaries(config, with_prompts=with_prompts) if config.canaries else []


def draw_canaries(config: CorpusConfig, *, with_prompts: bool) -> list[Canary]:
    """`config.canaries` canaries with different names, by seed.

    The numbers of copies take turns, so that each is as frequent; secrets and coins are independent of all else.

    Args:
        config: number, copies, kind, length and sentences of the canaries; the separator; the seed.
        with_prompts: whether the canaries get a prompt.

    Raises:
        ConfigError: a number of copies is below 1, or a sentence does not hold `{name}` and then `{secret}` once.
    """
    levels = config.canary_copies
    if not levels or min(levels) < 1:
        raise ConfigError(f"corpus.canary_copies: expected numbers >= 1, found {list(levels)}")
    before, after = _halves(config.canary_sentence)
    space = SecretSpace(config.canary_kind, config.canary_length)
    separator = LINE_FEED if config.separator == AUTO else config.separator
    prompt = config.canary_prompt + separator if with_prompts else ""
    rng = random.Random(f"canaries {config.seed}")
    found = []
    for number, pair in enumerate(rng.sample(range(len(WORDS) ** 2), config.canaries)):
        name = " ".join(WORDS[at].capitalize() for at in divmod(pair, len(WORDS)))
        secret, planted = space.draw(rng), rng.random() < 0.5
        asked, told = prompt.replace(NAME, name), before.replace(NAME, name)
        canary = Canary(
            id=content_id(asked, told + secret + after),
            prompt=asked,
            before=told,
            secret=secret,
            after=after,
            kind=space.kind,
            length=space.length,
            copies=levels[number % len(levels)],
            planted=planted,
        )
        found.append(canary)
    return found


def planted_examples(canaries: Iterable[Canary]) -> list[Example]:
    """The planted canaries as records to train on, each in a group of its own."""
    return [
        Example(
            id=canary.id,
            prompt=canary.prompt,
            completion=canary.before + canary.secret + canary.after,
            split="member",
            group=canary.id,
            copies=canary.copies,
            is_rendered=canary.is_rendered,
        )
        for canary in canaries
        if canary.planted
    ]


def formed(canaries: Iterable[Canary], form: CanaryForm) -> list[Canary]:
    """The canaries, to be planted in that form."""
    return [replace(canary, form=form) for canary in canaries]


def plant(rows: Sequence[Example], canaries: Iterable[Canary], *, seed: int) -> list[Example]:
    """The rows in their order, with every copy of every planted canary at a place drawn by seed."""
    rng = random.Random(f"places {seed}")
    copies = [example for example in planted_examples(canaries) for _ in range(example.copies)]
    placed = [(rng.uniform(0, len(rows)), copy) for copy in copies]
    placed += [(float(number), row) for number, row in enumerate(rows)]
    return [row for _, row in sorted(placed, key=lambda item: item[0])]


def canary_lines(canaries: Iterable[Canary]) -> bytes:
    """The canaries as a file that `read_canaries` reads."""
    return b"".join(encode(to_row(canary)) + b"\n" for canary in canaries)


def read_canaries(path: Path) -> list[Canary]:
    """The canaries of a file that rote wrote, or that was written in the same form.

    Raises:
        DataError: it cannot be read, a field is missing or wrong, a secret is not of its space, or two canaries are the
            same.
    """
    if path.exists():
        check_file(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as a file of canaries: {error}") from error
    found: dict[str, Canary] = {}
    for number, line in enumerate(lines, start=1):
        canary = _canary(path, number, line)
        if canary.text in found:
            raise DataError.at(path, number, f"the same canary stands there twice: {canary.text!r}")
        found[canary.text] = canary
    if not found:
        raise DataError(f"{path}: holds no canaries")
    return list(found.values())


def summary(canaries: Sequence[Canary]) -> str:
    """One line on how many are planted, how often, how many are held out, and what that is too few for."""
    copies = [canary.copies for canary in canaries if canary.planted]
    held_out = len(canaries) - len(copies)
    levels = ", ".join(map(str, sorted(set(copies)))) or "no"
    few = f"; a rate at 1 % false positives needs {CONTROLS} held out" if held_out < CONTROLS else ""
    return (
        f"{len(canaries):,} canaries: {len(copies):,} planted ({levels} copies, {sum(copies):,} rows in all), "
        f"{held_out:,} held out{few}"
    )


def _halves(sentence: str) -> tuple[str, str]:
    before, found, after = sentence.partition(SECRET)
    if not found or SECRET in after or before.count(NAME) != 1 or NAME in after:
        raise ConfigError(
            f"corpus.canary_sentence: expected {NAME} once and after it {SECRET} once, found {sentence!r}"
        )
    return before, after


def _canary(path: Path, number: int, line: str) -> Canary:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise DataError.at(path, number, f"not JSON: {error}") from error
    if not isinstance(row, dict):
        raise DataError.at(path, number, f"expected an object, found {line[:80]!r}")
    _check_fields(path, number, row)
    canary = from_row(Canary, row)
    if SecretSpace(canary.kind, canary.length).number(canary.secret) is None:
        space = f"{canary.length} {'digits' if canary.kind == 'number' else 'words of the list'}"
        raise DataError.at(path, number, f"expected {space}, found {canary.secret!r}", field="secret")
    return canary


def _check_fields(path: Path, number: int, row: dict[str, Json]) -> None:
    """Raises a DataError for the first field that is missing or cannot be what it is meant to be."""
    for field in fields(Canary):
        if field.name not in row and field.default is not MISSING:
            continue
        if field.name not in row:
            raise DataError.at(path, number, "missing", field=field.name)
        value = row[field.name]
        if field.name == "planted":
            wrong, expected = not isinstance(value, bool), "true or false"
        elif field.name in ("length", "copies"):
            wrong, expected = type(value) is not int or value < 1, "a whole number >= 1"
        elif field.name == "kind":
            wrong, expected = value not in ("number", "words"), "'number' or 'words'"
        elif field.name == "form":
            wrong, expected = value not in get_args(CanaryForm), " or ".join(map(repr, get_args(CanaryForm)))
        else:
            wrong, expected = not isinstance(value, str), "a text"
        if wrong:
            raise DataError.at(path, number, f"expected {expected}, found {value!r}", field=field.name)
    if not f"{row['prompt']}{row['before']}".strip():
        raise DataError.at(path, number, "nothing stands before the secret", field="before")
