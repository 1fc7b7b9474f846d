"""What people decided: holds, first contacts, acknowledged partitions, overrides; each is written down for good.

Functions over a connection.
"""

from __future__ import annotations

import getpass
from collections.abc import Collection, Mapping

import orjson
from sqlalchemy import Connection, func, select

from pipelines.delivery.ledger import schema
from pipelines.delivery.ledger.database import Database
from pipelines.delivery.ledger.records import Acknowledged, Hold, Scope


def decide(connection: Connection, what: str, subject: str, reason: str, now: float, *, run: str = "") -> None:
    """Write down a decision about a sync or an account; `what` as in the table's comment."""
    connection.execute(
        schema.decisions.insert().values(at=now, what=what, sync=subject, who=who(), reason=reason, run=run)
    )


def hold_of(connection: Connection, sync: str) -> Hold | None:
    """The sync's hold, if it has one."""
    table = schema.holds
    row = connection.execute(select(table.c.since, table.c.who, table.c.reason).where(table.c.sync == sync)).first()
    return Hold(*row) if row else None


def all_holds(connection: Connection) -> dict[str, Hold]:
    """The syncs that are held, by name."""
    table = schema.holds
    rows = connection.execute(select(table.c.sync, table.c.since, table.c.who, table.c.reason).order_by(table.c.sync))
    return {sync: Hold(*held) for sync, *held in map(tuple, rows)}


def hold(ledger: Database, connection: Connection, sync: str, reason: str, now: float) -> None:
    """Keep the sync from sending until it is released."""
    ledger.put(connection, schema.holds, [{"sync": sync, "since": now, "who": who(), "reason": reason}])
    decide(connection, "hold", sync, reason, now)


def release(connection: Connection, sync: str, now: float) -> bool:
    """Let the sync send again; False: it was not held."""
    gone = connection.execute(schema.holds.delete().where(schema.holds.c.sync == sync)).rowcount
    if gone:
        decide(connection, "release", sync, "", now)
    return bool(gone)


def all_acknowledged(connection: Connection) -> dict[str, list[Acknowledged]]:
    """What was acknowledged, by sync, oldest partition first, whether it still holds or not."""
    table = schema.acknowledged
    columns = (table.c.partition, table.c.tried, table.c.since, table.c.who, table.c.reason)
    found: dict[str, list[Acknowledged]] = {}
    for sync, *noted in map(tuple, connection.execute(select(table.c.sync, *columns).order_by(table.c.partition))):
        found.setdefault(sync, []).append(Acknowledged(*noted))
    return found


def acknowledge(
    ledger: Database, connection: Connection, sync: str, tried: Mapping[str, str], *, reason: str, now: float
) -> None:
    """Put up with the trouble of these partitions of a sync, as long as `tried` stays what it is."""
    noted = {"sync": sync, "since": now, "who": who(), "reason": reason}
    ledger.put(connection, schema.acknowledged, [{**noted, "partition": one, "tried": tried[one]} for one in tried])
    decide(connection, "acknowledge", sync, f"{_listed(tried)}: {reason}", now)


def withdraw(connection: Connection, sync: str, partitions: Collection[str], now: float) -> list[str]:
    """Put up with these partitions no longer; returns those that were acknowledged."""
    found = [one.partition for one in all_acknowledged(connection).get(sync, []) if one.partition in partitions]
    if found:
        table = schema.acknowledged
        connection.execute(table.delete().where(table.c.sync == sync, table.c.partition.in_(found)))
        decide(connection, "withdraw", sync, _listed(found), now)
    return found


def _listed(partitions: Collection[str]) -> str:
    ordered = sorted(partitions)
    return ordered[0] if len(ordered) == 1 else f"{len(ordered)} partitions, {ordered[0]} to {ordered[-1]}"


def has_contact(connection: Connection, scope: Scope, sync: str) -> bool:
    """Whether somebody has looked at what stood at the account before this sync wrote to it."""
    table = schema.contacts
    wanted = (table.c.scope == scope.id, table.c.sync == sync)
    return connection.scalar(select(func.count()).select_from(table).where(*wanted)) == 1


def make_contact(
    ledger: Database,
    connection: Connection,
    scope: Scope,
    sync: str,
    *,
    policy: str,
    found: Mapping[str, int],
    now: float,
) -> None:
    """The sync may write from now on; `policy` and `found` as in the table's comments."""
    row = {"scope": scope.id, "sync": sync, "since": now, "policy": policy, "found": orjson.dumps(dict(found)).decode()}
    ledger.put(connection, schema.contacts, [row])
    decide(connection, "adopt", sync, f"{policy}: {row['found']}", now)


def who() -> str:
    """The login name of whoever runs this process, as far as the machine knows."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
