"""Which partition of a table is expected when, and from when on it is late. Pure; no clock.

The one place that knows it: the standing check `freshness`, the screen and its alerts all go by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pipelines.tables.grains import SNAPSHOT, Calendar
from pipelines.tables.spec import AnyTable, TableSpec


@dataclass(frozen=True, slots=True)
class Due:
    """A closed partition, when its schedule reads it first, and when it should have arrived at the latest.

    Both are None where nothing is scheduled.
    """

    partition: str
    at: datetime | None
    late_at: datetime | None


def closed(table: AnyTable, now: datetime) -> list[str]:
    """All partitions of the table that have ended by `now`, oldest first; a snapshot's only one always has."""
    calendar = Calendar.of(table)
    (newest,) = calendar.newest(now)
    if not isinstance(table, TableSpec) or newest == SNAPSHOT:
        return [SNAPSHOT]
    return calendar.keys(str(table.start), min(newest, table.end or newest))


def newest_due(table: AnyTable, partitions: Sequence[str], now: datetime) -> list[Due]:
    """The newest closed partition, and the one before it, newest first, each with the time at which it is due.

    `partitions`: as `closed` returns them. A snapshot is due anew at each tick of its schedule: the last two are told.
    """
    if Calendar.of(table).grain == SNAPSHOT:
        tick = last_tick(table, now)
        ticks = [tick] if tick is None else [tick, last_tick(table, tick - timedelta(minutes=1))]
        return [_due(table, SNAPSHOT, one) for one in ticks]
    return [due_of(table, one) for one in partitions[:-3:-1]]


def due_of(table: AnyTable, partition: str) -> Due:
    """When a partition, which is no snapshot, is due: at its schedule's time on the day after it has ended."""
    return _due(table, partition, _at(table, Calendar.of(table).window(partition).closes))


def last_tick(table: AnyTable, now: datetime) -> datetime | None:
    """When the schedule of a snapshot came last, by `now`, in UTC; None: it has none."""
    today = _at(table, now)
    if today is None or today <= now:
        return today
    return _at(table, now.astimezone(ZoneInfo(table.timezone)) - timedelta(days=1))


def grace(table: AnyTable) -> timedelta:
    """So long after its schedule's time a partition may still be on its way."""
    return timedelta(minutes=table.late_after)


def _due(table: AnyTable, partition: str, at: datetime | None) -> Due:
    return Due(partition, at, at and at + grace(table))


def _at(table: AnyTable, day: datetime) -> datetime | None:
    """The schedule's time on a day, in the table's timezone, as a time in UTC."""
    if table.schedule is None:
        return None
    zone = ZoneInfo(table.timezone)
    return datetime.combine(day.astimezone(zone).date(), time.fromisoformat(table.schedule.at), zone).astimezone(UTC)
