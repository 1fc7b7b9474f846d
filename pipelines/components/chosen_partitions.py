"""Which stored partitions somebody means: one key, `first...last`, several with commas, or the newest."""

from __future__ import annotations

from pipelines.delivery.errors import ConfigurationError
from pipelines.destinations.base import SyncSpec
from pipelines.tables.grains import Calendar
from pipelines.tables.names import valid_of
from pipelines.tables.spec import AnyTable
from pipelines.tables.store import PartitionStore

_TO = "..."


def chosen_partitions(sync: SyncSpec, table: AnyTable, store: PartitionStore, text: str | None) -> list[str]:
    """The partitions that the text names, in order, stored or not; at least one of them is stored.

    Raises:
        ConfigurationError: the text names no partitions of the table, or none that is stored.
    """
    stored = store.partitions(valid_of(sync.table))
    if not stored:
        raise ConfigurationError(
            f"sync {sync.name}: the table {sync.table} was never extracted, so that there is nothing to plan",
            do=f"Materialize {sync.table} first: launch the job {sync.table}_extract in Dagster.",
            field="partitions",
        )
    if text is None:
        return stored[-1:]
    wanted = named_partitions(table, text)
    if not wanted.intersection(stored):
        raise ConfigurationError(
            f"sync {sync.name}: the table {sync.table} was never extracted for {text}",
            do=f"Stored are {len(stored)} partitions from {stored[0]} to {stored[-1]}; or materialize {sync.table} "
            "for these first.",
            field="partitions",
        )
    return sorted(wanted)


def named_partitions(table: AnyTable, text: str) -> set[str]:
    """The partitions that the text names: one key, `first...last`, or several of these with commas.

    Raises:
        ConfigurationError: the text names no partitions of the table.
    """
    calendar = Calendar.of(table)
    wanted: set[str] = set()
    for part in map(str.strip, text.split(",")):
        first, to, last = part.partition(_TO)
        wanted |= {*calendar.keys(first.strip(), last.strip())} if to else {calendar.check(part)}
    return wanted
