"""What the database cannot do, in words for the person who must act."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Sequence

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DatabaseError, OperationalError

from pipelines.delivery.errors import LedgerError
from pipelines.delivery.redact import redact

_AGAIN = "then run the partitions again: what was accepted is not sent a second time."
_FULL = frozenset({"13", "53100", "ENOSPC", "EDQUOT"})
"""SQLite's SQLITE_FULL (https://sqlite.org/rescode.html), PostgreSQL's disk_full (its manual, appendix A), POSIX's."""
_BUSY = frozenset({"5", "6"})
"""SQLITE_BUSY and SQLITE_LOCKED."""
_NO_DATABASE = frozenset({"11", "26"})
"""SQLITE_CORRUPT and SQLITE_NOTADB."""


def speak_of(engine: Engine, address: str, hidden: Sequence[str] = ()) -> None:
    """Let every error of the engine's database surface as `LedgerError`; defects of statements stay what they are.

    `address` is how the ledger is called in messages; it holds no password. `hidden`: what must appear in none.
    """

    @event.listens_for(engine, "handle_error")
    def _in_words(context: ExceptionContext) -> None:
        found = context.sqlalchemy_exception
        unusable = isinstance(found, OperationalError) or type(found) is DatabaseError
        # A connection of the pool that fails its test is replaced without a word.
        if unusable and not context.is_pre_ping:
            words = in_words(context.original_exception, address, lost=context.is_disconnect, hidden=hidden)
            raise words from None  # the driver's own error may show the address


def in_words(error: BaseException, address: str, *, lost: bool = False, hidden: Sequence[str] = ()) -> LedgerError:
    """The error that says what is wrong with the ledger and what to do. `lost`: its connection is gone."""
    said = " ".join(redact(str(error), hidden).split())
    code = _code(error)
    if code in _FULL:
        return LedgerError(f"the disk of the ledger at {address} is full ({said})", do=f"Make room there, {_AGAIN}")
    if code in _BUSY:
        return LedgerError(
            f"the ledger at {address} is being written by another process that does not end ({said})",
            do=f"Find the process that holds it (one that was stopped holds it on), let it go on or end it, {_AGAIN}",
        )
    if code in _NO_DATABASE:
        return LedgerError(
            f"the ledger at {address} is no usable database ({said})",
            do="Check PIPELINES_LEDGER_URL; if it names the right file, put its last backup in its place.",
        )
    if lost:
        return LedgerError(
            f"the connection to the ledger at {address} was lost ({said})",
            do=f"Check that the database is up and reachable, {_AGAIN}",
        )
    return LedgerError(
        f"the ledger at {address} cannot be used: {said}",
        do="Check PIPELINES_LEDGER_URL, that the database is up, its rights, and its disk: free space, health; "
        + _AGAIN,
    )


def _code(error: BaseException) -> str:
    """SQLite's primary result code, PostgreSQL's SQLSTATE, or the name of an errno."""
    if isinstance(error, OSError):
        return errno.errorcode.get(error.errno or 0, "")
    if isinstance(error, sqlite3.Error):
        # What Python's own module complains of has no code.
        return str(getattr(error, "sqlite_errorcode", 0) & 0xFF)
    return str(getattr(error, "sqlstate", None) or "")
