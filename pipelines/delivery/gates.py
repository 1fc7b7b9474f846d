"""What may keep a plan from being sent: a hold, a first contact that nobody has made, a ceiling, a parked upsert.

Gates are asked before the first request, about the whole plan. What they keep back is `not_sent`, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from sqlalchemy import Connection

from pipelines.delivery.ledger import Ledger, Parked, Run, Scope
from pipelines.delivery.ledger.people import decide, has_contact, hold_of
from pipelines.delivery.ledger.removals import count_known
from pipelines.delivery.plan import Plan
from pipelines.delivery.report import Report
from pipelines.delivery.upsert import Dropped, Outcome, Upsert


@dataclass(frozen=True, slots=True)
class Ceiling:
    """At most so many keys in one plan: `count`, and `percent` of the keys that the sync has delivered (at least 1).

    A sync that has delivered nothing yet has no percentage of anything: then `count` alone binds.
    """

    percent: float | None = None
    count: int | None = None

    def allowed(self, known: int) -> float:
        """How many keys may be touched where so many are known."""
        allowed = float("inf") if self.count is None else float(self.count)
        if self.percent is not None and known:
            allowed = min(allowed, max(1, int(known * self.percent / 100)))
        return allowed

    def __str__(self) -> str:
        parts = [
            "" if self.count is None else f"{self.count} keys",
            "" if self.percent is None else f"{self.percent:g} % of the keys delivered so far",
        ]
        return " and ".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class Measured:
    """What a plan would do, beside its ceiling; `allowed` None: no bound."""

    name: str
    count: int
    ceiling: Ceiling | None = None
    allowed: float | None = None

    @property
    def exceeded(self) -> bool:
        """Whether the plan would do more than it may."""
        return self.allowed is not None and self.count > self.allowed

    def __str__(self) -> str:
        return f"{self.count} keys would be {self.name}, the ceiling is {self.ceiling} ({self.allowed:g} here)"


class Barrier(StrEnum):
    """What may keep a whole plan back."""

    HOLD = "hold"
    FIRST_CONTACT = "first_contact"
    CEILING = "ceiling"


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a plan may not be sent, and what to do about it."""

    barrier: Barrier
    why: str


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What one plan may do at most; None: no bound."""

    created: Ceiling | None = None
    changed: Ceiling | None = None
    removed: Ceiling | None = field(default_factory=lambda: Ceiling(percent=10, count=100))

    def measure(self, wanted: Mapping[str, int], known: int) -> list[Measured]:
        """`wanted`, counts by the names above, beside the ceilings, where so many keys are known."""
        ceilings: dict[str, Ceiling | None] = {name: getattr(self, name) for name in wanted}
        return [
            Measured(name, count) if (one := ceilings[name]) is None else Measured(name, count, one, one.allowed(known))
            for name, count in wanted.items()
        ]

    @property
    def need_known(self) -> bool:
        """Whether any bound is a percentage."""
        return any(one is not None and one.percent is not None for one in (self.created, self.changed, self.removed))


@dataclass(frozen=True, slots=True)
class Gates:
    """The gates of one sync during one run.

    `override`: the reason why this run may break the ceilings. `park_after`: so many rejections of the same payload
    in a row park an upsert; None: never.
    """

    ledger: Ledger
    scope: Scope
    run: Run
    ceilings: Ceilings = field(default_factory=Ceilings)
    override: str = ""
    park_after: int | None = 3

    def closed(self, connection: Connection) -> str:
        """Why the sync may send nothing at all; empty: it may."""
        return self._held(connection) or self._not_met(connection)

    def _held(self, connection: Connection) -> str:
        held = hold_of(connection, self.run.sync)
        if held is None:
            return ""
        since = datetime.fromtimestamp(held.since, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return (
            f"held since {since} by {held.who}: {held.reason or 'no reason given'}. "
            f"`pipelines release {self.run.sync}` lets it send again."
        )

    def _not_met(self, connection: Connection) -> str:
        if self.scope.mode != "live" or has_contact(connection, self.scope, self.run.sync):
            return ""
        return (
            f"first contact with account {self.scope.account}: nothing is sent before somebody has seen what "
            f"stands there. `pipelines adopt {self.run.sync}` reads the account, shows it and lets the sync send."
        )

    def measure(self, connection: Connection, plan: Plan, removals: int) -> list[Measured]:
        """What the plan would do, beside the ceilings."""
        wanted = {"created": len(plan.create), "changed": len(plan.update), "removed": removals}
        counts = any(wanted.values()) and self.ceilings.need_known
        return self.ceilings.measure(wanted, count_known(connection, self.scope, self.run.sync) if counts else 0)

    def over_ceilings(
        self, connection: Connection, plan: Plan, removals: int, report: Report, *, dry: bool, now: float
    ) -> str:
        """Why this plan may not be sent; empty: it may. An override that is needed is told and written down."""
        exceeded = _exceeded(self.measure(connection, plan, removals))
        if not exceeded:
            return ""
        if not self.override:
            return _stopped_by(exceeded)
        report.notes.append(f"ceilings overridden ({self.override}): {exceeded}")
        if not dry:
            with self.ledger.engine.begin() as writing:
                reason = f"{self.override} ({exceeded})"
                decide(writing, "override", self.run.sync, reason, now, run=self.run.id)
        return ""

    def obstacles(self, connection: Connection, measured: Sequence[Measured]) -> list[Obstacle]:
        """All that would keep the plan back, not only the first of it; an override lets it pass the ceilings."""
        exceeded = "" if self.override else _exceeded(measured)
        found = {
            Barrier.HOLD: self._held(connection),
            Barrier.FIRST_CONTACT: self._not_met(connection),
            Barrier.CEILING: exceeded and _stopped_by(exceeded),
        }
        return [Obstacle(barrier, why) for barrier, why in found.items() if why]

    def park(self, connection: Connection, upserts: Sequence[Upsert]) -> list[Dropped]:
        """Those upserts that were rejected too often as they are, as rejected rows."""
        if self.park_after is None or not upserts:
            return []
        parked = self.ledger.parked(connection, self.scope, self.run.sync, self.park_after)
        return [
            Dropped(Outcome.REJECTED, upsert.partition, upsert.rows, self._parked(parked[upsert.key]), upsert.key)
            for upsert in upserts
            if upsert.key in parked and parked[upsert.key].fingerprint == upsert.fingerprint
        ]

    def _parked(self, parked: Parked) -> str:
        return (
            f"parked after {parked.times} rejections of the same payload: {parked.reason}. It is sent again when its "
            f"source changes, or after `pipelines ledger retry {self.run.sync}`."
        )


def _exceeded(measured: Sequence[Measured]) -> str:
    """Which ceilings would be broken, as a sentence; empty: none."""
    return "; ".join(str(one) for one in measured if one.exceeded)


def _stopped_by(exceeded: str) -> str:
    return (
        f"stopped by a ceiling before the first request: {exceeded}. If that is right, run it again with "
        '`override_ceilings: "why"` in the run\'s config.'
    )
