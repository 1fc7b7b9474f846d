"""With a live daemon: backfills of date ranges, days that fail by themselves, schedules that tick."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from pipelines.home import Home
from tests.live.browser import browser_page, has_browser, picture
from tests.live.deployment import Live, served, wait_for, write_deployment

DAYS = [f"2013-01-0{day}" for day in range(1, 10)]
BROKEN, REFUSED, DOWN = "2013-01-03", "2013-01-06", "2013-01-09"
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
  name: {name}
  table: readings
  account: {account}
  mode: sandbox
  where: kpi = 'departures'
  fail_above: {{count: 0}}
  max_minutes: {minutes}
  team_id: valuestreamer_team_id
  kpi_id: valuestreamer_kpi_id
  actual: {{column: actual, id: valuestreamer_actual_id}}
  target: {{column: target, id: valuestreamer_target_id}}
  unit: unit
  whole_number: whole_number
"""


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
            "readings": _TABLE.format(name="readings", folder="past", start=DAYS[0], schedule=f'  end: "{DAYS[-1]}"'),
            "board": _BOARD.format(name="board", table="readings", prefix=""),
            "floor": _FLOOR.format(name="floor", account="valuestreamer", minutes=0.75),
            "slow": _FLOOR.format(name="slow", account="slow", minutes=60),
            "today": _TABLE.format(name="today", folder="today", start=start, schedule=schedule),
            "today_board": _BOARD.format(name="today_board", table="today", prefix="today-"),
        },
    )
    for day in DAYS:
        export(package / "exports" / "past", day, day)
    (package / "exports" / "past" / f"kpi_{BROKEN}.csv").write_bytes(b"\x00\x01 this is not the file you want \xff\xfe")
    export(package / "exports" / "today", yesterday, "2013-01-02")
    export(package / "exports" / "today", (soon.date() - timedelta(days=2)).isoformat(), "2013-01-01")
    # The account `slow` takes two requests a second, so that some days of history take minutes.
    with served(package, Home.of({"PIPELINES_HOME": str(folder / "home")}), environ={"SLOW_RATE": "2/s"}) as live:
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
def test_three_days_fail_in_three_ways_and_a_retry_takes_up_those_alone(live: Live, tmp_path: Path) -> None:
    """A broken file, a refused row, an API that goes down half-way: the other days are green, in two runs per sync."""
    faults = {"api": "valuestreamer", "method": "PUT", "kind": "status"}
    live.sandbox.control.add_faults({**faults, "path_contains": REFUSED, "times": 1, "params": {"code": 400}})
    live.sandbox.control.add_faults(
        {**faults, "path_contains": DOWN, "times": None, "after": 20, "params": {"code": 503}}
    )
    backfill = live.backfill([*TABLE, *(name for sync in SYNCS for name in (f"{sync}_upserts", sync))], DAYS)
    assert live.wait_for_backfill(backfill) == "COMPLETED_FAILED"
    but = {day: "MATERIALIZED" for day in DAYS if day != BROKEN}
    for asset in TABLE:
        assert live.partitions(asset) == {**but, BROKEN: "FAILED"}
    assert live.partitions("board") == but  # for which the broken day is missing
    assert live.partitions("floor") == {**but, REFUSED: "FAILED", DOWN: "FAILED"}
    either_side = [(DAYS[0], DAYS[1]), (DAYS[3], DAYS[-1])]
    assert ranges(live, backfill) == {"readings": [(DAYS[0], DAYS[-1])], "board": either_side, "floor": either_side}

    one_after_another(live, backfill)
    if has_browser():
        see_the_days(live, tmp_path)

    export(live.folder / "exports" / "past", BROKEN, BROKEN)
    live.sandbox.control.clear_faults()
    shown, written = held(live)
    retry = live.retry_backfill(backfill)
    assert live.wait_for_backfill(retry) == "COMPLETED_SUCCESS"
    for asset in (*TABLE, *SYNCS):
        assert live.partitions(asset) == dict.fromkeys(DAYS, "MATERIALIZED")
    alone = [(BROKEN, BROKEN)]
    each = [(day, day) for day in (BROKEN, REFUSED, DOWN)]
    assert ranges(live, retry) == {"readings": alone, "board": alone, "floor": each}
    # Nothing was sent that was there already.
    now_shown, now_written = held(live)
    assert now_written - written == now_shown - shown > 35


