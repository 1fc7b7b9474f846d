"""A delivery: plan, turn, attempts, sends, outcomes, ledger. The order of these is what the promises rest on.

Inside the turn nobody else sends for the account, so a group's plan is made again there from the state as it is now;
its attempts are committed before its first request leaves, and its results as the answers arrive. Whatever kills the
process leaves attempts behind, which the next holder of the turn settles by reading back.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from pipelines.delivery.caller import STOPS, Caller
from pipelines.delivery.destination import Destination, Limits, Ordered, Remarking
from pipelines.delivery.fingerprint import fingerprint
from pipelines.delivery.ledger import Attempt, Ledger, Record, Run, Scope, State, Turn
from pipelines.delivery.plan import Plan, make_plan
from pipelines.delivery.report import Report
from pipelines.delivery.sender import Sender
from pipelines.delivery.upsert import Built, Dropped, Outcome, Upsert, Verdict

_LOOK_UP = 20_000
_LARGEST_GROUP = 256
_GROUP_S = 2.0
"""A group is what goes out in about this time, so that the turn changes hands within seconds."""
_PREPARATION_REQUESTS = 64


@dataclass(slots=True)
class Delivery:
    """One sync's delivery during one run."""

    run: Run
    ledger: Ledger
    scope: Scope
    turn: Turn
    destination: Destination
    caller: Caller
    limits: Limits
    resend_all: bool = False
    dry: bool = False
    report: Report = field(default_factory=Report)
    progress: Callable[[int, int], None] | None = None
    clock: Callable[[], float] = time.time
    _newest: Mapping[str, str] = field(default_factory=dict)
    _ranks: Mapping[str, int] = field(default_factory=dict)
    _total: int = 0
    _done: int = 0

    async def deliver(self, built: Built, newest: Mapping[str, str] | None = None) -> Report:
        """Bring the account up to what was built; account for every row of it.

        Args:
            built: The upserts of the run's partitions, and the rows that became none.
            newest: Newest `as_of` per key among stored readings that are not part of this run.
        """
        self._newest = newest or {}
        self.report.drop(built.dropped)
        with self.ledger.reading() as connection:
            states = self._states(connection, built.upserts)
            attempts = self.ledger.attempts(connection, self.scope, self.run.sync)
        plan = self._plan(built.upserts, states)
        self.report.drop(plan.invalid)
        if self.dry:
            self._count_settled(plan)
            self._count_dry(plan)
            return self.report
        # Unchanged, but not settled yet: seen at a newer time, or attempted since with an answer nobody knows.
        open_keys = {attempt.upsert.key for attempt in attempts}
        open_keys |= {u.key for u in plan.unchanged if u.key in states and states[u.key].as_of < u.as_of}
        work = plan.to_send + [upsert for upsert in plan.unchanged if upsert.key in open_keys]
        self._count_settled(plan, but=open_keys)
        self._total = len(work)
        if work or attempts:
            await self._in_turns(deque(work))
        if isinstance(self.destination, Remarking):
            self.report.notes.extend(self.destination.notes)
        self._close_settled(plan, but=open_keys)
        return self.report

    # -- planning

    def _states(self, connection: Connection, upserts: Sequence[Upsert], *, payloads: bool = False) -> dict[str, State]:
        keys = list({upsert.key for upsert in upserts})
        states: dict[str, State] = {}
        for start in range(0, len(keys), _LOOK_UP):
            states |= self.ledger.states(connection, self.scope, keys[start : start + _LOOK_UP], payloads=payloads)
        outdated = [key for key, state in states.items() if state.payload is None and state.outdated]
        if outdated:
            states |= self.ledger.states(connection, self.scope, outdated, payloads=True)
        return states

    def _plan(self, upserts: Iterable[Upsert], states: Mapping[str, State]) -> Plan:
        return make_plan(
            upserts,
            states,
            sync=self.run.sync,
            normalise=self.destination.normalise,
            newest=self._newest,
            resend_all=self.resend_all,
        )

    def _count_settled(self, plan: Plan, but: Iterable[str] = ()) -> None:
        later = set(but)
        for upsert in plan.superseded:
            self.report.count(upsert, Outcome.SUPERSEDED)
        for upsert in plan.unchanged:
            if upsert.key not in later:
                self.report.count(upsert, Outcome.UNCHANGED)

    def _count_dry(self, plan: Plan) -> None:
        for verb, upserts in (("create", plan.create), ("update", plan.update)):
            for upsert in upserts:
                self.report.count(upsert, Outcome.NOT_SENT, f"dry: would {verb}")

    # -- sending

    async def _in_turns(self, work: deque[Upsert]) -> None:
        first = True
        while work or first:
            async with self.turn.hold():
                # Whoever had the turn since may have died in it.
                work = await self._settle_leftovers(work)
                if first:
                    work = await self._vet(work)
                    first = False
                await self._slice(work)
            if self.caller.stopped is not None:
                self._leave(work, str(self.caller.stopped))
                self.report.stopped = str(self.caller.stopped)
                return

    async def _settle_leftovers(self, work: deque[Upsert]) -> deque[Upsert]:
        """Settle what an earlier holder of the turn left behind; what stays unknown is not sent on top of it."""
        with self.turn.transaction(reserve=_PREPARATION_REQUESTS) as connection:
            attempts = self.ledger.attempts(connection, self.scope, self.run.sync)
        unsettled = await self._settle(attempts)
        for upsert in work:
            if upsert.key in unsettled:
                self.report.count(upsert, Outcome.UNKNOWN, unsettled[upsert.key])
        return deque(upsert for upsert in work if upsert.key not in unsettled)

    async def _vet(self, work: deque[Upsert]) -> deque[Upsert]:
        """Let the destination check what only the API knows, before the first write."""
        with self.ledger.reading() as connection:
            to_send = self._plan(work, self._states(connection, list(work))).to_send
        if not to_send or self.caller.stopped is not None:
            return work
        try:
            refused = await self.destination.vet(to_send, self.caller)
        except STOPS as stop:
            self.caller.stop(stop)
            return work
        self.report.drop(
            Dropped(Outcome.INVALID, upsert.partition, upsert.rows, refused[upsert.key], upsert.key)
            for upsert in work
            if upsert.key in refused
        )
        return self._ranked([upsert for upsert in work if upsert.key not in refused])

    def _ranked(self, work: list[Upsert]) -> deque[Upsert]:
        if isinstance(self.destination, Ordered):
            self._ranks = self.destination.ranks(work)
            work.sort(key=lambda upsert: self._ranks.get(upsert.key, 0))
        return deque(work)

    async def _settle(self, attempts: Sequence[Attempt]) -> dict[str, str]:
        """Read back what was attempted and never answered. Returns the keys that stay unknown, and why."""
        unsettled: dict[str, str] = {}
        if not attempts:
            return unsettled
        gate = asyncio.Semaphore(self.limits.in_flight)

        async def look(attempt: Attempt) -> tuple[Record, str] | None:
            async with gate:
                return await self._look(attempt, unsettled)

        looked = [found for found in await asyncio.gather(*map(look, attempts)) if found is not None]
        with self.turn.transaction(reserve=_PREPARATION_REQUESTS) as connection:
            old = self._states(connection, [record.upsert for record, _ in looked], payloads=True)
            records = [
                Record(r.upsert, r.verdict, old[r.upsert.key].payload if r.upsert.key in old else None)
                for r, _ in looked
            ]
            self.ledger.record(connection, self.scope, self.run, records, self.clock())
            missed = {r.upsert.key: stands for r, stands in looked if r.verdict.outcome is not Outcome.ACCEPTED}
            doubtful = [key for key, state in old.items() if missed.get(key, state.fingerprint) != state.fingerprint]
            self.ledger.doubt(connection, self.scope, doubtful)
        arrived = sum(record.verdict.outcome is Outcome.ACCEPTED for record in records)
        self.report.notes.append(
            f"{len(attempts)} upserts of an earlier run had no answer: {arrived} had arrived, "
            f"{len(records) - arrived} had not, {len(unsettled)} stay unknown"
        )
        return unsettled

    async def _look(self, attempt: Attempt, unsettled: dict[str, str]) -> tuple[Record, str] | None:
        """What became of an attempt, and the fingerprint of what stands there; empty: nothing, or nobody can tell."""
        upsert = attempt.upsert
        try:
            found = await self.destination.read_back(upsert, self.caller)
        except STOPS as stop:
            unsettled[upsert.key] = f"attempted by run {attempt.run} without an answer; not readable now: {stop}"
            return None
        if found is None:
            if self.destination.resend_is_safe:
                return Record(
                    upsert, Verdict(Outcome.NOT_SENT, f"attempted by run {attempt.run} without an answer")
                ), ""
            unsettled[upsert.key] = f"attempted by run {attempt.run} without an answer, and cannot be read back"
            return None
        stands = "" if found.payload is None else fingerprint(self.destination.normalise(found.payload))
        if stands == upsert.fingerprint:
            return Record(
                upsert, Verdict(Outcome.ACCEPTED, "settled by a read-back", remote_id=found.remote_id)
            ), stands
        return Record(upsert, Verdict(Outcome.NOT_SENT, f"attempted by run {attempt.run}; it did not arrive")), stands

    async def _slice(self, work: deque[Upsert]) -> None:
        """Send until there is no more work, the account is stopped, or somebody with a better claim waits."""
        size = self._group_size()
        async with Sender(
            self.destination, self.caller, self.limits.in_flight, self._note, flush_at=size, clock=self.clock
        ) as sender:
            while work and self.caller.stopped is None:
                group = self._next_group(work, size)
                if self._ranks and sender.outstanding:
                    await sender.room(1)
                sender.put(self._begin(group, outstanding=sender.outstanding))
                await sender.room(size)
                if self.turn.wanted():
                    break

    def _next_group(self, work: deque[Upsert], size: int) -> list[Upsert]:
        """The next upserts, at most `size`, of one rank."""
        rank = self._ranks.get(work[0].key, 0)
        group: list[Upsert] = []
        while work and len(group) < size and self._ranks.get(work[0].key, 0) == rank:
            group.append(work.popleft())
        return group

    def _begin(self, group: list[Upsert], *, outstanding: int) -> list[tuple[Upsert, State | None]]:
        """Plan the group once more from the state as it is now, and commit as attempted what is to be sent."""
        with self.turn.transaction(reserve=2 * (outstanding + len(group))) as connection:
            states = self._states(connection, group, payloads=True)
            plan = self._plan(group, states)
            self.ledger.advance(connection, self.scope, plan.unchanged)
            self.ledger.close_outcomes(connection, self.scope, [u.key for u in (*plan.unchanged, *plan.superseded)])
            to_send = plan.to_send
            self.ledger.begin(connection, self.scope, self.run, to_send, self.clock())
        self.report.drop(plan.invalid)
        self._count_settled(plan)
        return [(upsert, states.get(upsert.key)) for upsert in to_send]

    def _note(self, records: Sequence[Record], outstanding: int) -> None:
        with self.turn.transaction(reserve=2 * outstanding) as connection:
            self.ledger.record(connection, self.scope, self.run, records, self.clock())
        for record in records:
            self.report.count(record.upsert, record.verdict.outcome, record.verdict.reason)
        self._done += len(records)
        if self.progress is not None:
            self.progress(self._done, self._total)

    def _leave(self, work: Iterable[Upsert], reason: str) -> None:
        """The account was stopped: what needs no request is settled, the rest stays open as not sent."""
        rest = list(work)
        with self.ledger.reading() as connection:
            plan = self._plan(rest, self._states(connection, rest))
        self._count_settled(plan)
        self.report.drop(plan.invalid)
        records = [Record(upsert, Verdict(Outcome.NOT_SENT, reason)) for upsert in plan.to_send]
        with self.ledger.engine.begin() as connection:
            self.ledger.record(connection, self.scope, self.run, records, self.clock())
        for record in records:
            self.report.count(record.upsert, record.verdict.outcome, record.verdict.reason)

    def _group_size(self) -> int:
        per_second = min((window.requests / window.seconds for window in self.limits.windows), default=_LARGEST_GROUP)
        requests = max(1, min(_LARGEST_GROUP, int(per_second * _GROUP_S)))
        return requests * self.destination.batch_size

    def _close_settled(self, plan: Plan, but: Iterable[str]) -> None:
        """What was open at keys that are now unchanged or superseded needs nobody any more; `but`: planned anew."""
        settled = {upsert.key for upsert in (*plan.unchanged, *plan.superseded)} - set(but)
        with self.ledger.reading() as connection:
            still_open = self.ledger.open_keys(connection, self.scope, self.run.sync)
        keys = [key for key in still_open if key in settled]
        if keys:
            with self.ledger.engine.begin() as connection:
                self.ledger.close_outcomes(connection, self.scope, keys)
