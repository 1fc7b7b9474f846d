"""The sensor that takes up deliveries which stopped for what may pass by itself: an API that was down, a run's time."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import dagster as dg

from pipelines.components.partitions import partitions_of, spans
from pipelines.components.run_queue import PRIORITY_TAG, priority_of
from pipelines.components.stops import ROOT_TAG, Stop, stops_of, under_way
from pipelines.destinations.base import SyncSpec
from pipelines.tables.grains import SNAPSHOT
from pipelines.tables.spec import AnyTable

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

NAME = "resume_stopped"
TAKES_UP_TAG = "pipelines/takes_up"
"""On a run that resumes: the run whose partitions it takes up."""
UNTIL_TAG = "pipelines/resume_until"
"""On such a run: until when it may itself be taken up."""
PAUSE = timedelta(minutes=5)
"""From a stop to the next try."""
_LONGEST = timedelta(days=2)
"""`retry_until` comes within a day, to which the time of the last try is added."""


@dataclass(frozen=True, slots=True)
class Resumable:
    """A sync whose table says until when it is resumed."""

    sync: SyncSpec
    table: AnyTable
    job: UnresolvedAssetJobDefinition


def resume_sensor(syncs: Sequence[Resumable]) -> dg.SensorDefinition | None:
    """One sensor for all syncs whose table has `retry_until`; None if there are none. Off until somebody wants it."""
    chosen = [one for one in syncs if one.table.retry_until is not None]
    if not chosen:
        return None

    @dg.sensor(
        name=NAME,
        jobs=[one.job for one in chosen],
        default_status=dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=60,
        description="Takes up deliveries that stopped for what may pass by itself, in the partitions where they did, "
        "one run per sync at a time, until the table's `retry_until`.",
    )
    def _resume(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        said = [next_try(context.instance, one, datetime.fromtimestamp(time.time(), UTC)) for one in chosen]
        skipped = [str(one.skip_message) for one in said if isinstance(one, dg.SkipReason)]
        asked = [one for one in said if isinstance(one, dg.RunRequest)]
        yield from asked or [dg.SkipReason("; ".join(skipped))]

    return _resume


def next_try(instance: dg.DagsterInstance, resumable: Resumable, now: datetime) -> dg.RunRequest | dg.SkipReason:
    """The run that takes up some of what stopped: the account's first claim first, else what was tried longest ago."""
    sync, table = resumable.sync, resumable.table
    if under_way(instance, sync.name, resumable.job.name):
        return dg.SkipReason(f"{sync.name}: a run of it is under way")
    stops = list(stops_of(instance, sync.name, now - _LONGEST))
    due = [stop for stop in stops if now < _until(stop, table)]
    left = [(stop, partitions) for stop in due if (partitions := _still_failed(instance, sync, table, stop))]
    if not left:
        return dg.SkipReason(f"{sync.name}: nothing to take up")
    wait = stops[0].ended + PAUSE - now
    if wait > timedelta():
        return dg.SkipReason(f"{sync.name}: stopped lately, the next try is in {wait.total_seconds():.0f} s")
    stop, partitions = min(left, key=lambda one: (priority_of(one[0].run.tags), one[0].ended))
    return _request(instance, resumable, stop, spans(table, partitions)[0])


def next_time(text: str, after: datetime, timezone: str) -> datetime:
    """When the clock of that zone next shows this time of day (05:30)."""
    zone = ZoneInfo(timezone)
    hour, minute = map(int, text.split(":"))
    day = after.astimezone(zone).date()
    found = datetime.combine(day, time_of_day(hour, minute), zone)
    if found.astimezone(UTC) <= after:
        found = datetime.combine(day + timedelta(days=1), time_of_day(hour, minute), zone)
    return found.astimezone(UTC)


def _until(stop: Stop, table: AnyTable) -> datetime:
    """Until when a stop is taken up: counted from the first of its kind, not from the last try."""
    told = stop.run.tags.get(UNTIL_TAG)
    return datetime.fromisoformat(told) if told else next_time(str(table.retry_until), stop.ended, table.timezone)


def _still_failed(instance: dg.DagsterInstance, sync: SyncSpec, table: AnyTable, stop: Stop) -> set[str]:
    """The stop's partitions that nobody has delivered since."""
    key, partitions = dg.AssetKey(sync.name), partitions_of(table)
    if not stop.partitions:
        return set()
    if partitions is None:
        newest = instance.get_latest_materialization_event(key)
        return {SNAPSHOT} if newest is None or newest.timestamp < stop.ended.timestamp() else set()
    found = instance.get_status_by_partition(key, sorted(stop.partitions), partitions) or {}
    return {partition for partition, status in found.items() if status is not None and status.value == "FAILED"}


def _request(instance: dg.DagsterInstance, resumable: Resumable, stop: Stop, span: dict[str, str]) -> dg.RunRequest:
    run, name = stop.run, resumable.sync.name
    tries = instance.get_runs_count(dg.RunsFilter(tags={TAKES_UP_TAG: run.run_id}))
    given: Any = run.run_config.get("ops", {})
    config = {op: said for op, said in given.items() if op == name}
    return dg.RunRequest(
        run_key=f"{run.run_id}/{name}/{next(iter(span.values()), SNAPSHOT)}/{tries}",
        job_name=resumable.job.name,
        run_config={"ops": config} if config else {},
        tags={
            **span,
            PRIORITY_TAG: priority_of(run.tags).name.lower(),
            ROOT_TAG: run.tags.get(ROOT_TAG) or run.root_run_id or run.run_id,
            TAKES_UP_TAG: run.run_id,
            UNTIL_TAG: _until(stop, resumable.table).isoformat(),
        },
    )
