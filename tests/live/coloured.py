"""A month in all colours: the deployment that ships, over a file per day, delivered, corrected and delivered again.

The days are those of the sample's January, moved so that the last one is yesterday: Dagster's plots over partitions
show the newest days up to today. The runs take no daemon; what they leave in a home is served afterwards.

first delivery   every day but `BROKEN`, whose file nobody can read
second delivery  some days were corrected (`CORRECTED`); of them the API refuses a few rows of `YELLOW`, more than
                 `fail_above` of `RED`, which was green before, and is down for the only new row of `DOWN`. Three rows
                 of `QUARANTINED` break a rule. The other days did not change
afterwards       `PLANNED` was corrected and extracted, but not delivered; somebody changed `BY_HAND` on the board
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import httpx

import pipelines
from pipelines.components.deployment import load_deployment
from pipelines.components.partitions import END_TAG, START_TAG
from pipelines.destinations.accounts import read_account
from pipelines.destinations.stativate import StativateSettings
from pipelines.home import Home
from pipelines.instance import environment, prepare_instance
from pipelines.sandbox.server import SandboxServer
from tests.live.deployment import Row, export_day, sample_day, write_deployment

DAYS = 31
SYNCS = ("shop_floor", "status_board", "flight_statuses")
YELLOW, QUARANTINED, RED, BROKEN, DOWN = 16, 18, 22, 24, 29
CORRECTED: Mapping[int, tuple[str, ...]] = {
    8: ("departures",),
    9: ("departures", "mean_departure_delay"),
    10: ("departures", "mean_departure_delay", "first_departure", "cancelled"),
    14: ("cancelled",),
    YELLOW: ("departures", "mean_departure_delay"),
    RED: ("departures", "mean_departure_delay", "first_departure"),
}
"""Day -> the KPIs whose values are higher by one in the second delivery."""
PLANNED = 12
BY_HAND = "departures-LGA-AA"
_REFUSED = {YELLOW: 3, RED: 20}
_WEST = ZoneInfo("America/New_York")
_TABLE = {
    '{files: "sample/kpi_readings.parquet"}': '{files: "exports/kpi_{date}.csv"}',
    '  end: "2013-12-31"            # the sample ends there; a table that goes on needs no end\n': "",
    "lookback: 7}": "lookback: 7}\n  rules:\n    - {column: actual, max: 100, where: {kpi: on_time_pct}}",
}
_FLOOR = {"mode: sandbox": "mode: sandbox\n  warn_above: {percent: 1}\n  fail_above: {percent: 10}"}
_BOARD = {"mode: sandbox": "mode: sandbox\n  read_back: {keys: all}"}
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True, slots=True)
class Month:
    """The deployment, the home with its history, and its days, by their number in the sample's January."""

    package: Path
    home: Home
    first: date

    def day(self, number: int) -> str:
        """The key of a partition."""
        return (self.first + timedelta(days=number - 1)).isoformat()

    @property
    def exports(self) -> Path:
        """Where the days' files lie."""
        return self.package / "exports"


