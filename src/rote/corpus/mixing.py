"""Records of other tasks that are trained on beside the members, and must have nothing to do with the audited ones."""

from collections.abc import Sequence
from dataclasses import replace

from rote.config import CorpusConfig
from rote.corpus.chat import ChatTokenizer
from rote.corpus.contamination import contaminated
from rote.corpus.defects import counted
from rote.corpus.groups import Entry, entry_of, link
from rote.corpus.reading import read_corpus
from rote.corpus.rendering import Parts
from rote.errors import DataError
from rote.records import Example, Split
from rote.runs import Echo


def read_mixed(
    files: Sequence[str],
    audited: Sequence[Example],
    config: CorpusConfig,
    *,
    tokenizer: ChatTokenizer | None = None,
    echo: Echo = lambda _: None,
) -> tuple[tuple[Example, ...], ...]:
    """The distinct records of each file, without those that stand in one group with an audited record.

    A record like a non-member would spoil the control, and one like a member would be trained on more often than the
    members' file says. The files are read as data sets of an audit are; what their records hold is recognised, whatever
    fields the members have.

    Args:
        files: one for each task.
        audited: members and non-members.
        config: separator, limits, similarity of near-duplicates, canaries; the rest is not used.
        tokenizer: its chat template renders chat records.
        echo: gets what is found and done.

    Raises:
        DataError: a file cannot be read, or all its records are like audited ones.
        TooManyBadRecords: as in `read_corpus`.
    """
    return tuple(_task(file, audited, config, tokenizer, echo) for file in files)


def _task(
    file: str, audited: Sequence[Example], config: CorpusConfig, tokenizer: ChatTokenizer | None, echo: Echo
) -> tuple[Example, ...]:
    alone = replace(
        config, members=file, nonmembers="", prompt_field="", completion_field="", holdout=0.0, limit=0, canaries=0
    )
    task = read_corpus(alone, tokenizer=tokenizer, echo=echo).members
    entries = [
        *(_entry(example, "member") for example in audited),
        *(_entry(example, "non-member") for example in task),
    ]
    links = link(entries, near_duplicate=config.near_duplicate)
    linked = contaminated(entries, links, near_duplicate=config.near_duplicate)
    if linked:
        echo(f"{file}: {len(linked):,} of {len(task):,} records are linked to audited ones and left out")
    kept = tuple(example for number, example in enumerate(task, len(audited)) if number not in linked)
    if not kept:
        raise DataError(
            f"{file}: nothing to mix in: every record is linked to an audited one ({counted(linked.values())})"
        )
    return kept


def _entry(example: Example, split: Split) -> Entry:
    parts = Parts(example.prompt, example.completion, passage="", asked=example.prompt, start=0)
    return entry_of(replace(example, split=split), parts)
