"""Reading and writing the ledger, always in groups: one look-up, one transaction.

Every method that takes a connection runs inside the caller's transaction; `Turn` owns the connection that may write
attempts and results, so that whoever lost the turn cannot write.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Engine,
    Table,
    Text,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from pipelines.delivery import fingerprint
from pipelines.delivery.errors import AddressChanged, LedgerError
from pipelines.delivery.ledger import schema
from pipelines.delivery.upsert import ACCEPTED, OPEN, Outcome, Payload, Upsert, Verdict

_BUSY_TIMEOUT_MS = 60_000


@dataclass(frozen=True, slots=True)
class Scope:
    """One account in one mode at one address; `id` is its number in the ledger."""

    id: int
    account: str
    mode: str


@dataclass(frozen=True, slots=True)
class Run:
    """Who writes: a run of a sync. `config` is the hash of the sync's configuration, kept with every delivery."""

    id: str
    sync: str
    config: str


@dataclass(frozen=True, slots=True)
class State:
    """What was last accepted at a key."""

    sync: str
    as_of: str
    fingerprint: str
    version: int
    payload: Payload | None = None

    @property
    def outdated(self) -> bool:
        """Whether the fingerprint is of another release, so that only payloads can be compared."""
        return self.version != fingerprint.VERSION


@dataclass(frozen=True, slots=True)
class Attempt:
    """An upsert that was committed as attempted and has no answer."""

    upsert: Upsert
    sync: str
    run: str


@dataclass(frozen=True, slots=True)
class Record:
    """An upsert with what became of it, as it is written down. `old` is the payload that stood there before."""

    upsert: Upsert
    verdict: Verdict
    old: Payload | None = None


