"""A run's plans: made as often as what was accepted may have changed, from no more of the ledger than they need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection

from pipelines.delivery.destination import Destination
from pipelines.delivery.fingerprint import fingerprint
from pipelines.delivery.ledger import Ledger, Run, Scope, State
from pipelines.delivery.plan import Plan, make_plan
from pipelines.delivery.upsert import Upsert

LOOK_UP = 20_000
"""Keys that are looked up at once."""


@dataclass(slots=True)
class Planner:
    """Plans one run's upserts. `newest`: newest `as_of` per key among stored readings that are not part of the run."""

    run: Run
    ledger: Ledger
    scope: Scope
    destination: Destination
    resend_before: float | None = None
    newest: Mapping[str, str] = field(default_factory=dict)

    def states(self, connection: Connection, upserts: Sequence[Upsert], *, payloads: bool = False) -> dict[str, State]:
        """The states of the upserts' keys, with payloads where these are asked for or have to be compared."""
        newest = _newest(upserts)
        keys = list(newest)
        states: dict[str, State] = {}
        for start in range(0, len(keys), LOOK_UP):
            found = self.ledger.states(connection, self.scope, keys[start : start + LOOK_UP], payloads=payloads)
            if not payloads:
                differ = [key for key, state in found.items() if not state.is_marked(newest[key].fingerprint)]
                found |= self.ledger.states(connection, self.scope, differ, payloads=True) if differ else {}
            states |= found
        return states

    def plan(
        self, upserts: Iterable[Upsert], states: Mapping[str, State], later: Mapping[str, bool] | None = None
    ) -> Plan:
        """Compare upserts with these states. `later`: partitions that another run has read since, see `make_plan`."""
        return make_plan(
            upserts,
            states,
            sync=self.run.sync,
            normalise=self.destination.normalise,
            newest=self.newest,
            resend_before=self.resend_before,
            read_later=later,
        )

    def plan_now(self, connection: Connection, upserts: Sequence[Upsert]) -> Plan:
        """The plan of the states as they are now."""
        return self.plan(upserts, self.states(connection, upserts))

    def renew(self, plan: Plan, states: Mapping[str, State]) -> None:
        """What is unchanged, but fingerprinted by another release or over other fields, gets today's fingerprint."""
        known = [(upsert, states[upsert.key]) for upsert in plan.unchanged if upsert.key in states]
        old = [(upsert, state) for upsert, state in known if not state.is_marked(upsert.fingerprint)]
        if old:
            with self.ledger.engine.begin() as connection:
                self.ledger.renew(connection, self.scope, old)

    def mark(self, state: State) -> str:
        """The state's fingerprint as this release makes it, over the fields that count today."""
        if not state.fingerprint or state.payload is None:
            return state.fingerprint
        return fingerprint(self.destination.normalise(state.payload))


def _newest(upserts: Sequence[Upsert]) -> dict[str, Upsert]:
    """Of each key the upsert with the newest time."""
    newest = {upsert.key: upsert for upsert in upserts}
    if len(newest) < len(upserts):
        for upsert in upserts:
            if upsert.as_of > newest[upsert.key].as_of:
                newest[upsert.key] = upsert
    return newest
