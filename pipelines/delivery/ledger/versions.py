"""The version of a ledger's tables: new ones are created, older ones brought up to date, newer ones left alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from sqlalchemy import Column, Connection, Table, inspect, literal, select, text, update
from sqlalchemy.schema import CreateColumn

from pipelines.delivery.errors import LedgerError
from pipelines.delivery.ledger import schema

MOVED = "moved_to"
"""The name under which `pipelines_meta` tells that the ledger is elsewhere by now."""
_LOCK = 7_065_391_282_318_127
"""Any number, the same in every release: two processes that start at once do not both migrate."""


def prepare(connection: Connection, ledger_id: str) -> str:
    """Create the tables or bring them up to date, in the caller's transaction, and return the ledger's id.

    Raises:
        LedgerError: the tables were written by a newer release, or the ledger was moved to another database.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(:n)"), {"n": _LOCK})
    if not inspect(connection).has_table(schema.meta.name):
        schema.metadata.create_all(connection)
        known = {"schema_version": str(schema.SCHEMA_VERSION), "ledger_id": ledger_id}
        connection.execute(schema.meta.insert(), [{"name": name, "value": value} for name, value in known.items()])
        return ledger_id
    known = {row.name: row.value for row in connection.execute(select(schema.meta.c.name, schema.meta.c.value))}
    _check_in_use(known.get(MOVED))
    version = int(known.get("schema_version", "0"))
    if version not in {*_STEPS, schema.SCHEMA_VERSION}:
        raise LedgerError(
            f"the ledger has schema version {version}, this release of pipelines knows up to {schema.SCHEMA_VERSION}",
            do="Run the release that wrote it, or point PIPELINES_LEDGER_URL at another database.",
        )
    while version < schema.SCHEMA_VERSION:
        _STEPS[version](connection)
        version += 1
    connection.execute(
        update(schema.meta).where(schema.meta.c.name == "schema_version").values(value=str(schema.SCHEMA_VERSION))
    )
    return known["ledger_id"]


def check_in_use(connection: Connection) -> None:
    """Make sure that the ledger is still the one to use: it may have been moved since it was opened.

    Raises:
        LedgerError: it was.
    """
    table = schema.meta
    _check_in_use(connection.scalar(select(table.c.value).where(table.c.name == MOVED)))


def _check_in_use(moved_to: str | None) -> None:
    if moved_to is not None:
        raise LedgerError(
            f"this ledger was moved to {moved_to}",
            do=f"Point PIPELINES_LEDGER_URL there. To go back, delete the row {MOVED} of {schema.meta.name}: what was "
            "delivered since is not known here, and would be sent again.",
        )


def _to_2(connection: Connection) -> None:
    """Removals, parked rejections; who read last, contacts, holds, decisions."""
    _add(connection, schema.state.c.removed_at)
    _add(connection, schema.open_outcomes.c.fingerprint)
    _add(connection, schema.open_outcomes.c.same)
    for table in (schema.reads, schema.contacts, schema.holds, schema.decisions):
        table.create(connection)
    # Whoever delivered before may go on: first contact was made then.
    state = schema.state
    known = select(state.c.scope, state.c.sync, literal(time.time()), literal("known"), literal("{}")).distinct()
    connection.execute(schema.contacts.insert().from_select(["scope", "sync", "since", "policy", "found"], known))


def _to_3(connection: Connection) -> None:
    """Partitions whose trouble somebody puts up with."""
    schema.acknowledged.create(connection)


def _add(connection: Connection, column: Column[object]) -> None:
    table: Table = column.table
    written = CreateColumn(column).compile(dialect=connection.dialect)
    connection.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN {written}")


_STEPS: Mapping[int, Callable[[Connection], None]] = {1: _to_2, 2: _to_3}
"""From each older version the step to the next."""
