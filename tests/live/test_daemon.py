"""With a live daemon: backfills of date ranges, days that fail by themselves, schedules that tick."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import pytest

from pipelines.components.partitions import END_TAG, START_TAG
from pipelines.components.resuming import TAKES_UP_TAG
from pipelines.home import Home
from tests.components.operations.conftest import Hook, hooked
from tests.live import written
from tests.live.deployment import Live, ended, export_day, sample_day, served, wait_for, write_deployment

DAYS = [f"2013-01-0{day}" for day in range(1, 10)]
BROKEN, REFUSED, DOWN = "2013-01-03", "2013-01-06", "2013-01-09"
SYNCS = ("board", "floor")
TABLE = ("readings", "readings_valid", "readings_quarantine")
HISTORY = 26
"""Days of a backfill that takes some six minutes, at two requests a second."""
CHUNK = 2
"""Of them in a run."""


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    """A receiver of alerts."""
    with hooked() as got:
        yield got


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, hook: Hook) -> Iterator[Live]:
    """Tables of the past, of today and of calls; on `calls` the API refuses everything until faults are cleared."""
    folder = tmp_path_factory.mktemp("project")
    now = datetime.now(UTC)
    soon = now + timedelta(seconds=200)
    schedule = f'  schedule: {{at: "{soon:%H:%M}", lookback: 2}}'
    until = f'  end: "{ago(1)}"\n  retry_until: "{now - timedelta(hours=1):%H:%M}"'
    package = write_deployment(
        folder,
        {
            "readings": written.TABLE.format(
                name="readings", folder="past", start=DAYS[0], more=f'  end: "{DAYS[-1]}"'
            ),
            "board": written.BOARD.format(name="board", table="readings", account="stativate", prefix="", more=""),
            "floor": written.FLOOR.format(
                name="floor", table="readings", account="valuestreamer", more="  max_minutes: 0.75"
            ),
            "today": written.TABLE.format(name="today", folder="today", start=ago(HISTORY + 2), more=schedule),
            "slow": written.FLOOR.format(
                name="slow", table="today", account="slow", more=f"  partitions_per_run: {CHUNK}"
            ),
            "calls": written.TABLE.format(name="calls", folder="today", start=ago(1), more=until),
            "calls_board": written.BOARD.format(
                name="calls_board", table="calls", account="calls", prefix="calls-", more="  max_minutes: 0.4"
            ),
            "operations": written.OPERATIONS.format(at=f"{now + timedelta(seconds=240):%H:%M}"),
        },
        # Minutes of waiting, of which a test has none.
        first="from datetime import timedelta\nfrom pipelines.components import resuming\n"
        "resuming.PAUSE = timedelta(seconds=20)",
    )
    for day in DAYS:
        export_day(package / "exports" / "past", day, sample_day(day))
    (package / "exports" / "past" / f"kpi_{BROKEN}.csv").write_bytes(b"\x00\x01 this is not the file you want \xff\xfe")
    for days in range(1, HISTORY + 3):
        rows = sample_day(f"2013-01-{days:02}")
        export_day(package / "exports" / "today", ago(days), rows if days > 2 else rows[:30])
    # The account `slow` takes two requests a second, so that some days of history take minutes.
    environ = {"SLOW_RATE": "2/s", "HOOK": hook.url}
    with served(package, Home.of({"PIPELINES_HOME": str(folder / "home")}), environ=environ) as live:
        yield live


@pytest.fixture(scope="module")
def history(live: Live) -> str:
    """A backfill that takes minutes, some days a run. It goes on while tests look at something else."""
    live.switch_on("schedule", "today_schedule")
    days = [ago(number) for number in range(HISTORY + 2, 2, -1)]
    return live.backfill(["today", "today_valid", "today_quarantine", "slow_upserts", "slow"], days)


@pytest.fixture(scope="module")
def stopped(live: Live) -> str:
    """A delivery to an API that is down; returns its table's run. It is taken up while tests look at something else."""
    down = {"api": "stativate", "path_contains": "calls-", "kind": "status", "times": None, "params": {"code": 503}}
    live.sandbox.control.add_faults(down)
    live.switch_on("sensor", "resume_stopped")
    return live.launch("calls_extract", {START_TAG: ago(1), END_TAG: ago(1)})


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("history", "stopped")
def test_three_days_fail_in_three_ways_and_a_retry_takes_up_those_alone(live: Live) -> None:
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

    export_day(live.folder / "exports" / "past", BROKEN, sample_day(BROKEN))
    live.sandbox.control.clear_faults()
    # A rule that spoils nothing counts the requests that it matches.
    counting = {**faults, "path_contains": "2013-01-", "after": 10**6, "params": {"code": 503}}
    live.sandbox.control.add_faults(counting)
    shown = held(live)
    retry = live.retry_backfill(backfill)
    assert live.wait_for_backfill(retry) == "COMPLETED_SUCCESS"
    for asset in (*TABLE, *SYNCS):
        assert live.partitions(asset) == dict.fromkeys(DAYS, "MATERIALIZED")
    alone = [(BROKEN, BROKEN)]
    each = [(day, day) for day in (BROKEN, REFUSED, DOWN)]
    assert ranges(live, retry) == {"readings": alone, "board": alone, "floor": each}
    # Nothing was sent that was there already.
    (counted,) = live.sandbox.control.faults()
    assert counted["matched"] == held(live) - shown > 35


