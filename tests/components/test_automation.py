"""What starts by itself: schedules that ask for the last closed partitions, and syncs that follow their table."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from pipelines.components.automation import table_job, table_schedule
from pipelines.components.run_queue import SYNC_TAG, TABLE_TAG, priority_of
from pipelines.delivery.ledger import Priority
from tests.components.conftest import Deploy
from tests.components.deploying import BOARD, DAYS, FLOOR, RANGE, TABLE, Deployment, Told, readings

START, END = RANGE
AFTER_SUCCESS, AFTER_FAILURE = "deliver_after_extract", "deliver_after_partly_failed_extract"
AFTER_CANCELLATION = "deliver_after_cancelled_extract"


def tick(moment: datetime, **fields: Any) -> tuple[str, dg.RunRequest | dg.SkipReason]:
    """The cron line of a table's schedule, and what its tick asks for."""
    table = readings(**{"schedule": {"at": "05:30", "lookback": 3}, **fields})
    schedule = table_schedule(table, table_job(table))
    assert schedule is not None
    found = schedule(dg.build_schedule_context(scheduled_execution_time=moment))
    assert isinstance(found, dg.RunRequest | dg.SkipReason)
    return str(schedule.cron_schedule), found


def span(asked: dg.RunRequest | dg.SkipReason) -> tuple[str | None, str | None]:
    """The range that a request is about."""
    assert isinstance(asked, dg.RunRequest)
    return asked.tags.get(START), asked.tags.get(END)


def at(year: int, month: int, day: int, hour: int, minute: int) -> datetime:
    """A moment in New York."""
    return datetime(year, month, day, hour, minute, tzinfo=ZoneInfo("America/New_York"))


def test_a_tick_asks_for_the_last_closed_days_in_one_run() -> None:
    """`lookback` is one request with a range and the first claim to the account, and asks for it once."""
    cron, asked = tick(at(2013, 2, 10, 5, 30))
    assert cron == "30 5 * * *"
    assert span(asked) == ("2013-02-07", "2013-02-09")
    assert isinstance(asked, dg.RunRequest)
    assert asked.tags["pipelines/priority"] == "scheduled"
    again, later = tick(at(2013, 2, 10, 5, 30))[1], tick(at(2013, 2, 11, 5, 30))[1]
    assert isinstance(again, dg.RunRequest)
    assert isinstance(later, dg.RunRequest)
    assert asked.run_key == again.run_key != later.run_key


def test_a_tick_before_the_first_partition_has_ended_is_skipped() -> None:
    """On the table's first day there is nothing to extract yet, and the tick says so."""
    _, asked = tick(at(2013, 1, 1, 5, 30))
    assert isinstance(asked, dg.SkipReason)
    assert asked.skip_message == f"{TABLE} has no partition among the last 3 that ended"


def test_a_lookback_does_not_reach_before_the_start() -> None:
    """In the first days the range begins with the table's first partition."""
    assert span(tick(at(2013, 1, 3, 5, 30))[1]) == ("2013-01-01", "2013-01-02")


@pytest.mark.parametrize(
    ("moment", "newest"),
    [
        (at(2013, 3, 10, 5, 30), "2013-03-09"),
        (at(2013, 3, 11, 0, 0), "2013-03-10"),
        (at(2013, 11, 3, 23, 59), "2013-11-02"),
        (at(2013, 11, 4, 0, 0), "2013-11-03"),
        (datetime(2013, 3, 11, 3, 59, tzinfo=ZoneInfo("UTC")), "2013-03-09"),
        (datetime(2013, 3, 11, 4, 0, tzinfo=ZoneInfo("UTC")), "2013-03-10"),
        (datetime(2013, 11, 4, 4, 59, tzinfo=ZoneInfo("UTC")), "2013-11-02"),
        (datetime(2013, 11, 4, 5, 0, tzinfo=ZoneInfo("UTC")), "2013-11-03"),
    ],
)
def test_days_of_23_and_25_hours_end_at_the_tables_midnight(moment: datetime, newest: str) -> None:
    """When clocks change, a day still counts as closed from its own midnight on, not after 24 hours."""
    assert span(tick(moment)[1])[1] == newest


def test_weeks_are_asked_for_on_mondays() -> None:
    """A weekly table ticks on Mondays and asks for the weeks that have ended, by their Mondays."""
    cron, asked = tick(at(2013, 2, 4, 5, 30), grain="weekly", start="2012-12-31")
    assert cron == "30 5 * * 1"
    assert span(asked) == ("2013-01-14", "2013-01-28")


def test_months_are_asked_for_on_the_first() -> None:
    """A monthly table ticks on the 1st and asks for the months that have ended."""
    cron, asked = tick(at(2014, 1, 1, 5, 30), grain="monthly")
    assert cron == "30 5 1 * *"
    assert span(asked) == ("2013-10-01", "2013-12-01")


def test_a_snapshot_is_asked_for_without_partitions() -> None:
    """A table without partitions ticks daily, with no range."""
    source = {"source": {"files": "now.csv"}, "columns": {}, "grain": "snapshot", "start": None}
    cron, asked = tick(at(2014, 1, 1, 5, 30), schedule={"at": "05:30"}, **source)
    assert cron == "30 5 * * *"
    assert span(asked) == (None, None)


def test_a_table_without_a_schedule_has_none(deploy: Deploy) -> None:
    """Nothing runs by itself that nobody asked for; and a schedule waits for somebody to switch it on."""
    assert {one.name for one in deploy().defs.schedules or ()} == {"maintenance_schedule", "standing_checks_schedule"}
    schedules = list(deploy([readings(schedule={"at": "05:30"})]).defs.schedules or ())
    assert len(schedules) == 3
    for schedule in schedules:
        assert isinstance(schedule, dg.ScheduleDefinition)
        assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED


