"""With a live daemon: backfills of date ranges, days that fail by themselves, schedules that tick."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from pipelines.home import Home
from tests.live.deployment import SAMPLE, Live, served, wait_for, write_deployment

DAYS = [f"2013-01-0{day}" for day in range(1, 10)]
BROKEN = "2013-01-05"
SYNCS = ("board", "floor")
TABLE = ("readings", "readings_valid", "readings_quarantine")

_TABLE = """
type: pipelines.KpiTable
attributes:
  name: {name}
  source: {{files: "exports/{folder}/kpi_{{date}}.csv"}}
  catalogues: {{kpi: "sample/kpis.parquet", team: "sample/teams.parquet"}}
  start: "{start}"
  columns: {{date: reading_date, team: team_code, kpi: kpi_code, actual: value}}
{schedule}
"""
_BOARD = """
type: pipelines.StativateSync
attributes:
  name: {name}
  table: {table}
  account: stativate
  mode: sandbox
  key: "{prefix}{{kpi}}-{{team}}"
  label: "{{kpi_name}} {{team}}"
  value: {{column: actual, format: compact}}
"""
_FLOOR = """
type: pipelines.ValueStreamerSync
attributes:
  name: floor
  table: readings
  account: valuestreamer
  mode: sandbox
  team_id: valuestreamer_team_id
  kpi_id: valuestreamer_kpi_id
  actual: {column: actual, id: valuestreamer_actual_id}
  target: {column: target, id: valuestreamer_target_id}
  unit: unit
  whole_number: whole_number
"""


def export(folder: Path, day: str, source_day: str) -> None:
    """One day of the sample as the CSV file of a day."""
    readings = pd.read_parquet(SAMPLE / "kpi_readings.parquet")
    chosen = readings[readings["reading_date"].astype(str) == source_day].assign(reading_date=day)
    folder.mkdir(parents=True, exist_ok=True)
    chosen.to_csv(folder / f"kpi_{day}.csv", index=False)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("project")
    soon = datetime.now(UTC) + timedelta(seconds=100)
    yesterday = (soon.date() - timedelta(days=1)).isoformat()
    start = (soon.date() - timedelta(days=3)).isoformat()
    schedule = f'  schedule: {{at: "{soon:%H:%M}", lookback: 2}}'
    package = write_deployment(
        folder,
        {
            "readings": _TABLE.format(name="readings", folder="past", start="2013-01-01", schedule=""),
            "board": _BOARD.format(name="board", table="readings", prefix=""),
            "floor": _FLOOR,
            "today": _TABLE.format(name="today", folder="today", start=start, schedule=schedule),
            "today_board": _BOARD.format(name="today_board", table="today", prefix="today-"),
        },
    )
    for day in DAYS:
        export(package / "exports" / "past", day, day)
    (package / "exports" / "past" / f"kpi_{BROKEN}.csv").write_bytes(b"\x00\x01 this is not the file you want \xff\xfe")
    export(package / "exports" / "today", yesterday, "2013-01-02")
    export(package / "exports" / "today", (soon.date() - timedelta(days=2)).isoformat(), "2013-01-01")
    with served(package, Home.of({"PIPELINES_HOME": str(folder / "home")})) as live:
        live.query(
            """mutation($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) { __typename } }""",
            selector={
                "repositoryName": "__repository__",
                "repositoryLocationName": "livedeployment.definitions",
                "scheduleName": "today_schedule",
            },
        )
        yield live


@pytest.mark.timeout(600)
def test_bad_day_stays_alone_and_is_mended_by_a_retry_of_that_day(live: Live) -> None:
    """Nine days, one broken file: eight green, the bad one red on its table and missing on the syncs, until mended."""
    good = [day for day in DAYS if day != BROKEN]
    backfill = live.backfill([*TABLE, *(name for sync in SYNCS for name in (f"{sync}_upserts", sync))], DAYS)
    assert live.wait_for_backfill(backfill) == "COMPLETED_FAILED"
    for asset in TABLE:
        assert live.partitions(asset) == {**dict.fromkeys(good, "MATERIALIZED"), BROKEN: "FAILED"}
    for sync in SYNCS:
        assert live.partitions(sync) == dict.fromkeys(good, "MATERIALIZED")

    export(live.folder / "exports" / "past", BROKEN, BROKEN)
    before = live.sandbox.control.counts("stativate")["requests"]
    retry = live.backfill([*TABLE, *(name for sync in SYNCS for name in (f"{sync}_upserts", sync))], [BROKEN])
    assert live.wait_for_backfill(retry) == "COMPLETED_SUCCESS"
    for asset in (*TABLE, *SYNCS):
        assert live.partitions(asset) == dict.fromkeys(DAYS, "MATERIALIZED")
    # The mended day is older than what the board shows: its statuses leave it alone, but for teams that only flew then.
    assert live.sandbox.control.counts("stativate")["requests"] - before < 20


@pytest.mark.timeout(600)
def test_schedule_ticks_and_the_syncs_follow_their_table(live: Live) -> None:
    """The schedule's tick extracts the last two days in one run, and the sync delivers them in a run of its own."""
    ticked = wait_for(lambda: _succeeded(live.runs(dagster__schedule_name="today_schedule")), 240, "the schedule's run")
    tags = {tag["key"]: tag["value"] for tag in ticked["tags"]}
    assert tags["dagster/asset_partition_range_start"] < tags["dagster/asset_partition_range_end"]
    wait_for(lambda: len(live.partitions("today_board")) == 2, 120, "the sync's partitions")
    (delivery,) = [run for run in live.runs(pipelines__priority="scheduled") if run["jobName"] == "today_board_deliver"]
    assert delivery["status"] == "SUCCESS"
    statuses = str(live.sandbox.control.state("stativate"))
    assert "today-on_time_pct-EWR-AA" in statuses


def _succeeded(runs: list[dict[str, object]]) -> dict[str, object] | None:
    assert not any(run["status"] == "FAILURE" for run in runs), runs
    return next((run for run in runs if run["status"] == "SUCCESS"), None)
