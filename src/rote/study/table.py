"""One tidy table of a study: a row for each figure of each audit, with the levels that it was made under."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rote.finetuning import Epoch, Training
from rote.records import Estimate
from rote.runs import ESTIMATES, Run
from rote.study.plan import Audit

PARQUET, CSV = "table.parquet", "table.csv"


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
    metric: str
    model: str
    split: str
    stratum: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    events: int | None
    method: str
    reason: str
    run: str
    """The run folder, relative to the study's."""


def collect_rows(audit: Audit, training: Training, epoch: Epoch, run: Run) -> list[Row]:
    """The rows of one audit."""
    return [
        Row(
            levels=audit.cell.levels,
            cell=audit.cell.name,
            checkpoint=audit.checkpoint,
            epoch=epoch.number,
            validation_loss=epoch.validation_loss,
            trainable_parameters=training.trainable_parameters,
            metric=item.metric,
            model=item.model,
            split=item.split,
            stratum=item.stratum,
            value=item.value,
            low=item.low,
            high=item.high,
            n=item.n,
            events=item.events,
            method=item.method,
            reason=item.reason or "",
            run=f"audits/{run.folder.name}",
        )
        for item in run.read(ESTIMATES, Estimate)
    ]


def write_table(rows: Sequence[Row], out: Path) -> None:
    """Writes table.parquet and table.csv: each factor is a column of its own, named `factor.NAME`."""
    import pyarrow as pa
    from pyarrow import csv, parquet

    factors = list(dict.fromkeys(name for row in rows for name, _ in row.levels))
    columns: dict[str, list[object]] = {
        f"factor.{name}": [dict(row.levels).get(name) for row in rows] for name in factors
    }
    columns |= {field: [getattr(row, field) for row in rows] for field in Row.__slots__ if field != "levels"}
    table = pa.table(columns)
    for name, write in ((PARQUET, parquet.write_table), (CSV, csv.write_csv)):
        temporary = out / f".{name}.tmp"
        write(table, temporary)
        temporary.replace(out / name)
