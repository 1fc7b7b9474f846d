"""Old runs go, and nothing that the UI shows of a partition goes with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
from sqlalchemy import func, select, update

from pipelines.components.maintenance import NAME, VARIABLE, Purged, purge_runs
from pipelines.delivery.ledger import Ledger, schema
from pipelines.home import Home
from pipelines.instance import prepare_instance
from tests.components.conftest import Deploy
from tests.components.deploying import BOARD, DAYS, TABLE, Deployment

LATER = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def instance(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """The instance that is shipped."""
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


def test_only_runs_that_nothing_rests_on_are_deleted(deployment: Deployment) -> None:
    """Repeated runs go; what made a partition last, or failed at it last, stays with its colours and figures."""
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
