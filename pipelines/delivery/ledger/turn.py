"""Who may send for an account now, and the pace that passes from holder to holder.

Any number of runs may want the same account: in this process, in another one, and with a PostgreSQL ledger on another
machine. One at a time has the turn. It is held by a lock that ends with its holder (flock beside a SQLite ledger, an
advisory lock on PostgreSQL), and given away between groups of upserts in order of priority, so that a backfill of years
yields to the scheduled run within seconds.
"""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import IntEnum
from hashlib import blake2b
from typing import Any, Protocol

import orjson
from filelock import FileLock, Timeout
from sqlalchemy import Connection, delete, func, select, text, update

from pipelines.delivery.deadline import Deadline
from pipelines.delivery.errors import LedgerError
from pipelines.delivery.ledger import schema
from pipelines.delivery.ledger.database import Database

_POLL_S = 0.2
_SIGN_OF_LIFE_S = 2.0
_GONE_AFTER_S = 15.0
_SLICE_S = 5.0
"""After this long a holder also yields to those of its own priority."""


class Priority(IntEnum):
    """Who goes first; the lower number."""

    SCHEDULED = 0
    MANUAL = 1
    BACKFILL = 2


class Paced(Protocol):
    """What passes from holder to holder: the pace, and whether the API was found sick."""

    def state(self) -> dict[str, Any]:
        """The recent send times and the breaker's state, as JSON."""
        ...

    def restore(self, state: dict[str, Any], reserved: int = 0) -> None:
        """Take over from an earlier holder; `reserved` sends may have been made without being noted."""
        ...


