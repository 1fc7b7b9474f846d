"""Dagster's instance as it ships: its settings, its events on SQLite and PostgreSQL, and its queue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.test_utils import create_run_for_test
from dagster._utils.tags import TagConcurrencyLimitsCounter

from pipelines.components.event_log import QuickSqliteEventLog
from pipelines.components.maintenance import Purged, purge_runs
from pipelines.components.partition_checks import CONTRACT
from pipelines.components.run_queue import ROW_TAG, BackfillsInOrder
from pipelines.delivery.errors import ConfigurationError, MissingSetting
from pipelines.home import Home
from pipelines.instance import VARIABLE, environment, prepare_instance
from pipelines.tables.names import valid_of
from tests.components.conftest import deploy, empty_home, home, sandbox_home, server
from tests.components.deploying import BOARD, DAYS, FLOOR, TABLE, Deployment

__all__ = ["deploy", "empty_home", "home", "sandbox_home", "server"]

STORAGES = ["sqlite", "postgresql"]


def shipped(name: str) -> dict[str, Any]:
    """A file that ships, as Dagster reads it."""
    return yaml.safe_load((files("pipelines") / name).read_text(encoding="utf-8"))


@contextmanager
def opened(home: Home, monkeypatch: pytest.MonkeyPatch, environ: dict[str, str]) -> Iterator[dg.DagsterInstance]:
    """The instance of a home, opened in the environment that its processes have."""
    prepare_instance(home, environ)
    for name, value in environment(home, environ).items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.get() as instance:
        yield instance


@pytest.fixture
def instance(
    request: pytest.FixtureRequest, home: Home, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """The shipped instance, on the storage that the test names."""
    environ: dict[str, str] = {}
    if getattr(request, "param", "sqlite") == "postgresql":
        fresh: Callable[[], str] = request.getfixturevalue("postgres")
        environ[VARIABLE] = fresh()
    with opened(home, monkeypatch, environ) as instance:
        yield instance


def test_the_shipped_file_protects_a_deployment(instance: dg.DagsterInstance) -> None:
    """No telemetry, no advertisement, slots freed, runs watched, retries for crashes only, history bounded."""
    settings = shipped("dagster.yaml")
    assert settings["telemetry"] == settings["nux"] == {"enabled": False}
    assert not instance.telemetry_enabled
    assert not instance.nux_enabled
    assert instance.run_monitoring_enabled
    assert instance.run_monitoring_start_timeout_seconds == 180
    assert instance.run_retries_enabled
    assert not instance.run_retries_retry_on_asset_or_op_failure
    assert settings["run_monitoring"]["free_slots_after_run_end_seconds"] == 120
    assert settings["retention"]["schedule"]["purge_after_days"] == 90
    limits = instance.get_concurrency_config()
    assert limits.pool_config.default_pool_limit == 8
    assert limits.run_queue_config is not None
    assert limits.run_queue_config.max_concurrent_runs == 10


def test_both_forms_say_the_same_but_for_the_storage() -> None:
    """Who moves to PostgreSQL loses no setting."""
    sqlite, postgres = shipped("dagster.yaml"), shipped("dagster-postgres.yaml")
    assert sqlite.pop("event_log_storage")["class"] == QuickSqliteEventLog.__name__
    assert postgres.pop("storage") == {"postgres": {"postgres_url": {"env": VARIABLE}}}
    assert sqlite == postgres


def test_a_file_of_the_users_own_stays(home: Home) -> None:
    """What stands there is not overwritten; a database of which it knows nothing is an error, not ignored."""
    prepare_instance(home, {})
    own = home.dagster / "dagster.yaml"
    own.write_text("telemetry: {enabled: false}\n")
    prepare_instance(home, {})
    assert own.read_text() == "telemetry: {enabled: false}\n"
    with pytest.raises(ConfigurationError, match=VARIABLE):
        prepare_instance(home, {VARIABLE: "postgresql://somewhere/else"})


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg2"])
def test_the_driver_is_the_one_that_dagster_brings(home: Home, scheme: str) -> None:
    """SQLAlchemy 2.1 would take psycopg 3 for a bare URL, with which Dagster fails at its first run."""
    environ = environment(home, {VARIABLE: f"{scheme}://u:p@host/dagster"})
    assert environ[VARIABLE] == "postgresql+psycopg2://u:p@host/dagster"
    assert environ["DAGSTER_EVENT_BATCH_SIZE"] == "500"
    assert VARIABLE not in environment(home, {})


@pytest.mark.parametrize("instance", STORAGES, indirect=True)
def test_days_outlive_their_runs_on_both_databases(
    deploy: Callable[..., Deployment], instance: dg.DagsterInstance
) -> None:
    """Where old runs are deleted, days that they made keep colour and verdict, whichever database holds them."""
    deployment, log = deploy(), instance.event_log_storage
    for day in DAYS[:2]:
        deployment.export(day)
        assert deployment.extract(day).success
    assert purge_runs(instance, datetime.now(UTC) + timedelta(days=1)) == Purged(deleted=1, kept=1)
    valid = dg.AssetKey(valid_of(TABLE))
    log.wipe_asset_cached_status(valid)
    assert deployment.statuses(valid.to_user_string()) == dict.fromkeys(DAYS[:2], "MATERIALIZED")
    told = log.get_asset_check_partition_info([dg.AssetCheckKey(valid, CONTRACT)])
    current = {one.partition_key: one.latest_execution_status.value for one in told if one.is_current}
    assert current == dict.fromkeys(DAYS[:2], "SUCCEEDED")


@pytest.mark.parametrize("instance", STORAGES, indirect=True)
def test_a_range_is_stored_whole_on_both_databases(
    deploy: Callable[..., Deployment], instance: dg.DagsterInstance
) -> None:
    """Every partition has its colour, its figures, its planned event and its verdict, also where a day failed."""
    deployment = deploy()
    for day in (DAYS[0], DAYS[1], DAYS[3]):
        deployment.export(day)
    assert deployment.extract(DAYS[0], DAYS[1]).success
    assert deployment.statuses(TABLE) == dict.fromkeys(DAYS[:2], "MATERIALIZED")
    key, log = dg.AssetKey(TABLE), instance.event_log_storage
    numbers = log.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION)
    assert instance.get_asset_records([key])[0].asset_entry.last_materialization_storage_id == numbers[DAYS[1]]
    assert not deployment.extract(DAYS[1], DAYS[3]).success
    good = dict.fromkeys((DAYS[0], DAYS[1], DAYS[3]), "MATERIALIZED")
    assert deployment.statuses(TABLE) == {**good, DAYS[2]: "FAILED"}
    for partition in good:
        (found,) = instance.fetch_materializations(dg.AssetRecordsFilter(key, asset_partitions=[partition]), 1).records
        made = found.asset_materialization
        assert made is not None
        assert made.metadata["rows_in"].value == 4
        assert made.partition == partition
    newest = instance.get_asset_records([key])[0].asset_entry.last_materialization_record
    assert newest is not None
    assert newest.partition_key == DAYS[3]
    planned = log.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    assert set(planned) == set(DAYS)
    for sync in (BOARD, FLOOR):
        told = deployment.deliver(sync, DAYS[0], DAYS[1])
        assert {day: one.passed for day, one in told.checks(sync).items()} == dict.fromkeys(DAYS[:2], True)


def test_dagsters_own_storage_reads_what_ours_wrote(
    deploy: Callable[..., Deployment], instance: dg.DagsterInstance, home: Home
) -> None:
    """Whoever goes back to a plain dagster.yaml finds all runs, and the other way round."""
    deployment = deploy()
    deployment.export(DAYS[0])
    run_id = deployment.extract(DAYS[0]).result.run_id
    ours = instance.event_log_storage
    assert isinstance(ours, QuickSqliteEventLog)
    plain = SqliteEventLogStorage(ours._base_dir)
    assert kinds(plain.get_logs_for_run(run_id)) == kinds(ours.get_logs_for_run(run_id))
    assert plain.get_materialized_partitions(dg.AssetKey(TABLE)) == {DAYS[0]}
    plain.dispose()


def kinds(events: Sequence[dg.EventLogEntry]) -> list[Any]:
    """What a log tells, in order."""
    assert events
    return [(one.dagster_event_type, one.timestamp) for one in events]


def test_many_runs_keep_few_files_open(instance: dg.DagsterInstance) -> None:
    """The daemon writes into thousands of runs' files; those of long ago are closed, and opened again when needed."""
    log = instance.event_log_storage
    assert isinstance(log, QuickSqliteEventLog)
    runs = [create_run_for_test(instance) for _ in range(40)]
    for run in runs:
        instance.report_engine_event("looked at", run)
    assert len(log._engines) <= 17
    assert len(instance.all_logs(runs[0].run_id)) == 1
    instance.delete_run(runs[0].run_id)
    assert not list(home_files(log, runs[0].run_id))
    assert not instance.all_logs(runs[0].run_id)


