"""What a sync's source says now, by key: out of the stored valid rows, as the next run would build it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pipelines.delivery.plan import make_plan
from pipelines.delivery.upsert import Built, Dropped, Upsert
from pipelines.destinations.base import SyncSpec
from pipelines.tables.names import quarantine_of, suspects_of, valid_of
from pipelines.tables.store import PartitionStore

_AT_A_TIME = 31


@dataclass(frozen=True, slots=True)
class Said:
    """What the source says of one key. `newest`: its newest upserts, several only where they contradict each other.

    `dropped`: rows of this key that became no upsert; `quarantined`: partitions and numbers of rows that would have its
    key and break the table's contract. Both are of the partition that has the upsert, and of newer ones.
    """

    newest: list[Upsert] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    quarantined: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)


def newest_upserts(sync: SyncSpec, store: PartitionStore) -> dict[str, Upsert]:
    """The newest upsert of each key over all stored partitions; keys whose newest rows contradict each other have none.

    Raises:
        TableError: a stored partition cannot be read.
    """
    found = [upsert for built in _built(sync, store) for upsert in built.upserts]
    return {one.key: one for one in make_plan(found, {}, sync=sync.name, normalise=sync.normalise).create}


def what_is_said(sync: SyncSpec, store: PartitionStore, key: str) -> Said:
    """What the source says of one key, looked for from the newest stored partition backwards.

    Raises:
        TableError: a stored partition cannot be read.
    """
    newest: list[Upsert] = []
    dropped: list[Dropped] = []
    for built in _built(sync, store):
        own = [upsert for upsert in built.upserts if upsert.key == key]
        dropped += (one for one in built.dropped if one.key == key)
        if own:
            latest = max(upsert.as_of for upsert in own)
            newest = [upsert for upsert in own if upsert.as_of == latest]
            break
    oldest = newest[0].partition if newest else ""
    recent = [one for one in dropped if one.partition >= oldest]
    return Said(newest, recent, list(_quarantined(sync, store, key, oldest)))


def _built(sync: SyncSpec, store: PartitionStore) -> Iterator[Built]:
    """The upserts of all stored partitions, some at a time, the newest first."""
    asset = valid_of(sync.table)
    stored = store.partitions(asset)[::-1]
    for start in range(0, len(stored), _AT_A_TIME):
        yield sync.build(store.read(asset, stored[start : start + _AT_A_TIME]))


def _quarantined(sync: SyncSpec, store: PartitionStore, key: str, oldest: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    asset = suspects_of(sync.table)
    # What was suspect at an earlier extract is still stored where the quarantine is empty by now.
    stored = [one for one in store.partitions(asset) if one >= oldest and store.rows(quarantine_of(sync.table), one)]
    for start in range(0, len(stored), _AT_A_TIME):
        built = sync.build(store.read(asset, stored[start : start + _AT_A_TIME]))
        for record in (*built.upserts, *built.dropped):
            if record.key == key:
                yield record.partition, record.rows
