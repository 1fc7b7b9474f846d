"""The locks behind the turn: they end with their holder, however that ends."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Protocol

from filelock import FileLock, Timeout
from sqlalchemy import Connection, text

from pipelines.delivery.errors import LedgerError
from pipelines.delivery.ledger.database import Database
from pipelines.delivery.ledger.failures import in_words


class Lock(Protocol):
    """One quota's lock. `may_be_lost`: its holder can lose it without having ended."""

    may_be_lost: bool

    def try_take(self, connection: Connection) -> bool:
        """Take it if it is free."""
        ...

    def release(self, connection: Connection) -> None:
        """Give it back."""
        ...


def lock_of(ledger: Database, quota: str) -> Lock:
    """The lock of a quota: flock beside a SQLite ledger, an advisory lock on PostgreSQL."""
    return FlockLock(ledger, quota) if ledger.dialect == "sqlite" else AdvisoryLock(quota)


@contextmanager
def turns_of(ledger: Database, holder: Connection, quotas: Iterable[str], do: str) -> Iterator[None]:
    """The locks of all of these quotas, so that no run delivers to one of them meanwhile; `do` where somebody is.

    Raises:
        LedgerError: somebody has one of them.
    """
    taken = []
    try:
        for quota in sorted(quotas):
            lock = lock_of(ledger, quota)
            if not lock.try_take(holder):
                raise LedgerError(f"somebody is delivering to {quota}", do=do)
            taken.append(lock)
        yield
    finally:
        for lock in taken:
            lock.release(holder)


class FlockLock:
    """flock: the operating system releases it with the process, however that ends."""

    may_be_lost = False

    def __init__(self, ledger: Database, quota: str) -> None:
        if ledger.folder is None:
            raise LedgerError("a file lock needs a ledger in a file", do="This is a defect: please report it.")
        folder = ledger.folder / "locks"
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", quota)
        self._file = folder / f"{name}.lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise in_words(error, str(self._file)) from error
        self._lock = FileLock(self._file, thread_local=False)

    def try_take(self, connection: Connection) -> bool:
        """Take it if it is free.

        Raises:
            LedgerError: its file cannot be made.
        """
        del connection
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        except OSError as error:
            raise in_words(error, str(self._file)) from error
        return True

    def release(self, connection: Connection) -> None:
        """Give it back."""
        del connection
        self._lock.release()


class AdvisoryLock:
    """PostgreSQL: the lock belongs to the connection and ends with it.

    A connection that was lost cannot commit any more, so that whoever lost the lock cannot write attempts either; see
    `Turn.transaction`.
    """

    may_be_lost = True

    def __init__(self, quota: str) -> None:
        self._number = int.from_bytes(blake2b(quota.encode(), digest_size=8).digest(), "big", signed=True)

    def try_take(self, connection: Connection) -> bool:
        """Take it if it is free."""
        with connection.begin():
            return bool(connection.scalar(text("select pg_try_advisory_lock(:n)"), {"n": self._number}))

    def release(self, connection: Connection) -> None:
        """Give it back; a lost connection has done so."""
        if connection.closed or connection.invalidated:
            return
        with connection.begin():
            connection.execute(text("select pg_advisory_unlock(:n)"), {"n": self._number})
