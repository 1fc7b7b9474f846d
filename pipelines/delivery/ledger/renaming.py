"""A sync that has another name now: what the ledger holds of the old one becomes the new one's."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Table, delete, func, select, update

from pipelines.delivery.ledger import schema
from pipelines.delivery.ledger.database import Database
from pipelines.delivery.ledger.locks import turns_of
from pipelines.delivery.ledger.people import decide, hold_of

_BY_KEY = (schema.state, schema.attempts, schema.open_outcomes)
"""Tables with one record per key, whatever its sync."""
_BY_SYNC = (schema.reads, schema.contacts)
"""Tables with one record per sync, of which both names may have one."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the ledger holds of a sync at one account, in all of its modes and addresses."""

    keys: int
    attempts: int
    open: int
    partitions: int
    contacts: int
    held: bool

    def __bool__(self) -> bool:
        return bool(self.keys or self.attempts or self.open or self.partitions or self.contacts or self.held)


def holdings(connection: Connection, account: str, sync: str) -> Holdings:
    """What the ledger holds of the sync at the account; a hold is of the sync wherever it sends."""
    counts = [
        connection.scalar(select(func.count()).select_from(table).where(*_of(table, account, sync))) or 0
        for table in (*_BY_KEY, *_BY_SYNC)
    ]
    return Holdings(*counts, held=hold_of(connection, sync) is not None)


def owners(connection: Connection, account: str) -> dict[str, int]:
    """The syncs that hold keys at the account, in its present places, and how many."""
    table, scopes = schema.state, schema.scopes
    places = select(scopes.c.id).where(scopes.c.account == account, scopes.c.current)
    rows = connection.execute(
        select(table.c.sync, func.count())
        .where(table.c.scope.in_(places), table.c.removed_at.is_(None))
        .group_by(table.c.sync)
        .order_by(table.c.sync)
    )
    return {str(sync): int(count) for sync, count in rows}


def rename(ledger: Database, account: str, old: str, new: str, *, quotas: Collection[str], now: float) -> Holdings:
    """Give the new name what the old one holds at the account, in one transaction; deliveries stay as they were told.

    Of what both have, a reading or a first contact, the new name's stays. A hold goes with it. Nobody may have the
    turn of one of the quotas meanwhile: a run of the old name would write its keys back.

    Raises:
        LedgerError: somebody is delivering.
    """
    do = "Let its runs end or cancel them, then rename."
    with ledger.engine.connect() as holder, turns_of(ledger, holder, quotas, do), ledger.engine.begin() as connection:
        moved = holdings(connection, account, old)
        for table in _BY_SYNC:
            _drop_double(connection, table, account, old, new)
        for table in (*_BY_KEY, *_BY_SYNC):
            connection.execute(update(table).where(*_of(table, account, old)).values(sync=new))
        holds = schema.holds
        if hold_of(connection, new) is not None:
            connection.execute(delete(holds).where(holds.c.sync == old))
        connection.execute(update(holds).where(holds.c.sync == old).values(sync=new))
        # Dagster knows no run of the new name: what was acknowledged of the old one's would hold no more.
        connection.execute(delete(schema.acknowledged).where(schema.acknowledged.c.sync == old))
        said = f"from {old} at account {account}: {moved.keys} keys, {moved.attempts + moved.open} open"
        decide(connection, "rename", new, said, now)
        return moved


def _of(table: Table, account: str, sync: str) -> tuple[ColumnElement[bool], ...]:
    scopes = schema.scopes
    return table.c.sync == sync, table.c.scope.in_(select(scopes.c.id).where(scopes.c.account == account))


def _drop_double(connection: Connection, table: Table, account: str, old: str, new: str) -> None:
    """Delete the old name's record where the new one has the like of it."""
    other = table.alias("other")
    same = [table.c[name] == other.c[name] for name in map(str, table.primary_key.columns.keys()) if name != "sync"]
    double = select(other.c.sync).where(other.c.sync == new, *same).exists()
    connection.execute(delete(table).where(*_of(table, account, old), double))