@pytest.mark.timeout(600)
def test_scheduled_run_started_in_the_middle_of_a_long_backfill_finishes_first(live: Live) -> None:
    """History that takes minutes lets today's run in within seconds, and goes on after it."""
    days = [day for day in DAYS[:-1] if day in live.partitions("readings")]
    assert len(days) > 5
    history = live.backfill(["slow_upserts", "slow"], days)
    wait_for(lambda: [one for one in live.runs(dagster__backfill=history) if one["status"] == "STARTED"], 120, "a run")
    span = {f"dagster/asset_partition_range_{end}": DAYS[-1] for end in ("start", "end")}
    today = live.launch("slow_deliver", {**span, "pipelines/priority": "scheduled"})
    ended = wait_for(lambda: _succeeded([one for one in live.runs() if one["runId"] == today]), 120, "today's run")
    assert ended["jobName"] == "slow_deliver"
    assert live.backfill_status(history) == "REQUESTED"
    assert [one["status"] for one in live.runs(dagster__backfill=history)][-1] == "STARTED"
    live.cancel_backfill(history)
    wait_for(lambda: live.backfill_status(history) == "CANCELED", 120, "the end of history")


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


def ranges(live: Live, backfill: str) -> dict[str, list[tuple[str, str]]]:
    """The first and last day of each run of a backfill, by table and sync, in order of their dates."""
    found: dict[str, list[tuple[str, str]]] = {}
    for run in live.runs(dagster__backfill=backfill):
        tags = {tag["key"]: tag["value"] for tag in run["tags"]}
        span = (tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"])
        found.setdefault(tags["pipelines/backfill_of"], []).append(span)
    return {name: sorted(spans) for name, spans in found.items()}


def one_after_another(live: Live, backfill: str) -> None:
    """The runs of each table and sync go in order of their dates, the next when the one before has ended."""
    rows: dict[str, list[tuple[str, float, float]]] = {}
    for run in live.runs(dagster__backfill=backfill):
        tags = {tag["key"]: tag["value"] for tag in run["tags"]}
        times = (tags["dagster/asset_partition_range_start"], run["startTime"], run["endTime"])
        rows.setdefault(tags["pipelines/backfill_of"], []).append(times)
    for runs in rows.values():
        for (_, _, end), (_, start, _) in pairwise(sorted(runs)):
            assert end <= start


def see_the_days(live: Live, folder: Path) -> None:
    """The sync's page: six green days, the two that failed in red, and the one that its table does not have."""
    with browser_page(1440, 760) as page:
        page.goto(f"{live.url}/assets/floor?view=partitions&partition={REFUSED}")
        for text in ("Failed (2)", "Materialized (6)", "Missing (1)"):
            page.get_by_text(text).first.wait_for(timeout=60_000)
        page.wait_for_timeout(2000)
        picture(page, "failed_days", folder)


def held(live: Live) -> tuple[int, int]:
    """How many records ValueStreamer's stand-in holds, and how many writes it has counted."""
    routes = live.sandbox.control.counts("valuestreamer")["routes"]
    writes = sum(route["requests"] for name, route in routes.items() if name.startswith("PUT"))
    return len(live.sandbox.control.state("valuestreamer")["records"]), writes


def _succeeded(runs: list[dict[str, object]]) -> dict[str, object] | None:
    assert not any(run["status"] == "FAILURE" for run in runs), runs
    return next((run for run in runs if run["status"] == "SUCCESS"), None)
