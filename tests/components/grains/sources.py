"""The same readings in every kind of source that a table can name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import sqlalchemy as sa

from tests.components.grains.company import RAW_COLUMNS, Reading, write_csv

VARIABLE = "MART_URL"
"""The environment variable that holds the address of a database."""

Fill = Callable[[Path, Sequence[Reading]], dict[str, Any]]
"""Writes readings (days or moments as ISO text) and returns the table's `source`."""


def duckdb_file(folder: Path, readings: Sequence[Reading]) -> dict[str, Any]:
    """A table in a schema of a DuckDB file; its moments are times with a zone."""
    (folder / "mart").mkdir()
    with duckdb.connect(str(folder / "mart/kpis.duckdb")) as connection:
        connection.execute("CREATE SCHEMA mart")
        kind = "TIMESTAMPTZ" if "T" in readings[0][0] else "DATE"
        connection.execute(f"CREATE TABLE mart.kpi (day {kind}, team VARCHAR, kpi VARCHAR, value DOUBLE)")
        connection.executemany("INSERT INTO mart.kpi VALUES (?, ?, ?, ?)", [list(one) for one in readings])
    return {"duckdb": "mart/kpis.duckdb", "table": "mart.kpi"}


def parquet_glob(folder: Path, readings: Sequence[Reading]) -> dict[str, Any]:
    """Parquet files found by a pattern, one per team; their moments are times in UTC."""
    frame = pd.DataFrame(readings, columns=list(RAW_COLUMNS))
    timed = "T" in readings[0][0]
    frame["day"] = [datetime.fromisoformat(day).astimezone(UTC) for day in frame["day"]] if timed else frame["day"]
    for team, part in frame.groupby("team"):
        part.to_parquet(folder / f"kpi_{team}.parquet", index=False)
    return {"files": "kpi_*.parquet"}


def csv_glob(folder: Path, readings: Sequence[Reading]) -> dict[str, Any]:
    """CSV files found by a pattern over folders; their moments are texts with an offset."""
    for team in {reading[1] for reading in readings}:
        (folder / "exports" / team).mkdir(parents=True)
        write_csv(folder / "exports" / team / "kpi.csv", RAW_COLUMNS, [one for one in readings if one[1] == team])
    return {"files": "exports/*/kpi.csv"}


def in_database(url: str, readings: Sequence[Reading]) -> dict[str, Any]:
    """A user's own SELECT over times with a zone in PostgreSQL; a table with texts in SQLite."""
    engine = sa.create_engine(url)
    timed = "T" in readings[0][0]
    kind: Any = sa.Date() if not timed else sa.DateTime(timezone=True) if engine.name == "postgresql" else sa.Text()
    mart = sa.Table(
        "kpi_mart",
        sa.MetaData(),
        *(
            sa.Column(name, kind if name == "day" else sa.Text() if name != "value" else sa.Float())
            for name in RAW_COLUMNS
        ),
    )
    with engine.begin() as connection:
        mart.create(connection)
        rows: list[dict[str, Any]] = [dict(zip(RAW_COLUMNS, reading, strict=True)) for reading in readings]
        if not isinstance(kind, sa.Text):
            for row in rows:
                moment = datetime.fromisoformat(row["day"])
                row["day"] = moment if timed else moment.date()
        connection.execute(mart.insert(), rows)
    engine.dispose()
    if engine.name == "postgresql":
        return {"database_env": VARIABLE, "query": "SELECT day, team, kpi, value FROM kpi_mart WHERE value > 0;"}
    return {"database_env": VARIABLE, "table": "kpi_mart"}
