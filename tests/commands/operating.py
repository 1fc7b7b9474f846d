"""A deployment that is run without Dagster, beside the commands that look into it."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.commands.deployed import Deployed
from pipelines.components.sync_run import Order, SyncResult, SyncRunner
from pipelines.delivery.upsert import Outcome
from pipelines.home import Home
from pipelines.sandbox import Control
from pipelines.tables.extract import extract
from pipelines.tables.spec import AnyTable
from pipelines.tables.store import PartitionStore

DAY, NEXT = "2013-01-01", "2013-01-02"
READINGS = """type: pipelines.KpiTable
attributes:
  name: readings
  source: {files: "exports/kpi_{date}.csv"}
  catalogues: {kpi: "sample/kpis.parquet", team: "sample/teams.parquet"}
  start: "2013-01-01"
  columns: {date: reading_date, team: team_code, kpi: kpi_code, actual: value}
"""
FLOOR = """type: pipelines.ValueStreamerSync
attributes:
  name: floor
  table: readings
  account: valuestreamer
  mode: sandbox
  team_id: valuestreamer_team_id
  kpi_id: valuestreamer_kpi_id
  actual: {column: actual, id: valuestreamer_actual_id}
  target: none
"""
STATUSES = """type: pipelines.DnsimpleSync
attributes:
  name: statuses
  table: readings
  account: dnsimple
  mode: sandbox
  resource: dnsimple_resource
  context: departures
  state: {column: actual, steps: [{at_least: 40, state: ok}], otherwise: error}
  title: "{actual:integer} departures"
"""
AREAS = """type: pipelines.AreaTable
attributes:
  name: areas
  source: {files: "exports/areas.csv"}
  timezone: America/New_York
"""
UNITS = """type: pipelines.FeedbackHouseSync
attributes: {name: units, table: areas, account: feedback_house, mode: sandbox, tags: null}
"""
Reading = tuple[str, str, object]
"""Team, KPI and value."""


@dataclass(slots=True)
class Operated:
    """A deployment's folder, its home, and the control of the sandbox that it delivers to."""

    folder: Path
    home: Home
    control: Control
    deployed: Deployed = field(init=False)
    _runs: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.deployed = Deployed.at(self.folder)

    def export(self, day: str, rows: Sequence[Reading], *, table: str = "readings") -> None:
        """Write a day's file and extract it."""
        path = self.folder / "exports" / f"kpi_{day}.csv"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(
                [("reading_date", "team_code", "kpi_code", "value"), *((day, *row) for row in rows)]
            )
        self.extract(day, table=table)

    def org(self, *rows: str) -> None:
        """Write the areas' file, a line of code, name, parent and active for each, and extract it."""
        path = self.folder / "exports" / "areas.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(["area_code,area_name,parent_code,active,tags", *(f"{row}," for row in rows)]) + "\n")
        self.extract("snapshot", table="areas")

    def extract(self, partition: str, *, table: str = "readings") -> None:
        """Bring a partition of a table into the store."""
        facts = extract(
            self.table(table),
            [partition],
            base=self.deployed.folder,
            store=PartitionStore(self.home.store_url),
            environ={},
            now=datetime(2013, 6, 1, tzinfo=UTC),
        )
        assert not facts.failed

    def deliver(self, sync: str, *partitions: str, **asked: Any) -> SyncResult:
        """Run a sync."""
        spec = self.deployed.sync(sync)
        runner = SyncRunner(spec, self.home, self.table(spec.table), self.deployed.folder)
        return runner.run(Order(f"run-{next(self._runs)}", partitions or (DAY,), **asked))

    def table(self, name: str) -> AnyTable:
        """A table by name."""
        return next(table for table in self.deployed.tables if table.name == name)


def counts(result: SyncResult) -> dict[str, int]:
    """Rows by outcome, over all partitions; what is 0 is left out."""
    return {str(outcome): total for outcome in Outcome if (total := result.report.total(outcome))}
