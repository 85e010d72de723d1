"""Reads the data sets of an audit: examples, dropped records, groups, members and non-members."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rote.config import CorpusConfig
from rote.corpus.canaries import read_canaries
from rote.corpus.chat import ChatTokenizer
from rote.corpus.containment import without_contained
from rote.corpus.contamination import contaminated
from rote.corpus.contents import content_of
from rote.corpus.defects import NAMED, BadRecord, Dropped, TooManyBadRecords, counted, is_defect, shown, shown_names
from rote.corpus.fields import paths_of, records_within
from rote.corpus.files import Source, find, read_rows
from rote.corpus.formats import Fields, Layout, Row, suffix_of
from rote.corpus.groups import Entry, entry_of, group_ids, link
from rote.corpus.identifiers import Identifying, fields_sentence, fields_used
from rote.corpus.readings import Account, Reading
from rote.corpus.rendering import ShapeReader
from rote.corpus.shapes import SHAPES
from rote.corpus.splits import draw, split
from rote.corpus.training_rows import as_read
from rote.errors import ConfigError, DataError
from rote.records import Example, Identifier, Split, content_id
from rote.runs import Echo

TEXTS = (".txt", ".md")


@dataclass(frozen=True, slots=True)
class Corpus:
    """The records of an audit, in the order of their files."""

    members: list[Example]
    nonmembers: list[Example]
    dropped: list[Dropped]
    """One entry for each record that is no example of its own. "duplicate": it counts in the `copies` of its example."""
    notes: tuple[str, ...]
    """What was found and done, in sentences."""
    digest: str
    """Depends on the texts, copies, groups and splits of all examples, not on their order or their files."""
    readings: tuple[Reading, ...] = ()
    """How members and non-members were read: files, shapes, the template's source, fields that were not used."""
    left_out: tuple[Example, ...] = ()
    """Sound non-members that are no control, since members hold their text or one like it."""
    identifiers: tuple[Identifier, ...] = ()
    """Personal data that fields of the examples' records hold: names, mail addresses, numbers."""

    @property
    def examples(self) -> list[Example]:
        """Members, then non-members."""
        return [*self.members, *self.nonmembers]


def read_corpus(config: CorpusConfig, *, tokenizer: ChatTokenizer | None = None, echo: Echo = lambda _: None) -> Corpus:
    """Reads members and non-members, drops and names what is defective, finds groups, splits and draws.

    Every record that is read becomes an example or an entry in `dropped`; only `limit` leaves out sound records. Exact
    duplicates (prompt and completion equal) within a split become one example with `copies`. They are properties of the
    data, no defects, and do not count for `max_bad`. A non-member in one group with a member, or that stands in members,
    is dropped and kept in `left_out`. Without a non-member file, `holdout` sets a share of the groups aside.

    Args:
        config: files, fields, limits.
        tokenizer: its chat template renders chat records; without one a plain form is used.
        echo: gets each of the notes as soon as it is known.

    Raises:
        ConfigError: no data set, or a prompt field without a completion field.
        DataError: a file cannot be read, no shape fits it, it holds no records, or a record is a member and a non-member.
        TooManyBadRecords: the share of defective records in members or non-members is over `max_bad`, or nothing is
            left; its `dropped` holds every record that was dropped so far.
        MissingExtraError: a hub name without the package `datasets`.
    """
    if not config.members:
        raise ConfigError("corpus.members: no data set given")
    notes: list[str] = []

    def say(note: str) -> None:
        notes.append(note)
        echo(note)

    reader = ShapeReader(config, tokenizer)
    canaries = _canary_texts(config.canary_file, reader)
    members = _load(_Loaded(config.members, "member", canaries, Account(reader)), reader, say)
    nonmembers = _Loaded(config.nonmembers, "non-member", canaries, Account(reader))
    if config.nonmembers:
        nonmembers = _load(nonmembers, reader, say)
    dropped = [*members.dropped, *nonmembers.dropped]
    for loaded in (members, nonmembers):
        _check_bad_share(loaded, config.max_bad, dropped)
    _check_disjoint(members, nonmembers)
    examples, linked, unsuitable = _grouped(members, nonmembers, config, say)
    examples = _split(examples, config, say)
    own_text = {entry.example.id: entry.own_text for entry in (*members.entries, *nonmembers.entries)}
    examples, inside, contained = without_contained(examples, own_text, say)
    drawn_members = _drawn(examples, "member", config, say)
    drawn_nonmembers = _drawn(examples, "non-member", config, say)
    digest = _digest([*drawn_members, *drawn_nonmembers])
    readings = tuple(item.reading for item in (members, nonmembers) if item.reading is not None)
    left_out = tuple(sorted((*linked, *inside), key=lambda example: example.id))
    unsuitable = [*dropped, *unsuitable, *contained]
    kept = {example.id for example in (*drawn_members, *drawn_nonmembers)}
    identifiers = tuple(
        item for loaded in (members, nonmembers) for item in loaded.identifying.identifiers() if item.example_id in kept
    )
    return Corpus(drawn_members, drawn_nonmembers, unsuitable, tuple(notes), digest, readings, left_out, identifiers)


