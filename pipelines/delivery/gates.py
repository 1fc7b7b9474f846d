"""What may keep a plan from being sent: a hold, a first contact that nobody has made, a ceiling, a parked upsert.

Gates are asked before the first request, about the whole plan. What they keep back is `not_sent`, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

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
class Ceilings:
    """What one plan may do at most; None: no bound."""

    created: Ceiling | None = None
    changed: Ceiling | None = None
    removed: Ceiling | None = field(default_factory=lambda: Ceiling(percent=10, count=100))

    def exceeded(self, wanted: Mapping[str, int], known: int) -> str:
        """Which ceilings `wanted` (counts by the names above) would break, as a sentence; empty: none."""
        said = []
        for name, count in wanted.items():
            ceiling: Ceiling | None = getattr(self, name)
            if ceiling is not None and count > ceiling.allowed(known):
                said.append(f"{count} keys would be {name}, the ceiling is {ceiling} ({ceiling.allowed(known):g} here)")
        return "; ".join(said)

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
        held = hold_of(connection, self.run.sync)
        if held is not None:
            since = datetime.fromtimestamp(held.since, UTC).strftime("%Y-%m-%d %H:%M UTC")
            return (
                f"held since {since} by {held.who}: {held.reason or 'no reason given'}. "
                f"`pipelines release {self.run.sync}` lets it send again."
            )
        if self.scope.mode == "live" and not has_contact(connection, self.scope, self.run.sync):
            return (
                f"first contact with account {self.scope.account}: nothing is sent before somebody has seen what "
                f"stands there. `pipelines adopt {self.run.sync}` reads the account, shows it and lets the sync send."
            )
        return ""

    def over_ceilings(
        self, connection: Connection, plan: Plan, removals: int, report: Report, *, dry: bool, now: float
    ) -> str:
        """Why this plan may not be sent; empty: it may. An override that is needed is told and written down."""
        exceeded = self._exceeded(connection, plan, removals)
        if not exceeded:
            return ""
        if not self.override:
            return (
                f"stopped by a ceiling before the first request: {exceeded}. If that is right, run it again with "
                '`override_ceilings: "why"` in the run\'s config.'
            )
        report.notes.append(f"ceilings overridden ({self.override}): {exceeded}")
        if not dry:
            with self.ledger.engine.begin() as writing:
                reason = f"{self.override} ({exceeded})"
                decide(writing, "override", self.run.sync, reason, now, run=self.run.id)
        return ""

    def _exceeded(self, connection: Connection, plan: Plan, removals: int) -> str:
        """Which ceilings the plan breaks, as a sentence; empty: none."""
        wanted = {"created": len(plan.create), "changed": len(plan.update), "removed": removals}
        if not any(wanted.values()):
            return ""
        known = count_known(connection, self.scope, self.run.sync) if self.ceilings.need_known else 0
        return self.ceilings.exceeded(wanted, known)

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
