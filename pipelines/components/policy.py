"""What holds for every asset of a deployment."""

from __future__ import annotations

from collections.abc import Iterable

from pipelines.destinations.base import SyncSpec
from pipelines.tables.spec import AnyTable

_OWNER = "team:data-platform"
"""Who answers for an asset of which no one else is said to."""
TABLE_CHUNK = 92
"""Partitions per run when a table is backfilled: one query each, and memory for about a quarter of daily rows."""
_SYNC_CHUNK = 31


def owners_of(spec: AnyTable | SyncSpec) -> list[str]:
    """Who answers for the assets of a table or a sync, shown in Dagster's catalog."""
    return [spec.owner or _OWNER]


def sync_chunk(name: str, names: Iterable[str]) -> int:
    """Partitions per run when a sync is backfilled: about a month, which is what a retry repeats at most.

    Dagster puts assets with equal partitions and an equal policy into one run, where they would be delivered one after
    another: a slow account would hold up the others. So each sync of a deployment has a number of its own.
    """
    return _SYNC_CHUNK + sorted(names).index(name)