class Turn:
    """The right to send for one quota, taken and given back any number of times by one run."""

    def __init__(
        self,
        ledger: Database,
        quota: str,
        priority: Priority,
        pace: Paced,
        *,
        deadline: Deadline | None = None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`quota` names what is shared: an account in a mode, or several accounts that drain one allowance.

        `deadline` ends the waiting.
        """
        self._ledger = ledger
        self._quota = quota
        self._priority = priority
        self._pace = pace
        self._deadline = deadline
        self._clock = clock
        self._sleep = sleep
        self._holder: Connection | None = None
        self._reader: Connection | None = None
        self._taken_at = 0.0
        self._looked_at = 0.0
        self._lock = _lock(ledger, quota)

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Wait for the turn, hold it, give it back. Inside, `transaction` writes and `wanted` says when to yield.

        Raises:
            AccountUnavailable: others had the turn until the deadline.
        """
        with self._ledger.engine.connect() as holder, self._ledger.reading() as reader:
            await self._take(reader, holder)
            self._holder, self._reader = holder, reader
            self._taken_at = self._looked_at = self._clock()
            try:
                self._restore(reader)
                yield
                with self.transaction(reserve=0):
                    pass
            finally:
                self._holder = self._reader = None
                self._lock.release(holder)

    @contextmanager
    def transaction(self, *, reserve: int | None = None) -> Iterator[Connection]:
        """One transaction on the connection that holds the turn: without the turn it cannot be committed.

        `reserve`: so many sends may follow before the pace is written down again; None leaves the pace alone.
        """
        connection = _held(self._holder)
        with connection.begin():
            yield connection
            if reserve is not None:
                self._write_pace(connection, reserved=reserve)

    def wanted(self) -> bool:
        """Whether somebody with a better claim waits; looks at most a few times per second."""
        now = self._clock()
        if now - self._looked_at < _POLL_S:
            return False
        self._looked_at = now
        rank = self._priority - 1 if now - self._taken_at < _SLICE_S else self._priority
        table = schema.waiters
        return bool(
            _held(self._reader).scalar(
                select(func.count())
                .select_from(table)
                .where(table.c.quota == self._quota, table.c.seen > now - _GONE_AFTER_S, table.c.priority <= rank)
            )
        )

    async def _take(self, connection: Connection, holder: Connection) -> None:
        if self._first(connection, None, self._clock()) and self._lock.try_take(holder):
            return
        me = uuid.uuid4().hex
        since = seen = self._clock()
        table = schema.waiters
        connection.execute(
            table.insert().values(id=me, quota=self._quota, priority=self._priority, since=since, seen=seen)
        )
        try:
            while True:
                now = self._clock()
                if self._first(connection, (self._priority, since, me), now) and self._lock.try_take(holder):
                    return
                if self._deadline is not None and now >= self._deadline.at:
                    raise self._deadline.error(self._quota, "other runs of the account did not let this one send")
                if now - seen > _SIGN_OF_LIFE_S:
                    connection.execute(update(table).where(table.c.id == me).values(seen=now))
                    seen = now
                await self._sleep(_POLL_S)
        finally:
            connection.execute(delete(table).where(table.c.id == me))

    def _first(self, connection: Connection, mine: tuple[int, float, str] | None, now: float) -> bool:
        table = schema.waiters
        ahead = connection.execute(
            select(table.c.priority, table.c.since, table.c.id)
            .where(table.c.quota == self._quota, table.c.seen > now - _GONE_AFTER_S)
            .order_by(table.c.priority, table.c.since, table.c.id)
            .limit(1)
        ).first()
        return ahead is None or (mine is not None and tuple(ahead) >= mine)

    def _restore(self, connection: Connection) -> None:
        table = schema.paces
        row = connection.execute(select(table).where(table.c.quota == self._quota)).first()
        if row is not None:
            self._pace.restore(orjson.loads(row.state), row.reserved)

    def _write_pace(self, connection: Connection, *, reserved: int) -> None:
        self._ledger.put(
            connection,
            schema.paces,
            [
                {
                    "quota": self._quota,
                    "state": orjson.dumps(self._pace.state()).decode(),
                    "reserved": reserved,
                }
            ],
        )


def _held(connection: Connection | None) -> Connection:
    if connection is None:
        raise LedgerError("the turn is not held", do="This is a defect: please report it.")
    return connection


class _Lock(Protocol):
    def try_take(self, connection: Connection) -> bool: ...
    def release(self, connection: Connection) -> None: ...


class _FileLock:
    """flock: the operating system releases it with the process, however that ends."""

    def __init__(self, ledger: Database, quota: str) -> None:
        if ledger.folder is None:
            raise LedgerError("a file lock needs a ledger in a file", do="This is a defect: please report it.")
        folder = ledger.folder / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", quota)
        self._lock = FileLock(folder / f"{name}.lock", thread_local=False)

    def try_take(self, connection: Connection) -> bool:  # noqa: ARG002 (the other kind of lock needs it)
        try:
            self._lock.acquire(blocking=False)
        except Timeout:
            return False
        return True

    def release(self, connection: Connection) -> None:  # noqa: ARG002 (the other kind of lock needs it)
        self._lock.release()


class _AdvisoryLock:
    """PostgreSQL: the lock belongs to the connection and ends with it.

    A connection that was lost cannot commit any more (SQLAlchemy raises and never reconnects it by itself), so that
    whoever lost the lock cannot write attempts either.
    """

    def __init__(self, quota: str) -> None:
        self._number = int.from_bytes(blake2b(quota.encode(), digest_size=8).digest(), "big", signed=True)

    def try_take(self, connection: Connection) -> bool:
        with connection.begin():
            return bool(connection.scalar(text("select pg_try_advisory_lock(:n)"), {"n": self._number}))

    def release(self, connection: Connection) -> None:
        if connection.closed or connection.invalidated:
            return
        with connection.begin():
            connection.execute(text("select pg_advisory_unlock(:n)"), {"n": self._number})


def _lock(ledger: Database, quota: str) -> _Lock:
    return _FileLock(ledger, quota) if ledger.dialect == "sqlite" else _AdvisoryLock(quota)