def home_files(log: QuickSqliteEventLog, run_id: str) -> Iterator[str]:
    """The files of a run."""
    yield from (name for name in log.get_all_run_ids() if name == run_id)


def test_where_the_events_are_must_be_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder and without DAGSTER_HOME it is an error that says so."""
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    with pytest.raises(MissingSetting, match="DAGSTER_HOME"):
        QuickSqliteEventLog.from_config_value(None, {})


ASSETS = {"floor": ["floor_upserts", "floor"], "kpis": ["kpis", "kpis_valid", "kpis_quarantine"]}
OF_A_BACKFILL = {"dagster/backfill": "id"}
THAT_FOLLOWS_ONE = {"pipelines/priority": "backfill"}
OF_TABLE, OF_SYNC = {"pipelines/table": "kpis"}, {"pipelines/sync": "floor"}


def submitted(instance: dg.DagsterInstance, tags: dict[str, str], keys: Sequence[str] = ()) -> dg.DagsterRun:
    """A run as the queue gets it. It has started already: to queue one takes a code server, which live tests have."""
    assert isinstance(instance.run_coordinator, BackfillsInOrder)
    selection = frozenset(map(dg.AssetKey, keys)) or None
    run = create_run_for_test(instance, tags=tags, asset_selection=selection, status=dg.DagsterRunStatus.STARTED)
    workspace: Any = None
    return instance.run_coordinator.submit_run(SubmitRunContext(run, workspace))


@pytest.mark.parametrize(
    ("keys", "tags", "row"),
    [
        (ASSETS["floor"], OF_A_BACKFILL, "floor"),
        (ASSETS["kpis"], OF_A_BACKFILL, "kpis"),
        (["floor_upserts"], OF_A_BACKFILL, "floor_upserts"),
        ([], {**OF_A_BACKFILL, **OF_TABLE}, "kpis"),
        ([], {**OF_A_BACKFILL, **OF_SYNC}, "floor"),
        ([], {**THAT_FOLLOWS_ONE, **OF_SYNC}, "floor"),
        ([], OF_A_BACKFILL, None),
        (ASSETS["floor"], {}, None),
        ([], OF_SYNC, None),
        ([], {**OF_SYNC, "pipelines/priority": "scheduled"}, None),
        ([], {**OF_A_BACKFILL, **OF_SYNC, "pipelines/priority": "scheduled"}, None),
    ],
)
def test_history_says_what_it_works_on_however_it_was_launched(
    instance: dg.DagsterInstance, keys: list[str], tags: dict[str, str], row: str | None
) -> None:
    """Backfills of assets and of jobs, and runs that follow one, stand in a row and behind what is of today."""
    found = submitted(instance, tags, keys).tags
    assert found.get(ROW_TAG) == row
    assert found.get("dagster/priority") == ("-1" if row else None)


def test_a_place_in_the_queue_that_somebody_chose_stays(instance: dg.DagsterInstance) -> None:
    """A backfill launched with a priority of its own keeps it."""
    found = submitted(instance, {**OF_A_BACKFILL, **OF_TABLE, "dagster/priority": "5"})
    assert found.tags["dagster/priority"] == "5"


def test_a_row_goes_one_by_one_and_all_rows_leave_room(instance: dg.DagsterInstance) -> None:
    """The shipped limits: one run per table or sync, six of history in all, and none on what is of today."""
    limits = instance.get_concurrency_config().run_queue_config
    assert limits is not None
    first = submitted(instance, OF_A_BACKFILL, ASSETS["kpis"])
    under_way = TagConcurrencyLimitsCounter(limits.tag_concurrency_limits, [first])
    assert under_way.is_blocked(submitted(instance, {**OF_A_BACKFILL, **OF_TABLE}))
    today = submitted(instance, OF_SYNC)
    for number in range(limits.max_concurrent_runs):
        follower = submitted(instance, {**THAT_FOLLOWS_ONE, "pipelines/sync": f"sync_{number}"})
        assert under_way.is_blocked(follower) is (number >= 5)
        assert not under_way.is_blocked(today)
        under_way.update_counters_with_launched_item(follower)
