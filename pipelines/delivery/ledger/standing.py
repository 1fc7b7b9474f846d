"""What standing checks ask: what a sync has delivered, what has been open for long. Functions over a connection."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from pipelines.delivery.ledger import schema
from pipelines.delivery.ledger.records import Scope

_ADOPTED = "adopt:%"
_KEPT = "keep"


@dataclass(frozen=True, slots=True)
class LongOpen:
    """What is open since `since` (Unix seconds), and why."""

    key: str
    partition: str
    outcome: str
    reason: str
    tries: int
    since: float


def delivered_keys(connection: Connection, scope: Scope, sync: str, most: int | None) -> dict[str, str]:
    """The keys at which the sync's own values stand, each with its partition: at most so many, drawn by lot.

    Left out is what was taken away since, and, where first contact was made under the policy `keep`, what nobody has
    sent yet: there something else stands on purpose.
    """
    table, contacts = schema.state, schema.contacts
    query = select(table.c.key, table.c.partition).where(
        table.c.scope == scope.id, table.c.sync == sync, table.c.removed_at.is_(None)
    )
    policy = select(contacts.c.policy).where(contacts.c.scope == scope.id, contacts.c.sync == sync)
    if connection.scalar(policy) == _KEPT:
        query = query.where(table.c.run.not_like(_ADOPTED))
    query = query.order_by(table.c.key) if most is None else query.order_by(func.random()).limit(most)
    return dict(map(tuple, connection.execute(query)))


def long_open(connection: Connection, scope: Scope, sync: str, before: float, most: int) -> tuple[list[LongOpen], int]:
    """What has been open since before that time (Unix seconds), the oldest first, and how much there is in all."""
    table = schema.open_outcomes
    wanted = (table.c.scope == scope.id, table.c.sync == sync, table.c.first_at < before)
    total = connection.scalar(select(func.count()).select_from(table).where(*wanted)) or 0
    rows = connection.execute(select(table).where(*wanted).order_by(table.c.first_at, table.c.key).limit(most))
    return [LongOpen(row.key, row.partition, row.outcome, row.reason, row.tries, row.first_at) for row in rows], total