class Ledger:
    """The database behind all syncs. Thread-safe as far as SQLAlchemy's engine is; one object per process is enough."""

    def __init__(self, url: str) -> None:
        """Open the ledger, creating it if need be.

        Raises:
            LedgerError: it cannot be opened, or was written by a newer release.
        """
        parsed = make_url(url)
        if parsed.drivername in {"postgresql", "postgres"}:
            parsed = parsed.set(drivername="postgresql+psycopg")
        self.url = parsed
        self.folder: Path | None = None
        if parsed.get_backend_name() == "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise LedgerError("a ledger in memory forgets everything", do="Give PIPELINES_LEDGER_URL a file.")
            self.folder = Path(parsed.database).absolute().parent
            self.folder.mkdir(parents=True, exist_ok=True)
        self.engine = _engine(parsed)
        try:
            with self.engine.begin() as connection:
                self.id = schema.prepare(connection, uuid.uuid4().hex)
        except LedgerError:
            self.engine.dispose()
            raise
        except SQLAlchemyError as error:
            self.engine.dispose()
            raise LedgerError(
                f"the ledger at {parsed.render_as_string(hide_password=True)} cannot be opened: "
                f"{error.__cause__ or error}",
                do="Check PIPELINES_LEDGER_URL, the folder's rights and the disk's free space.",
            ) from error

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection for look-ups that holds nobody up."""
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection

    # -- scopes

    def scope(self, account: str, mode: str, address: str, sandbox: str, now: float) -> Scope:
        """The account's state at this address.

        A sandbox that moved or was emptied is another sandbox and starts without state. A live account whose
        address changed is stopped: it may be another tenant, to whom nothing of this state applies.

        Raises:
            AddressChanged: a live account has state under another address.
        """
        table = schema.scopes
        named = (table.c.account == account, table.c.mode == mode)
        exact = (table.c.address == address, table.c.sandbox == sandbox)
        with self.engine.begin() as connection:
            rows = connection.execute(select(table).where(*named)).all()
            found = next((row for row in rows if row.address == address and row.sandbox == sandbox), None)
            if found and found.current:
                return Scope(found.id, account, mode)
            if mode == "live" and any(row.current for row in rows):
                raise AddressChanged(
                    f"account {account}: its base URL is not the one that the ledger's state was delivered to",
                    do=f"If it is the same tenant at a new address, run `pipelines confirm {account} --same-tenant`; "
                    f"if it is another tenant, `pipelines confirm {account} --new-tenant` (starts with an empty state).",
                    account=account,
                )
            connection.execute(update(table).where(*named).values(current=False))
            if found:
                connection.execute(update(table).where(*named, *exact).values(current=True))
                return Scope(found.id, account, mode)
            inserted = connection.execute(
                table.insert().values(
                    account=account, mode=mode, address=address, sandbox=sandbox, since=now, current=True
                )
            )
            return Scope(_new_id(inserted), account, mode)

    def confirm_address(self, account: str, address: str, now: float, *, same_tenant: bool) -> bool:
        """Take a live account's new address: with its state, or as a new tenant without any. False: nothing to do."""
        table = schema.scopes
        named = (table.c.account == account, table.c.mode == "live")
        with self.engine.begin() as connection:
            current = connection.execute(select(table).where(*named, table.c.current)).first()
            if current is None or current.address == address:
                return False
            connection.execute(update(table).where(table.c.id == current.id).values(current=False))
            target = connection.execute(select(table).where(*named, table.c.address == address)).first()
            if same_tenant:
                if target is not None:
                    connection.execute(delete(table).where(table.c.id == target.id))
                    connection.execute(delete(schema.state).where(schema.state.c.scope == target.id))
                connection.execute(
                    update(table).where(table.c.id == current.id).values(address=address, current=True, since=now)
                )
            elif target is not None:
                connection.execute(update(table).where(table.c.id == target.id).values(current=True))
            else:
                connection.execute(
                    table.insert().values(
                        account=account, mode="live", address=address, sandbox="", since=now, current=True
                    )
                )
        return True

    # -- state

    def states(self, connection: Connection, scope: Scope, keys: Sequence[str], *, payloads: bool) -> dict[str, State]:
        """What was last accepted at these keys; keys never accepted are absent."""
        table = schema.state
        columns = [table.c.key, table.c.sync, table.c.as_of, table.c.fingerprint, table.c.fingerprint_version]
        if payloads:
            columns.append(table.c.payload)
        rows = connection.execute(select(*columns).where(table.c.scope == scope.id, self._among(table.c.key, keys)))
        return {
            key: State(sync, as_of, hashed, version, orjson.loads(payload[0]) if payload else None)
            for key, sync, as_of, hashed, version, *payload in map(tuple, rows)
        }

    def advance(self, connection: Connection, scope: Scope, upserts: Iterable[Upsert]) -> None:
        """Remember that unchanged values were seen at a newer `as_of`: an older, different one may not undo them."""
        table = schema.state
        rows = [{"k": upsert.key, "a": upsert.as_of, "p": upsert.partition} for upsert in upserts]
        if rows:
            connection.execute(
                update(table)
                .where(table.c.scope == scope.id, table.c.key == bindparam("k"), table.c.as_of < bindparam("a"))
                .values(as_of=bindparam("a"), partition=bindparam("p")),
                rows,
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
        connection.execute(delete(table).where(table.c.scope == scope.id, self._among(table.c.key, keys)))

    # -- results

    def record(self, connection: Connection, scope: Scope, run: Run, records: Sequence[Record], now: float) -> None:
        """Write down what became of a group: state and history for the accepted, open outcomes for the rest.

        An attempt whose outcome is unknown stays, so that the next run settles it by a read-back.
        """
        accepted = [record for record in records if record.verdict.outcome in ACCEPTED]
        still_open = [record for record in records if record.verdict.outcome in OPEN]
        self.put(connection, schema.state, [_state_row(scope, run, record, now) for record in accepted])
        if accepted:
            connection.execute(
                schema.deliveries.insert(),
                [_delivery_row(scope, run, record, now) for record in accepted],
            )
        self._open(connection, scope, run, still_open, now)
        self.close_outcomes(connection, scope, [record.upsert.key for record in accepted])
        answered = [record.upsert.key for record in records if record.verdict.outcome is not Outcome.UNKNOWN]
        self.forget_attempts(connection, scope, answered)

    def close_outcomes(self, connection: Connection, scope: Scope, keys: Sequence[str]) -> None:
        """What was open at these keys is settled."""
        table = schema.open_outcomes
        if keys:
            connection.execute(delete(table).where(table.c.scope == scope.id, self._among(table.c.key, keys)))

    def open_keys(self, connection: Connection, scope: Scope, sync: str) -> list[str]:
        """The sync's keys that somebody or some later run has to come back to."""
        table = schema.open_outcomes
        return list(connection.scalars(select(table.c.key).where(table.c.scope == scope.id, table.c.sync == sync)))

    def _open(self, connection: Connection, scope: Scope, run: Run, records: Sequence[Record], now: float) -> None:
        table = schema.open_outcomes
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
            }
            for record in records
        ]
        self.put(connection, table, rows, keep=("first_at",), add=("tries",))

    # -- the two dialects

    def _among(self, column: ColumnElement[str], keys: Sequence[str]) -> ColumnElement[bool]:
        # One bound value however many keys: a list of parameters would end at the driver's limit.
        if self.dialect == "sqlite":
            listed = func.json_each(orjson.dumps(list(keys)).decode()).table_valued("value")
            return column.in_(select(listed.c.value))
        return column == func.any(bindparam(None, list(keys), type_=postgresql.ARRAY(Text)))

    def put(
        self,
        connection: Connection,
        table: Table,
        rows: Sequence[Mapping[str, Any]],
        keep: Sequence[str] = (),
        add: Sequence[str] = (),
    ) -> None:
        """Insert or replace by primary key; `keep` columns stay as they are, `add` columns are added to."""
        if not rows:
            return
        insert = (sqlite if self.dialect == "sqlite" else postgresql).insert(table)
        primary = [column.name for column in table.primary_key]
        changes = {
            column.name: (column + insert.excluded[column.name] if column.name in add else insert.excluded[column.name])
            for column in table.columns
            if column.name not in primary and column.name not in keep
        }
        connection.execute(insert.on_conflict_do_update(index_elements=primary, set_=changes), list(rows))


def _engine(url: Any) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": _BUSY_TIMEOUT_MS / 1000})

    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _: Any) -> None:
        # Without this the driver begins transactions by itself, and only at the first write.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")

    @event.listens_for(engine, "begin")
    def _immediate(connection: Connection) -> None:
        # A transaction that reads first and writes later would fail instead of waiting for another writer.
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


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


def _new_id(result: CursorResult[Any]) -> int:
    key = result.inserted_primary_key
    if key is None:
        raise LedgerError("the database gave a new row no id", do="This is a defect: please report it.")
    return int(key[0])