@pytest.mark.timeout(600)
def test_schedule_ticks_in_the_middle_of_a_long_backfill_and_is_through_before_it(live: Live, history: str) -> None:
    """Tick, extract, sensor and delivery of the newest days pass by the history of the same table, sync and account."""
    ticked = wait_for(lambda: _succeeded(live.runs(dagster__schedule_name="today_schedule")), 300, "the schedule's run")
    assert span_of(ticked) == (ago(2), ago(1))

    def delivered() -> dict[str, Any] | None:
        return _succeeded(
            [run for run in live.runs(pipelines__priority="scheduled") if run["jobName"] == "slow_deliver"]
        )

    delivery = wait_for(delivered, 240, "the delivery of the schedule's days")
    assert span_of(delivery) == (ago(2), ago(1))
    wait_for(lambda: [run for run in chunks(live, history) if started_after(run, delivery)], 120, "history, going on")
    done = [run for run in chunks(live, history) if run["endTime"]]
    assert any(run["endTime"] < ticked["startTime"] for run in done)  # it had begun before the tick
    assert any(run["startTime"] < delivery["endTime"] and run["endTime"] > delivery["startTime"] for run in done)
    spans = sorted(span_of(run) for run in done)
    assert [first for first, _ in spans] == [ago(HISTORY + 2 - CHUNK * number) for number in range(len(spans))]
    assert all(
        date.fromisoformat(last) - date.fromisoformat(first) == timedelta(days=CHUNK - 1) for first, last in spans
    )
    in_order = sorted(done, key=span_of)
    assert all(one["endTime"] <= other["startTime"] for one, other in pairwise(in_order))
    live.cancel_backfill(history)
    wait_for(lambda: ended(live.backfill_status(history)), 120, "the end of history")


@pytest.mark.timeout(600)
def test_a_stop_is_told_taken_up_and_its_recovery_told(live: Live, hook: Hook, stopped: str) -> None:
    """An API is down for a while: an alert says so, later runs take the day up, and then the recovery is told."""
    assert live.wait_for_runs(stopped) == ["SUCCESS"]
    alerts = wait_for(lambda: told(hook, r"calls_board \(sandbox\): \w+ -&gt; red"), 180, "the alert")
    assert "503" in alerts[0]
    back = wait_for(lambda: told(hook, r"calls_board \(sandbox\): \w+ -&gt; green"), 300, "the recovery")
    assert hook.texts.index(alerts[0]) < hook.texts.index(back[0])
    tries = [run for run in live.runs() if any(tag["key"] == TAKES_UP_TAG for tag in run["tags"])]
    assert {run["jobName"] for run in tries} == {"calls_board_deliver"}
    assert tries[0]["status"] == "SUCCESS"
    assert live.partitions("calls_board") == {ago(1): "MATERIALIZED"}
    assert "calls-on_time_pct-EWR-AA" in str(live.sandbox.control.state("stativate"))


@pytest.mark.timeout(600)
def test_the_morning_is_told_by_itself(live: Live, hook: Hook) -> None:
    """The schedule that `morning` asks for ticks, its run takes the screen, and the receiver has a line per sync."""
    wait_for(lambda: _succeeded(live.runs(dagster__schedule_name="delivery_status_schedule")), 300, "the morning's run")
    (morning,) = told(hook, "daemon: ")
    assert all(f"{sync} (sandbox)" in morning for sync in ("board", "floor", "slow", "calls_board"))


def ago(days: int) -> str:
    """The day that many days before the one on which the tests began."""
    return (_first_asked() - timedelta(days=days)).isoformat()


@cache
def _first_asked() -> date:
    return datetime.now(UTC).date()


def told(hook: Hook, pattern: str) -> list[str]:
    """The messages that say so; Slack wants `>` escaped."""
    return [text for text in hook.texts if re.search(pattern, text)]


def span_of(run: Mapping[str, Any]) -> tuple[str, str]:
    """The first and the last day of a run."""
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    return tags[START_TAG], tags[END_TAG]


def chunks(live: Live, backfill: str) -> list[dict[str, Any]]:
    """The runs of a backfill that deliver."""
    return [run for run in live.runs(dagster__backfill=backfill) if {"path": ["slow"]} in run["assetSelection"]]


def started_after(run: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether a run began when another one was over."""
    return bool(run["startTime"]) and run["startTime"] > other["endTime"]


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


def held(live: Live) -> int:
    """How many records of those days ValueStreamer's stand-in holds."""
    return sum("2013-01-" in str(record) for record in live.sandbox.control.state("valuestreamer")["records"])


def _succeeded(runs: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    assert not any(run["status"] == "FAILURE" for run in runs), runs
    return next((run for run in runs if run["status"] == "SUCCESS"), None)
