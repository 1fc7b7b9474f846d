"""Between a plan and its first write: reminding and asking the destination, and the order of what is left."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from pipelines.delivery.caller import STOPS, Caller, serving
from pipelines.delivery.destination import Destination, Found, Ordered, Reducing, Remembering
from pipelines.delivery.fingerprint import fingerprint
from pipelines.delivery.planning import Planner
from pipelines.delivery.report import Report
from pipelines.delivery.upsert import Dropped, Outcome, Payload, Upsert

Park = Callable[[Connection, Sequence[Upsert]], set[str]]
"""Accounts for those upserts that were rejected too often as they are, and returns their keys."""


@dataclass(slots=True)
class Preparation:
    """Prepares one run's upserts, once; `ranks` tells afterwards which have to wait for which."""

    planner: Planner
    destination: Destination
    caller: Caller
    report: Report
    park: Park
    ranks: Mapping[str, int] = field(default_factory=dict)

    def remind(self) -> None:
        """Tell the destination what was accepted before, if it wants to know."""
        if isinstance(self.destination, Remembering):
            planner = self.planner
            with planner.ledger.reading() as connection:
                accepted = planner.ledger.accepted(connection, planner.scope, planner.run.sync)
            self.destination.remember({key: Found(*one) for key, one in accepted.items()})

    async def vet(self, work: deque[Upsert]) -> deque[Upsert]:
        """Let the destination check what only the API knows; what can be sent, as it can be, in order of rank."""
        with self.planner.ledger.reading() as connection:
            to_send = self.planner.plan_now(connection, list(work)).to_send
        if self.caller.stopped is not None or not to_send:
            return work
        try:
            with serving(upsert.partition for upsert in to_send):
                refused = await self.destination.vet(to_send, self.caller)
        except STOPS as stop:
            self.caller.stop(stop)
            return work
        self.report.drop(
            Dropped(Outcome.INVALID, upsert.partition, upsert.rows, refused[upsert.key], upsert.key)
            for upsert in work
            if upsert.key in refused
        )
        return self._ranked(self._reduced([upsert for upsert in work if upsert.key not in refused]))

    def _reduced(self, work: list[Upsert]) -> list[Upsert]:
        """The upserts as far as they can be sent; what was parked in that form is left out."""
        if not isinstance(self.destination, Reducing):
            return work
        reduced = [self._sendable(upsert, self.destination.sendable(upsert)) for upsert in work]
        other = [after for after, before in zip(reduced, work, strict=True) if after is not before]
        with self.planner.ledger.reading() as connection:
            parked = self.park(connection, other)
        return [upsert for upsert in reduced if upsert.key not in parked]

    def _sendable(self, upsert: Upsert, payload: Payload) -> Upsert:
        if payload is upsert.payload:
            return upsert
        return upsert._replace(payload=payload, fingerprint=fingerprint(self.destination.normalise(payload)))

    def _ranked(self, work: list[Upsert]) -> deque[Upsert]:
        if isinstance(self.destination, Ordered):
            self.ranks = self.destination.ranks(work)
            work.sort(key=lambda upsert: self.ranks.get(upsert.key, 0))
        return deque(work)
