"""The section "Similarity": cosines beside their controls, and what members have more of than non-members."""

from collections.abc import Sequence

from rote.config import AuditConfig
from rote.reporting.artifacts import Artifacts
from rote.reporting.names import title_of
from rote.reporting.plots import Chart
from rote.reporting.populations import BASE, MEMBERS, NON_MEMBERS, SHUFFLED, TRUE_SUFFIX, Population
from rote.reporting.sections import Distribution, FigureSection, figure_row, section_chart
from rote.scoring.excess import STRATUM
from rote.scoring.metrics.generation import SIMILARITY
from rote.scoring.similarity import THRESHOLDS, encoder_name

COLUMNS = (
    ("Members", MEMBERS, "all"),
    ("Base model", BASE, "all"),
    ("Non-members", NON_MEMBERS, "all"),
    ("Members − non-members", MEMBERS, STRATUM),
    ("Shuffled pairs", SHUFFLED, "all"),
    ("True suffix", TRUE_SUFFIX, "all"),
)
BRIEF = ("similarity_own", "similar_own_80", "similarity_best", "similar_best_80")
DRAWN = "similarity_own"
LEXICAL_NOTE = (
    "This similarity is lexical: it sees shared words, weighted by how rare they are in the members, and no meaning. A "
    "sentence-transformers model named with scoring.similarity_model takes its place."
)


def similarity_section(artifacts: Artifacts, config: AuditConfig) -> FigureSection | None:
    """The section; None where nothing was compared."""
    columns = [(population, stratum) for _, population, stratum in COLUMNS]
    rows = [
        figure_row(metric.name, artifacts.estimates, columns, in_brief=metric.name in BRIEF) for metric in SIMILARITY
    ]
    rows = [row for row in rows if any(row.estimates)]
    if not rows:
        return None
    source = config.scoring.similarity_model
    notes = [] if source else [LEXICAL_NOTE]
    return FigureSection(
        title=f"Similarity ({encoder_name(source)})",
        lead="How like the generations are to its own suffix, and to the stretch of any candidate training text that is most "
        "like them. Texts on one topic are alike: only what members have more of than non-members of like length, and "
        "than the base model, is memory.",
        columns=tuple(name for name, _, _ in COLUMNS),
        rows=tuple(rows),
        notes=tuple(notes),
        distributions=tuple(
            Distribution(name, style, tuple(_values(artifacts, one)))
            for style, (name, one) in enumerate(
                (("Members", MEMBERS), ("Base model", BASE), ("Non-members", NON_MEMBERS))
            )
        ),
    )


def _values(artifacts: Artifacts, population: Population) -> Sequence[float]:
    found = [
        artifacts.score(item.id, DRAWN)
        for item in artifacts.generations.values()
        if item.model == population.model and item.sample == 0 and artifacts.split(item) == population.split
    ]
    return sorted(value for value in found if value is not None)


def similarity_chart(section: FigureSection) -> Chart | None:
    """How the similarity to its own suffix is distributed: members beside their controls."""
    return section_chart(section, title_of(DRAWN), [threshold / 100 for threshold in THRESHOLDS])
