"""The address of a ledger, and the engine that speaks to the database there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from pipelines.delivery.errors import LedgerError

_BUSY_TIMEOUT_MS = 60_000
ADDRESSES = (
    "Write sqlite:////folder/ledger.db or postgresql://user:password@host/database; "
    "for the second, install the package with its extra: pipelines[postgres]."
)
"""How a ledger's address is written."""


def address_of(url: str) -> URL:
    """The ledger's address as SQLAlchemy knows it, with the driver that is used.

    Raises:
        LedgerError: it is none, or that of a database that holds no ledger.
    """
    found = _parsed(url)
    return found.set(drivername="postgresql+psycopg") if found.drivername in {"postgresql", "postgres"} else found


def file_of(url: URL) -> Path | None:
    """The file of a SQLite ledger; None for a ledger on a server.

    Raises:
        LedgerError: a ledger in memory.
    """
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:":
        raise LedgerError("a ledger in memory forgets everything", do="Give PIPELINES_LEDGER_URL a file.")
    return Path(url.database).absolute()


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise LedgerError(
            "PIPELINES_LEDGER_URL is no SQLAlchemy URL", do="Write it like postgresql://user:password@host/name."
        ) from None  # SQLAlchemy's own error may show the URL
    if parsed.get_backend_name() not in {"sqlite", "postgresql", "postgres"}:
        raise LedgerError(f"PIPELINES_LEDGER_URL: {parsed.drivername} is no database for a ledger", do=ADDRESSES)
    if "@" in (parsed.host or ""):
        raise LedgerError("the password in PIPELINES_LEDGER_URL holds an @ that is not encoded", do="Write @ as %40.")
    return parsed


def engine_of(url: URL) -> Engine:
    """The engine of a ledger; it connects when it is first used."""
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_MS / 1000})

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _: Any) -> None:
        # Without this the driver begins transactions by itself, and only at the first write.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        # Each commit reaches the disk: an attempt that a power cut forgets would be sent a second time. It costs some
        # milliseconds for a group of upserts, on a disk that is slow to confirm some ten.
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _immediate(connection: Connection) -> None:
        # A transaction that reads first and writes later would fail instead of waiting for another writer.
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
