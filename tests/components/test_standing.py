"""Standing checks of tables and syncs: volume, freshness, failed partitions, rows that stay open, and their runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from pipelines.components.deployment import load_deployment
from pipelines.components.standing_checks import FOUND_AS, LOOKED_AT
from pipelines.components.standing_looks import due_partition, due_since
from pipelines.components.standing_spec import StandingSpec
from pipelines.delivery.errors import ConfigurationError
from pipelines.tables.spec import AreaTableSpec
from tests.components.conftest import Deploy, Write
from tests.components.deploying import (
    BOARD,
    DAYS,
    FLOOR,
    RANGE,
    READS_YAML,
    ROWS,
    SAMPLE,
    TABLE,
    Deployment,
    board,
    floor,
    readings,
)
from tests.components.standing import look, materialized

VALID = f"{TABLE}_valid"
SCHEDULE = {"at": "05:30"}
NEW_YORK = ZoneInfo("America/New_York")


def with_days(deployment: Deployment, rows: int = len(DAYS)) -> Deployment:
    """The same with a file per day."""
    for day in DAYS[:rows]:
        deployment.export(day)
    return deployment


def test_a_volume_unlike_those_before_it_is_yellow(deploy: Deploy) -> None:
    """A newest day with a quarter of the usual rows says rows, median, bounds and what to do; a usual one is green."""
    deployment = with_days(deploy([readings(volume={"trailing": 3})]))
    deployment.export(DAYS[-1], ROWS[:1])
    deployment.extract(DAYS[0], DAYS[-1])
    check = look(deployment)[VALID, "volume"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.said["why"] == f"{DAYS[-1]} has 1 rows; the median of the 3 before it is 4"
    assert (check.said["rows"], check.said["median"], check.said["least"], check.said["most"]) == (1, 4, 2, 8)
    assert "widen `volume` of table flight_kpis" in check.said["what_to_do"]
    deployment.export(DAYS[-1])
    deployment.extract(DAYS[-1])
    assert look(deployment)[VALID, "volume"].passed


def test_an_older_day_does_not_speak_for_the_one_that_is_due(deploy: Deploy) -> None:
    """Where the newest due day is not stored, its volume is unknown: yellow, with both days, whatever older have."""
    deployment = with_days(deploy([readings(volume={"trailing": 3}, end=DAYS[-1], schedule=SCHEDULE)]))
    check = look(deployment)[VALID, "volume"]
    assert (check.passed, f"{DAYS[-1]} is due and not stored (none is stored)" in check.said["why"]) == (False, True)
    deployment.extract(DAYS[0], DAYS[2])
    check = look(deployment)[VALID, "volume"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert f"{DAYS[-1]} is due and not stored (the newest that is stored is {DAYS[2]})" in check.said["why"]
    assert f"extract {DAYS[-1]} of {TABLE}" in check.said["what_to_do"]
    deployment.extract(DAYS[-1])
    assert look(deployment)[VALID, "volume"].passed


@pytest.mark.parametrize(("bounds", "passed"), [({"at_most": 49}, False), ({"at_least": 0}, True)])
def test_the_bounds_of_a_volume_are_ones_own(deploy: Deploy, bounds: dict[str, float], *, passed: bool) -> None:
    """Half of the usual rows are more than 49 %, and fewer than none is impossible."""
    deployment = with_days(deploy([readings(volume={"trailing": 3, "at_least": 1, **bounds})]))
    deployment.export(DAYS[-1], ROWS[:2])
    deployment.extract(DAYS[0], DAYS[-1])
    assert look(deployment)[VALID, "volume"].passed is passed


def test_few_partitions_tell_no_volume(deploy: Deploy) -> None:
    """The first days of a table are not suspected of anything."""
    deployment = with_days(deploy(), rows=2)
    deployment.extract(DAYS[0], DAYS[1])
    assert look(deployment)[VALID, "volume"].said["why"] == "2 extracted so far: too few to tell what is usual"


def test_a_check_that_is_set_to_null_is_not_there(deploy: Deploy) -> None:
    """`volume: null` and `read_back: null` take the checks away."""
    defs = deploy([readings(volume=None)], [board(read_back=None)]).defs
    names = {key.name for key in defs.resolve_asset_graph().asset_check_keys}
    assert names == {"contract", "delivery", "failed_partitions", "freshness", "open_rows"}


def test_partitions_that_stay_failed_are_red(deploy: Deploy) -> None:
    """A failed day of table and sync is named until it is mended, also when newer days are well."""
    deployment = with_days(deploy())
    deployment.export(DAYS[1]).write_bytes(b"\x00\x01 no csv")
    deployment.extract(DAYS[0], DAYS[-1])
    deployment.deliver(BOARD, DAYS[0], DAYS[-1])
    found = look(deployment)
    for asset in (VALID, BOARD):
        check = found[asset, "failed_partitions"]
        assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
        assert (check.said["failed"], check.said["why"].endswith(f"from {DAYS[1]} to {DAYS[1]}")) == (1, True)
        page = f"/assets/{asset}?view=partitions&partition={DAYS[1]}"
        assert f"| {DAYS[1]} | [what happened]({page}) |" in check.said["newest"]
        assert asset in check.said["what_to_do"]
    assert found[FLOOR, "failed_partitions"].passed
    deployment.export(DAYS[1])
    deployment.extract(DAYS[1])
    deployment.deliver(BOARD, DAYS[1])
    found = look(deployment)
    assert found[VALID, "failed_partitions"].passed
    assert found[BOARD, "failed_partitions"].passed


def test_a_failed_snapshot_is_red_until_a_run_is_well(deploy: Deploy) -> None:
    """Without partitions the newest run counts."""
    deployment = deploy([areas(source={"files": "areas.parquet"})], [])
    assert not deployment.extract(table="areas").success
    assert not look(deployment)["areas_valid", "failed_partitions"].passed
    (deployment.folder / "areas.parquet").write_bytes((SAMPLE / "areas.parquet").read_bytes())
    assert deployment.extract(table="areas").success
    assert look(deployment)["areas_valid", "failed_partitions"].passed


def areas(**fields: Any) -> AreaTableSpec:
    """The sample's areas, with some fields changed."""
    example = {"name": "areas", "source": {"files": str(SAMPLE / "areas.parquet")}, "schedule": SCHEDULE}
    return AreaTableSpec.model_validate(example | fields)