def month(folder: Path) -> Month:
    """Make a deployment and its history."""
    first = datetime.now(_WEST).date() - timedelta(days=DAYS)
    table = _changed("flight_kpis", {**_TABLE, '"2013-01-01"': f'"{first}"'})
    package = write_deployment(folder, {**_shipped(), "flight_kpis": table})
    made = Month(package, Home.of({"PIPELINES_HOME": str(folder / "home")}), first)
    prepare_instance(made.home, {})
    here = [str(folder), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    # A process of its own: the deployment is a package, which stays imported.
    maker = subprocess.run(
        [sys.executable, "-m", __name__, str(package), str(first)],
        env=environment(made.home) | {"PYTHONPATH": os.pathsep.join(here)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert maker.returncode == 0, maker.stderr[-3000:]
    return made


def make_history(made: Month) -> None:
    """Extract, deliver and spoil, in the instance that the environment names."""
    with SandboxServer.start(made.home, port=0) as sandbox, dg.DagsterInstance.get() as instance:
        _Maker(made, instance, load_deployment(made.package), sandbox).make()
        account = read_account("stativate", StativateSettings, "sandbox", home=made.home)
        answer = httpx.post(
            f"{account.url}/status-keys/{BY_HAND}", headers=dict(account.headers), json={"value": "by hand"}
        )
        assert answer.is_success, answer.text


@dataclass(frozen=True, slots=True)
class _Maker:
    month: Month
    instance: dg.DagsterInstance
    defs: dg.Definitions
    sandbox: SandboxServer

    def make(self) -> None:
        days = {number: sample_day(f"2013-01-{number:02}") for number in range(1, DAYS + 1)}
        for number, rows in days.items():
            self.export(number, rows)
        broken = self.month.exports / f"kpi_{self.month.day(BROKEN)}.csv"
        broken.write_bytes(b"\x00\x01 not the file you want \xff\xfe")
        assert not self.run("flight_kpis_extract")
        for sync in SYNCS:
            assert not self.run(f"{sync}_deliver")
        assert self.run("areas_extract", {})
        assert self.run("org_units_deliver", {})
        for number, kpis in CORRECTED.items():
            self.export(number, _higher(days[number], *kpis))
        self.export(QUARANTINED, _above(days[QUARANTINED], 3))
        self.export(DOWN, [*_higher(days[DOWN][:1], days[DOWN][0][1]), *days[DOWN][1:]])
        assert not self.run("flight_kpis_extract")
        self.faults()
        assert not self.run("shop_floor_deliver")
        self.sandbox.control.clear_faults()
        self.export(PLANNED, _higher(days[PLANNED], "departures"))
        assert self.run("flight_kpis_extract", self.range(PLANNED, PLANNED))

    def export(self, number: int, rows: list[Row]) -> None:
        export_day(self.month.exports, self.month.day(number), rows)

    def faults(self) -> None:
        put: dict[str, Any] = {"api": "valuestreamer", "method": "PUT", "kind": "status"}
        for day, times in _REFUSED.items():
            rule = {**put, "path_contains": self.month.day(day), "times": times, "params": {"code": 400}}
            self.sandbox.control.add_faults(rule)
        down = {**put, "path_contains": self.month.day(DOWN), "times": None, "params": {"code": 503}}
        self.sandbox.control.add_faults(down)

    def range(self, first: int, last: int) -> dict[str, str]:
        return {START_TAG: self.month.day(first), END_TAG: self.month.day(last)}

    def run(self, job: str, tags: Mapping[str, str] | None = None) -> bool:
        """Whether the run of a job, by default over all days, ended well."""
        found = self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            tags=self.range(1, DAYS) if tags is None else tags,
            run_config=_QUIET,
            raise_on_error=False,
        )
        return found.success


def _shipped() -> dict[str, str]:
    """The deployment's own files; with thresholds at ValueStreamer's, and every key read back at Stativate's."""
    defs = Path(pipelines.__file__).parent / "defs"
    files = {path.parent.name: path.read_text() for path in defs.glob("*/defs.yaml")}
    return {**files, "shop_floor": _changed("shop_floor", _FLOOR), "status_board": _changed("status_board", _BOARD)}


def _changed(name: str, changes: Mapping[str, str]) -> str:
    text = (Path(pipelines.__file__).parent / "defs" / name / "defs.yaml").read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def _higher(rows: list[Row], *kpis: str) -> list[Row]:
    return [(team, kpi, value + (kpi in kpis)) for team, kpi, value in rows]


def _above(rows: list[Row], count: int) -> list[Row]:
    """With shares above 100 % in some of them."""
    shares = [row for row in rows if row[1] == "on_time_pct"][:count]
    return [(*row[:2], 181.0) if row in shares else row for row in rows]


if __name__ == "__main__":
    make_history(Month(Path(sys.argv[1]), Home.of(), date.fromisoformat(sys.argv[2])))
