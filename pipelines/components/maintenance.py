"""The job that keeps Dagster's history and the ledger's from growing without end. Its schedule is off until wanted.

A deleted run takes its events along, and with them what the UI shows of the partitions that it made (tried with
1.13.27: figures and checks are gone at once, colours as soon as Dagster counts them anew). So a run stays, however old,
while it is the last word on any partition: what made it, or what failed at it since.
"""

import os
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from pipelines.components.failures import failed
from pipelines.delivery.errors import PipelinesError
from pipelines.delivery.ledger import Ledger
from pipelines.delivery.ledger.retention import days_of, keep_days, prune
from pipelines.home import Home

VARIABLE = "PIPELINES_KEEP_RUNS_DAYS"
KEEP_RUNS_DAYS = 90
NAME = "maintenance"
_REPOSITORY_TAG = ".dagster/repository"
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Purged:
    """How many old runs were deleted, and how many stay since some partition's state is in them."""

    deleted: int
    kept: int


def purge_runs(instance: dg.DagsterInstance, before: datetime, tags: dict[str, str] | None = None) -> Purged:
    """Delete runs that ended and were created before that time, with their events and logs; `tags`: those alone."""
    wanted = dg.RunsFilter(statuses=_ENDED, created_before=before, tags=tags or {})
    old = {record.dagster_run.run_id for record in instance.get_run_records(wanted)}
    needed = set(last_words(instance)) if old else set()
    for run_id in old - needed:
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        instance.delete_run(run_id)
    return Purged(len(old - needed), len(old & needed))


def last_words(instance: dg.DagsterInstance) -> Iterator[str]:
    """The runs without which the UI would show less of some asset or partition than it does."""
    keys = instance.all_asset_keys()
    for record in instance.get_asset_records(keys):
        entry = record.asset_entry
        if entry.last_run_id:
            yield entry.last_run_id
        if entry.last_materialization_record:
            yield entry.last_materialization_record.run_id
    for key in keys:
        made = _newest(instance, key, dg.DagsterEventType.ASSET_MATERIALIZATION)
        planned = _newest(instance, key, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
        undone = {partition: number for partition, number in planned.items() if number > made.get(partition, -1)}
        yield from _runs_of(instance, key, dg.DagsterEventType.ASSET_MATERIALIZATION, list(made.values()))
        yield from _runs_of(instance, key, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED, list(undone.values()))


def maintenance() -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """The job, and its schedule on Sundays."""

    @dg.op(name="clean_up")
    def _clean(context: dg.OpExecutionContext) -> None:
        try:
            context.add_output_metadata(_clean_up(context))
        except PipelinesError as error:
            raise failed(error) from error

    @dg.job(
        name=NAME,
        description=f"Deletes runs older than {KEEP_RUNS_DAYS} days ({VARIABLE}), but for those that are the last word "
        "on a partition, and what `pipelines ledger prune` deletes.",
    )
    def _job() -> None:
        _clean()

    schedule = dg.ScheduleDefinition(
        name=f"{NAME}_schedule",
        job=_job,
        cron_schedule="0 3 * * 0",
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.STOPPED,
    )
    return _job, schedule


def _clean_up(context: dg.OpExecutionContext) -> dict[str, int]:
    days = days_of(os.environ, VARIABLE, KEEP_RUNS_DAYS)
    # An instance may serve other code locations, whose runs are theirs.
    ours = {name: value for name, value in context.run.tags.items() if name == _REPOSITORY_TAG}
    purged = purge_runs(context.instance, datetime.fromtimestamp(time.time(), UTC) - timedelta(days=days), ours)
    with closing(Ledger(Home.of().ledger_url)) as ledger:
        pruned = prune(ledger, keep_days(os.environ))
    done = {
        "runs_deleted": purged.deleted,
        "runs_kept": purged.kept,
        "deliveries_deleted": pruned.deliveries,
        "decisions_deleted": pruned.decisions,
    }
    context.log.info("runs older than %d days, and the ledger's history: %s", days, done)
    return done


def _newest(instance: dg.DagsterInstance, key: dg.AssetKey, kind: dg.DagsterEventType) -> dict[str, int]:
    return dict(instance.event_log_storage.get_latest_storage_id_by_partition(key, kind))


def _runs_of(
    instance: dg.DagsterInstance, key: dg.AssetKey, kind: dg.DagsterEventType, numbers: list[int]
) -> Iterator[str]:
    for start in range(0, len(numbers), _PAGE):
        some = dg.EventRecordsFilter(kind, asset_key=key, storage_ids=numbers[start : start + _PAGE])
        yield from (record.run_id for record in instance.event_log_storage.get_event_records(some))
