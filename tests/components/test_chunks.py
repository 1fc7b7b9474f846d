"""How many partitions a run of a backfill takes: as asked for, and never as many as somebody beside it."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from pydantic import ValidationError

from pipelines.components.policy import PARTITIONS_PER_SYNC_RUN, PARTITIONS_PER_TABLE_RUN, chunks
from pipelines.delivery.errors import ConfigurationError
from tests.components.conftest import Deploy
from tests.components.deploying import BOARD, FLOOR, TABLE, board, floor, readings

SNAPSHOT: dict[str, Any] = {
    "grain": "snapshot",
    "start": None,
    "source": {"files": "now.csv"},
    "columns": {"team": "team_code", "kpi": "kpi_code", "actual": "value"},
}


def test_each_has_a_number_of_its_own() -> None:
    """With equal numbers Dagster would put a table and its syncs into one run, one after another."""
    found = chunks([readings()], [board(), floor()])
    assert found == {
        TABLE: PARTITIONS_PER_TABLE_RUN,
        BOARD: PARTITIONS_PER_SYNC_RUN,
        FLOOR: PARTITIONS_PER_SYNC_RUN + 1,
    }


@pytest.mark.parametrize(
    ("table", "on_board", "on_floor", "expected"),
    [
        (10, 5, 7, (10, 5, 7)),
        (10, 10, 10, (10, 9, 8)),
        (1, 1, 1, (1, 2, 3)),
        (None, None, 92, (184, 93, 92)),
        (3, 2, 3, (3, 2, 1)),
    ],
)
def test_what_was_asked_for_is_a_bound(
    table: int | None, on_board: int | None, on_floor: int | None, expected: tuple[int, ...]
) -> None:
    """Whoever asks for a number gets it or less, unless nothing less is left; the rest make room."""
    syncs = [board(partitions_per_run=on_board), floor(partitions_per_run=on_floor)]
    found = chunks([readings(partitions_per_run=table)], syncs)
    assert (found[TABLE], found[BOARD], found[FLOOR]) == expected


def test_tables_with_other_partitions_do_not_matter() -> None:
    """What can never be in one run may have the same number."""
    tables = [readings(partitions_per_run=4), readings(name="weeks", grain="weekly", start="2012-12-31")]
    syncs = [board(partitions_per_run=3), floor(table="weeks", partitions_per_run=3)]
    found = chunks(tables, syncs)
    assert found == {TABLE: 4, BOARD: 3, "weeks": PARTITIONS_PER_TABLE_RUN, FLOOR: 3}


def test_the_number_is_the_backfill_policy_of_every_asset(deploy: Deploy) -> None:
    """What a table or a sync asks for is what Dagster is told of each of its assets."""
    syncs = [board(partitions_per_run=2), floor(partitions_per_run=5)]
    graph = deploy([readings(partitions_per_run=3)], syncs).defs.resolve_asset_graph()
    found = {key.to_user_string(): graph.get(key).backfill_policy for key in graph.materializable_asset_keys}
    for name, number in ((TABLE, 3), (f"{TABLE}_valid", 3), (BOARD, 2), (f"{BOARD}_upserts", 2), (FLOOR, 5)):
        assert found[name] == dg.BackfillPolicy.multi_run(number)


def test_no_job_falls_back_to_a_run_per_partition(deploy: Deploy) -> None:
    """A job is as coarse as its finest asset: none of ours lacks a policy, in whatever selection a job may have it."""
    defs = deploy().defs
    jobs = [job for job in defs.resolve_all_job_defs() if job.partitions_def is not None]
    assert len(jobs) > 2
    for job in jobs:
        assert job.backfill_policy is not None, job.name
        assert (job.backfill_policy.max_partitions_per_run or 0) >= PARTITIONS_PER_SYNC_RUN, job.name


def test_a_number_without_partitions_is_refused(deploy: Deploy) -> None:
    """A snapshot has no partitions, so that the field would do nothing."""
    with pytest.raises(ValidationError, match="partitions_per_run has no meaning"):
        readings(**SNAPSHOT, partitions_per_run=3)
    with pytest.raises(ConfigurationError, match="sync status_board, partitions_per_run: the table flight_kpis has no"):
        deploy([readings(**SNAPSHOT)], [board(partitions_per_run=3)])
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        board(partitions_per_run=0)