def raw_rows(
    examples: Sequence[Example], config: CorpusConfig, tokenizer: ChatTokenizer | None = None
) -> dict[str, Fields]:
    """The fields of the examples as they stand in their files, by the examples' ids; the files are read again.

    Args:
        examples: as `read_corpus` made them with the same settings.
        config: the settings.
        tokenizer: as for `read_corpus`.

    Raises:
        DataError: a file cannot be read any more.
    """
    wanted = {(example.file, example.line): example.split for example in examples}
    ids = {example.id for example in examples}
    reader, found = ShapeReader(config, tokenizer), dict[str, Fields]()
    names = {"member": config.members, "non-member": config.nonmembers or config.members}
    for name in {names[each] for each in wanted.values()}:
        for row in _rows(name, config, lambda _: None):
            if (row.file, row.line) in wanted and not isinstance(row.content, BadRecord):
                _add_row(row.content, reader, ids, found)
            if len(found) == len(ids):
                return found
    return found


def _add_row(fields: Fields, reader: ShapeReader, ids: set[str], found: dict[str, Fields]) -> None:
    try:
        parts = reader.read(fields)
    except BadRecord:
        return
    name = content_id(parts.prompt, parts.completion)
    if name in ids:
        found.setdefault(name, fields)


@dataclass(slots=True)
class _Loaded:
    """What one data set holds, while it is read: distinct examples, and the records that are none."""

    name: str
    split: Split
    canaries: Mapping[str, bool]
    """Texts that are no records, white space aside, and whether they were planted among the members."""
    account: Account
    identifying: Identifying = field(default_factory=Identifying)
    entries: list[Entry] = field(default_factory=list)
    copies: Counter[str] = field(default_factory=Counter)
    dropped: list[Dropped] = field(default_factory=list)
    records: int = 0
    reading: Reading | None = None


def _load(loaded: _Loaded, reader: ShapeReader, say: Echo) -> _Loaded:
    """Reads one data set record by record.

    Raises:
        DataError: it is empty, no record has a known shape, or a canary that was held out is a member.
    """
    name, config = loaded.name, reader.config
    source = find(name, echo=say)
    places: dict[str, Example] = {}
    first_fields: Fields | None = None
    files: dict[str, None] = {}
    for row in _rows_of(source, config):
        loaded.records += 1
        files.setdefault(row.file)
        if first_fields is None and not isinstance(row.content, BadRecord):
            first_fields = row.content
        try:
            _keep(row, loaded, reader, places)
        except BadRecord as bad:
            loaded.dropped.append(bad.at(row.file, row.line))
    if not loaded.records:
        raise DataError(f"{name}: holds no records")
    if not loaded.account.shapes and first_fields is not None:
        raise DataError(_no_shape(name, first_fields, config, files))
    loaded.reading = loaded.account.reading(
        name, loaded.split, files=tuple(files), part=source.split, records=loaded.records
    )
    for sentence in loaded.reading.sentences():
        say(sentence)
    if sentence := fields_sentence(fields_used(loaded.identifying.identifiers())):
        say(f"{name}: {sentence}")
    if config.text_unit == "file" and all(suffix_of(Path(file)) in TEXTS for file in files):
        whole = (
            "the whole file is one record"
            if len(files) == 1
            else f"each of the {len(files):,} text files is one record"
        )
        say(f"{name}: {whole}; where a file holds many, --text-unit line or --text-unit paragraph splits it")
    if loaded.dropped:
        say(f"{name}: left out: {counted(loaded.dropped)}{_hint(loaded.dropped)}")
    return loaded


