"""The ledger's database: opened, prepared, and the few places where SQLite and PostgreSQL differ."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    Text,
    bindparam,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

from pipelines.delivery.errors import LedgerError
from pipelines.delivery.ledger.address import ADDRESSES, address_of, engine_of, file_of
from pipelines.delivery.ledger.failures import in_words, speak_of
from pipelines.delivery.ledger.versions import prepare
from pipelines.delivery.redact import redact, url_secrets


class Database:
    """One code path for SQLite and PostgreSQL. Thread-safe as far as SQLAlchemy's engine is."""

    def __init__(self, url: str, *, local_clock: Callable[[], float] = time.time, trial: bool = False) -> None:
        """Open the ledger, creating it if need be. `local_clock`: this machine's epoch seconds.

        `trial`: prepare nothing; such a ledger is good for `trying` and nothing else.

        Whatever the database cannot do later surfaces as LedgerError too, from any statement.

        Raises:
            LedgerError: it cannot be opened, was written by a newer release, or was moved to another database.
        """
        self._hidden = url_secrets(url)
        self.url = address_of(url)
        file = file_of(self.url)
        self.folder = None if file is None else _made(file.parent)
        self.engine = self._opened()
        self._local_clock = local_clock
        self._ahead = 0.0
        self._puts: dict[tuple[Any, ...], tuple[str, Sequence[str] | None]] = {}
        if trial:
            return
        with self._opening(), self.engine.begin() as connection:
            self.id = prepare(connection, uuid.uuid4().hex)
            if self.dialect == "postgresql":
                self._ahead = self._ahead_of(connection)

    @contextmanager
    def trying(self) -> Iterator[Connection]:
        """A transaction in which the tables are prepared, and written; it is taken back at the end.

        Raises:
            LedgerError: as when the ledger is opened.
        """
        with self._opening(), self.engine.connect() as connection:
            transaction = connection.begin()
            try:
                prepare(connection, uuid.uuid4().hex)
                yield connection
            finally:
                transaction.rollback()

    @contextmanager
    def _opening(self) -> Iterator[None]:
        try:
            yield
        except (TypeError, UnicodeError) as error:  # a driver about the URL's options
            self.engine.dispose()
            said = redact(str(error), self._hidden)
            raise LedgerError(f"the ledger cannot be opened: {said}", do=ADDRESSES) from None
        except DBAPIError as error:
            self.engine.dispose()
            raise in_words(error.orig or error, self.shown, hidden=self._hidden) from None
        except LedgerError as error:
            self.engine.dispose()
            raise error from None  # SQLAlchemy names the driver's own error as its cause, which may show the password
        except BaseException:
            self.engine.dispose()
            raise

    def _opened(self) -> Engine:
        try:
            engine = engine_of(self.url)
        except (ArgumentError, ImportError, NoSuchModuleError, TypeError, ValueError) as error:
            said = redact(str(error), self._hidden)
            raise LedgerError(f"the ledger's database at {self.shown} cannot be used: {said}", do=ADDRESSES) from None
        speak_of(engine, self.shown, self._hidden)
        return engine

    @property
    def shown(self) -> str:
        """Its address, for people: without secrets, wherever in it they stand."""
        return redact(self.url.render_as_string(hide_password=True), self._hidden)

    def _ahead_of(self, connection: Connection) -> float:
        """By how many seconds this machine's clock is ahead of the database's."""
        before = self._local_clock()
        there = connection.scalar(select(func.extract("epoch", func.clock_timestamp())))
        return (before + self._local_clock()) / 2 - float(there or 0)

    def clock(self) -> float:
        """Epoch seconds that all who share the ledger agree on: a PostgreSQL server's clock, or this machine's."""
        return self._local_clock() - self._ahead

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for look-ups that holds nobody up."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection

    def among(self, column: ColumnElement[str], keys: Sequence[str]) -> ColumnElement[bool]:
        """Whether the column holds one of the keys, however many they are."""
        # One bound value however many keys: a list of parameters would end at the driver's limit.
        if self.dialect == "sqlite":
            listed = func.json_each(orjson.dumps(list(keys)).decode()).table_valued("value")
            return column.in_(select(listed.c.value))
        return column == func.any(bindparam(None, list(keys), type_=postgresql.ARRAY(Text)))

    def put(
        self,
        connection: Connection,
        table: Table,
        rows: Sequence[Mapping[str, Any]],
        *,
        keep: Sequence[str] = (),
        add: Sequence[str] = (),
        fill: Sequence[str] = (),
        unless_newer: str | None = None,
    ) -> None:
        """Insert or replace by primary key.

        `keep` columns stay as they are, `add` columns are added to, `fill` columns are not emptied. A row
        with a larger value in the column `unless_newer` stays as it is.
        """
        if not rows:
            return
        known = (table.name, tuple(rows[0]), tuple(keep), tuple(add), tuple(fill), unless_newer)
        if known not in self._puts:
            self._puts[known] = self._put(
                table, list(rows[0]), keep=keep, add=add, fill=fill, unless_newer=unless_newer
            )
        sql, names = self._puts[known]
        # Straight to the driver: to go through every value of every row takes SQLAlchemy longer than the database.
        connection.exec_driver_sql(
            sql, list(rows) if names is None else [tuple(map(row.__getitem__, names)) for row in rows]
        )

    def _put(
        self,
        table: Table,
        columns: list[str],
        *,
        keep: Sequence[str],
        add: Sequence[str],
        fill: Sequence[str],
        unless_newer: str | None,
    ) -> tuple[str, Sequence[str] | None]:
        """The statement of a `put`, and the order of its values where the driver takes them without names."""
        insert = (sqlite if self.dialect == "sqlite" else postgresql).insert(table)
        primary = [column.name for column in table.primary_key]
        changes: dict[str, ColumnElement[Any]] = {
            column.name: insert.excluded[column.name]
            for column in table.columns
            if column.name not in primary and column.name not in keep
        }
        changes |= {name: table.c[name] + insert.excluded[name] for name in add}
        changes |= {name: func.coalesce(insert.excluded[name], table.c[name]) for name in fill}
        where = None if unless_newer is None else table.c[unless_newer] <= insert.excluded[unless_newer]
        upsert = insert.on_conflict_do_update(index_elements=primary, set_=changes, where=where)
        compiled = upsert.compile(dialect=self.engine.dialect, column_keys=columns)
        return str(compiled), compiled.positiontup


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(
            f"the ledger's folder {folder} cannot be made: {error.strerror}",
            do="Check PIPELINES_HOME and PIPELINES_LEDGER_URL.",
        ) from error
    return folder
