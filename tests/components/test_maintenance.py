"""Old runs go, however many there are, and nothing that the UI shows of a partition goes with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationPlanned
from dagster._core.events import AssetMaterializationPlannedData
from dagster._core.events import StepMaterializationData as MadeData
from dagster._core.test_utils import create_run_for_test
from sqlalchemy import func, select, update

from pipelines.components.event_log import QuickSqliteEventLog
from pipelines.components.maintenance import NAME, VARIABLE, Purged, purge_runs
from pipelines.components.partition_checks import CONTRACT, targets_of
from pipelines.delivery.ledger import Ledger, schema
from pipelines.home import Home
from pipelines.instance import prepare_instance
from pipelines.tables.names import valid_of
from tests.components.conftest import Deploy
from tests.components.deploying import BOARD, DAYS, TABLE, Deployment

LATER = datetime.now(UTC) + timedelta(days=1)
VALID = valid_of(TABLE)


@pytest.fixture
def instance(
    request: pytest.FixtureRequest, home: Home, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """The instance that is shipped; or one in memory, where a test makes too many runs for a disk."""
    if getattr(request, "param", "") == "memory":
        with dg.DagsterInstance.ephemeral() as instance:
            yield instance
        return
    prepare_instance(home, {})
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    with dg.DagsterInstance.get() as instance:
        yield instance


@pytest.fixture
def deployment(deploy: Deploy) -> Deployment:
    """Three days, of which the last has no file."""
    deployment = deploy()
    for day in DAYS[:2]:
        deployment.export(day)
    return deployment


def runs(deployment: Deployment) -> set[str]:
    """The runs that there are."""
    return {run.run_id for run in deployment.instance.get_runs()}


@dataclass(frozen=True, slots=True)
class Shown:
    """What the UI shows of a partition: its colour, where it is from, its figures, and its check's current verdict."""

    colour: str
    where: tuple[int, str, float] | None
    figures: Any
    verdict: str | None


def shown(deployment: Deployment, asset: str, check: str, days: Sequence[str] = DAYS) -> dict[str, Shown]:
    """What is shown of each partition by whoever remembers nothing from before."""
    key, storage = dg.AssetKey(asset), deployment.instance.event_log_storage
    storage.wipe_asset_cached_status(key)
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=list(days))
    newest: dict[str, dg.EventLogRecord] = {}
    for record in deployment.instance.fetch_materializations(wanted, limit=10_000).records:
        newest.setdefault(str(record.partition_key), record)
    told = storage.get_asset_check_partition_info([dg.AssetCheckKey(key, check)], partition_keys=list(days))
    verdicts = {one.partition_key: one.latest_execution_status.value for one in told if one.is_current}
    found = {}
    for day, colour in deployment.statuses(asset, days).items():
        made = newest.get(day)
        where = (made.storage_id, made.run_id, made.timestamp) if made else None
        figures = made.asset_materialization.metadata if made and made.asset_materialization else None
        found[day] = Shown(colour, where, figures, verdicts.get(day))
    return found


def test_what_made_a_partition_last_outlives_its_run(deployment: Deployment) -> None:
    """Runs of single days go, and each day keeps its colour, time, figures and verdict, as made by a run that was."""
    deployment.export(DAYS[2])
    gone = {deployment.extract(day).result.run_id for day in DAYS[:2]}
    last = deployment.extract(DAYS[2]).result.run_id
    before = shown(deployment, VALID, CONTRACT)
    assert {one.colour for one in before.values()} == {"MATERIALIZED"}
    assert {one.verdict for one in before.values()} == {"SUCCEEDED"}
    log = deployment.instance.event_log_storage
    assert isinstance(log, QuickSqliteEventLog)
    assert set(log.get_all_run_ids()) == {*gone, last}
    assert purge_runs(deployment.instance, LATER) == Purged(deleted=2, kept=1)
    assert runs(deployment) == set(log.get_all_run_ids()) == {last}
    assert shown(deployment, VALID, CONTRACT) == before
    assert {one.where[1] for one in before.values() if one.where} == {*gone, last}
    assert purge_runs(deployment.instance, LATER) == Purged(deleted=0, kept=1)
    assert shown(deployment, VALID, CONTRACT) == before
    deployment.extract(DAYS[0])
    assert shown(deployment, VALID, CONTRACT)[DAYS[0]].where != before[DAYS[0]].where


