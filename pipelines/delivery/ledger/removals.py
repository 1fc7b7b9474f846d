"""Keys that the source no longer has: what is known of a sync, and what was taken away. Functions over a connection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, delete, func, select, update

from pipelines.delivery.ledger import schema
from pipelines.delivery.ledger.database import Database
from pipelines.delivery.ledger.records import Known, Run, Scope
from pipelines.delivery.ledger.store import Ledger
from pipelines.delivery.upsert import ACCEPTED, Outcome, Payload, Verdict

REMOVED = "removed"
REMOVAL_FAILED = "removal_failed"


@dataclass(frozen=True, slots=True)
class Removal:
    """A key that is to be taken away, with what was last accepted there."""

    key: str
    partition: str
    as_of: str
    payload: Payload
    fingerprint: str


def known_keys(
    ledger: Database, connection: Connection, scope: Scope, sync: str, partitions: Sequence[str] | None
) -> list[Known]:
    """What the sync has delivered and not removed, of these partitions or of all."""
    table = schema.state
    wanted = [table.c.scope == scope.id, table.c.sync == sync, table.c.removed_at.is_(None)]
    if partitions is not None:
        wanted.append(ledger.among(table.c.partition, partitions))
    rows = connection.execute(select(table.c.key, table.c.partition).where(*wanted))
    return [Known(*row) for row in map(tuple, rows)]


def count_known(connection: Connection, scope: Scope, sync: str) -> int:
    """How many keys the sync has delivered and not removed."""
    table = schema.state
    wanted = (table.c.scope == scope.id, table.c.sync == sync, table.c.removed_at.is_(None))
    return connection.scalar(select(func.count()).select_from(table).where(*wanted)) or 0


def begin_removals(ledger: Ledger, connection: Connection, scope: Scope, keys: Sequence[str]) -> list[Removal]:
    """Those of the keys that still stand, with their last accepted payload.

    From here on nobody can tell what stands there, until `record_removals`: should the key come back to the source, it
    is sent whatever it says.
    """
    table = schema.state
    rows = connection.execute(
        select(
            table.c.key,
            table.c.partition,
            table.c.as_of,
            table.c.payload,
            table.c.fingerprint,
        ).where(table.c.scope == scope.id, ledger.among(table.c.key, keys), table.c.removed_at.is_(None))
    ).all()
    removals = [Removal(row.key, row.partition, row.as_of, orjson.loads(row.payload), row.fingerprint) for row in rows]
    ledger.doubt(connection, scope, [one.key for one in removals])
    return removals


def record_removals(
    ledger: Database,
    connection: Connection,
    scope: Scope,
    run: Run,
    done: Sequence[tuple[Removal, Verdict]],
    *,
    now: float,
) -> None:
    """Write down what became of removals.

    The state of a key that is gone stays as a tombstone, so that an older reading does not bring it back. A key that
    still stands is an open outcome; where the API certainly did nothing, the ledger knows again what stands there.
    """
    gone = [one for one in done if one[1].outcome in ACCEPTED]
    if gone:
        keys = [removal.key for removal, _ in gone]
        state, still_open = schema.state, schema.open_outcomes
        connection.execute(
            update(state)
            .where(state.c.scope == scope.id, ledger.among(state.c.key, keys))
            .values(removed_at=now, run=run.id)
        )
        connection.execute(
            delete(still_open).where(still_open.c.scope == scope.id, ledger.among(still_open.c.key, keys))
        )
        connection.execute(schema.deliveries.insert(), [_delivery(scope, run, *one, now) for one in gone])
    untouched = [one for one, verdict in done if verdict.outcome in {Outcome.REJECTED, Outcome.NOT_SENT}]
    if untouched:
        connection.execute(
            update(schema.state)
            .where(schema.state.c.scope == scope.id, schema.state.c.key == bindparam("k"))
            .values(fingerprint=bindparam("f")),
            [{"k": one.key, "f": one.fingerprint} for one in untouched],
        )
    failed = [_open(scope, run, *one, now) for one in done if one[1].outcome not in ACCEPTED]
    ledger.put(connection, schema.open_outcomes, failed, keep=("first_at",), add=("tries",))


def _delivery(scope: Scope, run: Run, removal: Removal, verdict: Verdict, now: float) -> dict[str, Any]:
    return {
        **_common(scope, run, removal, verdict),
        "outcome": REMOVED,
        "old": orjson.dumps(removal.payload).decode(),
        "new": "null",
        "rows": "[]",
        "config": run.config,
        "at": now,
    }


def _open(scope: Scope, run: Run, removal: Removal, verdict: Verdict, now: float) -> dict[str, Any]:
    return {
        **_common(scope, run, removal, verdict),
        "outcome": REMOVAL_FAILED,
        "reason": verdict.reason,
        "payload": orjson.dumps(removal.payload).decode(),
        "tries": 1,
        "first_at": now,
        "last_at": now,
        "fingerprint": "",
        "same": 0,
    }


def _common(scope: Scope, run: Run, removal: Removal, verdict: Verdict) -> dict[str, Any]:
    return {
        "scope": scope.id,
        "sync": run.sync,
        "key": removal.key,
        "partition": removal.partition,
        "as_of": removal.as_of,
        "status": verdict.status,
        "run": run.id,
    }