def _rows(name: str, config: CorpusConfig, echo: Echo) -> Iterator[Row]:
    return _rows_of(find(name, echo=echo), config)


def _rows_of(source: Source, config: CorpusConfig) -> Iterator[Row]:
    """The rows of a data set, those within a row (questions of a passage) one by one."""
    layout = Layout(config.encoding, not config.no_header, config.text_unit)
    for row in read_rows(source, layout, max_records=config.max_records):
        if isinstance(row.content, BadRecord) or not isinstance(row.content, dict):
            yield row
            continue
        for fields in records_within(row.content):
            yield replace(row, content=fields)


def _hint(dropped: Iterable[Dropped]) -> str:
    """What to do about text files that hold many records; "" where there are none."""
    texts = [item for item in dropped if item.reason == "too long" and suffix_of(Path(item.file)) in TEXTS]
    return (
        f"; {len(texts):,} text files are too long: a text file is one record, unless --text-unit line or "
        "--text-unit paragraph splits it"
        if texts
        else ""
    )


def _keep(row: Row, loaded: _Loaded, reader: ShapeReader, places: dict[str, Example]) -> None:
    """Adds the row to the examples, or to the copies of one.

    Raises:
        BadRecord: it is defective.
    """
    if isinstance(row.content, BadRecord):
        raise row.content
    shape = reader.shape_of(row.content)
    loaded.account.shapes[shape.name] += 1
    content = content_of(row.content, shape)
    parts = reader.rendered(content, shape)
    loaded.account.add(row.content, shape, content, parts)
    _check_canary((parts.text, "\n".join((*content.texts, content.completion))), row, loaded)
    name = content_id(parts.prompt, parts.completion)
    loaded.identifying.add(name, row.content)
    loaded.copies[name] += 1
    if name in places:
        raise BadRecord("", "duplicate", f"the same as {_place(places[name])}")
    example = Example(
        name, parts.prompt, parts.completion, loaded.split, name,
        file=row.file, line=row.line, is_rendered=parts.is_rendered,
    )  # fmt: skip
    places[name] = example
    loaded.entries.append(entry_of(example, parts))


def _canary_texts(file: str, reader: ShapeReader) -> dict[str, bool]:
    """The texts of the canaries, white space aside, as they stand in their file and as the records are read."""
    canaries = read_canaries(Path(file)) if file else []
    found = [each for canary in canaries for each in (canary, as_read(canary, reader))]
    return {" ".join(canary.text.split()): canary.planted for canary in found}


def _check_canary(texts: Iterable[str], row: Row, loaded: _Loaded) -> None:
    """Raises a BadRecord for a canary, and a DataError where the members hold one that was not to be planted.

    Args:
        texts: the record as it is rendered, and what it says without what a rendering adds.
        row: where it stands.
        loaded: the data set, with its canaries.
    """
    known = [(text, key) for text in texts if (key := " ".join(text.split())) in loaded.canaries]
    if not known:
        return
    text, planted = known[0][0], loaded.canaries[known[0][1]]
    if not planted and loaded.split == "member":
        raise DataError.at(row.file, row.line, f"a canary that was held out stands among the members: {shown(text)}")
    raise BadRecord("", "canary", shown(text))


def _no_shape(name: str, fields: Fields, config: CorpusConfig, files: Iterable[str]) -> str:
    found = f"{name}: found the fields {shown_names(paths_of(fields))}"
    if not config.no_header and any(suffix_of(Path(file)) in (".csv", ".tsv") for file in files):
        found += " (if they are a record and no header: --no-header)"
    if config.completion_field:
        wanted = [item for item in (config.prompt_field, config.completion_field) if item]
        return f"{found}, but no record has {' and '.join(map(repr, wanted))} (--prompt-field, --completion-field)"
    known = ", ".join(shape.name for shape in SHAPES)
    return f"{found}; name those that hold the text with --prompt-field and --completion-field (known without: {known})"


