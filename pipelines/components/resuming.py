"""The sensor that takes up what stopped for a reason that may pass by itself.

Deliveries: an API that was down, a run's time that was over. Extracts: a source that could not be reached, or was in
use (`SourceUnavailable`); a file that is broken, or a contract that nothing keeps, is for somebody to mend.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import dagster as dg

from pipelines.components.partitions import END_TAG, START_TAG, partitions_of, spans
from pipelines.components.run_queue import PRIORITY_TAG, priority_of
from pipelines.components.stops import ROOT_TAG, Stop, stops_of, under_way
from pipelines.tables.grains import SNAPSHOT
from pipelines.tables.spec import AnyTable

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

NAME = "resume_stopped"
TAKES_UP_TAG = "pipelines/takes_up"
"""On a run that resumes: the run whose partitions it takes up."""
TRY_TAG = "pipelines/try"
"""On such a run: how many tries there were since the first stop, with this one."""
UNTIL_TAG = "pipelines/resume_until"
"""On such a run: until when it may itself be taken up."""
PAUSE = timedelta(minutes=5)
"""From a stop to the next try."""
_LONGEST = timedelta(days=2)
"""`retry_until` comes within a day, to which the time of the last try is added."""


@dataclass(frozen=True, slots=True)
class Resumable:
    """A table, or a sync of it, as what runs and is taken up: the op, the asset that is there when it went well."""

    step: str
    asset: str
    table: AnyTable
    job: UnresolvedAssetJobDefinition


def resume_sensor(some: Sequence[Resumable]) -> dg.SensorDefinition | None:
    """One sensor for all whose table has `retry_until`; None if there are none. Off until somebody wants it."""
    chosen = [one for one in some if one.table.retry_until is not None]
    if not chosen:
        return None

    @dg.sensor(
        name=NAME,
        jobs=[one.job for one in chosen],
        default_status=dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=60,
        description="Takes up extracts and deliveries that stopped for what may pass by itself, in the partitions "
        "where they did and nothing else works on, until the table's `retry_until`.",
    )
    def _resume(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        said = [next_try(context.instance, one, datetime.fromtimestamp(time.time(), UTC)) for one in chosen]
        skipped = [str(one.skip_message) for one in said if isinstance(one, dg.SkipReason)]
        asked = [one for one in said if isinstance(one, dg.RunRequest)]
        for one in asked:
            context.log.info(in_words(one))
        yield from asked or [dg.SkipReason("; ".join(skipped))]

    return _resume


def in_words(asked: dg.RunRequest) -> str:
    """What is tried again, for the log of the tick."""
    tags = asked.tags
    span = f"{tags[START_TAG]} to {tags[END_TAG]}" if START_TAG in tags else "the snapshot"
    return (
        f"{asked.job_name} takes up {span}, where run {tags[TAKES_UP_TAG]} stopped: try {tags[TRY_TAG]} after the "
        f"first stop; tries end at {tags[UNTIL_TAG]}"
    )


def next_try(instance: dg.DagsterInstance, resumable: Resumable, now: datetime) -> dg.RunRequest | dg.SkipReason:
    """The run that takes up some of what stopped: what has the first claim first, else what was tried longest ago.

    Partitions that a run works on, or is queued for, are left to it; runs of other partitions hold nothing back.
    """
    step, table = resumable.step, resumable.table
    stops = list(stops_of(instance, step, now - _LONGEST))
    due = [stop for stop in stops if now < _until(stop, table)]
    stopped = {partition for stop in due for partition in stop.partitions}
    busy = under_way(instance, resumable.asset, resumable.job.name, stopped)
    left = [(stop, some) for stop in due if (some := _still_failed(instance, resumable, stop) - busy)]
    if not left:
        return dg.SkipReason(f"{step}: {'a run of what stopped is under way' if busy else 'nothing to take up'}")
    waits = {stop.run.run_id: max(_wait(stop, stops, now), _since_last_try(instance, stop, now)) for stop, _ in left}
    if min(waits.values()) > 0:
        return dg.SkipReason(f"{step}: stopped lately, the next try is in {min(waits.values()):.0f} s")
    ready = [(stop, some) for stop, some in left if waits[stop.run.run_id] <= 0]
    stop, partitions = min(ready, key=lambda one: (priority_of(one[0].run.tags), one[0].ended))
    return _request(instance, resumable, stop, spans(table, partitions)[0])


def _wait(stop: Stop, stops: Sequence[Stop], now: datetime) -> float:
    """Seconds until the stop's next try: a pause after the newest stop that has as good a claim to be tried.

    So an API that is down is asked every few minutes, and history that keeps stopping never delays today.
    """
    claim = priority_of(stop.run.tags)
    newest = max(one.ended for one in stops if priority_of(one.run.tags) <= claim)
    return (newest + PAUSE - now).total_seconds()


def _since_last_try(instance: dg.DagsterInstance, stop: Stop, now: datetime) -> float:
    """The same after the last run that took it up, which may have died without a word."""
    records = instance.get_run_records(dg.RunsFilter(tags={TAKES_UP_TAG: stop.run.run_id}), limit=1)
    ended = (records[0].end_time or 0.0) if records else 0.0
    return ended + PAUSE.total_seconds() - now.timestamp()


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


def _still_failed(instance: dg.DagsterInstance, resumable: Resumable, stop: Stop) -> set[str]:
    """The stop's partitions that nobody has made since."""
    key, partitions = dg.AssetKey(resumable.asset), partitions_of(resumable.table)
    if not stop.partitions:
        return set()
    if partitions is None:
        newest = instance.get_latest_materialization_event(key)
        return {SNAPSHOT} if newest is None or newest.timestamp < stop.ended.timestamp() else set()
    found = instance.get_status_by_partition(key, sorted(stop.partitions), partitions) or {}
    return {partition for partition, status in found.items() if status is not None and status.value == "FAILED"}


def _request(instance: dg.DagsterInstance, resumable: Resumable, stop: Stop, span: dict[str, str]) -> dg.RunRequest:
    run, name = stop.run, resumable.step
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
            TRY_TAG: str(int(run.tags.get(TRY_TAG, "0")) + 1),
            UNTIL_TAG: _until(stop, resumable.table).isoformat(),
        },
    )
