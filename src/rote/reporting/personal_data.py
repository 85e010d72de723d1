"""The section "Personal data": what of the members' comes out, over all types and by type."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from rote.config import AuditConfig
from rote.corpus.identifiers import fields_sentence, fields_used
from rote.reporting.artifacts import Artifacts
from rote.reporting.populations import BASE, MEMBERS, NON_MEMBERS, TRUE_SUFFIX
from rote.reporting.sections import FigureRow, FigureSection, figure_row

COLUMNS = (("Members", MEMBERS), ("Base model", BASE), ("Non-members", NON_MEMBERS), ("True suffix", TRUE_SUFFIX))
METRICS = ("pii_leaked", "pii_leak_rate", "pii_recall", "pii_precision")
BRIEF = ("pii_leaked", "pii_leak_rate")
OF_TYPES = ("pii_leak_rate", "pii_recall")
NAMES = {
    "NAME": "Names",
    "ADDRESS": "Postal addresses",
    "DATE": "Dates",
    "NATIONAL_ID": "National identity numbers",
    "IP_ADDRESS": "IP addresses",
    "URL_LOGIN": "Logins in links",
    "EMAIL": "Mail addresses",
    "PHONE": "Phone numbers",
    "IBAN": "IBANs",
    "CARD": "Card numbers",
    "SSN": "Social security numbers",
    "BIRTH_DATE": "Dates of birth",
    "RECORD_NUMBER": "Record numbers",
}


def personal_data_section(artifacts: Artifacts, config: AuditConfig) -> FigureSection | None:
    """The section; None where nothing was looked for."""
    rows = [
        figure_row(name, artifacts.estimates, [(one, "all") for _, one in COLUMNS], in_brief=name in BRIEF)
        for name in METRICS
    ]
    rows = [row for row in [*rows, *_by_type(artifacts)] if any(row.estimates)]
    if not rows:
        return None
    return FigureSection(
        title="Personal data",
        lead="An item leaked if it stands in a member’s text, and neither in the prompt nor in what the base model wrote "
        "there. Of non-members, the first row is members’ data at non-members’ prompts; the other rows are their own data, "
        "which the model cannot know. True suffix: what perfect memory would write within the budget of new tokens, the "
        "ceiling of every rate beside it; where that is too few records, a rate is not measurable.",
        columns=tuple(name for name, _ in COLUMNS),
        rows=tuple(rows),
        notes=tuple(_notes(artifacts, config)),
    )


def _by_type(artifacts: Artifacts) -> Iterator[FigureRow]:
    strata = sorted({item.stratum for item in artifacts.estimates if item.stratum.startswith("pii=")})
    for stratum in strata:
        kind = stratum.removeprefix("pii=")
        name = NAMES.get(kind, kind.replace("_", " ").capitalize())
        for metric in OF_TYPES:
            row = figure_row(metric, artifacts.estimates, [(one, stratum) for _, one in COLUMNS])
            yield replace(row, title=f"{name}: {row.title.rpartition(': ')[2]}")


def _notes(artifacts: Artifacts, config: AuditConfig) -> Iterator[str]:
    counts = Counter(datum.type for datum in artifacts.personal_data if datum.members)
    listed = ", ".join(f"{NAMES.get(kind, kind)}: {count:,}" for kind, count in sorted(counts.items()))
    what = f"The members hold {counts.total():,} different items ({listed})." if counts else ""
    yield what or "No personal data was recognised in the members."
    if sentence := fields_sentence(fields_used(artifacts.identifiers)):
        yield f"{sentence[0].upper()}{sentence[1:]}. A telling word of such a name counts alone, too."
    if not any(item.in_base is not None for item in artifacts.personal_items) and not _has_base(artifacts):
        yield "There is no base model: what it would have written was not subtracted."
    if config.scoring.pii == "built-in":
        yield (
            "Found by patterns, check digits, calendars and word lists, whoever an item belongs to: a public figure’s name "
            "and the date of an event count, too. Missed are some names (rare ones that nothing calls a name, those in "
            "lower case), most addresses without a word such as “Street”, and most numbers that nothing in the text names."
        )
    yield (
        "Personal data is shown as it is."
        if config.reporting.show_pii
        else "On this page personal data is shown as placeholders, the same wherever the same item stands; the files of the "
        "run keep the texts as they are."
    )


def _has_base(artifacts: Artifacts) -> bool:
    return any(generation.model == "base" for generation in artifacts.generations.values())
