"""What people ask the ledger: what is open, who was told what, what was decided. Functions over a connection.

What an address or sandbox of the past left open concerns nobody any more; what it was told remains history.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Row, Select, Table, and_, false, func, or_, select, update

from pipelines.delivery.ledger import schema
from pipelines.delivery.ledger.people import decide
from pipelines.delivery.upsert import Outcome

PARKED = "parked"
"""Not an outcome of its own in the ledger: a payload that was rejected too often to be sent again."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records; None: any. `key` is contained in theirs, in capital or small letters; `exact_key` is theirs."""

    sync: str | None = None
    partition: str | None = None
    outcome: str | None = None
    key: str | None = None
    exact_key: str | None = None

    def conditions(self, table: Table) -> list[ColumnElement[bool]]:
        """The same in SQL, but for `outcome`, which is not a column of every table."""
        given = {"sync": self.sync, "partition": self.partition, "key": self.exact_key}
        found: list[ColumnElement[bool]] = [
            table.c[name] == value for name, value in given.items() if value is not None
        ]
        if self.key is not None:
            found.append(table.c.key.icontains(self.key, autoescape=True))
        return found


@dataclass(frozen=True, slots=True)
class Open:
    """What somebody or some later run has to come back to. Times are Unix seconds; `same`: rejected so often as it is.

    `parked`: it waits for another payload.
    """

    account: str
    mode: str
    sync: str
    key: str
    partition: str
    as_of: str
    outcome: str
    reason: str
    status: int | None
    tries: int
    same: int
    first_at: float
    last_at: float
    run: str
    payload: Any
    parked: bool


@dataclass(frozen=True, slots=True)
class Told:
    """A delivery: what an account was told at `at` (Unix seconds), and what stood there before as far as was known."""

    id: int
    account: str
    mode: str
    sync: str
    key: str
    partition: str
    as_of: str
    outcome: str
    status: int | None
    old: Any
    new: Any
    rows: Sequence[int]
    run: str
    config: str
    at: float


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided at `at` (Unix seconds) about a sync or an account; `run` is empty for a command."""

    at: float
    what: str
    about: str
    who: str
    reason: str
    run: str


def find_open(
    connection: Connection, wanted: Wanted, limit: int, *, park_after: Mapping[str, int | None] = MappingProxyType({})
) -> tuple[list[Open], int]:
    """Open outcomes, newest first, at most `limit` of them, and how many there are in all.

    `park_after` says after how many rejections a sync parks a payload; of a sync that is not in it, nothing is parked.
    An `outcome` of `parked` asks for those alone.
    """
    table, scopes = schema.open_outcomes, schema.scopes
    parked = _parked(park_after)
    conditions = wanted.conditions(table)
    if wanted.outcome == PARKED:
        conditions.append(parked)
    elif wanted.outcome is not None:
        conditions.append(table.c.outcome == wanted.outcome)
    query = (
        select(table, scopes.c.account, scopes.c.mode, parked.label("parked"))
        .join(scopes, scopes.c.id == table.c.scope)
        .where(scopes.c.current, *conditions)
    )
    rows, total = _newest(connection, query, table.c.last_at, limit)
    return [_open(row) for row in rows], total


def find_deliveries(connection: Connection, wanted: Wanted, limit: int) -> tuple[list[Told], int]:
    """Deliveries and removals, newest first, at most `limit` of them, and how many there are in all."""
    table, scopes = schema.deliveries, schema.scopes
    conditions = wanted.conditions(table)
    if wanted.outcome is not None:
        conditions.append(table.c.outcome == wanted.outcome)
    query = select(table, scopes.c.account, scopes.c.mode).join(scopes, scopes.c.id == table.c.scope).where(*conditions)
    rows, total = _newest(connection, query, table.c.id, limit)
    return [_told(row) for row in rows], total


def find_decisions(connection: Connection, about: str | None, limit: int) -> tuple[list[Decision], int]:
    """Decisions, newest first, at most `limit` of them, and how many there are in all."""
    table = schema.decisions
    conditions = [table.c.sync == about] if about is not None else []
    rows, total = _newest(connection, select(table).where(*conditions), table.c.id, limit)
    return [Decision(row.at, row.what, row.sync, row.who, row.reason, row.run) for row in rows], total


def unpark(connection: Connection, sync: str, key: str | None, now: float) -> list[str]:
    """Let what was rejected be sent again, whatever it waits for; returns the partitions that hold it, in order.

    Written down as a decision where there was anything; `key` is one key, None: all of the sync's.
    """
    table, scopes = schema.open_outcomes, schema.scopes
    in_use = select(scopes.c.id).where(scopes.c.current)
    conditions = [
        *Wanted(sync, exact_key=key).conditions(table),
        table.c.outcome == str(Outcome.REJECTED),
        table.c.same > 0,
        table.c.scope.in_(in_use),
    ]
    partitions = list(connection.scalars(select(table.c.partition).where(*conditions)))
    if partitions:
        connection.execute(update(table).where(*conditions).values(same=0))
        decide(connection, "retry", sync, f"key {key}" if key else f"{len(partitions)} keys", now)
    return sorted(partitions)


def _newest(
    connection: Connection, query: Select[Any], order: ColumnElement[Any], limit: int
) -> tuple[Sequence[Row[Any]], int]:
    total = connection.scalar(select(func.count()).select_from(query.subquery())) or 0
    return connection.execute(query.order_by(order.desc()).limit(limit)).all(), total


def _parked(park_after: Mapping[str, int | None]) -> ColumnElement[bool]:
    table = schema.open_outcomes
    each = [
        and_(table.c.sync == sync, table.c.same >= after) for sync, after in park_after.items() if after is not None
    ]
    return and_(table.c.outcome == str(Outcome.REJECTED), or_(false(), *each))


def _open(row: Row[Any]) -> Open:
    return Open(
        row.account,
        row.mode,
        row.sync,
        row.key,
        row.partition,
        row.as_of,
        row.outcome,
        row.reason,
        row.status,
        row.tries,
        row.same,
        row.first_at,
        row.last_at,
        row.run,
        orjson.loads(row.payload),
        bool(row.parked),
    )


def _told(row: Row[Any]) -> Told:
    return Told(
        row.id,
        row.account,
        row.mode,
        row.sync,
        row.key,
        row.partition,
        row.as_of,
        row.outcome,
        row.status,
        None if row.old is None else orjson.loads(row.old),
        orjson.loads(row.new),
        orjson.loads(row.rows),
        row.run,
        row.config,
        row.at,
    )