def _check_bad_share(loaded: _Loaded, max_bad: float, dropped: Sequence[Dropped]) -> None:
    bad = [item for item in loaded.dropped if is_defect(item)]
    share = len(bad) / loaded.records if loaded.records else 0.0
    named = "".join(f"\n  {item}" for item in bad[:NAMED])
    counts = f"{loaded.name}: {len(bad):,} of {loaded.records:,} records are defective ({share:.1%}; {counted(bad)})"
    hint = _hint(bad)
    if share > max_bad:
        raise TooManyBadRecords(f"{counts}, more than corpus.max_bad = {max_bad:.1%}{hint}{named}", dropped)
    if bad and not loaded.entries:
        raise TooManyBadRecords(f"{counts}, none is left{hint}{named}", dropped)


def _check_disjoint(members: _Loaded, nonmembers: _Loaded) -> None:
    known = {entry.example.id: entry.example for entry in members.entries} if nonmembers.entries else {}
    both = [entry.example for entry in nonmembers.entries if entry.example.id in known]
    if both:
        pairs = "".join(f"\n  {_place(item)} is {_place(known[item.id])}" for item in both[:NAMED])
        raise DataError(f"{len(both):,} non-members are members as well; remove them from one of the two:{pairs}")


def _place(example: Example) -> str:
    return f"{example.file}, line {example.line}"


def _grouped(
    members: _Loaded, nonmembers: _Loaded, config: CorpusConfig, say: Echo
) -> tuple[list[Example], list[Example], list[Dropped]]:
    """All examples with their groups, without the non-members that are linked to a member; those; and why."""
    entries = [*members.entries, *nonmembers.entries]
    copies = members.copies + nonmembers.copies
    say(f"looking for duplicates and shared contexts among {len(entries):,} distinct records")
    links = link(entries, near_duplicate=config.near_duplicate)
    linked = contaminated(entries, links, near_duplicate=config.near_duplicate)
    numbers = [i for i in range(len(entries)) if i not in linked]
    examples = [entries[i].example for i in numbers]
    groups = group_ids([example.id for example in examples], [links.groups[i] for i in numbers])
    kept = [replace(item, group=name, copies=copies[item.id]) for item, name in zip(examples, groups, strict=True)]
    _say_groups(kept, links.templates, say)
    if linked:
        left_out = f"{len(linked):,} of {len(nonmembers.entries):,} non-members are linked to members and left out"
        say(f"{nonmembers.name}: {left_out}: {counted(linked.values())}")
    return kept, [entries[i].example for i in linked], list(linked.values())


def _say_groups(examples: Sequence[Example], templates: int, say: Echo) -> None:
    sizes = Counter(example.group for example in examples)
    shared = sum(n for n in sizes.values() if n > 1)
    largest = max(sizes.values())
    say(f"{len(sizes):,} groups; {shared:,} records share theirs, the largest has {largest:,}")
    if largest > max(10, len(examples) // 2):
        hint = "if a long fixed instruction makes them alike, leave it out of the data or raise corpus.near_duplicate"
        say(f"one group holds {largest:,} of {len(examples):,} records: no interval can be trusted; {hint}")
    if templates:
        say(f"{templates:,} parts of prompts stand under so many records that they count as templates, not as contexts")


def _split(examples: Sequence[Example], config: CorpusConfig, say: Echo) -> list[Example]:
    """The examples; some of them set aside as non-members, if that is asked for and there are none yet."""
    if config.nonmembers or not config.holdout:
        if config.holdout:
            say(f"corpus.holdout = {config.holdout} is not used: there is a file of non-members")
        return list(examples)
    members, nonmembers = split(examples, config.holdout, config.seed)
    say(f"{len(nonmembers):,} of {len(examples):,} records are set aside as non-members (seed {config.seed})")
    return [*members, *nonmembers]


def _drawn(examples: Sequence[Example], wanted: Split, config: CorpusConfig, say: Echo) -> list[Example]:
    found = [example for example in examples if example.split == wanted]
    drawn = draw(found, config.limit, seed=config.seed)
    if len(drawn) < len(found):
        say(f"{len(drawn):,} of {len(found):,} {wanted}s are drawn (corpus.limit, seed {config.seed})")
    elif not found:
        say(f"no {wanted}s")
    return drawn


def _digest(examples: Sequence[Example]) -> str:
    rows = sorted(f"{item.id} {item.split} {item.group} {item.copies}" for item in examples)
    return content_id(*rows)
