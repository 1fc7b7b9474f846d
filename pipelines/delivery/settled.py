"""What a plan settles without a request: counted in the report, and closed in the ledger where it was open."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection

from pipelines.delivery.ledger import Ledger, Scope
from pipelines.delivery.plan import Plan
from pipelines.delivery.report import Report
from pipelines.delivery.upsert import Outcome


def count_settled(report: Report, plan: Plan, but: Iterable[str] = ()) -> None:
    """Count what is superseded, and what is unchanged but for these keys."""
    later = set(but)
    for upsert in plan.superseded:
        report.count(upsert, Outcome.SUPERSEDED)
    for upsert in plan.unchanged:
        if upsert.key not in later:
            report.count(upsert, Outcome.UNCHANGED)


def count_dry(report: Report, plan: Plan, vanished: int, barred: str) -> None:
    """Count what a real run would do, or why it would do nothing."""
    for verb, upserts in (("create", plan.create), ("update", plan.update), ("send again", plan.again)):
        for upsert in upserts:
            report.count(upsert, Outcome.NOT_SENT, f"dry: would {verb}")
    if vanished:
        report.notes.append(f"dry: {vanished} keys have vanished from the source and would be taken away")
    if barred:
        report.notes.append(f"dry: a real run would send nothing: {barred}")


@dataclass(frozen=True, slots=True)
class Closing:
    """Closes open outcomes of a sync at keys that need nobody any more."""

    ledger: Ledger
    scope: Scope
    sync: str

    def close_settled(self, plan: Plan, but: Collection[str]) -> None:
        """What was open at keys that are now unchanged or superseded; `but`: keys that were planned anew."""
        with self.ledger.reading() as connection:
            still_open = self.ledger.still_open(connection, self.scope, self.sync)
        if still_open:
            with self.ledger.engine.begin() as connection:
                self.close(connection, plan, still_open, but)

    def close(
        self, connection: Connection, plan: Plan, still_open: Mapping[str, str], but: Collection[str] = ()
    ) -> None:
        """Close what is open at keys that are settled by now; what is open of a later time is another matter."""
        done: dict[str, str] = {}
        for upsert in (*plan.unchanged, *plan.superseded):
            if upsert.key not in but:
                done[upsert.key] = max(upsert.as_of, done.get(upsert.key, ""))
        keys = [key for key, as_of in still_open.items() if as_of <= done.get(key, "")]
        self.ledger.close_outcomes(connection, self.scope, keys)
