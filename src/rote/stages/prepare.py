"""Stage 1: data files become records."""

import dataclasses
from typing import TYPE_CHECKING

from rote import runs
from rote.config import AuditConfig, settings_of
from rote.errors import OK, ConfigError
from rote.records import (
    content_id,
)
from rote.runs import Run, whole
from rote.stages import canaries, exclusions
from rote.stages.inputs import check_unchanged, save_settings
from rote.stages.prompts import ChatTokenizer

if TYPE_CHECKING:
    pass


def prepare(config: AuditConfig, run: Run) -> int:
    """Stage 1: reads, validates and groups the records."""
    from rote.corpus import TooManyBadRecords, read_corpus

    if not config.corpus.members:
        raise ConfigError("no data: give the fine-tuning records with --members FILE")
    if config.corpus.holdout and (config.model.tuned or config.model.adapter):
        raise ConfigError(
            f"corpus.holdout = {config.corpus.holdout}: a model that was trained on the whole file has seen what is "
            "set aside now; give records that it has not seen with --nonmembers, or none"
        )
    if config.corpus.canaries and (config.model.tuned or config.model.adapter):
        raise ConfigError(
            f"corpus.canaries = {config.corpus.canaries}: canaries are planted before the training; give those that this "
            "model was trained with by --canary-file"
        )
    data = (config.corpus.members, config.corpus.nonmembers, config.corpus.canary_file)
    check_unchanged(*data, config.model.tuned, config.model.adapter)
    save_settings(config, run)
    tokenizer = ChatTokenizer(config.model)
    try:
        # All records are kept: a generation may repeat any of them. `limit` draws those that are prompted.
        corpus = read_corpus(dataclasses.replace(config.corpus, limit=0), tokenizer=tokenizer, echo=run.echo)
    except TooManyBadRecords as error:
        run.write(runs.DROPPED, error.dropped, settings={})
        run.echo(f"every defect stands in {run.path(runs.DROPPED)}")
        raise
    places = content_id(*(f"{example.id} {example.file} {example.line}" for example in corpus.examples))
    defects = content_id(*map(str, corpus.dropped))
    settings = settings_of(dataclasses.replace(config.corpus, limit=0))
    run.make(runs.DROPPED, whole(lambda: corpus.dropped), settings={**settings, "found": defects})
    run.make(runs.EXAMPLES, whole(lambda: corpus.examples), settings={**settings, "found": [corpus.digest, places]})
    found = content_id(*map(str, corpus.readings))
    run.make(runs.READINGS, whole(lambda: corpus.readings), settings={**settings, "found": found})
    if corpus.identifiers:
        found = content_id(*map(str, corpus.identifiers))
        run.make(runs.IDENTIFIERS, whole(lambda: corpus.identifiers), settings={**settings, "found": found})
    else:
        run.discard(runs.IDENTIFIERS)
    run.note(data_hash=corpus.digest, data_notes=list(corpus.notes))
    exclusions.keep(run, corpus)
    canaries.keep(config, run, corpus, tokenizer)
    return OK
