"""Partitions as Dagster sees them, and runs without any."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pipelines.components.partitions import partitions_of
from pipelines.tables.grains import Calendar
from tests.components.conftest import Deploy
from tests.components.deploying import BOARD, ROWS, SAMPLE, TABLE, Deployment, board, readings

SNAPSHOT = {
    "grain": "snapshot",
    "start": None,
    "source": {"files": "exports/now.csv"},
    "columns": {"team": "team_code", "kpi": "kpi_code", "actual": "value"},
}


def export_now(deployment: Deployment) -> None:
    """The readings of the moment, without a date."""
    (deployment.folder / "exports").mkdir(exist_ok=True)
    lines = ["team_code,kpi_code,value", *(f"{team},{kpi},{value}" for team, kpi, value in ROWS), ",departures,1"]
    (deployment.folder / "exports" / "now.csv").write_text("\n".join(lines))


def test_a_snapshot_is_delivered_without_partitions(deploy: Deploy) -> None:
    """Without partitions: one materialization, one verdict, one account of every row, and no second request."""
    deployment = deploy([readings(**SNAPSHOT)], [board()])
    export_now(deployment)
    extracted = deployment.extract()
    assert extracted.success
    assert extracted.materialized(f"{TABLE}_valid").keys() == {None}
    assert extracted.facts(f"{TABLE}_valid")[None]["quarantined"] == 1

    told = deployment.deliver(BOARD)
    assert told.success
    assert told.counts(BOARD) == {None: {"extracted": 5, "quarantined": 1, "accepted": 4}}
    assert told.materialized(BOARD)[None]["accepted"] == 4
    assert deployment.board()["departures-EWR-AA"] == "10"

    deployment.extract()
    assert deployment.deliver(BOARD).counts(BOARD) == {None: {"extracted": 5, "quarantined": 1, "unchanged": 4}}
    assert deployment.requests(BOARD) == 4


def test_a_snapshot_can_be_planned_dry(deploy: Deploy) -> None:
    """A dry run over a table without partitions is observed without a partition."""
    deployment = deploy([readings(**SNAPSHOT)], [board()])
    export_now(deployment)
    deployment.extract()
    told = deployment.deliver(BOARD, dry_run=True)
    assert told.success
    assert told.observed(BOARD)[None]["not_sent"] == 4
    assert deployment.requests(BOARD) == 0


def test_a_snapshot_that_was_never_extracted_says_so(deploy: Deploy) -> None:
    """A sync before its table: the run fails with the table to select, and sends nothing."""
    deployment = deploy([readings(**SNAPSHOT)], [board()])
    told = deployment.deliver(BOARD)
    assert not told.success
    assert f"the table {TABLE} was never extracted" in told.failure
    assert deployment.requests(BOARD) == 0


@pytest.mark.parametrize(
    ("grain", "start"), [("daily", "2013-01-01"), ("weekly", "2012-12-31"), ("monthly", "2013-01-01")]
)
def test_dagster_and_the_tables_mean_the_same_partitions(grain: str, start: str) -> None:
    """Keys and windows of Dagster's partitions are those of the tables' calendar, over clock changes and years."""
    table = readings(grain=grain, start=start)
    partitions, calendar = partitions_of(table), Calendar.of(table)
    assert partitions is not None
    now = datetime(2015, 1, 1, tzinfo=UTC)
    keys = partitions.get_partition_keys(now)
    assert keys == calendar.keys(start, calendar.newest(now)[0])
    for key in keys:
        window, ours = partitions.time_window_for_partition_key(key), calendar.window(key)
        assert (window.start.timestamp(), window.end.timestamp()) == (ours.opens.timestamp(), ours.closes.timestamp())


def test_the_sample_is_read_as_a_whole(deploy: Deploy) -> None:
    """A single file of all days: a run reads its own day from it, and nothing of the others."""
    deployment = deploy([readings(source={"files": str(SAMPLE / "kpi_readings.parquet")})], [])
    told = deployment.extract("2013-01-02")
    assert told.materialized(TABLE)["2013-01-02"]["rows_in"] == 155
    assert deployment.store.partitions(TABLE) == ["2013-01-02"]