def test_a_backfill_of_the_past_makes_nothing_fresh(deploy: Deploy) -> None:
    """The newest due day is missing until it is there itself, extracted for the table and delivered for the sync."""
    deployment = with_days(deploy([readings(end=DAYS[-1], schedule=SCHEDULE)]))
    for _ in range(2):
        deployment.extract(DAYS[0], DAYS[-2])
        deployment.deliver(BOARD, DAYS[0], DAYS[-2])
        for asset in (VALID, BOARD):
            check = look(deployment)[asset, "freshness"]
            assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
            assert check.said["why"] == f"{DAYS[-1]}, the newest partition that is due, is missing in {asset}"
            assert f"{TABLE}_schedule" in check.said["what_to_do"]
    deployment.extract(DAYS[-1])
    found = look(deployment)
    assert found[VALID, "freshness"].passed
    assert not found[BOARD, "freshness"].passed
    deployment.deliver(BOARD, DAYS[-1])
    assert look(deployment)[BOARD, "freshness"].passed


def test_a_dry_sync_is_never_late(deploy: Deploy) -> None:
    """It is meant to deliver nothing: as the morning's screen says, its table is all that can be late."""
    deployment = with_days(deploy([readings(end=DAYS[-1], schedule=SCHEDULE)], [board(mode="dry")]))
    found = look(deployment)
    assert not found[VALID, "freshness"].passed
    assert (found[BOARD, "freshness"].passed, found[BOARD, "freshness"].said["why"]) == (
        True,
        "mode dry: nothing is delivered, so that nothing is late",
    )