def followers(deployment: Deployment, sensor: str, told: Told) -> list[tuple[str | None, ...]]:
    """Job, first and last partition and priority of the runs that a sensor asks for after a run."""
    run = deployment.instance.get_run_by_id(told.result.run_id)
    assert run is not None
    (found,) = [one for one in deployment.defs.sensors or () if one.name == sensor]
    context = dg.build_run_status_sensor_context(
        sensor_name=sensor,
        dagster_event=told.result.all_events[-1],
        dagster_instance=deployment.instance,
        dagster_run=run,
    )
    evaluated: Any = found(context)
    asked: list[dg.RunRequest] = list(evaluated)
    assert len({one.run_key for one in asked}) == len(asked)
    return [(one.job_name, one.tags.get(START), one.tags.get(END), one.tags.get("pipelines/priority")) for one in asked]


@pytest.fixture
def deployment(deploy: Deploy) -> Deployment:
    """Four days, of which the third has no file."""
    deployment = deploy()
    for day in (DAYS[0], DAYS[1], DAYS[3]):
        deployment.export(day)
    return deployment


def test_each_sync_follows_its_table_in_a_run_of_its_own(deployment: Deployment) -> None:
    """After a run that ended well: one request per sync, over the days that the table's run extracted."""
    told = deployment.extract(DAYS[0], DAYS[1])
    assert followers(deployment, AFTER_SUCCESS, told) == [
        (f"{sync}_deliver", DAYS[0], DAYS[1], "manual") for sync in (BOARD, FLOOR)
    ]


def test_the_good_days_of_a_partly_failed_run_go_on(deployment: Deployment) -> None:
    """After a run with a bad day: one request per sync and stretch without a gap, and none for the bad day."""
    told = deployment.run(f"{TABLE}_extract", DAYS[0], DAYS[3], tags={"pipelines/priority": "scheduled"})
    assert not told.success
    assert followers(deployment, AFTER_FAILURE, told) == [
        (f"{sync}_deliver", first, last, "scheduled")
        for first, last in ((DAYS[0], DAYS[1]), (DAYS[3], DAYS[3]))
        for sync in (BOARD, FLOOR)
    ]


def test_the_good_days_of_a_cancelled_run_go_on(deployment: Deployment) -> None:
    """What a table shows as extracted is delivered, however the run ended; days that it did not reach are not."""
    told = deployment.run(f"{TABLE}_extract", DAYS[0], DAYS[3], tags={"pipelines/priority": "scheduled"})
    (sensor,) = [one for one in deployment.defs.sensors or () if one.name == AFTER_CANCELLATION]
    assert getattr(sensor, "_run_status", None) is dg.DagsterRunStatus.CANCELED  # it has no public name
    assert followers(deployment, AFTER_CANCELLATION, told) == followers(deployment, AFTER_FAILURE, told) != []


def test_a_run_that_extracted_nothing_is_followed_by_none(deployment: Deployment) -> None:
    """Where every day failed there is nothing to deliver."""
    told = deployment.extract(DAYS[2])
    assert followers(deployment, AFTER_FAILURE, told) == []


def test_a_backfill_of_a_table_hands_its_priority_on(deployment: Deployment) -> None:
    """History never delays today: what follows a backfill yields to scheduled and manual runs as the backfill does."""
    told = deployment.run(f"{TABLE}_extract", DAYS[0], tags={"dagster/backfill": "some-id"})
    assert {one[3] for one in followers(deployment, AFTER_SUCCESS, told)} == {"backfill"}


def test_every_job_says_what_it_works_on(deploy: Deploy) -> None:
    """A backfill of a job names no assets: its runs, and those that follow them, find their row by the job's tag."""
    defs = deploy().defs
    assert defs.resolve_job_def(f"{TABLE}_extract").run_tags[TABLE_TAG] == TABLE
    for sync in (BOARD, FLOOR):
        assert defs.resolve_job_def(f"{sync}_deliver").run_tags[SYNC_TAG] == sync


def test_a_snapshot_is_followed_without_partitions(deploy: Deploy) -> None:
    """A table without partitions: one request per sync, without a range."""
    fields: dict[str, Any] = {"grain": "snapshot", "start": None, "source": {"files": "exports/kpi_now.csv"}}
    deployment = deploy([readings(**fields, columns={"team": "team_code", "kpi": "kpi_code", "actual": "value"})])
    deployment.export("now")
    told = deployment.extract()
    assert [one[:3] for one in followers(deployment, AFTER_SUCCESS, told)] == [
        (f"{sync}_deliver", None, None) for sync in (BOARD, FLOOR)
    ]


@pytest.mark.parametrize(
    ("tags", "priority"),
    [
        ({}, Priority.MANUAL),
        ({"dagster/backfill": "id"}, Priority.BACKFILL),
        ({"pipelines/priority": "scheduled"}, Priority.SCHEDULED),
        ({"pipelines/priority": "scheduled", "dagster/backfill": "id"}, Priority.SCHEDULED),
        ({"pipelines/priority": "backfill"}, Priority.BACKFILL),
        ({"pipelines/priority": "urgent"}, Priority.MANUAL),
    ],
)
def test_a_runs_tags_decide_who_goes_first(tags: dict[str, str], priority: Priority) -> None:
    """Scheduled before manual before backfill; a tag that means nothing changes nothing."""
    assert priority_of(tags) is priority


def test_a_deployment_without_syncs_has_no_sensors(deploy: Deploy) -> None:
    """A sensor that could start nothing would only fill the daemon's log."""
    assert not deploy([readings()], []).defs.sensors
