"""Which state applies: one account in one mode at one address."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, CursorResult, delete, select, update

from pipelines.delivery.errors import AddressChanged, LedgerError
from pipelines.delivery.ledger import schema
from pipelines.delivery.ledger.records import Scope


def find_scope(connection: Connection, account: str, mode: str, *, address: str, sandbox: str, now: float) -> Scope:
    """The account's state at this address.

    A sandbox that moved or was emptied is another sandbox and starts without state. A live account whose
    address changed is stopped: it may be another tenant, to whom nothing of this state applies. An address at which
    nothing was ever sent or found, such as a mistyped one, is left without a question.

    Raises:
        AddressChanged: a live account has state under another address.
    """
    table = schema.scopes
    named = (table.c.account == account, table.c.mode == mode)
    exact = (table.c.address == address, table.c.sandbox == sandbox)
    rows = connection.execute(select(table).where(*named)).all()
    found = next((row for row in rows if row.address == address and row.sandbox == sandbox), None)
    if found and found.current:
        return Scope(found.id, account, mode)
    if mode == "live" and any(row.current and _was_used(connection, row.id) for row in rows):
        raise address_changed(account)
    connection.execute(update(table).where(*named).values(current=False))
    if found:
        connection.execute(update(table).where(*named, *exact).values(current=True))
        return Scope(found.id, account, mode)
    inserted = connection.execute(
        table.insert().values(account=account, mode=mode, address=address, sandbox=sandbox, since=now, current=True)
    )
    return Scope(_new_id(inserted), account, mode)


def address_changed(account: str) -> AddressChanged:
    """The error of a live account that is not where its state was delivered to."""
    return AddressChanged(
        f"account {account}: its address is not the one that the ledger's state was delivered to",
        do=f"If it is the same tenant at a new address, run `pipelines confirm {account} --same-tenant`; "
        f"if it is another tenant, `pipelines confirm {account} --new-tenant` (starts with an empty state).",
        account=account,
    )


def current_scope(connection: Connection, account: str, mode: str) -> Scope | None:
    """The account's state at the address that it had last; None: nothing was ever sent there."""
    table = schema.scopes
    wanted = (table.c.account == account, table.c.mode == mode, table.c.current)
    row = connection.execute(select(table.c.id).where(*wanted)).first()
    return Scope(row.id, account, mode) if row else None


def take_address(connection: Connection, account: str, address: str, now: float, *, same_tenant: bool) -> bool:
    """Take a live account's new address: with its state, or as a new tenant without any. False: nothing to do."""
    table = schema.scopes
    named = (table.c.account == account, table.c.mode == "live")
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
            table.insert().values(account=account, mode="live", address=address, sandbox="", since=now, current=True)
        )
    return True


def _was_used(connection: Connection, scope: int) -> bool:
    """Whether anything stands, or may stand, at the account because of us, or was found there."""
    tables = (schema.state, schema.attempts, schema.deliveries)
    return any(
        connection.execute(select(table.c.key).where(table.c.scope == scope).limit(1)).first() for table in tables
    )


def _new_id(result: CursorResult[Any]) -> int:
    key = result.inserted_primary_key
    if key is None:
        raise LedgerError("the database gave a new row no id", do="This is a defect: please report it.")
    return int(key[0])
