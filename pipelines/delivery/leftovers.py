"""What an earlier holder of the turn left behind: attempts without an answer, settled by reading back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from pipelines.delivery.caller import STOPS, Caller, serving
from pipelines.delivery.destination import Destination
from pipelines.delivery.fingerprint import fingerprint
from pipelines.delivery.ledger import Attempt, Record, Turn
from pipelines.delivery.planning import Planner
from pipelines.delivery.report import Report
from pipelines.delivery.upsert import Outcome, Upsert, Verdict


@dataclass(frozen=True, slots=True)
class Settled:
    """`records`: what arrived (accepted), what did not or may be sent again (not sent). `unknown`: key -> why.

    `stands`: for what did not arrive, key -> fingerprint of what stands there; empty: nothing, or nobody can tell.
    """

    records: list[Record] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    stands: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        arrived = sum(record.verdict.outcome is Outcome.ACCEPTED for record in self.records)
        return f"{arrived} had arrived, {len(self.records) - arrived} had not, {len(self.unknown)} stay unknown"


async def read_back_all(
    destination: Destination, caller: Caller, attempts: Sequence[Attempt], in_flight: int
) -> Settled:
    """Look at each attempt's key what stands there, so many at a time."""
    settled = Settled()
    gate = asyncio.Semaphore(in_flight)

    async def look(attempt: Attempt) -> None:
        async with gate:
            with serving([attempt.upsert.partition]):
                await _look(destination, caller, attempt, settled)

    await asyncio.gather(*map(look, attempts))
    return settled


async def _look(destination: Destination, caller: Caller, attempt: Attempt, settled: Settled) -> None:
    # Another release may have fingerprinted it.
    mark = fingerprint(destination.normalise(attempt.upsert.payload))
    upsert, tried = attempt.upsert._replace(fingerprint=mark), f"attempted by run {attempt.run} without an answer"
    try:
        found = await destination.read_back(upsert, caller)
    except STOPS as stop:
        settled.unknown[upsert.key] = f"{tried}; not readable now: {stop}"
        return
    if found is None and not destination.resend_is_safe:
        settled.unknown[upsert.key] = f"{tried}, and cannot be read back"
        return
    stands = fingerprint(destination.normalise(found.payload)) if found and found.payload is not None else ""
    if found and stands == upsert.fingerprint:
        verdict = Verdict(Outcome.ACCEPTED, "settled by a read-back", remote_id=found.remote_id)
    else:
        verdict = Verdict(Outcome.NOT_SENT, f"{tried}; it did not arrive" if found else tried)
        settled.stands[upsert.key] = stands
    settled.records.append(Record(upsert, verdict))


@dataclass(frozen=True, slots=True)
class Leftovers:
    """Settles, inside the turn, what an earlier holder of it left behind."""

    planner: Planner
    turn: Turn
    caller: Caller
    in_flight: int
    report: Report
    clock: Callable[[], float]

    async def settle(self, work: deque[Upsert], *, reserve: int) -> deque[Upsert]:
        """Read back what has no answer; what stays unknown is not sent on top of it, and left out of the work."""
        planner = self.planner
        with self.turn.transaction(reserve=reserve) as connection:
            attempts = planner.ledger.attempts(connection, planner.scope, planner.run.sync)
        settled = await read_back_all(planner.destination, self.caller, attempts, self.in_flight)
        if attempts:
            self._record(settled, reserve=reserve)
            self.report.notes.append(f"{len(attempts)} upserts of an earlier run had no answer: {settled}")
        for upsert in work:
            if upsert.key in settled.unknown:
                self.report.count(upsert, Outcome.UNKNOWN, settled.unknown[upsert.key])
        return deque(upsert for upsert in work if upsert.key not in settled.unknown)

    def _record(self, settled: Settled, *, reserve: int) -> None:
        planner = self.planner
        with self.turn.transaction(reserve=reserve) as connection:
            old = planner.states(connection, [record.upsert for record in settled.records], payloads=True)
            records = [
                replace(record, old=old[record.upsert.key].payload) if record.upsert.key in old else record
                for record in settled.records
            ]
            planner.ledger.record(connection, planner.scope, planner.run, records, self.clock())
            doubtful = [
                key for key, stands in settled.stands.items() if key in old and stands != planner.mark(old[key])
            ]
            planner.ledger.doubt(connection, planner.scope, doubtful)
