"""Which partition of a table is expected when. Pure; no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pipelines.tables.grains import SNAPSHOT, Calendar
from pipelines.tables.spec import AnyTable, TableSpec


@dataclass(frozen=True, slots=True)
class Due:
    """A closed partition, and when its schedule reads it first; None: nothing is scheduled."""

    partition: str
    at: datetime | None


def closed(table: AnyTable, now: datetime) -> list[str]:
    """All partitions of the table that have ended by `now`, oldest first; a snapshot's only one always has."""
    calendar = Calendar.of(table)
    (newest,) = calendar.newest(now)
    if not isinstance(table, TableSpec) or newest == SNAPSHOT:
        return [SNAPSHOT]
    return calendar.keys(str(table.start), min(newest, table.end or newest))


def newest_due(table: AnyTable, partitions: Sequence[str], now: datetime) -> list[Due]:
    """The newest closed partition, and the one before it, newest first, each with the time at which it is due.

    `partitions`: as `closed` returns them. A snapshot is due at the last tick of its schedule.
    """
    calendar = Calendar.of(table)
    if calendar.grain == SNAPSHOT:
        return [Due(SNAPSHOT, _last_tick(table, now))]
    return [Due(one, _at(table, calendar.window(one).closes)) for one in partitions[:-3:-1]]


def _at(table: AnyTable, day: datetime) -> datetime | None:
    """The schedule's time on a day, in the table's timezone."""
    if table.schedule is None:
        return None
    zone = ZoneInfo(table.timezone)
    return datetime.combine(day.astimezone(zone).date(), time.fromisoformat(table.schedule.at), zone).astimezone(UTC)


def _last_tick(table: AnyTable, now: datetime) -> datetime | None:
    today = _at(table, now)
    if today is None or today <= now:
        return today
    return _at(table, now.astimezone(ZoneInfo(table.timezone)) - timedelta(days=1))
