"""A delivery: plan, turn, attempts, sends, outcomes, ledger. The order of these is what the promises rest on.

Inside the turn nobody else sends for the account, so a group's plan is made again there from the state as it is now;
its attempts are committed before its first request leaves, and its results as the answers arrive. Whatever kills the
process leaves attempts behind, which the next holder of the turn settles by reading back.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from pipelines.delivery.caller import MAYBE_LANDED, STOPS, Caller
from pipelines.delivery.cycles import no_cycles
from pipelines.delivery.destination import Destination, Found, Limits, Ordered, Reducing, Remarking, Remembering
from pipelines.delivery.errors import AccountUnavailable
from pipelines.delivery.fingerprint import fingerprint
from pipelines.delivery.gates import Gates
from pipelines.delivery.ledger import Attempt, Ledger, Record, Run, Scope, State, Turn
from pipelines.delivery.ledger.reads import note_done, note_reads, read_later
from pipelines.delivery.leftovers import Settled, read_back_all
from pipelines.delivery.plan import Plan, make_plan
from pipelines.delivery.removal import Remover, Vanishing
from pipelines.delivery.report import Report
from pipelines.delivery.sender import Sender
from pipelines.delivery.upsert import Built, Dropped, Outcome, Payload, Upsert, Verdict

_LOOK_UP = 20_000
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
    _newest: Mapping[str, str] = field(default_factory=dict)
    _ranks: Mapping[str, int] = field(default_factory=dict)
    _total: int = 0
    _done: int = 0
    _remover: Remover | None = None

    async def deliver(
        self, built: Built, newest: Mapping[str, str] | None = None, vanishing: Vanishing | None = None
    ) -> Report:
        """Bring the account up to what was built; account for every row of it.

        Args:
            built: The upserts of the run's partitions, and the rows that became none.
            newest: Newest `as_of` per key among stored readings that are not part of this run.
            vanishing: Tells which keys the source no longer has, where those are to be taken away.
        """
        self._newest = newest or {}
        self.report.drop(built.dropped)
        read = {*self.run.partitions, *(upsert.partition for upsert in built.upserts)}
        if not self.dry:
            with self.ledger.engine.begin() as connection:
                note_reads(self.ledger, connection, self.scope, self.run, read)
        with no_cycles(), self.ledger.reading() as connection:
            # Before the states: what is answered in between is in one of the two.
            attempts = self.ledger.attempts(connection, self.scope, self.run.sync)
            states = self._states(connection, built.upserts)
            plan = self._plan(built.upserts, states)
            parked = self._park(connection, plan.to_send)
            plan = plan.without(parked)
            vanished = self._find_vanished(connection, vanishing, attempts)
            barred = self._closed(connection) or self._over_ceilings(connection, plan, vanished)
        self.report.drop(plan.invalid)
        if self.dry:
            self._count_settled(plan)
            self._count_dry(plan, vanished, barred)
            return self.report
        self._renew(plan, states)
        attempted = {attempt.upsert.key for attempt in attempts}
        if barred:
            self._count_settled(plan, but=attempted)
            kept = plan.to_send + [upsert for upsert in plan.unchanged if upsert.key in attempted]
            if kept or vanished:
                self._keep_back(kept, barred)
            return self.report
        # Unchanged, but not settled yet: seen at a newer time, or attempted since with an answer nobody knows.
        open_keys = attempted | {u.key for u in plan.unchanged if u.key in states and states[u.key].as_of < u.as_of}
        work = plan.to_send + [upsert for upsert in plan.unchanged if upsert.key in open_keys]
        self._count_settled(plan, but=open_keys)
        self._total = len(work)
        if work or attempts or vanished:
            await self._in_turns(deque(work))
        if isinstance(self.destination, Remarking):
            self.report.notes.extend(self.destination.notes)
        self._close_settled(plan, but={*open_keys, *parked, *(upsert.key for upsert in plan.to_send)})
        with self.ledger.engine.begin() as connection:
            note_done(self.ledger, connection, self.scope, self.run, read - self.report.unsettled)
        return self.report

    # -- planning

    def _states(self, connection: Connection, upserts: Sequence[Upsert], *, payloads: bool = False) -> dict[str, State]:
        """The states of the upserts' keys, with payloads where these are asked for or have to be compared."""
        newest = _newest(upserts)
        keys = list(newest)
        states: dict[str, State] = {}
        for start in range(0, len(keys), _LOOK_UP):
            found = self.ledger.states(connection, self.scope, keys[start : start + _LOOK_UP], payloads=payloads)
            if not payloads:
                differ = [key for key, state in found.items() if not state.is_marked(newest[key].fingerprint)]
                found |= self.ledger.states(connection, self.scope, differ, payloads=True) if differ else {}
            states |= found
        return states

    def _plan(
        self, upserts: Iterable[Upsert], states: Mapping[str, State], later: Mapping[str, bool] | None = None
    ) -> Plan:
        return make_plan(
            upserts,
            states,
            sync=self.run.sync,
            normalise=self.destination.normalise,
            newest=self._newest,
            resend_before=self.resend_before,
            read_later=later,
        )

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

    def _closed(self, connection: Connection) -> str:
        """Why the sync may send nothing at all; empty: it may."""
        return self.gates.closed(connection) if self.gates is not None else ""

    def _over_ceilings(self, connection: Connection, plan: Plan, vanished: int) -> str:
        """Why this plan may not be sent; empty: it may."""
        exceeded = self.gates.broken_ceilings(connection, plan, vanished) if self.gates is not None else ""
        if self.gates is None or not exceeded:
            return ""
        if not self.gates.override:
            return self.gates.stopped_by(exceeded)
        self.report.notes.append(f"ceilings overridden ({self.gates.override}): {exceeded}")
        if not self.dry:
            self.gates.record_override(exceeded, self.clock())
        return ""

    def _park(self, connection: Connection, upserts: Sequence[Upsert]) -> set[str]:
        """The keys whose upsert was rejected too often as it is; those upserts are accounted for here."""
        if self.gates is None or self.resend_before is not None:
            return set()
        parked = self.gates.park(connection, upserts)
        self.report.drop(parked)
        return {dropped.key for dropped in parked if dropped.key is not None}

    def _renew(self, plan: Plan, states: Mapping[str, State]) -> None:
        """What is unchanged, but fingerprinted by another release or over other fields, gets today's fingerprint."""
        known = [(upsert, states[upsert.key]) for upsert in plan.unchanged if upsert.key in states]
        old = [(upsert, state) for upsert, state in known if not state.is_marked(upsert.fingerprint)]
        if old:
            with self.ledger.engine.begin() as connection:
                self.ledger.renew(connection, self.scope, old)

    def _count_settled(self, plan: Plan, but: Iterable[str] = ()) -> None:
        later = set(but)
        for upsert in plan.superseded:
            self.report.count(upsert, Outcome.SUPERSEDED)
        for upsert in plan.unchanged:
            if upsert.key not in later:
                self.report.count(upsert, Outcome.UNCHANGED)

    def _count_dry(self, plan: Plan, vanished: int, barred: str) -> None:
        for verb, upserts in (("create", plan.create), ("update", plan.update), ("send again", plan.again)):
            for upsert in upserts:
                self.report.count(upsert, Outcome.NOT_SENT, f"dry: would {verb}")
        if vanished:
            self.report.notes.append(f"dry: {vanished} keys have vanished from the source and would be taken away")
        if barred:
            self.report.notes.append(f"dry: a real run would send nothing: {barred}")

    # -- sending

    async def _in_turns(self, work: deque[Upsert]) -> None:
        first = more = True
        while work or more:
            try:
                async with self.turn.hold():
                    if first:
                        self._remind()
                    # Whoever had the turn since may have died in it.
                    work = await self._settle_leftovers(work)
                    if first:
                        work = await self._vet(self._see_unchanged(work))
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
        for start in range(0, len(upserts), _LOOK_UP):
            group = upserts[start : start + _LOOK_UP]
            with self.turn.transaction(reserve=_PREPARATION_REQUESTS) as connection:
                plan = self._plan(group, self._states(connection, group))
                sent = {upsert.key for upsert in plan.to_send}
                settled = Plan(unchanged=[upsert for upsert in plan.unchanged if upsert.key not in sent])
                self.ledger.advance(connection, self.scope, settled.unchanged)
                still_open = self.ledger.still_open(connection, self.scope, self.run.sync)
                self._close(connection, settled, still_open, but=())
            self._count_settled(settled)
            done = {id(upsert) for upsert in settled.unchanged}
            rest.extend(upsert for upsert in group if id(upsert) not in done)
        return rest

    async def _take_away(self) -> bool:
        """Some of the vanished keys; whether there are more."""
        return self._remover is not None and await self._remover.remove(most=self._group_size())

    async def _settle_leftovers(self, work: deque[Upsert]) -> deque[Upsert]:
        """Settle what an earlier holder of the turn left behind; what stays unknown is not sent on top of it."""
        with self.turn.transaction(reserve=_PREPARATION_REQUESTS) as connection:
            attempts = self.ledger.attempts(connection, self.scope, self.run.sync)
        settled = await read_back_all(self.destination, self.caller, attempts, self.limits.in_flight)
        self._record_settled(settled, len(attempts))
        unsettled = settled.unknown
        for upsert in work:
            if upsert.key in unsettled:
                self.report.count(upsert, Outcome.UNKNOWN, unsettled[upsert.key])
        return deque(upsert for upsert in work if upsert.key not in unsettled)

    def _record_settled(self, settled: Settled, attempts: int) -> None:
        if not attempts:
            return
        with self.turn.transaction(reserve=_PREPARATION_REQUESTS) as connection:
            old = self._states(connection, [record.upsert for record in settled.records], payloads=True)
            records = [
                replace(record, old=old[record.upsert.key].payload) if record.upsert.key in old else record
                for record in settled.records
            ]
            self.ledger.record(connection, self.scope, self.run, records, self.clock())
            doubtful = [key for key, stands in settled.stands.items() if key in old and stands != self._mark(old[key])]
            self.ledger.doubt(connection, self.scope, doubtful)
        self.report.notes.append(f"{attempts} upserts of an earlier run had no answer: {settled}")

    def _mark(self, state: State) -> str:
        """The state's fingerprint as this release makes it, over the fields that count today."""
        if not state.fingerprint or state.payload is None:
            return state.fingerprint
        return fingerprint(self.destination.normalise(state.payload))

    def _remind(self) -> None:
        """Tell the destination what was accepted before, if it wants to know."""
        if isinstance(self.destination, Remembering):
            with self.ledger.reading() as connection:
                accepted = self.ledger.accepted(connection, self.scope, self.run.sync)
            self.destination.remember({key: Found(*one) for key, one in accepted.items()})

    async def _vet(self, work: deque[Upsert]) -> deque[Upsert]:
        """Let the destination check what only the API knows, before the first write."""
        with self.ledger.reading() as connection:
            to_send = self._plan(work, self._states(connection, list(work))).to_send
        if self.caller.stopped is not None or not to_send:
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
        return self._ranked(self._reduced([upsert for upsert in work if upsert.key not in refused]))

    def _reduced(self, work: list[Upsert]) -> list[Upsert]:
        """The upserts as far as they can be sent; what was parked in that form is left out."""
        if not isinstance(self.destination, Reducing):
            return work
        reduced = [self._sendable(upsert, self.destination.sendable(upsert)) for upsert in work]
        other = [after for after, before in zip(reduced, work, strict=True) if after is not before]
        with self.ledger.reading() as connection:
            parked = self._park(connection, other)
        return [upsert for upsert in reduced if upsert.key not in parked]

    def _sendable(self, upsert: Upsert, payload: Payload) -> Upsert:
        if payload is upsert.payload:
            return upsert
        return upsert._replace(payload=payload, fingerprint=fingerprint(self.destination.normalise(payload)))

    def _ranked(self, work: list[Upsert]) -> deque[Upsert]:
        if isinstance(self.destination, Ordered):
            self._ranks = self.destination.ranks(work)
            work.sort(key=lambda upsert: self._ranks.get(upsert.key, 0))
        return deque(work)

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
            later = read_later(self.ledger, connection, self.scope, self.run, {upsert.partition for upsert in group})
            plan = self._plan(group, states, later)
            self.ledger.advance(connection, self.scope, plan.unchanged)
            to_send = plan.to_send
            still_open = self.ledger.still_open(connection, self.scope, self.run.sync, [u.key for u in group])
            self._close(connection, plan, still_open, but={upsert.key for upsert in to_send})
            self.ledger.begin(connection, self.scope, self.run, to_send, self.clock())
            kept = [Record(upsert, Verdict(Outcome.NOT_SENT, _READ_LATER)) for upsert in plan.late]
            self.ledger.keep_open(connection, self.scope, self.run, kept, self.clock())
        for upsert in plan.late:
            self.report.count(upsert, Outcome.NOT_SENT, _READ_LATER)
        self.report.drop(plan.invalid)
        self._count_settled(plan)
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
            plan = self._plan(rest, self._states(connection, rest))
        self._count_settled(plan)
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

    def _close_settled(self, plan: Plan, but: Collection[str]) -> None:
        """What was open at keys that are now unchanged or superseded needs nobody any more; `but`: planned anew."""
        with self.ledger.reading() as connection:
            still_open = self.ledger.still_open(connection, self.scope, self.run.sync)
        if still_open:
            with self.ledger.engine.begin() as connection:
                self._close(connection, plan, still_open, but)

    def _close(self, connection: Connection, plan: Plan, still_open: Mapping[str, str], but: Collection[str]) -> None:
        """Close what is open at keys that are settled by now; what is open of a later time is another matter."""
        settled: dict[str, str] = {}
        for upsert in (*plan.unchanged, *plan.superseded):
            if upsert.key not in but:
                settled[upsert.key] = max(upsert.as_of, settled.get(upsert.key, ""))
        keys = [key for key, as_of in still_open.items() if as_of <= settled.get(key, "")]
        self.ledger.close_outcomes(connection, self.scope, keys)


def _newest(upserts: Sequence[Upsert]) -> dict[str, Upsert]:
    """Of each key the upsert with the newest time."""
    newest = {upsert.key: upsert for upsert in upserts}
    if len(newest) < len(upserts):
        for upsert in upserts:
            if upsert.as_of > newest[upsert.key].as_of:
                newest[upsert.key] = upsert
    return newest