def a_day_of_a_schedule(deployment: Deployment, day: str) -> None:
    """What a scheduled run leaves in the instance, without the work that it does."""
    instance, key = deployment.instance, dg.AssetKey(VALID)
    tags = {"dagster/partition": day}
    run = create_run_for_test(instance, f"{TABLE}_extract", tags=tags, status=dg.DagsterRunStatus.SUCCESS).run_id
    made = dg.AssetMaterialization(key, partition=day, metadata={"rows_in": 4})
    kind = dg.DagsterEventType
    for event in (
        dg.DagsterEvent.build_asset_materialization_planned_event(
            f"{TABLE}_extract", TABLE, AssetMaterializationPlannedData(key, partition=day)
        ),
        dg.DagsterEvent(kind.ASSET_MATERIALIZATION.value, f"{TABLE}_extract", event_specific_data=MadeData(made, [])),
    ):
        instance.report_dagster_event(event, run)
    target = targets_of(instance, key, [day])[day]
    verdict = dg.AssetCheckEvaluation(key, CONTRACT, True, {}, target, partition=day)
    event = dg.DagsterEvent(kind.ASSET_CHECK_EVALUATION.value, f"{TABLE}_extract", event_specific_data=verdict)
    instance.report_dagster_event(event, run)


@pytest.mark.parametrize("instance", ["memory"], indirect=True)
def test_years_of_daily_runs_end_as_few(deployment: Deployment) -> None:
    """Each of 400 scheduled runs is the last word on a day; one of them is left, and every colour and verdict."""
    days = [(date(2013, 1, 1) + timedelta(days=number)).isoformat() for number in range(400)]
    for day in days:
        a_day_of_a_schedule(deployment, day)
    before = shown(deployment, VALID, CONTRACT, days)
    assert list(before) == days
    assert {(one.colour, one.verdict) for one in before.values()} == {("MATERIALIZED", "SUCCEEDED")}
    assert purge_runs(deployment.instance, LATER) == Purged(deleted=399, kept=1)
    assert len(runs(deployment)) == 1
    assert shown(deployment, VALID, CONTRACT, days) == before


@pytest.mark.parametrize("after", ["dry", "cancelled"])
def test_a_day_stays_failed_whatever_made_nothing_since(deployment: Deployment, after: str) -> None:
    """The run that failed it stays; one that was dry or cancelled goes, and with it what it had announced."""
    deployment.extract(DAYS[0])
    failed = deployment.extract(DAYS[2]).result.run_id
    later = create_run_for_test(
        deployment.instance,
        f"{TABLE}_extract",
        tags={"dagster/partition": DAYS[2]},
        status=dg.DagsterRunStatus.SUCCESS if after == "dry" else dg.DagsterRunStatus.CANCELED,
    )
    planned = AssetMaterializationPlannedData(dg.AssetKey(VALID), partition=DAYS[2])
    deployment.instance.report_dagster_event(
        dg.DagsterEvent.build_asset_materialization_planned_event(f"{TABLE}_extract", TABLE, planned), later.run_id
    )
    deployment.extract(DAYS[0])
    purge_runs(deployment.instance, LATER)
    assert failed in runs(deployment)
    assert later.run_id not in runs(deployment)
    assert shown(deployment, VALID, CONTRACT)[DAYS[2]].colour == "FAILED"


