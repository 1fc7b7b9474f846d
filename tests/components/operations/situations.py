"""Situations in which a deployment may be: what is known of it, put together by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph_subset import AssetGraphSubset
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemotePartitionSetOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    ScheduleInstigatorData,
)
from dagster._daemon.types import DaemonHeartbeat

from pipelines.components.operations.dagster_facts import Partitions
from pipelines.components.operations.due import closed, newest_due
from pipelines.components.operations.judging import Facts, newest_of, problems_of
from pipelines.components.operations.status import Colour, Daemon, History, Newest, Problem, Screen, SyncStatus
from pipelines.destinations.base import SyncSpec
from pipelines.tables.spec import AnyTable
from tests.components.deploying import BOARD, DAYS, RANGE, TABLE, board, readings

AT_NINE = datetime(2013, 1, 5, 14, 0, tzinfo=UTC)
"""Nine in the morning of the fifth of January in New York, where the table lies."""
SCHEDULE = {"at": "05:30", "lookback": 7}


def facts(
    now: datetime = AT_NINE,
    *,
    sync: SyncSpec | None = None,
    spec: AnyTable | None = None,
    on: bool = True,
    **known: Any,
) -> Facts:
    """What is known of the board's sync, whose table is read at half past five, unless said otherwise."""
    table = spec or readings(schedule=SCHEDULE)
    keys = closed(table, now)
    schedule = "none" if table.schedule is None else "on" if on else "off"
    return Facts(sync=sync or board(), closed=keys, due=newest_due(table, keys, now), schedule=schedule, **known)


def judged(now: datetime = AT_NINE, **known: Any) -> tuple[Newest, list[Problem]]:
    """The newest partition and the problems of a sync of which this is known."""
    found = facts(now, **known)
    newest = newest_of(found, now)
    return newest, problems_of(found, newest, now)


def kinds(problems: Sequence[Problem]) -> list[tuple[str, str]]:
    """Kind and colour of each."""
    return [(one.kind, str(one.colour)) for one in problems]


def all_of(days: Sequence[str] = DAYS) -> Partitions:
    """A partition for each of these days, all well."""
    return Partitions(delivered=list(days))


def status(*problems: Problem, sync: str = BOARD, busy: bool = False, **fields: Any) -> SyncStatus:
    """A sync with these problems."""
    newest = Newest("2013-01-04", "delivered", delivered=4, expected=4, run="run-1")
    usual = {
        "mode": "live",
        "owners": ["team:data-platform"],
        "newest": newest,
        "history": History(4, 0, 4, "2013-01-04"),
    }
    return SyncStatus(sync=sync, table=TABLE, account="stativate", problems=problems, busy=busy, **{**usual, **fields})


def problem(
    kind: str = "failed", colour: Colour = Colour.RED, count: int = 1, *, at: Sequence[str] = (), run: str = ""
) -> Problem:
    """A reason for a colour, in these partitions, that this run has made."""
    what = f"{count} of it {kind}"
    return Problem(kind, colour, what, f"pipelines ledger --sync {BOARD}", count, partitions=at, run=run)


def screen(*syncs: SyncStatus, problems: Sequence[Problem] = (), ui_url: str = "https://dagster.example.com") -> Screen:
    """Syncs on a screen, beside a daemon that is well."""
    return Screen(AT_NINE, list(syncs), Daemon(AT_NINE), list(problems), ui_url)


def switch_on(instance: dg.DagsterInstance, schedule: str) -> None:
    """Switch a schedule on, as the UI does."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("pipelines"), "__repository__")
    instance.add_instigator_state(
        InstigatorState(
            RemoteInstigatorOrigin(repository, schedule),
            InstigatorType.SCHEDULE,
            InstigatorStatus.RUNNING,
            ScheduleInstigatorData("30 5 * * *"),
        )
    )


def beat(instance: dg.DagsterInstance, at: datetime) -> None:
    """Every part of the daemon gives a sign of life."""
    for name in instance.get_required_daemon_types():
        instance.add_daemon_heartbeat(DaemonHeartbeat(at.timestamp(), name, "id"))


def begin_backfill(
    instance: dg.DagsterInstance,
    defs: dg.Definitions,
    assets: Sequence[str],
    days: Sequence[str],
    *,
    done: int,
    at: datetime,
) -> None:
    """A backfill of some days, of which the first `done` are delivered."""
    graph = defs.resolve_asset_graph()
    definitions = {dg.AssetKey(asset): graph.get(dg.AssetKey(asset)).partitions_def for asset in assets}
    target, made = (
        AssetGraphSubset(
            partitions_subsets_by_asset_key={
                key: definition.empty_subset().with_partition_keys(chosen)
                for key, definition in definitions.items()
                if definition is not None
            }
        )
        for chosen in (days, days[:done])
    )
    begun = PartitionBackfill.from_asset_graph_subset(
        backfill_id="abcdefgh",
        asset_graph_subset=target,
        backfill_timestamp=at.timestamp(),
        tags={},
        dynamic_partitions_store=instance,
        title=None,
        description=None,
        run_config=None,
    )
    data = begun.asset_backfill_data
    assert data is not None
    assert begun.status is BulkActionStatus.REQUESTED
    instance.add_backfill(begun.with_asset_backfill_data(data._replace(materialized_subset=made), instance, graph))


def begin_job_backfill(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    days: Sequence[str],
    *,
    ended: Sequence[Sequence[str]],
    at: datetime,
) -> None:
    """A backfill of a job over some days, in chunks: these have ended, the next one works."""
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("pipelines"), "__repository__")
    instance.add_backfill(
        PartitionBackfill(
            backfill_id="ijklmnop",
            status=BulkActionStatus.REQUESTED,
            from_failure=False,
            tags={},
            backfill_timestamp=at.timestamp(),
            partition_set_origin=RemotePartitionSetOrigin(
                repository_origin=repository, partition_set_name=f"{job.name}_partition_set"
            ),
            partition_names=days,
        )
    )
    done = [day for chunk in ended for day in chunk]
    left = [day for day in days if day not in done]
    success, works = dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.STARTED
    for chunk, status in [*((chunk, success) for chunk in ended), (left, works)]:
        tags = {"dagster/backfill": "ijklmnop", **dict(zip(RANGE, (chunk[0], chunk[-1]), strict=True))}
        if len(chunk) == 1:
            tags = {"dagster/backfill": "ijklmnop", "dagster/partition": chunk[0]}
        instance.create_run_for_job(job, tags=tags, status=status)
