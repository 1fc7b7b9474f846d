"""Reading and writing the ledger, always in groups: one look-up, one transaction.

Every method that takes a connection runs inside the caller's transaction; `Turn` owns the connection that may write
attempts and results, so that whoever lost the turn cannot write.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, delete, select, update

from pipelines.delivery import fingerprint
from pipelines.delivery.ledger import schema
from pipelines.delivery.ledger.database import Database
from pipelines.delivery.ledger.people import decide
from pipelines.delivery.ledger.records import Attempt, Parked, Record, Run, Scope, State
from pipelines.delivery.ledger.scopes import find_scope, take_address
from pipelines.delivery.upsert import ACCEPTED, OPEN, Outcome, Payload, Upsert


class Ledger(Database):
    """The database behind all syncs; one object per process is enough."""

    def scope(self, account: str, mode: str, address: str, sandbox: str, now: float) -> Scope:
        """The account's state at this address.

        Raises:
            AddressChanged: a live account has state under another address.
        """
        with self.engine.begin() as connection:
            return find_scope(connection, account, mode, address=address, sandbox=sandbox, now=now)

    def confirm_address(self, account: str, address: str, now: float, *, same_tenant: bool) -> bool:
        """Take a live account's new address: with its state, or as a new tenant without any. False: nothing to do."""
        with self.engine.begin() as connection:
            changed = take_address(connection, account, address, now, same_tenant=same_tenant)
            if changed:
                decide(connection, "confirm", account, "same tenant" if same_tenant else "new tenant", now)
            return changed

    def states(self, connection: Connection, scope: Scope, keys: Sequence[str], *, payloads: bool) -> dict[str, State]:
        """What was last accepted at these keys; keys never accepted are absent."""
        table = schema.state
        columns = [
            table.c.key,
            table.c.sync,
            table.c.as_of,
            table.c.fingerprint,
            table.c.fingerprint_version,
            table.c.accepted_at,
            table.c.removed_at,
        ]
        if payloads:
            columns.append(table.c.payload)
        found = connection.execute(select(*columns).where(table.c.scope == scope.id, self.among(table.c.key, keys)))
        rows: list[Any] = [*found.all()]  # at once: one by one takes twice as long
        if not payloads:
            return {
                key: State(sync, as_of, hashed, version, None, at, removed is not None)
                for key, sync, as_of, hashed, version, at, removed in rows
            }
        return {
            key: State(sync, as_of, hashed, version, orjson.loads(payload), at, removed is not None)
            for key, sync, as_of, hashed, version, at, removed, payload in rows
        }

    def accepted(self, connection: Connection, scope: Scope, sync: str) -> dict[str, tuple[Payload, str | None]]:
        """All that was accepted of a sync: key -> the last payload, and the API's own id where its answers tell it."""
        table = schema.state
        rows = connection.execute(
            select(table.c.key, table.c.payload, table.c.remote_id).where(
                table.c.scope == scope.id, table.c.sync == sync
            )
        )
        return {key: (orjson.loads(payload), remote_id) for key, payload, remote_id in map(tuple, rows)}

    def advance(self, connection: Connection, scope: Scope, upserts: Iterable[Upsert]) -> None:
        """Remember that unchanged values were seen at a newer `as_of`: an older, different one may not undo them."""
        table = schema.state
        groups: dict[tuple[str, str], list[str]] = {}
        for upsert in upserts:
            groups.setdefault((upsert.as_of, upsert.partition), []).append(upsert.key)
        for (as_of, partition), keys in groups.items():
            connection.execute(
                update(table)
                .where(table.c.scope == scope.id, self.among(table.c.key, keys), table.c.as_of < as_of)
                .values(as_of=as_of, partition=partition)
            )

    def renew(self, connection: Connection, scope: Scope, upserts: Iterable[tuple[Upsert, State]]) -> None:
        """Give what another release has fingerprinted, and what is unchanged, the fingerprint of this release."""
        table = schema.state
        rows = [
            {"k": upsert.key, "old": state.fingerprint, "was": state.version, "new": upsert.fingerprint}
            for upsert, state in upserts
        ]
        if rows:
            connection.execute(
                update(table)
                .where(
                    table.c.scope == scope.id,
                    table.c.key == bindparam("k"),
                    table.c.fingerprint == bindparam("old"),
                    table.c.fingerprint_version == bindparam("was"),
                )
                .values(fingerprint=bindparam("new"), fingerprint_version=fingerprint.VERSION),
                rows,
            )

    def doubt(self, connection: Connection, scope: Scope, keys: Sequence[str]) -> None:
        """What stands at these keys is not, or need not be, what was last accepted: the next upsert is sent anyway."""
        table = schema.state
        if keys:
            connection.execute(
                update(table).where(table.c.scope == scope.id, self.among(table.c.key, keys)).values(fingerprint="")
            )

    # -- attempts

    def begin(self, connection: Connection, scope: Scope, run: Run, upserts: Sequence[Upsert], now: float) -> None:
        """Commit a group as attempted, before its first request leaves."""
        self.put(
            connection,
            schema.attempts,
            [
                {
                    "scope": scope.id,
                    "key": upsert.key,
                    "sync": run.sync,
                    "as_of": upsert.as_of,
                    "payload": _text(upsert.payload),
                    "fingerprint": upsert.fingerprint,
                    "partition": upsert.partition,
                    "rows": _text(upsert.rows),
                    "run": run.id,
                    "at": now,
                }
                for upsert in upserts
            ],
        )

    def attempts(self, connection: Connection, scope: Scope, sync: str) -> list[Attempt]:
        """Upserts of the sync that were attempted and never answered.

        Whoever holds the turn knows that their sender is gone.
        """
        table = schema.attempts
        rows = connection.execute(select(table).where(table.c.scope == scope.id, table.c.sync == sync)).all()
        return [
            Attempt(
                Upsert(
                    key=row.key,
                    as_of=row.as_of,
                    payload=orjson.loads(row.payload),
                    fingerprint=row.fingerprint,
                    partition=row.partition,
                    rows=tuple(orjson.loads(row.rows)),
                ),
                sync=row.sync,
                run=row.run,
            )
            for row in rows
        ]

    def forget_attempts(self, connection: Connection, scope: Scope, keys: Sequence[str]) -> None:
        """The attempts are settled: they did not arrive, or their result is recorded."""
        table = schema.attempts
        connection.execute(delete(table).where(table.c.scope == scope.id, self.among(table.c.key, keys)))

    # -- results

    def record(self, connection: Connection, scope: Scope, run: Run, records: Sequence[Record], now: float) -> None:
        """Write down what became of a group: state and history for the accepted, open outcomes for the rest.

        An attempt whose outcome is unknown stays, so that the next run settles it by a read-back.
        """
        accepted = [record for record in records if record.verdict.outcome in ACCEPTED]
        still_open = [record for record in records if record.verdict.outcome in OPEN]
        states = [_state_row(scope, run, record, now) for record in accepted]
        self.put(connection, schema.state, states, fill=("remote_id",))
        if accepted:
            connection.execute(
                schema.deliveries.insert(),
                [_delivery_row(scope, run, record, now) for record in accepted],
            )
        self._open(connection, scope, run, still_open, now)
        self.close_outcomes(connection, scope, [record.upsert.key for record in accepted])
        answered = [record.upsert.key for record in records if record.verdict.outcome is not Outcome.UNKNOWN]
        self.forget_attempts(connection, scope, answered)

    def assume(self, connection: Connection, scope: Scope, run: Run, records: Sequence[Record], now: float) -> None:
        """Take upserts for accepted that nobody sent: what stood there before, or counts as if it did."""
        self.put(connection, schema.state, [_state_row(scope, run, record, now) for record in records])

    def close_outcomes(self, connection: Connection, scope: Scope, keys: Sequence[str]) -> None:
        """What was open at these keys is settled."""
        table = schema.open_outcomes
        if keys:
            connection.execute(delete(table).where(table.c.scope == scope.id, self.among(table.c.key, keys)))

    def keep_open(self, connection: Connection, scope: Scope, run: Run, records: Sequence[Record], now: float) -> None:
        """Write down what was not even tried. An earlier attempt at the same key stays: it may have arrived."""
        self._open(connection, scope, run, records, now)

    def still_open(
        self, connection: Connection, scope: Scope, sync: str, keys: Sequence[str] | None = None
    ) -> dict[str, str]:
        """The sync's keys that somebody or some later run has to come back to, with the `as_of` that is open."""
        table = schema.open_outcomes
        wanted = [table.c.scope == scope.id, table.c.sync == sync]
        if keys is not None:
            wanted.append(self.among(table.c.key, keys))
        return dict(map(tuple, connection.execute(select(table.c.key, table.c.as_of).where(*wanted))))

    def parked(self, connection: Connection, scope: Scope, sync: str, after: int) -> dict[str, Parked]:
        """The sync's keys whose very payload was rejected `after` times in a row or more."""
        table = schema.open_outcomes
        rows = connection.execute(
            select(table.c.key, table.c.fingerprint, table.c.same, table.c.reason).where(
                table.c.scope == scope.id,
                table.c.sync == sync,
                table.c.outcome == str(Outcome.REJECTED),
                table.c.same >= after,
            )
        )
        return {key: Parked(*parked) for key, *parked in map(tuple, rows)}

    def _open(self, connection: Connection, scope: Scope, run: Run, records: Sequence[Record], now: float) -> None:
        """Open rows for these; how often one and the same payload was rejected in a row is counted on."""
        if not records:
            return
        table = schema.open_outcomes
        found = connection.execute(
            select(table.c.key, table.c.fingerprint, table.c.same).where(
                table.c.scope == scope.id, self.among(table.c.key, [record.upsert.key for record in records])
            )
        )
        before = {(key, mark): same for key, mark, same in map(tuple, found)}
        rows = [
            {
                "scope": scope.id,
                "key": record.upsert.key,
                "sync": run.sync,
                "partition": record.upsert.partition,
                "as_of": record.upsert.as_of,
                "outcome": str(record.verdict.outcome),
                "reason": record.verdict.reason,
                "status": record.verdict.status,
                "payload": _text(record.upsert.payload),
                "tries": 1,
                "first_at": now,
                "last_at": now,
                "run": run.id,
                "fingerprint": record.upsert.fingerprint,
                "same": before.get((record.upsert.key, record.upsert.fingerprint), 0)
                + (record.verdict.outcome is Outcome.REJECTED),
            }
            for record in records
        ]
        self.put(connection, table, rows, keep=("first_at",), add=("tries",))


def _state_row(scope: Scope, run: Run, record: Record, now: float) -> dict[str, Any]:
    upsert = record.upsert
    return {
        "scope": scope.id,
        "key": upsert.key,
        "sync": run.sync,
        "as_of": upsert.as_of,
        "payload": _text(upsert.payload),
        "fingerprint": upsert.fingerprint,
        "fingerprint_version": fingerprint.VERSION,
        "remote_id": record.verdict.remote_id,
        "partition": upsert.partition,
        "accepted_at": now,
        "run": run.id,
        "removed_at": None,
    }


def _delivery_row(scope: Scope, run: Run, record: Record, now: float) -> dict[str, Any]:
    upsert = record.upsert
    return {
        "scope": scope.id,
        "sync": run.sync,
        "key": upsert.key,
        "partition": upsert.partition,
        "as_of": upsert.as_of,
        "outcome": str(record.verdict.outcome),
        "status": record.verdict.status,
        "old": None if record.old is None else _text(record.old),
        "new": _text(upsert.payload),
        "rows": _text(upsert.rows),
        "run": run.id,
        "config": run.config,
        "at": now,
    }


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()
