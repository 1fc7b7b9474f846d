"""Who may send for an account now, and the pace that passes from holder to holder.

Any number of runs may want the same account: in this process, in another one, and with a PostgreSQL ledger on another
machine. One at a time has the turn. It is held by a lock that ends with its holder (flock beside a SQLite ledger, an
advisory lock on PostgreSQL), and given away between groups of upserts in order of priority, so that a backfill of years
yields to the scheduled run within seconds.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any, Protocol

import orjson
from sqlalchemy import Connection, delete, func, select, update

from pipelines.delivery.deadline import Deadline
from pipelines.delivery.errors import LedgerError
from pipelines.delivery.ledger import schema
from pipelines.delivery.ledger.database import Database
from pipelines.delivery.ledger.locks import lock_of
from pipelines.delivery.ledger.versions import check_in_use

_POLL_S = 0.2
_SIGN_OF_LIFE_S = 2.0
_GONE_AFTER_S = 15.0
_SLICE_S = 5.0
"""After this long a holder also yields to those of its own priority."""
_PROOF_S = 2.0
"""For so long after a sign that its lock still stands a holder may send; whoever takes over from one that did not end
its turn waits as long."""
_TELL_EVERY_S = 60.0
_log = logging.getLogger(__name__)


class Priority(IntEnum):
    """Who goes first; the lower number."""

    SCHEDULED = 0
    MANUAL = 1
    BACKFILL = 2
    CHECK = 3
    """Nothing waits for it: a standing check reads only."""


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
        run: str = "",
        deadline: Deadline | None = None,
        clock: Callable[[], float] | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        tell_after_s: float = 15.0,
    ) -> None:
        """The turn of a run.

        Args:
            ledger: Who shares it takes turns.
            quota: What is shared: an account in a mode, or several accounts that drain one allowance.
            priority: Who goes first.
            pace: Passes from holder to holder.
            run: Id of the run, for those who wait for it.
            deadline: Ends the waiting.
            clock: Epoch seconds; the ledger's own, unless another one is given.
            sleep: How to wait.
            tell_after_s: So long a wait is silent; then the log tells who holds the turn.
        """
        self._ledger = ledger
        self._quota = quota
        self._priority = priority
        self._pace = pace
        self._deadline = deadline
        self._clock = clock or ledger.clock
        self._sleep = sleep
        self._tell_after_s = tell_after_s
        self._me = {"run": run, "host": socket.gethostname(), "pid": os.getpid()}
        self._holder: Connection | None = None
        self._reader: Connection | None = None
        self._taken_at = 0.0
        self._looked_at = 0.0
        self._proven_at = 0.0
        self._lock = lock_of(ledger, quota)

    @asynccontextmanager
    async def hold(self) -> AsyncIterator[None]:
        """Wait for the turn, hold it, give it back. Inside, `transaction` writes and `wanted` says when to yield.

        Raises:
            AccountUnavailable: others had the turn until the deadline.
            LedgerError: the ledger fails, or was moved to another database since it was opened.
        """
        with self._ledger.engine.connect() as holder, self._ledger.reading() as reader:
            await self._take(reader, holder)
            self._holder, self._reader = holder, reader
            self._taken_at = self._looked_at = self._proven_at = self._clock()
            try:
                check_in_use(reader)
                if self._restore(reader) and self._lock.may_be_lost:
                    # Who had it before may be alive, and not know yet that it lost it.
                    await self._sleep(_PROOF_S)
                yield
                self._taken_at = 0.0
                with self.transaction(reserve=0):
                    pass
            finally:
                self._holder = self._reader = None
                self._lock.release(holder)

    @contextmanager
    def transaction(self, *, reserve: int | None = None) -> Iterator[Connection]:
        """One transaction on the connection that holds the turn: without the turn it cannot be committed.

        `reserve`: so many sends may follow before the pace is written down again; None leaves the pace alone.

        Raises:
            LedgerError: the database fails, or the turn was lost with its connection.
        """
        connection = _held(self._holder)
        if connection.invalidated:
            # SQLAlchemy would open another one, which does not hold the turn.
            raise LedgerError(
                f"the turn to send to {self._quota} was lost with the connection to the ledger",
                do="Run the partitions again: what has no answer is settled first.",
            )
        now = self._clock()
        with connection.begin():
            yield connection
            if reserve is not None:
                self._write_pace(connection, reserved=reserve)
        self._proven_at = now

    def check(self) -> None:
        """Make sure that the turn is still held: to be asked before each request.

        A process that was stopped for a while, or cut off from the database, may have lost it to another one.

        Raises:
            LedgerError: the connection that holds the turn is lost.
        """
        if self._lock.may_be_lost and abs(self._clock() - self._proven_at) >= _PROOF_S:
            with self.transaction() as connection:
                connection.execute(select(1))

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
        tell_at = since + self._tell_after_s
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
                if now >= tell_at:
                    tell_at = now + _TELL_EVERY_S
                    _log.warning("%s", self._waiting(connection, now - since))
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

    def _waiting(self, connection: Connection, seconds: float) -> str:
        """What is waited for, in a sentence."""
        row = self._pace_row(connection)
        held = orjson.loads(row.state).get("holder") if row is not None else None
        waits = f"waiting for the turn to send to {self._quota} for {seconds:.0f} s now"
        if held is None:
            return f"{waits}: others with a better claim are served first"
        since = datetime.fromtimestamp(held["since"], UTC).isoformat(" ", "seconds")
        return (
            f"{waits}: run {held['run'] or '?'} (process {held['pid']} on {held['host']}) has had it since {since}; "
            "it ends with that run, or with that process"
        )

    def _pace_row(self, connection: Connection) -> Any:
        table = schema.paces
        return connection.execute(select(table).where(table.c.quota == self._quota)).first()

    def _restore(self, connection: Connection) -> bool:
        """Take over the pace; whether its last holder might have sent more without another word to the ledger."""
        row = self._pace_row(connection)
        if row is None:
            return False
        state = orjson.loads(row.state)
        state.pop("holder", None)
        self._pace.restore(state, row.reserved)
        return row.reserved > 0

    def _write_pace(self, connection: Connection, *, reserved: int) -> None:
        state = self._pace.state()
        if self._taken_at:
            state = {**state, "holder": {**self._me, "since": self._taken_at}}
        self._ledger.put(
            connection,
            schema.paces,
            [
                {
                    "quota": self._quota,
                    "state": orjson.dumps(state).decode(),
                    "reserved": reserved,
                }
            ],
        )


def _held(connection: Connection | None) -> Connection:
    if connection is None:
        raise LedgerError("the turn is not held", do="This is a defect: please report it.")
    return connection
