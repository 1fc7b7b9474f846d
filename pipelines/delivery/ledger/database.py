"""The ledger's database: opened, prepared, and the few places where SQLite and PostgreSQL differ."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Engine,
    Table,
    Text,
    bindparam,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from pipelines.delivery.errors import LedgerError
from pipelines.delivery.ledger import schema
from pipelines.delivery.redact import redact, url_secrets

_BUSY_TIMEOUT_MS = 60_000


class Database:
    """One code path for SQLite and PostgreSQL. Thread-safe as far as SQLAlchemy's engine is."""

    def __init__(self, url: str) -> None:
        """Open the ledger, creating it if need be.

        Raises:
            LedgerError: it cannot be opened, or was written by a newer release.
        """
        hidden = url_secrets(url)
        parsed = _parsed(url)
        if parsed.drivername in {"postgresql", "postgres"}:
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.url = parsed
        self.folder: Path | None = None
        if parsed.get_backend_name() == "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise LedgerError("a ledger in memory forgets everything", do="Give PIPELINES_LEDGER_URL a file.")
            self.folder = _made(Path(parsed.database).absolute().parent)
        try:
            self.engine = _engine(parsed)
        except (ArgumentError, ImportError, TypeError, ValueError) as error:
            raise LedgerError(
                f"the ledger's database cannot be used: {redact(str(error), hidden)}",
                do="Check PIPELINES_LEDGER_URL, and install its driver.",
            ) from None
        try:
            with self.engine.begin() as connection:
                self.id = schema.prepare(connection, uuid.uuid4().hex)
        except LedgerError:
            self.engine.dispose()
            raise
        except (SQLAlchemyError, TypeError, UnicodeError) as error:  # the last two: a driver about the URL's options
            self.engine.dispose()
            where = redact(parsed.render_as_string(hide_password=True), hidden)
            raise LedgerError(
                f"the ledger at {where} cannot be opened: {redact(str(error.__cause__ or error), hidden)}",
                do="Check PIPELINES_LEDGER_URL, the folder's rights and the disk's free space.",
            ) from None  # the driver's own error may show the address

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
        keep: Sequence[str] = (),
        add: Sequence[str] = (),
    ) -> None:
        """Insert or replace by primary key; `keep` columns stay as they are, `add` columns are added to."""
        if not rows:
            return
        insert = (sqlite if self.dialect == "sqlite" else postgresql).insert(table)
        primary = [column.name for column in table.primary_key]
        changes = {
            column.name: (column + insert.excluded[column.name] if column.name in add else insert.excluded[column.name])
            for column in table.columns
            if column.name not in primary and column.name not in keep
        }
        connection.execute(insert.on_conflict_do_update(index_elements=primary, set_=changes), list(rows))


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(
            f"the ledger's folder {folder} cannot be made: {error.strerror}", do="Check PIPELINES_LEDGER_URL."
        ) from error
    return folder


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise LedgerError(
            "PIPELINES_LEDGER_URL is no SQLAlchemy URL", do="Write it like postgresql://user:password@host/name."
        ) from None  # SQLAlchemy's own error may show the URL
    if "@" in (parsed.host or ""):
        raise LedgerError("the password in PIPELINES_LEDGER_URL holds an @ that is not encoded", do="Write @ as %40.")
    return parsed


def _engine(url: Any) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_MS / 1000})

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _: Any) -> None:
        # Without this the driver begins transactions by itself, and only at the first write.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    @event.listens_for(engine, "begin")
    def _immediate(connection: Connection) -> None:
        # A transaction that reads first and writes later would fail instead of waiting for another writer.
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
