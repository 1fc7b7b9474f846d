"""Readings and areas in any number, as files; the tables and syncs over them; and what lies ready in the store."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.destinations.feedback_house import FeedbackHouseSpec
from pipelines.destinations.stativate import StativateSpec
from pipelines.destinations.valuestreamer import ValueStreamerSpec
from pipelines.home import Home
from pipelines.tables.extract import extract
from pipelines.tables.grains import Calendar
from pipelines.tables.spec import AnyTable, AreaTableSpec, TableSpec
from pipelines.tables.store import PartitionStore

KPIS = ("departures", "cancelled", "on_time_pct", "delay_min", "load_pct")
FIRST_DAY = dt.date(2025, 1, 1)
_TARGETED = 2
"""The first so many KPIs have whole numbers and no target."""
_ROW_GROUP = 100_000


def write_readings(folder: Path, rows: int, days: int) -> None:
    """`readings.parquet` with so many rows over so many days, beside its catalogues `kpis.parquet`, `teams.parquet`."""
    folder.mkdir(parents=True, exist_ok=True)
    teams = -(-rows // (days * len(KPIS)))
    at = np.arange(rows)
    values = np.round(np.random.default_rng(7).uniform(0, 100, rows), 2)
    kpi = at % len(KPIS)
    values = np.where(kpi < _TARGETED, np.floor(values), values)
    day = at // (teams * len(KPIS))
    first = (FIRST_DAY - dt.date(1970, 1, 1)).days
    codes = np.array([f"TEAM-{number:05d}" for number in range(teams)], dtype=object)
    table = pa.table(
        {
            "reading_date": pa.array((day + first).astype(np.int32), pa.date32()),
            "team_code": pa.array(codes[at // len(KPIS) % teams], pa.string()),
            "kpi_code": pa.array(np.array(KPIS, dtype=object)[kpi], pa.string()),
            "value": pa.array(values),
        }
    )
    pq.write_table(table, folder / "readings.parquet", row_group_size=_ROW_GROUP)
    write_catalogues(folder, teams)


def change_readings(folder: Path, part: float) -> None:
    """Change this part of the values, evenly spread."""
    table = pq.read_table(folder / "readings.parquet")
    at = np.arange(table.num_rows)
    values = table["value"].to_numpy() + (np.floor(at * part) != np.floor((at + 1) * part))
    table = table.set_column(table.column_names.index("value"), "value", pa.array(values))
    pq.write_table(table, folder / "readings.parquet", row_group_size=_ROW_GROUP)


def write_catalogues(folder: Path, teams: int) -> None:
    """The ids of KPIs and teams."""
    numbers = range(len(KPIS))
    targeted = [number >= _TARGETED for number in numbers]
    kpis = {
        "kpi_code": list(KPIS),
        "unit": ["%" if one else "flights" for one in targeted],
        "whole_number": [not one for one in targeted],
        "target": [80.0 if one else None for one in targeted],
        "valuestreamer_kpi_id": [uuid("1", number) for number in numbers],
        "valuestreamer_actual_id": [uuid("2", number) for number in numbers],
        "valuestreamer_target_id": [uuid("3", number) if targeted[number] else None for number in numbers],
    }
    pq.write_table(pa.table(kpis), folder / "kpis.parquet")
    described = {
        "team_code": [f"TEAM-{number:05d}" for number in range(teams)],
        "valuestreamer_team_id": [uuid("4", number) for number in range(teams)],
    }
    pq.write_table(pa.table(described), folder / "teams.parquet")


def write_areas(folder: Path, rows: int) -> None:
    """`areas.parquet`: at the top one in a hundred, the others below them."""
    folder.mkdir(parents=True, exist_ok=True)
    tops = max(1, rows // 100)
    table = {
        "area_code": [f"A{number:06d}" for number in range(rows)],
        "area_name": [f"Area {number}" for number in range(rows)],
        "parent_code": [None if number < tops else f"A{number % tops:06d}" for number in range(rows)],
        "active": [True] * rows,
        "tags": [f"site:{number % tops}" for number in range(rows)],
    }
    pq.write_table(pa.table(table), folder / "areas.parquet")


def uuid(kind: str, number: int) -> str:
    """A text in the form of a UUID."""
    return f"{kind * 8}-0000-4000-8000-{number:012d}"


def readings(name: str = "readings") -> TableSpec:
    """The table of readings."""
    return TableSpec.model_validate(
        {
            "name": name,
            "source": {"files": "readings.parquet"},
            "catalogues": {"kpi": "kpis.parquet", "team": "teams.parquet"},
            "start": FIRST_DAY.isoformat(),
            "columns": {"date": "reading_date", "team": "team_code", "kpi": "kpi_code", "actual": "value"},
        }
    )


def areas() -> AreaTableSpec:
    """The table of areas."""
    return AreaTableSpec.model_validate({"name": "areas", "source": {"files": "areas.parquet"}})


def floor() -> ValueStreamerSpec:
    """A dataset per date, team and KPI, as the shipped deployment has it."""
    return ValueStreamerSpec.model_validate(
        {
            "name": "floor",
            "table": "readings",
            "account": "floor",
            "mode": "sandbox",
            "team_id": "valuestreamer_team_id",
            "kpi_id": "valuestreamer_kpi_id",
            "actual": {"column": "actual", "id": "valuestreamer_actual_id"},
            "target": {"column": "target", "id": "valuestreamer_target_id"},
            "unit": "unit",
            "whole_number": "whole_number",
        }
    )


def board(name: str, table: str) -> StativateSpec:
    """A status per KPI and team; the keys of two such syncs differ."""
    return StativateSpec.model_validate(
        {
            "name": name,
            "table": table,
            "account": "board",
            "mode": "sandbox",
            "key": f"{name}-{{kpi}}-{{team}}",
            "label": "{kpi} {team}",
            "value": {"column": "actual", "format": "compact"},
        }
    )


def org() -> FeedbackHouseSpec:
    """An area per row."""
    return FeedbackHouseSpec.model_validate(
        {"name": "org", "table": "areas", "account": "org", "mode": "sandbox", "batch_size": 100}
    )


def accounts(url: str, home: Path, in_flight: int, **settings: str) -> dict[str, str]:
    """The environment of a run that sends to `url`: a home, and the three accounts."""
    return {
        "PIPELINES_HOME": str(home),
        "FLOOR_URL": url,
        "FLOOR_USER": "user",
        "FLOOR_PASSWORD": "benchmark-password",
        "FLOOR_IN_FLIGHT": str(in_flight),
        "BOARD_URL": url,
        "BOARD_API_KEY": "benchmark-key",
        "BOARD_IN_FLIGHT": str(in_flight),
        "ORG_URL": url,
        "ORG_AUTH_HEADER": "x-key",
        "ORG_AUTH_VALUE": "benchmark-key",
        "ORG_IN_FLIGHT": str(in_flight),
        # Documented is a limit; here the question is what the product bears without one.
        "ORG_RATE": "1000000/s",
        **settings,
    }


def days(count: int) -> list[str]:
    """The first so many partitions."""
    return Calendar.of(readings()).keys(FIRST_DAY.isoformat(), (FIRST_DAY + dt.timedelta(days=count - 1)).isoformat())


def store(spec: AnyTable, folder: Path, environ: Mapping[str, str], partitions: list[str]) -> int:
    """Extract partitions into the home's store, as a run of the table does. Returns the valid rows."""
    extracted = extract(
        spec,
        partitions,
        base=folder,
        store=PartitionStore(Home.of(environ).store_url),
        environ=environ,
        now=dt.datetime.now(dt.UTC),
    )
    return sum(facts.valid for facts in extracted.partitions.values())
