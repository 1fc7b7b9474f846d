"""Schedules per table, and the sensors that let the syncs follow their table: one run per sync, side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from pipelines.components.partition_checks import CONTRACT, DELIVERY
from pipelines.components.partitions import END_TAG, START_TAG, spans, trailing_range
from pipelines.components.run_queue import PRIORITY_TAG, SYNC_TAG, TABLE_TAG, priority_of
from pipelines.components.sync_assets import MODE_TAG
from pipelines.components.sync_run import upserts_of
from pipelines.destinations.base import SyncSpec
from pipelines.tables.grains import SNAPSHOT
from pipelines.tables.names import quarantine_of, valid_of
from pipelines.tables.spec import AnyTable, TableSpec

if TYPE_CHECKING:
    # What `define_asset_job` returns; it has no public name in 1.13.27.
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

_SCHEDULED = {PRIORITY_TAG: "scheduled"}


def table_job(table: AnyTable) -> UnresolvedAssetJobDefinition:
    """The job that extracts a table; its syncs follow in runs of their own."""
    return dg.define_asset_job(
        f"{table.name}_extract",
        selection=_with_its_check(valid_of(table.name), CONTRACT, table.name, quarantine_of(table.name)),
        tags={TABLE_TAG: table.name},
        description=f"Extracts `{table.name}`; when it ends, every sync of the table delivers the same partitions.",
    )


def sync_job(sync: SyncSpec) -> UnresolvedAssetJobDefinition:
    """The job that delivers a sync."""
    return dg.define_asset_job(
        f"{sync.name}_deliver",
        selection=_with_its_check(sync.name, DELIVERY, upserts_of(sync.name)),
        tags={MODE_TAG: sync.mode, SYNC_TAG: sync.name},
        description=f"mode: {sync.mode} — delivers `{sync.name}` from the stored rows of `{sync.table}`.",
    )


def _with_its_check(asset: str, check: str, *others: str) -> dg.AssetSelection:
    """Assets with the check that their own op yields: standing checks have runs of their own."""
    chosen = dg.AssetSelection.assets(asset, *others).without_checks()
    return chosen | dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey(asset), check))


def table_schedule(table: AnyTable, job: UnresolvedAssetJobDefinition) -> dg.ScheduleDefinition | None:
    """The table's schedule: one run over the last `lookback` closed partitions. Off until somebody switches it on."""
    if table.schedule is None:
        return None
    lookback = table.schedule.lookback
    hour, minute = table.schedule.at.split(":")

    @dg.schedule(
        name=f"{table.name}_schedule",
        job=job,
        cron_schedule=f"{int(minute)} {int(hour)} {_days(table)}",
        execution_timezone=table.timezone,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description=f"Extracts the last {lookback} closed partition(s) of `{table.name}` and delivers what changed.",
    )
    def _tick(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        moment = context.scheduled_execution_time
        if not isinstance(table, TableSpec) or table.grain == SNAPSHOT:
            return dg.RunRequest(run_key=moment.isoformat(), tags=_SCHEDULED)
        span = trailing_range(table, lookback, moment)
        if span is None:
            return dg.SkipReason(f"{table.name} has no partition among the last {lookback} that ended")
        return dg.RunRequest(run_key=moment.isoformat(), tags={**_SCHEDULED, START_TAG: span.start, END_TAG: span.end})

    return _tick


def syncs_after_tables(
    tables: Mapping[str, tuple[AnyTable, UnresolvedAssetJobDefinition]],
    syncs: Mapping[str, Sequence[UnresolvedAssetJobDefinition]],
) -> list[dg.SensorDefinition]:
    """Sensors for all tables: a run of a table's job ended, well, partly or cancelled; its good partitions go on.

    A day that shows green at its table is on its way to the boards, however the run ended that extracted it; whoever
    wants that nothing leaves holds the sync.
    """
    if not any(syncs.values()):
        return []
    return [
        _sensor(status, name, tables, syncs)
        for status, name in (
            (dg.DagsterRunStatus.SUCCESS, "deliver_after_extract"),
            (dg.DagsterRunStatus.FAILURE, "deliver_after_partly_failed_extract"),
            (dg.DagsterRunStatus.CANCELED, "deliver_after_cancelled_extract"),
        )
    ]


def _sensor(
    status: dg.DagsterRunStatus,
    name: str,
    tables: Mapping[str, tuple[AnyTable, UnresolvedAssetJobDefinition]],
    syncs: Mapping[str, Sequence[UnresolvedAssetJobDefinition]],
) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        name=name,
        run_status=status,
        monitored_jobs=[job for _, job in tables.values()],
        request_jobs=[job for jobs in syncs.values() for job in jobs],
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=10,
        description="Starts one run per sync over the partitions that a table's job has extracted.",
    )
    def _follow(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest]:
        run = context.dagster_run
        table, _ = tables[run.tags[TABLE_TAG]]
        priority = {PRIORITY_TAG: priority_of(run.tags).name.lower()}
        for tags in spans(table, _extracted(context.instance, run, table)):
            for job in syncs.get(table.name, ()):
                key = "/".join([run.run_id, job.name, tags.get(START_TAG, "")])
                yield dg.RunRequest(run_key=key, job_name=job.name, tags={**priority, **tags})

    return _follow


def _extracted(instance: dg.DagsterInstance, run: dg.DagsterRun, table: AnyTable) -> set[str]:
    records = instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION).records
    events = [record.event_log_entry.get_dagster_event() for record in records]
    valid = dg.AssetKey(valid_of(table.name))
    return {event.partition or SNAPSHOT for event in events if event.asset_key == valid}


def _days(table: AnyTable) -> str:
    """Cron's day fields: every day, Mondays, or the 1st."""
    grain = getattr(table, "grain", "snapshot")
    return {"weekly": "* * 1", "monthly": "1 * *"}.get(grain, "* * *")
