"""A ledger's way into another database, such as from SQLite to PostgreSQL: everything goes, nothing is sent again."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, Table, func, select, text, union, update

from pipelines.delivery.errors import LedgerError
from pipelines.delivery.ledger import schema
from pipelines.delivery.ledger.database import Database
from pipelines.delivery.ledger.locks import turns_of
from pipelines.delivery.ledger.versions import MOVED

_GROUP = 5_000
_QUOTAS = union(select(schema.paces.c.quota), select(schema.waiters.c.quota))
_STOP = "Stop Dagster's daemon, let the runs end or cancel them, then move the ledger."


def move(source: Database, target: Database, *, group: int = _GROUP) -> Mapping[str, int]:
    """Copy every row of the source to the empty target, and mark the source so that nobody opens it again.

    Nobody may have the turn of an account meanwhile. Returns the number of rows per table.

    Raises:
        LedgerError: the target holds something already, both are the same, or somebody is delivering.
    """
    if source.id == target.id:
        raise LedgerError("both addresses lead to the same ledger", do="Name an empty database.")
    with source.reading() as connection:
        quotas = list(connection.scalars(_QUOTAS))
    # The turns come back only after the mark is committed: whoever waits for one finds it.
    with (
        source.engine.connect() as holder,
        turns_of(source, holder, quotas, _STOP),
        source.engine.begin() as old,
    ):
        if {*old.scalars(_QUOTAS)} - {*quotas}:
            raise LedgerError("somebody has begun to deliver", do=_STOP)
        with target.engine.begin() as new:
            _check_empty(new)
            moved = {table.name: _copy(old, new, table, group) for table in _tables()}
            _count_on(new)
            named = update(schema.meta).where(schema.meta.c.name == "ledger_id")
            new.execute(named.values(value=source.id))
        # Only now, since the copy is committed: a ledger that went nowhere stays usable.
        old.execute(schema.meta.insert().values(name=MOVED, value=target.shown))
    return moved


def _tables() -> list[Table]:
    return [table for table in schema.metadata.sorted_tables if table is not schema.meta]


def _check_empty(new: Connection) -> None:
    for table in _tables():
        if new.execute(select(table).limit(1)).first() is not None:
            raise LedgerError(
                f"the new ledger is not empty: its table {table.name} has rows",
                do="Name an empty database. Two ledgers cannot be made one: each knows what the other never sent.",
            )


def _copy(old: Connection, new: Connection, table: Table, group: int) -> int:
    count = 0
    for rows in old.execute(select(table), execution_options={"yield_per": group}).mappings().partitions():
        new.execute(table.insert(), [dict(row) for row in rows])
        count += len(rows)
    return count


def _count_on(new: Connection) -> None:
    """Let PostgreSQL number new rows after the copied ones; SQLite does by itself."""
    if new.dialect.name != "postgresql":
        return
    for table in (schema.scopes, schema.deliveries, schema.decisions):
        last = new.scalar(select(func.max(table.c.id)))
        if last is not None:
            new.execute(text("select setval(pg_get_serial_sequence(:t, 'id'), :n)"), {"t": table.name, "n": last})
