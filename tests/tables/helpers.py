"""Small specs, frames and files for the tests of tables."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.tables.grains import Calendar
from pipelines.tables.sources.wanted import Wanted, by_partition
from pipelines.tables.spec import AreaTableSpec, TableSpec

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
COLUMNS = {"date": "day", "team": "team_code", "kpi": "kpi_code", "actual": "value"}


def table_spec(**changes: Any) -> TableSpec:
    """A daily table of readings in a Parquet file, with changes."""
    fields = {
        "name": "kpis",
        "source": {"files": "kpi.parquet"},
        "columns": COLUMNS,
        "start": "2024-01-01",
        **changes,
    }
    return TableSpec.model_validate({name: value for name, value in fields.items() if value is not None})


def area_spec(**changes: Any) -> AreaTableSpec:
    """A table of areas in a CSV file, with changes."""
    return AreaTableSpec.model_validate({"name": "areas", "source": {"files": "areas.csv"}, **changes})


def readings(*rows: tuple[Any, ...], names: tuple[str, ...] = ("day", "team_code", "kpi_code", "value")) -> pa.Table:
    """Readings as a source holds them."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return pa.table([pa.array(values) for values in columns], names=list(names))


def raw_of(source: pa.Table, partition: str | list[str] = "2024-01-01") -> pa.Table:
    """A source's rows as a raw extract."""
    labels = [partition] * source.num_rows if isinstance(partition, str) else partition
    return by_partition(source, pa.array(labels, pa.string()))


def write_parquet(path: Path, table: pa.Table) -> Path:
    """A Parquet file, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def wanted(*partitions: str, spec: TableSpec | None = None, date_column: str | None = "day") -> Wanted:
    """What an extract of `table_spec` asks of its source."""
    spec = spec or table_spec()
    required = tuple(spec.columns.mapped.values())
    return Wanted(spec.name, Calendar.of(spec), partitions, date_column, required, spec.date_format)


def local(text: str) -> datetime:
    """A time without a zone, from its ISO text."""
    return datetime.fromisoformat(text)


def day(text: str) -> date:
    """A date from its ISO text."""
    return date.fromisoformat(text)
