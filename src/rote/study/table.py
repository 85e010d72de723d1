"""One tidy table of a study: a row for each figure of each audit, with the levels that it was made under."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rote.finetuning import Epoch, Training
from rote.records import Estimate, Separation
from rote.runs import CANARY_ESTIMATES, ESTIMATES, SEPARATIONS, Run
from rote.runs.disk import write_atomically
from rote.study.plan import Audit

PARQUET, CSV = "table.parquet", "table.csv"
FIGURE_COLUMNS = ("metric", "model", "split", "stratum", "value", "low", "high", "n", "events", "method")
SEPARATION = ":"
"""Between score and statistic in the metric of a row that tells members from non-members, e.g. "text_loss:auc"."""


@dataclass(frozen=True, slots=True)
class Row:
    """One figure."""

    levels: tuple[tuple[str, str], ...]
    """Factor and level."""
    cell: str
    checkpoint: str
    epoch: int
    validation_loss: float | None
    trainable_parameters: int
    share_learned: float | None
    """Share of the members' loss before training that was learned: 1 − loss / loss before; see `share_learned`."""
    weight_change: float | None
    """Norm of the change of all weights over their norm before; see `rote.study.weights`."""
    epsilon: float | None
    """What private training had cost for one row; None of other training."""
    record_epsilon: float | None
    """The same of the record with the most rows, at the end of the training; None also where no bound is finite."""
    figure: Estimate
    run: str
    """The run folder, relative to the study's."""


def collect_rows(audit: Audit, training: Training, epoch: Epoch, weight_change: float | None, run: Run) -> list[Row]:
    """The rows of one audit: its estimates, those of its canaries, and how well each score tells the members."""
    names = [name for name in (ESTIMATES, CANARY_ESTIMATES) if name == ESTIMATES or run.has(name)]
    found = [item for name in names for item in run.read(name, Estimate)]
    found += [_as_estimate(item) for item in (run.read(SEPARATIONS, Separation) if run.has(SEPARATIONS) else ())]
    return [
        Row(
            levels=audit.cell.levels,
            cell=audit.cell.name,
            checkpoint=audit.checkpoint,
            epoch=epoch.number,
            validation_loss=epoch.validation_loss,
            trainable_parameters=training.trainable_parameters,
            share_learned=share_learned(training, epoch),
            weight_change=weight_change,
            epsilon=epoch.epsilon,
            record_epsilon=training.privacy.record_epsilon if training.privacy else None,
            figure=item,
            run=f"audits/{run.folder.name}",
        )
        for item in found
    ]


def share_learned(training: Training, epoch: Epoch) -> float | None:
    """Share of the members' loss that training took away: 1 − loss / loss before, in (−∞, 1], higher = more learned.

    None where the members' loss was not measured. 1 would be a text known by heart; a record's language, not only its
    wording, is learned in it: the non-members' share says how much that is.
    """
    if training.base_members_loss is None or epoch.members_loss is None:
        return None
    return 1 - epoch.members_loss / training.base_members_loss


def _as_estimate(item: Separation) -> Estimate:
    """A separation as a row of the table: `n` counts the members."""
    return Estimate(
        metric=f"{item.metric}{SEPARATION}{item.statistic}",
        model=item.model,
        split="member",
        stratum=item.stratum,
        value=item.value,
        low=item.low,
        high=item.high,
        n=item.members,
        n_missing=0,
        method=item.method,
        reason=item.reason,
    )


def write_table(rows: Sequence[Row], out: Path) -> None:
    """Writes table.parquet and table.csv: each factor is a column of its own, named `factor.NAME`."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    factors = list(dict.fromkeys(name for row in rows for name, _ in row.levels))
    columns: dict[str, list[object]] = {
        f"factor.{name}": [dict(row.levels).get(name) for row in rows] for name in factors
    }
    own = [field for field in Row.__slots__ if field not in ("levels", "figure", "run")]
    columns |= {field: [getattr(row, field) for row in rows] for field in own}
    columns |= {field: [getattr(row.figure, field) for row in rows] for field in FIGURE_COLUMNS}
    columns |= {"reason": [row.figure.reason or "" for row in rows], "run": [row.run for row in rows]}
    table = pa.table(columns)
    for name, write in ((PARQUET, parquet.write_table), (CSV, csv.write_csv)):
        content = io.BytesIO()
        write(table, content)
        write_atomically(out / name, content.getvalue())
