"""What is open in a few words per sync, however many keys it is. Functions over a connection."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from pipelines.delivery.ledger import schema
from pipelines.delivery.ledger.people import all_holds, has_contact
from pipelines.delivery.ledger.queries import PARKED
from pipelines.delivery.ledger.records import Hold, Scope
from pipelines.delivery.ledger.scopes import current_scope
from pipelines.delivery.upsert import Outcome


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sync delivers to: only what is open there concerns it.

    `park_after` as in the sync. `without`: partitions of which nothing is told.
    """

    sync: str
    account: str
    mode: str
    park_after: int | None = 3
    without: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class OpenGroup:
    """Keys that are open for the same kind of reason.

    `outcome` is one of the ledger's, or `parked`. `since`: the Unix time of the oldest. `partitions`: those that they
    are of, oldest first. `reason` is the most frequent one, and `key` an example of it.
    """

    outcome: str
    keys: int
    since: float
    partitions: tuple[str, ...]
    reason: str
    key: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """Upserts that were sent and have no answer, nor any other word on them; `since`: the Unix time of the oldest."""

    keys: int
    since: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What the ledger has to say of one sync. `contact`: it may write to its account, if that is asked."""

    open: tuple[OpenGroup, ...] = ()
    unanswered: Unanswered | None = None
    hold: Hold | None = None
    contact: bool = True


def summarise(connection: Connection, place: Place) -> Summary:
    """What is open, unanswered, held or not yet allowed: a handful of queries, whatever the ledger holds."""
    hold = all_holds(connection).get(place.sync)
    scope = current_scope(connection, place.account, place.mode)
    if scope is None:
        return Summary(hold=hold, contact=place.mode != "live")
    return Summary(
        open=tuple(_open(connection, scope, place)),
        unanswered=_unanswered(connection, scope, place.sync),
        hold=hold,
        contact=place.mode != "live" or has_contact(connection, scope, place.sync),
    )


def _open(connection: Connection, scope: Scope, place: Place) -> Iterator[OpenGroup]:
    table = schema.open_outcomes
    ours = (table.c.scope == scope.id, table.c.sync == place.sync, table.c.partition.not_in(sorted(place.without)))
    kind = _kind(place.park_after)
    groups = connection.execute(
        select(
            kind.label("kind"),
            table.c.partition,
            func.count().label("keys"),
            func.min(table.c.first_at).label("since"),
        )
        .where(*ours)
        # By its name: PostgreSQL would take the same expression with parameters of its own for another one.
        .group_by("kind", table.c.partition)
        .order_by("kind", table.c.partition)
    ).all()
    for outcome, some in groupby(groups, lambda group: str(group.kind)):
        found = list(some)
        reason, key = _most_frequent(connection, and_(*ours, kind == outcome))
        keys, since = sum(one.keys for one in found), min(one.since for one in found)
        yield OpenGroup(outcome, keys, since, tuple(one.partition for one in found), reason, key)


def _kind(park_after: int | None) -> ColumnElement[str]:
    table = schema.open_outcomes
    if park_after is None:
        return table.c.outcome
    parked = and_(table.c.outcome == str(Outcome.REJECTED), table.c.same >= park_after)
    return case((parked, PARKED), else_=table.c.outcome)


def _most_frequent(connection: Connection, condition: ColumnElement[bool]) -> tuple[str, str]:
    """The reason of most of the keys, and one of those keys."""
    table = schema.open_outcomes
    row = connection.execute(
        select(table.c.reason, func.min(table.c.key))
        .where(condition)
        .group_by(table.c.reason)
        .order_by(func.count().desc(), table.c.reason)
        .limit(1)
    ).first()
    return (row[0], row[1]) if row else ("", "")


def _unanswered(connection: Connection, scope: Scope, sync: str) -> Unanswered | None:
    table, known = schema.attempts, schema.open_outcomes
    # A run that learnt that it does not know has left an open outcome beside the attempt.
    told = select(known.c.key).where(known.c.scope == table.c.scope, known.c.key == table.c.key).exists()
    wanted = (table.c.scope == scope.id, table.c.sync == sync, ~told)
    keys, since = connection.execute(select(func.count(), func.min(table.c.at)).where(*wanted)).one()
    return Unanswered(keys, since) if keys else None