def test_a_check_that_was_only_announced_is_forgotten(deployment: Deployment) -> None:
    """What a day's check said last counts again, not a run that is gone and would be shown as going on for ever."""
    deployment.extract(DAYS[0])
    before = shown(deployment, VALID, CONTRACT)
    cancelled = create_run_for_test(deployment.instance, status=dg.DagsterRunStatus.CANCELED)
    partitions = deployment.defs.resolve_asset_graph().get(dg.AssetKey(VALID)).partitions_def
    assert partitions is not None
    day = partitions.subset_with_partition_keys(DAYS[:1]).to_serializable_subset()
    planned = AssetCheckEvaluationPlanned(asset_key=dg.AssetKey(VALID), check_name=CONTRACT, partitions_subset=day)
    kind = dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value
    deployment.instance.report_dagster_event(
        dg.DagsterEvent(kind, cancelled.job_name, event_specific_data=planned), cancelled.run_id
    )
    assert shown(deployment, VALID, CONTRACT)[DAYS[0]].verdict is None
    purge_runs(deployment.instance, LATER)
    assert shown(deployment, VALID, CONTRACT) == before


def test_only_runs_that_nothing_rests_on_are_deleted(deployment: Deployment) -> None:
    """Repeated runs go; what an asset's last run made, and the last that failed a day, stay."""
    superseded = deployment.extract(DAYS[0], DAYS[1]).result.run_id
    made = deployment.extract(DAYS[0], DAYS[1]).result.run_id
    failed_before = deployment.extract(DAYS[2]).result.run_id
    failed = deployment.extract(DAYS[2]).result.run_id
    before = deployment.statuses(TABLE)
    assert before == {DAYS[0]: "MATERIALIZED", DAYS[1]: "MATERIALIZED", DAYS[2]: "FAILED"}
    assert purge_runs(deployment.instance, LATER) == Purged(deleted=2, kept=2)
    assert runs(deployment) == {made, failed}
    for gone in (superseded, failed_before):
        assert not deployment.instance.all_logs(gone)
    # As Dagster sees it without what it remembers from before.
    deployment.instance.event_log_storage.wipe_asset_cached_status(dg.AssetKey(TABLE))
    assert deployment.statuses(TABLE) == before
    assert purge_runs(deployment.instance, LATER) == Purged(deleted=0, kept=2)


def test_young_runs_and_those_under_way_stay(deployment: Deployment) -> None:
    """Only what has ended and is old enough is deleted."""
    for _ in range(2):
        deployment.extract(DAYS[0])
    assert purge_runs(deployment.instance, datetime.now(UTC) - timedelta(days=1)) == Purged(0, 0)
    job = deployment.defs.resolve_job_def(f"{TABLE}_extract")
    working = deployment.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert purge_runs(deployment.instance, LATER) == Purged(deleted=1, kept=1)
    assert working.run_id in runs(deployment)


def test_what_is_not_asked_for_stays(deployment: Deployment) -> None:
    """Runs of another code location, which have other tags, are not this deployment's to delete."""
    for _ in range(2):
        deployment.extract(DAYS[0])
    assert purge_runs(deployment.instance, LATER, {".dagster/repository": "elsewhere"}) == Purged(0, 0)


def test_the_job_cleans_up_and_says_what_it_did(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """It deletes runs older than the variable says, and the ledger's history older than its own."""
    deployment.extract(DAYS[0])
    deployment.deliver(BOARD, DAYS[0])
    with closing(Ledger(deployment.home.ledger_url)) as ledger, ledger.engine.begin() as connection:
        connection.execute(update(schema.deliveries).values(at=1.0))
    told = deployment.run(NAME)
    assert told.success
    (output,) = [event.step_output_data for event in told.result.all_node_events if event.is_successful_output]
    assert {name: value.value for name, value in output.metadata.items()} == {
        "runs_deleted": 0,
        "runs_kept": 0,
        "deliveries_deleted": 4,
        "decisions_deleted": 0,
    }
    with closing(Ledger(deployment.home.ledger_url)) as ledger, ledger.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(schema.deliveries)) == 0
    monkeypatch.setenv(VARIABLE, "soon")
    assert not deployment.run(NAME).success
