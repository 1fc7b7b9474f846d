"""A company of two teams with a KPI per grain: its tables, its syncs, and what the sandbox must know of it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from pipelines.destinations.stativate import StativateSpec
from pipelines.destinations.valuestreamer import ValueStreamerSpec
from pipelines.sandbox import Control
from pipelines.tables.spec import TableSpec
from tests.components.deploying import Deployment, Told

ZONE = "Europe/Berlin"
TABLE = "shop_kpis"
RAW_COLUMNS = ("day", "team", "kpi", "value")
TEAMS = ("press", "paint")
INTERVALS = {"output": "day", "overtime": "week", "scrap": "month"}
"""The KPIs, and how often ValueStreamer wants each."""
BOARD, FLOOR = "status_board", "shop_floor"

Reading = tuple[Any, str, str, float]
"""Day or moment, team, KPI and value."""


def uuid(name: str) -> str:
    """The id that ValueStreamer gave to something of the company."""
    return str(uuid5(NAMESPACE_URL, name))


def found_company(control: Control, folder: Path) -> None:
    """Make the company's KPIs and teams the only ones of the sandbox, and write its catalogues into a folder."""
    control.put_valuestreamer_meta(
        replace=True,
        teams=[{"id": uuid(team), "name": team} for team in TEAMS],
        kpis=[
            {"id": uuid(kpi), "name": kpi, "interval": interval, "values": [{"id": uuid(f"{kpi} value"), "name": kpi}]}
            for kpi, interval in INTERVALS.items()
        ],
    )
    write_csv(folder / "teams.csv", ("team", "team_id"), [(team, uuid(team)) for team in TEAMS])
    write_csv(
        folder / "kpis.csv",
        ("kpi", "kpi_id", "value_id"),
        [(kpi, uuid(kpi), uuid(f"{kpi} value")) for kpi in INTERVALS],
    )


def write_csv(path: Path, header: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def table(grain: str, start: str | None, **fields: Any) -> TableSpec:
    """The company's readings as a table of some grain, read from `readings.csv` unless another source is given."""
    columns = {"date": "day", "actual": "value"}
    example = {
        "name": TABLE,
        "source": {"files": "readings.csv"},
        "catalogues": {"team": "teams.csv", "kpi": "kpis.csv"},
        "grain": grain,
        "start": start,
        "timezone": ZONE,
        "columns": columns,
    }
    return TableSpec.model_validate(example | fields)


def board(**fields: Any) -> StativateSpec:
    """A sync of the latest values to Stativate."""
    example = {
        "name": BOARD,
        "table": TABLE,
        "account": "stativate",
        "mode": "sandbox",
        "key": "{kpi}-{team}",
        "label": "{kpi} of {team}",
        "value": {"column": "actual", "format": "compact"},
    }
    return StativateSpec.model_validate(example | fields)


def floor(**fields: Any) -> ValueStreamerSpec:
    """A sync of every reading to ValueStreamer; a KPI has one value there."""
    example = {
        "name": FLOOR,
        "table": TABLE,
        "account": "valuestreamer",
        "mode": "sandbox",
        "team_id": "team_id",
        "kpi_id": "kpi_id",
        "actual": {"column": "actual", "id": "value_id"},
        "target": "none",
    }
    return ValueStreamerSpec.model_validate(example | fields)


@dataclass(frozen=True, slots=True)
class Company:
    """A deployment of the company's table, and what its boards hold, in the company's own words."""

    deployment: Deployment

    @property
    def control(self) -> Control:
        """The sandbox's control."""
        return self.deployment.control

    def read(self, *readings: Reading) -> None:
        """Let these be the table's rows."""
        write_csv(self.deployment.folder / "readings.csv", RAW_COLUMNS, readings)

    def extract(self, first: str = "", last: str = "", tags: Mapping[str, str] = {}) -> Told:
        """Run the table's job over a partition, a range, or without partitions; with `tags` over what they say."""
        return self.deployment.run(f"{TABLE}_extract", first, last, tags=tags)

    def deliver(self, sync: str, first: str = "", last: str = "", tags: Mapping[str, str] = {}) -> Told:
        """Run a sync's job in the same ways."""
        return self.deployment.run(f"{sync}_deliver", first, last, tags=tags)

    def requests(self) -> int:
        """Requests to all APIs of the sandbox since the test began, or since `reset_counts`."""
        return self.control.counts()["requests"]

    def shown(self) -> dict[str, str]:
        """Value by key, as Stativate shows them."""
        return self.deployment.board()

    def held(self, control: Control | None = None) -> dict[tuple[str, str, str], float]:
        """Value by date, team and KPI, as ValueStreamer holds them."""
        return held_by(control or self.control)


def held_by(control: Control) -> dict[tuple[str, str, str], float]:
    """Value by date, team and KPI, as the ValueStreamer of a sandbox holds them."""
    names = {uuid(name): name for name in (*TEAMS, *INTERVALS)}
    return {
        (record["date"], names[record["teamId"]], names[record["kpiId"]]): value
        for record in control.state("valuestreamer")["records"].values()
        for value in record["values"].values()
    }
