"""What an earlier holder of the turn left behind: attempts without an answer, settled by reading back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from pipelines.delivery.caller import STOPS, Caller
from pipelines.delivery.destination import Destination
from pipelines.delivery.fingerprint import fingerprint
from pipelines.delivery.ledger import Attempt, Record
from pipelines.delivery.upsert import Outcome, Verdict


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
