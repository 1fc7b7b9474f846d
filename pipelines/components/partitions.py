"""Grains as Dagster's partitions, and the partitions of a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

import dagster as dg

from pipelines.tables.grains import SNAPSHOT, Calendar
from pipelines.tables.spec import AnyTable, TableSpec

START_TAG = "dagster/asset_partition_range_start"
END_TAG = "dagster/asset_partition_range_end"
"""Dagster's tags of a run over a range of partitions, both included."""
_PARTITION_TAG = "dagster/partition"
_MONDAY = 1


def partitions_of(table: AnyTable) -> dg.TimeWindowPartitionsDefinition | None:
    """The partitions of a table and of everything made from it; None for a snapshot.

    Weeks start on Monday and months on the 1st, as ValueStreamer dates them (seed: managing KPIs via REST API).
    """
    if not isinstance(table, TableSpec):
        return None
    if table.grain == SNAPSHOT:
        return None
    calendar = Calendar.of(table)
    start = _midnight(date.fromisoformat(str(table.start)), table)
    end = _midnight(calendar.window(table.end).end, table) if table.end else None
    match table.grain:
        case "daily":
            return dg.DailyPartitionsDefinition(start, timezone=table.timezone, end_date=end)
        case "weekly":
            return dg.WeeklyPartitionsDefinition(start, timezone=table.timezone, day_offset=_MONDAY, end_date=end)
        case "monthly":
            return dg.MonthlyPartitionsDefinition(start, timezone=table.timezone, end_date=end)


def partitions_in(context: dg.AssetExecutionContext) -> Sequence[str]:
    """The partitions that this run is about, oldest first."""
    return (
        sorted(context.partition_keys) if context.has_partition_key_range or context.has_partition_key else [SNAPSHOT]
    )


def trailing_range(table: TableSpec, lookback: int, now: datetime) -> dg.PartitionKeyRange | None:
    """The last `lookback` partitions that have ended by `now`; None if none of them belongs to the table."""
    newest = Calendar.of(table).newest(now, lookback)
    ended = [key for key in newest if str(table.start) <= key <= (table.end or key)]
    return dg.PartitionKeyRange(ended[0], ended[-1]) if ended else None


def spans(table: AnyTable, some: Collection[str]) -> list[dict[str, str]]:
    """Some partitions as range tags, one per stretch without a gap; no tags for a snapshot."""
    if not set(some) - {SNAPSHOT}:
        return [{}] if some else []
    spans: list[dict[str, str]] = []
    previous = ""
    for partition in Calendar.of(table).keys(min(some), max(some)):
        if partition in some:
            if previous in some:
                spans[-1][END_TAG] = partition
            else:
                spans.append({START_TAG: partition, END_TAG: partition})
        previous = partition
    return spans


def partitions_of_run(tags: Mapping[str, str], among: Sequence[str]) -> set[str]:
    """Those of some partitions that a run with these tags is about; one whose tags name none is about all of them."""
    first, last = (tags.get(name, tags.get(_PARTITION_TAG)) for name in (START_TAG, END_TAG))
    return {one for one in among if first is None or last is None or first <= one <= last}


def _midnight(day: date, table: TableSpec) -> datetime:
    return datetime.combine(day, datetime.min.time(), ZoneInfo(table.timezone))
