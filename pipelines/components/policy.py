"""What holds for every asset of a deployment."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from itertools import chain, count

import dagster as dg

from pipelines.components.spec_component import SpecComponent
from pipelines.destinations.base import SyncSpec
from pipelines.tables.grains import SNAPSHOT
from pipelines.tables.spec import AnyTable, TableSpec

OWNER = "team:data-platform"
"""Who answers for an asset of which no one else is said to."""
PARTITIONS_PER_TABLE_RUN = 184
"""Partitions that a backfill's run of a table reads unless it says otherwise: half a year of days, in seconds."""
PARTITIONS_PER_SYNC_RUN = 92
"""Partitions that a backfill's run of a sync delivers unless it says otherwise: a quarter, at an API's pace."""


def owners_of(spec: AnyTable | SyncSpec) -> list[str]:
    """Who answers for the assets of a table or a sync, shown in Dagster's catalog."""
    return [spec.owner or OWNER]


def chunks(tables: Iterable[AnyTable], syncs: Sequence[SyncSpec]) -> dict[str, int]:
    """Partitions per run when a table or sync is backfilled, by its name; what has no partitions is absent.

    Dagster puts assets with equal partitions and an equal policy into one run, where they would be worked off one after
    another: a slow account would hold up the others, and a bad day of a table all that follows it. So each has a number
    of its own: what its `partitions_per_run` says, or less where somebody else says the same (more only below 1).
    """
    asked: dict[str, int | None] = {}
    usual: dict[str, int] = {}
    calendars: dict[str, Hashable] = {}
    for table in tables:
        if not isinstance(table, TableSpec) or table.grain == SNAPSHOT:
            continue
        named = {table.name: table.partitions_per_run}
        named |= {sync.name: sync.partitions_per_run for sync in syncs if sync.table == table.name}
        asked |= named
        usual |= {name: PARTITIONS_PER_TABLE_RUN if name == table.name else PARTITIONS_PER_SYNC_RUN for name in named}
        calendars |= dict.fromkeys(named, (table.grain, table.start, table.end, table.timezone))
    taken: defaultdict[Hashable, set[int]] = defaultdict(set)
    chosen: dict[str, int] = {}
    # What somebody has asked for goes first; sorting is stable, so that tables stand before their syncs.
    for name, number in sorted(asked.items(), key=lambda one: one[1] is None):
        numbers = count(usual[name]) if number is None else chain(range(number, 0, -1), count(number + 1))
        chosen[name] = next(one for one in numbers if one not in taken[calendars[name]])
        taken[calendars[name]].add(chosen[name])
    return chosen


def chunks_in(tree: dg.ComponentTree) -> dict[str, int]:
    """The same for the tables and syncs of a deployment's files."""
    specs = tree.get_all_components(SpecComponent)
    return chunks(
        [one for one in specs if isinstance(one, AnyTable)], [one for one in specs if isinstance(one, SyncSpec)]
    )
