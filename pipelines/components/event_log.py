"""Dagster's event log in SQLite, without what makes every event slow: the shipped `dagster.yaml` names it.

Dagster 1.13.27 opens a new engine for every event, so that each statement is compiled anew and each commit waits for
the disk; a backfill of a year writes ten thousand. Here engines stay open, a batch of events is one transaction, and a
commit is durable against killed processes (not power cuts) as the ledger's are. The files are the same: either class
reads what the other wrote.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster import EventLogEntry, Field, StringSource
from dagster._config.config_schema import UserConfigSchema
from dagster._core.events import ASSET_CHECK_EVENTS
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine, event

from pipelines.delivery.errors import MissingSetting

_BUSY_TIMEOUT_S = 60
_INSERT = SqlEventLogStorageTable.insert()
_ENGINES = 16
"""Files kept open: the index, and the runs that were written last."""


class QuickSqliteEventLog(SqliteEventLogStorage):
    """The event log in the folder `base_dir`; by default where Dagster has it, `$DAGSTER_HOME/history/runs`."""

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """What `dagster.yaml` may say."""
        return {"base_dir": Field(StringSource, is_required=False)}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> QuickSqliteEventLog:
        """The storage that `dagster.yaml` describes.

        Raises:
            MissingSetting: neither it nor the environment says where the files are.
        """
        folder = config_value.get("base_dir")
        if not folder and not os.environ.get("DAGSTER_HOME"):
            raise MissingSetting(
                "where Dagster's events are is not known: DAGSTER_HOME is not set",
                do="Set it, or give event_log_storage a base_dir in dagster.yaml.",
                setting="DAGSTER_HOME",
            )
        return cls(folder or str(Path(os.environ["DAGSTER_HOME"]) / "history" / "runs"), inst_data)

    def has_table(self, table_name: str) -> bool:
        """Whether the index has the table; no table ever goes away."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Store events of one run: a transaction in its own file, and one in the index."""
        events = [one for one in events if not one.get_dagster_event().is_asset_failed_to_materialize]
        about_assets = [one for one in events if one.dagster_event_type not in ASSET_CHECK_EVENTS]
        if about_assets:
            rows = [self._event_to_row(one) for one in about_assets]
            with self.run_connection(about_assets[0].run_id) as connection:
                connection.execute(_INSERT, rows)
            with self.index_transaction() as connection:
                self._index(connection, about_assets, rows)
        for one in events:
            if one.dagster_event_type in ASSET_CHECK_EVENTS:
                self.store_event(one)

    def delete_events(self, run_id: str) -> None:
        """Delete the run's events, and its file, which Dagster would leave behind empty."""
        super().delete_events(run_id)
        with self._db_lock:
            self._close(run_id)
            for ending in ("", "-wal", "-shm"):
                Path(f"{self.path_for_shard(run_id)}{ending}").unlink(missing_ok=True)
            self._initialized_dbs.discard(run_id)

    def dispose(self) -> None:
        """Close all files."""
        with self._db_lock:
            for shard in list(self._engines):
                self._close(shard)
        super().dispose()

    def _index(
        self, connection: Connection, events: Sequence[EventLogEntry], rows: Sequence[Mapping[str, Any]]
    ) -> None:
        numbers = connection.scalars(
            _INSERT.returning(SqlEventLogStorageTable.c.id, sort_by_parameter_order=True), rows
        ).all()
        newest = {(one.get_dagster_event().asset_key, one.dagster_event_type): at for at, one in enumerate(events)}
        self._store_asset_event_tags(connection, events, numbers)
        for at in newest.values():  # an asset's own row shows its last event of each kind
            self._store_asset_event(connection, events[at], numbers[at])

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock, self._engine(shard).connect() as connection, connection.begin():
            yield connection

    def _engine(self, shard: str) -> Engine:
        """The file's engine; what was used longest ago is closed."""
        if shard not in self._engines:
            self._engines[shard] = _opened(self.conn_string_for_shard(shard))
            for other in list(self._engines)[:-_ENGINES]:
                if other != INDEX_SHARD_NAME:
                    self._close(other)
        engine = self._engines[shard]
        self._engines.move_to_end(shard)
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        return engine

    def _close(self, shard: str) -> None:
        engine = self._engines.pop(shard, None)
        if engine is not None:
            engine.dispose()


def _opened(address: str) -> Engine:
    engine = create_engine(address, connect_args={"timeout": _BUSY_TIMEOUT_S})

    @event.listens_for(engine, "connect")
    def _without_waiting_for_the_disk(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous=NORMAL")

    return engine
