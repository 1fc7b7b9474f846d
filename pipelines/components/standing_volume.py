"""The standing check of a table's volume: whether the newest partition has as many rows as is usual."""

from __future__ import annotations

from datetime import datetime
from statistics import median

import dagster as dg

from pipelines.components.events import CheckOutcome
from pipelines.components.reasons import SHOWN, bounded
from pipelines.components.standing_looks import due_partition, local_minute
from pipelines.home import Home
from pipelines.tables.base_spec import VolumeSpec
from pipelines.tables.grains import SNAPSHOT
from pipelines.tables.names import valid_of
from pipelines.tables.spec import AnyTable, TableSpec
from pipelines.tables.store import PartitionStore

_WARN = dg.AssetCheckSeverity.WARN
_ROWS = "rows_in"
_FEWEST = 3
"""A median of fewer partitions says little."""


def volume(
    table: AnyTable, wanted: VolumeSpec, home: Home, instance: dg.DagsterInstance, now: datetime
) -> CheckOutcome:
    """The rows of the newest partition beside the median of those before it; of a snapshot, of its extracts.

    An older partition than the one that is due tells nothing of it: then nothing is compared, and the check is yellow.

    Raises:
        TableError: the store cannot be read.
    """
    if not isinstance(table, TableSpec) or table.grain == SNAPSHOT:
        counts = _extracts(table, wanted.trailing + 1, instance)
    else:
        store = PartitionStore(home.store_url)
        newest = store.partitions(table.name)[-wanted.trailing - 1 :]
        due = due_partition(table, now)
        if due is not None and (not newest or newest[-1] < due):
            return _not_there(table, due, newest[-1] if newest else None)
        counts = [(partition, store.rows(table.name, partition)) for partition in newest]
    if len(counts) <= _FEWEST:
        return CheckOutcome(True, {"why": f"{len(counts)} extracted so far: too few to tell what is usual"})
    (newest, rows), before = counts[-1], [number for _, number in counts[:-1]]
    usual = median(before)
    least, most = usual * wanted.at_least / 100, usual * wanted.at_most / 100
    said = f"{newest} has {rows} rows; the median of the {len(before)} before it is {usual:g}"
    fine = least <= rows <= most
    do = (
        f"Look whether the source is complete for {newest}, and extract it again. If it is right, widen `volume` of "
        f"table {table.name}: {least:g} to {most:g} rows are taken for usual now."
    )
    return CheckOutcome(
        passed=fine,
        severity=_WARN,
        metadata={
            "why": said,
            "rows": rows,
            "median": usual,
            "least": least,
            "most": most,
            **({} if fine else {"what_to_do": do}),
            "newest": dg.MetadataValue.md(
                bounded(("partition", "rows"), counts[::-1][:SHOWN], len(counts), "looked at")
            ),
        },
    )


def _not_there(table: TableSpec, due: str, newest: str | None) -> CheckOutcome:
    stored = f"the newest that is stored is {newest}" if newest else "none is stored"
    return CheckOutcome(
        passed=False,
        severity=_WARN,
        metadata={
            "why": f"{due} is due and not stored ({stored}), so that its rows cannot be compared with what is usual",
            "partition": due,
            "what_to_do": f"See the check freshness of {valid_of(table.name)}: extract {due} of {table.name}.",
        },
    )


def _extracts(table: AnyTable, most: int, instance: dg.DagsterInstance) -> list[tuple[str, int]]:
    """The times of the newest extracts of a snapshot, and their rows, the oldest first."""
    found = []
    for record in instance.fetch_materializations(dg.AssetKey(table.name), limit=most).records:
        rows = record.asset_materialization.metadata.get(_ROWS) if record.asset_materialization else None
        if rows is not None and isinstance(rows.value, int):
            found.append((local_minute(record.timestamp, table), rows.value))
    return found[::-1]
