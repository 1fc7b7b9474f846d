"""Keys that the source no longer has: found by comparing the ledger with the source, taken away one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import Connection

from pipelines.delivery.caller import STOPS, Caller, serving
from pipelines.delivery.destination import Destination, Ordered
from pipelines.delivery.ledger import Attempt, Known, Ledger, Run, Scope, Turn
from pipelines.delivery.ledger.reads import read_later
from pipelines.delivery.ledger.removals import Removal, begin_removals, known_keys, record_removals
from pipelines.delivery.report import Report
from pipelines.delivery.upsert import ACCEPTED, Outcome, Upsert, Verdict


class Vanishing(Protocol):
    """Which keys the source no longer has, as far as it can be said."""

    @property
    def partitions(self) -> Sequence[str] | None:
        """Only keys last delivered from these can have vanished; None: any of the sync's."""
        ...

    def vanished(self, known: Iterable[Known]) -> list[str]:
        """Those of the known keys that are gone."""
        ...


@dataclass(slots=True)
class Remover:
    """Takes vanished keys away, inside the turn. An absent key counts as taken away, so that it may be repeated."""

    ledger: Ledger
    scope: Scope
    run: Run
    turn: Turn
    destination: Destination
    caller: Caller
    in_flight: int
    report: Report
    clock: Callable[[], float]
    _left: list[Known] = field(default_factory=list)
    _by_partition: bool = False

    def find(self, connection: Connection, vanishing: Vanishing, attempts: Iterable[Attempt]) -> int:
        """Look which keys have vanished, also of those that were attempted and may arrive yet; returns how many."""
        self._by_partition = vanishing.partitions is not None
        known = known_keys(self.ledger, connection, self.scope, self.run.sync, vanishing.partitions)
        attempted = (Known(one.upsert.key, one.upsert.partition) for one in attempts)
        of_partition = vanishing.partitions
        known += [one for one in attempted if of_partition is None or one.partition in of_partition]
        known = list({one.key: one for one in known}.values())
        gone = set(vanishing.vanished(known)) if known else set()
        self._left = [one for one in known if one.key in gone]
        return len(self._left)

    @property
    def left(self) -> Sequence[Known]:
        """What has vanished and is still to be taken away."""
        return self._left

    def leave(self, reason: str) -> None:
        """Nothing is taken away in this run."""
        if self._left:
            self.report.notes.append(f"{len(self._left)} vanished keys were left as they are: {reason}")
            self.report.removal_left.update(one.partition for one in self._left)
        self._left = []

    async def remove(self, *, most: int) -> bool:
        """Take away up to `most` of them; whether any are left."""
        if self.caller.stopped is not None:
            self.leave(str(self.caller.stopped))
        group, self._left = self._left[:most], self._left[most:]
        if not group:
            return False
        with self.turn.transaction(reserve=4 * len(group)) as connection:
            ours = self._ours(connection, group)
            removals = begin_removals(self.ledger, connection, self.scope, ours)
        gate = asyncio.Semaphore(self.in_flight)
        for of_rank in self._last_first(removals):
            verdicts = await asyncio.gather(*(self._one(one, gate) for one in of_rank))
            self._note(list(zip(of_rank, verdicts, strict=True)), reserve=4 * len(group))
        return bool(self._left)

    def _ours(self, connection: Connection, group: Sequence[Known]) -> list[str]:
        """What no other run, that has read the source later, sees to."""
        later = read_later(self.ledger, connection, self.scope, self.run)
        if not self._by_partition and later:
            later = dict.fromkeys((one.partition for one in group), all(later.values()))
        theirs = [one for one in group if one.partition in later]
        if theirs:
            self.report.notes.append(f"{len(theirs)} vanished keys were left to a run that has read the source later")
            self.report.removal_left.update(one.partition for one in theirs if not later[one.partition])
        return [one.key for one in group if one.partition not in later]

    def _last_first(self, removals: Sequence[Removal]) -> list[list[Removal]]:
        """What others build on goes after them: an area after the areas below it."""
        if not isinstance(self.destination, Ordered):
            return [list(removals)]
        ranks = self.destination.ranks([Upsert(one.key, one.as_of, one.payload, "", "", ()) for one in removals])
        groups: dict[int, list[Removal]] = {}
        for one in removals:
            groups.setdefault(ranks.get(one.key, 0), []).append(one)
        return [groups[rank] for rank in sorted(groups, reverse=True)]

    async def _one(self, removal: Removal, gate: asyncio.Semaphore) -> Verdict:
        async with gate:
            try:
                with serving([self._told_with(removal)]):
                    return await self.destination.remove(removal.key, removal.payload, self.caller)
            except STOPS as stop:
                return Verdict(Outcome.NOT_SENT, str(stop))

    def _told_with(self, removal: Removal) -> str:
        """The partition that the requests of a removal are counted for.

        A key that shows the latest of many partitions is taken away by the newest one of the run.
        """
        return removal.partition if self._by_partition else max(self.run.partitions, default=removal.partition)

    def _note(self, done: Sequence[tuple[Removal, Verdict]], *, reserve: int) -> None:
        now = self.clock()
        with self.turn.transaction(reserve=reserve) as connection:
            record_removals(self.ledger, connection, self.scope, self.run, done, now=now)
        for removal, verdict in done:
            failure = None if verdict.outcome in ACCEPTED else verdict.reason or f"status {verdict.status}"
            self.report.note_removal(removal.partition, removal.key, failure)
