"""The job that keeps Dagster's history and the ledger's from growing without end. Its schedule is off until wanted.

A deleted run takes its events along, and with them what the UI shows of the partitions that it made (tried with
1.13.27: figures and checks are gone at once, colours as soon as Dagster counts them anew). With a daily schedule each
run is the last word on some partition, and none could ever go. So what made a partition last outlives its run, and with
it the verdict on it: some rows for each partition instead of a run. A run itself stays, however old, while a partition
is failed because of it, or while it is the last of an asset.
"""

import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from pipelines.components.event_rows import EventRows
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


@dataclass(frozen=True, slots=True)
class Purged:
    """How many old runs were deleted, and how many stay since something is shown by them alone."""

    deleted: int
    kept: int


def purge_runs(instance: dg.DagsterInstance, before: datetime, tags: dict[str, str] | None = None) -> Purged:
    """Delete runs that ended and were created before that time, with their events and logs; `tags`: those alone.

    Every partition keeps its colour, the figures of its newest materialization and the newest verdict of each check.

    Raises:
        ConfigurationError: the instance keeps its events in no database.
    """
    wanted = dg.RunsFilter(statuses=_ENDED, created_before=before, tags=tags or {})
    old = {record.dagster_run.run_id for record in instance.get_run_records(wanted)}
    if not old:
        return Purged(0, 0)
    rows = EventRows.of(instance)
    made = {key: rows.newest(key) for key in instance.all_asset_keys()}
    needed = {*_last_of_assets(instance), *_failing(instance, rows, made)}
    gone = old - needed
    rows.keep({number for numbers in made.values() for number in numbers.values()}, gone)
    for run_id in gone:
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        instance.delete_run(run_id)
    rows.forget_verdicts(gone)
    return Purged(len(gone), len(old & needed))


def _last_of_assets(instance: dg.DagsterInstance) -> Iterator[str]:
    """The run that worked on each asset last, and the one that made it last."""
    for record in instance.get_asset_records(instance.all_asset_keys()):
        entry = record.asset_entry
        if entry.last_run_id:
            yield entry.last_run_id
        if entry.last_materialization_record:
            yield entry.last_materialization_record.run_id


def _failing(
    instance: dg.DagsterInstance, rows: EventRows, made: Mapping[dg.AssetKey, dict[str, int]]
) -> Iterator[str]:
    """The last runs that failed to make a partition which nobody has made since.

    A run that made nothing and did not fail (it was dry, or was cancelled) is no word on a partition.
    """
    attempts = {key: rows.attempts_since(key, numbers) for key, numbers in made.items()}
    failed = _failed({one.run for some in attempts.values() for one in some}, instance)
    for some in attempts.values():
        told: set[str] = set()
        for attempt in some:
            if attempt.run in failed and attempt.partition not in told:
                told.add(attempt.partition)
                yield attempt.run


def _failed(runs: Collection[str], instance: dg.DagsterInstance) -> set[str]:
    if not runs:
        return set()
    wanted = dg.RunsFilter(run_ids=sorted(runs), statuses=[dg.DagsterRunStatus.FAILURE])
    return {run.run_id for run in instance.get_runs(wanted)}


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
        description=f"Deletes runs older than {KEEP_RUNS_DAYS} days ({VARIABLE}), and what `pipelines ledger prune` "
        "deletes. Colours, figures and verdicts of partitions stay, and runs by which a partition is failed still.",
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
