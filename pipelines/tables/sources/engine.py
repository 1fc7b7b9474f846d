"""DuckDB as an engine: connections that fetch nothing and see only what they are given."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from fsspec import AbstractFileSystem

from pipelines.delivery.redact import redact

_OPTIONS: dict[str, Any] = {"autoinstall_known_extensions": False, "threads": min(8, os.cpu_count() or 1)}


@cache
def _in_memory() -> duckdb.DuckDBPyConnection:
    """One empty database for the process: to start another takes 50 ms, a cursor of it, with its own settings, 1 ms."""
    return duckdb.connect(config=_OPTIONS)


@contextmanager
def connect(
    timezone: str, path: Path | None = None, fs: AbstractFileSystem | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB in memory, or a database file for reading; dates are counted in `timezone`.

    It fetches no extension from the network, takes no Python variable for a table, and sees `fs` by its addresses.
    """
    if path is not None:
        connection = duckdb.connect(str(path), read_only=True, config=_OPTIONS)
    elif fs is not None:
        connection = duckdb.connect(config=_OPTIONS)
        connection.register_filesystem(fs)
    else:
        connection = _in_memory().cursor()
    try:
        connection.execute("SET python_enable_replacements = false")
        connection.execute("SET TimeZone = ?", [timezone])
        yield connection
    finally:
        connection.close()


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def short(error: Exception, secrets: Collection[str] = ()) -> str:
    """The first line of what a database said, without secrets."""
    lines = [line.strip() for line in redact(str(error), secrets).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def columns_of(connection: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    """The columns of something that can stand after FROM, with their types."""
    query = f"DESCRIBE SELECT * FROM {relation}"  # noqa: S608 - made by us
    return {row[0]: row[1] for row in connection.sql(query).fetchall()}


def bare(query: str) -> str:
    """A query without the semicolon at its end."""
    return query.strip().rstrip(";").rstrip()
