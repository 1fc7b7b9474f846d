"""A delivery: plan, turn, attempts, sends, outcomes, ledger. The order of these is what the promises rest on.

Inside the turn nobody else sends for the account, so a group's plan is made again there from the state as it is now;
its attempts are committed before its first request leaves, and its results as the answers arrive. Whatever kills the
process leaves attempts behind, which the next holder of the turn settles by reading back.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from pipelines.delivery.caller import MAYBE_LANDED, Caller
from pipelines.delivery.cycles import no_cycles
from pipelines.delivery.destination import Destination, Limits, Remarking
from pipelines.delivery.errors import AccountUnavailable
from pipelines.delivery.gates import Gates
from pipelines.delivery.ledger import Attempt, Ledger, Record, Run, Scope, State, Turn
from pipelines.delivery.ledger.reads import note_done, note_reads, read_later
from pipelines.delivery.leftovers import Leftovers
from pipelines.delivery.plan import Plan
from pipelines.delivery.planning import LOOK_UP, Planner
from pipelines.delivery.preparing import Preparation
from pipelines.delivery.removal import Remover, Vanishing
from pipelines.delivery.report import Report
from pipelines.delivery.sender import Sender
from pipelines.delivery.settled import Closing, count_dry, count_settled
from pipelines.delivery.upsert import Built, Outcome, Upsert, Verdict

_LARGEST_GROUP = 256
_GROUP_S = 2.0
"""A group is what goes out in about this time, so that the turn changes hands within seconds."""
_PREPARATION_REQUESTS = 64
_READ_LATER = "another run has read this partition later, and has not delivered all of it yet: run it again after that"


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
    gates: Gates | None = None
    resend_before: float | None = None
    dry: bool = False
    report: Report = field(default_factory=Report)
    progress: Callable[[int, int], None] | None = None
    clock: Callable[[], float] = time.time
    _planner: Planner = field(init=False)
    _preparation: Preparation = field(init=False)
    _closing: Closing = field(init=False)
    _total: int = 0
    _done: int = 0
    _remover: Remover | None = None

    def __post_init__(self) -> None:
        """Make what it works with."""
        self._planner = Planner(self.run, self.ledger, self.scope, self.destination, self.resend_before)
        self._preparation = Preparation(self._planner, self.destination, self.caller, self.report, self._park)
        self._closing = Closing(self.ledger, self.scope, self.run.sync)

    async def deliver(
        self, built: Built, newest: Mapping[str, str] | None = None, vanishing: Vanishing | None = None
    ) -> Report:
        """Bring the account up to what was built; account for every row of it.

        Args:
            built: The upserts of the run's partitions, and the rows that became none.
            newest: Newest `as_of` per key among stored readings that are not part of this run.
            vanishing: Tells which keys the source no longer has, where those are to be taken away.
        """
        self._planner.newest = newest or {}
        self.report.drop(built.dropped)
        read = {*self.run.partitions, *(upsert.partition for upsert in built.upserts)}
        if not self.dry:
            with self.ledger.engine.begin() as connection:
                note_reads(self.ledger, connection, self.scope, self.run, read)
        with no_cycles(), self.ledger.reading() as connection:
            # Before the states: what is answered in between is in one of the two.
            attempts = self.ledger.attempts(connection, self.scope, self.run.sync)
            states = self._planner.states(connection, built.upserts)
            plan = self._planner.plan(built.upserts, states)
            parked = self._park(connection, plan.to_send)
            plan = plan.without(parked)
            vanished = self._find_vanished(connection, vanishing, attempts)
            barred = self._barred(connection, plan, vanished)
        self.report.drop(plan.invalid)
        if self.dry:
            count_settled(self.report, plan)
            count_dry(self.report, plan, vanished, barred)
            return self.report
        self._planner.renew(plan, states)
        attempted = {attempt.upsert.key for attempt in attempts}
        if barred:
            count_settled(self.report, plan, but=attempted)
            kept = plan.to_send + [upsert for upsert in plan.unchanged if upsert.key in attempted]
            if kept or vanished:
                self._keep_back(kept, barred)
            return self.report
        # Unchanged, but not settled yet: seen at a newer time, or attempted since with an answer nobody knows.
        open_keys = attempted | {u.key for u in plan.unchanged if u.key in states and states[u.key].as_of < u.as_of}
        work = plan.to_send + [upsert for upsert in plan.unchanged if upsert.key in open_keys]
        count_settled(self.report, plan, but=open_keys)
        self._total = len(work)
        if work or attempts or vanished:
            await self._in_turns(deque(work))
        if isinstance(self.destination, Remarking):
            self.report.notes.extend(self.destination.notes)
        self._closing.close_settled(plan, but={*open_keys, *parked, *(upsert.key for upsert in plan.to_send)})
        with self.ledger.engine.begin() as connection:
            note_done(self.ledger, connection, self.scope, self.run, read - self.report.unsettled)
        return self.report

    # -- planning

    def _find_vanished(self, connection: Connection, vanishing: Vanishing | None, attempts: Sequence[Attempt]) -> int:
        if vanishing is None:
            return 0
        self._remover = Remover(
            self.ledger,
            self.scope,
            self.run,
            self.turn,
            self.destination,
            self.caller,
            self.limits.in_flight,
            self.report,
            self.clock,
        )
        return self._remover.find(connection, vanishing, attempts)

    def _barred(self, connection: Connection, plan: Plan, vanished: int) -> str:
        """Why nothing of this may be sent; empty: it may."""
        if self.gates is None:
            return ""
        return self.gates.closed(connection) or self.gates.over_ceilings(
            connection, plan, vanished, self.report, dry=self.dry, now=self.clock()
        )

    def _park(self, connection: Connection, upserts: Sequence[Upsert]) -> set[str]:
        """The keys whose upsert was rejected too often as it is; those upserts are accounted for here."""
        if self.gates is None or self.resend_before is not None:
            return set()
        parked = self.gates.park(connection, upserts)
        self.report.drop(parked)
        return {dropped.key for dropped in parked if dropped.key is not None}

    # -- sending

    async def _in_turns(self, work: deque[Upsert]) -> None:
        first = more = True
        while work or more:
            try:
                async with self.turn.hold():
                    if first:
                        self._preparation.remind()
                    # Whoever had the turn since may have died in it.
                    work = await self._leftovers().settle(work, reserve=_PREPARATION_REQUESTS)
                    if first:
                        work = await self._preparation.vet(self._see_unchanged(work))
                        first = False
                    await self._slice(work)
                    more = not work and await self._take_away()
            except AccountUnavailable as late:
                # The turn did not come in time.
                self.caller.stop(late)
            if self.caller.stopped is not None:
                self.report.passing = isinstance(self.caller.stopped, AccountUnavailable)
                self._leave(work, str(self.caller.stopped))
                return

    def _see_unchanged(self, work: deque[Upsert]) -> deque[Upsert]:
        """Settle what is still unchanged, in large groups since it needs no request; returns the rest."""
        upserts, rest = list(work), deque[Upsert]()
        for start in range(0, len(upserts), LOOK_UP):
            group = upserts[start : start + LOOK_UP]
            with self.turn.transaction(reserve=_PREPARATION_REQUESTS) as connection:
                plan = self._planner.plan_now(connection, group)
                sent = {upsert.key for upsert in plan.to_send}
                settled = Plan(unchanged=[upsert for upsert in plan.unchanged if upsert.key not in sent])
                self.ledger.advance(connection, self.scope, settled.unchanged)
                still_open = self.ledger.still_open(connection, self.scope, self.run.sync)
                self._closing.close(connection, settled, still_open)
            count_settled(self.report, settled)
            done = {id(upsert) for upsert in settled.unchanged}
            rest.extend(upsert for upsert in group if id(upsert) not in done)
        return rest

    async def _take_away(self) -> bool:
        """Some of the vanished keys; whether there are more."""
        return self._remover is not None and await self._remover.remove(most=self._group_size())

    def _leftovers(self) -> Leftovers:
        return Leftovers(self._planner, self.turn, self.caller, self.limits.in_flight, self.report, self.clock)

    async def _slice(self, work: deque[Upsert]) -> None:
        """Send until there is no more work, the account is stopped, or somebody with a better claim waits."""
        size = self._group_size()
        async with Sender(
            self.destination, self.caller, self.limits.in_flight, self._note, flush_at=size, clock=self.clock
        ) as sender:
            while work and self.caller.stopped is None:
                group = self._next_group(work, size)
                if self._preparation.ranks and sender.outstanding:
                    await sender.room(1)
                sender.put(self._begin(group, outstanding=sender.outstanding))
                await sender.room(size)
                if self.turn.wanted():
                    break

    def _next_group(self, work: deque[Upsert], size: int) -> list[Upsert]:
        """The next upserts, at most `size`, of one rank."""
        rank = self._preparation.ranks.get(work[0].key, 0)
        group: list[Upsert] = []
        while work and len(group) < size and self._preparation.ranks.get(work[0].key, 0) == rank:
            group.append(work.popleft())
        return group

    def _begin(self, group: list[Upsert], *, outstanding: int) -> list[tuple[Upsert, State | None]]:
        """Plan the group once more from the state as it is now, and commit as attempted what is to be sent."""
        with self.turn.transaction(reserve=2 * (outstanding + len(group))) as connection:
            states = self._planner.states(connection, group, payloads=True)
            later = read_later(self.ledger, connection, self.scope, self.run, {upsert.partition for upsert in group})
            plan = self._planner.plan(group, states, later)
            self.ledger.advance(connection, self.scope, plan.unchanged)
            to_send = plan.to_send
            still_open = self.ledger.still_open(connection, self.scope, self.run.sync, [u.key for u in group])
            self._closing.close(connection, plan, still_open, but={upsert.key for upsert in to_send})
            self.ledger.begin(connection, self.scope, self.run, to_send, self.clock())
            kept = [Record(upsert, Verdict(Outcome.NOT_SENT, _READ_LATER)) for upsert in plan.late]
            self.ledger.keep_open(connection, self.scope, self.run, kept, self.clock())
        for upsert in plan.late:
            self.report.count(upsert, Outcome.NOT_SENT, _READ_LATER)
        self.report.drop(plan.invalid)
        count_settled(self.report, plan)
        return [(upsert, states.get(upsert.key)) for upsert in to_send]

    def _note(self, records: Sequence[Record], outstanding: int) -> None:
        landed = [
            r.upsert.key for r in records if r.verdict.outcome is Outcome.FAILED and r.verdict.status in MAYBE_LANDED
        ]
        with self.turn.transaction(reserve=2 * outstanding) as connection:
            self.ledger.record(connection, self.scope, self.run, records, self.clock())
            self.ledger.doubt(connection, self.scope, landed)
        for record in records:
            self.report.count(record.upsert, record.verdict.outcome, record.verdict.reason)
        self._done += len(records)
        if self.progress is not None:
            self.progress(self._done, self._total)

    def _leave(self, work: Iterable[Upsert], reason: str) -> None:
        """The account was stopped: what needs no request is settled, the rest stays open as not sent."""
        rest = list(work)
        with self.ledger.reading() as connection:
            plan = self._planner.plan_now(connection, rest)
        count_settled(self.report, plan)
        self.report.drop(plan.invalid)
        self._keep_back(plan.to_send, reason)

    def _keep_back(self, upserts: Iterable[Upsert], reason: str) -> None:
        """Nothing of this is sent, nor is anything taken away: it stays open in the ledger."""
        self.report.stopped = reason
        if self._remover is not None:
            self._remover.leave(reason)
        records = [Record(upsert, Verdict(Outcome.NOT_SENT, reason)) for upsert in upserts]
        with self.ledger.engine.begin() as connection:
            self.ledger.keep_open(connection, self.scope, self.run, records, self.clock())
        for record in records:
            self.report.count(record.upsert, record.verdict.outcome, record.verdict.reason)

    def _group_size(self) -> int:
        per_second = min((window.requests / window.seconds for window in self.limits.windows), default=_LARGEST_GROUP)
        requests = max(1, min(_LARGEST_GROUP, int(per_second * _GROUP_S)))
        return requests * self.destination.batch_size
