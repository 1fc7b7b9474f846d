"""Grains as Dagster's partitions, and the partitions of a run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

import dagster as dg

from pipelines.tables.grains import SNAPSHOT, Calendar
from pipelines.tables.spec import AnyTable, TableSpec

_MONDAY = 1


def partitions_of(table: AnyTable) -> dg.TimeWindowPartitionsDefinition | None:
    """The partitions of a table and of everything made from it; None for a snapshot.

    Weeks start on Monday and months on the 1st, as ValueStreamer dates them (seed: managing KPIs via REST API).
    """
    if not isinstance(table, TableSpec):
        return None
    match table.grain:
        case "daily":
            return dg.DailyPartitionsDefinition(_start(table), timezone=table.timezone)
        case "weekly":
            return dg.WeeklyPartitionsDefinition(_start(table), timezone=table.timezone, day_offset=_MONDAY)
        case "monthly":
            return dg.MonthlyPartitionsDefinition(_start(table), timezone=table.timezone)
        case "snapshot":
            return None


def partitions_in(context: dg.AssetExecutionContext) -> Sequence[str]:
    """The partitions that this run is about, oldest first."""
    return (
        sorted(context.partition_keys) if context.has_partition_key_range or context.has_partition_key else [SNAPSHOT]
    )


def trailing_range(table: TableSpec, lookback: int, now: datetime) -> dg.PartitionKeyRange | None:
    """The last `lookback` partitions that have ended by `now`; None before the first one has."""
    ended = [key for key in Calendar.of(table).newest(now, lookback) if key >= str(table.start)]
    return dg.PartitionKeyRange(ended[0], ended[-1]) if ended else None


def _start(table: TableSpec) -> datetime:
    return datetime.combine(date.fromisoformat(str(table.start)), datetime.min.time(), ZoneInfo(table.timezone))
