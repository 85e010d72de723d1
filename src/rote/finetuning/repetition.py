"""How often each member is trained on, and the files that say so: a row stands there as often as it was trained on."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import cycle, islice

from rote.config import FinetuningConfig
from rote.corpus.contents import RENDERED
from rote.errors import ConfigError, DataError
from rote.records import Example, Json, content_id
from rote.runs import encode


def repeat_members(members: Sequence[Example], repetition: Sequence[int], seed: int) -> list[Example]:
    """The rows of one pass: every member as often as it is trained on, in the members' order.

    A member stands `copies` times. With a repetition (r_1 .. r_k) the members are also dealt into k parts of as
    equal size as whole duplicate groups allow, and those of part i stand `copies * r_i` times. The dealing depends on
    the seed and the groups alone, not on the order of the members.

    Raises:
        ConfigError: a repetition is less than 1.
        DataError: fewer groups than parts.
    """
    wrong = [times for times in repetition if times < 1]
    if wrong:
        raise ConfigError(f"finetuning.repetition: every number must be >= 1, found {wrong[0]}")
    times = _deal(members, repetition, seed) if repetition else {}
    return [member for member in members for _ in range(member.copies * times.get(member.group, 1))]


def _deal(members: Sequence[Example], repetition: Sequence[int], seed: int) -> dict[str, int]:
    """Duplicate group → repetition: always the largest group left (ties by seeded hash) to the smallest part."""
    sizes = Counter(member.group for member in members)
    if len(sizes) < len(repetition):
        raise DataError(
            f"finetuning.repetition has {len(repetition)} parts, but the {len(members)} members form only "
            f"{len(sizes)} duplicate groups, and a group is never cut"
        )
    filled = [0] * len(repetition)
    dealt: dict[str, int] = {}
    for group in sorted(sizes, key=lambda name: (-sizes[name], content_id(str(seed), name))):
        part = filled.index(min(filled))
        filled[part] += sizes[group]
        dealt[group] = repetition[part]
    return dealt


def mixed_count(rows: int, share: float) -> int:
    """How many rows make up that share of all when they are added to the given ones."""
    return round(rows * share / (1 - share))


def mix_in(rows: int, tasks: Sequence[Sequence[Example]], *, share: float, seed: int) -> list[Example]:
    """Records of other tasks, so many that they are that share of all rows; nothing without tasks.

    Each task gives equally many (the first ones one more where that does not come out even), in the order of a seeded
    hash of their ids, and starts over where it has too few: their own order and copies do not matter.

    Raises:
        DataError: a task has no record.
    """
    if not all(tasks):
        raise DataError("finetuning.mix: a file holds no record with a token to learn")
    count = mixed_count(rows, share) if tasks else 0
    found: list[Example] = []
    for number, task in enumerate(tasks):
        ranked = sorted(task, key=lambda each: content_id(str(seed), each.id))
        found += islice(cycle(ranked), count // len(tasks) + (number < count % len(tasks)))
    return found


def step_limit(config: FinetuningConfig, rows: int) -> int:
    """Optimizer steps to train for, where they are fixed: by `steps`, or by the token budget of `rows` unrepeated rows.

    0 where the epochs over the repeated rows decide.
    """
    if config.steps or not (config.repetition and config.keep_token_budget):
        return config.steps
    batches = math.ceil(rows / config.batch_size)
    return math.ceil(config.epochs * math.ceil(batches / config.gradient_accumulation))


def to_jsonl(examples: Iterable[Example]) -> bytes:
    """The examples as a data file that `rote check` and `rote audit` read.

    A record with a prompt is written as `prompt` (with its separator) and `completion`: readers put nothing between these
    two, so that together they are the text that was trained on. Any other record is its text alone. What a chat template
    wrote has `is_rendered`: true beside it, so that it is read again without the tokenizer's special tokens.
    """
    return b"".join(encode(_fields(example)) + b"\n" for example in examples)


def _fields(example: Example) -> Json:
    rendered: dict[str, Json] = {RENDERED: True} if example.is_rendered else {}
    if example.prompt.strip():  # readers take a blank prompt for none
        return {"prompt": example.prompt, "completion": example.completion, **rendered}
    return {"text": example.text, **rendered}
