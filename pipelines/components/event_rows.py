"""What cleaning up needs of Dagster's tables of events, and has no public door for in 1.13.27.

Everything of that kind stands here, and the tests of the clean-up notice if it moves.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import dagster as dg
from dagster._core.instance import RUNLESS_RUN_ID
from dagster._core.storage.event_log import SqlEventLogStorage
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from sqlalchemy import Connection, delete, func, select, update

from pipelines.delivery.errors import ConfigurationError

_EVENTS = SqlEventLogStorageTable.c
_VERDICTS = AssetCheckExecutionsTable.c
_SAID = ("SUCCEEDED", "FAILED")
_PAGE = 500
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Attempt:
    """A run that was to make a partition. `number`: that of the event that says so."""

    number: int
    run: str
    partition: str


@dataclass(frozen=True, slots=True)
class EventRows:
    """The rows of an instance's events about assets and their checks."""

    storage: SqlEventLogStorage

    @classmethod
    def of(cls, instance: dg.DagsterInstance) -> EventRows:
        """Those of an instance.

        Raises:
            ConfigurationError: it keeps its events in no database.
        """
        storage = instance.event_log_storage
        if not isinstance(storage, SqlEventLogStorage):
            raise ConfigurationError(
                f"Dagster keeps its events in a {type(storage).__name__}, whose history this cannot clean up",
                do="Switch off the schedule of this job.",
            )
        return cls(storage)

    def newest(self, key: dg.AssetKey) -> dict[str, int]:
        """Each partition's newest materialization, by its number."""
        kind = dg.DagsterEventType.ASSET_MATERIALIZATION
        return dict(self.storage.get_latest_storage_id_by_partition(key, kind))

    def attempts_since(self, key: dg.AssetKey, made: dict[str, int]) -> list[Attempt]:
        """Who was to make a partition after it was made last, the newest first."""
        kind = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
        planned = self.storage.get_latest_storage_id_by_partition(key, kind)
        undone = [partition for partition, number in planned.items() if number > made.get(partition, -1)]
        found: list[Attempt] = []
        with self.storage.index_connection() as connection:
            for some in _pages(undone):
                rows = connection.execute(
                    select(_EVENTS.id, _EVENTS.run_id, _EVENTS.partition).where(
                        _EVENTS.asset_key == key.to_string(),
                        _EVENTS.dagster_event_type == kind.value,
                        _EVENTS.partition.in_(some),
                    )
                )
                found += [Attempt(*row) for row in rows]
        later = [one for one in found if one.number > made.get(one.partition, -1)]
        return sorted(later, key=lambda one: one.number, reverse=True)

    def keep(self, numbers: Collection[int], runs: Collection[str]) -> None:
        """Let those of these events that belong to these runs outlive them.

        They belong to no run then, like what is reported to Dagster from outside; what they say stays, the run that
        they name included, which the UI shows as one that was deleted.
        """

        def keep(connection: Connection, some: Sequence[int]) -> None:
            of = connection.execute(select(_EVENTS.id, _EVENTS.run_id).where(_EVENTS.id.in_(some)))
            ours = [number for number, run in of if run in runs]
            if ours:
                connection.execute(
                    update(SqlEventLogStorageTable).where(_EVENTS.id.in_(ours)).values(run_id=RUNLESS_RUN_ID)
                )

        self._in_pages(sorted(numbers), keep)

    def forget_verdicts(self, runs: Collection[str]) -> None:
        """Delete what checks have said in these runs, which Dagster leaves, but for the newest word on each partition.

        What was only announced goes too: a check whose run is gone would be shown as running for ever.
        """
        newest = (
            select(func.max(_VERDICTS.id))
            .where(_VERDICTS.execution_status.in_(_SAID))
            .group_by(_VERDICTS.asset_key, _VERDICTS.check_name, _VERDICTS.partition)
        )

        def forget(connection: Connection, some: Sequence[str]) -> None:
            connection.execute(
                delete(AssetCheckExecutionsTable).where(_VERDICTS.run_id.in_(some), _VERDICTS.id.not_in(newest))
            )

        self._in_pages(sorted(runs), forget)

    def _in_pages(self, all_of_them: Sequence[_T], do: Callable[[Connection, Sequence[_T]], None]) -> None:
        for some in _pages(all_of_them):
            with self.storage.index_connection() as connection:
                do(connection, some)


def _pages(all_of_them: Sequence[_T]) -> Iterator[Sequence[_T]]:
    return (all_of_them[start : start + _PAGE] for start in range(0, len(all_of_them), _PAGE))