def test_a_day_that_is_on_its_way_is_late_and_one_that_is_made_anew_is_there(deploy: Deploy) -> None:
    """A queued run is a reason to look, no reason to wake somebody; where the day was made before, not even that."""
    deployment = with_days(deploy([readings(end=DAYS[-1], schedule=SCHEDULE)]))
    job = deployment.defs.resolve_job_def(f"{TABLE}_extract")
    tags = dict(zip(RANGE, (DAYS[0], DAYS[-1]), strict=True))
    deployment.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
    check = look(deployment)[VALID, "freshness"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    deployment.extract(DAYS[-1])
    deployment.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
    assert look(deployment)[VALID, "freshness"].passed


def test_a_failed_newest_day_is_not_fresh(deploy: Deploy) -> None:
    """Failed is not there, and the check says which it is."""
    deployment = with_days(deploy([readings(end=DAYS[-1], schedule=SCHEDULE)]))
    deployment.export(DAYS[-1]).write_bytes(b"\x00\x01 no csv")
    deployment.extract(DAYS[0], DAYS[-1])
    assert "is due, has failed in" in look(deployment)[VALID, "freshness"].said["why"]


def test_a_snapshot_is_fresh_since_its_schedules_time(deploy: Deploy) -> None:
    """Areas that were never extracted are late; extracted now, they are not."""
    deployment = deploy([areas()], [])
    assert "was made never" in look(deployment)["areas_valid", "freshness"].said["why"]
    deployment.extract(table="areas")
    assert look(deployment)["areas_valid", "freshness"].passed


def test_a_table_without_a_schedule_is_never_late(deploy: Deploy) -> None:
    """What people run by hand has no time at which it should be there."""
    check = look(deploy())[VALID, "freshness"]
    assert (check.passed, check.said["why"]) == (
        True,
        f"table {TABLE} has no schedule, so that nothing is ever late",
    )


@pytest.mark.parametrize(
    ("grain", "now", "due"),
    [
        ("daily", "2013-03-10T06:29", "2013-03-08"),
        ("daily", "2013-03-10T06:30", "2013-03-09"),
        ("weekly", "2013-03-11T06:29", "2013-02-25"),
        ("weekly", "2013-03-11T06:30", "2013-03-04"),
        ("monthly", "2013-04-01T06:29", "2013-02-01"),
        ("monthly", "2013-04-01T06:30", "2013-03-01"),
        ("daily", "2012-01-01T00:00", None),
        ("daily", "2030-01-01T12:00", "2013-12-30"),
    ],
)
def test_a_partition_is_due_when_its_schedule_had_time(grain: str, now: str, due: str | None) -> None:
    """It has ended, the time of its schedule has come since, and `late_after` minutes more; never after the end."""
    first, last = {"daily": ("2013-01-01", "2013-12-30"), "weekly": ("2012-12-31", "2013-12-30")}.get(
        grain, ("2013-01-01", "2013-12-01")
    )
    table = readings(grain=grain, start=first, end=last, schedule=SCHEDULE, late_after=60)
    moment = datetime.fromisoformat(now).replace(tzinfo=NEW_YORK)
    assert due_partition(table, moment.astimezone(UTC)) == due


def test_a_snapshot_is_due_at_its_newest_tick() -> None:
    """Yesterday's, until today's had its time."""
    table = areas(timezone="America/New_York", late_after=30)
    for now, since in (("2013-03-10T05:59", "2013-03-09T05:30"), ("2013-03-10T06:00", "2013-03-10T05:30")):
        moment = datetime.fromisoformat(now).replace(tzinfo=NEW_YORK)
        assert due_since(table, moment) == datetime.fromisoformat(since).replace(tzinfo=NEW_YORK)
    assert due_since(areas(schedule=None), datetime.now(UTC)) is None


def test_rows_that_stay_open_are_yellow(deploy: Deploy) -> None:
    """What has been open for longer than `open_days` is listed, oldest first, with what to do; younger is not."""
    deployment = with_days(deploy(syncs=[board(open_days=0), floor(open_days=1)]))
    deployment.extract(DAYS[0])
    refusal = {"kind": "status", "times": None, "params": {"code": 400, "body": {"message": "no"}}}
    deployment.control.add_faults({**refusal, "api": "stativate", "path_contains": "departures-EWR-AA"})
    deployment.control.add_faults({**refusal, "api": "valuestreamer", "path_contains": "/kpi-data/"})
    assert deployment.deliver(BOARD, DAYS[0]).counts(BOARD)[DAYS[0]]["rejected"] == 1
    assert deployment.deliver(FLOOR, DAYS[0]).counts(FLOOR)[DAYS[0]]["rejected"] == 4
    deployment.control.clear_faults()
    found = look(deployment)
    check = found[BOARD, "open_rows"]
    assert (check.passed, check.severity, check.said["open"]) == (False, dg.AssetCheckSeverity.WARN, 1)
    assert f"| departures-EWR-AA | {DAYS[0]} | rejected |" in check.said["oldest"]
    assert "`pipelines why status_board 'departures-EWR-AA'`" in check.said["oldest"]
    assert "pipelines ledger --sync status_board" in check.said["what_to_do"]
    assert found[FLOOR, "open_rows"].passed


def test_a_tables_and_a_syncs_jobs_leave_standing_checks_alone(deploy: Deploy) -> None:
    """Scheduled runs and those that follow them tell the check of their own op and no other."""
    deployment = with_days(deploy())
    names = {one.check_name for one in deployment.extract(DAYS[0]).result.get_asset_check_evaluations()}
    names |= {one.check_name for one in deployment.deliver(BOARD, DAYS[0]).result.get_asset_check_evaluations()}
    assert names == {"contract", "delivery"}


def test_a_run_that_materializes_says_again_what_was_said(deploy: Deploy) -> None:
    """A backfill takes all checks along: none of them looks or asks the API, each tells when it looked last."""
    deployment = with_days(deploy([readings(end=DAYS[-1], schedule=SCHEDULE)], [board()]))
    deployment.extract(DAYS[0])
    deployment.deliver(BOARD, DAYS[0])
    assert not materialized(deployment, f"{BOARD}_upserts", BOARD)
    before = look(deployment)
    deployment.extract(DAYS[1], DAYS[-1])
    deployment.deliver(BOARD, DAYS[1], DAYS[-1])
    requests = deployment.requests(BOARD)
    for _ in range(2):
        found = materialized(deployment, f"{BOARD}_upserts", BOARD)
        assert set(found) == {"failed_partitions", "freshness", "open_rows", "read_back"}
        for name, one in found.items():
            said = {title: value.value for title, value in one.metadata.items()}
            assert "not in this run" in str(said.pop(LOOKED_AT))
            assert said.pop(FOUND_AS)
            assert (one.passed, one.severity, said) == (
                before[BOARD, name].passed,
                before[BOARD, name].severity,
                before[BOARD, name].said,
            )
        assert not found["freshness"].passed
    assert deployment.requests(BOARD) == requests
    assert look(deployment)[BOARD, "freshness"].passed


def test_a_standing_check_is_not_skipped_where_its_asset_failed(deploy: Deploy) -> None:
    """A day that fails again in a backfill leaves the check red that names it, where Dagster skips what waits."""
    deployment = deploy()
    assert not deployment.extract(DAYS[1]).success
    assert not look(deployment)[VALID, "failed_partitions"].passed
    found = materialized(deployment, TABLE, VALID, f"{TABLE}_quarantine", day=DAYS[1])
    assert not found["failed_partitions"].passed
    key = dg.AssetCheckKey(dg.AssetKey(VALID), "failed_partitions")
    (newest,) = deployment.instance.event_log_storage.get_asset_check_execution_history(key, limit=1)
    assert newest.status.value == "FAILED"


def test_a_check_that_is_asked_for_by_itself_looks(deploy: Deploy) -> None:
    """The button of a check is a run without assets: it looks then, as in its own job."""
    deployment = with_days(deploy([readings(end=DAYS[-1], schedule=SCHEDULE)]))
    key = dg.AssetCheckKey(dg.AssetKey(VALID), "freshness")
    job = deployment.defs.resolve_implicit_global_asset_job_def().get_subset(
        asset_selection=set(), asset_check_selection={key}
    )
    for passed in (False, True):
        (found,) = job.execute_in_process(instance=deployment.instance).get_asset_check_evaluations()
        assert (found.passed, LOOKED_AT in found.metadata) == (passed, False)
        deployment.extract(DAYS[-1])


def test_the_schedule_starts_a_run_per_sync_at_its_hour(deploy: Deploy, instance: dg.DagsterInstance) -> None:
    """One run for all tables and one per sync, at the time of the deployment's own file; off until switched on."""
    defs = deploy().defs
    schedule = defs.resolve_schedule_def("standing_checks_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 7 * * *", "UTC")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    moment = datetime(2013, 1, 5, 7, tzinfo=UTC)
    context = dg.build_schedule_context(
        instance=instance, scheduled_execution_time=moment, repository_def=defs.get_repository_def()
    )
    requests = schedule.evaluate_tick(context).run_requests or []
    asked = [{key.asset_key.to_user_string() for key in request.asset_check_keys or ()} for request in requests]
    assert asked == [{VALID}, {BOARD}, {FLOOR}]
    assert len({request.run_key for request in requests}) == 3


@pytest.mark.parametrize("wrong", [{"at": "25:00"}, {"timezone": "Moon"}])
def test_a_time_that_is_none_is_refused(wrong: dict[str, str]) -> None:
    """The hour and the timezone of the standing checks are checked like a table's."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        StandingSpec(**wrong)


_STANDING = 'type: pipelines.StandingChecks\nattributes: {at: "06:15", timezone: Europe/Berlin}\n'
_TABLE = 'type: pipelines.KpiTable\nattributes: {name: one, source: {files: "one.csv"}, grain: snapshot}\n'


class TestFiles:
    """A deployment's files."""

    pytestmark = READS_YAML

    def test_the_hour_stands_in_a_file(self, write: Write) -> None:
        """`pipelines.StandingChecks` says when the checks look."""
        defs = load_deployment(write({"tables": _TABLE, "standing": _STANDING}))
        schedule = defs.resolve_schedule_def("standing_checks_schedule")
        assert (schedule.cron_schedule, schedule.execution_timezone) == ("15 6 * * *", "Europe/Berlin")

    def test_two_files_that_say_so_are_an_error(self, write: Write) -> None:
        """Both are named."""
        with pytest.raises(ConfigurationError, match=r"first/defs\.yaml and .*second/defs\.yaml both say when"):
            load_deployment(write({"tables": _TABLE, "first": _STANDING, "second": _STANDING}))
