"""The sender: a bounded queue and a fixed number of workers between the plan and the ledger."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Self

from pipelines.delivery.caller import MAYBE_LANDED, STOPS, Caller, serving
from pipelines.delivery.destination import Destination
from pipelines.delivery.errors import LedgerError
from pipelines.delivery.fingerprint import fingerprint
from pipelines.delivery.ledger import Record, State
from pipelines.delivery.upsert import Outcome, Upsert, Verdict

_FLUSH_S = 0.5
_READ_BACKS = 2

Item = tuple[Upsert, State | None]
Note = Callable[[Sequence[Record], int], None]


class Sender:
    """Delivers what it is given, never a key twice at a time; results reach `note` in groups as they arrive.

    The upserts it is given are already committed as attempted. What is still queued when the account is stopped ends as
    `not_sent`; what an unforeseen error leaves behind stays attempted in the ledger.
    """

    def __init__(
        self,
        destination: Destination,
        caller: Caller,
        in_flight: int,
        note: Note,
        *,
        flush_at: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`note(records, outstanding)` writes results down; `flush_at`: at the latest after so many."""
        self._destination = destination
        self._caller = caller
        self._in_flight = in_flight
        self._note = note
        self._flush_at = flush_at
        self._clock = clock
        self._queue: asyncio.Queue[list[Item]] = asyncio.Queue()
        self._done: list[Record] = []
        self._flushed_at = clock()
        self._room = asyncio.Condition()
        self._tasks = asyncio.TaskGroup()
        self._workers: list[asyncio.Task[None]] = []
        self.outstanding = 0

    async def __aenter__(self) -> Self:
        """Start the workers."""
        await self._tasks.__aenter__()
        self._workers = [self._tasks.create_task(self._work()) for _ in range(self._in_flight)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the last answers and write them down."""
        try:
            if error is None:
                async with self._room:
                    await self._room.wait_for(lambda: self.outstanding == 0)
        except asyncio.CancelledError as cancelled:
            # So the group ends the waiting when a worker fails; it knows best whose error it is.
            kind, error, trace = type(cancelled), cancelled, cancelled.__traceback__
        for worker in self._workers:
            worker.cancel()
        try:
            await self._tasks.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            # A worker's error, seen by the caller as what it is.
            error = group.exceptions[0]
            raise error from None
        finally:
            try:
                self._flush()
            except LedgerError:
                # What failed first says more; what is not written down stays attempted.
                if error is None:
                    raise

    def put(self, items: Iterable[Item]) -> None:
        """Hand over upserts, each with the state of its key."""
        rest = iter(items)
        while batch := list(itertools.islice(rest, self._destination.batch_size)):
            self.outstanding += len(batch)
            self._queue.put_nowait(batch)

    async def room(self, size: int) -> None:
        """Wait until fewer than `size` upserts are outstanding, so that the next group never waits in memory."""
        async with self._room:
            await self._room.wait_for(lambda: self.outstanding < size or self._caller.stopped is not None)

    async def _work(self) -> None:
        while True:
            batch = await self._queue.get()
            with serving((upsert.partition for upsert, _ in batch), delivering=True):
                verdicts = await self._deliver([upsert for upsert, _ in batch])
            for (upsert, state), verdict in zip(batch, verdicts, strict=True):
                self._done.append(Record(upsert, verdict, state.payload if state else None))
            self.outstanding -= len(batch)
            if (
                self._caller.resting
                or len(self._done) >= self._flush_at
                or self._clock() - self._flushed_at >= _FLUSH_S
            ):
                # What is known is written down before a long pause too.
                self._flush()
            async with self._room:
                self._room.notify_all()

    def _flush(self) -> None:
        records, self._done = self._done, []
        self._flushed_at = self._clock()
        if records:
            self._note(records, self.outstanding)

    async def _deliver(self, batch: list[Upsert]) -> list[Verdict]:
        verdicts = await self._send(batch)
        refused_whole = len(batch) > 1 and all(
            verdict.outcome is Outcome.REJECTED and (verdict.status or 0) >= 400 for verdict in verdicts
        )
        if refused_whole:
            middle = len(batch) // 2
            return [*await self._deliver(batch[:middle]), *await self._deliver(batch[middle:])]
        return [
            await self._settle(upsert, verdict) if self._may_have_landed(verdict) else verdict
            for upsert, verdict in zip(batch, verdicts, strict=True)
        ]

    def _may_have_landed(self, verdict: Verdict) -> bool:
        """Whether to look first: no answer, or an error that may hide a write which somebody would notice twice."""
        if verdict.outcome is Outcome.UNKNOWN:
            return True
        return verdict.status in MAYBE_LANDED and not self._destination.resend_is_safe

    async def _send(self, batch: list[Upsert]) -> Sequence[Verdict]:
        try:
            return await self._destination.send(batch, self._caller)
        except STOPS as stop:
            # Raised before anything was written, or with the one answer that says nothing was.
            return [Verdict(Outcome.NOT_SENT, str(stop), stop.facts.get("status"))] * len(batch)

    async def _settle(self, upsert: Upsert, verdict: Verdict) -> Verdict:
        """Nobody knows whether it landed: look what stands there, and send again what did not arrive."""
        for _ in range(_READ_BACKS):
            try:
                found = await self._destination.read_back(upsert, self._caller)
            except STOPS as stop:
                return Verdict(Outcome.UNKNOWN, f"{verdict.reason}; not read back: {stop}", verdict.status)
            if found is None:
                return Verdict(Outcome.UNKNOWN, f"{verdict.reason}; what stands there cannot be read", verdict.status)
            if found.payload is not None:
                there = fingerprint(self._destination.normalise(found.payload))
                if there == upsert.fingerprint:
                    return Verdict(Outcome.ACCEPTED, "settled by a read-back", remote_id=found.remote_id)
            (again,) = await self._send([upsert])
            if again.outcome is Outcome.NOT_SENT:
                # The first one may still arrive, so that the next run looks before it sends.
                return Verdict(Outcome.UNKNOWN, f"{verdict.reason}; not there yet, not sent again: {again.reason}")
            if not self._may_have_landed(again):
                return again
            verdict = again
        reason = f"{verdict.reason}; it was sent again twice, with no better answer"
        return Verdict(Outcome.UNKNOWN, reason, verdict.status)
